//! What payloads are written and read by.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind};
use crate::model::Value;

/// Why a payload does not read as what its event says.
#[derive(Debug, thiserror::Error)]
#[error("the payload is not that of {what}")]
pub struct PayloadError {
    what: &'static str,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PayloadError {
    pub(super) fn new(what: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            what,
            source: Some(source.into()),
        }
    }
}

/// `InvalidParams` with `invalid_payload`.
impl From<PayloadError> for Error {
    fn from(error: PayloadError) -> Self {
        Self::new(ErrorKind::InvalidParams, "invalid_payload", error.to_string()).with_source(error)
    }
}

/// Writes a payload of one of the types of this module, whose values are checked and whose keys are names.
pub(super) fn write<T: Serialize>(payload: &T) -> Value {
    serde_json::to_string(payload).map_or_else(|_| Value::null(), |text| Value::from_trusted_json(text.into()))
}

/// Reads a payload.
pub(super) fn read<T: DeserializeOwned>(what: &'static str, payload: &Value) -> Result<T, PayloadError> {
    payload.to().map_err(|source| PayloadError::new(what, source))
}
