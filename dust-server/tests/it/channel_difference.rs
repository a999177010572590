//! Where the channels of our server answer otherwise than those of the recorded one, and why.

use serde_json::{Value, json};

/// What our server does instead.
#[derive(Debug)]
pub(crate) enum Ours {
    /// The request for a socket is answered with this status.
    Status(u16),
    /// The client is refused for this reason, and told nothing else.
    Refused(&'static str),
    /// Clients get these frames, with our numbers: a list of client, join ref, ref, event and payload.
    Frames(&'static str),
    /// As recorded; and before that, clients get these events, with our numbers: a list of client and payload.
    Also(&'static str),
    /// As recorded, but for the values of the events of these op ids.
    Values(&'static [(&'static str, &'static str)]),
    /// As recorded, but the topic was still joined by this join ref, which is closed after the reply; with the head of our
    /// store, where it is another.
    Rejoined(&'static str, Option<u64>),
    /// As recorded, with plain values instead of those in the form of the store, and types of their own.
    Plain,
    /// As recorded, but the snapshot is that of the head; with plain values, too.
    Newest,
    /// As recorded, but an op that was sent without an id has none.
    WithoutIds,
    /// The socket is closed with this code.
    Closed(u16),
}

/// One exchange, or several of one kind.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) group: &'static str,
    pub(crate) exchanges: &'static [usize],
    pub(crate) ours: Ours,
    /// How many ops more our server commits in each of them; what is numbered after them is compared with that offset.
    pub(crate) seqs: i64,
    pub(crate) because: &'static str,
}

const fn differs(group: &'static str, exchanges: &'static [usize], ours: Ours, because: &'static str) -> Difference {
    Difference {
        group,
        exchanges,
        ours,
        seqs: 0,
        because,
    }
}

impl Difference {
    const fn seqs(mut self, seqs: i64) -> Self {
        self.seqs = seqs;
        self
    }
}

impl Ours {
    /// What clients get, in the form of the recording; `topic` gives the topic that a client has joined.
    pub(crate) fn messages(
        &self,
        sender: Option<&str>,
        recorded: &[Value],
        topic: impl Fn(&str) -> String,
    ) -> Vec<Value> {
        match self {
            Self::Status(_) => Vec::new(),
            Self::Refused(reason) => vec![json!({ "client": sender, "reason": reason })],
            Self::Closed(code) => vec![json!({ "client": sender, "closed": { "code": code } })],
            Self::Frames(text) => {
                let frames: Vec<(String, Value, Value, String, Value)> = serde_json::from_str(text).expect("JSON");
                let frames = frames.into_iter().map(|(client, join_ref, reference, event, payload)| {
                    json!({ "client": client, "frame": [join_ref, reference, topic(&client), event, payload], "ours": true })
                });
                frames.collect()
            }
            Self::Also(text) => {
                let events: Vec<(String, Value)> = serde_json::from_str(text).expect("JSON");
                let events = events.into_iter().map(|(client, payload)| {
                    json!({ "client": client, "frame": [null, null, topic(&client), "event", payload], "ours": true })
                });
                events.chain(recorded.iter().cloned()).collect()
            }
            Self::Rejoined(join_ref, head) => {
                let client = sender.expect("a join has a sender");
                let closed = json!([join_ref, join_ref, topic(client), "phx_close", {}]);
                let mut messages = recorded.to_vec();
                messages.insert(1, json!({ "client": client, "frame": closed }));
                if let Some(head) = head {
                    messages[0]["frame"][4]["response"]["store_seq"] = (*head).into();
                    messages[0]["ours"] = true.into();
                }
                messages
            }
            Self::Values(values) => edited(recorded, |payload| {
                let id = payload["client_op_id"].as_str().unwrap_or_default();
                if let Some((_, value)) = values.iter().find(|(of, _)| *of == id) {
                    payload["value"] = serde_json::from_str(value).expect("JSON");
                }
            }),
            Self::WithoutIds => edited(recorded, |payload| {
                let id = payload["client_op_id"].as_str().unwrap_or_default();
                if id.len() >= 36 {
                    payload["client_op_id"] = Value::Null;
                }
            }),
            Self::Plain => plain(recorded),
            Self::Newest => newest(plain(recorded)),
        }
    }
}

/// The recorded messages with other payloads.
fn edited(recorded: &[Value], edit: impl Fn(&mut Value)) -> Vec<Value> {
    let messages = recorded.iter().cloned().map(|mut message| {
        for frame in ["frame", "decoded"] {
            if let Some(payload) = message.get_mut(frame).and_then(|frame| frame.get_mut(4)) {
                edit(payload);
            }
        }
        message
    });
    messages.collect()
}

/// The recorded messages with snapshots as ours are.
fn plain(recorded: &[Value]) -> Vec<Value> {
    edited(recorded, |payload| {
        let entries = payload.get_mut("entries").and_then(Value::as_object_mut);
        entries.into_iter().flatten().for_each(|(_, entry)| plain_entry(entry));
    })
}

/// The messages with what follows the snapshot, one `set` of an integer, as a part of it.
fn newest(mut messages: Vec<Value>) -> Vec<Value> {
    let after = messages.remove(2);
    let name = if after.get("frame").is_some() {
        "frame"
    } else {
        "decoded"
    };
    let event = &after[name][4];
    assert_eq!((event["op"].as_str(), event["value"].is_i64()), (Some("set"), true));
    let snapshot = &mut messages[1][name][4];
    snapshot["snapshot_seq"] = event["store_seq"].clone();
    let path = event["path"].as_str().expect("a path");
    snapshot["entries"][path] = json!({ "value": event["value"], "type": "integer" });
    messages
}

/// An entry of a snapshot as ours has it.
fn plain_entry(entry: &mut Value) {
    let kind = match &entry["value"] {
        Value::Object(value) if value.contains_key("_scalar") => {
            entry["value"] = value["_scalar"].clone();
            (entry["value"].is_array() && entry["type"] == "string").then_some("list")
        }
        Value::Object(value) if value.contains_key("_typed") => {
            entry["value"] = value["_typed"].clone();
            Some("decimal")
        }
        _ => None,
    };
    if let Some(kind) = kind {
        entry["type"] = kind.into();
    }
}

use Ours::{Also, Closed, Frames, Newest, Plain, Refused, Rejoined, Status, Values, WithoutIds};

const CRASH: &str = "TRAP 30: a request that is not understood is answered, and the topic stays joined";

const PLAIN: &str = "TRAP 5: the plain text of a decimal or a time is sent, live as in a catch-up";

const TOTALS: &str = "Appendix C: totals are those of the log, whatever was set in between";

pub(crate) const DIFFERENCES: &[Difference] = &[
    differs("connect", &[17], Status(403), "a device has an id"),
    differs(
        "join",
        &[5],
        Refused("unauthorized"),
        "nobody learns which stores others have, as over HTTP",
    ),
    differs(
        "join",
        &[8],
        Refused("unauthorized"),
        "an archived store is reached by no name",
    ),
    differs(
        "writes",
        &[35],
        Values(&[("op_33", "null")]),
        "a delete has no value, whatever was sent with it",
    ),
    differs("writes", &[37], Values(&[("op_35", "\"1.50\"")]), PLAIN),
    differs(
        "writes",
        &[38, 64],
        Refused("increment_requires_number_value"),
        "the recorded reason is an inspected term",
    ),
    differs("writes", &[40], Refused("invalid_id"), "an op id is a text").seqs(-1),
    differs(
        "writes",
        &[42],
        Refused("missing_client_op_id"),
        "the recorded reason is an inspected term",
    ),
    differs(
        "writes",
        &[43],
        Frames(
            r#"[["A", "1", "146", "phx_reply", {"status": "ok", "response": {
                "permissions": {"read": true, "write": true}, "scopes": ["audit:read", "entries:read", "entries:write",
                "files:read", "files:write", "stores:clone", "stores:read", "tokens:read", "tokens:write",
                "webhooks:read", "webhooks:write"], "expires_at": null, "current_seq": 37, "entry_count": 17,
                "file_storage_bytes": 0, "op_count": 37, "store_access": {"mode": "all", "store_ids": []},
                "db_size_bytes": 0, "latest_snapshot_at": null, "latest_snapshot_seq": null, "recent_ops": [
                {"path": "big64", "op": "set", "inserted_at": "", "store_seq": 37},
                {"path": "ff", "op": "set", "inserted_at": "", "store_seq": 36},
                {"path": "dec", "op": "set", "inserted_at": "", "store_seq": 35},
                {"path": "cnt", "op": "set", "inserted_at": "", "store_seq": 34},
                {"path": "links", "op": "delete", "inserted_at": "", "store_seq": 33}]}}]]"#,
        ),
        "without the op that was refused",
    ),
    differs("writes", &[65], Refused("empty_segment"), CRASH),
    differs("writes", &[66], Rejoined("1", None), CRASH),
    differs(
        "writes",
        &[67, 68],
        Refused("empty_segment"),
        "the recorded reason is an inspected term",
    ),
    differs("writes", &[69], Refused("invalid_payload"), CRASH),
    differs(
        "writes",
        &[70],
        Frames(
            r#"[["A", null, null, "event", {"value": 1, "path": "alive", "op": "set", "store_seq": 39, "device_id": "dev_A",
                  "client_op_id": "op_62", "path_segments": ["alive"]}],
                ["A", "67", "172", "phx_reply", {"status": "ok", "response": {"store_seq": 39}}],
                ["B", null, null, "event", {"value": 1, "path": "alive", "op": "set", "store_seq": 39, "device_id": "dev_A",
                  "client_op_id": "op_62", "path_segments": ["alive"]}]]"#,
        ),
        CRASH,
    ),
    differs(
        "preconditions",
        &[10, 16],
        Refused("invalid_precondition"),
        "the recorded reason is an inspected term",
    ),
    differs(
        "preconditions",
        &[13, 22],
        Refused("invalid_precondition"),
        "a condition that is not understood is not dropped",
    )
    .seqs(-1),
    differs(
        "leases",
        &[6, 17, 33],
        Refused("invalid_params"),
        "the recorded reason is an inspected term",
    ),
    differs(
        "leases",
        &[11],
        Refused("invalid_precondition"),
        "a fence that is not understood is not dropped",
    )
    .seqs(-1),
    differs(
        "leases",
        &[28],
        Refused("invalid_params"),
        "TRAP 31: a lease is not written as a value",
    )
    .seqs(-1),
    differs(
        "leases",
        &[29],
        Frames(
            r#"[["A", null, null, "event", {"value": {"_type": "lease", "expires_at": 0, "holder": null, "token": 12},
                  "path": "locks/f", "op": "lease", "store_seq": 12, "device_id": "dev_A", "client_op_id": "op_113",
                  "path_segments": ["locks", "f"]}],
                ["A", "1", "223", "phx_reply", {"status": "ok", "response": {"token": 12, "expires_at": 0,
                  "store_seq": 12, "holder": null}}],
                ["B", null, null, "event", {"value": {"_type": "lease", "expires_at": 0, "holder": null, "token": 12},
                  "path": "locks/f", "op": "lease", "store_seq": 12, "device_id": "dev_A", "client_op_id": "op_113",
                  "path_segments": ["locks", "f"]}]]"#,
        ),
        "TRAP 31: nobody holds it",
    )
    .seqs(1),
    differs("leases", &[30], Refused("fenced"), "TRAP 31: the token is nobody's").seqs(-1),
    differs(
        "leases",
        &[32, 34],
        Refused("invalid_params"),
        "a time to live is a whole number of milliseconds",
    )
    .seqs(-1),
    differs(
        "leases",
        &[37],
        Frames(
            r#"[["A", null, null, "event", {"value": {"_type": "lease", "expires_at": 0, "holder": null, "token": 14},
                  "path": "locks/o", "op": "lease", "store_seq": 14, "device_id": "dev_A", "client_op_id": "op_121",
                  "path_segments": ["locks", "o"]}],
                ["A", "1", "231", "phx_reply", {"status": "ok", "response": {"token": 14, "expires_at": 0,
                  "store_seq": 14, "holder": null}}],
                ["B", null, null, "event", {"value": {"_type": "lease", "expires_at": 0, "holder": null, "token": 14},
                  "path": "locks/o", "op": "lease", "store_seq": 14, "device_id": "dev_A", "client_op_id": "op_121",
                  "path_segments": ["locks", "o"]}]]"#,
        ),
        "a holder is a text, or nobody in particular",
    ),
    differs(
        "files",
        &[11],
        Frames(
            r#"[["A", null, null, "event", {"value": {"_type": "file", "content_type": "text/x-demo", "filename": "f.bin",
                  "hash": "", "size": 3, "uploaded_at": ""}, "path": "docs/second", "op": "put_file", "store_seq": 2,
                  "device_id": "dev_A", "client_op_id": "f2", "path_segments": ["docs", "second"]}],
                ["A", "1", "240", "phx_reply", {"status": "ok", "response": {"hash": "", "store_seq": 2}}],
                ["B", null, null, "event", {"value": {"_type": "file", "content_type": "text/x-demo", "filename": "f.bin",
                  "hash": "", "size": 3, "uploaded_at": ""}, "path": "docs/second", "op": "put_file", "store_seq": 2,
                  "device_id": "dev_A", "client_op_id": "f2", "path_segments": ["docs", "second"]}]]"#,
        ),
        "Appendix C: a store holds more than one file",
    )
    .seqs(1),
    differs("files", &[12], Rejoined("1", Some(2)), "Appendix C: a store holds more than one file"),
    differs(
        "files",
        &[13],
        Frames(
            r#"[["A", null, null, "event", {"value": {"_type": "file", "content_type": "text/x-demo", "filename": "f.bin",
                  "hash": "", "size": 27, "uploaded_at": ""}, "path": "docs/f", "op": "put_file", "store_seq": 3,
                  "device_id": "dev_A", "client_op_id": "f3", "path_segments": ["docs", "f"]}],
                ["A", "13", "241", "phx_reply", {"status": "ok", "response": {"hash": "", "store_seq": 3}}],
                ["B", null, null, "event", {"value": {"_type": "file", "content_type": "text/x-demo", "filename": "f.bin",
                  "hash": "", "size": 27, "uploaded_at": ""}, "path": "docs/f", "op": "put_file", "store_seq": 3,
                  "device_id": "dev_A", "client_op_id": "f3", "path_segments": ["docs", "f"]}]]"#,
        ),
        "Appendix C: a store holds more than one file",
    )
    .seqs(1),
    differs("files", &[14], Rejoined("13", Some(3)), "Appendix C: a store holds more than one file"),
    differs(
        "files",
        &[15, 17],
        Refused("invalid_base64"),
        "TRAP 31: a reference to a file is not written as a value; `put_file` needs what is in it",
    )
    .seqs(-1),
    differs("files", &[16], Refused("invalid_base64"), "the recorded reason is an inspected term"),
    differs("files", &[23], Refused("missing_content"), CRASH),
    differs("files", &[24], Rejoined("15", None), CRASH),
    differs("files", &[25], Refused("missing_client_op_id"), CRASH),
    differs("permissions-and-crashes", &[6], Refused("unknown_event"), CRASH),
    differs("permissions-and-crashes", &[8], Rejoined("1", None), CRASH),
    differs("permissions-and-crashes", &[11, 13, 15], Refused("invalid_payload"), CRASH),
    differs("permissions-and-crashes", &[12], Rejoined("9", None), CRASH),
    differs("permissions-and-crashes", &[14], Rejoined("13", None), CRASH),
    differs(
        "permissions-and-crashes",
        &[16, 18, 20, 24, 25],
        Refused("malformed_frame"),
        "a message that is no frame is answered, and the socket stays open",
    ),
    differs(
        "permissions-and-crashes",
        &[29],
        Frames(
            r#"[["A6", null, null, "phx_close", {}],
                ["A6", "27", "260", "phx_reply", {"status": "error", "response": {"reason": "store_archived"}}]]"#,
        ),
        "whoever has joined is told at once, as where a store expires",
    ),
    differs(
        "broadcast-scope",
        &[3],
        Also(
            r#"[["U", {"value": 1, "path": "a", "op": "set", "store_seq": 1, "device_id": "dev_N1", "client_op_id": "op_132",
                  "path_segments": ["a"]}]]"#,
        ),
        "TRAP 17: a store is one, by name and by id",
    ),
    differs(
        "broadcast-scope",
        &[4],
        Also(
            r#"[["N1", {"value": 2, "path": "a", "op": "set", "store_seq": 2, "device_id": "dev_U", "client_op_id": "op_133",
                  "path_segments": ["a"]}],
                ["N2", {"value": 2, "path": "a", "op": "set", "store_seq": 2, "device_id": "dev_U", "client_op_id": "op_133",
                  "path_segments": ["a"]}]]"#,
        ),
        "TRAP 17: a store is one, by name and by id",
    ),
    differs(
        "broadcast-scope",
        &[5],
        Also(
            r#"[["N1", {"value": 3, "path": "a", "op": "set", "store_seq": 3, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["a"]}],
                ["N2", {"value": 3, "path": "a", "op": "set", "store_seq": 3, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["a"]}],
                ["U", {"value": 3, "path": "a", "op": "set", "store_seq": 3, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["a"]}]]"#,
        ),
        "TRAP 1: what is written over HTTP is told",
    ),
    differs(
        "broadcast-scope",
        &[6],
        Also(
            r#"[["N1", {"value": 1, "path": "b1", "op": "set", "store_seq": 4, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["b1"]}],
                ["N1", {"value": 2, "path": "b1", "op": "set", "store_seq": 5, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["b1"]}],
                ["N2", {"value": 1, "path": "b1", "op": "set", "store_seq": 4, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["b1"]}],
                ["N2", {"value": 2, "path": "b1", "op": "set", "store_seq": 5, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["b1"]}],
                ["U", {"value": 1, "path": "b1", "op": "set", "store_seq": 4, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["b1"]}],
                ["U", {"value": 2, "path": "b1", "op": "set", "store_seq": 5, "client_op_id": null,
                  "device_id": "http:01a20216-b72d-740c-9a1f-383e8bc31346", "path_segments": ["b1"]}]]"#,
        ),
        "TRAP 1: what is written over HTTP is told",
    ),
    differs(
        "broadcast-scope",
        &[7],
        Also(
            r#"[["U", {"value": 1, "path": "a", "op": "set", "store_seq": 6, "device_id": "system:rollback",
                  "client_op_id": "rollback:1:a", "path_segments": ["a"]}]]"#,
        ),
        "TRAP 17: a store is one, by name and by id",
    ),
    differs(
        "broadcast-scope",
        &[8],
        Also(
            r#"[["N1", {"value": 2, "path": "a", "op": "set", "store_seq": 7, "device_id": "system:rollback",
                  "client_op_id": "rollback:2:a", "path_segments": ["a"]}],
                ["N1", {"value": null, "path": "b1", "op": "delete", "store_seq": 8, "device_id": "system:rollback",
                  "client_op_id": "rollback:2:b1", "path_segments": ["b1"]}],
                ["N2", {"value": 2, "path": "a", "op": "set", "store_seq": 7, "device_id": "system:rollback",
                  "client_op_id": "rollback:2:a", "path_segments": ["a"]}],
                ["N2", {"value": null, "path": "b1", "op": "delete", "store_seq": 8, "device_id": "system:rollback",
                  "client_op_id": "rollback:2:b1", "path_segments": ["b1"]}],
                ["U", {"value": 2, "path": "a", "op": "set", "store_seq": 7, "device_id": "system:rollback",
                  "client_op_id": "rollback:2:a", "path_segments": ["a"]}],
                ["U", {"value": null, "path": "b1", "op": "delete", "store_seq": 8, "device_id": "system:rollback",
                  "client_op_id": "rollback:2:b1", "path_segments": ["b1"]}]]"#,
        ),
        "TRAP 1: what a rollback of the store writes is told",
    ),
    differs("catch-up", &[14], Values(&[("op_147", "\"2.50\"")]), PLAIN),
    differs("catch-up", &[15], Values(&[("op_148", "\"2026-01-02T03:04:05Z\"")]), PLAIN),
    differs(
        "catch-up",
        &[21, 22, 23, 24, 25, 27, 29],
        Values(&[("op_151", "101"), ("op_153", "[\"r\", \"q\"]")]),
        TOTALS,
    ),
    differs(
        "catch-up",
        &[30],
        Frames(
            r#"[["M2", "31", "31", "phx_reply", {"status": "ok", "response": {"permissions": {"read": true, "write": true},
                  "scopes": ["audit:read", "entries:read", "entries:write", "files:read", "files:write", "stores:clone",
                  "stores:read", "tokens:read", "tokens:write", "webhooks:read", "webhooks:write"], "store_seq": 20,
                  "capver": 3, "capver_min": 3, "store_access": {"mode": "all", "store_ids": []}}}],
                ["M2", "31", null, "event", {"value": [1, [2]], "path": "arr", "op": "set", "store_seq": 13,
                  "device_id": "dev_A", "client_op_id": "op_146", "path_segments": ["arr"]}],
                ["M2", "31", null, "event", {"value": "2.50", "path": "dec", "op": "set", "store_seq": 14,
                  "device_id": "dev_A", "client_op_id": "op_147", "path_segments": ["dec"]}],
                ["M2", "31", null, "event", {"value": "2026-01-02T03:04:05Z", "path": "dt", "op": "set", "store_seq": 15,
                  "device_id": "dev_A", "client_op_id": "op_148", "path_segments": ["dt"]}],
                ["M2", "31", null, "event", {"value": null, "path": "l", "op": "release", "store_seq": 16,
                  "device_id": "dev_A", "client_op_id": "op_149", "path_segments": ["l"]}],
                ["M2", "31", null, "event", {"value": 100, "path": "c", "op": "set", "store_seq": 17,
                  "device_id": "dev_A", "client_op_id": "op_150", "path_segments": ["c"]}],
                ["M2", "31", null, "event", {"value": 101, "path": "c", "op": "increment", "store_seq": 18,
                  "device_id": "dev_A", "client_op_id": "op_151", "path_segments": ["c"]}],
                ["M2", "31", null, "event", {"value": ["q"], "path": "s", "op": "set", "store_seq": 19,
                  "device_id": "dev_A", "client_op_id": "op_152", "path_segments": ["s"]}],
                ["M2", "31", null, "event", {"value": ["r", "q"], "path": "s", "op": "add", "store_seq": 20,
                  "device_id": "dev_A", "client_op_id": "op_153", "path_segments": ["s"]}],
                ["M2", "31", null, "catch_up_complete", {"through_seq": 20}]]"#,
        ),
        "TRAP 5: a decimal goes into MessagePack as a text",
    ),
    differs("catch-up", &[32], WithoutIds, "TRAP 2: a request id is that of the client, or there is none"),
    differs(
        "rollback",
        &[15],
        Also(
            r#"[["A", {"value": 1, "path": "m/x", "op": "set", "store_seq": 9, "device_id": "system:rollback",
                  "client_op_id": "rollback:3:m/x", "path_segments": ["m", "x"]}],
                ["A", {"value": 2, "path": "m/y", "op": "set", "store_seq": 10, "device_id": "system:rollback",
                  "client_op_id": "rollback:3:m/y", "path_segments": ["m", "y"]}],
                ["B", {"value": 1, "path": "m/x", "op": "set", "store_seq": 9, "device_id": "system:rollback",
                  "client_op_id": "rollback:3:m/x", "path_segments": ["m", "x"]}],
                ["B", {"value": 2, "path": "m/y", "op": "set", "store_seq": 10, "device_id": "system:rollback",
                  "client_op_id": "rollback:3:m/y", "path_segments": ["m", "y"]}]]"#,
        ),
        "TRAP 1: what a rollback of the store writes is told",
    ),
    differs("snapshot", &[5], Values(&[("op_163", "\"2.50\"")]), PLAIN),
    differs(
        "snapshot",
        &[8],
        Plain,
        "TRAP 6: a snapshot has plain values; open point 1: a list has a type of its own",
    ),
    differs(
        "snapshot",
        &[10, 12],
        Newest,
        "TRAP 6; and a snapshot is taken when it is needed, so little follows it",
    ),
    differs("messagepack", &[8], Refused("invalid_payload"), "the recorded reason is an inspected term"),
    differs(
        "messagepack",
        &[12],
        Frames(
            r#"[["J", null, null, "event", {"value": 1180591620717411303424, "path": "big", "op": "set", "store_seq": 8,
                  "device_id": "dev_J", "client_op_id": "op_174", "path_segments": ["big"]}],
                ["J", "2", "322", "phx_reply", {"status": "ok", "response": {"store_seq": 8}}],
                ["M", null, null, "event", {"value": 1180591620717411303424.0, "path": "big", "op": "set",
                  "store_seq": 8, "device_id": "dev_J", "client_op_id": "op_174", "path_segments": ["big"]}]]"#,
        ),
        "Appendix C: an integer beyond u64 harms nobody; MessagePack has it as a float",
    ),
    differs(
        "messagepack",
        &[15],
        Refused("malformed_frame"),
        "a message that is no frame is answered, and the socket stays open",
    ),
    differs(
        "socket-misc",
        &[5],
        Closed(1009),
        "a frame that is too large ends the socket by the code for that",
    ),
    differs(
        "http-ops-in-catch-up",
        &[0],
        WithoutIds,
        "TRAP 2: a request id is that of the client, or there is none",
    ),
];

/// Clients that were there but were not listened to in the recording.
pub(crate) const UNHEARD: &[(&str, &[usize], &str)] = &[
    ("files", &[11, 12, 13, 14, 21, 22, 23, 24], "RO"),
    ("messagepack", &[13, 14, 15], "J"),
    ("snapshot", &[9, 10], "B"),
];

/// Exchanges that are not built, and why.
pub(crate) const NOT_BUILT: &[(&str, &[usize], &str)] =
    &[("plan-limits", &[0, 1, 2, 3, 4, 5, 6, 7, 8], "there are no plans")];

/// Exchanges that other tests hold our server to.
pub(crate) const ELSEWHERE: &[(&str, &[usize], &str)] = &[
    (
        "permissions-and-crashes",
        &[7],
        "it would be committed, and renumber what follows",
    ),
    ("catch-up", &[31], "the recording leaves out what was sent"),
    ("files", &[18, 19, 20], "files over HTTP"),
    ("snapshot", &[15, 16, 17, 18], "diff, log and export over HTTP"),
    (
        "socket-misc",
        &[7, 8, 9],
        "the time of an idle socket; no extension is negotiated",
    ),
];
