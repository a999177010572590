//! What the promises are written in: short verbs that fail loudly.

use std::sync::Arc;

use futures_util::StreamExt as _;

use super::PATIENCE;
use crate::error::{Error, ErrorKind, Outcome};
use crate::model::{Action, Batch, Entry, Event, Op, Path, Pattern, Seq, Value};
use crate::transport::{EventStream, List, Order, Signal, Start, Subscribe, Transport, Written};

/// Waits, but not forever.
pub(super) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let answer = tokio::time::timeout(PATIENCE, future).await;
    answer.unwrap_or_else(|_| panic!("{what}: no answer within {PATIENCE:?}"))
}

/// A rendered path.
pub(super) fn path(rendered: &str) -> Path {
    Path::parse(rendered).unwrap_or_else(|error| panic!("`{rendered}`: {error}"))
}

/// A pattern.
pub(super) fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// A JSON value.
pub(super) fn json(text: &str) -> Value {
    Value::from_json(text).unwrap_or_else(|error| panic!("`{text}`: {error}"))
}

/// A `set` of a JSON text.
pub(super) fn set(at: &str, text: &str) -> Op {
    Op::set(path(at), json(text))
}

/// A `delete`.
pub(super) fn delete(at: &str) -> Op {
    Op::delete(path(at))
}

/// A store under test.
#[derive(Clone, Copy)]
pub(super) struct Probe<'a>(pub(super) &'a dyn Transport);

impl Probe<'_> {
    /// Whether the store has the op.
    pub(super) fn has(self, op: &Op) -> bool {
        let capabilities = self.0.capabilities();
        let has_action = match op.action {
            Action::Set(_) | Action::Delete => true,
            Action::PutFile { .. } => capabilities.files,
            Action::Lease { .. } | Action::Renew { .. } | Action::Release { .. } => capabilities.leases,
            _ => capabilities.value_ops,
        };
        has_action && (op.fence.is_none() || capabilities.leases)
    }

    /// Whether the store has the ops that work on what is there.
    pub(super) fn has_value_ops(self) -> bool {
        self.0.capabilities().value_ops
    }

    pub(super) async fn try_write(self, batch: Batch) -> Result<Written, Error> {
        within("write", self.0.write(batch)).await
    }

    /// Commits ops and gives the revision of the last.
    pub(super) async fn write(self, ops: impl IntoIterator<Item = Op>) -> Seq {
        let batch = Batch::new(ops);
        let count = batch.ops.len();
        let shown = format!("{batch:.200?}");
        let written = self
            .try_write(batch)
            .await
            .unwrap_or_else(|error| panic!("{shown}: {error}"));
        assert_eq!(written.seqs.len(), count, "one sequence number per op of {shown}");
        assert!(!written.deduplicated, "{shown} is new");
        written.seqs[count - 1]
    }

    /// Sets a JSON text.
    pub(super) async fn set(self, at: &str, text: &str) -> Seq {
        self.write([set(at, text)]).await
    }

    /// Commits a batch that must be refused, and leave everything as it was.
    pub(super) async fn refused_batch(self, batch: Batch) -> Error {
        let shown = format!("{batch:.200?}");
        let before = self.dump().await;
        let error = match self.try_write(batch).await {
            Ok(written) => panic!("{shown} must be refused, but gave {written:?}"),
            Err(error) => error,
        };
        assert_eq!(error.outcome(), Outcome::NotApplied, "the outcome of {error:?}");
        assert_eq!(
            self.dump().await,
            before,
            "a refused write must leave nothing behind: {shown}"
        );
        error
    }

    /// One op that must be refused for this reason; an empty code stands for any.
    pub(super) async fn refused(self, op: Op, kind: ErrorKind, code: &str) -> Error {
        let shown = format!("{op:.200?}");
        let error = self.refused_batch(Batch::one(op)).await;
        assert_eq!(error.kind(), kind, "the kind of {error:?} for {shown}");
        assert!(
            code.is_empty() || error.code() == code,
            "the code must be `{code}`: {error:?} for {shown}"
        );
        error
    }

    pub(super) async fn entry(self, at: &str) -> Option<Entry> {
        let at = path(at);
        let found = within("get", self.0.get(&at))
            .await
            .unwrap_or_else(|error| panic!("get `{at}`: {error}"));
        if let Some(entry) = &found {
            assert_eq!(entry.path, at, "an entry carries the path it was asked by");
        }
        found
    }

    /// The value at the path, which must be there.
    pub(super) async fn value(self, at: &str) -> Value {
        self.entry(at)
            .await
            .unwrap_or_else(|| panic!("nothing is at `{at}`"))
            .value
    }

    pub(super) async fn exists(self, at: &str) -> bool {
        let at = path(at);
        within("exists", self.0.exists(&at))
            .await
            .unwrap_or_else(|error| panic!("exists `{at}`: {error}"))
    }

    pub(super) async fn assert_value(self, at: &str, text: &str) {
        assert_eq!(self.value(at).await, json(text), "the value at `{at}`");
    }

    pub(super) async fn assert_absent(self, at: &str) {
        assert_eq!(self.entry(at).await, None, "nothing may be at `{at}`");
        assert!(!self.exists(at).await, "`{at}` must not exist");
    }

    /// Every item that a list gives, page after page.
    pub(super) async fn pages(self, mut list: List) -> Vec<crate::transport::Items> {
        let mut pages = Vec::new();
        loop {
            let page = within("list", self.0.list(&list))
                .await
                .unwrap_or_else(|error| panic!("{list:?}: {error}"));
            let went_on = match (&page.next, &list.after, list.order) {
                (Some(next), Some(after), Order::Asc) => next > after,
                (Some(next), Some(after), Order::Desc) => next < after,
                _ => true,
            };
            assert!(went_on, "the cursor {:?} stands still in {list:?}", page.next);
            assert!(
                page.items.len() <= list.limit,
                "{} items in a page of {list:?}",
                page.items.len()
            );
            pages.push(page.items);
            match page.next {
                Some(next) => list.after = Some(next),
                None => return pages,
            }
        }
    }

    pub(super) async fn entries(self, list: List) -> Vec<Entry> {
        self.pages(list)
            .await
            .into_iter()
            .flat_map(crate::transport::Items::into_entries)
            .collect()
    }

    /// The rendered paths that a list gives.
    pub(super) async fn paths(self, list: List) -> Vec<String> {
        let items = self
            .pages(list)
            .await
            .into_iter()
            .flat_map(crate::transport::Items::into_paths);
        items.map(|path| path.as_str().to_owned()).collect()
    }

    /// Every leaf of the store.
    pub(super) async fn dump(self) -> Vec<Entry> {
        let limit = self.0.capabilities().page_leaves_max;
        self.entries(List::pattern(Pattern::default()).limit(limit)).await
    }

    /// The leaves of the store, as `path=json` texts.
    pub(super) async fn leaves(self) -> Vec<String> {
        self.dump()
            .await
            .into_iter()
            .map(|entry| format!("{}={}", entry.path, entry.value))
            .collect()
    }

    pub(super) async fn refused_list(self, list: List, code: &str) {
        match within("list", self.0.list(&list)).await {
            Ok(page) => panic!("{list:?} must be refused, but gave {page:?}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::InvalidParams, "the kind of {error:?}");
                assert_eq!(error.code(), code, "{error:?}");
            }
        }
    }

    pub(super) async fn subscribe(self, subscribe: Subscribe) -> Events {
        let shown = format!("{subscribe:?}");
        let opened = within("subscribe", self.0.subscribe(subscribe)).await;
        let stream = opened.unwrap_or_else(|error| panic!("{shown}: {error}"));
        Events {
            stream,
            shown,
            caught_up: None,
            last: Seq(0),
        }
    }

    /// Opens a subscription to everything, from now on, and waits until it says so.
    pub(super) async fn follow(self) -> Events {
        let mut events = self.subscribe(Subscribe::pattern(Pattern::default())).await;
        events.caught_up().await;
        events
    }

    /// Everything the log holds up to this op.
    pub(super) async fn replay(self, through: Seq) -> Vec<Arc<Event>> {
        let subscribe = Subscribe::pattern(Pattern::default()).start(Start::After(Seq(0)));
        self.subscribe(subscribe).await.through(through).await
    }

    /// Whether subscriptions are worth asking for.
    pub(super) fn subscribes(self) -> bool {
        self.0.capabilities().subscribe
    }

    /// Runs writes at once and gives their replies in the order of the batches.
    pub(super) async fn race(self, batches: Vec<Batch>) -> Vec<Result<Written, Error>> {
        let writes = batches.into_iter().map(|batch| self.0.write(batch));
        within("concurrent writes", futures_util::future::join_all(writes)).await
    }
}

/// A subscription, read with patience; it checks the order of what comes.
pub(super) struct Events {
    stream: EventStream,
    shown: String,
    caught_up: Option<Seq>,
    last: Seq,
}

impl Events {
    async fn signal(&mut self) -> Signal {
        let what = format!("the next signal of {}", self.shown);
        match within(&what, self.stream.next()).await {
            Some(Ok(signal)) => signal,
            Some(Err(error)) => panic!("{}: {error}", self.shown),
            None => panic!("{} ended", self.shown),
        }
    }

    fn check(&mut self, signal: &Signal) {
        match signal {
            Signal::Event(event) => {
                assert!(
                    event.seq > self.last,
                    "{} came after {} in {}",
                    event.seq,
                    self.last,
                    self.shown
                );
                self.last = event.seq;
            }
            Signal::CaughtUp { through } => {
                assert_eq!(self.caught_up, None, "caught up twice in {}", self.shown);
                assert!(
                    *through >= self.last,
                    "caught up through {through} after {} in {}",
                    self.last,
                    self.shown
                );
                self.caught_up = Some(*through);
                self.last = *through;
            }
            other => panic!("{other:?} in {}, though the log is whole", self.shown),
        }
    }

    /// The next event, whatever else is said before it.
    pub(super) async fn next(&mut self) -> Arc<Event> {
        loop {
            let signal = self.signal().await;
            self.check(&signal);
            if let Signal::Event(event) = signal {
                return event;
            }
        }
    }

    /// The events before the subscription has caught up, and where it had.
    pub(super) async fn caught_up(&mut self) -> (Vec<Arc<Event>>, Seq) {
        let mut past = Vec::new();
        loop {
            let signal = self.signal().await;
            self.check(&signal);
            match signal {
                Signal::Event(event) => past.push(event),
                Signal::CaughtUp { through } => return (past, through),
                Signal::Resync { .. } => {}
            }
        }
    }

    /// The events up to and with this op, which must be covered.
    pub(super) async fn through(&mut self, seq: Seq) -> Vec<Arc<Event>> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await;
            assert!(
                event.seq <= seq,
                "{} came, but {seq} did not, in {}",
                event.seq,
                self.shown
            );
            let done = event.seq == seq;
            events.push(event);
            if done {
                return events;
            }
        }
    }
}

/// The sequence numbers of events.
pub(super) fn seqs(events: &[Arc<Event>]) -> Vec<u64> {
    events.iter().map(|event| event.seq.0).collect()
}
