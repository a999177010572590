//! The frames of the channel, by their properties and by what the original server and its clients said to each other.

#![expect(clippy::unwrap_used, reason = "the functions that tests share fail with them")]

mod recorded;

use std::time::Duration;

use dust_transport::channel::{
    BatchReply, BatchRequest, CatchUpComplete, Codec, Encoded, Frame, FrameError, JoinReply, JoinRequest, Permissions,
    Refusal, Reply, Snapshot, StoreAccess, WriteReply, WriteRequest, event_of, event_payload,
};
use dust_transport::error::{ConflictAt, Error, ErrorKind, Outcome};
use dust_transport::model::{
    Batch, DeviceId, Event, Fence, Lease, Op, OpId, OpKind, Path, Precondition, Seq, Value, ValueKind,
};
use dust_transport::transport::{Done, Written};
use proptest::prelude::*;

const BYTES_MAX: usize = 1 << 20;

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

/// Reads a message back.
fn decode(codec: Codec, encoded: &Encoded) -> Result<Frame, FrameError> {
    match encoded {
        Encoded::Text(text) => codec.decode_text(text, BYTES_MAX),
        Encoded::Binary(bytes) => codec.decode_binary(bytes, BYTES_MAX),
    }
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::null()),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_filter_map("finite", |float| Value::try_from(float).ok()),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::list),
            prop::collection::btree_map(".*", inner, 0..5).prop_map(Value::map),
        ]
    })
}

fn frames() -> impl Strategy<Value = Frame> {
    (prop::option::of(".*"), prop::option::of(".*"), ".*", ".*", values()).prop_map(
        |(join_ref, reference, topic, event, payload)| Frame {
            join_ref,
            reference,
            topic,
            event,
            payload,
        },
    )
}

proptest! {
    #[test]
    fn frames_come_back_over_both_codecs(frame in frames()) {
        for codec in [Codec::Json, Codec::MessagePack] {
            prop_assert_eq!(&decode(codec, &codec.encode(&frame)).unwrap(), &frame);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Codec::MessagePack.decode_binary(&bytes, BYTES_MAX);
        let mut framed = b"\x95\xc0\xc0\xa1t\xa1e".to_vec();
        framed.extend(&bytes);
        let _ = Codec::MessagePack.decode_binary(&framed, BYTES_MAX);
        let _ = Codec::Json.decode_text(&String::from_utf8_lossy(&bytes), BYTES_MAX);
    }

    #[test]
    fn events_come_back(seq in any::<u64>(), segments in prop::collection::vec(".{1,9}", 1..5), value in values(), kind in 0..OpKind::ALL.len()) {
        let kind = OpKind::ALL[kind];
        let Ok(path) = Path::new(segments) else { return Ok(()) };
        let event = Event {
            seq: Seq(seq),
            kind,
            path,
            value: (!matches!(kind, OpKind::Delete | OpKind::Release)).then_some(value),
            written: None,
            device: DeviceId::new("dev_1").unwrap(),
            op_id: OpId::new("op_1").ok(),
        };
        prop_assert_eq!(event_of(&event_payload(&event)).unwrap(), event);
    }
}

#[test]
fn sizes_and_depths_are_bounded() {
    let frame = Frame::new("t", "e", Value::from("x".repeat(100)));
    for codec in [Codec::Json, Codec::MessagePack] {
        let refused = match codec.encode(&frame) {
            Encoded::Text(text) => codec.decode_text(&text, 100),
            Encoded::Binary(bytes) => codec.decode_binary(&bytes, 100),
        };
        assert!(matches!(refused, Err(FrameError::TooLarge { bytes_max: 100, .. })));
    }
    let levels = Value::ASSEMBLED_LEVELS_MAX;
    let text = |levels: usize| format!(r#"["1","2","t","e",{}{}]"#, "[".repeat(levels), "]".repeat(levels));
    let deepest = Codec::Json.decode_text(&text(levels), BYTES_MAX).unwrap();
    let packed = Codec::MessagePack.encode(&deepest);
    assert_eq!(decode(Codec::MessagePack, &packed).unwrap(), deepest);

    let too_deep = Codec::Json.decode_text(&text(levels + 1), BYTES_MAX).unwrap_err();
    let head = Frame::new("t", "e", Value::null()).join_ref("1").reference("2");
    assert!(
        matches!(&too_deep, FrameError::Payload { head: found, .. } if **found == head),
        "{too_deep:?}"
    );
    let mut bytes = b"\x95\xa11\xa12\xa1t\xa1e".to_vec();
    bytes.extend(std::iter::repeat_n(0x91, levels + 1));
    bytes.push(0xc0);
    let too_deep = Codec::MessagePack.decode_binary(&bytes, BYTES_MAX).unwrap_err();
    assert!(
        matches!(&too_deep, FrameError::Payload { head: found, .. } if **found == head),
        "{too_deep:?}"
    );
    // As deep as the message is long, which must not use up the stack.
    let mut abyss = b"\x95\xc0\xc0\xa1t\xa1e".to_vec();
    abyss.extend(std::iter::repeat_n(0x91, BYTES_MAX - 10));
    assert!(Codec::MessagePack.decode_binary(&abyss, BYTES_MAX).is_err());
    assert!(Codec::Json.decode_text(&"[".repeat(BYTES_MAX), BYTES_MAX).is_err());
}

#[test]
fn what_is_no_frame_is_refused() {
    for text in [
        "",
        "x",
        "{}",
        "[]",
        r#"[null,null,"t","e"]"#,
        r#"[null,null,"t","e",{},1]"#,
        r#"[1.5,null,"t","e",{}]"#,
        r#"[null,null,null,"e",{}]"#,
        r#"[null,null,"t","e",{}] x"#,
    ] {
        assert!(
            matches!(Codec::Json.decode_text(text, BYTES_MAX), Err(FrameError::Malformed(_))),
            "{text}"
        );
    }
    assert!(matches!(
        Codec::Json.decode_binary(b"[]", BYTES_MAX),
        Err(FrameError::Binary)
    ));
    for kind in 0..=2 {
        let compact = [kind, 1, 1, 1, 1, b'1', b'1', b't', b'e'];
        assert!(matches!(
            Codec::MessagePack.decode_binary(&compact, BYTES_MAX),
            Err(FrameError::Compact)
        ));
    }
    for bytes in [
        &b""[..],
        b"\xc1",
        b"\x90",
        b"\x94\xc0\xc0\xa1t\xa1e",
        b"\x96\xc0\xc0\xa1t\xa1e\xc0\xc0",
        b"\x95\xc0\xc0\xa1t\xa1e\xc0\xc0",
        b"\x95\xc0\xc0\xa1t\x01\xc0",
    ] {
        let refused = Codec::MessagePack.decode_binary(bytes, BYTES_MAX);
        assert!(
            matches!(refused, Err(FrameError::Malformed(_))),
            "{bytes:x?}: {refused:?}"
        );
    }
}

#[test]
fn message_pack_says_what_json_can() {
    let payload_of = |bytes: &[u8]| {
        let mut framed = b"\x95\xc0\xc0\xa1t\xa1e".to_vec();
        framed.extend(bytes);
        Codec::MessagePack
            .decode_binary(&framed, BYTES_MAX)
            .map(|frame| frame.payload)
    };
    assert_eq!(payload_of(b"\x81\x01\xa1x").unwrap().json(), r#"{"1":"x"}"#);
    assert_eq!(payload_of(b"\xc4\x03abc").unwrap().json(), r#""abc""#);
    assert_eq!(payload_of(b"\xca\x3f\x80\x00\x00").unwrap().json(), "1.0");
    // Bytes that are no text, a NaN, a boolean for a key, an extension.
    for bytes in [
        &b"\xc4\x02\x00\xff"[..],
        b"\xcb\x7f\xf8\0\0\0\0\0\0",
        b"\x81\xc3\x01",
        b"\xd4\x01\x00",
    ] {
        assert!(
            matches!(payload_of(bytes), Err(FrameError::Payload { .. })),
            "{bytes:x?}"
        );
    }
    // An integer that the format has no room for is its nearest float, and of equal keys the first counts.
    for (value, packed) in [
        ("1180591620717411303424", "1180591620717411300000.0"),
        ("-1180591620717411303424", "-1180591620717411300000.0"),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
    ] {
        let frame = Frame::new("t", "e", json(value));
        let read = decode(Codec::MessagePack, &Codec::MessagePack.encode(&frame)).unwrap();
        assert_eq!(read.payload, json(packed));
    }
}

#[test]
fn joins_come_back() {
    assert_eq!(JoinRequest::after(Seq(7)).last_seq(), Some(Seq(7)));
    for odd in [r#""0""#, "null", "-5", "1.5"] {
        let join = JoinRequest::from_payload(&json(&format!(r#"{{"last_store_seq":{odd}}}"#))).unwrap();
        assert_eq!((join.last_seq(), join.last_store_seq.json()), (None, odd));
    }
    let reply = JoinReply {
        store_seq: Seq(2),
        capver: 3,
        capver_min: 3,
        permissions: Permissions {
            read: true,
            write: true,
        },
        scopes: vec!["entries:read".to_owned()],
        store_access: StoreAccess {
            mode: "selected".to_owned(),
            store_ids: vec!["x".to_owned()],
        },
        extensions: vec!["batch".to_owned()],
        store_id: Some("0190-1".to_owned()),
        frame_bytes_max: Some(1000),
    };
    assert!(reply.has("batch") && !reply.has("op_ids"));
    assert_eq!(JoinReply::from_response(&reply.to_response()).unwrap(), reply);
    assert!(JoinReply::from_response(&json("{}")).is_err());
    let done = CatchUpComplete {
        through_seq: json("null"),
    };
    assert_eq!(
        CatchUpComplete::from_payload(&done.to_payload()).unwrap().through(),
        None
    );
}

#[test]
fn snapshots_are_unwrapped() {
    let text = r#"{"snapshot_seq":9,"entries":{
        "a":{"value":{"_scalar":{"x":1}},"type":"map"},
        "d":{"value":{"_typed":"2.50","_type":"decimal"},"type":"map"},
        "f":{"value":{"_type":"file","hash":"x"},"type":"file"},
        "l":{"value":{"_scalar":[1]},"type":"string"},
        "p":{"value":"plain","type":"string"}}}"#;
    let snapshot = Snapshot::from_payload(&json(text)).unwrap();
    let shown: Vec<_> = snapshot
        .entries
        .iter()
        .map(|entry| format!("{} {} {}", entry.path, entry.value, entry.kind))
        .collect();
    assert_eq!(
        shown,
        [
            r#"a {"x":1} map"#,
            r#"d "2.50" decimal"#,
            r#"f {"_type":"file","hash":"x"} file"#,
            "l [1] list",
            r#"p "plain" string"#,
        ],
    );
    assert_eq!(Snapshot::from_payload(&snapshot.to_payload()).unwrap(), snapshot);
    assert!(
        Snapshot::from_payload(&json(
            r#"{"snapshot_seq":9,"entries":{"a//b":{"value":1,"type":"integer"}}}"#
        ))
        .is_err()
    );
}

#[test]
fn writes_say_what_the_op_says() {
    let id = OpId::new("op_1").unwrap();
    let subtree = Precondition::Subtree {
        root: path("r"),
        leaves: vec![(path("r/a"), Seq(1)), (path("r/b"), Seq(2))],
    };
    let revision = Precondition::SubtreeRevision {
        root: path("r"),
        revision: Seq(9),
    };
    let ops = [
        Op::set(path("a~1b/c"), json(r#"{"x":[1]}"#)).when(Precondition::Match(Seq(3))),
        Op::set(path("a"), Value::null()).when(Precondition::Absent),
        Op::delete(path("a")).when(subtree),
        Op::merge(path("a"), json(r#"{"x":1}"#)).when(revision),
        Op::increment(path("a"), -1),
        Op::add(path("a"), "x"),
        Op::remove(path("a"), "x"),
        Op::put_file(path("a"), b"\x00\xff".to_vec(), Some("a.bin"), None),
        Op::lease(path("a"), Some("me"), Duration::from_secs(9)),
        Op::renew(path("a"), 7, Duration::from_secs(9)),
        Op::release(path("a"), 7),
        Op::set(path("a"), 1).fenced(Fence {
            key: path("l/k"),
            token: 7,
        }),
    ];
    for op in &ops {
        let request = WriteRequest::from_payload(&WriteRequest::of(op, &id).to_payload()).unwrap();
        assert_eq!(&request.op().unwrap(), op);
        assert_eq!(request.op_id().unwrap().as_ref(), Some(&id));
    }
    let batch = Batch::new(ops).with_id(id.clone());
    assert_eq!(
        BatchRequest::from_payload(&BatchRequest::of(&batch).to_payload())
            .unwrap()
            .batch()
            .unwrap(),
        batch
    );
    let lease = Lease {
        holder: Some("me".to_owned()),
        token: 5,
        expires_at_ms: 9,
    };
    let done = vec![Done::Leased(lease), Done::NotReleased, Done::Applied];
    for done in done.iter().cloned() {
        let seqs = vec![if done == Done::NotReleased { Seq(0) } else { Seq(5) }];
        let done = if done == Done::Applied { Vec::new() } else { vec![done] };
        let written = Written {
            seqs,
            done,
            deduplicated: true,
        };
        let reply = WriteReply::from_response(&WriteReply::of(&written).to_response()).unwrap();
        assert_eq!(reply.into_written(), written);
    }
    let written = Written {
        seqs: vec![Seq(5), Seq(0), Seq(6)],
        done,
        deduplicated: true,
    };
    let reply = BatchReply::from_response(&BatchReply::from(written.clone()).to_response()).unwrap();
    assert_eq!(Written::from(reply), written);
    let stored = WriteRequest::of(&Op::put_file(path("a"), "x", None, None), &id);
    assert_eq!(
        (stored.event(), stored.content.unwrap().json()),
        ("put_file", r#""eA==""#)
    );
}

#[test]
fn what_is_wrong_with_a_write_is_told_one_thing_at_a_time() {
    let read = |text: &str| WriteRequest::from_payload(&json(text)).unwrap();
    let code = |text: &str| read(text).op().unwrap_err().code().to_owned();
    assert!(WriteRequest::from_payload(&json("5")).is_err());
    assert_eq!(code(r#"{"op":"set"}"#), "missing_path");
    assert_eq!(code(r#"{"op":"set","path":5}"#), "missing_path");
    assert_eq!(code(r#"{"op":"set","path":""}"#), "empty_path");
    assert_eq!(code(r#"{"op":"set","path":"a//b"}"#), "empty_segment");
    assert_eq!(
        code(r#"{"op":"set","path":"a","path_segments":["a",1]}"#),
        "not_a_string"
    );
    assert_eq!(code(r#"{"op":"set","path":"a","path_segments":[]}"#), "empty_path");
    assert_eq!(code(r#"{"op":null,"path":"a"}"#), "invalid_op");
    assert_eq!(
        code(r#"{"op":"increment","path":"a"}"#),
        "increment_requires_number_value"
    );
    assert_eq!(
        code(r#"{"op":"set","path":"a","if_match":"2"}"#),
        "invalid_precondition"
    );
    assert_eq!(
        code(r#"{"op":"set","path":"a","if_match":3.0}"#),
        "invalid_precondition"
    );
    assert_eq!(
        code(r#"{"op":"set","path":"a","if_match":1,"if_absent":true}"#),
        "invalid_precondition"
    );
    assert_eq!(code(r#"{"op":"renew","path":"a"}"#), "invalid_params");
    assert_eq!(code(r#"{"op":"put_file","path":"a","content":"!"}"#), "invalid_base64");
    assert_eq!(
        code(r#"{"op":"set","path":"a","fence":{"key":"a"}}"#),
        "invalid_precondition"
    );
    assert_eq!(read(r#"{"client_op_id":""}"#).op_id().unwrap_err().code(), "invalid_id");
    // The segments count, and what is no list is no segments.
    let both =
        read(r#"{"op":"delete","path":"x","path_segments":["a/b","c"],"value":1,"if_absent":false,"if_match":null}"#);
    assert_eq!(both.op().unwrap(), Op::delete(path("a~1b/c")));
    assert_eq!(
        read(r#"{"op":"set","path":"x","path_segments":"a"}"#).op().unwrap(),
        Op::set(path("x"), Value::null())
    );
}

#[test]
fn errors_come_back_from_their_refusals() {
    let conflict = Error::new(ErrorKind::Conflict, "conflict", "").with_conflict(ConflictAt {
        op_index: 2,
        path: path("links/dust"),
        current: Some(Seq(9)),
    });
    let errors = [
        conflict,
        Error::new(ErrorKind::InvalidParams, "not_a_number", "the leaf is no number"),
        Error::new(ErrorKind::Storage, "disk_full", "no space is left"),
        Error::new(ErrorKind::RateLimited, "rate_limited", "").with_retry_after(std::time::Duration::from_millis(1500)),
        Error::new(ErrorKind::InvalidParams, "invalid_op", ""),
    ];
    for error in errors {
        let refusal = Refusal::of_batch(&error);
        let back = Refusal::from_response(&refusal.to_response()).into_error();
        assert_eq!(format!("{back:?}"), format!("{error:?}"));
    }
    assert_eq!(
        Refusal::of(&Error::new(ErrorKind::InvalidParams, "invalid_op", "")).reason,
        "invalid op"
    );
    let inspected = Refusal::new("%ArithmeticError{message: \"bad argument\"}").into_error();
    assert_eq!(
        (inspected.kind(), inspected.code()),
        (ErrorKind::InvalidParams, "refused")
    );
    assert_eq!(inspected.detail(), "%ArithmeticError{message: \"bad argument\"}");
    let late = Refusal::new("{:writer_unavailable, {:timeout, []}}").into_error();
    assert_eq!((late.kind(), late.outcome()), (ErrorKind::Timeout, Outcome::Unknown));
    assert_eq!(Refusal::from_response(&json("5")).reason, "unexpected_reply");
    assert_eq!(
        Refusal::from_response(&json(r#"{"reason":"held","limit":"x"}"#)).reason,
        "held"
    );
    let reply = Reply::from_payload(&json(r#"{"status":"ok","response":{"store_seq":3}}"#)).unwrap();
    assert_eq!(reply, Reply::Ok(json(r#"{"store_seq":3}"#)));
    assert_eq!(ValueKind::from_remote("string", &Value::list([])), ValueKind::List);
}
