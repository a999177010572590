//! The contract between a store and whatever reaches it.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::model::{Batch, Entry, Event, FileHash, FileRef, Lease, Path, Pattern, Seq};
use crate::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage};

/// A reactive key-value store, reached somehow: in the process, over HTTP, through a synced replica.
///
/// One handle speaks to one store. The trait is object safe; a `Repo` holds an `Arc<dyn Transport>`. Implementations
/// MUST pass the functions of the module `suite` (feature `suite`); what they cannot do they declare in [`Capabilities`]
/// and refuse with `ErrorKind::NotSupported`.
///
/// # Contract
/// * Writes are acknowledged only when durable, get consecutive sequence numbers (one per op) and are all-or-nothing
///   (but see [`Capabilities::atomic_batches`]).
/// * A read that starts after a write was acknowledged sees it.
/// * Subscriptions deliver every committed op that they cover once, in order.
///
/// # Errors
/// Beside those named at each call, any call may fail by what it is reached through: `Network`, `Http`, `Timeout`,
/// `Unauthorized`, `RateLimited`, `Storage`, `Closed`.
///
/// # Cancel safety
/// Dropping a read's future has no effect. Dropping the future of [`write`](Transport::write) after its first poll
/// leaves the outcome unknown; repeat it with the same op id to settle it.
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// A short name: `embedded`, `http`, `sync`.
    fn name(&self) -> &'static str;

    /// What this transport and the store behind it can do.
    fn capabilities(&self) -> Capabilities;

    /// Lists one page of leaves.
    ///
    /// # Errors
    /// `InvalidParams`: `invalid_params` for a limit that is 0 or above `Capabilities::page_leaves_max`;
    /// `invalid_pattern_for_prefixes` and `unsupported_select` for [`Select::Prefixes`] of a scope without a base.
    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>>;

    /// Reads one path: the leaf, or the assembled subtree (kind `map`, revision = highest of its leaves).
    ///
    /// A leaf may stand above other leaves. Its own path reads the leaf; in a map assembled from further above, the leaves
    /// below hide it.
    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>>;

    /// Reads exact leaves (no assembly); the result has one slot per path, in order.
    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>>;

    /// Whether a leaf or a subtree is at the path.
    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>>;

    /// Commits ops, all or nothing, in order; each op sees the effects of those before it.
    ///
    /// An empty batch is `InvalidParams`. With an op id, a batch that was already committed under it (by this device)
    /// is not applied again: its first reply is returned, `deduplicated` set, whatever the batch now holds. A refused batch
    /// leaves its op id free.
    ///
    /// # Errors
    /// Nothing is written, and `Error::conflict` names the op:
    /// * `Conflict`: `conflict` for a revision or a subtree that is not as expected, `exists` for `Precondition::Absent`;
    ///   `held` for a lease that another holds, `occupied` for a lease where another leaf is, `not_held` for the renewal of
    ///   a lease that is not live with this token, `fenced` for a [`Fence`](crate::model::Fence) that does not hold.
    /// * `InvalidParams`: `if_match_multi_leaf`, `if_match_unsupported_op`, `if_absent_multi_leaf` and
    ///   `if_absent_unsupported_op` for a precondition that the op cannot have; `merge_requires_map_value`,
    ///   `increment_requires_number_value`, `add_requires_value` and `remove_requires_value` for a value that does not fit
    ///   the op; the codes of `PathError` for a key that is no segment; a code of the store's choice for an increment of
    ///   what is no number.
    /// * `InvalidParams`: `payload_too_large` for a file that is beyond the store's limit.
    /// * `NotSupported` for files without `Capabilities::files`; for the ops on leases, and fences, without
    ///   `Capabilities::leases`; for a subtree precondition without `Capabilities::subtree_preconditions`, but for those that
    ///   `Capabilities::subtree_by_leaf` covers; for an op without `Capabilities::value_ops`; for `Precondition::Absent`
    ///   among several ops without `Capabilities::absent_in_batches`.
    ///
    /// `InvalidParams` with `invalid_params`, for the batch as a whole, if it is empty or above
    /// `Capabilities::batch_ops_max`.
    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>>;

    /// Opens a stream of committed ops. Dropping the stream ends the subscription.
    ///
    /// Every op that is committed once this has answered is delivered, however late the stream is first read.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::subscribe`.
    fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>>;

    /// Opens the content of a file, or a part of it, for reading; `None` unless a leaf of the store refers to it.
    ///
    /// What has been opened reads to its end, whatever happens to the leaf in the meantime.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::files`.
    fn read_file<'a>(
        &'a self,
        hash: &'a FileHash,
        range: FileRange,
    ) -> BoxFuture<'a, Result<Option<FileContent>, Error>> {
        let _ = (hash, range);
        let error = Error::new(
            ErrorKind::NotSupported,
            "not_supported",
            "this transport reads no files",
        );
        Box::pin(std::future::ready(Err(error)))
    }

    /// The indexes of the store, in the order of their definition.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::queries`.
    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Defines an index unless it is there, does a bounded part of its build, and tells how far it has come. Whoever wants
    /// to query it calls again until it is readable.
    ///
    /// From its definition on every write keeps its entries, by whomever and through whatever it comes. What has been built
    /// stays: another caller goes on, also after a restart. Two at once build it together.
    ///
    /// # Errors
    /// `InvalidParams` with `too_many_indexes` where the store has as many as it takes; `NotSupported` without
    /// `Capabilities::queries`.
    fn ensure_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        let _ = definition;
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Removes an index and all that was kept for it; false if there was none.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::queries`.
    fn drop_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        let _ = definition;
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Reads one page of a query: the records that a range of an index names, as they are at one moment.
    ///
    /// # Errors
    /// `InvalidParams`: what [`IndexQuery::check`] refuses; `no_index` without the index, `index_building` before it is
    /// readable, `invalid_cursor` for a cursor that this store did not give. `NotSupported` without `Capabilities::queries`.
    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        let _ = query;
        Box::pin(std::future::ready(Err(no_queries())))
    }
}

fn no_queries() -> Error {
    let detail = "what reaches this store has no indexes and no queries";
    Error::new(ErrorKind::NotSupported, "not_supported", detail)
}

/// The bytes of a file, in order and in pieces of the store's choice; an `Err` item is its last.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// Which part of a file is read; what goes beyond the file is left out.
///
/// ```
/// use dust_transport::transport::FileRange;
///
/// assert_eq!(FileRange::All.within(10), 0..10);
/// assert_eq!(FileRange::From(8).within(10), 8..10);
/// assert_eq!(FileRange::Part(8..12).within(10), 8..10);
/// assert_eq!(FileRange::Last(3).within(10), 7..10);
/// assert!(FileRange::From(10).within(10).is_empty());
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum FileRange {
    /// Everything.
    #[default]
    All,
    /// From this byte on.
    From(u64),
    /// From the first byte up to but without the second.
    Part(Range<u64>),
    /// So many bytes at the end.
    Last(u64),
}

/// A file that is opened for reading.
pub struct FileContent {
    /// Its media type, as it was first put.
    pub content_type: String,
    /// How long the whole file is.
    pub size_bytes: u64,
    /// Which bytes of it the body has; empty if the file has none of those that were asked for.
    pub range: Range<u64>,
    /// Those bytes.
    pub body: ByteStream,
}

impl fmt::Debug for FileContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileContent")
            .field("content_type", &self.content_type)
            .field("size_bytes", &self.size_bytes)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

impl FileRange {
    /// The bytes that it covers of a file of this size.
    #[must_use]
    pub fn within(&self, size_bytes: u64) -> Range<u64> {
        let (start, end) = match self {
            Self::All => (0, size_bytes),
            Self::From(start) => (*start, size_bytes),
            Self::Part(part) => (part.start, part.end),
            Self::Last(bytes) => (size_bytes.saturating_sub(*bytes), size_bytes),
        };
        let start = start.min(size_bytes);
        start..end.clamp(start, size_bytes)
    }
}

/// A stream of [`Signal`]s; an `Err` item is its last.
///
/// ```
/// use dust_transport::error::Error;
/// use dust_transport::transport::{EventStream, Signal};
/// use futures_util::StreamExt as _;
///
/// async fn print(mut events: EventStream) -> Result<(), Error> {
///     while let Some(signal) = events.next().await {
///         match signal? {
///             Signal::Event(event) => println!("{} {} {}", event.seq, event.kind, event.path),
///             Signal::CaughtUp { through } => println!("live from {through} on"),
///             Signal::Resync { .. } => println!("read everything again"),
///             _ => {}
///         }
///     }
///     Ok(())
/// }
/// # let _ = print;
/// ```
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Signal, Error>> + Send>>;

/// What a transport and its store can do beyond the required.
///
/// ```
/// use dust_transport::transport::Capabilities;
///
/// let hosted = Capabilities::full().with_subscribe(false).with_batch_ops_max(1000);
/// assert!(hosted.op_ids && !hosted.subscribe);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of its own")]
pub struct Capabilities {
    /// `subscribe` works.
    pub subscribe: bool,
    /// The subtree preconditions (`Precondition::Subtree`, `SubtreeRevision`) are checked by the store, atomically.
    pub subtree_preconditions: bool,
    /// `Precondition::Subtree` is translated into conditions on the leaves that the batch writes, as far as that goes;
    /// what is lost stands at the transport. Without meaning where `subtree_preconditions` is true.
    pub subtree_by_leaf: bool,
    /// A batch of several ops is committed whole or not at all. Only a server too old to know batches does less.
    pub atomic_batches: bool,
    /// The ops that work on what is there, `Merge`, `Increment`, `Add` and `Remove`, are there; if not, they are
    /// `NotSupported`.
    pub value_ops: bool,
    /// `Precondition::Absent` works for an op among several; if not, it is `NotSupported` there.
    pub absent_in_batches: bool,
    /// Files can be put and read; if not, `PutFile` is `NotSupported`, and so is `read_file`, unless the transport says that it
    /// reads what others put.
    pub files: bool,
    /// `Lease`, `Renew`, `Release` and fences are there; if not, they are `NotSupported`.
    pub leases: bool,
    /// There are indexes and queries; if not, `indexes`, `ensure_index`, `drop_index` and `query` are `NotSupported`.
    pub queries: bool,
    /// Op ids are deduplicated by the store; if not, they are only told to subscribers.
    pub op_ids: bool,
    /// The most ops in one batch.
    pub batch_ops_max: usize,
    /// The most leaves in one page.
    pub page_leaves_max: usize,
}

/// Which leaves a list covers.
///
/// ```
/// use dust_transport::transport::{List, Scope};
///
/// let range = Scope::Range { from: "links/a".parse()?, to: "links/b".parse()? };
/// assert_eq!(List::new(range).limit, 50);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Paths that match the pattern.
    Pattern(Pattern),
    /// `from <= path < to` in the byte order of rendered paths.
    Range {
        /// First path, inclusive.
        from: Path,
        /// End, exclusive.
        to: Path,
    },
    /// Strict descendants of the path: what `path/**` matches, without escaping anything.
    Below(Path),
}

/// What a list returns of each leaf.
///
/// ```
/// use dust_transport::transport::{List, Select};
///
/// let slugs = List::below("links".parse()?).select(Select::Prefixes);
/// assert_eq!(slugs.select, Select::Prefixes);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Select {
    /// Whole entries.
    #[default]
    Entries,
    /// Paths.
    Keys,
    /// The distinct `base/<next segment>` of each page; needs a scope `**`, `base/**` or `Below`. A range is refused with
    /// `unsupported_select`, another pattern with `invalid_pattern_for_prefixes`. A prefix may repeat on the next page,
    /// since the limit counts leaves.
    Prefixes,
}

/// The order of a list, by the bytes of rendered paths.
///
/// ```
/// use dust_transport::transport::{List, Order};
///
/// let newest_first = List::below("days".parse()?).order(Order::Desc).limit(7);
/// assert_eq!(newest_first.order, Order::Desc);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Order {
    /// Ascending.
    #[default]
    Asc,
    /// Descending.
    Desc,
}

/// One page of a list.
///
/// ```
/// use dust_transport::model::Path;
/// use dust_transport::transport::{List, Order, Select};
/// let newest = List::below(Path::parse("links")?).order(Order::Desc).select(Select::Keys).limit(10);
/// assert_eq!(newest.after, None);
/// # Ok::<(), dust_transport::model::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which leaves.
    pub scope: Scope,
    /// What of them.
    pub select: Select,
    /// In which order.
    pub order: Order,
    /// At most so many leaves, 1 to `Capabilities::page_leaves_max`.
    pub limit: usize,
    /// Continue strictly after this path: the cursor of the page before.
    pub after: Option<Path>,
}

/// The items of a page, by [`Select`].
///
/// ```
/// use dust_transport::transport::Items;
///
/// let items = Items::Keys(vec!["links/a".parse()?, "links/b".parse()?]);
/// assert_eq!(items.len(), 2);
/// assert_eq!(items.into_paths()[1].as_str(), "links/b");
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Items {
    /// For `Select::Entries`.
    Entries(Vec<Entry>),
    /// For `Select::Keys`.
    Keys(Vec<Path>),
    /// For `Select::Prefixes`.
    Prefixes(Vec<Path>),
}

/// A page of a list.
///
/// ```
/// use dust_transport::transport::{Items, List, Page};
///
/// let first = Page { items: Items::Keys(vec!["links/a".parse()?]), next: Some("links/a".parse()?) };
/// let more = List::below("links".parse()?).after(first.next);
/// assert_eq!(more.after.as_ref().map(|path| path.as_str()), Some("links/a"));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The items.
    pub items: Items,
    /// Where the next page starts; `None` when nothing more matched.
    pub next: Option<Path>,
}

/// The reply to a committed batch.
///
/// ```
/// use dust_transport::model::{Lease, Seq};
/// use dust_transport::transport::{Done, Written};
///
/// let mut written = Written::new([Seq(7), Seq(8)]);
/// assert_eq!((written.seqs.last(), written.done(1)), (Some(&Seq(8)), &Done::Applied));
///
/// let lease = Lease { holder: None, token: 8, expires_at_ms: 1_700_000_030_000 };
/// written.done = vec![Done::Applied, Done::Leased(lease.clone())];
/// assert_eq!(written.done(1).lease(), Some(&lease));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The sequence number of each op, in order; also the revision of the leaves it wrote. `Seq(0)` for an op that took
    /// none, which is [`Done::NotReleased`].
    pub seqs: Vec<Seq>,
    /// What else there is to say of each op, in order; empty if that is nothing of any.
    pub done: Vec<Done>,
    /// The batch had been committed before under its op id; nothing was written now.
    pub deduplicated: bool,
}

/// What an op came to, beside its sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done {
    /// It was applied; there is nothing else to say.
    #[default]
    Applied,
    /// A file is kept, and this refers to it.
    Stored(FileRef),
    /// A lease was taken or renewed, and this is how it stands.
    Leased(Lease),
    /// There was no lease of this token to release: nothing was written, and no sequence number taken.
    NotReleased,
}

impl Written {
    /// The reply to a batch of ops of which there is nothing to say but their numbers.
    #[must_use]
    pub fn new(seqs: impl IntoIterator<Item = Seq>) -> Self {
        Self {
            seqs: seqs.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What the op at this index of the batch came to.
    #[must_use]
    pub fn done(&self, op_index: usize) -> &Done {
        self.done.get(op_index).unwrap_or(&Done::Applied)
    }
}

impl Done {
    /// The lease that was taken or renewed.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    /// The reference to the file that is kept.
    #[must_use]
    pub fn file(&self) -> Option<&FileRef> {
        match self {
            Self::Stored(file) => Some(file),
            _ => None,
        }
    }
}

/// What a subscription covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interest {
    /// Ops whose own path matches the pattern.
    Pattern(Pattern),
    /// Ops whose path is at, below or above this path: everything that can change what is at or below it.
    Touching(Path),
}

/// Where a subscription starts.
///
/// ```
/// use dust_transport::model::Seq;
/// use dust_transport::transport::{Start, Subscribe};
///
/// let resumed = Subscribe::touching("links".parse()?).start(Start::After(Seq(41)));
/// assert_eq!(resumed.start, Start::After(Seq(41)));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// With the first op committed after the subscription is open.
    Now,
    /// With the first op after this sequence number; `Seq(0)` is the whole log.
    After(Seq),
}

/// A subscription to open.
///
/// ```
/// use dust_transport::model::{Pattern, Seq};
/// use dust_transport::transport::{Start, Subscribe};
/// let from_the_first = Subscribe::pattern(Pattern::parse("links/**")?).start(Start::After(Seq(0)));
/// assert_eq!(from_the_first.start, Start::After(Seq(0)));
/// # Ok::<(), dust_transport::model::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe {
    /// What it covers.
    pub interest: Interest,
    /// Where it starts.
    pub start: Start,
}

/// One item of a subscription.
///
/// ```
/// use dust_transport::model::Seq;
/// use dust_transport::transport::Signal;
///
/// let describe = |signal: Signal| match signal {
///     Signal::Event(event) => format!("{} {}", event.kind, event.path),
///     Signal::CaughtUp { through } => format!("live after {through}"),
///     Signal::Resync { through } => format!("read anew, then go on after {through}"),
///     _ => "of a later version".to_owned(),
/// };
/// assert_eq!(describe(Signal::CaughtUp { through: Seq(3) }), "live after 3");
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Signal {
    /// A committed op.
    Event(std::sync::Arc<Event>),
    /// Everything up to `through` has been delivered; what follows is live. Sent once, before the first live event;
    /// with `Start::Now` at once.
    CaughtUp {
        /// The last sequence number of the store at that moment.
        through: Seq,
    },
    /// The log no longer reaches back to where the subscription would continue: read the current state anew.
    /// The stream goes on after `through`.
    Resync {
        /// Events go on after this sequence number.
        through: Seq,
    },
}

impl Capabilities {
    /// Everything that the wire of Dust has, with batches of 1000 ops and pages of 1000 leaves. Queries are not among it: a
    /// transport that has them says so by [`with_queries`](Self::with_queries).
    ///
    /// ```
    /// use dust_transport::transport::Capabilities;
    /// let remote = Capabilities::full().with_op_ids(false).with_page_leaves_max(200);
    /// assert!(remote.subscribe && !remote.op_ids);
    /// ```
    #[must_use]
    pub fn full() -> Self {
        Self {
            subscribe: true,
            subtree_preconditions: true,
            subtree_by_leaf: false,
            atomic_batches: true,
            value_ops: true,
            absent_in_batches: true,
            files: true,
            leases: true,
            queries: false,
            op_ids: true,
            batch_ops_max: 1000,
            page_leaves_max: 1000,
        }
    }

    /// The same but for `subscribe`.
    #[must_use]
    pub fn with_subscribe(mut self, subscribe: bool) -> Self {
        self.subscribe = subscribe;
        self
    }

    /// The same but for `subtree_preconditions`.
    #[must_use]
    pub fn with_subtree_preconditions(mut self, subtree_preconditions: bool) -> Self {
        self.subtree_preconditions = subtree_preconditions;
        self
    }

    /// The same but for `subtree_by_leaf`.
    #[must_use]
    pub fn with_subtree_by_leaf(mut self, subtree_by_leaf: bool) -> Self {
        self.subtree_by_leaf = subtree_by_leaf;
        self
    }

    /// The same but for `atomic_batches`.
    #[must_use]
    pub fn with_atomic_batches(mut self, atomic_batches: bool) -> Self {
        self.atomic_batches = atomic_batches;
        self
    }

    /// The same but for `value_ops`.
    #[must_use]
    pub fn with_value_ops(mut self, value_ops: bool) -> Self {
        self.value_ops = value_ops;
        self
    }

    /// The same but for `absent_in_batches`.
    #[must_use]
    pub fn with_absent_in_batches(mut self, absent_in_batches: bool) -> Self {
        self.absent_in_batches = absent_in_batches;
        self
    }

    /// The same but for `files`.
    #[must_use]
    pub fn with_files(mut self, files: bool) -> Self {
        self.files = files;
        self
    }

    /// The same but for `leases`.
    #[must_use]
    pub fn with_leases(mut self, leases: bool) -> Self {
        self.leases = leases;
        self
    }

    /// The same but for `queries`.
    #[must_use]
    pub fn with_queries(mut self, queries: bool) -> Self {
        self.queries = queries;
        self
    }

    /// The same but for `op_ids`.
    #[must_use]
    pub fn with_op_ids(mut self, op_ids: bool) -> Self {
        self.op_ids = op_ids;
        self
    }

    /// The same but for `batch_ops_max`.
    #[must_use]
    pub fn with_batch_ops_max(mut self, batch_ops_max: usize) -> Self {
        self.batch_ops_max = batch_ops_max;
        self
    }

    /// The same but for `page_leaves_max`.
    #[must_use]
    pub fn with_page_leaves_max(mut self, page_leaves_max: usize) -> Self {
        self.page_leaves_max = page_leaves_max;
        self
    }
}

impl List {
    /// The limit of a list that names none.
    pub const LIMIT_DEFAULT: usize = 50;

    /// The first page of entries in ascending order, at most [`LIMIT_DEFAULT`](List::LIMIT_DEFAULT) leaves.
    #[must_use]
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            select: Select::Entries,
            order: Order::Asc,
            limit: Self::LIMIT_DEFAULT,
            after: None,
        }
    }

    /// Lists what is strictly below a path.
    #[must_use]
    pub fn below(path: Path) -> Self {
        Self::new(Scope::Below(path))
    }

    /// Lists what matches a pattern.
    #[must_use]
    pub fn pattern(pattern: Pattern) -> Self {
        Self::new(Scope::Pattern(pattern))
    }

    /// Lists `from <= path < to` in the byte order of rendered paths.
    #[must_use]
    pub fn range(from: Path, to: Path) -> Self {
        Self::new(Scope::Range { from, to })
    }

    /// The same with this limit.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The same in this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same with this selection.
    #[must_use]
    pub fn select(mut self, select: Select) -> Self {
        self.select = select;
        self
    }

    /// The same, continued strictly after this cursor; `None` starts over.
    #[must_use]
    pub fn after(mut self, after: impl Into<Option<Path>>) -> Self {
        self.after = after.into();
        self
    }
}

impl Items {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Entries(entries) => entries.len(),
            Self::Keys(paths) | Self::Prefixes(paths) => paths.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The entries; empty for another selection.
    #[must_use]
    pub fn into_entries(self) -> Vec<Entry> {
        match self {
            Self::Entries(entries) => entries,
            Self::Keys(_) | Self::Prefixes(_) => Vec::new(),
        }
    }

    /// The paths, whatever the selection.
    #[must_use]
    pub fn into_paths(self) -> Vec<Path> {
        match self {
            Self::Entries(entries) => entries.into_iter().map(|entry| entry.path).collect(),
            Self::Keys(paths) | Self::Prefixes(paths) => paths,
        }
    }
}

impl Interest {
    /// Whether an op at this path is covered.
    ///
    /// ```
    /// use dust_transport::model::Path;
    /// use dust_transport::transport::Interest;
    /// let record = Interest::Touching(Path::parse("links/dust")?);
    /// assert!(record.covers(&Path::parse("links")?));
    /// assert!(record.covers(&Path::parse("links/dust/title")?));
    /// assert!(!record.covers(&Path::parse("links/rust")?));
    /// # Ok::<(), dust_transport::model::PathError>(())
    /// ```
    #[must_use]
    pub fn covers(&self, path: &Path) -> bool {
        match self {
            Self::Pattern(pattern) => pattern.matches(path),
            Self::Touching(at) => path.starts_with(at) || path.is_ancestor_of(at),
        }
    }
}

impl Subscribe {
    /// Covers ops whose own path matches the pattern, from now on.
    #[must_use]
    pub fn pattern(pattern: Pattern) -> Self {
        Self {
            interest: Interest::Pattern(pattern),
            start: Start::Now,
        }
    }

    /// Covers ops at, below and above the path, from now on.
    #[must_use]
    pub fn touching(path: Path) -> Self {
        Self {
            interest: Interest::Touching(path),
            start: Start::Now,
        }
    }

    /// The same from this start.
    #[must_use]
    pub fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }
}
