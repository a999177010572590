//! `GET /api/files/<hash>`: the content of a file, or a part of it.

use std::future::poll_fn;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use dust_transport::error::Error;
use dust_transport::model::{FileHash, FileRef};
use dust_transport::transport::{ByteStream, FileContent, FileRange, Transport as _};

use super::answer::Refusal;
use super::call::Call;
use super::openapi;
use super::stream::{Source, body};
use crate::control::Scope;

/// Read a file
///
/// Of a store that the token may access. Where none has it, the answer is 403.
#[utoipa::path(
    get, path = "/api/files/{hash}", tag = "files", operation_id = "read_file", security(("token" = ["files:read"])),
    params(
        ("hash" = String, Path, description = "`sha256:` and 64 hex digits.",
            example = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("range" = Option<String>, Header, nullable = false, description = "One range of bytes; several count as the whole."),
        ("if-range" = Option<String>, Header, nullable = false),
        ("if-none-match" = Option<String>, Header, nullable = false),
    ),
    responses(
        (status = 200, description = "The content, by the media type that it was put with.", content_type = "*/*", body = Vec<u8>),
        (status = 206, description = "The part that was asked for.", content_type = "*/*", body = Vec<u8>),
        (status = 304, description = "The client has it."),
        (status = 416, description = "`range_not_satisfiable`: it has none of these bytes.", body = openapi::Refusal),
    )
)]
pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::FilesRead)?;
    // What is no hash is one that no store refers to.
    let hash: FileHash = call.param("hash").parse().map_err(|_| Refusal::forbidden())?;
    let etag = format!("\"{hash}\"");
    let asked = range(&call.headers).filter(|_| is_same(&call.headers, &etag));
    let found = find(&call, &hash, asked.clone().unwrap_or_default()).await?;
    let content = found.ok_or_else(Refusal::forbidden)?;
    if names(&call.headers, &header::IF_NONE_MATCH, &etag) {
        let mut response = StatusCode::NOT_MODIFIED.into_response();
        put(response.headers_mut(), header::ETAG, &etag);
        return Ok(response);
    }
    let (range, size) = (content.range.clone(), content.size_bytes);
    if asked.is_some() && range.is_empty() {
        let refusal = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "range_not_satisfiable");
        let mut response = refusal.with("size", size).into_response();
        put(
            response.headers_mut(),
            header::CONTENT_RANGE,
            &format!("bytes */{size}"),
        );
        return Ok(response);
    }
    let status = if asked.is_some() {
        StatusCode::PARTIAL_CONTENT
    } else {
        StatusCode::OK
    };
    let kind = HeaderValue::try_from(&content.content_type);
    let kind = kind.unwrap_or(HeaderValue::from_static(FileRef::CONTENT_TYPE_DEFAULT));
    let mut response = Response::new(stream(&call, content));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    put(headers, header::ETAG, &etag);
    put(headers, header::ACCEPT_RANGES, "bytes");
    put(headers, header::CONTENT_DISPOSITION, "inline");
    // Whoever may write may store a page with scripts, which must not run with the rights of this address.
    put(headers, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    put(headers, header::CONTENT_SECURITY_POLICY, "sandbox");
    if status == StatusCode::PARTIAL_CONTENT {
        let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        put(headers, header::CONTENT_RANGE, &part);
    }
    Ok(response)
}

/// The file in the first store of the token that refers to it.
pub(super) async fn find(call: &Call, hash: &FileHash, range: FileRange) -> Result<Option<FileContent>, Error> {
    let shared = call.shared();
    let stores = shared.control.stores(&call.token.org);
    for store in stores.iter().filter(|store| call.token.may_access(store.id)) {
        let found = shared.open(store).await?.read_file(hash, range.clone()).await?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // All of them are made of what a header can hold.
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

fn stream(call: &Call, content: FileContent) -> Body {
    body(Content(content.body), call.shared().config.body_timeout)
}

struct Content(ByteStream);

impl Source for Content {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        poll_fn(|cx| self.0.as_mut().poll_next(cx)).await.transpose()
    }
}

/// Whether a list of tags in a header has this one, or all.
fn names(headers: &HeaderMap, name: &HeaderName, etag: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Whether a part is asked for of the file that the client knows; it is also if the client says nothing of it.
fn is_same(headers: &HeaderMap, etag: &str) -> bool {
    headers.get(header::IF_RANGE).is_none_or(|tag| tag == etag)
}

/// The one part that is asked for. Several, and what is no range, count as the whole, as RFC 9110 allows.
fn range(headers: &HeaderMap) -> Option<FileRange> {
    let text = headers.get(header::RANGE)?.to_str().ok()?;
    let (unit, part) = text.split_once('=')?;
    let (first, last) = part
        .trim()
        .split_once('-')
        .filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
    match (number(first), number(last)) {
        (Some(first), None) if last.trim().is_empty() => Some(FileRange::From(first)),
        (Some(first), Some(last)) if first <= last => Some(FileRange::Part(first..last.saturating_add(1))),
        (None, Some(bytes)) if first.trim().is_empty() => Some(FileRange::Last(bytes)),
        _ => None,
    }
}

/// Digits and nothing else; a number that is too large is beyond every file.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_range_is_read_and_anything_else_is_the_whole() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            put(&mut headers, header::RANGE, text);
            range(&headers)
        };
        for (text, expected) in [
            ("bytes=0-0", FileRange::Part(0..1)),
            ("Bytes = 2-5", FileRange::Part(2..6)),
            ("bytes=7-", FileRange::From(7)),
            ("bytes=-3", FileRange::Last(3)),
            ("bytes=-0", FileRange::Last(0)),
            ("bytes=99999999999999999999-", FileRange::From(u64::MAX)),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=5-2",
            "bytes=+1-2",
            "bytes=0-1,3-4",
            "lines=1-2",
            "bytes=a-b",
            "bytes=1-b",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(range(&HeaderMap::new()), None);
    }
}
