//! Where ops go from: to every subscription and every watch, and for a while into memory.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast;

use crate::error::Error;
use crate::model::{Event, Op, OpId, Seq, Value};

/// The most bytes of values that are kept of past events.
const RECENT_BYTES_MAX: usize = 1 << 20;

/// What subscriptions and watches are told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A committed op.
    Event(Committed),
    /// An op that is seen before it is committed.
    Local(Arc<Local>),
    /// An op that was seen before it would have been committed, and is seen no more.
    Rejected(Arc<Local>, Error),
    /// The ops up to here are not known one by one: the log was cut.
    Reset(Seq),
    /// The store is another, or was set back: its ops are counted from the first again.
    Restarted,
    /// Nothing follows.
    Ended,
}

/// A committed op, and what is known of it here.
#[derive(Debug, Clone)]
pub(super) struct Committed {
    pub(super) event: Arc<Event>,
    /// The op id under which it went over the wire.
    pub(super) op_id: Option<OpId>,
    /// The number under which it was seen before.
    pub(super) ahead: Option<u64>,
}

/// An op that is seen before it is committed.
#[derive(Debug)]
pub(super) struct Local {
    pub(super) number: u64,
    pub(super) op: Op,
    pub(super) op_id: OpId,
}

/// What is told of one store, in order; its events without gaps.
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

    pub(super) fn event(&mut self, committed: Committed) {
        self.recent_bytes += bytes_of(&committed.event);
        self.recent.push_back(Arc::clone(&committed.event));
        while self.recent.len() > self.recent_max || self.recent_bytes > RECENT_BYTES_MAX {
            let Some(oldest) = self.recent.pop_front() else { break };
            self.recent_bytes -= bytes_of(&oldest);
        }
        // An error means that nobody listens.
        let _ = self.told.send(Told::Event(committed));
    }

    pub(super) fn local(&self, number: u64, op_id: &OpId, ops: &[Op]) {
        self.seen(number, op_id, ops, Told::Local);
    }

    pub(super) fn rejected(&self, number: u64, op_id: &OpId, ops: &[Op], error: &Error) {
        self.seen(number, op_id, ops, |local| Told::Rejected(local, error.clone()));
    }

    fn seen(&self, number: u64, op_id: &OpId, ops: &[Op], told: impl Fn(Arc<Local>) -> Told) {
        if self.told.receiver_count() == 0 {
            return;
        }
        for op in ops {
            let local = Local {
                number,
                op: op.clone(),
                op_id: op_id.clone(),
            };
            let _ = self.told.send(told(Arc::new(local)));
        }
    }

    pub(super) fn reset(&mut self, through: Seq) {
        self.recent.clear();
        self.recent_bytes = 0;
        let _ = self.told.send(Told::Reset(through));
    }

    pub(super) fn restart(&mut self) {
        self.recent.clear();
        self.recent_bytes = 0;
        let _ = self.told.send(Told::Restarted);
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
