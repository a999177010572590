//! Request ids: what a client sent, or one of our own. The log and the counts of requests are here, too.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::server::Shared;

/// The header, in requests and answers.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The lengths of an id that is sent back; another is replaced in the answer.
const ECHOED_BYTES: std::ops::RangeInclusive<usize> = 20..=200;

/// Puts the request id into the answer, whatever it is; and counts and logs it.
pub(super) async fn answer(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let sent = request.headers().get(REQUEST_ID);
    let id = sent.filter(|id| ECHOED_BYTES.contains(&id.len())).cloned();
    let id = id.or_else(generate);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let began = Instant::now();
    let mut response = next.run(request).await;
    let (status, took) = (response.status().as_u16(), began.elapsed());
    shared.metrics.count(method.as_str(), status, took);
    let shown = id.as_ref().and_then(|id| id.to_str().ok());
    tracing::info!(%method, path, status, ?took, id = shown, "request");
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn generate() -> Option<HeaderValue> {
    let mut bytes = [0; 15];
    getrandom::fill(&mut bytes).ok()?;
    HeaderValue::try_from(URL_SAFE_NO_PAD.encode(bytes)).ok()
}
