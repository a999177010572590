//! What clients of channels can rely on.

use std::time::Duration;

use dust_server::control::{NewToken, Scope};
use dust_server::{ChannelOptions, RateLimits, Timestamp};
use dust_transport::channel::Codec;
use dust_transport::model::Seq;
use futures_util::SinkExt as _;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Request;
use crate::fixture::{Fixture, START_MS};
use crate::socket::{Got, Socket};

const TOPIC: &str = "store:acme/site";
const ENTRIES: &str = "/api/stores/acme/site/entries";

async fn start() -> Fixture {
    Fixture::start(RateLimits::OFF).await
}

async fn start_with(change: impl FnOnce(&mut ChannelOptions)) -> Fixture {
    let mut channels = ChannelOptions::default();
    change(&mut channels);
    Fixture::start_with(RateLimits::OFF, channels).await
}

impl Fixture {
    async fn socket(&self, device: &str) -> Socket {
        self.socket_in(device, Codec::Json).await
    }

    async fn socket_in(&self, device: &str, codec: Codec) -> Socket {
        Socket::connect(self.address, &self.tokens["rw"], device, codec).await
    }

    async fn joined(&self, device: &str) -> Socket {
        let mut socket = self.socket(device).await;
        let frames = socket.join(TOPIC, 0).await;
        assert_eq!(frames[0][4]["status"], "ok", "{frames:?}");
        socket
    }

    async fn put(&self, path: &str, value: &Value) {
        let put = Request::new("PUT", &format!("{ENTRIES}/{path}"), &self.tokens["rw"]).json(&value.to_string());
        assert_eq!(put.send(self.address).await.unwrap().status, 200);
    }

    /// A batch of so many ops.
    async fn fill(&self, ops: usize) {
        let ops: Vec<Value> = (0..ops)
            .map(|n| json!({ "op": "set", "path": format!("f/{n}"), "value": n }))
            .collect();
        let target = format!("{ENTRIES}/batch_write");
        let post = Request::new("POST", &target, &self.tokens["rw"]).json(&json!({ "ops": ops }).to_string());
        assert_eq!(post.send(self.address).await.unwrap().status, 200);
    }

    async fn metric(&self, name: &str) -> u64 {
        let metrics = Request::new("GET", "/metrics", "").send(self.address).await.unwrap();
        let text = String::from_utf8(metrics.body).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{name} in\n{text}")).parse().unwrap()
    }
}

fn set(path: &str, value: impl Into<Value>, id: &str) -> Value {
    json!({ "op": "set", "path": path, "value": value.into(), "client_op_id": id })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_anybody_writes_comes_to_all_in_one_order() {
    let fixture = start().await;
    let by_id = format!("store:{}", fixture.ids["01a20216-b5ab-7552-80e4-e77e6e9a81d0"]);
    let mut json = fixture.joined("dev_json").await;
    let mut packed = fixture.socket_in("dev_packed", Codec::MessagePack).await;
    packed.join(&by_id, 0).await;
    json.push("1", TOPIC, "write", set("a", "from json", "1")).await;
    packed.push("1", &by_id, "write", set("b", 1.5, "1")).await;
    fixture.put("c", &json!({ "over": ["http"] })).await;
    fixture.fill(3).await;
    let mut seen = Vec::new();
    for (socket, topic) in [(&mut json, TOPIC), (&mut packed, by_id.as_str())] {
        let mut events = Vec::new();
        while events.len() < 6 {
            let frame = socket.frame().await;
            if frame[3] == "event" {
                assert_eq!((&frame[0], &frame[2]), (&Value::Null, &json!(topic)), "{frame}");
                events.push(frame[4].clone());
            }
        }
        assert!(
            events.iter().zip(1..).all(|(event, seq)| event["store_seq"] == seq),
            "{events:?}"
        );
        seen.push(events);
    }
    assert_eq!(seen[0], seen[1]);
    let by_path = |path: &str| seen[0].iter().find(|event| event["path"] == path).unwrap();
    assert_eq!(by_path("c")["value"], json!({ "over": ["http"] }));
    assert_eq!(by_path("b")["device_id"], "dev_packed");
    assert_eq!(fixture.metric("dust_channel_sockets").await, 2);
    assert_eq!(fixture.metric("dust_channel_topics").await, 2);
    assert_eq!(fixture.metric("dust_channel_events_total").await, 12);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_are_pipelined_and_answered_in_order_each_after_its_event() {
    const WRITES: u64 = 300;
    let fixture = start().await;
    for codec in [Codec::Json, Codec::MessagePack] {
        let mut socket = fixture.socket_in("dev_1", codec).await;
        let joined = socket.join(TOPIC, u64::MAX).await;
        let head = joined[0][4]["response"]["store_seq"].as_u64().unwrap();
        for number in 0..WRITES {
            let write = set("n", number, &format!("{codec:?}{number}"));
            let frame = json!([socket.join_ref(), number.to_string(), TOPIC, "write", write]);
            let message = socket.message(&frame);
            socket.stream.feed(message).await.unwrap();
        }
        socket.stream.flush().await.unwrap();
        let (mut events, mut replies) = (0, 0);
        while replies < WRITES {
            let frame = socket.frame().await;
            if frame[3] == "event" {
                assert_eq!(
                    (&frame[4]["store_seq"], &frame[4]["value"]),
                    (&json!(head + events + 1), &json!(events))
                );
                events += 1;
            } else {
                let expected = json!({ "status": "ok", "response": { "store_seq": head + replies + 1 } });
                assert_eq!((&frame[1], &frame[4]), (&json!(replies.to_string()), &expected));
                replies += 1;
                assert!(events >= replies, "the event comes before the reply");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_no_write_waits_for_the_writes_before_it() {
    let fixture = start().await;
    let mut socket = fixture.joined("dev_1").await;
    let join_ref = socket.join_ref();
    let say = |reference: &str, event: &str, payload: Value| json!([join_ref, reference, TOPIC, event, payload]);
    let mut frames = Vec::new();
    for number in 0..20 {
        frames.push(say("w", "write", set("n", number, &number.to_string())));
    }
    frames.push(say("s", "status", json!({})));
    frames.push(say("w", "write", set("n", 20, "20")));
    frames.push(say("r", "rollback", json!({ "path": "n", "to_seq": 1 })));
    frames.push(say(
        "w",
        "write",
        json!({ "op": "increment", "path": "n", "value": 7, "client_op_id": "21" }),
    ));
    frames.push(say("l", "phx_leave", json!({})));
    frames.push(say("x", "write", set("n", 0, "22")));
    for frame in &frames {
        let message = socket.message(frame);
        socket.stream.feed(message).await.unwrap();
    }
    socket.stream.flush().await.unwrap();
    let mut heard = Vec::new();
    let mut last = Value::Null;
    while heard.last().map(String::as_str) != Some("x") {
        let frame = socket.frame().await;
        if frame[3] == "event" {
            last = frame[4]["value"].clone();
        } else {
            if frame[1] == "s" {
                assert_eq!(frame[4]["response"]["current_seq"], 20, "{frame}");
            }
            let reference = frame[1].as_str().unwrap();
            heard.push(if frame[3] == "phx_close" {
                "closed".to_owned()
            } else {
                reference.to_owned()
            });
        }
    }
    let expected = [vec!["w"; 20], vec!["s", "w", "r", "w", "l", "closed", "x"]].concat();
    assert_eq!(
        (heard, last),
        (expected.into_iter().map(str::to_owned).collect(), json!(7))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_op_id_is_committed_once_per_device_and_answered_alike() {
    let fixture = start().await;
    let (mut one, mut other) = (fixture.joined("dev_1").await, fixture.joined("dev_2").await);
    let increment = json!({ "op": "increment", "path": "n", "value": 1, "client_op_id": "once" });
    one.push("1", TOPIC, "write", increment.clone()).await;
    let first = one.reply().await;
    one.push("2", TOPIC, "write", increment.clone()).await;
    let again = one.reply().await;
    assert_eq!(first["response"]["store_seq"], again["response"]["store_seq"]);
    assert_eq!(again["response"]["deduplicated"], true);
    // Another connection of the device, as after a cut.
    drop(one);
    let mut one = fixture.joined("dev_1").await;
    one.push("3", TOPIC, "write", increment.clone()).await;
    assert_eq!(one.reply().await["response"], again["response"]);
    other.push("1", TOPIC, "write", increment).await;
    assert_eq!(other.reply().await["response"], json!({ "store_seq": 2 }));
    let read = Request::new("GET", &format!("{ENTRIES}/n"), &fixture.tokens["rw"])
        .send(fixture.address)
        .await;
    assert_eq!(read.unwrap().json()["value"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_joins_in_the_middle_of_writes_misses_and_repeats_nothing() {
    const WRITES: u64 = 300;
    let fixture = start_with(|channels| channels.queue_events_max = 100_000).await;
    let mut writer = fixture.joined("dev_writer").await;
    let mut readers = Vec::new();
    for number in 0..WRITES {
        writer
            .push("w", TOPIC, "write", set("n", number, &number.to_string()))
            .await;
        writer.reply().await;
        if number % 30 == 0 {
            let after = number / 2;
            let (address, token) = (fixture.address, fixture.tokens["rw"].clone());
            readers.push(tokio::spawn(async move {
                let codec = if after % 2 == 0 {
                    Codec::Json
                } else {
                    Codec::MessagePack
                };
                let mut reader = Socket::connect(address, &token, "dev_reader", codec).await;
                let past = reader.join(TOPIC, after).await;
                let (first, last) = (&past[0][4]["response"], &past.last().unwrap()[4]);
                let mut seqs: Vec<u64> = past.iter().filter_map(|frame| frame[4]["store_seq"].as_u64()).collect();
                assert!(last["through_seq"].as_u64() >= first["store_seq"].as_u64());
                let rest = usize::try_from(WRITES - after).unwrap() - seqs.len();
                seqs.extend(reader.seqs(rest).await);
                assert!(seqs.iter().copied().eq(after + 1..=WRITES), "after {after}: {seqs:?}");
            }));
        }
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_past_is_read_to_its_end() {
    let fixture = start_with(|channels| channels.queue_events_max = 10).await;
    for _ in 0..4 {
        fixture.fill(1000).await;
    }
    for (codec, after) in [(Codec::Json, 0), (Codec::MessagePack, 999)] {
        let mut socket = fixture.socket_in("dev_1", codec).await;
        let frames = socket.join(TOPIC, after).await;
        let seqs = frames
            .iter()
            .filter(|frame| frame[3] == "event")
            .map(|frame| frame[4]["store_seq"].as_u64().unwrap());
        assert!(seqs.eq(after + 1..=4000));
        assert_eq!(frames.last().unwrap()[4], json!({ "through_seq": 4000 }));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_closed_and_goes_on_where_it_was_and_slows_nobody() {
    const WRITES: u64 = 80;
    let fixture = start_with(|channels| {
        channels.queue_events_max = 16;
        channels.close_grace = Duration::from_mins(1);
        // No timer comes to the rescue of a socket that nothing wakes.
        channels.idle_timeout = Duration::from_hours(1);
    })
    .await;
    let mut slow = fixture.joined("dev_slow").await;
    // More than the buffers of the system between the two ends take.
    let large = json!("x".repeat(150_000));
    for _ in 0..WRITES {
        fixture.put("n", &large).await;
    }
    let mut last = 0;
    let closed = loop {
        match slow.next().await {
            Got::Frame(frame) => {
                assert_eq!(frame[4]["store_seq"], last + 1);
                last += 1;
            }
            closed @ Got::Closed(..) => break closed,
        }
    };
    assert_eq!(closed, Got::Closed(1013, "slow".to_owned()));
    assert!((1..WRITES - 16).contains(&last), "{last}");
    assert_eq!(fixture.metric("dust_channel_slow_total").await, 1);
    let mut again = fixture.socket("dev_slow").await;
    let frames = again.join(TOPIC, last).await;
    let seqs = frames.iter().filter_map(|frame| frame[4]["store_seq"].as_u64());
    assert!(seqs.eq(last + 1..=WRITES));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_joins_are_told_of_a_write() {
    let fixture = start().await;
    let stores = ["site", "one", "two", "three"];
    for store in &stores[1..] {
        fixture.control().create_store("acme", store, None).await.unwrap();
    }
    let mut sockets = Vec::new();
    for number in 0..250 {
        let codec = if number % 2 == 0 {
            Codec::Json
        } else {
            Codec::MessagePack
        };
        let mut socket = fixture.socket_in(&format!("dev_{number}"), codec).await;
        for store in stores {
            socket.join(&format!("store:acme/{store}"), 0).await;
        }
        sockets.push(socket);
    }
    assert_eq!(fixture.metric("dust_channel_topics").await, 1000);
    for store in stores {
        let target = format!("/api/stores/acme/{store}/entries/a");
        let put = Request::new("PUT", &target, &fixture.tokens["rw"]).json("1");
        assert_eq!(put.send(fixture.address).await.unwrap().status, 200);
    }
    for socket in &mut sockets {
        let mut topics = Vec::new();
        while topics.len() < stores.len() {
            let frame = socket.frame().await;
            assert_eq!((&frame[3], &frame[4]["store_seq"]), (&json!("event"), &json!(1)));
            topics.push(frame[2].as_str().unwrap().to_owned());
        }
        topics.sort_unstable();
        assert_eq!(
            topics,
            [
                "store:acme/one",
                "store:acme/site",
                "store:acme/three",
                "store:acme/two"
            ]
        );
    }
    drop(sockets);
    while fixture.metric("dust_channel_sockets").await > 0 {}
    assert_eq!(fixture.metric("dust_channel_topics").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_understood_is_answered_and_harms_nobody() {
    let fixture = start().await;
    let (mut rude, mut other) = (fixture.joined("dev_rude").await, fixture.joined("dev_other").await);
    for (event, payload, reason) in [
        ("frobnicate", json!({}), "unknown_event"),
        ("write", json!(5), "invalid_payload"),
        ("write", json!({}), "invalid op"),
        ("put_file", json!([]), "invalid_payload"),
        ("rollback", json!({}), "invalid_payload"),
        ("ack_seq", json!({}), "invalid_payload"),
        ("batch", json!({ "ops": 1 }), "invalid_payload"),
    ] {
        rude.push("1", TOPIC, event, payload).await;
        let reply = rude.reply().await;
        assert_eq!(
            (&reply["status"], &reply["response"]["reason"]),
            (&json!("error"), &json!(reason)),
            "{event}"
        );
    }
    for text in [
        "",
        "null",
        "[]",
        "[1,2,3,4,5]",
        "{\"topic\":\"phoenix\"}",
        "\"\\ud800\"",
        "[null,null,\"phoenix\",\"heartbeat\"",
    ] {
        rude.send(Message::text(text)).await;
        assert_eq!(rude.reply().await["response"]["reason"], "malformed_frame", "{text}");
    }
    // What is no value is named.
    let text = format!(
        r#"["{}","2","{TOPIC}","write",{{"op":"set","path":"a","value":1e999}}]"#,
        rude.join_ref()
    );
    rude.send(Message::text(text)).await;
    let refused = rude.reply().await;
    assert_eq!(refused["response"]["reason"], "invalid_payload");
    let message = refused["response"]["message"].as_str().unwrap();
    let reason = message.strip_prefix("the payload of `write` is not readable: ");
    assert!(reason.is_some_and(|reason| reason.contains("number")), "{message}");
    rude.push("2", TOPIC, "write", set("a", 1, "1")).await;
    assert_eq!(rude.reply().await["status"], "ok");
    assert_eq!(other.seqs(1).await, [1]);
}

/// A generator of numbers, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }
}

/// A frame that is nearly one.
fn nearly(random: &mut Random, codec: Codec, socket: &Socket) -> Message {
    let refs = [json!(null), json!("1"), json!("j1"), json!(7), json!({})];
    let topics = [TOPIC, "phoenix", "store:", "store:acme/nope", "", "store:acme/side"];
    let events = [
        "write",
        "phx_join",
        "phx_leave",
        "put_file",
        "rollback",
        "status",
        "ack_seq",
        "heartbeat",
        "batch",
        "phx_reply",
    ];
    let values = [
        json!(null),
        json!(-1),
        json!(1e300),
        json!(u64::MAX),
        json!("x"),
        json!(""),
        json!([]),
        json!([null, {}]),
        json!({ "": 1 }),
        json!({ "_type": "lease" }),
        json!({ "_typed": 1, "_type": 2 }),
        json!(true),
        json!("set"),
        json!("merge"),
        json!("lease"),
        json!("a/b"),
        json!("a//b"),
        json!(["a", 1]),
        json!({ "key": "a", "token": 1 }),
    ];
    let keys = [
        "op",
        "path",
        "path_segments",
        "value",
        "client_op_id",
        "if_match",
        "if_absent",
        "fence",
        "ttl_ms",
        "holder",
        "token",
        "last_store_seq",
        "to_seq",
        "content",
        "seq",
        "ops",
    ];
    let mut payload = serde_json::Map::new();
    for _ in 0..random.below(7) {
        payload.insert((*random.pick(&keys)).to_owned(), random.pick(&values).clone());
    }
    let frame = json!([
        random.pick(&refs).clone(),
        random.pick(&refs).clone(),
        *random.pick(&topics),
        *random.pick(&events),
        payload
    ]);
    let mut bytes = match (codec, random.below(3)) {
        (Codec::MessagePack, 0) => socket.message(&frame).into_data().to_vec(),
        _ => frame.to_string().into_bytes(),
    };
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(3) {
            0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
            1 => bytes.truncate(at + 1),
            _ => bytes.insert(at, b"[]{}\",\x93\xc1"[random.below(8)]),
        }
    }
    match String::from_utf8(bytes) {
        Ok(text) if random.below(5) > 0 => Message::text(text),
        Ok(text) => Message::binary(text.into_bytes()),
        Err(error) => Message::binary(error.into_bytes()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_frames_end_no_socket_but_that_of_who_sends_them_and_harm_nobody() {
    let fixture = start().await;
    let mut other = fixture.socket("dev_other").await;
    other.join("store:acme/side", 0).await;
    for seed in 1..=20_u64 {
        let codec = if seed % 2 == 0 { Codec::Json } else { Codec::MessagePack };
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut rude = fixture.socket_in("dev_rude", codec).await;
        rude.join(TOPIC, 0).await;
        for _ in 0..60 {
            let message = nearly(&mut random, codec, &rude);
            rude.send(message).await;
        }
        // It is still served: frames that are no frames are answered.
        rude.rest().await;
        let write = set("alive", seed, &format!("alive-{seed}"));
        other.push("1", "store:acme/side", "write", write).await;
        assert_eq!(other.reply().await["status"], "ok", "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_ends_with_its_token() {
    let fixture = start_with(|channels| channels.expiry_check = Duration::from_millis(10)).await;
    let control = fixture.control();
    let (revoked, secret) = control.create_token(NewToken::full("acme", "revoked")).await.unwrap();
    let mut socket = Socket::connect(fixture.address, &secret, "dev_1", Codec::Json).await;
    socket.join(TOPIC, 0).await;
    control.revoke_token(revoked.id).await.unwrap();
    assert_eq!(socket.next().await, Got::Closed(1008, "unauthorized".to_owned()));

    let ends = NewToken::full("acme", "ends").with_expires_at(Timestamp::from_ms(START_MS + 1000));
    let (_, secret) = control.create_token(ends).await.unwrap();
    let mut socket = Socket::connect(fixture.address, &secret, "dev_1", Codec::Json).await;
    socket.join(TOPIC, 0).await;
    fixture.at_ms(1000);
    assert_eq!(socket.next().await, Got::Closed(1008, "unauthorized".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scope_is_needed_for_each_thing() {
    let fixture = start().await;
    let scopes = [Scope::EntriesRead, Scope::EntriesWrite];
    let new = NewToken::full("acme", "no files").with_scopes(scopes);
    let (_, secret) = fixture.control().create_token(new).await.unwrap();
    let mut socket = Socket::connect(fixture.address, &secret, "dev_1", Codec::Json).await;
    socket.join(TOPIC, 0).await;
    let file = json!({ "op": "put_file", "path": "a", "content": "aGk=", "client_op_id": "1" });
    for (event, payload) in [
        ("put_file", file.clone()),
        ("write", file.clone()),
        ("batch", json!({ "ops": [file], "client_op_id": "2" })),
    ] {
        socket.push("1", TOPIC, event, payload).await;
        assert_eq!(socket.reply().await["response"]["scope"], "files:write", "{event}");
    }
    assert!(socket.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_ops_are_committed_together() {
    let fixture = start().await;
    let mut socket = fixture.joined("dev_1").await;
    let ops = json!([
        { "op": "increment", "path": "n", "value": 2 }, { "op": "set", "path": "a", "value": 1, "if_absent": true },
    ]);
    for (reference, expected) in [
        ("1", json!({ "status": "ok", "response": { "store_seqs": [1, 2] } })),
        (
            "2",
            json!({ "status": "ok", "response": { "store_seqs": [1, 2], "deduplicated": true } }),
        ),
    ] {
        let batch = json!({ "ops": ops, "client_op_id": "once" });
        socket.push(reference, TOPIC, "batch", batch).await;
        assert_eq!(socket.reply().await, expected);
    }
    socket
        .push("3", TOPIC, "batch", json!({ "ops": ops, "client_op_id": "other" }))
        .await;
    let refused = socket.reply().await;
    assert_eq!(
        (&refused["response"]["reason"], &refused["response"]["op_index"]),
        (&json!("exists"), &json!(1))
    );
    socket.push("4", TOPIC, "status", json!({})).await;
    assert_eq!(socket.reply().await["response"]["current_seq"], 2);
}

#[tokio::test]
async fn a_silent_socket_is_closed_and_one_with_heartbeats_is_not() {
    let fixture = start_with(|channels| channels.idle_timeout = Duration::from_secs(30)).await;
    let (mut silent, mut alive) = (fixture.joined("dev_silent").await, fixture.joined("dev_alive").await);
    let closed = tokio::spawn(async move { silent.next().await });
    for _ in 0..3 {
        assert!(!closed.is_finished());
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(10)).await;
        tokio::time::resume();
        assert!(alive.rest().await.is_empty());
    }
    assert_eq!(closed.await.unwrap(), Got::Closed(1002, "idle".to_owned()));
    assert!(alive.rest().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_too_large_for_a_snapshot_fails_its_topic_only() {
    let fixture = start_with(|channels| channels.snapshot_bytes_max = 100).await;
    fixture.fill(50).await;
    let store = fixture.database.store("acme/site").await.unwrap();
    store.compact(Seq(40)).await.unwrap();
    let (mut late, mut other) = (fixture.socket("dev_late").await, fixture.socket("dev_other").await);
    other.join(TOPIC, 50).await;
    late.say(&json!(["1", "1", TOPIC, "phx_join", { "last_store_seq": 39 }]))
        .await;
    assert_eq!(late.frame().await[4]["status"], "ok");
    assert_eq!(late.frame().await, json!(["1", "1", TOPIC, "phx_error", {}]));
    assert_eq!(late.join(TOPIC, 40).await.len(), 1 + 10 + 1);
    fixture.put("a", &json!(1)).await;
    assert_eq!((late.seqs(1).await, other.seqs(1).await), (vec![51], vec![51]));
}

#[tokio::test]
async fn a_page_connects_if_it_is_of_the_server_or_named() {
    let fixture = start_with(|channels| channels.origins = vec!["app.example".to_owned()]).await;
    let token = &fixture.tokens["rw"];
    let target = format!("/ws/sync/websocket?token={token}&device_id=dev_1&capver=3&vsn=2.0.0");
    for (origin, expected) in [
        ("https://app.example", None),
        ("http://localhost:3000", None),
        ("https://evil.example", Some(403)),
        ("null", Some(403)),
    ] {
        let headers = [("host", "localhost"), ("origin", origin)];
        let asked = Socket::ask(&target, &headers, fixture.address).await;
        assert_eq!(asked.err().map(|refused| refused.0), expected, "{origin}");
    }
}

#[tokio::test]
async fn no_extension_is_negotiated() {
    let fixture = start().await;
    let mut stream = TcpStream::connect(fixture.address).await.unwrap();
    let head = format!(
        "GET /ws/sync/websocket?token={}&device_id=dev_1&capver=3&vsn=2.0.0 HTTP/1.1\r\nhost: localhost\r\n\
         connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n",
        fixture.tokens["rw"]
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(stream.read_u8().await.unwrap());
    }
    let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
    assert!(answer.starts_with("http/1.1 101 "), "{answer}");
    assert!(
        answer.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="),
        "{answer}"
    );
    assert!(!answer.contains("sec-websocket-extensions"), "{answer}");
}
