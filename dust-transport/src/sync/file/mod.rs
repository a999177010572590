//! The durable shadow of the replica and of the outbox: one file, written behind by a thread of its own.
//!
//! What is to be written is gathered in memory, leaf by leaf and write by write, and the thread puts all that has gathered
//! into one transaction. So the file is always a state that the store had, what waits is bounded by what there is, and
//! nobody who applies an event waits for the disk.

mod format;
mod open;
mod restored;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::EndReason;
use super::replica::{Leaf, Replica};
use crate::channel::JoinReply;
use crate::error::ErrorKind;
use crate::model::{Path, Seq};

pub(super) use format::Row;
pub(super) use open::{Identity, Loaded, open};
pub use restored::Restored;
pub(super) use restored::{Left, Told, follow};

/// How long what nobody waits for may gather before it is written.
const LINGER: Duration = Duration::from_millis(50);

/// The number of a request to the file; those up to some number are in it, see [`Progress`].
pub(super) type Ticket = u64;

/// How far the file is.
#[derive(Debug, Clone, Default)]
pub(super) struct Progress {
    /// The requests up to this one are in the file, durably.
    pub(super) through: Ticket,
    /// Nothing more is written: it is closed and whole, or it failed.
    pub(super) over: Option<Result<(), EndReason>>,
}

/// An open file. It is closed in the background when this is dropped; [`close`](Self::close) waits for that.
#[derive(Debug)]
pub(super) struct File {
    queue: Arc<Queue>,
    progress: watch::Receiver<Progress>,
}

/// What is to be written.
#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    changes: Changes,
    /// The last ticket that was given out, and the last that the thread has taken.
    given: Ticket,
    taken: Ticket,
    /// Somebody waits for what has gathered.
    is_urgent: bool,
    is_closing: bool,
}

/// What becomes of the file in one transaction.
#[derive(Debug, Default)]
struct Changes {
    /// Before all else, every leaf goes.
    cleared: bool,
    leaves: BTreeMap<Path, Option<Leaf>>,
    applied: Option<Seq>,
    is_whole: Option<bool>,
    extensions: Option<String>,
    store_id: Option<String>,
    writes: BTreeMap<u64, WriteChange>,
}

/// What becomes of one write in the file.
#[derive(Debug)]
enum WriteChange {
    Put { row: Row, is_sent: bool },
    Sent,
    Remove,
}

impl Queue {
    // No code panics between two halves of a change, so a poisoned lock guards what is whole.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn submit(&self, is_urgent: bool, change: impl FnOnce(&mut Changes)) -> Ticket {
        let mut state = self.lock();
        change(&mut state.changes);
        state.given += 1;
        let is_first = state.given == state.taken + 1;
        if is_first || (is_urgent && !state.is_urgent) {
            self.changed.notify_one();
        }
        state.is_urgent |= is_urgent;
        state.given
    }

    /// Waits for something to write; none when there will be nothing more.
    fn take(&self) -> Option<(Changes, Ticket)> {
        let is_empty = |state: &mut State| state.given == state.taken && !state.is_closing;
        let state = self.changed.wait_while(self.lock(), is_empty);
        let state = state.unwrap_or_else(PoisonError::into_inner);
        let may_wait = |state: &mut State| !state.is_urgent && !state.is_closing;
        let waited = self.changed.wait_timeout_while(state, LINGER, may_wait);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.given == state.taken {
            return None;
        }
        state.is_urgent = false;
        state.taken = state.given;
        Some((std::mem::take(&mut state.changes), state.taken))
    }

    fn close(&self) {
        self.lock().is_closing = true;
        self.changed.notify_one();
    }
}

impl File {
    /// An op was applied: how the leaves stand that it wrote. The write that it settles leaves the file with it, so that a
    /// write that is in the file has no event up to where the leaves are.
    pub(super) fn apply(
        &self,
        seq: Seq,
        leaves: impl IntoIterator<Item = (Path, Option<Leaf>)>,
        settled: Option<u64>,
    ) -> Ticket {
        self.queue.submit(false, |changes| {
            changes.leaves.extend(leaves);
            changes.applied = Some(seq);
            changes
                .writes
                .extend(settled.map(|number| (number, WriteChange::Remove)));
        })
    }

    /// Other leaves are in the place of all that were there.
    pub(super) fn replace(&self, replica: &Replica, through: Seq) -> Ticket {
        let leaves = replica.leaves();
        let leaves = leaves.map(|(path, leaf)| (path.clone(), Some(leaf.clone()))).collect();
        self.queue.submit(false, |changes| {
            changes.cleared = true;
            changes.leaves = leaves;
            changes.applied = Some(through);
        })
    }

    /// The leaves are a whole store, or have begun anew to become one.
    pub(super) fn set_whole(&self, is_whole: bool) -> Ticket {
        self.queue.submit(false, |changes| changes.is_whole = Some(is_whole))
    }

    /// What the server said of itself and the store, to be known at the next join.
    pub(super) fn set_joined(&self, joined: &JoinReply) -> Ticket {
        self.queue.submit(false, |changes| {
            changes.extensions = Some(joined.extensions.join(","));
            changes.store_id.clone_from(&joined.store_id);
        })
    }

    /// Keeps a write, which may be sent as soon as it is in the file if `is_sent` says so.
    pub(super) fn keep(&self, number: u64, row: Row, is_sent: bool) -> Ticket {
        self.queue.submit(true, |changes| {
            changes.writes.insert(number, WriteChange::Put { row, is_sent });
        })
    }

    /// A write that is kept may be sent as soon as this is in the file.
    pub(super) fn mark_sent(&self, number: u64) -> Ticket {
        self.queue
            .submit(true, |changes| match changes.writes.get_mut(&number) {
                Some(WriteChange::Put { is_sent, .. }) => *is_sent = true,
                _ => drop(changes.writes.insert(number, WriteChange::Sent)),
            })
    }

    /// A write is settled. Should the file not get to know it, the server will.
    pub(super) fn settle(&self, number: u64) -> Ticket {
        self.queue.submit(false, |changes| {
            changes.writes.insert(number, WriteChange::Remove);
        })
    }

    /// A write shall not be sent any more, which holds as soon as this is in the file.
    pub(super) fn withdraw(&self, number: u64) -> Ticket {
        self.queue.submit(true, |changes| {
            changes.writes.insert(number, WriteChange::Remove);
        })
    }

    /// Whether a request is in the file, durably.
    pub(super) fn has(&self, ticket: Ticket) -> bool {
        self.progress.borrow().through >= ticket
    }

    /// How far the file is, as it goes on.
    pub(super) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits until everything is in the file, and the file is free for another.
    pub(super) async fn close(&self) -> Result<(), EndReason> {
        self.queue.close();
        let mut progress = self.progress.clone();
        let closed = progress.wait_for(|progress| progress.over.is_some()).await;
        match closed.map(|progress| progress.over.clone()) {
            Ok(Some(over)) => over,
            Ok(None) | Err(_) => Err(ended()),
        }
    }
}

/// Waits until the file goes on; gives why it will not do so any more, if that is so. Without a file it waits forever.
///
/// # Cancel safety
/// Nothing is missed.
pub(super) async fn progressed(progress: &mut Option<watch::Receiver<Progress>>) -> Option<EndReason> {
    let Some(progress) = progress else {
        return std::future::pending().await;
    };
    if progress.changed().await.is_err() {
        return Some(ended());
    }
    match &progress.borrow_and_update().over {
        None => None,
        Some(Ok(())) => Some(EndReason::closed()),
        Some(Err(reason)) => Some(reason.clone()),
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Why a synced store ends whose file cannot be written any more.
pub(super) fn failed(detail: impl std::fmt::Display) -> EndReason {
    EndReason {
        kind: ErrorKind::Storage,
        code: "replica_failed".to_owned(),
        detail: format!("the file of the replica cannot be written: {detail}"),
    }
}

/// The thread has panicked.
fn ended() -> EndReason {
    failed("the thread that writes it has ended")
}
