//! The writes of a transaction as they travel to the committer.

use super::storage::{Batch, Bytes, Entry, Snapshot};
use super::{Atomic, Pairs};
use crate::error::Error;

/// Length of the stamp that a commit assigns.
pub(super) const STAMP_BYTES: usize = 10;
const OFFSET_BYTES: usize = 4;

/// One write, in the order of the transaction.
#[derive(Debug)]
pub(super) enum Mutation {
    Set(Bytes, Bytes),
    Clear(Bytes),
    ClearRange(Bytes, Bytes),
    Atomic(Atomic, Bytes, Bytes),
    StampedKey(Template, Bytes),
    StampedValue(Bytes, Template),
}

/// Bytes with ten placeholder bytes at an offset.
#[derive(Debug)]
pub(super) struct Template {
    bytes: Vec<u8>,
    offset: usize,
}

impl Template {
    /// Splits the four offset bytes off the end and checks that the placeholder lies within the rest.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let (bytes, offset) = bytes
            .split_last_chunk::<OFFSET_BYTES>()
            .ok_or(Error::InvalidOperation("versionstamp offset is missing"))?;
        let offset = usize::try_from(u32::from_le_bytes(*offset))
            .map_err(|_| Error::InvalidOperation("versionstamp offset is out of range"))?;
        let fits = offset.checked_add(STAMP_BYTES).is_some_and(|end| end <= bytes.len());
        if !fits {
            return Err(Error::InvalidOperation("versionstamp offset is out of range"));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            offset,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    #[cfg(feature = "foundationdb")]
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    pub(super) fn fill(&self, stamp: &[u8; STAMP_BYTES]) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        if let Some(placeholder) = bytes.get_mut(self.offset..self.offset + STAMP_BYTES) {
            placeholder.copy_from_slice(stamp);
        }
        bytes
    }

    /// The range of every key that a commit after `version` can make of the template.
    pub(super) fn range_after(&self, version: u64) -> (Vec<u8>, Vec<u8>) {
        let begin = self.fill(&stamp(version.saturating_add(1), 0));
        let mut end = self.fill(&[0xff; STAMP_BYTES]);
        end.push(0);
        (begin, end)
    }
}

/// The ten bytes of a commit: its version, then its order in the group, big-endian.
pub(super) fn stamp(version: u64, order: u16) -> [u8; STAMP_BYTES] {
    let mut stamp = [0; STAMP_BYTES];
    let (high, low) = stamp.split_at_mut(size_of::<u64>());
    high.copy_from_slice(&version.to_be_bytes());
    low.copy_from_slice(&order.to_be_bytes());
    stamp
}

impl Atomic {
    /// The value that the operation makes of `current`.
    pub(super) fn apply(self, current: Option<&[u8]>, operand: &[u8]) -> Vec<u8> {
        let Some(current) = current else {
            return operand.to_vec();
        };
        let digits = current.iter().copied().chain(std::iter::repeat(0)).take(operand.len());
        match self {
            Self::Add => {
                let mut carry = 0_u16;
                digits
                    .zip(operand)
                    .map(|(left, right)| {
                        let [low, high] = (u16::from(left) + u16::from(*right) + carry).to_le_bytes();
                        carry = u16::from(high);
                        low
                    })
                    .collect()
            }
            Self::Max => {
                let current: Vec<u8> = digits.collect();
                if current.iter().rev().ge(operand.iter().rev()) {
                    current
                } else {
                    operand.to_vec()
                }
            }
        }
    }
}

/// Applies a transaction's writes to the group's batch, in their order.
pub(super) fn apply(
    mutations: &[Mutation],
    stamp: &[u8; STAMP_BYTES],
    batch: &mut Batch,
    snapshot: &dyn Snapshot,
    written: &mut dyn FnMut(Written<'_>),
) -> Result<(), Error> {
    for mutation in mutations {
        match mutation {
            Mutation::Set(key, value) => {
                written(Written::Key(key));
                batch.put(Bytes::clone(key), Some(Bytes::clone(value)));
            }
            Mutation::Clear(key) => {
                written(Written::Key(key));
                batch.put(Bytes::clone(key), None);
            }
            Mutation::ClearRange(begin, end) => {
                written(Written::Range(begin, end));
                batch.clear_range(begin, end);
            }
            Mutation::Atomic(atomic, key, operand) => {
                written(Written::Key(key));
                let value = match batch.get(key) {
                    Entry::Set(current) => atomic.apply(Some(current), operand),
                    Entry::Cleared => atomic.apply(None, operand),
                    Entry::Untouched => atomic.apply(snapshot.get(key)?.as_deref(), operand),
                };
                batch.put(Bytes::clone(key), Some(value.into()));
            }
            Mutation::StampedKey(template, value) => {
                let key = Bytes::from(template.fill(stamp));
                written(Written::Key(&key));
                batch.put(key, Some(Bytes::clone(value)));
            }
            Mutation::StampedValue(key, template) => {
                written(Written::Key(key));
                batch.put(Bytes::clone(key), Some(template.fill(stamp).into()));
            }
        }
    }
    Ok(())
}

/// What a mutation wrote, for the conflict window.
#[derive(Debug, Clone, Copy)]
pub(super) enum Written<'a> {
    Key(&'a Bytes),
    Range(&'a [u8], &'a [u8]),
}

/// Ranges and single keys, packed into one buffer so that a read costs no allocation of its own.
#[derive(Debug, Default)]
pub(super) struct Conflicts {
    /// The begin and the end of each range; an empty end says that the begin is a single key.
    pairs: Pairs,
}

impl Conflicts {
    pub(super) fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    pub(super) fn push_key(&mut self, key: &[u8]) {
        if self.pairs.last_key() != Some(key) {
            self.pairs.push(key, &[]);
        }
    }

    pub(super) fn push_range(&mut self, begin: &[u8], end: &[u8]) {
        if begin < end {
            self.pairs.push(begin, end);
        }
    }

    /// Each range as begin and end; a single key has no end.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.pairs
            .iter()
            .map(|(begin, end)| (begin, (!end.is_empty()).then_some(end)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addition_is_little_endian_in_the_length_of_the_operand() {
        let add = |current: Option<&[u8]>, operand: &[u8]| Atomic::Add.apply(current, operand);
        assert_eq!(add(None, &[1, 2]), [1, 2]);
        assert_eq!(add(Some(&[0xff]), &[1, 0]), [0, 1]);
        assert_eq!(add(Some(&[0xff, 0xff]), &[1, 0]), [0, 0]);
        assert_eq!(add(Some(&[5, 6, 7]), &[1]), [6]);
        assert_eq!(add(Some(&[5]), &[]), [0_u8; 0]);
        assert_eq!(
            add(Some(&10_u64.to_le_bytes()), &(-3_i64).to_le_bytes()),
            7_u64.to_le_bytes()
        );
    }

    #[test]
    fn maximum_compares_as_unsigned_little_endian() {
        let max = |current: Option<&[u8]>, operand: &[u8]| Atomic::Max.apply(current, operand);
        assert_eq!(max(None, &[1]), [1]);
        assert_eq!(max(Some(&[0, 1]), &[0xff, 0]), [0, 1]);
        assert_eq!(max(Some(&[2]), &[1, 0]), [2, 0]);
        assert_eq!(max(Some(&[1, 9]), &[2]), [2]);
    }

    #[test]
    fn a_placeholder_must_lie_within_the_bytes() {
        let template = |length: usize, offset: u32| {
            let mut bytes = vec![0; length];
            bytes.extend_from_slice(&offset.to_le_bytes());
            Template::parse(&bytes)
        };
        assert!(template(10, 0).is_ok());
        assert!(template(12, 2).is_ok());
        assert!(matches!(template(10, 1), Err(Error::InvalidOperation(_))));
        assert!(matches!(template(10, u32::MAX), Err(Error::InvalidOperation(_))));
        assert!(matches!(Template::parse(&[0; 3]), Err(Error::InvalidOperation(_))));
    }
}
