use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::future::IntoFuture;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use dust_transport::model::{Event, OpKind, Path, Seq, decode_segment};
use dust_transport::transport::{EventStream, Signal, Start, Subscribe};
use futures_core::Stream;
use futures_core::future::BoxFuture;

use super::read::Records;
use super::record::Leaves;
use super::{Repo, prefix};
use crate::error::Error;
use crate::schema::{Primary, Schema};

impl Repo {
    /// Subscribes to the records of a schema.
    ///
    /// The stream begins with the records as they are, as [`Change::Upserted`], then [`Change::Ready`], then
    /// every change; [`SubscribeRecords::changes_only`] and [`SubscribeRecords::after`] leave the beginning out. Dropping
    /// the stream ends the subscription.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// # use futures_util::StreamExt as _;
    /// repo.insert(link("dust")).await?;
    /// let mut changes = repo.subscribe::<Link>().await?;
    /// assert_eq!(changes.next().await.transpose()?, Some(Change::Upserted(link("dust"))));
    /// assert_eq!(changes.next().await.transpose()?, Some(Change::Ready));
    ///
    /// repo.delete::<Link>("dust").await?;
    /// assert_eq!(changes.next().await.transpose()?, Some(Change::Deleted("dust".into())));
    /// # Ok(())
    /// # }
    /// ```
    pub fn subscribe<S: Primary>(&self) -> SubscribeRecords<'_, S> {
        SubscribeRecords {
            repo: self,
            begin: Begin::Records,
            schema: PhantomData,
        }
    }

    /// Subscribes to the committed ops that touch the records of a schema, as they are: on its prefix, below and above.
    ///
    /// # Errors
    /// `NotSupported` where the transport has no subscriptions; `InvalidParams` for a start beyond the store's head.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// # use futures_util::StreamExt as _;
    /// use dust_orm::{Signal, Start};
    ///
    /// repo.insert(link("dust")).await?;
    /// let mut ops = repo.subscribe_raw::<Link>(Start::After(Seq(0))).await?;
    /// match ops.next().await.transpose()? {
    ///     Some(Signal::Event(event)) => assert_eq!(event.path.as_str(), "links/dust/title"),
    ///     other => panic!("{other:?}"),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn subscribe_raw<S: Primary>(&self, start: Start) -> Result<RawSubscription, Error> {
        let events = self
            .transport()
            .subscribe(Subscribe::touching(prefix::<S>()?).start(start))
            .await?;
        Ok(RawSubscription { events })
    }
}

/// A subscription to open, opened when awaited.
///
/// # Example: resuming at a stored cursor
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # use futures_util::StreamExt as _;
/// repo.insert(link("a")).await?;
/// let mut changes = repo.subscribe::<Link>().after(Seq(0)).await?;
/// assert_eq!(changes.next().await.transpose()?, Some(Change::Upserted(link("a"))));
/// let cursor = changes.cursor();
/// drop(changes);
///
/// repo.insert(link("b")).await?;
/// let mut resumed = repo.subscribe::<Link>().after(cursor).await?;
/// assert_eq!(resumed.next().await.transpose()?, Some(Change::Upserted(link("b"))));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a subscription is opened when it is awaited"]
pub struct SubscribeRecords<'a, S> {
    repo: &'a Repo,
    begin: Begin,
    schema: PhantomData<fn() -> S>,
}

#[derive(Debug, Clone, Copy)]
enum Begin {
    Records,
    Now,
    After(Seq),
}

impl<S: Schema> SubscribeRecords<'_, S> {
    /// Begins with [`Change::Ready`] and the first change after it.
    pub fn changes_only(mut self) -> Self {
        self.begin = Begin::Now;
        self
    }

    /// Resumes after a [`Subscription::cursor`] that was stored: the changes since, then [`Change::Ready`], then
    /// what follows.
    pub fn after(mut self, cursor: Seq) -> Self {
        self.begin = Begin::After(cursor);
        self
    }
}

impl<'a, S: Schema> IntoFuture for SubscribeRecords<'a, S> {
    type Output = Result<Subscription<S>, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let prefix = prefix::<S>()?;
            let start = match self.begin {
                Begin::Records | Begin::Now => Start::Now,
                Begin::After(cursor) => Start::After(cursor),
            };
            // The subscription is open before the records are read, so nothing falls between the two.
            let events = self
                .repo
                .transport()
                .subscribe(Subscribe::touching(prefix.clone()).start(start))
                .await?;
            let cursor = if let Begin::After(cursor) = self.begin {
                cursor
            } else {
                Seq(0)
            };
            let feed = Feed {
                repo: self.repo.clone(),
                events,
                prefix,
                known: HashMap::new(),
                complete: matches!(self.begin, Begin::Records),
                taken: cursor,
                settled: cursor,
                listing: None,
                ready: VecDeque::new(),
            };
            Ok(Subscription {
                cursor,
                state: State::Idle(Box::new(feed)),
            })
        })
    }
}

/// A change of the records of a schema.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # use futures_util::StreamExt as _;
/// # let mut changes = repo.subscribe::<Link>().await?;
/// # repo.insert(link("dust")).await?;
/// let mut titles = std::collections::BTreeMap::new();
/// while let Some(change) = changes.next().await {
///     match change? {
///         Change::Upserted(link) => drop(titles.insert(link.slug, link.title)),
///         Change::Deleted(slug) => drop(titles.remove(&slug)),
///         Change::Resync(_) => titles.clear(), // the records follow anew
///         Change::Ready => break,
///         _ => {}
///     }
/// }
/// assert_eq!(titles["dust"], "DUST");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Change<S> {
    /// The record is new or has changed; it is as it was read after the change, so it may be newer than the op that
    /// caused it. An op that it already contains is not reported again.
    Upserted(S),
    /// The record with this slug is gone, or no longer loads.
    Deleted(String),
    /// Everything up to here has been delivered, be it nothing; what follows is live.
    Ready,
    /// Changes may have been missed. Where the subscription began with the records, they follow anew, up to another
    /// `Ready`; otherwise read them.
    Resync(ResyncReason),
}

/// Why a subscriber has to look at the records anew.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # use futures_util::StreamExt as _;
/// use dust_orm::ResyncReason;
///
/// let mut changes = repo.subscribe::<Link>().changes_only().await?;
/// assert_eq!(changes.next().await.transpose()?, Some(Change::Ready));
/// repo.delete_all::<Link>().await?;
/// let resync = Change::Resync(ResyncReason::Ancestor);
/// assert_eq!(changes.next().await.transpose()?, Some(resync));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResyncReason {
    /// The log no longer reaches back to where the subscription would have gone on.
    Compacted,
    /// An op on the prefix or above it changed records that the subscription does not know of.
    Ancestor,
    /// The listener of a broadcast was slower than its queue is long.
    Lagged,
}

/// A stream of [`Change`]s. An `Err` item is its last. Dropping it unsubscribes.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # use futures_util::StreamExt as _;
/// let mut changes: dust_orm::Subscription<Link> = repo.subscribe().await?;
/// assert_eq!(changes.next().await.transpose()?, Some(Change::Ready));
/// changes.unsubscribe();
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct Subscription<S> {
    cursor: Seq,
    state: State<S>,
}

type Next<S> = Result<Option<Change<S>>, Error>;

enum State<S> {
    Idle(Box<Feed<S>>),
    Working(BoxFuture<'static, (Box<Feed<S>>, Next<S>)>),
    Ended,
}

impl<S> Subscription<S> {
    /// The sequence number up to which every change has been delivered. Store it with what was made of the changes, and
    /// resume with [`SubscribeRecords::after`].
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.cursor
    }

    /// Ends the subscription; the same as dropping it.
    pub fn unsubscribe(self) {
        drop(self);
    }
}

impl<S: Schema> Stream for Subscription<S> {
    type Item = Result<Change<S>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            this.state = match std::mem::replace(&mut this.state, State::Ended) {
                State::Idle(mut feed) => State::Working(Box::pin(async move {
                    let change = feed.next().await;
                    (feed, change)
                })),
                State::Working(mut working) => match working.as_mut().poll(context) {
                    Poll::Pending => {
                        this.state = State::Working(working);
                        return Poll::Pending;
                    }
                    Poll::Ready((feed, Ok(Some(change)))) => {
                        this.cursor = feed.settled;
                        this.state = State::Idle(feed);
                        return Poll::Ready(Some(Ok(change)));
                    }
                    Poll::Ready((_, Ok(None))) => State::Ended,
                    Poll::Ready((_, Err(error))) => return Poll::Ready(Some(Err(error))),
                },
                State::Ended => return Poll::Ready(None),
            };
        }
    }
}

impl<S> fmt::Debug for Subscription<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

/// The records being listed, at the beginning and whenever more than single records may have changed.
struct Listing<S> {
    records: Records<S>,
    /// The slugs that the listing met: what is known beyond them is gone.
    seen: HashSet<String>,
    occasion: Occasion,
}

/// Why the records are listed.
#[derive(Clone, Copy, PartialEq)]
enum Occasion {
    /// The subscription begins.
    Begin,
    /// Events were lost. A deleted leaf leaves no higher revision behind, so even a record at the revision that was
    /// delivered last is delivered again.
    Resync,
    /// An op on an ancestor wrote or deleted records; what it wrote has its revision.
    Ancestor,
}

/// What a subscription knows and does.
struct Feed<S> {
    repo: Repo,
    events: EventStream,
    prefix: Path,
    /// The slugs that were delivered as upserted, with the revision of the record as it was delivered: an event up to
    /// it is in the record already.
    known: HashMap<String, Seq>,
    /// `known` is every record there is: the subscription began with the records.
    complete: bool,
    /// The seq of the last event that was taken in.
    taken: Seq,
    /// The seq up to which everything has been handed out.
    settled: Seq,
    listing: Option<Listing<S>>,
    ready: VecDeque<Change<S>>,
}

impl<S: Schema> Feed<S> {
    async fn next(&mut self) -> Next<S> {
        loop {
            if let Some(change) = self.ready.pop_front() {
                if self.ready.is_empty() && self.listing.is_none() {
                    self.settled = self.taken;
                }
                return Ok(Some(change));
            }
            if self.listing.is_some() {
                self.list_page().await?;
                continue;
            }
            self.settled = self.taken;
            match std::future::poll_fn(|context| self.events.as_mut().poll_next(context)).await {
                None => return Ok(None),
                Some(signal) => self.take(signal?).await?,
            }
        }
    }

    async fn take(&mut self, signal: Signal) -> Result<(), Error> {
        match signal {
            Signal::CaughtUp { through } => {
                self.taken = self.taken.max(through);
                if self.complete {
                    return self.list(Occasion::Begin);
                }
                self.ready.push_back(Change::Ready);
            }
            Signal::Resync { through } => {
                self.taken = through;
                self.ready.push_back(Change::Resync(ResyncReason::Compacted));
                if self.complete {
                    return self.list(Occasion::Resync);
                }
                self.known.clear();
            }
            Signal::Event(event) => {
                self.take_event(&event).await?;
                self.taken = event.seq;
            }
            // A signal of a later version of the transport says nothing about records that this one could pass on.
            _ => {}
        }
        Ok(())
    }

    async fn take_event(&mut self, event: &Event) -> Result<(), Error> {
        let Some(rest) = event.path.strip_prefix(&self.prefix) else {
            // The op is on the prefix or above it: any record may have changed.
            if self.complete {
                return self.list(Occasion::Ancestor);
            }
            self.known.clear();
            self.ready.push_back(Change::Resync(ResyncReason::Ancestor));
            return Ok(());
        };
        let slug = decode_segment(rest.split_once('/').map_or(rest, |(slug, _)| slug)).into_owned();
        if self.known.get(&slug).is_some_and(|revision| *revision >= event.seq) {
            return Ok(());
        }
        let stored = self.repo.stored::<S>(&slug).await?;
        let upserted = stored.is_some_and(|stored| self.upsert(stored.leaves));
        let was_known = !upserted && self.known.remove(&slug).is_some();
        if was_known || (!upserted && !self.complete && event.kind == OpKind::Delete) {
            self.ready.push_back(Change::Deleted(slug));
        }
        Ok(())
    }

    /// Delivers a record, if it loads. One that does not is either half written, and its other half will come, or
    /// somebody else's.
    fn upsert(&mut self, leaves: Leaves<S>) -> bool {
        let (slug, revision) = (leaves.slug().to_owned(), leaves.revision());
        match leaves.load() {
            Ok(record) => {
                self.known.insert(slug, revision);
                self.ready.push_back(Change::Upserted(record));
                true
            }
            Err(error) => {
                tracing::debug!(schema = S::NAME, slug, %error, "a changed record does not load");
                false
            }
        }
    }

    fn list(&mut self, occasion: Occasion) -> Result<(), Error> {
        let records = Records::open(self.repo.transport_arc())?;
        self.listing = Some(Listing {
            records,
            seen: HashSet::new(),
            occasion,
        });
        Ok(())
    }

    async fn list_page(&mut self) -> Result<(), Error> {
        let Some(mut listing) = self.listing.take() else {
            return Ok(());
        };
        let Some(page) = listing.records.next_page().await? else {
            let mut gone: Vec<_> = self
                .known
                .extract_if(|slug, _| !listing.seen.contains(slug))
                .map(|(slug, _)| slug)
                .collect();
            gone.sort_unstable();
            self.ready.extend(gone.into_iter().map(Change::Deleted));
            if listing.occasion != Occasion::Ancestor {
                self.ready.push_back(Change::Ready);
            }
            return Ok(());
        };
        for leaves in page {
            let unchanged =
                listing.occasion != Occasion::Resync && self.known.get(leaves.slug()) == Some(&leaves.revision());
            let slug = leaves.slug().to_owned();
            if unchanged || self.upsert(leaves) {
                listing.seen.insert(slug);
            }
        }
        self.listing = Some(listing);
        Ok(())
    }
}

/// A stream of the committed ops that touch the records of a schema. An `Err` item is its last.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # use futures_util::StreamExt as _;
/// use dust_orm::{Signal, Start};
///
/// let mut ops = repo.subscribe_raw::<Link>(Start::Now).await?;
/// assert!(matches!(ops.next().await.transpose()?, Some(Signal::CaughtUp { .. })));
/// ops.unsubscribe();
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct RawSubscription {
    events: EventStream,
}

impl RawSubscription {
    /// Ends the subscription; the same as dropping it.
    pub fn unsubscribe(self) {
        drop(self);
    }
}

impl Stream for RawSubscription {
    type Item = Result<Signal, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.events.as_mut().poll_next(context).map_err(Error::from)
    }
}

impl fmt::Debug for RawSubscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawSubscription").finish_non_exhaustive()
    }
}
