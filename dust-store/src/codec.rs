//! The stored values: compact, canonical, each behind a format byte.
//!
//! Every decoder is total: any bytes give a value or a [`DecodeError`]. Every value has exactly one encoding, and a
//! decoder accepts no other, so that `encode(decode(bytes)) == bytes` for whatever decodes.
//!
//! Numbers are LEB128: seven bits a byte, the lowest first, in as few bytes as they need.

use dust_transport::model::{OpKind, ValueKind};

/// The format of a whole store, kept under `(FE, "format")`.
pub const FORMAT: &[u8] = b"dust-store 2";

/// The format before: without counts in the head, files and leases. A store of it is brought up to date when it is opened.
pub const FORMAT_1: &[u8] = b"dust-store 1";

/// The format byte of each value of this version.
const VERSION: u8 = 1;

/// The format byte of the head, which has changed since.
const HEAD_VERSION: u8 = 2;

/// Why bytes are not a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The format byte is one that this version does not know.
    #[error("the format byte {0} is unknown")]
    Version(u8),
    /// The bytes end too early.
    #[error("the value is cut short")]
    Short,
    /// The bytes go on after the value.
    #[error("the value is followed by other bytes")]
    Long,
    /// A number is not in its shortest form or does not fit.
    #[error("a number is not in its canonical form")]
    Number,
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Utf8,
    /// A kind is unknown.
    #[error("the kind {0} is unknown")]
    Kind(u8),
    /// A part that cannot be empty is, or the reverse.
    #[error("a part of the value is missing or out of place")]
    Shape,
}

/// A stored leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf<'a> {
    /// The kind of the value.
    pub kind: ValueKind,
    /// The op that wrote it.
    pub revision: u64,
    /// The value as JSON text, as it came.
    pub text: &'a str,
}

/// A record in an entry of a covering index: its leaves by their paths below it, ascending, at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covered<'a> {
    /// The leaves.
    pub leaves: Vec<(&'a str, Leaf<'a>)>,
}

/// What stands at the key of an entry of a covering index whose record is in pieces at the keys that follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// How many pieces there are, at least one.
    pub pieces: u64,
    /// How long the record is.
    pub bytes: u64,
    /// The checksum of the record.
    pub crc32: u32,
}

/// A piece of a record in an entry of a covering index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// The part of the record, at least one byte.
    pub part: &'a [u8],
}

/// An op of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// What was done.
    pub kind: OpKind,
    /// When, in milliseconds since 1970.
    pub wall_clock_ms: u64,
    /// The place of the op in its batch, from 0.
    pub batch_index: u64,
    /// Who did it.
    pub device: &'a str,
    /// The id of its batch.
    pub op_id: Option<&'a str>,
    /// Where, rendered.
    pub path: &'a str,
    /// What became of it, as JSON text, and with typed values in their envelopes; `None` for a delete and a release.
    pub value: Option<&'a str>,
}

/// Where a store is, and how much it holds. Every commit writes it anyway, so the counts cost nothing of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Head {
    /// The last sequence number.
    pub seq: u64,
    /// Op ids of ops up to here have been forgotten.
    pub pruned: u64,
    /// Ops up to here are no longer in the log, but in the base.
    pub compacted: u64,
    /// When that was last moved, in milliseconds since 1970; 0 for never.
    pub compacted_at_ms: u64,
    /// How many leaves there are.
    pub entries: u64,
    /// How many bytes of files there are.
    pub file_bytes: u64,
}

/// What was answered to a batch with an op id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply<'a> {
    /// The sequence number of its first op that took one.
    pub first: u64,
    /// How many ops it had, at least one.
    pub count: u64,
    /// By the index of its op: a file reference or a lease, as JSON text, or nothing for an op that took no number.
    pub done: Vec<(u64, &'a str)>,
}

/// What is known of a file beside its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob<'a> {
    /// How long it is.
    pub size_bytes: u64,
    /// How many leaves refer to it.
    pub live: u64,
    /// How many ops of the log, and leaves of the base, refer to it.
    pub kept: u64,
    /// Its media type.
    pub content_type: &'a str,
}

/// An op id that is remembered though its op is no longer in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remembered<'a> {
    /// When the op was committed, in milliseconds since 1970.
    pub wall_clock_ms: u64,
    /// Who wrote it.
    pub device: &'a str,
    /// The id of its batch.
    pub op_id: &'a str,
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    push_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

/// What is left to decode.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    /// Takes the format byte off.
    fn of(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        Self::of_version(bytes, VERSION)
    }

    fn of_version(bytes: &'a [u8], version: u8) -> Result<Self, DecodeError> {
        let mut rest = Self(bytes);
        match rest.byte()? {
            byte if byte == version => Ok(rest),
            other => Err(DecodeError::Version(other)),
        }
    }

    fn byte(&mut self) -> Result<u8, DecodeError> {
        let (first, rest) = self.0.split_first().ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, DecodeError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7F);
            if bits << shift >> shift != bits {
                return Err(DecodeError::Number);
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(DecodeError::Number)
                } else {
                    Ok(number)
                };
            }
        }
        Err(DecodeError::Number)
    }

    fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(self.number()?).map_err(|_| DecodeError::Short)?;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(DecodeError::Short)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8)
    }

    fn remainder(self) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.0).map_err(|_| DecodeError::Utf8)
    }

    fn end(&self) -> Result<(), DecodeError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::Long)
        }
    }
}

/// The byte of each kind of value. A kind that this version does not know has none; a store never makes one.
const KINDS: [(u8, ValueKind); 13] = [
    (0, ValueKind::Null),
    (1, ValueKind::Boolean),
    (2, ValueKind::Integer),
    (3, ValueKind::Float),
    (4, ValueKind::String),
    (5, ValueKind::List),
    (6, ValueKind::Map),
    (7, ValueKind::Counter),
    (8, ValueKind::Set),
    (9, ValueKind::Decimal),
    (10, ValueKind::Datetime),
    (11, ValueKind::File),
    (12, ValueKind::Lease),
];

/// The byte of each kind of op.
const OPS: [(u8, OpKind); 10] = [
    (0, OpKind::Set),
    (1, OpKind::Delete),
    (2, OpKind::Merge),
    (3, OpKind::Increment),
    (4, OpKind::Add),
    (5, OpKind::Remove),
    (6, OpKind::PutFile),
    (7, OpKind::Lease),
    (8, OpKind::Renew),
    (9, OpKind::Release),
];

fn byte_of<K: PartialEq>(table: &[(u8, K)], kind: &K) -> u8 {
    table
        .iter()
        .find(|(_, known)| known == kind)
        .map_or(u8::MAX, |(byte, _)| *byte)
}

fn kind_of<K: Copy>(table: &[(u8, K)], byte: u8) -> Result<K, DecodeError> {
    table
        .iter()
        .find(|(known, _)| *known == byte)
        .map(|(_, kind)| *kind)
        .ok_or(DecodeError::Kind(byte))
}

impl<'a> Leaf<'a> {
    /// Writes the leaf: format, kind, revision, text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.text.len() + 8);
        bytes.push(VERSION);
        bytes.push(byte_of(&KINDS, &self.kind));
        push_number(&mut bytes, self.revision);
        bytes.extend_from_slice(self.text.as_bytes());
        bytes
    }

    /// Reads a leaf.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        let kind = kind_of(&KINDS, rest.byte()?)?;
        let revision = rest.number()?;
        let text = rest.remainder()?;
        if text.is_empty() {
            Err(DecodeError::Shape)
        } else {
            Ok(Self { kind, revision, text })
        }
    }
}

impl<'a> Covered<'a> {
    /// Writes the record: format, then of each leaf its path and its bytes, both with their length.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for (path, leaf) in &self.leaves {
            push_text(&mut bytes, path);
            let leaf = leaf.encode();
            push_number(&mut bytes, leaf.len() as u64);
            bytes.extend_from_slice(&leaf);
        }
        bytes
    }

    /// Reads a record.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        let mut leaves: Vec<(&str, Leaf<'_>)> = Vec::new();
        while !rest.0.is_empty() {
            let path = rest.text()?;
            if path.is_empty() || leaves.last().is_some_and(|(before, _)| *before >= path) {
                return Err(DecodeError::Shape);
            }
            leaves.push((path, Leaf::decode(rest.bytes()?)?));
        }
        if leaves.is_empty() {
            Err(DecodeError::Shape)
        } else {
            Ok(Self { leaves })
        }
    }
}

impl Split {
    /// The format byte, which tells it from a [`Covered`] record.
    pub const TAG: u8 = 2;

    /// Writes the header: format, number of pieces, length, checksum.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![Self::TAG];
        push_number(&mut bytes, self.pieces);
        push_number(&mut bytes, self.bytes);
        bytes.extend_from_slice(&self.crc32.to_be_bytes());
        bytes
    }

    /// Reads a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of_version(bytes, Self::TAG)?;
        let (pieces, bytes) = (rest.number()?, rest.number()?);
        let (crc32, after) = rest.0.split_first_chunk().ok_or(DecodeError::Short)?;
        if !after.is_empty() {
            return Err(DecodeError::Long);
        }
        if pieces == 0 {
            return Err(DecodeError::Shape);
        }
        Ok(Self {
            pieces,
            bytes,
            crc32: u32::from_be_bytes(*crc32),
        })
    }
}

impl<'a> Piece<'a> {
    /// The format byte, which tells it from a [`Covered`] record.
    pub const TAG: u8 = 3;

    /// Writes the piece: format, number, part.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.part.len() + 4);
        bytes.push(Self::TAG);
        push_number(&mut bytes, self.number);
        bytes.extend_from_slice(self.part);
        bytes
    }

    /// Reads a piece.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of_version(bytes, Self::TAG)?;
        let number = rest.number()?;
        if rest.0.is_empty() {
            Err(DecodeError::Shape)
        } else {
            Ok(Self { number, part: rest.0 })
        }
    }
}

impl<'a> Record<'a> {
    /// Writes the op: format, kind, time, place in the batch, device, op id (empty for none), path, value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let value = self.value.unwrap_or_default();
        let op_id = self.op_id.unwrap_or_default();
        let mut bytes = Vec::with_capacity(self.device.len() + op_id.len() + self.path.len() + value.len() + 24);
        bytes.push(VERSION);
        bytes.push(byte_of(&OPS, &self.kind));
        push_number(&mut bytes, self.wall_clock_ms);
        push_number(&mut bytes, self.batch_index);
        push_text(&mut bytes, self.device);
        push_text(&mut bytes, op_id);
        push_text(&mut bytes, self.path);
        bytes.extend_from_slice(value.as_bytes());
        bytes
    }

    /// Reads an op.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        let kind = kind_of(&OPS, rest.byte()?)?;
        let wall_clock_ms = rest.number()?;
        let batch_index = rest.number()?;
        let device = rest.text()?;
        let op_id = Some(rest.text()?).filter(|id| !id.is_empty());
        let path = rest.text()?;
        let value = Some(rest.remainder()?).filter(|value| !value.is_empty());
        if device.is_empty() || path.is_empty() || value.is_none() != matches!(kind, OpKind::Delete | OpKind::Release) {
            return Err(DecodeError::Shape);
        }
        Ok(Self {
            kind,
            wall_clock_ms,
            batch_index,
            device,
            op_id,
            path,
            value,
        })
    }
}

impl Head {
    /// Writes the head: format, then each number.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![HEAD_VERSION];
        for number in [
            self.seq,
            self.pruned,
            self.compacted,
            self.compacted_at_ms,
            self.entries,
            self.file_bytes,
        ] {
            push_number(&mut bytes, number);
        }
        bytes
    }

    /// Reads a head.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of_version(bytes, HEAD_VERSION)?;
        let head = Self {
            seq: rest.number()?,
            pruned: rest.number()?,
            compacted: rest.number()?,
            compacted_at_ms: rest.number()?,
            entries: rest.number()?,
            file_bytes: rest.number()?,
        };
        head.checked(&rest)
    }

    /// Reads the head of a store of [`FORMAT_1`], which has no counts.
    pub fn decode_1(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        let head = Self {
            seq: rest.number()?,
            pruned: rest.number()?,
            ..Self::default()
        };
        head.checked(&rest)
    }

    fn checked(self, rest: &Rest<'_>) -> Result<Self, DecodeError> {
        rest.end()?;
        if self.pruned > self.seq || self.compacted > self.seq {
            Err(DecodeError::Shape)
        } else {
            Ok(self)
        }
    }
}

impl<'a> Reply<'a> {
    /// Writes the reply.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        push_number(&mut bytes, self.first);
        push_number(&mut bytes, self.count);
        for (index, text) in &self.done {
            push_number(&mut bytes, *index);
            push_text(&mut bytes, text);
        }
        bytes
    }

    /// Reads a reply.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        let (first, count) = (rest.number()?, rest.number()?);
        let mut done: Vec<(u64, &str)> = Vec::new();
        while !rest.0.is_empty() {
            let index = rest.number()?;
            if index >= count || done.last().is_some_and(|(before, _)| *before >= index) {
                return Err(DecodeError::Shape);
            }
            done.push((index, rest.text()?));
        }
        if count == 0 || first.checked_add(count).is_none() {
            Err(DecodeError::Shape)
        } else {
            Ok(Self { first, count, done })
        }
    }
}

impl<'a> Blob<'a> {
    /// Writes what is known of a file.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for number in [self.size_bytes, self.live, self.kept] {
            push_number(&mut bytes, number);
        }
        bytes.extend_from_slice(self.content_type.as_bytes());
        bytes
    }

    /// Reads what is known of a file.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        Ok(Self {
            size_bytes: rest.number()?,
            live: rest.number()?,
            kept: rest.number()?,
            content_type: rest.remainder()?,
        })
    }
}

impl<'a> Remembered<'a> {
    /// Writes the op id.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        push_number(&mut bytes, self.wall_clock_ms);
        push_text(&mut bytes, self.device);
        bytes.extend_from_slice(self.op_id.as_bytes());
        bytes
    }

    /// Reads an op id.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut rest = Rest::of(bytes)?;
        Ok(Self {
            wall_clock_ms: rest.number()?,
            device: rest.text()?,
            op_id: rest.remainder()?,
        })
    }
}
