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

/// A value as its event shows it: decimals and date-times, in the leaves that it becomes, plain.
pub(crate) fn shown(value: &Value) -> Value {
    plain(value).unwrap_or_else(|| value.clone())
}

/// The same if that is another value.
///
/// The recursion is as deep as the value, which is bounded.
fn plain(value: &Value) -> Option<Value> {
    if !value.json().contains("_typed") && !value.json().contains('\\') {
        return None;
    }
    if let Some((leaf, kind)) = value.as_leaf() {
        return matches!(kind, ValueKind::Decimal | ValueKind::Datetime).then_some(leaf);
    }
    let mut entries = value.entries().unwrap_or_default();
    let mut changed = false;
    for (_, value) in &mut entries {
        if let Some(plain) = plain(value) {
            *value = plain;
            changed = true;
        }
    }
    changed.then(|| Value::map(entries))
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
