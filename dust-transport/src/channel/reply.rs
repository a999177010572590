use serde::{Deserialize, Serialize};

use super::Refusal;
use super::payload::{self, PayloadError};
use crate::model::{FileRef, Lease, Seq, Value};
use crate::transport::{Done, Written};

/// The payload of [`REPLY`](super::REPLY).
///
/// ```
/// use dust_transport::channel::{Refusal, Reply};
///
/// let refused = Reply::Error(Box::new(Refusal::new("held")));
/// assert_eq!(refused.to_payload().json(), r#"{"status":"error","response":{"reason":"held"}}"#);
/// assert_eq!(Reply::from_payload(&refused.to_payload())?, refused);
/// # Ok::<(), dust_transport::channel::PayloadError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// What was asked for is done; the response says what came of it.
    Ok(Value),
    /// It is refused.
    Error(Box<Refusal>),
}

/// The response to a [`WriteRequest`](super::WriteRequest).
///
/// ```
/// use dust_transport::channel::WriteReply;
/// use dust_transport::model::Seq;
/// assert_eq!(WriteReply::at(Seq(3)).to_response().json(), r#"{"store_seq":3}"#);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WriteReply {
    /// The sequence number of the op; none where nothing was there to release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_seq: Option<Seq>,
    /// The op had been committed before under its op id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deduplicated: bool,
    /// The token of a lease that was taken or renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<u64>,
    /// When it expires, in milliseconds since 1970 by the server's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<u64>,
    /// Who holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// False where nothing was there to release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<bool>,
    /// The hash of a file that was stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

/// The response to a [`BatchRequest`](super::BatchRequest).
///
/// ```
/// use dust_transport::channel::BatchReply;
/// use dust_transport::model::Seq;
/// let reply = BatchReply { store_seqs: vec![Seq(3), Seq(4)], ..BatchReply::default() };
/// assert_eq!(reply.to_response().json(), r#"{"store_seqs":[3,4]}"#);
/// assert_eq!(BatchReply::from_response(&reply.to_response())?, reply);
/// # Ok::<(), dust_transport::channel::PayloadError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct BatchReply {
    /// The sequence number of each op, in order; 0 for one that took none.
    pub store_seqs: Vec<Seq>,
    /// What else there is to say of each op: null, the lease, the reference to the file, or false for a lease that was
    /// not there to release. Empty if that is null for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub done: Vec<Value>,
    /// The batch had been committed before under its op id.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deduplicated: bool,
}

#[derive(Deserialize)]
struct ReplyRead {
    status: String,
    #[serde(default = "Value::null")]
    response: Value,
}

impl Reply {
    /// The payload.
    #[must_use]
    pub fn to_payload(&self) -> Value {
        let (status, response) = match self {
            Self::Ok(response) => ("ok", response.clone()),
            Self::Error(refusal) => ("error", refusal.to_response()),
        };
        Value::map([("status", Value::from(status)), ("response", response)])
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for what is none.
    pub fn from_payload(payload: &Value) -> Result<Self, PayloadError> {
        let read: ReplyRead = payload::read("a reply", payload)?;
        match read.status.as_str() {
            "ok" => Ok(Self::Ok(read.response)),
            _ => Ok(Self::Error(Box::new(Refusal::from_response(&read.response)))),
        }
    }
}

impl WriteReply {
    /// The reply to an op that was committed at this sequence number.
    #[must_use]
    pub fn at(seq: Seq) -> Self {
        Self {
            store_seq: Some(seq),
            ..Self::default()
        }
    }

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
        payload::read("a reply to a write", response)
    }
}

impl BatchReply {
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
        payload::read("a reply to a batch", response)
    }
}

impl WriteReply {
    /// The reply to a batch of one op.
    #[must_use]
    pub fn of(written: &Written) -> Self {
        let seq = written.seqs.first().copied().filter(|seq| seq.0 > 0);
        let reply = Self {
            store_seq: seq,
            deduplicated: written.deduplicated,
            ..Self::default()
        };
        match written.done(0) {
            Done::Leased(lease) => Self {
                token: Some(lease.token),
                expires_at: Some(lease.expires_at_ms),
                holder: lease.holder.clone(),
                ..reply
            },
            Done::Stored(file) => Self {
                hash: Some(file.hash.to_string()),
                ..reply
            },
            Done::NotReleased => Self {
                released: Some(false),
                ..reply
            },
            Done::Applied => reply,
        }
    }

    /// What it says of the op. Of a file it does not say enough to refer to it.
    #[must_use]
    pub fn into_written(self) -> Written {
        let done = match (self.token, self.expires_at, self.released) {
            (Some(token), Some(expires_at_ms), _) => vec![Done::Leased(Lease {
                holder: self.holder,
                token,
                expires_at_ms,
            })],
            (_, _, Some(false)) => vec![Done::NotReleased],
            _ => Vec::new(),
        };
        Written {
            seqs: vec![self.store_seq.unwrap_or_default()],
            done,
            deduplicated: self.deduplicated,
        }
    }
}

impl From<Written> for BatchReply {
    fn from(written: Written) -> Self {
        let done = written.done.iter().map(|done| match done {
            Done::Stored(file) => file.to_value(),
            Done::Leased(lease) => lease.to_value(),
            Done::NotReleased => Value::from(false),
            Done::Applied => Value::null(),
        });
        Self {
            done: done.collect(),
            store_seqs: written.seqs,
            deduplicated: written.deduplicated,
        }
    }
}

impl From<BatchReply> for Written {
    fn from(reply: BatchReply) -> Self {
        let done = reply
            .done
            .iter()
            .map(|done| match (Lease::from_value(done), FileRef::from_value(done)) {
                (Some(lease), _) => Done::Leased(lease),
                (_, Some(file)) => Done::Stored(file),
                _ if done.json() == "false" => Done::NotReleased,
                _ => Done::Applied,
            });
        Self {
            done: done.collect(),
            seqs: reply.store_seqs,
            deduplicated: reply.deduplicated,
        }
    }
}
