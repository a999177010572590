//! What can go wrong between a record and its store.

use std::fmt;
use std::time::Duration;

use dust_transport::error as transport;
pub use dust_transport::error::{ErrorKind, Outcome};

use crate::changeset::Changeset;
use crate::version::Conflict;

/// Why an operation failed.
///
/// Answers three questions without anybody reading its text: what ([`kind`](Self::kind)), may it be sent again
/// ([`is_retryable`](Self::is_retryable), [`retry_after`](Self::retry_after)), and did it happen
/// ([`outcome`](Self::outcome)).
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let repo = Repo::memory();
/// repo.insert(Link { slug: "dust".into(), title: "Dust".into(), note: None }).await?;
///
/// let again = Link { slug: "dust".into(), title: "Dust".into(), note: None };
/// let refused = repo.insert(again).if_absent().await.expect_err("it is there already");
/// let error = refused.dust().expect("the record itself is valid");
/// assert_eq!(error.kind(), ErrorKind::Conflict);
/// assert!(!error.is_retryable());
/// assert_eq!(error.outcome(), dust_orm::Outcome::NotApplied);
/// # Ok(())
/// # }
/// ```
pub struct Error(Box<Inner>);

const _: () = assert!(size_of::<Error>() == size_of::<usize>());

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<transport::Error>,
    conflict: Option<Conflict>,
    item: Option<usize>,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            source: None,
            conflict: None,
            item: None,
        }))
    }

    pub(crate) fn with_conflict(mut self, conflict: Conflict) -> Self {
        self.0.conflict = Some(conflict);
        self
    }

    pub(crate) fn with_item(mut self, item: Option<usize>) -> Self {
        self.0.item = item;
        self
    }

    pub(crate) fn transport(&self) -> Option<&transport::Error> {
        self.0.source.as_ref()
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anything being changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.transport().is_some_and(transport::Error::is_retryable)
    }

    /// How long to wait before a retry, where the store said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.transport().and_then(transport::Error::retry_after)
    }

    /// Whether a write that failed was not applied, or may have been.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.transport().map_or(Outcome::NotApplied, transport::Error::outcome)
    }

    /// Whether a precondition did not hold: somebody else wrote first, or the record exists already.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.kind() == ErrorKind::Conflict
    }

    /// Base, mine and theirs by field, for an update or a delete that met a conflict.
    #[must_use]
    pub fn conflict(&self) -> Option<&Conflict> {
        self.0.conflict.as_ref()
    }

    /// The index of the item of a [`Batch`](crate::Batch) that failed.
    #[must_use]
    pub fn item(&self) -> Option<usize> {
        self.0.item
    }
}

impl From<transport::Error> for Error {
    fn from(error: transport::Error) -> Self {
        Self(Box::new(Inner {
            kind: error.kind(),
            message: error.to_string(),
            source: Some(error),
            conflict: None,
            item: None,
        }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error = f.debug_struct("Error");
        error.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(conflict) = &self.0.conflict {
            error.field("conflict", conflict);
        }
        if let Some(item) = self.0.item {
            error.field("item", &item);
        }
        error.finish_non_exhaustive()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        // The transport's error is this one's text already; what is beneath it is the next level.
        self.transport().and_then(std::error::Error::source)
    }
}

/// Why a record was not written: it is not valid, or the store did not take it.
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let repo = Repo::memory();
/// match repo.insert(Link::changeset(&[("slug", "dust")])).await {
///     Err(WriteError::Invalid(changeset)) => assert_eq!(changeset.errors().to_string(), "title: can't be blank"),
///     Err(WriteError::Dust(error)) => return Err(error.into()),
///     Ok(_) => unreachable!("a link needs a title"),
/// }
/// # Ok(())
/// # }
/// ```
pub enum WriteError<S> {
    /// The changeset has errors, and nothing was sent; or a field has a value that another record has in a unique index (the
    /// code `unique`), and nothing was written.
    Invalid(Box<Changeset<S>>),
    /// The store refused or failed.
    Dust(Error),
}

impl<S> WriteError<S> {
    /// The store's error, if it is one.
    #[must_use]
    pub fn dust(&self) -> Option<&Error> {
        match self {
            Self::Dust(error) => Some(error),
            Self::Invalid(_) => None,
        }
    }

    /// Whether a precondition did not hold.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.dust().is_some_and(Error::is_conflict)
    }
}

impl<S> From<Error> for WriteError<S> {
    fn from(error: Error) -> Self {
        Self::Dust(error)
    }
}

impl<S> fmt::Display for WriteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(changeset) => write!(f, "the record is not valid: {}", changeset.errors()),
            Self::Dust(error) => error.fmt(f),
        }
    }
}

impl<S> fmt::Debug for WriteError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(changeset) => f.debug_tuple("Invalid").field(changeset.errors()).finish(),
            Self::Dust(error) => f.debug_tuple("Dust").field(error).finish(),
        }
    }
}

impl<S> std::error::Error for WriteError<S> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.dust().and_then(std::error::Error::source)
    }
}
