//! Whether an index holds what it should.

use dust_layer::{Direction, Engine, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::query::IndexDefinition;

use super::build::no_index;
use super::definition::Indexes;
use super::{entry, field, only, piece, record};
use crate::draft::PAGE_PAIRS;
use crate::error::{Halt, of_read};
use crate::history::pause;
use crate::store::Store;

/// What a check of an index came to.
///
/// ```
/// use dust_transport::model::{Op, Path, Value};
/// use dust_transport::query::IndexDefinition;
/// use dust_transport::transport::Transport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// let store = dust_store::Embedded::memory();
/// let by_name = IndexDefinition::new(Path::parse("users")?, [Path::parse("name")?])?;
/// store.ensure_index(&by_name).await?;
/// store.write(Op::set(Path::parse("users/ada/name")?, "Ada").into()).await?;
/// let report = store.verify_index(&by_name).await?;
/// assert!(report.is_clean() && report.records == 1);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IndexReport {
    /// How many records the index should have: those below its prefix; while it is being built, those that it has come to.
    /// Of an index that is all there is of its records, how many it has.
    pub records: u64,
    /// How many of them have no entry, or another than they should. Of an index that is all there is of its records: how many
    /// records of the other indexes.
    pub missing: u64,
    /// How many entries no record has.
    pub stale: u64,
}

impl IndexReport {
    /// Whether the entries are those of the records, and no others.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.missing == 0 && self.stale == 0
    }
}

impl<E: Engine> Store<E> {
    /// Compares the entries of an index with the records, in one state of the store.
    pub(crate) async fn verify_index(&self, definition: &IndexDefinition) -> Result<IndexReport, Error> {
        let transaction = self.engine.begin();
        let indexes = Indexes::read(&transaction, &self.keys, &self.indexes, Isolation::Snapshot).await;
        let indexes = indexes.map_err(of_read)??;
        let index = indexes.find(definition).ok_or_else(|| no_index(definition))?;
        let report = if index.definition.is_index_only() {
            only::compare(&transaction, &indexes, index).await
        } else {
            self.compare(&transaction, index).await
        };
        report.map_err(|halt| match halt {
            Halt::Refused(refusal) => refusal.into_error(),
            Halt::Engine(error) => of_read(error),
        })
    }

    async fn compare(
        &self,
        transaction: &E::Transaction,
        index: &super::definition::Index,
    ) -> Result<IndexReport, Halt> {
        let (prefix, fields) = (index.definition.prefix(), index.definition.fields());
        let mut report = IndexReport::default();
        let (mut after, mut is_last) = (None, false);
        while !is_last {
            let scan = field::Scan {
                after: after.as_deref(),
                until: None,
                pairs: field::SCAN_PAIRS,
            };
            let scanned = field::scan(transaction, &self.keys, prefix, fields, scan).await?;
            for (slug, values) in &scanned.records {
                let key = entry::key(&index.base, values.iter().map(Vec::as_slice), slug);
                let is_expected = index.has_reached(slug);
                let is_right = if index.definition.is_covering() {
                    let record = record::committed(transaction, &self.keys, &format!("{prefix}/{slug}")).await?;
                    let found = piece::entry(transaction, &key).await?;
                    found.is_some_and(|found| found.is_ok_and(|found| found == record))
                } else {
                    transaction.get(&key, Isolation::Snapshot).await? == Some(Vec::new())
                };
                report.records += u64::from(is_expected);
                report.missing += u64::from(is_expected && !is_right);
            }
            is_last = scanned.after.is_none();
            after = scanned.after;
            pause().await;
        }
        let mut rest = Some(entry::range(&index.base));
        while let Some(range) = rest {
            let page = piece::entries(transaction, range, PAGE_PAIRS, Direction::Forward).await?;
            for entry in &page.items {
                report.stale += u64::from(!self.is_right(transaction, index, entry).await?);
            }
            pause().await;
            rest = page.rest;
        }
        Ok(report)
    }

    /// Whether the record that the entry names has these values. A damaged entry that is expected counts as missing.
    async fn is_right(
        &self,
        transaction: &E::Transaction,
        index: &super::definition::Index,
        found: &piece::Entry,
    ) -> Result<bool, Halt> {
        let (prefix, fields) = (index.definition.prefix(), index.definition.fields());
        let Some(slug) = entry::slug(&found.key, &index.base, fields.len()) else {
            return Ok(false);
        };
        if found.record.is_err() && !index.has_reached(slug) {
            return Ok(false);
        }
        let record = format!("{prefix}/{slug}");
        let values = field::committed(transaction, &self.keys, &record, fields).await?;
        let expected = values.map(|values| entry::key(&index.base, values.iter().map(Vec::as_slice), slug));
        Ok(expected.as_deref() == Some(&found.key[..]))
    }
}
