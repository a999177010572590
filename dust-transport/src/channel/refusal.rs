use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::payload;
use crate::error::{ConflictAt, Error, ErrorKind, Outcome};
use crate::model::{Path, Seq, Value};

/// Why something is refused: the response of an error reply, which always has a `reason`.
///
/// ```
/// use dust_transport::channel::Refusal;
/// use dust_transport::error::{Error, ErrorKind};
///
/// let error = Refusal::new("rate_limited").into_error();
/// assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::RateLimited, true));
/// let refusal = Refusal::of(&Error::new(ErrorKind::Conflict, "exists", "a leaf is there"));
/// assert_eq!(refusal.to_response().json(), r#"{"reason":"exists"}"#);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The stable name, such as `conflict`; of the hosted server it may be any text.
    #[serde(default)]
    pub reason: String,
    /// A text for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The scope that a token lacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// The op that a precondition is not for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<String>,
    /// The milliseconds after which more calls are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// Which limit is exceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimension: Option<String>,
    /// How much there is of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// How much there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// The revision found, where another was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<Seq>,
    /// The op of a batch that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_index: Option<usize>,
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The name of the kind of the error, where the reason does not imply it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}

/// The most characters of a text that come from a server.
const DETAIL_CHARS_MAX: usize = 500;

/// How long to wait after a `rate_limited` that does not say it.
const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(1);

/// The name of an unknown op on the wire, where the code has no space.
const INVALID_OP: &str = "invalid op";

/// The kind that a reason implies; none for a reason of no fixed kind.
fn kind_of(reason: &str) -> Option<ErrorKind> {
    Some(match reason {
        "unauthorized" | "missing_scope" | "store_not_allowed" => ErrorKind::Unauthorized,
        "rate_limited" => ErrorKind::RateLimited,
        "conflict" | "exists" | "held" | "occupied" | "not_held" | "fenced" => ErrorKind::Conflict,
        "store_archived" | "unknown_event" | "unmatched topic" => ErrorKind::NotImplemented,
        "not_supported" | "capver_mismatch" => ErrorKind::NotSupported,
        "join crashed" | "internal_error" => ErrorKind::Http,
        "invalid op"
        | "invalid_params"
        | "invalid_payload"
        | "missing_path"
        | "empty_path"
        | "empty_segment"
        | "invalid_escape"
        | "not_a_string"
        | "not_a_list"
        | "merge_requires_map_value"
        | "increment_requires_number_value"
        | "add_requires_value"
        | "remove_requires_value"
        | "limit_exceeded"
        | "invalid_precondition"
        | "if_match_unsupported_op"
        | "if_match_multi_leaf"
        | "if_absent_unsupported_op"
        | "if_absent_multi_leaf"
        | "invalid_base64"
        | "beyond_retention"
        | "no_ops" => ErrorKind::InvalidParams,
        _ => return None,
    })
}

/// Whether the hosted server says a text beside this reason.
fn has_message(reason: &str) -> bool {
    matches!(reason, "missing_scope" | "store_not_allowed") || kind_of(reason).is_none()
}

impl Refusal {
    /// A refusal that is its reason.
    #[must_use]
    pub fn new(reason: impl Into<String>) -> Self {
        Self {
            reason: reason.into(),
            ..Self::default()
        }
    }

    /// The refusal of a write that tells an error, by the keys of the hosted server and what else is needed to get the
    /// error back.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        let reason = match error.code() {
            "invalid_op" => INVALID_OP,
            code => code,
        };
        let told = (has_message(reason) && !error.detail().is_empty()).then(|| error.detail().to_owned());
        let retry_after = error.retry_after().map(|wait| wait.as_millis());
        Self {
            reason: reason.to_owned(),
            message: told,
            retry_after_ms: retry_after.map(|wait| u64::try_from(wait).unwrap_or(u64::MAX)),
            current_revision: error.conflict().and_then(|at| at.current),
            kind: (kind_of(reason) != Some(error.kind())).then(|| error.kind().as_str().to_owned()),
            ..Self::default()
        }
    }

    /// The refusal of a batch, which also names the op that caused it.
    ///
    /// ```
    /// use dust_transport::channel::Refusal;
    /// use dust_transport::error::{ConflictAt, Error, ErrorKind};
    ///
    /// let at = ConflictAt { op_index: 2, path: "links/dust".parse()?, current: None };
    /// let error = Error::new(ErrorKind::Conflict, "conflict", "").with_conflict(at);
    /// let refusal = Refusal::of_batch(&error);
    /// assert_eq!(refusal.to_response().json(), r#"{"reason":"conflict","op_index":2,"path":"links/dust"}"#);
    /// # Ok::<(), dust_transport::error::Error>(())
    /// ```
    #[must_use]
    pub fn of_batch(error: &Error) -> Self {
        let at = error.conflict();
        Self {
            op_index: at.map(|at| at.op_index),
            path: at.map(|at| at.path.as_str().to_owned()),
            ..Self::of(error)
        }
    }

    /// The response of the reply.
    #[must_use]
    pub fn to_response(&self) -> Value {
        payload::write(self)
    }

    /// Reads the response of an error reply, as far as it is one.
    ///
    /// ```
    /// use dust_transport::channel::Refusal;
    /// use dust_transport::model::Value;
    /// let text = r#"{"reason":"missing_scope","scope":"entries:write","message":"Token is missing it"}"#;
    /// let refusal = Refusal::from_response(&Value::from_json(text)?);
    /// assert_eq!(refusal.scope.as_deref(), Some("entries:write"));
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn from_response(response: &Value) -> Self {
        if let Ok(refusal) = payload::read("a refusal", response) {
            return refusal;
        }
        // Of what is no refusal, at least the reason.
        let mut entries = response.entries().unwrap_or_default().into_iter();
        let reason = entries.find(|(key, _)| key == "reason");
        let reason = reason.and_then(|(_, reason)| reason.str().map(std::borrow::Cow::into_owned));
        Self::new(reason.unwrap_or_else(|| "unexpected_reply".to_owned()))
    }

    /// The error that it stands for; of a write that has not taken effect, unless the kind says otherwise.
    #[must_use]
    pub fn into_error(self) -> Error {
        let named = self.kind.as_deref().and_then(|name| {
            let mut kinds = ErrorKind::ALL.into_iter();
            kinds.find(|kind| kind.as_str() == name)
        });
        let kind = named.or_else(|| kind_of(&self.reason));
        let (kind, code, detail) = match kind {
            Some(kind) if self.reason == INVALID_OP => (kind, "invalid_op".to_owned(), self.message),
            Some(kind) => (kind, self.reason.replace(' ', "_"), self.message),
            // A text of the hosted server, which it makes of whatever failed inside it.
            None if self.reason.contains("timeout") || self.reason.contains("writer_unavailable") => {
                (ErrorKind::Timeout, "writer_unavailable".to_owned(), Some(self.reason))
            }
            None => (ErrorKind::InvalidParams, "refused".to_owned(), Some(self.reason)),
        };
        let detail: String = detail.unwrap_or_default().chars().take(DETAIL_CHARS_MAX).collect();
        let mut error = Error::new(kind, code, detail);
        if kind == ErrorKind::RateLimited {
            let wait = self.retry_after_ms.map_or(RETRY_AFTER_DEFAULT, Duration::from_millis);
            error = error.with_retry_after(wait);
        }
        // What is refused is not done; only a failure in the midst of it leaves that open.
        if !matches!(kind, ErrorKind::Timeout | ErrorKind::Http | ErrorKind::Storage) {
            error = error.with_outcome(Outcome::NotApplied);
        }
        let path = self.path.as_deref().and_then(|path| Path::parse(path).ok());
        match path {
            Some(path) => error.with_conflict(ConflictAt {
                op_index: self.op_index.unwrap_or(0),
                path,
                current: self.current_revision,
            }),
            None => error,
        }
    }
}
