//! What the original server sent to its clients, sent to ours.

#![expect(clippy::indexing_slicing, reason = "what a recorded exchange lacks fails the test")]

use std::sync::Arc;

use dust_transport::channel::JOIN;
use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::model::{Batch, Op, Seq};
use dust_transport::sync::{Sync, SyncOptions};
use dust_transport::transport::Transport as _;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;

use super::path;

/// The frames that a recorded client received after an exchange of this name.
fn received(group: &str, name: &str) -> Vec<Json> {
    let transcript = include_str!("../../../../dust-server/tests/transcripts/channel.json");
    let transcript: Json = serde_json::from_str(transcript).unwrap();
    let groups = transcript["groups"].as_array().unwrap().iter();
    let group = groups.clone().find(|found| found["group"] == group).unwrap();
    let exchange = group["exchanges"]
        .as_array()
        .unwrap()
        .iter()
        .find(|found| found["name"] == name)
        .unwrap();
    let client = &exchange["sent"]["client"];
    let frames = exchange["received"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|frame| frame["client"] == *client);
    frames.map(|frame| frame["frame"].clone()).collect()
}

/// A server that answers joins and writes by recordings, with the refs that the client uses.
async fn replay(joined: Vec<Json>, written: Vec<Json>) -> SyncOptions {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answers = Arc::new((joined, written));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answers = Arc::clone(&answers);
            tokio::spawn(async move {
                let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
                    return;
                };
                while let Some(Ok(message)) = socket.next().await {
                    let Ok(text) = message.to_text() else { return };
                    let Ok(sent) = serde_json::from_str::<Json>(text) else {
                        return;
                    };
                    let frames = match sent[3].as_str() {
                        Some(JOIN) => &answers.0,
                        Some("write" | "status") => &answers.1,
                        _ => continue,
                    };
                    for frame in frames {
                        let mut frame = frame.clone();
                        for at in 0..2 {
                            if !frame[at].is_null() {
                                frame[at] = sent[at].clone();
                            }
                        }
                        frame[2] = sent[2].clone();
                        if frame[3] == "event" && !frame[4]["client_op_id"].is_null() && sent[3] == "write" {
                            frame[4]["client_op_id"] = sent[4]["client_op_id"].clone();
                        }
                        if socket.send(Message::text(frame.to_string())).await.is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    SyncOptions::new("acme/site", "secret").base_url(format!("http://{address}"))
}

#[tokio::test]
async fn a_catch_up_is_followed() {
    let joined = received("catch-up", "catch-up from 0");
    let last = joined.iter().rev().find(|frame| frame[3] == "event").unwrap();
    let last = Seq(last[4]["store_seq"].as_u64().unwrap());
    let sync = Sync::connect(replay(joined, Vec::new()).await).await.unwrap();
    assert_eq!(sync.applied(), last);
    for (at, is_there) in [
        ("a", true),
        ("rec", true),
        ("rec/y", false),
        ("l", false),
        ("dec", true),
    ] {
        assert_eq!(sync.exists(&path(at)).await.unwrap(), is_there, "{at}");
    }
    let null = sync.get(&path("nul")).await.unwrap().unwrap();
    assert_eq!((null.value.json(), null.revision), ("null", Seq(12)));
}

#[tokio::test]
async fn a_snapshot_without_revisions_sends_reads_over_http() {
    let joined = received("snapshot", "join from 0 after compaction");
    let leaves = joined.iter().find(|frame| frame[3] == "snapshot").unwrap()[4]["entries"]
        .as_object()
        .unwrap()
        .len();
    let sync = Sync::connect(replay(joined, Vec::new()).await).await.unwrap();
    assert_eq!((sync.len(), sync.applied()), (leaves, Seq(10008)));
    assert!(sync.exists(&path("b")).await.unwrap() && !sync.exists(&path("c/d/e")).await.unwrap());
}

#[tokio::test]
async fn writes_are_answered_by_what_the_original_answers() {
    let empty = || received("join", "join by name (read+write token)");
    let write = || Batch::one(Op::set(path("links/dust/title"), "Dust"));
    let sync = Sync::connect(replay(empty(), received("writes", "set leaf (own echo and broadcast)")).await)
        .await
        .unwrap();
    // It has no extensions, and so no op ids that count once.
    let capabilities = sync.capabilities();
    assert!(!capabilities.op_ids && !capabilities.subtree_preconditions && capabilities.value_ops);
    assert_eq!(sync.write(write()).await.unwrap().seqs, [Seq(1)]);

    for (group, name, kind, code) in [
        ("preconditions", "if_match stale", ErrorKind::Conflict, "conflict"),
        (
            "preconditions",
            "if_absent on an existing path",
            ErrorKind::Conflict,
            "exists",
        ),
        (
            "preconditions",
            "if_match with a map",
            ErrorKind::InvalidParams,
            "if_match_multi_leaf",
        ),
        (
            "writes",
            "increment on a string leaf",
            ErrorKind::InvalidParams,
            "refused",
        ),
        (
            "plan-limits",
            "set one more",
            ErrorKind::InvalidParams,
            "limit_exceeded",
        ),
        (
            "rate-limit-socket",
            "the 101st write",
            ErrorKind::RateLimited,
            "rate_limited",
        ),
    ] {
        let sync = Sync::connect(replay(empty(), received(group, name)).await)
            .await
            .unwrap();
        let error = sync.write(write()).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code(), error.outcome()),
            (kind, code, Outcome::NotApplied),
            "{name}"
        );
    }
}

#[tokio::test]
async fn the_status_of_the_original_is_read() {
    let joined = received("join", "join by name (read+write token)");
    let status = received("writes", "status after the writes");
    let sync = Sync::connect(replay(joined, status).await).await.unwrap();
    let status = sync.server_status().await.unwrap();
    assert_eq!(
        (status.current_seq, status.entry_count, status.db_size_bytes),
        (Seq(38), 18, Some(20_480))
    );
    assert_eq!(
        (status.recent_ops[0].path.as_str(), status.recent_ops.len()),
        ("big64", 5)
    );
}

#[tokio::test]
async fn refusals_of_the_original_end_it() {
    for (name, code) in [
        ("token restricted to another store", "store_not_allowed"),
        ("token without entries:read", "missing_scope"),
        ("unknown store", "unauthorized"),
    ] {
        let refused = Sync::connect(replay(received("join", name), Vec::new()).await)
            .await
            .unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (ErrorKind::Unauthorized, code),
            "{name}"
        );
    }
}
