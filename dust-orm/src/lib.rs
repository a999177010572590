//! Typed records on Dust.
#[doc(hidden)]
pub mod __private;
mod field;
mod schema;
