//! A future that whoever waits for it drives.
//!
//! With a lock that is handed from waiter to waiter, a waiter that is alive but not polled would hold up all others. Here
//! the future wakes every waiter, and the first to be polled drives it on.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

/// What is driven.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(crate) struct Relay {
    /// Empty while a waiter polls it; so it stays empty if the future panics.
    running: Mutex<Option<Running>>,
    wakers: Arc<Wakers>,
    next_id: AtomicU64,
}

/// The wakers of the waiters, by their ids.
#[derive(Default)]
struct Wakers(Mutex<BTreeMap<u64, Waker>>);

impl Wakers {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Waker>> {
        // Single inserts and removals: nothing is half done when the lock is released.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = std::mem::take(&mut *self.lock());
        wakers.into_values().for_each(Waker::wake);
    }
}

impl Relay {
    /// Takes part in waiting and driving.
    pub(crate) fn join(&self) -> Waiter<'_> {
        Waiter {
            relay: self,
            id: self.next_id.fetch_add(1, Ordering::Relaxed),
        }
    }

    /// Whether a future is under way.
    pub(crate) fn is_running(&self) -> bool {
        match self.running.try_lock() {
            Ok(running) => running.is_some(),
            Err(TryLockError::Poisoned(running)) => running.into_inner().is_some(),
            Err(TryLockError::WouldBlock) => true,
        }
    }
}

/// One who waits.
pub(crate) struct Waiter<'r> {
    relay: &'r Relay,
    id: u64,
}

impl Waiter<'_> {
    /// Drives what is under way, or else what `next` gives; ready when that has ended, or there is nothing to drive.
    pub(crate) fn poll(&self, cx: &mut Context<'_>, next: impl FnOnce() -> Option<Running>) -> Poll<()> {
        // Before the lock is tried: whoever holds it now wakes those who are registered when it lets go.
        self.relay.wakers.lock().insert(self.id, cx.waker().clone());
        let mut slot = match self.relay.running.try_lock() {
            Ok(slot) => slot,
            Err(TryLockError::Poisoned(slot)) => slot.into_inner(),
            Err(TryLockError::WouldBlock) => return Poll::Pending,
        };
        let Some(mut running) = slot.take().or_else(next) else {
            return Poll::Ready(());
        };
        let waker = Waker::from(Arc::clone(&self.relay.wakers));
        if running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
            *slot = Some(running);
            return Poll::Pending;
        }
        drop(slot);
        waker.wake();
        Poll::Ready(())
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.relay.wakers.lock().remove(&self.id);
    }
}
