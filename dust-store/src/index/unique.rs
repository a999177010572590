//! No two records of a unique index have the same values.

use dust_layer::Transaction;
use dust_transport::model::{Path, Seq};
use dust_transport::query::IndexDefinition;

use super::{entry, value};
use crate::codec::Leaf;
use crate::draft::Draft;
use crate::error::{Halt, Refusal};
use crate::store::stored_value;

pub(super) use super::value::is_cut;

/// A unique index.
pub(super) struct Unique<'i> {
    pub(super) definition: &'i IndexDefinition,
    pub(super) base: &'i [u8],
}

impl Unique<'_> {
    /// The slug of another record that has these values. What cannot be compared is like nothing else.
    pub(super) async fn other<T: Transaction>(
        &self,
        draft: &Draft<'_, T>,
        values: &[&[u8]],
        slug: &str,
    ) -> Result<Option<String>, Halt> {
        if !values.iter().all(|value| value::is_comparable(value)) {
            return Ok(None);
        }
        let is_cut = values.iter().any(|value| is_cut(value));
        let mut others = Vec::new();
        let mut visit = |key: &[u8]| {
            let other = entry::slug(key, self.base, values.len());
            others.extend(other.filter(|other| *other != slug).map(str::to_owned));
            is_cut || others.is_empty()
        };
        draft
            .each_key(&entry::range_of_equal(self.base, values), &mut visit)
            .await?;
        for other in others {
            if !is_cut || self.is_alike(draft, values, slug, &other).await? {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Whether the long strings of two records are the same to their end.
    async fn is_alike<T: Transaction>(
        &self,
        draft: &Draft<'_, T>,
        values: &[&[u8]],
        slug: &str,
        other: &str,
    ) -> Result<bool, Halt> {
        for (field, value) in self.definition.fields().iter().zip(values) {
            if is_cut(value) && self.text(draft, slug, field).await? != self.text(draft, other, field).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn text<T: Transaction>(
        &self,
        draft: &Draft<'_, T>,
        slug: &str,
        field: &Path,
    ) -> Result<Option<String>, Halt> {
        let key = draft
            .keys()
            .leaf(&format!("{}/{slug}/{field}", self.definition.prefix()));
        let Some(stored) = draft.get(&key).await? else {
            return Ok(None);
        };
        let leaf = Leaf::decode(&stored).map_err(Refusal::leaf)?;
        let value = stored_value(leaf.text).map_err(Refusal::from)?;
        Ok(value.str().map(std::borrow::Cow::into_owned))
    }

    /// What is said of a record that has the values of another.
    pub(super) async fn refusal<T: Transaction>(
        &self,
        draft: &Draft<'_, T>,
        slug: &str,
        other: &str,
    ) -> Result<Refusal, Halt> {
        let prefix = self.definition.prefix();
        let at = |below: &str| Path::parse(&format!("{prefix}/{below}")).map_err(Refusal::from);
        let first = self.definition.fields().first().map_or("", Path::as_str);
        let leaf = at(&format!("{other}/{first}"))?;
        let stored = draft.get(&draft.keys().leaf(leaf.as_str())).await?;
        let revision = stored.as_deref().map(Leaf::decode).transpose().map_err(Refusal::leaf)?;
        let current = Seq(revision.map_or(0, |leaf| leaf.revision));
        Ok(Refusal::not_unique(
            self.definition,
            at(slug)?,
            &at(other)?,
            leaf,
            current,
        ))
    }
}
