//! The durable engine: a folder on disk, on the embedded store `redb`.
//!
//! `redb` brings copy-on-write trees, checksums and crash recovery; conflicts, versions and grouping are the
//! [pipeline](super)'s. One group of commits is one `redb` transaction with one sync.

mod backend;
mod folder;

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use backend::{Backend, Gate};
use folder::Folder;
use redb::{Database, Durability, ReadOnlyTable, ReadableDatabase, TableDefinition};

use super::faults::Faults;
use super::local::LocalTransaction;
use super::pipeline::Pipeline;
use super::storage::{Batch, Snapshot, Storage, Visit};
use super::{Direction, Engine, Limits};
use crate::error::Error;

const PAIRS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("pairs");
/// Holds the version up to which versions may have been given out.
const RESERVED: TableDefinition<'_, (), u64> = TableDefinition::new("reserved");

/// How many versions are reserved at a time. A version that was reserved and not used is skipped after reopening; in
/// return a commit need not write its version.
const VERSION_BLOCK: u64 = 1_000_000;

/// How a folder is opened.
///
/// ```
/// use dust_layer::disk::{Check, Options};
///
/// let options = Options::default().cache_bytes(16 << 20).check(Check::Structure);
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
pub struct Options {
    cache_bytes: usize,
    check: Check,
    limits: Limits,
    faults: Faults,
}

/// How much of the data is verified before a folder is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Every page against its checksum: about a second per gigabyte.
    Full,
    /// The file's header and shape only. Pages that something else has altered are found when they are read, or not.
    /// After a crash everything is verified all the same.
    Structure,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            check: Check::Full,
            limits: Limits::default(),
            faults: Faults::default(),
        }
    }
}

impl Options {
    /// Sets how much memory may cache pages of the file; 64 MiB by default.
    #[must_use]
    pub fn cache_bytes(mut self, bytes: usize) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets how much is verified on opening; [`Check::Full`] by default.
    #[must_use]
    pub fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// Sets other limits than `FoundationDB`'s. What exceeds those cannot move to a cluster later.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Lets writes and syncs of the data file fail as `faults` orders.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }
}

/// An engine whose map lives in a folder. A commit that returned is there after a crash or a power cut.
///
/// The folder is open for one engine at a time. It is closed when the last clone and the last transaction are dropped;
/// that waits for queued commits, after which the folder can be opened again. After a crash it opens without help.
/// A failed write or sync poisons the engine: what was being committed gets [`Error::CommitUnknown`], everything later,
/// reads too, [`Error::Poisoned`], until the folder is opened anew.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Disk, Engine, Isolation, Transaction};
/// # let temporary = tempfile::tempdir().unwrap();
/// # let folder = temporary.path().join("store.dust");
///
/// let disk = Disk::open(&folder)?;
/// let transaction = disk.begin();
/// transaction.set(b"key", b"value");
/// transaction.commit().await?;
/// drop((disk, transaction));
///
/// let disk = Disk::open(&folder)?;
/// assert_eq!(disk.begin().get(b"key", Isolation::Snapshot).await?, Some(b"value".to_vec()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Disk {
    pipeline: Arc<Pipeline>,
}

impl Disk {
    /// Opens the store in `folder`, or makes one there if the folder is missing or empty. Blocks while it verifies.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Format`], [`Error::Foreign`], [`Error::Corrupt`] and [`Error::Io`]; in each case no
    /// byte of any file has been changed.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(folder, Options::default())
    }

    /// As [`open`](Disk::open), with options.
    ///
    /// # Errors
    /// As [`open`](Disk::open).
    ///
    /// ```
    /// use dust_layer::disk::{Disk, Options};
    /// # let temporary = tempfile::tempdir().unwrap();
    /// # let folder = temporary.path();
    ///
    /// let disk = Disk::open_with(folder, Options::default().cache_bytes(8 << 20))?;
    /// assert!(matches!(Disk::open(folder), Err(dust_layer::Error::Locked { .. })));
    /// # Ok::<(), dust_layer::Error>(())
    /// ```
    pub fn open_with(folder: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        let folder = Folder::open(folder.as_ref(), |file| create_data(file, options.cache_bytes))?;
        let limits = options.limits;
        let storage = DiskStorage::open(folder, options)?;
        let pipeline = Pipeline::start(Box::new(storage), limits)?;
        Ok(Self {
            pipeline: Arc::new(pipeline),
        })
    }
}

impl Engine for Disk {
    type Transaction = LocalTransaction;

    fn begin(&self) -> LocalTransaction {
        LocalTransaction::begin(&self.pipeline)
    }

    fn limits(&self) -> Limits {
        self.pipeline.limits()
    }

    fn name(&self) -> &'static str {
        "disk"
    }

    fn commits(&self) -> Option<u64> {
        Some(self.pipeline.commits())
    }
}

/// Writes an empty database into a new file.
fn create_data(file: std::fs::File, cache_bytes: usize) -> Result<(), Error> {
    let (backend, _) = Backend::new(file, Gate::Open, Faults::default())?;
    let database = open_database(backend, Check::Structure, cache_bytes)?;
    let transaction = database.begin_write().map_err(store_error)?;
    transaction.open_table(PAIRS).map_err(store_error)?;
    transaction.open_table(RESERVED).map_err(store_error)?;
    transaction.commit().map_err(store_error)?;
    database.close().map_err(store_error)
}

fn open_database(backend: Backend, check: Check, cache_bytes: usize) -> Result<Database, Error> {
    Database::builder()
        .set_cache_size(cache_bytes)
        .set_check_integrity_on_open(check == Check::Full)
        .create_with_backend(backend)
        .map_err(open_error)
}

fn open_error(error: redb::DatabaseError) -> Error {
    match error {
        redb::DatabaseError::Storage(redb::StorageError::Io(source))
            if matches!(
                source.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
            ) =>
        {
            Error::corrupt(format!("data file: {source}"))
        }
        redb::DatabaseError::UpgradeRequired(version) => Error::corrupt(format!("data file has format {version}")),
        error => store_error(error),
    }
}

/// An error of the store below. What it says about files and pages is kept as text or as the system's error.
fn store_error(error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(source) => Error::Io {
            doing: "access the data file",
            source,
        },
        redb::Error::Corrupted(what) => Error::corrupt(format!("data file: {what}")),
        error => Error::Io {
            doing: "access the data file",
            source: std::io::Error::other(error),
        },
    }
}

struct DiskStorage {
    // Declared before the folder: the database writes while it closes, and the folder's lock must outlast that.
    database: Database,
    version: u64,
    reserved: u64,
    _folder: Folder,
}

impl DiskStorage {
    fn open(mut folder: Folder, options: Options) -> Result<Self, Error> {
        let Options {
            cache_bytes,
            check,
            faults,
            ..
        } = options;
        let (backend, valve) = Backend::new(folder.open_data()?, Gate::Shut, faults)?;
        let opened = uninterrupted(|| {
            let database = open_database(backend, check, cache_bytes)?;
            let reserved = read_reserved(&database)?;
            Ok((database, reserved))
        });
        let (database, reserved) = match opened {
            // Without a format file there is no reason to believe that the data was ever ours.
            Err(Error::Corrupt { .. }) if !folder.has_format() => return Err(folder.foreign()),
            opened => opened?,
        };
        valve
            .open()
            .map_err(Error::io("write what the recovery of the data file changed"))?;
        folder.finish()?;
        Ok(Self {
            database,
            version: reserved,
            reserved,
            _folder: folder,
        })
    }
}

/// Runs `open`, which a file that something else altered can make panic before `redb` compares its checksums.
fn uninterrupted<T>(open: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(open)).unwrap_or_else(|_| Err(Error::corrupt("data file cannot be interpreted")))
}

fn read_reserved(database: &Database) -> Result<u64, Error> {
    let transaction = database.begin_read().map_err(store_error)?;
    let missing = |error: redb::TableError| match error {
        redb::TableError::Storage(error) => store_error(error),
        error => Error::corrupt(format!("data file: {error}")),
    };
    transaction.open_table(PAIRS).map_err(missing)?;
    let table = transaction.open_table(RESERVED).map_err(missing)?;
    Ok(table
        .get(())
        .map_err(store_error)?
        .map_or(0, |reserved| reserved.value()))
}

impl Storage for DiskStorage {
    fn version(&self) -> u64 {
        self.version
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, Error> {
        let transaction = self.database.begin_read().map_err(store_error)?;
        let table = transaction.open_table(PAIRS).map_err(store_error)?;
        Ok(Arc::new(DiskSnapshot { table }))
    }

    fn apply(&mut self, batch: &Batch, version: u64) -> Result<(), Error> {
        let mut transaction = self.database.begin_write().map_err(store_error)?;
        // One sync per commit. The header names the new root before that sync, and a crash may leave either in any
        // order; recovery compares the root's checksum, over the whole tree, and falls back to the one before.
        transaction.set_durability(Durability::Immediate).map_err(store_error)?;
        {
            let mut table = transaction.open_table(PAIRS).map_err(store_error)?;
            for (begin, end) in batch.cleared.iter() {
                table
                    .retain_in::<&[u8], _>(&**begin..&**end, |_, _| false)
                    .map_err(store_error)?;
            }
            for (key, value) in &batch.points {
                match value {
                    Some(value) => drop(table.insert(&**key, &**value).map_err(store_error)?),
                    None => drop(table.remove(&**key).map_err(store_error)?),
                }
            }
        }
        let mut reserved = self.reserved;
        if version > reserved {
            reserved = version + VERSION_BLOCK;
            let mut table = transaction.open_table(RESERVED).map_err(store_error)?;
            table.insert((), reserved).map_err(store_error)?;
        }
        transaction.commit().map_err(store_error)?;
        self.reserved = reserved;
        Ok(())
    }
}

struct DiskSnapshot {
    table: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Snapshot for DiskSnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self
            .table
            .get(key)
            .map_err(store_error)?
            .map(|value| value.value().to_vec()))
    }

    fn scan(&self, begin: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        let mut range = self.table.range::<&[u8]>(begin..end).map_err(store_error)?;
        loop {
            let next = match direction {
                Direction::Forward => range.next(),
                Direction::Reverse => range.next_back(),
            };
            let Some(pair) = next else { return Ok(()) };
            let (key, value) = pair.map_err(store_error)?;
            if let ControlFlow::Break(()) = visit(key.value(), value.value()) {
                return Ok(());
            }
        }
    }
}
