//! What each op does to the leaves, over a [`Draft`].

mod file;
pub(crate) mod flatten;
mod lease;
mod list;
mod number;

use dust_layer::Transaction;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Action, FileHash, Op, OpKind, Path, Value, ValueKind};
use dust_transport::transport::Done;

use crate::draft::Draft;
use crate::error::{Halt, Refusal, corrupt};

pub(crate) use flatten::leaves as flattened;
pub(crate) use lease::is_fenced;
pub(crate) use list::levels;

/// What an op came to.
#[derive(Debug)]
pub(crate) struct Applied {
    /// The value of its event.
    pub(crate) value: Option<Value>,
    pub(crate) done: Done,
}

impl Applied {
    fn to(value: Value) -> Self {
        Self {
            value: Some(value),
            done: Done::Applied,
        }
    }

    fn to_nothing() -> Self {
        Self {
            value: None,
            done: Done::Applied,
        }
    }
}

/// When an op is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// The number that it gets.
    pub(crate) seq: u64,
    pub(crate) now_ms: u64,
}

/// Does one op; `hash` is that of the file that it puts.
///
/// # Errors
/// A refusal may leave writes in the draft: the whole batch is to be dropped.
pub(crate) async fn apply<T: Transaction>(
    draft: &mut Draft<'_, T>,
    op: &Op,
    hash: Option<&FileHash>,
    at: Moment,
) -> Result<Applied, Halt> {
    let (path, seq) = (&op.path, at.seq);
    let applied = match &op.action {
        Action::Set(value) => {
            set(draft, path, value, seq).await?;
            Applied::to(value.clone())
        }
        Action::Delete => {
            delete(draft, path).await?;
            Applied::to_nothing()
        }
        Action::Merge(map) => {
            merge(draft, path, map, seq).await?;
            Applied::to(map.clone())
        }
        Action::Increment(by) => {
            let current = value_at(draft, path).await?;
            let total = number::sum(current.as_ref(), by)?;
            draft.put_leaf(path, &total, ValueKind::Counter, seq).await?;
            Applied::to(total)
        }
        Action::Add(member) => {
            let members = list::add(value_at(draft, path).await?.as_ref(), member)?;
            draft.put_leaf(path, &members, ValueKind::Set, seq).await?;
            Applied::to(members)
        }
        Action::Remove(member) => {
            let members = list::remove(value_at(draft, path).await?.as_ref(), member)?;
            draft.put_leaf(path, &members, ValueKind::Set, seq).await?;
            Applied::to(members)
        }
        Action::PutFile { .. } => file::put(draft, op, hash, at).await?,
        Action::Lease { holder, ttl } => lease::take(draft, path, holder.as_deref(), *ttl, at).await?,
        Action::Renew { token, ttl } => lease::renew(draft, path, *token, *ttl, at).await?,
        Action::Release { token } => lease::release(draft, path, *token).await?,
        other => {
            let detail = format!("this store has no op `{}`", other.kind());
            return Err(Refusal::from(Error::new(ErrorKind::NotSupported, "not_supported", detail)).into());
        }
    };
    Ok(applied)
}

/// Does again what an op of the log did, by what the log says of it.
pub(crate) async fn replay<T: Transaction>(
    draft: &mut Draft<'_, T>,
    kind: OpKind,
    path: &Path,
    value: Option<&Value>,
    seq: u64,
) -> Result<(), Halt> {
    match (kind, value) {
        (OpKind::Set, Some(value)) => set(draft, path, value, seq).await,
        (OpKind::Merge, Some(map)) => merge(draft, path, map, seq).await,
        (OpKind::Delete, None) => delete(draft, path).await,
        (OpKind::Release, None) => draft.clear_leaf(path).await,
        (_, Some(value)) => {
            if kind == OpKind::PutFile {
                draft.clear_below(path).await?;
            }
            let kind = kind_of_result(kind).ok_or_else(|| Refusal::from(corrupt("an op of the log is unknown")))?;
            draft.put_leaf(path, value, kind, seq).await
        }
        (_, None) => Err(Refusal::from(corrupt("an op of the log has no value")).into()),
    }
}

/// The kind of the leaf that an op makes whatever its value.
pub(crate) fn kind_of_result(kind: OpKind) -> Option<ValueKind> {
    match kind {
        OpKind::Increment => Some(ValueKind::Counter),
        OpKind::Add | OpKind::Remove => Some(ValueKind::Set),
        OpKind::PutFile => Some(ValueKind::File),
        OpKind::Lease | OpKind::Renew => Some(ValueKind::Lease),
        _ => None,
    }
}

/// Replaces what is at and below the path.
async fn set<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path, value: &Value, seq: u64) -> Result<(), Halt> {
    if let Some((leaf, kind)) = value.as_leaf() {
        refuse_lease(kind)?;
        draft.clear_below(path).await?;
        return draft.put_leaf(path, &leaf, kind, seq).await;
    }
    let leaves = flatten::leaves(path, value)?;
    delete(draft, path).await?;
    for (path, leaf, kind) in &leaves {
        draft.put_leaf(path, leaf, *kind, seq).await?;
    }
    Ok(())
}

/// Removes what is at and below the path.
async fn delete<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path) -> Result<(), Halt> {
    draft.clear_leaf(path).await?;
    draft.clear_below(path).await
}

/// Replaces each named child: a map with all that is below the child, anything else only the leaf at it.
async fn merge<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path, map: &Value, seq: u64) -> Result<(), Halt> {
    let entries = map.entries().filter(|_| !map.is_leaf()).ok_or_else(|| {
        Refusal::invalid(
            "merge_requires_map_value",
            "the value of a merge must be a map without a `_type`",
        )
    })?;
    for (name, value) in entries {
        let child = path.child(&name).map_err(Refusal::from)?;
        match value.as_leaf() {
            Some((leaf, kind)) => {
                refuse_lease(kind)?;
                draft.put_leaf(&child, &leaf, kind, seq).await?;
            }
            None => set(draft, &child, &value, seq).await?,
        }
    }
    Ok(())
}

/// The value of the leaf exactly at the path.
async fn value_at<T: Transaction>(draft: &Draft<'_, T>, path: &Path) -> Result<Option<Value>, Halt> {
    Ok(draft.leaf(path).await?.map(|(_, _, value)| value))
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
