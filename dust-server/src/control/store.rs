//! Stores as the server knows them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::Timestamp;

/// Whether a store can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreStatus {
    /// It can.
    Active,
    /// It is kept, but nobody reaches it.
    Archived,
}

/// A store of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Store {
    /// Its id, a UUID of version 7.
    pub id: Uuid,
    /// The organisation.
    pub org: String,
    /// The name within the organisation.
    pub name: String,
    /// Whether it has been archived; an end that has passed archives it, too.
    pub status: StoreStatus,
    /// When it was created.
    pub inserted_at: Timestamp,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
}

impl Store {
    pub(super) fn new(org: &str, name: &str, now: Timestamp, ttl_seconds: Option<u64>) -> Self {
        Self {
            id: Uuid::now_v7(),
            org: org.to_owned(),
            name: name.to_owned(),
            status: StoreStatus::Active,
            inserted_at: now,
            expires_at: ttl_seconds.map(|seconds| now.plus_seconds(seconds)),
        }
    }

    /// `org/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.org, self.name)
    }

    /// Whether it can be reached at this time.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        self.status == StoreStatus::Active && self.expires_at.is_none_or(|end| now < end)
    }
}
