//! Entries follow the leaves that a batch writes.

use std::collections::BTreeSet;

use dust_layer::Transaction;
use dust_transport::model::Path;

use super::definition::{Index, Indexes};
use super::entry;
use super::field::{Sides, both_sides};
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

/// The indexes of one prefix, and the fields that any of them has.
struct Collection<'i> {
    prefix: &'i Path,
    fields: Vec<Path>,
    /// Each with the places of its fields.
    indexes: Vec<(&'i Index, Vec<usize>)>,
}

impl Indexes {
    fn collections(&self) -> Vec<Collection<'_>> {
        let mut collections: Vec<Collection<'_>> = Vec::new();
        for index in &self.0 {
            let prefix = index.definition.prefix();
            let known = collections.iter().position(|collection| collection.prefix == prefix);
            let at = known.unwrap_or_else(|| {
                collections.push(Collection {
                    prefix,
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
            collection.indexes.push((index, places));
        }
        collections
    }

    /// Brings the entries in line with what the batch makes of the leaves. To be called when the batch is whole and the
    /// transaction does not have it yet.
    pub(crate) async fn maintain<T: Transaction>(&self, draft: &mut Draft<'_, T>) -> Result<(), Halt> {
        if self.0.is_empty() {
            return Ok(());
        }
        for collection in self.collections() {
            let range = draft.keys().below(collection.prefix.as_str());
            let touched = draft.touched(&range);
            if touched.is_cleared {
                for (index, _) in &collection.indexes {
                    draft.clear_range(entry::range(&index.base));
                }
            }
            // The part of a key after that of the prefix: the slug, and mostly more.
            let slug = |key: &Vec<u8>| {
                let rest = key.get(range.start.len()..)?;
                let end = rest
                    .iter()
                    .position(|byte| matches!(byte, b'/' | 0))
                    .unwrap_or(rest.len());
                String::from_utf8(rest.get(..end)?.to_vec()).ok()
            };
            let slugs: BTreeSet<String> = touched.keys.iter().filter_map(slug).collect();
            for slug in slugs.iter().filter(|slug| !slug.is_empty()) {
                let record = format!("{}/{slug}", collection.prefix);
                let sides = both_sides(draft, &record, &collection.fields, touched.is_cleared).await?;
                follow(draft, &collection.indexes, &sides, slug)?;
            }
        }
        Ok(())
    }
}

fn follow<T: Transaction>(
    draft: &mut Draft<'_, T>,
    indexes: &[(&Index, Vec<usize>)],
    sides: &Sides,
    slug: &str,
) -> Result<(), Refusal> {
    if sides.old == sides.new {
        return Ok(());
    }
    for (index, places) in indexes {
        let key = |values: &Option<Vec<Vec<u8>>>| {
            let values = values.as_ref()?;
            let values = places.iter().filter_map(|place| values.get(*place).map(Vec::as_slice));
            Some(entry::key(&index.base, values, slug))
        };
        let (old, new) = (key(&sides.old), key(&sides.new));
        if old == new {
            continue;
        }
        if let Some(old) = old {
            draft.clear(old);
        }
        if let Some(new) = new {
            draft.set_entry(new)?;
        }
    }
    Ok(())
}
