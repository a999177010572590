//! The client library's network thread.

use std::sync::atomic::{AtomicBool, Ordering};

use ::foundationdb::api::FdbApiBuilder;

use super::code;
use crate::error::Error;

static STARTED: AtomicBool = AtomicBool::new(false);

/// Proof that the network thread runs. Only [`run`] makes one.
///
/// ```no_run
/// # #[cfg(feature = "foundationdb")]
/// use dust_layer::engine::foundationdb::network::{self, Network};
///
/// # #[cfg(feature = "foundationdb")] {
/// fn serve(_network: &Network) {}
/// network::run(serve)?;
/// # }
/// # Ok::<(), dust_layer::Error>(())
/// ```
#[derive(Debug)]
pub struct Network {
    _only_made_by_run: (),
}

/// Starts the network thread, runs `program`, and stops the thread when it returns or panics.
///
/// The client library allows this once in the life of a process. An engine that is kept beyond `program` never answers
/// again. The library must be stopped before the process exits: end the program by returning, or by
/// [`std::process::abort`], and not by [`std::process::exit`] inside `program`.
///
/// # Errors
/// [`Error::InvalidOperation`] at the second call; [`Error::Cluster`] if the installed library is older than 7.3 or
/// refuses to start.
///
/// ```no_run
/// # #[cfg(feature = "foundationdb")] {
/// let answer = dust_layer::engine::foundationdb::network::run(|_network| 42)?;
/// assert_eq!(answer, 42);
/// # }
/// # Ok::<(), dust_layer::Error>(())
/// ```
pub fn run<T>(program: impl FnOnce(&Network) -> T) -> Result<T, Error> {
    if STARTED.swap(true, Ordering::SeqCst) {
        return Err(Error::InvalidOperation(
            "the network thread has been started in this process",
        ));
    }
    let builder = FdbApiBuilder::default().build().map_err(code::refused)?;
    #[expect(unsafe_code, reason = "the library offers no safe way to start its thread")]
    // SAFETY: the guard must be dropped before the process exits. It is a local of this function, which drops it when
    // `program` returns and when it panics, and is handed to nobody.
    let stop = unsafe { builder.boot() }.map_err(code::refused)?;
    let answer = program(&Network { _only_made_by_run: () });
    drop(stop);
    Ok(answer)
}
