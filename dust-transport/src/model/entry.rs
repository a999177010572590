use std::fmt;

use super::{Path, Value};

/// A store's sequence number: +1 per committed op, starting at 1. A leaf's revision is the number of the op that last
/// wrote it; `Seq(0)` stands before the first op.
///
/// ```
/// use dust_transport::model::Seq;
/// assert!(Seq(0) < Seq::from(7));
/// assert_eq!(Seq(7).to_string(), "7");
/// ```
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

/// A name that is none of the expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is not the name of {what}")]
pub struct UnknownName {
    /// What was found.
    pub name: String,
    /// What it should have named.
    pub what: &'static str,
}

impl ValueKind {
    /// Every kind.
    pub const ALL: [Self; 13] = [
        Self::Null,
        Self::Boolean,
        Self::Integer,
        Self::Float,
        Self::String,
        Self::List,
        Self::Map,
        Self::Counter,
        Self::Set,
        Self::Decimal,
        Self::Datetime,
        Self::File,
        Self::Lease,
    ];

    /// The name on the wire.
    ///
    /// ```
    /// use dust_transport::model::ValueKind;
    /// assert_eq!(ValueKind::Datetime.as_str(), "datetime");
    /// assert_eq!("counter".parse(), Ok(ValueKind::Counter));
    /// assert!("Counter".parse::<ValueKind>().is_err());
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::String => "string",
            Self::List => "list",
            Self::Map => "map",
            Self::Counter => "counter",
            Self::Set => "set",
            Self::Decimal => "decimal",
            Self::Datetime => "datetime",
            Self::File => "file",
            Self::Lease => "lease",
        }
    }

    /// The kind of a value that a remote store calls by this name.
    ///
    /// Stores call an array `list` or, some of them, `string`; both are [`List`](ValueKind::List). A name that is not
    /// known here, from a newer store, gives the kind of the JSON text.
    ///
    /// ```
    /// use dust_transport::model::{Value, ValueKind};
    /// assert_eq!(ValueKind::from_remote("string", &Value::list([])), ValueKind::List);
    /// assert_eq!(ValueKind::from_remote("counter", &Value::from(1)), ValueKind::Counter);
    /// assert_eq!(ValueKind::from_remote("tensor", &Value::from(1)), ValueKind::Integer);
    /// ```
    #[must_use]
    pub fn from_remote(name: &str, value: &Value) -> Self {
        match name.parse() {
            Ok(Self::String) | Err(UnknownName { .. }) => value.kind(),
            Ok(kind) => kind,
        }
    }
}

impl fmt::Display for ValueKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for ValueKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| UnknownName {
            name: name.to_owned(),
            what: "a kind of value",
        })
    }
}
