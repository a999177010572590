//! Changes of a record on their way to the store: cast, checked, applied.

mod cast;
mod error;
mod rule;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use dust_transport::model::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::field::{Field, FieldList, IntoField};
use crate::schema::Schema;
pub use error::{Errors, FieldError};

/// What happens to one field: kept as it is, cleared, or set.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FieldChange<T> {
    /// The field stays as it is.
    #[default]
    Kept,
    /// The field becomes absent.
    Cleared,
    /// The field gets this value.
    Set(T),
}

/// The changes of one record, new or existing, with every error that was found in them.
///
/// A changeset is built from what came from outside ([`Schema::changeset`], [`cast`](Self::cast)) or by the program
/// ([`put`](Self::put)), and given to `Repo::insert` or `Repo::update`, which checks it: required fields, the slug, and
/// the `validator` rules of the fields that change.
pub struct Changeset<S> {
    /// The fields of the record that is changed, by index; `None` for a new record.
    base: Option<Vec<Option<Value>>>,
    changes: Vec<FieldChange<Value>>,
    errors: Errors,
    schema: PhantomData<fn() -> S>,
}

impl<S> Changeset<S> {
    /// The errors that were found so far. `Repo` finds the rest when it checks the changeset, as does
    /// [`validate`](Self::validate).
    #[must_use]
    pub fn errors(&self) -> &Errors {
        &self.errors
    }

    /// Whether no error was found so far.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether the changeset is of a record that exists already.
    #[must_use]
    pub fn is_update(&self) -> bool {
        self.base.is_some()
    }
}

impl<S: Schema> Changeset<S> {
    /// Begins a new record, empty.
    #[must_use]
    pub fn new() -> Self {
        Self {
            base: None,
            changes: S::FIELDS.iter().map(|_| FieldChange::Kept).collect(),
            errors: Errors::default(),
            schema: PhantomData,
        }
    }

    /// Begins a change of an existing record; [`Schema::change`] is the short form.
    #[must_use]
    pub fn of(record: &S) -> Self {
        let mut changeset = Self::new();
        let (fields, errors) = codec::dump(record);
        changeset.base = Some(fields);
        for error in errors {
            let field = error.field.unwrap_or(Cow::Borrowed(Errors::RECORD));
            changeset.refuse(field, "serialize", error.error.to_string());
        }
        changeset
    }

    /// Takes over every field of a record the program made itself, as changes of a new record.
    pub(crate) fn whole(record: &S) -> Self {
        let mut changeset = Self::of(record);
        if let Some(fields) = changeset.base.take() {
            for (change, value) in changeset.changes.iter_mut().zip(fields) {
                if let Some(value) = value.filter(|value| !value.is_null()) {
                    *change = FieldChange::Set(value);
                }
            }
        }
        changeset
    }

    /// Keeps, of the changes and errors so far, those of the given fields: the allow list of a cast.
    ///
    /// What is put afterwards is the program's own and is not restricted.
    #[must_use]
    pub fn only(mut self, fields: impl FieldList<S>) -> Self {
        let permitted = fields.indexes();
        for (index, (def, change)) in S::FIELDS.iter().zip(&mut self.changes).enumerate() {
            if !permitted.contains(&index) {
                *change = FieldChange::Kept;
                self.errors.remove(def.serde_name());
            }
        }
        self
    }

    /// Sets a field.
    #[must_use]
    pub fn put<T: Serialize>(mut self, field: Field<S, T>, value: impl IntoField<T>) -> Self {
        match Value::from_serialize(&value.into_field()) {
            Ok(value) => self.set(field.index(), Some(value)),
            Err(error) => self.refuse(field.name(), "serialize", error.to_string()),
        }
        self
    }

    /// Clears a field: absent in the store, `None` or the default in the record.
    #[must_use]
    pub fn clear<T>(mut self, field: Field<S, T>) -> Self {
        self.set(field.index(), None);
        self
    }

    /// Takes a change of a field back.
    #[must_use]
    pub fn keep<T>(mut self, field: Field<S, T>) -> Self {
        self.replace(field.index(), FieldChange::Kept);
        self
    }

    /// Adds an error; the changeset is not valid any more.
    #[must_use]
    pub fn add_error<T>(
        mut self,
        field: Field<S, T>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.errors.push(FieldError::new(field.name(), code, message));
        self
    }

    /// Takes over the changes and errors of another changeset of the same record; where both change a field, the
    /// other's change stands.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (index, change) in other.changes.into_iter().enumerate() {
            if change != FieldChange::Kept {
                self.replace(index, change);
            }
        }
        if self.base.is_none() {
            self.base = other.base;
        }
        self.errors.extend(other.errors);
        self
    }

    /// What happens to a field. A value that does not read as `T` any more (it cannot after a cast) counts as kept.
    #[must_use]
    pub fn get_change<T: DeserializeOwned>(&self, field: Field<S, T>) -> FieldChange<T> {
        match self.changes.get(field.index()) {
            Some(FieldChange::Set(value)) => codec::decode(value).map_or(FieldChange::Kept, FieldChange::Set),
            Some(FieldChange::Cleared) => FieldChange::Cleared,
            Some(FieldChange::Kept) | None => FieldChange::Kept,
        }
    }

    /// The field as the record will have it: the change, else what the record has, else the default that
    /// `#[dust(default)]` names. `None` where it is absent.
    #[must_use]
    pub fn get_field<T: DeserializeOwned>(&self, field: Field<S, T>) -> Option<T> {
        let default = || field.def().default_value();
        let value = self.value(field.index()).cloned().or_else(default)?;
        codec::decode(&value).ok()
    }

    /// Whether a field changes.
    #[must_use]
    pub fn changed<T>(&self, field: Field<S, T>) -> bool {
        self.changes
            .get(field.index())
            .is_some_and(|change| *change != FieldChange::Kept)
    }

    /// The fields that change, with serde's names.
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &FieldChange<Value>)> {
        S::FIELDS
            .iter()
            .map(crate::schema::FieldDef::serde_name)
            .zip(&self.changes)
            .filter(|(_, change)| **change != FieldChange::Kept)
    }

    /// Finds every error: required fields, the slug, and the rules of the fields that change.
    #[must_use]
    pub fn validate(mut self) -> Self {
        rule::check(&mut self);
        self
    }

    /// Checks the changes and applies them to the record.
    ///
    /// # Errors
    /// The changeset itself, with every error in it.
    pub fn apply(mut self) -> Result<S, Box<Self>> {
        rule::check(&mut self).ok_or_else(|| Box::new(self))
    }

    /// The fields of the record with the changes applied.
    pub(crate) fn merged(&self) -> Vec<Option<Value>> {
        (0..S::FIELDS.len()).map(|index| self.value(index).cloned()).collect()
    }

    /// The fields of the record before the changes.
    pub(crate) fn base(&self) -> Option<&[Option<Value>]> {
        self.base.as_deref()
    }

    /// The change of each field, by index.
    pub(crate) fn change_list(&self) -> &[FieldChange<Value>] {
        &self.changes
    }

    /// The slug that the record has or gets.
    pub(crate) fn slug(&self) -> Option<String> {
        self.value(S::SLUG_INDEX)?.str().map(Cow::into_owned)
    }

    fn value(&self, index: usize) -> Option<&Value> {
        match self.changes.get(index)? {
            FieldChange::Set(value) => Some(value),
            FieldChange::Cleared => None,
            FieldChange::Kept => self.base.as_ref()?.get(index)?.as_ref(),
        }
    }

    /// Sets or clears a field, unless that is what the record has already.
    fn set(&mut self, index: usize, value: Option<Value>) {
        let value = value.filter(|value| !value.is_null());
        let current = self
            .base
            .as_ref()
            .and_then(|base| base.get(index)?.as_ref())
            .filter(|value| !value.is_null());
        let change = match value {
            value if self.base.is_some() && value.as_ref() == current => FieldChange::Kept,
            Some(value) => FieldChange::Set(value),
            None => FieldChange::Cleared,
        };
        self.replace(index, change);
    }

    fn replace(&mut self, index: usize, change: FieldChange<Value>) {
        if let Some(slot) = self.changes.get_mut(index) {
            *slot = change;
        }
    }
}

impl<S: Schema> Default for Changeset<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl<S: Schema> From<S> for Changeset<S> {
    fn from(record: S) -> Self {
        Self::whole(&record)
    }
}

impl<S: Schema> From<&S> for Changeset<S> {
    fn from(record: &S) -> Self {
        Self::whole(record)
    }
}

impl<S> Clone for Changeset<S> {
    fn clone(&self) -> Self {
        Self {
            base: self.base.clone(),
            changes: self.changes.clone(),
            errors: self.errors.clone(),
            schema: PhantomData,
        }
    }
}

impl<S: Schema> fmt::Debug for Changeset<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut changes = f.debug_struct(S::NAME);
        for (name, change) in self.changes() {
            changes.field(name, change);
        }
        changes.field("errors", &self.errors).finish_non_exhaustive()
    }
}
