//! What can go wrong in the layer, as data.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::value::FieldType;

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
    #[error("transaction that writes {bytes} bytes is too large for the limit of {bytes_max}")]
    TransactionTooLarge {
        /// Bytes of keys and values written.
        bytes: usize,
        /// The engine's limit. A cluster counts conflict ranges, too, so that fewer bytes may be too many.
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
        /// Whether its writes may have been applied all the same.
        maybe_committed: bool,
    },
    /// The directory layer refuses.
    #[error("directory operation failed")]
    Directory(#[source] DirectoryError),
    /// A key or a cursor belongs to another tenant, or a range reaches beyond the tenant.
    #[error("key or cursor is not of this tenant")]
    OtherTenant,
    /// A write of the application's own touches the keys that the layer keeps for itself.
    #[error("key is reserved for the layer")]
    ReservedKey,
    /// The tenant has been deleted since it was opened. One of the same name is another tenant.
    #[error("tenant has been deleted")]
    TenantDeleted,
    /// A table, an index or a value does not fit what it is used with.
    #[error("schema is not respected")]
    Schema(#[source] Box<SchemaError>),
    /// A row is not as the write expects it.
    #[error("row is refused")]
    Row(#[source] Box<RowError>),
    /// No get and no range read answers the query.
    #[error("query is refused")]
    Query(#[source] Box<QueryError>),
    /// A migration cannot go on.
    #[error("migration is refused")]
    Migration(#[source] Box<MigrationError>),
    /// Bytes do not decode as the tuple that was asked for.
    #[error("key does not decode as the expected tuple")]
    Tuple(#[source] Box<foundationdb_tuple::PackError>),
}

/// Why a table, an index or a value was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A name is empty.
    #[error("name is empty")]
    EmptyName,
    /// Two fields have the same name or number.
    #[error("field {field} is there twice")]
    DuplicateField {
        /// Its name.
        field: Box<str>,
    },
    /// A field's number is 0 or above 2^29 - 1.
    #[error("number {number} of a field is out of range")]
    FieldNumber {
        /// The number.
        number: u32,
    },
    /// A table has no primary key.
    #[error("table has no primary key")]
    NoKey,
    /// There is no field of this name or number.
    #[error("field {field} is unknown")]
    UnknownField {
        /// Its name or number.
        field: Box<str>,
    },
    /// A value has another type than its field.
    #[error("field {field} is {expected}, not {found}")]
    WrongType {
        /// The field.
        field: Box<str>,
        /// Its type.
        expected: FieldType,
        /// The value's type.
        found: FieldType,
    },
    /// A field of the primary key has no value.
    #[error("field {field} of the primary key has no value")]
    NullKey {
        /// The field.
        field: Box<str>,
    },
    /// A primary key has another number of fields.
    #[error("primary key has {expected} fields, not {found}")]
    KeyFields {
        /// How many the table has.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// A versionstamp that the commit fills in stands where none can: outside of the primary key, or twice in it.
    #[error("incomplete versionstamp is out of place in field {field}")]
    Incomplete {
        /// The field.
        field: Box<str>,
    },
    /// There is no index or counter of this name.
    #[error("index {index} is unknown")]
    UnknownIndex {
        /// The index.
        index: Box<str>,
    },
    /// An index of this name is there with another definition.
    #[error("index {index} is there with another definition")]
    IndexExists {
        /// The index.
        index: Box<str>,
    },
    /// A custom index names an indexer that the layer was not given.
    #[error("indexer {indexer} is not registered")]
    UnknownIndexer {
        /// The indexer.
        indexer: Box<str>,
    },
    /// The table keeps no rows and has not exactly one covering index that holds its data.
    #[error("table without rows needs exactly one covering index")]
    NoData,
    /// The table keeps no rows, so none is found by its primary key.
    #[error("table keeps no rows of its own")]
    NoRows,
}

/// Why a write of a row was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// There is a row of this primary key already.
    #[error("row exists")]
    Exists,
    /// There is no row of this primary key.
    #[error("row does not exist")]
    NotFound,
    /// Another row has the same values in a unique index.
    #[error("index {index} has the values already")]
    Duplicate {
        /// The index.
        index: Box<str>,
    },
    /// The row is larger than the layer's limit.
    #[error("row of {bytes} bytes exceeds the limit of {bytes_max}")]
    TooLarge {
        /// Its encoded length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The change would give the row another primary key.
    #[error("primary key of a row cannot change")]
    KeyChanged,
}

/// Why a query was refused: it is not one get or one range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum QueryError {
    /// No index serves it, but one on `fields`, in this order, would.
    #[error("no index serves the query; one on ({}) would", fields.join(", "))]
    NoIndex {
        /// The fields of the index that would serve.
        fields: Vec<String>,
    },
    /// The index that serves it is not built yet, or is being dropped.
    #[error("index {index} is {state}")]
    NotReadable {
        /// The index.
        index: Box<str>,
        /// Its state.
        state: Box<str>,
    },
    /// Ranges of two fields are not one range of any index.
    #[error("ranges of {first} and {second} are not one range of any index")]
    TwoRanges {
        /// The field of the first range.
        first: Box<str>,
        /// The field of the second range.
        second: Box<str>,
    },
    /// A range of one field is not in the order of another one.
    #[error("a range of {range} is not in the order of {order}")]
    OtherOrder {
        /// The field of the range.
        range: Box<str>,
        /// The field that the order begins with.
        order: Box<str>,
    },
    /// A range read has one direction.
    #[error("the fields of the order have different directions")]
    MixedDirections,
    /// Two conditions on a field cannot both hold in one range.
    #[error("field {field} has two conditions")]
    TwoConditions {
        /// The field.
        field: Box<str>,
    },
    /// The cursor belongs to another query.
    #[error("cursor belongs to another query")]
    Cursor,
}

/// Why a migration was refused or stopped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MigrationError {
    /// The versions of a list do not grow.
    #[error("version {version} is out of order")]
    Order {
        /// The version.
        version: u64,
    },
    /// A command names a collection that the migrator was not given.
    #[error("collection {collection} is unknown")]
    UnknownCollection {
        /// The collection.
        collection: Box<str>,
    },
    /// A field is to be deleted that an index uses or the table still has.
    #[error("field {field} is in use by {user}")]
    FieldInUse {
        /// The field.
        field: Box<str>,
        /// The index or table.
        user: Box<str>,
    },
    /// Another process has taken the migration over.
    #[error("migration has been taken over")]
    TakenOver,
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
        match self {
            Self::Conflict | Self::TransactionTooOld => true,
            Self::Cluster {
                retryable,
                maybe_committed,
                ..
            } => *retryable && !maybe_committed,
            _ => false,
        }
    }

    /// Whether the transaction's writes may have been applied in spite of the error.
    #[must_use]
    pub fn is_maybe_committed(&self) -> bool {
        matches!(
            self,
            Self::CommitUnknown
                | Self::Cluster {
                    maybe_committed: true,
                    ..
                }
        )
    }

    /// The refusal of a row, if this is one.
    #[must_use]
    pub fn row(&self) -> Option<&RowError> {
        match self {
            Self::Row(error) => Some(error),
            _ => None,
        }
    }

    /// The refusal of a query, if this is one.
    #[must_use]
    pub fn query(&self) -> Option<&QueryError> {
        match self {
            Self::Query(error) => Some(error),
            _ => None,
        }
    }

    /// The refusal of a schema, if this is one.
    #[must_use]
    pub fn schema(&self) -> Option<&SchemaError> {
        match self {
            Self::Schema(error) => Some(error),
            _ => None,
        }
    }

    /// The refusal of a migration, if this is one.
    #[must_use]
    pub fn migration(&self) -> Option<&MigrationError> {
        match self {
            Self::Migration(error) => Some(error),
            _ => None,
        }
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

impl From<SchemaError> for Error {
    fn from(error: SchemaError) -> Self {
        Self::Schema(Box::new(error))
    }
}

impl From<RowError> for Error {
    fn from(error: RowError) -> Self {
        Self::Row(Box::new(error))
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        Self::Query(Box::new(error))
    }
}

impl From<MigrationError> for Error {
    fn from(error: MigrationError) -> Self {
        Self::Migration(Box::new(error))
    }
}

impl From<foundationdb_tuple::PackError> for Error {
    fn from(error: foundationdb_tuple::PackError) -> Self {
        Self::Tuple(Box::new(error))
    }
}

const _: () = assert!(size_of::<Error>() <= 32);
