//! What a record is to the library: a table of data that `#[derive(DustSchema)]` writes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::changeset::Changeset;
use crate::codec::{self, Ask, CastError};
use crate::index::Indexed;
use dust_transport::model::Value;

/// How the fields of a record lie in the store.
///
/// ```
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "settings", storage = "map")]
/// struct Setting {
///     slug: String,
///     value: String,
/// }
///
/// assert_eq!(Setting::STORAGE, Storage::Map);
/// assert_eq!(Storage::default(), Storage::Flat);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Storage {
    /// One leaf per field at `prefix/slug/field`: other clients edit single fields, an update writes what changed.
    #[default]
    Flat,
    /// One value at `prefix/slug`, replaced whole by every write.
    Map,
}

/// One field of a schema. The derive prints these; a program reads them from [`Schema::FIELDS`].
///
/// ```
/// use dust_orm::FieldDef;
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "links")]
/// #[serde(rename_all = "camelCase")]
/// struct Link {
///     slug: String,
///     #[dust(required, rename = "t")]
///     page_title: String,
///     #[dust(skip)]
///     draft: bool,
/// }
///
/// let [_, title, draft] = Link::FIELDS else { unreachable!("three fields") };
/// assert_eq!((title.name(), title.serde_name(), title.wire_name()), ("page_title", "pageTitle", "t"));
/// assert!(title.is_required() && title.is_stored());
/// assert!(!draft.is_stored());
///
/// // The line of the table that the derive prints for the title:
/// let def = FieldDef::new::<String>("page_title").serde("pageTitle").wire("t").required();
/// assert_eq!(def.wire_name(), title.wire_name());
/// ```
#[derive(Debug, Clone, Copy)]
pub struct FieldDef {
    name: &'static str,
    serde_name: &'static str,
    wire_name: &'static str,
    required: bool,
    stored: bool,
    codec: Option<fn(Ask<'_>) -> Result<Value, CastError>>,
    default: Option<fn() -> Value>,
}

impl FieldDef {
    /// A field of type `T` whose name is the same in Rust, for serde and in the store.
    #[must_use]
    pub const fn new<T: FieldValue>(name: &'static str) -> Self {
        Self {
            codec: Some(codec::answer::<T>),
            ..Self::opaque(name)
        }
    }

    /// A field whose encoding is its own affair (`#[serde(with = "..")]`): what is given is taken as it is, and read
    /// together with the record.
    #[must_use]
    pub const fn opaque(name: &'static str) -> Self {
        Self {
            name,
            serde_name: name,
            wire_name: name,
            required: false,
            stored: true,
            codec: None,
            default: None,
        }
    }

    /// The name that serde gives the field; also its name in the store unless [`wire`](Self::wire) says otherwise.
    #[must_use]
    pub const fn serde(self, serde_name: &'static str) -> Self {
        Self {
            serde_name,
            wire_name: serde_name,
            ..self
        }
    }

    /// The name in the store (`#[dust(rename = "..")]`).
    #[must_use]
    pub const fn wire(self, wire_name: &'static str) -> Self {
        Self { wire_name, ..self }
    }

    /// Makes the field one that must be neither null nor "", on cast and on load.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// Makes the field a virtual one, which is not stored (`#[dust(skip)]`).
    #[must_use]
    pub const fn skip(self) -> Self {
        Self { stored: false, ..self }
    }

    /// Gives what an absent field loads as (`#[dust(default)]`).
    #[must_use]
    pub const fn default(self, default: fn() -> Value) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    /// The name in Rust.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The name that serde gives the field: the one in inputs, errors and JSON.
    #[must_use]
    pub const fn serde_name(&self) -> &'static str {
        self.serde_name
    }

    /// The name in the store.
    #[must_use]
    pub const fn wire_name(&self) -> &'static str {
        self.wire_name
    }

    /// Whether the field must be neither null nor "".
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.required
    }

    /// Whether the field is stored; a virtual one is not.
    #[must_use]
    pub const fn is_stored(&self) -> bool {
        self.stored
    }

    /// What knows the type of the field; `None` where its encoding is its own affair.
    pub(crate) fn codec(&self) -> Option<fn(Ask<'_>) -> Result<Value, CastError>> {
        self.codec
    }

    pub(crate) fn default_value(&self) -> Option<Value> {
        self.default.map(|default| default())
    }
}

/// A type that a field can have: anything that serde writes and reads. It has nothing to implement.
///
/// ```
/// fn is_a_field<T: dust_orm::FieldValue>() {}
///
/// is_a_field::<Option<Vec<u32>>>();
/// is_a_field::<std::collections::BTreeMap<String, f64>>();
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a field of a Dust record",
    label = "does not serialise",
    note = "derive `serde::Serialize` and `serde::Deserialize` for `{Self}`, or leave the field out with `#[dust(skip)]` and `#[serde(skip)]`"
)]
pub trait FieldValue: Serialize + DeserializeOwned {}

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> FieldValue for T {}

/// The type of a slug: a string, or a newtype of one. It has nothing to implement.
///
/// ```
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize)]
/// #[serde(transparent)]
/// struct Isbn(String);
///
/// impl AsRef<str> for Isbn {
///     fn as_ref(&self) -> &str {
///         &self.0
///     }
/// }
///
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "books")]
/// struct Book {
///     #[dust(slug)]
///     isbn: Isbn,
///     title: String,
/// }
///
/// let book = Book { isbn: Isbn("978-1".into()), title: "Dust".into() };
/// assert_eq!(Schema::slug(&book), "978-1");
/// ```
#[diagnostic::on_unimplemented(
    message = "a slug is a string, and `{Self}` is not one",
    label = "not a string",
    note = "use `String`, or a newtype of it that is `#[serde(transparent)]` and implements `AsRef<str>`"
)]
pub trait Slug: FieldValue + AsRef<str> {}

#[diagnostic::do_not_recommend]
impl<T: FieldValue + AsRef<str>> Slug for T {}

/// A schema whose records are leaves of the store: read by slug, listed, followed, updated. The derive implements it unless the
/// struct has `write_primary = false`; who implements [`Schema`] by hand implements it, too.
///
/// ```
/// fn has_leaves<S: dust_orm::Primary>() {}
///
/// # use dust_orm::prelude::*;
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "links")]
/// struct Link { slug: String, title: String }
///
/// has_leaves::<Link>();
/// ```
#[diagnostic::on_unimplemented(
    message = "the records of `{Self}` live only in their indexes: they are found by `repo.query(..)` and by nothing else",
    label = "has `write_primary = false`",
    note = "write them by `insert` or `insert_all`, and take them out by `delete_records`; without `write_primary = false` they are leaves, which are read, listed, followed and updated"
)]
pub trait Primary: Schema {}

/// A schema whose records live only in their indexes; implemented by the derive where the struct has `write_primary = false`.
///
/// ```
/// fn lives_in_its_index<S: dust_orm::IndexOnly>() {}
///
/// # use dust_orm::prelude::*;
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "events", write_primary = false, index(day, user, mapped = false))]
/// struct Event { slug: String, day: String, user: String }
///
/// lives_in_its_index::<Event>();
/// ```
#[diagnostic::on_unimplemented(
    message = "the records of `{Self}` are leaves of the store, and do not live only in their indexes",
    label = "has no `write_primary = false`",
    note = "use `Batch` and `repo.batch_write(..)` for records that are leaves"
)]
pub trait IndexOnly: Indexed {}

/// A record type: where its records lie and what their fields are. Derive it with [`DustSchema`](crate::DustSchema).
///
/// Who implements it by hand MUST see to this: `FIELDS` names each field that serde writes, once, under the name that serde
/// gives it; `SLUG_INDEX` is the index of a field that serialises as the string that `slug` returns.
///
/// ```
/// use dust_orm::prelude::*;
///
/// #[derive(Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "reading/links")]
/// struct Link {
///     slug: String,
///     #[dust(required)]
///     title: String,
/// }
///
/// assert_eq!(Link::PREFIX, ["reading", "links"]);
/// assert_eq!(Link::FIELDS.iter().map(|field| field.name()).collect::<Vec<_>>(), ["slug", "title"]);
///
/// let link = Link::changeset(&[("slug", "dust"), ("title", "Dust")]).apply().map_err(|changeset| changeset.errors().clone())?;
/// assert_eq!(Schema::slug(&link), "dust");
/// assert!(link.change().put(Link::TITLE, "Dust, the layer").changed(Link::TITLE));
/// # Ok::<(), dust_orm::Errors>(())
/// ```
pub trait Schema: Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The name of the type, for messages.
    const NAME: &'static str;
    /// The segments under which the records lie.
    const PREFIX: &'static [&'static str];
    /// How the fields lie in the store.
    const STORAGE: Storage;
    /// Whether the records are written as leaves; false for those that live only in their indexes (`write_primary = false`).
    const WRITE_PRIMARY: bool = true;
    /// The fields in the order of their declaration.
    const FIELDS: &'static [FieldDef];
    /// The index of the slug in `FIELDS`.
    const SLUG_INDEX: usize;

    /// The slug of this record: the last segment of its path.
    fn slug(&self) -> &str;

    /// Runs the rules of the `validator` crate, where the struct has any.
    ///
    /// # Errors
    /// What the rules say, by the names that the fields have in Rust.
    fn rules(&self) -> Result<(), validator::ValidationErrors> {
        Ok(())
    }

    /// Casts what came from outside into a changeset of a new record; see [`Changeset::cast`] for what an input is.
    #[must_use]
    fn changeset<I: Serialize + ?Sized>(input: &I) -> Changeset<Self>
    where
        Self: Sized,
    {
        Changeset::new().cast(input)
    }

    /// Begins a change of this record.
    #[must_use]
    fn change(&self) -> Changeset<Self>
    where
        Self: Sized,
    {
        Changeset::of(self)
    }
}
