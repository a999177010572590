//! Writes under way: what is to be sent, what was sent, and who waits for the answer.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::sync::oneshot;

use crate::channel::{BATCH, BatchReply, Refusal, Reply, WriteReply};
use crate::error::{ConflictAt, Error, ErrorKind, Outcome};
use crate::model::{Event, FileRef, Lease, OpId, Path, Value};
use crate::transport::{Done, Written};

/// One write, from the call to its answer.
pub(super) struct Pending {
    pub(super) op_id: OpId,
    pub(super) event: &'static str,
    pub(super) payload: Value,
    pub(super) ops: Vec<Place>,
    pub(super) answer: oneshot::Sender<Result<Written, Error>>,
    /// The join in which it was last sent.
    sent_in: Option<u64>,
}

/// Where an op writes, and where the lease is that it is under.
pub(super) struct Place {
    pub(super) path: Path,
    pub(super) fence: Option<Path>,
}

/// The writes under way, by the `ref` that they are sent with.
#[derive(Default)]
pub(super) struct Outbox {
    pending: BTreeMap<u64, Pending>,
    by_op_id: HashMap<OpId, VecDeque<u64>>,
}

impl Pending {
    pub(super) fn new(
        op_id: OpId,
        event: &'static str,
        payload: Value,
        ops: Vec<Place>,
        answer: oneshot::Sender<Result<Written, Error>>,
    ) -> Self {
        Self {
            op_id,
            event,
            payload,
            ops,
            answer,
            sent_in: None,
        }
    }
}

impl Outbox {
    pub(super) fn insert(&mut self, reference: u64, pending: Pending) {
        self.by_op_id
            .entry(pending.op_id.clone())
            .or_default()
            .push_back(reference);
        self.pending.insert(reference, pending);
    }

    fn remove(&mut self, reference: u64) -> Option<Pending> {
        let pending = self.pending.remove(&reference)?;
        if let Some(same) = self.by_op_id.get_mut(&pending.op_id) {
            same.retain(|other| *other != reference);
            if same.is_empty() {
                self.by_op_id.remove(&pending.op_id);
            }
        }
        Some(pending)
    }

    /// The writes that were not sent in this join, in the order of their calls; from now on they are.
    pub(super) fn unsent(&mut self, join: u64) -> Vec<(u64, &'static str, Value)> {
        let unsent = self
            .pending
            .iter_mut()
            .filter(|(_, pending)| pending.sent_in != Some(join));
        unsent
            .map(|(reference, pending)| {
                pending.sent_in = Some(join);
                (*reference, pending.event, pending.payload.clone())
            })
            .collect()
    }

    /// Answers the write that a reply is to.
    pub(super) fn reply(&mut self, reference: u64, reply: Reply) {
        let Some(pending) = self.remove(reference) else { return };
        let answer = match reply {
            Reply::Ok(response) => read_written(pending.event, &response),
            Reply::Error(refusal) => Err(refused(*refusal, &pending.ops)),
        };
        // Whoever does not wait any more does not want to know.
        let _ = pending.answer.send(answer);
    }

    /// Answers the write that an op of this device comes from: the first under its op id.
    pub(super) fn echo(&mut self, op_id: Option<&OpId>, event: &Event) {
        let Some(op_id) = op_id else { return };
        let Some(reference) = self.by_op_id.get(op_id).and_then(VecDeque::front).copied() else {
            return;
        };
        // A batch is answered as a whole.
        if self
            .pending
            .get(&reference)
            .is_none_or(|pending| pending.event == BATCH)
        {
            return;
        }
        let Some(pending) = self.remove(reference) else { return };
        let value = event.value.as_ref();
        let lease = value.and_then(Lease::from_value).map(Done::Leased);
        let done = lease.or_else(|| value.and_then(FileRef::from_value).map(Done::Stored));
        let _ = pending.answer.send(Ok(Written {
            seqs: vec![event.seq],
            done: done.into_iter().collect(),
            // What was never sent was committed by an earlier program under the same id.
            deduplicated: pending.sent_in.is_none(),
        }));
    }

    /// Gives up on what may have been committed, where the server would commit it again.
    pub(super) fn give_up_sent_before(&mut self, join: u64) {
        let sent = self
            .pending
            .iter()
            .filter(|(_, pending)| pending.sent_in.is_some_and(|sent_in| sent_in != join));
        let sent: Vec<u64> = sent.map(|(reference, _)| *reference).collect();
        for pending in sent.into_iter().filter_map(|reference| self.remove(reference)) {
            let _ = pending
                .answer
                .send(Err(super::socket::lost("the connection broke before the answer came")));
        }
    }

    /// Gives up on one write whose caller will not wait any longer.
    pub(super) fn give_up(&mut self, reference: u64) {
        let Some(pending) = self.remove(reference) else { return };
        let error = match pending.sent_in {
            Some(_) => Error::new(ErrorKind::Timeout, "timeout", "there was no answer in time"),
            None => not_connected(),
        };
        let _ = pending.answer.send(Err(error));
    }

    /// Fails everything.
    pub(super) fn end(&mut self, reason: &super::EndReason) {
        self.by_op_id.clear();
        for (_, pending) in std::mem::take(&mut self.pending) {
            let outcome = if pending.sent_in.is_some() {
                Outcome::Unknown
            } else {
                Outcome::NotApplied
            };
            let _ = pending.answer.send(Err(reason.to_error().with_outcome(outcome)));
        }
    }
}

/// The error for a write that there is no connection for.
pub(super) fn not_connected() -> Error {
    Error::new(
        ErrorKind::Network,
        "not_connected",
        "there is no connection to the store",
    )
    .with_outcome(Outcome::NotApplied)
}

/// The error of a refusal, with the op that it is about. Of a single write that is not told.
fn refused(refusal: Refusal, ops: &[Place]) -> Error {
    let (op_index, current) = (refusal.op_index.unwrap_or(0), refusal.current_revision);
    let error = refusal.into_error();
    let is_about_an_op = matches!(
        error.kind(),
        ErrorKind::Conflict | ErrorKind::InvalidParams | ErrorKind::NotSupported
    );
    let Some(op) = ops
        .get(op_index)
        .filter(|_| is_about_an_op && error.conflict().is_none())
    else {
        return error;
    };
    let fence = op.fence.as_ref().filter(|_| error.code() == "fenced");
    let path = fence.unwrap_or(&op.path).clone();
    error.with_conflict(ConflictAt {
        op_index,
        path,
        current,
    })
}

fn read_written(event: &str, response: &Value) -> Result<Written, Error> {
    let written = if event == BATCH {
        BatchReply::from_response(response).map(Written::from)
    } else {
        WriteReply::from_response(response).map(WriteReply::into_written)
    };
    written.map_err(|error| {
        Error::new(
            ErrorKind::Http,
            "invalid_response",
            "the server's answer is not readable",
        )
        .with_source(error)
    })
}
