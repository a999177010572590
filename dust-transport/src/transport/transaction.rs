//! Many calls that are one.

use futures_core::future::BoxFuture;

use super::{Transport, Written};
use crate::error::Error;

/// The code of the conflict that a [`Transaction`] meets at its commit: what it has read is no longer so. The same may succeed
/// when it is done again, on the state that the store then has.
pub const TRANSACTION_CONFLICT: &str = "transaction_conflict";

/// Reads and writes of one store as if nobody else were there: a [`Transport`] whose calls see one state and what was written
/// through it, and whose writes nobody else sees before they are committed, all or nothing.
///
/// Committed transactions and all other writes have one order, that of their sequence numbers, and a transaction sees what was
/// there before it in that order: everything that it has read is the same at its commit. What it has not read may have changed.
///
/// # Contract
/// * What a call has read is a part of what is compared at the commit: exact paths, subtrees, the part of a list that was looked
///   at, with what is missing in it; a query counts as all records of its prefix. A precondition counts as a read, and is checked
///   by the write that has it.
/// * Records that live only in their indexes are written by it, too, and are there with its ops, or not at all. Whatever is written
///   to any of a prefix is a conflict for who has queried them. To write them without a query is no read.
/// * `Increment`, `Add` and `Remove` are done again at the commit, on what is there by then: two transactions that count up
///   without a read are not in conflict.
/// * Sequence numbers and revisions of what was written through it are provisional: they order and compare in the transaction,
///   and the commit gives others.
/// * It does not subscribe, has neither files nor leases nor fences, changes no index and takes no op ids; see
///   [`capabilities`](Transport::capabilities). It is committed under an op id of its own.
/// * One that is dropped or aborted has done nothing. After its end every call is `Closed`.
///
/// ```
/// use dust_transport::error::Error;
/// use dust_transport::model::{Op, Path};
/// use dust_transport::transport::{TRANSACTION_CONFLICT, Transport};
///
/// async fn double(store: &dyn Transport, path: &Path) -> Result<(), Error> {
///     for attempt in 0.. {
///         let transaction = store.transaction(attempt).await?;
///         let count = transaction.get(path).await?.and_then(|entry| entry.value.to().ok()).unwrap_or(1_i64);
///         transaction.write(Op::set(path.clone(), 2 * count).into()).await?;
///         match transaction.commit().await {
///             Err(error) if error.code() == TRANSACTION_CONFLICT => {}
///             outcome => return outcome.map(drop),
///         }
///     }
///     Ok(())
/// }
/// # let _ = double;
/// ```
pub trait Transaction: Transport {
    /// Commits what was written, as one batch; without any writes it has nothing to do.
    ///
    /// The reply has the sequence numbers of all ops, in the order in which they were written; records that live only in their indexes
    /// take none.
    ///
    /// # Errors
    /// `Conflict` with [`TRANSACTION_CONFLICT`] if what was read is no longer so, or a read failed since its state was too old:
    /// nothing was written. `InvalidParams` with `payload_too_large` if all ops together are too much for the engine. Failures of
    /// the engine; one that leaves it open whether the ops were committed is settled, if the engine still answers.
    ///
    /// # Cancel safety
    /// Dropping the future after its first poll leaves the outcome unknown.
    fn commit(&self) -> BoxFuture<'_, Result<Written, Error>>;

    /// Ends it without a commit.
    fn abort(&self);

    /// Whether a read has failed since the store no longer has the state that it is at: to be done again from the start.
    fn is_outdated(&self) -> bool;
}
