//! Databases and stores whose engine is chosen when the program runs.

mod database;
mod store;

pub use database::AnyDatabase;
pub(crate) use store::AnyStore;
