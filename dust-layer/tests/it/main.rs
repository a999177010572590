//! The tests of the crate as its users see it: one binary, since linking is what costs.

mod directory;
mod disk;
mod fault;
mod model;
mod suite;
mod tuple;
