//! Writes, request by request.

use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::model::{Batch, Op, OpId, Path, Precondition, Seq, Value};
use dust_transport::transport::{Start, Subscribe, Transport as _};
use wiremock::matchers::{body_json_string, header, method, path as url_path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::server::{Seen, Server, Turn};
use super::{ENTRIES, assert_error, http, json, path, seqs};

const WRITTEN: &str = r#"{"revision":4,"store_seq":4}"#;

fn set(at: &str, value: &str) -> Op {
    Op::set(path(at), json(value))
}

fn subtree(root: &str, leaves: &[(&str, u64)]) -> Precondition {
    Precondition::Subtree {
        root: path(root),
        leaves: leaves.iter().map(|(leaf, seq)| (path(leaf), Seq(*seq))).collect(),
    }
}

/// The request that a batch of one op makes.
async fn sent(batch: impl Into<Batch>) -> Seen {
    let server = Server::start([Turn::json(200, WRITTEN)]).await;
    let written = http(&server.base_url).write(batch.into()).await.unwrap();
    assert_eq!((written.seqs, written.deduplicated), (seqs(&[4]), false));
    server.seen().remove(0)
}

/// The body of the request that a batch of several ops makes.
async fn sent_ops(ops: Vec<Op>) -> String {
    let seqs: Vec<String> = (1..=ops.len())
        .map(|seq| format!(r#"{{"path":"x","revision":{seq},"store_seq":{seq}}}"#))
        .collect();
    let body = format!(r#"{{"ops":[{}],"store_seq":{}}}"#, seqs.join(","), ops.len());
    let server = Server::start([Turn::json(200, &body)]).await;
    let count = ops.len() as u64;
    let written = http(&server.base_url).write(Batch::new(ops)).await.unwrap();
    assert_eq!(written.seqs, (1..=count).map(Seq).collect::<Vec<_>>());
    assert_eq!(server.lines(), [format!("POST {ENTRIES}/batch_write")]);
    server.seen().remove(0).body
}

#[tokio::test]
async fn one_set_is_a_put_of_the_value() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(url_path(format!("{ENTRIES}/links/dust/title")))
        .and(header("content-type", "application/json"))
        .and(header("if-match", "3"))
        .and(body_json_string("\"Dust\""))
        .respond_with(ResponseTemplate::new(200).set_body_raw(WRITTEN, "application/json"))
        .expect(1)
        .mount(&server)
        .await;
    let op = Op::set(path("links/dust/title"), "Dust").when(Precondition::Match(Seq(3)));
    assert_eq!(http(&server.uri()).write(op.into()).await.unwrap().seqs, seqs(&[4]));
}

#[tokio::test]
async fn every_single_op_has_its_request() {
    let entries = |method: &str, tail: &str| format!("{method} {ENTRIES}{tail}");
    for (op, line, body) in [
        (set("a", "null"), entries("PUT", "/a"), "null"),
        (set("a", "[{}]"), entries("PUT", "/a"), "[{}]"),
        (set("a", r#"{"b":{}}"#), entries("PUT", "/a"), r#"{"b":{}}"#),
        (
            set("a", r#"{"_typed":"1","_type":"decimal"}"#),
            entries("PUT", "/a"),
            r#"{"_typed":"1","_type":"decimal"}"#,
        ),
        (Op::delete(path("a/b c")), entries("DELETE", "/a/b%20c"), ""),
        // A PUT of an empty map is refused, and one with this key is misread.
        (set("a", "{}"), entries("POST", ""), r#"{"path":"a","value":{}}"#),
        (
            set("a", r#"{"_json":1}"#),
            entries("POST", ""),
            r#"{"path":"a","value":{"_json":1}}"#,
        ),
        // No address holds these.
        (set("a/..", "1"), entries("POST", ""), r#"{"path":"a/..","value":1}"#),
        (Op::delete(path("a/..")), entries("DELETE", ""), r#"{"path":"a/.."}"#),
    ] {
        let request = sent(op).await;
        assert_eq!((request.line(), request.body.as_str()), (line, body));
        let content_type = (!body.is_empty()).then_some("application/json");
        assert_eq!(request.header("content-type"), content_type);
        for name in ["if-match", "if-none-match", "x-request-id"] {
            assert_eq!(request.header(name), None);
        }
    }
}

#[tokio::test]
async fn conditions_are_headers_or_stand_in_the_body() {
    let matching = Precondition::Match(Seq(7));
    let request = sent(set("a", "1").when(matching.clone())).await;
    assert_eq!(
        (request.header("if-match"), request.header("if-none-match")),
        (Some("7"), None)
    );
    let request = sent(Op::delete(path("a")).when(matching.clone())).await;
    assert_eq!(request.header("if-match"), Some("7"));
    let request = sent(set("a", "1").when(Precondition::Absent)).await;
    assert_eq!(
        (request.header("if-match"), request.header("if-none-match")),
        (None, Some("*"))
    );
    let request = sent(set("a/..", "1").when(matching.clone())).await;
    assert_eq!(request.body, r#"{"path":"a/..","value":1,"if_match":7}"#);
    let request = sent(set("a/..", "1").when(Precondition::Absent)).await;
    assert_eq!(request.body, r#"{"path":"a/..","value":1,"if_absent":true}"#);
    let request = sent(Op::delete(path("a/..")).when(matching)).await;
    assert_eq!(request.body, r#"{"path":"a/..","if_match":7}"#);
}

#[tokio::test]
async fn several_ops_are_one_batch() {
    let ops = vec![
        set("links/x/title", "\"X\""),
        set("b", "{}").when(Precondition::None),
        set("c", "2").when(Precondition::Match(Seq(4))),
        Op::delete(path("links/old")),
        Op::delete(path("d")).when(Precondition::Match(Seq(5))),
    ];
    let expected = concat!(
        r#"{"ops":[{"op":"set","path":"links/x/title","value":"X"},{"op":"set","path":"b","value":{}},"#,
        r#"{"op":"set","path":"c","value":2,"if_match":4},{"op":"delete","path":"links/old"},"#,
        r#"{"op":"delete","path":"d","if_match":5}]}"#,
    );
    assert_eq!(sent_ops(ops).await, expected);
}

#[tokio::test]
async fn op_ids_are_request_ids() {
    let id = OpId::new("op_1").unwrap();
    let request = sent(Batch::one(set("a", "1")).with_id(id)).await;
    assert_eq!(request.header("x-request-id"), Some("op_1"));
}

#[tokio::test]
async fn a_deduplicated_write_says_so() {
    let server = Server::start([Turn::json(200, r#"{"revision":4,"store_seq":4,"deduplicated":true}"#)]).await;
    assert!(
        http(&server.base_url)
            .write(set("a", "1").into())
            .await
            .unwrap()
            .deduplicated
    );
}

#[tokio::test]
async fn what_the_wire_cannot_say_is_not_sent() {
    let server = Server::start([]).await;
    let store = http(&server.base_url);
    let capabilities = store.capabilities();
    assert_eq!((capabilities.batch_ops_max, capabilities.page_leaves_max), (1000, 1000));
    assert!(!capabilities.subscribe && !capabilities.subtree_preconditions && capabilities.subtree_by_leaf);
    assert!(capabilities.atomic_batches);
    assert_eq!(store.name(), "http");

    for op in [
        Op::merge(path("a"), json("{}")),
        Op::increment(path("a"), 1),
        Op::add(path("a"), 1),
        Op::remove(path("a"), 1),
    ] {
        let error = assert_error(store.write(op.into()).await, ErrorKind::NotSupported, "unsupported_op");
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    let absent = |op: Op| op.when(Precondition::Absent);
    let two = Batch::new([set("b", "1"), absent(set("a", "1"))]);
    let error = assert_error(
        store.write(two).await,
        ErrorKind::NotSupported,
        "unsupported_precondition",
    );
    assert_eq!(error.conflict().map(|at| at.op_index), Some(1));
    let delete = absent(Op::delete(path("a")));
    assert_error(
        store.write(delete.into()).await,
        ErrorKind::InvalidParams,
        "if_absent_unsupported_op",
    );
    for (value, code) in [(r#"{"b":{"":1}}"#, "empty_segment"), (r#"{"b\u0000":1}"#, "path_nul")] {
        let error = assert_error(
            store.write(set("a", value).into()).await,
            ErrorKind::InvalidParams,
            code,
        );
        assert_eq!(error.conflict().map(|at| at.path.clone()), Some(path("a")));
    }
    let never = set("a", "1").when(Precondition::Match(Seq(0)));
    assert_error(store.write(never.into()).await, ErrorKind::Conflict, "conflict");
    assert_error(
        store.write(Batch::default()).await,
        ErrorKind::InvalidParams,
        "invalid_params",
    );
    let many = Batch::new(vec![set("a", "1"); 1001]);
    let error = assert_error(store.write(many).await, ErrorKind::InvalidParams, "invalid_params");
    assert!(error.detail().contains("1000"));
    let subscribe = Subscribe::touching(path("a")).start(Start::Now);
    let refused = store.subscribe(subscribe).await.map(drop);
    assert_error(refused, ErrorKind::NotSupported, "not_supported");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_subtree_is_compared_by_the_leaves_that_are_set() {
    let version = subtree("r", &[("r/a", 3), ("r/b", 5), ("r/c", 7)]);
    let ops = vec![
        set("r/a", "1").when(version.clone()),
        set("r/b", "null"),
        set("r/new", "2"),
        Op::delete(path("r/c")),
        set("other", "3"),
        set("r/a", "4"),
    ];
    let expected = concat!(
        r#"{"ops":[{"op":"set","path":"r/a","value":1,"if_match":3},{"op":"set","path":"r/b","value":null,"if_match":5},"#,
        r#"{"op":"set","path":"r/new","value":2},{"op":"delete","path":"r/c","if_match":7},"#,
        r#"{"op":"set","path":"other","value":3},{"op":"set","path":"r/a","value":4}]}"#,
    );
    assert_eq!(sent_ops(ops).await, expected);
    // Each record of a batch has its own.
    let ops = vec![
        set("r/a", "1").when(version.clone()),
        set("s/a", "2").when(subtree("s", &[("s/a", 9)])),
    ];
    let body = sent_ops(ops).await;
    assert!(
        body.contains(r#""value":1,"if_match":3"#) && body.contains(r#""value":2,"if_match":9"#),
        "{body}"
    );

    let request = sent(set("r/b", "1").when(version.clone())).await;
    assert_eq!(request.header("if-match"), Some("5"));
    // By itself an absent leaf can be asked for.
    let request = sent(set("r/new", "1").when(version)).await;
    assert_eq!(request.header("if-none-match"), Some("*"));
    let request = sent(set("r/a", "1").when(subtree("r", &[]))).await;
    assert_eq!(request.header("if-none-match"), Some("*"));
}

#[tokio::test]
async fn a_subtree_that_cannot_be_compared_is_refused() {
    let server = Server::start([]).await;
    let store = http(&server.base_url);
    let version = subtree("r", &[("r/a", 3)]);
    let revision = Precondition::SubtreeRevision {
        root: path("r"),
        revision: Seq(3),
    };
    for batch in [
        Batch::one(set("r", r#"{"a":1}"#).when(version.clone())),
        Batch::one(Op::delete(path("r")).when(version.clone())),
        Batch::one(set("r/a", r#"{"b":1}"#).when(version.clone())),
        Batch::new([set("r/a", "1").when(version.clone()), Op::delete(path("r/b"))]),
        Batch::new([set("r/a", "1").when(version.clone()), set("r/b", "{}")]),
        Batch::new([set("r/b", "1").when(version.clone()), set("r/c", "1")]),
        Batch::new([set("r/a", "1").when(subtree("r", &[])), set("r/b", "1")]),
        Batch::new([set("s/a", "1").when(version.clone()), set("s/b", "1")]),
        Batch::new([
            set("r/a", "1").when(version),
            set("r/a", "1").when(Precondition::Absent),
        ]),
        Batch::one(set("r/a", "1").when(revision.clone())),
        Batch::one(Op::delete(path("r")).when(revision)),
    ] {
        let error = assert_error(
            store.write(batch.clone()).await,
            ErrorKind::NotSupported,
            "unsupported_precondition",
        );
        assert_eq!(error.outcome(), Outcome::NotApplied, "{batch:?}");
    }
    assert!(server.seen().is_empty());
}

/// A server from before batches.
#[tokio::test]
async fn an_old_server_gets_the_ops_one_by_one() {
    let old = || Turn::json(404, r#"{"errors":{"detail":"Not Found"}}"#);
    let written = |seq: u64| Turn::json(200, &format!(r#"{{"revision":{seq},"store_seq":{seq}}}"#));
    let server = Server::start([old(), written(1), written(2), written(3), written(4)]).await;
    let store = http(&server.base_url);
    let batch = Batch::new([
        set("r/a", "1").when(subtree("r", &[("r/a", 9)])),
        Op::delete(path("r/b")).when(Precondition::Match(Seq(8))),
    ]);
    // The condition on a delete is its own, and not the subtree's.
    assert_error(
        store.write(batch).await,
        ErrorKind::NotSupported,
        "unsupported_precondition",
    );

    let batch = Batch::new([set("r/a", "1").when(subtree("r", &[("r/a", 9)])), set("r/b", "2")]);
    let reply = store.write(batch.with_id(OpId::new("op_1").unwrap())).await.unwrap();
    assert_eq!(reply.seqs, seqs(&[1, 2]));
    let seen = server.seen();
    assert_eq!(
        server.lines(),
        [
            format!("POST {ENTRIES}/batch_write"),
            format!("PUT {ENTRIES}/r/a"),
            format!("PUT {ENTRIES}/r/b")
        ]
    );
    assert_eq!(
        (seen[1].header("if-match"), seen[2].header("if-match")),
        (Some("9"), None)
    );
    let ids: Vec<_> = seen.iter().map(|request| request.header("x-request-id")).collect();
    assert_eq!(ids, [Some("op_1"), Some("op_1:0"), Some("op_1:1")]);
    assert!(!store.capabilities().atomic_batches);
    // It is asked once.
    store
        .write(Batch::new([set("a", "1"), Op::delete(path("b"))]))
        .await
        .unwrap();
    assert_eq!(
        server.lines()[3..],
        [format!("PUT {ENTRIES}/a"), format!("DELETE {ENTRIES}/b")]
    );
}

#[tokio::test]
async fn a_batch_that_stops_half_way_says_so() {
    let old = || Turn::json(404, "Not Found");
    let written = Turn::json(200, WRITTEN);
    let conflict = Turn::json(412, r#"{"error":"conflict","current_revision":6}"#);
    let server = Server::start([old(), written, conflict.clone()]).await;
    let two = || Batch::new([set("a", "1"), set("b", "1").when(Precondition::Match(Seq(5)))]);
    let error = assert_error(
        http(&server.base_url).write(two()).await,
        ErrorKind::Conflict,
        "conflict",
    );
    let at = error.conflict().unwrap();
    assert_eq!((at.op_index, at.path.as_str(), at.current), (1, "b", Some(Seq(6))));
    assert_eq!(error.outcome(), Outcome::Unknown, "the first op is there");
    assert_eq!(server.seen().len(), 3);

    let server = Server::start([old(), conflict]).await;
    let first = Batch::new([set("a", "1").when(Precondition::Match(Seq(5))), set("b", "1")]);
    let error = assert_error(
        http(&server.base_url).write(first).await,
        ErrorKind::Conflict,
        "conflict",
    );
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(server.seen().len(), 2);
}

/// The answer to the batch is lost, and then the route is gone: it was there, and the batch may have been applied.
#[tokio::test]
async fn a_batch_that_may_be_there_is_not_sent_op_by_op() {
    let server = Server::start([Turn::Reset(String::new()), Turn::json(404, r#"{"error":"not_found"}"#)]).await;
    let store = http(&server.base_url);
    let batch = Batch::new([set("a", "1").when(Precondition::Match(Seq(5))), set("b", "1")]);
    let error = assert_error(store.write(batch).await, ErrorKind::NotImplemented, "not_found");
    assert_eq!(error.outcome(), Outcome::Unknown);
    assert_eq!(server.lines(), vec![format!("POST {ENTRIES}/batch_write"); 2]);
    assert!(store.capabilities().atomic_batches);
}

/// A 404 of all that is sent is a missing store, not an old server.
#[tokio::test]
async fn a_missing_store_does_not_look_old() {
    let missing = Turn::json(404, r#"{"error":"not_found"}"#);
    let server = Server::start([missing.clone(), missing]).await;
    let store = http(&server.base_url);
    let error = assert_error(
        store.write(Batch::new([set("a", "1"), set("b", "1")])).await,
        ErrorKind::NotImplemented,
        "not_found",
    );
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert!(store.capabilities().atomic_batches);
}

#[tokio::test]
async fn the_largest_batch_is_sent() {
    let ops: Vec<Op> = (0..1000)
        .map(|index| {
            Op::set(
                Path::new(["n".to_owned(), index.to_string()]).unwrap(),
                Value::from(index),
            )
        })
        .collect();
    assert_eq!(sent_ops(ops).await.matches("\"op\":\"set\"").count(), 1000);
}
