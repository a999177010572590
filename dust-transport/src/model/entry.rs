use std::fmt;

use super::{Path, Value};

/// A store's sequence number: +1 per committed op, starting at 1. A leaf's revision is the number of the op that last
/// wrote it; `Seq(0)` stands before the first op.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u64> for Seq {
    fn from(seq: u64) -> Self {
        Self(seq)
    }
}

/// A leaf, or an assembled subtree, as it was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where.
    pub path: Path,
    /// What.
    pub value: Value,
    /// The store's name for the kind of the value.
    pub kind: ValueKind,
    /// The op that last wrote it; for a subtree the highest of its leaves.
    pub revision: Seq,
}

/// The kinds of values that a store tells apart; on the wire the lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ValueKind {
    /// A JSON null: a real leaf.
    Null,
    /// `true` or `false`.
    Boolean,
    /// A number without fraction and exponent.
    Integer,
    /// Any other number.
    Float,
    /// A string.
    String,
    /// An array.
    List,
    /// An object: an assembled subtree.
    Map,
    /// The result of an increment.
    Counter,
    /// The result of an add or a remove.
    Set,
    /// A decimal, as a string.
    Decimal,
    /// A date and time, as a string in ISO 8601.
    Datetime,
    /// A reference to a file.
    File,
    /// A lease.
    Lease,
}
