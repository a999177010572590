//! Counters of what happens to the records of a collection, to be watched.

use super::{Catalog, IndexDef, IndexKind, Record};
use crate::engine::{Atomic, Engine, Isolation, Watch};
use crate::error::{Error, SchemaError};
use crate::tenant::TenantTransaction;
use crate::tuple::{pack_into, strinc};
use crate::value::{FieldValue, key};

/// What a counter counts.
///
/// | event | inserts | deletes | collection | updates | changes |
/// |---|--:|--:|--:|--:|--:|
/// | insert | 1 | | 1 | | 1 |
/// | update within a group | | | | 1 | 1 |
/// | update that leaves the group | | 1 | 1 | 1 | 1 |
/// | update that enters the group | 1 | | 1 | 1 | 1 |
/// | delete | | 1 | 1 | | 1 |
///
/// They only grow and count events, not records. A write that changes nothing of a record is no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Records that came into the group.
    Inserts,
    /// Records that left the group.
    Deletes,
    /// Records that came or left.
    Collection,
    /// Records that changed.
    Updates,
    /// Everything.
    Changes,
}

impl Signal {
    fn code(self) -> u64 {
        match self {
            Self::Inserts => 0,
            Self::Deletes => 1,
            Self::Collection => 2,
            Self::Updates => 3,
            Self::Changes => 4,
        }
    }
}

const LEFT: &[Signal] = &[Signal::Deletes, Signal::Collection];
const ENTERED: &[Signal] = &[Signal::Inserts, Signal::Collection];
const UPDATED: &[Signal] = &[Signal::Updates, Signal::Changes];
const CHANGED: &[Signal] = &[Signal::Changes];

/// The key of one counter of a group.
fn key_of(catalog: &Catalog, def: &IndexDef, group: &[FieldValue], signal: Signal) -> Vec<u8> {
    let mut bytes = group_prefix(catalog, def, group);
    pack_into(&(signal.code(),), &mut bytes);
    bytes
}

fn group_prefix(catalog: &Catalog, def: &IndexDef, group: &[FieldValue]) -> Vec<u8> {
    let mut bytes = catalog.index_prefix(def);
    pack_into(&(def.fields().len() as u64,), &mut bytes);
    for value in group {
        key::encode(value, &mut bytes);
    }
    bytes
}

fn group_of(def: &IndexDef, record: &dyn Record) -> Result<Vec<FieldValue>, Error> {
    def.fields().iter().map(|field| record.field(field)).collect()
}

/// Counts what happened to a record.
pub(super) fn count<E: Engine>(
    tx: &TenantTransaction<E>,
    catalog: &Catalog,
    def: &IndexDef,
    old: Option<&dyn Record>,
    new: Option<&dyn Record>,
) -> Result<(), Error> {
    let group = |record: Option<&dyn Record>| record.map(|record| group_of(def, record)).transpose();
    let add = |group: &[FieldValue], signals: &[Signal]| {
        for signal in signals {
            tx.count(Atomic::Add, &key_of(catalog, def, group, *signal), &1_u64.to_le_bytes());
        }
    };
    match (group(old)?, group(new)?) {
        (Some(old), Some(new)) if old == new => add(&new, UPDATED),
        (Some(old), Some(new)) => {
            for (group, signals) in [(&old, LEFT), (&new, ENTERED)] {
                add(group, signals);
                add(group, UPDATED);
            }
        }
        (Some(old), None) => {
            add(&old, LEFT);
            add(&old, CHANGED);
        }
        (None, Some(new)) => {
            add(&new, ENTERED);
            add(&new, CHANGED);
        }
        (None, None) => {}
    }
    Ok(())
}

impl<E: Engine> TenantTransaction<E> {
    async fn counter_def(
        &self,
        collection: &str,
        counters: &str,
        group: &[FieldValue],
    ) -> Result<(std::sync::Arc<Catalog>, IndexDef), Error> {
        let catalog = self.catalog(collection).await?;
        let def = catalog.index(counters)?.def.clone();
        if *def.kind() != IndexKind::Counters {
            return Err(SchemaError::UnknownIndex { index: counters.into() }.into());
        }
        if def.fields().len() != group.len() {
            let (expected, found) = (def.fields().len(), group.len());
            return Err(SchemaError::KeyFields { expected, found }.into());
        }
        Ok((catalog, def))
    }

    /// Reads a counter of a collection; `group` has a value for each of its fields. One that never counted is 0.
    ///
    /// # Errors
    /// [`SchemaError::UnknownIndex`], [`SchemaError::KeyFields`]; failures of the engine.
    pub async fn counter(
        &self,
        collection: &str,
        counters: &str,
        group: &[FieldValue],
        signal: Signal,
    ) -> Result<u64, Error> {
        let (catalog, def) = self.counter_def(collection, counters, group).await?;
        let stored = self
            .read(&key_of(&catalog, &def, group, signal), Isolation::Serializable)
            .await?;
        let Some(stored) = stored else { return Ok(0) };
        let bytes = <[u8; 8]>::try_from(&stored[..]).map_err(|_| Error::corrupt("a counter"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// Watches a counter: resolves when it is no longer what this transaction sees, once that has committed.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    pub async fn watch_counter(
        &self,
        collection: &str,
        counters: &str,
        group: &[FieldValue],
        signal: Signal,
    ) -> Result<Watch, Error> {
        use crate::engine::Transaction;
        let (catalog, def) = self.counter_def(collection, counters, group).await?;
        Ok(self.raw().watch(&key_of(&catalog, &def, group, signal)))
    }

    /// Sets the counters of a group back to 0.
    ///
    /// # Errors
    /// As [`counter`](Self::counter).
    pub async fn clear_counters(&self, collection: &str, counters: &str, group: &[FieldValue]) -> Result<(), Error> {
        let (catalog, def) = self.counter_def(collection, counters, group).await?;
        let begin = group_prefix(&catalog, &def, group);
        let end = strinc(&begin).ok_or_else(|| Error::corrupt("a prefix without an end"))?;
        self.erase_range(&begin, &end);
        Ok(())
    }
}
