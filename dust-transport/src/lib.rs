//! The Dust data model, the [`Transport`](transport::Transport) trait and its conformance suite.
//!
//! Dust is a reactive key-value store: JSON leaves at paths, one sequence of ops per store, live events. This crate names
//! what all of its parts speak about, and says what a store promises, whatever it is reached through.
//!
//! ```
//! use dust_transport::error::Error;
//! use dust_transport::model::{Batch, Op, Path, Precondition, Value};
//! use dust_transport::transport::{List, Transport};
//!
//! async fn rename(store: &dyn Transport, link: &str, title: &str) -> Result<(), Error> {
//!     let at = Path::new(["links", link, "title"])?;
//!     let Some(found) = store.get(&at).await? else { return Ok(()) };
//!     let op = Op::set(at, title).when(Precondition::Match(found.revision));
//!     store.write(Batch::one(op)).await?;
//!     let fields = store.list(&List::below(Path::new(["links", link])?)).await?;
//!     assert!(!fields.items.is_empty());
//!     Ok(())
//! }
//! # let _ = (rename, Value::null());
//! ```
//!
//! It is no store, and it knows nothing of records: `dust-store` implements the trait in the process, `dust-orm` stands on
//! it.
//!
//! | module | holds |
//! |---|---|
//! | [`model`] | paths, patterns, values, entries, ops, events: types without I/O |
//! | [`transport`] | the trait, and what its calls take and give |
//! | [`query`] | indexes of records, and queries of them |
//! | [`error`] | one error type, its kinds and codes |
//! | `channel` | the frames of a store's channel, and their payloads |
//! | `http` | `Http`: a store that is reached over HTTP |
//! | `sync` | `Sync`: a store that is followed over a WebSocket, and read from a replica in memory |
//! | `suite` | the promises of the trait as functions, for implementations to run in their tests |
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `channel` | the module of that name, and with it rmp-serde |
//! | `http` | the module of that name, and with it reqwest, rustls and tokio |
//! | `suite` | the module of that name, and with it tokio |
//! | `sync` | the module of that name, and with it `channel`, `http` and tokio-tungstenite |
//!
//! By default there is neither.
#[cfg(feature = "channel")]
pub mod channel;
pub mod error;
#[cfg(feature = "http")]
pub mod http;
pub mod model;
pub mod query;
#[cfg(feature = "suite")]
pub mod suite;
#[cfg(feature = "sync")]
pub mod sync;
pub mod transport;
