//! The values of the fields of a record.

use std::ops::Range;

use dust_layer::{Direction, Error as LayerError, Isolation, RangeRead, Transaction};
use dust_transport::model::Path;

use super::value;
use crate::codec::Leaf;
use crate::draft::{Draft, Peek, read, successor};
use crate::error::{Halt, Refusal};
use crate::keyspace::Keyspace;
use crate::store::stored_json;

/// How many leaves a page of a scan has.
pub(super) const SCAN_PAIRS: usize = 1024;

/// What is at the path of a field: a leaf, what lies below it, or both.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Field {
    /// The leaf, encoded.
    pub(super) leaf: Option<Vec<u8>>,
    pub(super) has_below: bool,
}

impl Field {
    /// The value that counts: as where records are read, what lies below hides the leaf.
    pub(super) fn into_value(self) -> Vec<u8> {
        match self {
            Self { has_below: true, .. } => value::other(),
            Self { leaf: Some(leaf), .. } => leaf,
            Self { leaf: None, .. } => value::absent(),
        }
    }

    fn is_there(&self) -> bool {
        self.has_below || self.leaf.is_some()
    }
}

/// A record: the fields that its indexes ask for, encoded and in their order.
pub(super) type Values = Vec<Vec<u8>>;

/// A record by what is committed and by what a batch makes of it.
pub(super) struct Sides {
    pub(super) old: Option<Values>,
    pub(super) new: Option<Values>,
}

fn encoded(stored: &[u8]) -> Result<Vec<u8>, Refusal> {
    let leaf = Leaf::decode(stored).map_err(Refusal::leaf)?;
    Ok(value::encode(stored_json(leaf.text)?))
}

async fn has_any<T: Transaction>(transaction: &T, range: &Range<Vec<u8>>) -> Result<bool, LayerError> {
    Ok(!transaction
        .get_range(read(&range.start, &range.end, 1))
        .await?
        .is_empty())
}

/// Reads a record; `None` if nothing lies below its path.
pub(super) async fn committed<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
    record: &str,
    fields: &[Path],
) -> Result<Option<Values>, Halt> {
    let found = fields_of(transaction, keys, record, fields).await?;
    let is_there = found.iter().any(Field::is_there) || has_any(transaction, &keys.below(record)).await?;
    Ok(is_there.then(|| found.into_iter().map(Field::into_value).collect()))
}

async fn fields_of<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
    record: &str,
    fields: &[Path],
) -> Result<Vec<Field>, Halt> {
    let mut found = Vec::with_capacity(fields.len());
    for field in fields {
        let at = format!("{record}/{field}");
        let leaf = transaction.get(&keys.leaf(&at), Isolation::Snapshot).await?;
        found.push(Field {
            leaf: leaf.as_deref().map(encoded).transpose()?,
            has_below: has_any(transaction, &keys.below(&at)).await?,
        });
    }
    Ok(found)
}

/// Reads a record before and after a batch. What the batch has not touched is read once.
pub(super) async fn both_sides<T: Transaction>(
    draft: &Draft<'_, T>,
    record: &str,
    fields: &[Path],
    is_new: bool,
) -> Result<Sides, Halt> {
    let (transaction, keys) = (draft.transaction(), draft.keys());
    let below = keys.below(record);
    let was_there = !is_new && has_any(transaction, &below).await?;
    let old = if was_there {
        fields_of(transaction, keys, record, fields).await?
    } else {
        vec![Field::default(); fields.len()]
    };
    let mut new = Vec::with_capacity(fields.len());
    for (field, old) in fields.iter().zip(&old) {
        let at = format!("{record}/{field}");
        let leaf = match draft.peek(&keys.leaf(&at)) {
            Peek::Written(stored) => Some(encoded(stored)?),
            Peek::Cleared => None,
            Peek::Untouched => old.leaf.clone(),
        };
        let below = keys.below(&at);
        let has_below = draft.writes_any(&below) || old.has_below && draft.any(&below).await?;
        new.push(Field { leaf, has_below });
    }
    let is_there =
        new.iter().any(Field::is_there) || draft.writes_any(&below) || was_there && draft.any(&below).await?;
    let values = |fields: Vec<Field>| fields.into_iter().map(Field::into_value).collect();
    Ok(Sides {
        old: was_there.then(|| values(old)),
        new: is_there.then(|| values(new)),
    })
}

/// The next records of a scan, and after which slug the one after it begins.
pub(super) struct Scanned {
    pub(super) records: Vec<(String, Values)>,
    /// `None` after the last record.
    pub(super) after: Option<String>,
}

/// What a scan goes through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scan<'s> {
    /// It begins after the record of this slug, rendered.
    pub(super) after: Option<&'s str>,
    /// It ends with the record of this slug, rendered.
    pub(super) until: Option<&'s str>,
    /// How many leaves a page of it has.
    pub(super) pairs: usize,
}

/// The last slug below a prefix, rendered; `None` if nothing lies below it.
pub(super) async fn last_slug<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
    prefix: &Path,
) -> Result<Option<String>, Halt> {
    let Range { start, end } = keys.below(prefix.as_str());
    let last = RangeRead {
        direction: Direction::Reverse,
        ..read(&start, &end, 1)
    };
    let page = transaction.get_range(last).await?;
    let Some(key) = page.last_key() else { return Ok(None) };
    let path = keys.path_of(key).and_then(|path| path.get(prefix.as_str().len() + 1..));
    let path = path.ok_or_else(Refusal::foreign_key)?;
    Ok(Some(path.split_once('/').map_or(path, |(slug, _)| slug).to_owned()))
}

/// Reads the records below a prefix, as many as lie in one page of leaves.
///
/// The last of them may go on beyond the page; then its fields are read one by one, however long it is.
pub(super) async fn scan<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
    prefix: &Path,
    fields: &[Path],
    scan: Scan<'_>,
) -> Result<Scanned, Halt> {
    let prefix = prefix.as_str();
    let Range { mut start, mut end } = keys.below(prefix);
    if let Some(until) = scan.until {
        end = keys.below(&format!("{prefix}/{until}")).end;
    }
    if let Some(after) = scan.after {
        start = keys.below(&format!("{prefix}/{after}")).end.min(end.clone());
    }
    let mut records: Vec<(String, Vec<Field>)> = Vec::new();
    loop {
        let page = transaction.get_range(read(&start, &end, scan.pairs)).await?;
        for (key, stored) in &page {
            let path = keys.path_of(key).and_then(|path| path.get(prefix.len() + 1..));
            // A leaf at the path of a record is no record.
            let Some((slug, rest)) = path.ok_or_else(Refusal::foreign_key)?.split_once('/') else {
                continue;
            };
            if records.last().is_none_or(|(last, _)| last != slug) {
                records.push((slug.to_owned(), vec![Field::default(); fields.len()]));
            }
            let Some((_, found)) = records.last_mut() else { continue };
            for (field, found) in fields.iter().zip(found) {
                match rest.strip_prefix(field.as_str()) {
                    Some("") => found.leaf = Some(encoded(stored)?),
                    Some(below) if below.starts_with('/') => found.has_below = true,
                    _ => {}
                }
            }
        }
        let next = page.last_key().filter(|_| page.more()).map(successor);
        let last = records.last_mut();
        match (next, last) {
            (Some(next), None) => start = next,
            (next, last) => {
                let mut after = None;
                if let (Some(_), Some((slug, found))) = (next, last) {
                    *found = fields_of(transaction, keys, &format!("{prefix}/{slug}"), fields).await?;
                    after = Some(slug.clone());
                }
                let values =
                    |(slug, fields): (String, Vec<Field>)| (slug, fields.into_iter().map(Field::into_value).collect());
                return Ok(Scanned {
                    records: records.into_iter().map(values).collect(),
                    after,
                });
            }
        }
    }
}
