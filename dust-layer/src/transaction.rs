//! The retry loop around a transaction.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::{BuildHasher, Hasher};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::engine::{Committed, Engine, Transaction};
use crate::error::Error;

/// How often a transaction runs at most before its last error is given back.
///
/// Each conflict means that another transaction committed, so the loop as a whole makes progress; the bound is for one
/// that is starved.
pub const ATTEMPTS_MAX: u32 = 1000;

/// An error of a caller of the retry loop, which may hold one of the engine.
///
/// ```
/// use dust_layer::transaction::TransactError;
///
/// #[derive(Debug)]
/// enum Failure { Layer(dust_layer::Error), Full }
///
/// impl From<dust_layer::Error> for Failure {
///     fn from(error: dust_layer::Error) -> Self { Self::Layer(error) }
/// }
///
/// impl TransactError for Failure {
///     fn layer_error(&self) -> Option<&dust_layer::Error> {
///         match self { Self::Layer(error) => Some(error), Self::Full => None }
///     }
/// }
///
/// assert!(Failure::from(dust_layer::Error::Conflict).layer_error().unwrap().is_retryable());
/// assert!(Failure::Full.layer_error().is_none());
/// ```
pub trait TransactError: From<Error> {
    /// The error of the layer that this one wraps, if it does: it decides whether the transaction runs again.
    fn layer_error(&self) -> Option<&Error>;
}

impl TransactError for Error {
    fn layer_error(&self) -> Option<&Error> {
        Some(self)
    }
}

/// Runs `run` in a transaction and commits it, again from the start as often as it conflicts.
///
/// `run` may be called many times, so nothing outside the transaction may depend on how often. Its transaction is a
/// shared pointer that can be moved into futures; one that is kept beyond `run` gets [`Error::Used`].
///
/// # Errors
/// The error of `run`, if not retryable; the last [`Error::Conflict`] after [`ATTEMPTS_MAX`] runs;
/// [`Error::CommitUnknown`] as soon as it occurs, since running again could apply the writes twice.
///
/// # Cancel safety
/// Dropping the future before `run` ends commits nothing. Dropped later, the last run's writes are wholly there or not.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Isolation, Memory, Transaction, transact};
///
/// let memory = Memory::new();
/// let (length, committed) = transact(&memory, |tx| async move {
///     let old = tx.get(b"name", Isolation::Serializable).await?.unwrap_or_default();
///     tx.set(b"name", &[&old[..], b"x"].concat());
///     Ok::<_, dust_layer::Error>(old.len() + 1)
/// })
/// .await?;
/// assert_eq!(length, 1);
/// assert!(committed.version.0 > 0);
/// # Ok(())
/// # }
/// ```
pub async fn transact<E, T, X, F, R>(engine: &E, run: F) -> Result<(T, Committed), X>
where
    E: Engine,
    X: TransactError,
    F: FnMut(Arc<E::Transaction>) -> R,
    R: Future<Output = Result<T, X>>,
{
    attempts(engine, run, Error::is_retryable).await
}

/// As [`transact`], but also runs again when the outcome of a commit is unknown.
///
/// For transactions that find out by themselves whether they have been applied: by an id that they write, or because
/// applying them twice is the same as once.
///
/// # Errors
/// As [`transact`], except that [`Error::CommitUnknown`] is retried.
///
/// # Cancel safety
/// As [`transact`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Memory, Transaction, transact_idempotent};
///
/// let memory = Memory::new();
/// transact_idempotent(&memory, |tx| async move {
///     tx.set(b"done", b"yes");
///     Ok::<_, dust_layer::Error>(())
/// })
/// .await?;
/// # Ok(())
/// # }
/// ```
pub async fn transact_idempotent<E, T, X, F, R>(engine: &E, run: F) -> Result<(T, Committed), X>
where
    E: Engine,
    X: TransactError,
    F: FnMut(Arc<E::Transaction>) -> R,
    R: Future<Output = Result<T, X>>,
{
    attempts(engine, run, |error| error.is_retryable() || error.is_maybe_committed()).await
}

pub(crate) async fn attempts<E, T, X, F, R>(
    engine: &E,
    mut run: F,
    is_retryable: impl Fn(&Error) -> bool,
) -> Result<(T, Committed), X>
where
    E: Engine,
    X: TransactError,
    F: FnMut(Arc<E::Transaction>) -> R,
    R: Future<Output = Result<T, X>>,
{
    let mut attempt = 1;
    loop {
        let transaction = Arc::new(engine.begin());
        let outcome = match run(Arc::clone(&transaction)).await {
            Ok(value) => transaction
                .commit()
                .await
                .map(|committed| (value, committed))
                .map_err(X::from),
            Err(error) => Err(error),
        };
        match outcome {
            Err(error) if attempt < ATTEMPTS_MAX && error.layer_error().is_some_and(&is_retryable) => {
                engine.pause(attempt).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Lets other tasks run, more of them the more often this one was refused.
pub(crate) async fn let_others_run(attempt: u32) {
    let turns_max = 1_u64 << attempt.min(6);
    for _ in 0..random() % turns_max {
        yield_now().await;
    }
}

/// Lets other tasks run once.
pub(crate) async fn yield_now() {
    Yield { done: false }.await;
}

/// A random number for spreading, not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

struct Yield {
    done: bool,
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if std::mem::replace(&mut self.done, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
