//! Keeps the entries of a collection's indexes, in the transaction that writes a record.

use super::entry::{self, EntryKey};
use super::{Catalog, Index, IndexDef, IndexKind, IndexSpace, Record, counter};
use crate::engine::{Direction, Engine, Isolation, RangeRead};
use crate::error::{Error, RowError};
use crate::metrics::add;
use crate::tenant::TenantTransaction;
use crate::tuple::strinc;

impl<E: Engine> TenantTransaction<E> {
    /// Brings every index of a collection in line with a record that was `old` and is `new`: inserted where there was no
    /// old one, deleted where there is no new one.
    ///
    /// Both must be the same record, of one primary key. Belongs into the transaction that writes the record, after what
    /// the old one was has been read in it.
    ///
    /// # Errors
    /// [`RowError::Duplicate`] for values that a unique index has; what [`Record::field`] gives; failures of the engine.
    pub async fn maintain(
        &self,
        catalog: &Catalog,
        old: Option<&dyn Record>,
        new: Option<&dyn Record>,
    ) -> Result<(), Error> {
        for Index { def, state } in catalog.indexes() {
            if !state.is_maintained() {
                continue;
            }
            match def.kind() {
                IndexKind::Values { .. } => self.follow(catalog, def, old, new).await?,
                IndexKind::Counters => counter::count(self, catalog, def, old, new)?,
                IndexKind::Custom { indexer, .. } => {
                    let indexer = self.tenant().layer().indexer(indexer)?;
                    let space = IndexSpace::new(self, def, catalog.index_prefix(def));
                    match (old, new) {
                        (Some(old), Some(new)) => indexer.update(&space, old, new).await?,
                        (Some(old), None) => indexer.clear(&space, old).await?,
                        (None, Some(new)) => indexer.set(&space, new).await?,
                        (None, None) => {}
                    }
                }
            }
        }
        Ok(())
    }

    async fn follow(
        &self,
        catalog: &Catalog,
        def: &IndexDef,
        old: Option<&dyn Record>,
        new: Option<&dyn Record>,
    ) -> Result<(), Error> {
        let key_of = |record: Option<&dyn Record>| record.map(|record| entry::key_of(catalog, def, record)).transpose();
        let (old_key, new_key) = (key_of(old)?, key_of(new)?);
        if old_key == new_key {
            if let (Some(key), Some(old), Some(new)) = (new_key, old, new)
                && def.is_covering()
                && old.covered() != new.covered()
            {
                self.clear_entry(def, &key);
                self.set_entry(def, &key, new);
            }
            return Ok(());
        }
        if let Some(key) = old_key {
            self.clear_entry(def, &key);
            add(&self.tally().entries_cleared, 1);
        }
        if let (Some(key), Some(new)) = (new_key, new) {
            self.add_entry(def, &key, new).await?;
        }
        Ok(())
    }

    /// Adds an entry, unless another record has its values in a unique index.
    pub(crate) async fn add_entry(&self, def: &IndexDef, key: &EntryKey, record: &dyn Record) -> Result<(), Error> {
        if def.is_unique() && !key.has_null {
            self.check_unique(def, key).await?;
        }
        self.set_entry(def, key, record);
        Ok(())
    }

    async fn check_unique(&self, def: &IndexDef, key: &EntryKey) -> Result<(), Error> {
        let begin = key.values();
        let end = strinc(begin).ok_or_else(|| Error::corrupt("a prefix without an end"))?;
        let read = RangeRead {
            begin,
            end: &end,
            // The record's own entry may be there, in several keys if it is split; another one's comes before or after it.
            limit: if def.is_covering() { usize::MAX } else { 2 },
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        };
        let found = self.read_range(read).await?;
        let is_own = |other: &[u8]| match other.strip_prefix(&key.bytes[..]) {
            // A chunk's number follows, where a longer key of another record goes on with the escape of a zero.
            Some(rest) => rest.first() != Some(&0xff),
            None => false,
        };
        if found.iter().any(|(other, _)| !is_own(other)) {
            let index = def.name().into();
            return Err(RowError::Duplicate { index }.into());
        }
        Ok(())
    }

    fn set_entry(&self, def: &IndexDef, key: &EntryKey, record: &dyn Record) {
        add(&self.tally().entries_written, 1);
        if def.is_covering() {
            self.write_value(&key.bytes, key.stamp, &record.covered());
        } else {
            self.write_stamped(&key.bytes, key.stamp, &[]);
        }
    }

    /// Clears an entry and, since a covering one may be split, what follows it.
    pub(crate) fn clear_entry(&self, def: &IndexDef, key: &EntryKey) {
        if def.is_covering() {
            self.erase_range(&key.bytes, &[&key.bytes[..], &[0xff]].concat());
        } else {
            self.erase(&key.bytes);
        }
    }
}
