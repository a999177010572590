//! How much is read at once: about so many bytes, since a value may be large and a store long.

use std::ops::RangeInclusive;

use dust_layer::Pairs;

use crate::draft::successor;

/// The fewest and the most items of a page; in between, as many as come to about [`BYTES`].
const ITEMS: RangeInclusive<usize> = 4..=1024;

/// How many bytes are read at once, roughly.
const BYTES: usize = 1 << 20;

/// How many items the first page has, when nothing is known of their size: few, as each may be large.
pub(crate) const FIRST_ITEMS: usize = *ITEMS.start();

/// How many items the next page should have, after one of so many items and bytes.
pub(crate) fn fitting(items: usize, bytes: usize) -> usize {
    (BYTES * items / bytes.max(1)).clamp(*ITEMS.start(), *ITEMS.end())
}

/// Where the page after this one begins, if there is one, and how many pairs it should have.
pub(crate) fn after(page: &Pairs) -> (Option<Vec<u8>>, usize) {
    let bytes = page.iter().map(|(key, value)| key.len() + value.len()).sum();
    let begin = page.last_key().filter(|_| page.more()).map(successor);
    (begin, fitting(page.len(), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_to_about_their_bytes_within_bounds() {
        assert_eq!(fitting(64, 64 * 8_000_000), FIRST_ITEMS);
        assert_eq!(fitting(4, 4 * 10_000), 104);
        assert_eq!(fitting(10, 0), 1024);
    }
}
