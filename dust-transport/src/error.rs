//! [`Error`]: what a transport answers instead of a result.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::model::{FileHashError, IdError, Path, PathError, PatternError, Seq, ValueError};

/// Why a call failed.
///
/// Decide by [`kind`](Error::kind); tell cases of one kind apart by [`code`](Error::code). The text is for people.
///
/// ```
/// use std::time::Duration;
/// use dust_transport::error::{Error, ErrorKind, Outcome};
///
/// let error = Error::new(ErrorKind::RateLimited, "rate_limited", "100 writes a minute are allowed")
///     .with_retry_after(Duration::from_secs(3));
/// assert!(error.is_retryable());
/// assert_eq!(error.outcome(), Outcome::NotApplied);
/// assert_eq!(error.to_string(), "rate_limited: 100 writes a minute are allowed");
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

// A `Result` stays as small as its `Ok`.
const _: () = assert!(size_of::<Error>() == size_of::<usize>());

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    code: Cow<'static, str>,
    detail: Cow<'static, str>,
    retryable: bool,
    retry_after: Option<Duration>,
    outcome: Outcome,
    conflict: Option<ConflictAt>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

/// The kinds of errors, by what a caller can do about them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store was not reached, or the connection broke. Retryable; a write may have been applied, so repeat it under
    /// the same op id.
    Network,
    /// The server failed, or answered what is no answer. Retryable for a status of 500 and above; a write may have been
    /// applied.
    Http,
    /// A precondition did not hold, and nothing was written. Not retryable as it is: read again, decide, write again.
    Conflict,
    /// This transport or its store cannot do it; see `Capabilities`. Not retryable.
    NotSupported,
    /// The server does not know the call or the store. Not retryable; check the address and the store's name.
    NotImplemented,
    /// The write has no content. Not retryable, and nothing needs to be done.
    NothingToWrite,
    /// There was no answer in time. Not retryable by itself: a write may have been applied, so repeat it under the same
    /// op id.
    Timeout,
    /// The token is missing, wrong, expired, or lacks a scope. Not retryable; get another token.
    Unauthorized,
    /// What was asked for is malformed or does not fit what is stored; the code says how. Not retryable; mend the call.
    InvalidParams,
    /// Too many calls. Retryable after [`Error::retry_after`].
    RateLimited,
    /// There is nothing at the path. Not retryable.
    NotFound,
    /// What is stored does not read as the record asked for. Not retryable; repair the data or the type.
    InvalidRecord,
    /// The engine failed, such as a full or broken disk, and takes no more writes. Not retryable before the store is
    /// reopened; a write may have been applied.
    Storage,
    /// What is stored contradicts itself. Not retryable; restore a backup.
    Corrupt,
    /// The folder is open elsewhere. Not retryable until the other process closes it.
    Locked,
    /// The folder was written by another version, or by another program. Not retryable; the data is left untouched.
    Format,
    /// The store was closed, in the process. Not retryable; open it again.
    Closed,
}

/// Whether a failed write took effect.
///
/// ```
/// use dust_transport::error::{Error, ErrorKind, Outcome};
///
/// let refused = Error::new(ErrorKind::InvalidParams, "empty_path", "the path is empty");
/// assert_eq!(refused.outcome(), Outcome::NotApplied);
/// let lost = Error::new(ErrorKind::Timeout, "timeout", "no answer in time").with_outcome(Outcome::Unknown);
/// assert_eq!(lost.outcome(), Outcome::Unknown);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing was written.
    NotApplied,
    /// The batch may have been committed, whole, or may yet be; repeat it under the same op id to settle it.
    Unknown,
}

/// Which op of a batch met what it did not expect.
///
/// ```
/// use dust_transport::error::{ConflictAt, Error, ErrorKind};
/// use dust_transport::model::Seq;
///
/// let at = ConflictAt { op_index: 2, path: "links/dust".parse()?, current: Some(Seq(9)) };
/// let error = Error::new(ErrorKind::Conflict, "conflict", "another revision").with_conflict(at);
/// assert_eq!(error.conflict().map(|at| at.op_index), Some(2));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConflictAt {
    /// The index of the op in its batch.
    pub op_index: usize,
    /// The path whose leaf is not as expected.
    pub path: Path,
    /// The revision found there; `None` if nothing is there or it is not known.
    pub current: Option<Seq>,
}

impl ErrorKind {
    /// Every kind.
    pub const ALL: [Self; 17] = [
        Self::Network,
        Self::Http,
        Self::Conflict,
        Self::NotSupported,
        Self::NotImplemented,
        Self::NothingToWrite,
        Self::Timeout,
        Self::Unauthorized,
        Self::InvalidParams,
        Self::RateLimited,
        Self::NotFound,
        Self::InvalidRecord,
        Self::Storage,
        Self::Corrupt,
        Self::Locked,
        Self::Format,
        Self::Closed,
    ];

    /// The name, in snake case.
    ///
    /// ```
    /// use dust_transport::error::ErrorKind;
    /// assert_eq!(ErrorKind::NothingToWrite.as_str(), "nothing_to_write");
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Http => "http",
            Self::Conflict => "conflict",
            Self::NotSupported => "not_supported",
            Self::NotImplemented => "not_implemented",
            Self::NothingToWrite => "nothing_to_write",
            Self::Timeout => "timeout",
            Self::Unauthorized => "unauthorized",
            Self::InvalidParams => "invalid_params",
            Self::RateLimited => "rate_limited",
            Self::NotFound => "not_found",
            Self::InvalidRecord => "invalid_record",
            Self::Storage => "storage",
            Self::Corrupt => "corrupt",
            Self::Locked => "locked",
            Self::Format => "format",
            Self::Closed => "closed",
        }
    }

    fn is_retryable(self) -> bool {
        matches!(self, Self::Network | Self::RateLimited)
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Network | Self::Http | Self::Timeout | Self::Storage => Outcome::Unknown,
            _ => Outcome::NotApplied,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Error {
    /// Makes an error; the kind decides whether it is retryable and what became of a write, unless said otherwise.
    ///
    /// The code is the stable name on the wire, such as `if_match_multi_leaf`; the detail is a text for people, lower
    /// case and without a full stop, or empty.
    #[must_use]
    pub fn new(kind: ErrorKind, code: impl Into<Cow<'static, str>>, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            code: code.into(),
            detail: detail.into(),
            retryable: kind.is_retryable(),
            retry_after: None,
            outcome: kind.outcome(),
            conflict: None,
            source: None,
        }))
    }

    /// The same with the error that caused it.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// The same with the op that caused it.
    #[must_use]
    pub fn with_conflict(mut self, conflict: ConflictAt) -> Self {
        self.0.conflict = Some(conflict);
        self
    }

    /// The same with another outcome than the kind implies.
    #[must_use]
    pub fn with_outcome(mut self, outcome: Outcome) -> Self {
        self.0.outcome = outcome;
        self
    }

    /// The same, retryable or not against what the kind implies.
    #[must_use]
    pub fn with_retryable(mut self, retryable: bool) -> Self {
        self.0.retryable = retryable;
        self
    }

    /// The same, retryable once so much time has passed.
    #[must_use]
    pub fn with_retry_after(mut self, retry_after: Duration) -> Self {
        self.0.retryable = true;
        self.0.retry_after = Some(retry_after);
        self
    }

    /// What can be done about it.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The stable name of the case, as on the wire: `conflict`, `exists`, `empty_path`.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.0.code
    }

    /// The text for people; may be empty.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Whether the same call may succeed later, without anything being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.retryable
    }

    /// How long to wait before that, if the store said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// Whether a write took effect.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// Whether a precondition did not hold.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.0.kind == ErrorKind::Conflict
    }

    /// Which op of the batch caused it, where that is known; of conflicts and of other refusals.
    #[must_use]
    pub fn conflict(&self) -> Option<&ConflictAt> {
        self.0.conflict.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.code)?;
        if !self.0.detail.is_empty() {
            write!(f, ": {}", self.0.detail)?;
        }
        if let Some(ConflictAt {
            op_index,
            path,
            current,
        }) = &self.0.conflict
        {
            write!(f, " (op {op_index}, `{path}`")?;
            match current {
                Some(revision) => write!(f, " at revision {revision})")?,
                None => f.write_str(")")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner {
            kind,
            code,
            detail,
            retryable,
            retry_after,
            outcome,
            conflict,
            source,
        } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("code", code)
            .field("detail", detail)
            .field("retryable", retryable)
            .field("retry_after", retry_after)
            .field("outcome", outcome)
            .field("conflict", conflict)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<PathError> for Error {
    fn from(error: PathError) -> Self {
        Self::new(ErrorKind::InvalidParams, error.code(), error.to_string())
    }
}

impl From<PatternError> for Error {
    fn from(error: PatternError) -> Self {
        let detail = match error {
            PatternError::Path(path) => path.to_string(),
            PatternError::WildcardManyNotTail => error.to_string(),
        };
        Self::new(ErrorKind::InvalidParams, error.code(), detail)
    }
}

impl From<IdError> for Error {
    fn from(error: IdError) -> Self {
        Self::new(ErrorKind::InvalidParams, error.code(), error.to_string())
    }
}

impl From<FileHashError> for Error {
    fn from(error: FileHashError) -> Self {
        Self::new(ErrorKind::InvalidParams, error.code(), error.to_string())
    }
}

/// A value that does not fit its type is `InvalidParams` too; what reads stored records says `InvalidRecord` itself.
impl From<ValueError> for Error {
    fn from(error: ValueError) -> Self {
        let made = Self::new(ErrorKind::InvalidParams, error.code(), error.to_string());
        match error {
            ValueError::Serialize(source) | ValueError::Mismatch(source) => made.with_source(source),
            _ => made,
        }
    }
}
