//! What every request passes before its route: bounds, the accepted type, the token, the rate limit.

use std::sync::Arc;

use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use tokio::time::timeout;

use super::answer::Refusal;
use super::extension;
use crate::control::Token;
use crate::limit::{Bucket, Verdict};
use crate::server::Shared;

/// The longest request line and the longest header line.
const LINE_BYTES_MAX: usize = 10_000;

/// The longest body that is read though nobody needs it.
const UNREAD_BYTES_MAX: usize = 64 << 10;

/// The most headers of a request.
const HEADERS_MAX: usize = 50;

/// Drops the empty pieces of the path: `//a/` is `/a`. A request that is out of bounds is refused: the error is the answer.
pub(super) fn normalise(mut request: Request) -> Result<Request, Box<Response>> {
    let line = request.method().as_str().len() + length_of(request.uri()) + " HTTP/1.1 ".len();
    if line > LINE_BYTES_MAX {
        return Err(closing(Refusal::uri_too_long()).into());
    }
    let headers = request.headers();
    let is_long = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() > LINE_BYTES_MAX;
    if headers.len() > HEADERS_MAX || headers.iter().any(is_long) {
        return Err(closing(Refusal::headers_too_large()).into());
    }
    if let Some(uri) = without_empty_pieces(request.uri()) {
        *request.uri_mut() = uri;
    }
    Ok(request)
}

/// How long a URI is as it stands in the request line: mostly it is a path and a query.
fn length_of(uri: &Uri) -> usize {
    match (uri.scheme(), uri.authority(), uri.path_and_query()) {
        (None, None, Some(target)) => target.as_str().len(),
        _ => uri.to_string().len(),
    }
}

fn closing(refusal: Refusal) -> Response {
    let mut response = refusal.into_response();
    let close = HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

fn without_empty_pieces(uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let has_empty_pieces = path.contains("//") || path.len() > 1 && path.ends_with('/');
    if !has_empty_pieces {
        return None;
    }
    let mut text = String::with_capacity(path.len());
    for piece in path.split('/').filter(|piece| !piece.is_empty()) {
        text.push('/');
        text.push_str(piece);
    }
    if text.is_empty() {
        text.push('/');
    }
    if let Some(query) = uri.query() {
        text.push('?');
        text.push_str(query);
    }
    text.parse().ok()
}

/// Lets through who accepts JSON, has a token, and asks not too often.
pub(super) async fn admit(State(shared): State<Arc<Shared>>, mut request: Request, next: Next) -> Response {
    if !accepts_json(request.headers()) {
        return refuse(&shared, request, Refusal::not_acceptable()).await;
    }
    let Some(token) = bearer(request.headers()).and_then(|secret| shared.control.authenticate(secret)) else {
        return refuse(&shared, request, Refusal::unauthorized()).await;
    };
    let bucket = match *request.method() {
        Method::GET | Method::HEAD => Bucket::Read,
        _ => Bucket::Write,
    };
    let verdict = shared.limiter.count(token.id, bucket, shared.config.clock.now_ms());
    request.extensions_mut().insert::<Arc<Token>>(token);
    let Some(verdict) = verdict else {
        return extension::negotiate(&shared, request, next).await;
    };
    let mut response = match verdict.remaining {
        Some(_) => extension::negotiate(&shared, request, next).await,
        None => refuse(&shared, request, Refusal::rate_limited()).await,
    };
    describe(response.headers_mut(), verdict);
    response
}

/// Answers a request whose route is not asked.
///
/// A connection can be used again only when the body of its request has been read. A short one is; before a long one it is said
/// that the connection closes, so that the client does not send its next request into nothing.
pub(super) async fn refuse(shared: &Shared, request: Request, refusal: Refusal) -> Response {
    let read = to_bytes(request.into_body(), UNREAD_BYTES_MAX);
    match timeout(shared.config.body_timeout, read).await {
        Ok(Ok(_)) => refusal.into_response(),
        _ => closing(refusal),
    }
}

fn describe(headers: &mut HeaderMap, verdict: Verdict) {
    let reset = match verdict.remaining {
        Some(_) => 60,
        None => verdict.reset_seconds,
    };
    let mut put = |name, number: u64| headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
    put("x-ratelimit-limit", verdict.limit);
    put("x-ratelimit-remaining", verdict.remaining.unwrap_or(0));
    put("x-ratelimit-reset", reset);
    if verdict.remaining.is_none() {
        put("retry-after", verdict.reset_seconds);
    }
}

/// The secret in `Authorization: Bearer …`, spelt exactly so.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
}

fn accepts_json(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().peekable();
    if accepted.peek().is_none() {
        return true;
    }
    let ranges = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let kinds = ranges.map(|range| range.split(';').next().unwrap_or_default().trim());
    kinds
        .map(str::to_ascii_lowercase)
        .any(|kind| matches!(kind.as_str(), "*/*" | "application/*" | "application/json" | ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_pieces_of_a_path_are_dropped() {
        let normal = |uri: &str| without_empty_pieces(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(normal("/a/b?c=//"), None);
        assert_eq!(normal("/"), None);
        assert_eq!(normal("//a///b/?c=/"), Some("/a/b?c=/".to_owned()));
    }
}
