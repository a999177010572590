//! What each op does to the leaves, over a [`Draft`].

mod flatten;
mod list;
mod number;

use dust_layer::Transaction;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Action, Op, Path, Value, ValueKind};

use crate::codec::Leaf;
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

/// Does one op, and gives the value that its event carries.
///
/// # Errors
/// A refusal may leave writes in the draft: the whole batch is to be dropped.
pub(crate) async fn apply<T: Transaction>(draft: &mut Draft<'_, T>, op: &Op, seq: u64) -> Result<Option<Value>, Halt> {
    let path = &op.path;
    match &op.action {
        Action::Set(value) => set(draft, path, value, seq).await.map(Some),
        Action::Delete => {
            delete(draft, path);
            Ok(None)
        }
        Action::Merge(map) => merge(draft, path, map, seq).await.map(Some),
        Action::Increment(by) => {
            let current = leaf_value(draft, path).await?;
            let total = number::sum(current.as_ref(), by)?;
            put(draft, path, &total, ValueKind::Counter, seq)?;
            Ok(Some(total))
        }
        Action::Add(member) => {
            let members = list::add(leaf_value(draft, path).await?.as_ref(), member)?;
            put(draft, path, &members, ValueKind::Set, seq)?;
            Ok(Some(members))
        }
        Action::Remove(member) => {
            let members = list::remove(leaf_value(draft, path).await?.as_ref(), member)?;
            put(draft, path, &members, ValueKind::Set, seq)?;
            Ok(Some(members))
        }
        other => {
            let detail = format!("this store has no op `{}`", other.kind());
            Err(Refusal::from(Error::new(ErrorKind::NotSupported, "not_supported", detail)).into())
        }
    }
}

/// Replaces what is at and below the path.
async fn set<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path, value: &Value, seq: u64) -> Result<Value, Halt> {
    let below = draft.keys().below(path.as_str());
    if let Some((leaf, kind)) = value.as_leaf() {
        refuse_lease(kind)?;
        if draft.any(&below).await? {
            draft.clear_range(below);
        }
        put(draft, path, &leaf, kind, seq)?;
        return Ok(leaf);
    }
    let flat = flatten::leaves(path, value)?;
    if draft.any(&below).await? {
        draft.clear_range(below);
    }
    draft.clear(draft.keys().leaf(path.as_str()));
    for (path, leaf, kind) in &flat.leaves {
        put(draft, path, leaf, *kind, seq)?;
    }
    Ok(flat.event.unwrap_or_else(|| value.clone()))
}

/// Removes what is at and below the path.
fn delete<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path) {
    draft.clear(draft.keys().leaf(path.as_str()));
    draft.clear_range(draft.keys().below(path.as_str()));
}

/// Replaces each named child: a map with all that is below the child, anything else only the leaf at it.
async fn merge<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path, map: &Value, seq: u64) -> Result<Value, Halt> {
    let entries = map.entries().filter(|_| !map.is_leaf()).ok_or_else(|| {
        Refusal::invalid(
            "merge_requires_map_value",
            "the value of a merge must be a map without a `_type`",
        )
    })?;
    let mut plain = false;
    let mut written = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let child = path.child(&name).map_err(Refusal::from)?;
        let shown = match value.as_leaf() {
            Some((leaf, kind)) => {
                refuse_lease(kind)?;
                put(draft, &child, &leaf, kind, seq)?;
                leaf
            }
            None => set(draft, &child, &value, seq).await?,
        };
        plain |= shown != value;
        written.push((name, shown));
    }
    Ok(if plain { Value::map(written) } else { map.clone() })
}

/// The value of the leaf exactly at the path.
async fn leaf_value<T: Transaction>(draft: &Draft<'_, T>, path: &Path) -> Result<Option<Value>, Halt> {
    let Some(bytes) = draft.get(&draft.keys().leaf(path.as_str())).await? else {
        return Ok(None);
    };
    let leaf = Leaf::decode(&bytes).map_err(Refusal::leaf)?;
    Ok(Some(Value::from_trusted_json(leaf.text.into())))
}

fn put<T: Transaction>(
    draft: &mut Draft<'_, T>,
    path: &Path,
    value: &Value,
    kind: ValueKind,
    seq: u64,
) -> Result<(), Refusal> {
    let leaf = Leaf {
        kind,
        revision: seq,
        text: value.json(),
    };
    draft.set(draft.keys().leaf(path.as_str()), leaf.encode())
}

/// A lease comes only from the store itself; whoever could set one could forge it.
fn refuse_lease(kind: ValueKind) -> Result<(), Refusal> {
    match kind {
        ValueKind::Lease => Err(Refusal::invalid(
            "invalid_params",
            "a lease cannot be written as a plain value",
        )),
        _ => Ok(()),
    }
}
