//! dust-layer

pub mod directory;
pub mod engine;
pub mod error;
#[cfg(feature = "suite")]
pub mod suite;
pub mod tenant;
pub mod transaction;
pub mod tuple;

pub use engine::disk::{self, Disk};
pub use engine::faults::{self, Faults};
pub use engine::local::LocalTransaction;
pub use engine::memory::Memory;
pub use engine::{
    Atomic, Committed, Conflict, Direction, Engine, Isolation, Limits, Pairs, PairsIter, RangeRead, Transaction,
    Version, Watch,
};
pub use error::{DirectoryError, Error};
pub use tenant::Tenant;
pub use transaction::{transact, transact_idempotent};
