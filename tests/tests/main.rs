//! Tests that look at the workspace from outside.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without fails the test")]

mod architecture;
#[path = "../hygiene/mod.rs"]
mod hygiene;
mod ui;
