//! Conflict detection: what was written lately, and whether a transaction read any of it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::mutation::Conflicts;
use super::range_set::remove_keys;
use super::storage::Bytes;
use crate::error::Error;

/// Most versions and keys of versions kept before the oldest are given up.
const WINDOW_LEN_MAX: usize = 1 << 20;

/// The writes of the versions that a live transaction may still conflict with.
#[derive(Debug)]
pub(super) struct Resolver {
    /// The last version that wrote each key.
    points: BTreeMap<Bytes, u64>,
    /// The keys of each version, oldest first, to find what to forget.
    log: VecDeque<(u64, Vec<Bytes>)>,
    /// The versions and keys in `log`: a key that every version writes is there many times, though once in `points`.
    log_len: usize,
    /// The last version that wrote a range covering the keys from here to the next entry; 0 for none.
    ranges: BTreeMap<Bytes, u64>,
    /// How large `ranges` may grow before the next sweep.
    ranges_sweep_len: usize,
    /// Reads at versions below this one can no longer be checked.
    oldest: u64,
    window_len_max: usize,
}

impl Resolver {
    pub(super) fn new(version: u64) -> Self {
        Self {
            points: BTreeMap::new(),
            log: VecDeque::new(),
            log_len: 0,
            ranges: BTreeMap::new(),
            ranges_sweep_len: 1024,
            oldest: version,
            window_len_max: WINDOW_LEN_MAX,
        }
    }

    /// Fails if any of `reads`, made at `version`, has been written since.
    pub(super) fn check(&self, reads: &Conflicts, version: u64) -> Result<(), Error> {
        if reads.is_empty() {
            return Ok(());
        }
        if version < self.oldest {
            return Err(Error::TransactionTooOld);
        }
        let newer = self.log.back().is_some_and(|(last, _)| *last > version);
        if !newer {
            return Ok(());
        }
        let conflict = reads.iter().any(|(begin, end)| match end {
            None => self.key_written(begin, version),
            Some(end) => self.range_written(begin, end, version),
        });
        if conflict { Err(Error::Conflict) } else { Ok(()) }
    }

    fn key_written(&self, key: &[u8], version: u64) -> bool {
        self.points.get(key).is_some_and(|written| *written > version) || self.range_version(key) > version
    }

    fn range_written(&self, begin: &[u8], end: &[u8], version: u64) -> bool {
        let bounds = (Bound::Included(begin), Bound::Excluded(end));
        self.range_version(begin) > version
            || self
                .ranges
                .range::<[u8], _>(bounds)
                .any(|(_, written)| *written > version)
            || self
                .points
                .range::<[u8], _>(bounds)
                .any(|(_, written)| *written > version)
    }

    /// The last version of a range write that covers `key`.
    fn range_version(&self, key: &[u8]) -> u64 {
        self.ranges
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .map_or(0, |(_, version)| *version)
    }

    /// Opens a version; what is recorded next was written by it.
    pub(super) fn open_version(&mut self, version: u64) {
        self.log.push_back((version, Vec::new()));
        self.log_len += 1;
    }

    pub(super) fn record_key(&mut self, key: &Bytes) {
        let Some((version, keys)) = self.log.back_mut() else {
            return;
        };
        if self.points.insert(Bytes::clone(key), *version) != Some(*version) {
            keys.push(Bytes::clone(key));
            self.log_len += 1;
        }
    }

    pub(super) fn record_range(&mut self, begin: &[u8], end: &[u8]) {
        let Some((version, _)) = self.log.back() else {
            return;
        };
        if begin >= end {
            return;
        }
        let version = *version;
        let after = self.range_version(end);
        remove_keys(&mut self.ranges, begin, end);
        self.ranges.insert(Bytes::from(begin), version);
        self.ranges.entry(Bytes::from(end)).or_insert(after);
    }

    /// Forgets what no transaction at `live` or later can conflict with, and more if the window is too large.
    pub(super) fn prune(&mut self, live: u64) {
        let mut oldest = self.oldest.max(live);
        while let Some((version, keys)) = self.log.front() {
            if *version > oldest && self.log_len <= self.window_len_max {
                break;
            }
            oldest = oldest.max(*version);
            self.log_len -= keys.len() + 1;
            for key in keys {
                if self.points.get(key).is_some_and(|written| written == version) {
                    self.points.remove(key);
                }
            }
            self.log.pop_front();
        }
        self.oldest = oldest;
        if self.ranges.len() > self.ranges_sweep_len {
            self.sweep_ranges();
        }
    }

    fn sweep_ranges(&mut self) {
        let oldest = self.oldest;
        let mut previous = 0;
        self.ranges.retain(|_, version| {
            if *version <= oldest {
                *version = 0;
            }
            let keep = *version != previous;
            previous = *version;
            keep
        });
        if self.ranges.len() > self.window_len_max {
            self.oldest = self.log.back().map_or(oldest, |(version, _)| *version);
            self.ranges.clear();
        }
        self.ranges_sweep_len = 1024.max(self.ranges.len() * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Bytes {
        Bytes::from(text.as_bytes())
    }

    fn reads(ranges: &[(&str, &str)]) -> Conflicts {
        let mut conflicts = Conflicts::default();
        for (begin, end) in ranges {
            if end.is_empty() {
                conflicts.push_key(begin.as_bytes());
            } else {
                conflicts.push_range(begin.as_bytes(), end.as_bytes());
            }
        }
        conflicts
    }

    fn conflicts(resolver: &Resolver, begin: &str, end: &str, version: u64) -> bool {
        matches!(resolver.check(&reads(&[(begin, end)]), version), Err(Error::Conflict))
    }

    #[test]
    fn a_read_conflicts_with_later_writes_only() {
        let mut resolver = Resolver::new(1);
        resolver.open_version(2);
        resolver.record_key(&key("k"));
        resolver.open_version(3);
        resolver.record_range(b"r", b"t");
        assert!(conflicts(&resolver, "k", "", 1));
        assert!(!conflicts(&resolver, "k", "", 2));
        assert!(conflicts(&resolver, "a", "z", 2));
        assert!(!conflicts(&resolver, "a", "r", 2));
        assert!(conflicts(&resolver, "s", "", 2));
        assert!(!conflicts(&resolver, "t", "", 2));
        assert!(conflicts(&resolver, "s", "z", 2));
        assert!(!conflicts(&resolver, "t", "z", 2));
        assert!(!conflicts(&resolver, "a", "z", 3));
    }

    #[test]
    fn a_range_write_leaves_older_ranges_beside_it() {
        let mut resolver = Resolver::new(1);
        resolver.open_version(2);
        resolver.record_range(b"a", b"m");
        resolver.open_version(3);
        resolver.record_range(b"c", b"e");
        assert!(conflicts(&resolver, "b", "", 1) && !conflicts(&resolver, "b", "", 2));
        assert!(conflicts(&resolver, "d", "", 2) && !conflicts(&resolver, "d", "", 3));
        assert!(conflicts(&resolver, "f", "", 1) && !conflicts(&resolver, "f", "", 2));
        assert!(!conflicts(&resolver, "m", "", 1));
    }

    #[test]
    fn pruning_forgets_what_no_live_transaction_can_see() {
        let mut resolver = Resolver::new(1);
        for version in 2..10 {
            resolver.open_version(version);
            resolver.record_key(&key("hot"));
            resolver.record_key(&key(&format!("k{version}")));
        }
        resolver.prune(8);
        assert_eq!(resolver.points.len(), 2);
        assert!(matches!(
            resolver.check(&reads(&[("x", "")]), 7),
            Err(Error::TransactionTooOld)
        ));
        assert!(
            resolver.check(&reads(&[]), 7).is_ok(),
            "a transaction that read nothing is never too old"
        );
        assert!(conflicts(&resolver, "hot", "", 8));
        resolver.prune(9);
        assert!(resolver.points.is_empty() && resolver.log.is_empty());
    }

    #[test]
    fn a_window_too_large_gives_up_its_oldest_versions() {
        let mut resolver = Resolver {
            window_len_max: 10,
            ..Resolver::new(1)
        };
        for version in 2..30 {
            resolver.open_version(version);
            resolver.record_key(&key(&format!("k{version:02}")));
            resolver.record_key(&key("hot"));
            resolver.prune(1);
            assert!(resolver.points.len() <= 5 && resolver.log.len() <= 4);
        }
        assert!(matches!(
            resolver.check(&reads(&[("x", "")]), 1),
            Err(Error::TransactionTooOld)
        ));
        assert!(!conflicts(&resolver, "k29", "", 29));
        assert!(conflicts(&resolver, "k29", "", 28));
    }

    #[test]
    fn range_boundaries_are_swept() {
        let mut resolver = Resolver::new(1);
        for version in 2..2000_u64 {
            resolver.open_version(version);
            let begin = version.to_be_bytes();
            resolver.record_range(&begin, &[&begin[..], &[0xff]].concat());
            resolver.prune(version);
        }
        assert!(resolver.ranges.len() <= 1100);
    }
}
