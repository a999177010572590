//! One socket from its first frame to its last.
//!
//! A socket is one task, and does everything in turns: it reads a frame, starts what it asks for, sends what is done and what
//! is committed. Nothing in it waits for the other side to read, so nothing that it holds is held longer than its work takes.

use std::collections::VecDeque;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Bytes;
use dust_transport::channel::{
    ACK_SEQ, BATCH, Frame, FrameError, HEARTBEAT, JOIN, LEAVE, PHOENIX, Refusal, Reply, WRITE,
};
use dust_transport::model::Value;
use futures_core::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, Stream as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Message, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as SocketError, error::CapacityError};

use super::client::{Client, refusal};
use super::close::Close;
use super::push;
use super::subscription::{Lost, Subscription};
use super::wire::{Wire, closing, encoded};
use crate::Timestamp;
use crate::notice::Listener;

/// How many bytes may wait to be sent before no more are made.
const QUEUED_BYTES_MAX: usize = 64 << 10;

/// How many bytes of requests may be under way.
const WORK_BYTES_MAX: usize = 16 << 20;

/// How much is read at once; an idle socket holds a buffer of this size.
const READ_BYTES: usize = 4 << 10;

/// What has been made of a request.
pub(super) struct Answer {
    /// The frame of the reply.
    pub(super) reply: Bytes,
    /// The op that was committed; its event is sent before the reply, to who gets it live.
    pub(super) echo: Option<Echo>,
    pub(super) change: Change,
}

/// An event of a joined topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Echo {
    /// The join.
    pub(super) subscription: u64,
    pub(super) seq: u64,
}

/// What an answer changes in the topics that are joined.
pub(super) enum Change {
    None,
    Join(Box<Subscription>),
    Leave(u64),
}

/// A request under way, with its size.
pub(super) type Work = BoxFuture<'static, Answer>;

pub(super) struct Session<T> {
    client: Arc<Client>,
    socket: WebSocketStream<Wire<T>>,
    topics: Vec<Subscription>,
    joins: u64,
    /// The requests under way, in the order in which they came.
    work: FuturesOrdered<Work>,
    /// Their sizes, in the same order.
    sizes: VecDeque<usize>,
    work_bytes: usize,
    /// A request that begins when those before it are done.
    held: Option<(Frame, usize)>,
    /// Whether the request under way is one that those after it wait for.
    is_exclusive: bool,
    /// Answers that wait for their echo.
    answers: VecDeque<Answer>,
    listener: Listener,
    is_stopping: bool,
    heard_at: Instant,
    timer: Pin<Box<Sleep>>,
    frames: Vec<Bytes>,
}

/// Speaks with a client until either side ends it.
pub(super) async fn run(upgraded: Upgraded, client: Arc<Client>, listener: Listener) {
    let config = &client.shared.config.channels;
    let settings = WebSocketConfig::default()
        .read_buffer_size(READ_BYTES)
        .max_message_size(Some(config.frame_bytes_max))
        .max_frame_size(Some(config.frame_bytes_max));
    let wire = Wire::new(TokioIo::new(upgraded));
    let socket = WebSocketStream::from_raw_socket(wire, Role::Server, Some(settings)).await;
    Session::new(socket, client, listener).run().await;
}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Session<T> {
    fn new(socket: WebSocketStream<Wire<T>>, client: Arc<Client>, listener: Listener) -> Self {
        let now = Instant::now();
        Self {
            timer: Box::pin(sleep_until(now)),
            is_stopping: client.shared.channels.is_stopping(),
            client,
            socket,
            topics: Vec::new(),
            joins: 0,
            work: FuturesOrdered::new(),
            sizes: VecDeque::new(),
            work_bytes: 0,
            held: None,
            is_exclusive: false,
            answers: VecDeque::new(),
            listener,
            heard_at: now,
            frames: Vec::new(),
        }
    }

    async fn run(mut self) {
        let close = poll_fn(|cx| self.poll(cx)).await;
        // Nobody waits for the end of the connection.
        let counts = &self.client.shared.channels.counts;
        self.topics.drain(..).for_each(|_| counts.left());
        tracing::debug!(device = %self.client.device, reason = close.reason(), "a socket ends");
        if close == Close::Slow {
            self.client.shared.channels.counts.slow();
        }
        if let Some(code) = close.code() {
            let reason = close.reason().into();
            self.wire().push(closing(CloseFrame { code, reason }));
        }
        let grace = self.client.shared.config.channels.close_grace;
        // The other side may be gone, or read no more; nothing is lost that it could still get.
        let _ = timeout(grace, self.part(close)).await;
    }

    /// Sends what waits, and the end; then reads until the other side ends, too, lest the system takes back what was sent.
    async fn part(&mut self, close: Close) -> std::io::Result<()> {
        if close == Close::Gone {
            return Ok(());
        }
        let wire = self.socket.get_mut();
        wire.shutdown().await?;
        // Not in the task, which would be so much larger all the time.
        let mut rest = vec![0; READ_BYTES];
        while wire.read(&mut rest).await? > 0 {}
        Ok(())
    }

    fn wire(&mut self) -> &mut Wire<T> {
        self.socket.get_mut()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        if self.listener.poll(cx)
            && let Err(close) = self.look_around()
        {
            return Poll::Ready(close);
        }
        loop {
            match self.turn(cx) {
                Ok(true) => {}
                Ok(false) => break,
                Err(close) => return Poll::Ready(close),
            }
        }
        if self.is_stopping && self.is_idle() {
            return Poll::Ready(Close::Restart);
        }
        while self.timer.as_mut().poll(cx).is_ready() {
            match self.next_check() {
                Ok(at) => self.timer.as_mut().reset(at),
                Err(close) => return Poll::Ready(close),
            }
        }
        Poll::Pending
    }

    /// Does whatever can be done now; says whether that was anything.
    fn turn(&mut self, cx: &mut Context<'_>) -> Result<bool, Close> {
        let mut has_moved = self.poll_work(cx);
        has_moved |= self.answer();
        has_moved |= self.poll_topics(cx)?;
        has_moved |= self.answer();
        let had_room = self.has_room();
        if let Poll::Ready(Err(_)) = self.wire().poll_drain(cx) {
            return Err(Close::Gone);
        }
        // What waited for room goes on at once: with nothing left to send, nothing else would wake this task.
        has_moved |= !had_room && self.has_room();
        has_moved |= self.start_held();
        if self.may_read() {
            has_moved |= self.poll_read(cx)?;
        }
        Ok(has_moved)
    }

    /// Whether everything that was asked for has been answered.
    fn is_idle(&self) -> bool {
        self.work.is_empty()
            && self.held.is_none()
            && self.answers.is_empty()
            && self.socket.get_ref().queued_bytes() == 0
    }

    fn has_room(&self) -> bool {
        self.socket.get_ref().queued_bytes() < QUEUED_BYTES_MAX
    }

    fn may_read(&self) -> bool {
        let config = &self.client.shared.config.channels;
        let under_way = self.work.len() + self.answers.len();
        !self.is_stopping
            && !self.is_exclusive
            && self.held.is_none()
            && under_way < config.requests_in_flight_max
            && self.work_bytes < WORK_BYTES_MAX
            && self.has_room()
    }

    fn poll_work(&mut self, cx: &mut Context<'_>) -> bool {
        let mut has_moved = false;
        while let Poll::Ready(Some(answer)) = pin!(&mut self.work).poll_next(cx) {
            self.answers.push_back(answer);
            self.work_bytes -= self.sizes.pop_front().unwrap_or_default();
            has_moved = true;
        }
        if has_moved && self.work.is_empty() {
            self.is_exclusive = false;
        }
        has_moved
    }

    /// Sends the answers whose events have been sent.
    fn answer(&mut self) -> bool {
        let mut has_moved = false;
        while let Some(answer) = self.answers.front() {
            let waits = answer.echo.is_some_and(|echo| {
                let joined = self.topics.iter().find(|joined| joined.id == echo.subscription);
                joined
                    .and_then(Subscription::live_seq)
                    .is_some_and(|seq| seq < echo.seq)
            });
            if waits {
                break;
            }
            let Some(answer) = self.answers.pop_front() else { break };
            self.wire().push(answer.reply);
            self.apply(answer.change);
            has_moved = true;
        }
        has_moved
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::None => {}
            Change::Join(joined) => {
                // A second join of a topic takes the place of the first.
                let before = self.topics.iter().position(|other| other.topic == joined.topic);
                if let Some(before) = before.map(|index| self.topics.swap_remove(index)) {
                    self.wire().push(before.closed());
                    self.client.shared.channels.counts.left();
                }
                self.client.shared.channels.counts.joined();
                self.topics.push(*joined);
                // An end that is known of is not waited for.
                self.timer.as_mut().reset(Instant::now());
            }
            Change::Leave(id) => {
                if let Some(index) = self.topics.iter().position(|joined| joined.id == id) {
                    let left = self.topics.swap_remove(index);
                    self.wire().push(left.closed());
                    self.client.shared.channels.counts.left();
                }
            }
        }
    }

    /// Takes what is there for the joined topics, as much as there is room for.
    fn poll_topics(&mut self, cx: &mut Context<'_>) -> Result<bool, Close> {
        // What a token may no longer see is not sent, even if nobody has said so yet.
        self.check_token()?;
        let mut told = 0;
        let mut has_moved = false;
        for index in 0..self.topics.len() {
            loop {
                let has_room = self.has_room();
                let Some(joined) = self.topics.get_mut(index) else {
                    break;
                };
                if !has_room {
                    // The store goes on meanwhile, and may leave it behind.
                    joined.poll_lag(cx).map_err(|Lost::Slow| Close::Slow)?;
                    break;
                }
                match joined.poll_next(&mut self.frames, cx) {
                    Poll::Pending => break,
                    Poll::Ready(Err(Lost::Slow)) => return Err(Close::Slow),
                    Poll::Ready(Ok(events)) => told += events,
                }
                has_moved = true;
                for frame in self.frames.drain(..) {
                    self.socket.get_mut().push(frame);
                }
            }
        }
        if told > 0 {
            self.client.shared.channels.counts.told(told);
        }
        if has_moved {
            let before = self.topics.len();
            self.topics.retain(|joined| !joined.has_failed());
            (self.topics.len()..before).for_each(|_| self.client.shared.channels.counts.left());
        }
        Ok(has_moved)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Close> {
        let message = match Pin::new(&mut self.socket).poll_next(cx) {
            Poll::Pending => return Ok(false),
            Poll::Ready(message) => message,
        };
        self.heard_at = Instant::now();
        let bytes_max = self.client.shared.config.channels.frame_bytes_max;
        let codec = self.client.codec;
        let (frame, bytes) = match message {
            Some(Ok(Message::Text(text))) => (codec.decode_text(&text, bytes_max), text.len()),
            Some(Ok(Message::Binary(bytes))) => (codec.decode_binary(&bytes, bytes_max), bytes.len()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(true),
            // It has been answered.
            Some(Ok(Message::Close(_))) => return Err(Close::Asked),
            Some(Err(error)) => return Err(end_of(&error)),
            None => return Err(Close::Gone),
        };
        self.check_token()?;
        match frame {
            Ok(frame) => self.receive(frame, bytes),
            Err(error) => self.refuse_frame(error),
        }
        Ok(true)
    }

    /// A message that is no frame: who sent it is told, and nobody else is harmed.
    fn refuse_frame(&mut self, error: FrameError) {
        let mut message = error.to_string();
        let (head, reason) = match error {
            FrameError::Payload { head, source } => {
                // Which value it is that does not read, nobody could guess.
                message = format!("{message}: {source}");
                (*head, "invalid_payload")
            }
            _ => (Frame::new(PHOENIX, "", Value::null()), "malformed_frame"),
        };
        let refusal = Refusal {
            message: Some(message),
            ..Refusal::new(reason)
        };
        let reply = encoded(self.client.codec, &head.answer(&Reply::Error(Box::new(refusal))));
        self.later(reply, Change::None);
    }

    fn receive(&mut self, frame: Frame, bytes: usize) {
        if frame.topic == PHOENIX && frame.event == HEARTBEAT {
            // At once: it says that the socket lives, not that its requests are done.
            let mut answer = frame.answer(&Reply::Ok(Value::map::<&str>([])));
            answer.join_ref = None;
            let reply = encoded(self.client.codec, &answer);
            self.wire().push(reply);
            return;
        }
        let is_pipelined = matches!(frame.event.as_str(), WRITE | BATCH | ACK_SEQ);
        if is_pipelined || self.work.is_empty() && self.answers.is_empty() {
            self.is_exclusive = !is_pipelined;
            self.start(frame, bytes);
        } else {
            self.held = Some((frame, bytes));
        }
    }

    fn start_held(&mut self) -> bool {
        if !self.work.is_empty() || !self.answers.is_empty() {
            return false;
        }
        let Some((frame, bytes)) = self.held.take() else {
            return false;
        };
        self.is_exclusive = true;
        self.start(frame, bytes);
        true
    }

    fn start(&mut self, frame: Frame, bytes: usize) {
        if frame.event == JOIN {
            self.joins += 1;
            let join = push::join(Arc::clone(&self.client), frame, self.joins);
            return self.begin(Box::pin(join), bytes);
        }
        let joined = self.topics.iter().find(|joined| joined.topic == frame.topic);
        let Some(joined) = joined else {
            let reply = match frame.event.as_str() {
                LEAVE => Reply::Ok(Value::map::<&str>([])),
                _ => Reply::Error(refusal("unmatched topic")),
            };
            let mut answer = frame.answer(&reply);
            answer.join_ref = None;
            let reply = encoded(self.client.codec, &answer);
            return self.later(reply, Change::None);
        };
        if frame.join_ref != joined.join_ref {
            // It was meant for a join that is over.
            self.is_exclusive &= !self.work.is_empty();
            return;
        }
        if frame.event == LEAVE {
            let reply = encoded(self.client.codec, &frame.answer(&Reply::Ok(Value::map::<&str>([]))));
            let id = joined.id;
            return self.later(reply, Change::Leave(id));
        }
        let work = push::answer(joined, frame);
        self.begin(work, bytes);
    }

    fn begin(&mut self, work: Work, bytes: usize) {
        self.work.push_back(work);
        self.sizes.push_back(bytes);
        self.work_bytes += bytes;
    }

    /// Answers after what is under way.
    fn later(&mut self, reply: Bytes, change: Change) {
        let answer = Answer {
            reply,
            echo: None,
            change,
        };
        self.begin(Box::pin(std::future::ready(answer)), 0);
    }

    /// Something has changed: the server stops, or the token or a store may be gone.
    fn look_around(&mut self) -> Result<(), Close> {
        self.is_stopping |= self.client.shared.channels.is_stopping();
        if self.client.shared.control.token(self.client.token.id).is_none() {
            return Err(Close::Unauthorized);
        }
        self.check_stores();
        self.check_token()
    }

    fn check_token(&self) -> Result<(), Close> {
        match self.client.token.expires_at {
            Some(end) if end <= self.client.shared.control.now() => Err(Close::Unauthorized),
            _ => Ok(()),
        }
    }

    /// Ends the events of stores that can no longer be reached.
    fn check_stores(&mut self) {
        let control = &self.client.shared.control;
        for joined in &mut self.topics {
            if !control.is_active(joined.at.store.id)
                && let Some(frame) = joined.close()
            {
                self.socket.get_mut().push(frame);
            }
        }
    }

    /// Ends what is overdue, and says when to look again.
    fn next_check(&mut self) -> Result<Instant, Close> {
        let config = &self.client.shared.config.channels;
        let (idle_timeout, expiry_check) = (config.idle_timeout, config.expiry_check);
        let now = Instant::now();
        if !self.may_read() {
            // Who is not listened to is not idle.
            self.heard_at = now;
        }
        let stuck_since = self.socket.get_ref().stuck_since();
        let idle_at = self.heard_at + idle_timeout;
        if idle_at <= now {
            return Err(Close::Idle);
        }
        let stuck_at = stuck_since.map(|since| since + idle_timeout);
        if stuck_at.is_some_and(|at| at <= now) {
            return Err(Close::Gone);
        }
        let mut at = stuck_at.map_or(idle_at, |stuck_at| stuck_at.min(idle_at));
        let ends: Option<Timestamp> = self.client.token.expires_at;
        if ends.is_some() || self.topics.iter().any(|joined| joined.at.store.expires_at.is_some()) {
            self.check_stores();
            self.check_token()?;
            at = at.min(now + expiry_check);
        }
        Ok(at)
    }
}

/// What to say to a client whose bytes do not read as messages.
fn end_of(error: &SocketError) -> Close {
    match error {
        SocketError::Capacity(CapacityError::MessageTooLong { .. }) => Close::TooLarge,
        SocketError::Utf8(_) => Close::NotText,
        SocketError::Protocol(_) => Close::Protocol,
        _ => Close::Gone,
    }
}

impl<T> Drop for Session<T> {
    fn drop(&mut self) {
        let counts = &self.client.shared.channels.counts;
        self.topics.drain(..).for_each(|_| counts.left());
    }
}
