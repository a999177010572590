//! The data file as `redb` sees it: byte verbs that can hold writes back and can fail on demand.
//!
//! Two things need writes that have not reached the file yet. An open that fails must leave the file as it was, though
//! recovery writes before it knows; and a test of a power cut must lose what was never synced. Both keep the operations
//! in a log, answer reads through it, and replay it, syncs included, when the time has come.

use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

use crate::engine::faults::{Faults, SyncFault};
use crate::error::Error;

/// Whether writes reach the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// They do.
    Open,
    /// They are held back until the [`Valve`] is opened.
    Shut,
    /// They are held back until the next sync.
    Synced,
}

#[derive(Debug)]
enum Held {
    Write(u64, Vec<u8>),
    SetLen(u64),
    Sync,
}

#[derive(Debug)]
struct State {
    file: FileBackend,
    faults: Faults,
    /// Mirrors `gate == Open`, so that the common case takes no lock.
    open: AtomicBool,
    log: Mutex<Log>,
}

#[derive(Debug)]
struct Log {
    gate: Gate,
    held: Vec<Held>,
    len: u64,
}

/// The data file.
#[derive(Debug)]
pub(super) struct Backend(Arc<State>);

/// Lets the writes of a [`Backend`] that began shut through to the file.
#[derive(Debug)]
pub(super) struct Valve(Arc<State>);

impl Backend {
    pub(super) fn new(file: std::fs::File, gate: Gate, faults: Faults) -> Result<(Self, Valve), Error> {
        let file = FileBackend::new(file).map_err(super::open_error)?;
        let len = file.len().map_err(Error::io("read the size of the data file"))?;
        let state = Arc::new(State {
            file,
            faults,
            open: AtomicBool::new(gate == Gate::Open),
            log: Mutex::new(Log {
                gate,
                held: Vec::new(),
                len,
            }),
        });
        Ok((Self(Arc::clone(&state)), Valve(state)))
    }
}

impl Valve {
    /// Replays what was held back and opens the gate.
    pub(super) fn open(self) -> io::Result<()> {
        let mut log = self.0.lock();
        self.0.replay(&mut log)?;
        log.gate = if self.0.faults.loses_unsynced() {
            Gate::Synced
        } else {
            Gate::Open
        };
        self.0.open.store(log.gate == Gate::Open, Ordering::Release);
        Ok(())
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    fn replay(&self, log: &mut Log) -> io::Result<()> {
        for held in log.held.drain(..) {
            self.replay_one(&held)?;
        }
        Ok(())
    }

    fn replay_one(&self, held: &Held) -> io::Result<()> {
        match held {
            Held::Write(offset, bytes) => self.file.write(*offset, bytes),
            Held::SetLen(len) => self.file.set_len(*len),
            Held::Sync => self.file.sync_data(),
        }
    }

    /// Reads through the held operations: the file's bytes first, then each operation's over them, in order.
    fn read_held(&self, log: &Log, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset.saturating_add(out.len() as u64);
        if end > log.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        out.fill(0);
        let file_end = end.min(self.file.len()?);
        if let Some(within) = span(offset, file_end, offset).and_then(|(from, to)| out.get_mut(from..to)) {
            self.file.read(offset, within)?;
        }
        for held in &log.held {
            match held {
                Held::Write(at, bytes) => {
                    let (from, to) = ((*at).max(offset), (at + bytes.len() as u64).min(end));
                    let source = span(from, to, *at).and_then(|(from, to)| bytes.get(from..to));
                    let target = span(from, to, offset).and_then(|(from, to)| out.get_mut(from..to));
                    if let (Some(source), Some(target)) = (source, target) {
                        target.copy_from_slice(source);
                    }
                }
                Held::SetLen(len) => {
                    if let Some(cut) =
                        span((*len).max(offset), end, offset).and_then(|(from, to)| out.get_mut(from..to))
                    {
                        cut.fill(0);
                    }
                }
                Held::Sync => {}
            }
        }
        Ok(())
    }
}

/// `from..to` relative to `base`, if it is not empty and fits the address space.
fn span(from: u64, to: u64, base: u64) -> Option<(usize, usize)> {
    if from >= to {
        return None;
    }
    Some((
        usize::try_from(from.checked_sub(base)?).ok()?,
        usize::try_from(to.checked_sub(base)?).ok()?,
    ))
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        if self.0.is_open() {
            self.0.file.len()
        } else {
            Ok(self.0.lock().len)
        }
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.0.is_open() {
            return self.0.file.read(offset, out);
        }
        self.0.read_held(&self.0.lock(), offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        if self.0.is_open() {
            self.0.faults.before_write()?;
            return self.0.file.set_len(len);
        }
        let mut log = self.0.lock();
        if log.gate == Gate::Synced {
            self.0.faults.before_write()?;
        }
        log.len = len;
        log.held.push(Held::SetLen(len));
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.0.is_open() {
            self.0.faults.before_write()?;
            return self.0.file.write(offset, bytes);
        }
        let mut log = self.0.lock();
        if log.gate == Gate::Synced {
            self.0.faults.before_write()?;
        }
        log.len = log.len.max(offset.saturating_add(bytes.len() as u64));
        log.held.push(Held::Write(offset, bytes.to_vec()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.0.is_open() {
            self.0.faults.before_sync().map_err(SyncFault::into_io)?;
            return self.0.file.sync_data();
        }
        let mut log = self.0.lock();
        if log.gate == Gate::Shut {
            log.held.push(Held::Sync);
            return Ok(());
        }
        match self.0.faults.before_sync() {
            Ok(()) => {
                self.0.replay(&mut log)?;
                self.0.file.sync_data()
            }
            Err(SyncFault::Fail) => Err(SyncFault::Fail.into_io()),
            Err(SyncFault::Crash(mut survives)) => {
                for held in log.held.drain(..) {
                    // The length is the file system's own metadata; it is what journals keep first.
                    if matches!(held, Held::SetLen(_)) || survives() {
                        self.0.replay_one(&held)?;
                    }
                }
                Err(io::Error::other("injected power cut"))
            }
        }
    }

    fn close(&self) -> io::Result<()> {
        let mut log = self.0.lock();
        // Closing means no crash: the system would write what was never synced. A failed open leaves the gate shut.
        if log.gate == Gate::Synced && !self.0.faults.is_crashed() {
            self.0.replay(&mut log)?;
        }
        drop(log);
        self.0.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.0.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.0.file.query_lock_range(start, end)
    }
}
