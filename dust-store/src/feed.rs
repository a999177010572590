//! What has been committed, for those who follow: the head and the most recent events.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dust_layer::Error as LayerError;
use dust_transport::error::Error;
use dust_transport::model::Event;
use tokio::sync::watch;

use crate::error::of_following;
use crate::relay::Relay;

/// Followers that are further behind read the log.
const RECENT_EVENTS_MAX: usize = 4096;

/// Bytes of paths and values that the recent events hold together at most.
const RECENT_BYTES_MAX: usize = 8 << 20;

pub(crate) struct Feed {
    head: watch::Sender<u64>,
    recent: Mutex<Recent>,
    /// Looks out for what other nodes write.
    lookout: Relay,
    /// Why nothing more will come.
    failure: Mutex<Option<Arc<LayerError>>>,
}

impl std::fmt::Debug for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Feed")
            .field("head", &self.head())
            .finish_non_exhaustive()
    }
}

/// Consecutive events up to the head, or none.
#[derive(Debug, Default)]
struct Recent {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
}

impl Recent {
    fn push(&mut self, event: Arc<Event>) {
        if self.events.back().is_some_and(|last| last.seq.0 + 1 != event.seq.0) {
            *self = Self::default();
        }
        self.bytes += size(&event);
        self.events.push_back(event);
        while self.events.len() > RECENT_EVENTS_MAX || self.bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= size(&oldest);
        }
    }
}

fn size(event: &Event) -> usize {
    size_of::<Event>() + event.path.as_str().len() + event.value.as_ref().map_or(0, |value| value.json().len())
}

impl Feed {
    pub(crate) fn new(head: u64) -> Self {
        Self {
            head: watch::Sender::new(head),
            recent: Mutex::default(),
            lookout: Relay::default(),
            failure: Mutex::default(),
        }
    }

    /// The last sequence number that has been published.
    pub(crate) fn head(&self) -> u64 {
        *self.head.borrow()
    }

    /// A view of the head that tells when it moves.
    pub(crate) fn follow(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// What those who wait drive together.
    pub(crate) fn lookout(&self) -> &Relay {
        &self.lookout
    }

    /// Tells all who follow that nothing more will come.
    pub(crate) fn fail(&self, error: LayerError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(error));
        self.head.send_modify(|_| {});
    }

    /// Whether there is more to come.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.as_ref().map_or(Ok(()), |error| Err(of_following(error)))
    }

    /// Whether anyone follows, so that events are worth keeping at hand.
    pub(crate) fn is_followed(&self) -> bool {
        self.head.receiver_count() > 0
    }

    /// Publishes what has been committed: events in order, then the head that they lead to.
    pub(crate) fn publish(&self, events: impl Iterator<Item = Event>, head: u64) {
        if self.is_followed() {
            let mut recent = self.recent();
            for event in events {
                recent.push(Arc::new(event));
            }
        } else {
            *self.recent() = Recent::default();
        }
        self.advance(head);
    }

    /// Publishes that the store has come to `head`, perhaps by another hand; the events are in the log.
    pub(crate) fn advance(&self, head: u64) {
        self.head.send_if_modified(|current| {
            let moved = head > *current;
            *current = head.max(*current);
            moved
        });
    }

    /// The events after a sequence number, at most `limit`; `None` if they are not at hand.
    pub(crate) fn recent_after(&self, seq: u64, limit: usize) -> Option<Vec<Arc<Event>>> {
        let recent = self.recent();
        let oldest = recent.events.front()?.seq.0;
        let skip = usize::try_from(seq.checked_sub(oldest - 1)?).ok()?;
        Some(recent.events.iter().skip(skip).take(limit).cloned().collect())
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        // Every change of it is complete when the lock is released, whatever panicked.
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
