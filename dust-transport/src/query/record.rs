//! Records that live only in their indexes.

use serde::{Deserialize, Serialize};

use crate::model::{Path, Value};

/// A change of a record that lives only in its indexes (`write_primary = false`).
///
/// ```
/// use dust_transport::model::Value;
/// use dust_transport::query::RecordChange;
///
/// let event = Value::from_json(r#"{"day":"2026-11-22","kind":"login"}"#)?;
/// let put = RecordChange::put("events/7".parse()?, event);
/// let json = r#"{"op":"put","path":"events/7","value":{"day":"2026-11-22","kind":"login"}}"#;
/// assert_eq!(Value::from_serialize(&put)?.json(), json);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordChange {
    /// What is done.
    #[serde(rename = "op")]
    pub action: RecordAction,
    /// `prefix/slug`.
    pub path: Path,
    /// The record, a map; of one that is deleted, at least the fields of its indexes.
    pub value: Value,
}

/// What a [`RecordChange`] does.
///
/// ```
/// use dust_transport::query::RecordAction;
/// assert_ne!(RecordAction::Put, RecordAction::Delete);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordAction {
    /// The record is there, in place of the one with its slug and its values in an index, if there is one.
    Put,
    /// The record with its slug and its values in an index is gone; one that is not there is deleted just as well.
    Delete,
}

impl RecordChange {
    /// Puts a record.
    #[must_use]
    pub fn put(path: Path, value: Value) -> Self {
        Self {
            action: RecordAction::Put,
            path,
            value,
        }
    }

    /// Deletes a record.
    #[must_use]
    pub fn delete(path: Path, value: Value) -> Self {
        Self {
            action: RecordAction::Delete,
            path,
            value,
        }
    }
}
