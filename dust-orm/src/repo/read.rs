use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use dust_transport::model::{Entry, Path};
use dust_transport::transport::List;
use dust_transport::transport::Transport;
use futures_core::Stream;
use futures_core::future::BoxFuture;

use super::query::Pages;
use super::record::{Grouping, Leaves, Stored};
use super::{Repo, prefix, record_path};
use crate::error::{Error, ErrorKind};
use crate::schema::{Primary, Schema};
use crate::version::Versioned;

/// Leaves per page: large enough that the page's own cost disappears, small enough to be a page.
const PAGE_LEAVES: usize = 1000;

impl Repo {
    /// Every record of a schema, in the byte order of their rendered slugs.
    ///
    /// A stored record that does not load is skipped and logged as a warning; a [`strict`](Self::strict) Repo fails.
    ///
    /// # Errors
    /// What the store fails with; `InvalidRecord` on a strict Repo.
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
    /// repo.batch_write(Batch::new().insert(link("b")).insert(link("a"))).await?;
    /// let links: Vec<Link> = repo.all().await?;
    /// assert_eq!(links, [link("a"), link("b")]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn all<S: Primary>(&self) -> Result<Vec<S>, Error> {
        let mut records = Vec::new();
        let mut pages = Records::open(self.transport_arc())?;
        while let Some(page) = pages.next_page().await? {
            self.load_into(&mut records, page)?;
        }
        Ok(records)
    }

    /// Loads records; one that does not load is skipped, or on a strict Repo an error.
    pub(super) fn load_into<S: Schema>(
        &self,
        records: &mut Vec<S>,
        stored: impl IntoIterator<Item = Leaves<S>>,
    ) -> Result<(), Error> {
        for leaves in stored {
            let slug = leaves.slug().to_owned();
            match leaves.load() {
                Ok(record) => records.push(record),
                Err(error) if self.strict => return Err(error),
                Err(error) => tracing::warn!(schema = S::NAME, slug, %error, "skipping a stored record"),
            }
        }
        Ok(())
    }

    /// Every record of a schema, page by page underneath: memory is bounded by one page and one record.
    ///
    /// A stored record that does not load is one `Err` item of kind `InvalidRecord`, and the stream goes on; any other
    /// `Err` ends it.
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
    /// # repo.batch_write(Batch::new().insert(link("b")).insert(link("a"))).await?;
    /// let mut links = repo.stream::<Link>();
    /// let mut count = 0;
    /// while let Some(link) = links.next().await {
    ///     match link {
    ///         Ok(_) => count += 1,
    ///         Err(error) if error.kind() == ErrorKind::InvalidRecord => eprintln!("{error}"),
    ///         Err(error) => return Err(error.into()),
    ///     }
    /// }
    /// assert_eq!(count, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream<S: Primary>(&self) -> RecordStream<S> {
        RecordStream::new(Records::open(self.transport_arc()).map(Source::All))
    }

    /// The record with a slug, or `None`.
    ///
    /// # Errors
    /// `InvalidRecord` where something is stored that does not load.
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
    /// repo.insert(link("dust")).await?;
    /// let found: Option<Link> = repo.get("dust").await?;
    /// assert_eq!(found, Some(link("dust")));
    /// assert_eq!(repo.get::<Link>("rust").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get<S: Primary>(&self, slug: impl AsRef<str> + Send) -> Result<Option<S>, Error> {
        let slug = slug.as_ref();
        let (root, entries) = self.entries::<S>(slug).await?;
        Leaves::gather(&root, slug, entries).map(Leaves::load).transpose()
    }

    /// The record with a slug together with its version, or `None`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
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
    /// repo.insert(link("dust")).await?;
    /// let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
    /// assert_eq!(found.title, "DUST");
    /// assert_eq!(found.version().revision(), Seq(1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn get_versioned<S: Primary>(&self, slug: impl AsRef<str> + Send) -> Result<Option<Versioned<S>>, Error> {
        let stored = self.stored(slug.as_ref()).await?;
        stored
            .map(|stored| Ok(Versioned::new(stored.leaves.load()?, stored.version)))
            .transpose()
    }

    /// The record with a slug, which must be there.
    ///
    /// # Errors
    /// `NotFound` where it is not; otherwise as [`get`](Self::get).
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
    /// let error = repo.fetch::<Link>("dust").await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn fetch<S: Primary>(&self, slug: impl AsRef<str> + Send) -> Result<S, Error> {
        let slug = slug.as_ref();
        self.get(slug)
            .await?
            .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("no {} `{slug}`", S::NAME)))
    }

    /// Whether anything is stored under a slug, be it a record that loads or not.
    ///
    /// # Errors
    /// What the store fails with.
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
    /// repo.insert(link("dust")).await?;
    /// assert!(repo.exists::<Link>("dust").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn exists<S: Primary>(&self, slug: impl AsRef<str> + Send) -> Result<bool, Error> {
        Ok(self.transport().exists(&record_path::<S>(slug.as_ref())?).await?)
    }

    /// One record as it is stored, with its version.
    pub(super) async fn stored<S: Schema>(&self, slug: &str) -> Result<Option<Stored<S>>, Error> {
        let (root, entries) = self.entries::<S>(slug).await?;
        Ok(Stored::gather(&root, slug, entries))
    }

    /// The path of one record and what is below it.
    async fn entries<S: Schema>(&self, slug: &str) -> Result<(Path, Vec<Entry>), Error> {
        let root = record_path::<S>(slug)?;
        let mut list = List::below(root.clone()).limit(PAGE_LEAVES);
        let mut entries = Vec::new();
        loop {
            let page = self.transport().list(&list).await?;
            let found = page.items.into_entries();
            if entries.is_empty() {
                entries = found;
            } else {
                entries.extend(found);
            }
            match page.next {
                Some(after) => list.after = Some(after),
                None => return Ok((root, entries)),
            }
        }
    }

    pub(super) fn transport_arc(&self) -> Arc<dyn Transport> {
        Arc::clone(&self.inner.transport)
    }
}

/// The records of a schema, a page of leaves at a time.
pub(super) struct Records<S> {
    transport: Arc<dyn Transport>,
    grouping: Grouping<S>,
    /// The next page; `None` when there is none.
    next: Option<List>,
}

impl<S: Schema> Records<S> {
    pub(super) fn open(transport: Arc<dyn Transport>) -> Result<Self, Error> {
        let prefix: Path = prefix::<S>()?;
        Ok(Self {
            transport,
            grouping: Grouping::new(prefix.clone()),
            next: Some(List::below(prefix).limit(PAGE_LEAVES)),
        })
    }

    /// The records that the next page completes; `None` at the end.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<Leaves<S>>>, Error> {
        let Some(mut list) = self.next.take() else {
            return Ok(None);
        };
        let mut page = self.transport.list(&list).await?;
        let after = page.next.take();
        let mut done: Vec<_> = page
            .items
            .into_entries()
            .into_iter()
            .filter_map(|entry| self.grouping.push(entry))
            .collect();
        match after {
            Some(after) => {
                list.after = Some(after);
                self.next = Some(list);
            }
            None => done.extend(self.grouping.finish()),
        }
        Ok(Some(done))
    }
}

/// Where the records of a stream come from.
pub(super) enum Source<S> {
    All(Records<S>),
    Query(Pages<S>),
}

impl<S: Schema> Source<S> {
    async fn next_page(&mut self) -> Result<Option<Vec<Leaves<S>>>, Error> {
        match self {
            Self::All(records) => records.next_page().await,
            Self::Query(pages) => pages.next_page().await,
        }
    }
}

type NextPage<S> = BoxFuture<'static, (Source<S>, Result<Option<Vec<Leaves<S>>>, Error>)>;

/// The stream of [`Repo::stream`] and of [`Query::stream`](super::Query::stream).
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
/// # use futures_util::TryStreamExt as _;
/// # repo.insert(link("dust")).await?;
/// let links: dust_orm::RecordStream<Link> = repo.stream();
/// let titles: Vec<String> = links.map_ok(|link| link.title).try_collect().await?;
/// assert_eq!(titles, ["DUST"]);
/// # Ok(())
/// # }
/// ```
#[must_use = "streams do nothing unless polled"]
pub struct RecordStream<S> {
    ready: VecDeque<Leaves<S>>,
    state: State<S>,
}

enum State<S> {
    Idle(Source<S>),
    Reading(NextPage<S>),
    Failed(Option<Error>),
    Ended,
}

impl<S: Schema> RecordStream<S> {
    pub(super) fn new(source: Result<Source<S>, Error>) -> Self {
        let state = match source {
            Ok(source) => State::Idle(source),
            Err(error) => State::Failed(Some(error)),
        };
        Self {
            ready: VecDeque::new(),
            state,
        }
    }
}

impl<S: Schema> Stream for RecordStream<S> {
    type Item = Result<S, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(leaves) = this.ready.pop_front() {
                return Poll::Ready(Some(leaves.load()));
            }
            this.state = match std::mem::replace(&mut this.state, State::Ended) {
                State::Idle(mut source) => State::Reading(Box::pin(async move {
                    let page = source.next_page().await;
                    (source, page)
                })),
                State::Reading(mut reading) => match reading.as_mut().poll(context) {
                    Poll::Pending => {
                        this.state = State::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready((source, Ok(Some(page)))) => {
                        this.ready = page.into();
                        State::Idle(source)
                    }
                    Poll::Ready((_, Ok(None))) => State::Ended,
                    Poll::Ready((_, Err(error))) => State::Failed(Some(error)),
                },
                State::Failed(error) => return Poll::Ready(error.map(Err)),
                State::Ended => return Poll::Ready(None),
            };
        }
    }
}

impl<S> fmt::Debug for RecordStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordStream")
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}
