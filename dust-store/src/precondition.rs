//! Whether a batch may go on.

use dust_layer::Transaction;
use dust_transport::model::{Action, Op, Path, Precondition, Seq};

use crate::apply::is_fenced;
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

/// Checks the precondition of an op, and then its fence, against the store as the ops before it have left it.
pub(crate) async fn check<T: Transaction>(draft: &mut Draft<'_, T>, op: &Op, now_ms: u64) -> Result<(), Halt> {
    check_precondition(draft, op).await?;
    match &op.fence {
        Some(fence) => is_fenced(draft, fence, now_ms).await,
        None => Ok(()),
    }
}

async fn check_precondition<T: Transaction>(draft: &mut Draft<'_, T>, op: &Op) -> Result<(), Halt> {
    let path = &op.path;
    match &op.precondition {
        Precondition::None => Ok(()),
        Precondition::Match(expected) => {
            match &op.action {
                Action::Set(value) if value.is_leaf() => {}
                Action::Delete => {}
                Action::Set(_) => {
                    return Err(Refusal::invalid("if_match_multi_leaf", "a map is more than one leaf").into());
                }
                other => return Err(unsupported("if_match_unsupported_op", other)),
            }
            let current = leaf_revision(draft, path).await?;
            if current == Some(*expected) {
                return Ok(());
            }
            // What a read of the path would show: of a subtree, its highest revision.
            let current = if current.is_some() {
                current
            } else {
                highest(draft, path).await?
            };
            Err(Refusal::conflict("conflict", path, current).into())
        }
        Precondition::Absent => {
            match &op.action {
                Action::Set(value) if value.is_leaf() => {}
                Action::Set(_) => {
                    return Err(Refusal::invalid("if_absent_multi_leaf", "a map is more than one leaf").into());
                }
                other => return Err(unsupported("if_absent_unsupported_op", other)),
            }
            match leaf_revision(draft, path).await? {
                None => Ok(()),
                current => Err(Refusal::conflict("exists", path, current).into()),
            }
        }
        Precondition::Subtree { root, leaves } if leaves.is_empty() => vacant(draft, root).await,
        Precondition::Subtree { root, leaves } => exactly(draft, root, leaves).await,
        Precondition::SubtreeRevision { root, revision } => {
            let current = highest(draft, root).await?;
            if current.unwrap_or_default() == *revision {
                return Ok(());
            }
            Err(Refusal::conflict("conflict", root, current).into())
        }
        _ => Err(Refusal::invalid("invalid_precondition", "this store does not know the precondition").into()),
    }
}

fn unsupported(code: &'static str, action: &Action) -> Halt {
    Refusal::invalid(code, format!("the op `{}` takes no such precondition", action.kind())).into()
}

/// The revision of the leaf exactly at the path.
async fn leaf_revision<T: Transaction>(draft: &Draft<'_, T>, path: &Path) -> Result<Option<Seq>, Halt> {
    Ok(draft.leaf(path).await?.map(|(_, revision, _)| Seq(revision)))
}

/// Whether nothing is at and below the root. What is found absent here is not read again by the sets that follow.
async fn vacant<T: Transaction>(draft: &mut Draft<'_, T>, root: &Path) -> Result<(), Halt> {
    if let Some(current) = leaf_revision(draft, root).await? {
        return Err(Refusal::conflict("conflict", root, Some(current)).into());
    }
    let below = draft.keys().below(root.as_str());
    if draft.any(&below).await? {
        return exactly(draft, root, &[]).await;
    }
    draft.note_empty(below);
    Ok(())
}

/// Whether the leaves at and below the root are these.
async fn exactly<T: Transaction>(draft: &Draft<'_, T>, root: &Path, leaves: &[(Path, Seq)]) -> Result<(), Halt> {
    let found = draft.revisions(&draft.keys().below(root.as_str())).await?;
    let at_root = leaf_revision(draft, root)
        .await?
        .map(|revision| (root.as_str(), revision));
    let mut found = at_root
        .into_iter()
        .chain(found.iter().map(|(path, revision)| (path.as_str(), Seq(*revision))));
    for (path, expected) in leaves {
        match found.next() {
            Some((at, revision)) if at == path.as_str() && revision == *expected => {}
            Some((at, revision)) if at <= path.as_str() => {
                return Err(
                    Refusal::conflict("conflict", &Path::parse(at).map_err(Refusal::from)?, Some(revision)).into(),
                );
            }
            _ => return Err(Refusal::conflict("conflict", path, None).into()),
        }
    }
    match found.next() {
        None => Ok(()),
        Some((at, revision)) => {
            Err(Refusal::conflict("conflict", &Path::parse(at).map_err(Refusal::from)?, Some(revision)).into())
        }
    }
}

/// The highest revision at and below the path; `None` if nothing is there.
async fn highest<T: Transaction>(draft: &Draft<'_, T>, path: &Path) -> Result<Option<Seq>, Halt> {
    let at = leaf_revision(draft, path).await?;
    let below = draft.revisions(&draft.keys().below(path.as_str())).await?;
    Ok(at.max(below.values().max().copied().map(Seq)))
}
