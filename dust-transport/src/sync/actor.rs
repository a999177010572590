//! The task that keeps the connection: it connects, joins, applies what comes, sends what waits, and begins anew.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};

use super::file::{self, Progress, Ticket};
use super::outbox::{self, Outbox, Pending};
use super::replica::Replica;
use super::shared::Shared;
use super::socket::{Refused, Socket, lost};
use super::state::{ConnectionState, EndReason};
use super::unnamed;
use crate::channel::{
    self, ACK_SEQ, CATCH_UP_COMPLETE, CLOSE, EVENT, Frame, HEARTBEAT, JOIN, JoinReply, JoinRequest, PHOENIX, REPLY,
    Reply, SNAPSHOT, Snapshot,
};
use crate::error::{Error, ErrorKind};
use crate::model::{Event, OpId, Seq, Value};

/// Events that came too early, while the past was still on its way.
const EARLY_MAX: usize = 4096;

/// How often what the server tells may be unusable, at the same op, before it counts as broken.
const STUCK_MAX: u32 = 8;

/// What handles ask of the task.
pub(super) enum Command {
    /// Send a write, under this `ref`.
    Write(u64, Box<Pending>),
    /// The caller of a write does not wait any longer.
    GiveUp(u64),
    /// Ask the server for what was not told: something was written past the channel.
    CatchUp,
    /// End.
    Close,
    /// Ask the server something about the store.
    Ask(Box<Ask>),
}

/// A question that waits for no connection, and is not asked again when one breaks.
pub(super) struct Ask {
    pub(super) event: &'static str,
    pub(super) payload: Value,
    pub(super) answer: oneshot::Sender<Result<Value, Error>>,
}

/// The task of one connection after another.
pub(super) struct Actor {
    shared: Arc<Shared>,
    topic: String,
    outbox: Outbox,
    /// How far the file is, if there is one.
    progress: Option<watch::Receiver<Progress>>,
    /// The next `ref` of a frame that is no write. Those of writes are even, these odd.
    next_ref: u64,
    /// The `ref` of the current join.
    join: u64,
    joined: bool,
    caught_up: bool,
    early: BTreeMap<Seq, Early>,
    /// What was asked in this join, by `ref`.
    asked: HashMap<u64, oneshot::Sender<Result<Value, Error>>>,
    /// A heartbeat was sent, and nothing was heard since.
    beat_open: bool,
    /// Failed attempts since the last time that it went well.
    attempt: u32,
    /// Where it was stuck, and how often.
    stuck: (Seq, u32),
}

/// An event, and the op id under which it went over the wire.
struct Early {
    event: Arc<Event>,
    op_id: Option<OpId>,
}

/// Why a connection is given up.
enum Break {
    /// For another.
    Again(Option<Duration>),
    /// For good.
    End(EndReason),
}

impl From<EndReason> for Break {
    fn from(reason: EndReason) -> Self {
        Self::End(reason)
    }
}

impl From<Error> for Break {
    fn from(error: Error) -> Self {
        tracing::debug!(%error, "the connection is given up");
        Self::Again(None)
    }
}

impl Actor {
    pub(super) fn new(shared: Arc<Shared>, outbox: Outbox) -> Self {
        Self {
            topic: channel::topic_of(&shared.options.http.store),
            progress: shared.file.as_ref().map(|file| file.progress()),
            shared,
            outbox,
            next_ref: 1,
            join: 0,
            joined: false,
            caught_up: false,
            early: BTreeMap::new(),
            asked: HashMap::new(),
            beat_open: false,
            attempt: 0,
            stuck: (Seq(0), 0),
        }
    }

    /// Runs until the last handle is gone or the server refuses for good.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut reason = self.keep(&mut commands).await;
        if let Some(file) = &self.shared.file {
            match file.close().await {
                Ok(()) => self.outbox.progressed(Ticket::MAX),
                Err(failed) => reason = failed,
            }
        }
        if reason.kind != ErrorKind::Closed {
            tracing::warn!(code = reason.code, "a synced store has ended: {}", reason.detail);
        }
        self.outbox.end(&reason);
        self.shared.end(reason.clone());
        // What was asked for in the meantime.
        commands.close();
        while let Some(command) = commands.recv().await {
            match command {
                Command::Write(_, pending) => pending.refuse(&reason),
                Command::Ask(ask) => self.ask(*ask, None),
                Command::GiveUp(_) | Command::CatchUp | Command::Close => {}
            }
        }
    }

    async fn keep(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> EndReason {
        loop {
            self.shared.set_state(ConnectionState::Connecting);
            let wait = match self.connect(commands).await {
                Break::End(reason) => return reason,
                Break::Again(wait) => wait,
            };
            self.leave();
            self.attempt = self.attempt.saturating_add(1);
            self.shared.set_state(ConnectionState::Waiting);
            let options = &self.shared.options;
            let wait = options.wait(self.attempt) + wait.unwrap_or_default();
            let pass = options.pass(wait);
            if let Err(reason) = self.meanwhile(commands, pass).await {
                return reason;
            }
        }
    }

    /// Takes commands while something else is waited for.
    async fn meanwhile<T>(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        mut future: BoxFuture<'_, T>,
    ) -> Result<T, EndReason> {
        loop {
            tokio::select! {
                done = &mut future => return Ok(done),
                command = commands.recv() => self.command(command, None)?,
                over = file::progressed(&mut self.progress) => self.progressed(over, None)?,
            }
        }
    }

    /// Opens one connection and uses it until it breaks.
    async fn connect(&mut self, commands: &mut mpsc::UnboundedReceiver<Command>) -> Break {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        let dial = async {
            tokio::select! {
                dialled = shared.endpoint.dial(options) => dialled,
                () = options.pass(options.reply_timeout) => Err(Refused::Later(None)),
            }
        };
        let socket = match self.meanwhile(commands, Box::pin(dial)).await {
            Ok(Ok(socket)) => socket,
            Ok(Err(Refused::Later(wait))) => return Break::Again(wait),
            Ok(Err(Refused::Fatal(error))) => return Break::End(EndReason::from(&error)),
            Err(reason) => return Break::End(reason),
        };
        match self.follow(socket, commands).await {
            Err(why) => why,
        }
    }

    async fn follow(
        &mut self,
        mut socket: Socket,
        commands: &mut mpsc::UnboundedReceiver<Command>,
    ) -> Result<Infallible, Break> {
        let shared = Arc::clone(&self.shared);
        let options = &shared.options;
        self.beat_open = false;
        self.join(&socket);
        let mut beat = options.pass(options.heartbeat);
        let mut awaited = self.join;
        let mut patience = options.pass(options.reply_timeout);
        loop {
            tokio::select! {
                frame = socket.next() => {
                    self.beat_open = false;
                    self.frame(&frame?, &socket)?;
                }
                command = commands.recv() => self.command(command, Some(&socket))?,
                over = file::progressed(&mut self.progress) => self.progressed(over, Some(&socket))?,
                () = &mut beat => {
                    if self.beat_open {
                        return Err(lost("the server does not answer").into());
                    }
                    self.beat_open = true;
                    let reference = self.reference();
                    socket.send(&Frame::new(PHOENIX, HEARTBEAT, empty()).reference(reference.to_string()));
                    beat = options.pass(options.heartbeat);
                }
                () = &mut patience, if !self.joined => return Err(lost("the join was not answered").into()),
            }
            if self.join != awaited {
                awaited = self.join;
                patience = options.pass(options.reply_timeout);
            }
        }
    }

    fn reference(&mut self) -> u64 {
        self.next_ref += 2;
        self.next_ref
    }

    /// Forgets what belongs to the join so far.
    fn leave(&mut self) {
        self.joined = false;
        self.caught_up = false;
        self.early.clear();
        for (_, answer) in self.asked.drain() {
            // Whoever does not wait any more does not want to know.
            let _ = answer.send(Err(lost("the connection broke before the answer came")));
        }
    }

    /// Asks for what follows the last op that is known.
    fn join(&mut self, socket: &Socket) {
        self.join = self.reference();
        self.leave();
        let payload = JoinRequest::after(self.shared.applied()).to_payload();
        let join = self.join.to_string();
        let frame = Frame::new(self.topic.clone(), JOIN, payload);
        socket.send(&frame.join_ref(join.clone()).reference(join));
    }

    fn command(&mut self, command: Option<Command>, socket: Option<&Socket>) -> Result<(), EndReason> {
        let live = socket.filter(|_| self.caught_up);
        match command {
            Some(Command::Write(reference, pending)) => {
                self.outbox.insert(reference, *pending, live.is_some());
                if let Some(socket) = live {
                    self.flush(socket);
                }
            }
            Some(Command::GiveUp(reference)) => self.outbox.give_up(reference),
            Some(Command::CatchUp) => {
                if let Some(socket) = live {
                    self.join(socket);
                }
            }
            Some(Command::Ask(ask)) => self.ask(*ask, socket),
            // No handle is left.
            Some(Command::Close) | None => return Err(EndReason::closed()),
        }
        Ok(())
    }

    /// The file has gone on, or is over.
    fn progressed(&mut self, over: Option<EndReason>, socket: Option<&Socket>) -> Result<(), EndReason> {
        if let Some(reason) = over {
            return Err(reason);
        }
        if let Some(progress) = &self.progress {
            let through = progress.borrow().through;
            self.outbox.progressed(through);
        }
        if let Some(socket) = socket.filter(|_| self.caught_up) {
            self.flush(socket);
        }
        Ok(())
    }

    fn ask(&mut self, ask: Ask, socket: Option<&Socket>) {
        let Some(socket) = socket.filter(|_| self.joined) else {
            let reason = self.shared.ended();
            let error = reason.map_or_else(outbox::not_connected, |reason| reason.to_error());
            let _ = ask.answer.send(Err(error));
            return;
        };
        let reference = self.reference();
        let frame = Frame::new(self.topic.clone(), ask.event, ask.payload);
        socket.send(&frame.join_ref(self.join.to_string()).reference(reference.to_string()));
        self.asked.insert(reference, ask.answer);
    }

    /// Sends what was not sent in this join. What the server would end the connection for is refused here: sent again and
    /// again, it would keep everything else from being sent.
    fn flush(&mut self, socket: &Socket) {
        let join = self.join.to_string();
        let bytes_max = self.shared.write_bytes_max.load(Ordering::Relaxed);
        for (reference, event, payload) in self.outbox.unsent(self.join) {
            let frame = Frame::new(self.topic.clone(), event, payload);
            let frame = frame.join_ref(join.clone()).reference(reference.to_string());
            if let Err(bytes) = socket.send_within(&frame, bytes_max) {
                self.outbox.refuse_too_long(reference, bytes, bytes_max);
            }
        }
    }

    fn frame(&mut self, frame: &Frame, socket: &Socket) -> Result<(), Break> {
        // Of an earlier join, or of the connection itself.
        let join = self.join.to_string();
        if frame.topic != self.topic || frame.join_ref.as_ref().is_some_and(|of| *of != join) {
            return Ok(());
        }
        match frame.event.as_str() {
            REPLY => self.reply(frame, socket),
            EVENT => match channel::event_of(&frame.payload) {
                Ok(event) => self.event(event, socket),
                Err(error) => self.stuck(&error, socket),
            },
            SNAPSHOT => match Snapshot::from_payload(&frame.payload) {
                Ok(snapshot) => {
                    self.snapshot(snapshot);
                    Ok(())
                }
                Err(error) => self.stuck(&error, socket),
            },
            CATCH_UP_COMPLETE => self.complete(socket),
            channel::ERROR | CLOSE => Err(lost("the server closed the store's channel").into()),
            _ => Ok(()),
        }
    }

    fn reply(&mut self, frame: &Frame, socket: &Socket) -> Result<(), Break> {
        let Some(reference) = frame.reference.as_ref().and_then(|reference| reference.parse().ok()) else {
            return Ok(());
        };
        let reply = Reply::from_payload(&frame.payload).map_err(|error| Break::from(Error::from(error)))?;
        if let Some(answer) = self.asked.remove(&reference) {
            let _ = answer.send(match reply {
                Reply::Ok(response) => Ok(response),
                Reply::Error(refusal) => Err(refusal.into_error()),
            });
            return Ok(());
        }
        if reference != self.join {
            self.outbox.reply(reference, reply);
            return Ok(());
        }
        match reply {
            Reply::Ok(response) => {
                let joined = JoinReply::from_response(&response).map_err(|error| Break::from(Error::from(error)))?;
                self.joined = true;
                let is_another = self.shared.is_another(&joined);
                if is_another {
                    tracing::warn!(store = joined.store_id, head = %joined.store_seq, "the store is not the one it was");
                    // First, so that a file has no leaves of one store under the id of another.
                    self.shared.restart();
                }
                self.shared.set_joined(joined);
                if is_another {
                    self.join(socket);
                    return Ok(());
                }
                self.shared.set_state(ConnectionState::CatchingUp);
                Ok(())
            }
            Reply::Error(refusal) => match Refused::of(refusal.into_error()) {
                Refused::Fatal(error) => Err(Break::End(EndReason::from(&error))),
                Refused::Later(wait) => Err(Break::Again(wait)),
            },
        }
    }

    fn event(&mut self, mut event: Event, socket: &Socket) -> Result<(), Break> {
        let op_id = event.op_id.clone();
        unnamed::strip(&mut event);
        let event = Early {
            event: Arc::new(event),
            op_id,
        };
        self.committed(event, socket)
    }

    fn committed(&mut self, early: Early, socket: &Socket) -> Result<(), Break> {
        let event = &early.event;
        let applied = self.shared.applied();
        if event.seq <= applied {
            return Ok(());
        }
        if event.seq.0 == applied.0 + 1 {
            return self.apply(&early, socket);
        }
        if self.caught_up {
            // A gap: ask for what is missing.
            tracing::debug!(%applied, seq = %event.seq, "events are missing");
            return self.progress(socket);
        }
        // Live events may overtake those of the past.
        if self.early.len() < EARLY_MAX {
            self.early.insert(event.seq, early);
        }
        Ok(())
    }

    fn apply(&mut self, early: &Early, socket: &Socket) -> Result<(), Break> {
        let Early { event, op_id } = early;
        let is_own = event.device == self.shared.device;
        let settled = is_own.then(|| self.outbox.echoed(op_id.as_ref(), event)).flatten();
        if let Err(error) = self.shared.apply(op_id.as_ref(), event, settled) {
            return self.stuck(&error, socket);
        }
        if let Some(reference) = settled {
            self.outbox.echo(reference);
        }
        Ok(())
    }

    fn snapshot(&mut self, snapshot: Snapshot) {
        if snapshot.seq > self.shared.applied() {
            let replica = Replica::of(snapshot.entries, snapshot.has_revisions);
            self.shared.reset(replica, snapshot.seq);
        }
    }

    /// The past is whole.
    fn complete(&mut self, socket: &Socket) -> Result<(), Break> {
        for early in std::mem::take(&mut self.early).into_values() {
            let applied = self.shared.applied();
            let seq = early.event.seq;
            if seq.0 == applied.0 + 1 {
                self.apply(&early, socket)?;
            } else if seq > applied {
                return self.progress(socket);
            }
        }
        self.caught_up = true;
        self.attempt = 0;
        self.outbox.answer_echoed_before(self.join);
        if !self.shared.op_ids.load(Ordering::Relaxed) {
            self.outbox.give_up_sent_before(self.join);
        }
        let reference = self.reference().to_string();
        let ack = Value::map([("seq", Value::from(self.shared.applied().0))]);
        let frame = Frame::new(self.topic.clone(), ACK_SEQ, ack);
        socket.send(&frame.join_ref(self.join.to_string()).reference(reference));
        self.flush(socket);
        self.shared.set_state(ConnectionState::Live);
        Ok(())
    }

    /// Joins again, unless that has not helped.
    fn progress(&mut self, socket: &Socket) -> Result<(), Break> {
        let applied = self.shared.applied();
        self.stuck = match self.stuck {
            (at, times) if at == applied => (at, times + 1),
            _ => (applied, 1),
        };
        if self.stuck.1 > 1 {
            // Not at once, the second time.
            return Err(Break::Again(None));
        }
        self.join(socket);
        Ok(())
    }

    /// What the server told is unusable: ask again from the last good op, but not forever.
    fn stuck(&mut self, error: &dyn std::error::Error, socket: &Socket) -> Result<(), Break> {
        tracing::warn!(%error, "an event is not readable");
        if self.stuck.1 >= STUCK_MAX && self.stuck.0 == self.shared.applied() {
            return Err(Break::End(EndReason {
                kind: ErrorKind::Http,
                code: "unreadable_event".to_owned(),
                detail: format!("the event after {} is not readable", self.stuck.0),
            }));
        }
        self.progress(socket)
    }
}

fn empty() -> Value {
    Value::map::<&str>([])
}
