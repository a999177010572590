//! Which state of a record was read, and what stands against a change of it.

use std::fmt;
use std::ops::Deref;

use dust_transport::model::{Path, Precondition, Seq, Value};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::changeset::{Changeset, FieldChange};
use crate::codec;
use crate::error::{Error, ErrorKind};
use crate::field::{Field, ReadAs};
use crate::schema::Schema;

/// The state of a record that was read: the revision of each of its leaves.
///
/// Two versions are equal when the record has not been touched between them. A version can be stored, sent to a browser
/// and taken back: it serialises.
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let repo = Repo::memory();
/// repo.insert(Link { slug: "dust".into(), title: "Dust".into(), note: None }).await?;
/// let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
///
/// let sent = serde_json::to_string(found.version())?;
/// let version: Version = serde_json::from_str(&sent)?;
/// assert_eq!(version, *found.version());
///
/// repo.update(found.change().put(Link::TITLE, "Dust, the layer")).if_match(&version).await?;
/// let late = repo.update(found.change().put(Link::NOTE, "read")).if_match(&version).await;
/// assert!(late.is_err_and(|error| error.is_conflict()));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version {
    /// The rest of each leaf's path below the record, with its revision, in the order of the paths.
    leaves: Vec<(String, Seq)>,
}

impl Version {
    pub(crate) fn new(leaves: Vec<(String, Seq)>) -> Self {
        Self { leaves }
    }

    /// The record's revision: the highest of its leaves. It does not rise when a leaf is deleted; the version tells.
    #[must_use]
    pub fn revision(&self) -> Seq {
        self.leaves.iter().map(|(_, seq)| *seq).max().unwrap_or_default()
    }
}

/// What a write expects of the record: a [`Version`], or its revision as a number.
///
/// ```
/// use dust_orm::Expected;
/// use dust_orm::prelude::*;
///
/// assert_eq!(Expected::from(7), Expected::from(Seq(7)));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected(Expectation);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expectation {
    Version(Version),
    Revision(Seq),
    Absent,
}

impl Expected {
    /// Expects that there is no record.
    pub(crate) fn absent() -> Self {
        Self(Expectation::Absent)
    }

    /// The precondition on the record at `root`.
    pub(crate) fn precondition(&self, root: &Path) -> Result<Precondition, Error> {
        let leaf = |(rest, seq): &(String, Seq)| {
            let path = Path::parse(&format!("{root}/{rest}"));
            path.map(|path| (path, *seq))
                .map_err(|error| Error::new(ErrorKind::InvalidParams, format!("the version names no path: {error}")))
        };
        Ok(match &self.0 {
            Expectation::Version(version) => Precondition::Subtree {
                root: root.clone(),
                leaves: version.leaves.iter().map(leaf).collect::<Result<_, _>>()?,
            },
            Expectation::Absent => Precondition::Subtree {
                root: root.clone(),
                leaves: Vec::new(),
            },
            Expectation::Revision(revision) => Precondition::SubtreeRevision {
                root: root.clone(),
                revision: *revision,
            },
        })
    }
}

impl From<Version> for Expected {
    fn from(version: Version) -> Self {
        Self(Expectation::Version(version))
    }
}

impl From<&Version> for Expected {
    fn from(version: &Version) -> Self {
        version.clone().into()
    }
}

impl From<Seq> for Expected {
    fn from(revision: Seq) -> Self {
        Self(Expectation::Revision(revision))
    }
}

impl From<u64> for Expected {
    fn from(revision: u64) -> Self {
        Seq(revision).into()
    }
}

/// A record together with the version at which it was read. Derefs to the record.
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let repo = Repo::memory();
/// repo.insert(Link { slug: "dust".into(), title: "Dust".into(), note: None }).await?;
/// let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
/// assert_eq!(found.title, "Dust");
/// assert!(found.version().revision() > Seq(0));
/// let link: Link = found.into_record();
/// assert_eq!(link.slug, "dust");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<S> {
    record: S,
    version: Version,
}

impl<S> Versioned<S> {
    pub(crate) fn new(record: S, version: Version) -> Self {
        Self { record, version }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> &Version {
        &self.version
    }

    /// The record.
    #[must_use]
    pub fn into_record(self) -> S {
        self.record
    }
}

impl<S> Deref for Versioned<S> {
    type Target = S;

    fn deref(&self) -> &S {
        &self.record
    }
}

/// What stands between a change and the record as it is now: base, mine and theirs of each field.
///
/// ```
/// use dust_orm::prelude::*;
///
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, #[dust(required)] title: String, note: Option<String> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let repo = Repo::memory();
/// repo.insert(Link { slug: "dust".into(), title: "Dust".into(), note: None }).await?;
/// let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
/// repo.update(found.change().put(Link::TITLE, "Theirs")).await?;
///
/// let edit = found.change().put(Link::TITLE, "Mine").put(Link::NOTE, "read");
/// let error = repo.update(edit).if_match(found.version()).await.expect_err("somebody else was first");
/// let conflict = error.dust().and_then(Error::conflict).expect("an update says what stands in its way");
/// let clashes: Vec<_> = conflict.clashes().map(|field| field.field).collect();
/// assert_eq!(clashes, ["title"]);
/// let (base, mine, theirs) = conflict.get(Link::TITLE);
/// assert_eq!(base.as_deref(), Some("Dust"));
/// assert_eq!(mine, FieldChange::Set("Mine".to_owned()));
/// assert_eq!(theirs.as_deref(), Some("Theirs"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq)]
pub struct Conflict {
    version: Option<Version>,
    fields: Vec<FieldConflict>,
}

/// One field of a [`Conflict`], as three parties have it.
///
/// ```
/// use dust_orm::prelude::*;
/// use dust_orm::{FieldConflict, Value};
///
/// let field = FieldConflict {
///     field: "clicks",
///     base: Some(Value::from(1)),
///     mine: FieldChange::Set(Value::from(2)),
///     theirs: Some(Value::from(3)),
/// };
/// assert!(field.clashes());
/// assert!(!FieldConflict { theirs: Some(Value::from(2)), ..field }.clashes(), "both want the same");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FieldConflict {
    /// Serde's name of the field.
    pub field: &'static str,
    /// What the change started from.
    pub base: Option<Value>,
    /// What the change wants.
    pub mine: FieldChange<Value>,
    /// What the store has now.
    pub theirs: Option<Value>,
}

impl FieldConflict {
    /// Whether both sides changed the field, and not to the same.
    #[must_use]
    pub fn clashes(&self) -> bool {
        let mine = match &self.mine {
            FieldChange::Kept => return false,
            FieldChange::Cleared => None,
            FieldChange::Set(value) => Some(value),
        };
        self.theirs != self.base && self.theirs.as_ref() != mine
    }
}

impl Conflict {
    /// Compares a change with what the store has now: the fields by index, or `None` where the record is gone.
    pub(crate) fn of<S: Schema>(changeset: &Changeset<S>, theirs: Option<(&[Option<Value>], Version)>) -> Self {
        let (theirs, version) = theirs.unzip();
        // As a record would write it, so that what another client wrote as "5" is no change of a 5, nor an empty map
        // that left no leaf one of an empty map. What does not load is compared as it lies there.
        let theirs = theirs.map(|theirs| match codec::load::<S>(theirs) {
            Ok(record) => codec::dump(&record).0,
            Err(_) => theirs.to_vec(),
        });
        let present = |value: Option<&Option<Value>>| value.cloned().flatten().filter(|value| !value.is_null());
        let fields = S::FIELDS
            .iter()
            .enumerate()
            .filter(|(index, def)| def.is_stored() && *index != S::SLUG_INDEX)
            .map(|(index, def)| FieldConflict {
                field: def.serde_name(),
                base: present(changeset.base().and_then(|base| base.get(index))),
                mine: changeset.change_list().get(index).cloned().unwrap_or_default(),
                theirs: present(theirs.as_ref().and_then(|theirs| theirs.get(index))),
            });
        Self {
            version,
            fields: fields.collect(),
        }
    }

    /// The version of the record as it is now; `None` where it is gone.
    #[must_use]
    pub fn version(&self) -> Option<&Version> {
        self.version.as_ref()
    }

    /// Every stored field but the slug.
    pub fn fields(&self) -> impl Iterator<Item = &FieldConflict> {
        self.fields.iter()
    }

    /// The fields that both sides changed, and not to the same. Where there are none, the change can be applied to the
    /// record as it is now.
    pub fn clashes(&self) -> impl Iterator<Item = &FieldConflict> {
        self.fields.iter().filter(|field| field.clashes())
    }

    /// Base, mine and theirs of one field, typed; `None` where absent. A field that is an `Option<T>` is read as a `T`.
    #[must_use]
    pub fn get<S: Schema, T, V: DeserializeOwned>(&self, field: Field<S, T>) -> (Option<V>, FieldChange<V>, Option<V>)
    where
        Field<S, T>: ReadAs<V>,
    {
        let decode = |value: &Option<Value>| value.as_ref().and_then(|value| codec::decode(value).ok());
        let Some(found) = self.fields.iter().find(|found| found.field == field.name()) else {
            return (None, FieldChange::Kept, None);
        };
        let mine = match &found.mine {
            FieldChange::Kept => FieldChange::Kept,
            FieldChange::Cleared => FieldChange::Cleared,
            FieldChange::Set(value) => codec::decode(value).map_or(FieldChange::Kept, FieldChange::Set),
        };
        (decode(&found.base), mine, decode(&found.theirs))
    }
}

impl fmt::Debug for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.clashes()).finish()
    }
}
