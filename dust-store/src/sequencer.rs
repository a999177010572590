//! The one place where a store is written: takes what is queued, commits it as one, answers and publishes.
//!
//! There is no thread and no task of its own. Whoever writes queues the batch and, while waiting for the answer, drives
//! the group that is under way. When the last of the writers is dropped in the middle of a group, a short-lived thread
//! finishes it.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use dust_layer::Engine;
use dust_transport::error::{Error, ErrorKind, Outcome};
use dust_transport::model::{Batch, DeviceId, FileHash};
use dust_transport::transport::Written;
use tokio::sync::{Notify, oneshot};

use crate::drive::block_on;
use crate::index::{IndexWork, OnlyWork};
use crate::relay::{Relay, Running};
use crate::rollback::Target;
use crate::store::Store;
use crate::transaction::Closed;

/// Something that waits for its group.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) work: Work,
    pub(crate) device: DeviceId,
    pub(crate) reply: oneshot::Sender<Result<Written, Error>>,
}

/// What is to be done. All that writes a store goes this way, so that nothing is ever in conflict on one node.
#[derive(Debug)]
pub(crate) enum Work {
    /// To commit a batch; with the hash of each file that it puts, in order.
    Batch { batch: Batch, hashes: Vec<FileHash> },
    /// To commit what a transaction has written, if what it has read is still so.
    Transaction(Closed),
    /// To bring a state of the past back.
    Rollback(Target),
    /// To take some of the ops up to here out of the log.
    Compact { through: u64 },
    /// To write records that live only in their indexes.
    Records(Vec<OnlyWork>),
    /// To define, build or remove an index.
    Index(IndexWork),
}

#[derive(Default)]
pub(crate) struct Sequencer {
    queue: Mutex<VecDeque<Pending>>,
    relay: Relay,
    writers: AtomicUsize,
    /// How many batches the last group had.
    group_batches: AtomicUsize,
    /// Notified when a group has ended.
    ended: Arc<Notify>,
}

impl std::fmt::Debug for Sequencer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sequencer")
            .field("queued", &self.queue().len())
            .finish_non_exhaustive()
    }
}

impl Sequencer {
    fn queue(&self) -> MutexGuard<'_, VecDeque<Pending>> {
        // Pushes and pops only: nothing is half done when the lock is released.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything queued whose caller still waits. Who gave up before the group began is not written.
    fn take(&self) -> Vec<Pending> {
        let queued = std::mem::take(&mut *self.queue());
        queued
            .into_iter()
            .filter(|pending| !pending.reply.is_closed())
            .collect()
    }

    /// Puts back what did not fit into a group, before everything else.
    pub(crate) fn put_back(&self, rest: Vec<Pending>) {
        let mut queue = self.queue();
        for pending in rest.into_iter().rev() {
            queue.push_front(pending);
        }
    }

    /// Waits for the end of the group that is under way, if there is one. The future does not hold the store.
    pub(crate) fn idle(&self) -> impl Future<Output = ()> + Send + use<> {
        let ended = Arc::clone(&self.ended).notified_owned();
        let is_running = self.relay.is_running();
        async move {
            if is_running {
                ended.await;
            }
        }
    }
}

/// A group of all that is queued, if anything is.
fn next_group<E: Engine>(store: &Arc<Store<E>>) -> Option<Running> {
    if store.sequencer.queue().is_empty() {
        return None;
    }
    let store = Arc::clone(store);
    Some(Box::pin(async move {
        // Those who were answered together are about to write again: with a moment for that they share one commit, and
        // without it the first of them commits alone while the others wait.
        if store.sequencer.group_batches.load(Ordering::Relaxed) > 1 {
            tokio::task::yield_now().await;
        }
        let queued = store.sequencer.take();
        store.sequencer.group_batches.store(queued.len(), Ordering::Relaxed);
        if !queued.is_empty() {
            store.run_group(queued).await;
        }
    }))
}

/// Counts a caller who waits for an answer.
struct Writer<'s, E: Engine>(&'s Arc<Store<E>>);

impl<'s, E: Engine> Writer<'s, E> {
    fn new(store: &'s Arc<Store<E>>) -> Self {
        store.sequencer.writers.fetch_add(1, Ordering::SeqCst);
        Self(store)
    }
}

impl<E: Engine> Drop for Writer<'_, E> {
    fn drop(&mut self) {
        let sequencer = &self.0.sequencer;
        let others = sequencer.writers.fetch_sub(1, Ordering::SeqCst) - 1;
        if std::thread::panicking() {
            // The group is gone with the panic.
            sequencer.ended.notify_waiters();
        } else if others == 0 && sequencer.relay.is_running() {
            finish(Arc::clone(self.0));
        }
    }
}

/// Finishes the group that nobody drives any more.
fn finish<E: Engine>(store: Arc<Store<E>>) {
    let drive = move || {
        let waiter = store.sequencer.relay.join();
        block_on(poll_fn(|cx| waiter.poll(cx, || None)));
        store.sequencer.ended.notify_waiters();
    };
    if let Err(error) = std::thread::Builder::new()
        .name("dust-store-finish".into())
        .spawn(drive)
    {
        tracing::warn!(%error, "a group of writes waits for the next writer");
    }
}

/// Queues a piece of work and waits until it is durable.
pub(crate) async fn run<E: Engine>(store: &Arc<Store<E>>, device: &DeviceId, work: Work) -> Result<Written, Error> {
    let _writer = Writer::new(store);
    let waiter = store.sequencer.relay.join();
    let (reply, mut answer) = oneshot::channel();
    store.sequencer.queue().push_back(Pending {
        work,
        device: device.clone(),
        reply,
    });
    poll_fn(|cx| {
        if let Poll::Ready(answer) = poll_answer(&mut answer, cx) {
            return Poll::Ready(answer);
        }
        while waiter.poll(cx, || next_group(store)).is_ready() {
            store.sequencer.ended.notify_waiters();
            // A group has ended, or there was none to form: then this batch has been in one. Not by polling, which may
            // say that a task has run long enough.
            match answer.try_recv() {
                Ok(answer) => return Poll::Ready(answer),
                Err(oneshot::error::TryRecvError::Closed) => return Poll::Ready(Err(unanswered())),
                Err(oneshot::error::TryRecvError::Empty) => {}
            }
        }
        Poll::Pending
    })
    .await
}

type Answer = oneshot::Receiver<Result<Written, Error>>;

fn poll_answer(answer: &mut Answer, cx: &mut Context<'_>) -> Poll<Result<Written, Error>> {
    Pin::new(answer)
        .poll(cx)
        .map(|answer| answer.unwrap_or_else(|_| Err(unanswered())))
}

/// The group panicked.
fn unanswered() -> Error {
    Error::new(ErrorKind::Storage, "storage", "the group of this write was given up").with_outcome(Outcome::Unknown)
}
