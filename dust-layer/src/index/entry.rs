//! The keys of index entries.
//!
//! `(collection, "i", index, number of fields, value …, primary key …)`. The value of a mapped entry is empty: its key says
//! it all. That of a covering entry is the record, split like a row if it is long.

use super::{Catalog, IndexDef, Record};
use crate::error::{Error, SchemaError};
use crate::table::PrimaryKey;
use crate::tuple::pack_into;
use crate::value::key;

/// The key of an entry; a versionstamp in it is completed by the commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryKey {
    pub(crate) bytes: Vec<u8>,
    /// Where in `bytes` the ten bytes lie that the commit fills in.
    pub(crate) stamp: Option<usize>,
    /// Where the values end and the primary key begins.
    pub(crate) values_end: usize,
    /// Whether one of the values is null.
    pub(crate) has_null: bool,
}

impl EntryKey {
    /// What all entries of the same values begin with.
    pub(crate) fn values(&self) -> &[u8] {
        self.bytes.get(..self.values_end).unwrap_or_default()
    }
}

/// What the entries of an index begin with: its name and how many values follow.
pub(crate) fn base(catalog: &Catalog, def: &IndexDef) -> Vec<u8> {
    let mut base = catalog.index_prefix(def);
    pack_into(&(def.fields().len() as u64,), &mut base);
    base
}

/// The key of a record's entry.
pub(crate) fn key_of(catalog: &Catalog, def: &IndexDef, record: &dyn Record) -> Result<EntryKey, Error> {
    let mut bytes = base(catalog, def);
    let mut has_null = false;
    for field in def.fields() {
        let value = record.field(field)?;
        match value.kind() {
            None => has_null = true,
            Some(found) if found != field.kind => {
                return Err(SchemaError::WrongType {
                    field: field.name.clone(),
                    expected: field.kind,
                    found,
                }
                .into());
            }
            Some(_) => {}
        }
        if value.is_incomplete() {
            let field = field.name.clone();
            return Err(SchemaError::Incomplete { field }.into());
        }
        key::encode(&value, &mut bytes);
    }
    let values_end = bytes.len();
    bytes.extend_from_slice(record.key().packed());
    Ok(EntryKey {
        stamp: record.key().stamp().map(|offset| values_end + offset),
        bytes,
        values_end,
        has_null,
    })
}

/// The primary key of an entry, without its values.
pub(crate) fn primary_key(def: &IndexDef, after_base: &[u8]) -> Result<PrimaryKey, Error> {
    let mut rest = after_base;
    for field in def.fields() {
        rest = key::decode(field.kind, rest)?.1;
    }
    Ok(PrimaryKey::from_packed(rest.to_vec()))
}
