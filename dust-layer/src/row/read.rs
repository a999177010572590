//! Reads one row by its primary key.

use super::Row;
use super::stored::Stored;
use crate::engine::{Engine, Isolation, Transaction, Watch};
use crate::error::{Error, SchemaError};
use crate::metrics::add;
use crate::table::{PrimaryKey, Table};
use crate::tenant::TenantTransaction;

/// A row as it is stored.
#[derive(Debug)]
pub(super) struct StoredRow {
    pub(super) row: Row,
    pub(super) payload: Vec<u8>,
    pub(super) is_split: bool,
}

impl StoredRow {
    pub(super) fn decode(table: &Table, key: &PrimaryKey, stored: Stored) -> Result<Self, Error> {
        Ok(Self {
            row: table.decode(key.packed(), &stored.payload)?,
            payload: stored.payload,
            is_split: stored.is_split,
        })
    }
}

impl<E: Engine> TenantTransaction<E> {
    pub(super) fn row_key(&self, table: &Table, key: &PrimaryKey) -> Result<Vec<u8>, Error> {
        if !table.has_rows() {
            return Err(SchemaError::NoRows.into());
        }
        Ok([&table.row_prefix(self), key.packed()].concat())
    }

    pub(super) async fn stored_row(&self, table: &Table, key: &PrimaryKey) -> Result<Option<StoredRow>, Error> {
        let row_key = self.row_key(table, key)?;
        let Some(stored) = self.read_value(&row_key, Isolation::Serializable).await? else {
            return Ok(None);
        };
        add(&self.tally().rows_read, 1);
        StoredRow::decode(table, key, stored).map(Some)
    }

    /// Reads the row of a primary key, the transaction's own writes included.
    ///
    /// # Errors
    /// [`SchemaError::NoRows`] for a table that keeps none; [`Error::Corrupt`]; failures of the engine.
    pub async fn get_row(&self, table: &Table, key: &PrimaryKey) -> Result<Option<Row>, Error> {
        Ok(self.stored_row(table, key).await?.map(|stored| stored.row))
    }

    /// Watches the row of a primary key: resolves when it is no longer what this transaction sees, once that has
    /// committed.
    ///
    /// # Errors
    /// [`SchemaError::NoRows`] for a table that keeps none.
    pub fn watch_row(&self, table: &Table, key: &PrimaryKey) -> Result<Watch, Error> {
        Ok(self.raw().watch(&self.row_key(table, key)?))
    }
}
