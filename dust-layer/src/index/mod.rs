//! Indexes: what they are, and how their entries follow the records.
//!
//! An index belongs to a collection, which is a name. What its records are is not the index's business: they have a primary
//! key and named or numbered fields ([`Record`]). Rows are records, and so is whatever a layer above keeps, such as the
//! leaves below a path; it calls [`TenantTransaction::maintain`] with the record as it was and as it is, in the
//! transaction that writes it, and gives [`RecordSource`] for builds.
//!
//! [`TenantTransaction::maintain`]: crate::TenantTransaction::maintain

pub(crate) mod catalog;
pub(crate) mod counter;
mod custom;
pub(crate) mod entry;
mod maintain;
mod source;

use std::borrow::Cow;
use std::fmt;

pub use catalog::{Catalog, Index};
pub use counter::Signal;
pub use custom::{IndexSpace, Indexer};
pub use source::{Part, RecordSource, Records};

use crate::error::{Error, SchemaError};
use crate::table::PrimaryKey;
use crate::value::{FieldType, FieldValue};

/// What a field of a record is known by.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FieldId {
    /// A field of a row; its name may change.
    Number(u32),
    /// A field of a record that has names only.
    Name(Box<str>),
}

impl From<u32> for FieldId {
    fn from(number: u32) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for FieldId {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl fmt::Display for FieldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// A field of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexField {
    /// What records know it by.
    pub id: FieldId,
    /// What people call it; the name that it had when the index was defined.
    pub name: Box<str>,
    /// What it holds.
    pub kind: FieldType,
}

impl IndexField {
    /// A field by what records know it by, with a name for people.
    #[must_use]
    pub fn new(id: FieldId, name: &str, kind: FieldType) -> Self {
        Self {
            id,
            name: name.into(),
            kind,
        }
    }

    /// A field that records know by its name.
    #[must_use]
    pub fn named(name: &str, kind: FieldType) -> Self {
        Self::new(name.into(), name, kind)
    }
}

/// What the entry of an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mapping {
    /// The primary key; the record is read at its own place.
    Mapped,
    /// The record itself, so that a query reads one range and nothing else.
    Covering,
}

/// Whether two records may have the same values in all fields of an index. Nulls are never the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uniqueness {
    /// They may.
    Any,
    /// They may not.
    Unique,
}

/// What an index does.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexKind {
    /// Finds records by the values of fields.
    Values {
        /// What an entry holds.
        mapping: Mapping,
        /// Whether values may occur twice.
        uniqueness: Uniqueness,
    },
    /// Counts what happens to the records of each group of values, to be watched.
    Counters,
    /// Does what an [`Indexer`] of the program's own does.
    Custom {
        /// The name that it is registered under.
        indexer: Box<str>,
        /// What it is told.
        options: Vec<u8>,
    },
}

/// The definition of an index.
///
/// ```
/// use dust_layer::index::{IndexDef, IndexField};
/// use dust_layer::value::FieldType;
///
/// let fields = vec![IndexField::named("department", FieldType::Text), IndexField::named("name", FieldType::Text)];
/// let index = IndexDef::new(fields)?.covering().unique();
/// assert_eq!(index.name(), "department,name");
/// # Ok::<(), dust_layer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexDef {
    name: Box<str>,
    fields: Vec<IndexField>,
    kind: IndexKind,
}

impl IndexDef {
    /// A mapped index on fields, named after them.
    ///
    /// # Errors
    /// [`SchemaError::EmptyName`] without fields.
    pub fn new(fields: Vec<IndexField>) -> Result<Self, Error> {
        let kind = IndexKind::Values {
            mapping: Mapping::Mapped,
            uniqueness: Uniqueness::Any,
        };
        Self {
            name: Box::default(),
            fields,
            kind,
        }
        .named_after_fields()
    }

    /// Counters of a collection, or of each group of equal values of `fields`.
    ///
    /// # Errors
    /// [`SchemaError::EmptyName`] for an empty name.
    ///
    /// ```
    /// use dust_layer::index::{IndexDef, IndexField};
    /// use dust_layer::value::FieldType;
    ///
    /// let of_all = IndexDef::counters("users", Vec::new())?;
    /// let by_name = IndexDef::counters("users by name", vec![IndexField::named("name", FieldType::Text)])?;
    /// # let _ = (of_all, by_name);
    /// # Ok::<(), dust_layer::Error>(())
    /// ```
    pub fn counters(name: &str, fields: Vec<IndexField>) -> Result<Self, Error> {
        Self {
            name: Box::default(),
            fields,
            kind: IndexKind::Counters,
        }
        .named(name)
    }

    /// An index that the registered [`Indexer`] of that name keeps.
    ///
    /// # Errors
    /// [`SchemaError::EmptyName`] for an empty name.
    pub fn custom(name: &str, indexer: &str, fields: Vec<IndexField>) -> Result<Self, Error> {
        let kind = IndexKind::Custom {
            indexer: indexer.into(),
            options: Vec::new(),
        };
        Self {
            name: Box::default(),
            fields,
            kind,
        }
        .named(name)
    }

    /// Gives the index another name.
    ///
    /// # Errors
    /// [`SchemaError::EmptyName`].
    pub fn named(mut self, name: &str) -> Result<Self, Error> {
        if name.is_empty() {
            return Err(SchemaError::EmptyName.into());
        }
        self.name = name.into();
        Ok(self)
    }

    fn named_after_fields(self) -> Result<Self, Error> {
        // A comma and a backslash in a name are escaped, so that no two lists of fields have one name.
        let names = self
            .fields
            .iter()
            .map(|field| field.name.replace('\\', "\\\\").replace(',', "\\,"));
        let name = names.collect::<Vec<_>>().join(",");
        self.named(&name)
    }

    /// Lets entries hold the whole record (`mapped = false`). Changes nothing for counters and custom indexes.
    #[must_use]
    pub fn covering(mut self) -> Self {
        if let IndexKind::Values { mapping, .. } = &mut self.kind {
            *mapping = Mapping::Covering;
        }
        self
    }

    /// Refuses a record whose values another one has. Changes nothing for counters and custom indexes.
    #[must_use]
    pub fn unique(mut self) -> Self {
        if let IndexKind::Values { uniqueness, .. } = &mut self.kind {
            *uniqueness = Uniqueness::Unique;
        }
        self
    }

    /// Tells the indexer of a custom index something. Changes nothing for other indexes.
    #[must_use]
    pub fn with_options(mut self, bytes: Vec<u8>) -> Self {
        if let IndexKind::Custom { options, .. } = &mut self.kind {
            *options = bytes;
        }
        self
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The fields in their order.
    #[must_use]
    pub fn fields(&self) -> &[IndexField] {
        &self.fields
    }

    /// What it does.
    #[must_use]
    pub fn kind(&self) -> &IndexKind {
        &self.kind
    }

    pub(crate) fn is_covering(&self) -> bool {
        matches!(
            self.kind,
            IndexKind::Values {
                mapping: Mapping::Covering,
                ..
            }
        )
    }

    pub(crate) fn is_unique(&self) -> bool {
        matches!(
            self.kind,
            IndexKind::Values {
                uniqueness: Uniqueness::Unique,
                ..
            }
        )
    }
}

/// Where an index is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexState {
    /// Every write keeps its entries, nothing is read from it, and the build has not begun.
    WriteOnly,
    /// As `WriteOnly`, and a build goes through the records that were there before.
    Building,
    /// It answers queries.
    Readable,
    /// Nothing uses it any more, and its entries are being cleared.
    Dropping,
}

impl IndexState {
    /// Whether writes keep its entries.
    #[must_use]
    pub fn is_maintained(self) -> bool {
        self != Self::Dropping
    }
}

impl fmt::Display for IndexState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WriteOnly => "not built yet",
            Self::Building => "being built",
            Self::Readable => "readable",
            Self::Dropping => "being dropped",
        })
    }
}

/// What an index is kept for: something with a primary key and fields.
///
/// ```
/// use std::borrow::Cow;
/// use dust_layer::Error;
/// use dust_layer::index::{IndexField, Record};
/// use dust_layer::table::PrimaryKey;
/// use dust_layer::value::FieldValue;
///
/// /// A link that some other code stores.
/// struct Link { key: PrimaryKey, title: String }
///
/// impl Record for Link {
///     fn key(&self) -> &PrimaryKey { &self.key }
///     fn field(&self, field: &IndexField) -> Result<FieldValue, Error> {
///         Ok(match &*field.name { "title" => FieldValue::from(&*self.title), _ => FieldValue::Null })
///     }
///     fn covered(&self) -> Cow<'_, [u8]> { Cow::Borrowed(self.title.as_bytes()) }
/// }
/// ```
pub trait Record: Send + Sync {
    /// The primary key.
    fn key(&self) -> &PrimaryKey;

    /// The value of a field; null if the record has none.
    ///
    /// # Errors
    /// Any of the layer's; the write fails with it.
    fn field(&self, field: &IndexField) -> Result<FieldValue, Error>;

    /// What a covering entry holds: all that is needed to make the record again, its key aside.
    fn covered(&self) -> Cow<'_, [u8]>;
}
