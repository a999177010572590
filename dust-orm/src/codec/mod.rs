//! Between records and values: dump, load and cast, driven by what serde knows of the types.

mod capture;
mod lenient;
mod record;
mod sample;

use std::borrow::Cow;
use std::fmt;

use dust_transport::model::{Value, ValueError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::Schema;
pub(crate) use record::{LoadError, is_blank, load, load_unguarded};

/// A named value of an input, or why it could not be taken.
pub(crate) type Captured = (Cow<'static, str>, Result<Value, ValueError>);

/// The name under which `serde_json` hands raw JSON text to a serializer or asks a deserializer for it. A [`Value`] is
/// such text.
const RAW_JSON: &str = "$serde_json::private::RawValue";

/// Why a value does not become a field.
///
/// ```
/// use dust_orm::Changeset;
/// # use dust_orm::DustSchema;
/// # #[derive(serde::Serialize, serde::Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, clicks: u8 }
///
/// let changeset = Changeset::<Link>::new().cast(&[("clicks", "300")]);
/// let error = changeset.errors().of("clicks").next().expect("300 is no u8");
/// assert_eq!(error.params()["reason"], "expected u8");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CastError(String);

impl CastError {
    fn new(error: &impl ToString) -> Self {
        Self(error.to_string())
    }
}

impl fmt::Display for CastError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CastError {}

/// What the library asks of the type of a field. One question with three forms, so that a field costs one function.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// The value as the type writes it, from an input: `""` is absent at every depth.
    Cast(&'a Value),
    /// The value as the type writes it, from a store: `""` is a text where the type takes one.
    Load(&'a Value),
    /// Any value of the type.
    Sample,
}

/// Answers for the type `T`.
pub(crate) fn answer<T: Serialize + DeserializeOwned>(ask: Ask<'_>) -> Result<Value, CastError> {
    let typed: T = match ask {
        // Only the lenient reading takes a nested "" for absent, so it must not be left to whether another part fails.
        Ask::Cast(value) if value.str().is_none() && value.json().contains("\"\"") => {
            lenient::decode(value).or_else(|error| value.to().map_err(|_| error))?
        }
        Ask::Cast(value) | Ask::Load(value) => decode(value)?,
        Ask::Sample => sample::sample()?,
    };
    Value::from_serialize(&typed).map_err(|error| CastError::new(&error))
}

/// Decodes a value: strictly first, since nearly all are as they should be, then leniently.
pub(crate) fn decode<T: DeserializeOwned>(value: &Value) -> Result<T, CastError> {
    value.to().or_else(|_| lenient::decode(value))
}

/// The fields of a record as values, by index of `S::FIELDS`, and those that have no JSON form. A value is `None` where
/// serde leaves the field out.
pub(crate) fn dump<S: Schema>(record: &S) -> (Vec<Option<Value>>, Vec<DumpError>) {
    let mut values = vec![None; S::FIELDS.len()];
    let captured = match capture::capture(record) {
        Ok(captured) => captured,
        Err(error) => return (values, vec![DumpError { field: None, error }]),
    };
    let mut errors = Vec::new();
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
        match value {
            Ok(value) => {
                if let Some(slot) = values.get_mut(index) {
                    *slot = Some(value);
                }
            }
            Err(error) => errors.push(DumpError {
                field: Some(name),
                error: CastError::new(&error),
            }),
        }
    }
    (values, errors)
}

/// A field of a record, or the record itself, that has no JSON form.
#[derive(Debug)]
pub(crate) struct DumpError {
    pub(crate) field: Option<Cow<'static, str>>,
    pub(crate) error: CastError,
}

/// The named values of an input: a struct, a map, a JSON object, or a sequence of pairs as a form gives them.
pub(crate) fn capture<I: Serialize + ?Sized>(input: &I) -> Result<Vec<Captured>, CastError> {
    capture::capture(input)
}
