//! One group of batches: evaluated in order in one transaction, committed once.

use std::sync::Arc;

use dust_layer::{Engine, Error as LayerError, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Action, Batch, DeviceId, Event, FileHash, FileRef, Lease, OpId, Seq, Value};
use dust_transport::transport::{Done, Written};

use crate::apply::{Applied, Moment, apply};
use crate::codec::{Head, Record, Reply};
use crate::dedup;
use crate::draft::Draft;
use crate::error::{Halt, Refusal, corrupt, of_commit};
use crate::index::{Company, Indexed, Indexes, undecodable, write_only};
use crate::precondition;
use crate::retention;
use crate::rollback::{self, Restored};
use crate::sequencer::{Pending, Work};
use crate::store::{Store, stored_value};
use crate::subscription::told;
use crate::transaction::{Checked, Closed};

/// What a piece of work comes to, if its group is committed.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// A batch is written from this sequence number on; one result per op.
    Written {
        first: u64,
        applied: Vec<Applied>,
    },
    /// A state of the past is brought back by these ops, from this sequence number on.
    RolledBack {
        first: u64,
        ops: Vec<Restored>,
    },
    /// The log begins after this sequence number.
    Compacted(u64),
    /// Records that live only in their indexes are written.
    Recorded,
    /// The indexes have been changed, or are as they should be.
    Indexed(Indexed),
    /// A batch had been written before.
    Repeated(Written),
    Refused(Error),
}

/// The verdicts of a group's first pieces of work, as many as fit into a transaction.
#[derive(Debug)]
struct Evaluated {
    verdicts: Vec<Verdict>,
    before: Head,
    after: Head,
}

impl<E: Engine> Store<E> {
    /// Commits a group, publishes its events and answers its callers.
    pub(crate) async fn run_group(self: Arc<Self>, mut group: Vec<Pending>) {
        loop {
            let transaction = self.engine.begin();
            let evaluated = match self.evaluate(&transaction, &group).await {
                Ok(evaluated) => evaluated,
                Err(error) if error.is_retryable() => continue,
                Err(error) => {
                    return fail(group, &Arc::new(error), |error| {
                        of_commit(error).with_outcome(dust_transport::error::Outcome::NotApplied)
                    });
                }
            };
            match transaction.commit().await {
                Ok(_) => {
                    let rest = group.split_off(evaluated.verdicts.len().min(group.len()));
                    self.sequencer.put_back(rest);
                    self.finish(group, evaluated);
                    return;
                }
                // Another node has written, or the transaction took too long: what was read may no longer be so.
                Err(error) if error.is_retryable() => {}
                Err(error) => return fail(group, &Arc::new(error), of_commit),
            }
        }
    }

    async fn evaluate(&self, transaction: &E::Transaction, group: &[Pending]) -> Result<Evaluated, LayerError> {
        // The one serializable read: whoever else writes this store writes the head.
        let stored = transaction.get(self.keys.head(), Isolation::Serializable).await?;
        let before = match stored.as_deref().map(Head::decode).transpose() {
            Ok(head) => head.unwrap_or_default(),
            Err(error) => {
                let refusal = || Refusal::corrupt("the head does not decode", error).into_error();
                return Ok(refuse_all(group, refusal));
            }
        };
        // And whoever defines or builds an index writes the definitions.
        let Ok(mut indexes) = Indexes::read(transaction, &self.keys, &self.indexes, Isolation::Serializable).await?
        else {
            return Ok(refuse_all(group, undecodable));
        };
        let now_ms = self.options.clock.now_ms();
        let has_writes = group.iter().any(|pending| !matches!(pending.work, Work::Index(_)));
        let company = if has_writes { Company::Writes } else { Company::Alone };
        let limits = self.engine.limits();
        let mut after = before;
        let mut bytes = 0_usize;
        let mut verdicts = Vec::with_capacity(group.len());
        for pending in group {
            let mut draft = match &pending.work {
                Work::Compact { .. } => Draft::on_base(transaction, &self.base_keys, limits),
                _ => Draft::new(transaction, &self.keys, limits),
            };
            draft.has_pieces = indexes.has_pieces;
            let mut moved = after;
            let verdict = match evaluate_one(&mut draft, pending, (&*indexes, company), &mut moved, now_ms).await {
                Ok(verdict) => verdict,
                Err(Halt::Engine(error)) => return Err(error),
                Err(Halt::Refused(refusal)) => Verdict::Refused(refusal.into_error()),
            };
            if !matches!(verdict, Verdict::Refused(_) | Verdict::Repeated(_)) {
                bytes += draft.bytes();
                if bytes > limits.transaction_bytes_max.min(GROUP_BYTES_MAX) && !verdicts.is_empty() {
                    break;
                }
                if let Verdict::Indexed(Indexed {
                    changed: Some(changed), ..
                }) = &verdict
                {
                    indexes = Arc::new(changed.clone());
                } else if draft.has_pieces && !indexes.has_pieces {
                    indexes = Arc::new(indexes.with_pieces());
                }
                retention::count_in(draft, &mut moved);
                after = moved;
            }
            verdicts.push(verdict);
        }
        if after.seq > before.seq {
            dedup::prune(self, transaction, &mut after, before.seq, now_ms).await?;
            self.retain(transaction, limits, &mut after, before.seq, now_ms).await?;
        }
        // What is replaced in an index has been read, and another node may do the same.
        let is_recorded = verdicts
            .iter()
            .zip(group)
            .any(|(verdict, pending)| match &pending.work {
                Work::Records(_) => matches!(verdict, Verdict::Recorded),
                Work::Transaction(closed) => matches!(verdict, Verdict::Written { .. }) && closed.has_records(),
                _ => false,
            });
        if after != before || is_recorded {
            transaction.set(self.keys.head(), &after.encode());
        }
        Ok(Evaluated {
            verdicts,
            before,
            after,
        })
    }

    fn finish(&self, group: Vec<Pending>, evaluated: Evaluated) {
        let Evaluated {
            verdicts,
            before,
            after,
        } = evaluated;
        if before.seq > self.feed.head() {
            // Another node got here first; followers read its ops from the log.
            self.feed.advance(before.seq);
        }
        let followed = self.feed.is_followed();
        let mut events = Vec::new();
        let mut replies = Vec::with_capacity(group.len());
        for (Pending { work, device, reply }, verdict) in group.into_iter().zip(verdicts) {
            let answer = match verdict {
                Verdict::Refused(error)
                | Verdict::Indexed(Indexed {
                    given_up: Some(error), ..
                }) => Err(error),
                Verdict::Repeated(written) => Ok(written),
                Verdict::Compacted(through) => Ok(Written::new([Seq(through)])),
                Verdict::Indexed(_) | Verdict::Recorded => Ok(Written::default()),
                Verdict::RolledBack { first, ops } => {
                    let seqs = (first..).zip(&ops).map(|(seq, _)| Seq(seq));
                    let written = Written::new(seqs);
                    if followed {
                        events.extend((first..).zip(ops).map(|(seq, op)| op.into_event(Seq(seq), &device)));
                    }
                    Ok(written)
                }
                Verdict::Written { first, applied } => {
                    let written = written(first, &applied);
                    if followed && let Work::Batch { batch, .. } | Work::Transaction(Closed { batch, .. }) = work {
                        events.extend(events_of(batch, &device, &written.seqs, applied));
                    }
                    Ok(written)
                }
            };
            replies.push((reply, answer));
        }
        self.feed.publish(events.into_iter(), after.seq);
        for (reply, answer) in replies {
            // Whoever has gone does not want it.
            let _ = reply.send(answer);
        }
    }
}

/// Nothing can be written on what does not read.
fn refuse_all(group: &[Pending], error: impl Fn() -> Error) -> Evaluated {
    Evaluated {
        verdicts: group.iter().map(|_| Verdict::Refused(error())).collect(),
        before: Head::default(),
        after: Head::default(),
    }
}

/// Keeps the memory of one commit bounded, whatever is queued.
const GROUP_BYTES_MAX: usize = 64 << 20;

/// Evaluates one piece of work on the head as the ones before have left it, and moves the head.
async fn evaluate_one<T: Transaction>(
    draft: &mut Draft<'_, T>,
    pending: &Pending,
    (indexes, company): (&Indexes, Company),
    head: &mut Head,
    now_ms: u64,
) -> Result<Verdict, Halt> {
    let first = head.seq + 1;
    match &pending.work {
        Work::Batch { batch, hashes } => {
            let verdict = evaluate_batch(draft, batch, hashes, &pending.device, head.seq, now_ms).await?;
            if let Verdict::Written { applied, .. } = &verdict {
                match indexes.maintain(draft).await {
                    Err(Halt::Refused(refusal)) => return Ok(Verdict::Refused(refusal.of_batch(&batch.ops))),
                    maintained => maintained?,
                }
                head.seq += applied.iter().filter(|applied| takes_seq(applied)).count() as u64;
            }
            Ok(verdict)
        }
        Work::Transaction(closed) => {
            match closed.check(draft, &pending.device, head).await? {
                Checked::Free => {}
                Checked::Done => return Ok(Verdict::Repeated(Written::default())),
                Checked::Refused(error) => return Ok(Verdict::Refused(error)),
            }
            let verdict = evaluate_batch(draft, &closed.batch, &[], &pending.device, head.seq, now_ms).await?;
            match verdict {
                Verdict::Written { applied, .. } => {
                    match indexes.maintain(draft).await {
                        Err(Halt::Refused(refusal)) => {
                            let error = refusal.of_batch(&closed.batch.ops);
                            return Ok(Verdict::Refused(closed.refused(error, head)));
                        }
                        maintained => maintained?,
                    }
                    match closed.write_records(draft, indexes).await {
                        Err(Halt::Refused(refusal)) => {
                            return Ok(Verdict::Refused(closed.refused(refusal.into_error(), head)));
                        }
                        written => written?,
                    }
                    head.seq += applied.len() as u64;
                    Ok(Verdict::Written { first, applied })
                }
                Verdict::Refused(error) => Ok(Verdict::Refused(closed.refused(error, head))),
                verdict => Ok(verdict),
            }
        }
        Work::Rollback(target) => {
            let ops = rollback::evaluate(draft, target, &pending.device, head.seq, now_ms).await?;
            indexes.maintain(draft).await?;
            head.seq += ops.len() as u64;
            Ok(Verdict::RolledBack { first, ops })
        }
        Work::Compact { through } => {
            retention::fold(draft, head, *through, retention::FOLD_OPS_MAX, now_ms).await?;
            Ok(Verdict::Compacted(head.compacted))
        }
        Work::Records(changes) => {
            write_only(changes, &OpId::random(), draft, indexes).await?;
            Ok(Verdict::Recorded)
        }
        Work::Index(work) => Ok(Verdict::Indexed(work.evaluate(draft, indexes, company).await?)),
    }
}

fn takes_seq(applied: &Applied) -> bool {
    applied.done != Done::NotReleased
}

/// Evaluates a batch whose first op gets the number after `seq_before`.
pub(crate) async fn evaluate_batch<T: Transaction>(
    draft: &mut Draft<'_, T>,
    batch: &Batch,
    hashes: &[FileHash],
    device: &DeviceId,
    seq_before: u64,
    now_ms: u64,
) -> Result<Verdict, Halt> {
    let id = batch.id.as_ref().filter(|_| dedup::is_covered(device));
    if let Some(id) = id
        && let Some(bytes) = draft.get(&draft.keys().reply(device.as_str(), id.as_str())).await?
    {
        let reply = Reply::decode(&bytes).map_err(|e| Refusal::corrupt("a reply does not decode", e))?;
        return Ok(Verdict::Repeated(repeated(&reply)?));
    }
    let mut results = Vec::with_capacity(batch.ops.len());
    let mut hashes = hashes.iter();
    let mut seq = seq_before;
    for (index, op) in batch.ops.iter().enumerate() {
        let next = seq.checked_add(1);
        let next = next.ok_or_else(|| Refusal::from(corrupt("the sequence numbers are used up")))?;
        let hash = matches!(op.action, Action::PutFile { .. })
            .then(|| hashes.next())
            .flatten();
        let done = match precondition::check(draft, op, now_ms).await {
            Ok(()) => apply(draft, op, hash, Moment { seq: next, now_ms }).await,
            Err(halt) => Err(halt),
        };
        let applied = match done {
            Ok(applied) => applied,
            Err(Halt::Refused(refusal)) => return Ok(Verdict::Refused(refusal.at(index, &op.path))),
            Err(halt) => return Err(halt),
        };
        if takes_seq(&applied) {
            seq = next;
            let value = match &op.action {
                // As it came: the log has typed values in their envelopes, from which their kind can be told.
                Action::Set(value) | Action::Merge(value) => Some(value),
                _ => applied.value.as_ref(),
            };
            let record = Record {
                kind: op.action.kind(),
                wall_clock_ms: now_ms,
                batch_index: index as u64,
                device: device.as_str(),
                op_id: batch.id.as_ref().map(OpId::as_str),
                path: op.path.as_str(),
                value: value.map(Value::json),
            };
            if let Err(refusal) = draft.set(draft.keys().record(seq), record.encode()) {
                return Ok(Verdict::Refused(refusal.at(index, &op.path)));
            }
        }
        results.push(applied);
    }
    // What has written nothing leaves its id free.
    if let Some(id) = id.filter(|_| seq > seq_before) {
        let texts: Vec<_> = (0..).zip(&results).filter_map(reply_text).collect();
        let reply = Reply {
            first: seq_before + 1,
            count: batch.ops.len() as u64,
            done: texts.iter().map(|(index, text)| (*index, text.as_str())).collect(),
        };
        draft.set(draft.keys().reply(device.as_str(), id.as_str()), reply.encode())?;
    }
    Ok(Verdict::Written {
        first: seq_before + 1,
        applied: results,
    })
}

/// What a reply remembers of an op beside its number.
fn reply_text((index, applied): (u64, &Applied)) -> Option<(u64, String)> {
    match &applied.done {
        Done::Stored(file) => Some((index, file.to_value().json().to_owned())),
        Done::Leased(lease) => Some((index, lease.to_value().json().to_owned())),
        Done::NotReleased => Some((index, String::new())),
        _ => None,
    }
}

/// The reply to a batch whose ops are applied.
pub(crate) fn written(first: u64, applied: &[Applied]) -> Written {
    answer(first, applied.iter().map(|applied| applied.done.clone()), false)
}

/// The reply to a batch that had been committed before.
fn repeated(reply: &Reply<'_>) -> Result<Written, Refusal> {
    let mut done = vec![Done::Applied; usize::try_from(reply.count).unwrap_or_default()];
    for (index, text) in &reply.done {
        let Some(slot) = usize::try_from(*index).ok().and_then(|index| done.get_mut(index)) else {
            continue;
        };
        let value = Some(*text)
            .filter(|text| !text.is_empty())
            .map(stored_value)
            .transpose()?;
        *slot = match value {
            None => Done::NotReleased,
            Some(value) => FileRef::from_value(&value)
                .map(Done::Stored)
                .or_else(|| Lease::from_value(&value).map(Done::Leased))
                .unwrap_or_default(),
        };
    }
    Ok(answer(reply.first, done.into_iter(), true))
}

fn answer(first: u64, done: impl Iterator<Item = Done>, deduplicated: bool) -> Written {
    let mut written = Written {
        seqs: Vec::with_capacity(done.size_hint().0),
        done: Vec::new(),
        deduplicated,
    };
    let mut next = first;
    for done in done {
        if done == Done::NotReleased {
            written.seqs.push(Seq(0));
        } else {
            written.seqs.push(Seq(next));
            next += 1;
        }
        if done != Done::Applied {
            written.done.resize(written.seqs.len() - 1, Done::Applied);
            written.done.push(done);
        }
    }
    written
}

fn events_of(batch: Batch, device: &DeviceId, seqs: &[Seq], applied: Vec<Applied>) -> Vec<Event> {
    let Batch { ops, id } = batch;
    let committed = seqs.iter().zip(ops).zip(applied).filter(|((seq, _), _)| seq.0 > 0);
    committed
        .map(|((seq, op), applied)| {
            let (value, written) = told(op.action.kind(), applied.value);
            Event {
                seq: *seq,
                kind: op.action.kind(),
                path: op.path,
                value,
                written,
                device: device.clone(),
                op_id: id.clone(),
            }
        })
        .collect()
}

/// Tells a whole group that it failed.
fn fail(group: Vec<Pending>, error: &Arc<LayerError>, of: impl Fn(&Arc<LayerError>) -> Error) {
    tracing::error!(%error, batches = group.len(), "a group of writes failed");
    for pending in group {
        let _ = pending.reply.send(Err(of(error)));
    }
}
