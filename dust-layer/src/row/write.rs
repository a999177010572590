//! Writes rows, and the entries of their indexes with them.

use futures_util::future::try_join;
use tracing::Instrument;

use super::read::StoredRow;
use super::{Row, RowRecord, codec};
use crate::engine::{Engine, Isolation};
use crate::error::{Error, RowError, SchemaError};
use crate::index::{Catalog, IndexDef, IndexKind, Record, entry};
use crate::metrics::add;
use crate::query::Query;
use crate::table::{PrimaryKey, Table, check_type};
use crate::tenant::TenantTransaction;
use crate::tuple::strinc;
use crate::value::FieldValue;

/// What an insert does where there is a row of the primary key already.
///
/// What the stored row has under numbers that the table does not know is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnConflict<'a> {
    /// It is refused with [`RowError::Exists`].
    Fail,
    /// The row stays as it is.
    Nothing,
    /// The row becomes the new one.
    ReplaceAll,
    /// These fields become those of the new one, by name.
    Replace(&'a [&'a str]),
    /// All fields but these become those of the new one, by name.
    ReplaceAllExcept(&'a [&'a str]),
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// There was no row; now there is.
    Inserted,
    /// There was a row, and it changed.
    Replaced,
    /// There was a row, and it is as it was.
    Kept,
}

impl<E: Engine> TenantTransaction<E> {
    /// Inserts a row.
    ///
    /// A row whose key has a [versionstamp](Self::versionstamp) is new by itself; nothing is read for it.
    ///
    /// # Errors
    /// [`RowError::Exists`], [`RowError::Duplicate`], [`RowError::TooLarge`]; [`SchemaError`] if the row does not fit the
    /// table; failures of the engine.
    pub async fn insert(&self, table: &Table, row: &Row) -> Result<(), Error> {
        self.upsert(table, row, OnConflict::Fail).await.map(drop)
    }

    /// Inserts a row, or does what is said if there is one.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::row::{OnConflict, Written};
    /// use dust_layer::table::Table;
    /// use dust_layer::value::{FieldType, FieldValue};
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let pages = Table::new("pages")
    ///     .key(1, "path", FieldType::Text)
    ///     .field(2, "title", FieldType::Text)
    ///     .field(3, "note", FieldType::Text)
    ///     .build()?;
    /// let tx = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?.begin();
    /// tx.insert(&pages, &pages.row([("path", "/"), ("title", "Home"), ("note", "first")])?).await?;
    /// let new = pages.row([("path", "/"), ("title", "Start")])?;
    /// assert_eq!(tx.upsert(&pages, &new, OnConflict::Replace(&["title"])).await?, Written::Replaced);
    /// let found = tx.get_row(&pages, &pages.primary_key(["/"])?).await?.unwrap();
    /// assert_eq!(pages.get(&found, "note")?, &FieldValue::from("first"));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn upsert(&self, table: &Table, row: &Row, on_conflict: OnConflict<'_>) -> Result<Written, Error> {
        let span = tracing::debug_span!("upsert", table = table.name(), written = tracing::field::Empty);
        let written = self.write_row(table, row, on_conflict).instrument(span.clone()).await?;
        span.record("written", tracing::field::debug(written));
        Ok(written)
    }

    async fn write_row(&self, table: &Table, row: &Row, on_conflict: OnConflict<'_>) -> Result<Written, Error> {
        table.check(row)?;
        let key = table.key_of(row)?;
        let (catalog, old) = self.find(table, row, &key).await?;
        let Some(old) = old else {
            self.put(table, &catalog, &key, None, row).await?;
            return Ok(Written::Inserted);
        };
        let new = match on_conflict {
            OnConflict::Fail => return Err(RowError::Exists.into()),
            OnConflict::Nothing => return Ok(Written::Kept),
            OnConflict::ReplaceAll => row.clone(),
            OnConflict::Replace(fields) => merge(table, &old.row, row, fields)?,
            OnConflict::ReplaceAllExcept(fields) => merge(table, row, &old.row, fields)?,
        };
        self.replace(table, &catalog, &key, &old, new).await
    }

    /// Changes fields of the row of a primary key, and yields what it became.
    ///
    /// # Errors
    /// [`RowError::NotFound`], [`RowError::KeyChanged`]; as [`insert`](Self::insert).
    pub async fn update<N: AsRef<str>, V: Into<FieldValue>>(
        &self,
        table: &Table,
        key: &PrimaryKey,
        changes: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Row, Error> {
        let span = tracing::debug_span!("update", table = table.name());
        let changes = changes_of(table, changes)?;
        let update = async {
            let (catalog, old) = try_join(self.catalog(table.name()), self.stored_row(table, key)).await?;
            let old = old.ok_or(RowError::NotFound)?;
            let mut new = old.row.clone();
            for (number, value) in changes {
                new.set(number, value);
            }
            self.replace(table, &catalog, key, &old, new.clone()).await?;
            Ok(new)
        };
        update.instrument(span).await
    }

    /// Deletes the row of a primary key; whether there was one.
    ///
    /// # Errors
    /// [`SchemaError::NoRows`] for a table that keeps none; failures of the engine.
    pub async fn delete(&self, table: &Table, key: &PrimaryKey) -> Result<bool, Error> {
        let span = tracing::debug_span!("delete", table = table.name());
        let delete = async {
            let (catalog, old) = try_join(self.catalog(table.name()), self.stored_row(table, key)).await?;
            let Some(old) = old else { return Ok(false) };
            self.take_out(table, &catalog, key, &old).await?;
            Ok(true)
        };
        delete.instrument(span).await
    }

    /// Changes fields of every row that a query finds; how many there were.
    ///
    /// # Errors
    /// As [`query`](Self::query) and [`update`](Self::update).
    pub async fn update_all<N: AsRef<str>, V: Into<FieldValue>>(
        &self,
        table: &Table,
        query: &Query,
        changes: impl IntoIterator<Item = (N, V)>,
    ) -> Result<usize, Error> {
        let changes = changes_of(table, changes)?;
        let rows = self.query(table, query).await?;
        let catalog = self.catalog(table.name()).await?;
        for row in &rows {
            let key = table.key_of(row)?;
            let Some(old) = self.find(table, row, &key).await?.1 else {
                return Err(Error::corrupt("an index entry without its row"));
            };
            let mut new = row.clone();
            for (number, value) in &changes {
                new.set(*number, value.clone());
            }
            self.replace(table, &catalog, &key, &old, new).await?;
        }
        Ok(rows.len())
    }

    /// Deletes every row that a query finds; how many there were.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn delete_all(&self, table: &Table, query: &Query) -> Result<usize, Error> {
        let rows = self.query(table, query).await?;
        for row in &rows {
            let key = table.key_of(row)?;
            if let (catalog, Some(old)) = self.find(table, row, &key).await? {
                self.take_out(table, &catalog, &key, &old).await?;
            }
        }
        Ok(rows.len())
    }

    /// Clears what the row of a primary key has under a number that the table does not know.
    pub(crate) async fn forget_field(&self, table: &Table, key: &PrimaryKey, number: u32) -> Result<(), Error> {
        let (catalog, old) = try_join(self.catalog(table.name()), self.stored_row(table, key)).await?;
        let Some(old) = old else { return Ok(()) };
        let mut new = old.row.clone();
        if new.remove_unknown(number) {
            self.put(table, &catalog, key, Some(&old), &new).await?;
        }
        Ok(())
    }

    /// Clears every row of a table, every index entry and every counter, without reading one. Indexes stay defined.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn clear_table(&self, table: &Table) -> Result<(), Error> {
        self.catalog(table.name()).await?;
        let begin = self.tenant().collection_prefix(table.name());
        let end = strinc(&begin).ok_or_else(|| Error::corrupt("a prefix without an end"))?;
        self.erase_range(&begin, &end);
        Ok(())
    }

    /// The row that a write would replace, and the indexes of the table.
    async fn find(
        &self,
        table: &Table,
        row: &Row,
        key: &PrimaryKey,
    ) -> Result<(std::sync::Arc<Catalog>, Option<StoredRow>), Error> {
        if table.has_rows() {
            if key.stamp().is_some() {
                return Ok((self.catalog(table.name()).await?, None));
            }
            return try_join(self.catalog(table.name()), self.stored_row(table, key)).await;
        }
        let catalog = self.catalog(table.name()).await?;
        let entry = entry::key_of(&catalog, data_index(&catalog)?, &record(table, row, key, &[]))?;
        if entry.stamp.is_some() {
            return Ok((catalog, None));
        }
        let stored = self.read_value(&entry.bytes, Isolation::Serializable).await?;
        let old = stored.map(|stored| StoredRow::decode(table, key, stored)).transpose()?;
        Ok((catalog, old))
    }

    async fn replace(
        &self,
        table: &Table,
        catalog: &Catalog,
        key: &PrimaryKey,
        old: &StoredRow,
        mut new: Row,
    ) -> Result<Written, Error> {
        new.keep_unknown(&old.row);
        if new == old.row {
            return Ok(Written::Kept);
        }
        table.check(&new)?;
        self.put(table, catalog, key, Some(old), &new).await?;
        Ok(Written::Replaced)
    }

    /// Writes a row and its entries.
    async fn put(
        &self,
        table: &Table,
        catalog: &Catalog,
        key: &PrimaryKey,
        old: Option<&StoredRow>,
        new: &Row,
    ) -> Result<(), Error> {
        let encoded = codec::encode(table, new);
        self.check_row_bytes(encoded.len())?;
        if table.has_rows() {
            let row_key = self.row_key(table, key)?;
            if old.is_some_and(|old| old.is_split) {
                self.erase_value(&row_key, true);
            }
            let before_key = row_key.len() - key.packed().len();
            let stamp = key.stamp().map(|offset| before_key + offset);
            self.write_value(&row_key, stamp, &encoded);
        } else {
            data_index(catalog)?;
        }
        add(&self.tally().rows_written, 1);
        let old = old.map(|old| record(table, &old.row, key, &old.payload));
        let new = record(table, new, key, &encoded);
        let old = old.as_ref().map(|old| -> &dyn Record { old });
        self.maintain(catalog, old, Some(&new)).await
    }

    async fn take_out(&self, table: &Table, catalog: &Catalog, key: &PrimaryKey, old: &StoredRow) -> Result<(), Error> {
        if table.has_rows() {
            self.erase_value(&self.row_key(table, key)?, old.is_split);
        }
        add(&self.tally().rows_deleted, 1);
        let old = record(table, &old.row, key, &old.payload);
        self.maintain(catalog, Some(&old), None).await
    }
}

fn record<'a>(table: &'a Table, row: &'a Row, key: &'a PrimaryKey, encoded: &'a [u8]) -> RowRecord<'a> {
    RowRecord {
        table,
        row,
        key,
        encoded,
    }
}

/// The index that holds the data of a table without rows.
fn data_index(catalog: &Catalog) -> Result<&IndexDef, Error> {
    let is_values = |def: &&IndexDef| matches!(def.kind(), IndexKind::Values { .. });
    let mut indexes = catalog.indexes().iter().map(|index| &index.def).filter(is_values);
    match (indexes.next(), indexes.next()) {
        (Some(def), None) if def.is_covering() => Ok(def),
        _ => Err(SchemaError::NoData.into()),
    }
}

/// `base` with some fields of `other`.
fn merge(table: &Table, base: &Row, other: &Row, fields: &[&str]) -> Result<Row, Error> {
    let mut merged = base.clone();
    for name in fields {
        let number = table.field(name)?.number;
        merged.set(number, other.get(number).clone());
    }
    Ok(merged)
}

/// Changes by the numbers of their fields, none of which is of the primary key.
fn changes_of<N: AsRef<str>, V: Into<FieldValue>>(
    table: &Table,
    changes: impl IntoIterator<Item = (N, V)>,
) -> Result<Vec<(u32, FieldValue)>, Error> {
    let change = |(name, value): (N, V)| {
        let (field, value) = (table.field(name.as_ref())?, value.into());
        check_type(field, &value)?;
        if table.is_key(field.number) {
            return Err(RowError::KeyChanged.into());
        }
        Ok((field.number, value))
    };
    changes.into_iter().map(change).collect()
}
