//! A log that does not grow for ever: its oldest ops are folded, in order, into a base.
//!
//! The base is the state after the last op that is gone, so that every state since can still be put together from it and
//! the log. It has leaves of its own, which are the same bytes as those of the store, and it counts as one who keeps files.

use dust_layer::{Engine, Error as LayerError, Limits, Transaction};
use dust_transport::model::{OpKind, Path};

use crate::apply::replay;
use crate::blob::Refs;
use crate::codec::{Head, Record, Remembered};
use crate::draft::{Draft, read};
use crate::error::{Halt, Refusal, corrupt};
use crate::leaf::hash_of;
use crate::store::{Store, stored_value};

/// How many ops one transaction folds at most.
pub(crate) const FOLD_OPS_MAX: u64 = 256;

/// How many bytes one transaction writes for it, roughly.
const FOLD_BYTES: usize = 1 << 20;

/// Folds ops up to `last`, a bounded number of them, and moves the head.
pub(crate) async fn fold<T: Transaction>(
    base: &mut Draft<'_, T>,
    head: &mut Head,
    last: u64,
    ops_max: u64,
    now_ms: u64,
) -> Result<(), Halt> {
    let last = last.min(head.seq).min(head.compacted.saturating_add(ops_max));
    let first = head.compacted + 1;
    while head.compacted < last && base.bytes() < FOLD_BYTES {
        let seq = head.compacted + 1;
        let key = base.keys().record(seq);
        let stored = base.get(&key).await?;
        let stored = stored.ok_or_else(|| Refusal::from(corrupt(format!("the op {seq} is missing in the log"))))?;
        let record = Record::decode(&stored).map_err(|error| Refusal::corrupt("an op does not decode", error))?;
        let path = Path::parse(record.path).map_err(Refusal::from)?;
        let value = record.value.map(stored_value).transpose().map_err(Refusal::from)?;
        replay(base, record.kind, &path, value.as_ref(), seq).await?;
        if let (OpKind::PutFile, Some(text)) = (record.kind, record.value) {
            base.release(&hash_of(text)?, Refs::Kept).await?;
        }
        if let (0, Some(op_id)) = (record.batch_index, record.op_id.filter(|_| seq > head.pruned)) {
            let remembered = Remembered {
                wall_clock_ms: record.wall_clock_ms,
                device: record.device,
                op_id,
            };
            base.set(base.keys().remembered(seq), remembered.encode())?;
        }
        head.compacted = seq;
        head.compacted_at_ms = now_ms;
    }
    if head.compacted >= first {
        base.clear_range(base.keys().record(first)..base.keys().record(head.compacted + 1));
    }
    Ok(())
}

/// Hands the writes of a draft over and counts in what they change. The leaves of the base are not those of the store.
pub(crate) fn count_in<T: Transaction>(draft: Draft<'_, T>, head: &mut Head) {
    let is_base = draft.refs() == Refs::Kept;
    let mut tally = draft.flush();
    if is_base {
        tally.entries = 0;
    }
    tally.count_in(head);
}

impl<E: Engine> Store<E> {
    /// Folds what the options do not keep: a few more ops than the commit has added, so that it catches up.
    pub(crate) async fn retain(
        &self,
        transaction: &E::Transaction,
        limits: Limits,
        head: &mut Head,
        seq_before: u64,
        now_ms: u64,
    ) -> Result<(), LayerError> {
        let Some(retention) = self.options.retention else {
            return Ok(());
        };
        // This transaction's own ops are not read again.
        let last = head.seq.saturating_sub(retention.ops_min).min(seq_before);
        if head.compacted >= last || now_ms < self.retain_from_ms() {
            return Ok(());
        }
        let ops_max = (head.seq - seq_before) + 16;
        let age_ms = u64::try_from(retention.age_min.as_millis()).unwrap_or(u64::MAX);
        let (begin, end) = (self.keys.record(head.compacted + 1), self.keys.record(last + 1));
        let limit = usize::try_from(ops_max).unwrap_or(usize::MAX);
        let page = transaction.get_range(read(&begin, &end, limit)).await?;
        let mut old = head.compacted;
        for (_, value) in &page {
            let Ok(record) = Record::decode(value) else { break };
            let until_ms = record.wall_clock_ms.saturating_add(age_ms);
            if until_ms > now_ms {
                self.set_retain_from_ms(until_ms);
                break;
            }
            old += 1;
        }
        let mut moved = *head;
        let mut base = Draft::on_base(transaction, &self.base_keys, limits);
        match fold(&mut base, &mut moved, old, ops_max, now_ms).await {
            Ok(()) => {
                count_in(base, &mut moved);
                *head = moved;
                Ok(())
            }
            Err(Halt::Engine(error)) => Err(error),
            // The batches are sound; what the log holds is not, and whoever reads it is told.
            Err(Halt::Refused(refusal)) => {
                tracing::warn!(error = %refusal.into_error(), "the log is not compacted");
                Ok(())
            }
        }
    }
}
