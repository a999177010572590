//! Watches: the leaves as they are, and then every op, also those of this program before they are committed.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;

use futures_core::Stream;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::hub::{Committed, Told};
use super::shared::{Shared, View};
use super::{EndReason, Sync};
use crate::error::Error;
use crate::model::{Entry, Event, Op, OpId, Path, Pattern, Seq};
use crate::transport::{Interest, Order, Scope};

/// What [`Sync::watch`] covers, and how.
///
/// ```
/// use dust_transport::model::Pattern;
/// use dust_transport::sync::{Watch, WatchMode};
/// use dust_transport::transport::Order;
///
/// let newest = Watch::pattern(Pattern::parse("posts/*")?)
///     .mode(WatchMode::Committed)
///     .include_current()
///     .order(Order::Desc)
///     .limit(20);
/// # let _ = newest;
/// # Ok::<(), dust_transport::model::PatternError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    interest: Interest,
    mode: WatchMode,
    include_current: bool,
    order: Order,
    limit: Option<usize>,
}

/// Which ops a [`Watch`] tells.
///
/// | | own [`write_optimistic`](Sync::write_optimistic) | own [`write`](crate::transport::Transport::write) | of others |
/// |---|---|---|---|
/// | `All` | at once, `Local` | once committed | once committed |
/// | `Committed` | once committed | once committed | once committed |
/// | `Optimistic` | at once, `Local` | | |
///
/// ```
/// use dust_transport::sync::WatchMode;
/// assert_eq!(WatchMode::default(), WatchMode::All);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum WatchMode {
    /// Each op once: an optimistic one as it is made, and any other once it is committed.
    #[default]
    All,
    /// Each op once it is committed.
    Committed,
    /// The optimistic ones as they are made.
    Optimistic,
}

/// One item of a watch.
///
/// ```
/// use dust_transport::model::Seq;
/// use dust_transport::sync::WatchEvent;
///
/// let describe = |event: &WatchEvent| match event {
///     WatchEvent::Present(entry) => format!("{} is {}", entry.path, entry.value.json()),
///     WatchEvent::Ready { through } => format!("these were all at {through}"),
///     WatchEvent::Local { op, .. } => format!("{} {} here", op.action.kind(), op.path),
///     WatchEvent::Committed { event, .. } => format!("{} {} at {}", event.kind, event.path, event.seq),
///     WatchEvent::Rejected { op, error, .. } => format!("{} is as before: {error}", op.path),
///     WatchEvent::Lagged { missed } => format!("{missed} events were missed"),
///     WatchEvent::Resync { through } => format!("what came before {through} is not known one by one"),
///     WatchEvent::Ended(reason) => format!("over: {}", reason.code),
///     _ => "of a later version".to_owned(),
/// };
/// assert_eq!(describe(&WatchEvent::Ready { through: Seq(3) }), "these were all at 3");
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum WatchEvent {
    /// A leaf that is there, with [`Watch::include_current`]. One with revision 0 is not committed yet.
    Present(Entry),
    /// All leaves that are there have been told, if any; what follows happens after that.
    Ready {
        /// The last op that the leaves show.
        through: Seq,
    },
    /// An op of this program that is seen here, and not committed yet.
    Local {
        /// What was written: of an increment the number that is added, of an add or a remove the member.
        op: Op,
        /// The op id of its batch, also where the program gave none.
        op_id: OpId,
    },
    /// A committed op.
    Committed {
        /// What was done, with the result of an increment, an add or a remove.
        event: Arc<Event>,
        /// The device of this `Sync` wrote it.
        is_own: bool,
        /// The op id of its batch, also where its writer gave none.
        op_id: Option<OpId>,
    },
    /// An op that was told as `Local` is not seen any more. What it replaced is back, below what was committed since.
    Rejected {
        /// What had been written.
        op: Op,
        /// The op id of its batch.
        op_id: OpId,
        /// Why. If its [`outcome`](Error::outcome) is unknown, the op may yet be committed, and is then told as such.
        error: Error,
    },
    /// The watch was not read for too long, and this many items are gone. With [`Watch::include_current`] the leaves follow
    /// anew, and `Ready`.
    Lagged {
        /// How many items are gone, those included that the watch does not cover.
        missed: u64,
    },
    /// The server's log was cut: ops up to `through` are not known one by one; or the store was set back, and begins anew from
    /// a `through` of 0. With [`Watch::include_current`] the leaves
    /// follow anew, and `Ready`.
    Resync {
        /// Ops go on after this sequence number.
        through: Seq,
    },
    /// Nothing follows: the `Sync` has ended, or its last handle was dropped.
    Ended(EndReason),
}

/// A stream of [`WatchEvent`]s, the last of which is [`WatchEvent::Ended`]. Dropping it ends the watch.
///
/// ```
/// use dust_transport::sync::{WatchEvent, WatchStream};
/// use futures_util::StreamExt as _;
///
/// async fn count(mut events: WatchStream) -> usize {
///     let mut present = 0;
///     while let Some(event) = events.next().await {
///         match event {
///             WatchEvent::Present(_) => present += 1,
///             WatchEvent::Ready { .. } => break,
///             _ => {}
///         }
///     }
///     present
/// }
/// # let _ = count;
/// ```
pub type WatchStream = Pin<Box<dyn Stream<Item = WatchEvent> + Send>>;

impl Watch {
    fn new(interest: Interest) -> Self {
        Self {
            interest,
            mode: WatchMode::default(),
            include_current: false,
            order: Order::Asc,
            limit: None,
        }
    }

    /// Covers leaves, and ops, whose own path matches the pattern.
    #[must_use]
    pub fn pattern(pattern: Pattern) -> Self {
        Self::new(Interest::Pattern(pattern))
    }

    /// Covers leaves at and below the path, and ops at, below and above it: all that can change them.
    #[must_use]
    pub fn touching(path: Path) -> Self {
        Self::new(Interest::Touching(path))
    }

    /// The same with these ops.
    #[must_use]
    pub fn mode(mut self, mode: WatchMode) -> Self {
        self.mode = mode;
        self
    }

    /// The same, beginning with the leaves that are there: as reads see them, or, with [`WatchMode::Committed`], as they are
    /// committed.
    #[must_use]
    pub fn include_current(mut self) -> Self {
        self.include_current = true;
        self
    }

    /// The same with the leaves that are there in this order.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// The same with at most so many of the leaves that are there; all of them by default.
    #[must_use]
    pub fn limit(mut self, leaves: usize) -> Self {
        self.limit = Some(leaves);
        self
    }

    /// The leaves that are there, if they are asked for.
    fn current(&self, view: &View) -> Vec<Entry> {
        let replica = &view.replica;
        if !self.include_current {
            return Vec::new();
        }
        let limit = self.limit.unwrap_or(usize::MAX);
        let (scope, at) = match &self.interest {
            Interest::Pattern(pattern) => (Scope::Pattern(pattern.clone()), None),
            Interest::Touching(path) => (Scope::Below(path.clone()), replica.leaf(path)),
        };
        let below = replica.entries(scope, self.order, limit);
        // A path stands before what is below it.
        let mut entries: Vec<Entry> = match self.order {
            Order::Asc => at.into_iter().chain(below).collect(),
            Order::Desc => below.into_iter().chain(at).collect(),
        };
        entries.truncate(limit);
        entries
    }
}

impl Sync {
    /// Watches leaves: those that are there, if that is asked for, then [`WatchEvent::Ready`], then every op in the order in
    /// which this replica takes it.
    ///
    /// Where [`subscribe`](crate::transport::Transport::subscribe) tells each committed op once, also those of the past, a
    /// watch tells what reads of this `Sync` see, as they see it. All watches are fed by the one connection. One that is
    /// not read for longer than [`SyncOptions::listener_events_max`](super::SyncOptions::listener_events_max) items is told
    /// that it lags, and goes on; no other is held up by it.
    ///
    /// # Errors
    /// Why the `Sync` has ended.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    ///
    /// ```no_run
    /// use dust_transport::model::{Batch, Op, Path};
    /// use dust_transport::sync::{Sync, Watch, WatchEvent};
    /// use futures_util::StreamExt as _;
    ///
    /// # async fn example(store: Sync) -> Result<(), dust_transport::error::Error> {
    /// let links = Path::parse("links")?;
    /// let mut events = store.watch(Watch::touching(links.clone()).include_current()).await?;
    /// store.write_optimistic(Batch::one(Op::set(links.child("dust")?, "Dust"))).await?.settled().await?;
    /// while let Some(event) = events.next().await {
    ///     match event {
    ///         WatchEvent::Present(entry) => println!("{} is there", entry.path),
    ///         WatchEvent::Local { op, .. } => println!("{} is on its way", op.path),
    ///         WatchEvent::Committed { event, .. } => println!("{} {}", event.kind, event.path),
    ///         WatchEvent::Ended(reason) => println!("over: {}", reason.code),
    ///         _ => {}
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn watch(&self, watch: Watch) -> Result<WatchStream, Error> {
        self.ready().await?;
        let watching = Watching::open(Arc::clone(&self.inner.shared), watch);
        Ok(Box::pin(futures_util::stream::unfold(
            watching,
            async |mut watching| {
                let event = watching.next().await?;
                Some((event, watching))
            },
        )))
    }
}

/// Any number of ops may have been missed, until one is told: better told twice than never.
const UNKNOWN: u64 = u64::MAX;

struct Watching {
    shared: Arc<Shared>,
    watch: Watch,
    told: Receiver<Told>,
    /// Optimistic ops up to this number have not been told as they were made: the watch had not begun, or lagged.
    ahead: u64,
    ready: VecDeque<WatchEvent>,
    is_over: bool,
}

/// A place in what the hub tells, and what is there.
struct Beginning {
    told: Receiver<Told>,
    ahead: u64,
    through: Seq,
    entries: Vec<Entry>,
}

impl Beginning {
    fn of(shared: &Shared, watch: &Watch) -> Self {
        let look = |view: &View| Self {
            told: view.hub.listen(),
            ahead: view.ahead(),
            through: view.applied,
            entries: watch.current(view),
        };
        match watch.mode {
            WatchMode::Committed => shared.look_at_committed(look),
            WatchMode::All | WatchMode::Optimistic => look(&shared.read()),
        }
    }

    fn events(entries: Vec<Entry>, through: Seq) -> impl Iterator<Item = WatchEvent> {
        let present = entries.into_iter().map(WatchEvent::Present);
        present.chain([WatchEvent::Ready { through }])
    }
}

impl Watching {
    fn open(shared: Arc<Shared>, watch: Watch) -> Self {
        let beginning = Beginning::of(&shared, &watch);
        let mut watching = Self {
            shared,
            watch,
            told: beginning.told,
            ahead: beginning.ahead,
            ready: Beginning::events(beginning.entries, beginning.through).collect(),
            is_over: false,
        };
        watching.end_if_over();
        watching
    }

    /// Begins anew with the leaves that are there; does without where those are not asked for.
    fn begin_anew(&mut self) {
        if !self.watch.include_current {
            return;
        }
        let beginning = Beginning::of(&self.shared, &self.watch);
        (self.told, self.ahead) = (beginning.told, beginning.ahead);
        self.ready
            .extend(Beginning::events(beginning.entries, beginning.through));
        self.end_if_over();
    }

    /// What has ended says so no more to who begins to listen.
    fn end_if_over(&mut self) {
        if let Some(reason) = self.shared.ended() {
            self.end(reason);
        }
    }

    fn end(&mut self, reason: EndReason) {
        self.ready.push_back(WatchEvent::Ended(reason));
        self.is_over = true;
    }

    async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(event);
            }
            if self.is_over {
                return None;
            }
            match self.told.recv().await {
                Ok(told) => self.told(told),
                Err(RecvError::Lagged(missed)) => {
                    self.ready.push_back(WatchEvent::Lagged { missed });
                    self.ahead = UNKNOWN;
                    self.begin_anew();
                }
                // The sender is in `shared`.
                Err(RecvError::Closed) => self.end(EndReason::closed()),
            }
        }
    }

    fn told(&mut self, told: Told) {
        let (interest, mode) = (&self.watch.interest, self.watch.mode);
        match told {
            Told::Event(committed) => {
                if interest.covers(&committed.event.path) && self.is_due(&committed) {
                    self.committed(committed);
                }
            }
            Told::Local(local) => {
                if self.ahead == UNKNOWN {
                    self.ahead = local.number - 1;
                }
                if interest.covers(&local.op.path) && mode != WatchMode::Committed {
                    let (op, op_id) = (local.op.clone(), local.op_id.clone());
                    self.ready.push_back(WatchEvent::Local { op, op_id });
                }
            }
            Told::Rejected(local, error) => {
                if interest.covers(&local.op.path) && mode != WatchMode::Committed {
                    let (op, op_id) = (local.op.clone(), local.op_id.clone());
                    self.ready.push_back(WatchEvent::Rejected { op, op_id, error });
                }
            }
            Told::Reset(through) => {
                self.ready.push_back(WatchEvent::Resync { through });
                self.begin_anew();
            }
            Told::Restarted => {
                self.ready.push_back(WatchEvent::Resync { through: Seq(0) });
                self.begin_anew();
            }
            Told::Ended => {
                let reason = self.shared.ended().unwrap_or_else(EndReason::closed);
                self.end(reason);
            }
        }
    }

    /// Whether a committed op is told as such.
    fn is_due(&self, committed: &Committed) -> bool {
        match self.watch.mode {
            WatchMode::All => committed.ahead.is_none_or(|number| number <= self.ahead),
            WatchMode::Committed => true,
            WatchMode::Optimistic => false,
        }
    }

    fn committed(&mut self, committed: Committed) {
        let Committed { event, op_id, .. } = committed;
        self.ready.push_back(WatchEvent::Committed {
            is_own: event.device == self.shared.device,
            event,
            op_id,
        });
    }
}
