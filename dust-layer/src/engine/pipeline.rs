//! The commit pipeline of the local engines: one thread that resolves, orders, writes and answers.
//!
//! A group is everything that queued up while the last one was written. Its transactions are resolved in order, also
//! against each other, then written as one batch with one sync, then answered. Readers use the snapshot that the last
//! group published and wait for nobody.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::mutation::{self, Conflicts, Mutation, Written};
use super::queue::Queue;
use super::resolver::Resolver;
use super::storage::{Batch, Entry, Snapshot, Storage};
use super::watch::{Pending, Seen, Watches};
use super::{Committed, Limits, Version};
use crate::error::Error;

/// Fewer pinned versions than these are not worth a sweep.
const LIVE_SWEEP_LEN_MIN: usize = 1024;

/// One version of the map, as transactions pin it.
pub(super) struct Published {
    pub(super) version: u64,
    pub(super) snapshot: Arc<dyn Snapshot>,
}

impl fmt::Debug for Published {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Published")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// What a transaction hands to the committer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) read: Arc<Published>,
    pub(super) reads: Conflicts,
    pub(super) writes: Conflicts,
    pub(super) mutations: Vec<Mutation>,
    pub(super) watches: Vec<Pending>,
    pub(super) reply: oneshot::Sender<Result<Committed, Error>>,
}

/// What the committer shares with transactions.
#[derive(Debug)]
struct Shared {
    published: Mutex<Option<Arc<Published>>>,
    poison: OnceLock<Arc<str>>,
    watches: Arc<Watches>,
    queue: Queue<Request>,
    /// How many transactions have been committed.
    commits: AtomicU64,
}

impl Shared {
    fn published(&self) -> MutexGuard<'_, Option<Arc<Published>>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn poison(&self, reason: &str) {
        tracing::error!(reason, "engine is poisoned");
        let _ = self.poison.set(Arc::from(reason));
        self.watches.fail_all(|| self.refusal());
    }

    fn refusal(&self) -> Error {
        match self.poison.get() {
            Some(reason) => Error::Poisoned {
                reason: Arc::clone(reason),
            },
            None => Error::Closed,
        }
    }
}

/// A running engine. Dropping it lets the queued commits finish and releases the store.
#[derive(Debug)]
pub(super) struct Pipeline {
    shared: Arc<Shared>,
    limits: Limits,
    committer: Option<JoinHandle<()>>,
}

impl Pipeline {
    pub(super) fn start(storage: Box<dyn Storage>, limits: Limits) -> Result<Self, Error> {
        let published = Arc::new(Published {
            version: storage.version(),
            snapshot: storage.snapshot()?,
        });
        let shared = Arc::new(Shared {
            published: Mutex::new(Some(Arc::clone(&published))),
            poison: OnceLock::new(),
            watches: Arc::default(),
            queue: Queue::default(),
            commits: AtomicU64::new(0),
        });
        let committer = Committer {
            resolver: Resolver::new(published.version),
            live: VecDeque::from([(published.version, Arc::downgrade(&published))]),
            live_sweep_len: LIVE_SWEEP_LEN_MIN,
            version: published.version,
            storage,
            shared: Arc::clone(&shared),
        };
        drop(published);
        let committer = std::thread::Builder::new()
            .name("dust-committer".to_owned())
            .spawn(move || committer.run())
            .map_err(Error::io("start the committer thread"))?;
        Ok(Self {
            shared,
            limits,
            committer: Some(committer),
        })
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// The latest committed version.
    pub(super) fn latest(&self) -> Option<Arc<Published>> {
        self.shared.published().clone()
    }

    /// How many transactions that wrote something have been committed.
    pub(super) fn commits(&self) -> u64 {
        self.shared.commits.load(Ordering::Relaxed)
    }

    /// Fails once the engine is poisoned.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.shared.poison.get().is_none() {
            Ok(())
        } else {
            Err(self.refusal())
        }
    }

    pub(super) fn refusal(&self) -> Error {
        self.shared.refusal()
    }

    pub(super) fn watches(&self) -> &Arc<Watches> {
        &self.shared.watches
    }

    /// Activates the watches of a transaction that wrote nothing.
    pub(super) fn activate(&self, pending: Vec<Pending>) {
        if self.check().is_err() {
            for watch in pending {
                watch.fail(self.refusal());
            }
            return;
        }
        self.shared.watches.activate(pending, |key| match self.latest() {
            Some(latest) => latest.snapshot.get(key),
            None => Err(self.refusal()),
        });
        if self.check().is_err() {
            self.shared.watches.fail_all(|| self.refusal());
        }
    }

    /// Queues a commit. The reply comes through the request.
    pub(super) fn submit(&self, request: Request) {
        if let Err(request) = self.shared.queue.push(request) {
            let _ = request.reply.send(Err(self.refusal()));
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.queue.close();
        let Some(committer) = self.committer.take() else {
            return;
        };
        // A waker may drop the last clone on the committer's own thread, which cannot wait for itself.
        if committer.thread().id() != std::thread::current().id() && committer.join().is_err() {
            tracing::error!("committer thread panicked");
        }
    }
}

/// The thread that owns the store.
struct Committer {
    storage: Box<dyn Storage>,
    resolver: Resolver,
    version: u64,
    /// The versions that a transaction may have pinned, oldest first.
    live: VecDeque<(u64, Weak<Published>)>,
    /// How long `live` may grow before it is swept.
    live_sweep_len: usize,
    shared: Arc<Shared>,
}

/// A transaction of the group that was resolved and waits for the batch to be durable.
struct Accepted {
    reply: oneshot::Sender<Result<Committed, Error>>,
    committed: Committed,
    watches: Vec<Pending>,
}

impl Committer {
    fn run(mut self) {
        while let Some(group) = self.shared.queue.take() {
            if self.shared.poison.get().is_some() {
                for request in group {
                    let _ = request.reply.send(Err(self.shared.refusal()));
                }
                continue;
            }
            self.commit(group);
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        let Some(published) = self.shared.published().clone() else {
            return;
        };
        self.prune();
        let version = self.version + 1;
        self.resolver.open_version(version);
        let mut batch = Batch::default();
        let mut accepted = Vec::with_capacity(group.len());
        let mut failure = None;
        for (order, request) in (0..=u16::MAX).zip(group) {
            if failure.is_some() {
                let _ = request.reply.send(Err(Error::CommitUnknown));
                continue;
            }
            if let Err(error) = self.resolver.check(&request.reads, request.read.version) {
                let _ = request.reply.send(Err(error));
                continue;
            }
            let stamp = mutation::stamp(version, order);
            let committed = Committed {
                version: Version(version),
                stamp,
            };
            match self.resolve(request, committed, &mut batch, &*published.snapshot) {
                Ok(one) => accepted.push(one),
                Err(error) => failure = Some(error),
            }
        }
        if accepted.is_empty() && failure.is_none() {
            return;
        }
        self.version = version;
        if failure.is_none() && !batch.is_empty() {
            failure = self.storage.apply(&batch, version).err();
        }
        match failure {
            None => self.answer(version, &batch, accepted),
            Some(error) => {
                self.shared.poison(&describe(&error));
                for one in accepted {
                    let _ = one.reply.send(Err(Error::CommitUnknown));
                    one.watches
                        .into_iter()
                        .for_each(|watch| watch.fail(self.shared.refusal()));
                }
            }
        }
    }

    /// Adds one transaction to the batch and its writes to the conflict window.
    fn resolve(
        &mut self,
        request: Request,
        committed: Committed,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
    ) -> Result<Accepted, Error> {
        let resolver = &mut self.resolver;
        let applied =
            mutation::apply(
                &request.mutations,
                &committed.stamp,
                batch,
                snapshot,
                &mut |written| match written {
                    Written::Key(key) => resolver.record_key(key),
                    Written::Range(begin, end) => resolver.record_range(begin, end),
                },
            );
        if let Err(error) = applied {
            let _ = request.reply.send(Err(Error::CommitUnknown));
            return Err(error);
        }
        for (begin, end) in request.writes.iter() {
            match end {
                Some(end) => resolver.record_range(begin, end),
                None => resolver.record_key(&begin.into()),
            }
        }
        let mut watches = request.watches;
        for watch in &mut watches {
            if !matches!(watch.seen, Seen::Commit) {
                continue;
            }
            match batch.get(&watch.key) {
                Entry::Set(value) => watch.seen = Seen::Value(Some(value.to_vec())),
                Entry::Cleared => watch.seen = Seen::Value(None),
                Entry::Untouched => {}
            }
        }
        Ok(Accepted {
            reply: request.reply,
            committed,
            watches,
        })
    }

    /// Publishes the group's version, answers, and fires what watches it.
    fn answer(&mut self, version: u64, batch: &Batch, accepted: Vec<Accepted>) {
        let published = match self.storage.snapshot() {
            Ok(snapshot) => Arc::new(Published { version, snapshot }),
            Err(error) => {
                // The group is durable, so it is acknowledged; what comes after it is not possible any more.
                self.shared.poison(&describe(&error));
                for one in accepted {
                    let _ = one.reply.send(Ok(one.committed));
                    one.watches
                        .into_iter()
                        .for_each(|watch| watch.fail(self.shared.refusal()));
                }
                return;
            }
        };
        self.live.push_back((version, Arc::downgrade(&published)));
        let previous = self.shared.published().replace(Arc::clone(&published));
        drop(previous);
        self.shared.commits.fetch_add(accepted.len() as u64, Ordering::Relaxed);
        let mut pending = Vec::new();
        for one in accepted {
            pending.extend(one.watches);
            let _ = one.reply.send(Ok(one.committed));
        }
        let current = |key: &[u8]| published.snapshot.get(key);
        if !self.shared.watches.is_idle() {
            self.shared
                .watches
                .fire(|key| !matches!(batch.get(key), Entry::Untouched), current);
        }
        self.shared.watches.activate(pending, current);
    }

    /// Lets the resolver forget what no live transaction can conflict with.
    fn prune(&mut self) {
        while let Some((_, pinned)) = self.live.front()
            && pinned.strong_count() == 0
        {
            self.live.pop_front();
        }
        // A long reader keeps the front; what came and went behind it must not pile up meanwhile.
        if self.live.len() > self.live_sweep_len {
            self.live.retain(|(_, pinned)| pinned.strong_count() > 0);
            self.live_sweep_len = LIVE_SWEEP_LEN_MIN.max(self.live.len() * 2);
        }
        let oldest = self.live.front().map_or(self.version, |(version, _)| *version);
        self.resolver.prune(oldest);
    }
}

impl Drop for Committer {
    /// Also runs when the thread panics, so that nobody waits for it in vain.
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.poison("the committer panicked");
        }
        for request in self.shared.queue.stop() {
            let _ = request.reply.send(Err(self.shared.refusal()));
        }
        self.shared.watches.fail_all(|| self.shared.refusal());
        // The snapshot goes before the store, which may only release its file when no reader is left.
        self.shared.published().take();
    }
}

/// An error with its causes, for the one place where only text can be kept.
fn describe(error: &Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
