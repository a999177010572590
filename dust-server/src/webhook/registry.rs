//! All webhooks, in memory and in a store of their own.
//!
//! `system/webhooks` has a map at `hooks/<id>`, one at `progress/<id>`, and a list for each of the last deliveries at
//! `deliveries/<id>/<place>`.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use dust_store::Embedded;
use dust_transport::error::Error;
use dust_transport::model::{Batch, Op, Path, Seq, Value};
use dust_transport::transport::{Transport as _, Written};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use uuid::Uuid;

use super::address::parse;
use super::delivery::Delivery;
use super::hook::{Hook, Record};
use super::progress::Progress;
use crate::Timestamp;

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
    hooks: RwLock<BTreeMap<Uuid, Arc<Hook>>>,
    /// Held while one is made, so that no store gets too many.
    making: tokio::sync::Mutex<()>,
    /// Moves when one is made or deleted.
    changes: watch::Sender<u64>,
}

impl Registry {
    /// Reads all of them.
    pub(crate) async fn load(store: Embedded) -> Result<Self, Error> {
        let records: BTreeMap<Uuid, Record> = all(&store, "hooks").await?;
        let mut progress: BTreeMap<Uuid, Progress> = all(&store, "progress").await?;
        let mut deliveries: BTreeMap<Uuid, BTreeMap<String, Delivery>> = all(&store, "deliveries").await?;
        let hooks = records.into_iter().filter_map(|(id, record)| {
            let deliveries = deliveries.remove(&id).unwrap_or_default();
            // They are written together, so it is there.
            let progress = progress.remove(&id)?;
            let hook = Hook::new(record, progress, deliveries.into_values().collect());
            Some((id, Arc::new(hook)))
        });
        Ok(Self {
            hooks: RwLock::new(hooks.collect()),
            store,
            making: tokio::sync::Mutex::default(),
            changes: watch::Sender::new(0),
        })
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
        drop(making);
        Ok(hook)
    }

    /// Deletes a webhook: nothing more is sent to it.
    pub(crate) async fn delete(&self, hook: &Hook) -> Result<(), Error> {
        hook.delete();
        let saving = hook.saving.lock().await;
        let id = hook.record.id.to_string();
        let paths = ["hooks", "progress", "deliveries"].map(|kind| Path::new([kind, id.as_str()]));
        let ops = paths.into_iter().map(|path| path.map(Op::delete));
        self.store
            .write(Batch::new(ops.collect::<Result<Vec<_>, _>>()?))
            .await?;
        self.change(|hooks| hooks.remove(&hook.record.id));
        drop(saving);
        Ok(())
    }

    /// Stores where a webhook is, and the deliveries that are not stored yet.
    pub(crate) async fn save(&self, hook: &Hook) -> Result<(), Error> {
        let saving = hook.saving.lock().await;
        if hook.is_deleted() {
            return Ok(());
        }
        let id = hook.record.id.to_string();
        let (progress, deliveries) = hook.take_unsaved();
        let mut ops = vec![set(&["progress", &id], &progress)?];
        for (place, delivery) in deliveries {
            ops.push(set(&["deliveries", &id, &format!("{place:02}")], &delivery)?);
        }
        let written = self.store.write(Batch::new(ops)).await?;
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

    /// Takes up a webhook again after an answered ping.
    pub(crate) async fn reactivate(&self, hook: &Hook) -> Result<(), Error> {
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
