//! What goes back to a client.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use dust_transport::error::{Error, ErrorKind};
use serde_json::json;

use crate::control::ControlError;

/// A request that is not carried out, as the client sees it: a status, a code and a sentence.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    body: serde_json::Value,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, code: &str) -> Self {
        Self {
            status,
            body: json!({ "error": code }),
        }
    }

    /// The same with another field in the body.
    pub(super) fn with(mut self, field: &str, value: impl Into<serde_json::Value>) -> Self {
        if let Some(body) = self.body.as_object_mut() {
            body.insert(field.to_owned(), value.into());
        }
        self
    }

    pub(super) fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code).with("detail", detail.into())
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::bad_request("invalid_params", detail)
    }

    pub(super) fn unauthorized() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized")
    }

    pub(super) fn forbidden() -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden")
    }

    pub(super) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found")
    }

    pub(super) fn no_route() -> Self {
        Self::not_found().with("detail", "there is no such route")
    }

    pub(super) fn not_acceptable() -> Self {
        Self::new(StatusCode::NOT_ACCEPTABLE, "not_acceptable").with("detail", "answers are application/json")
    }

    pub(super) fn rate_limited() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited")
    }

    pub(super) fn too_large(bytes_max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large")
            .with("detail", format!("a body has at most {bytes_max} bytes"))
    }

    pub(super) fn timeout() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout").with("detail", "the body did not arrive in time")
    }

    pub(super) fn uri_too_long() -> Self {
        Self::new(StatusCode::URI_TOO_LONG, "uri_too_long")
    }

    pub(super) fn headers_too_large() -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large")
    }

    pub(super) fn upgrade_required(ws_url: String) -> Self {
        Self::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required")
            .with("detail", "live events travel over the WebSocket at `ws_url`")
            .with("ws_url", ws_url)
            .with("docs", "https://github.com/xlabs-hq/dust#realtime")
    }

    /// A mistake of ours, which the log tells more of.
    pub(super) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal")
    }

    /// A field of the body that is not as it must be.
    pub(super) fn field(name: &str, problem: &str) -> Self {
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({ "error": { name: [problem] }, "detail": format!("{name} {problem}") }),
        }
    }

    pub(super) fn unprocessable(code: &str) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code)
    }

    /// A state from before the beginning of the log.
    pub(super) fn compacted(earliest_available: u64) -> Self {
        Self::new(StatusCode::CONFLICT, "compacted").with("earliest_available", earliest_available)
    }

    /// A record that would have the values of another in a unique index.
    pub(super) fn not_unique(error: &Error) -> Self {
        let at = error.conflict();
        let current = at.and_then(|at| at.current).map(|seq| seq.0);
        let refusal = Self::precondition_failed(error.code(), current).with("detail", error.detail());
        match at {
            Some(at) => refusal.with("op_index", at.op_index).with("path", at.path.as_str()),
            None => refusal,
        }
    }

    /// A condition that does not hold.
    pub(super) fn precondition_failed(code: &str, current_revision: Option<u64>) -> Self {
        Self::new(StatusCode::PRECONDITION_FAILED, code).with("current_revision", current_revision)
    }
}

/// What the codes of refused preconditions mean, in the words of the wire.
pub(super) fn detail_of(error: &Error) -> String {
    match error.code() {
        "if_match_multi_leaf" => "If-Match requires a leaf value, not a map/dict".to_owned(),
        "if_absent_multi_leaf" => "If-None-Match requires a leaf value, not a map/dict".to_owned(),
        _ => error.detail().to_owned(),
    }
}

/// Whether a code of the store is one of the wire; others are told in the detail of `invalid_params`.
fn is_wire_code(code: &str) -> bool {
    code.starts_with("if_match_")
        || code.starts_with("if_absent_")
        || matches!(
            code,
            "invalid_params"
                | "invalid_pattern_for_prefixes"
                | "unsupported_select"
                | "no_index"
                | "index_building"
                | "index_differs"
                | "holds_records"
                | "invalid_record"
                | "too_many_indexes"
                | "invalid_index"
                | "invalid_query"
                | "invalid_cursor"
        )
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::InvalidParams if error.code() == "payload_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::InvalidParams if is_wire_code(error.code()) => {
                return Self::bad_request(error.code(), detail_of(&error));
            }
            ErrorKind::InvalidParams => return Self::invalid(format!("{}: {}", error.code(), error.detail())),
            ErrorKind::Conflict => StatusCode::PRECONDITION_FAILED,
            ErrorKind::NotSupported | ErrorKind::NotImplemented => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Closed => StatusCode::SERVICE_UNAVAILABLE,
            _ => {
                tracing::error!(code = error.code(), detail = error.detail(), "the store failed");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self::new(status, error.code()).with("detail", error.detail())
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::InvalidName(_) | ControlError::Exists(_) => Self::unprocessable("invalid_store"),
            ControlError::UnknownOrg(_) => Self::not_found(),
            ControlError::NoRandomness => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "no_randomness"),
            ControlError::Store(error) => error.into(),
        }
    }
}

/// The sentence for a code that comes without one.
fn sentence(code: &str) -> &'static str {
    match code {
        "unauthorized" => "a token is needed that is neither expired nor revoked",
        "forbidden" => "the token may not do this, or not here",
        "not_found" => "there is nothing of this name",
        "rate_limited" => "the token has made too many requests in this minute",
        "uri_too_long" => "the request line is too long",
        "headers_too_large" => "there are too many headers, or too long ones",
        "internal" => "the server failed; its log tells more",
        "no_randomness" => "the system gives no random numbers",
        "invalid_store" => "a store has a name of lower-case letters, digits, `-`, `.` and `_` that no other has",
        "name_taken" => "the name is taken, or none",
        "invalid_params" => "a field is not as it must be",
        "conflict" => "what is there has another revision",
        "exists" => "something is there already",
        _ => "the request is not carried out",
    }
}

impl Refusal {
    /// The body, which says in a sentence what the code means.
    pub(super) fn into_body(mut self) -> serde_json::Value {
        if let Some(body) = self.body.as_object_mut() {
            let is_told = body.get("detail").is_some_and(|detail| detail != "");
            if !is_told {
                let code = body.get("error").and_then(serde_json::Value::as_str);
                let detail = sentence(code.unwrap_or_default());
                body.insert("detail".to_owned(), detail.into());
            }
        }
        self.body
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        json_text(status, self.into_body().to_string())
    }
}

/// A JSON answer from its text.
pub(super) fn json_text(status: StatusCode, text: impl Into<Body>) -> Response {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &serde_json::Value) -> Response {
    json_text(status, body.to_string())
}
