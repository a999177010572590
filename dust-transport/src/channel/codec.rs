use std::fmt;

use serde::de::{Deserializer as _, Error as _, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::{Frame, FrameError};
use crate::model::Value;
use crate::model::data::{Data, DataSeed};

/// How frames become messages.
///
/// ```
/// use dust_transport::channel::Codec;
/// assert_eq!(Codec::of_version("2.0.7"), Some(Codec::Json));
/// assert_eq!(Codec::of_version("3.0.0"), Some(Codec::MessagePack));
/// assert_eq!(Codec::of_version("3.0.1"), None);
/// assert_eq!(Codec::Json.version(), "2.0.0");
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// An array in a text message, `vsn` 2.0.x.
    #[default]
    Json,
    /// An array in a binary message, `vsn` 3.0.0. Integers beyond 64 bits become floats, since the format has no others.
    MessagePack,
}

/// A message as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// A text message.
    Text(String),
    /// A binary message.
    Binary(Vec<u8>),
}

impl Codec {
    /// The codec that a client asks for by `vsn`; none for what no server takes.
    #[must_use]
    pub fn of_version(vsn: &str) -> Option<Self> {
        let is_number = |part: &str| {
            let plain = part == "0" || !part.starts_with('0');
            plain && !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        match vsn {
            "3.0.0" => Some(Self::MessagePack),
            _ => vsn
                .strip_prefix("2.0.")
                .filter(|patch| is_number(patch))
                .map(|_| Self::Json),
        }
    }

    /// The `vsn` that asks for it.
    #[must_use]
    pub fn version(self) -> &'static str {
        match self {
            Self::Json => "2.0.0",
            Self::MessagePack => "3.0.0",
        }
    }

    /// Writes a frame.
    ///
    /// ```
    /// use dust_transport::channel::{Codec, Encoded, Frame};
    /// use dust_transport::model::Value;
    ///
    /// let frame = Frame::new("phoenix", "heartbeat", Value::map::<&str>([])).reference("1");
    /// let Encoded::Binary(bytes) = Codec::MessagePack.encode(&frame) else { panic!("it is binary") };
    /// assert_eq!(bytes[..3], [0x95, 0xc0, 0xa1]);
    /// assert_eq!(Codec::MessagePack.decode_binary(&bytes, 1000)?, frame);
    /// # Ok::<(), dust_transport::channel::FrameError>(())
    /// ```
    #[must_use]
    pub fn encode(self, frame: &Frame) -> Encoded {
        match self {
            Self::Json => Encoded::Text(text_of(frame)),
            Self::MessagePack => Encoded::Binary(bytes_of(frame)),
        }
    }

    /// Reads a text message: JSON, over either codec.
    ///
    /// # Errors
    /// `TooLarge` above `bytes_max`, `Malformed`, `Payload`.
    pub fn decode_text(self, text: &str, bytes_max: usize) -> Result<Frame, FrameError> {
        check_size(text.len(), bytes_max)?;
        let (Reference(join_ref), Reference(reference), topic, event, payload): (_, _, _, _, &RawValue) =
            serde_json::from_str(text).map_err(malformed)?;
        let head = Frame {
            join_ref,
            reference,
            topic,
            event,
            payload: Value::null(),
        };
        match Value::from_assembled_json(payload.get()) {
            Ok(payload) => Ok(Frame { payload, ..head }),
            Err(error) => Err(FrameError::Payload {
                head: Box::new(head),
                source: error.into(),
            }),
        }
    }

    /// Reads a binary message, which only `MessagePack` has.
    ///
    /// Keys that are integers are taken as their digits, byte strings as the text that they hold.
    ///
    /// # Errors
    /// `TooLarge` above `bytes_max`, `Binary`, `Compact`, `Malformed`, `Payload`.
    pub fn decode_binary(self, bytes: &[u8], bytes_max: usize) -> Result<Frame, FrameError> {
        check_size(bytes.len(), bytes_max)?;
        match (self, bytes.first()) {
            (Self::Json, _) => return Err(FrameError::Binary),
            // The kinds of the compact header: push, reply, broadcast. As `MessagePack` they would be small integers.
            (Self::MessagePack, Some(0..=2)) => return Err(FrameError::Compact),
            (Self::MessagePack, _) => {}
        }
        let mut rest = bytes;
        let mut head = None;
        let mut reader = rmp_serde::Deserializer::new(&mut rest);
        reader.set_max_depth(Value::ASSEMBLED_LEVELS_MAX + 8);
        let read = reader.deserialize_any(FrameVisitor { head: &mut head });
        match (read, head) {
            (Ok(frame), _) if rest.is_empty() => Ok(frame),
            (Ok(_), _) => Err(malformed("bytes follow after the frame")),
            (Err(source), Some(head)) => Err(FrameError::Payload {
                head: Box::new(head),
                source: source.into(),
            }),
            (Err(error), None) => Err(malformed(error)),
        }
    }
}

fn check_size(bytes: usize, bytes_max: usize) -> Result<(), FrameError> {
    if bytes > bytes_max {
        return Err(FrameError::TooLarge { bytes, bytes_max });
    }
    Ok(())
}

fn malformed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> FrameError {
    FrameError::Malformed(source.into())
}

fn text_of(frame: &Frame) -> String {
    let quoted = |text: &str| Value::from(text);
    let optional = |text: &Option<String>| text.as_deref().map_or_else(Value::null, quoted);
    let parts = [
        optional(&frame.join_ref),
        optional(&frame.reference),
        quoted(&frame.topic),
        quoted(&frame.event),
    ];
    let bytes: usize = parts.iter().map(|part| part.json().len() + 1).sum();
    let mut text = String::with_capacity(bytes + frame.payload.json().len() + 2);
    text.push('[');
    for part in &parts {
        text.extend([part.json(), ","]);
    }
    text.extend([frame.payload.json(), "]"]);
    text
}

fn bytes_of(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(frame.payload.json().len() + 64);
    let tuple = (
        &frame.join_ref,
        &frame.reference,
        &frame.topic,
        &frame.event,
        Data(&frame.payload),
    );
    rmp_serde::encode::write(&mut bytes, &tuple)
        .expect("JSON has nothing that MessagePack lacks, and a vector takes it");
    bytes
}

/// Reads the array of a frame, and keeps its head where only the payload is unreadable.
struct FrameVisitor<'a> {
    head: &'a mut Option<Frame>,
}

/// A ref: a string, or null. Some clients count in integers, which are taken by their digits.
struct Reference(Option<String>);

impl<'de> serde::Deserialize<'de> for Reference {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Shape {
            Text(Option<String>),
            Count(u64),
        }

        Ok(Self(match Shape::deserialize(deserializer)? {
            Shape::Text(text) => text,
            Shape::Count(count) => Some(count.to_string()),
        }))
    }
}

impl<'de> Visitor<'de> for FrameVisitor<'_> {
    type Value = Frame;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of five items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Frame, A::Error> {
        let missing = |index| A::Error::invalid_length(index, &"five items");
        let Reference(join_ref) = items.next_element()?.ok_or_else(|| missing(0))?;
        let Reference(reference) = items.next_element()?.ok_or_else(|| missing(1))?;
        let topic = items.next_element()?.ok_or_else(|| missing(2))?;
        let event = items.next_element()?.ok_or_else(|| missing(3))?;
        let head = Frame {
            join_ref,
            reference,
            topic,
            event,
            payload: Value::null(),
        };
        *self.head = Some(head.clone());
        let payload = items.next_element_seed(DataSeed)?;
        *self.head = None;
        let payload = payload.ok_or_else(|| missing(4))?;
        // The rest of a longer array would be left to whoever reads on.
        match items.next_element::<serde::de::IgnoredAny>()? {
            Some(_) => Err(missing(6)),
            None => Ok(Frame { payload, ..head }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::DataSeed;
    use serde::de::DeserializeSeed as _;

    #[test]
    fn a_length_that_is_not_there_costs_nothing() {
        // A list of 2³² − 1 items, a string of 2³² − 1 bytes.
        for claim in [
            &[0xdd, 0xff, 0xff, 0xff, 0xff][..],
            &[0xdb, 0xff, 0xff, 0xff, 0xff, b'a'],
        ] {
            let mut rest = claim;
            assert!(
                DataSeed
                    .deserialize(&mut rmp_serde::Deserializer::new(&mut rest))
                    .is_err()
            );
        }
    }
}
