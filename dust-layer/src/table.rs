//! Tables: rows described by data.

use std::sync::Arc;

use crate::error::{Error, SchemaError};
use crate::index::{FieldId, IndexDef, IndexField};
use crate::row::Row;
use crate::value::{FieldType, FieldValue, key};

/// The largest number of a field, so that it fits into four bytes with the kind of its value.
const FIELD_NUMBER_MAX: u32 = (1 << 29) - 1;

/// A field of a table: a number that is stored, and a name that is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDef {
    /// What rows and indexes know the field by; never given to another field.
    pub number: u32,
    /// What the program knows it by. It can change at any time.
    pub name: Box<str>,
    /// What it holds.
    pub kind: FieldType,
}

/// Where the data of a table is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Primary {
    Rows,
    Index,
}

/// A kind of rows: its name, the fields of its primary key, and its other fields.
///
/// It is a value of the program; nothing is stored of it. Fields can be added, renamed and left out at any time: what a
/// row holds under a number that the table does not know is kept when the row is rewritten. Cloning is cheap.
///
/// ```
/// use dust_layer::table::Table;
/// use dust_layer::value::{FieldType, FieldValue};
///
/// let users = Table::new("users")
///     .key(1, "id", FieldType::Text)
///     .field(2, "name", FieldType::Text)
///     .field(3, "born", FieldType::Date)
///     .build()?;
/// let ada = users.row([("id", "ada"), ("name", "Ada")])?;
/// assert_eq!(users.get(&ada, "name")?, &FieldValue::from("Ada"));
/// assert!(users.get(&ada, "born")?.is_null());
/// assert!(users.row([("id", 7)]).is_err());
/// # Ok::<(), dust_layer::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    def: Arc<Def>,
}

#[derive(Debug, PartialEq, Eq)]
struct Def {
    name: Box<str>,
    /// In the order of their numbers.
    fields: Vec<FieldDef>,
    /// The fields of the primary key, in its order.
    key: Vec<FieldDef>,
    primary: Primary,
}

/// Builds a [`Table`]; mistakes are reported by [`build`](TableBuilder::build).
#[derive(Debug, Clone)]
#[must_use]
pub struct TableBuilder {
    name: Box<str>,
    fields: Vec<FieldDef>,
    key: Vec<FieldDef>,
    primary: Primary,
}

impl TableBuilder {
    /// Adds the next field of the primary key.
    pub fn key(mut self, number: u32, name: &str, kind: FieldType) -> Self {
        self.key.push(FieldDef {
            number,
            name: name.into(),
            kind,
        });
        self.field(number, name, kind)
    }

    /// Adds a field.
    pub fn field(mut self, number: u32, name: &str, kind: FieldType) -> Self {
        self.fields.push(FieldDef {
            number,
            name: name.into(),
            kind,
        });
        self
    }

    /// Keeps no rows: the data lives in the table's one covering index only, and is reached by queries on it alone.
    pub fn without_rows(mut self) -> Self {
        self.primary = Primary::Index;
        self
    }

    /// Makes the table.
    ///
    /// # Errors
    /// [`SchemaError`] for an empty name, a number or a name that is there twice, a number out of range, no key.
    pub fn build(mut self) -> Result<Table, Error> {
        if self.name.is_empty() || self.fields.iter().any(|field| field.name.is_empty()) {
            return Err(SchemaError::EmptyName.into());
        }
        if self.key.is_empty() {
            return Err(SchemaError::NoKey.into());
        }
        self.fields.sort_by_key(|field| field.number);
        for (index, field) in self.fields.iter().enumerate() {
            if field.number == 0 || field.number > FIELD_NUMBER_MAX {
                return Err(SchemaError::FieldNumber { number: field.number }.into());
            }
            let mut later = self.fields.iter().skip(index + 1);
            if later.any(|other| other.name == field.name || other.number == field.number) {
                let field = field.name.clone();
                return Err(SchemaError::DuplicateField { field }.into());
            }
        }
        Ok(Table {
            def: Arc::new(Def {
                name: self.name,
                fields: self.fields,
                key: self.key,
                primary: self.primary,
            }),
        })
    }
}

/// A primary key as the tuple elements that it is stored as.
///
/// ```
/// use dust_layer::table::PrimaryKey;
/// use dust_layer::tuple::pack;
///
/// // What is no row, such as a leaf, may have any tuple as its key.
/// let key = PrimaryKey::from_packed(pack(&("links", 7)));
/// assert_eq!(key.packed(), pack(&("links", 7)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PrimaryKey {
    packed: Vec<u8>,
    /// Where the ten bytes lie that the commit fills in.
    stamp: Option<usize>,
}

impl PrimaryKey {
    /// A key of tuple elements.
    #[must_use]
    pub fn from_packed(packed: Vec<u8>) -> Self {
        Self { packed, stamp: None }
    }

    /// The tuple elements.
    #[must_use]
    pub fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Where in [`packed`](Self::packed) the ten bytes lie that the commit fills in, if there are some.
    pub(crate) fn stamp(&self) -> Option<usize> {
        self.stamp
    }
}

impl Table {
    /// Begins a table.
    #[expect(clippy::new_ret_no_self, reason = "a table is built field by field")]
    pub fn new(name: &str) -> TableBuilder {
        TableBuilder {
            name: name.into(),
            fields: Vec::new(),
            key: Vec::new(),
            primary: Primary::Rows,
        }
    }

    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.def.name
    }

    /// The fields in the order of their numbers.
    #[must_use]
    pub fn fields(&self) -> &[FieldDef] {
        &self.def.fields
    }

    /// The fields of the primary key in its order.
    #[must_use]
    pub fn key_fields(&self) -> &[FieldDef] {
        &self.def.key
    }

    /// Whether the table keeps rows, and not its covering index alone.
    #[must_use]
    pub fn has_rows(&self) -> bool {
        self.def.primary == Primary::Rows
    }

    /// The field of a name.
    ///
    /// # Errors
    /// [`SchemaError::UnknownField`].
    pub fn field(&self, name: &str) -> Result<&FieldDef, Error> {
        let found = self.def.fields.iter().find(|field| &*field.name == name);
        Ok(found.ok_or_else(|| SchemaError::UnknownField { field: name.into() })?)
    }

    /// The field of a number, if the table knows it.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<&FieldDef> {
        let index = self
            .def
            .fields
            .binary_search_by_key(&number, |field| field.number)
            .ok()?;
        self.def.fields.get(index)
    }

    pub(crate) fn is_key(&self, number: u32) -> bool {
        self.def.key.iter().any(|field| field.number == number)
    }

    /// A row of named values; fields that are not named are null.
    ///
    /// # Errors
    /// [`SchemaError::UnknownField`], [`SchemaError::WrongType`].
    pub fn row<N: AsRef<str>, V: Into<FieldValue>>(
        &self,
        fields: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Row, Error> {
        let mut row = Row::default();
        for (name, value) in fields {
            let (field, value) = (self.field(name.as_ref())?, value.into());
            check_type(field, &value)?;
            row.set(field.number, value);
        }
        Ok(row)
    }

    /// The value of a row's field, by name.
    ///
    /// # Errors
    /// [`SchemaError::UnknownField`].
    pub fn get<'r>(&self, row: &'r Row, name: &str) -> Result<&'r FieldValue, Error> {
        Ok(row.get(self.field(name)?.number))
    }

    /// The primary key of these values, in the order of the key's fields.
    ///
    /// # Errors
    /// [`SchemaError::KeyFields`], [`SchemaError::WrongType`], [`SchemaError::NullKey`], [`SchemaError::Incomplete`].
    ///
    /// ```
    /// use dust_layer::table::Table;
    /// use dust_layer::value::FieldType;
    ///
    /// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
    /// assert!(users.primary_key([7])? < users.primary_key([8])?);
    /// assert!(users.primary_key(["seven"]).is_err());
    /// # Ok::<(), dust_layer::Error>(())
    /// ```
    pub fn primary_key<V: Into<FieldValue>>(&self, values: impl IntoIterator<Item = V>) -> Result<PrimaryKey, Error> {
        let values: Vec<FieldValue> = values.into_iter().map(Into::into).collect();
        let (expected, found) = (self.def.key.len(), values.len());
        if expected != found {
            return Err(SchemaError::KeyFields { expected, found }.into());
        }
        self.pack_key(values.iter())
    }

    /// The primary key of a row.
    ///
    /// # Errors
    /// As [`primary_key`](Self::primary_key).
    pub fn key_of(&self, row: &Row) -> Result<PrimaryKey, Error> {
        self.pack_key(self.def.key.iter().map(|field| row.get(field.number)))
    }

    /// How many fields the primary key has.
    pub(crate) fn key_len(&self) -> usize {
        self.def.key.len()
    }

    fn pack_key<'v>(&self, values: impl Iterator<Item = &'v FieldValue>) -> Result<PrimaryKey, Error> {
        let mut key = PrimaryKey::from_packed(Vec::with_capacity(32));
        for (field, value) in self.def.key.iter().zip(values) {
            check_type(field, value)?;
            if value.is_null() {
                let field = field.name.clone();
                return Err(SchemaError::NullKey { field }.into());
            }
            if value.is_incomplete() {
                if key.stamp.is_some() {
                    let field = field.name.clone();
                    return Err(SchemaError::Incomplete { field }.into());
                }
                key.stamp = Some(key.packed.len() + 1);
            }
            key::encode(value, &mut key.packed);
        }
        Ok(key)
    }

    /// Takes a primary key apart into a row that has nothing else; what follows the key is given back.
    pub(crate) fn read_key<'a>(&self, packed: &'a [u8]) -> Result<(Row, &'a [u8]), Error> {
        let (mut row, mut rest) = (Row::default(), packed);
        for field in &self.def.key {
            let (value, after) = key::decode(field.kind, rest)?;
            row.set(field.number, value);
            rest = after;
        }
        Ok((row, rest))
    }

    /// Checks the types of a row, and that no versionstamp waits for the commit outside of the key.
    pub(crate) fn check(&self, row: &Row) -> Result<(), Error> {
        for (number, value) in row.fields() {
            let Some(field) = self.numbered(number) else {
                let field = number.to_string().into();
                return Err(SchemaError::UnknownField { field }.into());
            };
            check_type(field, value)?;
            if value.is_incomplete() && !self.is_key(number) {
                let field = field.name.clone();
                return Err(SchemaError::Incomplete { field }.into());
            }
        }
        Ok(())
    }

    /// An index on fields of the table, named after them. [`IndexDef`] says what can be set on it.
    ///
    /// # Errors
    /// [`SchemaError::UnknownField`], [`SchemaError::EmptyName`] for no field.
    ///
    /// ```
    /// use dust_layer::table::Table;
    /// use dust_layer::value::FieldType;
    ///
    /// let users = Table::new("users")
    ///     .key(1, "id", FieldType::Text)
    ///     .field(2, "name", FieldType::Text)
    ///     .field(3, "department", FieldType::Text)
    ///     .build()?;
    /// let index = users.index(["department", "name"])?.unique();
    /// assert_eq!(index.name(), "department,name");
    /// # Ok::<(), dust_layer::Error>(())
    /// ```
    pub fn index<N: AsRef<str>>(&self, fields: impl IntoIterator<Item = N>) -> Result<IndexDef, Error> {
        IndexDef::new(self.index_fields(fields)?)
    }

    /// Fields of the table as those of an index or a counter.
    ///
    /// # Errors
    /// [`SchemaError::UnknownField`].
    pub fn index_fields<N: AsRef<str>>(&self, fields: impl IntoIterator<Item = N>) -> Result<Vec<IndexField>, Error> {
        let field = |name: N| {
            let field = self.field(name.as_ref())?;
            Ok(IndexField::new(FieldId::Number(field.number), &field.name, field.kind))
        };
        fields.into_iter().map(field).collect()
    }
}

pub(crate) fn check_type(field: &FieldDef, value: &FieldValue) -> Result<(), Error> {
    match value.kind() {
        Some(found) if found != field.kind => Err(SchemaError::WrongType {
            field: field.name.clone(),
            expected: field.kind,
            found,
        }
        .into()),
        _ => Ok(()),
    }
}
