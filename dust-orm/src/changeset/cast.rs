use dust_transport::model::{Value, ValueError};
use serde::Serialize;

use super::{Changeset, Errors, FieldChange, FieldError};
use crate::codec;
use crate::schema::{FieldDef, Schema};

impl<S: Schema> Changeset<S> {
    /// Casts what came from outside onto the changeset; every field that does not cast is an error.
    ///
    /// The input is anything that serialises to named values: a struct, a map, a `serde_json::Value`, a sequence of
    /// pairs as a form gives them. Names that the schema does not have are ignored; restrict the rest with
    /// [`only`](Self::only). The leniency is Ecto's: `"5"` is an integer where one is wanted, `"true"` and `"1"` are
    /// booleans, `""` and null clear the field.
    #[must_use]
    pub fn cast<I: Serialize + ?Sized>(mut self, input: &I) -> Self {
        match codec::capture(input) {
            Ok(captured) => captured
                .into_iter()
                .for_each(|(name, value)| self.cast_field(&name, value)),
            Err(error) => self
                .errors
                .push(FieldError::new(Errors::RECORD, "cast", error.to_string())),
        }
        self
    }

    /// Casts a JSON object, given as text.
    #[must_use]
    pub fn cast_json(mut self, text: &str) -> Self {
        match Value::from_json(text).map(|value| value.entries()) {
            Ok(Some(entries)) => entries
                .into_iter()
                .for_each(|(name, value)| self.cast_field(&name, Ok(value))),
            Ok(None) => self
                .errors
                .push(FieldError::new(Errors::RECORD, "cast", "expected a JSON object")),
            Err(error) => self
                .errors
                .push(FieldError::new(Errors::RECORD, "cast", error.to_string())),
        }
        self
    }

    fn cast_field(&mut self, name: &str, value: Result<Value, ValueError>) {
        let Some((index, def)) = S::FIELDS.iter().enumerate().find(|(_, def)| def.serde_name() == name) else {
            return;
        };
        let cast = value
            .map_err(|error| error.to_string())
            .and_then(|value| cast_value(def, value));
        match cast {
            Ok(value) => self.set(index, value),
            Err(message) => {
                self.replace(index, FieldChange::Kept);
                self.errors
                    .push(FieldError::new(def.serde_name(), "cast", "is invalid").with_param("reason", message));
            }
        }
    }
}

/// The value as the field's type writes it; `None` for what counts as empty.
fn cast_value(def: &FieldDef, value: Value) -> Result<Option<Value>, String> {
    if codec::is_blank(Some(&value)) {
        return Ok(None);
    }
    match def.caster() {
        Some(cast) => cast(&value).map(Some).map_err(|error| error.to_string()),
        // The field's encoding is its own affair; the record as a whole says whether it reads.
        None => Ok(Some(value)),
    }
}
