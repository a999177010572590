//! Transactions that are applied exactly once, even when the outcome of a commit is unknown.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use tracing::Instrument;

use super::{SYSTEM, Tenant, TenantTransaction, transaction};
use crate::engine::{Committed, Engine, Isolation, Transaction, Version};
use crate::error::Error;
use crate::transaction::{TransactError, attempts, random};
use crate::tuple::Bytes;

/// What the marks of done transactions are kept under.
const ONCE: &[u8] = b"once";
/// How long a mark is kept: longer than any commit can be under way.
const HOURS_KEPT: u64 = 48;

impl<E: Engine> Tenant<E> {
    /// As [`transact`](Self::transact), but also when the outcome of a commit is unknown, and then without applying the
    /// writes twice.
    ///
    /// The transaction writes a mark of its own. When it runs again it looks for the marks of its earlier runs: if one is
    /// there, that run's result is given back. Marks are swept after two days. Ids that `run` makes up should be made
    /// before, so that every run uses the same.
    ///
    /// # Errors
    /// As [`transact`](crate::transact), except that [`Error::CommitUnknown`] is settled.
    ///
    /// # Cancel safety
    /// As [`transact`](crate::transact).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::engine::instrumented::{CommitFault, Instrumented};
    /// use dust_layer::{Atomic, Isolation, Memory, Tenant};
    ///
    /// let engine = Instrumented::new(Memory::new());
    /// let tenant = Tenant::create_or_open(&engine, "acme", "reading").await?;
    /// let key = tenant.pack(&("count",));
    /// engine.fail_commits([CommitFault::Unknown { applied: true }]);
    /// tenant.transact_once(async |tx| tx.atomic(Atomic::Add, &key, &[1])).await?;
    /// assert_eq!(tenant.begin().get(&key, Isolation::Snapshot).await?, Some(vec![1]));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transact_once<T, X, F, R>(&self, run: F) -> Result<(T, Committed), X>
    where
        X: TransactError,
        F: FnMut(TenantTransaction<E>) -> R,
        R: Future<Output = Result<T, X>>,
    {
        let hour = self.layer().clock().now().as_secs() / 3600;
        let token: Vec<u8> = [random().to_le_bytes(), random().to_le_bytes()].concat();
        let mark = &self.key(SYSTEM, &(ONCE, hour, Bytes::from(&token[..])));
        let sweep = self.shared.swept_hour.swap(hour, Ordering::Relaxed) != hour;
        // The results of the runs, since any of them may turn out to be the one that was applied.
        let results: &Mutex<Vec<(u32, T)>> = &Mutex::default();
        let run = &Mutex::new(run);
        let span = transaction::span(self);
        let mut counted = self.layer().counters().attempts(&span);
        let mut attempt = 0_u32;
        let repeat = |error: &Error| error.is_retryable() || error.is_maybe_committed();
        let outcome = attempts(
            self.engine(),
            |tx| {
                counted.begin();
                attempt += 1;
                let attempt = attempt;
                let tx = TenantTransaction::within(self, tx, span.clone());
                async move {
                    if attempt > 1
                        && let Some(found) = tx.read(mark, Isolation::Serializable).await?
                    {
                        return Ok(Some(applied(&found)?));
                    }
                    // Called only now, so that nothing is written where the mark is there.
                    let result = {
                        let mut run = run.lock().unwrap_or_else(PoisonError::into_inner);
                        run(tx.clone())
                    };
                    let result = result.await?;
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((attempt, result));
                    tx.raw().set_versionstamped_value(mark, &marked(attempt));
                    if sweep {
                        let end = tx.tenant().key(SYSTEM, &(ONCE, hour.saturating_sub(HOURS_KEPT)));
                        tx.erase_range(&tx.tenant().key(SYSTEM, &(ONCE,)), &end);
                    }
                    Ok::<_, X>(None)
                }
            },
            repeat,
        )
        .instrument(span.clone())
        .await;
        let (found, committed) = outcome.inspect_err(|error: &X| counted.failed(error.layer_error()))?;
        let (applied, committed) = found.unwrap_or((attempt, committed));
        let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
        match results.iter().position(|(attempt, _)| *attempt == applied) {
            Some(index) => Ok((results.swap_remove(index).1, committed)),
            None => Err(Error::corrupt("the mark of a transaction").into()),
        }
    }
}

/// The value of a mark: the stamp that the commit fills in, the run, and the offset of the stamp.
fn marked(attempt: u32) -> Vec<u8> {
    [&[0; 10], &attempt.to_le_bytes()[..], &0_u32.to_le_bytes()].concat()
}

/// Which run a mark is of, and where it was committed.
fn applied(mark: &[u8]) -> Result<(u32, Committed), Error> {
    let invalid = || Error::corrupt("the mark of a transaction");
    let (stamp, rest) = mark.split_first_chunk::<10>().ok_or_else(invalid)?;
    let (attempt, _) = rest.split_first_chunk::<4>().ok_or_else(invalid)?;
    let (version, _) = stamp.split_first_chunk::<8>().ok_or_else(invalid)?;
    let committed = Committed {
        version: Version(u64::from_be_bytes(*version)),
        stamp: *stamp,
    };
    Ok((u32::from_le_bytes(*attempt), committed))
}
