//! A deserializer that gives any type some value of it.
//!
//! The rules of a record run on the whole of it. Where a field has no value yet, a sample stands in, so that what is
//! wrong with the others is found all the same.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, VariantAccess};
use serde::de::{Error as _, Visitor};

use super::CastError;

/// Texts and integers to try: types that read their own text are mostly names, times, addresses and ids, and some refuse
/// "" or zero.
const ATTEMPTS: [(&str, u8); 8] = [
    ("", 0),
    ("a", 1),
    ("1970-01-01", 1),
    ("1970-01-01T00:00:00Z", 1),
    ("00:00:00", 1),
    ("http://localhost/", 1),
    ("00000000-0000-0000-0000-000000000000", 1),
    ("127.0.0.1", 1),
];

/// How deep a type is followed; only one that holds itself goes deeper.
const LEVELS_MAX: usize = 32;

/// Some value of the type.
pub(super) fn sample<T: DeserializeOwned>() -> Result<T, CastError> {
    let attempt = |(text, integer)| {
        T::deserialize(Sample {
            text,
            integer,
            levels: LEVELS_MAX,
        })
    };
    let tried = ATTEMPTS.into_iter().map(attempt).find(Result::is_ok);
    tried.unwrap_or_else(|| Err(CastError::custom("no value of the type is known")))
}

#[derive(Clone, Copy)]
struct Sample {
    text: &'static str,
    integer: u8,
    levels: usize,
}

impl Sample {
    fn deeper(self) -> Result<Self, CastError> {
        let levels = self.levels.checked_sub(1);
        let levels = levels.ok_or_else(|| CastError::custom("the type holds itself"))?;
        Ok(Self { levels, ..self })
    }
}

impl IntoDeserializer<'_, CastError> for Sample {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

macro_rules! forward {
    ($($visit:ident($value:expr): $($method:ident)*;)*) => {
        $($(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
            visitor.$visit($value(self))
        })*)*
    };
}

impl<'de> Deserializer<'de> for Sample {
    type Error = CastError;

    forward! {
        visit_u8(|sample: Self| sample.integer): deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
            deserialize_i128 deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        visit_f64(|sample: Self| f64::from(sample.integer)): deserialize_f32 deserialize_f64;
        visit_bool(|_| false): deserialize_bool;
        visit_char(|_| 'a'): deserialize_char;
        visit_str(|sample: Self| sample.text): deserialize_str deserialize_string deserialize_identifier;
        visit_bytes(|_| &[]): deserialize_bytes deserialize_byte_buf;
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_none()
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_unit()
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_newtype_struct(self.deeper()?)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        self.deserialize_tuple(0, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_seq(SeqDeserializer::new(std::iter::repeat_n(self.deeper()?, len)))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, CastError> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        self.deserialize_struct("", &[], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CastError> {
        let sample = self.deeper()?;
        visitor.visit_map(MapDeserializer::new(fields.iter().map(|name| (*name, sample))))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CastError> {
        let variant = variants.first().ok_or_else(|| CastError::custom("no variant"))?;
        visitor.visit_enum(Variant {
            name: variant,
            content: self.deeper()?,
        })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, CastError> {
        visitor.visit_unit()
    }
}

struct Variant {
    name: &'static str,
    content: Sample,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = CastError;
    type Variant = Sample;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Sample), CastError> {
        Ok((seed.deserialize(self.name.into_deserializer())?, self.content))
    }
}

impl<'de> VariantAccess<'de> for Sample {
    type Error = CastError;

    fn unit_variant(self) -> Result<(), CastError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, CastError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, CastError> {
        self.deserialize_tuple(len, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, CastError> {
        self.deserialize_struct("", fields, visitor)
    }
}
