//! [`Value`]: one JSON value, held as its text.

#[cfg(feature = "channel")]
pub(crate) mod data;
mod envelope;
mod guard;
mod read;
mod scan;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error as _};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::ValueKind;
use guard::Guard;

pub use envelope::Envelope;

/// One JSON value, held as compact JSON text.
///
/// The text is kept as it came, without its insignificant whitespace. So every number is exact, also integers beyond
/// `u64`; `1.0` stays `1.0`; strings keep their escapes, objects their order. Cloning is cheap.
///
/// Two values are equal when they are the same JSON value: `1` is not `1.0`, `1e3` is `1000.0`, the order of keys does
/// not matter, and of equal keys in one object the first counts.
///
/// Through serde a `Value` is the JSON value itself in `serde_json`; in formats that are not human-readable it is a string
/// that holds the JSON text. It goes into and comes out of other human-readable formats, and `serde(flatten)` and
/// untagged enums, only as far as [`serde_json::value::RawValue`] does.
///
/// ```
/// use dust_transport::model::{Value, ValueKind};
///
/// let value = Value::from_json(r#" { "id" : 18446744073709551616, "tags" : [] } "#)?;
/// assert_eq!(value.json(), r#"{"id":18446744073709551616,"tags":[]}"#);
/// assert_eq!(value.kind(), ValueKind::Map);
/// assert_eq!(value, Value::from_json(r#"{"tags":[],"id":18446744073709551616}"#)?);
/// assert_eq!(Value::from("Dust").to::<String>()?, "Dust");
/// # Ok::<(), dust_transport::model::ValueError>(())
/// ```
#[derive(Clone)]
pub struct Value(Arc<str>);

/// Why something is not a [`Value`], or a value not of the type asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// The text is not JSON.
    #[error("not JSON: expected {expected} at byte {offset}")]
    Syntax {
        /// Where, in bytes from the start.
        offset: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// The bytes are not UTF-8.
    #[error("not UTF-8 at byte {offset}")]
    Utf8 {
        /// Where, in bytes from the start.
        offset: usize,
    },
    /// Arrays and objects are nested deeper than [`Value::LEVELS_MAX`].
    #[error("a value is nested at most {} levels deep", Value::LEVELS_MAX)]
    TooDeep,
    /// A number is too large for an `f64`.
    #[error("the number at byte {offset} is too large")]
    NumberOverflow {
        /// Where it starts, in bytes from the start.
        offset: usize,
    },
    /// A `\u` escape is half of a surrogate pair.
    #[error("the escape at byte {offset} is half of a surrogate pair")]
    LoneSurrogate {
        /// Where it starts, in bytes from the start.
        offset: usize,
    },
    /// A float is NaN or infinite, which JSON cannot say.
    #[error("a number must be finite")]
    NotFinite,
    /// The type cannot be written as JSON, such as a map whose keys are no strings.
    #[error("the type cannot be written as JSON")]
    Serialize(#[source] serde_json::Error),
    /// The value is not of the type that was asked for.
    #[error("the value is not of the expected type")]
    Mismatch(#[source] serde_json::Error),
}

impl ValueError {
    /// The reason as a stable name.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_json("[1,").unwrap_err().code(), "invalid_json");
    /// ```
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } => "invalid_json",
            Self::Utf8 { .. } => "invalid_utf8",
            Self::TooDeep => "value_too_deep",
            Self::NumberOverflow { .. } | Self::NotFinite => "number_not_finite",
            Self::LoneSurrogate { .. } => "lone_surrogate",
            Self::Serialize(_) => "not_serializable",
            Self::Mismatch(_) => "type_mismatch",
        }
    }
}

impl Value {
    /// The deepest nesting of arrays and objects that is taken in.
    pub const LEVELS_MAX: usize = 127;

    /// The deepest nesting of a value that a store hands out: a leaf at the end of the longest path.
    pub const ASSEMBLED_LEVELS_MAX: usize = Self::LEVELS_MAX + super::Path::SEGMENTS_MAX;

    /// Checks a JSON text and keeps it, without its insignificant whitespace.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_json(" [1, 1.0, 1e3]\n")?.json(), "[1,1.0,1e3]");
    /// assert!(Value::from_json("1e400").is_err());
    /// assert!(Value::from_json(&"[".repeat(10_000)).is_err());
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// `Syntax`, `TooDeep`, `NumberOverflow`, `LoneSurrogate`.
    pub fn from_json(text: &str) -> Result<Self, ValueError> {
        Self::from_slice(text.as_bytes())
    }

    /// Whether a text is that of a value: compact JSON as [`json`](Value::json) gives it, at most
    /// [`ASSEMBLED_LEVELS_MAX`](Value::ASSEMBLED_LEVELS_MAX) levels deep. Copies nothing.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert!(Value::is_json(r#"{"a":[1]}"#));
    /// assert!(!Value::is_json("[1, 2]") && !Value::is_json("[1"));
    /// ```
    #[must_use]
    pub fn is_json(text: &str) -> bool {
        scan::compact(text.as_bytes(), Self::ASSEMBLED_LEVELS_MAX).is_ok_and(|compact| compact.len() == text.len())
    }

    /// Checks JSON bytes and keeps them, like [`from_json`](Value::from_json).
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_slice(b"\"Dust\"")?, Value::from("Dust"));
    /// assert_eq!(Value::from_slice(b"\"\xff\"").unwrap_err().code(), "invalid_utf8");
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// Those of `from_json`, and `Utf8`.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, ValueError> {
        scan::compact(bytes, Self::LEVELS_MAX).map(Self::from_text)
    }

    /// Checks a JSON text that another store has put together, like [`from_json`](Value::from_json) but as deep as a store's
    /// own.
    #[cfg(any(feature = "channel", feature = "http"))]
    pub(crate) fn from_assembled_json(text: &str) -> Result<Self, ValueError> {
        scan::compact(text.as_bytes(), Self::ASSEMBLED_LEVELS_MAX).map(Self::from_text)
    }

    /// Takes text that has been a `Value` before, without checking it again.
    ///
    /// For stores, which wrote the text themselves. It MUST be the [`json`](Value::json) of a value, or compact JSON put
    /// together from such, at most [`ASSEMBLED_LEVELS_MAX`](Value::ASSEMBLED_LEVELS_MAX) levels deep. Any other text gives
    /// wrong answers, though never undefined behaviour; debug builds panic.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// let value = Value::from_json("[1, 2]")?;
    /// let stored: std::sync::Arc<str> = value.json().into();
    /// assert_eq!(Value::from_trusted_json(stored), value);
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn from_trusted_json(text: Arc<str>) -> Self {
        debug_assert!(
            scan::compact(text.as_bytes(), Self::ASSEMBLED_LEVELS_MAX).is_ok_and(|compact| *compact == *text),
            "not the text of a value",
        );
        Self(text)
    }

    /// Writes a value of any type that serialises to JSON.
    ///
    /// Where `serde_json` would turn a NaN or an infinity into null, this refuses it.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_serialize(&(1, "a", None::<u8>))?.json(), r#"[1,"a",null]"#);
    /// assert_eq!(Value::from_serialize(&[f64::NAN]).unwrap_err().code(), "number_not_finite");
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// `NotFinite`, `TooDeep`, and `Serialize` for what JSON has no form for.
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, ValueError> {
        let mut bytes = Vec::new();
        let refusal = Cell::new(None);
        let mut json = serde_json::Serializer::new(&mut bytes);
        let guard = Guard {
            inner: &mut json,
            levels: Self::LEVELS_MAX,
            refusal: &refusal,
        };
        if let Err(error) = value.serialize(guard) {
            return Err(refusal.take().unwrap_or(ValueError::Serialize(error)));
        }
        // A type may hold raw JSON text, which nothing has checked yet.
        Self::from_slice(&bytes)
    }

    fn from_text(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The value null.
    #[must_use]
    pub fn null() -> Self {
        Self::from_text("null")
    }

    /// Puts a list together from its items.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::list([Value::from(1), Value::from("a")]).json(), r#"[1,"a"]"#);
    /// ```
    #[must_use]
    pub fn list(items: impl IntoIterator<Item = Self>) -> Self {
        let mut text = String::from("[");
        for item in items {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(item.json());
        }
        text.push(']');
        Self::from_text(text)
    }

    /// Puts a map together from its entries; of equal keys the first counts.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::map([("a", Value::from(1)), ("b", Value::null())]).json(), r#"{"a":1,"b":null}"#);
    /// ```
    #[must_use]
    pub fn map<K: AsRef<str>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let mut text = String::from("{");
        for (key, value) in entries {
            if text.len() > 1 {
                text.push(',');
            }
            read::push_quoted(&mut text, key.as_ref());
            text.push(':');
            text.push_str(value.json());
        }
        text.push('}');
        Self::from_text(text)
    }

    /// The compact JSON text.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.0
    }

    /// The kind that the JSON text shows: one of null, boolean, integer, float, string, list and map.
    ///
    /// A number with a fraction or an exponent is a float, `1.0` and `1e3` included.
    ///
    /// ```
    /// use dust_transport::model::{Value, ValueKind};
    /// assert_eq!(Value::from(7).kind(), ValueKind::Integer);
    /// assert_eq!(Value::from_json("1e3")?.kind(), ValueKind::Float);
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        match self.0.as_bytes().first() {
            Some(b'"') => ValueKind::String,
            Some(b'{') => ValueKind::Map,
            Some(b'[') => ValueKind::List,
            Some(b't' | b'f') => ValueKind::Boolean,
            Some(b'n') | None => ValueKind::Null,
            Some(_) if read::is_integer(&self.0) => ValueKind::Integer,
            Some(_) => ValueKind::Float,
        }
    }

    /// Whether this is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.kind() == ValueKind::Null
    }

    /// Whether this is an object.
    #[must_use]
    pub fn is_map(&self) -> bool {
        self.0.starts_with('{')
    }

    /// The string, if this is one.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_json(r#""a\u0062""#)?.str().as_deref(), Some("ab"));
    /// assert_eq!(Value::from(1).str(), None);
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn str(&self) -> Option<Cow<'_, str>> {
        read::unquote(&self.0)
    }

    /// The items, if this is a list.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_json("[1,[2]]")?.items().unwrap()[1].json(), "[2]");
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn items(&self) -> Option<Vec<Self>> {
        self.0
            .starts_with('[')
            .then(|| read::items(&self.0).map(Self::from_text).collect())
    }

    /// The keys and values, if this is a map; of equal keys the first.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// let value = Value::from_json(r#"{"a":1,"b":{"c":2},"a":3}"#)?;
    /// let entries = value.entries().unwrap();
    /// assert_eq!(entries[0], ("a".to_owned(), Value::from(1)));
    /// assert_eq!(entries[1].1.json(), r#"{"c":2}"#);
    /// assert_eq!(entries.len(), 2);
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(String, Self)>> {
        let owned = |(key, raw): (Cow<'_, str>, &str)| (key.into_owned(), Self::from_text(raw));
        self.is_map()
            .then(|| read::entries(&self.0).into_iter().map(owned).collect())
    }

    /// Reads the value as a type that owns its data.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from_json("[1,2]")?.to::<Vec<u8>>()?, [1, 2]);
    /// assert_eq!(Value::from(-1).to::<u8>().unwrap_err().code(), "type_mismatch");
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// `Mismatch`.
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, ValueError> {
        self.read()
    }

    /// Reads the value as a type that may borrow from it.
    ///
    /// ```
    /// use dust_transport::model::Value;
    /// assert_eq!(Value::from("Dust").read::<&str>()?, "Dust");
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    ///
    /// # Errors
    /// `Mismatch`.
    pub fn read<'de, T: Deserialize<'de>>(&'de self) -> Result<T, ValueError> {
        let mut json = serde_json::Deserializer::from_str(&self.0);
        // The depth is bounded already; an assembled value may be deeper than what serde_json takes from strangers.
        json.disable_recursion_limit();
        let value = T::deserialize(&mut json).map_err(ValueError::Mismatch)?;
        // An `i128` would be read from the start of `0.5`.
        json.end().map_err(ValueError::Mismatch)?;
        Ok(value)
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        if self.0 == other.0 {
            return true;
        }
        self.kind() == other.kind() && read::Tree::read(&self.0) == read::Tree::read(&other.0)
    }
}

// Floats are finite, so equality is reflexive.
impl Eq for Value {}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Types that Rust prints as JSON does.
macro_rules! from_display {
    ($($type:ty),*) => {
        $(impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::from_text(value.to_string())
            }
        })*
    };
}

from_display!(bool, i32, i64, u32, u64);

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        let mut quoted = String::with_capacity(text.len() + 2);
        read::push_quoted(&mut quoted, text);
        Self::from_text(quoted)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl TryFrom<f64> for Value {
    type Error = ValueError;

    fn try_from(number: f64) -> Result<Self, ValueError> {
        Self::from_serialize(&number)
    }
}

/// Fails for a tree that is too deep.
impl TryFrom<serde_json::Value> for Value {
    type Error = ValueError;

    fn try_from(tree: serde_json::Value) -> Result<Self, ValueError> {
        Self::from_serialize(&tree)
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serde_json::from_str::<&RawValue>(&self.0)
                .map_err(S::Error::custom)?
                .serialize(serializer)
        } else {
            serializer.serialize_str(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            Self::from_json(Box::<RawValue>::deserialize(deserializer)?.get()).map_err(D::Error::custom)
        } else {
            Self::from_json(&String::deserialize(deserializer)?).map_err(D::Error::custom)
        }
    }
}
