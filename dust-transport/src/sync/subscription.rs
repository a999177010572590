//! One subscription: live events from the hub, and past ones from the server's log where the hub has them no more.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::hub::Told;
use super::shared::Shared;
use super::socket::{Refused, Socket, lost};
use super::{EndReason, unnamed};
use crate::channel::{
    self, CATCH_UP_COMPLETE, EVENT, Frame, JOIN, JoinReply, JoinRequest, REPLY, Reply, SNAPSHOT, Snapshot,
};
use crate::error::Error;
use crate::model::{Event, Seq};
use crate::transport::{EventStream, Interest, Signal, Start, Subscribe};

struct Subscription {
    shared: Arc<Shared>,
    told: Receiver<Told>,
    interest: Interest,
    /// Everything up to here was delivered, or is not covered.
    last: Seq,
    ready: VecDeque<Result<Signal, Error>>,
    /// The log is being read, since the hub has not everything after `last`.
    fetch: Option<Fetch>,
    attempt: u32,
    /// It began beyond what the replica has, while there was no connection to ask whether the store has come that far.
    is_ahead: bool,
    caught_up: bool,
    ended: bool,
}

/// A connection of its own that reads the log from some op on.
struct Fetch {
    socket: Socket,
    join: String,
    /// The last op that was read.
    at: Seq,
}

/// What reading the log brings.
enum Fetched {
    Event(Arc<Event>),
    Reset(Seq),
    Restarted,
    /// Everything that was committed before the log was opened has been read.
    Done,
}

/// Opens a subscription; the replica is whole.
pub(super) fn open(shared: &Arc<Shared>, subscribe: Subscribe) -> EventStream {
    let view = shared.read();
    let (told, applied) = (view.hub.listen(), view.applied);
    let (past, last) = match subscribe.start {
        Start::Now => (Some(Vec::new()), applied),
        Start::After(last) => (view.hub.after(last, applied), last),
    };
    drop(view);
    // What has ended says so no more.
    let ended = shared.ended().map(|reason| Err(reason.to_error()));
    let mut subscription = Subscription {
        shared: Arc::clone(shared),
        told,
        interest: subscribe.interest,
        last,
        ready: VecDeque::new(),
        fetch: None,
        attempt: 0,
        is_ahead: false,
        caught_up: false,
        ended: ended.is_some(),
    };
    match past {
        _ if subscription.ended => subscription.ready.extend(ended),
        // Of a store that was set back, or a little ahead of this replica: the log tells.
        _ if last > applied && shared.state().borrow().is_live() => subscription.attempt = 1,
        Some(events) => {
            for event in events {
                subscription.event(event);
            }
            // A cursor may be ahead of a replica from a file, which is then as its program left it.
            subscription.is_ahead = last > applied;
            subscription.catch_up(applied.max(last));
        }
        None => subscription.attempt = 1,
    }
    Box::pin(futures_util::stream::unfold(subscription, async |mut subscription| {
        let item = subscription.next().await?;
        Some((item, subscription))
    }))
}

impl Subscription {
    fn event(&mut self, event: Arc<Event>) {
        self.last = event.seq;
        if self.interest.covers(&event.path) {
            self.ready.push_back(Ok(Signal::Event(event)));
        }
    }

    fn catch_up(&mut self, through: Seq) {
        if !std::mem::replace(&mut self.caught_up, true) {
            self.ready.push_back(Ok(Signal::CaughtUp { through }));
        }
    }

    fn reset(&mut self, through: Seq) {
        if through > self.last {
            self.last = through;
            self.ready.push_back(Ok(Signal::Resync { through }));
        }
    }

    /// What was delivered is of a store that is no more.
    fn restart(&mut self) {
        self.last = Seq(0);
        self.is_ahead = false;
        self.ready.push_back(Ok(Signal::Resync { through: Seq(0) }));
    }

    fn end(&mut self, error: Error) {
        self.ready.push_back(Err(error));
        self.ended = true;
    }

    /// Whether the log has to be read.
    fn is_behind(&self) -> bool {
        self.attempt > 0
    }

    async fn next(&mut self) -> Option<Result<Signal, Error>> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            if self.is_behind() {
                self.read_log().await;
            } else {
                self.read_hub().await;
            }
        }
    }

    async fn read_hub(&mut self) {
        let told = tokio::select! {
            told = self.told.recv() => told,
            () = self.shared.live(), if self.is_ahead => {
                self.is_ahead = false;
                self.attempt = u32::from(self.shared.applied() < self.last);
                return;
            }
        };
        match told {
            Ok(Told::Event(committed)) if committed.event.seq <= self.last => {}
            Ok(Told::Event(committed)) if committed.event.seq.0 == self.last.0 + 1 => self.event(committed.event),
            Ok(Told::Local(_) | Told::Rejected(..)) => {}
            // What is between is in the log, and so is the event.
            Ok(Told::Event(_)) | Err(RecvError::Lagged(_)) => self.attempt = 1,
            Ok(Told::Reset(through)) => self.reset(through),
            Ok(Told::Restarted) => self.restart(),
            Ok(Told::Ended) | Err(RecvError::Closed) => {
                let reason = self.shared.ended().unwrap_or_else(EndReason::closed);
                self.end(reason.to_error());
            }
        }
    }

    /// Goes on with the log: with its next event, or from the start if the connection broke.
    async fn read_log(&mut self) {
        let fetched = match &mut self.fetch {
            Some(fetch) => fetch.next().await.map_err(Refused::of),
            None => match Fetch::open(&self.shared, self.last).await {
                Ok(fetch) => {
                    self.fetch = Some(fetch);
                    return;
                }
                Err(refused) => Err(refused),
            },
        };
        match fetched {
            Ok(Fetched::Event(event)) => {
                // The attempts are those in a row.
                self.attempt = 1;
                self.event(event);
            }
            Ok(Fetched::Reset(through)) => self.reset(through),
            Ok(Fetched::Restarted) => {
                self.fetch = None;
                self.restart();
            }
            Ok(Fetched::Done) => {
                self.fetch = None;
                self.attempt = 0;
                self.catch_up(self.last);
            }
            Err(Refused::Fatal(error)) => self.end(error),
            Err(Refused::Later(asked)) => {
                self.fetch = None;
                let options = &self.shared.options;
                let wait = options.wait(self.attempt) + asked.unwrap_or_default();
                options.pass(wait).await;
                self.attempt = self.attempt.saturating_add(1);
            }
        }
    }
}

impl Fetch {
    async fn open(shared: &Shared, after: Seq) -> Result<Self, Refused> {
        if let Some(reason) = shared.ended() {
            return Err(Refused::Fatal(reason.to_error()));
        }
        let options = &shared.options;
        let socket = tokio::select! {
            dialled = shared.endpoint.dial(options) => dialled?,
            () = options.pass(options.reply_timeout) => return Err(Refused::Later(None)),
        };
        let topic = channel::topic_of(&options.http.store);
        let join = "1".to_owned();
        let frame = Frame::new(topic, JOIN, JoinRequest::after(after).to_payload());
        socket.send(&frame.join_ref(join.clone()).reference(join.clone()));
        Ok(Self {
            socket,
            join,
            at: after,
        })
    }

    async fn next(&mut self) -> Result<Fetched, Error> {
        loop {
            let frame = self.socket.next().await?;
            match frame.event.as_str() {
                REPLY if frame.reference.as_deref() == Some(&*self.join) => {
                    let joined = match Reply::from_payload(&frame.payload)? {
                        Reply::Ok(response) => JoinReply::from_response(&response)?,
                        Reply::Error(refusal) => return Err(refusal.into_error()),
                    };
                    if joined.store_seq < self.at {
                        return Ok(Fetched::Restarted);
                    }
                }
                EVENT => {
                    let mut event = channel::event_of(&frame.payload)?;
                    // What is live comes again, in its turn.
                    if event.seq.0 == self.at.0 + 1 {
                        self.at = event.seq;
                        unnamed::strip(&mut event);
                        return Ok(Fetched::Event(Arc::new(event)));
                    }
                }
                SNAPSHOT => {
                    let snapshot = Snapshot::from_payload(&frame.payload)?;
                    if snapshot.seq > self.at {
                        self.at = snapshot.seq;
                        return Ok(Fetched::Reset(snapshot.seq));
                    }
                }
                CATCH_UP_COMPLETE => return Ok(Fetched::Done),
                channel::ERROR | channel::CLOSE => return Err(lost("the server closed the store's channel")),
                _ => {}
            }
        }
    }
}
