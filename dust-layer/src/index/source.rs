//! Where the records of a collection come from, for builds and checks.

use std::fmt;

use futures_core::future::BoxFuture;

use super::Record;
use crate::engine::Engine;
use crate::error::Error;
use crate::table::PrimaryKey;
use crate::tenant::TenantTransaction;

/// Which of a source's records a batch is to have. Only the source understands its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where it begins, as the batch before it said; with the first record if it is `None`.
    pub from: Option<&'a [u8]>,
    /// Where it ends at the latest, as [`RecordSource::end`] said; with the last record if it is `None`.
    pub to: Option<&'a [u8]>,
    /// The most records of it.
    pub limit: usize,
}

/// A batch of records in the order of the source.
pub struct Records {
    /// The records.
    pub records: Vec<Box<dyn Record>>,
    /// Where the next batch begins; `None` after the last one.
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
    /// Reads the next records of a part, and at least one if there is one.
    fn batch<'a>(&'a self, tx: &'a TenantTransaction<E>, part: Part<'a>) -> BoxFuture<'a, Result<Records, Error>>;

    /// Where the records end that are there now; `None` if there is none. It must hold for as long as a build lasts: a
    /// record that is there now lies before it whatever is written, and one that comes to be behind the last of them does
    /// not. It should be read without a conflict.
    ///
    /// A build goes no further, since writers keep the entries of what is written after its index was defined. So no one
    /// who appends faster than it reads keeps it from ending.
    fn end<'a>(&'a self, tx: &'a TenantTransaction<E>) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>>;

    /// Reads one record.
    fn get<'a>(
        &'a self,
        tx: &'a TenantTransaction<E>,
        key: &'a PrimaryKey,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Record>>, Error>>;
}
