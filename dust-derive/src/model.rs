//! A struct whose settings are known to be right: all that `expand` sees.

use proc_macro2::Ident;
use syn::{Generics, Path, Type, Visibility};

/// How the fields lie in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Storage {
    Flat,
    Map,
}

/// Where an absent field gets its value from.
pub(crate) enum Fill {
    /// `Default` of its type.
    Type,
    /// What the function at the path returns.
    Path(Path),
}

/// A record type.
pub(crate) struct Schema<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) vis: &'a Visibility,
    pub(crate) generics: &'a Generics,
    /// The path of `dust-orm`, unless it is the usual one.
    pub(crate) krate: Option<&'a Path>,
    pub(crate) prefix: &'a [String],
    pub(crate) storage: Storage,
    /// The records live only in their indexes.
    pub(crate) index_only: bool,
    pub(crate) slug: Slug<'a>,
    pub(crate) fields: Vec<Field<'a>>,
    pub(crate) indexes: Vec<Index>,
    /// Has rules of the `validator` crate.
    pub(crate) validated: bool,
}

/// An index of the records.
pub(crate) struct Index {
    /// The places of its fields.
    pub(crate) places: Vec<usize>,
    /// Its entries hold the records.
    pub(crate) covering: bool,
    pub(crate) unique: bool,
}

/// The field that names a record.
pub(crate) struct Slug<'a> {
    pub(crate) index: usize,
    pub(crate) ident: &'a Ident,
    pub(crate) ty: &'a Type,
}

/// A field of a record.
pub(crate) struct Field<'a> {
    pub(crate) ty: &'a Type,
    /// In Rust.
    pub(crate) name: String,
    /// The constant of its handle.
    pub(crate) handle: Ident,
    /// For serde, where it differs from `name`.
    pub(crate) serde_name: Option<String>,
    /// In the store, where it differs from the name for serde.
    pub(crate) wire_name: Option<&'a str>,
    pub(crate) required: bool,
    pub(crate) skipped: bool,
    /// Its encoding is its own affair, or serde never sees it.
    pub(crate) opaque: bool,
    pub(crate) default: Option<&'a Fill>,
}
