//! A committed op on its way to all who have joined its store.

use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use dust_transport::channel::{Codec, EVENT, Frame, event_payload};
use dust_transport::model::{Event, Value};

use super::wire::encoded;

/// By which of its topics a store was joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// `store:<org>/<name>`.
    Name,
    /// `store:<uuid>`.
    Id,
}

/// The topics of a store.
#[derive(Debug)]
pub(super) struct Topics {
    pub(super) name: String,
    pub(super) id: String,
}

impl Topics {
    fn of(&self, form: Form) -> &str {
        match form {
            Form::Name => &self.name,
            Form::Id => &self.id,
        }
    }
}

/// A committed op, and its frame in every form that has been asked for: each is written once, and shared by all who get it.
#[derive(Debug)]
pub(super) struct Published {
    event: Arc<Event>,
    payload: OnceLock<Value>,
    frames: [OnceLock<Bytes>; 4],
}

impl Published {
    pub(super) fn new(event: Arc<Event>) -> Self {
        Self {
            event,
            payload: OnceLock::new(),
            frames: Default::default(),
        }
    }

    pub(super) fn seq(&self) -> u64 {
        self.event.seq.0
    }

    /// About how many bytes it holds, once it has been written in the usual form.
    pub(super) fn bytes(&self) -> usize {
        const REST: usize = 400;
        let value = self.event.value.as_ref().map_or(0, |value| value.json().len());
        REST + 3 * value + 4 * self.event.path.as_str().len()
    }

    /// What the event says.
    pub(super) fn payload(&self) -> Value {
        self.payload.get_or_init(|| event_payload(&self.event)).clone()
    }

    /// The live event, as those get it who joined by this form.
    pub(super) fn frame(&self, codec: Codec, form: Form, topics: &Topics) -> Bytes {
        let [name_json, name_packed, id_json, id_packed] = &self.frames;
        let frame = match (form, codec) {
            (Form::Name, Codec::Json) => name_json,
            (Form::Name, Codec::MessagePack) => name_packed,
            (Form::Id, Codec::Json) => id_json,
            (Form::Id, Codec::MessagePack) => id_packed,
        };
        let bytes = frame.get_or_init(|| encoded(codec, &Frame::new(topics.of(form), EVENT, self.payload())));
        bytes.clone()
    }
}
