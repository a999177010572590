//! Where committed ops go from: to every subscription, and for a while into memory.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::model::{Event, Seq, Value};

/// The most bytes of values that are kept of past events.
const RECENT_BYTES_MAX: usize = 1 << 20;

/// What subscriptions are told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A committed op.
    Event(Arc<Event>),
    /// The ops up to here are not known one by one: the log was cut.
    Reset(Seq),
    /// Nothing follows.
    Ended,
}

/// The events of one store, in order and without gaps.
#[derive(Debug)]
pub(super) struct Hub {
    told: broadcast::Sender<Told>,
    recent: VecDeque<Arc<Event>>,
    recent_bytes: usize,
    recent_max: usize,
}

fn bytes_of(event: &Event) -> usize {
    event.value.as_ref().map_or(0, |value: &Value| value.json().len()) + event.path.as_str().len()
}

impl Hub {
    pub(super) fn new(events_max: usize) -> Self {
        let (told, _) = broadcast::channel(events_max);
        Self {
            told,
            recent: VecDeque::new(),
            recent_bytes: 0,
            recent_max: events_max,
        }
    }

    pub(super) fn event(&mut self, event: &Arc<Event>) {
        self.recent_bytes += bytes_of(event);
        self.recent.push_back(Arc::clone(event));
        while self.recent.len() > self.recent_max || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= bytes_of(&oldest);
        }
        // An error means that nobody listens.
        let _ = self.told.send(Told::Event(Arc::clone(event)));
    }

    pub(super) fn reset(&mut self, through: Seq) {
        self.recent.clear();
        self.recent_bytes = 0;
        let _ = self.told.send(Told::Reset(through));
    }

    pub(super) fn end(&mut self) {
        let _ = self.told.send(Told::Ended);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Told> {
        self.told.subscribe()
    }

    /// The events after this one; none if not all of them are kept.
    pub(super) fn after(&self, last: Seq, applied: Seq) -> Option<Vec<Arc<Event>>> {
        if last >= applied {
            return Some(Vec::new());
        }
        let first = self.recent.front()?.seq;
        let known = first.0 <= last.0 + 1;
        known.then(|| self.recent.iter().filter(|event| event.seq > last).cloned().collect())
    }
}
