//! The transaction of the local engines.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::mutation::{self, Conflicts, Mutation, Template};
use super::overlay::{Overlay, Own, part_read};
use super::pipeline::{Pipeline, Published, Request};
use super::storage::Bytes;
use super::watch::{Pending, Seen};
use super::{
    Atomic, Committed, Conflict, Isolation, METADATA_VERSION, Pairs, RangeRead, Transaction, Version, Watch,
    check_place, check_version_write, place_end,
};
use crate::error::Error;

/// A transaction of [`Memory`](super::memory::Memory) or [`Disk`](super::disk::Disk).
///
/// It pins the version it began with: a long one keeps that version's pages and the writes since in use. It also keeps
/// the engine open. Reads run on the calling thread, since what they touch is memory or the page cache.
#[derive(Debug)]
pub struct LocalTransaction {
    pipeline: Arc<Pipeline>,
    /// `None` when the engine was closed by a failure before the transaction began.
    read: Option<Arc<Published>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    overlay: Overlay,
    mutations: Vec<Mutation>,
    reads: Conflicts,
    writes: Conflicts,
    watches: Vec<Pending>,
    bytes: usize,
    /// The first rule that a write broke.
    broken: Option<Error>,
    used: bool,
}

impl LocalTransaction {
    pub(super) fn begin(pipeline: &Arc<Pipeline>) -> Self {
        Self {
            pipeline: Arc::clone(pipeline),
            read: pipeline.latest(),
            state: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn published(&self) -> Result<&Published, Error> {
        self.pipeline.check()?;
        self.read.as_deref().ok_or_else(|| self.pipeline.refusal())
    }

    /// Checks a key that is read.
    fn check_read(&self, key: &[u8]) -> Result<(), Error> {
        if key == METADATA_VERSION {
            return Ok(());
        }
        self.check_key(key)
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        let bytes_max = self.pipeline.limits().key_bytes_max;
        if key.len() > bytes_max {
            return Err(Error::KeyTooLong {
                bytes: key.len(),
                bytes_max,
            });
        }
        check_place(key)
    }

    /// Ends of ranges may be one byte longer than a key, so that a range can end right after the longest one.
    fn check_range(&self, begin: &[u8], end: &[u8]) -> Result<(), Error> {
        let bytes_max = self.pipeline.limits().key_bytes_max;
        let longest = begin.len().max(end.len());
        if longest > bytes_max + 1 {
            return Err(Error::KeyTooLong {
                bytes: longest,
                bytes_max,
            });
        }
        if begin > end {
            return Err(Error::InvalidOperation("range is inverted"));
        }
        // An empty range may stand at the end of all keys.
        if begin == end { Ok(()) } else { check_place(begin) }
    }

    fn check_value(&self, bytes: usize) -> Result<(), Error> {
        let bytes_max = self.pipeline.limits().value_bytes_max;
        if bytes > bytes_max {
            Err(Error::ValueTooLarge { bytes, bytes_max })
        } else {
            Ok(())
        }
    }

    fn read_one(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        let published = self.published()?;
        self.check_read(key)?;
        let mut state = self.lock();
        if state.used {
            return Err(Error::Used);
        }
        let own = state.overlay.own(key)?;
        if let Own::Known(value) = own {
            return Ok(value.map(|value| value.to_vec()));
        }
        let value = match own {
            Own::Onto(atomics) => Some(atomics.apply(published.snapshot.get(key)?.as_deref())),
            Own::Known(_) | Own::Below => None,
        };
        if isolation == Isolation::Serializable {
            state.reads.push_key(key);
        }
        drop(state);
        match value {
            Some(value) => Ok(value),
            None => published.snapshot.get(key),
        }
    }

    fn read_range(&self, read: &RangeRead<'_>) -> Result<Pairs, Error> {
        let published = self.published()?;
        let read = &RangeRead {
            end: place_end(read.end),
            ..*read
        };
        self.check_range(read.begin, read.end)?;
        let mut state = self.lock();
        if state.used {
            return Err(Error::Used);
        }
        if read.begin == read.end || read.limit == 0 {
            return Ok(Pairs::default());
        }
        let pairs = if state.overlay.is_empty() {
            // Reads of a transaction that wrote nothing run beside each other.
            drop(state);
            let pairs = Overlay::default().range(read, &*published.snapshot)?;
            state = self.lock();
            pairs
        } else {
            state.overlay.range(read, &*published.snapshot)?
        };
        if read.isolation == Isolation::Serializable {
            let (begin, end) = part_read(read, &pairs);
            state.reads.push_range(begin, &end);
        }
        Ok(pairs)
    }

    /// Buffers a write whose arguments passed `checked`; `build` yields the mutation and tells the overlay.
    fn write(
        &self,
        checked: Result<(), Error>,
        bytes: usize,
        build: impl FnOnce(&mut Overlay) -> Result<Mutation, Error>,
    ) {
        let mut state = self.lock();
        if state.used || state.broken.is_some() {
            return;
        }
        let mutation = checked.and_then(|()| {
            let bytes_max = self.pipeline.limits().transaction_bytes_max;
            let bytes = state.bytes.saturating_add(bytes);
            if bytes > bytes_max {
                return Err(Error::TransactionTooLarge { bytes, bytes_max });
            }
            state.bytes = bytes;
            build(&mut state.overlay)
        });
        match mutation {
            Ok(mutation) => state.mutations.push(mutation),
            Err(error) => state.broken = Some(error),
        }
    }

    fn seen(&self, key: &[u8]) -> Result<Seen, Error> {
        let published = self.published()?;
        self.check_read(key)?;
        let state = self.lock();
        if state.used {
            return Err(Error::Used);
        }
        Ok(match state.overlay.own(key) {
            Ok(Own::Known(value)) => Seen::Value(value.map(|value| value.to_vec())),
            Ok(Own::Below) => Seen::Value(published.snapshot.get(key)?),
            Ok(Own::Onto(_)) | Err(_) => Seen::Commit,
        })
    }

    /// What the committer needs, or the outcome when it is not needed.
    fn prepare(&self) -> Result<Prepared, Error> {
        let state = {
            let mut state = self.lock();
            if state.used {
                return Err(Error::Used);
            }
            std::mem::replace(
                &mut *state,
                State {
                    used: true,
                    ..State::default()
                },
            )
        };
        let published = self.published()?;
        if let Some(error) = state.broken {
            return Err(error);
        }
        if state.mutations.is_empty() && state.writes.is_empty() {
            self.pipeline.activate(state.watches);
            let version = published.version;
            return Ok(Prepared::Done(Committed {
                version: Version(version),
                stamp: mutation::stamp(version, 0),
            }));
        }
        let read = self.read.clone().ok_or_else(|| self.pipeline.refusal())?;
        let (reply, answer) = oneshot::channel();
        self.pipeline.submit(Request {
            read,
            reads: state.reads,
            writes: state.writes,
            mutations: state.mutations,
            watches: state.watches,
            reply,
        });
        Ok(Prepared::Queued(answer))
    }
}

enum Prepared {
    Done(Committed),
    Queued(oneshot::Receiver<Result<Committed, Error>>),
}

impl Transaction for LocalTransaction {
    async fn read_version(&self) -> Result<Version, Error> {
        Ok(Version(self.published()?.version))
    }

    async fn get(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        self.read_one(key, isolation)
    }

    async fn get_range(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        self.read_range(&read)
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        let checked = self.check_key(key).and_then(|()| self.check_value(value.len()));
        self.write(checked, key.len() + value.len(), |overlay| {
            let (key, value) = (Bytes::from(key), Bytes::from(value));
            overlay.set(Bytes::clone(&key), Bytes::clone(&value));
            Ok(Mutation::Set(key, value))
        });
    }

    fn clear(&self, key: &[u8]) {
        self.write(self.check_key(key), key.len(), |overlay| {
            let key = Bytes::from(key);
            overlay.clear(Bytes::clone(&key));
            Ok(Mutation::Clear(key))
        });
    }

    fn clear_range(&self, begin: &[u8], end: &[u8]) {
        let end = place_end(end);
        if begin == end {
            return;
        }
        self.write(self.check_range(begin, end), begin.len() + end.len(), |overlay| {
            overlay.clear_range(begin, end);
            Ok(Mutation::ClearRange(Bytes::from(begin), Bytes::from(end)))
        });
    }

    fn atomic(&self, atomic: Atomic, key: &[u8], operand: &[u8]) {
        let checked = self.check_key(key).and_then(|()| self.check_value(operand.len()));
        self.write(checked, key.len() + operand.len(), |overlay| {
            let (key, operand) = (Bytes::from(key), Bytes::from(operand));
            overlay.atomic(atomic, Bytes::clone(&key), Bytes::clone(&operand));
            Ok(Mutation::Atomic(atomic, key, operand))
        });
    }

    fn set_versionstamped_key(&self, key: &[u8], value: &[u8]) {
        let read_version = self.read.as_ref().map_or(0, |read| read.version);
        let checked = self.check_value(value.len());
        self.write(checked, key.len() + value.len(), |overlay| {
            let template = Template::parse(key)?;
            check_place(template.bytes())?;
            let bytes_max = self.pipeline.limits().key_bytes_max;
            if template.len() > bytes_max {
                return Err(Error::KeyTooLong {
                    bytes: template.len(),
                    bytes_max,
                });
            }
            overlay.stamped_key(&template, read_version);
            Ok(Mutation::StampedKey(template, Bytes::from(value)))
        });
    }

    fn set_versionstamped_value(&self, key: &[u8], value: &[u8]) {
        let checked = if key == METADATA_VERSION {
            check_version_write(value)
        } else {
            self.check_key(key)
        };
        self.write(checked, key.len() + value.len(), |overlay| {
            let template = Template::parse(value)?;
            self.check_value(template.len())?;
            let key = Bytes::from(key);
            overlay.stamped_value(Bytes::clone(&key));
            Ok(Mutation::StampedValue(key, template))
        });
    }

    fn add_conflict(&self, conflict: Conflict, begin: &[u8], end: &[u8]) {
        let end = place_end(end);
        let checked = self.check_range(begin, end);
        let mut state = self.lock();
        if state.used {
            return;
        }
        match checked {
            Err(error) => state.broken = state.broken.take().or(Some(error)),
            Ok(()) => match conflict {
                Conflict::Read => state.reads.push_range(begin, end),
                Conflict::Write => state.writes.push_range(begin, end),
            },
        }
    }

    fn watch(&self, key: &[u8]) -> Watch {
        let seen = match self.seen(key) {
            Ok(seen) => seen,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (pending, future) = self.pipeline.watches().create(key, seen);
        self.lock().watches.push(pending);
        Box::pin(future)
    }

    async fn commit(&self) -> Result<Committed, Error> {
        match self.prepare()? {
            Prepared::Done(committed) => Ok(committed),
            Prepared::Queued(answer) => answer.await.unwrap_or(Err(Error::CommitUnknown)),
        }
    }
}
