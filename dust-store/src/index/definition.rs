//! The definitions of a store's indexes, and how far each has come.

use dust_layer::{Error as LayerError, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::Path;
use dust_transport::query::{IndexDefinition, IndexState, IndexStatus};

use super::entry;
use crate::error::corrupt;
use crate::keyspace::Keyspace;

/// The most indexes of a store.
pub(super) const INDEXES_MAX: usize = 64;

/// The format of the stored definitions.
const FORMAT: u8 = 1;

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
    /// The records up to this slug, rendered, have been added; none if it is empty.
    Building {
        after: String,
        records: u64,
    },
    Readable,
}

/// All indexes of a store, in the order of their definition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Indexes(pub(super) Vec<Index>);

impl Index {
    pub(super) fn new(keys: &Keyspace, definition: IndexDefinition) -> Self {
        Self {
            base: entry::base(keys, &definition),
            definition,
            progress: Progress::Building {
                after: String::new(),
                records: 0,
            },
        }
    }

    /// Whether the build has come to the record of a slug, rendered.
    pub(super) fn has_reached(&self, slug: &str) -> bool {
        match &self.progress {
            Progress::Readable => true,
            // Records are in the order of the paths below them.
            Progress::Building { after, .. } => !after.is_empty() && format!("{slug}/") <= format!("{after}/"),
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
        isolation: Isolation,
    ) -> Result<Result<Self, Error>, LayerError> {
        let stored = transaction.get(keys.indexes(), isolation).await?;
        Ok(match stored {
            Some(stored) => Self::decode(keys, &stored).ok_or_else(undecodable),
            None => Ok(Self::default()),
        })
    }

    pub(super) fn find(&self, definition: &IndexDefinition) -> Option<&Index> {
        self.0.iter().find(|index| index.definition == *definition)
    }

    pub(super) fn find_mut(&mut self, definition: &IndexDefinition) -> Option<&mut Index> {
        self.0.iter_mut().find(|index| index.definition == *definition)
    }

    /// Writes them: a format byte, then each index as JSON, which is rare enough to be legible.
    pub(super) fn encode(&self) -> Vec<u8> {
        let stored = self.0.iter().map(|index| {
            let fields: Vec<_> = index.definition.fields().iter().map(Path::as_str).collect();
            let mut stored = serde_json::json!({ "prefix": index.definition.prefix().as_str(), "fields": fields });
            if let (Progress::Building { after, records }, Some(stored)) = (&index.progress, stored.as_object_mut()) {
                stored.insert("after".into(), after.as_str().into());
                stored.insert("records".into(), (*records).into());
            }
            stored
        });
        let text = stored.collect::<serde_json::Value>().to_string();
        [&[FORMAT], text.as_bytes()].concat()
    }

    fn decode(keys: &Keyspace, bytes: &[u8]) -> Option<Self> {
        let stored = bytes.strip_prefix(&[FORMAT]);
        let stored: Option<Vec<serde_json::Value>> = stored.and_then(|json| serde_json::from_slice(json).ok());
        let index = |stored: &serde_json::Value| {
            let prefix = Path::parse(stored.get("prefix")?.as_str()?).ok()?;
            let fields = stored.get("fields")?.as_array()?.iter();
            let fields: Option<Vec<_>> = fields.map(|field| Path::parse(field.as_str()?).ok()).collect();
            let mut index = Index::new(keys, IndexDefinition::new(prefix, fields?).ok()?);
            index.progress = match stored.get("after") {
                None => Progress::Readable,
                Some(after) => Progress::Building {
                    after: after.as_str()?.to_owned(),
                    records: stored.get("records")?.as_u64()?,
                },
            };
            Some(index)
        };
        stored
            .and_then(|stored| stored.iter().map(index).collect::<Option<_>>())
            .map(Self)
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
            Index::new(&keys, IndexDefinition::new("a~1b/c".parse().unwrap(), fields).unwrap())
        };
        let mut indexes = Indexes(vec![index(&["name"]), index(&["a,b", "x/y"])]);
        indexes.0[0].progress = Progress::Readable;
        let bytes = indexes.encode();
        assert_eq!(Indexes::decode(&keys, &bytes).unwrap(), indexes);
        for end in 0..bytes.len() {
            assert_eq!(Indexes::decode(&keys, &bytes[..end]), None);
        }
    }
}
