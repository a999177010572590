//! All leaves of a store as one frame, for who has less than the log.

use std::sync::Arc;

use dust_store::Embedded;
use dust_transport::channel::Snapshot;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Seq, Value};
use futures_core::future::BoxFuture;
use tokio::sync::Semaphore;

/// How many snapshots are held at a time, by the whole server.
const AT_ONCE: usize = 2;

/// Lets a few snapshots through at a time, of a bounded size: the wire has all leaves of a store in one frame.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    places: Arc<Semaphore>,
    bytes_max: usize,
}

impl Gate {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(AT_ONCE)),
            bytes_max,
        }
    }
}

/// Reads a snapshot: the sequence number that it stands for, and the payload.
pub(super) fn read(data: Embedded, gate: Gate) -> BoxFuture<'static, Result<(Seq, Value), Error>> {
    Box::pin(async move {
        let _place = gate.places.acquire().await;
        let mut leaves = data.snapshot().await?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        loop {
            let page = leaves.next_page().await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                bytes += entry.path.as_str().len() + entry.value.json().len();
                entries.push(entry);
            }
            if bytes > gate.bytes_max {
                let detail = format!("the snapshot has more than {} bytes", gate.bytes_max);
                return Err(Error::new(ErrorKind::InvalidParams, "payload_too_large", detail));
            }
        }
        let seq = leaves.head();
        let snapshot = Snapshot {
            seq,
            entries,
            has_revisions: true,
        };
        Ok((seq, snapshot.to_payload()))
    })
}
