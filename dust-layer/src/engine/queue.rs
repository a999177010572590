//! The queue between transactions and the committer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Most commits of one group: their order must fit the two bytes of the stamp, and a batch should stay small enough to
/// answer soon.
const GROUP_LEN_MAX: usize = 4096;

/// How long the consumer looks for items before it sleeps, since a wake-up may cost more than a small commit; also how
/// long it lets a group fill up.
const LINGER_MAX: Duration = Duration::from_micros(50);

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// What is queued is still taken, then the consumer ends.
    Closing,
    /// The consumer is gone.
    Stopped,
}

/// Many producers, one consumer that takes everything there is.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    /// The number of items, readable without the lock while the consumer spins.
    len: AtomicUsize,
    /// How many items the last group had; only the consumer uses it.
    last_len: AtomicUsize,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                items: VecDeque::new(),
                phase: Phase::Open,
            }),
            ready: Condvar::new(),
            len: AtomicUsize::new(0),
            last_len: AtomicUsize::new(0),
        }
    }
}

impl<T> Queue<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an item, or gives it back if the consumer is gone.
    pub(super) fn push(&self, item: T) -> Result<(), T> {
        let mut state = self.lock();
        if state.phase == Phase::Stopped {
            return Err(item);
        }
        state.items.push_back(item);
        self.len.store(state.items.len(), Ordering::Release);
        let first = state.items.len() == 1;
        drop(state);
        if first {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Waits for items and takes what there is; `None` once the queue is closed and empty.
    ///
    /// Producers that were answered together tend to come back together. So a group begins a moment later if the last
    /// one was larger than what is there yet: otherwise the first to return would have a sync alone, and the others the
    /// next one. A lone producer never waits for others.
    pub(super) fn take(&self) -> Option<Vec<T>> {
        let began = Instant::now();
        let expected = self.last_len.load(Ordering::Relaxed).max(1);
        while self.len.load(Ordering::Acquire) < expected && began.elapsed() < LINGER_MAX {
            if expected > 1 {
                // Where cores are scarce, the time belongs to the producers that are awaited.
                std::thread::yield_now();
            } else {
                // For a lone producer a yield could give the core to another process for milliseconds.
                std::hint::spin_loop();
            }
        }
        let mut state = self.lock();
        while state.items.is_empty() && state.phase == Phase::Open {
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.items.is_empty() {
            return None;
        }
        let count = state.items.len().min(GROUP_LEN_MAX);
        let group = state.items.drain(..count).collect();
        self.len.store(state.items.len(), Ordering::Release);
        self.last_len.store(count, Ordering::Relaxed);
        Some(group)
    }

    /// Lets the consumer end once it has taken what is queued.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Closing;
        }
        drop(state);
        self.ready.notify_one();
    }

    /// Called by the consumer when it ends: refuses further items and gives back those never taken.
    pub(super) fn stop(&self) -> Vec<T> {
        let mut state = self.lock();
        state.phase = Phase::Stopped;
        self.len.store(0, Ordering::Release);
        state.items.drain(..).collect()
    }
}
