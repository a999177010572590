//! Failures on demand, for tests of what stands on an engine.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
}

impl Faults {
    /// Lets the `nth` write from now fail, 1 being the next. 0 takes the order back.
    pub fn fail_write(&self, nth: u64) {
        self.state.writes_left.store(nth, Ordering::SeqCst);
    }

    /// Lets the `nth` sync from now fail, 1 being the next. 0 takes the order back.
    pub fn fail_sync(&self, nth: u64) {
        self.state.syncs_left.store(nth, Ordering::SeqCst);
    }

    /// Called before each write.
    pub(super) fn before_write(&self) -> io::Result<()> {
        count_down(&self.state.writes_left, "injected write failure")
    }

    /// Called before each sync.
    pub(super) fn before_sync(&self) -> io::Result<()> {
        count_down(&self.state.syncs_left, "injected sync failure")
    }
}

fn count_down(left: &AtomicU64, message: &str) -> io::Result<()> {
    let before = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    if before == Ok(1) {
        Err(io::Error::other(message))
    } else {
        Ok(())
    }
}
