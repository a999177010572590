//! A server of channels over the model of a store, whose connections a test can cut, hold and bend.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dust_transport::channel::{
    self, BATCH, BatchReply, BatchRequest, CATCH_UP_COMPLETE, CatchUpComplete, Codec, EVENT, Encoded, FRAME_BYTES_MAX,
    Frame, HEARTBEAT, JOIN, JoinReply, JoinRequest, PUT_FILE, Permissions, Refusal, Reply, SNAPSHOT, STATUS, Snapshot,
    StatusReply, StoreAccess, WRITE, WriteReply, WriteRequest,
};
use dust_transport::error::Error;
use dust_transport::model::{Batch, DeviceId, Event, Pattern, Seq, Value};
use dust_transport::transport::{List, Signal, Start, Subscribe, Transport as _};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use crate::model::Model;

const BYTES_MAX: usize = 64 << 20;

/// What the server does that a good one does not.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    /// Answers the next handshakes with this status.
    pub(crate) refuse_with: Mutex<Option<u16>>,
    /// Answers joins with this reason.
    pub(crate) refuse_join: Mutex<Option<String>>,
    /// Answers a write only by its event.
    pub(crate) keep_replies: AtomicBool,
    /// Reads writes, and neither commits nor answers them.
    pub(crate) drop_writes: AtomicBool,
    /// Commits a write, and breaks the connection instead of answering.
    pub(crate) cut_after_commit: AtomicBool,
    /// Does not tell this op live, nor what would show that it is missing until the next one.
    pub(crate) skip_live: AtomicU64,
    /// Says nothing at all, heartbeats included.
    pub(crate) mute: AtomicBool,
    /// Tells the leaves, and not the ops that led to them.
    pub(crate) cut_log: AtomicBool,
    /// Tells that it takes no longer frames, and takes none.
    pub(crate) frame_bytes_max: Mutex<Option<usize>>,
}

impl Faults {
    fn is_too_long(&self, frame: &Frame) -> bool {
        let bytes = match Codec::Json.encode(frame) {
            Encoded::Text(text) => text.len(),
            Encoded::Binary(bytes) => bytes.len(),
        };
        bytes > self.frame_bytes_max.lock().unwrap().unwrap_or(FRAME_BYTES_MAX)
    }
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) model: Arc<Model>,
    pub(crate) faults: Arc<Faults>,
    /// Cuts every connection.
    cut: broadcast::Sender<()>,
    /// How many connections were opened.
    pub(crate) connections: watch::Sender<usize>,
    /// The frames that clients sent.
    pub(crate) seen: Arc<Mutex<Vec<Frame>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = self.cut.send(());
    }
}

/// What a connection needs of the server.
#[derive(Clone)]
struct Context {
    model: Arc<Model>,
    faults: Arc<Faults>,
    cut: broadcast::Sender<()>,
    connections: watch::Sender<usize>,
    seen: Arc<Mutex<Vec<Frame>>>,
    extensions: Vec<String>,
}

impl Server {
    /// A server of this house over an empty store.
    pub(crate) async fn start() -> Self {
        Self::with_extensions([channel::EXTENSION_BATCH, channel::EXTENSION_OP_IDS]).await
    }

    pub(crate) async fn with_extensions<const N: usize>(extensions: [&str; N]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let context = Context {
            model: Arc::new(Model::new(None)),
            faults: Arc::default(),
            cut: broadcast::Sender::new(16),
            connections: watch::Sender::new(0),
            seen: Arc::default(),
            extensions: extensions.map(str::to_owned).into(),
        };
        let of = context.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, of.clone()));
            }
        });
        Self {
            address,
            model: context.model,
            faults: context.faults,
            cut: context.cut,
            connections: context.connections,
            seen: context.seen,
            accepting,
        }
    }

    pub(crate) fn cut(&self) {
        let _ = self.cut.send(());
    }

    /// The frames of one kind that clients sent.
    pub(crate) fn sent(&self, event: &str) -> Vec<Frame> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.iter().filter(|frame| frame.event == event).cloned().collect()
    }
}

async fn serve(stream: TcpStream, context: Context) {
    let codec = Arc::new(Mutex::new(Codec::Json));
    let chosen = Arc::clone(&codec);
    let device = Arc::new(Mutex::new(None));
    let named = Arc::clone(&device);
    let refused = *context.faults.refuse_with.lock().unwrap();
    #[expect(clippy::result_large_err, reason = "the signature of the library")]
    let check = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        let query = request.uri().query().unwrap_or_default();
        let id = query.split('&').find_map(|pair| pair.strip_prefix("device_id="));
        *named.lock().unwrap() = id.and_then(|id| DeviceId::new(id).ok());
        if query.contains("vsn=3.0.0") {
            *chosen.lock().unwrap() = Codec::MessagePack;
        }
        match refused.or((!query.contains("token=secret")).then_some(403)) {
            Some(status) => {
                let mut refusal = ErrorResponse::new(None);
                *refusal.status_mut() = status.try_into().unwrap();
                Err(refusal)
            }
            None => Ok(response),
        }
    };
    let mut cut = context.cut.subscribe();
    context.connections.send_modify(|count| *count += 1);
    let Ok(socket) = tokio_tungstenite::accept_hdr_async(stream, check).await else {
        return;
    };
    let codec = *codec.lock().unwrap();
    let (mut sink, mut messages) = socket.split();
    let (out, mut queue) = mpsc::unbounded_channel::<Frame>();
    let mute = Arc::clone(&context.faults);
    let writer = tokio::spawn(async move {
        while let Some(frame) = queue.recv().await {
            if mute.mute.load(Ordering::Relaxed) {
                continue;
            }
            let message = match codec.encode(&frame) {
                Encoded::Text(text) => Message::text(text),
                Encoded::Binary(bytes) => Message::binary(bytes),
            };
            if sink.send(message).await.is_err() {
                return;
            }
        }
    });
    let mut feed: Option<tokio::task::JoinHandle<()>> = None;
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            _ = cut.recv() => break,
        };
        let frame = match message {
            Some(Ok(Message::Text(text))) => codec.decode_text(&text, BYTES_MAX).unwrap(),
            Some(Ok(Message::Binary(bytes))) => codec.decode_binary(&bytes, BYTES_MAX).unwrap(),
            Some(Ok(_)) => continue,
            Some(Err(_)) | None => break,
        };
        if context.faults.is_too_long(&frame) {
            break;
        }
        context.seen.lock().unwrap().push(frame.clone());
        match frame.event.as_str() {
            HEARTBEAT => drop(out.send(frame.answer(&Reply::Ok(Value::map::<&str>([]))))),
            JOIN => {
                if let Some(feed) = feed.take() {
                    feed.abort();
                }
                feed = join(&frame, &context, &out, device.lock().unwrap().clone().unwrap());
            }
            STATUS => drop(out.send(frame.answer(&status()))),
            WRITE | BATCH | PUT_FILE => {
                if context.faults.drop_writes.load(Ordering::Relaxed) {
                    continue;
                }
                let reply = commit(&frame, &context.model).await;
                if context.faults.cut_after_commit.swap(false, Ordering::Relaxed) {
                    break;
                }
                if !context.faults.keep_replies.load(Ordering::Relaxed) {
                    let _ = out.send(frame.answer(&reply));
                }
            }
            _ => {}
        }
    }
    if let Some(feed) = feed {
        feed.abort();
    }
    writer.abort();
}

fn status() -> Reply {
    let status = StatusReply {
        current_seq: Seq(7),
        ..StatusReply::default()
    };
    Reply::Ok(status.to_response())
}

async fn commit(frame: &Frame, model: &Model) -> Reply {
    let refuse = |error: &Error| Reply::Error(Box::new(Refusal::of_batch(error)));
    let batch = if frame.event == BATCH {
        BatchRequest::from_payload(&frame.payload).unwrap().batch()
    } else {
        let request = WriteRequest::from_payload(&frame.payload).unwrap();
        request.op().and_then(|op| {
            let id = request.op_id()?;
            Ok(Batch { ops: vec![op], id })
        })
    };
    let batch = match batch {
        Ok(batch) => batch,
        Err(error) => return refuse(&error),
    };
    match model.write(batch).await {
        Ok(written) if frame.event == BATCH => Reply::Ok(BatchReply::from(written).to_response()),
        Ok(written) => Reply::Ok(WriteReply::of(&written).to_response()),
        Err(error) => refuse(&error),
    }
}

/// An event as one of the client's own, whose writes all have op ids; those of the test have none, and are another's.
fn event_frame(topic: &str, event: &Event, device: &DeviceId) -> Frame {
    let mut event = event.clone();
    if event.op_id.is_some() {
        event.device = device.clone();
    }
    Frame::new(topic, EVENT, channel::event_payload(&event))
}

/// Answers a join, and tells what follows.
fn join(
    frame: &Frame,
    context: &Context,
    out: &mpsc::UnboundedSender<Frame>,
    device: DeviceId,
) -> Option<tokio::task::JoinHandle<()>> {
    if let Some(reason) = context.faults.refuse_join.lock().unwrap().clone() {
        let _ = out.send(frame.answer(&Reply::Error(Box::new(Refusal::new(reason)))));
        return None;
    }
    let last = JoinRequest::from_payload(&frame.payload).unwrap().last_seq().unwrap();
    let (out, model, faults) = (out.clone(), Arc::clone(&context.model), Arc::clone(&context.faults));
    let (topic, join_ref) = (frame.topic.clone(), frame.join_ref.clone().unwrap());
    let head = context.model.head();
    let last = last.min(head);
    let reply = JoinReply {
        store_seq: head,
        capver: 3,
        capver_min: 3,
        permissions: Permissions {
            read: true,
            write: true,
        },
        scopes: vec!["entries:read".to_owned(), "entries:write".to_owned()],
        store_access: StoreAccess {
            mode: "all".to_owned(),
            store_ids: Vec::new(),
        },
        extensions: context.extensions.clone(),
        store_id: None,
        frame_bytes_max: *context.faults.frame_bytes_max.lock().unwrap(),
    };
    let _ = out.send(frame.answer(&Reply::Ok(reply.to_response())));
    Some(tokio::spawn(async move {
        let mut last = last;
        if faults.cut_log.load(Ordering::Relaxed) {
            let all = List::pattern(Pattern::default()).limit(1000);
            let snapshot = Snapshot {
                seq: model.head(),
                entries: model.list(&all).await.unwrap().items.into_entries(),
                has_revisions: true,
            };
            last = snapshot.seq;
            let frame = Frame::new(topic.clone(), SNAPSHOT, snapshot.to_payload());
            let _ = out.send(frame.join_ref(join_ref.clone()));
        }
        let subscribe = Subscribe::pattern(Pattern::default()).start(Start::After(last));
        let mut events = model.subscribe(subscribe).await.unwrap();
        while let Some(signal) = events.next().await {
            let frame = match signal.unwrap() {
                Signal::Event(event) if event.seq.0 == faults.skip_live.load(Ordering::Relaxed) => {
                    faults.skip_live.store(0, Ordering::Relaxed);
                    continue;
                }
                Signal::Event(event) => event_frame(&topic, &event, &device),
                Signal::CaughtUp { through: Seq(through) } => {
                    let done = CatchUpComplete {
                        through_seq: Value::from(through),
                    };
                    let frame = Frame::new(topic.clone(), CATCH_UP_COMPLETE, done.to_payload());
                    frame.join_ref(join_ref.clone())
                }
                other => panic!("{other:?}"),
            };
            if out.send(frame).is_err() {
                return;
            }
        }
    }))
}
