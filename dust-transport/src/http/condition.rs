//! The ops of a batch as the wire has them, and their preconditions as its conditions: one revision, or nothing, at one
//! leaf; and what extensions add to both.

use crate::error::{ConflictAt, Error, ErrorKind};
use crate::model::{Action, Batch, Extension, Extensions, Op, Path, PathError, Precondition, Seq, Value};

/// What the wire can ask of an op.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    None,
    Match(Seq),
    Absent,
    /// By `Extension::SubtreePreconditions`: these leaves are at and below the path, and no others.
    Leaves(&'a Path, &'a [(Path, Seq)]),
    /// By the same: the highest revision at and below the path.
    Highest(&'a Path, Seq),
}

/// One op as it goes over the wire.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireOp<'a> {
    pub(super) path: &'a Path,
    pub(super) action: &'a Action,
    pub(super) condition: Condition<'a>,
}

impl<'a> WireOp<'a> {
    /// What is set or otherwise done; `None` deletes.
    pub(super) fn value(&self) -> Option<&'a Value> {
        self.action.value()
    }

    /// The extension that the op needs, as one of so many.
    fn needs(&self, ops: usize) -> impl Iterator<Item = Extension> + use<> {
        let by_action = is_value_op(self.action).then_some(Extension::ValueOps);
        let by_condition = match self.condition {
            Condition::Leaves(..) | Condition::Highest(..) => Some(Extension::SubtreePreconditions),
            Condition::Absent if ops > 1 => Some(Extension::AbsentInBatches),
            Condition::None | Condition::Match(_) | Condition::Absent => None,
        };
        by_action.into_iter().chain(by_condition)
    }
}

/// Whether the op works on the value that is there.
fn is_value_op(action: &Action) -> bool {
    matches!(
        action,
        Action::Merge(_) | Action::Increment(_) | Action::Add(_) | Action::Remove(_)
    )
}

/// The extensions that would serve a batch.
pub(super) fn served_by(batch: &Batch) -> Extensions {
    let several = batch.ops.len() > 1;
    let of = |op: &Op| {
        let by_action = is_value_op(&op.action).then_some(Extension::ValueOps);
        let by_condition = match op.precondition {
            Precondition::Subtree { .. } | Precondition::SubtreeRevision { .. } => {
                Some(Extension::SubtreePreconditions)
            }
            Precondition::Absent if several => Some(Extension::AbsentInBatches),
            Precondition::None | Precondition::Match(_) | Precondition::Absent => None,
        };
        by_action.into_iter().chain(by_condition)
    };
    batch.ops.iter().flat_map(of).collect()
}

/// The extensions that these ops need.
pub(super) fn needed_by(ops: &[WireOp<'_>]) -> Extensions {
    ops.iter().flat_map(|op| op.needs(ops.len())).collect()
}

/// Translates the ops of a batch for a server with these extensions, or says why the wire has no word for one.
pub(super) fn translate(batch: &Batch, extensions: Extensions) -> Result<Vec<WireOp<'_>>, Error> {
    let mut ops = batch
        .ops
        .iter()
        .enumerate()
        .map(|(index, op)| plain(index, op, extensions))
        .collect::<Result<Vec<_>, _>>()?;
    for (index, op) in batch.ops.iter().enumerate() {
        if extensions.contains(Extension::SubtreePreconditions) {
            break;
        }
        match &op.precondition {
            Precondition::Subtree { root, leaves } => by_leaf(&mut ops, index, root, leaves)?,
            Precondition::SubtreeRevision { root, .. } => {
                return Err(unsupported(
                    index,
                    root,
                    "the revision of a subtree is no condition over HTTP",
                ));
            }
            Precondition::None | Precondition::Match(_) | Precondition::Absent => {}
        }
    }
    if extensions.contains(Extension::AbsentInBatches) {
        return Ok(ops);
    }
    let absent = |op: &&WireOp<'_>| op.condition == Condition::Absent;
    match ops.iter().enumerate().find(|(_, op)| absent(op)) {
        Some((index, op)) if ops.len() > 1 => Err(unsupported(
            index,
            op.path,
            "that nothing is there is no condition in a batch over HTTP",
        )),
        _ => Ok(ops),
    }
}

/// The op with the condition that is its own, or that an extension gives it.
fn plain(index: usize, op: &Op, extensions: Extensions) -> Result<WireOp<'_>, Error> {
    match &op.action {
        // The hosted server's word for a key that is no segment is no code.
        Action::Set(value) => check_keys(&op.path, value).map_err(|error| at(index, &op.path, error.into()))?,
        Action::Delete => {}
        Action::Merge(_) | Action::Increment(_) | Action::Add(_) | Action::Remove(_) => {
            if !extensions.contains(Extension::ValueOps) {
                return Err(no_such_op(index, op));
            }
        }
        Action::PutFile { .. } | Action::Lease { .. } | Action::Renew { .. } | Action::Release { .. } => {
            return Err(no_such_op(index, op));
        }
    }
    if op.fence.is_some() {
        return Err(unsupported(index, &op.path, "there are no fences over HTTP"));
    }
    let by_subtree = extensions.contains(Extension::SubtreePreconditions);
    let condition = match &op.precondition {
        Precondition::Subtree { root, leaves } if by_subtree => Condition::Leaves(root, leaves),
        Precondition::SubtreeRevision { root, revision } if by_subtree => Condition::Highest(root, *revision),
        Precondition::None | Precondition::Subtree { .. } | Precondition::SubtreeRevision { .. } => Condition::None,
        // No op has this number, and servers take it for a malformed one.
        Precondition::Match(Seq(0)) => {
            let conflict = Error::new(ErrorKind::Conflict, "conflict", "no leaf has revision 0");
            return Err(at(index, &op.path, conflict));
        }
        Precondition::Match(revision) => Condition::Match(*revision),
        // The hosted server would delete regardless.
        Precondition::Absent if !matches!(op.action, Action::Set(_)) => {
            let detail = "that nothing is there is a condition for a set only";
            let refused = Error::new(ErrorKind::InvalidParams, "if_absent_unsupported_op", detail);
            return Err(at(index, &op.path, refused));
        }
        Precondition::Absent => Condition::Absent,
    };
    Ok(WireOp {
        path: &op.path,
        action: &op.action,
        condition,
    })
}

/// Whether every leaf that a map is flattened to has a path.
fn check_keys(path: &Path, value: &Value) -> Result<(), PathError> {
    if value.is_leaf() {
        return Ok(());
    }
    for (key, child) in value.entries().into_iter().flatten() {
        check_keys(&path.child(&key)?, &child)?;
    }
    Ok(())
}

/// Spreads what op `first` expects of a subtree over the ops that write its leaves; see [`Http`](super::Http).
fn by_leaf(ops: &mut [WireOp<'_>], first: usize, root: &Path, leaves: &[(Path, Seq)]) -> Result<(), Error> {
    let alone = ops.len() == 1;
    let mut expressed = false;
    let mut written: Vec<&Path> = Vec::new();
    for (index, op) in ops.iter_mut().enumerate().skip(first) {
        if !op.path.starts_with(root) {
            continue;
        }
        // What an op before has written is no longer what was expected.
        let overwritten = written
            .iter()
            .any(|path| op.path.starts_with(path) || path.starts_with(op.path));
        written.push(op.path);
        let listed = leaves
            .iter()
            .find(|(path, _)| path == op.path)
            .map(|(_, revision)| *revision);
        let is_map = op.value().is_some_and(|value| !value.is_leaf());
        if is_map || (op.value().is_none() && listed.is_none()) {
            let detail = "over HTTP only the leaves that a batch sets can be compared, not those that a map or a delete replaces";
            return Err(unsupported(index, op.path, detail));
        }
        if overwritten {
            continue;
        }
        if op.condition != Condition::None {
            return Err(unsupported(index, op.path, "over HTTP a leaf has one condition"));
        }
        match listed {
            Some(revision) => op.condition = Condition::Match(revision),
            None if alone => op.condition = Condition::Absent,
            None => continue,
        }
        expressed = true;
    }
    if expressed {
        Ok(())
    } else {
        Err(unsupported(
            first,
            root,
            "over HTTP a subtree is compared by the leaves that the batch sets, and it sets none of them",
        ))
    }
}

fn no_such_op(index: usize, op: &Op) -> Error {
    let detail = format!("there is no {} over HTTP", op.action.kind());
    at(
        index,
        &op.path,
        Error::new(ErrorKind::NotSupported, "unsupported_op", detail),
    )
}

fn unsupported(index: usize, path: &Path, detail: &'static str) -> Error {
    at(
        index,
        path,
        Error::new(ErrorKind::NotSupported, "unsupported_precondition", detail),
    )
}

fn at(op_index: usize, path: &Path, error: Error) -> Error {
    error.with_conflict(ConflictAt {
        op_index,
        path: path.clone(),
        current: None,
    })
}
