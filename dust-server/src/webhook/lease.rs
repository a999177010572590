//! Which stores' webhooks this server delivers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dust_store::{Clock, Embedded};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Batch, Fence, Op, Path};
use dust_transport::transport::{Transport as _, Written};
use tokio::sync::Notify;
use uuid::Uuid;

/// Whether other servers may be on the same database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nodes {
    /// The database is this server's alone: it delivers everything.
    One,
    /// Each store's webhooks are delivered by one of them.
    Many,
}

/// The leases that this server has, one for each store with webhooks.
#[derive(Debug)]
pub(super) struct Leases {
    nodes: Nodes,
    store: Embedded,
    clock: Clock,
    /// How long one lasts.
    ttl: Duration,
    /// Who this server is; for people.
    holder: String,
    held: Mutex<BTreeMap<Uuid, Held>>,
    /// Another server has given one up, or there is a new webhook.
    pub(super) stirred: Notify,
}

/// A lease that this server has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    token: u64,
    /// When it ends, by this server's clock and counted from before it was asked for; so it does not end later here than
    /// for the others.
    until_ms: u64,
}

fn key(store: Uuid) -> Result<Path, Error> {
    Ok(Path::new(["leases", &store.to_string()])?)
}

/// The lease that an op has got or renewed.
fn held(written: &Written, index: usize, until_ms: u64) -> Option<Held> {
    let lease = written.done(index).lease()?;
    Some(Held {
        token: lease.token,
        until_ms,
    })
}

/// Whether a refusal says that a lease is another's.
pub(super) fn is_taken(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict
}

impl Leases {
    pub(super) fn new(store: Embedded, nodes: Nodes, ttl: Duration, clock: Clock) -> Self {
        Self {
            nodes,
            store,
            clock,
            ttl,
            holder: Uuid::now_v7().to_string(),
            held: Mutex::default(),
            stirred: Notify::new(),
        }
    }

    /// How often to renew them, and to look for those that have ended.
    pub(super) fn period(&self) -> Duration {
        self.ttl / 3
    }

    pub(super) fn are_needed(&self) -> bool {
        self.nodes == Nodes::Many
    }

    /// Whether this server delivers the webhooks of a store.
    pub(super) fn holds(&self, store: Uuid) -> bool {
        !self.are_needed() || self.live(store).is_some()
    }

    fn live(&self, store: Uuid) -> Option<Held> {
        let held = self.held().get(&store).copied();
        held.filter(|held| self.clock.now_ms() < held.until_ms)
    }

    /// The same ops, refused once the lease is another's.
    pub(super) fn fenced(&self, store: Uuid, ops: Vec<Op>) -> Result<Vec<Op>, Error> {
        if !self.are_needed() {
            return Ok(ops);
        }
        // A token that was never given is none of a live lease.
        let token = self.held().get(&store).map_or(0, |held| held.token);
        let fence = Fence {
            key: key(store)?,
            token,
        };
        Ok(ops.into_iter().map(|op| op.fenced(fence.clone())).collect())
    }

    /// When a lease ends that is asked for now.
    fn end(&self) -> u64 {
        let ttl_ms = u64::try_from(self.ttl.as_millis()).unwrap_or(u64::MAX);
        self.clock.now_ms().saturating_add(ttl_ms)
    }

    /// Takes the lease of a store, if nobody has it. It counts once it is [kept](Self::keep).
    pub(super) async fn take(&self, store: Uuid) -> Result<Option<Held>, Error> {
        let until_ms = self.end();
        let lease = Op::lease(key(store)?, Some(&self.holder), self.ttl);
        match self.store.write(lease.into()).await {
            Ok(written) => Ok(held(&written, 0, until_ms)),
            Err(error) if is_taken(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Delivers the webhooks of a store from now on, whose lease was taken.
    pub(super) fn keep(&self, store: Uuid, held: Held) {
        self.held().insert(store, held);
    }

    fn renewed(&self, store: Uuid, written: &Written, index: usize, until_ms: u64) {
        if let Some(held) = held(written, index, until_ms) {
            self.keep(store, held);
        }
    }

    /// Renews all that are had; tells what was written, and which stores' were lost.
    pub(super) async fn renew(&self) -> Result<(Written, Vec<Uuid>), Error> {
        let held: Vec<(Uuid, Held)> = self.held().iter().map(|(store, held)| (*store, *held)).collect();
        let ops = held
            .iter()
            .map(|(store, held)| Ok(Op::renew(key(*store)?, held.token, self.ttl)))
            .collect::<Result<Vec<_>, Error>>()?;
        if ops.is_empty() {
            return Ok((Written::default(), Vec::new()));
        }
        let until_ms = self.end();
        match self.store.write(Batch::new(ops.iter().cloned())).await {
            Ok(written) => {
                for (index, (store, _)) in held.iter().enumerate() {
                    self.renewed(*store, &written, index, until_ms);
                }
                return Ok((written, Vec::new()));
            }
            Err(error) if is_taken(&error) => {}
            Err(error) => return Err(error),
        }
        // One that is lost refuses them all.
        let mut lost = Vec::new();
        for ((store, _), op) in held.iter().zip(ops) {
            let until_ms = self.end();
            match self.store.write(op.into()).await {
                Ok(written) => self.renewed(*store, &written, 0, until_ms),
                Err(error) if is_taken(&error) => {
                    self.lose(*store);
                    lost.push(*store);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((Written::default(), lost))
    }

    /// Forgets a lease that is another's.
    pub(super) fn lose(&self, store: Uuid) {
        self.held().remove(&store);
    }

    /// Gives back all that are had and not among these.
    pub(super) async fn release_all_but(&self, wanted: &BTreeSet<Uuid>) -> Result<(), Error> {
        let unwanted: Vec<(Uuid, u64)> = {
            let mut held = self.held();
            let unwanted = held.iter().filter(|(store, _)| !wanted.contains(store));
            let unwanted = unwanted.map(|(store, held)| (*store, held.token)).collect();
            held.retain(|store, _| wanted.contains(store));
            unwanted
        };
        let ops = unwanted
            .into_iter()
            .map(|(store, token)| Ok(Op::release(key(store)?, token)))
            .collect::<Result<Vec<_>, Error>>()?;
        if !ops.is_empty() {
            self.store.write(Batch::new(ops)).await?;
        }
        Ok(())
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<Uuid, Held>> {
        // Single inserts and removals: nothing is half done when the lock is released.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
