//! What this server does beyond the wire of the original, for requests that ask for it.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use dust_transport::model::{Extension, Extensions};
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use super::openapi;
use super::{batch, guard, list};
use crate::server::Shared;

const HEADER: HeaderName = HeaderName::from_static(Extension::HEADER);

/// What the server does beyond the original wire
///
/// A client that does not ask is answered as the original answers.
#[utoipa::path(
    get, path = "/api/capabilities", tag = "server", operation_id = "capabilities", security(("token" = [])),
    responses((status = 200, description = "The extensions and the limits.", body = openapi::Capabilities))
)]
pub(super) async fn capabilities(call: Call) -> Response {
    let names = Extensions::ALL.iter().map(Extension::as_str);
    let body = json!({
        "extensions": names.collect::<Vec<_>>(),
        "limits": {
            "batch_ops": batch::ITEMS_MAX,
            "page_leaves": list::LIMIT_MAX,
            "body_bytes": call.shared().config.body_bytes_max,
        },
    });
    json(StatusCode::OK, &body)
}

/// Reads which extensions a request uses, and says in the answer that they were understood.
pub(super) async fn negotiate(shared: &Shared, mut request: Request, next: Next) -> Response {
    let asked = match asked(request.headers()) {
        Ok(asked) => asked,
        Err(refusal) => return guard::refuse(shared, request, refusal).await,
    };
    if asked.is_empty() {
        return next.run(request).await;
    }
    request.extensions_mut().insert(asked);
    let mut response = next.run(request).await;
    if let Ok(names) = HeaderValue::try_from(asked.to_string()) {
        response.headers_mut().insert(HEADER, names);
    }
    response
}

/// What the header names. An unknown name is refused: a request must not lose a condition in silence.
fn asked(headers: &HeaderMap) -> Result<Extensions, Refusal> {
    let mut asked = Vec::new();
    for value in headers.get_all(HEADER) {
        let names = value.to_str();
        let names = names.map_err(|_| Refusal::bad_request("unknown_extension", "the header is not ASCII"))?;
        let names = Extensions::parse(names).map_err(|name| {
            let known = Extensions::ALL;
            Refusal::bad_request(
                "unknown_extension",
                format!("there is no extension {name:?}; there are {known}"),
            )
        })?;
        asked.extend(names.iter());
    }
    Ok(asked.into_iter().collect())
}
