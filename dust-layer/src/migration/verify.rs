//! Counts records against entries, and repairs what differs.

use super::Migrator;
use crate::engine::{Direction, Engine, Isolation, RangeRead};
use crate::error::{Error, QueryError, SchemaError};
use crate::index::{Catalog, IndexDef, IndexKind, IndexState, Part, Record, entry};
use crate::row::stored::end_of;
use crate::tenant::{Tenant, TenantTransaction};

/// What is done about what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// It is counted.
    Report,
    /// It is counted and set right.
    Fix,
}

/// What a check of an index found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// Records that were looked at.
    pub records: u64,
    /// Entries that were looked at.
    pub entries: u64,
    /// Records without their entry.
    pub missing: u64,
    /// Entries whose record is another one by now, or none.
    pub orphaned: u64,
    /// Covering entries that hold another record than the one there is.
    pub outdated: u64,
}

impl Verification {
    /// Whether every record has its entry and every entry its record.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.missing == 0 && self.orphaned == 0 && self.outdated == 0
    }
}

impl<E: Engine> Migrator<E> {
    /// Compares an index with the records, batch by batch, while others write.
    ///
    /// Each batch is one transaction that sees records and entries at one moment, so a write under way is no difference.
    ///
    /// # Errors
    /// [`SchemaError::UnknownIndex`], [`QueryError::NotReadable`]; [`SchemaError::NoRows`] for a table whose data is in the
    /// index alone; failures of the engine.
    pub async fn verify(
        &self,
        tenant: &Tenant<E>,
        collection: &str,
        index: &str,
        repair: Repair,
    ) -> Result<Verification, Error> {
        if self.tables.get(collection).is_some_and(|table| !table.has_rows()) {
            return Err(SchemaError::NoRows.into());
        }
        let mut found = Verification::default();
        let mut from: Option<Vec<u8>> = None;
        loop {
            let start = from.as_deref();
            let check = async |tx| self.check_records(&tx, collection, index, start, repair).await;
            let ((batch, next), _) = tenant.transact_idempotent(check).await?;
            found.add(batch);
            match next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        from = None;
        loop {
            let start = from.as_deref();
            let check = async |tx| self.check_entries(&tx, collection, index, start, repair).await;
            let ((batch, next), _) = tenant.transact_idempotent(check).await?;
            found.add(batch);
            match next {
                Some(next) => from = Some(next),
                None => return Ok(found),
            }
        }
    }

    async fn check_records(
        &self,
        tx: &TenantTransaction<E>,
        collection: &str,
        index: &str,
        from: Option<&[u8]>,
        repair: Repair,
    ) -> Result<(Verification, Option<Vec<u8>>), Error> {
        let catalog = tx.catalog(collection).await?;
        let def = readable(&catalog, index)?;
        let part = Part {
            from,
            to: None,
            limit: self.batch_records,
        };
        let batch = self.find_source(collection)?.batch(tx, part).await?;
        let mut found = Verification::default();
        for record in &batch.records {
            found.records += 1;
            let key = entry::key_of(&catalog, def, &**record)?;
            if def.is_covering() {
                match tx.read_value(&key.bytes, Isolation::Serializable).await {
                    Ok(Some(stored)) if stored.payload == *record.covered() => continue,
                    Ok(None) => found.missing += 1,
                    Ok(Some(_)) | Err(Error::Corrupt { .. }) => found.outdated += 1,
                    Err(error) => return Err(error),
                }
            } else if tx.read(&key.bytes, Isolation::Serializable).await?.is_some() {
                continue;
            } else {
                found.missing += 1;
            }
            if repair == Repair::Fix {
                tx.clear_entry(def, &key);
                tx.add_entry(def, &key, &**record).await?;
            }
        }
        Ok((found, batch.next))
    }

    async fn check_entries(
        &self,
        tx: &TenantTransaction<E>,
        collection: &str,
        index: &str,
        from: Option<&[u8]>,
        repair: Repair,
    ) -> Result<(Verification, Option<Vec<u8>>), Error> {
        let catalog = tx.catalog(collection).await?;
        let def = readable(&catalog, index)?;
        let source = self.find_source(collection)?;
        let base = entry::base(&catalog, def);
        let read = RangeRead {
            begin: from.unwrap_or(&base),
            end: &end_of(&base),
            limit: self.batch_records,
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        };
        let (keys, more) = if def.is_covering() {
            let values = tx.read_values(read).await?;
            let keys = values.items.into_iter().map(|item| item.key).collect();
            (keys, values.more)
        } else {
            let pairs = tx.read_range(read).await?;
            (
                pairs.iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>(),
                pairs.more(),
            )
        };
        let mut found = Verification::default();
        for key in &keys {
            found.entries += 1;
            let after_base = key.strip_prefix(&base[..]).unwrap_or_default();
            let record: Option<Box<dyn Record>> = match entry::primary_key(def, after_base) {
                Ok(primary_key) => source.get(tx, &primary_key).await?,
                // A key that is none of an entry leads to no record.
                Err(_) => None,
            };
            let expected = record
                .map(|record| entry::key_of(&catalog, def, &*record))
                .transpose()?;
            if expected.is_some_and(|expected| expected.bytes == *key) {
                continue;
            }
            found.orphaned += 1;
            if repair == Repair::Fix {
                tx.erase_range(key, &end_of(key));
            }
        }
        let after = |last: &Vec<u8>| {
            if def.is_covering() {
                end_of(last)
            } else {
                [last, &[0][..]].concat()
            }
        };
        let next = keys.last().filter(|_| more).map(after);
        Ok((found, next))
    }
}

/// An index whose entries can be compared.
fn readable<'c>(catalog: &'c Catalog, name: &str) -> Result<&'c IndexDef, Error> {
    let index = catalog.index(name)?;
    if !matches!(index.def.kind(), IndexKind::Values { .. }) {
        return Err(SchemaError::UnknownIndex { index: name.into() }.into());
    }
    if index.state != IndexState::Readable {
        let (index, state) = (name.into(), index.state.to_string().into());
        return Err(QueryError::NotReadable { index, state }.into());
    }
    Ok(&index.def)
}

impl Verification {
    fn add(&mut self, batch: Self) {
        self.records += batch.records;
        self.entries += batch.entries;
        self.missing += batch.missing;
        self.orphaned += batch.orphaned;
        self.outdated += batch.outdated;
    }
}
