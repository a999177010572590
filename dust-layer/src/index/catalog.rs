//! The stored definitions of a collection's indexes, and how transactions know them without reading them.
//!
//! All definitions of a collection are one value. Whoever changes it also writes the engine-wide key
//! [`METADATA_VERSION`], which `FoundationDB` hands out with each read version for free. A transaction reads that key
//! without conflict; if it is what it was when the definitions were read last, they are what they were. The transaction
//! then conflicts with later changes of the definitions, though it did not read them: so once a change is committed, no
//! transaction that did not see it commits, and no other tenant's change gets in the way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::try_join;

use super::{FieldId, IndexDef, IndexField, IndexKind, IndexState, Mapping, Uniqueness};
use crate::engine::{Engine, Isolation, METADATA_VERSION, Transaction};
use crate::error::{Error, SchemaError};
use crate::metrics::add;
use crate::tenant::{DATA, SYSTEM, Tenant, TenantTransaction};
use crate::tuple::pack_into;
use crate::value::FieldType;
use crate::value::wire::{self, Reader};

const FORMAT: u8 = 1;

/// How many collections, of all tenants, are known at most.
const KNOWN_MAX: usize = 10_000;

/// Lets every transaction look for changed definitions.
pub(crate) fn bump<T: Transaction>(transaction: &T) {
    // Ten bytes of stamp at offset zero: the only value that the cluster accepts.
    transaction.set_versionstamped_value(METADATA_VERSION, &[0; 14]);
}

/// An index of a collection: its definition and its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// What it is.
    pub def: IndexDef,
    /// Where it is in its life.
    pub state: IndexState,
}

/// The indexes of one collection, as one transaction sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog {
    collection: Box<str>,
    indexes: Vec<Index>,
    /// What every key of the collection begins with, in the tenant that it was read for.
    pub(crate) prefix: Vec<u8>,
}

impl Catalog {
    /// The name of the collection.
    #[must_use]
    pub fn collection(&self) -> &str {
        &self.collection
    }

    /// The indexes in the order they were created.
    #[must_use]
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// The index of a name.
    ///
    /// # Errors
    /// [`SchemaError::UnknownIndex`].
    pub fn index(&self, name: &str) -> Result<&Index, Error> {
        let found = self.indexes.iter().find(|index| index.def.name() == name);
        Ok(found.ok_or_else(|| SchemaError::UnknownIndex { index: name.into() })?)
    }

    pub(crate) fn find_mut(&mut self, name: &str) -> Option<&mut Index> {
        self.indexes.iter_mut().find(|index| index.def.name() == name)
    }

    pub(crate) fn push(&mut self, index: Index) {
        self.indexes.push(index);
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.indexes.retain(|index| index.def.name() != name);
    }

    /// Encodes the definitions: a format byte, then each index.
    fn encode(&self) -> Vec<u8> {
        let mut output = vec![FORMAT];
        wire::put_length(self.indexes.len(), &mut output);
        for Index { def, state } in &self.indexes {
            wire::put_bytes(def.name.as_bytes(), &mut output);
            output.push(match state {
                IndexState::WriteOnly => 0,
                IndexState::Building => 1,
                IndexState::Readable => 2,
                IndexState::Dropping => 3,
            });
            match &def.kind {
                IndexKind::Values { mapping, uniqueness } => output.extend_from_slice(&[
                    0,
                    u8::from(*mapping == Mapping::Covering),
                    u8::from(*uniqueness == Uniqueness::Unique),
                ]),
                IndexKind::Counters => output.push(1),
                IndexKind::Custom { indexer, options } => {
                    output.push(2);
                    wire::put_bytes(indexer.as_bytes(), &mut output);
                    wire::put_bytes(options, &mut output);
                }
            }
            wire::put_length(def.fields.len(), &mut output);
            for field in &def.fields {
                match &field.id {
                    FieldId::Number(number) => {
                        output.push(0);
                        wire::put_unsigned((*number).into(), &mut output);
                    }
                    FieldId::Name(name) => {
                        output.push(1);
                        wire::put_bytes(name.as_bytes(), &mut output);
                    }
                }
                wire::put_bytes(field.name.as_bytes(), &mut output);
                output.push(type_code(field.kind));
            }
        }
        output
    }

    fn decode(collection: &str, prefix: Vec<u8>, bytes: Option<&[u8]>) -> Result<Self, Error> {
        let mut catalog = Self {
            collection: collection.into(),
            indexes: Vec::new(),
            prefix,
        };
        let Some(bytes) = bytes else { return Ok(catalog) };
        let mut reader = Reader::new(bytes, "the definitions of indexes");
        reader.format(FORMAT)?;
        for _ in 0..reader.number::<u32>()? {
            catalog.indexes.push(read_index(&mut reader)?);
        }
        reader.end()?;
        Ok(catalog)
    }
}

fn read_index(reader: &mut Reader<'_>) -> Result<Index, Error> {
    let name = reader.text()?.into();
    let state = match reader.byte()? {
        0 => IndexState::WriteOnly,
        1 => IndexState::Building,
        2 => IndexState::Readable,
        3 => IndexState::Dropping,
        _ => return Err(reader.invalid()),
    };
    let kind = match reader.byte()? {
        0 => IndexKind::Values {
            mapping: if read_flag(reader)? {
                Mapping::Covering
            } else {
                Mapping::Mapped
            },
            uniqueness: if read_flag(reader)? {
                Uniqueness::Unique
            } else {
                Uniqueness::Any
            },
        },
        1 => IndexKind::Counters,
        2 => IndexKind::Custom {
            indexer: reader.text()?.into(),
            options: reader.bytes()?.to_vec(),
        },
        _ => return Err(reader.invalid()),
    };
    let mut fields = Vec::new();
    for _ in 0..reader.number::<u32>()? {
        let id = match reader.byte()? {
            0 => FieldId::Number(reader.number()?),
            1 => FieldId::Name(reader.text()?.into()),
            _ => return Err(reader.invalid()),
        };
        let name = reader.text()?.into();
        let kind = type_of(reader.byte()?).ok_or_else(|| reader.invalid())?;
        fields.push(IndexField { id, name, kind });
    }
    Ok(Index {
        def: IndexDef { name, fields, kind },
        state,
    })
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, Error> {
    match reader.byte()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.invalid()),
    }
}

const TYPES: [FieldType; 11] = [
    FieldType::Boolean,
    FieldType::Integer,
    FieldType::Float,
    FieldType::Decimal,
    FieldType::Text,
    FieldType::Bytes,
    FieldType::Date,
    FieldType::Time,
    FieldType::DateTime,
    FieldType::Uuid,
    FieldType::Versionstamp,
];

fn type_code(kind: FieldType) -> u8 {
    (0..)
        .zip(TYPES)
        .find(|(_, other)| *other == kind)
        .map_or(u8::MAX, |(code, _)| code)
}

fn type_of(code: u8) -> Option<FieldType> {
    TYPES.get(usize::from(code)).copied()
}

/// The definitions that were read last, by the key that holds them.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    known: Mutex<HashMap<Vec<u8>, Known>>,
}

#[derive(Debug)]
struct Known {
    /// What [`METADATA_VERSION`] was in the transaction that read them.
    version: Option<Vec<u8>>,
    catalog: Arc<Catalog>,
}

impl Cache {
    fn get(&self, key: &[u8], version: Option<&[u8]>) -> Option<Arc<Catalog>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.get(key).filter(|known| known.version.as_deref() == version)?;
        Some(Arc::clone(&found.catalog))
    }

    fn put(&self, key: Vec<u8>, version: Option<Vec<u8>>, catalog: &Arc<Catalog>) {
        let catalog = Arc::clone(catalog);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN_MAX {
            // What is in use comes back with its next transaction.
            known.clear();
        }
        known.insert(key, Known { version, catalog });
    }
}

impl<E: Engine> Tenant<E> {
    /// What every key of a collection begins with. The name is a Unicode string, so that it meets no byte string that a
    /// layer above has at this place.
    pub(crate) fn collection_prefix(&self, collection: &str) -> Vec<u8> {
        self.key(DATA, &(collection,))
    }

    fn catalog_key(&self, collection: &str) -> Vec<u8> {
        self.key(SYSTEM, &(&b"indexes"[..], collection))
    }
}

impl<E: Engine> TenantTransaction<E> {
    /// The indexes of a collection. The transaction conflicts with whoever changes them.
    ///
    /// Mostly they are known from an earlier transaction, and the read costs nothing but a look at the engine's metadata
    /// version.
    ///
    /// # Errors
    /// [`Error::TenantDeleted`]; failures of the engine.
    pub async fn catalog(&self, collection: &str) -> Result<Arc<Catalog>, Error> {
        let key = self.tenant().catalog_key(collection);
        if let Some((_, known)) = self.known_catalogs().iter().find(|(known, _)| *known == key) {
            return Ok(Arc::clone(known));
        }
        let catalog = self.find_catalog(collection, &key).await?;
        self.known_catalogs().push((key, Arc::clone(&catalog)));
        Ok(catalog)
    }

    async fn find_catalog(&self, collection: &str, key: &[u8]) -> Result<Arc<Catalog>, Error> {
        let (cache, tally) = (self.tenant().layer().catalogs(), self.tally());
        self.conflict_with(key);
        self.conflict_with(self.tenant().entry());
        // A transaction that itself changes definitions cannot read the version, and keeps what it reads to itself.
        let version = match self.raw().get(METADATA_VERSION, Isolation::Snapshot).await {
            Ok(version) => Some(version),
            Err(Error::AccessedUnreadable) => None,
            Err(error) => return Err(error),
        };
        if let Some(version) = &version
            && let Some(known) = cache.get(key, version.as_deref())
        {
            add(&tally.catalog_hits, 1);
            return Ok(known);
        }
        let definitions = self.read(key, Isolation::Snapshot);
        let entry = self.raw().get(self.tenant().entry(), Isolation::Snapshot);
        let (bytes, entry) = try_join(definitions, entry).await?;
        if entry.as_deref() != Some(self.tenant().prefix()) {
            return Err(Error::TenantDeleted);
        }
        let prefix = self.tenant().collection_prefix(collection);
        let catalog = Arc::new(Catalog::decode(collection, prefix, bytes.as_deref())?);
        add(&tally.catalog_misses, 1);
        if let Some(version) = version {
            cache.put(key.to_vec(), version, &catalog);
        }
        Ok(catalog)
    }

    /// Replaces the definitions of a collection.
    pub(crate) fn set_catalog(&self, catalog: &Catalog) {
        let key = self.tenant().catalog_key(catalog.collection());
        if catalog.indexes().is_empty() {
            self.erase(&key);
        } else {
            self.write(&key, &catalog.encode());
        }
        bump(self.raw());
        self.known_catalogs().clear();
    }
}

impl Catalog {
    /// What the keys of an index begin with.
    pub(crate) fn index_prefix(&self, def: &IndexDef) -> Vec<u8> {
        let mut prefix = Vec::with_capacity(self.prefix.len() + def.name().len() + 48);
        prefix.extend_from_slice(&self.prefix);
        let space = if *def.kind() == IndexKind::Counters { b"m" } else { b"i" };
        pack_into(&(&space[..], def.name().as_bytes()), &mut prefix);
        prefix
    }

    /// What the keys of rows begin with.
    pub(crate) fn row_prefix(collection_prefix: &[u8]) -> Vec<u8> {
        let mut prefix = Vec::with_capacity(collection_prefix.len() + 32);
        prefix.extend_from_slice(collection_prefix);
        pack_into(&(&b"d"[..],), &mut prefix);
        prefix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_stored_and_read() {
        let fields = || TYPES.map(|kind| IndexField::named(&kind.to_string(), kind)).to_vec();
        let numbered = IndexField::new(FieldId::Number(300), "a,b", FieldType::Text);
        let catalog = Catalog {
            collection: "users".into(),
            indexes: [
                (
                    IndexDef::new(fields()).unwrap().covering().unique(),
                    IndexState::Readable,
                ),
                (IndexDef::new(vec![numbered]).unwrap(), IndexState::WriteOnly),
                (IndexDef::counters("all", vec![]).unwrap(), IndexState::Building),
                (
                    IndexDef::custom("j", "names", fields()).unwrap().with_options(vec![7]),
                    IndexState::Dropping,
                ),
            ]
            .map(|(def, state)| Index { def, state })
            .to_vec(),
            prefix: vec![1],
        };
        let bytes = catalog.encode();
        assert_eq!(Catalog::decode("users", vec![1], Some(&bytes)).unwrap(), catalog);
        for end in 0..bytes.len() {
            assert!(Catalog::decode("users", vec![1], bytes.get(..end)).is_err());
        }
        assert!(Catalog::decode("users", vec![], Some(&[FORMAT, 0, 0])).is_err());
    }

    #[test]
    fn names_of_different_fields_differ() {
        let name = |fields: &[&str]| {
            let fields = fields
                .iter()
                .map(|name| IndexField::named(name, FieldType::Text))
                .collect();
            IndexDef::new(fields).unwrap().name
        };
        assert_ne!(name(&["a_b"]), name(&["a", "b"]));
        assert_ne!(name(&["a,b"]), name(&["a", "b"]));
        assert_ne!(name(&["a\\", "b"]), name(&["a\\,b"]));
    }
}
