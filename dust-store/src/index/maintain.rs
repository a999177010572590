//! Entries follow the leaves that a batch writes.

use std::collections::BTreeSet;

use dust_layer::Transaction;

use super::definition::{Collection, Indexes, Kept};
use super::entry;
use super::field::{Sides, Values, both_sides};
use super::record;
use super::unique::{Unique, is_cut};
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

impl Indexes {
    /// Brings the entries in line with what the batch makes of the leaves. To be called when the batch is whole and the
    /// transaction does not have it yet.
    pub(crate) async fn maintain<T: Transaction>(&self, draft: &mut Draft<'_, T>) -> Result<(), Halt> {
        for collection in &self.collections {
            collection.maintain(draft).await?;
        }
        Ok(self.note_pieces(draft)?)
    }
}

impl Collection {
    async fn maintain<T: Transaction>(&self, draft: &mut Draft<'_, T>) -> Result<(), Halt> {
        let range = draft.keys().below(self.prefix.as_str());
        let touched = draft.touched(&range);
        if touched.is_cleared {
            for kept in &self.indexes {
                draft.clear_range(entry::range(&kept.base));
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
        let mut claims = Vec::new();
        for slug in slugs.into_iter().filter(|slug| !slug.is_empty()) {
            let at = format!("{}/{slug}", self.prefix);
            let sides = both_sides(draft, &at, &self.fields, touched.is_cleared).await?;
            let record = match &sides.new {
                Some(_) if self.is_covering() => record::drafted(draft, &at).await?,
                _ => Vec::new(),
            };
            self.follow(draft, &sides, &slug, &record)?;
            if self.claims(&sides) {
                claims.extend(sides.new.map(|values| (slug, values)));
            }
        }
        // Once all is in place, so that records can exchange their values.
        for (slug, values) in claims {
            self.check(draft, &slug, &values).await?;
        }
        Ok(())
    }

    fn follow<T: Transaction>(
        &self,
        draft: &mut Draft<'_, T>,
        sides: &Sides,
        slug: &str,
        record: &[u8],
    ) -> Result<(), Refusal> {
        for kept in &self.indexes {
            let key = |values: &Option<Values>| Some(entry::key(&kept.base, kept.pick(values.as_ref()?), slug));
            let (old, new) = (key(&sides.old), key(&sides.new));
            let is_covering = kept.definition.is_covering();
            if old == new && !is_covering {
                continue;
            }
            if let Some(old) = old.filter(|old| Some(old) != new.as_ref()) {
                if is_covering {
                    draft.clear_entry(old);
                } else {
                    draft.clear(old);
                }
            }
            if let Some(new) = new {
                draft.set_entry(new, if is_covering { record } else { &[] })?;
            }
        }
        Ok(())
    }

    /// Whether the record may now have the values of another. A string that is cut may have changed in what is not seen.
    fn claims(&self, sides: &Sides) -> bool {
        let mut uniques = self.indexes.iter().filter(|kept| kept.definition.is_unique());
        let Some(new) = &sides.new else { return false };
        uniques.any(|kept| {
            let is_same = |old: &Values| kept.pick(old).eq(kept.pick(new)) && !kept.pick(new).any(is_cut);
            !sides.old.as_ref().is_some_and(is_same)
        })
    }

    /// Refuses a record that has the values of another in a unique index.
    async fn check<T: Transaction>(&self, draft: &Draft<'_, T>, slug: &str, values: &Values) -> Result<(), Halt> {
        for kept in self.indexes.iter().filter(|kept| kept.definition.is_unique()) {
            let values: Vec<&[u8]> = kept.pick(values).collect();
            let unique = Unique {
                definition: &kept.definition,
                base: &kept.base,
            };
            if let Some(other) = unique.other(draft, &values, slug).await? {
                return Err(unique.refusal(draft, slug, &other).await?.into());
            }
        }
        Ok(())
    }
}

impl Kept {
    /// The values of its fields, among those of all indexes of the prefix.
    fn pick<'v>(&self, values: &'v Values) -> impl Iterator<Item = &'v [u8]> {
        self.places
            .iter()
            .filter_map(|place| values.get(*place).map(Vec::as_slice))
    }
}
