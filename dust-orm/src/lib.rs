//! Typed records on Dust: derive [`DustSchema`] on a struct, and a [`Repo`] inserts, reads, edits with compare-and-swap,
//! batches, lists and watches its records.
//!
//! ```
//! use dust_orm::prelude::*;
//!
//! #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
//! #[dust(prefix = "links")]
//! struct Link {
//!     slug: String,
//!     #[dust(required)]
//!     title: String,
//!     note: Option<String>,
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let repo = Repo::memory();
//! repo.insert(Link { slug: "dust".into(), title: "Dust".into(), note: None }).await?;
//!
//! let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
//! let edit = found.change().put(Link::NOTE, "a reactive store");
//! let link = repo.update(edit).if_match(found.version()).await?;
//! assert_eq!(link.note.as_deref(), Some("a reactive store"));
//! # Ok(())
//! # }
//! ```
//!
//! # What it is not
//! No SQL mapper: there are no joins and no ad-hoc queries. A record lies under one path, `prefix/slug`, and is found by
//! it or by a range of an index; what other clients of the same store write there is seen and kept.
//!
//! # Map
//! * [`Schema`], [`Field`], [`Storage`]: what a record is to the library.
//! * [`Changeset`], [`Errors`]: casting what came from outside, and checking it.
//! * [`Repo`], [`Batch`], [`Subscription`]: records in and out of a store.
//! * [`Indexed`], [`Query`]: records found by their fields. [`Primary`], [`IndexOnly`]: whether they are leaves, too.
//! * [`Repo::transaction`]: many calls that are one. [`Repo::migrate`], [`Migration`], [`Step`]: changes of what is stored.
//! * [`Version`], [`Versioned`], [`Conflict`]: compare-and-swap of whole records.
//! * [`Error`], [`WriteError`], [`BatchError`]: what can go wrong, and what to do then.
//!
//! # Features
//! | feature | adds |
//! |---|---|
//! | `embedded` (default) | `Repo::memory` and `Repo::embedded`: the store in the process |
//! | `http` | `Repo::http`, `Repo::from_env` and `Config`: a store that is reached over HTTP |
//! | `sync` | `Repo::sync`: a store that is followed over a WebSocket, and read from a replica in memory; with it `http` |
//! | `axum` | `sse`: changes of records as server-sent events, for live pages |

/// The README's snippets are tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

#[doc(hidden)]
pub mod __private;
mod changeset;
mod codec;
mod condition;
#[cfg(feature = "http")]
mod config;
mod error;
mod field;
mod index;
mod migration;
pub mod prelude;
mod repo;
mod schema;
#[cfg(feature = "axum")]
pub mod sse;
mod version;

pub use changeset::{Changeset, Errors, FieldChange, FieldError};
pub use codec::CastError;
pub use condition::{Condition, Equals, Ordered, Ranged, Sort};
#[cfg(feature = "http")]
pub use config::Config;
/// Derives [`Schema`] and a handle of each field.
///
/// ```
/// use dust_orm::prelude::*;
///
/// #[derive(Debug, PartialEq, Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "shop/orders", storage = "map")]
/// #[serde(rename_all = "camelCase")]
/// struct Order {
///     #[dust(slug)]
///     number: String,
///     #[dust(required)]
///     customer_name: String,
///     #[dust(default)]
///     express: bool,
/// }
///
/// assert_eq!(Order::PREFIX, ["shop", "orders"]);
/// assert_eq!(Order::CUSTOMER_NAME.name(), "customerName");
/// let form = [("number", "7"), ("customerName", "Ada"), ("express", "true")];
/// let order = Order::changeset(&form).apply().map_err(|changeset| changeset.errors().clone())?;
/// assert_eq!(order, Order { number: "7".into(), customer_name: "Ada".into(), express: true });
/// # Ok::<(), dust_orm::Errors>(())
/// ```
pub use dust_derive::DustSchema;
pub use dust_transport::model::{Event, Op, OpId, Seq, Value};
pub use dust_transport::query::{Cursor, IndexQuery};
pub use dust_transport::transport::{Signal, Start, Transport};
pub use error::{Error, ErrorKind, Outcome, WriteError};
pub use field::{Field, FieldList, IntoField, ReadAs};
pub use index::{IndexDef, Indexed};
pub use migration::{Migrate, Migration, Progress, Step};
pub use repo::{
    Batch, BatchError, BatchWritten, Change, Delete, Edit, Edits, FieldEdit, Insert, Listener, Query, QueryPage,
    QueryStart, RawSubscription, RecordStream, Repo, ResyncReason, SlugOf, SubscribeRecords, Subscription,
    TakesConditions, TakesOrder, Transact, Update,
};
pub use schema::{FieldDef, FieldValue, IndexOnly, Primary, Schema, Slug, Storage};
pub use version::{Conflict, Expected, FieldConflict, Version, Versioned};
