//! Every frame that the original server and its clients exchanged: read, and written again.

use dust_transport::channel::{
    CATCH_UP_COMPLETE, CatchUpComplete, Codec, EVENT, Encoded, Frame, JOIN, JoinReply, JoinRequest, REPLY, Reply,
    SNAPSHOT, Snapshot, WRITE, WriteRequest, event_of,
};
use dust_transport::model::{OpKind, Value};
use serde_json::Value as Json;

const BYTES_MAX: usize = 16 << 20;

fn transcript() -> Json {
    serde_json::from_str(include_str!("../../../../dust-server/tests/transcripts/channel.json")).unwrap()
}

/// Every message of the transcript, whoever sent it.
fn messages(transcript: &Json) -> Vec<&Json> {
    let groups = transcript["groups"].as_array().unwrap();
    let exchanges = groups.iter().flat_map(|group| group["exchanges"].as_array().unwrap());
    exchanges
        .flat_map(|exchange| {
            exchange
                .get("sent")
                .into_iter()
                .chain(exchange.get("received").and_then(Json::as_array).into_iter().flatten())
        })
        .collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

/// The frame that a part of the transcript shows.
fn shown(json: &Json) -> Frame {
    let text = |index: usize| match &json[index] {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Frame {
        join_ref: text(0),
        reference: text(1),
        topic: text(2).unwrap(),
        event: text(3).unwrap(),
        payload: Value::from_json(&json[4].to_string()).unwrap(),
    }
}

#[test]
fn json_frames_read_as_they_are_shown() {
    let transcript = transcript();
    let mut count = 0;
    for frame in messages(&transcript)
        .into_iter()
        .filter_map(|message| message.get("frame"))
    {
        let read = Codec::Json.decode_text(&frame.to_string(), BYTES_MAX).unwrap();
        assert_eq!(read, shown(frame));
        let Encoded::Text(text) = Codec::Json.encode(&read) else {
            panic!("JSON is text")
        };
        if !frame[0].is_u64() && !frame[1].is_u64() {
            assert_eq!(serde_json::from_str::<Json>(&text).unwrap(), *frame);
        }
        count += 1;
    }
    assert!(count > 700, "{count} frames");
}

#[test]
fn message_pack_frames_read_as_they_are_shown() {
    let transcript = transcript();
    let mut count = 0;
    for message in messages(&transcript) {
        let (Some(hex), Some(decoded)) = (
            message.get("msgpack_hex").and_then(Json::as_str),
            message.get("decoded"),
        ) else {
            continue;
        };
        // Bytes that are no text are refused, and shown in a form of the transcript's own.
        let is_bytes = decoded.to_string().contains("bytes_hex");
        match Codec::MessagePack.decode_binary(&bytes_of(hex), BYTES_MAX) {
            Ok(read) if !is_bytes => {
                assert_eq!(read, shown(decoded), "{hex}");
                let Encoded::Binary(bytes) = Codec::MessagePack.encode(&read) else {
                    panic!("it is binary")
                };
                assert_eq!(Codec::MessagePack.decode_binary(&bytes, BYTES_MAX).unwrap(), read);
            }
            Ok(_) => {}
            Err(error) => assert!(is_bytes, "{hex}: {error}"),
        }
        count += 1;
    }
    assert!(count > 40, "{count} frames");
}

#[test]
fn payloads_of_the_server_are_of_their_types() {
    let transcript = transcript();
    let (mut events, mut joins, mut snapshots) = (0, 0, 0);
    for message in messages(&transcript) {
        let Some(frame) = message.get("frame").or_else(|| message.get("decoded")) else {
            continue;
        };
        let frame = shown(frame);
        match frame.event.as_str() {
            EVENT => {
                let known = frame
                    .payload
                    .entries()
                    .unwrap()
                    .into_iter()
                    .find(|(key, _)| key == "op")
                    .unwrap()
                    .1;
                if known.str().unwrap().parse::<OpKind>().is_ok() {
                    let event = event_of(&frame.payload).unwrap();
                    assert!(event.seq.0 > 0);
                    events += 1;
                }
            }
            SNAPSHOT => {
                assert!(!Snapshot::from_payload(&frame.payload).unwrap().entries.is_empty());
                snapshots += 1;
            }
            CATCH_UP_COMPLETE => {
                CatchUpComplete::from_payload(&frame.payload).unwrap();
            }
            REPLY => match Reply::from_payload(&frame.payload).unwrap() {
                Reply::Ok(response) if response.json().contains("capver_min") => {
                    JoinReply::from_response(&response).unwrap();
                    joins += 1;
                }
                Reply::Ok(_) => {}
                Reply::Error(refusal) => assert!(!refusal.reason.is_empty()),
            },
            JOIN => {
                let join = JoinRequest::from_payload(&frame.payload);
                assert_eq!(join.is_some(), frame.payload.json().contains("last_store_seq"));
            }
            WRITE if frame.payload.is_map() => {
                WriteRequest::from_payload(&frame.payload).unwrap();
            }
            _ => {}
        }
    }
    assert!(
        events > 100 && joins > 30 && snapshots > 1,
        "{events} {joins} {snapshots}"
    );
}
