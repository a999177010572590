//! Field values and their types.

mod decimal;
pub(crate) mod key;
pub(crate) mod wire;

use std::cmp::Ordering;
use std::fmt;

pub use decimal::{Decimal, DecimalError};

/// What a field holds.
///
/// The order of the values of each type is the order of their keys, with null first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum FieldType {
    /// `false` before `true`.
    Boolean,
    /// Any integer of up to 128 bits, signed.
    Integer,
    /// A double: `-0.0` is `0.0`, and every NaN is one value after infinity.
    Float,
    /// A decimal number of up to 38 digits.
    Decimal,
    /// Unicode text in the order of its UTF-8 bytes.
    Text,
    /// Bytes.
    Bytes,
    /// A day.
    Date,
    /// A time of the day.
    Time,
    /// An instant.
    DateTime,
    /// A UUID in the order of its bytes.
    Uuid,
    /// The place of a commit in the order of all commits.
    Versionstamp,
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Decimal => "decimal",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::Time => "time",
            Self::DateTime => "datetime",
            Self::Uuid => "uuid",
            Self::Versionstamp => "versionstamp",
        })
    }
}

/// A day, as the number of days since 1970-01-01; any year fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Date(pub i32);

/// A time of the day, in nanoseconds since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Time(pub u64);

/// An instant, in nanoseconds since 1970-01-01T00:00Z; any year fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DateTime(pub i128);

/// The place of a commit in the order of all commits: its ten bytes, and two for the order within the transaction.
///
/// One that is [incomplete](Versionstamp::incomplete) gets its ten bytes from the commit.
///
/// ```
/// use dust_layer::value::Versionstamp;
///
/// assert!(Versionstamp::incomplete(0).is_incomplete());
/// let stamp = Versionstamp::new([0, 0, 0, 0, 0, 0, 4, 87, 0, 1], 2);
/// assert!(Versionstamp::MIN < stamp && stamp < Versionstamp::MAX);
/// assert_eq!(Versionstamp::incomplete(2).complete(stamp.transaction()), stamp);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Versionstamp(pub [u8; 12]);

impl Versionstamp {
    /// Before every stamp.
    pub const MIN: Self = Self([0; 12]);
    /// After every stamp of a commit.
    pub const MAX: Self = Self([0xff; 12]);

    /// The stamp of a commit and an order within its transaction.
    #[must_use]
    pub fn new(transaction: [u8; 10], order: u16) -> Self {
        let mut bytes = [0xff; 12];
        for (byte, source) in bytes.iter_mut().zip(transaction.into_iter().chain(order.to_be_bytes())) {
            *byte = source;
        }
        Self(bytes)
    }

    /// One whose ten bytes the commit fills in.
    ///
    /// The order `0xffff` is [`MAX`](Self::MAX) and no stamp of a commit.
    #[must_use]
    pub fn incomplete(order: u16) -> Self {
        Self::new([0xff; 10], order)
    }

    /// Whether the commit is still to fill it in. [`MAX`](Self::MAX) is a bound and not incomplete.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        *self != Self::MAX && self.transaction() == [0xff; 10]
    }

    /// The ten bytes of the commit.
    #[must_use]
    pub fn transaction(&self) -> [u8; 10] {
        let mut bytes = [0; 10];
        for (byte, source) in bytes.iter_mut().zip(self.0) {
            *byte = source;
        }
        bytes
    }

    /// The order within the transaction.
    #[must_use]
    pub fn order(&self) -> u16 {
        let [.., high, low] = self.0;
        u16::from_be_bytes([high, low])
    }

    /// The same order within the transaction whose stamp is `transaction`.
    #[must_use]
    pub fn complete(&self, transaction: [u8; 10]) -> Self {
        Self::new(transaction, self.order())
    }

    /// As a big-endian integer, which grows with the order of commits.
    #[must_use]
    pub fn to_integer(&self) -> u128 {
        self.0
            .iter()
            .fold(0, |integer, byte| (integer << 8) | u128::from(*byte))
    }
}

/// The value of a field.
///
/// Values of one type compare as their keys do; null comes before all others.
///
/// ```
/// use dust_layer::value::{FieldType, FieldValue};
///
/// let value = FieldValue::from("Ada");
/// assert_eq!(value.kind(), Some(FieldType::Text));
/// assert!(FieldValue::Null < value && value < FieldValue::from("Bob"));
/// assert_eq!(FieldValue::from(None::<i64>), FieldValue::Null);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum FieldValue {
    /// No value.
    Null,
    /// See [`FieldType::Boolean`].
    Boolean(bool),
    /// See [`FieldType::Integer`].
    Integer(i128),
    /// See [`FieldType::Float`].
    Float(f64),
    /// See [`FieldType::Decimal`].
    Decimal(Decimal),
    /// See [`FieldType::Text`].
    Text(String),
    /// See [`FieldType::Bytes`].
    Bytes(Vec<u8>),
    /// See [`FieldType::Date`].
    Date(Date),
    /// See [`FieldType::Time`].
    Time(Time),
    /// See [`FieldType::DateTime`].
    DateTime(DateTime),
    /// See [`FieldType::Uuid`].
    Uuid([u8; 16]),
    /// See [`FieldType::Versionstamp`].
    Versionstamp(Versionstamp),
}

/// What a field without a value reads as.
pub(crate) static NULL: FieldValue = FieldValue::Null;

impl FieldValue {
    /// The type; `None` for null, which any field can hold.
    #[must_use]
    pub fn kind(&self) -> Option<FieldType> {
        Some(match self {
            Self::Null => return None,
            Self::Boolean(_) => FieldType::Boolean,
            Self::Integer(_) => FieldType::Integer,
            Self::Float(_) => FieldType::Float,
            Self::Decimal(_) => FieldType::Decimal,
            Self::Text(_) => FieldType::Text,
            Self::Bytes(_) => FieldType::Bytes,
            Self::Date(_) => FieldType::Date,
            Self::Time(_) => FieldType::Time,
            Self::DateTime(_) => FieldType::DateTime,
            Self::Uuid(_) => FieldType::Uuid,
            Self::Versionstamp(_) => FieldType::Versionstamp,
        })
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// Whether it is a versionstamp that a commit is still to fill in.
    pub(crate) fn is_incomplete(&self) -> bool {
        matches!(self, Self::Versionstamp(stamp) if stamp.is_incomplete())
    }
}

/// The one form of each double that is stored: one zero, one NaN.
pub(crate) fn canonical(float: f64) -> f64 {
    if float.is_nan() {
        f64::NAN.copysign(1.0)
    } else if float == 0.0 {
        0.0
    } else {
        float
    }
}

impl Ord for FieldValue {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Boolean(left), Self::Boolean(right)) => left.cmp(right),
            (Self::Integer(left), Self::Integer(right)) => left.cmp(right),
            (Self::Float(left), Self::Float(right)) => canonical(*left).total_cmp(&canonical(*right)),
            (Self::Decimal(left), Self::Decimal(right)) => left.cmp(right),
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Bytes(left), Self::Bytes(right)) => left.cmp(right),
            (Self::Date(left), Self::Date(right)) => left.cmp(right),
            (Self::Time(left), Self::Time(right)) => left.cmp(right),
            (Self::DateTime(left), Self::DateTime(right)) => left.cmp(right),
            (Self::Uuid(left), Self::Uuid(right)) => left.cmp(right),
            (Self::Versionstamp(left), Self::Versionstamp(right)) => left.cmp(right),
            (left, right) => left.kind().cmp(&right.kind()),
        }
    }
}

impl PartialOrd for FieldValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for FieldValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for FieldValue {}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Decimal(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{value:?}"),
            Self::Bytes(value) => hex(value, f),
            Self::Date(Date(days)) => write!(f, "day {days}"),
            Self::Time(Time(nanos)) => write!(f, "{nanos} ns of the day"),
            Self::DateTime(DateTime(nanos)) => write!(f, "{nanos} ns since 1970"),
            Self::Uuid(bytes) => hex(bytes, f),
            Self::Versionstamp(Versionstamp(bytes)) => hex(bytes, f),
        }
    }
}

fn hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("0x")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for FieldValue {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

from!(
    bool => Boolean,
    i32 => Integer,
    i64 => Integer,
    i128 => Integer,
    u32 => Integer,
    u64 => Integer,
    f64 => Float,
    Decimal => Decimal,
    &str => Text,
    String => Text,
    &[u8] => Bytes,
    Vec<u8> => Bytes,
    Date => Date,
    Time => Time,
    DateTime => DateTime,
    [u8; 16] => Uuid,
    Versionstamp => Versionstamp,
);

impl<T: Into<FieldValue>> From<Option<T>> for FieldValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
