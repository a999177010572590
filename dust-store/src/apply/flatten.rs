//! Maps into leaves.

use dust_transport::model::{Path, Value, ValueKind};

use super::refuse_lease;
use crate::error::Refusal;

/// A map as the leaves that it becomes.
#[derive(Debug, Default)]
pub(super) struct Flat {
    pub(super) leaves: Vec<(Path, Value, ValueKind)>,
    /// The map as its event shows it, where that is not the map as it came: with decimals and date-times plain.
    pub(super) event: Option<Value>,
}

/// Flattens a map: keys become literal segments, empty maps leave nothing.
///
/// The recursion is as deep as the value, which is bounded.
pub(super) fn leaves(path: &Path, map: &Value) -> Result<Flat, Refusal> {
    let mut leaves = Vec::new();
    let event = collect(path, map, &mut leaves)?;
    Ok(Flat { leaves, event })
}

fn collect(path: &Path, map: &Value, leaves: &mut Vec<(Path, Value, ValueKind)>) -> Result<Option<Value>, Refusal> {
    let entries = map.entries().unwrap_or_default();
    let mut plain = Vec::new();
    for (index, (name, value)) in entries.iter().enumerate() {
        let child = path.child(name)?;
        let shown = match value.as_leaf() {
            Some((leaf, kind)) => {
                refuse_lease(kind)?;
                let shown = matches!(kind, ValueKind::Decimal | ValueKind::Datetime).then(|| leaf.clone());
                leaves.push((child, leaf, kind));
                shown
            }
            None => collect(&child, value, leaves)?,
        };
        if let Some(shown) = shown {
            plain.push((index, shown));
        }
    }
    if plain.is_empty() {
        return Ok(None);
    }
    let mut shown = entries;
    for (index, value) in plain {
        if let Some((_, slot)) = shown.get_mut(index) {
            *slot = value;
        }
    }
    Ok(Some(Value::map(shown)))
}
