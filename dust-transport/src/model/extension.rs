use std::fmt;

/// What a server of this house does beyond the wire of the original.
///
/// A server tells its extensions at `GET /api/capabilities`, and a request that uses some names them in the header
/// [`Extension::HEADER`]. A request without the header is answered as the original answers it.
///
/// ```
/// use dust_transport::model::Extension;
/// assert_eq!(Extension::parse("value_ops"), Some(Extension::ValueOps));
/// assert_eq!(Extension::parse("time_travel"), None);
/// assert_eq!(Extension::ValueOps.to_string(), "value_ops");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Extension {
    /// `if_absent` counts in the ops of a batch.
    AbsentInBatches,
    /// Records may live only in their indexes, and are written at a route of their own; this needs no header.
    IndexOnlyRecords,
    /// Indexes may be unique, and may hold their records; this needs no header.
    IndexOptions,
    /// An op id is committed once; this needs no header.
    OpIds,
    /// There are indexes and queries, at routes of their own; this needs no header.
    Queries,
    /// `if_subtree` counts in the ops of a batch, and `If-Match` of a DELETE and of a PUT of a map compares the whole
    /// subtree.
    SubtreePreconditions,
    /// A batch may merge, increment, add and remove.
    ValueOps,
}

/// A set of [`Extension`]s.
///
/// ```
/// use dust_transport::model::{Extension, Extensions};
/// let both = Extensions::parse("value_ops, absent_in_batches").unwrap();
/// assert!(both.contains(Extension::ValueOps) && !both.contains(Extension::OpIds));
/// assert_eq!(both.to_string(), "absent_in_batches, value_ops");
/// assert_eq!(Extensions::parse("value_ops, time_travel"), Err("time_travel"));
/// assert_eq!(both, [Extension::AbsentInBatches, Extension::ValueOps].into_iter().collect());
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Extensions(u8);

impl Extension {
    /// The header in which a request names the extensions that it uses, separated by commas, and an answer those that the
    /// server has understood.
    pub const HEADER: &'static str = "dust-extensions";

    /// All of them, in the order of their names.
    pub const ALL: [Self; 7] = [
        Self::AbsentInBatches,
        Self::IndexOnlyRecords,
        Self::IndexOptions,
        Self::OpIds,
        Self::Queries,
        Self::SubtreePreconditions,
        Self::ValueOps,
    ];

    /// The name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AbsentInBatches => "absent_in_batches",
            Self::IndexOnlyRecords => "index_only_records",
            Self::IndexOptions => "index_options",
            Self::OpIds => "op_ids",
            Self::Queries => "queries",
            Self::SubtreePreconditions => "subtree_preconditions",
            Self::ValueOps => "value_ops",
        }
    }

    /// The extension of a name; `None` for what is none.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|extension| extension.as_str() == name)
    }

    fn bit(self) -> u8 {
        match self {
            Self::AbsentInBatches => 1,
            Self::OpIds => 2,
            Self::SubtreePreconditions => 4,
            Self::ValueOps => 8,
            Self::Queries => 16,
            Self::IndexOptions => 32,
            Self::IndexOnlyRecords => 64,
        }
    }
}

impl Extensions {
    /// Every extension.
    pub const ALL: Self = Self(127);

    /// Reads names that are separated by commas; an unknown one is the error.
    ///
    /// # Errors
    /// The first name that is of no extension.
    pub fn parse(names: &str) -> Result<Self, &str> {
        let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
        names.map(|name| Extension::parse(name).ok_or(name)).collect()
    }

    /// Whether this one is in the set.
    #[must_use]
    pub fn contains(self, extension: Extension) -> bool {
        self.0 & extension.bit() != 0
    }

    /// Whether there is none in the set.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Those that are in both sets.
    #[must_use]
    pub fn both(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The extensions in the set, in the order of their names.
    pub fn iter(self) -> impl Iterator<Item = Extension> {
        Extension::ALL
            .into_iter()
            .filter(move |extension| self.contains(*extension))
    }
}

impl FromIterator<Extension> for Extensions {
    fn from_iter<I: IntoIterator<Item = Extension>>(extensions: I) -> Self {
        Self(extensions.into_iter().fold(0, |bits, extension| bits | extension.bit()))
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, extension) in self.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{extension}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Extensions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_what_was_put_in() {
        assert_eq!(Extensions::ALL, Extension::ALL.into_iter().collect());
        assert!(Extension::ALL.is_sorted_by_key(|extension| extension.as_str()));
        for extension in Extension::ALL {
            let one = Extensions::parse(extension.as_str()).unwrap();
            assert_eq!(one.iter().collect::<Vec<_>>(), [extension]);
            assert_eq!(one.both(Extensions::ALL), one);
        }
        assert!(Extensions::parse(" , ").unwrap().is_empty());
    }
}
