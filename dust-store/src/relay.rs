//! A future that whoever waits for it drives.
//!
//! With a lock that is handed from waiter to waiter, a waiter that is alive but not polled would hold up all others. Here
//! the future wakes every waiter, and the first to be polled drives it on.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};

/// What is driven.
pub(crate) type Running = Pin<Box<dyn Future<Output = ()> + Send>>;

#[derive(Default)]
pub(crate) struct Relay {
    /// Empty while a waiter polls it; so it stays empty if the future panics.
    running: Mutex<Option<Running>>,
    wakers: Arc<Wakers>,
    /// The wakers of those who found the future being polled by another. They may have been woken for it, so the other
    /// wakes them again when it lets go, lest it all hangs on that other one being polled once more.
    turned_away: Mutex<Vec<Waker>>,
    is_running: AtomicBool,
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

    fn try_lock(&self) -> Option<MutexGuard<'_, Option<Running>>> {
        match self.running.try_lock() {
            Ok(slot) => Some(slot),
            Err(TryLockError::Poisoned(slot)) => Some(slot.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn turned_away(&self) -> MutexGuard<'_, Vec<Waker>> {
        self.turned_away.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a future is under way.
    ///
    /// It does not try the lock: whoever fails to get the lock meanwhile would take this for a driver, and sleep.
    pub(crate) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::SeqCst)
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
        // Before the lock is tried: whoever holds it now wakes those who are registered when the future ends.
        self.relay.wakers.lock().insert(self.id, cx.waker().clone());
        let Some(mut slot) = self.relay.try_lock().or_else(|| {
            self.relay.turned_away().push(cx.waker().clone());
            // The other may have let go before it could see this.
            self.relay.try_lock()
        }) else {
            return Poll::Pending;
        };
        let waker = Waker::from(Arc::clone(&self.relay.wakers));
        if let Some(mut running) = slot.take().or_else(next) {
            self.relay.is_running.store(true, Ordering::SeqCst);
            if running.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
                *slot = Some(running);
                drop(slot);
                let turned_away = std::mem::take(&mut *self.relay.turned_away());
                turned_away.into_iter().for_each(Waker::wake);
                return Poll::Pending;
            }
        }
        self.relay.is_running.store(false, Ordering::SeqCst);
        drop(slot);
        // Even if there was nothing to drive: who was turned away in this moment may have something by now.
        self.relay.turned_away().clear();
        waker.wake();
        Poll::Ready(())
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.relay.wakers.lock().remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Another waiter comes while the future is being polled; here from within, where a thread would come from beside.
    /// It may have been woken for the future, and nobody else may ever be: it has to be woken again.
    #[test]
    fn who_is_turned_away_is_woken_when_the_future_is_let_go() {
        let relay = Arc::new(Relay::default());
        let (turned_away, driver) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (inner, waker) = (Arc::clone(&relay), Waker::from(Arc::clone(&turned_away)));
        let mut future: Option<Running> = Some(Box::pin(std::future::poll_fn(move |_| {
            let other = inner.join();
            let polled = other.poll(&mut Context::from_waker(&waker), || None);
            assert!(polled.is_pending(), "the future is another's for now");
            Poll::<()>::Pending
        })));
        let waiter = relay.join();
        let waker = Waker::from(Arc::clone(&driver));
        let polled = waiter.poll(&mut Context::from_waker(&waker), || future.take());
        assert!(polled.is_pending());
        assert_eq!(turned_away.0.load(Ordering::SeqCst), 1);
        assert_eq!(
            driver.0.load(Ordering::SeqCst),
            0,
            "nothing has happened for the driver"
        );
    }

    /// The end of the future is told to all, whoever drove it.
    #[test]
    fn everyone_is_woken_at_the_end() {
        let relay = Relay::default();
        let (first, second) = (Arc::new(Count::default()), Arc::new(Count::default()));
        let (sleeper, driver) = (relay.join(), relay.join());
        let waker = Waker::from(Arc::clone(&first));
        let mut polls = 0;
        let mut future: Option<Running> = Some(Box::pin(std::future::poll_fn(move |_| {
            polls += 1;
            if polls > 1 { Poll::Ready(()) } else { Poll::Pending }
        })));
        assert!(
            sleeper
                .poll(&mut Context::from_waker(&waker), || future.take())
                .is_pending()
        );
        let waker = Waker::from(Arc::clone(&second));
        assert!(driver.poll(&mut Context::from_waker(&waker), || None).is_ready());
        assert_eq!(first.0.load(Ordering::SeqCst), 1);
        assert!(!relay.is_running());
    }
}
