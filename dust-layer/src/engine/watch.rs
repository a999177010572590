//! Watches: futures that resolve when a key's value is no longer what was seen.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use super::storage::Bytes;
use crate::error::Error;

/// The value that a watch compares with.
#[derive(Debug)]
pub(super) enum Seen {
    /// The transaction saw this value.
    Value(Option<Vec<u8>>),
    /// The transaction wrote the key in a way that only its commit resolves: the value it has then.
    Commit,
}

/// A watch whose transaction has not committed yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) key: Bytes,
    pub(super) seen: Seen,
    id: u64,
    sender: oneshot::Sender<Result<(), Error>>,
}

impl Pending {
    pub(super) fn fail(self, error: Error) {
        let _ = self.sender.send(Err(error));
    }
}

#[derive(Debug)]
struct Active {
    id: u64,
    seen: Option<Vec<u8>>,
    sender: oneshot::Sender<Result<(), Error>>,
}

/// The active watches of an engine.
#[derive(Debug, Default)]
pub(super) struct Watches {
    active: Mutex<HashMap<Bytes, Vec<Active>>>,
    next_id: AtomicU64,
}

impl Watches {
    fn lock(&self) -> MutexGuard<'_, HashMap<Bytes, Vec<Active>>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a watch and the future that waits for it.
    pub(super) fn create(self: &Arc<Self>, key: &[u8], seen: Seen) -> (Pending, WatchFuture) {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        let key = Bytes::from(key);
        let pending = Pending {
            key: Bytes::clone(&key),
            seen,
            id,
            sender,
        };
        (
            pending,
            WatchFuture {
                receiver,
                watches: Arc::downgrade(self),
                key,
                id,
            },
        )
    }

    /// Activates watches. `current` reads the latest published state, after the lock is held: a change published
    /// before is found here, one published later finds the watch.
    pub(super) fn activate(
        &self,
        pending: Vec<Pending>,
        mut current: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, Error>,
    ) {
        if pending.is_empty() {
            return;
        }
        let mut active = self.lock();
        for Pending { key, seen, id, sender } in pending {
            if sender.is_closed() {
                continue;
            }
            let now = match current(&key) {
                Ok(now) => now,
                Err(error) => {
                    let _ = sender.send(Err(error));
                    continue;
                }
            };
            match seen {
                Seen::Value(seen) if seen != now => {
                    let _ = sender.send(Ok(()));
                }
                Seen::Value(seen) => active.entry(key).or_default().push(Active { id, seen, sender }),
                Seen::Commit => active.entry(key).or_default().push(Active { id, seen: now, sender }),
            }
        }
    }

    /// Whether nothing is watched, so that a commit need not look.
    pub(super) fn is_idle(&self) -> bool {
        self.lock().is_empty()
    }

    /// Fires the watches whose key no longer has the value seen, among those that `written` holds.
    pub(super) fn fire(
        &self,
        written: impl Fn(&[u8]) -> bool,
        mut current: impl FnMut(&[u8]) -> Result<Option<Vec<u8>>, Error>,
    ) {
        self.lock().retain(|key, watches| {
            if !written(key) {
                return true;
            }
            match current(key) {
                Ok(now) => {
                    for watch in watches.extract_if(.., |watch| watch.seen != now) {
                        let _ = watch.sender.send(Ok(()));
                    }
                }
                Err(_) => watches.clear(),
            }
            !watches.is_empty()
        });
    }

    /// Ends every watch with an error.
    pub(super) fn fail_all(&self, error: impl Fn() -> Error) {
        for (_, watches) in self.lock().drain() {
            for watch in watches {
                let _ = watch.sender.send(Err(error()));
            }
        }
    }

    fn remove(&self, key: &Bytes, id: u64) {
        let mut active = self.lock();
        if let Some(watches) = active.get_mut(key) {
            watches.retain(|watch| watch.id != id);
            if watches.is_empty() {
                active.remove(key);
            }
        }
    }
}

/// Waits for a watch; dropping it takes the watch back.
#[derive(Debug)]
pub(super) struct WatchFuture {
    receiver: oneshot::Receiver<Result<(), Error>>,
    watches: Weak<Watches>,
    key: Bytes,
    id: u64,
}

impl Future for WatchFuture {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.receiver)
            .poll(context)
            .map(|outcome| outcome.unwrap_or(Err(Error::Closed)))
    }
}

impl Drop for WatchFuture {
    fn drop(&mut self) {
        self.receiver.close();
        if let Some(watches) = self.watches.upgrade() {
            watches.remove(&self.key, self.id);
        }
    }
}
