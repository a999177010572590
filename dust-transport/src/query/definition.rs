//! What an index is, and how far it has come.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind};
use crate::model::Path;

/// The definition of an index: the records below a prefix, by the values at some paths below each of them.
///
/// Two definitions of one prefix and the same fields in the same order are one index ([`is_same`](Self::is_same)), whatever
/// else they say of it.
///
/// ```
/// use dust_transport::query::IndexDefinition;
///
/// let index = IndexDefinition::new("users".parse()?, ["department".parse()?, "address/city".parse()?])?;
/// assert_eq!(index.to_string(), "users by department, address/city");
/// let covering = index.clone().covering();
/// assert_eq!(covering.to_string(), "users by department, address/city (covering)");
/// assert!(covering.is_same(&index) && covering != index);
/// let none = IndexDefinition::new("users".parse()?, []).unwrap_err();
/// assert_eq!(none.code(), "invalid_index");
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct IndexDefinition {
    prefix: Path,
    fields: Vec<Path>,
    covering: bool,
    unique: bool,
    index_only: bool,
}

/// The form on the wire.
#[derive(Clone, Serialize, Deserialize)]
struct Unchecked {
    prefix: Path,
    fields: Vec<Path>,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    mapped: bool,
    #[serde(default, skip_serializing_if = "is_no")]
    unique: bool,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    write_primary: bool,
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_yes(value: &bool) -> bool {
    *value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
fn is_no(value: &bool) -> bool {
    !*value
}

impl TryFrom<Unchecked> for IndexDefinition {
    type Error = Error;

    fn try_from(given: Unchecked) -> Result<Self, Error> {
        let definition = Self {
            covering: !given.mapped,
            unique: given.unique,
            index_only: !given.write_primary,
            ..Self::new(given.prefix, given.fields)?
        };
        definition.check()?;
        Ok(definition)
    }
}

impl From<IndexDefinition> for Unchecked {
    fn from(definition: IndexDefinition) -> Self {
        Self {
            prefix: definition.prefix,
            fields: definition.fields,
            mapped: !definition.covering,
            unique: definition.unique,
            write_primary: !definition.index_only,
        }
    }
}

impl IndexDefinition {
    /// The keys that its JSON form may have. A reader takes no notice of others, so that they can be added; a server that is asked for
    /// an index should refuse them, since an option that is misspelt is no option.
    ///
    /// ```
    /// use dust_transport::query::{IndexDefinition, IndexQuery};
    ///
    /// assert!(IndexDefinition::KEYS.iter().all(|key| IndexQuery::KEYS.contains(key)));
    /// ```
    pub const KEYS: &[&str] = &["prefix", "fields", "mapped", "unique", "write_primary"];

    /// The most fields of an index.
    pub const FIELDS_MAX: usize = 8;

    /// An index of the records below a prefix, by these fields.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_index` for no field, for more than [`FIELDS_MAX`](Self::FIELDS_MAX), and for the same
    /// field twice.
    pub fn new(prefix: Path, fields: impl IntoIterator<Item = Path>) -> Result<Self, Error> {
        let fields: Vec<Path> = fields.into_iter().collect();
        let refuse = |detail| Err(Error::new(ErrorKind::InvalidParams, "invalid_index", detail));
        if fields.is_empty() {
            return refuse("an index has at least one field");
        }
        if fields.len() > Self::FIELDS_MAX {
            return refuse("an index has at most 8 fields");
        }
        let is_repeated = |(at, field)| fields.iter().take(at).any(|other| other == field);
        if fields.iter().enumerate().any(is_repeated) {
            return refuse("a field is in an index once");
        }
        Ok(Self {
            prefix,
            fields,
            covering: false,
            unique: false,
            index_only: false,
        })
    }

    /// The same, whose entries hold the records (`mapped = false`): a query reads one range and nothing else.
    ///
    /// Every write of any leaf of a record writes its entry anew, whole, so a write costs a read and a write of the record
    /// more. A record may be as large as one transaction of the engine takes (some 9 MB on `FoundationDB`, 1 GiB elsewhere);
    /// one that is larger is refused with `payload_too_large`. From 64 KiB on it is kept in pieces.
    #[must_use]
    pub fn covering(mut self) -> Self {
        self.covering = true;
        self
    }

    /// The same, in which no two records have the same values: a write that would make two is refused with `not_unique`.
    ///
    /// A record of which one of the fields is null, absent, a list or a map is not compared, as in SQL. Numbers are compared
    /// by what they are worth, strings to their end.
    ///
    /// ```
    /// use dust_transport::query::IndexDefinition;
    ///
    /// let by_email = IndexDefinition::new("users".parse()?, ["email".parse()?])?.unique();
    /// assert_eq!(by_email.to_string(), "users by email (unique)");
    /// # Ok::<(), dust_transport::error::Error>(())
    /// ```
    #[must_use]
    pub fn unique(mut self) -> Self {
        self.unique = true;
        self
    }

    /// The same, whose entries are all there is of the records (`write_primary = false`); it is covering.
    ///
    /// Such records are written by [`write_records`](crate::transport::Transport::write_records) and found by queries. They
    /// are in no listing, log, snapshot or replica, and take no sequence number. All indexes of a prefix are such, or none
    /// is, and none of them is unique.
    ///
    /// ```
    /// use dust_transport::query::IndexDefinition;
    ///
    /// let by_day = IndexDefinition::new("events".parse()?, ["day".parse()?])?.index_only();
    /// assert!(by_day.is_covering());
    /// assert_eq!(by_day.to_string(), "events by day (index only)");
    /// # Ok::<(), dust_transport::error::Error>(())
    /// ```
    #[must_use]
    pub fn index_only(mut self) -> Self {
        self.covering = true;
        self.index_only = true;
        self
    }

    /// What the records lie below.
    #[must_use]
    pub fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// The paths of the fields below a record, in the order of the index.
    #[must_use]
    pub fn fields(&self) -> &[Path] {
        &self.fields
    }

    /// Whether its entries hold the records.
    #[must_use]
    pub fn is_covering(&self) -> bool {
        self.covering
    }

    /// Whether no two records have the same values.
    #[must_use]
    pub fn is_unique(&self) -> bool {
        self.unique
    }

    /// Whether its entries are all there is of the records.
    #[must_use]
    pub fn is_index_only(&self) -> bool {
        self.index_only
    }

    /// Refuses options that do not go together.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_index` for an index that is all there is of its records, and does not hold them or is
    /// unique.
    pub fn check(&self) -> Result<(), Error> {
        if self.index_only && (self.unique || !self.covering) {
            let detail =
                "an index that is all there is of its records holds them (`mapped` is false), and is not unique";
            return Err(Error::new(ErrorKind::InvalidParams, "invalid_index", detail));
        }
        Ok(())
    }

    /// Whether both are one index: of the same prefix and fields. A store has one of them at a time.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.prefix == other.prefix && self.fields == other.fields
    }
}

impl fmt::Display for IndexDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by ", self.prefix)?;
        for (at, field) in self.fields.iter().enumerate() {
            write!(f, "{}{field}", if at == 0 { "" } else { ", " })?;
        }
        f.write_str(match (self.index_only, self.unique, self.covering) {
            (true, ..) => " (index only)",
            (_, false, false) => "",
            (_, true, false) => " (unique)",
            (_, false, true) => " (covering)",
            (_, true, true) => " (unique, covering)",
        })
    }
}

/// How far an index has come.
///
/// ```
/// use dust_transport::query::IndexState;
///
/// assert_ne!(IndexState::Building { records: 1000 }, IndexState::Readable);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
#[non_exhaustive]
pub enum IndexState {
    /// Every write keeps its entries, and the records that were there before are being added.
    Building {
        /// How many of those have been added.
        records: u64,
    },
    /// It answers queries.
    Readable,
}

/// An index of a store.
///
/// ```
/// use dust_transport::query::{IndexDefinition, IndexState, IndexStatus};
///
/// let definition = IndexDefinition::new("users".parse()?, ["name".parse()?])?;
/// let status = IndexStatus { definition, state: IndexState::Building { records: 7 } };
/// let json = dust_transport::model::Value::from_serialize(&status)?;
/// assert_eq!(json.json(), r#"{"prefix":"users","fields":["name"],"state":"building","records":7}"#);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexStatus {
    /// What it is.
    #[serde(flatten)]
    pub definition: IndexDefinition,
    /// How far it has come.
    #[serde(flatten)]
    pub state: IndexState,
}
