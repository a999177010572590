//! A client of channels: frames as JSON, over either codec.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use dust_transport::channel::{Codec, Encoded, Frame};
use dust_transport::model::Value as Payload;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) struct Socket {
    pub(crate) stream: WebSocketStream<TcpStream>,
    pub(crate) codec: Codec,
    /// What was heard before it was asked for.
    heard: VecDeque<Got>,
    beats: u64,
    joins: u64,
}

/// What a socket got.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Got {
    Frame(Value),
    /// The code and the reason; 0 without a frame that says so.
    Closed(u16, String),
}

/// A frame as JSON.
fn shown(frame: &Frame) -> Value {
    let payload: Value = serde_json::from_str(frame.payload.json()).unwrap();
    json!([frame.join_ref, frame.reference, frame.topic, frame.event, payload])
}

/// A frame of JSON.
pub(crate) fn frame_of(value: &Value) -> Frame {
    let text = |index: usize| value[index].as_str().map(str::to_owned);
    Frame {
        join_ref: text(0),
        reference: text(1),
        topic: text(2).unwrap_or_default(),
        event: text(3).unwrap_or_default(),
        payload: Payload::from_json(&value[4].to_string()).unwrap(),
    }
}

impl Socket {
    /// Asks for a socket; the status if it is refused.
    pub(crate) async fn ask(target: &str, headers: &[(&str, &str)], to: SocketAddr) -> Result<Self, (u16, Vec<u8>)> {
        let mut request = format!("ws://{to}{target}").into_client_request().unwrap();
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).unwrap();
            request
                .headers_mut()
                .insert(name, HeaderValue::from_str(value).unwrap());
        }
        let stream = TcpSocket::new_v4().unwrap();
        // A small one, so that who does not read is soon noticed.
        stream.set_recv_buffer_size(64 << 10).unwrap();
        let stream = stream.connect(to).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let config = WebSocketConfig::default()
            .read_buffer_size(16 << 10)
            .max_message_size(None)
            .max_frame_size(None);
        let codec = if target.contains("vsn=3.0.0") {
            Codec::MessagePack
        } else {
            Codec::Json
        };
        match tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await {
            Ok((stream, _)) => Ok(Self {
                stream,
                codec,
                heard: VecDeque::new(),
                beats: 0,
                joins: 0,
            }),
            Err(Error::Http(response)) => {
                let status = response.status().as_u16();
                Err((status, response.into_body().unwrap_or_default()))
            }
            Err(error) => panic!("{target}: {error}"),
        }
    }

    pub(crate) async fn connect(to: SocketAddr, token: &str, device: &str, codec: Codec) -> Self {
        let vsn = codec.version();
        let target = format!("/ws/sync/websocket?token={token}&device_id={device}&capver=3&vsn={vsn}");
        Self::ask(&target, &[], to)
            .await
            .map_err(|refused| refused.0)
            .expect("a socket")
    }

    pub(crate) async fn send(&mut self, message: Message) {
        self.stream.send(message).await.unwrap();
    }

    /// Sends a frame of five items.
    pub(crate) async fn say(&mut self, frame: &Value) {
        let message = self.message(frame);
        self.send(message).await;
    }

    pub(crate) fn message(&self, frame: &Value) -> Message {
        match self.codec.encode(&frame_of(frame)) {
            Encoded::Text(text) => Message::text(text),
            Encoded::Binary(bytes) => Message::binary(bytes),
        }
    }

    /// Waits until something more has come, which `next` gives in its turn.
    ///
    /// What others write comes when it comes: without this, the answer to what is sent here may be before it.
    pub(crate) async fn hear(&mut self) {
        let got = self.receive().await;
        self.heard.push_back(got);
    }

    /// The next frame, or the end.
    pub(crate) async fn next(&mut self) -> Got {
        match self.heard.pop_front() {
            Some(got) => got,
            None => self.receive().await,
        }
    }

    async fn receive(&mut self) -> Got {
        loop {
            let next = timeout(PATIENCE, self.stream.next()).await.expect("a frame");
            let frame = match next {
                Some(Ok(Message::Text(text))) => Codec::Json.decode_text(&text, usize::MAX),
                Some(Ok(Message::Binary(bytes))) => Codec::MessagePack.decode_binary(&bytes, usize::MAX),
                Some(Ok(Message::Close(Some(close)))) => {
                    return Got::Closed(close.code.into(), close.reason.as_str().to_owned());
                }
                Some(Ok(Message::Close(None)) | Err(_)) | None => return Got::Closed(0, String::new()),
                Some(Ok(_)) => continue,
            };
            return Got::Frame(shown(&frame.unwrap()));
        }
    }

    pub(crate) async fn frame(&mut self) -> Value {
        match self.next().await {
            Got::Frame(frame) => frame,
            closed @ Got::Closed(..) => panic!("{closed:?}"),
        }
    }

    /// What came before now: everything up to the answer to a heartbeat.
    pub(crate) async fn rest(&mut self) -> Vec<Value> {
        self.beats += 1;
        let beat = format!("beat-{}", self.beats);
        let beat_frame = self.message(&json!([null, beat, "phoenix", "heartbeat", {}]));
        // An error is a socket that has been closed, which is heard of below.
        let _ = self.stream.send(beat_frame).await;
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Got::Frame(frame) if frame[1] == beat.as_str() => return frames,
                Got::Frame(frame) => frames.push(frame),
                Got::Closed(code, reason) => {
                    frames.push(json!({ "closed": code, "reason": reason }));
                    return frames;
                }
            }
        }
    }

    /// Joins a topic, and gives what is said until the catch-up is complete: the reply first.
    pub(crate) async fn join(&mut self, topic: &str, after: u64) -> Vec<Value> {
        self.joins += 1;
        let reference = format!("j{}", self.joins);
        self.say(&json!([reference, reference, topic, "phx_join", { "last_store_seq": after }]))
            .await;
        let mut frames = Vec::new();
        loop {
            let frame = self.frame().await;
            let is_last = frame[3] == "catch_up_complete" || frame[4]["status"] == "error";
            frames.push(frame);
            if is_last {
                return frames;
            }
        }
    }

    /// The `ref` of the last join.
    pub(crate) fn join_ref(&self) -> String {
        format!("j{}", self.joins)
    }

    /// Sends a request on a topic that was joined last.
    pub(crate) async fn push(&mut self, reference: &str, topic: &str, event: &str, payload: Value) {
        let join_ref = self.join_ref();
        self.say(&json!([join_ref, reference, topic, event, payload])).await;
    }

    /// The next reply; events before it are dropped.
    pub(crate) async fn reply(&mut self) -> Value {
        loop {
            let frame = self.frame().await;
            if frame[3] == "phx_reply" {
                return frame[4].clone();
            }
        }
    }

    /// The numbers of the next events; replies between them are dropped.
    pub(crate) async fn seqs(&mut self, count: usize) -> Vec<u64> {
        let mut seqs = Vec::new();
        while seqs.len() < count {
            let frame = self.frame().await;
            if frame[3] == "event" {
                seqs.push(frame[4]["store_seq"].as_u64().unwrap());
            }
        }
        seqs
    }
}
