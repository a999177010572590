//! Who is at work: an owner, and a beat that grows with each of its batches.

use std::time::Duration;

use dust_transport::error as transport_error;
use dust_transport::model::{Batch, Op, OpId, Path, Precondition, Seq, Value};
use dust_transport::transport::Transport;

use super::{RESERVED, path_of};
use crate::error::{Error, ErrorKind};

/// In how many parts the time is cut after which a claim counts as left.
pub(super) const LOOKS: u32 = 8;

/// A claim that is this run's own.
#[derive(Debug)]
pub(super) struct Claim {
    owner: String,
    beat: u64,
    revision: Seq,
}

/// The claim of somebody else, and for how long it has stood still.
#[derive(Debug, Default)]
pub(super) struct Theirs {
    revision: Seq,
    stood: Duration,
}

fn path() -> Result<Path, Error> {
    path_of([RESERVED, "claim"])
}

fn value(owner: &str, beat: u64) -> Value {
    Value::from_json(&serde_json::json!([owner, beat]).to_string()).unwrap_or_else(|_| Value::null())
}

/// The owner, the beat and the revision of the claim, if there is one.
async fn read(transport: &dyn Transport) -> Result<Option<(String, u64, Seq)>, Error> {
    let path = path()?;
    let found = transport.get_many(std::slice::from_ref(&path)).await?;
    let Some(entry) = found.into_iter().flatten().next() else {
        return Ok(None);
    };
    let (owner, beat) = entry.value.to().map_err(|error| {
        let message = format!("`{path}` is no claim of a migration: {error}");
        Error::new(ErrorKind::InvalidRecord, message)
    })?;
    Ok(Some((owner, beat, entry.revision)))
}

impl Claim {
    /// Asks for the claim once: it is this run's own, or somebody else has it. `looked` is the time since it was asked for before.
    pub(super) async fn ask(
        transport: &dyn Transport,
        theirs: &mut Theirs,
        looked: Duration,
        lease: Duration,
    ) -> Result<Option<Self>, Error> {
        let precondition = match read(transport).await? {
            None => Precondition::Absent,
            Some((.., revision)) if revision != theirs.revision => {
                *theirs = Theirs {
                    revision,
                    stood: Duration::ZERO,
                };
                return Ok(None);
            }
            Some((.., revision)) => {
                theirs.stood += looked;
                if theirs.stood < lease {
                    return Ok(None);
                }
                Precondition::Match(revision)
            }
        };
        let owner = OpId::random().to_string();
        let op = Op::set(path()?, value(&owner, 0)).when(precondition);
        match transport.write(Batch::one(op).with_id(OpId::random())).await {
            Ok(written) => Ok(Some(Self {
                owner,
                beat: 0,
                revision: written.seqs.first().copied().unwrap_or_default(),
            })),
            Err(error) if error.is_conflict() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes ops together with the next beat of the claim, if it is still this run's own.
    ///
    /// # Errors
    /// As the ops have them; `Conflict` also if another has taken over, which [`renew`](Self::renew) tells.
    pub(super) async fn write(
        &mut self,
        transport: &dyn Transport,
        ops: impl IntoIterator<Item = Op>,
    ) -> Result<(), transport_error::Error> {
        let beat = self.beat.wrapping_add(1);
        let claim = Path::new([RESERVED, "claim"])?;
        let op = Op::set(claim, value(&self.owner, beat)).when(Precondition::Match(self.revision));
        let batch = Batch::new(std::iter::once(op).chain(ops)).with_id(OpId::random());
        let written = transport.write(batch).await?;
        self.beat = beat;
        self.revision = written.seqs.first().copied().unwrap_or_default();
        Ok(())
    }

    /// Looks whether the claim is still this run's own, after a write of which it is not known. Whether it had moved on.
    ///
    /// # Errors
    /// `Conflict` if it is not.
    pub(super) async fn renew(&mut self, transport: &dyn Transport) -> Result<bool, Error> {
        match read(transport).await? {
            Some((owner, beat, revision)) if owner == self.owner => {
                let has_moved = revision != self.revision;
                (self.beat, self.revision) = (beat, revision);
                Ok(has_moved)
            }
            _ => {
                let message = "another process has taken over the migration";
                Err(Error::new(ErrorKind::Conflict, message))
            }
        }
    }

    /// Gives the claim back, as far as that goes: one that is left is taken over in time.
    pub(super) async fn release(mut self, transport: &dyn Transport) {
        for _ in 0..2 {
            let Ok(path) = path() else { return };
            let op = Op::delete(path).when(Precondition::Match(self.revision));
            let released = transport.write(op.into()).await;
            // A beat that was given up in the middle may have come through.
            if released.is_ok() || !matches!(self.renew(transport).await, Ok(true)) {
                return;
            }
        }
    }
}
