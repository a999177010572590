//! A transactional keyspace in the manner of `FoundationDB`: ordered byte strings, strictly serializable transactions,
//! tuple keys, directories and tenants, on engines that run in the process.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), dust_layer::Error> {
//! use dust_layer::{Disk, Isolation, Tenant, Transaction, transact};
//! # let temporary = tempfile::tempdir().unwrap();
//! # let folder = temporary.path().join("store.dust");
//!
//! let disk = Disk::open(&folder)?;
//! let tenant = Tenant::create_or_open(&disk, "acme", "reading").await?;
//! let key = tenant.pack(&("visits", "dust"));
//! let (visits, _) = transact(&disk, |tx| {
//!     let key = key.clone();
//!     async move {
//!         let visits = tx.get(&key, Isolation::Serializable).await?.map_or(0, |value| value[0]) + 1;
//!         tx.set(&key, &[visits]);
//!         Ok::<_, dust_layer::Error>(visits)
//!     }
//! })
//! .await?;
//! assert_eq!(visits, 1);
//! # Ok(())
//! # }
//! ```
//!
//! It is not a server, knows neither paths nor JSON nor users, and keeps no old versions beyond what open transactions
//! pin. Directory partitions and native tenants of `FoundationDB` are left out.
//!
//! | module | holds |
//! |---|---|
//! | [`engine`] | the contract [`Engine`] and [`Transaction`], and one pipeline for the engines in the process |
//! | [`engine::memory`] | [`Memory`]: the reference, and a store that nothing outlives |
//! | [`disk`] | [`Disk`]: a durable store in a folder |
//! | [`faults`] | failing writes, failing syncs and power cuts on demand |
//! | [`engine::instrumented`] | [`Instrumented`]: what is asked of an engine, and refused commits on demand |
//! | [`transaction`] | [`transact`]: the retry loop |
//! | [`tuple`](mod@tuple) | ordered encoding of typed keys |
//! | [`directory`] | names for short key prefixes |
//! | [`layer`] | [`Layer`]: what the tenants of an engine share |
//! | [`tenant`] | [`Tenant`]: a part of the keyspace of one's own, [`TenantTransaction`]: a transaction on it |
//! | [`value`] | typed field values in the order of their keys |
//! | [`table`], [`row`] | rows described by data, under numbered fields |
//! | [`index`] | entries that follow records, whatever those are; counters to watch |
//! | [`query`] | conditions that are one range, pages, cursors, streams |
//! | [`migration`] | index builds and other changes, online and resumable; checks and repairs |
//! | [`metrics`], [`clock`] | counters of what is done; time, given from outside |
//! | [`error`] | [`Error`] |
//!
//! | feature | adds |
//! |---|---|
//! | `suite` | the module `suite`: every promise of [`Engine`] as a test for one's own implementation |
//! | `foundationdb` | the module `engine::foundationdb`: an engine on a cluster; needs libclang to compile and libfdb_c to link |

pub mod clock;
pub mod directory;
pub mod engine;
pub mod error;
pub mod index;
pub mod layer;
pub mod metrics;
pub mod migration;
pub mod query;
pub mod row;
#[cfg(feature = "suite")]
pub mod suite;
pub mod table;
pub mod tenant;
pub mod transaction;
pub mod tuple;
pub mod value;

pub use engine::disk::{self, Disk};
pub use engine::faults::{self, Faults};
pub use engine::instrumented::Instrumented;
pub use engine::local::LocalTransaction;
pub use engine::memory::Memory;
pub use engine::{
    Atomic, Committed, Conflict, Direction, Engine, Isolation, Limits, METADATA_VERSION, MappedPairs, Mapper, Pairs,
    PairsIter, RangeRead, Transaction, Version, Watch,
};
pub use error::{DirectoryError, Error, MigrationError, QueryError, RowError, SchemaError};
pub use layer::Layer;
pub use tenant::{Tenant, TenantTransaction};
pub use transaction::{transact, transact_idempotent};
