//! Channels of the command, as it ends in this way or that.

use std::collections::BTreeSet;

use dust_transport::channel::Codec;
use futures_util::SinkExt as _;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::Process;
use crate::socket::{Got, Socket};

const TOPIC: &str = "store:local/main";

/// Sends increments by these op ids without waiting.
async fn increment(socket: &mut Socket, ids: impl IntoIterator<Item = u64>) {
    for id in ids {
        let write = json!({ "op": "increment", "path": "n", "value": 1, "client_op_id": format!("op-{id}") });
        let frame = json!([socket.join_ref(), id.to_string(), TOPIC, "write", write]);
        let message = socket.message(&frame);
        // An error is the end of the server, which is heard of when it is read from.
        let _ = socket.stream.feed(message).await;
    }
    let _ = socket.stream.flush().await;
}

/// What a client knows when the server is gone.
#[derive(Debug, Default)]
struct Known {
    answered: BTreeSet<u64>,
    last_seq: u64,
}

/// Reads until the end, or so many answers; every event follows the one before.
async fn read(socket: &mut Socket, known: &mut Known, answers: usize) -> Option<Got> {
    while known.answered.len() < answers {
        match socket.next().await {
            Got::Frame(frame) if frame[3] == "event" => {
                assert_eq!(frame[4]["store_seq"], known.last_seq + 1);
                known.last_seq += 1;
                assert_eq!(frame[4]["value"], known.last_seq);
            }
            Got::Frame(frame) => {
                assert_eq!(frame[4]["status"], "ok", "{frame}");
                known.answered.insert(frame[1].as_str().unwrap().parse().unwrap());
            }
            closed @ Got::Closed(..) => return Some(closed),
        }
    }
    None
}

/// The events after what is known; gives the head.
async fn resume(socket: &mut Socket, known: &mut Known) -> u64 {
    let frames = socket.join(TOPIC, known.last_seq).await;
    let seqs = frames
        .iter()
        .filter(|frame| frame[3] == "event")
        .map(|frame| frame[4]["store_seq"].as_u64().unwrap());
    let head = frames[0][4]["response"]["store_seq"].as_u64().unwrap();
    assert!(seqs.eq(known.last_seq + 1..=head));
    known.last_seq = head;
    head
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn increments_count_exactly_over_a_kill_and_a_resumption() {
    const INCREMENTS: u64 = 400;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut process = Process::serve(&data).await;
    let token = process.token.clone().unwrap();
    let mut known = Known::default();
    let mut socket = Socket::connect(process.address, &token, "dev_1", Codec::MessagePack).await;
    resume(&mut socket, &mut known).await;
    increment(&mut socket, 0..INCREMENTS).await;
    assert_eq!(read(&mut socket, &mut known, 50).await, None);
    process.child.kill().await.unwrap();
    read(&mut socket, &mut known, usize::MAX).await;

    let process = Process::serve(&data).await;
    let mut socket = Socket::connect(process.address, &token, "dev_1", Codec::Json).await;
    let head = resume(&mut socket, &mut known).await;
    assert!(head >= known.answered.len() as u64, "what was answered is there");
    let again: Vec<u64> = (0..INCREMENTS).filter(|id| !known.answered.contains(id)).collect();
    increment(&mut socket, again).await;
    assert_eq!(
        read(&mut socket, &mut known, usize::try_from(INCREMENTS).unwrap()).await,
        None
    );
    assert_eq!(known.last_seq, INCREMENTS);
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_told_to_stop_answers_what_it_has_taken_and_says_that_it_comes_back() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut process = Process::serve(&data).await;
    let token = process.token.clone().unwrap();
    let mut known = Known::default();
    let mut socket = Socket::connect(process.address, &token, "dev_1", Codec::Json).await;
    resume(&mut socket, &mut known).await;
    increment(&mut socket, 0..2000).await;
    assert_eq!(read(&mut socket, &mut known, 1).await, None);
    let id = process.child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    let closed = read(&mut socket, &mut known, usize::MAX).await;
    assert_eq!(closed, Some(Got::Closed(1012, "restart".to_owned())));
    drop(socket);
    assert!(process.child.wait().await.unwrap().success());

    let process = Process::serve(&data).await;
    let mut socket = Socket::connect(process.address, &token, "dev_1", Codec::Json).await;
    let head = resume(&mut socket, &mut known).await;
    assert_eq!(
        head,
        known.answered.len() as u64,
        "what was taken was answered, and nothing else was committed"
    );
    assert!(known.answered.iter().copied().eq(0..head));
}
