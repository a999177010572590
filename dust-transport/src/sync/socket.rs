//! One WebSocket: opened, written to by a task of its own, read frame by frame.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::SplitStream;
use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::Url;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::SyncOptions;
use crate::channel::{CAPVER, Codec, Encoded, Frame};
use crate::error::{Error, ErrorKind, Outcome};
use crate::model::DeviceId;

/// Where the WebSocket of a server is.
#[derive(Clone)]
pub(super) struct Endpoint {
    /// With the token; never shown.
    url: Url,
    tls: Option<Arc<ClientConfig>>,
}

/// What frames travel over: TCP, or TLS over it.
trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// An open WebSocket.
pub(super) struct Socket {
    codec: Codec,
    frame_bytes_max: usize,
    messages: SplitStream<WebSocketStream<Box<dyn Io>>>,
    /// What waits here is bounded by the outbox: one message per write, and a heartbeat.
    out: mpsc::UnboundedSender<Message>,
    writer: JoinHandle<()>,
}

/// Why no WebSocket was opened.
pub(super) enum Refused {
    /// The server will not have it: there is no use in asking again.
    Fatal(Error),
    /// Ask again, not before this wait.
    Later(Option<Duration>),
}

fn refuse(kind: ErrorKind, code: &'static str, detail: &'static str) -> Refused {
    Refused::Fatal(Error::new(kind, code, detail))
}

impl Refused {
    /// What an error means for the next attempt.
    pub(super) fn of(error: Error) -> Self {
        match error.kind() {
            ErrorKind::Unauthorized | ErrorKind::NotImplemented | ErrorKind::NotSupported => Self::Fatal(error),
            _ => Self::Later(error.retry_after()),
        }
    }
}

impl Endpoint {
    pub(super) fn new(options: &SyncOptions, device: &DeviceId) -> Result<Self, Error> {
        let invalid = |detail| Error::new(ErrorKind::InvalidParams, "invalid_base_url", detail);
        let mut url = Url::parse(options.http.base_url.trim()).map_err(|_| invalid("the base address is no URL"))?;
        let is_tls = url.scheme() == "https";
        let tls = is_tls
            .then(|| crate::http::tls(&url, &options.http.root_certificates))
            .transpose()?
            .map(Arc::new);
        let scheme = if is_tls { "wss" } else { "ws" };
        url.set_scheme(scheme)
            .map_err(|()| invalid("the base address must be `http` or `https`"))?;
        let path = format!("{}/ws/sync/websocket", url.path().trim_end_matches('/'));
        url.set_path(&path);
        url.query_pairs_mut()
            .append_pair("token", &options.http.token.0)
            .append_pair("device_id", device.as_str())
            .append_pair("capver", &CAPVER.to_string())
            .append_pair("vsn", options.codec.version());
        Ok(Self { url, tls })
    }

    /// Opens a connection.
    pub(super) async fn dial(&self, options: &SyncOptions) -> Result<Socket, Refused> {
        let host = self
            .url
            .host_str()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let port = self.url.port_or_known_default().unwrap_or(80);
        let tcp = TcpStream::connect((host, port)).await.map_err(|error| {
            tracing::debug!(%error, "the server was not reached");
            Refused::Later(None)
        })?;
        // Frames are small, and each is waited for.
        let _ = tcp.set_nodelay(true);
        let stream: Box<dyn Io> = match &self.tls {
            None => Box::new(tcp),
            Some(config) => {
                let name = ServerName::try_from(host.to_owned()).map_err(|_| {
                    refuse(
                        ErrorKind::InvalidParams,
                        "invalid_base_url",
                        "the host has no valid name",
                    )
                })?;
                let connected = TlsConnector::from(Arc::clone(config)).connect(name, tcp).await;
                Box::new(connected.map_err(|error| {
                    tracing::debug!(%error, "TLS was not agreed on");
                    Refused::Later(None)
                })?)
            }
        };
        let config = WebSocketConfig::default()
            .max_message_size(Some(options.frame_bytes_max))
            .max_frame_size(Some(options.frame_bytes_max));
        match tokio_tungstenite::client_async_with_config(self.url.as_str(), stream, Some(config)).await {
            Ok((socket, _)) => Ok(Socket::new(socket, options)),
            Err(SocketError::Http(response)) => Err(refused_with(
                response.status().as_u16(),
                response
                    .headers()
                    .get("retry-after")
                    .and_then(|wait| wait.to_str().ok()),
            )),
            Err(error) => {
                // The text of the error may hold the address, and with it the token.
                tracing::debug!(kind = kind_of(&error), "the WebSocket was not opened");
                Err(Refused::Later(None))
            }
        }
    }
}

/// What a status other than 101 means.
fn refused_with(status: u16, retry_after: Option<&str>) -> Refused {
    match status {
        401 | 403 => refuse(
            ErrorKind::Unauthorized,
            "forbidden",
            "the server refuses the connection; the token may be wrong or over",
        ),
        _ => Refused::Later(retry_after.and_then(|wait| wait.parse().ok()).map(Duration::from_secs)),
    }
}

fn kind_of(error: &SocketError) -> &'static str {
    match error {
        SocketError::ConnectionClosed | SocketError::AlreadyClosed => "closed",
        SocketError::Io(_) => "io",
        SocketError::Tls(_) => "tls",
        SocketError::Capacity(_) => "capacity",
        SocketError::Protocol(_) => "protocol",
        SocketError::Utf8(_) => "utf8",
        _ => "other",
    }
}

impl Socket {
    fn new(socket: WebSocketStream<Box<dyn Io>>, options: &SyncOptions) -> Self {
        let (mut sink, messages) = socket.split();
        let (out, mut queue) = mpsc::unbounded_channel();
        // A server that does not read must not keep this side from reading.
        let writer = tokio::spawn(async move {
            while let Some(message) = queue.recv().await {
                if sink.feed(message).await.is_err() {
                    return;
                }
                while let Ok(message) = queue.try_recv() {
                    if sink.feed(message).await.is_err() {
                        return;
                    }
                }
                if sink.flush().await.is_err() {
                    return;
                }
            }
            // Best effort: whether the other side hears of it does not matter any more.
            let _ = sink.close().await;
        });
        Self {
            codec: options.codec,
            frame_bytes_max: options.frame_bytes_max,
            messages,
            out,
            writer,
        }
    }

    /// Hands a frame to the writer. One that cannot be sent any more is noticed by reading.
    pub(super) fn send(&self, frame: &Frame) {
        let _ = self.out.send(self.message(frame));
    }

    /// The same, unless the frame is longer than this; its length then.
    pub(super) fn send_within(&self, frame: &Frame, bytes_max: usize) -> Result<(), usize> {
        let message = self.message(frame);
        let bytes = message.len();
        if bytes > bytes_max {
            return Err(bytes);
        }
        let _ = self.out.send(message);
        Ok(())
    }

    fn message(&self, frame: &Frame) -> Message {
        match self.codec.encode(frame) {
            Encoded::Text(text) => Message::text(text),
            Encoded::Binary(bytes) => Message::binary(bytes),
        }
    }

    /// The next frame; an error ends the connection.
    ///
    /// # Cancel safety
    /// No frame is lost.
    pub(super) async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            let frame = match self.messages.next().await {
                Some(Ok(Message::Text(text))) => self.codec.decode_text(&text, self.frame_bytes_max),
                Some(Ok(Message::Binary(bytes))) => self.codec.decode_binary(&bytes, self.frame_bytes_max),
                Some(Ok(Message::Close(_))) | None => return Err(lost("the server closed the connection")),
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    tracing::debug!(kind = kind_of(&error), "the connection broke");
                    return Err(lost("the connection broke"));
                }
            };
            return frame.map_err(|error| lost("the server sent what is no frame").with_source(error));
        }
    }
}

/// A connection that is gone; what was sent over it may have been applied.
pub(super) fn lost(detail: &'static str) -> Error {
    Error::new(ErrorKind::Network, "connection_lost", detail).with_outcome(Outcome::Unknown)
}

impl Drop for Socket {
    fn drop(&mut self) {
        // What is still queued belongs to a connection that is given up.
        self.writer.abort();
    }
}
