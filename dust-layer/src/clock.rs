//! Time, given from outside so that tests need not wait.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_core::future::BoxFuture;

/// The time since 1970, and a way to wait for it to pass.
///
/// Nothing that is stored depends on clocks that agree: what a clock decides is when a claim looks abandoned, and which
/// marks of done transactions are old.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Duration + Send + Sync>,
    wait: Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>,
}

impl Clock {
    /// The clock of the system. Waiting needs a tokio runtime with its timer.
    #[must_use]
    pub fn system() -> Self {
        Self {
            now: Arc::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()),
            wait: Arc::new(|duration| {
                Box::pin(async move {
                    // Nothing ends this one before its time.
                    let _ = tokio::time::timeout(duration, std::future::pending::<()>()).await;
                })
            }),
        }
    }

    /// A clock that stands still until its [`ManualTime`] is advanced.
    ///
    /// ```
    /// use std::time::Duration;
    /// use dust_layer::clock::Clock;
    ///
    /// let (clock, time) = Clock::manual(Duration::from_secs(7));
    /// time.advance(Duration::from_secs(3));
    /// assert_eq!(clock.now(), Duration::from_secs(10));
    /// ```
    #[must_use]
    pub fn manual(now: Duration) -> (Self, ManualTime) {
        let time = ManualTime {
            state: Arc::new(Mutex::new(Manual {
                now,
                waiters: Vec::new(),
            })),
        };
        let (reading, waiting) = (time.clone(), time.clone());
        let clock = Self {
            now: Arc::new(move || reading.lock().now),
            wait: Arc::new(move |duration| Box::pin(waiting.wait(duration))),
        };
        (clock, time)
    }

    /// The time since 1970.
    #[must_use]
    pub fn now(&self) -> Duration {
        (self.now)()
    }

    /// Waits.
    pub fn wait(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        (self.wait)(duration)
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock")
            .field("now", &self.now())
            .finish_non_exhaustive()
    }
}

/// Advances a [`Clock::manual`].
#[derive(Debug, Clone)]
pub struct ManualTime {
    state: Arc<Mutex<Manual>>,
}

#[derive(Debug)]
struct Manual {
    now: Duration,
    waiters: Vec<Waker>,
}

impl ManualTime {
    fn lock(&self) -> MutexGuard<'_, Manual> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass; whoever waited for no longer than this goes on.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.lock();
        state.now += duration;
        for waker in state.waiters.drain(..) {
            waker.wake();
        }
    }

    /// How many waits are under way.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.lock().waiters.len()
    }

    fn wait(&self, duration: Duration) -> impl Future<Output = ()> + Send + use<> {
        let time = self.clone();
        let until = time.lock().now + duration;
        std::future::poll_fn(move |context| {
            let mut state = time.lock();
            if state.now >= until {
                return Poll::Ready(());
            }
            if !state.waiters.iter().any(|waiter| waiter.will_wake(context.waker())) {
                state.waiters.push(context.waker().clone());
            }
            Poll::Pending
        })
    }
}
