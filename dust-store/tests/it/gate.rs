//! An engine whose commits wait until they are let through.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use dust_layer::{
    Atomic, Committed, Conflict, Engine, Error, Isolation, Limits, LocalTransaction, Memory, Pairs, RangeRead,
    Transaction, Version, Watch,
};
use tokio::sync::Semaphore;

/// Memory with a gate before and one after each commit; both stand open at first. Answers of commits can be lost.
#[derive(Debug, Clone)]
pub(crate) struct Gated {
    memory: Memory,
    gates: Arc<Gates>,
}

#[derive(Debug)]
pub(crate) struct Gates {
    pub(crate) before: Gate,
    pub(crate) after: Gate,
    lost: Mutex<VecDeque<Lost>>,
}

/// What becomes of a commit whose answer is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    Applied,
    NotApplied,
}

impl Gates {
    /// Lets the answers of the next commits be lost.
    pub(crate) fn lose(&self, answers: impl IntoIterator<Item = Lost>) {
        self.lost.lock().unwrap().extend(answers);
    }

    /// How many answers are still to be lost.
    pub(crate) fn to_lose(&self) -> usize {
        self.lost.lock().unwrap().len()
    }
}

#[derive(Debug)]
pub(crate) struct Gate(Semaphore);

impl Gate {
    pub(crate) fn close(&self) {
        self.0.forget_permits(Semaphore::MAX_PERMITS);
    }

    /// Lets everyone through, from now on.
    pub(crate) fn open(&self) {
        self.close();
        self.0.add_permits(Semaphore::MAX_PERMITS);
    }

    async fn pass(&self) {
        drop(self.0.acquire().await.unwrap());
    }
}

impl Gated {
    pub(crate) fn new() -> (Self, Arc<Gates>) {
        let gate = || Gate(Semaphore::new(Semaphore::MAX_PERMITS));
        let gates = Arc::new(Gates {
            before: gate(),
            after: gate(),
            lost: Mutex::default(),
        });
        (
            Self {
                memory: Memory::new(),
                gates: Arc::clone(&gates),
            },
            gates,
        )
    }
}

impl Gated {
    /// The same, without gates.
    pub(crate) fn memory(&self) -> Memory {
        self.memory.clone()
    }
}

impl Engine for Gated {
    type Transaction = GatedTransaction;

    fn begin(&self) -> GatedTransaction {
        GatedTransaction {
            inner: self.memory.begin(),
            gates: Arc::clone(&self.gates),
        }
    }

    fn limits(&self) -> Limits {
        self.memory.limits()
    }

    fn name(&self) -> &'static str {
        "gated"
    }
}

#[derive(Debug)]
pub(crate) struct GatedTransaction {
    inner: LocalTransaction,
    gates: Arc<Gates>,
}

impl Transaction for GatedTransaction {
    async fn read_version(&self) -> Result<Version, Error> {
        self.inner.read_version().await
    }

    async fn get(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        self.inner.get(key, isolation).await
    }

    async fn get_range(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        self.inner.get_range(read).await
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        self.inner.set(key, value);
    }

    fn clear(&self, key: &[u8]) {
        self.inner.clear(key);
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        self.inner.clear_range(begin, end);
    }

    fn atomic(&self, atomic: Atomic, key: &[u8], operand: &[u8]) {
        self.inner.atomic(atomic, key, operand);
    }

    fn set_versionstamped_key(&self, key: &[u8], value: &[u8]) {
        self.inner.set_versionstamped_key(key, value);
    }

    fn set_versionstamped_value(&self, key: &[u8], value: &[u8]) {
        self.inner.set_versionstamped_value(key, value);
    }

    fn add_conflict(&self, conflict: Conflict, begin: &[u8], end: &[u8]) {
        self.inner.add_conflict(conflict, begin, end);
    }

    fn watch(&self, key: &[u8]) -> Watch {
        self.inner.watch(key)
    }

    async fn commit(&self) -> Result<Committed, Error> {
        self.gates.before.pass().await;
        let lost = self.gates.lost.lock().unwrap().pop_front();
        if lost == Some(Lost::NotApplied) {
            return Err(Error::CommitUnknown);
        }
        let committed = self.inner.commit().await;
        if lost == Some(Lost::Applied) {
            committed?;
            return Err(Error::CommitUnknown);
        }
        self.gates.after.pass().await;
        committed
    }
}
