//! Reads what a plan says.

use futures_util::future::try_join_all;
use tracing::Instrument;
use tracing::field::Empty;

use super::plan::Access;
use super::{Cursor, Plan, Query};
use crate::engine::{Direction, Engine, Isolation, Mapper, RangeRead};
use crate::error::{Error, QueryError, SchemaError};
use crate::index::{IndexDef, IndexKind, IndexSpace, IndexState, entry};
use crate::metrics::add_len;
use crate::row::Row;
use crate::table::{PrimaryKey, Table};
use crate::tenant::TenantTransaction;
use crate::value::FieldValue;

/// A page of the rows of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The rows, in the order of the query.
    pub rows: Vec<Row>,
    /// Where the next page begins; `None` after the last one. The last page may be empty.
    pub next: Option<Cursor>,
}

/// An entry that a query found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The primary key of the record.
    pub key: PrimaryKey,
    /// The record, if the index covers it.
    pub covered: Option<Vec<u8>>,
    /// Where it was found.
    place: Vec<u8>,
}

/// A page of the entries of a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entries {
    /// The entries, in the order of the query.
    pub entries: Vec<Entry>,
    /// Where the next page begins; `None` after the last one. The last page may be empty.
    pub next: Option<Cursor>,
}

impl Plan {
    /// Reads a part of the plan's range.
    fn read<'a>(&self, begin: &'a [u8], end: &'a [u8]) -> RangeRead<'a> {
        RangeRead {
            begin,
            end,
            limit: self.limit.unwrap_or(usize::MAX),
            direction: self.direction,
            isolation: Isolation::Serializable,
        }
    }
}

impl<E: Engine> TenantTransaction<E> {
    /// The rows that a query finds, the transaction's own writes included.
    ///
    /// # Errors
    /// [`QueryError`] for a query that is not one range; [`SchemaError`] for fields and types;
    /// failures of the engine.
    pub async fn query(&self, table: &Table, query: &Query) -> Result<Vec<Row>, Error> {
        Ok(self.page(table, query, None).await?.rows)
    }

    /// The first row that a query finds.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn first(&self, table: &Table, query: &Query) -> Result<Option<Row>, Error> {
        let found = self.query(table, &query.clone().limit(1)).await?;
        Ok(found.into_iter().next())
    }

    /// As [`query`](Self::query), from where an earlier page ended; the query's limit is the length of the page.
    ///
    /// # Errors
    /// As [`query`](Self::query), and [`QueryError::Cursor`] for a cursor of another
    /// query or tenant.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::query::{Cursor, Query};
    /// use dust_layer::table::Table;
    /// use dust_layer::value::FieldType;
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
    /// let tx = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?.begin();
    /// for id in 1..=5 {
    ///     tx.insert(&users, &users.row([("id", id)])?).await?;
    /// }
    /// let query = Query::new().limit(3);
    /// let first = tx.page(&users, &query, None).await?;
    /// let stored = first.next.unwrap().to_bytes();
    /// let second = tx.page(&users, &query, Some(&Cursor::from_bytes(&stored)?)).await?;
    /// assert_eq!((first.rows.len(), second.rows.len(), second.next), (3, 2, None));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn page(&self, table: &Table, query: &Query, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let (rows, next) = self.page_with_keys(table, query, cursor).await?;
        let rows = rows.into_iter().map(|(row, _)| row).collect();
        Ok(Page { rows, next })
    }

    /// A page of rows, each with the cursor after it.
    pub(super) async fn page_with_keys(
        &self,
        table: &Table,
        query: &Query,
        cursor: Option<&Cursor>,
    ) -> Result<(Vec<(Row, Cursor)>, Option<Cursor>), Error> {
        let span = tracing::debug_span!("query", table = table.name(), index = Empty, rows = Empty);
        let read = async {
            let plan = self.plan(table, query).await?;
            let found = match &plan.access {
                Access::Index(def) if !def.is_covering() => self.mapped_entries(table, def, &plan, cursor).await?,
                _ => self.entries(&plan, cursor).await?,
            };
            let start = Cursor::new(&plan, &plan.base);
            let keys = found.entries.iter().map(|entry| start.moved(&plan, &entry.place));
            let keys: Vec<Cursor> = keys.collect();
            add_len(&self.tally().rows_read, found.entries.len());
            let decode = |entry: &Entry| table.decode(entry.key.packed(), entry.covered.as_deref().unwrap_or_default());
            let rows: Vec<Row> = found.entries.iter().map(decode).collect::<Result<_, Error>>()?;
            span.record("index", plan.index().map_or("rows", |def| def.name()));
            span.record("rows", rows.len());
            Ok((rows.into_iter().zip(keys).collect(), found.next))
        };
        read.instrument(span.clone()).await
    }

    /// The entries of a plan, each with the row that it leads to: in one read where the engine can, and but for rows that
    /// are split.
    async fn mapped_entries(
        &self,
        table: &Table,
        def: &IndexDef,
        plan: &Plan,
        cursor: Option<&Cursor>,
    ) -> Result<Entries, Error> {
        if !table.has_rows() {
            return Err(SchemaError::NoRows.into());
        }
        let (begin, end) = self.rest_of(plan, cursor)?;
        let target = &table.row_prefix(self);
        let mapper = Mapper {
            base: &plan.base,
            skip: def.fields().len(),
            take: table.key_len(),
            target,
        };
        let found = self.read_mapped(plan.read(&begin, &end), mapper).await?;
        let rows = found.iter().map(|(place, value)| async move {
            let after_base = place.strip_prefix(&plan.base[..]).unwrap_or_default();
            let key = entry::primary_key(def, after_base)?;
            let value = value.ok_or_else(|| Error::corrupt("an index entry without its row"))?;
            let row_key = [&target[..], key.packed()].concat();
            let stored = self.whole_value(&row_key, value, Isolation::Serializable).await?;
            Ok::<_, Error>(Entry {
                key,
                covered: Some(stored.payload),
                place: place.to_vec(),
            })
        });
        let entries = try_join_all(rows).await?;
        add_len(&self.tally().entries_read, entries.len());
        let last = entries.last().filter(|_| found.pairs().more());
        let next = last.map(|entry| Cursor::new(plan, &entry.place));
        Ok(Entries { entries, next })
    }

    /// The range of a plan that a cursor leaves.
    fn rest_of(&self, plan: &Plan, cursor: Option<&Cursor>) -> Result<(Vec<u8>, Vec<u8>), Error> {
        if !plan.base.starts_with(self.tenant().prefix()) {
            return Err(Error::OtherTenant);
        }
        match cursor {
            Some(cursor) => cursor.rest_of(plan),
            None => Ok((plan.begin.clone(), plan.end.clone())),
        }
    }

    /// Plans a query; what the rows themselves answer needs no definition of an index.
    pub(super) async fn plan(&self, table: &Table, query: &Query) -> Result<Plan, Error> {
        let prefix = self.tenant().collection_prefix(table.name());
        if let Some(plan) = query.plan_rows(table, &prefix)? {
            return Ok(plan);
        }
        query.plan(table, &*self.catalog(table.name()).await?)
    }

    /// The entries of a plan, for collections whose records are kept elsewhere.
    ///
    /// # Errors
    /// As [`page`](Self::page).
    pub async fn entries(&self, plan: &Plan, cursor: Option<&Cursor>) -> Result<Entries, Error> {
        let (begin, end) = self.rest_of(plan, cursor)?;
        let read = plan.read(&begin, &end);
        let after_base = |key: &[u8]| key.strip_prefix(&plan.base[..]).unwrap_or_default().to_vec();
        let mut entries = Vec::new();
        let more = match &plan.access {
            Access::Index(def) if !def.is_covering() => {
                let pairs = self.read_range(read).await?;
                for (key, _) in &pairs {
                    entries.push(Entry {
                        key: entry::primary_key(def, &after_base(key))?,
                        covered: None,
                        place: key.to_vec(),
                    });
                }
                pairs.more()
            }
            access => {
                let values = self.read_values(read).await?;
                for item in values.items {
                    let key = match access {
                        Access::Rows => PrimaryKey::from_packed(after_base(&item.key)),
                        Access::Index(def) => entry::primary_key(def, &after_base(&item.key))?,
                    };
                    entries.push(Entry {
                        key,
                        covered: Some(item.payload),
                        place: item.key,
                    });
                }
                values.more
            }
        };
        if plan.index().is_some() {
            add_len(&self.tally().entries_read, entries.len());
        }
        let last = entries.last().filter(|_| more);
        let next = last.map(|entry| Cursor::new(plan, &entry.place));
        Ok(Entries { entries, next })
    }

    /// The rows that a custom index of a table finds with these arguments.
    ///
    /// # Errors
    /// As [`custom_keys`](Self::custom_keys).
    pub async fn query_custom(&self, table: &Table, index: &str, arguments: &[FieldValue]) -> Result<Vec<Row>, Error> {
        let keys = self.custom_keys(table.name(), index, arguments).await?;
        let rows = try_join_all(keys.iter().map(|key| self.get_row(table, key))).await?;
        let rows: Option<Vec<Row>> = rows.into_iter().collect();
        rows.ok_or_else(|| Error::corrupt("an index entry without its row"))
    }

    /// The primary keys of the records that a custom index of a collection finds with these arguments.
    ///
    /// # Errors
    /// [`SchemaError::UnknownIndex`], [`SchemaError::UnknownIndexer`]; [`QueryError::NotReadable`];
    /// [`Error::ReservedKey`] for an indexer that looks beyond its own entries; what it gives; failures of the engine.
    pub async fn custom_keys(
        &self,
        collection: &str,
        index: &str,
        arguments: &[FieldValue],
    ) -> Result<Vec<PrimaryKey>, Error> {
        let catalog = self.catalog(collection).await?;
        let found = catalog.index(index)?;
        let IndexKind::Custom { indexer, .. } = found.def.kind() else {
            return Err(SchemaError::UnknownIndex { index: index.into() }.into());
        };
        if found.state != IndexState::Readable {
            let (index, state) = (index.into(), found.state.to_string().into());
            return Err(QueryError::NotReadable { index, state }.into());
        }
        let space = IndexSpace::new(self, &found.def, catalog.index_prefix(&found.def));
        let range = self.tenant().layer().indexer(indexer)?.range(&space, arguments)?;
        let whole = space.whole();
        if range.start < whole.start || range.end > whole.end {
            return Err(Error::ReservedKey);
        }
        let read = RangeRead {
            begin: &range.start,
            end: &range.end,
            limit: usize::MAX,
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        };
        let pairs = self.read_range(read).await?;
        add_len(&self.tally().entries_read, pairs.len());
        Ok(pairs
            .iter()
            .map(|(_, key)| PrimaryKey::from_packed(key.to_vec()))
            .collect())
    }
}
