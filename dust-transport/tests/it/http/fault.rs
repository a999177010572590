//! What networks and servers do: and what is repeated, when, and how often.

use std::time::Duration;

use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::http::{Http, Retry};
use dust_transport::model::{Batch, Op, OpId, Precondition, Seq};
use dust_transport::transport::Transport as _;
use tokio::net::TcpSocket;

use super::server::{Server, Turn};
use super::{assert_error, http, noting, options, path, seqs};

const LEAF: &str = r#"{"path":"a","value":1,"type":"integer","revision":1}"#;
const WRITTEN: &str = r#"{"revision":4,"store_seq":4}"#;

fn put() -> Batch {
    Batch::one(Op::set(path("a"), 1))
}

fn put_if_match() -> Batch {
    Batch::one(Op::set(path("a"), 1).when(Precondition::Match(Seq(3))))
}

/// An address where nobody listens, and that is nobody else's as long as the socket is there.
fn nowhere() -> (String, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (format!("http://{}", socket.local_addr().unwrap()), socket)
}

/// The start of an answer that promises more.
fn half(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{body}")
}

#[tokio::test]
async fn refused_connections_are_tried_again() {
    let (base_url, _nobody) = nowhere();
    let (options, waits) = noting(&base_url);
    let store = Http::new(options).unwrap();
    let error = assert_error(store.get(&path("a")).await, ErrorKind::Network, "connect");
    assert!(error.is_retryable());
    assert_eq!(waits.lock().unwrap().len(), 3, "four attempts");
    // What never left was not applied, and can be sent again.
    let error = assert_error(store.write(put()).await, ErrorKind::Network, "connect");
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(waits.lock().unwrap().len(), 6);
}

#[tokio::test]
async fn waits_are_random_and_bounded() {
    let (base_url, _nobody) = nowhere();
    let (options, waits) = noting(&base_url);
    let retry = Retry::new()
        .attempts_max(8)
        .wait_base(Duration::from_millis(100))
        .wait_max(Duration::from_millis(500));
    let noted = std::sync::Arc::clone(&waits);
    let retry = retry.sleep(move |wait| {
        noted.lock().unwrap().push(wait);
        Box::pin(std::future::ready(()))
    });
    let store = Http::new(options.retry(retry)).unwrap();
    assert_error(store.get(&path("a")).await, ErrorKind::Network, "connect");
    let waits = waits.lock().unwrap().clone();
    let bounds = [100, 200, 400, 500, 500, 500, 500].map(Duration::from_millis);
    assert_eq!(waits.len(), bounds.len());
    assert!(
        waits.iter().zip(bounds).all(|(wait, bound)| *wait <= bound),
        "{waits:?}"
    );
    let distinct: std::collections::BTreeSet<_> = waits.iter().collect();
    assert!(distinct.len() > 1, "{waits:?}");
}

#[tokio::test]
async fn broken_connections_are_tried_again_by_reads() {
    for fault in [
        Turn::Reset(String::new()),
        Turn::Reset("HTTP/1.1 200".to_owned()),
        Turn::Reset(half(r#"{"path":"a","#)),
        Turn::Send(half(r#"{"path":"a","#)),
        Turn::Send("no answer at all\r\n\r\n".to_owned()),
        Turn::json(500, ""),
        Turn::json(503, "<html>busy</html>"),
        Turn::json(429, ""),
    ] {
        let server = Server::start([fault.clone(), Turn::json(200, LEAF)]).await;
        let entry = http(&server.base_url).get(&path("a")).await;
        assert_eq!(entry.unwrap().map(|entry| entry.revision), Some(Seq(1)), "{fault:?}");
        assert_eq!(server.seen().len(), 2);
    }
}

#[tokio::test]
async fn writes_are_not_repeated_by_themselves() {
    for (fault, kind, code) in [
        (Turn::Reset(String::new()), ErrorKind::Network, "connection_lost"),
        (Turn::Reset(half("{")), ErrorKind::Network, "connection_lost"),
        (Turn::Send(half("{")), ErrorKind::Network, "connection_lost"),
        (Turn::json(500, ""), ErrorKind::Http, "http_500"),
    ] {
        let server = Server::start([fault.clone(), Turn::json(200, WRITTEN)]).await;
        let error = assert_error(http(&server.base_url).write(put()).await, kind, code);
        assert_eq!(error.outcome(), Outcome::Unknown, "{fault:?}");
        assert_eq!(server.seen().len(), 1, "{fault:?}");
    }
    // Refused, and so not applied; when to come again is for the caller to decide.
    let server = Server::start([Turn::json(429, ""), Turn::json(200, WRITTEN)]).await;
    let error = assert_error(
        http(&server.base_url).write(put_if_match()).await,
        ErrorKind::RateLimited,
        "rate_limited",
    );
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn conditional_writes_are_repeated() {
    for fault in [Turn::Reset(String::new()), Turn::Send(half("{")), Turn::json(503, "")] {
        let server = Server::start([fault.clone(), Turn::json(200, WRITTEN)]).await;
        let written = http(&server.base_url).write(put_if_match()).await.unwrap();
        assert_eq!(written.seqs, seqs(&[4]), "{fault:?}");
        let seen = server.seen();
        assert_eq!(seen.len(), 2);
        assert!(seen.iter().all(|request| request.header("if-match") == Some("3")));
    }
}

/// The first attempt may have been the one that took the revision away.
#[tokio::test]
async fn a_conflict_after_a_lost_answer_is_not_certain() {
    let conflict = Turn::json(412, r#"{"error":"conflict","current_revision":4}"#);
    let server = Server::start([Turn::Reset(String::new()), conflict.clone()]).await;
    let error = assert_error(
        http(&server.base_url).write(put_if_match()).await,
        ErrorKind::Conflict,
        "conflict",
    );
    assert_eq!(error.outcome(), Outcome::Unknown);
    let server = Server::start([conflict]).await;
    let error = assert_error(
        http(&server.base_url).write(put_if_match()).await,
        ErrorKind::Conflict,
        "conflict",
    );
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

/// The second attempt does not even connect, which says nothing of the first.
#[tokio::test]
async fn a_lost_answer_stays_lost() {
    let server = Server::start([Turn::Reset(String::new())]).await;
    let error = assert_error(
        http(&server.base_url).write(put_if_match()).await,
        ErrorKind::Network,
        "connect",
    );
    assert_eq!(error.outcome(), Outcome::Unknown);
}

#[tokio::test]
async fn op_ids_settle_writes_where_the_server_knows_them() {
    let batch = put().with_id(OpId::new("op_1").unwrap());
    let turns = [Turn::Reset(String::new()), Turn::json(200, WRITTEN)];
    let server = Server::start(turns.clone()).await;
    let store = Http::new(options(&server.base_url).op_ids_are_deduplicated(true)).unwrap();
    assert!(store.capabilities().op_ids);
    assert_eq!(store.write(batch.clone()).await.unwrap().seqs, seqs(&[4]));
    assert!(
        server
            .seen()
            .iter()
            .all(|request| request.header("x-request-id") == Some("op_1"))
    );

    let server = Server::start(turns).await;
    let store = http(&server.base_url);
    assert!(!store.capabilities().op_ids);
    assert_error(store.write(batch).await, ErrorKind::Network, "connection_lost");
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn stalled_servers_time_out() {
    for stall in [Turn::Stall(String::new()), Turn::Stall(half(r#"{"path":"a","#))] {
        let server = Server::start([stall.clone(), stall.clone(), stall.clone()]).await;
        let limited = options(&server.base_url).response_timeout(Duration::from_secs(5));
        let retry = Retry::new().attempts_max(2).sleep(|_| Box::pin(std::future::ready(())));
        let store = Http::new(limited.retry(retry)).unwrap();
        let error = assert_error(store.get(&path("a")).await, ErrorKind::Timeout, "timeout");
        assert!(!error.is_retryable());
        assert_eq!(server.seen().len(), 2, "a read is tried again");
        let error = assert_error(store.write(put()).await, ErrorKind::Timeout, "timeout");
        assert_eq!(error.outcome(), Outcome::Unknown);
        assert_eq!(server.seen().len(), 3, "a write is not");
    }
}

#[tokio::test]
async fn retry_after_is_waited_for_by_reads() {
    let limited = |seconds: &str| Turn::answer(429, &[("retry-after", seconds)], r#"{"error":"rate_limited"}"#);
    let server = Server::start([limited("58"), limited("0"), Turn::json(429, ""), Turn::json(200, LEAF)]).await;
    let (options, waits) = noting(&server.base_url);
    assert!(Http::new(options).unwrap().get(&path("a")).await.unwrap().is_some());
    let waits = waits.lock().unwrap().clone();
    let at_least = [58, 0, 1].map(Duration::from_secs);
    assert_eq!(waits.len(), at_least.len());
    for (wait, least) in waits.iter().zip(at_least) {
        assert!(
            *wait >= least && *wait <= least + Duration::from_millis(400),
            "{waits:?}"
        );
    }
    // Longer than anybody should be kept waiting.
    let server = Server::start([limited("61")]).await;
    let (options, waits) = noting(&server.base_url);
    let error = assert_error(
        Http::new(options).unwrap().get(&path("a")).await,
        ErrorKind::RateLimited,
        "rate_limited",
    );
    assert_eq!(error.retry_after(), Some(Duration::from_secs(61)));
    assert!(waits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn attempts_are_bounded() {
    let server = Server::start(vec![Turn::json(500, ""); 5]).await;
    assert_error(
        http(&server.base_url).get(&path("a")).await,
        ErrorKind::Http,
        "http_500",
    );
    assert_eq!(server.seen().len(), 4);
    let server = Server::start(vec![Turn::json(500, ""); 2]).await;
    let store = Http::new(options(&server.base_url).retry(Retry::none())).unwrap();
    assert_error(store.get(&path("a")).await, ErrorKind::Http, "http_500");
    assert_eq!(server.seen().len(), 1);
}

/// Refusals do not change by being repeated.
#[tokio::test]
async fn refused_reads_are_not_repeated() {
    for status in [400, 401, 403, 404, 412, 201] {
        let server = Server::start([Turn::json(status, ""), Turn::json(200, LEAF)]).await;
        let got = http(&server.base_url).get(&path("a")).await;
        assert_eq!(got.is_ok(), status == 404, "{status}");
        assert_eq!(server.seen().len(), 1, "{status}");
    }
}

#[tokio::test]
async fn the_token_does_not_follow_redirects_elsewhere() {
    let elsewhere = Server::start([Turn::json(200, LEAF)]).await;
    for status in [301, 302, 303, 307, 308] {
        let to = format!("{}/api/stores/acme/site/entries/a", elsewhere.base_url);
        let server = Server::start(vec![Turn::answer(status, &[("location", &to)], ""); 2]).await;
        let store = http(&server.base_url);
        let error = assert_error(store.get(&path("a")).await, ErrorKind::Http, "redirect_refused");
        assert!(error.detail().contains("127.0.0.1") && !error.is_retryable(), "{error}");
        let error = assert_error(store.write(put()).await, ErrorKind::Http, "redirect_refused");
        assert_eq!(error.outcome(), Outcome::NotApplied);
    }
    assert!(elsewhere.seen().is_empty());
}

#[tokio::test]
async fn redirects_within_the_server_are_followed() {
    let moved = |status| Turn::answer(status, &[("location", "/v2/a")], "");
    for status in [301, 302, 303, 307, 308] {
        let server = Server::start([moved(status), Turn::json(200, LEAF)]).await;
        assert!(http(&server.base_url).get(&path("a")).await.unwrap().is_some());
        assert_eq!(server.lines()[1], "GET /v2/a");
        let bearer = format!("Bearer {}", super::TOKEN);
        assert_eq!(server.seen()[1].header("authorization"), Some(bearer.as_str()));
    }
    for status in [307, 308] {
        let server = Server::start([moved(status), Turn::json(200, WRITTEN)]).await;
        assert_eq!(http(&server.base_url).write(put()).await.unwrap().seqs, seqs(&[4]));
        assert_eq!(server.lines()[1], "PUT /v2/a");
        assert_eq!(server.seen()[1].body, "1");
    }
    // These would make another request of a write.
    for status in [301, 302, 303] {
        let server = Server::start([moved(status), Turn::json(200, WRITTEN)]).await;
        assert_error(
            http(&server.base_url).write(put()).await,
            ErrorKind::Http,
            "redirect_refused",
        );
        assert_eq!(server.seen().len(), 1);
    }
    let server = Server::start(vec![moved(307); 9]).await;
    assert_error(
        http(&server.base_url).get(&path("a")).await,
        ErrorKind::Http,
        "redirect_refused",
    );
    assert_eq!(server.seen().len(), 4);
    let server = Server::start([Turn::answer(307, &[], "")]).await;
    assert_error(
        http(&server.base_url).get(&path("a")).await,
        ErrorKind::Http,
        "redirect_refused",
    );
}
