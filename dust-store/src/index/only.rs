//! Records that live only in their indexes: the entries are all there is of them.
//!
//! A record is known by its slug and its values in an index. Each is in all indexes of its prefix, or in none: before it is
//! put or deleted, whatever has its place in one of them is taken out of all. So another index cannot be built where two
//! records would be one in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dust_layer::{Direction, Engine, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{DeviceId, OpId, Path, Value, ValueKind};
use dust_transport::query::{IndexDefinition, RecordAction, RecordChange};

use super::definition::{Index, Indexes, Progress};
use super::field::{Field, Values};
use super::piece::{self, Entry, end_of};
use super::verify::IndexReport;
use super::{entry, value};
use crate::apply::flatten;
use crate::codec::{Covered, Leaf};
use crate::draft::{Draft, PAGE_PAIRS};
use crate::error::{Halt, Refusal, corrupt};
use crate::history::pause;
use crate::keyspace::Keyspace;
use crate::sequencer::{self, Work};
use crate::store::{Store, stored_json};

/// A change that is ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct OnlyWork {
    action: RecordAction,
    prefix: Path,
    /// Rendered.
    slug: String,
    /// The record as an entry holds it.
    record: Vec<u8>,
}

impl OnlyWork {
    /// Makes the leaves of a change.
    fn new(change: &RecordChange) -> Result<Self, Refusal> {
        let refuse = |detail: &str| Refusal::invalid("invalid_record", format!("`{}` {detail}", change.path));
        let prefix = change.path.parent();
        let prefix = prefix.ok_or_else(|| refuse("is no record: its path is `prefix/slug`"))?;
        if change.value.is_leaf() || change.value.entries().is_none() {
            return Err(refuse("is no map"));
        }
        let mut leaves: BTreeMap<String, (Value, ValueKind)> = BTreeMap::new();
        for (path, value, kind) in flatten::leaves(&change.path, &change.value)? {
            let below = path.strip_prefix(&change.path).unwrap_or_default();
            // Of equal keys the first counts, as in a `set`.
            leaves.entry(below.to_owned()).or_insert((value, kind));
        }
        if leaves.is_empty() {
            return Err(refuse("has no field"));
        }
        let record = Covered {
            leaves: leaves
                .iter()
                .map(|(below, (value, kind))| (below.as_str(), leaf(value, *kind)))
                .collect(),
        };
        Ok(Self {
            action: change.action,
            slug: change.path.strip_prefix(&prefix).unwrap_or_default().to_owned(),
            prefix,
            record: record.encode(),
        })
    }

    /// Makes the changes of one call, of which there are at least one and at most `changes_max`.
    pub(crate) fn all(changes: &[RecordChange], changes_max: usize) -> Result<Vec<Self>, Refusal> {
        if !(1..=changes_max).contains(&changes.len()) {
            let detail = format!("1 to {changes_max} records are written at once");
            return Err(Refusal::invalid("invalid_params", detail));
        }
        changes.iter().map(Self::new).collect()
    }

    /// The key of the stamp that it moves.
    pub(crate) fn stamp(&self, keys: &Keyspace) -> Vec<u8> {
        keys.stamp(self.prefix.as_str())
    }

    /// Does it in a draft.
    pub(crate) async fn evaluate<T: Transaction>(
        &self,
        draft: &mut Draft<'_, T>,
        indexes: &Indexes,
    ) -> Result<(), Halt> {
        let all: Vec<&Index> = indexes.only(&self.prefix).collect();
        if all.is_empty() {
            let detail = format!("no index holds the records of `{}`", self.prefix);
            return Err(Refusal::invalid("no_index", detail).into());
        }
        // With one index, the entry is overwritten or cleared, whatever it was.
        for index in all.iter().filter(|_| all.len() > 1) {
            let key = key_of(index, &self.slug, &self.record)?;
            if let Some(old) = draft.entry(&key).await? {
                for other in &all {
                    draft.clear_entry(key_of(other, &self.slug, &old)?);
                }
            }
        }
        for index in &all {
            let key = key_of(index, &self.slug, &self.record)?;
            match self.action {
                RecordAction::Put => draft.set_entry(key, &self.record)?,
                RecordAction::Delete => draft.clear_entry(key),
            }
        }
        Ok(indexes.note_pieces(draft)?)
    }
}

/// Does all of them in a draft that is to be committed, and says under which id: who has read the records of the prefix is in conflict.
pub(crate) async fn write<T: Transaction>(
    works: &[OnlyWork],
    id: &OpId,
    draft: &mut Draft<'_, T>,
    indexes: &Indexes,
) -> Result<(), Halt> {
    for work in works {
        work.evaluate(draft, indexes).await?;
    }
    let stamps: BTreeSet<_> = works.iter().map(|work| work.stamp(draft.keys())).collect();
    for stamp in stamps {
        draft.set(stamp, id.as_str().as_bytes().to_vec())?;
    }
    Ok(())
}

/// A leaf that no op has written.
fn leaf(value: &Value, kind: ValueKind) -> Leaf<'_> {
    Leaf {
        kind,
        revision: 0,
        text: value.json(),
    }
}

impl Indexes {
    /// The indexes that are all there is of the records of a prefix.
    pub(super) fn only<'i>(&'i self, prefix: &'i Path) -> impl Iterator<Item = &'i Index> {
        let is_only = |index: &&Index| index.definition.is_index_only();
        self.all
            .iter()
            .filter(is_only)
            .filter(move |index| index.definition.prefix() == prefix)
    }

    /// The others of them.
    pub(super) fn siblings<'i>(&'i self, definition: &'i IndexDefinition) -> impl Iterator<Item = &'i Index> {
        self.only(definition.prefix())
            .filter(move |index| !index.definition.is_same(definition))
    }

    /// Refuses a definition that does not fit those of its prefix.
    pub(super) fn check_kind(&self, definition: &IndexDefinition) -> Result<(), Refusal> {
        definition.check()?;
        let is_other = |index: &&Index| {
            index.definition.prefix() == definition.prefix()
                && index.definition.is_index_only() != definition.is_index_only()
        };
        match self.all.iter().find(is_other) {
            None => Ok(()),
            Some(other) => {
                let detail = format!(
                    "records live only in their indexes, or in none: the store has the index of {}",
                    other.definition
                );
                Err(Refusal::invalid("invalid_index", detail))
            }
        }
    }

    /// Refuses to forget the entries of an index that are all there is of its records; unless the definition that was given
    /// says that they are.
    pub(super) fn check_forgetting(&self, index: &Index, given: Option<&IndexDefinition>) -> Result<(), Refusal> {
        if !index.definition.is_index_only() {
            return Ok(());
        }
        let is_readable = |index: &Index| index.progress == Progress::Readable;
        if is_readable(index) && self.siblings(&index.definition).any(|sibling| !is_readable(sibling)) {
            let detail = format!("another index is being built from that of {}", index.definition);
            return Err(Refusal::invalid("index_building", detail));
        }
        let is_said = given.is_some_and(IndexDefinition::is_index_only);
        if is_said || self.siblings(&index.definition).next().is_some() {
            return Ok(());
        }
        let detail = format!(
            "the entries of the index of {} are all there is of its records",
            index.definition
        );
        Err(Refusal::invalid("holds_records", detail))
    }
}

/// The values of a record in the order of an index.
fn values_of(definition: &IndexDefinition, record: &Covered<'_>) -> Result<Values, Refusal> {
    let values = definition.fields().iter().map(|field| {
        let mut found = Field::default();
        for (below, leaf) in &record.leaves {
            match below.strip_prefix(field.as_str()) {
                Some("") => found.leaf = Some(value::encode(stored_json(leaf.text)?)),
                Some(rest) if rest.starts_with('/') => found.has_below = true,
                _ => {}
            }
        }
        Ok(found.into_value())
    });
    values.collect()
}

fn decoded(record: &[u8]) -> Result<Covered<'_>, Refusal> {
    Covered::decode(record).map_err(|error| Refusal::corrupt("a record in an index does not decode", error))
}

/// The key of a record in an index.
fn key_of(index: &Index, slug: &str, record: &[u8]) -> Result<Vec<u8>, Refusal> {
    let values = values_of(&index.definition, &decoded(record)?)?;
    Ok(entry::key(&index.base, values.iter().map(Vec::as_slice), slug))
}

fn slug_of<'k>(index: &Index, key: &'k [u8]) -> Result<&'k str, Refusal> {
    let slug = entry::slug(key, &index.base, index.definition.fields().len());
    slug.ok_or_else(|| corrupt("a key among the entries of an index is none of them").into())
}

/// What a step of a build came to.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) records: u64,
    /// The place in the other index where the next step begins; `None` at its end.
    pub(super) next: Option<String>,
    /// The slug of two records that would be one in the index.
    pub(super) twice: Option<String>,
}

/// Adds the next records of another index, after a place in it.
pub(super) async fn build<T: Transaction>(
    draft: &mut Draft<'_, T>,
    index: &Index,
    source: &Index,
    after: &str,
    pairs: usize,
) -> Result<Built, Halt> {
    let mut range = entry::range(&source.base);
    if !after.is_empty() {
        range.start = end_of(&entry::key_at(&source.base, after).map_err(Refusal::from)?);
    }
    let mut built = Built::default();
    let (mut rest, mut left) = (Some(range), pairs);
    while let Some(range) = rest {
        if left == 0 {
            return Ok(built);
        }
        let page = piece::entries(draft.transaction(), range, left.min(PAGE_PAIRS), Direction::Forward).await?;
        left = left.saturating_sub(page.items.len());
        let mut items = page.items.into_iter();
        for Entry { key, record } in items.by_ref() {
            let (slug, record) = (slug_of(source, &key)?, record.map_err(Refusal::from)?);
            let own = key_of(index, slug, &record)?;
            if draft.entry(&own).await?.is_some_and(|found| found != record) {
                built.twice = Some(slug.to_owned());
                return Ok(built);
            }
            draft.set_entry(own, &record)?;
            built.records += 1;
            built.next = Some(entry::place(&key, &source.base));
            // Large records are no reason for a large transaction.
            if draft.bytes() > super::build::STEP_BYTES {
                break;
            }
        }
        rest = page.rest;
        if draft.bytes() > super::build::STEP_BYTES && (rest.is_some() || items.len() > 0) {
            return Ok(built);
        }
    }
    built.next = None;
    Ok(built)
}

/// Compares the entries of an index with what they hold, and with the other indexes of the records.
pub(super) async fn compare<T: Transaction>(
    transaction: &T,
    indexes: &Indexes,
    index: &Index,
) -> Result<IndexReport, Halt> {
    let mut report = IndexReport::default();
    let readable = |sibling: &&Index| sibling.progress == Progress::Readable;
    // A record of another index is only here once the build has come to it.
    let others = indexes
        .siblings(&index.definition)
        .filter(readable)
        .filter(|_| index.progress == Progress::Readable);
    for source in std::iter::once(index).chain(others) {
        let is_own = source.definition.is_same(&index.definition);
        let mut rest = Some(entry::range(&source.base));
        while let Some(range) = rest {
            let page = piece::entries(transaction, range, PAGE_PAIRS, Direction::Forward).await?;
            for Entry { key, record } in page.items {
                let record = record.map_err(Refusal::from);
                let expected = record.and_then(|record| Ok((key_of(index, slug_of(source, &key)?, &record)?, record)));
                if is_own {
                    report.records += 1;
                    report.stale += u64::from(!expected.is_ok_and(|(expected, _)| expected == key));
                } else if let Ok((expected, record)) = expected {
                    let found = piece::entry(transaction, &expected).await?;
                    let is_same = found.is_some_and(|found| found.is_ok_and(|found| found == record));
                    report.missing += u64::from(!is_same);
                }
            }
            pause().await;
            rest = page.rest;
        }
    }
    Ok(report)
}

impl<E: Engine> Store<E> {
    /// Writes records that live only in their indexes.
    pub(crate) async fn write_records(
        self: &Arc<Self>,
        device: &DeviceId,
        changes: Vec<RecordChange>,
    ) -> Result<(), Error> {
        let works = OnlyWork::all(&changes, self.options.batch_ops_max).map_err(Refusal::into_error)?;
        sequencer::run(self, device, Work::Records(works)).await.map(drop)
    }
}
