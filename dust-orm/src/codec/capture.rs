//! A serializer that takes a struct or a map apart into its named values.

use std::borrow::Cow;
use std::fmt;

use dust_transport::model::{Value, ValueError};
use serde::ser::{self, Impossible, Serialize};

use super::{Captured, CastError, RAW_JSON};

/// Takes `input` apart.
pub(super) fn capture<I: Serialize + ?Sized>(input: &I) -> Result<Vec<Captured>, CastError> {
    input.serialize(Capture)
}

impl ser::Error for CastError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(&message)
    }
}

fn not_a_map<T>(found: &str) -> Result<T, CastError> {
    Err(CastError::new(&format_args!("expected a map of fields, found {found}")))
}

struct Capture;

#[derive(Default)]
struct Fields {
    fields: Vec<Captured>,
    key: Option<String>,
}

/// Collects the elements of a sequence, each of which must be a pair of a name and a value.
#[derive(Default)]
struct Pairs(Vec<Captured>);

macro_rules! refuse {
    ($($method:ident($type:ty) = $found:literal;)*) => {
        $(fn $method(self, _: $type) -> Result<Self::Ok, CastError> { not_a_map($found) })*
    };
}

impl ser::Serializer for Capture {
    type Ok = Vec<Captured>;
    type Error = CastError;
    type SerializeSeq = Pairs;
    type SerializeTuple = Pairs;
    type SerializeTupleStruct = Impossible<Self::Ok, CastError>;
    type SerializeTupleVariant = Impossible<Self::Ok, CastError>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Impossible<Self::Ok, CastError>;

    refuse! {
        serialize_bool(bool) = "a boolean";
        serialize_i8(i8) = "an integer";
        serialize_i16(i16) = "an integer";
        serialize_i32(i32) = "an integer";
        serialize_i64(i64) = "an integer";
        serialize_u8(u8) = "an integer";
        serialize_u16(u16) = "an integer";
        serialize_u32(u32) = "an integer";
        serialize_u64(u64) = "an integer";
        serialize_f32(f32) = "a number";
        serialize_f64(f64) = "a number";
        serialize_char(char) = "a string";
        serialize_str(&str) = "a string";
        serialize_bytes(&[u8]) = "bytes";
        serialize_unit_struct(&'static str) = "a unit struct";
    }

    fn serialize_none(self) -> Result<Self::Ok, CastError> {
        not_a_map("null")
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Self::Ok, CastError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<Self::Ok, CastError> {
        not_a_map("null")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, _: &'static str) -> Result<Self::Ok, CastError> {
        not_a_map("an enum")
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, CastError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Self::Ok, CastError> {
        not_a_map("an enum")
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Pairs, CastError> {
        Ok(Pairs::default())
    }

    fn serialize_tuple(self, _: usize) -> Result<Pairs, CastError> {
        Ok(Pairs::default())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, CastError> {
        not_a_map("a tuple struct")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, CastError> {
        not_a_map("an enum")
    }

    fn serialize_map(self, size: Option<usize>) -> Result<Fields, CastError> {
        // The size is the input's word; a wrong one must not allocate more than the fields themselves will.
        Ok(Fields {
            fields: Vec::with_capacity(size.unwrap_or(0).min(64)),
            key: None,
        })
    }

    fn serialize_struct(self, _: &'static str, size: usize) -> Result<Fields, CastError> {
        self.serialize_map(Some(size))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, CastError> {
        not_a_map("an enum")
    }
}

/// The members of an object that is given as a string of JSON.
fn members(text: &Value) -> Result<Vec<Captured>, CastError> {
    let object = Value::from_json(&text.str().unwrap_or_default()).map_err(|error| CastError::new(&error))?;
    let Some(entries) = object.entries() else {
        return not_a_map(object.kind().as_str());
    };
    Ok(entries
        .into_iter()
        .map(|(name, value)| (Cow::Owned(name), Ok(value)))
        .collect())
}

impl ser::SerializeStruct for Fields {
    type Ok = Vec<Captured>;
    type Error = CastError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), CastError> {
        let value = Value::from_serialize(value);
        if name == RAW_JSON {
            self.fields = members(&value.map_err(|error| CastError::new(&error))?)?;
        } else {
            self.fields.push((Cow::Borrowed(name), value));
        }
        Ok(())
    }

    fn end(self) -> Result<Self::Ok, CastError> {
        Ok(self.fields)
    }
}

impl ser::SerializeMap for Fields {
    type Ok = Vec<Captured>;
    type Error = CastError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), CastError> {
        let key = Value::from_serialize(key).map_err(|error| CastError::new(&error))?;
        match key.str() {
            Some(name) => self.key = Some(name.into_owned()),
            None => {
                return Err(CastError::new(&format_args!(
                    "expected the name of a field, found {key}"
                )));
            }
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), CastError> {
        let name = self.key.take().unwrap_or_default();
        self.fields.push((Cow::Owned(name), Value::from_serialize(value)));
        Ok(())
    }

    fn end(self) -> Result<Self::Ok, CastError> {
        Ok(self.fields)
    }
}

impl Pairs {
    fn push<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), CastError> {
        let pair = || -> Result<(String, Value), ValueError> { Value::from_serialize(element)?.to() };
        let (name, value) = pair().map_err(|_| CastError::new(&"expected pairs of a name and a value"))?;
        self.0.push((Cow::Owned(name), Ok(value)));
        Ok(())
    }
}

impl ser::SerializeSeq for Pairs {
    type Ok = Vec<Captured>;
    type Error = CastError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), CastError> {
        self.push(element)
    }

    fn end(self) -> Result<Self::Ok, CastError> {
        Ok(self.0)
    }
}

impl ser::SerializeTuple for Pairs {
    type Ok = Vec<Captured>;
    type Error = CastError;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, element: &T) -> Result<(), CastError> {
        self.push(element)
    }

    fn end(self) -> Result<Self::Ok, CastError> {
        Ok(self.0)
    }
}
