//! The integration tests of dust-orm, one binary.

mod cast;
mod changeset;
mod codec;
mod record;
mod repo;
mod subscribe;
mod version;
