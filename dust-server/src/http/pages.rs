//! Pages of lists as they were sent, for as long as their store does not change.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use dust_store::StoreName;
use dust_transport::model::Seq;

use super::query::Query;

/// The memory that pages may take; the oldest make room.
const BYTES_MAX: usize = 16 << 20;

/// The longest page that is kept.
const PAGE_BYTES_MAX: usize = 1 << 20;

/// Pages by store and query. One is as good as read again while the last op of its store is still that before it was read.
#[derive(Debug, Default)]
pub(crate) struct Pages(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    stores: HashMap<StoreName, HashMap<Query, Page>>,
    /// From the oldest on.
    order: VecDeque<(StoreName, Query)>,
    bytes: usize,
}

#[derive(Debug)]
struct Page {
    head: Seq,
    text: Bytes,
}

impl Pages {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        // What a panic leaves half done is at worst a page that is not found, or counted and gone.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The page of a query, if it was read when the store was where it is now.
    pub(super) fn get(&self, store: &StoreName, query: &Query, head: Seq) -> Option<Bytes> {
        let kept = self.kept();
        let page = kept.stores.get(store)?.get(query)?;
        (page.head == head).then(|| page.text.clone())
    }

    /// Keeps a page; `head` was the last op of its store before it was read.
    pub(super) fn put(&self, store: &StoreName, query: Query, head: Seq, text: Bytes) {
        if text.len() > PAGE_BYTES_MAX {
            return;
        }
        let mut kept = self.kept();
        kept.bytes += text.len();
        let pages = kept.stores.entry(store.clone()).or_default();
        match pages.insert(query.clone(), Page { head, text }) {
            Some(before) => kept.bytes -= before.text.len(),
            None => kept.order.push_back((store.clone(), query)),
        }
        while kept.bytes > BYTES_MAX
            && let Some((store, query)) = kept.order.pop_front()
        {
            kept.remove(&store, &query);
        }
    }
}

impl Kept {
    fn remove(&mut self, store: &StoreName, query: &Query) {
        let Some(pages) = self.stores.get_mut(store) else {
            return;
        };
        if let Some(page) = pages.remove(query) {
            self.bytes -= page.text.len();
        }
        if pages.is_empty() {
            self.stores.remove(store);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text)).unwrap()
    }

    #[test]
    fn a_page_is_found_until_its_store_changes() {
        let (pages, store) = (Pages::default(), StoreName::parse("acme/site").unwrap());
        pages.put(&store, query("limit=1"), Seq(3), Bytes::from_static(b"three"));
        let found = |text, head| pages.get(&store, &query(text), Seq(head));
        assert_eq!(found("limit=1", 3).as_deref(), Some(&b"three"[..]));
        assert_eq!(found("limit=1", 4), None);
        assert_eq!(found("limit=2", 3), None);
        let other = StoreName::parse("acme/side").unwrap();
        assert_eq!(pages.get(&other, &query("limit=1"), Seq(3)), None);
        pages.put(&store, query("limit=1"), Seq(4), Bytes::from_static(b"four"));
        assert_eq!(found("limit=1", 4).as_deref(), Some(&b"four"[..]));
        assert_eq!(pages.kept().bytes, 4);
    }

    #[test]
    fn the_oldest_make_room() {
        let (pages, store) = (Pages::default(), StoreName::parse("acme/site").unwrap());
        let long = Bytes::from(vec![b' '; PAGE_BYTES_MAX]);
        for number in 0..20 {
            pages.put(&store, query(&format!("limit={number}")), Seq(1), long.clone());
        }
        let found = |number| pages.get(&store, &query(&format!("limit={number}")), Seq(1)).is_some();
        assert!(!found(3) && found(4) && found(19));
        assert_eq!(pages.kept().bytes, BYTES_MAX);
        pages.put(
            &store,
            query("limit=21"),
            Seq(1),
            Bytes::from(vec![b' '; PAGE_BYTES_MAX + 1]),
        );
        assert!(!found(21));
    }
}
