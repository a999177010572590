//! The definitions of a store's indexes, and how far each has come.

use std::sync::{Arc, Mutex, PoisonError};

use dust_layer::{Error as LayerError, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::Path;
use dust_transport::query::{IndexDefinition, IndexState, IndexStatus};

use super::entry;
use crate::draft::Draft;
use crate::error::{Refusal, corrupt};
use crate::keyspace::Keyspace;

/// The most indexes of a store.
pub(super) const INDEXES_MAX: usize = 64;

/// The format of the stored definitions.
const FORMAT: u8 = 1;

/// The format of definitions of which any has an option, which a version that does not know it must not lose.
const FORMAT_OPTIONS: u8 = 2;

/// The format of definitions of which any has entries in pieces, which a version that does not know these must not follow.
const FORMAT_PIECES: u8 = 3;

/// One index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Index {
    pub(super) definition: IndexDefinition,
    pub(super) progress: Progress,
    /// What its entries begin with.
    pub(super) base: Vec<u8>,
}

/// How far a build has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Progress {
    /// Of an index that is all there is of its records, `after` is a place in the index that it is built from.
    ///
    /// The records up to `after`, a slug, rendered, have been added; none if it is empty. Those behind `until` are added
    /// by whoever writes them: it was the last slug when the index was defined.
    Building {
        after: String,
        until: Option<String>,
        records: u64,
    },
    Readable,
}

/// The indexes of one prefix, and the fields that any of them has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Collection {
    pub(super) prefix: Path,
    pub(super) fields: Vec<Path>,
    pub(super) indexes: Vec<Kept>,
}

/// What a writer knows of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) definition: IndexDefinition,
    /// What its entries begin with.
    pub(super) base: Vec<u8>,
    /// The places of its fields among those of the collection.
    pub(super) places: Vec<usize>,
}

impl Collection {
    /// Whether an index holds the records.
    pub(super) fn is_covering(&self) -> bool {
        self.indexes.iter().any(|kept| kept.definition.is_covering())
    }
}

/// All indexes of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Indexes {
    /// In the order of their definition.
    pub(super) all: Vec<Index>,
    pub(super) collections: Vec<Collection>,
    /// Whether any entry is or may be in pieces.
    pub(crate) has_pieces: bool,
}

/// The definitions that were read last, so that not every group decodes them.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Option<(Vec<u8>, Arc<Indexes>)>>);

impl Cache {
    fn decode(&self, keys: &Keyspace, stored: Vec<u8>) -> Result<Arc<Indexes>, Error> {
        // One assignment: nothing is half done when the lock is released.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((bytes, indexes)) = &*known
            && *bytes == stored
        {
            return Ok(Arc::clone(indexes));
        }
        let indexes = Arc::new(Indexes::decode(keys, &stored).ok_or_else(undecodable)?);
        *known = Some((stored, Arc::clone(&indexes)));
        Ok(indexes)
    }
}

impl Index {
    /// An index that is to be built up to a slug; without one there is nothing to build.
    pub(super) fn new(keys: &Keyspace, definition: IndexDefinition, until: Option<String>) -> Self {
        Self {
            base: entry::base(keys, &definition),
            definition,
            progress: until.map_or(Progress::Readable, |until| Progress::Building {
                after: String::new(),
                until: Some(until),
                records: 0,
            }),
        }
    }

    /// Whether the build has come to the record of a slug, rendered.
    pub(super) fn has_reached(&self, slug: &str) -> bool {
        match &self.progress {
            Progress::Readable => true,
            // Records are in the order of the paths below them.
            Progress::Building { after, until, .. } => {
                let below = format!("{slug}/");
                let is_written_since = until.as_ref().is_some_and(|until| below > format!("{until}/"));
                is_written_since || !after.is_empty() && below <= format!("{after}/")
            }
        }
    }

    pub(super) fn status(&self) -> IndexStatus {
        IndexStatus {
            definition: self.definition.clone(),
            state: match &self.progress {
                Progress::Building { records, .. } => IndexState::Building { records: *records },
                Progress::Readable => IndexState::Readable,
            },
        }
    }
}

impl Indexes {
    /// Reads the definitions. Whoever changes them is in conflict with this.
    pub(crate) async fn read<T: Transaction>(
        transaction: &T,
        keys: &Keyspace,
        cache: &Cache,
        isolation: Isolation,
    ) -> Result<Result<Arc<Self>, Error>, LayerError> {
        let stored = transaction.get(keys.indexes(), isolation).await?;
        Ok(match stored {
            Some(stored) => cache.decode(keys, stored),
            None => Ok(Arc::default()),
        })
    }

    /// The definitions, where entries of covering indexes may be in pieces or are not.
    pub(super) fn new(all: Vec<Index>, has_pieces: bool) -> Self {
        let has_pieces = has_pieces && all.iter().any(|index| index.definition.is_covering());
        let mut collections: Vec<Collection> = Vec::new();
        for index in &all {
            let prefix = index.definition.prefix();
            if index.definition.is_index_only() {
                // Its entries follow no leaves.
                continue;
            }
            let known = collections.iter().position(|collection| collection.prefix == *prefix);
            let at = known.unwrap_or_else(|| {
                collections.push(Collection {
                    prefix: prefix.clone(),
                    fields: Vec::new(),
                    indexes: Vec::new(),
                });
                collections.len() - 1
            });
            let Some(collection) = collections.get_mut(at) else {
                continue;
            };
            let places = index.definition.fields().iter().map(|field| {
                let place = collection.fields.iter().position(|known| known == field);
                place.unwrap_or_else(|| {
                    collection.fields.push(field.clone());
                    collection.fields.len() - 1
                })
            });
            let places = places.collect();
            collection.indexes.push(Kept {
                definition: index.definition.clone(),
                base: index.base.clone(),
                places,
            });
        }
        Self {
            all,
            collections,
            has_pieces,
        }
    }

    /// The same, once entries are in pieces that were not before.
    pub(crate) fn with_pieces(&self) -> Self {
        Self {
            has_pieces: true,
            ..self.clone()
        }
    }

    /// Has a draft say with the definitions that it is the first to put an entry in pieces, if it is.
    pub(super) fn note_pieces<T: Transaction>(&self, draft: &mut Draft<'_, T>) -> Result<(), Refusal> {
        if draft.has_pieces && !self.has_pieces {
            let key = draft.keys().indexes().to_vec();
            draft.set(key, self.with_pieces().encode())?;
        }
        Ok(())
    }

    pub(super) fn find(&self, definition: &IndexDefinition) -> Option<&Index> {
        self.all.iter().find(|index| index.definition.is_same(definition))
    }

    /// The prefix of the records that a query of this index reads, if they live only in their indexes.
    pub(crate) fn only_prefix(&self, definition: &IndexDefinition) -> Option<&Path> {
        let index = self.find(definition)?;
        index.definition.is_index_only().then(|| index.definition.prefix())
    }

    /// How each of them stands.
    pub(crate) fn status(&self) -> Vec<IndexStatus> {
        self.all.iter().map(Index::status).collect()
    }

    /// Writes them: a format byte, then each index as JSON, which is rare enough to be legible.
    pub(super) fn encode(&self) -> Vec<u8> {
        let has_options = |definition: &IndexDefinition| definition.is_covering() || definition.is_unique();
        let format = if self.has_pieces {
            FORMAT_PIECES
        } else if self.all.iter().any(|index| has_options(&index.definition)) {
            FORMAT_OPTIONS
        } else {
            FORMAT
        };
        let stored = self.all.iter().map(|index| {
            let definition = &index.definition;
            let fields: Vec<_> = definition.fields().iter().map(Path::as_str).collect();
            let mut stored = serde_json::json!({ "prefix": definition.prefix().as_str(), "fields": fields });
            let mut with = |name: &str, value: serde_json::Value| {
                if let Some(stored) = stored.as_object_mut() {
                    stored.insert(name.into(), value);
                }
            };
            if definition.is_covering() {
                with("mapped", false.into());
            }
            if definition.is_unique() {
                with("unique", true.into());
            }
            if definition.is_index_only() {
                with("write_primary", false.into());
            }
            if let Progress::Building { after, until, records } = &index.progress {
                with("after", after.as_str().into());
                if let Some(until) = until {
                    with("until", until.as_str().into());
                }
                with("records", (*records).into());
            }
            stored
        });
        let text = stored.collect::<serde_json::Value>().to_string();
        [&[format], text.as_bytes()].concat()
    }

    fn decode(keys: &Keyspace, bytes: &[u8]) -> Option<Self> {
        let (format, json) = bytes.split_first()?;
        if !matches!(*format, FORMAT | FORMAT_OPTIONS | FORMAT_PIECES) {
            return None;
        }
        let stored: Vec<serde_json::Value> = serde_json::from_slice(json).ok()?;
        let index = |stored: &serde_json::Value| {
            let prefix = Path::parse(stored.get("prefix")?.as_str()?).ok()?;
            let fields = stored.get("fields")?.as_array()?.iter();
            let fields: Option<Vec<_>> = fields.map(|field| Path::parse(field.as_str()?).ok()).collect();
            let mut definition = IndexDefinition::new(prefix, fields?).ok()?;
            if stored.get("mapped").is_some_and(|mapped| *mapped == false) {
                definition = definition.covering();
            }
            if stored.get("unique").is_some_and(|unique| *unique == true) {
                definition = definition.unique();
            }
            if stored.get("write_primary").is_some_and(|primary| *primary == false) {
                definition = definition.index_only();
            }
            let mut index = Index::new(keys, definition, None);
            index.progress = match stored.get("after") {
                None => Progress::Readable,
                Some(after) => Progress::Building {
                    after: after.as_str()?.to_owned(),
                    until: match stored.get("until") {
                        Some(until) => Some(until.as_str()?.to_owned()),
                        None => None,
                    },
                    records: stored.get("records")?.as_u64()?,
                },
            };
            Some(index)
        };
        let all = stored.iter().map(index).collect::<Option<_>>()?;
        Some(Self::new(all, *format == FORMAT_PIECES))
    }
}

/// The stored definitions are none.
pub(crate) fn undecodable() -> Error {
    corrupt("the definitions of the indexes do not decode")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_are_stored_and_read() {
        let keys = Keyspace::new(&[0x15, 0x2A]);
        let index = |fields: &[&str]| {
            let fields = fields.iter().map(|field| field.parse().unwrap());
            let definition = IndexDefinition::new("a~1b/c".parse().unwrap(), fields).unwrap();
            Index::new(&keys, definition, Some("last".to_owned()))
        };
        let mut all = vec![index(&["name"]), index(&["a,b", "x/y", "name"])];
        all[0].progress = Progress::Readable;
        let indexes = Indexes::new(all, false);
        let [collection] = &*indexes.collections else {
            panic!("one prefix")
        };
        assert_eq!(
            (collection.fields.len(), &collection.indexes[1].places),
            (3, &vec![1, 2, 0])
        );
        let bytes = indexes.encode();
        assert_eq!(Indexes::decode(&keys, &bytes).unwrap(), indexes);
        for end in 0..bytes.len() {
            assert_eq!(Indexes::decode(&keys, &bytes[..end]), None);
        }
        // Definitions without options are as the versions before options wrote them, and others are not for these.
        assert_eq!(bytes[0], FORMAT);
        let email = index(&["email"]).definition;
        for definition in [email.clone().unique().covering(), email.index_only()] {
            let indexes = Indexes::new(vec![Index::new(&keys, definition, None)], false);
            assert_eq!(indexes.encode()[0], FORMAT_OPTIONS);
            assert_eq!(Indexes::decode(&keys, &indexes.encode()).unwrap(), indexes);
            let indexes = indexes.with_pieces();
            assert_eq!(indexes.encode()[0], FORMAT_PIECES);
            assert_eq!(Indexes::decode(&keys, &indexes.encode()).unwrap(), indexes);
            // Without covering indexes there are no pieces any more.
            assert!(!Indexes::new(vec![index(&["email"])], true).has_pieces);
        }
    }
}
