//! What can go wrong in the layer, as data.

use std::io;
use std::path::Path;
use std::sync::Arc;

/// A failure of an engine, a transaction, the directory or the tuple encoding.
///
/// No caller needs to read its text: [`is_retryable`](Error::is_retryable) tells whether the transaction may run again
/// from its start, [`is_maybe_committed`](Error::is_maybe_committed) whether its writes may be there.
///
/// ```
/// use dust_layer::Error;
///
/// assert!(Error::Conflict.is_retryable() && !Error::Conflict.is_maybe_committed());
/// assert!(Error::CommitUnknown.is_maybe_committed() && !Error::CommitUnknown.is_retryable());
/// ```
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something this transaction read was written since. Nothing was committed; run it again.
    #[error("transaction conflicts with another one and was not committed")]
    Conflict,
    /// The transaction began before the oldest version that conflicts are kept for. Nothing was committed; run it again.
    #[error("transaction is too old and was not committed")]
    TransactionTooOld,
    /// The commit was under way when the engine failed: its writes are wholly there or wholly absent.
    #[error("outcome of the commit is unknown")]
    CommitUnknown,
    /// The key or range lies under a versionstamp of this transaction that has no value before the commit.
    #[error("read touches a versionstamped key of this transaction")]
    AccessedUnreadable,
    /// A key is longer than the engine accepts.
    #[error("key of {bytes} bytes exceeds the limit of {bytes_max}")]
    KeyTooLong {
        /// Length of the key.
        bytes: usize,
        /// The engine's limit.
        bytes_max: usize,
    },
    /// A value is longer than the engine accepts.
    #[error("value of {bytes} bytes exceeds the limit of {bytes_max}")]
    ValueTooLarge {
        /// Length of the value.
        bytes: usize,
        /// The engine's limit.
        bytes_max: usize,
    },
    /// One transaction wrote more than the engine accepts. Split it.
    #[error("transaction of {bytes} bytes exceeds the limit of {bytes_max}")]
    TransactionTooLarge {
        /// Bytes of keys and values written.
        bytes: usize,
        /// The engine's limit.
        bytes_max: usize,
    },
    /// An argument that no state of the store makes right: an inverted range, a bad versionstamp offset.
    #[error("invalid operation: {0}")]
    InvalidOperation(&'static str),
    /// The transaction has been committed already.
    #[error("transaction is used after its commit")]
    Used,
    /// An earlier write or sync failed, so the engine refuses everything until it is reopened.
    #[error("engine is poisoned until it is reopened: {reason}")]
    Poisoned {
        /// The failure that poisoned the engine.
        reason: Arc<str>,
    },
    /// The operating system refused an operation on a file.
    #[error("cannot {doing}")]
    Io {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The system's error.
        source: io::Error,
    },
    /// Stored bytes are not what this crate wrote.
    #[error("stored data is corrupt: {what}")]
    Corrupt {
        /// What was found.
        what: Box<str>,
    },
    /// Another engine, in this or another process, has the folder open.
    #[error("folder {} is already open", folder.display())]
    Locked {
        /// The folder.
        folder: Box<Path>,
    },
    /// The folder was written in a format of another version.
    #[error("format {found} of the folder is not supported, only {supported} is")]
    Format {
        /// The version found.
        found: u32,
        /// The version that this crate reads and writes.
        supported: u32,
    },
    /// The folder or file belongs to something else.
    #[error("{} is not a store of this crate", path.display())]
    Foreign {
        /// The folder or file.
        path: Box<Path>,
    },
    /// The engine is closed, or the watch's transaction was dropped without a commit.
    #[error("engine is closed or the transaction is gone")]
    Closed,
    /// The cluster or its client library refuses.
    #[error("cluster refuses: {message} ({code})")]
    Cluster {
        /// The client library's code.
        code: i32,
        /// The client library's text for it.
        message: &'static str,
        /// Whether the transaction may succeed when it is run again.
        retryable: bool,
    },
    /// The directory layer refuses.
    #[error("directory operation failed")]
    Directory(#[source] DirectoryError),
    /// Bytes do not decode as the tuple that was asked for.
    #[error("key does not decode as the expected tuple")]
    Tuple(#[source] Box<foundationdb_tuple::PackError>),
}

/// Why a directory operation was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DirectoryError {
    /// There is no directory at the path.
    #[error("directory does not exist")]
    NotFound,
    /// There is a directory at the path already.
    #[error("directory already exists")]
    Exists,
    /// The parent of the move's target does not exist.
    #[error("parent directory does not exist")]
    ParentNotFound,
    /// The directory was created with another layer id.
    #[error("directory has another layer id")]
    LayerMismatch,
    /// The root cannot be created, moved, removed or used as a directory.
    #[error("root directory cannot be used so")]
    Root,
    /// A directory cannot be moved into itself or below itself.
    #[error("directory cannot be moved into its own subtree")]
    IntoItself,
    /// The path leads to a partition, which this layer does not support.
    #[error("directory partitions are not supported")]
    Partition,
    /// The tree was written by a layer whose major version is newer, or whose minor version allows reading only.
    #[error("directory layer version {}.{}.{} is not supported", version.0, version.1, version.2)]
    Version {
        /// Major, minor and patch, as stored.
        version: (u32, u32, u32),
    },
    /// The allocated prefix is in use by keys that no directory owns.
    #[error("allocated prefix is already in use")]
    PrefixInUse,
}

impl Error {
    /// Whether nothing was committed and the same transaction, run again from its start, may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self,
            Self::Conflict | Self::TransactionTooOld | Self::Cluster { retryable: true, .. }
        )
    }

    /// Whether the transaction's writes may have been applied in spite of the error.
    #[must_use]
    pub fn is_maybe_committed(&self) -> bool {
        matches!(self, Self::CommitUnknown)
    }

    /// A conversion for `map_err`: the operating system's error while `doing` something.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }

    pub(crate) fn corrupt(what: impl Into<Box<str>>) -> Self {
        Self::Corrupt { what: what.into() }
    }
}

impl From<DirectoryError> for Error {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

impl From<foundationdb_tuple::PackError> for Error {
    fn from(error: foundationdb_tuple::PackError) -> Self {
        Self::Tuple(Box::new(error))
    }
}

const _: () = assert!(size_of::<Error>() <= 32);
