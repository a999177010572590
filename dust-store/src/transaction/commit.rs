//! The commit of a transaction: one piece of work of the sequencer, which compares and writes.

use std::collections::BTreeSet;
use std::sync::Arc;

use dust_layer::{Engine, Isolation, Transaction};
use dust_transport::error::{Error, ErrorKind, Outcome};
use dust_transport::model::{Batch, DeviceId, OpId};
use dust_transport::transport::{TRANSACTION_CONFLICT, Written};

use super::ReadSet;
use super::read_set::Stamps;
use crate::codec::{Head, Record};
use crate::dedup;
use crate::draft::{Draft, read};
use crate::error::{Halt, Refusal, corrupt, of_read};
use crate::index::{Indexes, OnlyWork, write_only};
use crate::keyspace::Keyspace;
use crate::page;
use crate::sequencer::{self, Work};
use crate::store::Store;

/// How often a commit is sent again whose outcome is not known.
const SETTLING_ATTEMPTS_MAX: u32 = 5;

/// A transaction that only has to be committed.
#[derive(Debug, Clone)]
pub(crate) struct Closed {
    /// What it has written, without preconditions: they have been checked, and count as reads.
    pub(crate) batch: Batch,
    /// The records without leaves that it has written.
    records: Arc<[OnlyWork]>,
    /// The stamps of their prefixes before the first attempt, once there is another one.
    before: Option<Arc<Stamps>>,
    reads: Arc<ReadSet>,
    /// The state that was read is that after this op.
    begun: u64,
    /// In all that was read, the state after this op is the same.
    since: u64,
}

/// Whether a transaction can be committed.
#[derive(Debug)]
pub(crate) enum Checked {
    /// It can; or has been, which its ops will tell.
    Free,
    /// It has been.
    Done,
    /// It cannot.
    Refused(Error),
}

impl Closed {
    /// Compares what was read with what has been written since.
    pub(crate) async fn check<T: Transaction>(
        &self,
        draft: &Draft<'_, T>,
        device: &DeviceId,
        head: &Head,
    ) -> Result<Checked, Halt> {
        if self.batch.ops.is_empty()
            && let Some(before) = &self.before
            && let Some(checked) = self.settle(draft.transaction(), before).await?
        {
            return Ok(checked);
        }
        if !self.is_touched(draft.transaction(), draft.keys(), head).await? {
            return Ok(Checked::Free);
        }
        // Its own ops touch what it has read.
        if let Some(id) = self.batch.id.as_ref().filter(|_| dedup::is_covered(device))
            && draft
                .get(&draft.keys().reply(device.as_str(), id.as_str()))
                .await?
                .is_some()
        {
            return Ok(Checked::Free);
        }
        Ok(Checked::Refused(conflict()))
    }

    /// What became of an attempt without ops, of which no op id tells; `None` if nothing.
    async fn settle<T: Transaction>(&self, transaction: &T, before: &Stamps) -> Result<Option<Checked>, Halt> {
        let id = self.batch.id.as_ref().map(|id| id.as_str().as_bytes());
        let mut is_overwritten = false;
        for (key, before) in before {
            let found = transaction.get(key, Isolation::Snapshot).await?;
            if found.is_some() && found.as_deref() == id {
                return Ok(Some(Checked::Done));
            }
            is_overwritten |= found != *before;
        }
        let unsettled = || {
            Error::new(
                ErrorKind::Storage,
                "storage",
                "others have written the same records since",
            )
        };
        Ok(is_overwritten.then(|| Checked::Refused(unsettled().with_outcome(Outcome::Unknown))))
    }

    /// Whether it writes records without leaves.
    pub(crate) fn has_records(&self) -> bool {
        !self.records.is_empty()
    }

    /// Writes the records without leaves.
    pub(crate) async fn write_records<T: Transaction>(
        &self,
        draft: &mut Draft<'_, T>,
        indexes: &Indexes,
    ) -> Result<(), Halt> {
        match &self.batch.id {
            Some(id) => write_only(&self.records, id, draft, indexes).await,
            None => Err(Refusal::from(corrupt("a transaction has no op id")).into()),
        }
    }

    /// Whether any write of records without leaves, or op of the log up to the head, may have changed what was read.
    async fn is_touched<T: Transaction>(&self, transaction: &T, keys: &Keyspace, head: &Head) -> Result<bool, Halt> {
        for (key, seen) in self.reads.stamps() {
            if transaction.get(key, Isolation::Snapshot).await? != *seen {
                return Ok(true);
            }
        }
        if head.seq <= self.since {
            return Ok(false);
        }
        if head.compacted > self.since {
            // Nobody knows any more.
            return Ok(true);
        }
        let end = keys.record(head.seq.saturating_add(1));
        let (mut next, mut limit) = (Some(keys.record(self.since + 1)), page::FIRST_ITEMS);
        while let Some(begin) = next {
            let found = transaction.get_range(read(&begin, &end, limit)).await?;
            for (_, value) in &found {
                let record = Record::decode(value);
                let record = record.map_err(|error| Refusal::corrupt("an op of the log does not decode", error))?;
                if self.reads.is_touched_by(keys, record.path) {
                    return Ok(true);
                }
            }
            (next, limit) = page::after(&found);
        }
        Ok(false)
    }

    /// Why its ops, which it has seen succeed, do not succeed now.
    pub(crate) fn refused(&self, error: Error, head: &Head) -> Error {
        // An op that works on what is there, and was not read, has met something else there. Done again, the transaction
        // sees it; what is too large stays so.
        if head.seq > self.begun && error.code() != "payload_too_large" {
            conflict().with_source(error)
        } else {
            error
        }
    }
}

/// What a transaction has read is no longer so.
pub(super) fn conflict() -> Error {
    let detail = "what the transaction has read has changed";
    Error::new(ErrorKind::Conflict, TRANSACTION_CONFLICT, detail)
}

impl<E: Engine> Store<E> {
    /// Commits a transaction, once, also if the engine leaves open whether it has.
    pub(super) async fn commit(
        self: &Arc<Self>,
        device: &DeviceId,
        mut batch: Batch,
        records: Vec<OnlyWork>,
        begun: u64,
        reads: ReadSet,
    ) -> Result<Written, Error> {
        batch.id = Some(OpId::random());
        let mut closed = Closed {
            batch,
            records: records.into(),
            before: None,
            reads: Arc::new(reads),
            begun,
            since: begun,
        };
        // What can be compared already is not left to the group, which others wait for.
        let transaction = self.engine.begin();
        let head = self.head_in(&transaction).await?;
        match closed.is_touched(&transaction, &self.keys, &head).await {
            Ok(false) => closed.since = head.seq.max(begun),
            Ok(true) => return Err(conflict()),
            // The sequencer reads again, and tells.
            Err(_) => {}
        }
        let keys: BTreeSet<_> = closed.records.iter().map(|record| record.stamp(&self.keys)).collect();
        let mut before = Stamps::new();
        for key in keys {
            let stamp = transaction.get(&key, Isolation::Snapshot).await.map_err(of_read)?;
            before.insert(key, stamp);
        }
        let before = Arc::new(before);
        drop(transaction);
        let mut attempt = 1;
        let mut unknown = None;
        loop {
            let error = match sequencer::run(self, device, Work::Transaction(closed.clone())).await {
                Ok(written) => {
                    return Ok(Written {
                        deduplicated: false,
                        ..written
                    });
                }
                Err(error) => error,
            };
            let is_unknown = error.outcome() == Outcome::Unknown;
            // By its op id, or by the stamps where it has no ops.
            let is_told = dedup::is_covered(device) || closed.batch.ops.is_empty();
            if is_unknown && attempt <= SETTLING_ATTEMPTS_MAX && is_told {
                closed.before = Some(Arc::clone(&before));
                unknown = Some(error);
                self.engine.pause(attempt).await;
                attempt += 1;
            } else if error.kind() == ErrorKind::Conflict {
                // The engine has answered, and the op id is not there: the commit before was none.
                return Err(error);
            } else {
                return Err(unknown.unwrap_or(error));
            }
        }
    }
}
