//! The tests of the crate as its users see it: one binary, since linking is what costs.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helper functions too"
)]

mod busy;
mod collection;
mod count;
mod directory;
mod disk;
mod fault;
mod fixture;
mod index;
mod inventory;
mod kill;
mod metrics;
mod migration;
mod model;
mod once;
mod query;
mod query_model;
mod race;
mod row;
mod suite;
mod tenant;
mod tuple;
mod value;
mod walk;
mod walks;
mod watch;
