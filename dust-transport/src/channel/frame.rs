use std::error::Error as StdError;

use crate::model::Value;

/// One message of a channel.
///
/// ```
/// use dust_transport::channel::{Frame, HEARTBEAT, PHOENIX};
/// use dust_transport::model::Value;
///
/// let beat = Frame::new(PHOENIX, HEARTBEAT, Value::map::<&str>([])).reference("4");
/// assert_eq!((beat.join_ref, beat.reference.as_deref()), (None, Some("4")));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The `ref` of the join that it belongs to; none in live events and on the topic `phoenix`.
    pub join_ref: Option<String>,
    /// What its reply names, and what a reply answers; none in pushes of the server.
    pub reference: Option<String>,
    /// What it is about.
    pub topic: String,
    /// What it says.
    pub event: String,
    /// With what; up to [`Value::ASSEMBLED_LEVELS_MAX`] levels deep.
    pub payload: Value,
}

/// Why a message is no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The message is longer than what is taken.
    #[error("a frame has at most {bytes_max} bytes, this one has {bytes}")]
    TooLarge {
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// A binary message came where JSON is spoken.
    #[error("a binary frame came over a connection that speaks JSON")]
    Binary,
    /// The message has the compact binary header of Phoenix, which no client of Dust uses.
    #[error("frames with the compact binary header are not supported")]
    Compact,
    /// The message is not an array of join ref, ref, topic, event and payload.
    #[error("a frame is an array of join ref, ref, topic, event and payload")]
    Malformed(#[source] Box<dyn StdError + Send + Sync>),
    /// All but the payload reads well, so that whoever sent it can be told.
    #[error("the payload of `{}` is not readable", head.event)]
    Payload {
        /// The frame, with null for a payload.
        head: Box<Frame>,
        /// What is wrong with the payload.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl Frame {
    /// A frame without refs.
    #[must_use]
    pub fn new(topic: impl Into<String>, event: impl Into<String>, payload: Value) -> Self {
        Self {
            join_ref: None,
            reference: None,
            topic: topic.into(),
            event: event.into(),
            payload,
        }
    }

    /// The same within the join that has this `ref`.
    #[must_use]
    pub fn join_ref(mut self, join_ref: impl Into<String>) -> Self {
        self.join_ref = Some(join_ref.into());
        self
    }

    /// The same with this `ref`.
    #[must_use]
    pub fn reference(mut self, reference: impl Into<String>) -> Self {
        self.reference = Some(reference.into());
        self
    }

    /// The frame that answers this one.
    ///
    /// ```
    /// use dust_transport::channel::{Frame, REPLY, Reply};
    /// use dust_transport::model::Value;
    ///
    /// let beat = Frame::new("phoenix", "heartbeat", Value::map::<&str>([])).reference("4");
    /// let answer = beat.answer(&Reply::Ok(Value::map::<&str>([])));
    /// assert_eq!((answer.event.as_str(), answer.reference), (REPLY, Some("4".to_owned())));
    /// assert_eq!(answer.payload.json(), r#"{"status":"ok","response":{}}"#);
    /// ```
    #[must_use]
    pub fn answer(&self, reply: &super::Reply) -> Self {
        Self {
            join_ref: self.join_ref.clone(),
            reference: self.reference.clone(),
            topic: self.topic.clone(),
            event: super::REPLY.to_owned(),
            payload: reply.to_payload(),
        }
    }
}
