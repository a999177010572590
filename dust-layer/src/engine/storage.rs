//! The bottom of a local engine: an ordered store that takes whole batches and gives out snapshots.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Direction;
use super::range_set::RangeSet;
use crate::error::Error;

/// Bytes that the transaction, the conflict window and the store share without copying.
pub(super) type Bytes = Arc<[u8]>;

/// Called with each pair of a scan; breaks to end it.
pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// What one group of commits changes. The clears happen first, then the points.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) cleared: RangeSet,
    pub(super) points: BTreeMap<Bytes, Option<Bytes>>,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.cleared.is_empty() && self.points.is_empty()
    }

    pub(super) fn put(&mut self, key: Bytes, value: Option<Bytes>) {
        self.points.insert(key, value);
    }

    pub(super) fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        if begin < end {
            super::range_set::remove_keys(&mut self.points, begin, end);
            self.cleared.insert(begin, end);
        }
    }

    /// What the batch makes of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Entry<'_> {
        match self.points.get(key) {
            Some(Some(value)) => Entry::Set(value),
            Some(None) => Entry::Cleared,
            None if self.cleared.contains(key) => Entry::Cleared,
            None => Entry::Untouched,
        }
    }
}

/// What a batch makes of one key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry<'a> {
    Set(&'a Bytes),
    Cleared,
    Untouched,
}

/// One version of the store. It stays as it is whatever is applied later.
pub(super) trait Snapshot: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error>;

    /// Visits the pairs of `begin <= key < end`; `begin < end` holds.
    fn scan(&self, begin: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> Result<(), Error>;
}

/// An ordered store with one writer. Dropping it releases what it holds.
pub(super) trait Storage: Send {
    /// The version that the store was opened at; later batches are above it.
    fn version(&self) -> u64;

    /// The state after the last batch. Cheap, and independent of the writer.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, Error>;

    /// Applies a batch as a whole. When it returns, the batch is durable, if the store keeps anything at all.
    fn apply(&mut self, batch: &Batch, version: u64) -> Result<(), Error>;
}
