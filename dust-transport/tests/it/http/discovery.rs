//! How the client finds out what a server does beyond the original, and what it does with that.

use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::http::{Discovery, Http};
use dust_transport::model::{Batch, Op, OpId, Precondition, Seq};
use dust_transport::transport::Transport as _;

use super::server::{Server, Turn};
use super::{assert_error, json, options, path, seqs};

const ASK: &str = "GET /api/capabilities";
const BATCH: &str = "POST /api/stores/acme/site/entries/batch_write";
const CAPABILITIES: &str =
    r#"{"extensions":["absent_in_batches","op_ids","subtree_preconditions","value_ops","later"],"limits":{}}"#;
const WRITTEN: &str = r#"{"ops":[{"path":"n","revision":4,"store_seq":4}],"store_seq":4}"#;

fn asking(server: &Server) -> Http {
    Http::new(options(&server.base_url).discovery(Discovery::Ask)).unwrap()
}

fn increment() -> Batch {
    Batch::one(Op::increment(path("n"), 1))
}

/// A write that the wire of the original can say, too, if less of it.
fn swap() -> Batch {
    let subtree = Precondition::Subtree {
        root: path("r"),
        leaves: vec![(path("r/a"), Seq(1)), (path("r/b"), Seq(2))],
    };
    Batch::one(Op::set(path("r/a"), 1).when(subtree))
}

fn understood(names: &str) -> Turn {
    Turn::answer(200, &[("dust-extensions", names)], WRITTEN)
}

#[tokio::test]
async fn a_server_is_asked_once_and_only_before_a_write_that_gains_by_it() {
    let plain = Turn::json(200, r#"{"revision":3,"store_seq":3}"#);
    let server = Server::start([
        plain,
        Turn::json(200, CAPABILITIES),
        understood("value_ops"),
        understood("later, value_ops"),
    ])
    .await;
    let store = asking(&server);
    store.write(Batch::one(Op::set(path("a"), 1))).await.unwrap();
    assert!(!store.capabilities().value_ops, "nothing is known yet");
    for _ in 0..2 {
        assert_eq!(store.write(increment()).await.unwrap().seqs, seqs(&[4]));
    }
    let put = "PUT /api/stores/acme/site/entries/a";
    assert_eq!(server.lines(), [put, ASK, BATCH, BATCH]);
    let seen = server.seen();
    let bearer = format!("Bearer {}", super::TOKEN);
    assert_eq!(seen[1].header("authorization"), Some(bearer.as_str()));
    let named: Vec<_> = seen.iter().map(|request| request.header("dust-extensions")).collect();
    assert_eq!(named, [None, None, Some("value_ops"), Some("value_ops")]);
    assert_eq!(seen[2].body, r#"{"ops":[{"op":"increment","path":"n","value":1}]}"#);
    let known = store.capabilities();
    assert!(known.value_ops && known.absent_in_batches && known.subtree_preconditions && known.op_ids);
    assert!(!known.subtree_by_leaf && !known.subscribe);
}

#[tokio::test]
async fn connecting_asks_at_once() {
    let server = Server::start([Turn::json(200, r#"{"extensions":["value_ops"]}"#)]).await;
    let store = Http::connect(options(&server.base_url).discovery(Discovery::Ask))
        .await
        .unwrap();
    let known = store.capabilities();
    assert!(known.value_ops && !known.absent_in_batches && !known.subtree_preconditions && !known.op_ids);
    assert_eq!(server.lines(), [ASK]);
    // What the server does not have is refused as ever.
    let absent = [Op::set(path("a"), 1), Op::set(path("b"), 1).when(Precondition::Absent)];
    assert_error(
        store.write(Batch::new(absent)).await,
        ErrorKind::NotSupported,
        "unsupported_precondition",
    );
}

#[tokio::test]
async fn every_extension_has_its_words() {
    let server = Server::start([
        Turn::json(200, CAPABILITIES),
        Turn::answer(
            200,
            &[("dust-extensions", "absent_in_batches, subtree_preconditions, value_ops")],
            r#"{"ops":[{"store_seq":1},{"store_seq":2},{"store_seq":3},{"store_seq":4},{"store_seq":5},{"store_seq":6}],"store_seq":6,"deduplicated":true}"#,
        ),
    ])
    .await;
    let subtree = Precondition::Subtree {
        root: path("r"),
        leaves: vec![(path("r/a"), Seq(1)), (path("r/b"), Seq(2))],
    };
    let highest = Precondition::SubtreeRevision {
        root: path("s"),
        revision: Seq(9),
    };
    let ops = [
        Op::set(path("r"), json(r#"{"a":1}"#)).when(subtree),
        Op::delete(path("s")).when(highest),
        Op::set(path("t"), 1).when(Precondition::Absent),
        Op::merge(path("u"), json(r#"{"x":1}"#)),
        Op::add(path("v"), 1),
        Op::remove(path("v"), 2),
    ];
    let written = asking(&server).write(Batch::new(ops)).await.unwrap();
    assert_eq!((written.seqs, written.deduplicated), (seqs(&[1, 2, 3, 4, 5, 6]), true));
    let seen = server.seen();
    assert_eq!(
        seen[1].header("dust-extensions"),
        Some("absent_in_batches, subtree_preconditions, value_ops")
    );
    assert_eq!(
        seen[1].body,
        concat!(
            r#"{"ops":[{"op":"set","path":"r","value":{"a":1},"if_subtree":{"root":"r","leaves":{"r/a":1,"r/b":2}}},"#,
            r#"{"op":"delete","path":"s","if_subtree":{"root":"s","revision":9}},"#,
            r#"{"op":"set","path":"t","value":1,"if_absent":true},"#,
            r#"{"op":"merge","path":"u","value":{"x":1}},"#,
            r#"{"op":"add","path":"v","value":1},{"op":"remove","path":"v","value":2}]}"#,
        )
    );
}

/// An old server, the hosted one, a proxy's page, a broken answer: none has extensions, and none is asked again.
#[tokio::test]
async fn a_server_that_tells_nothing_has_none() {
    let page = Turn::answer(
        200,
        &[("content-type", "text/html")],
        "<!doctype html><title>hello</title>",
    );
    for answer in [
        Turn::json(404, r#"{"error":"not_found"}"#),
        Turn::answer(404, &[("content-type", "text/html")], "<h1>nowhere</h1>"),
        Turn::json(401, r#"{"error":"unauthorized"}"#),
        Turn::json(403, ""),
        Turn::json(204, ""),
        page,
        Turn::json(200, "{}"),
        Turn::json(200, r#"{"extensions":"value_ops"}"#),
        Turn::json(200, r#"{"extensions":[1]}"#),
        Turn::json(200, r#"{"extensions":["val"#),
        Turn::json(200, r#"{"extensions":["later"]}"#),
        Turn::answer(302, &[("location", "http://elsewhere.invalid/")], ""),
    ] {
        let by_leaf = Turn::json(200, r#"{"revision":4,"store_seq":4}"#);
        let server = Server::start([answer.clone(), by_leaf]).await;
        let store = asking(&server);
        assert_eq!(store.write(swap()).await.unwrap().seqs, seqs(&[4]), "{answer:?}");
        assert_error(
            store.write(increment()).await,
            ErrorKind::NotSupported,
            "unsupported_op",
        );
        assert_eq!(
            server.lines(),
            [ASK, "PUT /api/stores/acme/site/entries/r/a"],
            "{answer:?}"
        );
        assert_eq!(server.seen()[1].header("if-match"), Some("1"));
        assert!(!store.capabilities().value_ops && store.capabilities().subtree_by_leaf);
    }
}

/// What may pass is asked again by the next write, three times in all; no write fails by it.
#[tokio::test]
async fn a_server_that_cannot_be_asked_is_asked_three_times() {
    for fault in [
        Turn::json(500, ""),
        Turn::json(429, ""),
        Turn::Reset(String::new()),
        Turn::Stall(String::new()),
        Turn::Stall("HTTP/1.1 200 OK\r\ncontent-length: 90\r\n\r\n{".to_owned()),
    ] {
        let server = Server::start([fault.clone(), Turn::json(200, CAPABILITIES), understood("value_ops")]).await;
        let store = asking(&server);
        assert_error(
            store.write(increment()).await,
            ErrorKind::NotSupported,
            "unsupported_op",
        );
        assert_eq!(store.write(increment()).await.unwrap().seqs, seqs(&[4]), "{fault:?}");
        assert_eq!(server.lines(), [ASK, ASK, BATCH]);

        let server = Server::start(vec![fault.clone(); 4]).await;
        let store = asking(&server);
        for _ in 0..5 {
            assert_error(
                store.write(increment()).await,
                ErrorKind::NotSupported,
                "unsupported_op",
            );
        }
        assert_eq!(server.lines(), [ASK; 3], "{fault:?}");
    }
}

#[tokio::test]
async fn concurrent_writes_share_one_question() {
    let turns = [Turn::json(200, CAPABILITIES)];
    let server = Server::start(turns.into_iter().chain(vec![understood("value_ops"); 4])).await;
    let store = asking(&server);
    let (a, b, c, d) = tokio::join!(
        store.write(increment()),
        store.write(increment()),
        store.write(increment()),
        store.write(increment()),
    );
    assert!([a, b, c, d].iter().all(Result::is_ok));
    assert_eq!(server.lines(), [ASK, BATCH, BATCH, BATCH, BATCH]);
}

#[tokio::test]
async fn asking_can_be_left_out() {
    let server = Server::start([understood("value_ops")]).await;
    let never = Http::connect(options(&server.base_url).discovery(Discovery::Never))
        .await
        .unwrap();
    assert_error(
        never.write(increment()).await,
        ErrorKind::NotSupported,
        "unsupported_op",
    );
    let assuming = Http::connect(options(&server.base_url).discovery(Discovery::Assume))
        .await
        .unwrap();
    assert!(assuming.capabilities().value_ops);
    assert_eq!(assuming.write(increment()).await.unwrap().seqs, seqs(&[4]));
    assert_eq!(server.lines(), [BATCH]);
}

/// The original ignores conditions that it does not know: then the write is there, without its condition.
#[tokio::test]
async fn a_server_that_ignores_an_extension_is_found_out() {
    let server = Server::start([understood("value_ops")]).await;
    let store = Http::new(options(&server.base_url).discovery(Discovery::Assume)).unwrap();
    let error = assert_error(store.write(swap()).await, ErrorKind::Http, "extensions_ignored");
    assert_eq!((error.outcome(), error.is_retryable()), (Outcome::Unknown, false));
}

#[tokio::test]
async fn refusals_name_the_op() {
    let refusal = r#"{"error":"conflict","detail":"no","op_index":1,"path":"r/b","current_revision":7}"#;
    let server = Server::start([Turn::json(412, refusal), Turn::json(404, r#"{"error":"not_found"}"#)]).await;
    let store = Http::new(options(&server.base_url).discovery(Discovery::Assume)).unwrap();
    let error = assert_error(store.write(swap()).await, ErrorKind::Conflict, "conflict");
    let at = error.conflict().unwrap();
    assert_eq!((at.op_index, at.path.as_str(), at.current), (1, "r/b", Some(Seq(7))));
    // It is not sent op by op, whose conditions would be lost.
    assert_error(store.write(swap()).await, ErrorKind::NotImplemented, "not_found");
    assert_eq!(server.lines(), [BATCH, BATCH]);
}

/// A server that commits an op id once makes the repetition of a write harmless.
#[tokio::test]
async fn a_write_with_an_op_id_is_repeated_where_the_server_settles_it() {
    let server = Server::start([
        Turn::json(200, CAPABILITIES),
        Turn::Reset(String::new()),
        understood("value_ops"),
    ])
    .await;
    let batch = increment().with_id(OpId::new("op_1").unwrap());
    assert_eq!(asking(&server).write(batch).await.unwrap().seqs, seqs(&[4]));
    assert_eq!(server.lines(), [ASK, BATCH, BATCH]);
    assert_eq!(server.seen()[2].header("x-request-id"), Some("op_1"));
}
