//! A set of byte ranges that neither overlap nor touch.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::storage::Bytes;

/// Disjoint end-exclusive ranges, begin → end.
#[derive(Debug, Default, Clone)]
pub(super) struct RangeSet {
    ends: BTreeMap<Bytes, Bytes>,
}

impl RangeSet {
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds `begin <= key < end`, joined with every range that it overlaps or touches.
    pub(super) fn insert(&mut self, begin: &[u8], end: &[u8]) {
        debug_assert!(begin < end);
        let mut begin = Bytes::from(begin);
        let mut end = Bytes::from(end);
        while let Some((other_begin, other_end)) = self
            .ends
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(&*end)))
            .next_back()
        {
            if other_end < &begin {
                break;
            }
            let (other_begin, other_end) = (Bytes::clone(other_begin), Bytes::clone(other_end));
            self.ends.remove(&other_begin);
            begin = begin.min(other_begin);
            end = end.max(other_end);
        }
        self.ends.insert(begin, end);
    }

    pub(super) fn contains(&self, key: &[u8]) -> bool {
        self.ends
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(key)))
            .next_back()
            .is_some_and(|(_, end)| key < &**end)
    }

    /// The ranges, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.ends.iter()
    }

    /// The parts of `begin..end` outside the set and inside it, ascending.
    pub(super) fn split<'a>(&'a self, begin: &'a [u8], end: &'a [u8]) -> Vec<Part<'a>> {
        let first = self
            .ends
            .range::<[u8], _>((Bound::Unbounded, Bound::Included(begin)))
            .next_back()
            .map_or(begin, |(first, _)| &**first);
        let mut parts = Vec::new();
        let mut at = begin;
        for (range_begin, range_end) in self
            .ends
            .range::<[u8], _>((Bound::Included(first), Bound::Excluded(end)))
        {
            let inside = (at.max(&**range_begin), end.min(&**range_end));
            if at < inside.0 {
                parts.push(Part {
                    begin: at,
                    end: inside.0,
                    inside: false,
                });
            }
            if inside.0 < inside.1 {
                parts.push(Part {
                    begin: inside.0,
                    end: inside.1,
                    inside: true,
                });
                at = inside.1;
            }
        }
        if at < end {
            parts.push(Part {
                begin: at,
                end,
                inside: false,
            });
        }
        parts
    }
}

/// One part of a range that was split along a [`RangeSet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) begin: &'a [u8],
    pub(super) end: &'a [u8],
    pub(super) inside: bool,
}

/// Removes the keys of `begin <= key < end` from a map.
pub(super) fn remove_keys<V>(map: &mut BTreeMap<Bytes, V>, begin: &[u8], end: &[u8]) {
    if begin >= end {
        return;
    }
    let keys: Vec<Bytes> = map
        .range::<[u8], _>((Bound::Included(begin), Bound::Excluded(end)))
        .map(|(key, _)| Bytes::clone(key))
        .collect();
    for key in keys {
        map.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(&str, &str)]) -> RangeSet {
        let mut set = RangeSet::default();
        for (begin, end) in ranges {
            set.insert(begin.as_bytes(), end.as_bytes());
        }
        set
    }

    fn text(set: &RangeSet) -> String {
        let show = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        set.iter()
            .map(|(begin, end)| format!("{}-{}", show(begin), show(end)))
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn ranges_that_overlap_or_touch_are_joined() {
        assert_eq!(text(&set(&[("a", "c"), ("e", "g")])), "a-c e-g");
        assert_eq!(text(&set(&[("a", "c"), ("e", "g"), ("c", "e")])), "a-g");
        assert_eq!(text(&set(&[("a", "z"), ("e", "g")])), "a-z");
        assert_eq!(text(&set(&[("e", "g"), ("i", "k"), ("a", "z")])), "a-z");
        assert_eq!(text(&set(&[("b", "d"), ("a", "c")])), "a-d");
    }

    #[test]
    fn a_range_contains_its_begin_and_not_its_end() {
        let set = set(&[("b", "d")]);
        let contained: Vec<bool> = ["a", "b", "c", "d"]
            .iter()
            .map(|key| set.contains(key.as_bytes()))
            .collect();
        assert_eq!(contained, [false, true, true, false]);
    }

    #[test]
    fn a_split_covers_the_range_once_and_in_order() {
        let set = set(&[("b", "d"), ("f", "h")]);
        let shown = |begin: &str, end: &str| {
            set.split(begin.as_bytes(), end.as_bytes())
                .iter()
                .map(|part| {
                    let mark = if part.inside { "x" } else { "." };
                    format!(
                        "{mark}{}{}",
                        String::from_utf8_lossy(part.begin),
                        String::from_utf8_lossy(part.end)
                    )
                })
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(shown("a", "z"), ".ab xbd .df xfh .hz");
        assert_eq!(shown("c", "g"), "xcd .df xfg");
        assert_eq!(shown("d", "f"), ".df");
        assert_eq!(shown("b", "d"), "xbd");
        assert_eq!(shown("h", "z"), ".hz");
    }
}
