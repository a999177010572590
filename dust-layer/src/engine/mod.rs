//! The contract of an engine: `FoundationDB`'s, in the part that a layer needs.
//!
//! An engine is an ordered map of byte strings with optimistic, strictly serializable transactions. Reads see one
//! version of the map plus the transaction's own writes; `commit` succeeds only if nothing that was read (points and
//! ranges, absent keys included) has been written since. Ranges are end-exclusive and in byte order. Keys from the byte
//! `0xff` on are the engine's own; of these there is one for everybody, [`METADATA_VERSION`].

use std::future::Future;
use std::pin::Pin;

use crate::error::Error;

pub mod disk;
pub mod faults;
#[cfg(feature = "foundationdb")]
pub mod foundationdb;
pub mod instrumented;
pub mod local;
mod mapped;
pub mod memory;
mod mutation;
mod overlay;
mod pairs;
mod pipeline;
mod queue;
mod range_set;
mod resolver;
mod storage;
mod tree;
mod watch;

pub use mapped::{MappedPairs, Mapper};
pub use pairs::PairsIter;

/// The first byte of the keys that are the engine's own. No range reaches them, and no key of them is read or written
/// but [`METADATA_VERSION`].
pub(crate) const SYSTEM: u8 = 0xff;

/// A key for whoever remembers what is stored elsewhere: as long as its value is the same, so is what is remembered.
///
/// It is read like any key, with a read conflict or without one. It is written in one way, by
/// [`set_versionstamped_value`](Transaction::set_versionstamped_value) with fourteen zeros, in the transaction that changes
/// what others remember; any other write of it fails the commit. A cluster hands it out with each read version, so that
/// reading it costs nothing. The layer keeps its index definitions by it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Error, Isolation, METADATA_VERSION, Memory, Transaction};
///
/// let memory = Memory::new();
/// let writer = memory.begin();
/// writer.set_versionstamped_value(METADATA_VERSION, &[0; 14]);
/// let stamp = writer.commit().await?.stamp;
/// assert_eq!(memory.begin().get(METADATA_VERSION, Isolation::Snapshot).await?, Some(stamp.to_vec()));
///
/// let other = memory.begin();
/// other.set(METADATA_VERSION, b"7");
/// assert!(matches!(other.commit().await, Err(Error::InvalidOperation(_))));
/// # Ok(())
/// # }
/// ```
pub const METADATA_VERSION: &[u8] = b"\xff/metadataVersion";

/// Refuses keys of the engine's own.
pub(crate) fn check_place(key: &[u8]) -> Result<(), Error> {
    if key.first() == Some(&SYSTEM) {
        Err(Error::InvalidOperation("key is in the engine's own keyspace"))
    } else {
        Ok(())
    }
}

/// The end of a range, which is no later than that of the keys that are not the engine's own.
pub(crate) fn place_end(end: &[u8]) -> &[u8] {
    if end.first() == Some(&SYSTEM) { &[SYSTEM] } else { end }
}

/// Refuses any write of the metadata version but the one that is allowed.
pub(crate) fn check_version_write(value: &[u8]) -> Result<(), Error> {
    if value == [0; 14] {
        Ok(())
    } else {
        Err(Error::InvalidOperation(
            "metadata version is written by fourteen zeros only",
        ))
    }
}

/// Whether a read takes part in conflict detection.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Isolation, Memory, Transaction};
///
/// let memory = Memory::new();
/// let (reader, writer) = (memory.begin(), memory.begin());
/// reader.get(b"key", Isolation::Snapshot).await?;
/// reader.set(b"other", b"1");
/// writer.set(b"key", b"2");
/// writer.commit().await?;
/// // The snapshot read added no conflict.
/// reader.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Isolation {
    /// The read adds a read conflict: a later write to it by another transaction fails this one's commit.
    Serializable,
    /// The read sees the same version and the transaction's own writes, but adds no conflict.
    Snapshot,
}

/// The direction of a range read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Ascending byte order.
    Forward,
    /// Descending byte order.
    Reverse,
}

/// One range read: the keys `begin <= key < end`, at most `limit` of them.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Direction, Engine, Isolation, Memory, RangeRead, Transaction};
///
/// let transaction = Memory::new().begin();
/// for key in [b"a", b"b", b"c"] {
///     transaction.set(key, b"");
/// }
/// let read = RangeRead {
///     begin: b"a",
///     end: b"c",
///     limit: 10,
///     direction: Direction::Reverse,
///     isolation: Isolation::Serializable,
/// };
/// let pairs = transaction.get_range(read).await?;
/// let keys: Vec<&[u8]> = pairs.iter().map(|(key, _)| key).collect();
/// assert_eq!(keys, [b"b", b"a"]);
/// assert!(!pairs.more());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct RangeRead<'a> {
    /// First key of the range, inclusive.
    pub begin: &'a [u8],
    /// End of the range, exclusive.
    pub end: &'a [u8],
    /// The most pairs to return; 0 returns none.
    pub limit: usize,
    /// Which end to start from.
    pub direction: Direction,
    /// Whether the part of the range that was read becomes a read conflict.
    pub isolation: Isolation,
}

/// The pairs of one range read, in the order of the read.
///
/// All keys and values share one buffer, so that a page of a thousand pairs costs two allocations and not two thousand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pairs {
    bytes: Vec<u8>,
    /// End of the key and end of the value of each pair, in `bytes`.
    ends: Vec<(usize, usize)>,
    more: bool,
}

/// An atomic read-modify-write that adds no read conflict.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Atomic, Engine, Isolation, Memory, Transaction};
///
/// let memory = Memory::new();
/// let (a, b) = (memory.begin(), memory.begin());
/// a.atomic(Atomic::Add, b"count", &[1]);
/// b.atomic(Atomic::Add, b"count", &[2]);
/// a.commit().await?;
/// b.commit().await?;
/// assert_eq!(memory.begin().get(b"count", Isolation::Snapshot).await?, Some(vec![3]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Atomic {
    /// Little-endian addition, in the length of the operand; an absent or shorter value counts as zero-extended.
    Add,
    /// Little-endian unsigned maximum, in the length of the operand; an absent value yields the operand.
    Max,
}

/// Which side of conflict detection a range is added to.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Conflict, Engine, Isolation, Memory, Transaction};
///
/// let memory = Memory::new();
/// let (claim, other) = (memory.begin(), memory.begin());
/// for transaction in [&claim, &other] {
///     transaction.get(b"claimed", Isolation::Serializable).await?;
///     transaction.add_conflict(Conflict::Write, b"claimed", b"claimed\0");
///     transaction.set(b"unrelated", b"");
/// }
/// claim.commit().await?;
/// assert!(other.commit().await.is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// As if the transaction had read the range.
    Read,
    /// As if the transaction had written the range.
    Write,
}

/// The version at which a transaction committed; grows with each commit that wrote something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

/// The outcome of a successful commit.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, Transaction};
///
/// let memory = Memory::new();
/// let (first, second) = (memory.begin(), memory.begin());
/// first.set(b"a", b"");
/// second.set(b"b", b"");
/// let (first, second) = (first.commit().await?, second.commit().await?);
/// assert!(first.stamp < second.stamp);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The commit version; for a read-only transaction its read version.
    pub version: Version,
    /// The ten bytes that replaced incomplete versionstamps: the version, then the order within it, big-endian.
    pub stamp: [u8; 10],
}

/// What an engine accepts at most. A write beyond a limit fails its transaction's commit with a clear error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest key, in bytes.
    pub key_bytes_max: usize,
    /// Longest value, in bytes.
    pub value_bytes_max: usize,
    /// Most bytes of keys and values written by one transaction.
    pub transaction_bytes_max: usize,
}

impl Default for Limits {
    /// `FoundationDB`'s limits, so that what one engine accepts, every engine does.
    fn default() -> Self {
        Self {
            key_bytes_max: 10_000,
            value_bytes_max: 100_000,
            transaction_bytes_max: 10_000_000,
        }
    }
}

/// A future that resolves when a watched key's value changes; dropping it cancels the watch.
///
/// Resolves to an error when the engine is poisoned or closed.
pub type Watch = Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>;

/// A transactional ordered map of bytes. Cloning is cheap and yields a handle to the same map.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Error, Isolation, Memory, Transaction};
///
/// async fn rename<E: Engine>(engine: &E, from: &[u8], to: &[u8]) -> Result<(), Error> {
///     let transaction = engine.begin();
///     if let Some(value) = transaction.get(from, Isolation::Serializable).await? {
///         transaction.clear(from);
///         transaction.set(to, &value);
///     }
///     transaction.commit().await.map(drop)
/// }
///
/// rename(&Memory::new(), b"old", b"new").await?;
/// # Ok(())
/// # }
/// ```
pub trait Engine: Clone + Send + Sync + 'static {
    /// The engine's transactions.
    type Transaction: Transaction;

    /// Begins a transaction. What it reads is the version that was the latest at some time between now and its first read;
    /// [`read_version`](Transaction::read_version) settles it. The engines in the process settle it now, a cluster at the
    /// first read.
    fn begin(&self) -> Self::Transaction;

    /// The limits of keys, values and transactions.
    fn limits(&self) -> Limits;

    /// A short name for logs: `memory`, `disk`, `foundationdb`.
    fn name(&self) -> &'static str;

    /// Waits before a transaction runs again that was refused for the `attempt`th time, counted from 1.
    ///
    /// Of itself it lets other tasks run: a conflict on an engine in the process is over when it is reported, so what
    /// helps is another order, not a longer wait.
    fn pause(&self, attempt: u32) -> impl Future<Output = ()> + Send {
        crate::transaction::let_others_run(attempt)
    }

    /// How many transactions that wrote something have been committed since the engine was opened; `None` where that is
    /// not known, as on a cluster. What works in the background sees by it whether others write.
    fn commits(&self) -> Option<u64> {
        None
    }
}

/// One optimistic transaction. Dropping it without `commit` discards its writes.
///
/// Methods take `&self` so that many reads can be under way at once. Writes are buffered; a write that breaks a rule
/// (a key too long, a bad versionstamp offset) is reported by [`commit`](Transaction::commit).
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Atomic, Direction, Engine, Isolation, Memory, RangeRead, Transaction};
///
/// let memory = Memory::new();
/// let writer = memory.begin();
/// writer.set(b"log/count", &1_u64.to_le_bytes());
/// writer.atomic(Atomic::Add, b"log/count", &1_u64.to_le_bytes());
/// writer.set_versionstamped_key(b"log/e/..........\x06\0\0\0", b"an entry");
/// let watch = writer.watch(b"log/count");
/// let stamp = writer.commit().await?.stamp;
///
/// let reader = memory.begin();
/// let read = RangeRead {
///     begin: b"log/",
///     end: b"log0",
///     limit: 10,
///     direction: Direction::Reverse,
///     isolation: Isolation::Serializable,
/// };
/// let page = reader.get_range(read).await?;
/// assert_eq!(page.get(0), Some((&[b"log/e/", &stamp[..]].concat()[..], &b"an entry"[..])));
/// assert_eq!(page.get(1), Some((&b"log/count"[..], &2_u64.to_le_bytes()[..])));
///
/// reader.clear(b"log/count");
/// reader.commit().await?;
/// watch.await?;
/// # Ok(())
/// # }
/// ```
pub trait Transaction: Send + Sync + 'static {
    /// The version that reads see.
    fn read_version(&self) -> impl Future<Output = Result<Version, Error>> + Send;

    /// Reads one key, own writes included.
    ///
    /// # Errors
    /// `Error::AccessedUnreadable` for a key under an unresolved versionstamp of this transaction; engine failures.
    fn get(&self, key: &[u8], isolation: Isolation) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;

    /// Reads a range, own writes included. `Pairs::more` tells whether the limit cut it.
    fn get_range(&self, read: RangeRead<'_>) -> impl Future<Output = Result<Pairs, Error>> + Send;

    /// Reads a range of entries, each with the value of the key that it leads to, own writes included.
    ///
    /// By default the range is read and then all the keys at once. An engine that can do both in one go does it, as long
    /// as the results are the same.
    ///
    /// # Errors
    /// As [`get_range`](Self::get_range) and [`get`](Self::get); [`Error::InvalidOperation`] for a key of the range that is
    /// none of an entry.
    fn get_mapped_range(
        &self,
        read: RangeRead<'_>,
        mapper: Mapper<'_>,
    ) -> impl Future<Output = Result<MappedPairs, Error>> + Send
    where
        Self: Sized,
    {
        mapped::by_gets(self, read, mapper)
    }

    /// Sets a key.
    fn set(&self, key: &[u8], value: &[u8]);

    /// Clears a key.
    fn clear(&self, key: &[u8]);

    /// Clears the keys `begin <= key < end`.
    fn clear_range(&self, begin: &[u8], end: &[u8]);

    /// Applies an atomic operation.
    fn atomic(&self, atomic: Atomic, key: &[u8], operand: &[u8]);

    /// Sets a key that holds ten placeholder bytes for the commit's stamp; the last four bytes of `key` are the
    /// placeholder's offset, little-endian, and are not part of the key.
    fn set_versionstamped_key(&self, key: &[u8], value: &[u8]);

    /// Sets a value that holds ten placeholder bytes for the commit's stamp; the last four bytes of `value` are the
    /// placeholder's offset, little-endian, and are not part of the value.
    fn set_versionstamped_value(&self, key: &[u8], value: &[u8]);

    /// Adds a conflict range `begin <= key < end` by hand; not on keys of the engine's own.
    fn add_conflict(&self, conflict: Conflict, begin: &[u8], end: &[u8]);

    /// Watches a key: resolves when its value differs from what this transaction sees. Active once the transaction
    /// has committed (a read-only commit too); resolves to an error if the transaction is dropped before.
    ///
    /// An engine may take a watch for a serializable read of the key, as a cluster does: then a transaction that writes, too,
    /// conflicts with a change of the key. A key under an unresolved versionstamp of this transaction need not be
    /// watchable: the watch may resolve to [`Error::AccessedUnreadable`].
    fn watch(&self, key: &[u8]) -> Watch;

    /// Commits. A transaction that wrote nothing commits trivially. Any use after commit is `Error::Used`.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll leaves the outcome unknown: the commit may still be applied.
    fn commit(&self) -> impl Future<Output = Result<Committed, Error>> + Send;
}
