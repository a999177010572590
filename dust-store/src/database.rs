//! One engine with many stores.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use dust_layer::{Disk, Engine, Limits, Memory, Tenant, disk};
use dust_transport::error::Error;

use crate::embedded::Embedded;
use crate::error::of_read;
use crate::store::{STORAGE_ID, Store};
use crate::{Options, StoreName};

/// An engine and the stores in it. Cloning is cheap and yields the same database.
///
/// A store that is opened twice from one database, or its clones, is one store with one sequencer. Another database on the
/// same engine is like another node: both may write, and conflicts between them are settled by the engine.
///
/// ```
/// use dust_store::Database;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// let database = Database::memory();
/// let links = database.store("acme/links").await?;
/// let notes = database.store("acme/notes").await?;
/// assert_eq!(links.head().await?, notes.head().await?);
/// assert_eq!(database.stores().await?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Database<E: Engine> {
    shared: Arc<Shared<E>>,
}

#[derive(Debug)]
struct Shared<E: Engine> {
    engine: E,
    options: Options,
    open: Mutex<HashMap<StoreName, Weak<Store<E>>>>,
}

/// What the engines of this process take: single values may be large, as the data model has no limit of its own.
const LIMITS: Limits = Limits {
    key_bytes_max: 10_000,
    value_bytes_max: 256 << 20,
    transaction_bytes_max: 1 << 30,
};

impl Database<Memory> {
    /// Makes a database in memory, which goes with its last handle.
    ///
    /// # Panics
    /// If the operating system starts no thread for the engine.
    #[must_use]
    pub fn memory() -> Self {
        Self::on(Memory::with_limits(LIMITS))
    }
}

impl Database<Disk> {
    /// Opens the database in a folder, or makes one there if the folder is missing or empty. Blocks while it verifies what
    /// is there, about a second per gigabyte.
    ///
    /// The folder is open for one database at a time, and until its last store and subscription are dropped.
    ///
    /// ```
    /// use dust_store::Database;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// # let temporary = tempfile::tempdir().unwrap();
    /// # let folder = temporary.path().join("bookmarks.dust");
    /// let database = Database::open(&folder)?;
    /// let links = database.store("acme/links").await?;
    /// assert_eq!(links.head().await?.0, 0);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Locked` if the folder is open elsewhere, `Format` if it is another version's or another program's, `Corrupt` if
    /// it is damaged, `Storage` if the system refuses; no byte of any file is changed then.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with_options(folder, Options::default())
    }

    /// As [`open`](Database::open), with other options of the stores than the default.
    ///
    /// ```
    /// use dust_store::{Clock, Database, Options};
    /// # let temporary = tempfile::tempdir().unwrap();
    /// # let folder = temporary.path().join("bookmarks.dust");
    /// let stopped = Options::default().with_clock(Clock::from_fn(|| 1_700_000_000_000));
    /// let database = Database::open_with_options(&folder, stopped)?;
    /// # drop(database);
    /// # Ok::<(), dust_transport::error::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`open`](Database::open).
    pub fn open_with_options(folder: impl AsRef<Path>, options: Options) -> Result<Self, Error> {
        Self::open_with(folder, disk::Options::default().limits(LIMITS), options)
    }

    /// As [`open`](Database::open), with options of the engine and of the stores.
    ///
    /// # Errors
    /// As [`open`](Database::open).
    pub fn open_with(folder: impl AsRef<Path>, disk: disk::Options, options: Options) -> Result<Self, Error> {
        let engine = Disk::open_with(folder, disk).map_err(of_read)?;
        Ok(Self::with_options(engine, options))
    }
}

impl<E: Engine> Database<E> {
    /// Puts a database on an engine.
    ///
    /// ```
    /// use dust_layer::Memory;
    /// let database = dust_store::Database::on(Memory::new());
    /// assert_eq!(database.engine().name(), "memory");
    /// # use dust_layer::Engine;
    /// ```
    #[must_use]
    pub fn on(engine: E) -> Self {
        Self::with_options(engine, Options::default())
    }

    /// Puts a database on an engine, with other options than the default.
    #[must_use]
    pub fn with_options(engine: E, options: Options) -> Self {
        Self {
            shared: Arc::new(Shared {
                engine,
                options,
                open: Mutex::default(),
            }),
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// Opens a store, or creates it.
    ///
    /// # Errors
    /// `InvalidParams` for what is no name of a store, `Format` for a store that another version wrote, which is left as
    /// it is, and failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future opens nothing; the store may have been created.
    pub async fn store(&self, name: &str) -> Result<Embedded, Error> {
        let name = StoreName::parse(name)?;
        if let Some(store) = self.opened().get(&name).and_then(Weak::upgrade) {
            return Ok(Embedded::new(store));
        }
        let opened = Store::open(&self.shared.engine, name.clone(), self.shared.options.clone()).await?;
        let mut open = self.opened();
        // Someone else may have opened it in the meantime; then theirs is the one.
        if let Some(store) = open.get(&name).and_then(Weak::upgrade) {
            return Ok(Embedded::new(store));
        }
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(name, Arc::downgrade(&opened));
        Ok(Embedded::new(opened))
    }

    /// The names of the stores, in order.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn stores(&self) -> Result<Vec<StoreName>, Error> {
        let names = Tenant::list(&self.shared.engine, STORAGE_ID).await.map_err(of_read)?;
        // Another name would be a tenant that something else has put there.
        Ok(names.iter().filter_map(|name| StoreName::parse(name).ok()).collect())
    }

    pub(crate) fn options(&self) -> &Options {
        &self.shared.options
    }

    fn opened(&self) -> MutexGuard<'_, HashMap<StoreName, Weak<Store<E>>>> {
        // Single inserts and removals: nothing is half done when the lock is released.
        self.shared.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
