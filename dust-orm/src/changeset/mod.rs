//! Changes of a record on their way to the store: cast, checked, applied.

mod cast;
mod error;
mod message;
mod rule;

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use dust_transport::model::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::codec;
use crate::field::{Field, FieldList, IntoField, ReadAs};
use crate::schema::Schema;
pub use error::{Errors, FieldError};

/// What happens to one field: kept as it is, cleared, or set.
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// let link = Link { slug: "dust".into(), title: "Dust".into(), note: Some("to read".into()) };
/// let change = link.change().cast(&[("title", "Dust"), ("note", "")]);
/// assert_eq!(change.get_change(Link::TITLE), FieldChange::Kept);
/// assert_eq!(change.get_change::<_, String>(Link::NOTE), FieldChange::Cleared);
/// assert_eq!(change.put(Link::NOTE, "read").get_change(Link::NOTE), FieldChange::Set(Some("read".into())));
/// ```
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
/// the `validator` rules, in an update those of the fields that change.
///
/// ```
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize, Validate, DustSchema)]
/// #[dust(prefix = "links")]
/// struct Link {
///     slug: String,
///     #[dust(required)]
///     #[validate(length(max = 20))]
///     title: String,
///     clicks: u32,
///     note: Option<String>,
/// }
///
/// // What came from outside: only the fields that may come from there, and every error at once.
/// let form = [("slug", "dust"), ("title", ""), ("clicks", "many"), ("note", "not permitted")];
/// let changeset = Link::changeset(&form).only((Link::SLUG, Link::TITLE, Link::CLICKS)).validate();
/// assert_eq!(changeset.errors().to_string(), "title: can't be blank; clicks: is invalid");
///
/// // What the program changes itself.
/// let link = Link { slug: "dust".into(), title: "Dust".into(), clicks: 1, note: None };
/// let changed = link.change().put(Link::CLICKS, 2).apply().map_err(|changeset| changeset.errors().clone())?;
/// assert_eq!((changed.title.as_str(), changed.clicks), ("Dust", 2));
/// # Ok::<(), dust_orm::Errors>(())
/// ```
///
/// # Example: showing a form again
/// An error keeps the changeset, with what was entered where it could be read.
///
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// let Err(changeset) = Link::changeset(&[("slug", "dust"), ("note", "to read")]).apply() else {
///     unreachable!("the title is missing");
/// };
/// assert_eq!(changeset.get_field(Link::SLUG).as_deref(), Some("dust"));
/// assert_eq!(changeset.errors().of("title").map(|error| error.message()).collect::<Vec<_>>(), ["can't be blank"]);
/// ```
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
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let new = Changeset::<Link>::new().put(Link::SLUG, "dust").put(Link::TITLE, "Dust");
    /// assert!(!new.is_update());
    /// assert_eq!(new.apply().ok().map(|link| link.title).as_deref(), Some("Dust"));
    /// ```
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
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let link = Link { slug: "dust".into(), title: "Dust".into(), note: None };
    /// let change = Changeset::of(&link);
    /// assert!(change.is_update() && change.is_valid());
    /// assert_eq!(change.changes().count(), 0);
    /// ```
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
    /// What is put afterwards is the program's own and is not restricted. The list is one field, an array of fields of
    /// one type, or a tuple of any of these.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let form = [("slug", "dust"), ("title", "Dust"), ("note", "not permitted")];
    /// let changeset = Link::changeset(&form).only([Link::SLUG, Link::TITLE]).put(Link::NOTE, "mine");
    /// assert_eq!(changeset.get_field(Link::NOTE).flatten().as_deref(), Some("mine"));
    /// ```
    #[must_use]
    pub fn only(mut self, fields: impl FieldList<S>) -> Self {
        let permitted = fields.indexes();
        for (index, change) in self.changes.iter_mut().enumerate() {
            if !permitted.contains(&index) {
                *change = FieldChange::Kept;
            }
        }
        self.errors.retain(|field| {
            let index = rule::field_order::<S>(field);
            index == S::FIELDS.len() || permitted.contains(&index)
        });
        self
    }

    /// Sets a field: a `T`, for an option also what is inside it, for a `String` also a `&str`.
    ///
    /// A value that the record has already is no change; `None` clears.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let link = Link { slug: "dust".into(), title: "Dust".into(), note: Some("to read".into()) };
    /// assert!(!link.change().put(Link::TITLE, "Dust").changed(Link::TITLE));
    /// let change = link.change().put(Link::TITLE, String::from("Dust, the layer")).put(Link::NOTE, None);
    /// assert_eq!(change.get_change::<_, String>(Link::NOTE), FieldChange::Cleared);
    /// ```
    #[must_use]
    pub fn put<T: Serialize>(mut self, field: Field<S, T>, value: impl IntoField<T>) -> Self {
        match Value::from_serialize(&value.into_field()) {
            Ok(value) => self.set(field.index(), Some(value)),
            Err(error) => self.refuse(field.name(), "serialize", error.to_string()),
        }
        self
    }

    /// Clears a field: absent in the store, `None` or the default in the record. One that is absent already stays as it
    /// is, and one that cannot be absent is an error of the check.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let link = Link { slug: "dust".into(), title: "Dust".into(), note: Some("to read".into()) };
    /// assert_eq!(link.change().clear(Link::NOTE).apply().map(|link| link.note).ok(), Some(None));
    /// assert_eq!(link.change().clear(Link::TITLE).validate().errors().to_string(), "title: can't be blank");
    /// ```
    #[must_use]
    pub fn clear<T>(mut self, field: Field<S, T>) -> Self {
        self.set(field.index(), None);
        self
    }

    /// Takes a change of a field back; its errors stay.
    #[must_use]
    pub fn keep<T>(mut self, field: Field<S, T>) -> Self {
        self.replace(field.index(), FieldChange::Kept);
        self
    }

    /// Adds an error that the program found itself; the changeset is not valid any more.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let changeset = Link::changeset(&[("slug", "dust"), ("title", "Dust")]);
    /// let changeset = changeset.add_error(Link::SLUG, "taken", "has been taken");
    /// assert!(!changeset.is_valid());
    /// assert_eq!(changeset.errors().to_string(), "slug: has been taken");
    /// ```
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

    /// The same with what the store has said of a field.
    pub(crate) fn refused(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    /// Takes over the changes and errors of another changeset of the same record; where both change a field, the
    /// other's change stands.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let link = Link { slug: "dust".into(), title: "Dust".into(), note: None };
    /// let (left, right) = (link.change().put(Link::TITLE, "Left"), link.change().put(Link::NOTE, "right"));
    /// let merged = left.merge(right).apply().map_err(|changeset| changeset.errors().clone())?;
    /// assert_eq!((merged.title.as_str(), merged.note.as_deref()), ("Left", Some("right")));
    /// # Ok::<(), dust_orm::Errors>(())
    /// ```
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

    /// What happens to a field: kept, cleared, or set to a value of its type, for an `Option<T>` to a `T`.
    #[must_use]
    pub fn get_change<T, V: DeserializeOwned>(&self, field: Field<S, T>) -> FieldChange<V>
    where
        Field<S, T>: ReadAs<V>,
    {
        match self.changes.get(field.index()) {
            Some(FieldChange::Set(value)) => codec::decode(value).map_or(FieldChange::Kept, FieldChange::Set),
            Some(FieldChange::Cleared) => FieldChange::Cleared,
            Some(FieldChange::Kept) | None => FieldChange::Kept,
        }
    }

    /// The field as the record will have it: the change, else what the record has, else the default that
    /// `#[dust(default)]` names.
    ///
    /// `None` where it is absent; a field that is an `Option<T>` is read as a `T`.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let link = Link { slug: "dust".into(), title: "Dust".into(), note: None };
    /// let change = link.change().put(Link::TITLE, "Dust, the layer");
    /// assert_eq!(change.get_field(Link::TITLE).as_deref(), Some("Dust, the layer"));
    /// assert_eq!(change.get_field(Link::SLUG).as_deref(), Some("dust"));
    /// let note: Option<String> = change.get_field(Link::NOTE);
    /// assert_eq!(note, None);
    /// ```
    #[must_use]
    pub fn get_field<T, V: DeserializeOwned>(&self, field: Field<S, T>) -> Option<V>
    where
        Field<S, T>: ReadAs<V>,
    {
        let value = self.value(field.index()).filter(|value| !value.is_null());
        let value = value.cloned().or_else(|| field.def().default_value())?;
        codec::decode(&value).ok()
    }

    /// Whether a field changes.
    #[must_use]
    pub fn changed<T>(&self, field: Field<S, T>) -> bool {
        self.changes
            .get(field.index())
            .is_some_and(|change| *change != FieldChange::Kept)
    }

    /// The fields that change, with serde's names, in the order of the fields.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let changeset = Link::changeset(&[("title", "Dust"), ("note", "")]);
    /// let names: Vec<_> = changeset.changes().map(|(name, _)| name).collect();
    /// assert_eq!(names, ["title", "note"]);
    /// ```
    pub fn changes(&self) -> impl Iterator<Item = (&'static str, &FieldChange<Value>)> {
        S::FIELDS
            .iter()
            .map(crate::schema::FieldDef::serde_name)
            .zip(&self.changes)
            .filter(|(_, change)| **change != FieldChange::Kept)
    }

    /// Finds every error: required fields, the slug, and the `validator` rules. In an update, a rule of a field runs only
    /// where the field changes, and a rule of the record only where anything does.
    ///
    /// Running it twice finds nothing twice; an error stays until a new changeset is made.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let changeset = Link::changeset(&[("slug", "a\0b")]);
    /// assert!(changeset.is_valid(), "each field casts");
    /// let changeset = changeset.validate();
    /// assert_eq!(changeset.errors().to_string(), "slug: is invalid; title: can't be blank");
    /// ```
    #[must_use]
    pub fn validate(mut self) -> Self {
        rule::check(&mut self);
        self
    }

    /// Checks the changes and applies them to the record.
    ///
    /// # Errors
    /// The changeset itself, with every error in it.
    ///
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// # #[derive(Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
    /// let link = Link { slug: "dust".into(), title: "Dust".into(), note: None };
    /// let edited = link.change().put(Link::NOTE, "read").apply();
    /// assert_eq!(edited.ok().and_then(|link| link.note).as_deref(), Some("read"));
    /// assert!(link.change().put(Link::TITLE, "").apply().is_err());
    /// ```
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
