//! What the expansions of `dust-derive` name. Not part of the public API; it changes without notice.

pub use crate::field::Field;
pub use crate::index::{IndexDef, Indexed};
pub use crate::schema::{FieldDef, FieldValue, IndexOnly, Primary, Schema, Slug, Storage};
pub use ::validator::ValidationErrors;

use dust_transport::model::Value;

/// A value as a field's default.
///
/// # Panics
/// If the value does not serialise to JSON; the default of a field is the program's own.
#[must_use]
pub fn value<T: FieldValue>(value: &T) -> Value {
    Value::from_serialize(value).expect("the default of a field serialises")
}

/// The `Default` of a type as a field's default.
#[must_use]
pub fn default_value<T: Default + FieldValue>() -> Value {
    value(&T::default())
}

/// Runs the `validator` rules of a record.
pub fn validate<T: ::validator::Validate>(record: &T) -> Result<(), ValidationErrors> {
    record.validate()
}

/// The text of a slug. The bound is named here once, so that a slug that is no string is one error, on its type.
#[must_use]
pub fn slug<T: Slug>(slug: &T) -> &str {
    slug.as_ref()
}
