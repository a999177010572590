//! A serializer around another that refuses what JSON cannot say and bounds the depth.

use std::cell::Cell;

use serde::ser::{
    Error as _, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::ValueError;

/// The first refusal; the error type of the serializer inside can carry only text.
pub(super) type Refusal = Cell<Option<ValueError>>;

/// Passes on to `inner`, with `levels` more levels allowed.
#[derive(Clone, Copy)]
pub(super) struct Guard<'r, S> {
    pub(super) inner: S,
    pub(super) levels: usize,
    pub(super) refusal: &'r Refusal,
}

/// A value on its way into a [`Guard`].
struct Guarded<'r, 'v, T: ?Sized> {
    value: &'v T,
    levels: usize,
    refusal: &'r Refusal,
}

impl<T: Serialize + ?Sized> Serialize for Guarded<'_, '_, T> {
    fn serialize<S: Serializer>(&self, inner: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(Guard {
            inner,
            levels: self.levels,
            refusal: self.refusal,
        })
    }
}

impl<'r, S: Serializer> Guard<'r, S> {
    fn refuse<T>(&self, error: ValueError) -> Result<T, S::Error> {
        let refused = S::Error::custom(&error);
        self.refusal.set(Some(error));
        Err(refused)
    }

    fn guarded<'v, T: ?Sized>(&self, value: &'v T) -> Guarded<'r, 'v, T> {
        Guarded {
            value,
            levels: self.levels,
            refusal: self.refusal,
        }
    }

    /// Opens `levels` levels by `open` on the inner serializer.
    fn nested<C>(self, levels: usize, open: impl FnOnce(S) -> Result<C, S::Error>) -> Result<Guard<'r, C>, S::Error> {
        match self.levels.checked_sub(levels) {
            Some(levels) => Ok(Guard {
                inner: open(self.inner)?,
                levels,
                refusal: self.refusal,
            }),
            None => self.refuse(ValueError::TooDeep),
        }
    }
}

/// Passes scalars on as they are.
macro_rules! forward {
    ($($method:ident($type:ty)),* $(,)?) => {
        $(fn $method(self, value: $type) -> Result<S::Ok, S::Error> {
            self.inner.$method(value)
        })*
    };
}

impl<'r, S: Serializer> Serializer for Guard<'r, S> {
    type Ok = S::Ok;
    type Error = S::Error;
    type SerializeSeq = Guard<'r, S::SerializeSeq>;
    type SerializeTuple = Guard<'r, S::SerializeTuple>;
    type SerializeTupleStruct = Guard<'r, S::SerializeTupleStruct>;
    type SerializeTupleVariant = Guard<'r, S::SerializeTupleVariant>;
    type SerializeMap = Guard<'r, S::SerializeMap>;
    type SerializeStruct = Guard<'r, S::SerializeStruct>;
    type SerializeStructVariant = Guard<'r, S::SerializeStructVariant>;

    forward! {
        serialize_bool(bool), serialize_char(char), serialize_str(&str), serialize_bytes(&[u8]),
        serialize_i8(i8), serialize_i16(i16), serialize_i32(i32), serialize_i64(i64), serialize_i128(i128),
        serialize_u8(u8), serialize_u16(u16), serialize_u32(u32), serialize_u64(u64), serialize_u128(u128),
        serialize_unit_struct(&'static str),
    }

    fn serialize_f32(self, value: f32) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            self.inner.serialize_f32(value)
        } else {
            self.refuse(ValueError::NotFinite)
        }
    }

    fn serialize_f64(self, value: f64) -> Result<S::Ok, S::Error> {
        if value.is_finite() {
            self.inner.serialize_f64(value)
        } else {
            self.refuse(ValueError::NotFinite)
        }
    }

    fn serialize_none(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_none()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        let guarded = self.guarded(value);
        self.inner.serialize_some(&guarded)
    }

    fn serialize_unit(self) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit()
    }

    fn serialize_unit_variant(self, name: &'static str, index: u32, variant: &'static str) -> Result<S::Ok, S::Error> {
        self.inner.serialize_unit_variant(name, index, variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<S::Ok, S::Error> {
        let guarded = self.guarded(value);
        self.inner.serialize_newtype_struct(name, &guarded)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<S::Ok, S::Error> {
        let guard = self.nested(1, Ok)?;
        let guarded = guard.guarded(value);
        guard.inner.serialize_newtype_variant(name, index, variant, &guarded)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Self::SerializeSeq, S::Error> {
        self.nested(1, |inner| inner.serialize_seq(len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Self::SerializeTuple, S::Error> {
        self.nested(1, |inner| inner.serialize_tuple(len))
    }

    fn serialize_tuple_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeTupleStruct, S::Error> {
        self.nested(1, |inner| inner.serialize_tuple_struct(name, len))
    }

    fn serialize_tuple_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeTupleVariant, S::Error> {
        self.nested(2, |inner| inner.serialize_tuple_variant(name, index, variant, len))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Self::SerializeMap, S::Error> {
        self.nested(1, |inner| inner.serialize_map(len))
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Self::SerializeStruct, S::Error> {
        self.nested(1, |inner| inner.serialize_struct(name, len))
    }

    fn serialize_struct_variant(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<Self::SerializeStructVariant, S::Error> {
        self.nested(2, |inner| inner.serialize_struct_variant(name, index, variant, len))
    }

    fn collect_str<T: std::fmt::Display + ?Sized>(self, value: &T) -> Result<S::Ok, S::Error> {
        self.inner.collect_str(value)
    }

    fn is_human_readable(&self) -> bool {
        self.inner.is_human_readable()
    }
}

impl<'r, C> Guard<'r, C> {
    /// The compound inside, and the value on its way into it.
    fn item<'c, 'v, T: ?Sized>(&'c mut self, value: &'v T) -> (&'c mut C, Guarded<'r, 'v, T>) {
        let guarded = Guarded {
            value,
            levels: self.levels,
            refusal: self.refusal,
        };
        (&mut self.inner, guarded)
    }
}

/// A compound whose items have no name.
macro_rules! unnamed {
    ($($trait:ident :: $method:ident),* $(,)?) => {
        $(impl<C: $trait> $trait for Guard<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
                let (inner, guarded) = self.item(value);
                inner.$method(&guarded)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

unnamed! {
    SerializeSeq::serialize_element,
    SerializeTuple::serialize_element,
    SerializeTupleStruct::serialize_field,
    SerializeTupleVariant::serialize_field,
}

/// A compound whose items have a name.
macro_rules! named {
    ($($trait:ident),* $(,)?) => {
        $(impl<C: $trait> $trait for Guard<'_, C> {
            type Ok = C::Ok;
            type Error = C::Error;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), C::Error> {
                let (inner, guarded) = self.item(value);
                inner.serialize_field(key, &guarded)
            }

            fn skip_field(&mut self, key: &'static str) -> Result<(), C::Error> {
                self.inner.skip_field(key)
            }

            fn end(self) -> Result<C::Ok, C::Error> {
                self.inner.end()
            }
        })*
    };
}

named! { SerializeStruct, SerializeStructVariant }

impl<C: SerializeMap> SerializeMap for Guard<'_, C> {
    type Ok = C::Ok;
    type Error = C::Error;

    // The serializer inside refuses what is no string, number or boolean.
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), C::Error> {
        self.inner.serialize_key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), C::Error> {
        let (inner, guarded) = self.item(value);
        inner.serialize_value(&guarded)
    }

    fn serialize_entry<K: Serialize + ?Sized, T: Serialize + ?Sized>(
        &mut self,
        key: &K,
        value: &T,
    ) -> Result<(), C::Error> {
        let (inner, guarded) = self.item(value);
        inner.serialize_entry(key, &guarded)
    }

    fn end(self) -> Result<C::Ok, C::Error> {
        self.inner.end()
    }
}
