//! How a connection stands.

use crate::error::{Error, ErrorKind};

/// How the connection of a [`Sync`](super::Sync) stands.
///
/// ```
/// use dust_transport::sync::ConnectionState;
/// assert!(ConnectionState::Live.is_live() && !ConnectionState::Waiting.is_live());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionState {
    /// It is being opened.
    Connecting,
    /// The store is joined, and what the replica lacks is on its way.
    CatchingUp,
    /// What is committed arrives at once.
    Live,
    /// It broke, and is opened again after a wait.
    Waiting,
    /// It ended, and is not opened again.
    Ended(EndReason),
}

/// Why a [`Sync`](super::Sync) ended.
///
/// ```
/// use dust_transport::error::ErrorKind;
/// use dust_transport::sync::EndReason;
///
/// let reason = EndReason::closed();
/// assert_eq!(reason.to_error().kind(), ErrorKind::Closed);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndReason {
    /// The kind of the error.
    pub kind: ErrorKind,
    /// Its stable name.
    pub code: String,
    /// A text for people.
    pub detail: String,
}

impl ConnectionState {
    /// Whether events arrive as they are committed.
    #[must_use]
    pub fn is_live(&self) -> bool {
        *self == Self::Live
    }
}

impl EndReason {
    /// The program closed it.
    #[must_use]
    pub fn closed() -> Self {
        Self {
            kind: ErrorKind::Closed,
            code: "closed".to_owned(),
            detail: "the synced store was closed".to_owned(),
        }
    }

    /// The error that calls fail with from then on.
    #[must_use]
    pub fn to_error(&self) -> Error {
        Error::new(self.kind, self.code.clone(), self.detail.clone())
    }
}

impl From<&Error> for EndReason {
    fn from(error: &Error) -> Self {
        Self {
            kind: error.kind(),
            code: error.code().to_owned(),
            detail: error.detail().to_owned(),
        }
    }
}
