//! Sockets and channels, frame by frame.

use serde_json::{Value as Json, json};

use super::{Site, TOPIC};
use crate::socket::Socket;
use dust_server::control::Scope;

/// The status of a request for a socket; 101 where it is opened.
async fn asked(site: &Site, query: &str) -> u16 {
    let target = format!("/ws/sync/websocket?device_id=dev_1&vsn=2.0.0&{query}");
    match Socket::ask(&target, &[], site.running.address).await {
        Ok(_) => 101,
        Err((status, _)) => status,
    }
}

#[tokio::test]
async fn a_socket_connects_with_the_current_capver() {
    let site = Site::start().await;
    assert_eq!(asked(&site, &format!("capver=3&token={}", site.token)).await, 101);
}

#[tokio::test]
async fn a_socket_is_refused_below_the_least_capver() {
    let site = Site::start().await;
    assert_eq!(asked(&site, &format!("capver=2&token={}", site.token)).await, 403);
}

#[tokio::test]
async fn a_socket_is_refused_without_a_capver_and_with_one_that_is_no_number() {
    let site = Site::start().await;
    assert_eq!(asked(&site, &format!("token={}", site.token)).await, 403);
    assert_eq!(asked(&site, &format!("capver=three&token={}", site.token)).await, 403);
}

#[tokio::test]
async fn a_socket_is_refused_with_a_wrong_token_and_without_one() {
    let site = Site::start().await;
    assert_eq!(asked(&site, "capver=3&token=dust_tok_wrong").await, 403);
    assert_eq!(asked(&site, "capver=3").await, 403);
}

/// What a write is answered: the response, or the reason of a refusal.
async fn write(socket: &mut Socket, payload: Json) -> Json {
    push(socket, "write", payload).await
}

async fn push(socket: &mut Socket, event: &str, mut payload: Json) -> Json {
    if event != "status" && event != "ack_seq" {
        let id = format!("op_{}", payload.to_string().len());
        payload
            .as_object_mut()
            .unwrap()
            .entry("client_op_id")
            .or_insert(json!(id));
    }
    socket.push("1", TOPIC, event, payload).await;
    let mut reply = socket.reply().await;
    if reply["status"] == "ok" {
        reply["response"].take()
    } else {
        reply["response"]["reason"].take()
    }
}

/// The values of the events among frames.
fn values(frames: &[Json]) -> Vec<Json> {
    let events = frames.iter().filter(|frame| frame[3] == "event");
    events.map(|frame| frame[4]["value"].clone()).collect()
}

#[tokio::test]
async fn a_join_by_name_or_id_brings_the_catch_up() {
    let site = Site::start().await;
    let mut writer = site.joined().await;
    write(&mut writer, json!({ "op": "set", "path": "a", "value": 1 })).await;
    let id = site.running.server.control().store("acme", "site").unwrap().id;
    for topic in [TOPIC.to_owned(), format!("store:{id}")] {
        let mut socket = site.joined().await;
        let frames = socket.join(&topic, 0).await;
        let joined = frames.iter().find(|frame| frame[3] == "phx_reply").unwrap();
        assert_eq!(joined[4]["response"]["store_seq"], 1);
        assert_eq!(values(&frames), [json!(1)]);
        assert_eq!(frames.last().unwrap()[4], json!({ "through_seq": 1 }));
    }
}

#[tokio::test]
async fn a_token_that_only_reads_is_told_so_and_writes_nothing() {
    let site = Site::start().await;
    let token = site.token_with([Scope::EntriesRead]).await;
    let (mut socket, frames) = site.joined_with(&token).await;
    assert_eq!(
        frames[0][4]["response"]["permissions"],
        json!({ "read": true, "write": false })
    );
    let refused = write(&mut socket, json!({ "op": "set", "path": "a", "value": 1 })).await;
    assert_eq!(refused, "missing_scope");
}

#[tokio::test]
async fn a_store_that_is_not_there_is_not_joined() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    for topic in ["store:acme/nowhere", "store:01a20216-b5ab-7552-80e4-e77e6e9a81d0"] {
        let frames = socket.join(topic, 0).await;
        assert_eq!(frames[0][4]["response"]["reason"], "unauthorized", "{topic}");
    }
}

#[tokio::test]
async fn a_file_is_stored_and_referred_to() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    let file = json!({ "path": "f", "content": "aGk=", "filename": "hi.txt", "content_type": "text/plain" });
    let stored = push(&mut socket, "put_file", file).await;
    assert_eq!(stored["store_seq"], 1);
    let (_, frames) = site.joined_with(&site.token).await;
    let value = &values(&frames)[0];
    assert_eq!((&value["hash"], &value["size"]), (&stored["hash"], &json!(2)));
    assert_eq!(value["filename"], "hi.txt");
}

#[tokio::test]
async fn a_file_that_is_no_base64_or_at_no_path_is_refused() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    let refused = push(&mut socket, "put_file", json!({ "path": "f", "content": "%" })).await;
    assert_eq!(refused, "invalid_base64");
    let refused = push(&mut socket, "put_file", json!({ "path": "a//b", "content": "aGk=" })).await;
    assert_eq!(refused, "empty_segment");
}

#[tokio::test]
async fn a_write_is_told_to_all_who_have_joined() {
    let site = Site::start().await;
    let (mut one, mut two) = (site.joined().await, site.joined().await);
    write(&mut one, json!({ "op": "set", "path": "a", "value": "x" })).await;
    assert_eq!(values(&two.rest().await), [json!("x")]);
}

#[tokio::test]
async fn the_segments_of_a_path_count_and_not_its_text() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    let both = json!({ "op": "set", "path": "wrong", "path_segments": ["a/b", "c"], "value": 1 });
    write(&mut socket, both).await;
    let (_, frames) = site.joined_with(&site.token).await;
    let event = frames.iter().find(|frame| frame[3] == "event").unwrap();
    assert_eq!(
        (&event[4]["path"], &event[4]["path_segments"]),
        (&json!("a~1b/c"), &json!(["a/b", "c"]))
    );
}

#[tokio::test]
async fn a_write_without_a_path_or_with_a_wrong_one_is_refused() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    for (payload, reason) in [
        (json!({ "op": "set", "value": 1 }), "missing_path"),
        (json!({ "op": "set", "path": "/a", "value": 1 }), "empty_segment"),
        (json!({ "op": "set", "path": "a~", "value": 1 }), "invalid_escape"),
    ] {
        assert_eq!(write(&mut socket, payload).await, reason);
    }
}

#[tokio::test]
async fn an_increment_tells_the_total_and_not_what_is_added() {
    let site = Site::start().await;
    let (mut one, mut two) = (site.joined().await, site.joined().await);
    for (id, by) in [("1", 5), ("2", 3)] {
        write(
            &mut one,
            json!({ "op": "increment", "path": "n", "value": by, "client_op_id": id }),
        )
        .await;
    }
    assert_eq!(values(&two.rest().await), [json!(5), json!(8)]);
    assert_eq!(values(&site.joined_with(&site.token).await.1), [json!(5), json!(8)]);
}

#[tokio::test]
async fn an_add_tells_the_set_and_not_the_member() {
    let site = Site::start().await;
    let (mut one, mut two) = (site.joined().await, site.joined().await);
    for member in ["a", "b"] {
        write(
            &mut one,
            json!({ "op": "add", "path": "s", "value": member, "client_op_id": member }),
        )
        .await;
    }
    let expected = [json!(["a"]), json!(["b", "a"])];
    assert_eq!(values(&two.rest().await), expected);
    assert_eq!(values(&site.joined_with(&site.token).await.1), expected);
}

#[tokio::test]
async fn an_ack_of_a_number_is_answered() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    assert_eq!(push(&mut socket, "ack_seq", json!({ "seq": 5 })).await, json!({}));
}

#[tokio::test]
async fn the_status_of_a_store_is_told() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    write(
        &mut socket,
        json!({ "op": "set", "path": "r", "value": { "a": 1, "b": 2 } }),
    )
    .await;
    let status = push(&mut socket, "status", json!({})).await;
    assert_eq!(
        (&status["current_seq"], &status["entry_count"], &status["op_count"]),
        (&json!(1), &json!(2), &json!(1))
    );
    assert_eq!(status["recent_ops"][0]["path"], "r");
}

#[tokio::test]
async fn a_merge_of_what_is_no_map_is_refused() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    let refused = write(&mut socket, json!({ "op": "merge", "path": "a", "value": 1 })).await;
    assert_eq!(refused, "merge_requires_map_value");
}

#[tokio::test]
async fn a_write_with_if_match_is_compared_with_the_leaf() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    write(&mut socket, json!({ "op": "set", "path": "a", "value": 1 })).await;
    let matched = json!({ "op": "set", "path": "a", "value": 2, "if_match": 1, "client_op_id": "2" });
    assert_eq!(write(&mut socket, matched).await, json!({ "store_seq": 2 }));
    let stale = json!({ "op": "set", "path": "a", "value": 3, "if_match": 1, "client_op_id": "3" });
    assert_eq!(write(&mut socket, stale).await, "conflict");
    let map = json!({ "op": "set", "path": "a", "value": { "b": 1 }, "if_match": 2, "client_op_id": "4" });
    assert_eq!(write(&mut socket, map).await, "if_match_multi_leaf");
    let other = json!({ "op": "increment", "path": "a", "value": 1, "if_match": 2, "client_op_id": "5" });
    assert_eq!(write(&mut socket, other).await, "if_match_unsupported_op");
}

#[tokio::test]
async fn an_archived_store_takes_neither_writes_nor_files() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    site.archive().await;
    let refused = write(&mut socket, json!({ "op": "set", "path": "a", "value": 1 })).await;
    assert_eq!(refused, "store_archived");
    let refused = push(&mut socket, "put_file", json!({ "path": "f", "content": "aGk=" })).await;
    assert_eq!(refused, "store_archived");
}

#[tokio::test]
async fn a_lease_tells_its_token_its_end_and_its_holder_and_is_held_until_it_is_released() {
    let site = Site::start().await;
    let mut socket = site.joined().await;
    let take = |id: &str| json!({ "op": "lease", "path": "l", "ttl_ms": 60_000, "holder": "one", "client_op_id": id });
    let taken = write(&mut socket, take("1")).await;
    assert_eq!((&taken["token"], &taken["holder"]), (&json!(1), &json!("one")));
    assert!(taken["expires_at"].is_u64());
    assert_eq!(write(&mut socket, take("2")).await, "held");
    let fenced = |id: &str, token: u64| json!({ "op": "set", "path": "a", "value": 1, "fence": { "key": "l", "token": token }, "client_op_id": id });
    assert_eq!(write(&mut socket, fenced("3", 1)).await, json!({ "store_seq": 2 }));
    assert_eq!(write(&mut socket, fenced("4", 7)).await, "fenced");
    let release = |id: &str, token: u64| json!({ "op": "release", "path": "l", "token": token, "client_op_id": id });
    assert_eq!(write(&mut socket, release("5", 7)).await, json!({ "released": false }));
    assert_eq!(write(&mut socket, release("6", 1)).await, json!({ "store_seq": 3 }));
    assert_eq!(write(&mut socket, take("7")).await["token"], 4);
}
