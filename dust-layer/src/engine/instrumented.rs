//! An engine around another one that notes what is asked of it, lets calls fail on demand, and ends at any of them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{
    Atomic, Committed, Conflict, Direction, Engine, Isolation, Limits, MappedPairs, Mapper, Pairs, RangeRead,
    Transaction, Version, Watch,
};
use crate::error::Error;

/// One call of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[expect(
    missing_docs,
    reason = "the variants are the methods of Transaction, their fields its arguments"
)]
pub enum Operation {
    Get {
        key: Vec<u8>,
        isolation: Isolation,
    },
    GetRange {
        begin: Vec<u8>,
        end: Vec<u8>,
        limit: usize,
        direction: Direction,
        isolation: Isolation,
    },
    GetMappedRange {
        begin: Vec<u8>,
        end: Vec<u8>,
        limit: usize,
        direction: Direction,
        isolation: Isolation,
    },
    Set {
        key: Vec<u8>,
    },
    Clear {
        key: Vec<u8>,
    },
    ClearRange {
        begin: Vec<u8>,
        end: Vec<u8>,
    },
    Atomic {
        atomic: Atomic,
        key: Vec<u8>,
    },
    SetVersionstampedKey {
        key: Vec<u8>,
    },
    SetVersionstampedValue {
        key: Vec<u8>,
    },
    AddConflict {
        conflict: Conflict,
        begin: Vec<u8>,
    },
    Watch {
        key: Vec<u8>,
    },
    Commit,
}

/// What a commit meets instead of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFault {
    /// Nothing: the commit goes on.
    None,
    /// [`Error::Conflict`]; nothing is committed.
    Conflict,
    /// [`Error::CommitUnknown`].
    Unknown {
        /// Whether the writes are applied nevertheless.
        applied: bool,
    },
}

/// An engine that notes what is asked of another one, and lets calls fail on demand.
///
/// Clones share one state.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::engine::instrumented::{CommitFault, Instrumented, Operation};
/// use dust_layer::{Engine, Error, Memory, Transaction};
///
/// let engine = Instrumented::new(Memory::new());
/// engine.record();
/// engine.fail_commits([CommitFault::Conflict]);
/// let tx = engine.begin();
/// tx.set(b"k", b"v");
/// assert!(matches!(tx.commit().await, Err(Error::Conflict)));
/// assert_eq!(engine.recorded(), [Operation::Set { key: b"k".to_vec() }, Operation::Commit]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Instrumented<E> {
    engine: E,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// How many calls are answered yet; all of them if it is the largest number.
    calls_left: AtomicU64,
    is_recording: AtomicBool,
    operations: Mutex<Vec<Operation>>,
    faults: Mutex<VecDeque<CommitFault>>,
    reads_to_fail: AtomicU64,
    watches_to_fail: AtomicU64,
}

impl Default for State {
    fn default() -> Self {
        Self {
            calls_left: AtomicU64::new(ALL),
            is_recording: AtomicBool::new(false),
            operations: Mutex::default(),
            faults: Mutex::default(),
            reads_to_fail: AtomicU64::default(),
            watches_to_fail: AtomicU64::default(),
        }
    }
}

/// Takes one off, if there is one.
fn take(left: &AtomicU64) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
        .is_ok()
}

/// No end of the calls that are answered.
const ALL: u64 = u64::MAX;

impl State {
    /// Counts a call, which is refused once the engine has ended.
    fn answer(&self) -> Result<(), Error> {
        let count = |left: u64| if left == ALL { Some(ALL) } else { left.checked_sub(1) };
        let counted = self.calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, count);
        counted.map(drop).map_err(|_| Error::Closed)
    }

    /// Refuses a read that is to fail.
    fn answer_read(&self) -> Result<(), Error> {
        if take(&self.reads_to_fail) {
            return Err(Error::TransactionTooOld);
        }
        Ok(())
    }

    fn operations(&self) -> MutexGuard<'_, Vec<Operation>> {
        self.operations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, VecDeque<CommitFault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, operation: impl FnOnce() -> Operation) {
        if self.is_recording.load(Ordering::Relaxed) {
            self.operations().push(operation());
        }
    }
}

impl<E> Instrumented<E> {
    /// Wraps an engine.
    #[must_use]
    pub fn new(engine: E) -> Self {
        Self {
            engine,
            state: Arc::default(),
        }
    }

    /// Notes the calls from now on.
    pub fn record(&self) {
        self.state.operations().clear();
        self.state.is_recording.store(true, Ordering::Relaxed);
    }

    /// Gives the calls since [`record`](Self::record), and notes no more.
    #[must_use]
    pub fn recorded(&self) -> Vec<Operation> {
        self.state.is_recording.store(false, Ordering::Relaxed);
        std::mem::take(&mut self.state.operations())
    }

    /// Answers so many more reads and commits, and refuses all that come after with [`Error::Closed`], as if the process had
    /// been killed there: a commit that is refused is not applied.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Engine, Error, Instrumented, Isolation, Memory, Transaction};
    ///
    /// let engine = Instrumented::new(Memory::new());
    /// engine.end_after(1);
    /// let tx = engine.begin();
    /// tx.get(b"k", Isolation::Snapshot).await?;
    /// tx.set(b"k", b"v");
    /// assert!(matches!(tx.commit().await, Err(Error::Closed)));
    /// # Ok(())
    /// # }
    /// ```
    pub fn end_after(&self, calls: u64) {
        self.state.calls_left.store(calls, Ordering::SeqCst);
    }

    /// Lets the next commits of transactions that write meet these faults, one each.
    pub fn fail_commits(&self, faults: impl IntoIterator<Item = CommitFault>) {
        self.state.faults().extend(faults);
    }

    /// Refuses the next reads with [`Error::TransactionTooOld`], as a cluster may do in passing.
    pub fn fail_reads(&self, count: u64) {
        self.state.reads_to_fail.store(count, Ordering::SeqCst);
    }

    /// Lets the next watches end at once with [`Error::TransactionTooOld`], as a cluster may do in passing.
    pub fn fail_watches(&self, count: u64) {
        self.state.watches_to_fail.store(count, Ordering::SeqCst);
    }
}

impl<E: Engine> Engine for Instrumented<E> {
    type Transaction = InstrumentedTransaction<E::Transaction>;

    fn begin(&self) -> Self::Transaction {
        InstrumentedTransaction {
            transaction: self.engine.begin(),
            state: Arc::clone(&self.state),
            has_written: AtomicBool::new(false),
            is_dead: AtomicBool::new(false),
        }
    }

    fn limits(&self) -> Limits {
        self.engine.limits()
    }

    fn name(&self) -> &'static str {
        self.engine.name()
    }

    fn pause(&self, attempt: u32) -> impl Future<Output = ()> + Send {
        self.engine.pause(attempt)
    }

    fn commits(&self) -> Option<u64> {
        self.engine.commits()
    }
}

/// A transaction of [`Instrumented`].
#[derive(Debug)]
pub struct InstrumentedTransaction<T> {
    transaction: T,
    state: Arc<State>,
    has_written: AtomicBool,
    /// Whether a fault took the place of the commit.
    is_dead: AtomicBool,
}

impl<T> InstrumentedTransaction<T> {
    fn check(&self) -> Result<(), Error> {
        if self.is_dead.load(Ordering::Relaxed) {
            return Err(Error::Used);
        }
        self.state.answer()
    }

    fn note_write(&self, operation: impl FnOnce() -> Operation) {
        self.has_written.store(true, Ordering::Relaxed);
        self.state.note(operation);
    }
}

impl<T: Transaction> Transaction for InstrumentedTransaction<T> {
    async fn read_version(&self) -> Result<Version, Error> {
        self.check()?;
        self.transaction.read_version().await
    }

    async fn get(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        self.check()?;
        self.state.answer_read()?;
        self.state.note(|| Operation::Get {
            key: key.to_vec(),
            isolation,
        });
        self.transaction.get(key, isolation).await
    }

    async fn get_range(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        self.check()?;
        self.state.answer_read()?;
        self.state.note(|| Operation::GetRange {
            begin: read.begin.to_vec(),
            end: read.end.to_vec(),
            limit: read.limit,
            direction: read.direction,
            isolation: read.isolation,
        });
        self.transaction.get_range(read).await
    }

    async fn get_mapped_range(&self, read: RangeRead<'_>, mapper: Mapper<'_>) -> Result<MappedPairs, Error> {
        self.check()?;
        self.state.answer_read()?;
        self.state.note(|| Operation::GetMappedRange {
            begin: read.begin.to_vec(),
            end: read.end.to_vec(),
            limit: read.limit,
            direction: read.direction,
            isolation: read.isolation,
        });
        self.transaction.get_mapped_range(read, mapper).await
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.note_write(|| Operation::Set { key: key.to_vec() });
        self.transaction.set(key, value);
    }

    fn clear(&self, key: &[u8]) {
        self.note_write(|| Operation::Clear { key: key.to_vec() });
        self.transaction.clear(key);
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.note_write(|| Operation::ClearRange {
            begin: begin.to_vec(),
            end: end.to_vec(),
        });
        self.transaction.clear_range(begin, end);
    }

    fn atomic(&self, atomic: Atomic, key: &[u8], operand: &[u8]) {
        self.note_write(|| Operation::Atomic {
            atomic,
            key: key.to_vec(),
        });
        self.transaction.atomic(atomic, key, operand);
    }

    fn set_versionstamped_key(&self, key: &[u8], value: &[u8]) {
        self.note_write(|| Operation::SetVersionstampedKey { key: key.to_vec() });
        self.transaction.set_versionstamped_key(key, value);
    }

    fn set_versionstamped_value(&self, key: &[u8], value: &[u8]) {
        self.note_write(|| Operation::SetVersionstampedValue { key: key.to_vec() });
        self.transaction.set_versionstamped_value(key, value);
    }

    fn add_conflict(&self, conflict: Conflict, begin: &[u8], end: &[u8]) {
        let note = || Operation::AddConflict {
            conflict,
            begin: begin.to_vec(),
        };
        match conflict {
            Conflict::Read => self.state.note(note),
            Conflict::Write => self.note_write(note),
        }
        self.transaction.add_conflict(conflict, begin, end);
    }

    fn watch(&self, key: &[u8]) -> Watch {
        self.state.note(|| Operation::Watch { key: key.to_vec() });
        if take(&self.state.watches_to_fail) {
            return Box::pin(std::future::ready(Err(Error::TransactionTooOld)));
        }
        self.transaction.watch(key)
    }

    async fn commit(&self) -> Result<Committed, Error> {
        self.check()?;
        self.state.note(|| Operation::Commit);
        let fault = if self.has_written.load(Ordering::Relaxed) {
            self.state.faults().pop_front().unwrap_or(CommitFault::None)
        } else {
            CommitFault::None
        };
        match fault {
            CommitFault::None => self.transaction.commit().await,
            CommitFault::Unknown { applied: true } => {
                self.transaction.commit().await?;
                Err(Error::CommitUnknown)
            }
            CommitFault::Conflict | CommitFault::Unknown { applied: false } => {
                self.is_dead.store(true, Ordering::Relaxed);
                Err(if fault == CommitFault::Conflict {
                    Error::Conflict
                } else {
                    Error::CommitUnknown
                })
            }
        }
    }
}
