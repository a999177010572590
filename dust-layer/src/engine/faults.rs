//! Failures on demand, for tests of what stands on an engine.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Makes writes and syncs of an engine fail when asked to.
///
/// Clones share one state, so a test keeps one and gives the other to the engine. Without an order nothing fails.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Error, Faults, Memory, Transaction};
///
/// let faults = Faults::default();
/// let memory = Memory::with_faults(faults.clone());
/// faults.fail_sync(1);
/// let transaction = memory.begin();
/// transaction.set(b"k", b"v");
/// assert!(matches!(transaction.commit().await, Err(Error::CommitUnknown)));
/// assert!(matches!(memory.begin().commit().await, Err(Error::Poisoned { .. })));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default)]
pub struct Faults {
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    writes_left: AtomicU64,
    syncs_left: AtomicU64,
    crash: Mutex<Option<Crash>>,
    loses_unsynced: AtomicBool,
    crashed: AtomicBool,
}

#[derive(Debug)]
struct Crash {
    syncs_left: u64,
    survivors: Survivors,
}

/// Which writes a power cut leaves behind of those that were never synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survivors {
    /// None of them.
    None,
    /// An arbitrary half of them, the same for the same seed.
    Half {
        /// Seeds the choice.
        seed: u64,
    },
}

/// What happens instead of a sync.
pub(super) enum SyncFault {
    Fail,
    /// A power cut; the function says of each unsynced write whether it survives.
    Crash(Box<dyn FnMut() -> bool>),
}

impl SyncFault {
    pub(super) fn into_io(self) -> io::Error {
        io::Error::other(match self {
            Self::Fail => "injected sync failure",
            Self::Crash(_) => "injected power cut",
        })
    }
}

impl Faults {
    /// Makes faults for a disk that can lose its power: writes reach the file with the next sync only.
    ///
    /// ```
    /// use dust_layer::disk::{Disk, Options};
    /// use dust_layer::faults::{Faults, Survivors};
    /// # let temporary = tempfile::tempdir().unwrap();
    ///
    /// let faults = Faults::losing_unsynced();
    /// let disk = Disk::open_with(temporary.path(), Options::default().faults(faults.clone()))?;
    /// faults.crash_at_sync(3, Survivors::Half { seed: 7 });
    /// # drop(disk);
    /// # Ok::<(), dust_layer::Error>(())
    /// ```
    #[must_use]
    pub fn losing_unsynced() -> Self {
        let faults = Self::default();
        faults.state.loses_unsynced.store(true, Ordering::SeqCst);
        faults
    }

    /// Lets the `nth` write from now fail, 1 being the next. 0 takes the order back.
    pub fn fail_write(&self, nth: u64) {
        self.state.writes_left.store(nth, Ordering::SeqCst);
    }

    /// Lets the `nth` sync from now fail, 1 being the next. 0 takes the order back.
    pub fn fail_sync(&self, nth: u64) {
        self.state.syncs_left.store(nth, Ordering::SeqCst);
    }

    /// Cuts the power at the `nth` sync from now: of what was not synced before, `survivors` reach the file, and every
    /// later write and sync fails. Only for faults made by [`losing_unsynced`](Faults::losing_unsynced); elsewhere it is
    /// a failed sync.
    pub fn crash_at_sync(&self, nth: u64, survivors: Survivors) {
        *self.crash() = nth.checked_sub(1).map(|syncs_left| Crash { syncs_left, survivors });
    }

    fn crash(&self) -> std::sync::MutexGuard<'_, Option<Crash>> {
        self.state.crash.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn loses_unsynced(&self) -> bool {
        self.state.loses_unsynced.load(Ordering::SeqCst)
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.state.crashed.load(Ordering::SeqCst)
    }

    /// Called before each write.
    pub(super) fn before_write(&self) -> io::Result<()> {
        if self.is_crashed() || count_down(&self.state.writes_left) {
            return Err(io::Error::other("injected write failure"));
        }
        Ok(())
    }

    /// Called before each sync.
    pub(super) fn before_sync(&self) -> Result<(), SyncFault> {
        if self.is_crashed() || count_down(&self.state.syncs_left) {
            return Err(SyncFault::Fail);
        }
        let mut crash = self.crash();
        match &mut *crash {
            None => Ok(()),
            Some(Crash {
                syncs_left: 0,
                survivors,
            }) => {
                let survivors = *survivors;
                *crash = None;
                self.state.crashed.store(true, Ordering::SeqCst);
                Err(SyncFault::Crash(Box::new(chooser(survivors))))
            }
            Some(Crash { syncs_left, .. }) => {
                *syncs_left -= 1;
                Ok(())
            }
        }
    }
}

fn chooser(survivors: Survivors) -> impl FnMut() -> bool {
    let mut state = match survivors {
        Survivors::None => None,
        Survivors::Half { seed } => Some(seed ^ 0x9e37_79b9_7f4a_7c15),
    };
    move || {
        let Some(state) = &mut state else { return false };
        // A linear congruential step; its high bits are even enough for a choice.
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *state >> 63 == 1
    }
}

/// Counts an order down; true when its turn has come.
fn count_down(left: &AtomicU64) -> bool {
    // Without an order, which is nearly always, a load is all it costs.
    left.load(Ordering::Relaxed) > 0
        && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)) == Ok(1)
}
