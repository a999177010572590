//! How long op ids are remembered.
//!
//! A batch with an op id leaves its reply under `(device, op id)`. The log tells in which order they came, so that they
//! can be forgotten in that order: each commit forgets a bounded number of those that are both old enough and followed by
//! enough ops. The head keeps the place.

use dust_layer::{Engine, Error as LayerError, Transaction};
use dust_transport::model::DeviceId;

use crate::codec::{Head, Record, Remembered};
use crate::draft::read;
use crate::store::Store;

/// How many of the last ops' ids are remembered at least.
pub(crate) const WINDOW_OPS: u64 = 10_000;

/// For how long they are remembered at least.
pub(crate) const WINDOW_MS: u64 = 24 * 60 * 60 * 1000;

/// The most log records read at once.
const PAGE_RECORDS: usize = 64;

/// Whether op ids of the device count. Those of the system's own devices name requests and not batches.
pub(crate) fn is_covered(device: &DeviceId) -> bool {
    let device = device.as_str();
    device != "mcp" && !device.starts_with("system:")
}

/// Forgets op ids that have left the window: a few more than the commit adds, so that it catches up.
pub(crate) async fn prune<E: Engine>(
    store: &Store<E>,
    transaction: &E::Transaction,
    head: &mut Head,
    seq_before: u64,
    now_ms: u64,
) -> Result<(), LayerError> {
    let last = seq_before
        .saturating_sub(WINDOW_OPS)
        .min(head.pruned + (head.seq - seq_before) + 16);
    if head.pruned >= last || now_ms < store.prune_from_ms() {
        return Ok(());
    }
    while head.pruned < last.min(head.compacted) {
        if !prune_remembered(store, transaction, head, last.min(head.compacted), now_ms).await? {
            return Ok(());
        }
    }
    let end = store.keys.record(last + 1);
    while head.pruned < last {
        let begin = store.keys.record(head.pruned + 1);
        let page = transaction.get_range(read(&begin, &end, PAGE_RECORDS)).await?;
        let pruned_before = head.pruned;
        for (key, value) in &page {
            let Some(seq) = store.keys.seq_of(key) else { continue };
            if let Ok(record) = Record::decode(value) {
                let until_ms = record.wall_clock_ms.saturating_add(WINDOW_MS);
                if until_ms > now_ms {
                    store.set_prune_from_ms(until_ms);
                    return Ok(());
                }
                // The id belongs to the batch; its first op stands for all of them.
                if let (0, Some(id)) = (record.batch_index, record.op_id) {
                    transaction.clear(&store.keys.reply(record.device, id));
                }
            }
            head.pruned = seq;
        }
        if head.pruned == pruned_before {
            // The log has been cut off below; there is nothing to forget there.
            head.pruned = last;
        }
    }
    Ok(())
}

/// Forgets op ids whose ops are no longer in the log; `false` at one that is to be remembered.
async fn prune_remembered<E: Engine>(
    store: &Store<E>,
    transaction: &E::Transaction,
    head: &mut Head,
    last: u64,
    now_ms: u64,
) -> Result<bool, LayerError> {
    let (begin, end) = (store.keys.remembered(head.pruned + 1), store.keys.remembered(last + 1));
    let page = transaction.get_range(read(&begin, &end, PAGE_RECORDS)).await?;
    for (key, value) in &page {
        if let Ok(remembered) = Remembered::decode(value) {
            let until_ms = remembered.wall_clock_ms.saturating_add(WINDOW_MS);
            if until_ms > now_ms {
                store.set_prune_from_ms(until_ms);
                return Ok(false);
            }
            transaction.clear(&store.keys.reply(remembered.device, remembered.op_id));
        }
        transaction.clear(key);
        head.pruned = store.keys.remembered_seq_of(key).unwrap_or(last);
    }
    if !page.more() {
        head.pruned = last;
    }
    Ok(true)
}
