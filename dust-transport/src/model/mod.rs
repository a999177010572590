//! The Dust data model: paths, patterns, values, entries, ops, events, extensions of the wire.

mod entry;
mod event;
mod extension;
mod file;
mod id;
mod lease;
mod op;
mod path;
mod pattern;
mod subtree;
mod timestamp;
mod value;

pub use entry::{Entry, Seq, UnknownName, ValueKind};
pub use event::{Event, OpKind};
pub use extension::{Extension, Extensions};
pub use file::{FileHash, FileHashError, FileRef};
pub use id::{DeviceId, IdError, OpId};
pub use lease::{Fence, Lease};
pub use op::{Action, Batch, Op, Precondition};
pub use path::{Path, PathError, Segments, decode_segment};
pub use pattern::{Pattern, PatternError};
pub use subtree::assemble;
pub use timestamp::Timestamp;
#[cfg(feature = "channel")]
pub(crate) use value::data;
pub use value::{Envelope, Value, ValueError};
