//! What a query asks of a field.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};

use dust_transport::error::Error as TransportError;
use dust_transport::model::Value;
use dust_transport::query::Range;
use dust_transport::transport::Order;

use crate::field::{Field, IntoField};
use crate::schema::{FieldValue, Schema};

/// The shape of a condition, and of a query that has only such: fields that are equal to a value.
#[derive(Debug, Clone, Copy)]
pub enum Equals {}

/// The shape of a condition that a field is in a range, and of a query with one. It is the last condition.
#[derive(Debug, Clone, Copy)]
pub enum Ranged {}

/// The shape of a query whose order is said.
#[derive(Debug, Clone, Copy)]
pub enum Ordered {}

/// A condition on one field of the schema `S`, made by the methods of [`Field`].
///
/// ```
/// use dust_orm::{Condition, Equals, Ranged};
/// use dust_orm::prelude::*;
///
/// # #[derive(Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "users", index(department, age))]
/// # struct User { slug: String, department: String, age: Option<u32> }
/// let engineers: Condition<User, Equals> = User::DEPARTMENT.eq("eng");
/// let adults: Condition<User, Ranged> = User::AGE.ge(18);
/// let unknown = User::AGE.eq(None);
/// assert_eq!(format!("{engineers:?}, {adults:?}, {unknown:?}"), r#"department = "eng", age >= 18, age = null"#);
/// ```
pub struct Condition<S, K> {
    pub(crate) place: usize,
    pub(crate) test: Result<Test, TransportError>,
    shape: PhantomData<fn() -> (S, K)>,
}

#[derive(Debug, Clone)]
pub(crate) enum Test {
    Equal(Value),
    Range(Range),
}

/// The order of a query: by a field, up or down. See [`Field::asc`] and [`Field::desc`].
pub struct Sort<S> {
    pub(crate) place: usize,
    pub(crate) order: Order,
    schema: PhantomData<fn() -> S>,
}

impl<S> Clone for Sort<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Sort<S> {}

fn value<T: FieldValue>(value: impl IntoField<T>) -> Result<Value, TransportError> {
    Ok(Value::from_serialize(&value.into_field())?)
}

impl<S: Schema, T: FieldValue> Field<S, T> {
    fn condition<K>(self, test: Result<Test, TransportError>) -> Condition<S, K> {
        Condition {
            place: self.index(),
            test,
            shape: PhantomData,
        }
    }

    /// The field has this value; `None` is what is null, and what is absent.
    #[must_use]
    pub fn eq(self, equal: impl IntoField<T>) -> Condition<S, Equals> {
        self.condition(value(equal).map(Test::Equal))
    }

    /// The field is in a range: `a..b`, `a..=b`, `a..` or `..b`. Absent and null are in none.
    #[must_use]
    pub fn between<V: IntoField<T> + Clone>(self, range: impl RangeBounds<V>) -> Condition<S, Ranged> {
        let bound = |bound: Bound<&V>| {
            Ok::<_, TransportError>(match bound {
                Bound::Included(bound) => Bound::Included(value(bound.clone())?),
                Bound::Excluded(bound) => Bound::Excluded(value(bound.clone())?),
                Bound::Unbounded => Bound::Unbounded,
            })
        };
        let (lower, upper) = (bound(range.start_bound()), bound(range.end_bound()));
        self.condition(lower.and_then(|lower| Ok(Test::Range((lower, upper?)))))
    }

    /// The field is below a value.
    #[must_use]
    pub fn lt<V: IntoField<T> + Clone>(self, upper: V) -> Condition<S, Ranged> {
        self.between((Bound::Unbounded, Bound::Excluded(upper)))
    }

    /// The field is a value or below it.
    #[must_use]
    pub fn le<V: IntoField<T> + Clone>(self, upper: V) -> Condition<S, Ranged> {
        self.between((Bound::Unbounded, Bound::Included(upper)))
    }

    /// The field is above a value.
    #[must_use]
    pub fn gt<V: IntoField<T> + Clone>(self, lower: V) -> Condition<S, Ranged> {
        self.between((Bound::Excluded(lower), Bound::Unbounded))
    }

    /// The field is a value or above it.
    #[must_use]
    pub fn ge<V: IntoField<T> + Clone>(self, lower: V) -> Condition<S, Ranged> {
        self.between((Bound::Included(lower), Bound::Unbounded))
    }

    /// Orders a query by the field, the lowest first.
    #[must_use]
    pub fn asc(self) -> Sort<S> {
        Sort {
            place: self.index(),
            order: Order::Asc,
            schema: PhantomData,
        }
    }

    /// Orders a query by the field, the highest first.
    #[must_use]
    pub fn desc(self) -> Sort<S> {
        Sort {
            order: Order::Desc,
            ..self.asc()
        }
    }
}

fn name<S: Schema>(place: usize) -> &'static str {
    S::FIELDS.get(place).map_or("?", |field| field.name())
}

impl<S: Schema, K> fmt::Debug for Condition<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = name::<S>(self.place);
        match &self.test {
            Ok(Test::Equal(value)) => write!(f, "{name} = {value}"),
            Ok(Test::Range((lower, upper))) => {
                let mut joint = "";
                for (bound, included, excluded) in [(lower, ">=", ">"), (upper, "<=", "<")] {
                    match bound {
                        Bound::Included(value) => write!(f, "{joint}{name} {included} {value}")?,
                        Bound::Excluded(value) => write!(f, "{joint}{name} {excluded} {value}")?,
                        Bound::Unbounded => continue,
                    }
                    joint = " and ";
                }
                Ok(())
            }
            Err(error) => write!(f, "{name}: {error}"),
        }
    }
}

impl<S: Schema> fmt::Debug for Sort<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", name::<S>(self.place), self.order)
    }
}
