//! Writes without an op id: the wire asks for one, so they get one that shows what it is.

use crate::model::{Event, OpId};

const PREFIX: &str = "unnamed_";

/// An id for a write that has none.
pub(super) fn op_id() -> Result<OpId, crate::model::IdError> {
    OpId::new(format!("{PREFIX}{}", OpId::random()))
}

/// Whether an id is such a one.
pub(super) fn is_unnamed(id: &OpId) -> bool {
    id.as_str().starts_with(PREFIX)
}

/// Takes such an id off an event.
pub(super) fn strip(event: &mut Event) {
    event.op_id.take_if(|id| is_unnamed(id));
}
