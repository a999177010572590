//! From what is asked of fields to a range of an index.

use std::fmt::Write as _;

use super::request::{Range, value_of};
use super::{IndexDefinition, IndexQuery};
use crate::error::{Error, ErrorKind};
use crate::model::{Path, Value};
use crate::transport::Order;

/// What a query asks of the fields of records, whichever index serves it.
///
/// ```
/// use dust_transport::query::Conditions;
///
/// let asked = Conditions { equals: vec![("department".parse()?, "eng".into())], ..Conditions::default() };
/// assert!(asked.range.is_none());
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conditions {
    /// Fields with the value that they have to have.
    pub equals: Vec<(Path, Value)>,
    /// A field with the range that its value has to be in.
    pub range: Option<(Path, Range)>,
    /// The field that the records are ordered by, among those that are equal in all others.
    pub order: Option<(Path, Order)>,
}

/// Finds the index that answers a query by one range: the one with the fewest fields, of several one that holds the records,
/// else the first.
///
/// It begins with the fields of `equals`, in any order; the field of the range, or else of the order, comes right after them.
///
/// ```
/// use dust_transport::query::{Conditions, IndexDefinition, plan};
///
/// let by_department = IndexDefinition::new("users".parse()?, ["department".parse()?])?;
/// let asked = Conditions { equals: vec![("name".parse()?, "Ada".into())], ..Conditions::default() };
/// let refused = plan(&"users".parse()?, [&by_department], asked).unwrap_err();
/// assert_eq!(refused.code(), "no_index");
/// assert_eq!(refused.detail(), "no index of `users` serves the query; an index by (name) would");
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
///
/// # Errors
/// `InvalidParams`: `no_index` where no index serves the query, with the one that would; `invalid_query` where none can: a field
/// with two values, a range on a field that has to be equal, an order by another field than that of the range; and what
/// [`IndexQuery::check`] refuses.
pub fn plan<'d>(
    prefix: &Path,
    definitions: impl IntoIterator<Item = &'d IndexDefinition>,
    conditions: Conditions,
) -> Result<IndexQuery, Error> {
    let wanted = wanted(&conditions)?;
    let Conditions { equals, range, order } = conditions;
    let serves = |index: &&IndexDefinition| {
        let (first, rest) = index.fields().split_at_checked(equals.len()).unwrap_or_default();
        index.prefix() == prefix
            && equals.iter().all(|(field, _)| first.contains(field))
            && wanted.get(equals.len()).is_none_or(|next| rest.first() == Some(next))
    };
    let found = definitions
        .into_iter()
        .filter(serves)
        .min_by_key(|index| (index.fields().len(), !index.is_covering()));
    let Some(index) = found else {
        let names: Vec<_> = wanted.iter().map(Path::as_str).collect();
        let mut detail = format!("no index of `{prefix}` serves the query");
        if !names.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(detail, "; an index by ({}) would", names.join(", "));
        }
        return Err(Error::new(ErrorKind::InvalidParams, "no_index", detail));
    };
    let value = |field: &Path| {
        equals
            .iter()
            .find(|(given, _)| given == field)
            .map(|(_, value)| value.clone())
    };
    let mut query = IndexQuery::new(index.clone()).equals(index.fields().iter().map_while(value));
    if let Some((_, range)) = range {
        query.range = range;
    }
    if let Some((_, order)) = order {
        query.order = order;
    }
    query.check()?;
    Ok(query)
}

/// The fields of the smallest index that would do, in an order of its own choice for those that are equal.
fn wanted(conditions: &Conditions) -> Result<Vec<Path>, Error> {
    let refuse = |detail: String| Err(Error::new(ErrorKind::InvalidParams, "invalid_query", detail));
    let mut wanted: Vec<Path> = Vec::with_capacity(conditions.equals.len() + 1);
    for (field, _) in &conditions.equals {
        if wanted.contains(field) {
            return refuse(format!("`{field}` has to be equal to two values"));
        }
        wanted.push(field.clone());
    }
    if let Some((field, (lower, upper))) = &conditions.range {
        if wanted.contains(field) {
            return refuse(format!("`{field}` has to be equal to a value and in a range"));
        }
        if value_of(lower).or(value_of(upper)).is_none() {
            return refuse(format!("the range of `{field}` has no bound"));
        }
        wanted.push(field.clone());
    }
    if let Some((field, _)) = &conditions.order {
        match &conditions.range {
            Some((ranged, _)) if ranged != field => {
                return refuse(format!("a query with a range of `{ranged}` is ordered by `{ranged}`"));
            }
            Some(_) => {}
            None if wanted.contains(field) => {
                return refuse(format!(
                    "`{field}` is the same in all records that are found, so it gives no order"
                ));
            }
            None => wanted.push(field.clone()),
        }
    }
    Ok(wanted)
}
