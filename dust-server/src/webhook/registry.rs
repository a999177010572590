//! All webhooks, in memory and in a store of their own.
//!
//! `system/webhooks` has a map at `hooks/<id>`, one at `progress/<id>`, and a list for each of the last deliveries at
//! `deliveries/<id>/<place>`. `pings/<id>` says that a ping has been answered to a server that does not deliver the
//! webhook, and `leases/<store>` who delivers those of a store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use dust_store::{Clock, Embedded};
use dust_transport::error::Error;
use dust_transport::model::{Batch, Op, Path, Seq, Value};
use dust_transport::transport::{Transport as _, Written};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use uuid::Uuid;

use super::address::parse;
use super::delivery::Delivery;
use super::follow::follow;
use super::hook::{Hook, Record};
use super::lease::{Leases, Nodes, is_taken};
use super::progress::Progress;
use crate::Timestamp;
use crate::control::Following;

/// The store of the webhooks.
pub(crate) const WEBHOOK_STORE: &str = "system/webhooks";

/// The most webhooks of a store: each may hold a connection and a piece of the log.
const HOOKS_MAX: usize = 100;

/// How many ops the log of the webhooks' own store keeps, about.
const LOG_OPS: u64 = 1024;

/// Why there is no new webhook.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WebhookError {
    /// The address is not `http://…` or `https://…` with a host.
    #[error("the address is none of a receiver")]
    InvalidUrl,
    /// The store has as many as it may have.
    #[error("the store has {HOOKS_MAX} webhooks")]
    TooMany,
    /// The operating system gave no random bytes for a secret.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The webhooks could not be read or written.
    #[error("the store of the webhooks failed")]
    Store(#[from] Error),
}

/// The webhooks of all stores.
#[derive(Debug)]
pub(crate) struct Registry {
    store: Embedded,
    leases: Leases,
    hooks: RwLock<BTreeMap<Uuid, Arc<Hook>>>,
    /// Held while one is made, so that no store gets too many.
    making: tokio::sync::Mutex<()>,
    /// Moves when one is made or deleted, or is this server's to deliver or no longer.
    changes: watch::Sender<u64>,
}

impl Registry {
    /// Reads all of them, and follows what other servers change as long as the second part is kept.
    pub(crate) async fn load(
        store: Embedded,
        nodes: Nodes,
        lease: Duration,
        clock: Clock,
    ) -> Result<(Arc<Self>, Option<Following>), Error> {
        let seq = store.head().await?;
        let registry = Arc::new(Self {
            hooks: RwLock::default(),
            leases: Leases::new(store.clone(), nodes, lease, clock),
            store,
            making: tokio::sync::Mutex::default(),
            changes: watch::Sender::new(0),
        });
        registry.reload().await?;
        let following = match nodes {
            Nodes::One => None,
            Nodes::Many => Some(follow(&registry, seq).await?),
        };
        Ok((registry, following))
    }

    /// Reads all of them anew; those that are known stay as they are.
    pub(super) async fn reload(&self) -> Result<(), Error> {
        let making = self.making.lock().await;
        let records: BTreeMap<Uuid, Record> = all(&self.store, "hooks").await?;
        let mut progress: BTreeMap<Uuid, Progress> = all(&self.store, "progress").await?;
        let mut deliveries: BTreeMap<Uuid, BTreeMap<String, Delivery>> = all(&self.store, "deliveries").await?;
        let mut known = self.hooks.read().unwrap_or_else(PoisonError::into_inner).clone();
        let hooks = records.into_iter().filter_map(|(id, record)| {
            let deliveries = deliveries.remove(&id).unwrap_or_default();
            // They are written together, so it is there.
            let progress = progress.remove(&id)?;
            let hook = known.remove(&id);
            let new = || Arc::new(Hook::new(record, progress, deliveries.into_values().collect()));
            Some((id, hook.unwrap_or_else(new)))
        });
        let hooks: BTreeMap<_, _> = hooks.collect();
        self.change(|all| *all = hooks);
        for hook in known.into_values() {
            hook.delete();
        }
        self.leases.stirred.notify_one();
        drop(making);
        for hook in self.all() {
            self.take_ping(hook.record.id).await?;
        }
        Ok(())
    }

    pub(super) fn store(&self) -> &Embedded {
        &self.store
    }

    pub(super) fn leases(&self) -> &Leases {
        &self.leases
    }

    /// Reads anew whether there is a webhook, which another server has made or deleted.
    pub(super) async fn reload_hook(&self, id: Uuid) -> Result<(), Error> {
        let making = self.making.lock().await;
        let record: Option<Record> = self.one("hooks", id).await?;
        let known = self.all().into_iter().find(|hook| hook.record.id == id);
        match (record, known) {
            (Some(record), None) => {
                if let Some(progress) = self.one("progress", id).await? {
                    let hook = Arc::new(Hook::new(record, progress, Vec::new()));
                    self.change(|hooks| hooks.insert(id, hook));
                    self.leases.stirred.notify_one();
                }
            }
            (None, Some(hook)) => {
                hook.delete();
                let saving = hook.saving.lock().await;
                // What was stored here just before it was deleted there.
                self.erase(id).await?;
                self.change(|hooks| hooks.remove(&id));
                drop(saving);
            }
            _ => {}
        }
        drop(making);
        Ok(())
    }

    async fn one<T: DeserializeOwned>(&self, kind: &str, id: Uuid) -> Result<Option<T>, Error> {
        let entry = self.store.get(&Path::new([kind, &id.to_string()])?).await?;
        entry.map(|entry| entry.value.to()).transpose().map_err(Error::from)
    }

    /// Reads where a webhook is that another server delivers.
    pub(crate) async fn refresh(&self, hook: &Hook) -> Result<(), Error> {
        if self.leases.holds(hook.record.store) {
            return Ok(());
        }
        self.restore(hook).await
    }

    async fn restore(&self, hook: &Hook) -> Result<(), Error> {
        let id = hook.record.id;
        let deliveries: Option<BTreeMap<String, Delivery>> = self.one("deliveries", id).await?;
        if let Some(progress) = self.one("progress", id).await? {
            hook.restore(progress, deliveries.unwrap_or_default().into_values().collect());
        }
        Ok(())
    }

    /// Renews the leases that this server has, and takes those of other stores with webhooks that nobody has. To be called
    /// again after each [period](Leases::period), and when something stirs.
    pub(super) async fn hold(&self) -> Result<(), Error> {
        if !self.leases.are_needed() {
            return Ok(());
        }
        let stores: BTreeSet<Uuid> = self.all().iter().map(|hook| hook.record.store).collect();
        self.leases.release_all_but(&stores).await?;
        let (written, lost) = self.leases.renew().await?;
        self.compact(&written).await?;
        let mut changed = !lost.is_empty();
        for store in stores.into_iter().filter(|store| !lost.contains(store)) {
            if self.leases.holds(store) {
                continue;
            }
            let Some(taken) = self.leases.take(store).await? else {
                continue;
            };
            // Nobody else writes them any more, and nothing is sent from here before they are read.
            for hook in self.of_store(store) {
                self.restore(&hook).await?;
            }
            self.leases.keep(store, taken);
            for hook in self.of_store(store) {
                self.take_ping(hook.record.id).await?;
            }
            changed = true;
        }
        if changed {
            self.changes.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    /// Whether this server delivers a webhook.
    pub(super) fn is_ours(&self, hook: &Hook) -> bool {
        self.leases.holds(hook.record.store)
    }

    /// Gives the leases back: this server delivers no more.
    pub(super) async fn let_go(&self) -> Result<(), Error> {
        self.leases.release_all_but(&BTreeSet::new()).await
    }

    /// Takes up a webhook again after a ping that was answered to another server.
    pub(super) async fn take_ping(&self, id: Uuid) -> Result<(), Error> {
        let Some(hook) = self.all().into_iter().find(|hook| hook.record.id == id) else {
            return Ok(());
        };
        let ping = Path::new(["pings", &id.to_string()])?;
        if self.is_ours(&hook) && self.store.exists(&ping).await? {
            hook.answered_ping();
            self.write(&hook, vec![Op::delete(ping)]).await?;
        }
        Ok(())
    }

    /// Makes a webhook that gets what its store commits after a sequence number.
    pub(crate) async fn create(
        &self,
        store: Uuid,
        url: &str,
        after: u64,
        now: Timestamp,
    ) -> Result<Arc<Hook>, WebhookError> {
        if parse(url).is_none() {
            return Err(WebhookError::InvalidUrl);
        }
        let making = self.making.lock().await;
        if self.of_store(store).len() >= HOOKS_MAX {
            return Err(WebhookError::TooMany);
        }
        let record = Record::new(store, url.to_owned(), now).ok_or(WebhookError::NoRandomness)?;
        let progress = Progress::after(after);
        let id = record.id;
        let ops = [
            set(&["hooks", &id.to_string()], &record)?,
            set(&["progress", &id.to_string()], &progress)?,
        ];
        self.store.write(Batch::new(ops)).await?;
        let hook = Arc::new(Hook::new(record, progress, Vec::new()));
        self.change(|hooks| hooks.insert(id, Arc::clone(&hook)));
        self.leases.stirred.notify_one();
        drop(making);
        Ok(hook)
    }

    /// Deletes a webhook: nothing more is sent to it.
    pub(crate) async fn delete(&self, hook: &Hook) -> Result<(), Error> {
        hook.delete();
        let saving = hook.saving.lock().await;
        self.erase(hook.record.id).await?;
        self.change(|hooks| hooks.remove(&hook.record.id));
        drop(saving);
        Ok(())
    }

    async fn erase(&self, id: Uuid) -> Result<(), Error> {
        let id = id.to_string();
        let paths = ["hooks", "progress", "deliveries", "pings"].map(|kind| Path::new([kind, id.as_str()]));
        let ops = paths.into_iter().map(|path| path.map(Op::delete));
        self.store
            .write(Batch::new(ops.collect::<Result<Vec<_>, _>>()?))
            .await?;
        Ok(())
    }

    /// Stores where a webhook is, and the deliveries that are not stored yet; nothing if another server has taken it over.
    pub(crate) async fn save(&self, hook: &Hook) -> Result<(), Error> {
        self.write(hook, Vec::new()).await
    }

    async fn write(&self, hook: &Hook, mut ops: Vec<Op>) -> Result<(), Error> {
        let saving = hook.saving.lock().await;
        if hook.is_deleted() {
            return Ok(());
        }
        let (id, store) = (hook.record.id.to_string(), hook.record.store);
        let (progress, deliveries) = hook.take_unsaved();
        ops.push(set(&["progress", &id], &progress)?);
        for (place, delivery) in deliveries {
            ops.push(set(&["deliveries", &id, &format!("{place:02}")], &delivery)?);
        }
        let written = self.store.write(Batch::new(self.leases.fenced(store, ops)?)).await;
        let written = match written {
            Err(error) if self.leases.are_needed() && is_taken(&error) => {
                tracing::warn!(%id, "another server has taken the webhook over");
                self.leases.lose(store);
                self.changes.send_modify(|count| *count += 1);
                return Ok(());
            }
            written => written?,
        };
        drop(saving);
        self.compact(&written).await
    }

    /// Keeps the log of the webhooks' own store short: nobody reads it.
    async fn compact(&self, written: &Written) -> Result<(), Error> {
        let (Some(first), Some(last)) = (written.seqs.first(), written.seqs.last()) else {
            return Ok(());
        };
        if first.0 / LOG_OPS != last.0.saturating_add(1) / LOG_OPS {
            self.store.compact(Seq(last.0.saturating_sub(LOG_OPS))).await?;
        }
        Ok(())
    }

    /// Takes up a webhook again after an answered ping, here or where it is delivered.
    pub(crate) async fn reactivate(&self, hook: &Hook) -> Result<(), Error> {
        if !self.is_ours(hook) {
            let ping = Path::new(["pings", &hook.record.id.to_string()])?;
            self.store.write(Op::set(ping, true).into()).await?;
            return Ok(());
        }
        hook.answered_ping();
        self.save(hook).await
    }

    /// The webhooks of a store, the oldest first.
    pub(crate) fn of_store(&self, store: Uuid) -> Vec<Arc<Hook>> {
        let mut hooks = self.all();
        hooks.retain(|hook| hook.record.store == store);
        hooks
    }

    /// The webhook of a store with this id.
    pub(crate) fn find(&self, store: Uuid, id: Uuid) -> Option<Arc<Hook>> {
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
        hooks.get(&id).filter(|hook| hook.record.store == store).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Hook>> {
        let hooks = self.hooks.read().unwrap_or_else(PoisonError::into_inner);
        hooks.values().cloned().collect()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<Uuid, Arc<Hook>>) -> T) {
        // Single inserts and removals: nothing is half done when the lock is released.
        change(&mut self.hooks.write().unwrap_or_else(PoisonError::into_inner));
        self.changes.send_modify(|count| *count += 1);
    }
}

fn set<T: Serialize>(path: &[&str], record: &T) -> Result<Op, Error> {
    Ok(Op::set(Path::new(path)?, Value::from_serialize(record)?))
}

/// All records of a kind.
async fn all<T: DeserializeOwned>(store: &Embedded, kind: &str) -> Result<BTreeMap<Uuid, T>, Error> {
    match store.get(&Path::parse(kind)?).await? {
        Some(entry) => Ok(entry.value.to()?),
        None => Ok(BTreeMap::new()),
    }
}
