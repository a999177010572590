//! Queries that are too long for one transaction.

use std::collections::VecDeque;
use std::fmt;

use futures_core::Stream;
use futures_util::stream::unfold;

use super::{Cursor, Query};
use crate::engine::Engine;
use crate::error::Error;
use crate::row::Row;
use crate::table::Table;
use crate::tenant::Tenant;

/// The rows of a query, read page after page, each in a transaction of its own.
///
/// It sees what each page's transaction sees: a row that moves in the order while the stream runs may come twice or not at
/// all, one that does not comes once. [`cursor`](Self::cursor) is where another stream can go on later.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::query::Query;
/// use dust_layer::table::Table;
/// use dust_layer::value::FieldType;
/// use dust_layer::{Memory, Tenant};
///
/// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
/// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
/// let tx = tenant.begin();
/// for id in 1..=5 {
///     tx.insert(&users, &users.row([("id", id)])?).await?;
/// }
/// tx.commit().await?;
///
/// let mut rows = tenant.stream(&users, Query::new(), 2);
/// assert_eq!(rows.next().await?.unwrap().get(1), &1.into());
/// let stored = rows.cursor().unwrap().clone();
/// let mut rest = tenant.stream(&users, Query::new(), 2).resume(stored);
/// assert_eq!(rest.next().await?.unwrap().get(1), &2.into());
/// # Ok(())
/// # }
/// ```
pub struct RowStream<E: Engine> {
    tenant: Tenant<E>,
    table: Table,
    query: Query,
    page_rows: usize,
    /// How many rows are still wanted.
    left: usize,
    rows: VecDeque<(Row, Cursor)>,
    /// After the last row that was given out.
    cursor: Option<Cursor>,
    /// After the last row that was read.
    ahead: Option<Cursor>,
    is_read: bool,
}

impl<E: Engine> fmt::Debug for RowStream<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RowStream")
            .field("table", &self.table.name())
            .field("query", &self.query)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Tenant<E> {
    /// Streams the rows of a query; each page of `page_rows` is a transaction of its own.
    #[must_use]
    pub fn stream(&self, table: &Table, query: Query, page_rows: usize) -> RowStream<E> {
        RowStream {
            tenant: self.clone(),
            table: table.clone(),
            left: query.limit.unwrap_or(usize::MAX),
            query,
            page_rows: page_rows.max(1),
            rows: VecDeque::new(),
            cursor: None,
            ahead: None,
            is_read: false,
        }
    }
}

impl<E: Engine> RowStream<E> {
    /// Begins after a cursor of another stream, or page, of the same query.
    #[must_use]
    pub fn resume(mut self, cursor: Cursor) -> Self {
        self.ahead = Some(cursor.clone());
        self.cursor = Some(cursor);
        self
    }

    /// The place after the last row that [`next`](Self::next) gave; `None` before the first one.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.cursor.as_ref()
    }

    /// The next row; `None` after the last one.
    ///
    /// # Errors
    /// As [`TenantTransaction::query`](crate::TenantTransaction::query). The next call tries again.
    ///
    /// # Cancel safety
    /// Dropping the future loses no row.
    pub async fn next(&mut self) -> Result<Option<Row>, Error> {
        while self.rows.is_empty() && !self.is_read && self.left > 0 {
            let query = self.query.clone().limit(self.page_rows.min(self.left));
            let ahead = self.ahead.as_ref();
            let tx = self.tenant.begin();
            let (rows, next) = tx.page_with_keys(&self.table, &query, ahead).await?;
            tx.commit().await?;
            self.left -= rows.len().min(self.left);
            self.is_read = next.is_none();
            self.ahead = next;
            self.rows.extend(rows);
        }
        let Some((row, cursor)) = self.rows.pop_front() else {
            return Ok(None);
        };
        self.cursor = Some(cursor);
        Ok(Some(row))
    }

    /// As a [`Stream`], which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Row, Error>> + Send {
        unfold(Some(self), async |stream| {
            let mut stream = stream?;
            match stream.next().await {
                Ok(Some(row)) => Some((Ok(row), Some(stream))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}
