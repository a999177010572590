//! Reads of entries together with what they lead to.

use futures_util::future::try_join_all;

use super::{Isolation, Pairs, RangeRead, Transaction};
use crate::error::Error;
use crate::tuple::element_end;

/// How the keys of a range of entries lead to other keys.
///
/// An entry's key is `base`, then elements of a tuple, of which the first `skip` are what it is found by, and the `take` after
/// them are what the key that it leads to ends with, after `target`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::tuple::{pack, range};
/// use dust_layer::{Direction, Engine, Isolation, Mapper, Memory, RangeRead, Transaction};
///
/// let memory = Memory::new();
/// let tx = memory.begin();
/// tx.set(&pack(&("row", 7)), b"Ada, 36");
/// tx.set(&pack(&("by age", 36, 7)), b"");
/// let (base, target) = (pack(&("by age",)), pack(&("row",)));
/// let (begin, end) = range(&("by age",));
/// let isolation = Isolation::Serializable;
/// let read = RangeRead { begin: &begin, end: &end, limit: 10, direction: Direction::Forward, isolation };
/// let found = tx.get_mapped_range(read, Mapper { base: &base, skip: 1, take: 1, target: &target }).await?;
/// assert_eq!(found.pairs().len(), 1);
/// assert_eq!(found.value(0), Some(&b"Ada, 36"[..]));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mapper<'a> {
    /// What the key of every entry of the range begins with, in whole elements.
    pub base: &'a [u8],
    /// How many elements follow it that are not part of the other key.
    pub skip: usize,
    /// How many elements after those are. They are the entry's last.
    pub take: usize,
    /// What the other keys begin with, in whole elements.
    pub target: &'a [u8],
}

impl Mapper<'_> {
    /// The key that an entry leads to; `None` if it is the key of no entry.
    #[must_use]
    pub fn target_of(&self, entry: &[u8]) -> Option<Vec<u8>> {
        let mut rest = entry.strip_prefix(self.base)?;
        for _ in 0..self.skip {
            rest = rest.get(element_end(rest)?..)?;
        }
        let mut left = rest;
        for _ in 0..self.take {
            left = left.get(element_end(left)?..)?;
        }
        left.is_empty().then(|| [self.target, rest].concat())
    }
}

/// The entries of a mapped range read, each with what it leads to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MappedPairs {
    pairs: Pairs,
    values: Vec<Option<Vec<u8>>>,
}

impl MappedPairs {
    /// Makes a page of the entries and of as many values, in the same order.
    #[must_use]
    pub fn new(pairs: Pairs, values: Vec<Option<Vec<u8>>>) -> Self {
        Self { pairs, values }
    }

    /// The entries, in the order of the read.
    #[must_use]
    pub fn pairs(&self) -> &Pairs {
        &self.pairs
    }

    /// The value that the entry at `index` leads to; `None` if there is none.
    #[must_use]
    pub fn value(&self, index: usize) -> Option<&[u8]> {
        self.values.get(index)?.as_deref()
    }

    /// The key of each entry with the value that it leads to.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> + Clone {
        let keys = self.pairs.iter().map(|(key, _)| key);
        keys.zip(self.values.iter().map(Option::as_deref))
    }
}

/// Reads the range, and then all that it leads to at once.
pub(super) async fn by_gets<T: Transaction>(
    transaction: &T,
    read: RangeRead<'_>,
    mapper: Mapper<'_>,
) -> Result<MappedPairs, Error> {
    let pairs = transaction.get_range(read).await?;
    let values = values_of(transaction, &pairs, mapper, read.isolation).await?;
    Ok(MappedPairs::new(pairs, values))
}

async fn values_of<T: Transaction>(
    transaction: &T,
    pairs: &Pairs,
    mapper: Mapper<'_>,
    isolation: Isolation,
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    let targets = pairs.iter().map(|(key, _)| mapper.target_of(key));
    let targets: Option<Vec<_>> = targets.collect();
    let targets = targets.ok_or(Error::InvalidOperation("key of a mapped range is none of an entry"))?;
    try_join_all(targets.iter().map(|target| transaction.get(target, isolation))).await
}
