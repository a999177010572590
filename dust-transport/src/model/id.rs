//! The ids that make writes idempotent.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// An id that makes a batch idempotent: committed at most once per device.
///
/// Between 1 and 255 bytes, without control characters. Cloning is cheap.
///
/// ```
/// use dust_transport::model::OpId;
/// assert_eq!(OpId::new("import-2024-06-01")?.as_str(), "import-2024-06-01");
/// assert!(OpId::new("").is_err());
/// assert_ne!(OpId::random(), OpId::random());
/// # Ok::<(), dust_transport::model::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(Arc<str>);

/// The device that wrote an op: any non-empty string, by convention `dev_…`.
///
/// Between 1 and 255 bytes, without control characters.
///
/// ```
/// use dust_transport::model::DeviceId;
/// assert_eq!(DeviceId::new("dev_laptop")?.to_string(), "dev_laptop");
/// assert!(DeviceId::new("a\0b").is_err());
/// assert!(DeviceId::random().as_str().starts_with("dev_"));
/// # Ok::<(), dust_transport::model::IdError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

/// Why a text is not an [`OpId`] or a [`DeviceId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("an id has 1 to 255 bytes and no control characters")]
pub struct IdError;

impl IdError {
    /// The reason as a stable name.
    #[must_use]
    pub fn code(self) -> &'static str {
        "invalid_id"
    }
}

fn check(id: String) -> Result<String, IdError> {
    if id.is_empty() || id.len() > 255 || id.contains(char::is_control) {
        Err(IdError)
    } else {
        Ok(id)
    }
}

/// 128 bits that no other call is likely to give: two hashes, keyed by the random keys that the standard library draws
/// from the system, of the time, the process and a count.
fn random_hex() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let time = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let half = |half: u8| RandomState::new().hash_one((half, count, time, std::process::id()));
    format!("{:016x}{:016x}", half(0), half(1))
}

impl OpId {
    /// Takes an id of the caller's choice.
    ///
    /// # Errors
    /// [`IdError`] if it is empty, longer than 255 bytes, or has control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
        check(id.into()).map(|id| Self(id.into()))
    }

    /// Makes an id that is unique for all practical purposes: 32 hex digits. It is no secret.
    #[must_use]
    pub fn random() -> Self {
        Self(random_hex().into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl DeviceId {
    /// Takes an id of the caller's choice.
    ///
    /// # Errors
    /// [`IdError`] if it is empty, longer than 255 bytes, or has control characters.
    pub fn new(id: impl Into<String>) -> Result<Self, IdError> {
        check(id.into()).map(Self)
    }

    /// Makes an id that is unique for all practical purposes: `dev_` and 32 hex digits. It is no secret.
    #[must_use]
    pub fn random() -> Self {
        Self(format!("dev_{}", random_hex()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}
