//! Access to the pairs of a range read.

use super::Pairs;

impl Pairs {
    /// Makes an empty page with room for `pairs` pairs of `bytes` bytes in all.
    ///
    /// ```
    /// let mut page = dust_layer::Pairs::with_capacity(2, 16);
    /// page.push(b"a", b"1");
    /// page.push(b"b", b"2");
    /// assert_eq!(page.len(), 2);
    /// assert_eq!(page.iter().next(), Some((&b"a"[..], &b"1"[..])));
    /// assert_eq!(page.last_key(), Some(&b"b"[..]));
    /// assert!(!page.more());
    /// ```
    #[must_use]
    pub fn with_capacity(pairs: usize, bytes: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(bytes),
            ends: Vec::with_capacity(pairs),
            more: false,
        }
    }

    /// Appends a pair.
    ///
    /// ```
    /// let mut pairs = dust_layer::Pairs::with_capacity(1, 8);
    /// pairs.push(b"key", b"value");
    /// assert_eq!(pairs.get(0), Some((&b"key"[..], &b"value"[..])));
    /// assert_eq!(pairs.last_key(), Some(&b"key"[..]));
    /// assert_eq!(pairs.len(), 1);
    /// ```
    pub fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    /// The number of pairs.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// How many bytes the keys and values have together.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is no pair.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Whether the limit cut the range: keys of it may follow the last one here.
    ///
    /// `false` is exact; `true` is what the read's version showed, and does not become a read conflict.
    #[must_use]
    pub fn more(&self) -> bool {
        self.more
    }

    /// Says whether the limit cut the range. For implementations of [`Transaction`](super::Transaction).
    pub fn set_more(&mut self, more: bool) {
        self.more = more;
    }

    /// The pair at `index`, in the order of the read.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<(&[u8], &[u8])> {
        let begin = match index.checked_sub(1) {
            Some(previous) => self.ends.get(previous)?.1,
            None => 0,
        };
        let (key_end, end) = *self.ends.get(index)?;
        Some((self.bytes.get(begin..key_end)?, self.bytes.get(key_end..end)?))
    }

    /// The last key of the page; a next page continues after it.
    #[must_use]
    pub fn last_key(&self) -> Option<&[u8]> {
        Some(self.get(self.len().checked_sub(1)?)?.0)
    }

    /// The pairs in the order of the read.
    #[must_use]
    pub fn iter(&self) -> PairsIter<'_> {
        PairsIter { pairs: self, next: 0 }
    }
}

/// The iterator of [`Pairs::iter`].
#[derive(Debug, Clone)]
pub struct PairsIter<'a> {
    pairs: &'a Pairs,
    next: usize,
}

impl<'a> Iterator for PairsIter<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pairs.get(self.next)?;
        self.next += 1;
        Some(pair)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.pairs.len().saturating_sub(self.next);
        (left, Some(left))
    }
}

impl ExactSizeIterator for PairsIter<'_> {}

impl<'a> IntoIterator for &'a Pairs {
    type Item = (&'a [u8], &'a [u8]);
    type IntoIter = PairsIter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
