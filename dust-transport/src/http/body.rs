//! The bodies of the wire.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::failure::unreadable;
use crate::error::Error;
use crate::model::{Entry, Path, Seq, Value, ValueKind};

/// `{path, value, type, revision}`; a batch read leaves the path out.
#[derive(Deserialize)]
pub(super) struct EntryBody<'a> {
    path: Option<String>,
    #[serde(borrow)]
    value: &'a RawValue,
    #[serde(rename = "type")]
    kind: String,
    revision: u64,
}

#[derive(Deserialize)]
pub(super) struct PageBody<'a> {
    #[serde(borrow)]
    pub(super) items: Vec<&'a RawValue>,
    pub(super) next_cursor: Option<String>,
}

#[derive(Serialize)]
pub(super) struct PathsBody<'a> {
    pub(super) paths: Vec<&'a str>,
}

#[derive(Deserialize)]
pub(super) struct EntriesBody<'a> {
    #[serde(borrow)]
    pub(super) entries: HashMap<String, EntryBody<'a>>,
}

/// The body of a write by `POST` or `DELETE /entries`.
#[derive(Serialize)]
pub(super) struct WriteBody<'a> {
    pub(super) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) if_match: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) if_absent: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct BatchBody<'a> {
    pub(super) ops: Vec<OpBody<'a>>,
}

#[derive(Serialize)]
pub(super) struct OpBody<'a> {
    pub(super) op: &'static str,
    pub(super) path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) value: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) if_match: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) if_absent: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) if_subtree: Option<SubtreeBody<'a>>,
}

/// What is expected at and below a path: these leaves, or this highest revision.
#[derive(Serialize)]
pub(super) struct SubtreeBody<'a> {
    pub(super) root: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leaves: Option<BTreeMap<&'a str, u64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) revision: Option<u64>,
}

/// What a server tells of itself; more than this does not matter here.
#[derive(Deserialize)]
pub(super) struct CapabilitiesBody {
    pub(super) extensions: Vec<String>,
}

#[derive(Deserialize)]
pub(super) struct WrittenBody {
    pub(super) store_seq: u64,
    #[serde(default)]
    pub(super) deduplicated: bool,
}

#[derive(Deserialize)]
pub(super) struct BatchWrittenBody {
    pub(super) ops: Vec<WrittenBody>,
    #[serde(default)]
    pub(super) deduplicated: bool,
}

/// Reads the body of a success.
pub(super) fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    // A subtree may be nested deeper than the default limit; what is kept of it is its text, which `Value` checks.
    deserializer.disable_recursion_limit();
    T::deserialize(&mut deserializer)
        .and_then(|read| deserializer.end().map(|()| read))
        .map_err(unreadable)
}

/// Writes a body.
pub(super) fn write<T: Serialize>(body: &T) -> Result<String, Error> {
    serde_json::to_string(body).map_err(|error| crate::model::ValueError::Serialize(error).into())
}

impl EntryBody<'_> {
    /// The entry, at the path that it names or else at this one.
    pub(super) fn into_entry(self, at: Option<&Path>) -> Result<Entry, Error> {
        let path = match (self.path, at) {
            (Some(path), _) => path_of(&path)?,
            (None, Some(at)) => at.clone(),
            (None, None) => return Err(unreadable("an entry has no path")),
        };
        let value = Value::from_assembled_json(self.value.get()).map_err(unreadable)?;
        let kind = match ValueKind::from_remote(&self.kind, &value) {
            // Some servers name a decimal by the envelope that it was written in.
            ValueKind::Map if !value.is_map() => value.kind(),
            kind => kind,
        };
        Ok(Entry {
            path,
            value,
            kind,
            revision: Seq(self.revision),
        })
    }
}

/// A path that a server names.
pub(super) fn path_of(text: &str) -> Result<Path, Error> {
    Path::parse(text).map_err(|error| unreadable(format_args!("`{text}`: {error}")))
}
