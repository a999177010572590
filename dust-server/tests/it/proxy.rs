//! A proxy between clients and a server, which cuts, holds and refuses connections, and says things twice.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes nothing on, and says nothing of it.
    Hold,
    /// As `Hold`, for every other connection: what goes over the others overtakes it.
    HoldHalf,
    /// Passes every message on twice.
    Twice,
    /// Answers what connects with a 429.
    Refuse,
}

/// A proxy in front of the server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    upstream: Arc<Mutex<SocketAddr>>,
    pub(crate) mode: watch::Sender<Mode>,
    /// Cuts the connections that are open.
    pub(crate) cut: watch::Sender<u64>,
    /// How many connections there were.
    pub(crate) connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            upstream: Arc::new(Mutex::new(upstream)),
            mode: watch::Sender::new(Mode::Pass),
            cut: watch::Sender::new(0),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&proxy.connections);
        let (upstream, mode, cut) = (
            Arc::clone(&proxy.upstream),
            proxy.mode.subscribe(),
            proxy.cut.subscribe(),
        );
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let number = connections.fetch_add(1, Ordering::Relaxed);
                let (mode, mut cut) = (mode.clone(), cut.clone());
                cut.mark_unchanged();
                let upstream = *upstream.lock().unwrap();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(near, upstream, mode, number) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        proxy
    }

    /// Leads to another server, and cuts the connections to the one before.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap() = upstream;
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(mut near: TcpStream, upstream: SocketAddr, mode: watch::Receiver<Mode>, number: usize) {
    if *mode.borrow() == Mode::Refuse {
        let answer = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
        let mut request = [0; 4096];
        let _ = near.read(&mut request).await;
        let _ = near.write_all(answer).await;
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else {
        return;
    };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = copy(near_in, far_out, mode.clone(), number) => {}
        () = copy(far_in, near_out, mode, number) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>, number: usize) {
    let is_open = |mode: &Mode| *mode != Mode::Hold && (*mode != Mode::HoldHalf || number.is_multiple_of(2));
    let (mut bytes, mut begin, mut stage) = (Vec::new(), 0, Stage::Head);
    loop {
        let Some(length) = length_of(&bytes[begin..], stage) else {
            bytes.drain(..begin);
            begin = 0;
            match from.read_buf(&mut bytes).await {
                Ok(1..) => continue,
                _ => return,
            }
        };
        let message = &bytes[begin..begin + length];
        let Ok(mode) = mode.wait_for(is_open).await.map(|mode| *mode) else {
            return;
        };
        // What only belongs to the connection is not said twice.
        let is_data = stage == Stage::Frames && matches!(message[0] & 0x0f, 1 | 2);
        for _ in 0..=usize::from(mode == Mode::Twice && is_data) {
            if to.write_all(message).await.is_err() {
                return;
            }
        }
        if stage == Stage::Head {
            let head = String::from_utf8_lossy(message).to_ascii_lowercase();
            let is_upgraded = head.contains("\r\nupgrade: websocket\r\n");
            stage = if is_upgraded { Stage::Frames } else { Stage::Plain };
        }
        begin += length;
    }
}

/// What comes next in one direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The head of a request or a response.
    Head,
    /// WebSocket frames.
    Frames,
    /// What HTTP makes of it.
    Plain,
}

/// The length of the first message, if all of it is there.
fn length_of(bytes: &[u8], stage: Stage) -> Option<usize> {
    match stage {
        Stage::Head => return Some(bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4),
        Stage::Plain => return (!bytes.is_empty()).then_some(bytes.len()),
        Stage::Frames => {}
    }
    let second = *bytes.get(1)?;
    let (head, payload) = match second & 0x7f {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    let length = head + mask + usize::try_from(payload).unwrap();
    (bytes.len() >= length).then_some(length)
}
