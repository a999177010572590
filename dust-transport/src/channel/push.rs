use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::payload::{self, PayloadError};
use crate::model::{DeviceId, Entry, Envelope, Event, OpId, OpKind, Path, Seq, Value, ValueKind};

/// The payload of [`SNAPSHOT`](super::SNAPSHOT): every leaf, ascending by path.
///
/// ```
/// use dust_transport::channel::Snapshot;
/// use dust_transport::model::{Value, ValueKind};
///
/// // As the hosted server sends it: values in the form in which it stores them.
/// let text = r#"{"snapshot_seq":9,"entries":{"n":{"value":{"_scalar":1},"type":"counter"}}}"#;
/// let snapshot = Snapshot::from_payload(&Value::from_json(text)?)?;
/// assert_eq!((&snapshot.entries[0].value, snapshot.entries[0].kind), (&Value::from(1), ValueKind::Counter));
/// assert!(!snapshot.has_revisions);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The sequence number that it stands for.
    pub seq: Seq,
    /// The leaves.
    pub entries: Vec<Entry>,
    /// The server told the revision of each leaf, which the hosted one does not; it is then the number of the snapshot.
    pub has_revisions: bool,
}

/// The payload of [`CATCH_UP_COMPLETE`](super::CATCH_UP_COMPLETE).
///
/// ```
/// use dust_transport::channel::CatchUpComplete;
/// use dust_transport::model::Seq;
///
/// let done = CatchUpComplete { through_seq: Seq(9).0.into() };
/// assert_eq!(done.to_payload().json(), r#"{"through_seq":9}"#);
/// assert_eq!(CatchUpComplete::from_payload(&done.to_payload())?.through(), Some(Seq(9)));
/// # Ok::<(), dust_transport::channel::PayloadError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CatchUpComplete {
    /// The last sequence number that was sent, or else what the join gave, as it gave it.
    pub through_seq: Value,
}

#[derive(Serialize)]
struct EventBody<'a> {
    store_seq: u64,
    op: &'a str,
    path: &'a str,
    path_segments: Vec<std::borrow::Cow<'a, str>>,
    value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<&'a Value>,
    device_id: &'a str,
    client_op_id: Option<&'a str>,
}

#[derive(Deserialize)]
struct EventRead {
    store_seq: u64,
    op: String,
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    path_segments: Option<Vec<String>>,
    #[serde(default = "Value::null")]
    value: Value,
    #[serde(default)]
    written: Option<Value>,
    #[serde(default = "Value::null")]
    device_id: Value,
    #[serde(default = "Value::null")]
    client_op_id: Value,
}

/// The device of an event that does not name one.
const DEVICE_UNKNOWN: &str = "unknown";

/// The payload of [`EVENT`](super::EVENT).
///
/// ```
/// use dust_transport::channel::{event_of, event_payload};
/// use dust_transport::model::{DeviceId, Event, OpId, OpKind, Seq};
///
/// let event = Event {
///     seq: Seq(3),
///     kind: OpKind::Set,
///     path: "links/dust/title".parse()?,
///     value: Some("Dust".into()),
///     written: None,
///     device: DeviceId::new("dev_1")?,
///     op_id: Some(OpId::new("op_1")?),
/// };
/// assert_eq!(event_of(&event_payload(&event))?, event);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn event_payload(event: &Event) -> Value {
    payload::write(&EventBody {
        store_seq: event.seq.0,
        op: event.kind.as_str(),
        path: event.path.as_str(),
        path_segments: event.path.segments().collect(),
        value: event.value.as_ref(),
        written: event.written.as_ref(),
        device_id: event.device.as_str(),
        client_op_id: event.op_id.as_ref().map(OpId::as_str),
    })
}

/// Reads the payload of an event.
///
/// Decimals and date-times are told plain, also by a server that does not do so itself. What a server tells of a `delete` beside its path is dropped. An op id or a device that is no valid id counts as none.
///
/// # Errors
/// [`PayloadError`] for what is no event, or one of an op that is not known here.
pub fn event_of(payload: &Value) -> Result<Event, PayloadError> {
    const WHAT: &str = "an event";
    let read: EventRead = payload::read(WHAT, payload)?;
    let kind: OpKind = read.op.parse().map_err(|error| PayloadError::new(WHAT, error))?;
    let path = match (&read.path_segments, &read.path) {
        (Some(segments), _) => Path::new(segments),
        (None, path) => Path::parse(path.as_deref().unwrap_or_default()),
    };
    let device = read.device_id.str().and_then(|id| DeviceId::new(id).ok());
    let device = device.map_or_else(|| DeviceId::new(DEVICE_UNKNOWN), Ok);
    let (value, written) = match (kind, read.written) {
        (OpKind::Delete | OpKind::Release, _) => (None, None),
        (OpKind::Set | OpKind::Merge, None) => {
            let (value, written) = read.value.into_told();
            (Some(value), written)
        }
        (_, written) => (Some(read.value), written),
    };
    Ok(Event {
        seq: Seq(read.store_seq),
        kind,
        path: path.map_err(|error| PayloadError::new(WHAT, error))?,
        value,
        written,
        device: device.map_err(|error| PayloadError::new(WHAT, error))?,
        op_id: read.client_op_id.str().and_then(|id| OpId::new(id).ok()),
    })
}

#[derive(Serialize)]
struct LeafBody<'a> {
    value: &'a Value,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<Seq>,
}

#[derive(Serialize)]
struct SnapshotBody<'a> {
    snapshot_seq: u64,
    entries: Entries<'a>,
}

struct Entries<'a>(&'a Snapshot);

impl Serialize for Entries<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.entries.iter().map(|entry| {
            let body = LeafBody {
                value: &entry.value,
                kind: entry.kind.as_str(),
                revision: self.0.has_revisions.then_some(entry.revision),
            };
            (entry.path.as_str(), body)
        }))
    }
}

#[derive(Deserialize)]
struct LeafRead {
    value: Value,
    #[serde(rename = "type")]
    kind: String,
    revision: Option<Seq>,
}

#[derive(Deserialize)]
struct SnapshotRead {
    snapshot_seq: u64,
    entries: BTreeMap<String, LeafRead>,
}

impl Snapshot {
    /// The payload, with plain values.
    #[must_use]
    pub fn to_payload(&self) -> Value {
        payload::write(&SnapshotBody {
            snapshot_seq: self.seq.0,
            entries: Entries(self),
        })
    }

    /// Reads a payload; values in the storage form of the hosted server are unwrapped.
    ///
    /// # Errors
    /// [`PayloadError`] for what is none.
    pub fn from_payload(payload: &Value) -> Result<Self, PayloadError> {
        const WHAT: &str = "a snapshot";
        let read: SnapshotRead = payload::read(WHAT, payload)?;
        let seq = Seq(read.snapshot_seq);
        let has_revisions = read.entries.values().all(|leaf| leaf.revision.is_some());
        let leaves = read.entries.into_iter().map(|(path, leaf)| {
            let path = Path::parse(&path).map_err(|error| PayloadError::new(WHAT, error))?;
            let (value, shown) = unwrapped(leaf.value);
            let kind = ValueKind::from_remote(&leaf.kind, &value);
            Ok(Entry {
                path,
                // Some servers name a decimal by the envelope that it was written in.
                kind: if kind == ValueKind::Map { shown } else { kind },
                value,
                revision: leaf.revision.unwrap_or(seq),
            })
        });
        Ok(Self {
            seq,
            entries: leaves.collect::<Result<_, _>>()?,
            has_revisions,
        })
    }
}

/// A stored value without the envelope that it is stored in, and the kind that the envelope shows.
fn unwrapped(value: Value) -> (Value, ValueKind) {
    let scalar = match value.entries().as_deref() {
        Some([(key, scalar)]) if key == "_scalar" => Some(scalar.clone()),
        _ => None,
    };
    if let Some(scalar) = scalar {
        let kind = scalar.kind();
        return (scalar, kind);
    }
    match value.envelope() {
        Some(Envelope::Decimal(text)) => (Value::from(text), ValueKind::Decimal),
        Some(Envelope::Datetime(text)) => (Value::from(text), ValueKind::Datetime),
        _ => {
            let kind = value.kind();
            (value, kind)
        }
    }
}

impl CatchUpComplete {
    /// The payload.
    #[must_use]
    pub fn to_payload(&self) -> Value {
        payload::write(self)
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for what is none.
    pub fn from_payload(payload: &Value) -> Result<Self, PayloadError> {
        payload::read("the end of a catch-up", payload)
    }

    /// The sequence number, if it is one.
    #[must_use]
    pub fn through(&self) -> Option<Seq> {
        self.through_seq.to().ok().map(Seq)
    }
}
