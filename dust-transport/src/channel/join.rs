use serde::{Deserialize, Serialize};

use super::payload::{self, PayloadError};
use crate::model::{Seq, Value};

/// The payload of [`JOIN`](super::JOIN).
///
/// ```
/// use dust_transport::channel::JoinRequest;
/// use dust_transport::model::{Seq, Value};
///
/// let join = JoinRequest::from_payload(&Value::from_json(r#"{"last_store_seq":7}"#)?);
/// assert_eq!(join.and_then(|join| join.last_seq()), Some(Seq(7)));
/// assert_eq!(JoinRequest::from_payload(&Value::from_json("{}")?), None);
/// # Ok::<(), dust_transport::model::ValueError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct JoinRequest {
    /// What stands under `last_store_seq`; the hosted server takes more than numbers.
    pub last_store_seq: Value,
}

/// The reply to a join that is granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinReply {
    /// The last sequence number of the store.
    pub store_seq: Seq,
    /// The capability version of the server.
    pub capver: u32,
    /// The least that it takes.
    pub capver_min: u32,
    /// What the token may do here.
    pub permissions: Permissions,
    /// The scopes of the token, ascending.
    pub scopes: Vec<String>,
    /// Which stores the token is for.
    pub store_access: StoreAccess,
    /// What the server does beyond the wire of the hosted service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extensions: Vec<String>,
    /// The UUID of the store, which another of the same name has not. The hosted server does not tell it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_id: Option<String>,
    /// How many bytes a frame to the server may have; a longer one ends the connection. The hosted server does not tell it, and
    /// takes [`FRAME_BYTES_MAX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_bytes_max: Option<usize>,
}

/// How many bytes a frame to a server may have that does not say how many.
pub const FRAME_BYTES_MAX: usize = 8_000_000;

/// What a token may do in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// Read entries.
    pub read: bool,
    /// Write entries.
    pub write: bool,
}

/// Which stores a token is for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreAccess {
    /// `all` or `selected`.
    pub mode: String,
    /// The UUIDs of the selected ones.
    pub store_ids: Vec<String>,
}

impl JoinRequest {
    /// Asks for what follows after this sequence number.
    #[must_use]
    pub fn after(last: Seq) -> Self {
        Self {
            last_store_seq: Value::from(last.0),
        }
    }

    /// The payload.
    #[must_use]
    pub fn to_payload(&self) -> Value {
        Value::map([("last_store_seq", self.last_store_seq.clone())])
    }

    /// Reads a payload; none without the key.
    #[must_use]
    pub fn from_payload(payload: &Value) -> Option<Self> {
        let mut entries = payload.entries()?.into_iter();
        let (_, last_store_seq) = entries.find(|(key, _)| key == "last_store_seq")?;
        Some(Self { last_store_seq })
    }

    /// The sequence number, if it is one.
    #[must_use]
    pub fn last_seq(&self) -> Option<Seq> {
        self.last_store_seq.to().ok().map(Seq)
    }
}

impl JoinReply {
    /// The response of the reply.
    ///
    /// ```
    /// use dust_transport::channel::{CAPVER, JoinReply, Permissions, StoreAccess};
    /// use dust_transport::model::Seq;
    ///
    /// let reply = JoinReply {
    ///     store_seq: Seq(2),
    ///     capver: CAPVER,
    ///     capver_min: CAPVER,
    ///     permissions: Permissions { read: true, write: false },
    ///     scopes: vec!["entries:read".to_owned()],
    ///     store_access: StoreAccess { mode: "all".to_owned(), store_ids: Vec::new() },
    ///     extensions: Vec::new(),
    ///     store_id: None,
    ///     frame_bytes_max: Some(8_000_000),
    /// };
    /// assert_eq!(JoinReply::from_response(&reply.to_response())?, reply);
    /// # Ok::<(), dust_transport::channel::PayloadError>(())
    /// ```
    #[must_use]
    pub fn to_response(&self) -> Value {
        payload::write(self)
    }

    /// Reads the response of a reply.
    ///
    /// # Errors
    /// [`PayloadError`] for what is none.
    pub fn from_response(response: &Value) -> Result<Self, PayloadError> {
        payload::read("a reply to a join", response)
    }

    /// Whether the server said that it has this extension.
    #[must_use]
    pub fn has(&self, extension: &str) -> bool {
        self.extensions.iter().any(|name| name == extension)
    }
}
