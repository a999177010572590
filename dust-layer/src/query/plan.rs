//! Finds the one range that answers a query, or the index that would.

use std::ops::Bound;

use super::{FieldRange, Query};
use crate::engine::Direction;
use crate::error::{Error, QueryError, SchemaError};
use crate::index::{Catalog, FieldId, Index, IndexDef, IndexField, IndexKind, IndexState, entry};
use crate::table::{FieldDef, Table};
use crate::value::{FieldValue, key};

/// The first key of a range, and its end.
type Span = (Vec<u8>, Vec<u8>);

/// What a plan reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Access {
    /// The rows themselves.
    Rows,
    /// The entries of an index.
    Index(IndexDef),
}

/// The one range that a query reads.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::query::Query;
/// use dust_layer::table::Table;
/// use dust_layer::value::{FieldType, FieldValue};
/// use dust_layer::{Memory, Tenant};
///
/// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
/// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
/// let explained = tenant.begin().explain(&users, &Query::new().range("id", FieldValue::from(7)..).limit(3)).await?;
/// assert_eq!(explained.to_string(), "rows of users: id >= 7, forward, at most 3");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub(super) collection: Box<str>,
    pub(super) access: Access,
    /// What every key of the range begins with and no condition decides: the place of the rows, or of the entries.
    pub(super) base: Vec<u8>,
    pub(super) begin: Vec<u8>,
    pub(super) end: Vec<u8>,
    pub(super) direction: Direction,
    pub(super) limit: Option<usize>,
}

impl Plan {
    /// The index whose entries are read; `None` if it is the rows themselves.
    #[must_use]
    pub fn index(&self) -> Option<&IndexDef> {
        match &self.access {
            Access::Rows => None,
            Access::Index(def) => Some(def),
        }
    }

    /// The range that is read: its first key, and its end.
    #[must_use]
    pub fn range(&self) -> (&[u8], &[u8]) {
        (&self.begin, &self.end)
    }

    /// The direction of the read.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }

    /// Whether each entry costs one more read, of the record that it leads to.
    #[must_use]
    pub fn reads_records(&self) -> bool {
        self.index().is_some_and(|def| !def.is_covering())
    }
}

/// A query whose fields are known, with its conditions in one place.
struct Wanted<'q> {
    equals: Vec<(&'q IndexField, &'q FieldValue)>,
    range: Option<(&'q IndexField, &'q FieldRange)>,
    order: Vec<&'q IndexField>,
    direction: Direction,
    limit: Option<usize>,
}

impl<'q> Wanted<'q> {
    /// Checks what no index could mend.
    fn of(query: &'q Query, fields: &'q [IndexField]) -> Result<Self, Error> {
        let known = |id: &FieldId| {
            let is_it =
                |field: &&IndexField| field.id == *id || matches!(id, FieldId::Name(name) if field.name == *name);
            let found = fields.iter().find(is_it);
            found.ok_or_else(|| SchemaError::UnknownField {
                field: id.to_string().into(),
            })
        };
        let mut equals: Vec<(&IndexField, &FieldValue)> = Vec::new();
        for (id, value) in &query.equals {
            let field = known(id)?;
            check_type(field, value)?;
            match equals.iter().find(|(other, _)| other.id == field.id) {
                Some((_, other)) if *other == value => {}
                Some(_) => return Err(two_conditions(field)),
                None => equals.push((field, value)),
            }
        }
        let mut range: Option<(&IndexField, &FieldRange)> = None;
        for next in &query.ranges {
            let field = known(&next.field)?;
            for bound in [&next.lower, &next.upper] {
                if let Bound::Included(value) | Bound::Excluded(value) = bound {
                    check_type(field, value)?;
                }
            }
            if equals.iter().any(|(other, _)| other.id == field.id) {
                return Err(two_conditions(field));
            }
            match range {
                None => range = Some((field, next)),
                Some((first, _)) if first.id == field.id => return Err(two_conditions(field)),
                Some((first, _)) => {
                    let (first, second) = (first.name.clone(), field.name.clone());
                    return Err(QueryError::TwoRanges { first, second }.into());
                }
            }
        }
        let mut order: Vec<&IndexField> = Vec::new();
        let mut direction = None;
        for (id, next) in &query.order {
            let field = known(id)?;
            // Fields that are equal have no order, and one that was named before decides nothing more.
            let is_bound = equals.iter().any(|(other, _)| other.id == field.id);
            if is_bound || order.iter().any(|other| other.id == field.id) {
                continue;
            }
            if *direction.get_or_insert(*next) != *next {
                return Err(QueryError::MixedDirections.into());
            }
            order.push(field);
        }
        if let (Some((range, _)), Some(first)) = (range, order.first())
            && range.id != first.id
        {
            let (range, order) = (range.name.clone(), first.name.clone());
            return Err(QueryError::OtherOrder { range, order }.into());
        }
        Ok(Self {
            equals,
            range,
            order,
            direction: direction.unwrap_or(Direction::Forward),
            limit: query.limit,
        })
    }

    /// The fields of an index that would serve.
    fn suggestion(&self) -> Vec<String> {
        let mut names: Vec<String> = self.equals.iter().map(|(field, _)| field.name.to_string()).collect();
        let rest = self
            .range
            .iter()
            .map(|(field, _)| *field)
            .chain(self.order.iter().copied());
        for field in rest {
            if !names.iter().any(|name| **name == *field.name) {
                names.push(field.name.to_string());
            }
        }
        names
    }

    fn is_empty(&self) -> bool {
        self.equals.is_empty() && self.range.is_none() && self.order.is_empty()
    }

    fn value_of(&self, id: &FieldId) -> Option<&FieldValue> {
        let found = self.equals.iter().find(|(field, _)| field.id == *id);
        found.map(|(_, value)| *value)
    }

    /// The range below `base` of keys that go on with these fields, if they serve the query.
    fn range_in(&self, base: &[u8], fields: &[&IndexField]) -> Option<Span> {
        let mut prefix = base.to_vec();
        let mut bound = 0;
        let mut used: Vec<&FieldId> = Vec::new();
        for field in fields {
            let Some(value) = self.value_of(&field.id) else { break };
            key::encode(value, &mut prefix);
            bound += 1;
            if !used.contains(&&field.id) {
                used.push(&field.id);
            }
        }
        if used.len() < self.equals.len() {
            return None;
        }
        // What is left decides the order; fields that are equal, or there twice, do not.
        let mut rest: Vec<&FieldId> = Vec::new();
        for field in fields.iter().skip(bound) {
            if self.value_of(&field.id).is_none() && !rest.contains(&&field.id) {
                rest.push(&field.id);
            }
        }
        if !self.order.iter().zip(&rest).all(|(wanted, found)| wanted.id == **found) || self.order.len() > rest.len() {
            return None;
        }
        let Some((field, range)) = self.range else {
            let mut end = prefix.clone();
            end.push(0xff);
            return Some((prefix, end));
        };
        // The range is of the very next element of the key.
        if fields.get(bound).is_none_or(|next| next.id != field.id) {
            return None;
        }
        Some(range_of(&prefix, range))
    }
}

fn range_of(prefix: &[u8], range: &FieldRange) -> Span {
    let at = |value: &FieldValue, after: bool| {
        let mut bytes = prefix.to_vec();
        key::encode(value, &mut bytes);
        if after {
            bytes.push(0xff);
        }
        bytes
    };
    // No comparison with null holds.
    let is_null = |bound: &Bound<FieldValue>| {
        matches!(
            bound,
            Bound::Included(FieldValue::Null) | Bound::Excluded(FieldValue::Null)
        )
    };
    if is_null(&range.lower) || is_null(&range.upper) {
        return (prefix.to_vec(), prefix.to_vec());
    }
    let begin = match &range.lower {
        Bound::Included(value) => at(value, false),
        Bound::Excluded(value) => at(value, true),
        // After the nulls, whose code is 0.
        Bound::Unbounded => [prefix, &[0x01]].concat(),
    };
    let end = match &range.upper {
        Bound::Included(value) => at(value, true),
        Bound::Excluded(value) => at(value, false),
        Bound::Unbounded => [prefix, &[0xff]].concat(),
    };
    let end = end.max(begin.clone());
    (begin, end)
}

fn two_conditions(field: &IndexField) -> Error {
    let field = field.name.clone();
    QueryError::TwoConditions { field }.into()
}

fn check_type(field: &IndexField, value: &FieldValue) -> Result<(), Error> {
    match value.kind() {
        Some(found) if found != field.kind => Err(SchemaError::WrongType {
            field: field.name.clone(),
            expected: field.kind,
            found,
        }
        .into()),
        _ => Ok(()),
    }
}

impl Query {
    /// Plans the query on a table.
    ///
    /// # Errors
    /// [`QueryError`] if it is not one range, with the index that would serve; [`SchemaError`] for fields and types.
    pub fn plan(&self, table: &Table, catalog: &Catalog) -> Result<Plan, Error> {
        if let Some(plan) = self.plan_rows(table, &catalog.prefix)? {
            return Ok(plan);
        }
        let fields = known(table.fields());
        Wanted::of(self, &fields)?.plan_index(catalog, &known(table.key_fields()))
    }

    /// Plans the query on the rows themselves, for which no index need be known; `None` if they do not serve.
    pub(super) fn plan_rows(&self, table: &Table, collection_prefix: &[u8]) -> Result<Option<Plan>, Error> {
        let (fields, key) = (known(table.fields()), known(table.key_fields()));
        let wanted = Wanted::of(self, &fields)?;
        if !table.has_rows() {
            return Ok(None);
        }
        let base = Catalog::row_prefix(collection_prefix);
        let range = wanted.range_in(&base, &key.iter().collect::<Vec<_>>());
        Ok(range.map(|range| wanted.planned(table.name(), Access::Rows, base, range)))
    }

    /// Plans the query on the indexes of a collection whose records are kept elsewhere; `key` are the fields of its
    /// primary key, as indexes have them after their own.
    ///
    /// # Errors
    /// As [`plan`](Self::plan).
    pub fn plan_entries(&self, catalog: &Catalog, key: &[IndexField]) -> Result<Plan, Error> {
        let mut fields = key.to_vec();
        for index in catalog.indexes() {
            fields.extend(index.def.fields().iter().cloned());
        }
        // A field that no index has is not unknown: an index on it would serve.
        let conditions = self.equals.iter().map(|(field, value)| (field, Some(value)));
        let ranges = self.ranges.iter().map(|range| match (&range.lower, &range.upper) {
            (Bound::Included(value) | Bound::Excluded(value), _)
            | (_, Bound::Included(value) | Bound::Excluded(value)) => (&range.field, Some(value)),
            _ => (&range.field, None),
        });
        let order = self.order.iter().map(|(field, _)| (field, None));
        for (id, value) in conditions.chain(ranges).chain(order) {
            let kind = value
                .and_then(FieldValue::kind)
                .unwrap_or(crate::value::FieldType::Text);
            if !fields
                .iter()
                .any(|field| field.id == *id || matches!(id, FieldId::Name(name) if field.name == *name))
            {
                fields.push(IndexField::new(id.clone(), &id.to_string(), kind));
            }
        }
        Wanted::of(self, &fields)?.plan_index(catalog, key)
    }
}

/// Fields of a table as those of an index.
fn known(fields: &[FieldDef]) -> Vec<IndexField> {
    let field = |field: &FieldDef| IndexField::new(FieldId::Number(field.number), &field.name, field.kind);
    fields.iter().map(field).collect()
}

impl Wanted<'_> {
    fn plan_index(&self, catalog: &Catalog, key: &[IndexField]) -> Result<Plan, Error> {
        let mut found: Option<(&Index, Vec<u8>, Span)> = None;
        let mut unready = None;
        let is_values = |index: &&Index| matches!(index.def.kind(), IndexKind::Values { .. });
        for index in catalog.indexes().iter().filter(is_values) {
            let base = entry::base(catalog, &index.def);
            let fields: Vec<&IndexField> = index.def.fields().iter().chain(key).collect();
            let Some(range) = self.range_in(&base, &fields) else {
                continue;
            };
            if index.state != IndexState::Readable {
                unready = Some(index);
            } else if found.as_ref().is_none_or(|(best, _, _)| rank(index) < rank(best)) {
                found = Some((index, base, range));
            }
        }
        if let Some((index, base, range)) = found {
            return Ok(self.planned(catalog.collection(), Access::Index(index.def.clone()), base, range));
        }
        if let Some(index) = unready {
            return Err(QueryError::NotReadable {
                index: index.def.name().into(),
                state: index.state.to_string().into(),
            }
            .into());
        }
        if self.is_empty() {
            // Only a table without rows has no range for everything.
            return Err(SchemaError::NoData.into());
        }
        let fields = self.suggestion();
        Err(QueryError::NoIndex { fields }.into())
    }

    fn planned(&self, collection: &str, access: Access, base: Vec<u8>, (begin, end): Span) -> Plan {
        Plan {
            collection: collection.into(),
            access,
            base,
            begin,
            end,
            direction: self.direction,
            limit: self.limit,
        }
    }
}

/// Of indexes that serve a query, the least is used: one that spares the reads of records, then the shortest.
fn rank(index: &Index) -> (bool, usize, &str) {
    (!index.def.is_covering(), index.def.fields().len(), index.def.name())
}
