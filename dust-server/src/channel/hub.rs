//! What is committed to one store, for all sockets that have joined it.
//!
//! A store is followed once, however many have joined it. What it commits goes to a ring of the most recent events; each
//! socket takes from it what follows its own cursor, at its own pace. Whoever falls behind the ring is too slow. So nobody
//! waits for anybody, and what is held for slow sockets is bounded by store and not by socket.

use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use dust_store::Embedded;
use dust_transport::error::Error;
use dust_transport::model::{Event, Pattern, Seq};
use dust_transport::transport::{EventStream, Signal, Subscribe, Transport as _};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::published::{Published, Topics};
use crate::ChannelOptions;
use crate::control::Store;

/// The most events that are put into the ring at once.
const EVENTS_AT_ONCE: usize = 256;

/// The hubs of the stores that somebody has joined.
#[derive(Debug, Default)]
pub(super) struct Hubs {
    by_store: Mutex<HashMap<Uuid, Weak<Hub>>>,
}

impl Hubs {
    /// Takes part in the hub of a store, which follows the store from now on at the latest.
    pub(super) fn join(&self, store: &Store, data: &Embedded, config: &ChannelOptions) -> Member {
        // Inserts and removals: nothing is half done when the lock is released.
        let mut hubs = self.by_store.lock().unwrap_or_else(PoisonError::into_inner);
        let found = hubs.get(&store.id).and_then(Weak::upgrade);
        // One that has ended is left by who is still in it.
        if let Some(hub) = found.filter(|hub| !hub.ring().has_ended) {
            return Member::new(hub);
        }
        hubs.retain(|_, hub| hub.strong_count() > 0);
        let hub = Hub::start(store, data, config);
        hubs.insert(store.id, Arc::downgrade(&hub));
        Member::new(hub)
    }
}

/// The recent events of a store.
#[derive(Debug)]
pub(super) struct Hub {
    pub(super) topics: Topics,
    ring: Mutex<Ring>,
    /// Set as soon as the hub is there, which the pump needs.
    pump: OnceLock<AbortHandle>,
}

#[derive(Debug)]
struct Ring {
    /// The sequence number before the first event of the ring; `None` before the store is followed.
    base: Option<u64>,
    events: VecDeque<Arc<Published>>,
    bytes: usize,
    events_max: usize,
    bytes_max: usize,
    /// Nothing more will come.
    has_ended: bool,
    /// The wakers of the members who wait, by their slots.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

/// What the ring has for a cursor.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// At least one event, which were added to the list.
    Events,
    /// Nothing yet; the task is woken when there is.
    Waiting,
    /// What follows the cursor is no longer there.
    Missed,
    /// Nothing more will come.
    Ended,
}

impl Hub {
    fn start(store: &Store, data: &Embedded, config: &ChannelOptions) -> Arc<Self> {
        let ring = Ring {
            base: None,
            events: VecDeque::new(),
            bytes: 0,
            events_max: config.queue_events_max.max(1),
            bytes_max: config.queue_bytes_max,
            has_ended: false,
            wakers: Vec::new(),
            free: Vec::new(),
        };
        let hub = Arc::new(Self {
            topics: Topics {
                name: format!("store:{}", store.full_name()),
                id: format!("store:{}", store.id),
            },
            ring: Mutex::new(ring),
            pump: OnceLock::new(),
        });
        let pump = tokio::spawn(pump(Arc::downgrade(&hub), data.clone()));
        hub.pump.get_or_init(|| pump.abort_handle());
        hub
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Every change of it is complete when the lock is released, whatever panicked.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the ring, and wakes who waits for that.
    fn change(&self, change: impl FnOnce(&mut Ring)) {
        let mut ring = self.ring();
        change(&mut ring);
        let wakers: Vec<Waker> = ring.wakers.iter_mut().filter_map(Option::take).collect();
        drop(ring);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        if let Some(pump) = self.pump.get() {
            pump.abort();
        }
    }
}

impl Ring {
    fn push(&mut self, event: Arc<Published>) {
        let follows = self.base.map(|base| base + self.events.len() as u64 + 1) == Some(event.seq());
        if !follows {
            // The store tells every op once and in order. If it did not, who has joined has to begin anew.
            self.has_ended = true;
            return;
        }
        self.bytes += event.bytes();
        self.events.push_back(event);
        while let Some(oldest) = self.events.front() {
            let bytes_after = self.bytes - oldest.bytes();
            // The oldest goes when what is newer fills the ring by itself: a large event is not lost to the small ones that
            // were committed with it, before anybody had the time to take it.
            if self.events.len() <= self.events_max && bytes_after <= self.bytes_max {
                break;
            }
            self.base = Some(oldest.seq());
            self.bytes = bytes_after;
            self.events.pop_front();
        }
    }
}

/// Fills the ring from the store until the hub is gone.
async fn pump(hub: Weak<Hub>, data: Embedded) {
    let ended = match Pattern::parse("**") {
        Ok(all) => follow(&hub, &data, Subscribe::pattern(all)).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = ended {
        tracing::error!(store = %data.store_name(), code = error.code(), detail = error.detail(), "a store is no longer followed");
    }
    if let Some(hub) = hub.upgrade() {
        hub.change(|ring| ring.has_ended = true);
    }
}

async fn follow(hub: &Weak<Hub>, data: &Embedded, all: Subscribe) -> Result<(), Error> {
    let mut signals = data.subscribe(all).await?;
    loop {
        let (events, base) = next(&mut signals).await?;
        let Some(hub) = hub.upgrade() else { return Ok(()) };
        hub.change(|ring| {
            if let Some(Seq(base)) = base {
                ring.base.get_or_insert(base);
            }
            for event in events {
                ring.push(Arc::new(Published::new(event)));
            }
        });
    }
}

/// The next events, as many as are at hand; and where the store was when it began to be followed.
async fn next(signals: &mut EventStream) -> Result<(Vec<Arc<Event>>, Option<Seq>), Error> {
    let (mut events, mut base) = (Vec::new(), None);
    poll_fn(|cx| {
        while events.len() < EVENTS_AT_ONCE {
            match signals.as_mut().poll_next(cx) {
                Poll::Ready(Some(Ok(Signal::Event(event)))) => events.push(event),
                Poll::Ready(Some(Ok(Signal::CaughtUp { through }))) => base = Some(through),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                // The stream of a store that is followed from its head has nothing else to say, and no end.
                Poll::Ready(_) => {
                    return Poll::Ready(Err(Error::new(
                        dust_transport::error::ErrorKind::Closed,
                        "closed",
                        "the subscription ended",
                    )));
                }
                Poll::Pending if events.is_empty() && base.is_none() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Ok(()))
    })
    .await?;
    Ok((events, base))
}

/// One who has joined.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) hub: Arc<Hub>,
    slot: usize,
}

impl Member {
    fn new(hub: Arc<Hub>) -> Self {
        let mut ring = hub.ring();
        let slot = ring.free.pop().unwrap_or_else(|| {
            ring.wakers.push(None);
            ring.wakers.len() - 1
        });
        drop(ring);
        Self { hub, slot }
    }

    /// Takes the events after a sequence number, at most `limit`.
    pub(super) fn poll_take(
        &self,
        after: u64,
        limit: usize,
        events: &mut Vec<Arc<Published>>,
        cx: &Context<'_>,
    ) -> Taken {
        let mut ring = self.hub.ring();
        if let Some(base) = ring.base {
            let Some(skipped) = after.checked_sub(base).and_then(|ahead| usize::try_from(ahead).ok()) else {
                return Taken::Missed;
            };
            let before = events.len();
            events.extend(ring.events.iter().skip(skipped).take(limit).cloned());
            if events.len() > before {
                return Taken::Events;
            }
        }
        if ring.has_ended {
            return Taken::Ended;
        }
        self.wait(&mut ring, cx)
    }

    /// Whether the ring has all that follows a sequence number; `Waiting` as long as the store is not followed.
    pub(super) fn poll_covers(&self, after: u64, cx: &Context<'_>) -> Taken {
        let mut ring = self.hub.ring();
        match ring.base {
            Some(base) if after < base => Taken::Missed,
            Some(_) => Taken::Events,
            None if ring.has_ended => Taken::Ended,
            None => self.wait(&mut ring, cx),
        }
    }

    /// `Missed` once the ring has no longer all that follows a sequence number; the task is woken when the ring changes.
    pub(super) fn poll_lag(&self, after: u64, cx: &Context<'_>) -> Taken {
        let mut ring = self.hub.ring();
        match ring.base {
            Some(base) if after < base => Taken::Missed,
            _ => self.wait(&mut ring, cx),
        }
    }

    fn wait(&self, ring: &mut Ring, cx: &Context<'_>) -> Taken {
        if let Some(waker) = ring.wakers.get_mut(self.slot) {
            *waker = Some(cx.waker().clone());
        }
        Taken::Waiting
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut ring = self.hub.ring();
        if let Some(waker) = ring.wakers.get_mut(self.slot) {
            *waker = None;
        }
        ring.free.push(self.slot);
    }
}
