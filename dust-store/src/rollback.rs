//! A state of the past, brought back by ordinary ops.

use std::collections::BTreeSet;
use std::sync::Arc;

use dust_layer::{Engine, Transaction};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{DeviceId, Event, OpId, OpKind, Path, Seq, Value, ValueKind, assemble};

use crate::apply::{flattened, replay};
use crate::blob::Refs;
use crate::codec::Record;
use crate::draft::Draft;
use crate::error::{Halt, Refusal};
use crate::history::{Replay, State, at_and_below};
use crate::leaf::hash_of;
use crate::sequencer::{self, Work};
use crate::store::{Store, stored_value};
use crate::subscription::told;

/// The device in whose name states are brought back.
const DEVICE: &str = "system:rollback";

/// How many bytes of paths and values a state that is brought back has at most.
const BYTES_MAX: usize = 256 << 20;

/// What a rollback came to.
///
/// ```
/// use dust_transport::model::{Op, Path, Seq};
/// use dust_transport::transport::Transport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// let store = dust_store::Embedded::memory();
/// let visits = Path::parse("visits")?;
/// store.write(Op::set(visits.clone(), 1).into()).await?;
/// store.write(Op::set(visits.clone(), 2).into()).await?;
/// let back = store.rollback(&visits, Seq(1)).await?;
/// assert_eq!((back.head, back.ops), (Seq(3), 1));
/// assert_eq!(store.rollback(&visits, Seq(1)).await?.ops, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct RolledBack {
    /// The last of the ops that were written; where there was nothing to do, the head of the store.
    pub head: Seq,
    /// How many ops were written.
    pub ops: usize,
}

/// The state to be reached.
#[derive(Debug)]
pub(crate) struct Target {
    /// At and below which path; `None` for the whole store.
    root: Option<Path>,
    to: Seq,
    state: State,
}

/// An op that brings something back.
#[derive(Debug)]
pub(crate) struct Restored {
    kind: OpKind,
    path: Path,
    /// As it goes into the log.
    value: Option<Value>,
    op_id: Option<OpId>,
}

impl Restored {
    /// The event of the op.
    pub(crate) fn into_event(self, seq: Seq, device: &DeviceId) -> Event {
        let (value, written) = told(self.kind, self.value);
        Event {
            seq,
            kind: self.kind,
            path: self.path,
            value,
            written,
            device: device.clone(),
            op_id: self.op_id,
        }
    }
}

impl<E: Engine> Store<E> {
    /// Brings back what was at and below a path, or everywhere, after an op.
    pub(crate) async fn rollback(self: &Arc<Self>, root: Option<Path>, to: Seq) -> Result<RolledBack, Error> {
        let state = self.state_at(root.as_ref(), to).await?;
        let device = DeviceId::new(DEVICE)?;
        let written = sequencer::run(self, &device, Work::Rollback(Target { root, to, state })).await?;
        Ok(match written.seqs.last() {
            Some(last) => RolledBack {
                head: *last,
                ops: written.seqs.len(),
            },
            None => RolledBack {
                head: self.head().await?,
                ops: 0,
            },
        })
    }

    async fn state_at(&self, root: Option<&Path>, to: Seq) -> Result<State, Error> {
        let transaction = self.engine.begin();
        let head = self.head_in(&transaction).await?;
        let refuse = |code, detail: String| Err(Error::new(ErrorKind::InvalidParams, code, detail));
        if head.seq == 0 {
            return refuse("no_ops", "the store has no ops".to_owned());
        }
        if to.0 == 0 || to.0 < head.compacted {
            let first = head.compacted.max(1);
            return refuse(
                "beyond_retention",
                format!("the first state that is known is that after op {first}"),
            );
        }
        let mut replay = Replay::of(root, BYTES_MAX);
        self.add_base(&transaction, &mut replay).await?;
        self.each_past(&transaction, head.compacted, to.0.min(head.seq), |past| {
            replay.apply(past)
        })
        .await?;
        Ok(replay.leaves)
    }
}

/// Writes what is missing for the state, into the draft and the log.
pub(crate) async fn evaluate<T: Transaction>(
    draft: &mut Draft<'_, T>,
    target: &Target,
    device: &DeviceId,
    mut seq: u64,
    now_ms: u64,
) -> Result<Vec<Restored>, Halt> {
    let current = current(draft, target.root.as_ref()).await?;
    let ops = plan(target, current);
    for (index, op) in (0..).zip(&ops) {
        seq += 1;
        if let (OpKind::PutFile, Some(value)) = (op.kind, &op.value) {
            draft.refer(&hash_of(value.json())?, Refs::Kept).await?;
        }
        replay(draft, op.kind, &op.path, op.value.as_ref(), seq).await?;
        let record = Record {
            kind: op.kind,
            wall_clock_ms: now_ms,
            batch_index: index,
            device: device.as_str(),
            op_id: op.op_id.as_ref().map(OpId::as_str),
            path: op.path.as_str(),
            value: op.value.as_ref().map(Value::json),
        };
        draft.set(draft.keys().record(seq), record.encode())?;
    }
    Ok(ops)
}

/// The leaves at and below the path, or all.
async fn current<T: Transaction>(draft: &Draft<'_, T>, root: Option<&Path>) -> Result<State, Halt> {
    let keys = draft.keys();
    let ranges = root.map_or_else(
        || vec![keys.leaves()],
        |root| {
            let at = keys.leaf(root.as_str())..keys.bound_after(root.as_str());
            vec![at, keys.below(root.as_str())]
        },
    );
    let mut found = Vec::new();
    for range in ranges {
        draft
            .each_leaf(&range, |path, leaf| {
                found.push((path.to_owned(), leaf.kind, leaf.text.to_owned()));
            })
            .await?;
    }
    let mut state = State::new();
    for (path, kind, text) in found {
        let path = Path::parse(&path).map_err(Refusal::from)?;
        state.insert(path, (kind, stored_value(&text).map_err(Refusal::from)?));
    }
    Ok(state)
}

/// The ops that lead from one state to the other.
fn plan(target: &Target, mut current: State) -> Vec<Restored> {
    if current == target.state {
        return Vec::new();
    }
    let op = |kind, path: &Path, value| Restored {
        kind,
        path: path.clone(),
        value,
        op_id: OpId::new(format!("rollback:{}:{path}", target.to)).ok(),
    };
    if let Some(root) = &target.root
        && let Some((kind, value)) = at_once(root, &target.state)
    {
        return vec![op(kind, root, value)];
    }
    let mut ops = Vec::new();
    // What is above comes before what is below, so what an op clears is put again after it.
    let paths: BTreeSet<Path> = current.keys().chain(target.state.keys()).cloned().collect();
    for path in paths {
        let (now, then) = (current.get(&path), target.state.get(&path));
        if now == then {
            continue;
        }
        let kind = then.map_or(OpKind::Delete, |(kind, _)| op_of(*kind));
        if matches!(kind, OpKind::Delete | OpKind::Set | OpKind::PutFile) {
            for gone in at_and_below(&current, &path) {
                current.remove(&gone);
            }
        }
        if let Some(then) = then {
            current.insert(path.clone(), then.clone());
        }
        ops.push(op(kind, &path, then.map(|(kind, value)| enveloped(*kind, value))));
    }
    ops
}

/// The one set or delete of the root that would do, if that is all it takes.
fn at_once(root: &Path, state: &State) -> Option<(OpKind, Option<Value>)> {
    if state.is_empty() {
        return Some((OpKind::Delete, None));
    }
    if state.contains_key(root) {
        return None;
    }
    let texts: Vec<_> = state
        .iter()
        .map(|(path, (kind, value))| (path, enveloped(*kind, value)))
        .collect();
    let skip = root.as_str().len() + 1;
    let rows = texts.iter().map(|(path, value)| {
        let below = path.as_str().get(skip..).unwrap_or_default();
        (below, value.json())
    });
    let map = assemble(rows);
    if map.is_leaf() {
        return None;
    }
    // Counters, sets and files, and leaves above others, are nothing that a map could say.
    let leaves = flattened(root, &map).ok()?;
    let reached: State = leaves
        .into_iter()
        .map(|(path, value, kind)| (path, (kind, value)))
        .collect();
    (reached == *state).then_some((OpKind::Set, Some(map)))
}

/// The op that makes a leaf of this kind.
fn op_of(kind: ValueKind) -> OpKind {
    match kind {
        ValueKind::Counter => OpKind::Increment,
        ValueKind::Set => OpKind::Add,
        ValueKind::File => OpKind::PutFile,
        ValueKind::Lease => OpKind::Lease,
        _ => OpKind::Set,
    }
}

/// The value that makes a leaf of this kind when it is set.
fn enveloped(kind: ValueKind, value: &Value) -> Value {
    match kind {
        ValueKind::Decimal | ValueKind::Datetime => {
            Value::map([("_type", Value::from(kind.as_str())), ("_typed", value.clone())])
        }
        _ => value.clone(),
    }
}
