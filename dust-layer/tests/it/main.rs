//! The tests of the crate as its users see it: one binary, since linking is what costs.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helper functions too"
)]

#[path = "../layer/mod.rs"]
mod layer;

mod disk;
mod fault;
mod inventory;
mod kill;
mod model;
mod suite;
mod tuple;
mod value;
