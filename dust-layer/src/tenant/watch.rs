//! Watches as streams of what is watched.

use std::fmt;

use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::stream::unfold;

use super::{Tenant, TenantTransaction};
use crate::engine::{Engine, Watch};
use crate::error::Error;
use crate::index::Signal;
use crate::query::Query;
use crate::row::Row;
use crate::table::{PrimaryKey, Table};
use crate::value::FieldValue;

type Read<E, T> = Box<dyn Fn(TenantTransaction<E>) -> BoxFuture<'static, Result<(T, Watch), Error>> + Send + Sync>;

/// What something is now, and again each time that it has changed. Dropping the stream ends the watch.
///
/// Changes that follow each other closely may be seen as one; the last state is always seen. On a cluster a state may be seen
/// again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::table::Table;
/// use dust_layer::value::FieldType;
/// use dust_layer::{Memory, Tenant};
///
/// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
/// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
/// let mut ada = tenant.watch_row(&users, &users.primary_key([7])?);
/// assert_eq!(ada.next().await?, None);
/// let row = users.row([("id", 7)])?;
/// tenant.transact(async |tx| tx.insert(&users, &row).await).await?;
/// assert_eq!(ada.next().await?, Some(row));
/// # Ok(())
/// # }
/// ```
pub struct WatchStream<E: Engine, T> {
    tenant: Tenant<E>,
    read: Read<E, T>,
    watch: Option<Watch>,
}

impl<E: Engine, T> fmt::Debug for WatchStream<E, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchStream")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl<E: Engine, T: Send + 'static> WatchStream<E, T> {
    /// Waits for a change, and reads. The first call reads at once.
    ///
    /// # Errors
    /// What the read gives; failures of the engine. The next call reads at once.
    ///
    /// # Cancel safety
    /// Dropping the future loses no change.
    pub async fn next(&mut self) -> Result<T, Error> {
        if let Some(watch) = &mut self.watch {
            let fired = watch.await;
            self.watch = None;
            // One that is refused in passing tells nothing, so what it watched is read.
            if let Err(error) = fired
                && !error.is_retryable()
            {
                return Err(error);
            }
        }
        let read = |tx: TenantTransaction<E>| (self.read)(tx);
        let ((found, watch), _) = self.tenant.transact(read).await?;
        self.watch = Some(watch);
        Ok(found)
    }

    /// As a [`Stream`], which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<T, Error>> + Send {
        unfold(Some(self), async |stream| {
            let mut stream = stream?;
            match stream.next().await {
                Ok(found) => Some((Ok(found), Some(stream))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }
}

impl<E: Engine> Tenant<E> {
    /// Watches whatever `read` reads: it gives what it found and the watch, both from the transaction it gets.
    pub fn watch_with<T, F, R>(&self, read: F) -> WatchStream<E, T>
    where
        F: Fn(TenantTransaction<E>) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(T, Watch), Error>> + Send + 'static,
    {
        WatchStream {
            tenant: self.clone(),
            read: Box::new(move |tx| Box::pin(read(tx))),
            watch: None,
        }
    }

    /// Watches the row of a primary key.
    #[must_use]
    pub fn watch_row(&self, table: &Table, key: &PrimaryKey) -> WatchStream<E, Option<Row>> {
        let (table, key) = (table.clone(), key.clone());
        self.watch_with(move |tx| {
            let (table, key) = (table.clone(), key.clone());
            async move {
                let watch = tx.watch_row(&table, &key)?;
                Ok((tx.get_row(&table, &key).await?, watch))
            }
        })
    }

    /// Watches the rows of a query: reads them again whenever a [counter](Signal) of the table has changed.
    ///
    /// `group` has a value for each field of the counters. The query should find rows of that group only.
    #[must_use]
    pub fn watch_query(
        &self,
        table: &Table,
        query: Query,
        counters: &str,
        group: &[FieldValue],
        signal: Signal,
    ) -> WatchStream<E, Vec<Row>> {
        let (table, counters, group) = (table.clone(), Box::<str>::from(counters), group.to_vec());
        self.watch_with(move |tx| {
            let (table, query) = (table.clone(), query.clone());
            let (counters, group) = (counters.clone(), group.clone());
            async move {
                let watch = tx.watch_counter(table.name(), &counters, &group, signal).await?;
                Ok((tx.query(&table, &query).await?, watch))
            }
        })
    }
}
