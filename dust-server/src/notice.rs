//! Word that something has changed which open sockets rest on: a token, a store, the server itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

/// Who is to be told, and how often there was something to tell. It does not say what: whoever hears of it looks himself.
#[derive(Debug, Default)]
pub(crate) struct Notice {
    raised: AtomicU64,
    wakers: Mutex<Wakers>,
}

#[derive(Debug, Default)]
struct Wakers {
    next_id: u64,
    by_id: HashMap<u64, Waker>,
}

impl Notice {
    /// Tells all who listen.
    pub(crate) fn raise(&self) {
        self.raised.fetch_add(1, Ordering::SeqCst);
        let wakers: Vec<Waker> = self.wakers().by_id.values().cloned().collect();
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Listens from now on.
    pub(crate) fn listen(self: &Arc<Self>) -> Listener {
        let mut wakers = self.wakers();
        wakers.next_id += 1;
        Listener {
            id: wakers.next_id,
            notice: Arc::clone(self),
            heard: self.raised.load(Ordering::SeqCst),
            waker: None,
        }
    }

    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        // Single inserts and removals: nothing is half done when the lock is released.
        self.wakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who listens.
#[derive(Debug)]
pub(crate) struct Listener {
    notice: Arc<Notice>,
    id: u64,
    heard: u64,
    waker: Option<Waker>,
}

impl Listener {
    /// Whether there was something since the last call; the task is woken when there is.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> bool {
        // A task keeps its waker, so this is done once.
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
            self.notice.wakers().by_id.insert(self.id, cx.waker().clone());
        }
        let raised = self.notice.raised.load(Ordering::SeqCst);
        std::mem::replace(&mut self.heard, raised) != raised
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.notice.wakers().by_id.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_hears_once_of_what_is_raised_after_it_began() {
        let notice = Arc::new(Notice::default());
        notice.raise();
        let mut listener = notice.listen();
        let cx = Context::from_waker(Waker::noop());
        assert!(!listener.poll(&cx));
        notice.raise();
        notice.raise();
        assert!(listener.poll(&cx));
        assert!(!listener.poll(&cx));
        assert_eq!(notice.wakers().by_id.len(), 1);
        drop(listener);
        assert!(notice.wakers().by_id.is_empty());
    }
}
