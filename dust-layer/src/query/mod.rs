//! Queries: conditions that are one get or one range read, and nothing that would be filtered afterwards.

mod cursor;
mod explain;
mod plan;
mod run;
mod stream;

use std::ops::{Bound, RangeBounds};

pub use cursor::Cursor;
pub use explain::Explanation;
pub use plan::Plan;
pub use run::{Entries, Entry, Page};
pub use stream::RowStream;

use crate::engine::Direction;
use crate::index::FieldId;
use crate::value::FieldValue;

/// Conditions on the records of a collection, their order, and how many are wanted.
///
/// Equal fields come first, in any order; at most one more field has a range; the order is that of the fields after the
/// equal ones. It is legal if an index has its fields so, or the primary key; the primary key also goes on where an index
/// ends. Nothing is sorted or filtered after it was read.
///
/// A range never finds a null; `equals` with [`FieldValue::Null`] finds those that have no value.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::migration::{Command, Migration, Migrator};
/// use dust_layer::query::Query;
/// use dust_layer::table::Table;
/// use dust_layer::value::FieldType;
/// use dust_layer::{Direction, Memory, Tenant};
///
/// let users = Table::new("users")
///     .key(1, "id", FieldType::Integer)
///     .field(2, "department", FieldType::Text)
///     .field(3, "name", FieldType::Text)
///     .build()?;
/// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
/// let index = Command::create_index("users", users.index(["department", "name"])?);
/// Migrator::new().table(&users).run(&tenant, &[Migration::new(1, [index])]).await?;
///
/// let tx = tenant.begin();
/// for (id, name) in (1..).zip(["Ada", "Bob", "Cyd"]) {
///     let row = [("id", id.into()), ("department", "eng".into()), ("name", name.into())];
///     tx.insert(&users, &users.row::<_, dust_layer::value::FieldValue>(row)?).await?;
/// }
/// let query = Query::new().equals("department", "eng").order_by("name", Direction::Reverse).limit(2);
/// let found = tx.query(&users, &query).await?;
/// assert_eq!(found.iter().map(|row| row.get(3).to_string()).collect::<Vec<_>>(), ["\"Cyd\"", "\"Bob\""]);
///
/// let refused = tx.query(&users, &Query::new().equals("name", "Ada")).await.unwrap_err();
/// assert_eq!(refused.query().unwrap().to_string(), "no index serves the query; one on (name) would");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
#[must_use]
pub struct Query {
    equals: Vec<(FieldId, FieldValue)>,
    ranges: Vec<FieldRange>,
    order: Vec<(FieldId, Direction)>,
    limit: Option<usize>,
}

/// A range of the values of one field.
#[derive(Debug, Clone, PartialEq)]
struct FieldRange {
    field: FieldId,
    lower: Bound<FieldValue>,
    upper: Bound<FieldValue>,
}

impl Query {
    /// Everything, in the order of the primary key.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wants a field to have a value, or none if it is null.
    pub fn equals(mut self, field: impl Into<FieldId>, value: impl Into<FieldValue>) -> Self {
        self.equals.push((field.into(), value.into()));
        self
    }

    /// Wants a field to be in a range; a second range of the same field narrows the first one.
    ///
    /// ```
    /// use dust_layer::query::Query;
    /// use dust_layer::value::FieldValue;
    ///
    /// let adult = Query::new().range("age", FieldValue::from(18)..);
    /// let twenties = Query::new().range("age", FieldValue::from(20)..FieldValue::from(30));
    /// assert_eq!(twenties, adult.range("age", FieldValue::from(20)..).range("age", ..FieldValue::from(30)));
    /// ```
    pub fn range(mut self, field: impl Into<FieldId>, range: impl RangeBounds<FieldValue>) -> Self {
        let (field, lower, upper) = (field.into(), range.start_bound().cloned(), range.end_bound().cloned());
        match self.ranges.iter_mut().find(|range| range.field == field) {
            Some(range) => {
                if is_narrower(&lower, &range.lower, true) {
                    range.lower = lower;
                }
                if is_narrower(&upper, &range.upper, false) {
                    range.upper = upper;
                }
            }
            None => self.ranges.push(FieldRange { field, lower, upper }),
        }
        self
    }

    /// Wants the order of a field, after that of the fields before it. All have one direction.
    pub fn order_by(mut self, field: impl Into<FieldId>, direction: Direction) -> Self {
        self.order.push((field.into(), direction));
        self
    }

    /// Wants at most this many.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// Whether a lower (or upper) bound leaves less than another one.
fn is_narrower(bound: &Bound<FieldValue>, than: &Bound<FieldValue>, lower: bool) -> bool {
    match (bound, than) {
        (Bound::Unbounded, _) => false,
        (_, Bound::Unbounded) => true,
        (Bound::Included(left) | Bound::Excluded(left), Bound::Included(right) | Bound::Excluded(right)) => {
            let order = if lower { left.cmp(right) } else { right.cmp(left) };
            order.is_gt() || order.is_eq() && matches!(bound, Bound::Excluded(_))
        }
    }
}
