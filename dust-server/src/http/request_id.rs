//! Request ids: what a client sent, or one of our own. The log and the counts of requests are here, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::guard;
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
    // Both are shared, not copied.
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let began = Instant::now();
    let mut response = match guard::normalise(request) {
        Ok(request) => next.run(request).await,
        Err(refused) => *refused,
    };
    let (status, took) = (response.status().as_u16(), began.elapsed());
    shared.metrics.count(method.as_str(), status, took);
    let shown = id.as_ref().and_then(|id| id.to_str().ok());
    tracing::debug!(%method, path = uri.path(), status, ?took, id = shown, "request");
    if let Some(id) = id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// An id that no other request has: what the process has drawn, and a number. It tells requests apart and nothing more.
fn generate() -> Option<HeaderValue> {
    static DRAWN: OnceLock<Option<[u8; 7]>> = OnceLock::new();
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let draw = || {
        let mut bytes = [0; 7];
        getrandom::fill(&mut bytes).ok().map(|()| bytes)
    };
    let mut bytes = [0; 15];
    let (drawn, number) = bytes.split_at_mut(7);
    drawn.copy_from_slice(&(*DRAWN.get_or_init(draw))?);
    number.copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    let mut text = [0; 20];
    URL_SAFE_NO_PAD.encode_slice(bytes, &mut text).ok()?;
    HeaderValue::from_bytes(&text).ok()
}
