//! The Dust data model, the [`Transport`](transport::Transport) trait and its conformance suite.
pub mod error;
pub mod model;
#[cfg(feature = "suite")]
pub mod suite;
pub mod transport;
