//! A receiver of webhooks: it answers as it is told, and keeps what it gets.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// Far longer than anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What it answers to a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Status(u16),
    /// 307, to another address.
    Elsewhere(String),
    /// Nothing; and it tells when the sender gives up.
    Hang,
    /// The same, while time passes for everybody in the runtime, which is one of a single thread.
    Late,
}

/// What it has got.
#[derive(Debug)]
pub(crate) enum Got {
    Request {
        head: String,
        body: String,
    },
    /// The sender has closed a connection that got no answer.
    GivenUp,
}

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    script: Arc<Mutex<VecDeque<Reply>>>,
    got: UnboundedReceiver<Got>,
}

impl Receiver {
    /// One that takes everything, after what the script says.
    pub(crate) async fn start(script: impl IntoIterator<Item = Reply>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<_>>()));
        let (sender, got) = unbounded_channel();
        let replies = Arc::clone(&script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&replies), sender.clone()));
            }
        });
        Self { address, script, got }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// Says what comes next.
    pub(crate) fn then(&self, reply: Reply) {
        self.script.lock().unwrap().push_back(reply);
    }

    pub(crate) async fn next(&mut self) -> Got {
        timeout(PATIENCE, self.got.recv())
            .await
            .expect("something arrives")
            .unwrap()
    }

    /// The next request, whose signature must be that of the secret.
    pub(crate) async fn request(&mut self, secret: &str) -> Value {
        let Got::Request { head, body } = self.next().await else {
            panic!("no request")
        };
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let mac = mac.finalize().into_bytes();
        let expected = mac.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
        assert_eq!(header("x-dust-signature: sha256="), Some(expected), "{head}");
        assert_eq!(header("content-type: ").as_deref(), Some("application/json"));
        serde_json::from_str(&body).unwrap()
    }

    /// The sequence number of the next request.
    pub(crate) async fn seq(&mut self, secret: &str) -> u64 {
        self.request(secret).await["store_seq"].as_u64().unwrap()
    }

    /// Whether it has got nothing that has not been looked at.
    pub(crate) fn is_quiet(&mut self) -> bool {
        self.got.try_recv().is_err()
    }
}

async fn serve(mut stream: TcpStream, script: Arc<Mutex<VecDeque<Reply>>>, got: UnboundedSender<Got>) {
    while let Some((head, body)) = read(&mut stream).await {
        let reply = script.lock().unwrap().pop_front().unwrap_or(Reply::Status(200));
        // The test may have gone.
        let _ = got.send(Got::Request { head, body });
        let answer = match reply {
            Reply::Status(status) => format!("HTTP/1.1 {status} X\r\ncontent-length: 2\r\n\r\nok"),
            Reply::Elsewhere(url) => format!("HTTP/1.1 307 X\r\nlocation: {url}\r\ncontent-length: 0\r\n\r\n"),
            Reply::Hang => {
                // Until the sender closes.
                let _ = stream.read_u8().await;
                let _ = got.send(Got::GivenUp);
                return;
            }
            Reply::Late => {
                while_time_passes(stream.read_u8()).await;
                let _ = got.send(Got::GivenUp);
                return;
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Lets time pass until something is over.
async fn while_time_passes<T>(until: impl Future<Output = T>) {
    let mut until = pin!(until);
    loop {
        tokio::time::pause();
        // Done when it is first polled. Nobody else has a turn while time stands still, so it does not stay so.
        let _ = tokio::time::advance(Duration::from_millis(500)).now_or_never();
        tokio::time::resume();
        tokio::select! {
            biased;
            _ = &mut until => return,
            () = tokio::task::yield_now() => {}
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, String::from_utf8(body).unwrap()))
}
