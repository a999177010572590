//! Many calls of a Repo that are one.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::sync::Arc;

use dust_transport::transport::{TRANSACTION_CONFLICT, Transaction};
use futures_core::future::BoxFuture;

use super::Repo;
use crate::error::Error;

impl Repo {
    /// Runs a closure as one transaction: all of its reads are of one state with its own writes over it, and its writes are
    /// seen by others together, once it has returned `Ok`, or never.
    ///
    /// The closure gets a Repo. Whatever is called on that one belongs to the transaction: reads, streams and queries, which see
    /// what was written before; inserts, updates with `if_match`, deletes, batches; and the same of records that live only in their
    /// indexes. What is called on another Repo does not.
    ///
    /// It is sent when it is awaited. At the end the store compares: if anything that the closure has read, or has found missing,
    /// is no longer so, nothing is written, and the closure runs again on the state that there is by then, after a wait of random
    /// length that suits the store, up to [`attempts_max`](Transact::attempts_max) times. So it may run often, and what it does
    /// beside the store should not depend on how often. What it has not read may have changed: `Err` from its own checks is final,
    /// and leaves nothing.
    ///
    /// As long as it runs, the engine keeps what others overwrite; on FoundationDB it has 5 s, and begins anew after that. So wait for
    /// nothing else in it.
    ///
    /// Revisions of what was written in the transaction are provisional. They compare within it, and the commit gives others: a
    /// [`Version`](crate::Version) that was read in a transaction is of no use after it, where the transaction wrote the record.
    /// Subscriptions, changes of indexes, op ids and further transactions are `NotSupported` in it.
    ///
    /// # Errors
    /// Those of the closure. `NotSupported`, before the closure runs, on a store that is not in the process: use
    /// [`batch_write`](Self::batch_write) there. `Conflict` after the last attempt; `InvalidParams` for more ops than a transaction
    /// has (10 000, if not set otherwise); what the store fails with.
    ///
    /// # Cancel safety
    /// Dropping the future before the closure has returned leaves nothing. Dropped later, all of it is written, or nothing.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "accounts")]
    /// # struct Account { slug: String, cents: i64 }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// repo.insert(Account { slug: "ada".into(), cents: 500 }).await?;
    /// repo.insert(Account { slug: "bo".into(), cents: 0 }).await?;
    ///
    /// let left = repo
    ///     .transaction(|tx| async move {
    ///         let (ada, bo) = (tx.fetch::<Account>("ada").await?, tx.fetch::<Account>("bo").await?);
    ///         tx.update(ada.change().put(Account::CENTS, ada.cents - 200)).await?;
    ///         tx.update(bo.change().put(Account::CENTS, bo.cents + 200)).await?;
    ///         Ok::<_, WriteError<Account>>(ada.cents - 200)
    ///     })
    ///     .await?;
    /// assert_eq!((left, repo.fetch::<Account>("bo").await?.cents), (300, 200));
    /// # Ok(())
    /// # }
    /// ```
    pub fn transaction<F, R>(&self, run: F) -> Transact<'_, F>
    where
        F: FnMut(Repo) -> R,
        R: Future,
    {
        Transact {
            repo: self,
            run,
            attempts_max: Transact::<F>::ATTEMPTS_MAX,
        }
    }
}

/// A transaction to be run; see [`Repo::transaction`].
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "counters")]
/// # struct Counter { slug: String, count: u64 }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// let count_up = repo.transaction(|tx| async move {
///     let count = tx.get::<Counter>("visits").await?.map_or(0, |counter| counter.count) + 1;
///     tx.insert(Counter { slug: "visits".into(), count }).await?;
///     Ok::<_, WriteError<Counter>>(count)
/// });
/// assert_eq!(count_up.attempts_max(10).await?, 1);
/// # Ok(())
/// # }
/// ```
#[must_use = "a transaction is run when it is awaited"]
pub struct Transact<'a, F> {
    repo: &'a Repo,
    run: F,
    attempts_max: u32,
}

impl<F> Transact<'_, F> {
    /// How often the closure runs at most, if it is not said. Each conflict means that somebody else has written, so the bound is
    /// for a transaction that is starved.
    pub const ATTEMPTS_MAX: u32 = 1000;

    /// The same, where the closure runs so many times at most; once, for 0.
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts.max(1);
        self
    }
}

impl<F> fmt::Debug for Transact<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transact")
            .field("repo", self.repo)
            .field("attempts_max", &self.attempts_max)
            .finish_non_exhaustive()
    }
}

/// Ends a transaction however its closure ends, also where a clone of its Repo lives on.
struct Begun(Arc<dyn Transaction>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<'a, F, R, T, X> IntoFuture for Transact<'a, F>
where
    F: FnMut(Repo) -> R + Send + 'a,
    R: Future<Output = Result<T, X>> + Send + 'a,
    T: Send + 'a,
    X: From<Error> + Send + 'a,
{
    type Output = Result<T, X>;
    type IntoFuture = BoxFuture<'a, Result<T, X>>;

    fn into_future(mut self) -> Self::IntoFuture {
        Box::pin(async move {
            let mut attempt = 0;
            loop {
                let begun = self.repo.transport().transaction(attempt).await;
                let begun = Begun(begun.map_err(Error::from)?);
                let inside = Repo {
                    strict: self.repo.strict,
                    ..Repo::new(Arc::<dyn Transaction>::clone(&begun.0))
                };
                let outcome = (self.run)(inside).await;
                attempt += 1;
                let again = attempt < self.attempts_max;
                let value = match outcome {
                    Ok(value) => value,
                    Err(_) if begun.0.is_outdated() && again => continue,
                    Err(error) => return Err(error),
                };
                match begun.0.commit().await {
                    Ok(_) => return Ok(value),
                    Err(error) if error.code() == TRANSACTION_CONFLICT && again => {
                        tracing::debug!(attempt, "a transaction was in conflict");
                    }
                    Err(error) => return Err(Error::from(error).into()),
                }
            }
        })
    }
}
