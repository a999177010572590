//! One webhook.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use super::delivery::{Deliveries, Delivery};
use super::progress::Progress;
use super::sender::Attempt;
use crate::Timestamp;
use crate::config::Backoff;

/// What a secret begins with.
const SECRET_PREFIX: &str = "whsec_";

/// What a webhook is. The secret is kept as it is: signatures need it.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    /// The store.
    pub(crate) store: Uuid,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) inserted_at: Timestamp,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address, too, may have a secret of its receiver's in it.
        f.debug_struct("Record")
            .field("id", &self.id)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// A new webhook with a secret; `None` if the system gives no random bytes.
    pub(super) fn new(store: Uuid, url: String, now: Timestamp) -> Option<Self> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).ok()?;
        Some(Self {
            id: Uuid::now_v7(),
            store,
            url,
            secret: format!("{SECRET_PREFIX}{}", super::sender::hex(&bytes)),
            inserted_at: now,
        })
    }
}

/// A webhook at work.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) record: Record,
    state: Mutex<State>,
    /// Held by whoever stores or deletes it, so that nothing is stored of what has been deleted.
    pub(super) saving: tokio::sync::Mutex<()>,
    deleted: watch::Sender<bool>,
    /// A ping has been answered.
    woken: Notify,
}

#[derive(Debug)]
struct State {
    progress: Progress,
    deliveries: Deliveries,
}

/// What is told of a webhook.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Status {
    pub(crate) active: bool,
    pub(crate) last_delivered_seq: u64,
    pub(crate) failure_count: u32,
}

impl Hook {
    pub(super) fn new(record: Record, progress: Progress, deliveries: Vec<Delivery>) -> Self {
        let deliveries = Deliveries::restored(deliveries, progress.delivery_count);
        Self {
            record,
            state: Mutex::new(State { progress, deliveries }),
            saving: tokio::sync::Mutex::default(),
            deleted: watch::Sender::new(false),
            woken: Notify::new(),
        }
    }

    /// Takes over what another server has stored.
    pub(super) fn restore(&self, progress: Progress, deliveries: Vec<Delivery>) {
        let deliveries = Deliveries::restored(deliveries, progress.delivery_count);
        *self.state() = State { progress, deliveries };
    }

    pub(crate) fn status(&self) -> Status {
        let progress = &self.state().progress;
        Status {
            active: progress.active,
            last_delivered_seq: progress.delivered_seq,
            failure_count: progress.failure_count,
        }
    }

    /// The last deliveries, the newest first.
    pub(crate) fn deliveries(&self, limit: usize, now: Timestamp) -> Vec<Delivery> {
        self.state().deliveries.newest(limit, now)
    }

    /// Takes note of an attempt to send the op.
    pub(super) fn note(&self, seq: u64, attempt: &Attempt, now: Timestamp, backoff: &Backoff) {
        let delivery = Delivery {
            id: Uuid::now_v7(),
            store_seq: seq,
            status_code: attempt.status_code,
            response_ms: attempt.response_ms,
            error: attempt.error.clone(),
            attempted_at: now,
        };
        let mut state = self.state();
        state.deliveries.push(delivery);
        state.progress.delivery_count = state.deliveries.count();
        if attempt.is_ok() {
            state.progress.delivered(seq);
        } else {
            state.progress.failed(now, backoff);
        }
    }

    /// Goes on after a gap in the log.
    pub(super) fn skip_to(&self, seq: u64) {
        self.state().progress.delivered(seq);
    }

    pub(super) fn answered_ping(&self) {
        self.state().progress.answered_ping();
        self.woken.notify_one();
    }

    pub(super) fn unsaved(&self) -> u64 {
        self.state().deliveries.unsaved()
    }

    /// What is to be stored: where it is, and the deliveries that are not stored yet.
    pub(super) fn take_unsaved(&self) -> (Progress, Vec<(u64, Delivery)>) {
        let mut state = self.state();
        (state.progress.clone(), state.deliveries.take_unsaved())
    }

    pub(super) fn delivered_seq(&self) -> u64 {
        self.state().progress.delivered_seq
    }

    pub(super) fn delete(&self) {
        self.deleted.send_replace(true);
    }

    pub(super) fn is_deleted(&self) -> bool {
        *self.deleted.borrow()
    }

    /// Ends when it is deleted.
    pub(super) async fn until_deleted(&self) {
        // The sender is a field, so this waits for the value.
        let _ = self.deleted.subscribe().wait_for(|deleted| *deleted).await;
    }

    /// Ends when the next op may be sent.
    pub(super) async fn until_due(&self, now: impl Fn() -> Timestamp, backoff: &Backoff) {
        loop {
            let wait = self.state().progress.wait(now(), backoff);
            match wait {
                Some(Duration::ZERO) => return,
                // By the time of the process: the wall clock counts across restarts only.
                Some(wait) => {
                    if tokio::time::timeout(wait, self.woken.notified()).await.is_err() {
                        return;
                    }
                }
                None => self.woken.notified().await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change is of numbers and lists that stay whole, whatever panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
