//! A server that does what it is told, to the byte.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the server does with one request. Every request comes on a connection of its own.
#[derive(Debug, Clone)]
pub(super) enum Turn {
    /// Sends this, and closes.
    Send(String),
    /// Sends this, and resets the connection.
    Reset(String),
    /// Sends this, and then nothing, while time passes until the client gives up.
    Stall(String),
}

impl Turn {
    /// A whole answer.
    pub(super) fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status} Scripted\r\nconnection: close\r\n");
        for (name, value) in headers {
            write!(text, "{name}: {value}\r\n").expect("a string takes it");
        }
        Self::Send(format!("{text}content-length: {}\r\n\r\n{body}", body.len()))
    }

    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::answer(status, &[("content-type", "application/json")], body)
    }
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The request without what is the same in all of them.
    pub(super) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

pub(super) struct Server {
    pub(super) base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: JoinHandle<()>,
}

impl Server {
    /// Takes one turn per request, in order, and refuses connections after the last.
    pub(super) async fn start(turns: impl IntoIterator<Item = Turn>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let turns: VecDeque<Turn> = turns.into_iter().collect();
        let task = tokio::spawn(serve(listener, turns, Arc::clone(&seen)));
        Self { base_url, seen, task }
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Seen::line).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, turns: VecDeque<Turn>, seen: Arc<Mutex<Vec<Seen>>>) {
    for turn in turns {
        let (mut stream, _) = listener.accept().await.unwrap();
        let request = receive(&mut stream).await;
        seen.lock().unwrap().push(request);
        match turn {
            Turn::Send(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
            Turn::Reset(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                stream.set_zero_linger().unwrap();
            }
            Turn::Stall(text) => {
                stream.write_all(text.as_bytes()).await.unwrap();
                let_time_pass(stream).await;
            }
        }
    }
}

/// Lets time pass until the other side closes the connection.
///
/// Time passes once the request is there, however long that takes, so a limit is short for nobody but who waits in vain.
pub(super) async fn let_time_pass(mut stream: TcpStream) {
    let mut rest = [0; 64];
    loop {
        tokio::time::pause();
        // Done when it is first polled. Nobody else has a turn while time stands still, so it does not stay so.
        let _ = tokio::time::advance(Duration::from_secs(1)).now_or_never();
        tokio::time::resume();
        tokio::select! {
            biased;
            // The end of the connection, or its loss.
            Ok(0) | Err(_) = stream.read(&mut rest) => return,
            () = tokio::task::yield_now() => {}
        }
    }
}

async fn receive(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "a request has an end");
    };
    let head = std::str::from_utf8(bytes.get(..head_end).unwrap()).unwrap().to_owned();
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap().split(' ');
    let headers: Vec<(String, String)> = lines
        .map(|line| line.split_once(": ").unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Seen {
        method: first.next().unwrap().to_owned(),
        target: first.next().unwrap().to_owned(),
        headers,
        body: String::new(),
    };
    let length: usize = request
        .header("content-length")
        .map_or(0, |length| length.parse().unwrap());
    while bytes.len() < head_end + 4 + length {
        assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0, "a body has its length");
    }
    request.body = String::from_utf8(bytes.split_off(head_end + 4)).unwrap();
    request
}
