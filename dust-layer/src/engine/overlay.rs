//! What a transaction has written so far, merged into what it reads.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::ops::{Bound, ControlFlow};

use super::mutation::Template;
use super::range_set::{Part, RangeSet, remove_keys};
use super::storage::{Bytes, Snapshot};
use super::{Atomic, Direction, Pairs, RangeRead};
use crate::error::Error;

/// The last word of a transaction on one key.
#[derive(Debug)]
enum Slot {
    Set(Bytes),
    Cleared,
    /// Operations on a value that only the snapshot knows.
    Atomics(Vec<(Atomic, Bytes)>),
    /// The value holds a stamp that only the commit assigns.
    Unreadable,
}

impl Slot {
    fn value(&self, below: Option<&[u8]>) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Set(value) => Ok(Some(value.to_vec())),
            Self::Cleared => Ok(None),
            Self::Atomics(atomics) => Ok(fold(atomics, below)),
            Self::Unreadable => Err(Error::AccessedUnreadable),
        }
    }
}

fn fold(atomics: &[(Atomic, Bytes)], below: Option<&[u8]>) -> Option<Vec<u8>> {
    let mut atomics = atomics.iter();
    let (atomic, operand) = atomics.next()?;
    let first = atomic.apply(below, operand);
    Some(atomics.fold(first, |value, (atomic, operand)| atomic.apply(Some(&value), operand)))
}

/// Whether a read of one key needs the snapshot.
#[derive(Debug)]
pub(super) enum Own<'a> {
    /// The transaction's own writes decide the value.
    Known(Option<&'a Bytes>),
    /// The value is the snapshot's.
    Below,
    /// The value is the snapshot's with these operations on it.
    Onto(OwnAtomics<'a>),
}

/// Operations of the transaction on a value of the snapshot.
#[derive(Debug)]
pub(super) struct OwnAtomics<'a>(&'a [(Atomic, Bytes)]);

impl OwnAtomics<'_> {
    pub(super) fn apply(&self, below: Option<&[u8]>) -> Option<Vec<u8>> {
        fold(self.0, below)
    }
}

/// The read-your-writes buffer of one transaction.
#[derive(Debug, Default)]
pub(super) struct Overlay {
    slots: BTreeMap<Bytes, Slot>,
    /// Ranges that were cleared; the slots in them are newer.
    cleared: RangeSet,
    /// Ranges that a versionstamped key may fall into.
    unreadable: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.cleared.is_empty() && self.unreadable.is_empty()
    }

    pub(super) fn set(&mut self, key: Bytes, value: Bytes) {
        self.slots.insert(key, Slot::Set(value));
    }

    pub(super) fn clear(&mut self, key: Bytes) {
        self.slots.insert(key, Slot::Cleared);
    }

    pub(super) fn clear_range(&mut self, begin: &[u8], end: &[u8]) {
        remove_keys(&mut self.slots, begin, end);
        self.cleared.insert(begin, end);
    }

    pub(super) fn atomic(&mut self, atomic: Atomic, key: Bytes, operand: Bytes) {
        match self.slots.get_mut(&key) {
            Some(slot @ Slot::Set(_)) => {
                if let Slot::Set(value) = slot {
                    *slot = Slot::Set(atomic.apply(Some(value), &operand).into());
                }
            }
            Some(slot @ Slot::Cleared) => *slot = Slot::Set(operand),
            Some(Slot::Atomics(atomics)) => atomics.push((atomic, operand)),
            Some(Slot::Unreadable) => {}
            None if self.cleared.contains(&key) => self.set(key, operand),
            None => {
                self.slots.insert(key, Slot::Atomics(vec![(atomic, operand)]));
            }
        }
    }

    pub(super) fn stamped_value(&mut self, key: Bytes) {
        self.slots.insert(key, Slot::Unreadable);
    }

    pub(super) fn stamped_key(&mut self, template: &Template, read_version: u64) {
        self.unreadable.push(template.range_after(read_version));
    }

    fn touches_unreadable(&self, begin: &[u8], end: &[u8]) -> bool {
        self.unreadable
            .iter()
            .any(|(first, last)| begin < &**last && &**first < end)
    }

    /// What the transaction itself knows about `key`.
    pub(super) fn own(&self, key: &[u8]) -> Result<Own<'_>, Error> {
        if self
            .unreadable
            .iter()
            .any(|(begin, end)| &**begin <= key && key < &**end)
        {
            return Err(Error::AccessedUnreadable);
        }
        match self.slots.get(key) {
            Some(Slot::Set(value)) => Ok(Own::Known(Some(value))),
            Some(Slot::Cleared) => Ok(Own::Known(None)),
            Some(Slot::Atomics(atomics)) => Ok(Own::Onto(OwnAtomics(atomics))),
            Some(Slot::Unreadable) => Err(Error::AccessedUnreadable),
            None if self.cleared.contains(key) => Ok(Own::Known(None)),
            None => Ok(Own::Below),
        }
    }

    /// Reads a range of the snapshot with the transaction's own writes in it. `begin < end` and `limit > 0` hold.
    pub(super) fn range(&self, read: &RangeRead<'_>, snapshot: &dyn Snapshot) -> Result<Pairs, Error> {
        let mut page = Page {
            pairs: Pairs::default(),
            limit: read.limit,
        };
        if self.is_empty() {
            snapshot.scan(read.begin, read.end, read.direction, &mut |key, value| {
                page.push(key, value)
            })?;
            return Ok(page.pairs);
        }
        let mut parts = self.cleared.split(read.begin, read.end);
        if read.direction == Direction::Reverse {
            parts.reverse();
        }
        for part in parts {
            if self.part(part, read.direction, snapshot, &mut page)?.is_break() {
                break;
            }
        }
        let (begin, end) = part_read(read, &page.pairs);
        if self.touches_unreadable(begin, &end) {
            return Err(Error::AccessedUnreadable);
        }
        Ok(page.pairs)
    }

    fn part(
        &self,
        part: Part<'_>,
        direction: Direction,
        snapshot: &dyn Snapshot,
        page: &mut Page,
    ) -> Result<ControlFlow<()>, Error> {
        let slots = self
            .slots
            .range::<[u8], _>((Bound::Included(part.begin), Bound::Excluded(part.end)));
        match direction {
            Direction::Forward => merge(slots.peekable(), part, direction, snapshot, page),
            Direction::Reverse => merge(slots.rev().peekable(), part, direction, snapshot, page),
        }
    }
}

/// The part of a range that a page covers: up to its last key if the limit cut it, else all.
pub(super) fn part_read<'a>(read: &RangeRead<'a>, pairs: &'a Pairs) -> (&'a [u8], Vec<u8>) {
    match (pairs.more(), pairs.last_key(), read.direction) {
        (true, Some(last), Direction::Forward) => {
            let mut end = last.to_vec();
            end.push(0);
            (read.begin, end)
        }
        (true, Some(last), Direction::Reverse) => (last, read.end.to_vec()),
        _ => (read.begin, read.end.to_vec()),
    }
}

/// What a page has room for before it grows: the leaves of a record, which is what most reads are after.
const PAIRS_EXPECTED: usize = 8;
const PAIR_BYTES_EXPECTED: usize = 128;

/// The page under way. One pair beyond the limit is looked at, so that `more` is exact.
struct Page {
    pairs: Pairs,
    limit: usize,
}

impl Page {
    fn push(&mut self, key: &[u8], value: &[u8]) -> ControlFlow<()> {
        if self.pairs.len() == self.limit {
            self.pairs.set_more(true);
            return ControlFlow::Break(());
        }
        if self.pairs.is_empty() {
            let pairs = self.limit.min(PAIRS_EXPECTED);
            self.pairs = Pairs::with_capacity(pairs, pairs * PAIR_BYTES_EXPECTED);
        }
        self.pairs.push(key, value);
        ControlFlow::Continue(())
    }

    fn push_own(&mut self, key: &[u8], slot: &Slot, below: Option<&[u8]>) -> Result<ControlFlow<()>, Error> {
        if matches!(slot, Slot::Unreadable) && self.pairs.len() == self.limit {
            // Beyond the limit the value does not matter, only that the key is there.
            return Ok(self.push(key, &[]));
        }
        Ok(match slot.value(below)? {
            Some(value) => self.push(key, &value),
            None => ControlFlow::Continue(()),
        })
    }
}

fn merge<'a>(
    mut slots: Peekable<impl Iterator<Item = (&'a Bytes, &'a Slot)>>,
    part: Part<'_>,
    direction: Direction,
    snapshot: &dyn Snapshot,
    page: &mut Page,
) -> Result<ControlFlow<()>, Error> {
    let mut flow = ControlFlow::Continue(());
    if !part.inside {
        let mut failed = None;
        snapshot.scan(part.begin, part.end, direction, &mut |key, value| {
            match merge_one(&mut slots, direction, page, key, value) {
                Ok(next) => flow = next,
                Err(error) => {
                    failed = Some(error);
                    flow = ControlFlow::Break(());
                }
            }
            flow
        })?;
        if let Some(error) = failed {
            return Err(error);
        }
    }
    for (key, slot) in slots {
        if flow.is_break() {
            break;
        }
        flow = page.push_own(key, slot, None)?;
    }
    Ok(flow)
}

/// Takes one pair of the snapshot and the own writes that come before it or replace it.
fn merge_one<'a>(
    slots: &mut Peekable<impl Iterator<Item = (&'a Bytes, &'a Slot)>>,
    direction: Direction,
    page: &mut Page,
    key: &[u8],
    value: &[u8],
) -> Result<ControlFlow<()>, Error> {
    let before = |own: &[u8]| match direction {
        Direction::Forward => own < key,
        Direction::Reverse => own > key,
    };
    while let Some((own, slot)) = slots.next_if(|(own, _)| before(own)) {
        if page.push_own(own, slot, None)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    match slots.next_if(|(own, _)| &***own == key) {
        Some((_, slot)) => page.push_own(key, slot, Some(value)),
        None => Ok(page.push(key, value)),
    }
}
