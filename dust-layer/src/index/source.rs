//! Where the records of a collection come from, for builds and checks.

use std::fmt;

use futures_core::future::BoxFuture;

use super::Record;
use crate::engine::Engine;
use crate::error::Error;
use crate::table::PrimaryKey;
use crate::tenant::TenantTransaction;

/// A batch of records in the order of the source.
pub struct Records {
    /// The records.
    pub records: Vec<Box<dyn Record>>,
    /// Where the next batch begins; `None` after the last one. Only its source understands it.
    pub next: Option<Vec<u8>>,
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("records", &self.records.len())
            .field("next", &self.next)
            .finish()
    }
}

/// Yields the records of a collection in batches. [`Table`](crate::table::Table) is one for its rows.
///
/// # Contract
/// A later write to a record that was yielded must conflict with the transaction that it was yielded in. A record that is
/// new, between those or after them, should not, or a busy collection keeps its builds from ending.
pub trait RecordSource<E: Engine>: Send + Sync {
    /// Reads at most `limit` records, and at least one if there is one, from where the batch before it said.
    fn batch<'a>(
        &'a self,
        tx: &'a TenantTransaction<E>,
        from: Option<&'a [u8]>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Records, Error>>;

    /// Reads one record.
    fn get<'a>(
        &'a self,
        tx: &'a TenantTransaction<E>,
        key: &'a PrimaryKey,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Record>>, Error>>;
}
