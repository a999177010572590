//! Between records and values: dump, load and cast, driven by what serde knows of the types.

mod capture;
mod lenient;
mod record;

use std::borrow::Cow;
use std::fmt;

use dust_transport::model::{Value, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Schema;
pub(crate) use record::{LoadError, is_blank, load, load_unguarded, placeholder};

/// A named value of an input, or why it could not be taken.
pub(crate) type Captured = (Cow<'static, str>, Result<Value, ValueError>);

/// Why a value does not become a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastError {
    /// What the field's type wanted, in serde's words; empty when it did not say.
    pub(crate) expected: String,
    /// What the type said against the value, when it said more than which type it wanted.
    pub(crate) detail: Option<String>,
}

impl fmt::Display for CastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => f.write_str(detail),
            None => write!(f, "expected {}", self.expected),
        }
    }
}

impl std::error::Error for CastError {}

/// Casts a value to `T` with Ecto's leniency and gives it back in the form in which `T` serialises.
pub(crate) fn cast<T: Serialize + DeserializeOwned>(value: &Value) -> Result<Value, CastError> {
    let typed: T = decode(value)?;
    Value::from_serialize(&typed).map_err(|error| CastError {
        expected: String::new(),
        detail: Some(error.to_string()),
    })
}

/// Decodes a value: strictly first, since nearly all are as they should be, then leniently.
pub(crate) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, CastError> {
    match value.to::<T>() {
        Ok(typed) => Ok(typed),
        Err(_) => lenient::decode(value),
    }
}

/// The fields of a record as values, by index of `S::FIELDS`; `None` where serde leaves the field out.
pub(crate) fn dump<S: Schema>(record: &S) -> Result<Vec<Option<Value>>, DumpError> {
    let captured = capture::capture(record).map_err(|error| DumpError {
        field: S::NAME.into(),
        error: error.to_string(),
    })?;
    let mut values = vec![None; S::FIELDS.len()];
    let mut next = 0;
    for (name, value) in captured {
        // Serde goes through the fields in the order of their declaration, so the next one is nearly always it.
        let Some(index) = (next..S::FIELDS.len())
            .chain(0..next)
            .find(|&i| S::FIELDS.get(i).is_some_and(|f| f.serde_name() == name))
        else {
            continue;
        };
        next = index + 1;
        let value = value.map_err(|error| DumpError {
            field: name,
            error: error.to_string(),
        })?;
        if let Some(slot) = values.get_mut(index) {
            *slot = Some(value);
        }
    }
    Ok(values)
}

/// A field of a record that has no JSON form.
#[derive(Debug)]
pub(crate) struct DumpError {
    pub(crate) field: Cow<'static, str>,
    pub(crate) error: String,
}

/// The named values of an input: a struct, a map, a JSON object, or a sequence of pairs as a form gives them.
pub(crate) fn capture<I: Serialize + ?Sized>(input: &I) -> Result<Vec<Captured>, CastError> {
    capture::capture(input).map_err(|error| CastError {
        expected: "a map of fields".into(),
        detail: Some(error.to_string()),
    })
}
