//! `status`: how a store stands, and what the token may do there.

use dust_store::Logged;
use dust_transport::error::Error;
use dust_transport::model::Value;

use super::push::{Joined, permissions, scopes, store_access};
use crate::Timestamp;

pub(super) async fn read(at: &Joined) -> Result<Value, Error> {
    let status = at.data.status().await?;
    let token = &at.client.token;
    let time = |ms: u64| Value::from(Timestamp::from_ms(ms).to_string());
    let ends = at.store.expires_at.map(|end| Value::from(end.to_string()));
    let compacted = Some(status.compacted.0).filter(|seq| *seq > 0);
    Ok(Value::map([
        ("current_seq", Value::from(status.head.0)),
        // Of all time, whatever the log still has.
        ("op_count", Value::from(status.head.0)),
        ("entry_count", Value::from(status.entries)),
        ("file_storage_bytes", Value::from(status.file_bytes)),
        // A store has no file of its own that could be measured.
        ("db_size_bytes", Value::null()),
        ("latest_snapshot_seq", compacted.map_or_else(Value::null, Value::from)),
        (
            "latest_snapshot_at",
            status.compacted_at_ms.map_or_else(Value::null, time),
        ),
        ("recent_ops", Value::list(status.recent.iter().map(shown))),
        ("expires_at", ends.unwrap_or_else(Value::null)),
        ("permissions", Value::from_serialize(&permissions(token))?),
        ("scopes", Value::from_serialize(&scopes(token))?),
        ("store_access", Value::from_serialize(&store_access(token))?),
    ]))
}

fn shown(op: &Logged) -> Value {
    let event = &op.event;
    Value::map([
        ("store_seq", Value::from(event.seq.0)),
        ("op", Value::from(event.kind.as_str())),
        ("path", Value::from(event.path.as_str())),
        ("inserted_at", Value::from(Timestamp::from_ms(op.at_ms).to_string())),
    ])
}
