use serde::{Deserialize, Serialize};

use super::payload::{self, PayloadError};
use super::{Permissions, StoreAccess};
use crate::model::{Seq, Value};

/// The response to [`STATUS`](super::STATUS): how a store stands.
///
/// ```
/// use dust_transport::channel::StatusReply;
/// use dust_transport::model::{Seq, Value};
///
/// let response = Value::from_json(
///     r#"{"current_seq":2,"entry_count":1,"op_count":2,"file_storage_bytes":0,"db_size_bytes":null,"expires_at":null,
///         "latest_snapshot_seq":null,"latest_snapshot_at":null,"permissions":{"read":true,"write":true},
///         "scopes":["entries:read"],"store_access":{"mode":"all","store_ids":[]},
///         "recent_ops":[{"store_seq":2,"op":"delete","path":"a","inserted_at":"2026-11-22T07:39:41.863Z"}]}"#,
/// )?;
/// let status = StatusReply::from_response(&response)?;
/// assert_eq!((status.current_seq, status.recent_ops[0].op.as_str()), (Seq(2), "delete"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusReply {
    /// The last sequence number of the store.
    pub current_seq: Seq,
    /// How many leaves it has.
    pub entry_count: u64,
    /// How many ops it has committed.
    pub op_count: u64,
    /// How many bytes its files have.
    pub file_storage_bytes: u64,
    /// How large its database is, where the server can tell.
    pub db_size_bytes: Option<u64>,
    /// When it ends, in ISO 8601.
    pub expires_at: Option<String>,
    /// Up to which op its log was cut.
    pub latest_snapshot_seq: Option<Seq>,
    /// When that was, in ISO 8601.
    pub latest_snapshot_at: Option<String>,
    /// What the token may do here.
    pub permissions: Permissions,
    /// The scopes of the token, ascending.
    pub scopes: Vec<String>,
    /// Which stores the token is for.
    pub store_access: StoreAccess,
    /// The last ops, newest first.
    pub recent_ops: Vec<RecentOp>,
}

/// One of the last ops of a [`StatusReply`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentOp {
    /// Its sequence number.
    pub store_seq: Seq,
    /// What was done; the name on the wire.
    pub op: String,
    /// Where, rendered.
    pub path: String,
    /// When, in ISO 8601.
    pub inserted_at: String,
}

impl StatusReply {
    /// The response of the reply.
    #[must_use]
    pub fn to_response(&self) -> Value {
        payload::write(self)
    }

    /// Reads the response of a reply.
    ///
    /// # Errors
    /// [`PayloadError`] for what is none.
    pub fn from_response(response: &Value) -> Result<Self, PayloadError> {
        payload::read("a status", response)
    }
}
