//! The one place where a store is written: takes what is queued, commits it as one, answers and publishes.
//!
//! There is no thread and no task of its own. Whoever writes queues the batch and then waits for the reply or for the
//! lead, whichever comes first. The one with the lead drives the group's future, which lives in the lead and not in the
//! leader: when the leader's caller drops it, the next waiter drives on, and a short-lived thread in case there is none.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use dust_layer::Engine;
use dust_transport::error::{Error, ErrorKind, Outcome};
use dust_transport::model::{Batch, DeviceId};
use dust_transport::transport::Written;
use tokio::sync::{Mutex as Lead, MutexGuard as LeadGuard, oneshot};

use crate::drive::block_on;
use crate::store::Store;

/// A batch that waits for its group.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) batch: Batch,
    pub(crate) device: DeviceId,
    pub(crate) reply: oneshot::Sender<Result<Written, Error>>,
}

/// A group on its way, until it is committed, answered and published.
type Group = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(crate) struct Sequencer {
    queue: Mutex<VecDeque<Pending>>,
    lead: Lead<Option<Group>>,
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
}

/// Who has the lead. Dropping it in the middle of a group hands the group on.
struct Leader<'s, E: Engine> {
    store: &'s Arc<Store<E>>,
    group: Option<LeadGuard<'s, Option<Group>>>,
}

impl<E: Engine> Leader<'_, E> {
    /// Drives the group that is under way, or else a group of all that is queued.
    async fn round(&mut self) {
        let Some(slot) = self.group.as_deref_mut() else { return };
        if slot.is_none() {
            let queued = self.store.sequencer.take();
            if queued.is_empty() {
                return;
            }
            *slot = Some(Box::pin(Arc::clone(self.store).run_group(queued)));
        }
        if let Some(group) = slot {
            group.await;
            *slot = None;
        }
    }
}

impl<E: Engine> Drop for Leader<'_, E> {
    fn drop(&mut self) {
        let Some(mut group) = self.group.take() else { return };
        if std::thread::panicking() {
            // A future that has panicked cannot be driven on; those who wait for it learn that nobody will answer.
            *group = None;
        }
        let unfinished = group.is_some();
        drop(group);
        if !unfinished {
            return;
        }
        let store = Arc::clone(self.store);
        let finish = move || block_on(async { lead(&store).await.round().await });
        if let Err(error) = std::thread::Builder::new()
            .name("dust-store-finish".into())
            .spawn(finish)
        {
            tracing::warn!(%error, "a group of writes waits for the next writer");
        }
    }
}

async fn lead<E: Engine>(store: &Arc<Store<E>>) -> Leader<'_, E> {
    let group = Some(store.sequencer.lead.lock().await);
    Leader { store, group }
}

/// Queues a batch and waits until it is durable.
pub(crate) async fn write<E: Engine>(store: &Arc<Store<E>>, device: &DeviceId, batch: Batch) -> Result<Written, Error> {
    let (reply, mut answer) = oneshot::channel();
    store.sequencer.queue().push_back(Pending {
        batch,
        device: device.clone(),
        reply,
    });
    let mut turn = pin!(lead(store));
    let first = poll_fn(|cx| {
        if let Poll::Ready(answer) = Pin::new(&mut answer).poll(cx) {
            return Poll::Ready(Err(answer));
        }
        turn.as_mut().poll(cx).map(Ok)
    });
    let mut leader = match first.await {
        Err(answer) => return answer.unwrap_or_else(|_| Err(unanswered())),
        Ok(leader) => leader,
    };
    loop {
        match answer.try_recv() {
            Ok(answer) => return answer,
            Err(oneshot::error::TryRecvError::Closed) => return Err(unanswered()),
            Err(oneshot::error::TryRecvError::Empty) => leader.round().await,
        }
    }
}

/// The group panicked.
fn unanswered() -> Error {
    Error::new(ErrorKind::Storage, "storage", "the group of this write was given up").with_outcome(Outcome::Unknown)
}
