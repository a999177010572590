use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Serialize, Serializer};

/// One thing that is wrong with one field.
///
/// Serialises as `{"code": .., "message": .., "params": {..}}`.
///
/// ```
/// use dust_orm::FieldError;
///
/// let error = FieldError::new("title", "too_long", "is too long").with_param("max", 80);
/// assert_eq!(error.to_string(), "title: is too long");
/// assert_eq!((error.field(), error.code(), &error.params()["max"]), ("title", "too_long", &80.into()));
/// ```
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

    pub(crate) fn unique(field: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, "unique", "has already been taken")
    }

    pub(crate) fn required(field: impl Into<Cow<'static, str>>) -> Self {
        Self::new(field, "required", "can't be blank")
    }

    /// Serde's name of the field, [`Errors::RECORD`] for the record as a whole. Inside a nested field it is a path, such
    /// as `address.zip` or `items[0].zip`, with the names that Rust has for what is nested.
    #[must_use]
    pub fn field(&self) -> &str {
        &self.field
    }

    /// What is wrong, for programs: the code of a `validator` rule, what [`Changeset::add_error`] was given, or one of
    ///
    /// | code | means |
    /// |---|---|
    /// | `required` | the field is absent, null or "", and must not be |
    /// | `cast` | what was given is not of the field's type; the param `reason` says more |
    /// | `serialize` | a value of the program's own has no JSON form, such as NaN; with `reason` |
    /// | `slug` | the slug is no segment of a path; with `reason` |
    /// | `unique` | the store has another record with this value in a unique index; on the first field of the index |
    /// | `immutable` | the slug of a record that exists would change |
    ///
    /// [`Changeset::add_error`]: crate::Changeset::add_error
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
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, clicks: u32 }
/// let changeset = Link::changeset(&[("slug", "dust"), ("clicks", "many")]).validate();
/// let errors = changeset.errors();
/// assert_eq!(errors.to_string(), "title: can't be blank; clicks: is invalid");
/// assert_eq!(errors.of("title").count(), 1);
/// assert_eq!(
///     serde_json::to_string(errors)?,
///     concat!(
///         r#"{"clicks":[{"code":"cast","message":"is invalid","params":{"reason":"expected u32"}}],"#,
///         r#""title":[{"code":"required","message":"can't be blank","params":{}}]}"#,
///     ),
/// );
/// # Ok::<(), serde_json::Error>(())
/// ```
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

    pub(crate) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|error| is_kept(&error.field));
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
