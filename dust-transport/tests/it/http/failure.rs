//! Statuses and bodies of refusals, row by row.

use std::time::Duration;

use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::http::{Http, Retry};
use dust_transport::model::{Batch, Op, Precondition, Seq};
use dust_transport::transport::{List, Transport as _};

use super::server::{Server, Turn};
use super::{answering, assert_error, http, options, path};

fn put() -> Batch {
    Batch::one(Op::set(path("a"), 1))
}

/// A status and a body; the kind and the code that they mean, whether to try again, and what became of the write.
type Row = (u16, &'static str, ErrorKind, &'static str, bool, Outcome);

#[rustfmt::skip]
const ROWS: [Row; 26] = {
    use ErrorKind::{Conflict, Http as Failed, InvalidParams, NotImplemented, RateLimited, Timeout, Unauthorized};
    use Outcome::{NotApplied, Unknown};
    [
        (401, r#"{"error":"unauthorized"}"#, Unauthorized, "unauthorized", false, NotApplied),
        (403, r#"{"error":"forbidden"}"#, Unauthorized, "forbidden", false, NotApplied),
        (404, r#"{"error":"not_found"}"#, NotImplemented, "not_found", false, NotApplied),
        (404, r#"{"errors":{"detail":"Not Found"}}"#, NotImplemented, "not_found", false, NotApplied),
        (412, r#"{"error":"conflict","current_revision":3}"#, Conflict, "conflict", false, NotApplied),
        (412, r#"{"error":"exists","current_revision":3}"#, Conflict, "exists", false, NotApplied),
        (429, r#"{"error":"rate_limited"}"#, RateLimited, "rate_limited", true, NotApplied),
        (400, r#"{"error":"if_match_multi_leaf"}"#, InvalidParams, "if_match_multi_leaf", false, NotApplied),
        (400, "Bad Request", InvalidParams, "invalid_params", false, NotApplied),
        (402, r#"{"error":"limit_exceeded"}"#, InvalidParams, "limit_exceeded", false, NotApplied),
        (406, "", InvalidParams, "invalid_params", false, NotApplied),
        (409, r#"{"error":"compacted"}"#, InvalidParams, "compacted", false, NotApplied),
        (413, "<html>too large</html>", InvalidParams, "invalid_params", false, NotApplied),
        (414, "", InvalidParams, "invalid_params", false, NotApplied),
        (422, r#"{"error":{"name":["is taken"]}}"#, InvalidParams, "invalid_params", false, NotApplied),
        (426, r#"{"error":"upgrade_required"}"#, InvalidParams, "upgrade_required", false, NotApplied),
        (431, "", InvalidParams, "invalid_params", false, NotApplied),
        (400, r#"{"error":"invalid_params","detail":"{:writer_unavailable, {:timeout}}"}"#, Timeout, "writer_unavailable", false, Unknown),
        (500, r#"{"errors":{"detail":"Internal Server Error"}}"#, Failed, "http_500", true, Unknown),
        (502, "<html><h1>Bad Gateway</h1></html>", Failed, "http_502", true, Unknown),
        (503, r#"{"error":"overloaded"}"#, Failed, "overloaded", true, Unknown),
        (599, "", Failed, "http_599", true, Unknown),
        (201, r#"{"revision":1,"store_seq":1}"#, Failed, "unexpected_status", false, Unknown),
        (204, "", Failed, "unexpected_status", false, Unknown),
        (300, "", Failed, "unexpected_status", false, Unknown),
        (999, "", Failed, "unexpected_status", false, Unknown),
    ]
};

#[tokio::test]
async fn every_status_has_its_kind() {
    for (status, body, kind, code, retryable, outcome) in ROWS {
        let server = Server::start([Turn::json(status, body)]).await;
        let error = assert_error(http(&server.base_url).write(put()).await, kind, code);
        assert_eq!(
            (error.is_retryable(), error.outcome()),
            (retryable, outcome),
            "{status} {body}"
        );
        assert_eq!(
            server.lines(),
            ["PUT /api/stores/acme/site/entries/a"],
            "a write is sent once"
        );
    }
}

#[tokio::test]
async fn a_missing_record_is_no_error() {
    let server = answering(404, r#"{"error":"not_found"}"#).await;
    let store = http(&server.uri());
    assert_eq!(store.get(&path("a")).await.unwrap(), None);
    assert!(!store.exists(&path("a")).await.unwrap());
    // A list and a batch read have no such answer: it is the store that is missing.
    assert_error(
        store.list(&List::below(path("a"))).await,
        ErrorKind::NotImplemented,
        "not_found",
    );
    assert_error(
        store.get_many(&[path("a")]).await,
        ErrorKind::NotImplemented,
        "not_found",
    );
}

#[tokio::test]
async fn conflicts_name_the_op_and_the_revision() {
    let server = answering(412, r#"{"error":"conflict","current_revision":3}"#).await;
    let one = Op::set(path("a"), 1).when(Precondition::Match(Seq(2)));
    let error = assert_error(
        http(&server.uri()).write(one.into()).await,
        ErrorKind::Conflict,
        "conflict",
    );
    let conflict = error.conflict().unwrap();
    assert_eq!(
        (conflict.op_index, conflict.path.as_str(), conflict.current),
        (0, "a", Some(Seq(3)))
    );

    let body = r#"{"error":"conflict","op_index":1,"path":"b","current_revision":null}"#;
    let server = answering(412, body).await;
    let two = Batch::new([
        Op::set(path("a"), 1),
        Op::delete(path("b")).when(Precondition::Match(Seq(2))),
    ]);
    let error = assert_error(
        http(&server.uri()).write(two.clone()).await,
        ErrorKind::Conflict,
        "conflict",
    );
    let conflict = error.conflict().unwrap();
    assert_eq!(
        (conflict.op_index, conflict.path.as_str(), conflict.current),
        (1, "b", None)
    );

    let body = r#"{"error":"if_match_multi_leaf","op_index":1,"path":"b","detail":"a leaf value, not a map"}"#;
    let server = answering(400, body).await;
    let error = assert_error(
        http(&server.uri()).write(two).await,
        ErrorKind::InvalidParams,
        "if_match_multi_leaf",
    );
    assert_eq!(error.conflict().map(|at| at.op_index), Some(1));
    assert_eq!(error.detail(), "a leaf value, not a map");
}

#[tokio::test]
async fn retry_after_is_read() {
    for (headers, expected) in [
        (&[("retry-after", "58")][..], 58),
        (&[("retry-after", "0")], 0),
        (&[("retry-after", " 7 ")], 7),
        (&[], 1),
        (&[("retry-after", "Sun, 22 Nov 2026 10:00:00 GMT")], 1),
        (&[("retry-after", "-3")], 1),
        (&[("x-ratelimit-reset", "60")], 1),
    ] {
        let server = Server::start([Turn::answer(429, headers, r#"{"error":"rate_limited"}"#)]).await;
        let error = assert_error(
            http(&server.base_url).write(put()).await,
            ErrorKind::RateLimited,
            "rate_limited",
        );
        assert_eq!(error.retry_after(), Some(Duration::from_secs(expected)), "{headers:?}");
    }
    let server = Server::start([Turn::answer(503, &[("retry-after", "2")], "")]).await;
    let error = assert_error(http(&server.base_url).write(put()).await, ErrorKind::Http, "http_503");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(2)));
}

/// Bodies that no server should send.
#[tokio::test]
async fn broken_answers_are_errors() {
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "<html><body>It works!</body></html>",
        r#"{"items":[{"path":"a","value":1"#,
        r#"{"items":{},"next_cursor":null}"#,
        r#"{"items":[1],"next_cursor":null}"#,
        r#"{"items":[{"path":"a","value":1,"type":"integer"}],"next_cursor":null}"#,
        r#"{"items":[{"path":"a//b","value":1,"type":"integer","revision":1}],"next_cursor":null}"#,
        r#"{"items":[{"path":"a","value":1,"type":"integer","revision":-1}],"next_cursor":null}"#,
        r#"{"items":[{"path":"a","value":1e999,"type":"float","revision":1}],"next_cursor":null}"#,
        r#"{"items":[],"next_cursor":"/a"}"#,
        r#"{"items":[],"next_cursor":7}"#,
        "{\"items\":[],\"next_cursor\":null} {}",
    ] {
        let server = answering(200, body).await;
        let store = http(&server.uri());
        assert_error(
            store.list(&List::below(path("a"))).await,
            ErrorKind::Http,
            "invalid_response",
        );
        assert_error(store.get(&path("a")).await, ErrorKind::Http, "invalid_response");
        assert_error(store.get_many(&[path("a")]).await, ErrorKind::Http, "invalid_response");
        let error = assert_error(store.write(put()).await, ErrorKind::Http, "invalid_response");
        assert_eq!(error.outcome(), Outcome::Unknown, "success without a readable answer");
        let two = Batch::new([Op::set(path("a"), 1), Op::set(path("b"), 2)]);
        let error = assert_error(store.write(two).await, ErrorKind::Http, "invalid_response");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert!(!error.is_retryable());
    }
}

#[tokio::test]
async fn batch_answers_have_every_op() {
    let server = answering(
        200,
        r#"{"ops":[{"path":"a","revision":1,"store_seq":1}],"store_seq":1}"#,
    )
    .await;
    let two = Batch::new([Op::set(path("a"), 1), Op::set(path("b"), 2)]);
    assert_error(
        http(&server.uri()).write(two).await,
        ErrorKind::Http,
        "invalid_response",
    );
}

#[tokio::test]
async fn answers_are_bounded() {
    let server = answering(200, &format!("\"{}\"", "x".repeat(2000))).await;
    let store = Http::new(options(&server.uri()).response_bytes_max(1000)).unwrap();
    let error = assert_error(store.get(&path("a")).await, ErrorKind::Http, "invalid_response");
    assert!(error.detail().contains("1000 bytes"), "{error}");
}

/// A server that echoes what it was sent.
#[tokio::test]
async fn no_text_shows_the_token() {
    let echo = format!(
        r#"{{"error":"unauthorized","detail":"no such token: {}"}}"#,
        super::TOKEN
    );
    let server = answering(401, &echo).await;
    let options = options(&server.uri()).retry(Retry::none());
    assert!(!format!("{options:?}").contains(super::TOKEN));
    let store = Http::new(options).unwrap();
    assert!(!format!("{store:?}").contains(super::TOKEN));
    let error = assert_error(store.get(&path("a")).await, ErrorKind::Unauthorized, "unauthorized");
    assert_eq!(error.detail(), "no such token: [redacted]");
}

#[tokio::test]
async fn long_texts_are_cut() {
    let body = format!(r#"{{"error":"invalid_params","detail":"{}"}}"#, "é".repeat(6000));
    let server = answering(400, &body).await;
    let error = assert_error(
        http(&server.uri()).write(put()).await,
        ErrorKind::InvalidParams,
        "invalid_params",
    );
    assert_eq!(error.detail().chars().count(), 501);
}

#[test]
fn options_that_cannot_work_are_refused() {
    for store in [
        "",
        "acme",
        "acme/",
        "/site",
        "acme/site/x",
        "Acme/site",
        "acme/si te",
        "acme/..",
        "acme/site\n",
        "-a/b",
    ] {
        let refused = Http::new(dust_transport::http::HttpOptions::new(store, "t"));
        assert_error(refused, ErrorKind::InvalidParams, "invalid_store");
    }
    for base_url in [
        "",
        "dustlayer.io",
        "ftp://dustlayer.io",
        "http://",
        "http://u:p@host",
        "http://host/?a=1",
        "http://host/#a",
    ] {
        assert_error(
            Http::new(options(base_url)),
            ErrorKind::InvalidParams,
            "invalid_base_url",
        );
    }
    for token in ["", "a\nb", "a\u{7f}b"] {
        let refused = Http::new(dust_transport::http::HttpOptions::new("acme/site", token));
        let error = assert_error(refused, ErrorKind::InvalidParams, "invalid_token");
        assert!(token.is_empty() || !format!("{error:?}").contains(token));
    }
}
