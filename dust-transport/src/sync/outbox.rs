//! Writes under way: what is to be sent, what was sent, and who waits for the answer.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::file::{File, Row, Ticket};
use crate::channel::{BATCH, BatchReply, BatchRequest, Refusal, Reply, WriteReply, WriteRequest};
use crate::error::{ConflictAt, Error, ErrorKind, Outcome};
use crate::model::{Batch, Event, FileRef, Lease, Op, OpId, OpKind, Path, Seq, Value};
use crate::transport::{Done, Written};

/// The join of what an earlier program sent.
const EARLIER: u64 = 0;

/// Who waits for what becomes of a write.
pub(super) type Answer = oneshot::Sender<Result<Written, Error>>;

/// One write, from the call to its answer.
pub(super) struct Pending {
    op_id: OpId,
    event: &'static str,
    payload: Value,
    ops: Vec<Place>,
    answer: Answer,
    /// The join in which it was last sent.
    sent_in: Option<u64>,
    /// What the events said of its ops, so far.
    echoed: Vec<(Seq, Done)>,
    /// It is for the file to keep.
    is_lasting: bool,
    /// It is in the file as soon as this is.
    kept: Option<Ticket>,
    /// It may be sent as soon as this is in the file.
    marked: Option<Ticket>,
    /// Reads see it before it is committed.
    is_seen: bool,
    /// Who waits until it is in the file.
    waiting: Option<oneshot::Sender<()>>,
    /// An earlier program wrote it.
    is_restored: bool,
}

/// Where an op writes, and where the lease is that it is under.
struct Place {
    path: Path,
    fence: Option<Path>,
}

/// The writes under way, by the `ref` that they are sent with, which is their number in the file, too.
#[derive(Default)]
pub(super) struct Outbox {
    file: Option<Arc<File>>,
    pending: BTreeMap<u64, Pending>,
    by_op_id: HashMap<OpId, VecDeque<u64>>,
    /// Answers that count once the write is out of the file.
    leaving: Vec<(Ticket, Answer, Error)>,
}

fn places(ops: &[Op]) -> Vec<Place> {
    let place = |op: &Op| Place {
        path: op.path.clone(),
        fence: op.fence.as_ref().map(|fence| fence.key.clone()),
    };
    ops.iter().map(place).collect()
}

impl Pending {
    /// A write under this id; a single one travels by itself, and any other as a batch.
    pub(super) fn new(id: OpId, batch: &Batch, is_single: bool, answer: Answer) -> Self {
        let (event, payload) = if let Some(op) = batch.ops.first().filter(|_| is_single) {
            let request = WriteRequest::of(op, &id);
            (request.event(), request.to_payload())
        } else {
            let request = BatchRequest {
                client_op_id: Some(id.as_str().into()),
                ..BatchRequest::of(batch)
            };
            (BATCH, request.to_payload())
        };
        // A lease is of the running program.
        let is_lease = |op: &Op| matches!(op.action.kind(), OpKind::Lease | OpKind::Renew | OpKind::Release);
        Self {
            op_id: id,
            event,
            payload,
            ops: places(&batch.ops),
            answer,
            sent_in: None,
            echoed: Vec::new(),
            is_lasting: !batch.ops.iter().all(is_lease),
            kept: None,
            marked: None,
            is_seen: false,
            waiting: None,
            is_restored: false,
        }
    }

    /// The same, which reads see before it is committed; whether it is in the file is told to this.
    pub(super) fn seen(mut self, kept: oneshot::Sender<()>) -> Self {
        self.is_seen = true;
        self.waiting = Some(kept);
        self
    }

    /// A write that an earlier program left in the file.
    pub(super) fn restored(id: OpId, row: Row, ops: &[Op], is_sent: bool, answer: Answer) -> Self {
        Self {
            op_id: id,
            event: row.event,
            payload: row.payload,
            ops: places(ops),
            answer,
            sent_in: is_sent.then_some(EARLIER),
            echoed: Vec::new(),
            is_lasting: true,
            kept: Some(0),
            marked: is_sent.then_some(0),
            is_seen: row.is_seen,
            waiting: None,
            is_restored: true,
        }
    }

    /// Answers that it is not taken any more.
    pub(super) fn refuse(self, reason: &super::EndReason) {
        let error = reason.to_error().with_outcome(Outcome::NotApplied);
        let _ = self.answer.send(Err(error));
    }

    /// How the file keeps it.
    pub(super) fn row(&self) -> Row {
        Row {
            event: self.event,
            payload: self.payload.clone(),
            is_seen: self.is_seen,
        }
    }
}

impl Outbox {
    pub(super) fn new(file: Option<Arc<File>>) -> Self {
        Self {
            file,
            ..Self::default()
        }
    }

    /// Takes a write, which may be sent at once if there `is_live` a connection.
    pub(super) fn insert(&mut self, reference: u64, mut pending: Pending, is_live: bool) {
        if let Some(file) = self
            .file
            .as_ref()
            .filter(|_| pending.is_lasting && pending.kept.is_none())
        {
            let ticket = file.keep(reference, pending.row(), is_live);
            pending.kept = Some(ticket);
            pending.marked = is_live.then_some(ticket);
        }
        self.by_op_id
            .entry(pending.op_id.clone())
            .or_default()
            .push_back(reference);
        self.pending.insert(reference, pending);
    }

    /// The file has gone on: tells who waits for that.
    pub(super) fn progressed(&mut self, through: Ticket) {
        for pending in self.pending.values_mut() {
            if pending.kept.is_some_and(|ticket| ticket <= through)
                && let Some(waiting) = pending.waiting.take()
            {
                // Whoever does not wait any more does not want to know.
                let _ = waiting.send(());
            }
        }
        let leaving = std::mem::take(&mut self.leaving);
        for (ticket, answer, error) in leaving {
            if ticket <= through {
                let _ = answer.send(Err(error));
            } else {
                self.leaving.push((ticket, answer, error));
            }
        }
    }

    /// Takes a write out of the file that cannot be sent.
    pub(super) fn forget(&self, reference: u64) {
        if let Some(file) = &self.file {
            file.settle(reference);
        }
    }

    /// Takes out a write that is settled.
    fn settle(&mut self, reference: u64) -> Option<Pending> {
        let pending = self.remove(reference)?;
        if let Some(file) = self.file.as_ref().filter(|_| pending.kept.is_some()) {
            file.settle(reference);
        }
        Some(pending)
    }

    /// Takes out a write, and leaves the file as it is.
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

    /// The writes that were not sent in this join, in the order of their calls; from now on they are. Not before the file
    /// knows that they may have been.
    pub(super) fn unsent(&mut self, join: u64) -> Vec<(u64, &'static str, Value)> {
        let mut unsent = Vec::new();
        let mut is_held = false;
        for (reference, pending) in &mut self.pending {
            if pending.sent_in == Some(join) {
                continue;
            }
            if let (Some(file), Some(_)) = (&self.file, pending.kept) {
                let marked = *pending.marked.get_or_insert_with(|| file.mark_sent(*reference));
                is_held |= !file.has(marked);
            }
            if !is_held {
                pending.sent_in = Some(join);
                unsent.push((*reference, pending.event, pending.payload.clone()));
            }
        }
        unsent
    }

    /// Refuses a write of so many bytes, which the server would not take.
    pub(super) fn refuse_too_long(&mut self, reference: u64, bytes: usize, bytes_max: usize) {
        let Some(pending) = self.settle(reference) else { return };
        let detail = format!("a message to the server has at most {bytes_max} bytes, and that of this write {bytes}");
        let error = Error::new(ErrorKind::InvalidParams, "payload_too_large", detail);
        let _ = pending.answer.send(Err(error));
    }

    /// Answers the write that a reply is to.
    pub(super) fn reply(&mut self, reference: u64, reply: Reply) {
        let Some(pending) = self.settle(reference) else { return };
        let answer = match reply {
            Reply::Ok(response) => read_written(pending.event, &response),
            Reply::Error(refusal) => Err(refused(*refusal, &pending.ops)),
        };
        // Whoever does not wait any more does not want to know.
        let _ = pending.answer.send(answer);
    }

    /// Notes an op of this device at the write that it comes from, the first under its op id; gives its number if that was the
    /// last of its ops, so that it is committed.
    pub(super) fn echoed(&mut self, op_id: Option<&OpId>, event: &Event) -> Option<u64> {
        let reference = self.by_op_id.get(op_id?)?.front().copied()?;
        let pending = self.pending.get_mut(&reference)?;
        // One that could not be applied comes again.
        if pending.echoed.last().is_none_or(|(seq, _)| *seq < event.seq) {
            let value = event.value.as_ref();
            let lease = value.and_then(Lease::from_value).map(Done::Leased);
            let file = || value.and_then(FileRef::from_value).map(Done::Stored);
            pending
                .echoed
                .push((event.seq, lease.or_else(file).unwrap_or_default()));
        }
        (pending.echoed.len() == pending.ops.len()).then_some(reference)
    }

    /// Answers a write by its own events, with which it has left the file. A batch waits for its reply, which says more, if one
    /// is to come.
    pub(super) fn echo(&mut self, reference: u64) {
        let Some(pending) = self.pending.get_mut(&reference) else {
            return;
        };
        pending.kept = None;
        if pending.event != BATCH {
            self.answer_by_events(reference);
        }
    }

    /// Answers the batches that were sent before this join, and whose events came in it: no reply will.
    pub(super) fn answer_echoed_before(&mut self, join: u64) {
        let is_answered = |pending: &Pending| {
            pending.sent_in.is_some_and(|sent_in| sent_in != join) && pending.echoed.len() == pending.ops.len()
        };
        let answered = self.pending.iter().filter(|(_, pending)| is_answered(pending));
        let answered: Vec<u64> = answered.map(|(reference, _)| *reference).collect();
        for reference in answered {
            self.answer_by_events(reference);
        }
    }

    fn answer_by_events(&mut self, reference: u64) {
        let Some(pending) = self.remove(reference) else { return };
        let (seqs, mut done): (Vec<Seq>, Vec<Done>) = pending.echoed.into_iter().unzip();
        if done.iter().all(|done| *done == Done::Applied) {
            done.clear();
        }
        let _ = pending.answer.send(Ok(Written {
            seqs,
            done,
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
        for pending in sent.into_iter().filter_map(|reference| self.settle(reference)) {
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
        match self.file.as_ref().filter(|_| pending.kept.is_some()) {
            // The next program must not send what was said not to be applied.
            Some(file) => self.leaving.push((file.withdraw(reference), pending.answer, error)),
            None => drop(pending.answer.send(Err(error))),
        }
    }

    /// Fails everything. What the file has, or may have, is left to the next program.
    pub(super) fn end(&mut self, reason: &super::EndReason) {
        self.by_op_id.clear();
        for (_, pending) in std::mem::take(&mut self.pending) {
            let outcome = if pending.sent_in.is_some() || pending.kept.is_some() {
                Outcome::Unknown
            } else {
                Outcome::NotApplied
            };
            if !pending.is_restored {
                let _ = pending.answer.send(Err(reason.to_error().with_outcome(outcome)));
            }
        }
        for (_, answer, error) in std::mem::take(&mut self.leaving) {
            let _ = answer.send(Err(error.with_outcome(Outcome::Unknown)));
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
