//! What the client's mapped range read is asked, and what it gives.
//!
//! The client takes a packed tuple as the template of the other key: `{K[i]}` stands for the element `i` of the entry's key,
//! and `{...}` at the end for a range of all that begins so. What it finds first there is the key itself, if it is there.

use ::foundationdb::mapped_key_values::{FdbMappedKeyValue, MappedKeyValues};

use super::super::{MappedPairs, Mapper, Pairs};
use crate::tuple::{Bytes, element_end, pack_into};

/// The codes of elements that the client copies into a key as they are.
const BYTE_STRING: u8 = 0x01;
const INTEGERS: std::ops::RangeInclusive<u8> = 0x0c..=0x1c;

/// The template of a mapper; `None` if the layout of the keys cannot be said in one.
pub(super) fn template(prefix: &[u8], mapper: Mapper<'_>) -> Option<Vec<u8>> {
    let base = [prefix, mapper.base].concat();
    let target = [prefix, mapper.target].concat();
    let (base, target) = (elements(&base)?, elements(&target)?);
    let mut template = Vec::new();
    for (place, element) in target.iter().enumerate() {
        if base.get(place) == Some(element) {
            refer(place, &mut template);
        } else if is_literal(element) {
            template.extend_from_slice(element);
        } else {
            return None;
        }
    }
    let first = base.len() + mapper.skip;
    for place in first..first + mapper.take {
        refer(place, &mut template);
    }
    pack_into(&(Bytes::from(&b"{...}"[..]),), &mut template);
    Some(template)
}

fn refer(place: usize, template: &mut Vec<u8>) {
    pack_into(&(Bytes::from(format!("{{K[{place}]}}").into_bytes()),), template);
}

/// Whether an element in a template stands for itself.
fn is_literal(element: &[u8]) -> bool {
    match element.first() {
        Some(&BYTE_STRING) => !element.iter().any(|byte| matches!(byte, b'{' | b'}')),
        Some(code) => INTEGERS.contains(code),
        None => false,
    }
}

/// The elements of a packed tuple, each packed; `None` for other bytes.
fn elements(packed: &[u8]) -> Option<Vec<&[u8]>> {
    let mut elements = Vec::new();
    let mut rest = packed;
    while !rest.is_empty() {
        let (element, after) = rest.split_at_checked(element_end(rest)?)?;
        elements.push(element);
        rest = after;
    }
    Some(elements)
}

/// The pages of a mapped range read, put together.
pub(super) struct MappedRead<'a> {
    prefix: &'a [u8],
    mapper: Mapper<'a>,
    limit: usize,
    /// How many entries the limit and one more leave to be read.
    left: usize,
    pairs: Pairs,
    values: Vec<Option<Vec<u8>>>,
}

impl<'a> MappedRead<'a> {
    pub(super) fn new(prefix: &'a [u8], mapper: Mapper<'a>, limit: usize) -> Self {
        Self {
            prefix,
            mapper,
            limit,
            left: limit.saturating_add(1),
            pairs: Pairs::default(),
            values: Vec::new(),
        }
    }

    /// How many entries are still wanted, with the one beyond the limit that shows that it cuts.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Adds a page; `false` if the client followed an entry elsewhere than it leads.
    pub(super) fn take(&mut self, page: &MappedKeyValues) -> bool {
        self.left = self.left.saturating_sub(page.len());
        page.iter().all(|found| self.take_one(found).is_some())
    }

    fn take_one(&mut self, found: &FdbMappedKeyValue) -> Option<()> {
        let key = found.parent_key().strip_prefix(self.prefix)?;
        let target = self.mapper.target_of(key)?;
        if found.begin_range().strip_prefix(self.prefix) != Some(&target[..]) {
            return None;
        }
        let first = found.key_values().first();
        let value = first.filter(|pair| pair.key().strip_prefix(self.prefix) == Some(&target[..]));
        if self.pairs.len() == self.limit {
            self.pairs.set_more(true);
            return Some(());
        }
        self.values.push(value.map(|pair| pair.value().to_vec()));
        self.pairs.push(key, found.parent_value());
        Some(())
    }

    pub(super) fn finish(self) -> MappedPairs {
        MappedPairs::new(self.pairs, self.values)
    }
}
