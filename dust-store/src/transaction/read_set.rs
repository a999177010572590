//! What a transaction has read: ranges of the keys of leaves, and of records without leaves whose prefixes.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::keyspace::Keyspace;

/// What has been read.
#[derive(Debug, Clone, Default)]
pub(crate) struct ReadSet {
    /// Ranges of keys, apart from one another: the end of each by its begin.
    ranges: BTreeMap<Vec<u8>, Vec<u8>>,
    stamps: Stamps,
}

/// What was found at the keys that change with every write of records that live only in their indexes.
pub(crate) type Stamps = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

impl ReadSet {
    /// Adds what was read, and what was found missing.
    pub(crate) fn add(&mut self, range: Range<Vec<u8>>) {
        let Range { mut start, mut end } = range;
        if start >= end {
            return;
        }
        // From the last to the first of those that it meets.
        while let Some((begin, other)) = self.ranges.range(..=end.clone()).next_back() {
            if *other < start {
                break;
            }
            let (begin, other) = (begin.clone(), other.clone());
            self.ranges.remove(&begin);
            start = start.min(begin);
            end = end.max(other);
        }
        self.ranges.insert(start, end);
    }

    /// Adds the leaf exactly at a path.
    pub(crate) fn add_leaf(&mut self, keys: &Keyspace, rendered: &str) {
        self.add(keys.leaf(rendered)..keys.bound_after(rendered));
    }

    /// Adds what is at and below a path.
    pub(crate) fn add_subtree(&mut self, keys: &Keyspace, rendered: &str) {
        self.add_leaf(keys, rendered);
        self.add(keys.below(rendered));
    }

    /// Adds the records of a prefix that live only in their indexes, by the key that changes with them.
    pub(crate) fn add_stamp(&mut self, key: Vec<u8>, stamp: Option<Vec<u8>>) {
        self.stamps.insert(key, stamp);
    }

    pub(crate) fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    fn meets(&self, range: &Range<Vec<u8>>) -> bool {
        let last = self.ranges.range(..range.end.clone()).next_back();
        last.is_some_and(|(_, end)| *end > range.start)
    }

    /// Whether an op at a path may have changed any of it. An op changes what is at and below its path.
    pub(crate) fn is_touched_by(&self, keys: &Keyspace, rendered: &str) -> bool {
        self.meets(&(keys.leaf(rendered)..keys.bound_after(rendered))) || self.meets(&keys.below(rendered))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Keyspace {
        Keyspace::new(&[0x15, 0x2A])
    }

    #[test]
    fn ops_touch_what_is_at_or_below_their_path() {
        let keys = keys();
        let mut leaf = ReadSet::default();
        leaf.add_leaf(&keys, "a/b");
        let mut subtree = ReadSet::default();
        subtree.add_subtree(&keys, "a/b");
        for (op, touches_leaf, touches_subtree) in [
            ("a", true, true),
            ("a/b", true, true),
            ("a/b/c", false, true),
            ("a/b-c", false, false),
            ("a/bc", false, false),
            ("a-b", false, false),
            ("b", false, false),
        ] {
            assert_eq!(leaf.is_touched_by(&keys, op), touches_leaf, "{op} and the leaf");
            assert_eq!(
                subtree.is_touched_by(&keys, op),
                touches_subtree,
                "{op} and the subtree"
            );
        }
        assert!(!ReadSet::default().is_touched_by(&keys, "a"));
    }

    #[test]
    fn ranges_that_meet_become_one() {
        let range = |start: u8, end: u8| vec![start]..vec![end];
        let mut reads = ReadSet::default();
        for (start, end) in [(1, 3), (7, 9), (4, 6), (3, 4), (5, 8), (20, 20)] {
            reads.add(range(start, end));
        }
        assert_eq!(reads.ranges.into_iter().collect::<Vec<_>>(), [(vec![1], vec![9])]);
        let mut reads = ReadSet::default();
        reads.add(range(1, 9));
        reads.add(range(2, 3));
        reads.add(range(11, 12));
        assert!(reads.meets(&range(8, 10)) && !reads.meets(&range(9, 11)) && reads.meets(&range(0, 200)));
        assert_eq!(reads.ranges.len(), 2);
    }
}
