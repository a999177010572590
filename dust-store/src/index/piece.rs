//! Entries whose records are longer than one value: in pieces at the keys that follow the entry's own.
//!
//! ```text
//! the key of the entry                    the record, or the header of its pieces
//! the same, and a number as an element    a piece
//! ```
//!
//! No key of another entry lies between them, since a slug holds no NUL. The first byte of a value tells what it is
//! ([`Covered`](crate::codec::Covered), [`Split`], [`Piece`]), so that a range can be read from both ends. A store whose
//! entries have never been longer pays nothing for it: that any are in pieces is said with the definitions.

use std::ops::Range;

use dust_layer::tuple::pack_into;
use dust_layer::{Direction, Error as LayerError, Isolation, Pairs, RangeRead, Transaction};
use dust_transport::error::Error;

use crate::blob::CHUNK_BYTES;
use crate::codec::{Piece, Split};
use crate::draft::{Draft, PAGE_PAIRS, read, successor};
use crate::error::{Halt, Refusal, corrupt};

/// The most bytes of an entry that is one value; fewer if the engine takes fewer.
const WHOLE_BYTES_MAX: usize = CHUNK_BYTES;

/// What the value of a piece has before its part of the record, at most.
const PIECE_HEAD_BYTES: usize = 11;

/// By how much the key of a piece is longer than that of its entry, at most.
const PIECE_KEY_BYTES: usize = 9;

/// The end of the keys of an entry: after its pieces and before any other entry.
pub(super) fn end_of(key: &[u8]) -> Vec<u8> {
    [key, &[0xFF]].concat()
}

fn piece_key(key: &[u8], number: u64) -> Vec<u8> {
    let mut piece = key.to_vec();
    pack_into(&(number,), &mut piece);
    piece
}

/// The key of the entry that a pair belongs to; a piece that belongs to none is one by itself.
fn entry_key<'k>(key: &'k [u8], value: &[u8]) -> &'k [u8] {
    if value.first() != Some(&Piece::TAG) {
        return key;
    }
    let suffix = Piece::decode(value).map(|piece| piece_key(&[], piece.number));
    suffix
        .ok()
        .and_then(|suffix| key.strip_suffix(&suffix[..]))
        .unwrap_or(key)
}

fn damaged() -> Error {
    corrupt("the pieces of an index entry do not fit together")
}

/// The pieces of a record, put together in their order.
struct Joined {
    split: Split,
    count: u64,
    record: Vec<u8>,
}

impl Joined {
    /// What begins with this value, if it is a header.
    fn new(header: &[u8]) -> Result<Option<Self>, Error> {
        if header.first() != Some(&Split::TAG) {
            return Ok(None);
        }
        let split = Split::decode(header).map_err(|error| damaged().with_source(error))?;
        Ok(Some(Self {
            split,
            count: 0,
            record: Vec::new(),
        }))
    }

    fn push(&mut self, value: &[u8]) -> Result<(), Error> {
        let piece = Piece::decode(value).map_err(|error| damaged().with_source(error))?;
        if piece.number != self.count {
            return Err(damaged());
        }
        self.record.extend_from_slice(piece.part);
        self.count += 1;
        Ok(())
    }

    fn end(self) -> Result<Vec<u8>, Error> {
        let Split { pieces, bytes, crc32 } = self.split;
        let is_whole = self.count == pieces && self.record.len() as u64 == bytes;
        if is_whole && crc32fast::hash(&self.record) == crc32 {
            Ok(self.record)
        } else {
            Err(damaged())
        }
    }
}

/// The record of an entry, from all its pairs in order.
fn join<'p>(key: &[u8], mut pairs: impl Iterator<Item = (&'p [u8], &'p [u8])>) -> Result<Vec<u8>, Error> {
    let (_, first) = pairs.next().filter(|(first, _)| *first == key).ok_or_else(damaged)?;
    let Some(mut joined) = Joined::new(first)? else {
        let is_whole = first.first() != Some(&Piece::TAG) && pairs.next().is_none();
        return if is_whole { Ok(first.to_vec()) } else { Err(damaged()) };
    };
    for (number, (piece, value)) in (0..).zip(pairs) {
        if piece != piece_key(key, number) {
            return Err(damaged());
        }
        joined.push(value)?;
    }
    joined.end()
}

impl<T: Transaction> Draft<'_, T> {
    /// Sets an entry, and the record that it holds, if it holds one.
    pub(super) fn set_entry(&mut self, key: Vec<u8>, record: &[u8]) -> Result<(), Refusal> {
        let limits = self.limits();
        let bytes_max = limits.value_bytes_max.min(WHOLE_BYTES_MAX);
        let is_split = record.len() > bytes_max;
        let key_bytes = key.len() + if is_split { PIECE_KEY_BYTES } else { 0 };
        if key_bytes > limits.key_bytes_max {
            return Err(Refusal::too_large("an index entry", key_bytes, limits.key_bytes_max));
        }
        if self.has_pieces && !record.is_empty() {
            self.clear_range(successor(&key)..end_of(&key));
        }
        if !is_split {
            return self.set(key, record.to_vec());
        }
        let part_bytes = bytes_max.saturating_sub(PIECE_HEAD_BYTES).max(1);
        for (number, part) in (0..).zip(record.chunks(part_bytes)) {
            self.set(piece_key(&key, number), Piece { number, part }.encode())?;
        }
        self.has_pieces = true;
        let header = Split {
            pieces: record.len().div_ceil(part_bytes) as u64,
            bytes: record.len() as u64,
            crc32: crc32fast::hash(record),
        };
        self.set(key, header.encode())
    }

    /// Clears an entry that holds a record.
    pub(super) fn clear_entry(&mut self, key: Vec<u8>) {
        if self.has_pieces {
            let end = end_of(&key);
            self.clear_range(key..end);
        } else {
            self.clear(key);
        }
    }

    /// The record that an entry holds, as the batch leaves it.
    pub(super) async fn entry(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Halt> {
        let Some(stored) = self.get(key).await? else {
            return Ok(None);
        };
        let Some(mut joined) = Joined::new(&stored).map_err(Refusal::from)? else {
            return Ok(Some(stored));
        };
        for number in 0..joined.split.pieces {
            let piece = self.get(&piece_key(key, number)).await?;
            let piece = piece.ok_or_else(|| Refusal::from(damaged()))?;
            joined.push(&piece).map_err(Refusal::from)?;
        }
        Ok(Some(joined.end().map_err(Refusal::from)?))
    }
}

/// An entry of an index.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Vec<u8>,
    /// What it holds: nothing, or a record. An error if that is damaged.
    pub(super) record: Result<Vec<u8>, Error>,
}

/// Entries of a range, in the order of the read.
#[derive(Debug)]
pub(super) struct Entries {
    pub(super) items: Vec<Entry>,
    /// Where there may be more.
    pub(super) rest: Option<Range<Vec<u8>>>,
}

/// Reads the next entries of a range: at most as many as `limit`, and at least one if there is one.
pub(super) async fn entries<T: Transaction>(
    transaction: &T,
    range: Range<Vec<u8>>,
    limit: usize,
    direction: Direction,
) -> Result<Entries, LayerError> {
    let wanted = RangeRead {
        begin: &range.start,
        end: &range.end,
        limit,
        direction,
        isolation: Isolation::Snapshot,
    };
    let page = transaction.get_range(wanted).await?;
    let mut items: Vec<Entry> = Vec::with_capacity(page.len());
    let mut next = None;
    let mut at = 0;
    while let Some((first, value)) = page.get(at) {
        let key = entry_key(first, value);
        let begin = at;
        while page.get(at).is_some_and(|(other, _)| other.starts_with(key)) {
            at += 1;
        }
        let is_last = page.more() && at == page.len();
        let (record, is_complete) = if is_last && is_cut(&page, begin..at, key, direction) {
            // Whoever has read the end of an entry that is not there has read a piece of none.
            (entry(transaction, key).await?.unwrap_or_else(|| Err(damaged())), true)
        } else {
            (of_page(&page, begin..at, key, direction), false)
        };
        if is_last {
            next = Some(match direction {
                Direction::Forward if is_complete => end_of(key),
                Direction::Forward => successor(key),
                Direction::Reverse => key.to_vec(),
            });
        }
        items.push(Entry {
            key: key.to_vec(),
            record,
        });
    }
    let rest = next.map(|next| match direction {
        Direction::Forward => next..range.end,
        Direction::Reverse => range.start..next,
    });
    Ok(Entries { items, rest })
}

/// Whether the last entry of a page may go on beyond it.
fn is_cut(page: &Pairs, at: Range<usize>, key: &[u8], direction: Direction) -> bool {
    match direction {
        Direction::Forward => page
            .get(at.start)
            .is_some_and(|(_, value)| matches!(value.first(), Some(&(Split::TAG | Piece::TAG)))),
        Direction::Reverse => page.last_key() != Some(key),
    }
}

/// The record of an entry that lies in a page.
fn of_page(page: &Pairs, at: Range<usize>, key: &[u8], direction: Direction) -> Result<Vec<u8>, Error> {
    match direction {
        Direction::Forward => join(key, at.filter_map(|at| page.get(at))),
        Direction::Reverse => join(key, at.rev().filter_map(|at| page.get(at))),
    }
}

/// Reads one entry; an error within if it is damaged.
pub(super) async fn entry<T: Transaction>(
    transaction: &T,
    key: &[u8],
) -> Result<Option<Result<Vec<u8>, Error>>, LayerError> {
    let (mut start, end) = (key.to_vec(), end_of(key));
    let mut pages = Vec::new();
    loop {
        let page = transaction.get_range(read(&start, &end, PAGE_PAIRS)).await?;
        let next = page.last_key().filter(|_| page.more()).map(successor);
        pages.push(page);
        match next {
            Some(next) => start = next,
            None => break,
        }
    }
    let mut pairs = pages.iter().flatten().peekable();
    Ok(pairs.peek().is_some().then(|| join(key, pairs)))
}
