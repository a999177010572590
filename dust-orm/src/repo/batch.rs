use std::fmt;

use dust_transport::model::{Op, OpId, Seq};

use super::Repo;
use super::write::{SlugOf, plan_delete, plan_insert, plan_update, taken};
use crate::changeset::{Changeset, Errors};
use crate::error::{Error, ErrorKind, WriteError};
use crate::schema::{Primary, Schema};
use crate::version::Expected;

impl Repo {
    /// Commits a batch: every item or none.
    ///
    /// Items are validated in order; the first that is not valid ends the call, and nothing is sent. Each item sees the
    /// effects of those before it.
    ///
    /// # Errors
    /// [`BatchError::Invalid`] with the errors of the first item that is not valid; otherwise what the store refused or
    /// failed with, [`Error::item`] telling which item it was.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome unknown; with [`Batch::op_id`] the same batch can be sent again.
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
    /// repo.insert(link("old")).await?;
    /// let written = repo.batch_write(Batch::new().insert(link("new")).delete::<Link>("old")).await?;
    /// assert_eq!(written.ops, 2);
    /// assert_eq!(repo.all::<Link>().await?, [link("new")]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn batch_write(&self, batch: Batch) -> Result<BatchWritten, BatchError> {
        if batch.items.is_empty() {
            return Err(Error::new(ErrorKind::NothingToWrite, "the batch is empty").into());
        }
        let id = batch.id.clone();
        let takens: Vec<Taken> = batch.items.iter().map(|item| item.taken).collect();
        let (ops, ends) = batch.compile()?;
        if ops.is_empty() {
            return Ok(BatchWritten { seq: None, ops: 0 });
        }
        let count = ops.len();
        let seq = self.commit(ops, id).await.map_err(|error| {
            let at = error
                .transport()
                .and_then(|error| error.conflict())
                .map(|conflict| conflict.op_index);
            let item = at.and_then(|at| ends.iter().position(|end| at < *end));
            let taken = item.and_then(|index| Some((index, takens.get(index)?(&error)?)));
            match taken {
                Some((index, (schema, errors))) => BatchError::Invalid { index, schema, errors },
                None => error.with_item(item).into(),
            }
        })?;
        Ok(BatchWritten {
            seq: Some(seq),
            ops: count,
        })
    }
}

type Compile = Box<dyn FnOnce(Option<&Expected>) -> Result<Vec<Op>, ItemError> + Send>;

/// The schema of an item, and what is wrong with it if the store has another record with its values.
type Taken = fn(&Error) -> Option<(&'static str, Errors)>;

fn taken_item<S: Schema>(error: &Error) -> Option<(&'static str, Errors)> {
    let mut errors = Errors::default();
    errors.push(taken::<S>(error)?);
    Some((S::NAME, errors))
}

enum ItemError {
    Invalid(&'static str, Errors),
    Dust(Error),
}

impl<S: Schema> From<WriteError<S>> for ItemError {
    fn from(error: WriteError<S>) -> Self {
        match error {
            WriteError::Invalid(changeset) => Self::Invalid(S::NAME, changeset.errors().clone()),
            WriteError::Dust(error) => Self::Dust(error),
        }
    }
}

struct Item {
    compile: Compile,
    taken: Taken,
    expected: Option<Expected>,
}

/// Inserts, updates and deletes, of any schemas, that are committed together or not at all.
///
/// `if_match` and `if_absent` belong to the item before them.
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
/// let batch = Batch::new()
///     .insert(link("a")).if_absent()
///     .delete::<Link>("b").if_match(7);
/// assert_eq!(batch.len(), 2);
///
/// let refused = repo.batch_write(batch).await.unwrap_err();
/// assert!(refused.is_conflict());
/// assert_eq!(refused.dust().and_then(|error| error.item()), Some(1));
/// assert_eq!(repo.all::<Link>().await?, []);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
#[must_use = "a batch is sent by `Repo::batch_write`"]
pub struct Batch {
    items: Vec<Item>,
    id: Option<OpId>,
    misplaced: bool,
}

impl Batch {
    /// An empty batch.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an insert, as [`Repo::insert`].
    pub fn insert<S: Primary>(self, record: impl Into<Changeset<S>>) -> Self {
        let changeset = record.into();
        self.item::<S>(move |expected| Ok(plan_insert(changeset, expected)?.1))
    }

    /// Adds an update, as [`Repo::update`].
    pub fn update<S: Primary>(self, changeset: Changeset<S>) -> Self {
        self.item::<S>(move |expected| Ok(plan_update(changeset, expected)?.1))
    }

    /// Adds a delete, as [`Repo::delete`].
    pub fn delete<S: Primary>(self, record: impl SlugOf<S>) -> Self {
        let slug = record.into_slug();
        self.item::<S>(move |expected| {
            plan_delete::<S>(&slug, expected)
                .map(|op| vec![op])
                .map_err(ItemError::Dust)
        })
    }

    /// Makes the item before depend on the record being as it was read.
    pub fn if_match(self, expected: impl Into<Expected>) -> Self {
        self.expect(expected.into())
    }

    /// Makes the insert before depend on nothing being stored under its slug.
    pub fn if_absent(self) -> Self {
        self.expect(Expected::absent())
    }

    /// Makes a repetition of the batch harmless: the store commits an op id once per device.
    pub fn op_id(mut self, id: OpId) -> Self {
        self.id = Some(id);
        self
    }

    /// How many items the batch has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the batch has no items.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The ops that would be sent, without sending them.
    ///
    /// # Errors
    /// As [`Repo::batch_write`], as far as that is known before it is sent.
    pub fn plan(self) -> Result<Vec<Op>, BatchError> {
        Ok(self.compile()?.0)
    }

    fn item<S: Schema>(
        mut self,
        compile: impl FnOnce(Option<&Expected>) -> Result<Vec<Op>, ItemError> + Send + 'static,
    ) -> Self {
        self.items.push(Item {
            compile: Box::new(compile),
            taken: taken_item::<S>,
            expected: None,
        });
        self
    }

    fn expect(mut self, expected: Expected) -> Self {
        match self.items.last_mut() {
            Some(item) => item.expected = Some(expected),
            None => self.misplaced = true,
        }
        self
    }

    /// The ops, and the end of each item's in them.
    fn compile(self) -> Result<(Vec<Op>, Vec<usize>), BatchError> {
        if self.misplaced {
            return Err(Error::new(
                ErrorKind::InvalidParams,
                "`if_match` stands before the first item of the batch",
            )
            .into());
        }
        let mut ops = Vec::new();
        let mut ends = Vec::with_capacity(self.items.len());
        for (index, item) in self.items.into_iter().enumerate() {
            match (item.compile)(item.expected.as_ref()) {
                Ok(mut compiled) => ops.append(&mut compiled),
                Err(ItemError::Invalid(schema, errors)) => return Err(BatchError::Invalid { index, schema, errors }),
                Err(ItemError::Dust(error)) => return Err(error.with_item(Some(index)).into()),
            }
            ends.push(ops.len());
        }
        Ok((ops, ends))
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("items", &self.items.len())
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A batch that was committed.
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
/// let written = repo.batch_write(Batch::new().insert(link("a")).insert(link("b"))).await?;
/// assert_eq!((written.seq, written.ops), (Some(Seq(2)), 2));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchWritten {
    /// The sequence number of its last op; `None` where nothing had changed and nothing was sent.
    pub seq: Option<Seq>,
    /// How many ops it took.
    pub ops: usize,
}

/// Why a batch was not committed.
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
/// let empty = Link::changeset(&[("slug", "a")]);
/// match repo.batch_write(Batch::new().insert(link("b")).insert(empty)).await {
///     Err(BatchError::Invalid { index, schema, errors }) => {
///         assert_eq!((index, schema), (1, "Link"));
///         assert_eq!(errors.to_string(), "title: can't be blank");
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub enum BatchError {
    /// An item is not valid, and nothing was sent; or it has a value that another record has in a unique index, and nothing
    /// was written.
    Invalid {
        /// Which item.
        index: usize,
        /// The name of its schema.
        schema: &'static str,
        /// What is wrong with it.
        errors: Errors,
    },
    /// The store refused or failed.
    Dust(Error),
}

impl BatchError {
    /// The store's error, if it is one.
    #[must_use]
    pub fn dust(&self) -> Option<&Error> {
        match self {
            Self::Dust(error) => Some(error),
            Self::Invalid { .. } => None,
        }
    }

    /// Whether a precondition of an item did not hold; [`Error::item`] tells which one's.
    #[must_use]
    pub fn is_conflict(&self) -> bool {
        self.dust().is_some_and(Error::is_conflict)
    }
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        Self::Dust(error)
    }
}

impl fmt::Display for BatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { index, schema, errors } => write!(f, "item {index} ({schema}) is not valid: {errors}"),
            Self::Dust(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for BatchError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.dust().and_then(std::error::Error::source)
    }
}
