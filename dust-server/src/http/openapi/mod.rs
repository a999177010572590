//! The description of the routes: `/openapi.json`, made of the attributes of the handlers, and the page `/api-docs` that
//! shows it.

mod common;
mod shape;

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use utoipa::OpenApi;

use common::Common;

use super::answer::json_text;
use super::{
    batch, clone, diff, entries, export, extension, files, import, index, list, log, status, stores, tokens, webhooks,
};
pub(super) use shape::*;

/// The whole document.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Dust",
        version = "0.1.0",
        description = "A reactive key-value store: JSON leaves at paths, one sequence of ops per store.\n\n\
            A path is text of segments with `/` between them; in a segment, `~0` stands for `~` and `~1` for `/`. A read of \
            a path above leaves gives the map that they make. Every op takes the next number of its store, which is the \
            revision of the leaves that it writes.\n\n\
            Requests need `Authorization: Bearer <token>`. Every answer has `x-request-id`: that of the request if it has 20 \
            to 200 bytes, or a new one. A refusal is `{\"error\": code, \"detail\": text}`. A method that a route does not \
            have is answered 404, as is a route that there is not.",
        license(name = "MIT", identifier = "MIT"),
    ),
    paths(
        entries::read,
        entries::put,
        entries::delete,
        entries::post,
        entries::delete_named,
        entries::put_nowhere,
        list::list,
        batch::read,
        batch::write,
        stores::list,
        stores::create,
        stores::archive,
        clone::clone,
        export::export,
        import::import,
        diff::diff,
        log::log,
        status::subscribe,
        status::watch,
        files::read,
        index::list,
        index::ensure,
        index::drop,
        index::query,
        index::write_records,
        tokens::list,
        tokens::create,
        tokens::revoke,
        webhooks::list,
        webhooks::create,
        webhooks::delete,
        webhooks::ping,
        webhooks::deliveries,
        extension::capabilities,
        status::healthz,
        status::readyz,
        status::metrics,
        document,
        page
    ),
    components(schemas(Order, Select, Refusal)),
    tags(
        (name = "entries", description = "What a store holds."),
        (name = "stores", description = "Which stores there are, and whole stores at once."),
        (name = "files", description = "The content of files."),
        (name = "queries", description = "Records found by their fields. The original has none of this."),
        (name = "tokens", description = "Who may do what."),
        (name = "webhooks", description = "Who is told of what is written."),
        (name = "server", description = "The server itself."),
    ),
    modifiers(&Common)
)]
struct Document;

/// The document as JSON.
pub(super) fn text() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| match Document::openapi().to_json() {
        Ok(text) => text,
        // A value that was made of constants is written, or it is not on any start.
        Err(error) => {
            tracing::error!(%error, "the OpenAPI document cannot be written");
            "{}".to_owned()
        }
    })
}

/// This document
#[utoipa::path(
    get, path = "/openapi.json", tag = "server",
    responses((status = 200, description = "An OpenAPI 3.1 document.", content_type = "application/json", body = Object))
)]
pub(super) async fn document() -> Response {
    json_text(StatusCode::OK, text().to_owned())
}

/// What the page may do: run its own script and style, and fetch from the server that it came from.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'sha256-@SCRIPT@'; style-src 'sha256-@STYLE@'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const PAGE: &str = include_str!("page.html");

/// A page that shows this document
#[utoipa::path(
    get, path = "/api-docs", tag = "server",
    responses((status = 200, description = "A page that loads nothing from elsewhere.", content_type = "text/html", body = String))
)]
pub(super) async fn page() -> Response {
    static POLICY: OnceLock<Option<HeaderValue>> = OnceLock::new();
    let policy = POLICY.get_or_init(|| {
        let text = CONTENT_SECURITY_POLICY.replace("@SCRIPT@", &hash_of("script"));
        HeaderValue::try_from(text.replace("@STYLE@", &hash_of("style"))).ok()
    });
    let mut response = Response::new(Body::from(PAGE));
    let headers = response.headers_mut();
    if let Some(policy) = policy {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    let mut put = |name: HeaderName, value| headers.insert(name, HeaderValue::from_static(value));
    put(header::CONTENT_TYPE, "text/html; charset=utf-8");
    put(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(header::REFERRER_POLICY, "no-referrer");
    response
}

/// The hash of what stands in the page between the tags of this name.
fn hash_of(name: &str) -> String {
    use base64::Engine as _;
    use sha2::Digest as _;
    let open = format!("<{name}>");
    let inner = PAGE.split_once(&open).map_or("", |(_, rest)| rest);
    let inner = inner.split_once(&format!("</{name}>")).map_or("", |(inner, _)| inner);
    base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(inner))
}
