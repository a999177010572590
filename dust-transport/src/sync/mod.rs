//! [`Sync`]: a store that is followed over a WebSocket, and read from a replica in memory, which may have a file.

mod actor;
mod file;
mod hub;
mod lease;
mod optimistic;
mod option;
mod outbox;
mod replica;
mod running;
mod shared;
mod socket;
mod state;
mod status;
mod subscription;
mod unnamed;
mod verb;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_core::Stream;
use futures_core::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::error::{Error, ErrorKind};
use crate::http::{Http, HttpOptions};
use crate::model::{Action, Batch, DeviceId, Entry, FileHash, FileRef, Path, Precondition, Seq};
use crate::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
use crate::transport::{
    Capabilities, Done, EventStream, FileContent, FileRange, List, Page, Subscribe, Transport, Written,
};
use actor::{Actor, Command};
pub use file::Restored;
use file::{Identity, Left, Loaded};
pub use lease::{Flight, LeaseGuard, SingleFlight};
pub use optimistic::Optimistic;
pub use option::{Offline, SyncOptions};
use outbox::{Outbox, Pending};
use replica::Replica;
use shared::Shared;
use socket::Endpoint;
pub use state::{ConnectionState, EndReason};
pub use status::SyncStatus;
pub use watch::{Watch, WatchEvent, WatchMode, WatchStream};

/// The most ops of one batch, and the most leaves of one page.
const ITEMS_MAX: usize = 1000;

/// A store that is followed over a WebSocket, and read from a replica in memory.
///
/// Cloning is cheap; clones share the replica and the connection, which closes when the last of them is dropped. It
/// needs a tokio runtime.
///
/// ```no_run
/// use dust_transport::model::{Batch, Op, Path};
/// use dust_transport::sync::{Sync, SyncOptions};
/// use dust_transport::transport::Transport as _;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let token = std::env::var("DUST_TOKEN")?;
/// let store = Sync::connect(SyncOptions::new("acme/reading", token)).await?;
/// let title = Path::parse("links/dust/title")?;
/// store.write(Batch::one(Op::set(title.clone(), "Dust"))).await?;
/// assert_eq!(store.get(&title).await?.map(|entry| entry.value), Some("Dust".into()));
/// # Ok(())
/// # }
/// ```
///
/// # Reads
/// Reads wait until the replica is whole for the first time, and are answered from it from then on, also while there is
/// no connection: they see what was committed up to [`applied`](Sync::applied), and every write that was acknowledged
/// here. After a snapshot that does not tell revisions, which the hosted server sends where its log was cut, reads go over
/// HTTP. A record that is read again is found at once; what that takes in memory is at most what its leaves take, once for each path
/// above them that is read.
///
/// # Writes
/// A write is acknowledged once the server has committed it and the replica has it. One op goes over the WebSocket; a batch
/// of several, or a precondition on a subtree, does so where the server knows the extension `batch`, and over HTTP
/// otherwise, with what [`Http`] can do.
///
/// A write that is longer than the server takes is refused as `InvalidParams` with `payload_too_large`: a frame has at most 8 MB
/// unless the server says otherwise, and a file is a third longer there than it is.
///
/// While there is no connection, writes wait as [`Offline`] says. A write that was sent when a connection broke is
/// settled by its op id: by its own event, or by sending it again where the server commits an op id once. Where it does
/// not, and the event is not among those that were missed, the write fails with `Outcome::Unknown`.
///
/// # Queries
/// They go over HTTP, to a server that has them (extension `queries`); so they find what is committed, and not what is only
/// seen here.
///
/// With a [file](SyncOptions::file), replica and writes under way survive a restart of the program: reads are answered at
/// once, and writes that were not settled go on.
///
/// # Subscriptions
/// All are fed by the one connection. One that starts in the past, or falls behind by more than
/// [`SyncOptions::listener_events_max`], reads the log over a connection of its own and then goes on live: nothing is lost
/// and nothing comes twice. Where the log was cut, it gets a `Resync`; so does one that starts after an op which the store has not, as
/// one that was set back, and then every op from the first on. A [`watch`](Self::watch) tells what reads here see: the leaves
/// that are there, and optimistic writes as they are made.
///
/// # Connection
/// A connection that breaks, or says nothing for a heartbeat, is opened again after a random wait that grows, and the store
/// is joined after the last op that is known. An event that is missing or does not read is asked for again. A server that
/// refuses the token or the store, or goes on sending what does not read, ends the `Sync` with an [`EndReason`], with which
/// every call fails from then on. No error, log line or `Debug` text shows the token.
#[derive(Clone)]
pub struct Sync {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedSender<Command>,
    /// A permit per write under way.
    room: Semaphore,
    next_ref: AtomicU64,
    restored: file::Told,
}

impl Sync {
    /// Starts to follow a store; the connection is opened in the background. A [file](SyncOptions::file) is read before this
    /// returns, which blocks.
    ///
    /// # Errors
    /// `InvalidParams`: `invalid_store`, `invalid_base_url`, `invalid_token`, `invalid_options`. `Network` with `tls` where
    /// the system has no certificates to trust.
    ///
    /// Of a file: `Locked` if it is in use; `Format` if it is of another version or program, with the code `other_store` if it
    /// is of another store or server; `InvalidParams` with `other_device` if it has writes of another device than the one that
    /// the options choose; `Corrupt` if it is damaged; `Storage` if it cannot be read or written. Nothing in it is lost then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    ///
    /// ```
    /// use dust_transport::sync::{Sync, SyncOptions};
    /// let refused = Sync::start(SyncOptions::new("reading", "dust_tok_secret")).unwrap_err();
    /// assert_eq!(refused.code(), "invalid_store");
    /// ```
    pub fn start(options: SyncOptions) -> Result<Self, Error> {
        let loaded = Self::load(&options)?;
        Self::start_with(options, loaded)
    }

    /// Opens the file, if there is to be one.
    fn load(options: &SyncOptions) -> Result<Option<Loaded>, Error> {
        // What is wrong with the options is said before a file is made for them.
        Http::new(options.http.clone())?;
        let open = |path| file::open(path, &Identity::of(&options.http), options.device.as_ref());
        options.file.as_deref().map(open).transpose()
    }

    fn start_with(options: SyncOptions, loaded: Option<Loaded>) -> Result<Self, Error> {
        let device = loaded.as_ref().map(|loaded| loaded.device.clone());
        let device = device.or_else(|| options.device.clone());
        let device = device.unwrap_or_else(DeviceId::random);
        let http = Http::new(options.http.clone())?;
        let endpoint = Endpoint::new(&options, &device)?;
        let room = Semaphore::new(options.outbox_max);
        let mut shared = Shared::new(options, device, endpoint, http);
        let mut writes = Vec::new();
        if let Some(loaded) = loaded {
            (shared, writes) = shared.loaded(loaded);
        }
        let shared = Arc::new(shared);
        let next_ref = writes.last().map_or(0, |(number, ..)| number + 2);
        let mut outbox = Outbox::new(shared.file.clone());
        let left: Vec<Left> = writes
            .into_iter()
            .map(|(number, row, is_sent)| Left::new(&shared, &mut outbox, number, row, is_sent))
            .collect();
        let (commands, received) = mpsc::unbounded_channel();
        let restored = file::follow(&shared, left, commands.downgrade());
        tokio::spawn(Actor::new(Arc::clone(&shared), outbox).run(received));
        let inner = Arc::new(Inner {
            shared,
            commands,
            room,
            next_ref: AtomicU64::new(next_ref),
            restored,
        });
        running::add(&inner);
        Ok(Self { inner })
    }

    /// A handle to a `Sync` that this process already has, for the same store, server and token; none that has ended.
    ///
    /// ```
    /// use dust_transport::http::HttpOptions;
    /// use dust_transport::sync::Sync;
    /// assert!(Sync::running(&HttpOptions::new("acme/reading", "dust_tok_secret")).is_none());
    /// ```
    #[must_use]
    pub fn running(options: &HttpOptions) -> Option<Self> {
        running::find(options).map(|inner| Self { inner })
    }

    /// Follows a store, and waits until the replica is whole, which one from a [file](SyncOptions::file) may be at once.
    ///
    /// A server that is not there is waited for; put a timeout around this where that may be too long.
    ///
    /// # Errors
    /// Those of [`start`](Sync::start) and [`ready`](Sync::ready).
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect(options: SyncOptions) -> Result<Self, Error> {
        let opened = options.clone();
        let loaded = match options.file {
            None => None,
            // Reading it may take a while.
            Some(_) => match tokio::task::spawn_blocking(move || Self::load(&opened)).await {
                Ok(loaded) => loaded?,
                // The runtime ends.
                Err(_) => return Err(EndReason::closed().to_error()),
            },
        };
        let sync = Self::start_with(options, loaded)?;
        sync.ready().await?;
        Ok(sync)
    }

    /// Ends it for all of its handles, and waits until the [file](SyncOptions::file) has everything and is free for another.
    /// Writes under way fail with `Closed`; those that the file has go on when it is opened again, as their
    /// `Outcome::Unknown` says.
    ///
    /// Dropping the last handle does the same in the background.
    ///
    /// # Errors
    /// `Storage` with `replica_failed` if the file lacks something.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: it ends all the same.
    pub async fn close(&self) -> Result<(), Error> {
        // An error means that it has ended, or is about to.
        let _ = self.inner.commands.send(Command::Close);
        let mut state = self.inner.shared.state();
        let is_over = |state: &ConnectionState| matches!(state, ConnectionState::Ended(_));
        // The sender is in `self`, so this does not fail.
        let _ = state.wait_for(is_over).await;
        match self.inner.shared.ended() {
            Some(reason) if reason.kind == ErrorKind::Storage => Err(reason.to_error()),
            _ => Ok(()),
        }
    }

    /// Waits until the replica has been whole once.
    ///
    /// # Errors
    /// Why the `Sync` has ended: `Unauthorized` for a token that is refused, `NotImplemented` for a store that is not there.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn ready(&self) -> Result<(), Error> {
        self.inner.shared.ready().await
    }

    /// How the connection stands.
    #[must_use]
    pub fn state(&self) -> ConnectionState {
        self.inner.shared.state().borrow().clone()
    }

    /// How the connection stands, now and whenever that changes; a state that is over before it is read may be left out.
    /// It ends after [`ConnectionState::Ended`].
    pub fn states(&self) -> impl Stream<Item = ConnectionState> + Send + use<> {
        let state = self.inner.shared.state();
        futures_util::stream::unfold((state, true), async |(mut state, first)| {
            let is_over = matches!(&*state.borrow(), ConnectionState::Ended(_));
            if !first && (is_over || state.changed().await.is_err()) {
                return None;
            }
            let now = state.borrow_and_update().clone();
            Some((now, (state, false)))
        })
    }

    /// The last op that the replica has.
    #[must_use]
    pub fn applied(&self) -> Seq {
        self.inner.shared.applied()
    }

    /// Waits until the replica has an op.
    ///
    /// # Errors
    /// Why the `Sync` has ended, if it never gets it.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn reached(&self, seq: Seq) -> Result<(), Error> {
        self.inner.shared.reached(seq).await;
        match self.inner.shared.ended() {
            Some(reason) if self.applied() < seq => Err(reason.to_error()),
            _ => Ok(()),
        }
    }

    /// How many leaves the replica has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.shared.read().replica.len()
    }

    /// Whether the replica has no leaves.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the replica answers, which it does unless revisions are missing.
    async fn local<T>(&self, read: impl FnOnce(&Replica) -> T) -> Result<Option<T>, Error> {
        self.ready().await?;
        let view = self.inner.shared.read();
        Ok(view.replica.is_exact().then(|| read(&view.replica)))
    }

    fn check(batch: &Batch) -> Result<(), Error> {
        let detail = match batch.ops.len() {
            0 => "a batch has at least one op",
            1..=ITEMS_MAX => return Ok(()),
            _ => "a batch has at most 1000 ops",
        };
        Err(Error::new(ErrorKind::InvalidParams, "invalid_params", detail))
    }

    /// Writes; reads see it already if there is one who waits until it is kept.
    async fn write_batch(&self, batch: Batch, keep: Option<oneshot::Sender<()>>) -> Result<Written, Error> {
        Self::check(&batch)?;
        let shared = &self.inner.shared;
        let single = match batch.ops.as_slice() {
            [op] => !matches!(
                op.precondition,
                Precondition::Subtree { .. } | Precondition::SubtreeRevision { .. }
            ),
            _ => false,
        };
        if !single {
            self.ready().await?;
            if !shared.batches.load(Ordering::Relaxed) {
                drop(keep);
                return self.write_over_http(batch).await;
            }
        }
        let id = match &batch.id {
            Some(id) => id.clone(),
            None => unnamed::op_id()?,
        };
        let (answer, answered) = oneshot::channel();
        let mut pending = Pending::new(id, &batch, single, answer);
        if let Some(keep) = keep {
            pending = pending.seen(keep);
        }
        let mut written = self.send(pending, answered).await?;
        self.settle(&batch, &mut written).await;
        Ok(written)
    }

    /// Hands a write to the connection, and waits for its answer as long as the policy says.
    async fn send(
        &self,
        pending: Pending,
        mut answered: oneshot::Receiver<Result<Written, Error>>,
    ) -> Result<Written, Error> {
        let shared = &self.inner.shared;
        let ended = || shared.ended().unwrap_or_else(EndReason::closed).to_error();
        let limit = match shared.options.offline {
            Offline::Reject if !shared.state().borrow().is_live() => {
                return Err(shared
                    .ended()
                    .map_or_else(outbox::not_connected, |reason| reason.to_error()));
            }
            Offline::Reject => Some(shared.options.reply_timeout),
            Offline::Queue => None,
            Offline::QueueFor(limit) => Some(limit),
        };
        let mut over = limit.map(|limit| shared.options.pass(limit));
        let mut over = std::pin::pin!(async {
            match &mut over {
                Some(over) => over.await,
                None => std::future::pending().await,
            }
        });
        let _permit = tokio::select! {
            permit = self.inner.room.acquire() => permit.map_err(|_| ended())?,
            () = &mut over => return Err(outbox::not_connected()),
        };
        let reference = self.inner.next_ref.fetch_add(2, Ordering::Relaxed);
        let command = Command::Write(reference, Box::new(pending));
        self.inner.commands.send(command).map_err(|_| ended())?;
        let answer = tokio::select! {
            biased;
            answer = &mut answered => answer,
            () = &mut over => {
                // Whether it was sent is for the connection to say.
                self.inner.commands.send(Command::GiveUp(reference)).map_err(|_| ended())?;
                answered.await
            }
        };
        answer.map_err(|_| ended())?
    }

    /// Waits until the replica has what was written, and fills in what the reply left out.
    async fn settle(&self, batch: &Batch, written: &mut Written) {
        let shared = &self.inner.shared;
        let last = written.seqs.iter().copied().max().unwrap_or_default();
        shared.reached(last).await;
        if let ([op], true) = (batch.ops.as_slice(), written.done.is_empty())
            && matches!(op.action, Action::PutFile { .. })
        {
            let leaf = shared.read().replica.leaf(&op.path);
            let file = leaf.and_then(|leaf| FileRef::from_value(&leaf.value));
            written.done.extend(file.map(Done::Stored));
        }
    }

    async fn write_over_http(&self, batch: Batch) -> Result<Written, Error> {
        let shared = &self.inner.shared;
        let written = shared.http.write(batch).await?;
        let last = written.seqs.iter().copied().max().unwrap_or_default();
        if shared.applied() < last {
            // The hosted server tells its channels nothing of what comes over HTTP.
            let _ = self.inner.commands.send(Command::CatchUp);
        }
        shared.reached(last).await;
        Ok(written)
    }
}

impl Transport for Sync {
    fn name(&self) -> &'static str {
        "sync"
    }

    fn capabilities(&self) -> Capabilities {
        let shared = &self.inner.shared;
        let batches = shared.batches.load(Ordering::Relaxed);
        let http = shared.http.capabilities();
        Capabilities::full()
            .with_subtree_preconditions(batches)
            .with_subtree_by_leaf(!batches && http.subtree_by_leaf)
            .with_atomic_batches(batches || http.atomic_batches)
            .with_absent_in_batches(batches)
            .with_queries(http.queries || shared.queries.load(Ordering::Relaxed))
            .with_index_only_records(http.index_only_records || shared.index_only_records.load(Ordering::Relaxed))
            .with_op_ids(shared.op_ids.load(Ordering::Relaxed))
            .with_batch_ops_max(ITEMS_MAX)
            .with_page_leaves_max(ITEMS_MAX)
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move {
            match self.local(|replica| replica.list(query, ITEMS_MAX)).await? {
                Some(page) => page,
                None => self.inner.shared.http.list(query).await,
            }
        })
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async move {
            match self.local(|replica| replica.get(path)).await? {
                Some(entry) => Ok(entry),
                None => self.inner.shared.http.get(path).await,
            }
        })
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        Box::pin(async move {
            let leaves = |replica: &Replica| paths.iter().map(|path| replica.leaf(path)).collect();
            match self.local(leaves).await? {
                Some(leaves) => Ok(leaves),
                None => self.inner.shared.http.get_many(paths).await,
            }
        })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            self.ready().await?;
            Ok(self.inner.shared.read().replica.exists(path))
        })
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(self.write_batch(batch, None))
    }

    fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
        Box::pin(async move {
            self.ready().await?;
            Ok(subscription::open(&self.inner.shared, subscribe))
        })
    }

    fn read_file<'a>(
        &'a self,
        hash: &'a FileHash,
        range: FileRange,
    ) -> BoxFuture<'a, Result<Option<FileContent>, Error>> {
        self.inner.shared.http.read_file(hash, range)
    }

    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        self.inner.shared.http.indexes()
    }

    fn ensure_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        self.inner.shared.http.ensure_index(definition)
    }

    fn drop_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        self.inner.shared.http.drop_index(definition)
    }

    fn write_records(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<(), Error>> {
        self.inner.shared.http.write_records(changes)
    }

    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        self.inner.shared.http.query(query)
    }
}

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = &self.inner.shared;
        f.debug_struct("Sync")
            .field("store", &shared.options.http.store)
            .field("state", &*shared.state().borrow())
            .field("applied", &shared.applied())
            .finish_non_exhaustive()
    }
}
