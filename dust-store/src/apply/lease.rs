//! Leases: a leaf that says who may act, until when. Nobody sweeps them up; one whose time is over merely no longer counts.

use std::time::Duration;

use dust_layer::Transaction;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Fence, Lease, Path, Seq, ValueKind};
use dust_transport::transport::Done;

use super::{Applied, Moment};
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

/// Takes a lease where there is none, or one whose time is over.
pub(super) async fn take<T: Transaction>(
    draft: &mut Draft<'_, T>,
    path: &Path,
    holder: Option<&str>,
    ttl: Duration,
    at: Moment,
) -> Result<Applied, Halt> {
    if let Some((kind, revision, value)) = draft.leaf(path).await? {
        let current = Lease::from_value(&value).filter(|_| kind == ValueKind::Lease);
        match current {
            None => return Err(refused("occupied", "another leaf is at the path", path, Some(revision))),
            Some(lease) if lease.is_live(at.now_ms) => {
                return Err(refused("held", "the lease is held", path, Some(revision)));
            }
            Some(_) => {}
        }
    }
    let lease = Lease {
        holder: holder.map(str::to_owned),
        token: at.seq,
        expires_at_ms: end(at.now_ms, ttl),
    };
    put(draft, path, lease, at).await
}

/// Makes a live lease last longer.
pub(super) async fn renew<T: Transaction>(
    draft: &mut Draft<'_, T>,
    path: &Path,
    token: u64,
    ttl: Duration,
    at: Moment,
) -> Result<Applied, Halt> {
    let found = of_token(draft, path, token).await?;
    let Some(lease) = found.filter(|lease| lease.is_live(at.now_ms)) else {
        let current = draft.leaf(path).await?.map(|(_, revision, _)| revision);
        return Err(refused("not_held", "no live lease has this token", path, current));
    };
    let lease = Lease {
        expires_at_ms: end(at.now_ms, ttl),
        ..lease
    };
    put(draft, path, lease, at).await
}

/// Gives a lease back, live or not.
pub(super) async fn release<T: Transaction>(
    draft: &mut Draft<'_, T>,
    path: &Path,
    token: u64,
) -> Result<Applied, Halt> {
    let found = of_token(draft, path, token).await?;
    let done = if found.is_some() {
        draft.clear_leaf(path).await?;
        Done::Applied
    } else {
        Done::NotReleased
    };
    Ok(Applied { value: None, done })
}

/// Checks that the fence holds.
pub(crate) async fn is_fenced<T: Transaction>(draft: &Draft<'_, T>, fence: &Fence, now_ms: u64) -> Result<(), Halt> {
    let found = of_token(draft, &fence.key, fence.token).await?;
    if found.is_some_and(|lease| lease.is_live(now_ms)) {
        return Ok(());
    }
    let current = draft.leaf(&fence.key).await?.map(|(_, revision, _)| revision);
    let detail = "no live lease with this token is at the key of the fence";
    Err(refused("fenced", detail, &fence.key, current))
}

async fn put<T: Transaction>(draft: &mut Draft<'_, T>, path: &Path, lease: Lease, at: Moment) -> Result<Applied, Halt> {
    let value = lease.to_value();
    draft.put_leaf(path, &value, ValueKind::Lease, at.seq).await?;
    Ok(Applied {
        value: Some(value),
        done: Done::Leased(lease),
    })
}

/// The lease at the path, if it has this token.
async fn of_token<T: Transaction>(draft: &Draft<'_, T>, path: &Path, token: u64) -> Result<Option<Lease>, Halt> {
    let found = draft.leaf(path).await?;
    let lease = found.filter(|(kind, ..)| *kind == ValueKind::Lease);
    Ok(lease
        .and_then(|(_, _, value)| Lease::from_value(&value))
        .filter(|lease| lease.token == token))
}

fn end(now_ms: u64, ttl: Duration) -> u64 {
    now_ms.saturating_add(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}

fn refused(code: &'static str, detail: &'static str, path: &Path, current: Option<u64>) -> Halt {
    Refusal::found(Error::new(ErrorKind::Conflict, code, detail), path, current.map(Seq)).into()
}
