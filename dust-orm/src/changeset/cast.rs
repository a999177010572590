use std::borrow::Cow;

use dust_transport::model::{Value, ValueError};
use serde::Serialize;

use super::{Changeset, Errors, FieldChange, FieldError, rule};
use crate::codec::{self, Ask, Captured};
use crate::schema::{FieldDef, Schema};

impl<S: Schema> Changeset<S> {
    /// Casts what came from outside onto the changeset; every field that does not cast is an error.
    ///
    /// The input is anything that serialises to named values: a struct, a map, a `serde_json::Value`, a sequence of
    /// pairs as a form gives them; of values with the same name the first counts. Names that the schema does not have
    /// are ignored; restrict the rest with [`only`](Self::only). JSON that is still text is for
    /// [`cast_json`](Self::cast_json).
    ///
    /// The leniency is Ecto's: `"5"` is an integer where one is wanted, `"true"` and `"1"` are booleans, an integer is a
    /// float, and a type that reads its own text (a date, an enum) gets the text. `""` and null clear the field.
    ///
    /// ```
    /// # use dust_orm::DustSchema;
    /// use dust_orm::Changeset;
    ///
    /// # #[derive(serde::Serialize, serde::Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, clicks: u32, public: bool, note: Option<String> }
    /// let form = [("slug", "dust"), ("clicks", "5"), ("public", "1"), ("note", ""), ("extra", "ignored")];
    /// let link = Changeset::<Link>::new().cast(&form).apply().expect("every field casts");
    /// assert_eq!((link.clicks, link.public, link.note), (5, true, None));
    ///
    /// let changeset = Changeset::<Link>::new().cast(&[("clicks", "-1"), ("public", "maybe")]);
    /// assert_eq!(changeset.errors().to_string(), "clicks: is invalid; public: is invalid");
    /// ```
    #[must_use]
    pub fn cast<I: Serialize + ?Sized>(mut self, input: &I) -> Self {
        match codec::capture(input) {
            Ok(captured) => self.cast_all(captured),
            Err(error) => self.refuse(Errors::RECORD, "cast", error.to_string()),
        }
        self
    }

    /// Casts a JSON object, given as text.
    ///
    /// ```
    /// # use dust_orm::DustSchema;
    /// use dust_orm::Changeset;
    ///
    /// # #[derive(serde::Serialize, serde::Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, clicks: u32 }
    /// let changeset = Changeset::<Link>::new().cast_json(r#"{"slug": "dust", "clicks": "5"}"#);
    /// assert_eq!(changeset.get_field(Link::CLICKS), Some(5));
    ///
    /// let changeset = Changeset::<Link>::new().cast_json("[");
    /// assert_eq!(changeset.errors().to_string(), "__all__: is invalid");
    /// ```
    #[must_use]
    pub fn cast_json(mut self, text: &str) -> Self {
        match Value::from_json(text).map(|value| value.entries()) {
            Ok(Some(entries)) => self.cast_all(entries.into_iter().map(|(name, value)| (Cow::Owned(name), Ok(value)))),
            Ok(None) => self.refuse(Errors::RECORD, "cast", "expected a JSON object"),
            Err(error) => self.refuse(Errors::RECORD, "cast", error.to_string()),
        }
        self
    }

    fn cast_all(&mut self, input: impl IntoIterator<Item = Captured>) {
        let mut seen = vec![false; S::FIELDS.len()];
        for (name, value) in input {
            let def = S::FIELDS.iter().zip(&mut seen).enumerate();
            let Some((index, (def, seen))) = def.into_iter().find(|(_, (def, _))| def.serde_name() == name) else {
                continue;
            };
            if !std::mem::replace(seen, true) {
                self.cast_field(index, def, value);
            }
        }
        self.errors.sort_by_field(rule::field_order::<S>);
    }

    fn cast_field(&mut self, index: usize, def: &FieldDef, value: Result<Value, ValueError>) {
        let cast = value
            .map_err(|error| error.to_string())
            .and_then(|value| cast_value(def, value));
        match cast {
            Ok(value) => self.set(index, value),
            Err(reason) => {
                self.replace(index, FieldChange::Kept);
                self.refuse(def.serde_name(), "cast", reason);
            }
        }
    }

    /// Adds the error of a value that cannot be used, with the reason as a param.
    pub(super) fn refuse(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        code: &'static str,
        reason: impl Into<String>,
    ) {
        self.errors
            .push(FieldError::new(field, code, "is invalid").with_param("reason", reason.into()));
    }
}

/// The value as the field's type writes it; `None` for what counts as empty.
fn cast_value(def: &FieldDef, value: Value) -> Result<Option<Value>, String> {
    if codec::is_blank(Some(&value)) {
        return Ok(None);
    }
    match def.codec() {
        Some(answer) => answer(Ask::Cast(&value)).map(Some).map_err(|error| error.to_string()),
        // The field's encoding is its own affair; the record as a whole says whether it reads.
        None => Ok(Some(value)),
    }
}
