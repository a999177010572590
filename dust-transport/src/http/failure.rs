//! What an answer that is no success means: the status to a kind, the body to a code and a text.

use std::time::Duration;

use super::exchange::Answer;
use crate::error::{ConflictAt, Error, ErrorKind, Outcome};
use crate::model::{Path, Seq};

/// How long to wait after a 429 that does not say it.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// The most characters of a text that come from a server.
const DETAIL_CHARS_MAX: usize = 500;

/// The error that an answer stands for.
///
/// `path` is that of the request, where it has one op.
pub(super) fn refusal(answer: &Answer, path: Option<&Path>, token: &str) -> Error {
    let problem = Problem::read(&answer.body, token);
    let detail = problem.detail.clone();
    let new = |kind, code: &str| Error::new(kind, problem.code.clone().unwrap_or_else(|| code.to_owned()), detail);
    let error = match answer.status {
        401 => new(ErrorKind::Unauthorized, "unauthorized"),
        403 => new(ErrorKind::Unauthorized, "forbidden"),
        404 => new(ErrorKind::NotImplemented, "not_found"),
        412 => new(ErrorKind::Conflict, "conflict"),
        429 => new(ErrorKind::RateLimited, "rate_limited")
            .with_retry_after(answer.retry_after.unwrap_or(RETRY_AFTER_DEFAULT)),
        400 if problem.detail.contains("writer_unavailable") => writer_unavailable(),
        400..=499 => new(ErrorKind::InvalidParams, "invalid_params"),
        500..=599 => {
            let failed = new(ErrorKind::Http, &format!("http_{}", answer.status)).with_retryable(true);
            match answer.retry_after {
                Some(wait) => failed.with_retry_after(wait),
                None => failed,
            }
        }
        status => Error::new(
            ErrorKind::Http,
            "unexpected_status",
            format!("the server answered with status {status}"),
        ),
    };
    let error = match problem.conflict(answer.status, path) {
        Some(conflict) => error.with_conflict(conflict),
        None => error,
    };
    if answer.uncertain {
        error.with_outcome(Outcome::Unknown)
    } else {
        error
    }
}

/// The hosted server's writer takes calls for 5 s; what is then still queued is answered 400, and may yet be committed.
fn writer_unavailable() -> Error {
    let detail = "the server's writer did not answer in time";
    Error::new(ErrorKind::Timeout, "writer_unavailable", detail)
}

/// The error for an answer that says success and does not read as what it should hold.
pub(super) fn unreadable(detail: impl std::fmt::Display) -> Error {
    Error::new(
        ErrorKind::Http,
        "invalid_response",
        cut(format!("the server's answer is not readable: {detail}")),
    )
}

/// An error's body, as far as it is one.
#[derive(Default)]
struct Problem {
    code: Option<String>,
    detail: String,
    op_index: Option<usize>,
    path: Option<Path>,
    current: Option<Seq>,
}

impl Problem {
    fn read(body: &[u8], token: &str) -> Self {
        let Ok(body) = serde_json::from_slice::<serde_json::Value>(body) else {
            return Self::default();
        };
        let error = body.get("error");
        let code = error.and_then(serde_json::Value::as_str).filter(|code| is_code(code));
        let detail = match (body.get("detail"), body.pointer("/errors/detail"), error) {
            (Some(serde_json::Value::String(text)), _, _) | (None, Some(serde_json::Value::String(text)), _) => {
                text.clone()
            }
            (None, None, Some(fields @ serde_json::Value::Object(_))) => fields.to_string(),
            _ => String::new(),
        };
        let index = body.get("op_index").and_then(serde_json::Value::as_u64);
        Self {
            code: code.map(str::to_owned),
            detail: redacted(&detail, token),
            op_index: index.and_then(|index| usize::try_from(index).ok()),
            path: body
                .get("path")
                .and_then(serde_json::Value::as_str)
                .and_then(|path| Path::parse(path).ok()),
            current: body
                .get("current_revision")
                .and_then(serde_json::Value::as_u64)
                .map(Seq),
        }
    }

    fn conflict(&self, status: u16, path: Option<&Path>) -> Option<ConflictAt> {
        let (op_index, path) = match (self.op_index, &self.path, path) {
            (Some(op_index), Some(path), _) => (op_index, path),
            (_, _, Some(path)) if matches!(status, 400 | 412) => (0, path),
            _ => return None,
        };
        Some(ConflictAt {
            op_index,
            path: path.clone(),
            current: self.current,
        })
    }
}

/// Whether a text is a code of the wire rather than a sentence.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// A server's text without the token, and not endless.
fn redacted(text: &str, token: &str) -> String {
    let text = if token.is_empty() {
        text.to_owned()
    } else {
        text.replace(token, "[redacted]")
    };
    cut(text)
}

fn cut(text: String) -> String {
    match text.char_indices().nth(DETAIL_CHARS_MAX) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
