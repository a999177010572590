//! Real TLS: whom the client trusts, where the token stays, and what counts as the time of an answer.

use std::sync::Arc;
use std::time::Duration;

use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::http::Http;
use dust_transport::model::{Batch, Op, Seq};
use dust_transport::transport::Transport as _;
use rcgen::CertifiedKey;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, Turn, let_time_pass};
use super::{assert_error, options, path};

const LEAF: &str = r#"{"path":"a","value":1,"type":"integer","revision":1}"#;

/// A server with a certificate that nobody has signed but itself.
struct Secure {
    base_url: String,
    certificate: String,
    task: JoinHandle<()>,
}

impl Secure {
    /// Gives this answer to each request.
    async fn start(answer: String) -> Self {
        let CertifiedKey { cert, signing_key } =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("https://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that does not trust the certificate ends the handshake.
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    continue;
                };
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut request).await.unwrap() == 0 {
                        break;
                    }
                }
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        });
        Self {
            base_url,
            certificate: cert.pem(),
            task,
        }
    }
}

impl Drop for Secure {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    match Turn::answer(status, headers, body) {
        Turn::Send(text) => text,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_certificate_of_ones_own_is_trusted_when_it_is_given() {
    let server = Secure::start(answer(200, &[], LEAF)).await;
    let trusting = options(&server.base_url).root_certificates(server.certificate.clone());
    let entry = Http::new(trusting).unwrap().get(&path("a")).await.unwrap();
    assert_eq!(entry.map(|entry| entry.revision), Some(Seq(1)));

    let wary = Http::new(options(&server.base_url)).unwrap();
    let error = assert_error(wary.get(&path("a")).await, ErrorKind::Network, "connect");
    let mut chain = String::new();
    let mut source = std::error::Error::source(&error);
    while let Some(next) = source {
        chain.push_str(&next.to_string());
        source = next.source();
    }
    assert!(chain.contains("certificate"), "{chain}");
    let write = wary.write(Batch::one(Op::set(path("a"), 1))).await;
    let error = assert_error(write, ErrorKind::Network, "connect");
    assert_eq!(error.outcome(), Outcome::NotApplied);

    // Another's certificate does not help.
    let other = Secure::start(String::new()).await;
    let misled = options(&server.base_url).root_certificates(other.certificate.clone());
    let misled = Http::new(misled).unwrap();
    assert_error(misled.get(&path("a")).await, ErrorKind::Network, "connect");
}

#[test]
fn what_is_no_certificate_is_refused() {
    for text in [
        "",
        "no PEM",
        "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n",
    ] {
        let made = Http::new(options("https://127.0.0.1:1").root_certificates(text));
        assert_error(made, ErrorKind::InvalidParams, "invalid_certificate");
    }
}

#[tokio::test]
async fn the_token_does_not_leave_tls() {
    let plain = Server::start([Turn::json(200, LEAF)]).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/api/stores/acme/site/entries/a", plain.base_url);
        let server = Secure::start(answer(status, &[("location", &to)], "")).await;
        // The same host and port by plain HTTP is another server, too.
        let same = server.base_url.replace("https://", "http://");
        let downgraded = Secure::start(answer(status, &[("location", &same)], "")).await;
        for server in [server, downgraded] {
            let trusting = options(&server.base_url).root_certificates(server.certificate.clone());
            let store = Http::new(trusting).unwrap();
            assert_error(store.get(&path("a")).await, ErrorKind::Http, "redirect_refused");
            let write = store.write(Batch::one(Op::delete(path("a")))).await;
            let error = assert_error(write, ErrorKind::Http, "redirect_refused");
            assert_eq!(error.outcome(), Outcome::NotApplied);
        }
    }
    assert!(plain.seen().is_empty());
}

/// A handshake that is not answered is ended by the time for connections, however short that of answers is.
#[tokio::test]
async fn the_time_of_an_answer_begins_with_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}", listener.local_addr().unwrap());
    let slow = options(&base_url)
        .connect_timeout(Duration::from_millis(100))
        .response_timeout(Duration::from_millis(1));
    let write = || Batch::one(Op::set(path("a"), 1));
    let error = assert_error(
        Http::new(slow).unwrap().write(write()).await,
        ErrorKind::Timeout,
        "timeout",
    );
    assert_eq!(error.outcome(), Outcome::NotApplied, "nothing has left");

    let server = Server::start([Turn::Stall(String::new())]).await;
    let stalled = options(&server.base_url).response_timeout(Duration::from_secs(5));
    let error = assert_error(
        Http::new(stalled).unwrap().write(write()).await,
        ErrorKind::Timeout,
        "timeout",
    );
    assert_eq!(error.outcome(), Outcome::Unknown);
    drop(listener);
}

/// The time of an answer is over even where the connection is one that was used before.
#[tokio::test]
async fn a_kept_connection_has_the_same_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}", listener.local_addr().unwrap());
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let read = stream.read(&mut request).await.unwrap();
        assert!(read > 0);
        let kept = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{LEAF}", LEAF.len());
        stream.write_all(kept.as_bytes()).await.unwrap();
        // The second request on it is read, and not answered.
        assert!(stream.read(&mut request).await.unwrap() > 0);
        let_time_pass(stream).await;
    });
    let limited = options(&base_url).response_timeout(Duration::from_secs(5));
    let store = Http::new(limited.retry(dust_transport::http::Retry::none())).unwrap();
    assert!(store.get(&path("a")).await.unwrap().is_some());
    assert_error(store.get(&path("a")).await, ErrorKind::Timeout, "timeout");
    serving.abort();
}
