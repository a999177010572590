//! Indexes come and go: definition, build, removal, each step one piece of work of the sequencer.

use std::sync::Arc;

use dust_layer::{Engine, Isolation, Transaction};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{DeviceId, OpId};
use dust_transport::query::{IndexDefinition, IndexState, IndexStatus};

use super::definition::{INDEXES_MAX, Index, Indexes, Progress};
use super::unique::Unique;
use super::{entry, field, only, record};
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

impl Company {
    /// How many leaves, or entries, a step goes through.
    fn pairs(self) -> usize {
        match self {
            Self::Alone => field::SCAN_PAIRS,
            Self::Writes => SHARED_PAIRS,
        }
    }
}

/// The most bytes that all entries of an index begin with. Then a key has room for the longest slug and for eight strings
/// that are cut, unless these are full of NUL characters, which take two bytes.
const BASE_BYTES_MAX: usize = 1024;

/// A step of a build ends after about so many bytes of entries.
pub(super) const STEP_BYTES: usize = 4 << 20;

/// How many pairs of records with the same values are named.
const PAIRS_MAX: usize = 10;

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

/// What a change of an index came to.
#[derive(Debug, Default)]
pub(crate) struct Indexed {
    /// The definitions as they are from now on; `None` if nothing is changed.
    pub(crate) changed: Option<Indexes>,
    /// Why an index that was being built is removed.
    pub(crate) given_up: Option<Error>,
}

impl IndexWork {
    /// Does it in a draft.
    pub(crate) async fn evaluate<T: Transaction>(
        &self,
        draft: &mut Draft<'_, T>,
        indexes: &Indexes,
        company: Company,
    ) -> Result<Indexed, Halt> {
        let mut all = indexes.all.clone();
        let mut given_up = None;
        match self {
            Self::Define(definition) => {
                if let Some(found) = indexes.find(definition) {
                    if found.definition != *definition {
                        let detail = format!("the store has the index of {}: remove it first", found.definition);
                        return Err(Refusal::invalid("index_differs", detail).into());
                    }
                    return Ok(Indexed::default());
                }
                indexes.check_kind(definition)?;
                if all.len() >= INDEXES_MAX {
                    let detail = format!("a store has at most {INDEXES_MAX} indexes");
                    return Err(Refusal::invalid("too_many_indexes", detail).into());
                }
                let index = define(draft, indexes, definition).await?;
                if index.base.len() > BASE_BYTES_MAX {
                    let detail =
                        format!("the prefix and the fields of an index have about {BASE_BYTES_MAX} bytes at most");
                    return Err(Refusal::invalid("invalid_index", detail).into());
                }
                all.push(index);
            }
            Self::Build(definition) => {
                let Some(index) = all.iter_mut().find(|index| index.definition.is_same(definition)) else {
                    return Ok(Indexed::default());
                };
                match build(draft, indexes, index, company).await? {
                    Step::Nothing => return Ok(Indexed::default()),
                    Step::Done => {}
                    Step::NotUnique(pairs) => {
                        given_up = Some(not_unique(&index.definition, &pairs));
                        draft.clear_range(entry::range(&index.base));
                        all.retain(|index| !index.definition.is_same(definition));
                    }
                }
            }
            Self::Rebuild(definition) => {
                let Some(index) = all.iter_mut().find(|index| index.definition.is_same(definition)) else {
                    return Ok(Indexed::default());
                };
                draft.clear_range(entry::range(&index.base));
                indexes.check_forgetting(index, None)?;
                *index = define(draft, indexes, &index.definition).await?;
            }
            Self::Drop(definition) => {
                let Some(index) = indexes.find(definition) else {
                    return Ok(Indexed::default());
                };
                indexes.check_forgetting(index, Some(definition))?;
                draft.clear_range(entry::range(&index.base));
                if index.definition.is_index_only() {
                    // Perhaps the records are gone with it.
                    let stamp = draft.keys().stamp(definition.prefix().as_str());
                    draft.set(stamp, OpId::random().as_str().as_bytes().to_vec())?;
                }
                all.retain(|index| !index.definition.is_same(definition));
            }
        }
        let key = draft.keys().indexes().to_vec();
        let changed = Indexes::new(all, draft.has_pieces);
        if changed.all.is_empty() {
            draft.clear(key);
        } else {
            draft.set(key, changed.encode())?;
        }
        Ok(Indexed {
            changed: Some(changed),
            given_up,
        })
    }
}

/// An index that has to be built up to the last record that is there. All that is written after this piece of work finds it
/// defined, so that whoever appends faster than it is built does not keep it from being ready.
async fn define<T: Transaction>(
    draft: &Draft<'_, T>,
    indexes: &Indexes,
    definition: &IndexDefinition,
) -> Result<Index, Halt> {
    if definition.is_index_only() {
        // The records that are there are those of another index.
        let until = indexes.siblings(definition).next().map(|_| String::new());
        return Ok(Index::new(draft.keys(), definition.clone(), until));
    }
    let until = field::last_slug(draft.transaction(), draft.keys(), definition.prefix()).await?;
    Ok(Index::new(draft.keys(), definition.clone(), until))
}

/// What a step of a build came to.
enum Step {
    /// The index is not being built.
    Nothing,
    Done,
    /// Records have the same values: by their slugs.
    NotUnique(Vec<(String, String)>),
}

/// Adds the entries of the next records. Those that writers have added meanwhile are the same.
async fn build<T: Transaction>(
    draft: &mut Draft<'_, T>,
    indexes: &Indexes,
    index: &mut Index,
    company: Company,
) -> Result<Step, Halt> {
    if index.definition.is_index_only() {
        return build_only(draft, indexes, index, company).await;
    }
    let Progress::Building { after, until, records } = &mut index.progress else {
        return Ok(Step::Nothing);
    };
    let definition = &index.definition;
    let (prefix, fields) = (definition.prefix(), definition.fields());
    let scan = field::Scan {
        after: Some(after.as_str()).filter(|after| !after.is_empty()),
        until: until.as_deref(),
        pairs: company.pairs(),
    };
    let scanned = field::scan(draft.transaction(), draft.keys(), prefix, fields, scan).await?;
    let mut next = scanned.after;
    let mut pairs = Vec::new();
    for (slug, values) in &scanned.records {
        let record = if definition.is_covering() {
            record::committed(draft.transaction(), draft.keys(), &format!("{prefix}/{slug}")).await?
        } else {
            Vec::new()
        };
        let values: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        draft.set_entry(entry::key(&index.base, values.iter().copied(), slug), &record)?;
        if definition.is_unique() {
            let unique = Unique {
                definition,
                base: &index.base,
            };
            pairs.extend(
                unique
                    .other(draft, &values, slug)
                    .await?
                    .map(|other| (other, slug.clone())),
            );
        }
        *records += 1;
        // Large records are no reason for a large transaction.
        if draft.bytes() > STEP_BYTES || pairs.len() == PAIRS_MAX {
            next = Some(slug.clone());
            break;
        }
    }
    if !pairs.is_empty() {
        return Ok(Step::NotUnique(pairs));
    }
    match next {
        Some(slug) => *after = slug,
        None => index.progress = Progress::Readable,
    }
    Ok(Step::Done)
}

/// Adds the next records of another index that is all there is of them.
async fn build_only<T: Transaction>(
    draft: &mut Draft<'_, T>,
    indexes: &Indexes,
    index: &mut Index,
    company: Company,
) -> Result<Step, Halt> {
    let Progress::Building { after, .. } = &index.progress else {
        return Ok(Step::Nothing);
    };
    let is_readable = |sibling: &&Index| sibling.progress == Progress::Readable;
    let Some(source) = indexes.siblings(&index.definition).find(is_readable) else {
        index.progress = Progress::Readable;
        return Ok(Step::Done);
    };
    let built = only::build(draft, index, source, after, company.pairs()).await?;
    if let Some(slug) = built.twice {
        return Ok(Step::NotUnique(vec![(slug.clone(), slug)]));
    }
    match (&mut index.progress, built.next) {
        (Progress::Building { after, records, .. }, Some(next)) => {
            *after = next;
            *records += built.records;
        }
        _ => index.progress = Progress::Readable,
    }
    Ok(Step::Done)
}

/// Why a unique index is not built.
fn not_unique(definition: &IndexDefinition, pairs: &[(String, String)]) -> Error {
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(one, other)| format!("`{one}` and `{other}`"))
        .collect();
    let detail = format!(
        "the index of {definition} is not there, since records have the same values: {}",
        pairs.join(", ")
    );
    Error::new(ErrorKind::Conflict, "not_unique", detail)
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
        let stored = self.stored_indexes().await?;
        let definition = &stored.find(definition).ok_or_else(|| no_index(definition))?.definition;
        self.change(IndexWork::Rebuild(definition.clone())).await?;
        self.ensure_index(definition).await
    }
}

/// The store has no such index.
pub(super) fn no_index(definition: &IndexDefinition) -> Error {
    Refusal::invalid("no_index", format!("the store has no index of {definition}")).into_error()
}
