//! A topic that a socket has joined: what it lacked, and then what is committed.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use dust_store::Embedded;
use dust_transport::channel::{
    CATCH_UP_COMPLETE, CLOSE, CatchUpComplete, Codec, ERROR, EVENT, Frame, SNAPSHOT, event_payload,
};
use dust_transport::error::Error;
use dust_transport::model::{Pattern, Seq, Value};
use dust_transport::transport::{EventStream, Signal, Start, Subscribe, Transport as _};
use futures_core::future::BoxFuture;

use super::hub::{Member, Taken};
use super::published::{Form, Published};
use super::push::Joined;
use super::snapshot::{self, Gate};
use super::wire::encoded;

/// The most events that are taken from the ring at once.
const EVENTS_AT_ONCE: usize = 64;

/// A joined topic.
///
/// There is one cursor from the first op to the last: the past comes from the log, what is live from the hub, and what is
/// live begins exactly where the past ends. So nothing is missed, repeated or out of order, whatever is written meanwhile.
pub(super) struct Subscription {
    /// Tells joins of one socket apart.
    pub(super) id: u64,
    pub(super) topic: String,
    pub(super) join_ref: Option<String>,
    /// Who joined what.
    pub(super) at: Arc<Joined>,
    /// By which topic it was joined, if its frames are those of all others who joined by it.
    form: Option<Form>,
    member: Member,
    gate: Gate,
    /// The sequence number of the last event that was sent.
    seq: u64,
    phase: Phase,
    taken: Vec<Arc<Published>>,
}

enum Phase {
    /// Asks for the log after the cursor. The value is what the join gave, as long as nothing has been sent.
    Opening(BoxFuture<'static, Result<EventStream, Error>>, Option<Value>),
    /// Reads the log.
    Past(EventStream, Option<Value>),
    /// Reads all leaves, since the log begins later.
    Snapshot(BoxFuture<'static, Result<(Seq, Value), Error>>),
    /// Has read the log to its end, and waits until the hub follows the store.
    Meeting(Option<Value>),
    /// Takes what is live.
    Live,
    /// Gets nothing any more, though its requests are answered.
    Over,
    /// Is to be forgotten.
    Failed,
}

/// What a join asks for.
pub(super) struct Opening {
    pub(super) id: u64,
    pub(super) topic: String,
    pub(super) join_ref: Option<String>,
    pub(super) at: Arc<Joined>,
    pub(super) member: Member,
    pub(super) gate: Gate,
    /// After which op to begin.
    pub(super) after: Seq,
    /// The same as the client gave it.
    pub(super) given: Value,
}

/// Why a socket gets nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lost {
    /// It was slower than the store, by more than what is kept for it.
    Slow,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("topic", &self.topic)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

impl Subscription {
    pub(super) fn open(opening: Opening) -> Self {
        let Opening {
            id,
            topic,
            join_ref,
            at,
            member,
            gate,
            after,
            given,
        } = opening;
        let topics = &member.hub.topics;
        let form = match topic.as_str() {
            topic if topic == topics.name => Some(Form::Name),
            topic if topic == topics.id => Some(Form::Id),
            _ => None,
        };
        Self {
            id,
            topic,
            join_ref,
            form,
            member,
            gate,
            seq: after.0,
            phase: Phase::Opening(log_after(&at.data, after), Some(given)),
            at,
            taken: Vec::new(),
        }
    }

    fn codec(&self) -> Codec {
        self.at.client.codec
    }

    /// The number of the last event that was sent, once what is sent is live.
    pub(super) fn live_seq(&self) -> Option<u64> {
        matches!(self.phase, Phase::Live).then_some(self.seq)
    }

    /// Ends the events, and says so: `phx_close`, as the store can no longer be reached.
    pub(super) fn close(&mut self) -> Option<Bytes> {
        if matches!(self.phase, Phase::Over | Phase::Failed) {
            return None;
        }
        self.phase = Phase::Over;
        Some(encoded(
            self.codec(),
            &Frame::new(&self.topic, CLOSE, Value::map::<&str>([])),
        ))
    }

    /// Tells whoever joined that another join has taken the place of this one, or that it left.
    pub(super) fn closed(&self) -> Bytes {
        let mut frame = self.frame(CLOSE, Value::map::<&str>([]));
        frame.reference.clone_from(&self.join_ref);
        encoded(self.codec(), &frame)
    }

    fn frame(&self, event: &str, payload: Value) -> Frame {
        Frame {
            join_ref: self.join_ref.clone(),
            ..Frame::new(&self.topic, event, payload)
        }
    }

    fn encoded(&self, event: &str, payload: Value) -> Bytes {
        encoded(self.codec(), &self.frame(event, payload))
    }

    /// Whether the events that it needs next are still kept, for who takes none now; the task is woken when that changes.
    pub(super) fn poll_lag(&self, cx: &Context<'_>) -> Result<(), Lost> {
        let is_live = matches!(self.phase, Phase::Live);
        if is_live && self.member.poll_lag(self.seq, cx) == Taken::Missed {
            return Err(Lost::Slow);
        }
        Ok(())
    }

    /// Whether it ended by a failure, of which the client knows.
    pub(super) fn has_failed(&self) -> bool {
        matches!(self.phase, Phase::Failed)
    }

    /// The next frames, which are added to the list; gives how many of them are events.
    pub(super) fn poll_next(&mut self, frames: &mut Vec<Bytes>, cx: &mut Context<'_>) -> Poll<Result<usize, Lost>> {
        loop {
            match &mut self.phase {
                Phase::Opening(opening, given) => {
                    let opened = ready!(opening.as_mut().poll(cx));
                    let given = given.take();
                    match opened {
                        Ok(events) => self.phase = Phase::Past(events, given),
                        Err(error) => return self.fail(&error, frames),
                    }
                }
                Phase::Past(..) => {
                    if let Some(told) = ready!(self.poll_past(frames, cx)) {
                        return Poll::Ready(Ok(told));
                    }
                }
                Phase::Snapshot(reading) => match ready!(reading.as_mut().poll(cx)) {
                    Ok((Seq(seq), payload)) => {
                        self.seq = seq;
                        self.phase = Phase::Opening(log_after(&self.at.data, Seq(seq)), None);
                        frames.push(self.encoded(SNAPSHOT, payload));
                        return Poll::Ready(Ok(0));
                    }
                    Err(error) => return self.fail(&error, frames),
                },
                Phase::Meeting(given) => match self.member.poll_covers(self.seq, cx) {
                    Taken::Waiting => return Poll::Pending,
                    Taken::Missed => self.phase = Phase::Opening(log_after(&self.at.data, Seq(self.seq)), given.take()),
                    Taken::Ended => return self.end(frames),
                    Taken::Events => {
                        let through_seq = given.take().unwrap_or_else(|| Value::from(self.seq));
                        self.phase = Phase::Live;
                        frames.push(self.encoded(CATCH_UP_COMPLETE, CatchUpComplete { through_seq }.to_payload()));
                        return Poll::Ready(Ok(0));
                    }
                },
                Phase::Live => return self.poll_live(frames, cx),
                Phase::Over | Phase::Failed => return Poll::Pending,
            }
        }
    }

    /// The next signals of the log; `None` where it says nothing that the client hears.
    fn poll_past(&mut self, frames: &mut Vec<Bytes>, cx: &mut Context<'_>) -> Poll<Option<usize>> {
        let Phase::Past(events, given) = &mut self.phase else {
            return Poll::Ready(None);
        };
        let signal = ready!(events.as_mut().poll_next(cx));
        match signal {
            Some(Ok(Signal::Event(event))) => {
                *given = None;
                self.seq = event.seq.0;
                frames.push(self.encoded(EVENT, event_payload(&event)));
                Poll::Ready(Some(1))
            }
            Some(Ok(Signal::CaughtUp { through })) => {
                self.seq = self.seq.max(through.0);
                self.phase = Phase::Meeting(given.take());
                Poll::Ready(None)
            }
            Some(Ok(_)) => {
                self.phase = Phase::Snapshot(snapshot::read(self.at.data.clone(), self.gate.clone()));
                Poll::Ready(None)
            }
            Some(Err(error)) => {
                let _ = self.fail(&error, frames);
                Poll::Ready(Some(0))
            }
            None => {
                let _ = self.end(frames);
                Poll::Ready(Some(0))
            }
        }
    }

    fn poll_live(&mut self, frames: &mut Vec<Bytes>, cx: &Context<'_>) -> Poll<Result<usize, Lost>> {
        match self.member.poll_take(self.seq, EVENTS_AT_ONCE, &mut self.taken, cx) {
            Taken::Waiting => Poll::Pending,
            Taken::Missed => Poll::Ready(Err(Lost::Slow)),
            Taken::Ended => self.end(frames),
            Taken::Events => {
                let told = self.taken.len();
                let (codec, topics) = (self.codec(), &self.member.hub.topics);
                for event in self.taken.drain(..) {
                    self.seq = event.seq();
                    frames.push(match self.form {
                        Some(form) => event.frame(codec, form, topics),
                        None => encoded(codec, &Frame::new(&self.topic, EVENT, event.payload())),
                    });
                }
                Poll::Ready(Ok(told))
            }
        }
    }

    fn fail(&mut self, error: &Error, frames: &mut Vec<Bytes>) -> Poll<Result<usize, Lost>> {
        tracing::error!(
            topic = self.topic,
            code = error.code(),
            detail = error.detail(),
            "a subscription failed"
        );
        self.end(frames)
    }

    /// `phx_error`: whoever hears it joins again.
    fn end(&mut self, frames: &mut Vec<Bytes>) -> Poll<Result<usize, Lost>> {
        self.phase = Phase::Failed;
        let mut frame = self.frame(ERROR, Value::map::<&str>([]));
        frame.reference.clone_from(&self.join_ref);
        frames.push(encoded(self.codec(), &frame));
        Poll::Ready(Ok(0))
    }
}

/// The log after a sequence number, and what is committed until it has been read.
fn log_after(data: &Embedded, after: Seq) -> BoxFuture<'static, Result<EventStream, Error>> {
    let data = data.clone();
    Box::pin(async move {
        let all = Subscribe::pattern(Pattern::parse("**")?);
        data.subscribe(all.start(Start::After(after))).await
    })
}
