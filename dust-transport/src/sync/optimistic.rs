//! Writes that are seen here before the server has answered, and taken back if it refuses them.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::replica::{Replica, Undo};
use super::{EndReason, Sync, unnamed};
use crate::error::{Error, ErrorKind};
use crate::model::{Action, Batch, DeviceId, Event, Op, OpId, Seq, Value, ValueKind};
use crate::transport::Written;

/// A write that is seen in the replica, and on its way to the server; see [`Sync::write_optimistic`].
///
/// Dropping it changes nothing: the write goes on.
#[derive(Debug)]
#[must_use = "whether the server took it is known by `settled`"]
pub struct Optimistic {
    op_id: OpId,
    answer: JoinHandle<Result<Written, Error>>,
}

/// Ops that are seen before they are committed.
pub(super) struct Ahead {
    number: u64,
    op_id: OpId,
    ops: Vec<Op>,
    /// What they replaced, in the order of the ops.
    undo: Vec<Undo>,
}

/// All ops that are seen before they are committed, in the order of their calls.
#[derive(Default)]
pub(super) struct Line {
    ahead: Vec<Ahead>,
    next: u64,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.ahead.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    /// Takes everything back, so that the replica is what is committed.
    pub(super) fn retract(&mut self, replica: &mut Replica) {
        for ahead in self.ahead.iter_mut().rev() {
            for undo in ahead.undo.drain(..).rev() {
                replica.undo(undo);
            }
        }
    }

    /// Does everything again, on what is now committed. An op that no longer fits is left out, as the server will.
    pub(super) fn reapply(&mut self, replica: &mut Replica) {
        for ahead in &mut self.ahead {
            ahead.undo = ahead.ops.iter().filter_map(|op| apply(replica, op).ok()).collect();
        }
    }

    /// Forgets what was replaced: the replica is another.
    pub(super) fn forget(&mut self) {
        for ahead in &mut self.ahead {
            ahead.undo.clear();
        }
    }

    /// Adds ops at the end; gives their number.
    pub(super) fn push(&mut self, replica: &mut Replica, op_id: OpId, ops: Vec<Op>) -> Result<u64, Error> {
        let mut undo = Vec::with_capacity(ops.len());
        for op in &ops {
            match apply(replica, op) {
                Ok(before) => undo.push(before),
                Err(error) => {
                    undo.into_iter().rev().for_each(|undo| replica.undo(undo));
                    return Err(error);
                }
            }
        }
        self.next += 1;
        self.ahead.push(Ahead {
            number: self.next,
            op_id,
            ops,
            undo,
        });
        Ok(self.next)
    }

    /// Adds ops at the end that were accepted once, as far as they fit; gives their number.
    pub(super) fn lay(&mut self, replica: &mut Replica, op_id: OpId, ops: Vec<Op>) -> u64 {
        self.next += 1;
        self.ahead.push(Ahead {
            number: self.next,
            op_id,
            undo: ops.iter().filter_map(|op| apply(replica, op).ok()).collect(),
            ops,
        });
        self.next
    }

    /// The number of the last ops that were added; 0 before the first.
    pub(super) fn last(&self) -> u64 {
        self.next
    }

    /// What is left of the ops of a number.
    pub(super) fn ops(&self, number: u64) -> &[Op] {
        let ahead = self.ahead.iter().rev().find(|ahead| ahead.number == number);
        ahead.map_or(&[], |ahead| &ahead.ops)
    }

    /// Drops the op that an event is of, the first of those under its op id, and gives its number. Only between `retract` and
    /// `reapply`.
    pub(super) fn committed(&mut self, op_id: &OpId) -> Option<u64> {
        let at = self.ahead.iter().position(|ahead| ahead.op_id == *op_id)?;
        let ahead = self.ahead.get_mut(at)?;
        let number = ahead.number;
        if !ahead.ops.is_empty() {
            ahead.ops.remove(0);
        }
        if ahead.ops.is_empty() {
            self.ahead.remove(at);
        }
        Some(number)
    }

    /// Drops what is left of the ops of a number, and gives it. Only between `retract` and `reapply`.
    pub(super) fn remove(&mut self, number: u64) -> Option<(OpId, Vec<Op>)> {
        let at = self.ahead.iter().position(|ahead| ahead.number == number)?;
        let ahead = self.ahead.remove(at);
        Some((ahead.op_id, ahead.ops))
    }
}

/// Does an op on the replica, as the server will if nothing comes between.
fn apply(replica: &mut Replica, op: &Op) -> Result<Undo, Error> {
    let current = || replica.leaf(&op.path).map(|entry| entry.value);
    let value = match &op.action {
        Action::Set(value) | Action::Merge(value) => Some(value.clone()),
        Action::Delete => None,
        Action::Increment(by) => Some(sum(current(), by)?),
        Action::Add(member) => {
            let others = members(current()).into_iter().filter(|other| other != member);
            Some(Value::list(
                std::iter::once(member.clone()).chain(others).collect::<Vec<_>>(),
            ))
        }
        Action::Remove(member) => {
            let mut members = members(current());
            if let Some(at) = members.iter().position(|other| other == member) {
                members.remove(at);
            }
            Some(Value::list(members))
        }
        other => {
            let detail = format!("a {} is known only once the server has answered", other.kind());
            return Err(Error::new(ErrorKind::NotSupported, "not_supported", detail));
        }
    };
    let event = Event {
        seq: Seq(0),
        kind: op.action.kind(),
        path: op.path.clone(),
        value,
        written: None,
        device: DeviceId::new("optimistic")?,
        op_id: None,
    };
    Ok(replica.apply_with_undo(&event)?)
}

fn members(current: Option<Value>) -> Vec<Value> {
    current.and_then(|value| value.items()).unwrap_or_default()
}

fn sum(current: Option<Value>, by: &Value) -> Result<Value, Error> {
    let current = current.unwrap_or_else(|| Value::from(0));
    let is_number = |value: &Value| matches!(value.kind(), ValueKind::Integer | ValueKind::Float);
    if !is_number(&current) || !is_number(by) {
        let detail = "what is counted is no number";
        return Err(Error::new(
            ErrorKind::InvalidParams,
            "increment_requires_number_value",
            detail,
        ));
    }
    if let (Ok(current), Ok(by)) = (current.to::<i128>(), by.to::<i128>())
        && let Some(total) = current.checked_add(by)
    {
        return Ok(Value::from_json(&total.to_string())?);
    }
    Ok(Value::try_from(current.to::<f64>()? + by.to::<f64>()?)?)
}

impl Sync {
    /// Writes a batch that reads see at once, before the server has it. If the server refuses it, what it replaced is put
    /// back, on top of whatever was committed in the meantime.
    ///
    /// What it writes has revision 0 until it is committed. Preconditions are the server's to check. Subscriptions tell what
    /// is committed, and so hear of it then; a [`watch`](Self::watch) tells it at once.
    ///
    /// With a [file](super::SyncOptions::file) this is ready once the write is in it, and so survives a restart of the program.
    /// A batch that only HTTP can carry is not kept.
    ///
    /// # Errors
    /// `InvalidParams` for ops that cannot be applied here; `NotSupported` for files and leases; `RateLimited` with
    /// `outbox_full` beyond [`SyncOptions::outbox_max`](super::SyncOptions::outbox_max). Nothing is written then.
    ///
    /// # Cancel safety
    /// Before it is ready, the future may be dropped; the write may go on nevertheless.
    ///
    /// ```no_run
    /// use dust_transport::model::{Batch, Op, Path};
    /// use dust_transport::sync::Sync;
    /// use dust_transport::transport::Transport as _;
    ///
    /// # async fn example(store: Sync) -> Result<(), dust_transport::error::Error> {
    /// let title = Path::parse("links/dust/title")?;
    /// let write = store.write_optimistic(Batch::one(Op::set(title.clone(), "Dust"))).await?;
    /// assert_eq!(store.get(&title).await?.map(|entry| entry.value), Some("Dust".into()));
    /// write.settled().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn write_optimistic(&self, batch: Batch) -> Result<Optimistic, Error> {
        self.ready().await?;
        Self::check(&batch)?;
        let op_id = match &batch.id {
            Some(id) => id.clone(),
            None => unnamed::op_id()?,
        };
        let number = self.inner.shared.push_ahead(&op_id, batch.ops.clone())?;
        let (sync, batch) = (self.clone(), batch.with_id(op_id.clone()));
        let (keep, kept) = oneshot::channel();
        let answer = tokio::spawn(async move {
            let answer = sync.write_batch(batch, Some(keep)).await;
            // What its events have not replaced by now was refused, or was committed before.
            sync.inner.shared.remove_ahead(number, answer.as_ref().err());
            answer
        });
        if self.inner.shared.file.is_some() {
            // An error is a write that is not kept, or has its answer.
            let _ = kept.await;
        }
        Ok(Optimistic { op_id, answer })
    }
}

impl Optimistic {
    /// The op id under which it goes to the server, by which a [`watch`](Sync::watch) names it.
    #[must_use]
    pub fn op_id(&self) -> &OpId {
        &self.op_id
    }

    /// Waits for the server's answer.
    ///
    /// # Errors
    /// As [`write`](crate::transport::Transport::write); what the batch replaced has been put back.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing: the write goes on.
    pub async fn settled(self) -> Result<Written, Error> {
        match self.answer.await {
            Ok(answer) => answer,
            // The runtime ends, and with it the connection.
            Err(_) => Err(EndReason::closed().to_error()),
        }
    }
}
