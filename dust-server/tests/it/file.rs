//! Files by their hash: whole and in parts, for whom they are, and through the client of this house.

use std::future::poll_fn;
use std::net::SocketAddr;

use dust_server::control::{NewToken, Scope};
use dust_server::{Config, RateLimits, Server};
use dust_store::Database;
use dust_transport::error::ErrorKind;
use dust_transport::http::{Http, HttpOptions};
use dust_transport::model::{FileHash, Op, Path};
use dust_transport::transport::{ByteStream, Done, FileRange, Transport as _};
use serde_json::json;
use tokio::sync::oneshot;

use crate::client::{Answer, Request};

/// A server with two stores, and a file in one of them.
struct Site {
    address: SocketAddr,
    server: Server,
    hash: FileHash,
    content: Vec<u8>,
    token: String,
    _stop: oneshot::Sender<()>,
}

impl Site {
    async fn start(content: Vec<u8>, content_type: &str) -> Self {
        let database = Database::memory();
        let config = Config::new("")
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_rate_limits(RateLimits::OFF);
        let server = Server::on(database.clone(), config).await.unwrap();
        server.control().create_org("acme").await.unwrap();
        for name in ["side", "site"] {
            server.control().create_store("acme", name, None).await.unwrap();
        }
        let path = Path::parse("docs/a").unwrap();
        let put = Op::put_file(path, content.clone(), Some("a"), Some(content_type));
        let site = database.store("acme/site").await.unwrap();
        let written = site.write(put.into()).await.unwrap();
        let Some(Done::Stored(file)) = written.done.first() else {
            panic!("{written:?}")
        };
        let hash = file.hash;
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(listening.serve_until(async {
            // An error is the sender's end.
            let _ = stopped.await;
        }));
        let mut site = Self {
            address,
            server,
            hash,
            content,
            token: String::new(),
            _stop: stop,
        };
        site.token = site.token_of(NewToken::full("acme", "t")).await;
        site
    }

    async fn token_of(&self, new: NewToken) -> String {
        self.server.control().create_token(new).await.unwrap().1
    }

    async fn ask(&self, method: &str, token: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::new(method, &format!("/api/files/{}", self.hash), token);
        let headers = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        request.headers.extend(headers);
        request.send(self.address).await.unwrap()
    }

    fn client(&self, token: &str) -> Http {
        let options = HttpOptions::new("acme/site", token).base_url(format!("http://{}", self.address));
        Http::new(options).unwrap()
    }
}

async fn read(mut body: ByteStream) -> Vec<u8> {
    let mut read = Vec::new();
    while let Some(chunk) = poll_fn(|cx| body.as_mut().poll_next(cx)).await {
        read.extend_from_slice(&chunk.unwrap());
    }
    read
}

/// Longer than a piece.
fn long() -> Vec<u8> {
    (0..200_000_u32)
        .map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[1])
        .collect()
}

#[tokio::test]
async fn a_file_is_sent_as_it_was_stored_and_runs_nothing() {
    let site = Site::start(long(), "text/html").await;
    let answer = site.ask("GET", &site.token, &[]).await;
    assert_eq!((answer.status, answer.body == site.content), (200, true));
    let etag = format!("\"{}\"", site.hash);
    let expected = [
        ("content-type", "text/html"),
        ("content-length", "200000"),
        ("content-disposition", "inline"),
        ("accept-ranges", "bytes"),
        ("etag", &etag),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "sandbox"),
    ];
    for (name, value) in expected {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let head = site.ask("HEAD", &site.token, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    for (name, value) in expected {
        assert_eq!(head.header(name), Some(value), "{name}");
    }
    let known = site
        .ask("GET", &site.token, &[("if-none-match", &format!("\"x\", W/{etag}"))])
        .await;
    assert_eq!(
        (known.status, known.body.len(), known.header("etag")),
        (304, 0, Some(&*etag))
    );
    let other = site.ask("GET", &site.token, &[("if-none-match", "\"x\"")]).await;
    assert_eq!(other.status, 200);
}

#[tokio::test]
async fn a_part_is_sent_where_one_is_asked_for() {
    let site = Site::start(long(), "text/plain").await;
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=65000-66000", 65_000, 66_001),
        ("bytes=199999-", 199_999, 200_000),
        ("bytes=199990-300000", 199_990, 200_000),
        ("bytes=-5", 199_995, 200_000),
        ("bytes=-900000", 0, 200_000),
    ] {
        let answer = site.ask("GET", &site.token, &[("range", range)]).await;
        assert_eq!(
            (answer.status, answer.body == site.content[start..end]),
            (206, true),
            "{range}"
        );
        let part = format!("bytes {start}-{}/200000", end - 1);
        assert_eq!(answer.header("content-range"), Some(&*part), "{range}");
        assert_eq!(
            answer.header("content-length"),
            Some(&*(end - start).to_string()),
            "{range}"
        );
    }
    for range in ["bytes=200000-", "bytes=-0"] {
        let answer = site.ask("GET", &site.token, &[("range", range)]).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (416, &json!("range_not_satisfiable")),
            "{range}"
        );
        assert_eq!(answer.header("content-range"), Some("bytes */200000"), "{range}");
    }
    let etag = format!("\"{}\"", site.hash);
    for (headers, status) in [
        (&[("range", "bytes=0-1,4-5")][..], 200),
        (&[("range", "bytes=9-1")], 200),
        (&[("range", "bytes=0-1"), ("if-range", "\"x\"")], 200),
        (&[("range", "bytes=0-1"), ("if-range", &etag)], 206),
    ] {
        assert_eq!(
            site.ask("GET", &site.token, headers).await.status,
            status,
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn a_file_is_for_those_who_may_read_a_store_with_it() {
    let site = Site::start(b"x".to_vec(), "text/plain").await;
    let id = |name: &str| site.server.control().store("acme", name).unwrap().id;
    let new = || NewToken::full("acme", "t");
    for (token, status) in [
        (new().with_stores([id("site")]), 200),
        (new().with_stores([id("side")]), 403),
        (new().with_scopes([Scope::FilesRead]), 200),
        (new().with_scopes([Scope::EntriesRead]), 403),
    ] {
        let token = site.token_of(token).await;
        assert_eq!(site.ask("GET", &token, &[]).await.status, status);
    }
    assert_eq!(site.ask("GET", "dust_tok_wrong", &[]).await.status, 401);
    site.client(&site.token)
        .write(Op::delete(Path::parse("docs").unwrap()).into())
        .await
        .unwrap();
    assert_eq!(site.ask("GET", &site.token, &[]).await.status, 403);
}

#[tokio::test]
async fn the_client_reads_files_whole_and_in_parts() {
    let site = Site::start(long(), "image/png").await;
    let client = site.client(&site.token);
    for range in [
        FileRange::All,
        FileRange::From(0),
        FileRange::From(150_000),
        FileRange::From(200_000),
        FileRange::From(u64::MAX),
        FileRange::Part(10..20),
        FileRange::Part(10..10),
        FileRange::Part(199_999..u64::MAX),
        FileRange::Last(3),
        FileRange::Last(0),
        FileRange::Last(u64::MAX),
    ] {
        let file = client.read_file(&site.hash, range.clone()).await.unwrap().unwrap();
        assert_eq!(
            (&*file.content_type, file.size_bytes),
            ("image/png", 200_000),
            "{range:?}"
        );
        let expected = range.within(200_000);
        assert_eq!(file.range, expected, "{range:?}");
        let expected = &site.content[usize::try_from(expected.start).unwrap()..usize::try_from(expected.end).unwrap()];
        assert!(read(file.body).await == expected, "{range:?}");
    }
    let unknown = FileHash([7; 32]);
    assert!(client.read_file(&unknown, FileRange::All).await.unwrap().is_none());
    let wrong = site
        .client("dust_tok_wrong")
        .read_file(&site.hash, FileRange::All)
        .await;
    assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Unauthorized);
}

#[tokio::test]
async fn an_empty_file_is_a_file() {
    let site = Site::start(Vec::new(), "text/plain").await;
    let answer = site.ask("GET", &site.token, &[]).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, Some("0")));
    assert_eq!(site.ask("GET", &site.token, &[("range", "bytes=0-")]).await.status, 416);
    for range in [FileRange::All, FileRange::From(1), FileRange::Last(1)] {
        let file = site
            .client(&site.token)
            .read_file(&site.hash, range)
            .await
            .unwrap()
            .unwrap();
        assert_eq!((file.size_bytes, file.range), (0, 0..0));
        assert!(read(file.body).await.is_empty());
    }
}

#[tokio::test]
async fn a_line_of_an_import_brings_a_file_along_that_its_token_may_read() {
    let site = Site::start(long(), "image/png").await;
    let granted = site.server.control().store("acme", "side").unwrap().id;
    let of_side = site.token_of(NewToken::full("acme", "t").with_stores([granted])).await;
    let no_files = NewToken::full("acme", "t").with_scopes([Scope::EntriesWrite]);
    let no_files = site.token_of(no_files).await;
    let import = async |token: &str, hash: &str| {
        let mut request = Request::new("POST", "/api/stores/acme/side/import", token);
        request
            .headers
            .push(("content-type".into(), "application/x-ndjson".into()));
        let value = json!({ "_type": "file", "hash": hash, "size": 1, "content_type": "text/plain", "filename": "b" });
        let line = json!({ "path": "a/b", "value": value, "type": "file" });
        request.body = line.to_string().into_bytes();
        request.send(site.address).await.unwrap().json()
    };
    let hash = site.hash.to_string();
    for (token, hash, reason) in [
        (&of_side, &hash, "file_not_found"),
        (&no_files, &hash, "missing_scope"),
        (&site.token, &FileHash([7; 32]).to_string(), "file_not_found"),
        (&site.token, &"sha256:x".to_owned(), "not_a_file"),
    ] {
        assert_eq!(import(token, hash).await["failed"][0]["reason"], reason);
    }
    assert_eq!(site.ask("GET", &of_side, &[]).await.status, 403);
    let report = import(&site.token, &hash).await;
    assert_eq!(
        (&report["ok"], &report["imported"]),
        (&json!(true), &json!(1)),
        "{report}"
    );
    let answer = site.ask("GET", &of_side, &[]).await;
    assert_eq!((answer.status, answer.body == site.content), (200, true));
}
