//! [`Sync`]: a store that is followed over a WebSocket, and read from a replica in memory.

mod actor;
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

use crate::channel::{BATCH, BatchRequest, WriteRequest};
use crate::error::{Error, ErrorKind};
use crate::http::{Http, HttpOptions};
use crate::model::{Action, Batch, Entry, FileHash, FileRef, Op, Path, Precondition, Seq};
use crate::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage};
use crate::transport::{
    Capabilities, Done, EventStream, FileContent, FileRange, List, Page, Subscribe, Transport, Written,
};
use actor::{Actor, Command};
pub use lease::{Flight, LeaseGuard, SingleFlight};
pub use optimistic::Optimistic;
pub use option::{Offline, SyncOptions};
use outbox::{Pending, Place};
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
/// HTTP.
///
/// # Writes
/// A write is acknowledged once the server has committed it and the replica has it. One op goes over the WebSocket; a batch
/// of several, or a precondition on a subtree, does so where the server knows the extension `batch`, and over HTTP
/// otherwise, with what [`Http`] can do.
///
/// While there is no connection, writes wait as [`Offline`] says. A write that was sent when a connection broke is
/// settled by its op id: by its own event, or by sending it again where the server commits an op id once. Where it does
/// not, and the event is not among those that were missed, the write fails with `Outcome::Unknown`.
///
/// # Queries
/// They go over HTTP, to a server that has them (extension `queries`); so they find what is committed, and not what is only
/// seen here.
///
/// # Subscriptions
/// All are fed by the one connection. One that starts in the past, or falls behind by more than
/// [`SyncOptions::listener_events_max`], reads the log over a connection of its own and then goes on live: nothing is lost
/// and nothing comes twice. Where the log was cut, it gets a `Resync`. A [`watch`](Self::watch) tells what reads here see: the leaves
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
}

impl Sync {
    /// Starts to follow a store; the connection is opened in the background.
    ///
    /// # Errors
    /// `InvalidParams`: `invalid_store`, `invalid_base_url`, `invalid_token`, `invalid_options`. `Network` with `tls` where
    /// the system has no certificates to trust.
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
        let http = Http::new(options.http.clone())?;
        let endpoint = Endpoint::new(&options)?;
        let room = Semaphore::new(options.outbox_max);
        let shared = Arc::new(Shared::new(options, endpoint, http));
        let (commands, received) = mpsc::unbounded_channel();
        tokio::spawn(Actor::new(Arc::clone(&shared)).run(received));
        let inner = Arc::new(Inner {
            shared,
            commands,
            room,
            next_ref: AtomicU64::new(0),
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

    /// Follows a store, and waits until the replica is whole.
    ///
    /// A server that is not there is waited for; put a timeout around this where that may be too long.
    ///
    /// # Errors
    /// Those of [`start`](Sync::start) and [`ready`](Sync::ready).
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub async fn connect(options: SyncOptions) -> Result<Self, Error> {
        let sync = Self::start(options)?;
        sync.ready().await?;
        Ok(sync)
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

    /// Whether reads are answered from the replica, which they are unless revisions are missing.
    async fn is_local(&self) -> Result<bool, Error> {
        self.ready().await?;
        Ok(self.inner.shared.read().replica.is_exact())
    }

    fn check(batch: &Batch) -> Result<(), Error> {
        let detail = match batch.ops.len() {
            0 => "a batch has at least one op",
            1..=ITEMS_MAX => return Ok(()),
            _ => "a batch has at most 1000 ops",
        };
        Err(Error::new(ErrorKind::InvalidParams, "invalid_params", detail))
    }

    async fn write_batch(&self, batch: Batch) -> Result<Written, Error> {
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
                return self.write_over_http(batch).await;
            }
        }
        let id = match &batch.id {
            Some(id) => id.clone(),
            None => unnamed::op_id()?,
        };
        let (event, payload) = if let Some(op) = batch.ops.first().filter(|_| single) {
            let request = WriteRequest::of(op, &id);
            (request.event(), request.to_payload())
        } else {
            let request = BatchRequest {
                client_op_id: Some(id.as_str().into()),
                ..BatchRequest::of(&batch)
            };
            (BATCH, request.to_payload())
        };
        let (answer, answered) = oneshot::channel();
        let place = |op: &Op| Place {
            path: op.path.clone(),
            fence: op.fence.as_ref().map(|fence| fence.key.clone()),
        };
        let ops = batch.ops.iter().map(place).collect();
        let pending = Pending::new(id, event, payload, ops, answer);
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
            .with_op_ids(shared.op_ids.load(Ordering::Relaxed))
            .with_batch_ops_max(ITEMS_MAX)
            .with_page_leaves_max(ITEMS_MAX)
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move {
            if self.is_local().await? {
                return self.inner.shared.read().replica.list(query, ITEMS_MAX);
            }
            self.inner.shared.http.list(query).await
        })
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async move {
            if self.is_local().await? {
                return Ok(self.inner.shared.read().replica.get(path));
            }
            self.inner.shared.http.get(path).await
        })
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        Box::pin(async move {
            if self.is_local().await? {
                let view = self.inner.shared.read();
                return Ok(paths.iter().map(|path| view.replica.leaf(path)).collect());
            }
            self.inner.shared.http.get_many(paths).await
        })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move {
            self.ready().await?;
            Ok(self.inner.shared.read().replica.exists(path))
        })
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(self.write_batch(batch))
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
