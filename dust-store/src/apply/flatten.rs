//! Maps into leaves.

use dust_transport::model::{Path, Value, ValueKind};

use super::refuse_lease;
use crate::error::Refusal;

/// The leaves that a map becomes: keys become literal segments, empty maps leave nothing.
///
/// The recursion is as deep as the value, which is bounded.
pub(crate) fn leaves(path: &Path, map: &Value) -> Result<Vec<(Path, Value, ValueKind)>, Refusal> {
    let mut leaves = Vec::new();
    collect(path, map, &mut leaves)?;
    Ok(leaves)
}

fn collect(path: &Path, map: &Value, leaves: &mut Vec<(Path, Value, ValueKind)>) -> Result<(), Refusal> {
    for (name, value) in map.entries().unwrap_or_default() {
        let child = path.child(&name)?;
        match value.as_leaf() {
            Some((leaf, kind)) => {
                refuse_lease(kind)?;
                leaves.push((child, leaf, kind));
            }
            None => collect(&child, &value, leaves)?,
        }
    }
    Ok(())
}
