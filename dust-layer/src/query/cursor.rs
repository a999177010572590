//! Where a query was left, to go on from there.

use super::Plan;
use super::plan::Access;
use crate::engine::Direction;
use crate::error::{Error, QueryError};
use crate::row::stored::end_of;
use crate::value::wire::Reader;

const FORMAT: u8 = 1;

/// A place between two results of a query.
///
/// It can be stored, and goes on in any later transaction, also after the record it was taken at is gone. It belongs to one
/// query on one tenant; another one refuses it.
///
/// ```
/// use dust_layer::query::Cursor;
///
/// assert!(Cursor::from_bytes(b"not a cursor").is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor {
    fingerprint: u32,
    /// The key of the last result, after the plan's base.
    after: Vec<u8>,
}

impl Cursor {
    pub(super) fn new(plan: &Plan, key: &[u8]) -> Self {
        Self {
            fingerprint: fingerprint(plan),
            after: key.strip_prefix(&plan.base[..]).unwrap_or_default().to_vec(),
        }
    }

    /// A cursor of the same plan at another key.
    pub(super) fn moved(&self, plan: &Plan, key: &[u8]) -> Self {
        Self {
            fingerprint: self.fingerprint,
            after: key.strip_prefix(&plan.base[..]).unwrap_or_default().to_vec(),
        }
    }

    /// The cursor as bytes, opaque to everybody else.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&[FORMAT], &self.fingerprint.to_be_bytes()[..], &self.after].concat()
    }

    /// The cursor that [`to_bytes`](Self::to_bytes) wrote.
    ///
    /// # Errors
    /// [`QueryError::Cursor`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(bytes, "a cursor");
        let parse = |reader: &mut Reader<'_>| {
            reader.format(FORMAT)?;
            reader.array()
        };
        let fingerprint: [u8; 4] = parse(&mut reader).map_err(|_| QueryError::Cursor)?;
        Ok(Self {
            fingerprint: u32::from_be_bytes(fingerprint),
            after: reader.rest().to_vec(),
        })
    }

    /// The part of the plan's range that is still to be read.
    pub(super) fn rest_of(&self, plan: &Plan) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let last = [&plan.base[..], &self.after].concat();
        let is_inside = plan.begin <= last && last < plan.end;
        if self.fingerprint != fingerprint(plan) || !is_inside {
            return Err(QueryError::Cursor.into());
        }
        Ok(match plan.direction {
            Direction::Forward => (end_of(&last).min(plan.end.clone()), plan.end.clone()),
            Direction::Reverse => (plan.begin.clone(), last),
        })
    }
}

/// Tells queries apart, and tenants by their prefix, which the range begins with.
fn fingerprint(plan: &Plan) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    for part in [&plan.begin, &plan.end] {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hasher.update(&[
        u8::from(plan.direction == Direction::Reverse),
        u8::from(plan.access == Access::Rows),
    ]);
    hasher.finalize()
}
