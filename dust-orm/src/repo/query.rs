//! Records found by their fields.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use dust_transport::query::{Conditions, Cursor, FoundRecord, IndexQuery, IndexState, plan};
use dust_transport::transport::Transport;

use super::read::Source;
use super::record::Leaves;
use super::{RecordStream, Repo, prefix};
use crate::condition::{Condition, Equals, Ordered, Ranged, Sort, Test};
use crate::error::Error;
use crate::index::{Indexed, field_path};
use crate::schema::Schema;

/// Records per page where all that are found are read.
const PAGE_RECORDS: usize = 500;

impl Repo {
    /// Defines the indexes of a schema in the store and builds those that are not built, while others read and write.
    ///
    /// A program calls it at its start. What has been built stays, so the next call is cheap, and one that was cut short goes
    /// on. An index that the schema no longer has stays until it is dropped.
    ///
    /// # Errors
    /// `NotSupported` where what reaches the store has no queries; what the store fails with.
    ///
    /// # Cancel safety
    /// Dropping the future leaves indexes that are being built; the next call goes on.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "users", index(department, name))]
    /// # struct User { slug: String, name: String, department: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let repo = Repo::memory();
    /// repo.ensure_indexes::<User>().await?;
    /// assert!(repo.query(User::DEPARTMENT.eq("eng")).all().await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn ensure_indexes<S: Indexed>(&self) -> Result<(), Error> {
        for index in S::INDEXES {
            let definition = index.definition::<S>()?;
            loop {
                match self.transport().ensure_index(&definition).await?.state {
                    IndexState::Readable => break,
                    state => tracing::info!(schema = S::NAME, index = %definition, ?state, "an index is being built"),
                }
            }
        }
        Ok(())
    }

    /// Begins a query by its first condition, or by its order where there is none.
    ///
    /// A query is one range of one index: equal values of its first fields, then at most one range of the next field, in the
    /// order of that field. What cannot be such a range does not compile, or is refused with the index that would serve.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "users", storage = "map", index(department, name))]
    /// # struct User { #[dust(slug)] id: String, name: String, department: String }
    /// # fn user(id: &str, name: &str) -> User { User { id: id.into(), name: name.into(), department: "eng".into() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// # repo.ensure_indexes::<User>().await?;
    /// repo.batch_write(Batch::new().insert(user("1", "Bo")).insert(user("2", "Al")).insert(user("3", "Cy"))).await?;
    ///
    /// let query = repo.query(User::DEPARTMENT.eq("eng")).order_by(User::NAME.asc()).limit(2);
    /// let page = query.page().await?;
    /// assert_eq!(page.records, [user("2", "Al"), user("1", "Bo")]);
    /// let rest = query.after(page.next).page().await?;
    /// assert_eq!((rest.records, rest.next), (vec![user("3", "Cy")], None));
    ///
    /// let from_b = repo.query(User::DEPARTMENT.eq("eng")).and(User::NAME.between("B"..)).order_by(User::NAME.desc());
    /// assert_eq!(from_b.all().await?, [user("3", "Cy"), user("1", "Bo")]);
    ///
    /// let refused = repo.query(User::NAME.eq("Al")).all().await.unwrap_err();
    /// assert!(refused.to_string().contains("an index by (name) would"));
    /// # Ok(())
    /// # }
    /// ```
    pub fn query<C: QueryStart>(&self, first: C) -> Query<C::Schema, C::Shape>
    where
        C::Schema: Indexed,
    {
        first.begin(Query {
            repo: self.clone(),
            conditions: Conditions::default(),
            refused: None,
            limit: None,
            after: None,
            shape: PhantomData,
        })
    }
}

/// What a query begins with: a [`Condition`] or a [`Sort`].
pub trait QueryStart: sealed::Sealed {
    /// Whose records it finds.
    type Schema: Schema;
    /// What it makes of the query.
    type Shape;

    #[doc(hidden)]
    fn begin(self, query: Query<Self::Schema, Equals>) -> Query<Self::Schema, Self::Shape>;
}

mod sealed {
    pub trait Sealed {}
    impl<S, K> Sealed for crate::condition::Condition<S, K> {}
    impl<S> Sealed for crate::condition::Sort<S> {}
}

impl<S: Schema, K> QueryStart for Condition<S, K> {
    type Schema = S;
    type Shape = K;

    fn begin(self, query: Query<S, Equals>) -> Query<S, K> {
        query.with(self)
    }
}

impl<S: Schema> QueryStart for Sort<S> {
    type Schema = S;
    type Shape = Ordered;

    fn begin(self, query: Query<S, Equals>) -> Query<S, Ordered> {
        query.sorted(self)
    }
}

/// A query that takes one more condition.
#[diagnostic::on_unimplemented(
    message = "a range or an order is the last of a query: no condition can follow it",
    label = "the query has a range or an order already",
    note = "put the fields that are equal to a value first, as in `repo.query(a.eq(..)).and(b.between(..))`"
)]
pub trait TakesConditions {}

impl TakesConditions for Equals {}

/// A query that takes an order.
#[diagnostic::on_unimplemented(
    message = "a query has one order, and this one has it already",
    label = "the query has an order already",
    note = "an index on more fields orders by all of them: `index(department, name)`"
)]
pub trait TakesOrder {}

impl TakesOrder for Equals {}
impl TakesOrder for Ranged {}

/// A query of the records of `S`; nothing is read before [`page`](Self::page), [`all`](Self::all) or
/// [`stream`](Self::stream) is called. See [`Repo::query`].
///
/// `K` is its shape, which says what can follow.
#[must_use = "a query does nothing until its records are asked for"]
pub struct Query<S, K = Equals> {
    repo: Repo,
    conditions: Conditions,
    refused: Option<Error>,
    limit: Option<usize>,
    after: Option<Cursor>,
    shape: PhantomData<fn() -> (S, K)>,
}

impl<S: Schema, K> Query<S, K> {
    fn shaped<N>(self) -> Query<S, N> {
        Query {
            repo: self.repo,
            conditions: self.conditions,
            refused: self.refused,
            limit: self.limit,
            after: self.after,
            shape: PhantomData,
        }
    }

    fn with<N>(mut self, condition: Condition<S, N>) -> Query<S, N> {
        let field = S::FIELDS.get(condition.place).map(field_path);
        match (field, condition.test) {
            (Some(Ok(field)), Ok(Test::Equal(value))) => self.conditions.equals.push((field, value)),
            (Some(Ok(field)), Ok(Test::Range(range))) => self.conditions.range = Some((field, range)),
            (Some(Err(error)), _) => self.refused = self.refused.or(Some(error)),
            (_, Err(error)) => self.refused = self.refused.or(Some(error.into())),
            (None, Ok(_)) => {}
        }
        self.shaped()
    }

    fn sorted(mut self, sort: Sort<S>) -> Query<S, Ordered> {
        match S::FIELDS.get(sort.place).map(field_path) {
            Some(Ok(field)) => self.conditions.order = Some((field, sort.order)),
            Some(Err(error)) => self.refused = self.refused.or(Some(error)),
            None => {}
        }
        self.shaped()
    }

    /// The same with one more condition: an equal field, or the range that ends them.
    pub fn and<N>(self, condition: Condition<S, N>) -> Query<S, N>
    where
        K: TakesConditions,
    {
        self.with(condition)
    }

    /// The same in the order of a field: that of the range, or else the one after those that are equal in the index.
    pub fn order_by(self, sort: Sort<S>) -> Query<S, Ordered>
    where
        K: TakesOrder,
    {
        self.sorted(sort)
    }

    /// The same with at most so many records: of a page, or of all. A page has 50 unless this says otherwise, and at most 1000.
    pub fn limit(mut self, records: usize) -> Self {
        self.limit = Some(records);
        self
    }

    /// The same, continued where a page ended; `None` starts over.
    pub fn after(mut self, cursor: impl Into<Option<Cursor>>) -> Self {
        self.after = cursor.into();
        self
    }
}

impl<S: Indexed, K> Query<S, K> {
    /// The range that is read: the index, the values, the order. Its `Display` is for people. Reads nothing.
    ///
    /// # Errors
    /// `InvalidParams`: `no_index` in the text, with the index that would serve, where the schema has none that does; another
    /// text where no index could, as for an order by another field than that of the range, or for a value without an order.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "users", index(department, name))]
    /// # struct User { slug: String, name: String, department: String }
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// let query = repo.query(User::DEPARTMENT.eq("eng")).and(User::NAME.lt("C")).order_by(User::NAME.desc());
    /// let range = query.explain()?.to_string();
    /// assert_eq!(range, r#"users by department, name: department = "eng", name < "C", descending"#);
    /// # Ok(())
    /// # }
    /// ```
    pub fn explain(&self) -> Result<IndexQuery, Error> {
        if let Some(refused) = &self.refused {
            return Err(Error::new(refused.kind(), refused.to_string()));
        }
        let definitions = S::INDEXES.iter().map(|index| index.definition::<S>());
        let definitions = definitions.collect::<Result<Vec<_>, _>>()?;
        let query = plan(&prefix::<S>()?, &definitions, self.conditions.clone())?;
        Ok(query.after(self.after.clone()))
    }

    /// Reads one page.
    ///
    /// A stored record that does not load is left out and logged as a warning; a [`strict`](Repo::strict) Repo fails.
    ///
    /// # Errors
    /// As [`explain`](Self::explain); `NotSupported` where what reaches the store has no queries; `InvalidParams` before
    /// [`ensure_indexes`](Repo::ensure_indexes) has built the index, and for a limit of 0 or above 1000; `InvalidRecord` on a
    /// strict Repo.
    pub async fn page(&self) -> Result<QueryPage<S>, Error> {
        let query = self.explain()?.limit(self.limit.unwrap_or(IndexQuery::LIMIT_DEFAULT));
        let page = self.repo.transport().query(&query).await?;
        let mut records = Vec::with_capacity(page.records.len());
        self.repo
            .load_into(&mut records, page.records.into_iter().filter_map(leaves))?;
        Ok(QueryPage {
            records,
            next: page.next,
        })
    }

    /// Reads all that are found, or as many as the limit says, page by page underneath.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn all(&self) -> Result<Vec<S>, Error> {
        let mut pages = self.pages()?;
        let mut records = Vec::new();
        while let Some(page) = pages.next_page().await? {
            self.repo.load_into(&mut records, page)?;
        }
        Ok(records)
    }

    /// Streams all that are found, or as many as the limit says. Between pages others may write: a record is seen as it is
    /// when its page is read.
    ///
    /// A stored record that does not load is one `Err` item of kind `InvalidRecord`, and the stream goes on; any other `Err`
    /// ends it.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "users", index(name))]
    /// # struct User { slug: String, name: String }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// # repo.ensure_indexes::<User>().await?;
    /// use futures_util::TryStreamExt as _;
    /// repo.insert(User { slug: "1".into(), name: "Ada".into() }).await?;
    /// let users: Vec<User> = repo.query(User::NAME.asc()).stream().try_collect().await?;
    /// assert_eq!(users.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn stream(&self) -> RecordStream<S> {
        RecordStream::new(self.pages().map(Source::Query))
    }

    fn pages(&self) -> Result<Pages<S>, Error> {
        Ok(Pages {
            transport: self.repo.transport_arc(),
            next: Some(self.explain()?),
            left: self.limit,
            schema: PhantomData,
        })
    }
}

fn leaves<S: Schema>(found: FoundRecord) -> Option<Leaves<S>> {
    let slug = found.path.last().into_owned();
    Leaves::gather(&found.path, &slug, found.entries)
}

/// The pages of a query.
pub(super) struct Pages<S> {
    transport: Arc<dyn Transport>,
    /// The next page; `None` when there is none.
    next: Option<IndexQuery>,
    /// How many records are still wanted, if not all.
    left: Option<usize>,
    schema: PhantomData<fn() -> S>,
}

impl<S: Schema> Pages<S> {
    /// The records of the next page; `None` at the end.
    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<Leaves<S>>>, Error> {
        let limit = self.left.unwrap_or(PAGE_RECORDS).min(PAGE_RECORDS);
        let Some(query) = self.next.take().filter(|_| limit > 0) else {
            return Ok(None);
        };
        let query = query.limit(limit);
        let page = self.transport.query(&query).await?;
        self.left = self.left.map(|left| left.saturating_sub(page.records.len()));
        self.next = page.next.map(|next| query.after(next));
        Ok(Some(page.records.into_iter().filter_map(leaves).collect()))
    }
}

/// One page of a [`Query`].
#[derive(Debug, Clone, PartialEq)]
pub struct QueryPage<S> {
    /// The records, in the order of the query.
    pub records: Vec<S>,
    /// Where the next page begins, for [`Query::after`]; `None` when nothing more was found.
    pub next: Option<Cursor>,
}

impl<S: Schema, K> fmt::Debug for Query<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Query")
            .field("schema", &S::NAME)
            .field("conditions", &self.conditions)
            .field("limit", &self.limit)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl<S, K> Clone for Query<S, K> {
    fn clone(&self) -> Self {
        let refused = self.refused.as_ref();
        Self {
            repo: self.repo.clone(),
            conditions: self.conditions.clone(),
            refused: refused.map(|error| Error::new(error.kind(), error.to_string())),
            limit: self.limit,
            after: self.after.clone(),
            shape: PhantomData,
        }
    }
}
