//! From the fields of a record to the record.

use std::borrow::Cow;
use std::fmt;

use dust_transport::model::Value;
use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::Ask;
use crate::Schema;
use crate::schema::FieldDef;

/// Why the fields of a record do not make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoadError {
    /// Serde's name of the field, where it is known which one.
    pub(crate) field: Option<Cow<'static, str>>,
    /// A required field is absent, or one without which the record cannot be built.
    pub(crate) missing: bool,
    pub(crate) message: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) => write!(f, "field `{field}`: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for LoadError {}

impl LoadError {
    fn at(field: &'static str, message: &impl ToString) -> Self {
        Self {
            field: Some(field.into()),
            missing: false,
            message: message.to_string(),
        }
    }

    fn missing(field: &'static str) -> Self {
        Self {
            field: Some(field.into()),
            missing: true,
            message: "can't be blank".into(),
        }
    }
}

impl LoadError {
    /// The field that is wrong, with its index, where it is known.
    pub(crate) fn def<S: Schema>(&self) -> Option<(usize, &'static FieldDef)> {
        let name = self.field.as_deref()?;
        S::FIELDS.iter().enumerate().find(|(_, def)| def.serde_name() == name)
    }
}

impl de::Error for LoadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            field: None,
            missing: false,
            message: message.to_string(),
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self::missing(field)
    }
}

/// Builds a record from its fields, by index of `S::FIELDS`, and refuses one whose required fields are blank.
pub(crate) fn load<S: Schema>(fields: &[Option<Value>]) -> Result<S, LoadError> {
    let blank = |(def, value): &(&FieldDef, &Option<Value>)| def.is_required() && is_blank(value.as_ref());
    match S::FIELDS.iter().zip(fields).find(blank) {
        Some((def, _)) => Err(LoadError::missing(def.serde_name())),
        None => load_unguarded(fields),
    }
}

/// Builds a record: strictly first, then with the leniency of a cast, since other clients write too.
pub(crate) fn load_unguarded<S: Schema>(fields: &[Option<Value>]) -> Result<S, LoadError> {
    let fields = with_defaults(S::FIELDS, fields);
    build(&fields).or_else(|_| mend(&fields))
}

fn build<S: Schema>(fields: &[Option<Value>]) -> Result<S, LoadError> {
    S::deserialize(Record {
        defs: S::FIELDS,
        fields,
    })
}

/// Builds a record that does not read as it lies there: casts what is there, and says for what is not there what its
/// type has for absence, each time serde asks for one.
fn mend<S: Schema>(fields: &[Option<Value>]) -> Result<S, LoadError> {
    let mut fields = loosen(S::FIELDS, fields)?;
    let mut mended: Vec<Option<LoadError>> = vec![None; fields.len()];
    loop {
        let error = match build::<S>(&fields) {
            Ok(record) => return Ok(record),
            Err(error) => error,
        };
        let Some((index, def)) = error.def::<S>() else {
            return Err(error);
        };
        let (Some(slot), Some(first)) = (fields.get_mut(index), mended.get_mut(index)) else {
            return Err(error);
        };
        if let Some(first) = first.take() {
            return Err(first);
        }
        if !say_absent_otherwise(def, slot) {
            return Err(error);
        }
        *first = Some(error);
    }
}

/// Says in another way that a field is absent; false where it is not, or there is no other way.
fn say_absent_otherwise(def: &FieldDef, slot: &mut Option<Value>) -> bool {
    *slot = match (slot.as_ref(), def.codec()) {
        // Serde demands a field with an encoding of its own, even where that reads null.
        (None, None) => Some(Value::null()),
        (Some(value), None) if value.is_null() => None,
        // A newtype of an option reads null; an empty map leaves no leaf in a store, so a type that reads one was one.
        (None, Some(answer)) => {
            let empty = [Value::null(), Value::map::<&str>([])];
            match empty.iter().find_map(|empty| answer(Ask::Load(empty)).ok()) {
                Some(value) => Some(value),
                None => return false,
            }
        }
        (Some(_), _) => return false,
    };
    true
}

/// Gives absent fields the default that their definition names.
fn with_defaults<'a>(defs: &[FieldDef], fields: &'a [Option<Value>]) -> Cow<'a, [Option<Value>]> {
    let mut fields = Cow::Borrowed(fields);
    for (index, def) in defs.iter().enumerate() {
        if fields.get(index).is_some_and(Option::is_none)
            && let Some(default) = def.default_value()
            && let Some(slot) = fields.to_mut().get_mut(index)
        {
            *slot = Some(default);
        }
    }
    fields
}

/// Neither absent, nor null, nor "": the meaning of `required`.
pub(crate) fn is_blank(value: Option<&Value>) -> bool {
    value.is_none_or(|value| value.is_null() || value.json() == "\"\"")
}

/// Casts each field that is there. A null that the type does not read is what clearing leaves behind: absent.
fn loosen(defs: &[FieldDef], fields: &[Option<Value>]) -> Result<Vec<Option<Value>>, LoadError> {
    let loosen = |(def, value): (&FieldDef, &Option<Value>)| match (value, def.codec()) {
        (Some(value), Some(answer)) => match answer(Ask::Load(value)) {
            Ok(value) => Ok(Some(value)),
            Err(_) if value.is_null() => Ok(def.default_value()),
            Err(error) => Err(LoadError::at(def.serde_name(), &error)),
        },
        (value, _) => Ok(value.clone()),
    };
    defs.iter().zip(fields).map(loosen).collect()
}

/// Drives a schema's own `Deserialize` from named values, without an intermediate tree.
struct Record<'a> {
    defs: &'static [FieldDef],
    fields: &'a [Option<Value>],
}

impl<'de> Deserializer<'de> for Record<'de> {
    type Error = LoadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, LoadError> {
        visitor.visit_map(Access {
            rest: self.defs.iter().zip(self.fields),
            value: None,
        })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, LoadError> {
        visitor.visit_newtype_struct(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

struct Access<'a> {
    rest: std::iter::Zip<std::slice::Iter<'static, FieldDef>, std::slice::Iter<'a, Option<Value>>>,
    value: Option<(&'static FieldDef, &'a Value)>,
}

impl<'de> MapAccess<'de> for Access<'de> {
    type Error = LoadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, LoadError> {
        for (def, value) in self.rest.by_ref() {
            if let Some(value) = value {
                self.value = Some((def, value));
                return seed
                    .deserialize(BorrowedStrDeserializer::new(def.serde_name()))
                    .map(Some);
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, LoadError> {
        let (def, value) = self
            .value
            .take()
            .ok_or_else(|| <LoadError as de::Error>::custom("a value before its name"))?;
        let mut json = serde_json::Deserializer::from_str(value.json());
        // A value's depth is bounded; one that a store assembled may be deeper than what serde_json takes from strangers.
        json.disable_recursion_limit();
        seed.deserialize(&mut json).map_err(|error| {
            let message = error.to_string();
            // Where in the value's text is nothing that the reader of the message has in front of them.
            let place = message.rfind(" at line ").filter(|_| error.line() > 0);
            let message = place.and_then(|place| message.get(..place)).unwrap_or(&message);
            LoadError::at(def.serde_name(), &message)
        })
    }
}
