//! One group of batches: evaluated in order in one transaction, committed once.

use std::sync::Arc;

use dust_layer::{Engine, Error as LayerError, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Batch, DeviceId, Event, OpId, Seq, Value};
use dust_transport::transport::Written;

use crate::apply::apply;
use crate::codec::{Head, Record, Reply};
use crate::dedup;
use crate::draft::Draft;
use crate::error::{Halt, Refusal, corrupt, of_commit};
use crate::precondition;
use crate::sequencer::Pending;
use crate::store::Store;

/// What a batch comes to, if its group is committed.
#[derive(Debug)]
enum Verdict {
    /// It is written from this sequence number on; one value per op for its event.
    Written {
        first: u64,
        values: Vec<Option<Value>>,
    },
    /// It had been written before.
    Repeated(Reply),
    Refused(Error),
}

/// The verdicts of a group's first batches, as many as fit into a transaction.
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
                let refuse =
                    |_: &Pending| Verdict::Refused(Refusal::corrupt("the head does not decode", error).into_error());
                let verdicts = group.iter().map(refuse).collect();
                return Ok(Evaluated {
                    verdicts,
                    before: Head::default(),
                    after: Head::default(),
                });
            }
        };
        let now_ms = self.options.clock.now_ms();
        let limits = self.engine.limits();
        let mut after = before;
        let mut bytes = 0_usize;
        let mut verdicts = Vec::with_capacity(group.len());
        for pending in group {
            let mut draft = Draft::new(transaction, &self.keys, limits);
            let verdict = match evaluate_batch(&mut draft, pending, after.seq, now_ms).await {
                Ok(verdict) => verdict,
                Err(Halt::Engine(error)) => return Err(error),
                Err(Halt::Refused(refusal)) => Verdict::Refused(refusal.into_error()),
            };
            if let Verdict::Written { values, .. } = &verdict {
                bytes += draft.bytes();
                if bytes > limits.transaction_bytes_max.min(GROUP_BYTES_MAX) && !verdicts.is_empty() {
                    break;
                }
                draft.flush();
                after.seq += values.len() as u64;
            }
            verdicts.push(verdict);
        }
        if after.seq > before.seq {
            dedup::prune(self, transaction, &mut after, before.seq, now_ms).await?;
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
        for (Pending { batch, device, reply }, verdict) in group.into_iter().zip(verdicts) {
            let answer = match verdict {
                Verdict::Refused(error) => Err(error),
                Verdict::Repeated(Reply { first, count }) => Ok(written(first, count, true)),
                Verdict::Written { first, values } => {
                    let count = values.len() as u64;
                    if followed {
                        events.extend(events_of(batch, &device, first, values));
                    }
                    Ok(written(first, count, false))
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

/// Keeps the memory of one commit bounded, whatever is queued.
const GROUP_BYTES_MAX: usize = 64 << 20;

async fn evaluate_batch<T: Transaction>(
    draft: &mut Draft<'_, T>,
    pending: &Pending,
    seq_before: u64,
    now_ms: u64,
) -> Result<Verdict, Halt> {
    let Pending { batch, device, .. } = pending;
    let id = batch.id.as_ref().filter(|_| dedup::is_covered(device));
    if let Some(id) = id
        && let Some(bytes) = draft.get(&draft.keys().reply(device.as_str(), id.as_str())).await?
    {
        return Ok(Verdict::Repeated(
            Reply::decode(&bytes).map_err(|e| Refusal::corrupt("a reply does not decode", e))?,
        ));
    }
    let mut values = Vec::with_capacity(batch.ops.len());
    let mut seq = seq_before;
    for (index, op) in batch.ops.iter().enumerate() {
        seq = seq
            .checked_add(1)
            .ok_or_else(|| Refusal::from(corrupt("the sequence numbers are used up")))?;
        let done = match precondition::check(draft, op).await {
            Ok(()) => apply(draft, op, seq).await,
            Err(halt) => Err(halt),
        };
        let value = match done {
            Ok(value) => value,
            Err(Halt::Refused(refusal)) => return Ok(Verdict::Refused(refusal.at(index, &op.path))),
            Err(halt) => return Err(halt),
        };
        let record = Record {
            kind: op.action.kind(),
            wall_clock_ms: now_ms,
            batch_index: index as u64,
            device: device.as_str(),
            op_id: batch.id.as_ref().map(OpId::as_str),
            path: op.path.as_str(),
            value: value.as_ref().map(Value::json),
        };
        if let Err(refusal) = draft.set(draft.keys().record(seq), record.encode()) {
            return Ok(Verdict::Refused(refusal.at(index, &op.path)));
        }
        values.push(value);
    }
    let first = seq_before + 1;
    if let Some(id) = id {
        let reply = Reply {
            first,
            count: batch.ops.len() as u64,
        };
        draft.set(draft.keys().reply(device.as_str(), id.as_str()), reply.encode())?;
    }
    Ok(Verdict::Written { first, values })
}

fn written(first: u64, count: u64, deduplicated: bool) -> Written {
    Written {
        done: Vec::new(),
        seqs: (first..first + count).map(Seq).collect(),
        deduplicated,
    }
}

fn events_of(batch: Batch, device: &DeviceId, first: u64, values: Vec<Option<Value>>) -> impl Iterator<Item = Event> {
    let Batch { ops, id } = batch;
    (first..).zip(ops).zip(values).map(move |((seq, op), value)| Event {
        seq: Seq(seq),
        kind: op.action.kind(),
        path: op.path,
        value,
        device: device.clone(),
        op_id: id.clone(),
    })
}

/// Tells a whole group that it failed.
fn fail(group: Vec<Pending>, error: &Arc<LayerError>, of: impl Fn(&Arc<LayerError>) -> Error) {
    tracing::error!(%error, batches = group.len(), "a group of writes failed");
    for pending in group {
        let _ = pending.reply.send(Err(of(error)));
    }
}
