//! Clients that begin a request and do not end it.

use std::net::SocketAddr;
use std::time::Duration;

use dust_server::control::NewToken;
use dust_server::{Config, Server};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Far longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that waits for the body of a request.
struct Waiting {
    address: SocketAddr,
    client: TcpStream,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), dust_server::ServerError>>,
    _folder: TempDir,
}

impl Waiting {
    async fn start(change: impl FnOnce(Config) -> Config) -> Self {
        let folder = TempDir::new().unwrap();
        let config = Config::new(folder.path().join("data")).with_listen("127.0.0.1:0".parse().unwrap());
        let server = Server::open(change(config)).await.unwrap();
        server.control().create_org("acme").await.unwrap();
        server.control().create_store("acme", "site", None).await.unwrap();
        let (_, secret) = server
            .control()
            .create_token(NewToken::full("acme", "t"))
            .await
            .unwrap();
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let mut client = TcpStream::connect(address).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(listening.serve_until(async {
            // An error is the sender's end.
            let _ = stopped.await;
        }));
        let head = format!(
            "PUT /api/stores/acme/site/entries/a HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {secret}\r\n\
             content-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n"
        );
        client.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(status(&mut client).await, "100");
        Self {
            address,
            client,
            stop,
            serving,
            _folder: folder,
        }
    }
}

/// The status of the next answer, which may be interim.
async fn status(client: &mut TcpStream) -> String {
    head_of(client).await.0
}

/// The status of the next answer, and the length of its body.
async fn head_of(client: &mut TcpStream) -> (String, usize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = timeout(PATIENCE, client.read_u8()).await.expect("an answer");
        head.push(byte.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length = length.map_or(0, |length| length.parse().unwrap());
    (head.split(' ').nth(1).unwrap().to_owned(), length)
}

#[tokio::test]
async fn a_connection_outlives_a_refusal_that_needs_no_body() {
    let mut waiting = Waiting::start(|config| config).await;
    waiting.client.write_all(b"\"ab\"").await.unwrap();
    assert_eq!(status(&mut waiting.client).await, "200");
    let written = r#"{"revision":1,"store_seq":1}"#;
    waiting.client.read_exact(&mut vec![0; written.len()]).await.unwrap();
    for (target, expected) in [
        ("/api/stores/acme/site/entries/a", "401"),
        ("/nowhere", "404"),
        ("/healthz", "404"),
    ] {
        let head = format!("PUT {target} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 4\r\n\r\n");
        waiting.client.write_all(head.as_bytes()).await.unwrap();
        waiting.client.write_all(b"\"ab\"").await.unwrap();
        let (found, length) = head_of(&mut waiting.client).await;
        assert_eq!(found, expected, "{target}");
        waiting.client.read_exact(&mut vec![0; length]).await.unwrap();
    }
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up() {
    let mut waiting = Waiting::start(|config| config.with_body_timeout(Duration::from_millis(20))).await;
    waiting.client.write_all(b"\"a").await.unwrap();
    assert_eq!(status(&mut waiting.client).await, "408");
}

#[tokio::test]
async fn a_head_that_does_not_come_is_given_up_and_so_is_an_idle_connection() {
    let mut waiting = Waiting::start(|config| config.with_head_timeout(Duration::from_millis(20))).await;
    // The time for the head is over long since, and does not count for the body.
    waiting.client.write_all(b"\"ab\"").await.unwrap();
    assert_eq!(status(&mut waiting.client).await, "200");
    for begun in [&b"GET /healthz HTTP/1.1\r\nhost: loc"[..], b""] {
        let mut client = TcpStream::connect(waiting.address).await.unwrap();
        client
            .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n")
            .await
            .unwrap();
        let (found, length) = head_of(&mut client).await;
        assert_eq!(found, "200");
        client.read_exact(&mut vec![0; length]).await.unwrap();
        // The server may close at any time from here on.
        let _ = client.write_all(begun).await;
        let rest = timeout(PATIENCE, client.read_u8()).await.expect("it closes");
        assert!(rest.is_err());
    }
}

#[tokio::test]
async fn a_server_that_stops_answers_what_it_has_taken() {
    let mut waiting = Waiting::start(|config| config).await;
    waiting.stop.send(()).unwrap();
    waiting.client.write_all(b"\"ab\"").await.unwrap();
    assert_eq!(status(&mut waiting.client).await, "200");
    timeout(PATIENCE, waiting.serving)
        .await
        .expect("it stops")
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_end_does_not_keep_the_server_from_stopping() {
    let waiting = Waiting::start(|config| config.with_shutdown_grace(Duration::from_millis(20))).await;
    waiting.stop.send(()).unwrap();
    timeout(PATIENCE, waiting.serving)
        .await
        .expect("it stops")
        .unwrap()
        .unwrap();
}
