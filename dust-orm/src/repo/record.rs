//! From the leaves of a store to records.

use std::marker::PhantomData;

use dust_transport::model::{Entry, Path, Seq, Value, assemble, decode_segment};

use crate::codec;
use crate::error::{Error, ErrorKind};
use crate::schema::Schema;
use crate::version::Version;

/// The leaves of one record, gathered.
pub(super) struct Leaves<S> {
    slug: String,
    /// The leaves that are a field, by index.
    fields: Vec<Option<Value>>,
    /// The leaves below a field: its index, the rest of the path below it, the value.
    nested: Vec<(usize, String, Value)>,
    revision: Seq,
    schema: PhantomData<fn() -> S>,
}

impl<S: Schema> Leaves<S> {
    pub(super) fn new(slug: String) -> Self {
        Self {
            slug,
            fields: vec![None; S::FIELDS.len()],
            nested: Vec::new(),
            revision: Seq(0),
            schema: PhantomData,
        }
    }

    /// Takes one leaf; `rest` is its path below the record. Leaves that no field claims are other people's.
    pub(super) fn push(&mut self, rest: &str, value: Value, revision: Seq) {
        self.revision = self.revision.max(revision);
        let (name, below) = rest
            .split_once('/')
            .map_or((rest, None), |(name, below)| (name, Some(below)));
        let name = decode_segment(name);
        let field = S::FIELDS
            .iter()
            .position(|def| def.is_stored() && def.wire_name() == name);
        let Some(index) = field.filter(|index| *index != S::SLUG_INDEX) else {
            return;
        };
        match below {
            Some(below) => self.nested.push((index, below.to_owned(), value)),
            None => {
                if let Some(slot) = self.fields.get_mut(index) {
                    *slot = Some(value);
                }
            }
        }
    }

    /// Gathers the leaves below `root`, ascending; `None` where there are none.
    pub(super) fn gather(root: &Path, slug: &str, entries: Vec<Entry>) -> Option<Self> {
        if entries.is_empty() {
            return None;
        }
        let mut leaves = Self::new(slug.to_owned());
        for entry in entries {
            if let Some(rest) = entry.path.strip_prefix(root) {
                leaves.push(rest, entry.value, entry.revision);
            }
        }
        Some(leaves)
    }

    pub(super) fn slug(&self) -> &str {
        &self.slug
    }

    pub(super) fn revision(&self) -> Seq {
        self.revision
    }

    /// The fields by index, nested ones assembled.
    pub(super) fn into_fields(mut self) -> Vec<Option<Value>> {
        for group in self.nested.chunk_by(|a, b| a.0 == b.0) {
            let Some(slot) = group.first().and_then(|(index, ..)| self.fields.get_mut(*index)) else {
                continue;
            };
            *slot = Some(assemble(
                group.iter().map(|(_, rest, value)| (rest.as_str(), value.json())),
            ));
        }
        if let Some(slot) = self.fields.get_mut(S::SLUG_INDEX) {
            *slot = Some(Value::from(self.slug));
        }
        self.fields
    }

    pub(super) fn load(self) -> Result<S, Error> {
        let fields = self.into_fields();
        codec::load(&fields).map_err(|error| {
            let slug = fields.get(S::SLUG_INDEX).and_then(Option::as_ref).and_then(Value::str);
            let slug = slug.unwrap_or_default();
            Error::new(
                ErrorKind::InvalidRecord,
                format!("the stored {} `{slug}` does not load: {error}", S::NAME),
            )
        })
    }
}

/// A record as it was read: its leaves and their revisions.
pub(super) struct Stored<S> {
    pub(super) leaves: Leaves<S>,
    pub(super) version: Version,
}

impl<S: Schema> Stored<S> {
    /// Gathers the leaves below `root`, ascending.
    pub(super) fn gather(root: &Path, slug: &str, entries: Vec<Entry>) -> Option<Self> {
        let revision = |entry: &Entry| Some((entry.path.strip_prefix(root)?.to_owned(), entry.revision));
        let revisions = entries.iter().filter_map(revision).collect();
        Some(Self {
            leaves: Leaves::gather(root, slug, entries)?,
            version: Version::new(revisions),
        })
    }
}

/// Groups the leaves below a prefix, ascending, by record.
///
/// The leaves of one record are neighbours, since they share `prefix/slug/`; so a record is complete when the next one
/// begins, and only one is held at a time.
pub(super) struct Grouping<S> {
    prefix: Path,
    open: Option<(String, Leaves<S>)>,
}

impl<S: Schema> Grouping<S> {
    pub(super) fn new(prefix: Path) -> Self {
        Self { prefix, open: None }
    }

    /// Takes the next leaf; gives the record before it back when this one begins another.
    pub(super) fn push(&mut self, entry: Entry) -> Option<Leaves<S>> {
        let rest = entry.path.strip_prefix(&self.prefix)?;
        // A leaf exactly at `prefix/slug` is no record.
        let (slug, rest) = rest.split_once('/')?;
        let mut done = None;
        if self.open.as_ref().is_none_or(|(open, _)| open != slug) {
            done = self
                .open
                .replace((slug.to_owned(), Leaves::new(decode_segment(slug).into_owned())));
        }
        if let Some((_, leaves)) = &mut self.open {
            leaves.push(rest, entry.value, entry.revision);
        }
        done.map(|(_, leaves)| leaves)
    }

    /// The last record.
    pub(super) fn finish(&mut self) -> Option<Leaves<S>> {
        self.open.take().map(|(_, leaves)| leaves)
    }
}
