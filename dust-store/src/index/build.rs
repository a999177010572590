//! Indexes come and go: definition, build, removal, each step one piece of work of the sequencer.

use std::sync::Arc;

use dust_layer::{Engine, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::DeviceId;
use dust_transport::query::{IndexDefinition, IndexState, IndexStatus};

use super::definition::{INDEXES_MAX, Index, Indexes, Progress};
use super::{entry, field};
use crate::draft::Draft;
use crate::error::{Halt, Refusal, of_read};
use crate::history::pause;
use crate::sequencer::{self, Work};
use crate::store::Store;

/// How many steps of a build one call does; others write between them.
const STEPS: usize = 16;

/// How many leaves a step goes through that shares its commit with writes.
const SHARED_PAIRS: usize = 128;

/// Whether work of the sequencer has its group for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Company {
    /// It has.
    Alone,
    /// Writes wait for the same commit.
    Writes,
}

/// The most bytes that all entries of an index begin with. Then a key has room for the longest slug and for eight strings
/// that are cut, unless these are full of NUL characters, which take two bytes.
const BASE_BYTES_MAX: usize = 1024;

/// The device in whose name indexes change, which nobody sees: no op is written.
const DEVICE: &str = "system:index";

/// A change of an index.
#[derive(Debug, Clone)]
pub(crate) enum IndexWork {
    /// Defines it unless it is there.
    Define(IndexDefinition),
    /// Adds the next records, if it is being built.
    Build(IndexDefinition),
    /// Forgets its entries and begins to build it again, if it is there.
    Rebuild(IndexDefinition),
    /// Removes it, if it is there.
    Drop(IndexDefinition),
}

impl IndexWork {
    /// Does it in a draft, and gives the definitions as they then are; `None` if nothing is changed.
    pub(crate) async fn evaluate<T: Transaction>(
        &self,
        draft: &mut Draft<'_, T>,
        indexes: &Indexes,
        company: Company,
    ) -> Result<Option<Indexes>, Halt> {
        let mut all = indexes.all.clone();
        match self {
            Self::Define(definition) => {
                if indexes.find(definition).is_some() {
                    return Ok(None);
                }
                if all.len() >= INDEXES_MAX {
                    let detail = format!("a store has at most {INDEXES_MAX} indexes");
                    return Err(Refusal::invalid("too_many_indexes", detail).into());
                }
                let index = define(draft, definition).await?;
                if index.base.len() > BASE_BYTES_MAX {
                    let detail =
                        format!("the prefix and the fields of an index have about {BASE_BYTES_MAX} bytes at most");
                    return Err(Refusal::invalid("invalid_index", detail).into());
                }
                all.push(index);
            }
            Self::Build(definition) => {
                let Some(index) = all.iter_mut().find(|index| index.definition == *definition) else {
                    return Ok(None);
                };
                if !build(draft, index, company).await? {
                    return Ok(None);
                }
            }
            Self::Rebuild(definition) => {
                let Some(index) = all.iter_mut().find(|index| index.definition == *definition) else {
                    return Ok(None);
                };
                draft.clear_range(entry::range(&index.base));
                *index = define(draft, definition).await?;
            }
            Self::Drop(definition) => {
                let Some(index) = indexes.find(definition) else {
                    return Ok(None);
                };
                draft.clear_range(entry::range(&index.base));
                all.retain(|index| index.definition != *definition);
            }
        }
        let key = draft.keys().indexes().to_vec();
        let changed = Indexes::new(all);
        if changed.all.is_empty() {
            draft.clear(key);
        } else {
            draft.set(key, changed.encode())?;
        }
        Ok(Some(changed))
    }
}

/// An index that has to be built up to the last record that is there. All that is written after this piece of work finds it
/// defined, so that whoever appends faster than it is built does not keep it from being ready.
async fn define<T: Transaction>(draft: &Draft<'_, T>, definition: &IndexDefinition) -> Result<Index, Halt> {
    let until = field::last_slug(draft.transaction(), draft.keys(), definition.prefix()).await?;
    Ok(Index::new(draft.keys(), definition.clone(), until))
}

/// Adds the entries of the next records. Those that writers have added meanwhile are the same.
async fn build<T: Transaction>(draft: &mut Draft<'_, T>, index: &mut Index, company: Company) -> Result<bool, Halt> {
    let Progress::Building { after, until, records } = &mut index.progress else {
        return Ok(false);
    };
    let (prefix, fields) = (index.definition.prefix(), index.definition.fields());
    let scan = field::Scan {
        after: Some(after.as_str()).filter(|after| !after.is_empty()),
        until: until.as_deref(),
        pairs: match company {
            Company::Alone => field::SCAN_PAIRS,
            Company::Writes => SHARED_PAIRS,
        },
    };
    let scanned = field::scan(draft.transaction(), draft.keys(), prefix, fields, scan).await?;
    for (slug, values) in &scanned.records {
        let key = entry::key(&index.base, values.iter().map(Vec::as_slice), slug);
        draft.set_entry(key)?;
    }
    *records += scanned.records.len() as u64;
    match scanned.after {
        Some(slug) => *after = slug,
        None => index.progress = Progress::Readable,
    }
    Ok(true)
}

impl<E: Engine> Store<E> {
    /// The definitions, as they are now.
    async fn stored_indexes(&self) -> Result<Arc<Indexes>, Error> {
        let transaction = self.engine.begin();
        let stored = Indexes::read(&transaction, &self.keys, &self.indexes, Isolation::Snapshot).await;
        stored.map_err(of_read)?
    }

    /// The indexes.
    pub(crate) async fn indexes(&self) -> Result<Vec<IndexStatus>, Error> {
        Ok(self.stored_indexes().await?.status())
    }

    async fn change(self: &Arc<Self>, work: IndexWork) -> Result<(), Error> {
        let device = DeviceId::new(DEVICE)?;
        sequencer::run(self, &device, Work::Index(work)).await.map(drop)
    }

    /// Defines an index and builds a part of it.
    pub(crate) async fn ensure_index(self: &Arc<Self>, definition: &IndexDefinition) -> Result<IndexStatus, Error> {
        self.change(IndexWork::Define(definition.clone())).await?;
        let mut steps = 0..STEPS;
        loop {
            let status = self.stored_indexes().await?.find(definition).map(Index::status);
            let status = status.ok_or_else(|| no_index(definition))?;
            if status.state == IndexState::Readable || steps.next().is_none() {
                return Ok(status);
            }
            // Writers who wait go first.
            pause().await;
            self.change(IndexWork::Build(definition.clone())).await?;
        }
    }

    /// Removes an index.
    pub(crate) async fn drop_index(self: &Arc<Self>, definition: &IndexDefinition) -> Result<bool, Error> {
        let was_there = self.stored_indexes().await?.find(definition).is_some();
        self.change(IndexWork::Drop(definition.clone())).await?;
        Ok(was_there)
    }

    /// Forgets what an index holds and begins to build it again.
    pub(crate) async fn rebuild_index(self: &Arc<Self>, definition: &IndexDefinition) -> Result<IndexStatus, Error> {
        self.change(IndexWork::Rebuild(definition.clone())).await?;
        self.ensure_index(definition).await
    }
}

/// The store has no such index.
pub(super) fn no_index(definition: &IndexDefinition) -> Error {
    Refusal::invalid("no_index", format!("the store has no index of {definition}")).into_error()
}
