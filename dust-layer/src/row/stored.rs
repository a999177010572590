//! Values that may be longer than the engine takes at one key.
//!
//! ```text
//! whole = 01 payload
//! split = 02 chunks, length, crc32        the payload is in `chunks` keys that follow, `length` bytes in all
//! chunk = 03 number, part of the payload  at the key with its number appended as a tuple element
//! ```
//!
//! The header of a split value changes with its content, so whoever watches the key sees it. The first byte tells what a
//! pair is, so that a range of values can be read from both ends.

use crate::engine::{Direction, Engine, Isolation, Pairs, RangeRead};
use crate::error::{Error, RowError};
use crate::tenant::TenantTransaction;
use crate::tuple::pack_into;
use crate::value::wire::{self, Reader};

const WHOLE: u8 = 1;
const SPLIT: u8 = 2;
const CHUNK: u8 = 3;

/// What a chunk has before its part: the format byte, and a number.
const CHUNK_HEAD_BYTES: usize = 6;

/// A value with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) key: Vec<u8>,
    pub(crate) payload: Vec<u8>,
    pub(crate) is_split: bool,
}

/// The values of a range, in the order of the read.
#[derive(Debug, Default)]
pub(crate) struct Values {
    pub(crate) items: Vec<Stored>,
    /// Whether more may follow.
    pub(crate) more: bool,
}

/// The header of a split value.
#[derive(Debug, Clone, Copy)]
struct Header {
    chunks: usize,
    length: usize,
    crc: u32,
}

impl Header {
    fn parse(value: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(value, "the header of a split value");
        reader.format(SPLIT)?;
        let (chunks, length) = (reader.number()?, reader.number()?);
        let crc = u32::from_be_bytes(reader.array()?);
        reader.end()?;
        Ok(Self { chunks, length, crc })
    }

    fn encode(self) -> Vec<u8> {
        let mut value = vec![SPLIT];
        wire::put_length(self.chunks, &mut value);
        wire::put_length(self.length, &mut value);
        value.extend_from_slice(&self.crc.to_be_bytes());
        value
    }

    /// Puts the chunks together, which follow the header in order.
    fn join<'a>(self, key: &[u8], chunks: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Stored, Error> {
        let invalid = || Error::corrupt("the chunks of a value");
        // Not more than a sane value has is reserved before it is seen.
        let mut payload = Vec::with_capacity(self.length.min(1 << 24));
        let mut count = 0;
        for (number, (chunk_key, value)) in (0_u64..).zip(chunks) {
            let (found, part) = chunk(value)?;
            if found != number || row_key(chunk_key, number) != Some(key) {
                return Err(invalid());
            }
            payload.extend_from_slice(part);
            count += 1;
        }
        if count != self.chunks || payload.len() != self.length || crc32fast::hash(&payload) != self.crc {
            return Err(invalid());
        }
        Ok(Stored {
            key: key.to_vec(),
            payload,
            is_split: true,
        })
    }
}

/// The number of a chunk and its part of the payload.
fn chunk(value: &[u8]) -> Result<(u64, &[u8]), Error> {
    let mut reader = Reader::new(value, "a chunk of a value");
    reader.format(CHUNK)?;
    Ok((reader.number()?, reader.rest()))
}

/// The key of the value that a chunk belongs to.
fn row_key(chunk_key: &[u8], number: u64) -> Option<&[u8]> {
    let mut suffix = Vec::with_capacity(9);
    pack_into(&(number,), &mut suffix);
    chunk_key.strip_suffix(&suffix[..])
}

/// The end of the keys of a value: after its chunks and before any other value.
pub(crate) fn end_of(key: &[u8]) -> Vec<u8> {
    [key, &[0xff]].concat()
}

fn whole(key: &[u8], value: &[u8]) -> Result<Stored, Error> {
    match value.split_first() {
        Some((&WHOLE, payload)) => Ok(Stored {
            key: key.to_vec(),
            payload: payload.to_vec(),
            is_split: false,
        }),
        _ => Err(Error::corrupt("the format of a value")),
    }
}

/// What the first pair of a page leads to.
enum Taken {
    /// A value, and how many pairs it took.
    Value(Stored, usize),
    /// The page cuts the value with this key.
    Cut(Vec<u8>),
}

/// Takes the value that begins at `index` of a page.
fn take(pairs: &Pairs, index: usize, direction: Direction) -> Result<Option<Taken>, Error> {
    let Some((key, value)) = pairs.get(index) else {
        return Ok(None);
    };
    match (value.first(), direction) {
        (Some(&SPLIT), Direction::Forward) => {
            let header = Header::parse(value)?;
            let chunks: Vec<_> = pairs.iter().skip(index + 1).take(header.chunks).collect();
            if chunks.len() < header.chunks {
                return Ok(Some(Taken::Cut(key.to_vec())));
            }
            let stored = header.join(key, chunks.into_iter())?;
            Ok(Some(Taken::Value(stored, header.chunks + 1)))
        }
        (Some(&CHUNK), Direction::Reverse) => {
            let last = chunk(value)?.0;
            let row = row_key(key, last).ok_or_else(|| Error::corrupt("the key of a chunk"))?;
            let count = usize::try_from(last).unwrap_or(usize::MAX).saturating_add(1);
            let Some((header_key, header)) = index.checked_add(count).and_then(|at| pairs.get(at)) else {
                return Ok(Some(Taken::Cut(row.to_vec())));
            };
            if header_key != row {
                return Err(Error::corrupt("the chunks of a value"));
            }
            let mut chunks: Vec<_> = pairs.iter().skip(index).take(count).collect();
            chunks.reverse();
            let stored = Header::parse(header)?.join(row, chunks.into_iter())?;
            Ok(Some(Taken::Value(stored, count + 1)))
        }
        _ => Ok(Some(Taken::Value(whole(key, value)?, 1))),
    }
}

impl<E: Engine> TenantTransaction<E> {
    /// Writes a value; a versionstamp in the key is completed by the commit.
    pub(crate) fn write_value(&self, key: &[u8], stamp: Option<usize>, payload: &[u8]) {
        let bytes_max = self.tenant().layer().split_bytes();
        if payload.len() < bytes_max {
            return self.write_stamped(key, stamp, &[&[WHOLE], payload].concat());
        }
        let chunk_bytes = bytes_max.saturating_sub(CHUNK_HEAD_BYTES).max(1);
        let header = Header {
            chunks: payload.len().div_ceil(chunk_bytes),
            length: payload.len(),
            crc: crc32fast::hash(payload),
        };
        self.write_stamped(key, stamp, &header.encode());
        for (number, part) in (0_u64..).zip(payload.chunks(chunk_bytes)) {
            let mut chunk_key = key.to_vec();
            pack_into(&(number,), &mut chunk_key);
            let mut value = vec![CHUNK];
            wire::put_unsigned(number.into(), &mut value);
            value.extend_from_slice(part);
            self.write_stamped(&chunk_key, stamp, &value);
        }
    }

    /// Whether a row of this length is accepted.
    pub(crate) fn check_row_bytes(&self, bytes: usize) -> Result<(), Error> {
        let bytes_max = self.tenant().layer().row_bytes_max();
        if bytes > bytes_max {
            return Err(RowError::TooLarge { bytes, bytes_max }.into());
        }
        Ok(())
    }

    /// Clears a value.
    pub(crate) fn erase_value(&self, key: &[u8], is_split: bool) {
        if is_split {
            self.erase_range(key, &end_of(key));
        } else {
            self.erase(key);
        }
    }

    /// Reads one value: with one get, and its chunks if it is split.
    pub(crate) async fn read_value(&self, key: &[u8], isolation: Isolation) -> Result<Option<Stored>, Error> {
        let Some(value) = self.read(key, isolation).await? else {
            return Ok(None);
        };
        self.whole_value(key, &value, isolation).await.map(Some)
    }

    /// The value whose first key has been read; its chunks are read if it is split.
    pub(crate) async fn whole_value(&self, key: &[u8], value: &[u8], isolation: Isolation) -> Result<Stored, Error> {
        if value.first() == Some(&SPLIT) {
            return self.read_chunks(key, value, isolation).await;
        }
        whole(key, value)
    }

    async fn read_chunks(&self, key: &[u8], header: &[u8], isolation: Isolation) -> Result<Stored, Error> {
        let header = Header::parse(header)?;
        let read = RangeRead {
            begin: &[key, &[0x00]].concat(),
            end: &end_of(key),
            limit: usize::MAX,
            direction: Direction::Forward,
            isolation,
        };
        let chunks = self.read_range(read).await?;
        header.join(key, chunks.iter())
    }

    /// Reads the values of a range; `limit` counts values, however many keys they take.
    pub(crate) async fn read_values(&self, read: RangeRead<'_>) -> Result<Values, Error> {
        let (mut begin, mut end) = (read.begin.to_vec(), read.end.to_vec());
        let mut values = Values::default();
        while values.items.len() < read.limit {
            let page = RangeRead {
                begin: &begin,
                end: &end,
                limit: read.limit - values.items.len(),
                ..read
            };
            let pairs = self.read_range(page).await?;
            let mut index = 0;
            let mut cut = None;
            while let Some(taken) = take(&pairs, index, read.direction)? {
                match taken {
                    Taken::Value(stored, count) => {
                        values.items.push(stored);
                        index += count;
                    }
                    Taken::Cut(key) if pairs.more() => {
                        cut = Some(key);
                        break;
                    }
                    Taken::Cut(_) => return Err(Error::corrupt("a value without all of its chunks")),
                }
            }
            if let Some(key) = cut {
                let stored = self.read_value(&key, read.isolation).await?;
                values
                    .items
                    .push(stored.ok_or_else(|| Error::corrupt("chunks without a header"))?);
            }
            values.more = pairs.more();
            let Some(last) = values.items.last().filter(|_| pairs.more()) else {
                break;
            };
            match read.direction {
                Direction::Forward => begin = end_of(&last.key),
                Direction::Reverse => end.clone_from(&last.key),
            }
        }
        Ok(values)
    }
}
