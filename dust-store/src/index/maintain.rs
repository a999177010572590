//! Entries follow the leaves that a batch writes.

use std::collections::BTreeSet;

use dust_layer::Transaction;

use super::definition::Indexes;
use super::entry;
use super::field::{Sides, both_sides};
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

impl Indexes {
    /// Brings the entries in line with what the batch makes of the leaves. To be called when the batch is whole and the
    /// transaction does not have it yet.
    pub(crate) async fn maintain<T: Transaction>(&self, draft: &mut Draft<'_, T>) -> Result<(), Halt> {
        for collection in &self.collections {
            let range = draft.keys().below(collection.prefix.as_str());
            let touched = draft.touched(&range);
            if touched.is_cleared {
                for (base, _) in &collection.indexes {
                    draft.clear_range(entry::range(base));
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
    indexes: &[(Vec<u8>, Vec<usize>)],
    sides: &Sides,
    slug: &str,
) -> Result<(), Refusal> {
    if sides.old == sides.new {
        return Ok(());
    }
    for (base, places) in indexes {
        let key = |values: &Option<Vec<Vec<u8>>>| {
            let values = values.as_ref()?;
            let values = places.iter().filter_map(|place| values.get(*place).map(Vec::as_slice));
            Some(entry::key(base, values, slug))
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
