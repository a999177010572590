//! What is the same for all operations: the token, the refusals, the headers of answers.

use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder, Server, header::Header,
};

use crate::control::Scope;

/// Adds to each operation what its handler does not say, since it is not the handler that does it.
#[derive(Debug)]
pub(super) struct Common;

/// The name of the security scheme.
const TOKEN: &str = "token";

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        document.servers = Some(vec![Server::new("/")]);
        let scopes: Vec<&str> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("dust_tok_<43 characters>")
            .description(Some(format!(
                "A token has scopes, of {}, and all stores of its organisation or some.",
                scopes.join(", ")
            )));
        let components = document.components.get_or_insert_with(Components::new);
        components.add_security_scheme(TOKEN, SecurityScheme::Http(token.build()));
        for (name, response) in shared_responses() {
            components.responses.insert(name.to_owned(), RefOr::T(response));
        }
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                complete(path, operation);
            }
        }
    }
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.delete]
        .into_iter()
        .flatten()
}

/// A refusal that no handler makes, or that many make alike.
struct Shared {
    status: &'static str,
    name: &'static str,
    description: &'static str,
}

const fn shared(status: &'static str, name: &'static str, description: &'static str) -> Shared {
    Shared {
        status,
        name,
        description,
    }
}

/// Of a route that needs a token.
const OF_SECURED: [Shared; 9] = [
    shared(
        "400",
        "Malformed",
        "The request is malformed: `invalid_params`, or another code that says how; `unknown_extension`.",
    ),
    shared(
        "401",
        "Unauthorized",
        "`unauthorized`: there is no token, or it is wrong, expired or revoked.",
    ),
    shared(
        "403",
        "Forbidden",
        "`forbidden`: the token lacks the scope, or the store is none of its own.",
    ),
    shared("406", "NotAcceptable", "`not_acceptable`: `Accept` leaves out JSON."),
    shared("408", "TimedOut", "`timeout`: the body did not arrive in time."),
    shared(
        "413",
        "TooLarge",
        "`payload_too_large`: the body, or a value in it, is beyond the limit.",
    ),
    shared(
        "414",
        "UriTooLong",
        "`uri_too_long`: the request line has more than 10,000 bytes.",
    ),
    shared(
        "429",
        "RateLimited",
        "`rate_limited`: the token has asked too often in this minute.",
    ),
    shared("500", "Failed", "`internal`, or the code of a failure of the store."),
];

/// Of a route with a name in its path.
const NOT_FOUND: Shared = shared(
    "404",
    "NotFound",
    "`not_found`: no such organisation or store, or nothing there.",
);

/// Of every route.
const HEADERS_TOO_LARGE: Shared = shared(
    "431",
    "HeadersTooLarge",
    "`headers_too_large`: too many headers, or one of more than 10,000 bytes.",
);

/// Adds what the handler does not say, and the headers to what it says.
fn complete(path: &str, operation: &mut Operation) {
    let is_secured = operation.security.is_some();
    let responses = &mut operation.responses.responses;
    for (status, response) in responses.iter_mut() {
        if let RefOr::T(response) = response {
            put_headers(status, response, is_secured);
        }
    }
    let by_token = OF_SECURED.iter().filter(|_| is_secured);
    let by_name = Some(&NOT_FOUND).filter(|_| is_secured && path.contains('{'));
    for shared in by_token.chain(by_name).chain([&HEADERS_TOO_LARGE]) {
        let reference = Ref::from_response_name(shared.name);
        responses
            .entry(shared.status.to_owned())
            .or_insert_with(|| RefOr::Ref(reference));
    }
}

fn shared_responses() -> impl Iterator<Item = (&'static str, Response)> {
    let all = OF_SECURED.into_iter().chain([NOT_FOUND, HEADERS_TOO_LARGE]);
    all.map(|shared| {
        let body = ContentBuilder::new().schema(Some(Ref::from_schema_name("Refusal")));
        let mut response = ResponseBuilder::new()
            .description(shared.description)
            .content("application/json", body.build())
            .build();
        put_headers(shared.status, &mut response, true);
        (shared.name, response)
    })
}

fn put_headers(status: &str, response: &mut Response, is_secured: bool) {
    let mut put = |name: &str, header| response.headers.insert(name.to_owned(), RefOr::T(header));
    put("x-request-id", text_header("The id of the request."));
    if is_secured && !matches!(status, "401" | "406" | "414" | "431") {
        put(
            "x-ratelimit-limit",
            count_header("Requests of this kind that a token may make in a minute."),
        );
        put("x-ratelimit-remaining", count_header("How many are left."));
        put(
            "x-ratelimit-reset",
            count_header("Seconds until they are counted anew."),
        );
    }
    if status == "429" {
        put("retry-after", count_header("Whole seconds to wait; 0 counts, too."));
    }
}

fn text_header(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::String);
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
        .build()
}

fn count_header(description: &str) -> Header {
    let schema = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0));
    HeaderBuilder::new()
        .schema(Some(schema))
        .description(Some(description))
        .build()
}
