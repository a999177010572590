//! What all tenants of an engine share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;
use crate::engine::Engine;
use crate::error::{DirectoryError, Error, SchemaError};
use crate::index::Indexer;
use crate::index::catalog::{Cache, bump};
use crate::metrics::{Metrics, MetricsSnapshot};
use crate::tenant::Tenant;
use crate::transaction::transact;
use crate::{directory, tenant};

/// An engine with what its tenants share: known index definitions, custom indexers, a clock, counters of what is done.
///
/// Cloning is cheap and yields the same. A program has one for each engine; [`Tenant::open`] makes one on the way.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::layer::Layer;
/// use dust_layer::Memory;
///
/// let layer = Layer::new(&Memory::new());
/// let tenant = layer.create_or_open("acme", "reading").await?;
/// assert_eq!(layer.list("acme").await?, ["reading"]);
/// layer.delete("acme", tenant.id()).await?;
/// assert!(!layer.exists("acme", "reading").await?);
/// # Ok(())
/// # }
/// ```
pub struct Layer<E: Engine> {
    shared: Arc<Shared<E>>,
}

struct Shared<E: Engine> {
    engine: E,
    options: Options<E>,
    catalogs: Cache,
    metrics: Metrics,
    /// How many transactions migrations have committed.
    steps: AtomicU64,
}

/// How a [`Layer`] is set up.
///
/// ```
/// use dust_layer::Memory;
/// use dust_layer::layer::{Layer, Options};
///
/// let options = Options::default().split_bytes(10_000).row_bytes_max(1_000_000);
/// let layer = Layer::with_options(&Memory::new(), options);
/// # drop(layer);
/// ```
pub struct Options<E: Engine> {
    indexers: BTreeMap<Box<str>, Arc<dyn Indexer<E>>>,
    clock: Clock,
    split_bytes: usize,
    row_bytes_max: usize,
}

impl<E: Engine> Default for Options<E> {
    fn default() -> Self {
        Self {
            indexers: BTreeMap::new(),
            clock: Clock::system(),
            split_bytes: usize::MAX,
            row_bytes_max: usize::MAX,
        }
    }
}

impl<E: Engine> fmt::Debug for Options<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("indexers", &self.indexers.keys())
            .field("clock", &self.clock)
            .field("split_bytes", &self.split_bytes)
            .field("row_bytes_max", &self.row_bytes_max)
            .finish()
    }
}

impl<E: Engine> Options<E> {
    /// Registers a custom indexer under the name that index definitions use.
    #[must_use]
    pub fn indexer(mut self, name: &str, indexer: impl Indexer<E>) -> Self {
        self.indexers.insert(name.into(), Arc::new(indexer));
        self
    }

    /// Sets another clock than the system's.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Sets from how many bytes on a row is split over several keys; the engine's longest value by default.
    #[must_use]
    pub fn split_bytes(mut self, bytes: usize) -> Self {
        self.split_bytes = bytes;
        self
    }

    /// Sets the length of the largest row; what a transaction may write by default.
    #[must_use]
    pub fn row_bytes_max(mut self, bytes: usize) -> Self {
        self.row_bytes_max = bytes;
        self
    }
}

impl<E: Engine> Clone for Layer<E> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<E: Engine> fmt::Debug for Layer<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("engine", &self.shared.engine.name())
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Layer<E> {
    /// A layer on an engine.
    #[must_use]
    pub fn new(engine: &E) -> Self {
        Self::with_options(engine, Options::default())
    }

    /// As [`new`](Self::new), with options.
    #[must_use]
    pub fn with_options(engine: &E, mut options: Options<E>) -> Self {
        let limits = engine.limits();
        options.split_bytes = options.split_bytes.clamp(1, limits.value_bytes_max);
        options.row_bytes_max = options.row_bytes_max.min(limits.transaction_bytes_max);
        Self {
            shared: Arc::new(Shared {
                engine: engine.clone(),
                options,
                catalogs: Cache::default(),
                metrics: Metrics::default(),
                steps: AtomicU64::new(0),
            }),
        }
    }

    /// The engine.
    #[must_use]
    pub fn engine(&self) -> &E {
        &self.shared.engine
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.shared.options.clock
    }

    /// What has been done so far, by all tenants.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        self.shared.metrics.snapshot()
    }

    pub(crate) fn counters(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(crate) fn catalogs(&self) -> &Cache {
        &self.shared.catalogs
    }

    /// How many transactions migrations have committed.
    pub(crate) fn steps(&self) -> u64 {
        self.shared.steps.load(Ordering::Relaxed)
    }

    pub(crate) fn count_step(&self) {
        self.shared.steps.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn split_bytes(&self) -> usize {
        self.shared.options.split_bytes
    }

    pub(crate) fn row_bytes_max(&self) -> usize {
        self.shared.options.row_bytes_max
    }

    pub(crate) fn indexer(&self, name: &str) -> Result<&dyn Indexer<E>, Error> {
        let found = self.shared.options.indexers.get(name);
        Ok(&**found.ok_or_else(|| SchemaError::UnknownIndexer { indexer: name.into() })?)
    }

    /// Opens a tenant that exists.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if it does not exist; failures of the engine.
    pub async fn open(&self, storage_id: &str, tenant_id: &str) -> Result<Tenant<E>, Error> {
        self.reach(storage_id, tenant_id, tenant::Mode::Open).await
    }

    /// Opens a tenant, or creates it. Two callers at once get the same one.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn create_or_open(&self, storage_id: &str, tenant_id: &str) -> Result<Tenant<E>, Error> {
        self.reach(storage_id, tenant_id, tenant::Mode::CreateOrOpen).await
    }

    async fn reach(&self, storage_id: &str, tenant_id: &str, mode: tenant::Mode) -> Result<Tenant<E>, Error> {
        let path = [storage_id, tenant_id];
        let run = |tx: Arc<E::Transaction>| async move {
            let found = match mode {
                tenant::Mode::Open => directory::open(&*tx, &path, b"").await?,
                tenant::Mode::CreateOrOpen => directory::create_or_open(&*tx, &path, b"").await?,
            };
            Ok::<_, Error>((found, directory::entry_key(&*tx, &path).await?))
        };
        let ((found, entry), _) = transact(self.engine(), run).await?;
        Ok(Tenant::new(self, storage_id, tenant_id, found.prefix(), entry))
    }

    /// The ids of the tenants of a storage, in order; none if the storage does not exist.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn list(&self, storage_id: &str) -> Result<Vec<String>, Error> {
        let path = [storage_id];
        let run = |tx: Arc<E::Transaction>| async move { directory::list(&*tx, &path).await };
        match transact(self.engine(), run).await {
            Ok((ids, _)) => Ok(ids),
            Err(Error::Directory(DirectoryError::NotFound)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Whether a tenant exists.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn exists(&self, storage_id: &str, tenant_id: &str) -> Result<bool, Error> {
        let path = [storage_id, tenant_id];
        let run = |tx: Arc<E::Transaction>| async move { directory::exists(&*tx, &path).await };
        Ok(transact(self.engine(), run).await?.0)
    }

    /// Deletes a tenant and all its keys. Whoever still has it open can write no rows to it any more.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if it does not exist; failures of the engine.
    pub async fn delete(&self, storage_id: &str, tenant_id: &str) -> Result<(), Error> {
        let path = [storage_id, tenant_id];
        let run = |tx: Arc<E::Transaction>| async move {
            directory::remove(&*tx, &path).await?;
            bump(&*tx);
            Ok::<_, Error>(())
        };
        transact(self.engine(), run).await?;
        Ok(())
    }
}
