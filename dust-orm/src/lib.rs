//! Typed records on Dust.

#[doc(hidden)]
pub mod __private;
mod changeset;
mod codec;
mod error;
mod field;
mod repo;
mod schema;
mod version;

pub use changeset::{Change, Changeset, Errors, FieldError};
pub use dust_derive::DustSchema;
pub use dust_transport::model::{Event, Op, OpId, Seq, Value};
pub use dust_transport::transport::{Signal, Start, Transport};
pub use error::{Error, ErrorKind, Outcome, WriteError};
pub use field::{Field, FieldList, IntoField};
pub use repo::*;
pub use schema::{FieldDef, FieldValue, Schema, Slug, Storage};
pub use version::{Conflict, Expected, FieldConflict, Version, Versioned};
