//! A deserializer with Ecto's leniency: the type that is asked for decides how the text is read.
//!
//! `"5"` is an integer where one is wanted, `"true"` and `"1"` are booleans, an integer is a float, `""` is nothing.
//! Types that read strings themselves (dates, urls, enums) get the string as it is.

use std::fmt;

use dust_transport::model::Value;
use serde::de::value::{MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{self, DeserializeOwned, Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde_json::{Number, Value as Json};

use super::{CastError, RAW_JSON};

/// Decodes a value leniently.
pub(super) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, CastError> {
    let json: Json = value.to().map_err(|error| CastError::new(&error))?;
    T::deserialize(Lenient(json))
}

impl de::Error for CastError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(&message)
    }

    // What was found is the user's own input; it is not repeated.
    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(&format_args!("expected {expected}"))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(found, expected)
    }
}

struct Lenient(Json);

impl IntoDeserializer<'_, CastError> for Lenient {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Lenient {
    /// The number, or the number that the whole of a string is.
    fn number(&self) -> Option<Number> {
        match &self.0 {
            Json::Number(number) => Some(number.clone()),
            Json::String(text) => parse_number(text),
            _ => None,
        }
    }

    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        let number = self.number();
        if let Some(integer) = number.as_ref().and_then(Number::as_i64) {
            return visitor.visit_i64(integer);
        }
        if let Some(integer) = number.as_ref().and_then(Number::as_u64) {
            return visitor.visit_u64(integer);
        }
        Err(self.unexpected(&visitor))
    }

    /// A text of more digits than JSON numbers are held with here.
    fn wide_integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        match &self.0 {
            Json::String(text) => match (text.parse(), text.parse()) {
                (Ok(integer), _) => visitor.visit_i128(integer),
                (_, Ok(integer)) => visitor.visit_u128(integer),
                _ => Err(self.unexpected(&visitor)),
            },
            _ => self.integer(visitor),
        }
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        match self.number().and_then(|number| number.as_f64()) {
            Some(float) => visitor.visit_f64(float),
            None => Err(self.unexpected(&visitor)),
        }
    }

    fn unexpected(&self, expected: &dyn Expected) -> CastError {
        let found = match &self.0 {
            Json::Null => Unexpected::Unit,
            Json::Bool(bool) => Unexpected::Bool(*bool),
            Json::Number(number) => number.as_f64().map_or(Unexpected::Other("number"), Unexpected::Float),
            Json::String(text) => Unexpected::Str(text),
            Json::Array(_) => Unexpected::Seq,
            Json::Object(_) => Unexpected::Map,
        };
        de::Error::invalid_type(found, expected)
    }
}

/// Keys are read leniently too: those of a map of integers are text.
fn members<'de>(
    fields: serde_json::Map<String, Json>,
) -> MapDeserializer<'de, impl Iterator<Item = (Lenient, Lenient)>, CastError> {
    let lenient = |(key, value)| (Lenient(Json::String(key)), Lenient(value));
    MapDeserializer::new(fields.into_iter().map(lenient))
}

/// The number that the whole text is, as Ecto reads it: an optional sign, digits, a fraction, an exponent.
fn parse_number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    // Rust's parsers also read "inf", "nan" and "+-5", which are no numbers of a form.
    if !digits.trim_start_matches('-').starts_with(|c: char| c.is_ascii_digit())
        || (digits.len() < text.len() && digits.starts_with('-'))
    {
        return None;
    }
    let integer = digits
        .parse::<i64>()
        .map(Number::from)
        .or_else(|_| digits.parse::<u64>().map(Number::from));
    integer
        .ok()
        .or_else(|| digits.parse::<f64>().ok().and_then(Number::from_f64))
}

macro_rules! forward {
    ($($to:ident: $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
            self.$to(visitor)
        })*)*
    };
}

impl<'de> Deserializer<'de> for Lenient {
    type Error = CastError;

    forward! {
        integer: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64;
        wide_integer: deserialize_i128 deserialize_u128;
        float: deserialize_f32 deserialize_f64;
        deserialize_any: deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf
            deserialize_unit deserialize_seq deserialize_map deserialize_identifier;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        match self.0 {
            Json::Null => visitor.visit_unit(),
            Json::Bool(bool) => visitor.visit_bool(bool),
            Json::Number(ref number) if number.is_f64() => self.float(visitor),
            Json::Number(_) => self.integer(visitor),
            Json::String(text) => visitor.visit_string(text),
            Json::Array(elements) => {
                let mut sequence = SeqDeserializer::new(elements.into_iter().map(Lenient));
                let value = visitor.visit_seq(&mut sequence)?;
                sequence.end()?;
                Ok(value)
            }
            Json::Object(fields) => {
                let mut map = members(fields);
                let value = visitor.visit_map(&mut map)?;
                map.end()?;
                Ok(value)
            }
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        match &self.0 {
            Json::Bool(bool) => visitor.visit_bool(*bool),
            Json::String(text) if text == "true" || text == "1" => visitor.visit_bool(true),
            Json::String(text) if text == "false" || text == "0" => visitor.visit_bool(false),
            _ => Err(self.unexpected(&visitor)),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        match &self.0 {
            Json::Null => visitor.visit_none(),
            Json::String(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CastError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, CastError> {
        if name == RAW_JSON {
            return self
                .0
                .deserialize_newtype_struct(name, visitor)
                .map_err(de::Error::custom);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, CastError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, CastError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CastError> {
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CastError> {
        match self.0 {
            Json::Object(fields) if fields.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(members(fields)))
            }
            json => json
                .deserialize_enum(name, variants, visitor)
                .map_err(de::Error::custom),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_unit()
    }
}
