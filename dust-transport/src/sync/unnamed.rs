//! Writes without an op id: the wire asks for one, so they get one that shows what it is.

use crate::model::{Event, OpId};

const PREFIX: &str = "unnamed_";

/// An id for a write that has none.
pub(super) fn op_id() -> Result<OpId, crate::model::IdError> {
    OpId::new(format!("{PREFIX}{}", OpId::random()))
}

/// Takes such an id off an event.
pub(super) fn strip(event: &mut Event) {
    event.op_id.take_if(|id| id.as_str().starts_with(PREFIX));
}
