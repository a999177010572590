//! The Repo: records in and out of a store.

mod batch;
mod bridge;
#[cfg(feature = "http")]
mod connect;
mod edit;
mod only;
mod query;
mod read;
mod record;
mod subscribe;
mod transaction;
mod write;

use std::fmt;
use std::sync::Arc;

use dust_transport::model::{Path, PathError};
use dust_transport::transport::Transport;

use crate::error::{Error, ErrorKind};
use crate::schema::Schema;
pub use batch::{Batch, BatchError, BatchWritten};
pub use bridge::Listener;
pub use edit::{Edit, Edits, FieldEdit};
pub use query::{Query, QueryPage, QueryStart, TakesConditions, TakesOrder};
pub use read::RecordStream;
pub use subscribe::{Change, RawSubscription, ResyncReason, SubscribeRecords, Subscription};
pub use transaction::Transact;
pub use write::{Delete, Insert, SlugOf, Update};

/// Records in and out of one store, whatever reaches it.
///
/// Cloning is cheap and yields a handle to the same store.
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
/// assert_eq!(repo.get("dust").await?, Some(link("dust")));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Repo {
    inner: Arc<Inner>,
    strict: bool,
}

struct Inner {
    transport: Arc<dyn Transport>,
    bridges: bridge::Bridges,
}

impl Repo {
    /// A Repo over a transport of the caller's.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// let embedded = dust_store::Embedded::memory();
    /// let repo = Repo::new(std::sync::Arc::new(embedded));
    /// assert_eq!(repo.transport().name(), "embedded");
    /// ```
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>) -> Self {
        Self {
            inner: Arc::new(Inner {
                transport,
                bridges: bridge::Bridges::default(),
            }),
            strict: false,
        }
    }

    /// A Repo over a new, empty store in memory; it is gone with the last clone.
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
    /// let (repo, another) = (Repo::memory(), Repo::memory());
    /// repo.insert(link("dust")).await?;
    /// assert_eq!(another.get::<Link>("dust").await?, None);
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "embedded")]
    #[must_use]
    pub fn memory() -> Self {
        Self::new(Arc::new(dust_store::Embedded::memory()))
    }

    /// A Repo over the store `org/name` in a folder, which is created if it is not there. Blocks the thread while an
    /// existing folder is verified, in proportion to its size; a program opens it once, at its start.
    ///
    /// The folder belongs to one process, and to one Repo and its clones in it, until the last is dropped. For several
    /// stores in one folder open a `dust_store::Database` and give its stores to [`Repo::new`].
    ///
    /// # Errors
    /// `Locked` where the folder is open elsewhere, `Format` where it is not a store or one of another version,
    /// `Corrupt` where it is damaged, `InvalidParams` where the name is not `org/name`, `Storage` where the disk fails.
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
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().join("bookmarks.dust");
    /// let repo = Repo::embedded(&folder, "acme/reading").await?;
    /// repo.insert(link("dust")).await?;
    /// drop(repo);
    ///
    /// let repo = Repo::embedded(&folder, "acme/reading").await?;
    /// assert_eq!(repo.get("dust").await?, Some(link("dust")));
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "embedded")]
    pub async fn embedded(folder: impl AsRef<std::path::Path>, store: &str) -> Result<Self, Error> {
        Ok(Self::new(Arc::new(dust_store::Embedded::open(folder, store).await?)))
    }

    /// The same store, where [`all`](Self::all) fails at a record that does not load instead of skipping it.
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
    /// # use dust_orm::Transport as _;
    /// // Somebody else has written half a record.
    /// let path = "links/half/remark".parse()?;
    /// repo.transport().write(dust_transport::model::Batch::one(dust_transport::model::Op::set(path, 1_i64))).await?;
    ///
    /// assert_eq!(repo.all::<Link>().await?, []);
    /// let error = repo.strict().all::<Link>().await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::InvalidRecord);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn strict(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
            strict: true,
        }
    }

    /// What reaches the store.
    #[must_use]
    pub fn transport(&self) -> &dyn Transport {
        self.inner.transport.as_ref()
    }
}

impl fmt::Debug for Repo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repo")
            .field("transport", &self.inner.transport)
            .field("strict", &self.strict)
            .finish()
    }
}

/// The path under which the records of a schema lie.
pub(crate) fn prefix<S: Schema>() -> Result<Path, Error> {
    Path::new(S::PREFIX).map_err(|error| {
        Error::new(
            ErrorKind::InvalidParams,
            format!("the prefix of {} is no path: {error}", S::NAME),
        )
    })
}

/// The path of one record.
pub(crate) fn record_path<S: Schema>(slug: &str) -> Result<Path, Error> {
    Path::new(S::PREFIX.iter().copied().chain([slug])).map_err(|error| match error {
        PathError::EmptySegment => Error::new(ErrorKind::InvalidParams, "missing slug"),
        error => Error::new(
            ErrorKind::InvalidParams,
            format!("the slug is no path segment: {error}"),
        ),
    })
}
