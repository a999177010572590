//! The engine in memory: the reference in tests, and a store that nothing outlives.

use std::sync::Arc;

use super::faults::{Faults, SyncFault};
use super::local::LocalTransaction;
use super::pipeline::Pipeline;
use super::storage::{Batch, Bytes, Snapshot, Storage, Visit};
use super::tree::Tree;
use super::{Direction, Engine, Limits};
use crate::error::Error;

/// An engine whose map lives in memory and goes with its last clone and transaction.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Isolation, Memory, Transaction};
///
/// let memory = Memory::new();
/// let transaction = memory.begin();
/// transaction.set(b"key", b"value");
/// transaction.commit().await?;
/// assert_eq!(memory.begin().get(b"key", Isolation::Snapshot).await?, Some(b"value".to_vec()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Memory {
    pipeline: Arc<Pipeline>,
}

impl Memory {
    /// Makes an empty store.
    ///
    /// # Panics
    /// If the operating system starts no thread for the committer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Engine, Isolation, Memory, Transaction};
    ///
    /// let memory = Memory::new();
    /// let transaction = memory.begin();
    /// transaction.set(b"key", b"value");
    /// transaction.commit().await?;
    /// assert_eq!(memory.begin().get(b"key", Isolation::Snapshot).await?, Some(b"value".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::with_faults(Faults::default())
    }

    /// Makes an empty store whose commits fail as `faults` orders; each commit group is one write and one sync.
    ///
    /// # Panics
    /// If the operating system starts no thread for the committer.
    #[must_use]
    pub fn with_faults(faults: Faults) -> Self {
        Self::start(faults, Limits::default())
    }

    /// Makes an empty store with other limits than `FoundationDB`'s. What exceeds those cannot move to a cluster later.
    ///
    /// # Panics
    /// If the operating system starts no thread for the committer.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Engine, Error, Limits, Memory, Transaction};
    ///
    /// let memory = Memory::with_limits(Limits { value_bytes_max: 3, ..Limits::default() });
    /// let transaction = memory.begin();
    /// transaction.set(b"key", b"four");
    /// assert!(matches!(transaction.commit().await, Err(Error::ValueTooLarge { .. })));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn with_limits(limits: Limits) -> Self {
        Self::start(Faults::default(), limits)
    }

    fn start(faults: Faults, limits: Limits) -> Self {
        let storage = MemoryStorage {
            tree: Tree::default(),
            faults,
        };
        let pipeline = Pipeline::start(Box::new(storage), limits).expect("a thread for the committer");
        Self {
            pipeline: Arc::new(pipeline),
        }
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Engine for Memory {
    type Transaction = LocalTransaction;

    fn begin(&self) -> LocalTransaction {
        LocalTransaction::begin(&self.pipeline)
    }

    fn limits(&self) -> Limits {
        self.pipeline.limits()
    }

    fn name(&self) -> &'static str {
        "memory"
    }

    fn commits(&self) -> Option<u64> {
        Some(self.pipeline.commits())
    }
}

#[derive(Debug)]
struct MemoryStorage {
    tree: Tree,
    faults: Faults,
}

impl Storage for MemoryStorage {
    fn version(&self) -> u64 {
        0
    }

    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, Error> {
        Ok(Arc::new(MemorySnapshot(self.tree.clone())))
    }

    fn apply(&mut self, batch: &Batch, _version: u64) -> Result<(), Error> {
        self.faults.before_write().map_err(Error::io("write"))?;
        for (begin, end) in batch.cleared.iter() {
            self.tree.remove_range(begin, end);
        }
        for (key, value) in &batch.points {
            match value {
                Some(value) => self.tree.insert(Bytes::clone(key), Bytes::clone(value)),
                None => self.tree.remove(key),
            }
        }
        self.faults
            .before_sync()
            .map_err(SyncFault::into_io)
            .map_err(Error::io("sync"))
    }
}

#[derive(Debug)]
struct MemorySnapshot(Tree);

impl Snapshot for MemorySnapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.0.get(key).map(|value| value.to_vec()))
    }

    fn scan(&self, begin: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error> {
        self.0.scan(begin, end, direction, visit);
        Ok(())
    }
}
