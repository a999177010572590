//! Streams of committed ops, pulled by their readers.
//!
//! A subscriber is a cursor. It takes what follows it from the recent events if they reach back far enough and else from
//! the log, and sleeps until the head moves. A writer does not know how many there are or how slow they are.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use dust_layer::{Engine, Error as LayerError, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{DeviceId, Event, OpId, OpKind, Path, Seq, Value};
use dust_transport::transport::{EventStream, Interest, Signal, Start, Subscribe};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use tokio::sync::watch;

use crate::codec::{Head, Record};
use crate::draft::read;
use crate::error::{Refusal, corrupt, of_read};
use crate::page;
use crate::store::{Store, decode_head, stored_value};

/// The most events taken from the recent ones at once.
const RECENT_EVENTS: usize = 256;

#[derive(Debug)]
struct Cursor<E: Engine> {
    store: Arc<Store<E>>,
    head: watch::Receiver<u64>,
    interest: Interest,
    /// The last sequence number that has been looked at.
    seq: u64,
    /// Where the past ends; `None` once that has been said.
    past_end: Option<u64>,
    page_records: usize,
    ready: VecDeque<Signal>,
}

impl<E: Engine> Store<E> {
    /// Opens a subscription.
    pub(crate) async fn subscribe(self: &Arc<Self>, subscribe: Subscribe) -> Result<EventStream, Error> {
        // From here on nothing is missed: what is committed later moves the head that is followed.
        let follow = self.feed.follow();
        let head = self.head().await?.0.max(self.feed.head());
        self.feed.advance(head);
        let seq = match subscribe.start {
            Start::Now => head,
            Start::After(Seq(seq)) if seq <= head => seq,
            Start::After(seq) => {
                let detail = format!("the subscription is to start after {seq}, but the store is at {head} only");
                return Err(Refusal::invalid("invalid_params", detail).into_error());
            }
        };
        let cursor = Cursor {
            store: Arc::clone(self),
            head: follow,
            interest: subscribe.interest,
            seq,
            past_end: Some(head),
            page_records: 64,
            ready: VecDeque::new(),
        };
        Ok(Box::pin(Subscription::Idle(Box::new(cursor))))
    }

    /// Waits until the stored head is beyond a sequence number, and publishes it; this is how what other nodes write gets
    /// here. The subscribers that wait drive it together.
    ///
    /// It lies in the store itself, so it holds the store only while it runs, never while it waits. What a cluster refuses or
    /// does not answer in time is asked again: a failure is for good, and would silence the store on this node.
    async fn look_out(weak: Weak<Self>, seq: u64) {
        let mut attempt = 1;
        while let Err(error) = Self::try_look_out(&weak, seq).await {
            let Some(store) = weak.upgrade() else { return };
            if !error.is_retryable() && !matches!(error, LayerError::Cluster { .. }) {
                return store.feed.fail(error);
            }
            tracing::warn!(%error, "what other nodes write is looked for again");
            let engine = store.engine.clone();
            drop(store);
            engine.pause(attempt).await;
            attempt = attempt.saturating_add(1);
        }
    }

    async fn try_look_out(weak: &Weak<Self>, seq: u64) -> Result<(), LayerError> {
        let Some(store) = weak.upgrade() else { return Ok(()) };
        let transaction = store.engine.begin();
        let (stored, watch) = (
            store.seen_head(&transaction).await?,
            transaction.watch(store.keys.head()),
        );
        transaction.commit().await?;
        drop((transaction, store));
        if stored <= seq {
            watch.await?;
        }
        // If it was this node, its group publishes the events itself, so that they are at hand.
        let Some(idle) = weak.upgrade().map(|store| store.sequencer.idle()) else {
            return Ok(());
        };
        idle.await;
        if let Some(store) = weak.upgrade() {
            let head = store.seen_head(&store.engine.begin()).await?;
            store.feed.advance(head);
        }
        Ok(())
    }

    /// The stored head; 0 if it cannot be read as one, which those find out who need it.
    async fn seen_head(&self, transaction: &E::Transaction) -> Result<u64, LayerError> {
        let stored = transaction.get(self.keys.head(), Isolation::Snapshot).await?;
        Ok(stored
            .as_deref()
            .map(Head::decode)
            .and_then(Result::ok)
            .unwrap_or_default()
            .seq)
    }

    /// The committed ops after a sequence number, in order, at most `limit`.
    pub(crate) async fn events(&self, after: u64, limit: usize) -> Result<Vec<Arc<Event>>, Error> {
        let range = self.keys.records_after(after);
        let transaction = self.engine.begin();
        let page = transaction
            .get_range(read(&range.start, &range.end, limit))
            .await
            .map_err(of_read)?;
        let mut events = Vec::with_capacity(page.len());
        for (expected, (key, value)) in (after + 1..).zip(&page) {
            if self.keys.seq_of(key) != Some(expected) {
                return Err(self.gap(&transaction, expected).await);
            }
            events.push(Arc::new(event(expected, value)?));
        }
        if events.is_empty() && limit > 0 {
            // Nothing follows, or nothing is there because the log has been compacted to its very end.
            let head = transaction
                .get(self.keys.head(), Isolation::Snapshot)
                .await
                .map_err(of_read)?;
            if decode_head(head.as_deref())?.compacted > after {
                return Err(self.gap(&transaction, after + 1).await);
            }
        }
        Ok(events)
    }

    /// Why an op is not in the log.
    pub(crate) async fn gap(&self, transaction: &E::Transaction, missing: u64) -> Error {
        let stored = transaction.get(self.keys.head(), Isolation::Snapshot).await;
        match stored
            .map_err(of_read)
            .and_then(|stored| decode_head(stored.as_deref()))
        {
            Ok(head) if head.compacted >= missing => Refusal::compacted(head.compacted).into_error(),
            Ok(_) => corrupt(format!("the op {missing} is missing in the log")),
            Err(error) => error,
        }
    }
}

/// The value that an event tells, and the one that was written where that is another.
pub(crate) fn told(kind: OpKind, value: Option<Value>) -> (Option<Value>, Option<Value>) {
    match (kind, value) {
        (OpKind::Set | OpKind::Merge, Some(value)) => {
            let (told, written) = value.into_told();
            (Some(told), written)
        }
        (_, value) => (value, None),
    }
}

/// The event of a stored op.
pub(crate) fn event(seq: u64, bytes: &[u8]) -> Result<Event, Error> {
    let record =
        Record::decode(bytes).map_err(|error| corrupt(format!("the op {seq} does not decode")).with_source(error))?;
    let of_id = |error| corrupt(format!("the op {seq} has no valid id")).with_source(error);
    let value = record.value.map(stored_value).transpose()?;
    let (value, written) = told(record.kind, value);
    Ok(Event {
        seq: Seq(seq),
        kind: record.kind,
        path: Path::parse(record.path)
            .map_err(|error| corrupt(format!("the op {seq} has no valid path")).with_source(error))?,
        value,
        written,
        device: DeviceId::new(record.device).map_err(of_id)?,
        op_id: record.op_id.map(OpId::new).transpose().map_err(of_id)?,
    })
}

impl<E: Engine> Cursor<E> {
    /// Waits until there is something to say, and puts it into `ready`.
    async fn fill(&mut self) -> Result<(), Error> {
        loop {
            self.say_caught_up();
            if !self.ready.is_empty() {
                return Ok(());
            }
            let head = *self.head.borrow_and_update();
            if head > self.seq {
                for event in self.next_events().await? {
                    self.look_at(event);
                }
            } else {
                self.wait().await?;
            }
        }
    }

    /// Sleeps until the head moves, by this node or another.
    async fn wait(&mut self) -> Result<(), Error> {
        let (store, seq) = (&self.store, self.seq);
        let waiter = store.feed.lookout().join();
        let mut moved = pin!(self.head.changed());
        poll_fn(|cx| {
            // The sender lives as long as the store, which the cursor holds.
            if moved.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            waiter.poll(cx, || Some(Box::pin(Store::look_out(Arc::downgrade(store), seq))))
        })
        .await;
        store.feed.check()
    }

    fn look_at(&mut self, event: Arc<Event>) {
        self.say_caught_up();
        self.seq = event.seq.0;
        if self.interest.covers(&event.path) {
            self.ready.push_back(Signal::Event(event));
        }
    }

    /// Goes on after the head, since the ops before it are no longer all there.
    async fn start_anew(&mut self) -> Result<(), Error> {
        self.seq = self.store.head().await?.0;
        let through = Seq(self.seq);
        self.ready.push_back(Signal::Resync { through });
        self.say_caught_up();
        Ok(())
    }

    fn say_caught_up(&mut self) {
        if let Some(through) = self.past_end.take_if(|end| *end <= self.seq) {
            self.ready.push_back(Signal::CaughtUp { through: Seq(through) });
        }
    }

    async fn next_events(&mut self) -> Result<Vec<Arc<Event>>, Error> {
        if let Some(events) = self
            .store
            .feed
            .recent_after(self.seq, RECENT_EVENTS)
            .filter(|events| !events.is_empty())
        {
            return Ok(events);
        }
        let events = match self.store.events(self.seq, self.page_records).await {
            Err(error) if error.code() == "compacted" => {
                self.start_anew().await?;
                return Ok(Vec::new());
            }
            events => events?,
        };
        if events.is_empty() {
            return Err(corrupt(format!("the log ends at {} before the head", self.seq)));
        }
        let bytes: usize = events
            .iter()
            .filter_map(|event| event.value.as_ref())
            .map(|value| value.json().len() + 64)
            .sum();
        self.page_records = page::fitting(events.len(), bytes);
        Ok(events)
    }
}

type Filling<E> = BoxFuture<'static, Result<Box<Cursor<E>>, Error>>;

/// The stream over a cursor.
enum Subscription<E: Engine> {
    Idle(Box<Cursor<E>>),
    Filling(Filling<E>),
    Ended,
}

impl<E: Engine> Stream for Subscription<E> {
    type Item = Result<Signal, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match this {
                Self::Idle(cursor) => {
                    if let Some(signal) = cursor.ready.pop_front() {
                        return Poll::Ready(Some(Ok(signal)));
                    }
                    let Self::Idle(mut cursor) = std::mem::replace(this, Self::Ended) else {
                        return Poll::Ready(None);
                    };
                    *this = Self::Filling(Box::pin(async move { cursor.fill().await.map(|()| cursor) }));
                }
                Self::Filling(filling) => match filling.as_mut().poll(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(Ok(cursor)) => *this = Self::Idle(cursor),
                    Poll::Ready(Err(error)) => {
                        *this = Self::Ended;
                        return Poll::Ready(Some(Err(error)));
                    }
                },
                Self::Ended => return Poll::Ready(None),
            }
        }
    }
}
