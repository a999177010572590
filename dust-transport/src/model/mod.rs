//! The Dust data model: paths, patterns, values, entries, ops, events.

mod entry;
mod event;
mod op;
mod path;
mod pattern;
mod value;

pub use entry::{Entry, Seq, ValueKind};
pub use event::{DeviceId, Event, OpKind};
pub use op::{Action, Batch, Op, OpId, Precondition};
pub use path::{Path, PathError, Segments};
pub use pattern::{Pattern, PatternError};
pub use value::{Value, ValueError};
