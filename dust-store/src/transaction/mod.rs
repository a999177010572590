//! Transactions: one state of the store, with what was written over it.
//!
//! A transaction of the store is one of the layer that is never committed. Its writes go through the same drafts as those of a
//! group, and are flushed into it; so every read, of leaves, lists and index entries, sees them by itself. The ops are kept, and the
//! commit hands them to the sequencer, which evaluates them again, where they get their numbers.

mod commit;
mod read_set;

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dust_layer::{Engine, Isolation, Transaction as _};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Action, Batch, DeviceId, Entry, Op, Path, Precondition, ValueKind};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
use dust_transport::transport::{Capabilities, EventStream, List, Page, Subscribe, Transaction, Transport, Written};
use futures_core::future::BoxFuture;
use tokio::sync::RwLock;

pub(crate) use commit::{Checked, Closed};
pub(crate) use read_set::ReadSet;

use crate::draft::Draft;
use crate::error::{Halt, Refusal, of_read};
use crate::group::{Verdict, evaluate_batch, written};
use crate::index::{Indexes, OnlyWork};
use crate::store::Store;

/// A transaction of a store.
pub(crate) struct Overlay<E: Engine> {
    store: Arc<Store<E>>,
    device: DeviceId,
    /// Reads the state, and what was written over it. Never committed.
    transaction: E::Transaction,
    /// The last op of the state.
    since: u64,
    indexes: Arc<Indexes>,
    /// Held by each read, and alone by a write, so that none sees half of a batch.
    written: RwLock<Overwritten>,
    reads: Mutex<ReadSet>,
    is_over: AtomicBool,
    is_outdated: AtomicBool,
}

/// What has been written.
#[derive(Debug, Default)]
struct Overwritten {
    /// Without their preconditions, which have been checked.
    ops: Vec<Op>,
    /// Records without leaves.
    records: Vec<OnlyWork>,
    /// Whether they have put an entry of an index in pieces.
    has_pieces: bool,
}

impl<E: Engine> fmt::Debug for Overlay<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transaction")
            .field("store", &self.store.name)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Overlay<E> {
    /// Begins on the last state.
    pub(crate) async fn begin(store: Arc<Store<E>>, device: DeviceId) -> Result<Self, Error> {
        let transaction = store.engine.begin();
        let head = store.head_in(&transaction).await?;
        let indexes = Indexes::read(&transaction, &store.keys, &store.indexes, Isolation::Snapshot).await;
        Ok(Self {
            device,
            transaction,
            since: head.seq,
            indexes: indexes.map_err(of_read)??,
            written: RwLock::default(),
            reads: Mutex::default(),
            is_over: AtomicBool::new(false),
            is_outdated: AtomicBool::new(false),
            store,
        })
    }

    fn check_open(&self) -> Result<(), Error> {
        if self.is_over.load(Ordering::SeqCst) {
            let detail = "the transaction is over";
            return Err(Error::new(ErrorKind::Closed, "transaction_over", detail));
        }
        Ok(())
    }

    /// Reads, beside other reads, what is written by now.
    async fn read<T>(&self, reading: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let _written = self.written.read().await;
        self.check_open()?;
        let found = reading.await;
        found.inspect_err(|error| self.note(error))
    }

    /// Remembers an error that ends the transaction.
    fn note(&self, error: &Error) {
        if error.is_retryable() {
            self.is_outdated.store(true, Ordering::SeqCst);
        }
    }

    /// Changes what counts as read.
    fn count_in(&self, add: impl FnOnce(&mut ReadSet)) {
        // Every change of it is complete when the lock is released.
        add(&mut self.reads.lock().unwrap_or_else(PoisonError::into_inner));
    }

    async fn get_one(&self, path: &Path) -> Result<Option<Entry>, Error> {
        let found = self.read(self.store.get(&self.transaction, path)).await?;
        let is_leaf = found.as_ref().is_some_and(|entry| entry.kind != ValueKind::Map);
        self.count_in(|reads| {
            if is_leaf {
                reads.add_leaf(&self.store.keys, path.as_str());
            } else {
                reads.add_subtree(&self.store.keys, path.as_str());
            }
        });
        Ok(found)
    }

    /// Writes a batch over the state.
    async fn put(&self, batch: Batch) -> Result<Written, Error> {
        self.store.check_size(&batch)?;
        if batch.id.is_some() {
            return Err(unsupported(
                "an op id is that of a whole transaction, which has one already",
            ));
        }
        for (index, op) in batch.ops.iter().enumerate() {
            if let Some(detail) = senseless(op) {
                return Err(Refusal::from(unsupported(detail)).at(index, &op.path));
            }
        }
        let mut written = self.written.write().await;
        self.check_open()?;
        self.check_room(&written, batch.ops.len())?;
        self.count_preconditions(&batch);
        let outcome = self.apply(&batch, &mut written).await;
        match outcome {
            Ok(reply) => {
                written
                    .ops
                    .extend(batch.ops.into_iter().map(|op| op.when(Precondition::None)));
                Ok(reply)
            }
            Err(error) => {
                // Why it was refused lies somewhere at or below its paths, and whoever is told has read it.
                self.count_in(|reads| {
                    for op in &batch.ops {
                        reads.add_subtree(&self.store.keys, op.path.as_str());
                    }
                    // Or in another record, which has the same values.
                    if let Some(at) = error.conflict() {
                        reads.add_leaf(&self.store.keys, at.path.as_str());
                    }
                });
                self.note(&error);
                Err(error)
            }
        }
    }

    fn check_room(&self, written: &Overwritten, more: usize) -> Result<(), Error> {
        let ops_max = self.store.options.transaction_ops_max;
        if written.ops.len() + written.records.len() + more > ops_max {
            let detail = format!("a transaction has at most {ops_max} ops");
            return Err(Refusal::invalid("transaction_too_large", detail).into_error());
        }
        Ok(())
    }

    /// Writes records that live only in their indexes over the state.
    async fn put_records(&self, changes: Vec<RecordChange>) -> Result<(), Error> {
        let works = OnlyWork::all(&changes, self.store.options.batch_ops_max).map_err(Refusal::into_error)?;
        let mut written = self.written.write().await;
        self.check_open()?;
        self.check_room(&written, works.len())?;
        let mut draft = Draft::new(&self.transaction, &self.store.keys, self.store.engine.limits());
        draft.has_pieces = self.indexes.has_pieces || written.has_pieces;
        for work in &works {
            let evaluated = work.evaluate(&mut draft, &self.indexes).await;
            evaluated.map_err(of_halt).inspect_err(|error| self.note(error))?;
        }
        written.has_pieces |= draft.has_pieces;
        draft.flush();
        written.records.extend(works);
        Ok(())
    }

    /// Reads a page of a query, and what changes with the records if no leaf does.
    async fn find(&self, query: &IndexQuery) -> Result<QueryPage, Error> {
        let Some(prefix) = self.indexes.only_prefix(&query.index) else {
            let found = self.read(self.store.query(&self.transaction, query)).await?;
            self.count_in(|reads| reads.add_subtree(&self.store.keys, query.index.prefix().as_str()));
            return Ok(found);
        };
        let key = self.store.keys.stamp(prefix.as_str());
        // Own writes do not move it before the commit.
        let reading = async {
            let stamp = self.transaction.get(&key, Isolation::Snapshot).await.map_err(of_read)?;
            Ok((stamp, self.store.query(&self.transaction, query).await?))
        };
        let (stamp, found) = self.read(reading).await?;
        self.count_in(|reads| reads.add_stamp(key, stamp));
        Ok(found)
    }

    async fn apply(&self, batch: &Batch, before: &mut Overwritten) -> Result<Written, Error> {
        let seq_before = self.since + before.ops.len() as u64;
        let limits = self.store.engine.limits();
        let now_ms = self.store.options.clock.now_ms();
        let mut draft = Draft::new(&self.transaction, &self.store.keys, limits);
        draft.has_pieces = self.indexes.has_pieces || before.has_pieces;
        let verdict = evaluate_batch(&mut draft, batch, &[], &self.device, seq_before, now_ms).await;
        match verdict.map_err(of_halt)? {
            Verdict::Written { first, applied } => {
                let maintained = self.indexes.maintain(&mut draft).await;
                maintained.map_err(|halt| match halt {
                    Halt::Refused(refusal) => refusal.of_batch(&batch.ops),
                    halt @ Halt::Engine(_) => of_halt(halt),
                })?;
                before.has_pieces |= draft.has_pieces;
                draft.flush();
                Ok(written(first, &applied))
            }
            Verdict::Refused(error) => Err(error),
            verdict => Err(crate::error::corrupt(format!("a batch came to {verdict:?}"))),
        }
    }

    /// What preconditions compare counts as read.
    fn count_preconditions(&self, batch: &Batch) {
        let keys = &self.store.keys;
        self.count_in(|reads| {
            for op in &batch.ops {
                match &op.precondition {
                    Precondition::Match(_) | Precondition::Absent => reads.add_leaf(keys, op.path.as_str()),
                    Precondition::Subtree { root, .. } | Precondition::SubtreeRevision { root, .. } => {
                        reads.add_subtree(keys, root.as_str());
                    }
                    // None; or one that this version does not know, and refuses.
                    _ => {}
                }
            }
        });
    }
}

fn of_halt(halt: Halt) -> Error {
    match halt {
        Halt::Refused(refusal) => refusal.into_error(),
        Halt::Engine(error) => of_read(error),
    }
}

/// Why an op makes no sense in a transaction.
fn senseless(op: &Op) -> Option<&'static str> {
    match &op.action {
        Action::PutFile { .. } => Some("a transaction puts no files: put the file first, and refer to it"),
        Action::Lease { .. } | Action::Renew { .. } | Action::Release { .. } => {
            Some("a transaction takes no leases: nobody else would see one before the commit")
        }
        _ if op.fence.is_some() => Some("a transaction has no fences: read the lease in it"),
        _ => None,
    }
}

fn unsupported(detail: &'static str) -> Error {
    Error::new(ErrorKind::NotSupported, "not_supported", detail)
}

fn refuse<T: Send + 'static>(detail: &'static str) -> BoxFuture<'static, Result<T, Error>> {
    Box::pin(std::future::ready(Err(unsupported(detail))))
}

impl<E: Engine> Transport for Overlay<E> {
    fn name(&self) -> &'static str {
        "transaction"
    }

    fn capabilities(&self) -> Capabilities {
        let options = &self.store.options;
        Capabilities::full()
            .with_subscribe(false)
            .with_files(false)
            .with_leases(false)
            .with_op_ids(false)
            .with_queries(true)
            .with_index_only_records(true)
            .with_batch_ops_max(options.batch_ops_max)
            .with_page_leaves_max(options.page_leaves_max)
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move {
            let (page, seen) = self.read(self.store.list(&self.transaction, query)).await?;
            self.count_in(|reads| reads.add(seen));
            Ok(page)
        })
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(self.get_one(path))
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        Box::pin(async move {
            let found = self.read(self.store.get_many(&self.transaction, paths)).await?;
            self.count_in(|reads| {
                for path in paths {
                    reads.add_leaf(&self.store.keys, path.as_str());
                }
            });
            Ok(found)
        })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            let found = self.read(self.store.exists(&self.transaction, path)).await?;
            self.count_in(|reads| reads.add_subtree(&self.store.keys, path.as_str()));
            Ok(found)
        })
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(self.put(batch))
    }

    fn subscribe(&self, _: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
        refuse("a transaction has no subscriptions: it sees one state")
    }

    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        Box::pin(async move {
            self.check_open()?;
            Ok(self.indexes.status())
        })
    }

    fn ensure_index<'a>(&'a self, _: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        refuse("a transaction builds no index: build it before")
    }

    fn drop_index<'a>(&'a self, _: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        refuse("a transaction removes no index")
    }

    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        Box::pin(self.find(query))
    }

    fn write_records(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.put_records(changes))
    }

    fn transaction(&self, _: u32) -> BoxFuture<'_, Result<Arc<dyn Transaction>, Error>> {
        refuse("a transaction has no transactions of its own: use the one that there is")
    }
}

impl<E: Engine> Transaction for Overlay<E> {
    fn commit(&self) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(async move {
            let mut written = self.written.write().await;
            self.check_open()?;
            self.abort();
            if self.is_outdated() {
                return Err(commit::conflict());
            }
            let Overwritten { ops, records, .. } = std::mem::take(&mut *written);
            if ops.is_empty() && records.is_empty() {
                return Ok(Written::default());
            }
            let mut reads = ReadSet::default();
            self.count_in(|counted| std::mem::swap(counted, &mut reads));
            self.store
                .commit(&self.device, Batch::new(ops), records, self.since, reads)
                .await
        })
    }

    fn abort(&self) {
        self.is_over.store(true, Ordering::SeqCst);
    }

    fn is_outdated(&self) -> bool {
        self.is_outdated.load(Ordering::SeqCst)
    }
}
