use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// One thing that is wrong with one field.
///
/// Serialises as `{"code": .., "message": .., "params": {..}}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FieldError {
    #[serde(skip)]
    field: Cow<'static, str>,
    code: Cow<'static, str>,
    message: Cow<'static, str>,
    params: BTreeMap<Cow<'static, str>, serde_json::Value>,
}

impl FieldError {
    /// An error without params.
    #[must_use]
    pub fn new(
        field: impl Into<Cow<'static, str>>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            field: field.into(),
            code: code.into(),
            message: message.into(),
            params: BTreeMap::new(),
        }
    }

    /// Adds a param: what a translation of the message needs.
    #[must_use]
    pub fn with_param(mut self, name: impl Into<Cow<'static, str>>, value: impl Into<serde_json::Value>) -> Self {
        self.params.insert(name.into(), value.into());
        self
    }

    pub(crate) fn required(field: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, "required", "can't be blank")
    }

    /// Serde's name of the field; a path such as `address.zip` or `tags[0]` inside a nested one; `__all__` for the
    /// record as a whole.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, for programs: `required`, `cast`, `slug`, `immutable`, or the code of a `validator` rule.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// What is wrong, for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What a translation of the message needs, by name.
    #[must_use]
    pub fn params(&self) -> &BTreeMap<Cow<'static, str>, serde_json::Value> {
        &self.params
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Everything that is wrong with a changeset.
///
/// Serialises as a map from field to the list of its errors, ready for a form.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Errors(Vec<FieldError>);

impl Errors {
    /// The field under which errors of the record as a whole stand.
    pub const RECORD: &'static str = "__all__";

    /// The errors: after a cast or a check in the order of the fields, those of the record as a whole last.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// The errors of one field, by serde's name.
    pub fn of(&self, field: &str) -> impl Iterator<Item = &FieldError> {
        self.0.iter().filter(move |error| error.field == field)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds an error, once: a check that runs twice does not report twice.
    pub(crate) fn push(&mut self, error: FieldError) {
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    pub(crate) fn extend(&mut self, others: Errors) {
        others.0.into_iter().for_each(|error| self.push(error));
    }

    pub(crate) fn remove(&mut self, field: &str) {
        self.0.retain(|error| error.field != field);
    }

    /// Sorts by a key of the field, so that the order does not depend on which check found what.
    pub(crate) fn sort_by_field<K: Ord>(&mut self, key: impl Fn(&str) -> K) {
        self.0.sort_by_key(|error| key(&error.field));
    }

    pub(crate) fn has(&self, field: &str) -> bool {
        self.of(field).next().is_some()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.iter().enumerate() {
            write!(f, "{}{error}", if index == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl Serialize for Errors {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let mut by_field: BTreeMap<&str, Vec<&FieldError>> = BTreeMap::new();
        for error in self {
            by_field.entry(error.field()).or_default().push(error);
        }
        serializer.collect_map(by_field)
    }
}
