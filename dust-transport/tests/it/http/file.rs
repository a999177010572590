//! Files: from servers that know no parts, that send another, that stop.

use dust_transport::error::{Error, ErrorKind};

use dust_transport::model::FileHash;
use dust_transport::transport::{FileContent, FileRange, Transport as _};
use futures_util::StreamExt as _;

use super::server::{Server, Turn};
use super::{assert_error, http};

const HASH: FileHash = FileHash([0xAB; 32]);

async fn open(server: &Server, range: FileRange) -> Result<Option<FileContent>, Error> {
    http(&server.base_url).read_file(&HASH, range).await
}

/// All pieces, until the end or an error.
async fn read(mut file: FileContent) -> (String, Option<Error>) {
    let mut text = String::new();
    while let Some(chunk) = file.body.next().await {
        match chunk {
            Ok(chunk) => text.push_str(std::str::from_utf8(&chunk).unwrap()),
            Err(error) => return (text, Some(error)),
        }
    }
    (text, None)
}

fn whole() -> Turn {
    Turn::answer(200, &[("content-type", "text/plain")], "0123456789")
}

#[tokio::test]
async fn a_part_is_asked_for_and_cut_out_where_the_server_sends_all() {
    for (range, asked, expected) in [
        (FileRange::All, None, "0123456789"),
        (FileRange::From(8), Some("bytes=8-"), "89"),
        (FileRange::Part(2..5), Some("bytes=2-4"), "234"),
        (FileRange::Last(3), Some("bytes=-3"), "789"),
        (FileRange::From(10), Some("bytes=10-"), ""),
    ] {
        let server = Server::start([whole()]).await;
        let file = open(&server, range).await.unwrap().unwrap();
        assert_eq!((&*file.content_type, file.size_bytes), ("text/plain", 10));
        let (text, error) = read(file).await;
        assert!(text == expected && error.is_none(), "{text} {error:?}");
        let seen = server.seen();
        assert_eq!(seen[0].header("range"), asked);
        assert_eq!(seen[0].line(), format!("GET /api/files/sha256:{}", "ab".repeat(32)));
    }
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_none() {
    let part = |range: &str| Turn::answer(206, &[("content-range", range)], "234");
    let server = Server::start([part("bytes 2-4/10")]).await;
    let file = open(&server, FileRange::Part(2..5)).await.unwrap().unwrap();
    assert_eq!((file.range.clone(), file.size_bytes), (2..5, 10));
    assert_eq!(read(file).await.0, "234");
    for wrong in [
        "bytes 3-5/10",
        "bytes 4-2/10",
        "bytes 2-4/4",
        "bytes 2-4/*",
        "lines 2-4/10",
        "",
    ] {
        let server = Server::start([part(wrong)]).await;
        let found = open(&server, FileRange::Part(2..5)).await;
        assert_error(found, ErrorKind::Http, "invalid_response");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_is_none_and_a_failure_is_tried_again() {
    for status in [403, 404] {
        let server = Server::start([Turn::json(status, r#"{"error":"x"}"#)]).await;
        assert!(open(&server, FileRange::All).await.unwrap().is_none());
    }
    let server = Server::start([Turn::json(500, ""), Turn::json(429, ""), whole()]).await;
    let file = open(&server, FileRange::All).await.unwrap().unwrap();
    assert_eq!(read(file).await.0, "0123456789");
    let server = Server::start([Turn::json(401, "")]).await;
    assert_error(
        open(&server, FileRange::All).await,
        ErrorKind::Unauthorized,
        "unauthorized",
    );
}

#[tokio::test]
async fn a_file_that_stops_arriving_is_an_error_and_not_a_shorter_file() {
    let begun = || "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123".to_owned();
    for (turn, kind) in [
        (Turn::Send(begun()), ErrorKind::Network),
        (Turn::Stall(begun()), ErrorKind::Timeout),
    ] {
        let server = Server::start([turn]).await;
        let file = http(&server.base_url)
            .read_file(&HASH, FileRange::All)
            .await
            .unwrap()
            .unwrap();
        let (text, error) = read(file).await;
        assert_eq!((&*text, error.map(|error| error.kind())), ("0123", Some(kind)));
    }
}
