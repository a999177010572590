//! A query of one index, and what it finds.

use std::fmt;
use std::ops::Bound;

use serde::{Deserialize, Serialize};

use super::IndexDefinition;
use crate::error::{Error, ErrorKind};
use crate::model::{Entry, Path, Value};
use crate::transport::Order;

/// One range of an index: equal values of its first fields, then at most one range of the next field.
///
/// Values have one order whoever wrote them: null, which also stands for an absent field, `false`, `true`, numbers by what
/// they are worth (`1` and `1.0` are the same), strings by their bytes. Lists and maps come last, have no order of their own,
/// and cannot be asked for. Of a string the first [`TEXT_BYTES_MAX`](Self::TEXT_BYTES_MAX) bytes count. Records with the
/// same values are in the order of their slugs.
///
/// As JSON:
///
/// ```
/// use dust_transport::query::{IndexDefinition, IndexQuery};
/// use dust_transport::model::Value;
/// use dust_transport::transport::Order;
///
/// let index = IndexDefinition::new("users".parse()?, ["department".parse()?, "age".parse()?])?;
/// let ages = Value::from(18)..Value::from(65);
/// let query = IndexQuery::new(index).equals(["eng".into()]).range(ages).order(Order::Desc).limit(20);
/// query.check()?;
/// let json = r#"{"prefix":"users","fields":["department","age"],"equals":["eng"],"range":{"gte":18,"lt":65},"order":"desc","limit":20}"#;
/// assert_eq!(Value::from_serialize(&query)?.json(), json);
/// assert_eq!(Value::from_json(json)?.to::<IndexQuery>()?, query);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Body", into = "Body")]
pub struct IndexQuery {
    /// Which index.
    pub index: IndexDefinition,
    /// The values of its first fields.
    pub equals: Vec<Value>,
    /// The values of the field after those.
    pub range: Range,
    /// In the order of the index, or in the reverse.
    pub order: Order,
    /// At most so many records, 1 to [`LIMIT_MAX`](Self::LIMIT_MAX). A page of large records may have fewer.
    pub limit: usize,
    /// Continue after the page that gave this.
    pub after: Option<Cursor>,
}

/// Bounds of the values of a field; both are of one kind, and with one of them only values of its kind are in the range.
pub type Range = (Bound<Value>, Bound<Value>);

impl IndexQuery {
    /// The keys that its JSON form may have: those of its [index](IndexDefinition::KEYS), and what is asked of it.
    pub const KEYS: &[&str] = &[
        "prefix",
        "fields",
        "mapped",
        "unique",
        "write_primary",
        "equals",
        "range",
        "order",
        "limit",
        "after",
    ];

    /// The most records of one page.
    pub const LIMIT_MAX: usize = 1000;

    /// The limit of a query that names none.
    pub const LIMIT_DEFAULT: usize = 50;

    /// How many bytes of a string count; a longer one cannot be asked for.
    pub const TEXT_BYTES_MAX: usize = 512;

    /// All records of an index, in its order.
    #[must_use]
    pub fn new(index: IndexDefinition) -> Self {
        Self {
            index,
            equals: Vec::new(),
            range: (Bound::Unbounded, Bound::Unbounded),
            order: Order::Asc,
            limit: Self::LIMIT_DEFAULT,
            after: None,
        }
    }

    /// The same with these values of the first fields.
    #[must_use]
    pub fn equals(mut self, values: impl IntoIterator<Item = Value>) -> Self {
        self.equals = values.into_iter().collect();
        self
    }

    /// The same with this range of the field after those that are equal.
    #[must_use]
    pub fn range(mut self, range: impl std::ops::RangeBounds<Value>) -> Self {
        self.range = (range.start_bound().cloned(), range.end_bound().cloned());
        self
    }

    /// The same in this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same with this limit.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The same, continued after a page; `None` starts over.
    #[must_use]
    pub fn after(mut self, after: impl Into<Option<Cursor>>) -> Self {
        self.after = after.into();
        self
    }

    /// Refuses what no store can answer.
    ///
    /// # Errors
    /// `InvalidParams`: `invalid_params` for a limit that is out of bounds; `invalid_query` for more values than the index has
    /// fields, for a range when all of them are equal, for a value without an order, a string that is too long, and bounds
    /// of different kinds.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |detail| Err(Error::new(ErrorKind::InvalidParams, "invalid_query", detail));
        if !(1..=Self::LIMIT_MAX).contains(&self.limit) {
            let detail = "the limit of a query must be 1 to 1000";
            return Err(Error::new(ErrorKind::InvalidParams, "invalid_params", detail));
        }
        let fields = self.index.fields().len();
        if self.equals.len() > fields {
            return refuse("there are more values than the index has fields");
        }
        let bounds = [&self.range.0, &self.range.1].map(value_of);
        if self.equals.len() == fields && bounds.iter().any(Option::is_some) {
            return refuse("the index has no field left for the range");
        }
        for value in self.equals.iter().chain(bounds.into_iter().flatten()) {
            match Class::of(value) {
                None => return refuse("lists and maps have no order, so no query asks for them"),
                Some(Class::Text) if value.str().is_some_and(|text| text.len() > Self::TEXT_BYTES_MAX) => {
                    return refuse("a string of a query has at most 512 bytes");
                }
                Some(_) => {}
            }
        }
        match bounds.map(|bound| bound.and_then(Class::of)) {
            [Some(Class::Null), _] | [_, Some(Class::Null)] => refuse("null is no bound of a range"),
            [Some(lower), Some(upper)] if lower != upper => refuse("the bounds of a range are of one kind"),
            _ => Ok(()),
        }
    }
}

/// The value of a bound, if it is one.
pub(super) fn value_of(bound: &Bound<Value>) -> Option<&Value> {
    match bound {
        Bound::Included(value) | Bound::Excluded(value) => Some(value),
        Bound::Unbounded => None,
    }
}

/// The kinds of values that are compared with each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Null,
    Boolean,
    Number,
    Text,
}

impl Class {
    /// The kind of a value; `None` for a list or a map.
    fn of(value: &Value) -> Option<Self> {
        match value.json().as_bytes().first()? {
            b'n' => Some(Self::Null),
            b't' | b'f' => Some(Self::Boolean),
            b'"' => Some(Self::Text),
            b'[' | b'{' => None,
            _ => Some(Self::Number),
        }
    }
}

/// Says what is read: the index, the values, the range and the order.
impl fmt::Display for IndexQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.index)?;
        let mut next = ": ";
        let mut fields = self.index.fields().iter();
        for (value, field) in self.equals.iter().zip(fields.by_ref()) {
            write!(f, "{next}{field} = {value}")?;
            next = ", ";
        }
        if let Some(field) = fields.next() {
            let (lower, upper) = &self.range;
            for (bound, included, excluded) in [(lower, ">=", ">"), (upper, "<=", "<")] {
                match bound {
                    Bound::Included(value) => write!(f, "{next}{field} {included} {value}")?,
                    Bound::Excluded(value) => write!(f, "{next}{field} {excluded} {value}")?,
                    Bound::Unbounded => continue,
                }
                next = ", ";
            }
        }
        if self.order == Order::Desc {
            write!(f, "{next}descending")?;
        }
        Ok(())
    }
}

/// The form on the wire.
#[derive(Clone, Serialize, Deserialize)]
struct Body {
    #[serde(flatten)]
    index: IndexDefinition,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    equals: Vec<Value>,
    #[serde(default, skip_serializing_if = "Bounds::is_empty")]
    range: Bounds,
    #[serde(default, skip_serializing_if = "Direction::is_ascending")]
    order: Direction,
    #[serde(default = "limit_default")]
    limit: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    after: Option<Cursor>,
}

fn limit_default() -> usize {
    IndexQuery::LIMIT_DEFAULT
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Direction {
    #[default]
    Asc,
    Desc,
}

impl Direction {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    fn is_ascending(&self) -> bool {
        matches!(self, Self::Asc)
    }
}

#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bounds {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gt: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    gte: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lt: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lte: Option<Value>,
}

impl Bounds {
    fn is_empty(&self) -> bool {
        [&self.gt, &self.gte, &self.lt, &self.lte]
            .iter()
            .all(|bound| bound.is_none())
    }
}

/// The excluding bound counts where both are given.
fn bound(excluded: Option<Value>, included: Option<Value>) -> Bound<Value> {
    match (excluded, included) {
        (Some(value), _) => Bound::Excluded(value),
        (None, Some(value)) => Bound::Included(value),
        (None, None) => Bound::Unbounded,
    }
}

impl From<Body> for IndexQuery {
    fn from(body: Body) -> Self {
        Self {
            index: body.index,
            equals: body.equals,
            range: (
                bound(body.range.gt, body.range.gte),
                bound(body.range.lt, body.range.lte),
            ),
            order: match body.order {
                Direction::Asc => Order::Asc,
                Direction::Desc => Order::Desc,
            },
            limit: body.limit,
            after: body.after,
        }
    }
}

impl From<IndexQuery> for Body {
    fn from(query: IndexQuery) -> Self {
        let mut range = Bounds::default();
        match query.range.0 {
            Bound::Included(value) => range.gte = Some(value),
            Bound::Excluded(value) => range.gt = Some(value),
            Bound::Unbounded => {}
        }
        match query.range.1 {
            Bound::Included(value) => range.lte = Some(value),
            Bound::Excluded(value) => range.lt = Some(value),
            Bound::Unbounded => {}
        }
        Self {
            index: query.index,
            equals: query.equals,
            range,
            order: match query.order {
                Order::Asc => Direction::Asc,
                Order::Desc => Direction::Desc,
            },
            limit: query.limit,
            after: query.after,
        }
    }
}

/// Where the next page of a query begins; only the store that gave it knows what it says. It can be kept and sent as text.
///
/// The range, the order and the limit of a query may change from page to page. A cursor of another index, or of a
/// query with other equal values, is refused as `InvalidParams` with `invalid_cursor`, as is what is no cursor.
///
/// ```
/// use dust_transport::query::Cursor;
///
/// let cursor = Cursor::new("0165");
/// assert_eq!(Cursor::new(cursor.to_string()), cursor);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor that was given as this text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A record that a query found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRecord {
    /// `prefix/slug`.
    pub path: Path,
    /// The leaves below it, in the order of their paths.
    pub entries: Vec<Entry>,
}

/// One page of a query.
///
/// ```
/// use dust_transport::query::{Cursor, IndexDefinition, IndexQuery, QueryPage};
///
/// let index = IndexDefinition::new("users".parse()?, ["name".parse()?])?;
/// let page = QueryPage { records: Vec::new(), next: Some(Cursor::new("0165")) };
/// let more = IndexQuery::new(index).after(page.next);
/// assert!(more.after.is_some());
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct QueryPage {
    /// The records, in the order of the query.
    pub records: Vec<FoundRecord>,
    /// Where the next page begins; `None` when nothing more was found.
    pub next: Option<Cursor>,
}
