//! Rows as the records of indexes.

use std::borrow::Cow;

use futures_core::future::BoxFuture;

use super::{Row, codec, stored};
use crate::engine::{Direction, Engine, Isolation, RangeRead};
use crate::error::Error;
use crate::index::{Catalog, FieldId, IndexField, Part, Record, RecordSource, Records};
use crate::metrics::add_len;
use crate::table::{PrimaryKey, Table};
use crate::tenant::TenantTransaction;
use crate::tuple::strinc;
use crate::value::{FieldValue, NULL};

/// A row with its key and its stored form.
#[derive(Debug, Clone)]
pub(crate) struct RowRecord<'a> {
    pub(crate) table: &'a Table,
    pub(crate) row: &'a Row,
    pub(crate) key: &'a PrimaryKey,
    pub(crate) encoded: &'a [u8],
}

fn field_of(table: &Table, row: &Row, field: &IndexField) -> Result<FieldValue, Error> {
    match &field.id {
        FieldId::Number(number) => codec::field(table, row, *number, field.kind),
        FieldId::Name(name) => Ok(table.field(name).map_or(&NULL, |field| row.get(field.number)).clone()),
    }
}

impl Record for RowRecord<'_> {
    fn key(&self) -> &PrimaryKey {
        self.key
    }

    fn field(&self, field: &IndexField) -> Result<FieldValue, Error> {
        field_of(self.table, self.row, field)
    }

    fn covered(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(self.encoded)
    }
}

/// A row that was read for a build.
struct OwnedRecord {
    table: Table,
    row: Row,
    key: PrimaryKey,
    encoded: Vec<u8>,
}

impl Record for OwnedRecord {
    fn key(&self) -> &PrimaryKey {
        &self.key
    }

    fn field(&self, field: &IndexField) -> Result<FieldValue, Error> {
        field_of(&self.table, &self.row, field)
    }

    fn covered(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.encoded)
    }
}

impl Table {
    /// What the keys of the table's rows begin with, in a tenant.
    pub(crate) fn row_prefix<E: Engine>(&self, tx: &TenantTransaction<E>) -> Vec<u8> {
        Catalog::row_prefix(&tx.tenant().collection_prefix(self.name()))
    }

    /// A row from the packed key and the payload that it was stored with.
    pub(crate) fn decode(&self, packed_key: &[u8], payload: &[u8]) -> Result<Row, Error> {
        let (row, rest) = self.read_key(packed_key)?;
        if !rest.is_empty() {
            return Err(Error::corrupt("the key of a row"));
        }
        codec::decode(self, row, payload)
    }

    async fn batch<E: Engine>(&self, tx: &TenantTransaction<E>, part: Part<'_>) -> Result<Records, Error> {
        let prefix = self.row_prefix(tx);
        let (begin, end) = part_range(&prefix, part)?;
        let read = RangeRead {
            begin: &begin,
            end: &end,
            limit: part.limit,
            direction: Direction::Forward,
            isolation: Isolation::Snapshot,
        };
        let values = tx.read_values(read).await?;
        add_len(&tx.tally().rows_read, values.items.len());
        let last = values.items.last().filter(|_| values.more);
        let next = last.and_then(|last| last.key.strip_prefix(&prefix[..]).map(stored::end_of));
        let mut records: Vec<Box<dyn Record>> = Vec::with_capacity(values.items.len());
        for item in values.items {
            tx.conflict_with(&item.key);
            let packed = item.key.strip_prefix(&prefix[..]).unwrap_or_default();
            records.push(Box::new(OwnedRecord {
                table: self.clone(),
                row: self.decode(packed, &item.payload)?,
                key: PrimaryKey::from_packed(packed.to_vec()),
                encoded: item.payload,
            }));
        }
        Ok(Records { records, next })
    }
}

/// The keys of a part of the rows below a prefix.
pub(crate) fn part_range(prefix: &[u8], part: Part<'_>) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let begin = [prefix, part.from.unwrap_or_default()].concat();
    let end = match part.to {
        Some(to) => [prefix, to].concat(),
        None => strinc(prefix).ok_or_else(|| Error::corrupt("a prefix without an end"))?,
    };
    // Where a batch stopped may be where the part ends.
    Ok((begin.min(end.clone()), end))
}

impl Table {
    /// Where the last row ends that is there now, its pieces included, however many it will have.
    pub(crate) async fn rows_end<E: Engine>(&self, tx: &TenantTransaction<E>) -> Result<Option<Vec<u8>>, Error> {
        let prefix = self.row_prefix(tx);
        let read = RangeRead {
            begin: &prefix,
            end: &strinc(&prefix).ok_or_else(|| Error::corrupt("a prefix without an end"))?,
            limit: 1,
            direction: Direction::Reverse,
            isolation: Isolation::Snapshot,
        };
        let last = tx.read_values(read).await?.items.pop();
        Ok(last.and_then(|last| last.key.strip_prefix(&prefix[..]).map(stored::end_of)))
    }
}

impl<E: Engine> RecordSource<E> for Table {
    fn batch<'a>(&'a self, tx: &'a TenantTransaction<E>, part: Part<'a>) -> BoxFuture<'a, Result<Records, Error>> {
        Box::pin(self.batch(tx, part))
    }

    fn end<'a>(&'a self, tx: &'a TenantTransaction<E>) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        Box::pin(self.rows_end(tx))
    }

    fn get<'a>(
        &'a self,
        tx: &'a TenantTransaction<E>,
        key: &'a PrimaryKey,
    ) -> BoxFuture<'a, Result<Option<Box<dyn Record>>, Error>> {
        Box::pin(async move {
            let row_key = [&self.row_prefix(tx), key.packed()].concat();
            let Some(found) = tx.read_value(&row_key, Isolation::Serializable).await? else {
                return Ok(None);
            };
            let record: Box<dyn Record> = Box::new(OwnedRecord {
                table: self.clone(),
                row: self.decode(key.packed(), &found.payload)?,
                key: key.clone(),
                encoded: found.payload,
            });
            Ok(Some(record))
        })
    }
}
