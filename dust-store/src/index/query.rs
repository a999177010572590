//! One page of a query.

use std::ops::Range;

use dust_layer::{Direction, Engine, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Entry, Path};
use dust_transport::query::{FoundRecord, IndexQuery, QueryPage};
use dust_transport::transport::Order;

use super::build::no_index;
use super::definition::{Indexes, Progress};
use super::{entry, piece, record};
use crate::draft::{PAGE_PAIRS, read, successor};
use crate::error::{Refusal, corrupt, of_read};
use crate::store::{Store, entry as leaf_entry};

/// A page ends after about so many bytes of values.
const PAGE_BYTES: usize = 8 << 20;

/// How many entries that hold their records are read at once.
const COVERED_PAIRS: usize = 64;

impl<E: Engine> Store<E> {
    /// Reads one page as a transaction sees it: a range of the index, and the leaves of the records that it names.
    pub(crate) async fn query(&self, transaction: &E::Transaction, query: &IndexQuery) -> Result<QueryPage, Error> {
        query.check()?;
        let indexes = Indexes::read(transaction, &self.keys, &self.indexes, Isolation::Snapshot).await;
        let indexes = indexes.map_err(of_read)??;
        let index = indexes.find(&query.index).ok_or_else(|| no_index(&query.index))?;
        let definition = &index.definition;
        if index.progress != Progress::Readable {
            let detail = format!("the index of {definition} is being built");
            return Err(Refusal::invalid("index_building", detail).into_error());
        }
        let range = entry::range_of(&index.base, query)?;
        let mut rest = Some(range).filter(|range| range.start < range.end);
        let mut page = QueryPage {
            records: Vec::new(),
            next: None,
        };
        let mut bytes = 0;
        let mut last: Option<Vec<u8>> = None;
        while let Some(range) = rest {
            // One more than needed shows whether there is a next page.
            let mut wanted = query.limit + 1 - page.records.len();
            if definition.is_covering() {
                wanted = wanted.min(COVERED_PAIRS);
            }
            let found = piece::entries(transaction, range, wanted, direction(query.order)).await;
            let found = found.map_err(of_read)?;
            for found in found.items {
                if page.records.len() == query.limit || bytes > PAGE_BYTES {
                    page.next = last.map(|last| entry::cursor(&last, &index.base, definition));
                    return Ok(page);
                }
                let slug = entry::slug(&found.key, &index.base, definition.fields().len());
                let slug = slug.ok_or_else(|| corrupt("a key among the entries of an index is none of them"))?;
                let path = Path::parse(&format!("{}/{slug}", definition.prefix()))?;
                let entries = if definition.is_covering() {
                    record::entries(&path, &found.record?)?
                } else {
                    self.record(transaction, &path).await?
                };
                bytes += entries.iter().map(|entry| entry.value.json().len()).sum::<usize>();
                page.records.push(FoundRecord { path, entries });
                last = Some(found.key);
            }
            rest = found.rest;
        }
        Ok(page)
    }

    /// The leaves below a path.
    async fn record(&self, transaction: &E::Transaction, path: &Path) -> Result<Vec<Entry>, Error> {
        let Range { mut start, end } = self.keys.below(path.as_str());
        let mut entries = Vec::new();
        loop {
            let page = transaction
                .get_range(read(&start, &end, PAGE_PAIRS))
                .await
                .map_err(of_read)?;
            for (key, value) in &page {
                let path = self.keys.path_of(key).and_then(|path| Path::parse(path).ok());
                let path = path.ok_or_else(|| Refusal::foreign_key().into_error())?;
                entries.push(leaf_entry(path, value)?);
            }
            match page.last_key() {
                Some(last) if page.more() => start = successor(last),
                _ => return Ok(entries),
            }
        }
    }
}

fn direction(order: Order) -> Direction {
    match order {
        Order::Asc => Direction::Forward,
        Order::Desc => Direction::Reverse,
    }
}
