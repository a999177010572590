//! The writes of one batch, kept beside the group's transaction until the whole batch has succeeded.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};

use dust_layer::{Direction, Isolation, Limits, RangeRead, Transaction};

use crate::blob::Refs;
use crate::codec::{Head, Leaf};
use crate::error::{Halt, Refusal};
use crate::keyspace::Keyspace;

/// How many pairs of a range are read at once.
pub(crate) const PAGE_PAIRS: usize = 256;

/// What a group writes beside its batches: the head, and the op ids that it forgets.
const GROUP_BYTES_SPARE: usize = 1 << 20;

/// A batch's view of the store: its own writes over those of the batches before it over what is committed.
///
/// Reads are snapshot reads: the head, which every writer of the store reads and writes, settles all conflicts.
#[derive(Debug)]
pub(crate) struct Draft<'t, T> {
    transaction: &'t T,
    keys: &'t Keyspace,
    limits: Limits,
    /// What was set and, as `None`, cleared, since the last mask over it.
    writes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    /// Where nothing of the transaction counts any more, by begin. Ranges of subtrees lie in one another or apart; only
    /// the outer ones are kept.
    masks: BTreeMap<Vec<u8>, Mask>,
    bytes: usize,
    refs: Refs,
    pub(crate) tally: Tally,
    /// Whether any entry of an index is or may be in pieces.
    pub(crate) has_pieces: bool,
}

/// By how much a batch changes what the head counts.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) entries: i64,
    pub(crate) file_bytes: i64,
}

#[derive(Debug)]
struct Mask {
    end: Vec<u8>,
    /// The transaction does or may hold something there, which is to be cleared.
    clear: bool,
}

/// What a batch has done to a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peek<'d> {
    /// It holds this now.
    Written(&'d [u8]),
    /// Nothing is there now.
    Cleared,
    /// Nothing: what was there is there.
    Untouched,
}

/// Where a batch has been in a range.
#[derive(Debug)]
pub(crate) struct Touched {
    /// Everything that was in the range has been cleared.
    pub(crate) is_cleared: bool,
    /// The keys that were written or cleared, and where cleared ranges begin.
    pub(crate) keys: Vec<Vec<u8>>,
}

impl<'t, T: Transaction> Draft<'t, T> {
    pub(crate) fn new(transaction: &'t T, keys: &'t Keyspace, limits: Limits) -> Self {
        Self {
            transaction,
            keys,
            limits,
            writes: BTreeMap::new(),
            masks: BTreeMap::new(),
            bytes: 0,
            refs: Refs::Live,
            tally: Tally::default(),
            has_pieces: false,
        }
    }

    /// A view of the base, in the place of the leaves.
    pub(crate) fn on_base(transaction: &'t T, base: &'t Keyspace, limits: Limits) -> Self {
        Self {
            refs: Refs::Kept,
            ..Self::new(transaction, base, limits)
        }
    }

    /// As what its leaves refer to files.
    pub(crate) fn refs(&self) -> Refs {
        self.refs
    }

    pub(crate) fn keys(&self) -> &'t Keyspace {
        self.keys
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// What the batches before have made of the store.
    pub(crate) fn transaction(&self) -> &'t T {
        self.transaction
    }

    /// The bytes that [`flush`](Draft::flush) will write.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn is_masked(&self, key: &[u8]) -> bool {
        self.masks
            .range::<[u8], _>(up_to(key))
            .next_back()
            .is_some_and(|(_, mask)| *key < *mask.end)
    }

    /// What the batch itself has done to a key.
    pub(crate) fn peek(&self, key: &[u8]) -> Peek<'_> {
        match self.writes.get(key) {
            Some(Some(value)) => Peek::Written(value),
            Some(None) => Peek::Cleared,
            None if self.is_masked(key) => Peek::Cleared,
            None => Peek::Untouched,
        }
    }

    /// Whether the batch itself has put anything into the range that is still there.
    pub(crate) fn writes_any(&self, range: &Range<Vec<u8>>) -> bool {
        self.writes.range(range.clone()).any(|(_, write)| write.is_some())
    }

    /// Where the batch has been in the range of a subtree.
    pub(crate) fn touched(&self, range: &Range<Vec<u8>>) -> Touched {
        let outer = self.masks.range::<[u8], _>(up_to(&range.start)).next_back();
        let written = self.writes.range(range.clone()).map(|(key, _)| key);
        let masked = self.masks.range(range.clone()).map(|(begin, _)| begin);
        Touched {
            is_cleared: outer.is_some_and(|(_, mask)| mask.clear && mask.end >= range.end),
            keys: written.chain(masked).cloned().collect(),
        }
    }

    /// Reads one key.
    pub(crate) async fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Halt> {
        if let Some(written) = self.writes.get(key) {
            return Ok(written.clone());
        }
        if self.is_masked(key) {
            return Ok(None);
        }
        Ok(self.transaction.get(key, Isolation::Snapshot).await?)
    }

    /// Whether anything is in the range.
    pub(crate) async fn any(&self, range: &Range<Vec<u8>>) -> Result<bool, Halt> {
        let mut hidden = false;
        for (_, write) in self.writes.range(range.clone()) {
            if write.is_some() {
                return Ok(true);
            }
            hidden = true;
        }
        let before = self.masks.range::<[u8], _>(up_to(&range.start)).next_back();
        if before.is_some_and(|(_, mask)| mask.end >= range.end) {
            return Ok(false);
        }
        hidden |= self.masks.range(range.clone()).next().is_some();
        if !hidden {
            let page = self.transaction.get_range(read(&range.start, &range.end, 1)).await?;
            return Ok(!page.is_empty());
        }
        let mut found = false;
        self.scan_transaction(range, |_, _| {
            found = true;
            Ok(false)
        })
        .await?;
        Ok(found)
    }

    /// Passes what of the transaction still counts in a range to `visit`, in order, until it says false.
    async fn scan_transaction(
        &self,
        range: &Range<Vec<u8>>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<bool, Refusal>,
    ) -> Result<(), Halt> {
        let mut begin = range.start.clone();
        loop {
            let page = self.transaction.get_range(read(&begin, &range.end, PAGE_PAIRS)).await?;
            for (key, value) in &page {
                let counts = !self.writes.contains_key(key) && !self.is_masked(key);
                if counts && !visit(key, value)? {
                    return Ok(());
                }
            }
            match page.last_key() {
                Some(last) if page.more() => begin = successor(last),
                _ => return Ok(()),
            }
        }
    }

    /// The path and revision of each leaf in a range, ascending by path.
    pub(crate) async fn revisions(&self, range: &Range<Vec<u8>>) -> Result<BTreeMap<String, u64>, Halt> {
        let mut revisions = BTreeMap::new();
        self.each_leaf(range, |path, leaf| {
            revisions.insert(path.to_owned(), leaf.revision);
        })
        .await?;
        Ok(revisions)
    }

    /// Passes each key in a range to `visit`, in no order, until it says false.
    pub(crate) async fn each_key(
        &self,
        range: &Range<Vec<u8>>,
        mut visit: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), Halt> {
        for (key, write) in self.writes.range(range.clone()) {
            if write.is_some() && !visit(key) {
                return Ok(());
            }
        }
        self.scan_transaction(range, |key, _| Ok(visit(key))).await
    }

    /// Passes each leaf in a range to `visit`, in no order.
    pub(crate) async fn each_leaf(
        &self,
        range: &Range<Vec<u8>>,
        mut visit: impl FnMut(&str, Leaf<'_>),
    ) -> Result<(), Halt> {
        let keys = self.keys;
        let mut take = |key: &[u8], value: &[u8]| {
            let path = keys.path_of(key).ok_or_else(Refusal::foreign_key)?;
            visit(path, Leaf::decode(value).map_err(Refusal::leaf)?);
            Ok::<_, Refusal>(true)
        };
        for (key, write) in self.writes.range(range.clone()) {
            if let Some(value) = write {
                take(key, value)?;
            }
        }
        self.scan_transaction(range, take).await
    }

    /// Sets a key.
    pub(crate) fn set(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Refusal> {
        if key.len() > self.limits.key_bytes_max {
            return Err(Refusal::too_large(
                "a path, device or op id",
                key.len(),
                self.limits.key_bytes_max,
            ));
        }
        if value.len() > self.limits.value_bytes_max {
            return Err(Refusal::too_large("a value", value.len(), self.limits.value_bytes_max));
        }
        self.bytes += key.len() + value.len();
        let bytes_max = self.limits.transaction_bytes_max.saturating_sub(GROUP_BYTES_SPARE);
        if self.bytes > bytes_max {
            return Err(Refusal::too_large("a batch", self.bytes, bytes_max));
        }
        self.writes.insert(key, Some(value));
        Ok(())
    }

    /// Clears a key.
    pub(crate) fn clear(&mut self, key: Vec<u8>) {
        self.bytes += key.len();
        self.writes.insert(key, None);
    }

    /// Clears the range of a subtree.
    pub(crate) fn clear_range(&mut self, range: Range<Vec<u8>>) {
        self.bytes += range.start.len() + range.end.len();
        let gone: Vec<_> = self.writes.range(range.clone()).map(|(key, _)| key.clone()).collect();
        for key in gone {
            self.writes.remove(&key);
        }
        self.mask(range, true);
    }

    /// Notes that the range of a subtree has been read and is empty, so that it need not be read again.
    pub(crate) fn note_empty(&mut self, range: Range<Vec<u8>>) {
        if self.writes.range(range.clone()).next().is_none() {
            self.mask(range, false);
        }
    }

    fn mask(&mut self, range: Range<Vec<u8>>, mut clear: bool) {
        if let Some((_, outer)) = self.masks.range::<[u8], _>(up_to(&range.start)).next_back()
            && outer.end >= range.end
        {
            // Whatever lies in an outer mask is cleared with it, or has been found absent.
            return;
        }
        let inner: Vec<_> = self
            .masks
            .range(range.clone())
            .map(|(begin, _)| begin.clone())
            .collect();
        for begin in inner {
            clear |= self.masks.remove(&begin).is_some_and(|mask| mask.clear);
        }
        self.masks.insert(range.start, Mask { end: range.end, clear });
    }

    /// Hands the writes to the transaction, and tells what they change of the counts.
    pub(crate) fn flush(self) -> Tally {
        for (begin, mask) in &self.masks {
            if mask.clear {
                self.transaction.clear_range(begin, &mask.end);
            }
        }
        for (key, write) in &self.writes {
            match write {
                Some(value) => self.transaction.set(key, value),
                None => self.transaction.clear(key),
            }
        }
        self.tally
    }
}

impl Tally {
    /// Counts it in. What is stored was counted when it was, so nothing goes below zero.
    pub(crate) fn count_in(self, head: &mut Head) {
        head.entries = head.entries.saturating_add_signed(self.entries);
        head.file_bytes = head.file_bytes.saturating_add_signed(self.file_bytes);
    }
}

/// The bounds of what is not after the key.
fn up_to(key: &[u8]) -> (Bound<&[u8]>, Bound<&[u8]>) {
    (Bound::Unbounded, Bound::Included(key))
}

/// A forward snapshot read.
pub(crate) fn read<'k>(begin: &'k [u8], end: &'k [u8], limit: usize) -> RangeRead<'k> {
    RangeRead {
        begin,
        end,
        limit,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    }
}

/// The first key after this one.
pub(crate) fn successor(key: &[u8]) -> Vec<u8> {
    let mut next = Vec::with_capacity(key.len() + 1);
    next.extend_from_slice(key);
    next.push(0);
    next
}
