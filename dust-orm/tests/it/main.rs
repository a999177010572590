//! The integration tests of dust-orm, one binary.

#![expect(clippy::unwrap_used, reason = "the functions that tests share fail with them")]

mod cast;
mod changeset;
mod codec;
mod hook;
#[cfg(feature = "http")]
mod http;
mod migration;
mod migration_only;
mod query;
mod record;
mod repo;
mod sse;
mod subscribe;
mod transaction;
mod version;
