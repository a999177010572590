//! The Dust data model on one tenant of a layer: a store with one sequencer, embedded in the process.
//!
//! ```
//! use dust_store::Embedded;
//! use dust_transport::model::{Op, Path, Seq, Value};
//! use dust_transport::transport::{List, Transport};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), dust_transport::error::Error> {
//! let store = Embedded::memory();
//! let link = Path::parse("links/dust")?;
//! let map = Value::from_json(r#"{"title":"Dust","tags":["db"]}"#)?;
//! let written = store.write(Op::set(link.clone(), map).into()).await?;
//! assert_eq!(written.seqs, [Seq(1)]);
//!
//! let page = store.list(&List::below(link)).await?;
//! assert_eq!(page.items.into_paths().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! It is not a server and knows no tokens, no HTTP and no schemas; it does not decide what a record is.
//!
//! | module | holds |
//! |---|---|
//! | `database`, `any`, `copy` | one engine, many stores |
//! | `embedded` | a store as a [`Transport`](dust_transport::transport::Transport) |
//! | `store`, `list`, `assemble`, `content`, `log`, `snapshot`, `status` | the reads |
//! | `history`, `diff`, `rollback` | states of the past |
//! | `sequencer`, `relay`, `group` | the writes: one group of batches, one transaction, one commit |
//! | `draft`, `leaf`, `blob`, `precondition`, `apply` | what a batch does, seen before it is committed |
//! | `transaction` | many calls that are one: what they read, what they write, their commit |
//! | `index` | indexes of records: definitions, entries, builds, queries |
//! | `page` | how much is read at once |
//! | `dedup`, `retention` | how long op ids are remembered, and ops |
//! | `feed`, `subscription` | the events of what was committed |
//! | `keyspace`, [`codec`] | keys and values, byte by byte |
//! | `error` | failures of the layer as errors of the transport |

mod any;
mod apply;
mod assemble;
mod blob;
mod clock;
#[doc(hidden)]
pub mod codec;
mod content;
mod copy;
mod database;
mod dedup;
mod diff;
mod draft;
mod drive;
mod embedded;
mod error;
mod feed;
mod group;
mod history;
mod index;
mod keyspace;
mod leaf;
mod list;
mod log;
mod name;
mod options;
mod page;
mod precondition;
mod relay;
mod retention;
mod rollback;
mod sequencer;
mod snapshot;
mod status;
mod store;
mod subscription;
mod transaction;

pub use any::AnyDatabase;
pub use clock::Clock;
pub use database::Database;
pub use diff::Change;
/// The engine of a database in a folder, for programs that name the type of one.
pub use dust_layer::Disk;
/// The engine of a database on a `FoundationDB` cluster.
#[cfg(feature = "foundationdb")]
pub use dust_layer::engine::foundationdb;
pub use embedded::Embedded;
pub use index::IndexReport;
pub use list::StoredLeaf;
pub use log::Logged;
pub use name::StoreName;
pub use options::{Options, Retention};
pub use rollback::RolledBack;
pub use snapshot::Snapshot;
pub use status::Status;
