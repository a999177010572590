//! Indexes and queries: records found by the values of their fields.
//!
//! A record is what lies below `prefix/slug`. An index of a prefix orders its records by the values at some paths below
//! them; a query reads one range of it and the records that the range names.
//!
//! ```
//! use dust_transport::error::Error;
//! use dust_transport::query::{IndexDefinition, IndexQuery, IndexState};
//! use dust_transport::transport::Transport;
//!
//! async fn engineers(store: &dyn Transport) -> Result<usize, Error> {
//!     let index = IndexDefinition::new("users".parse()?, ["department".parse()?, "name".parse()?])?;
//!     while store.ensure_index(&index).await?.state != IndexState::Readable {}
//!     let query = IndexQuery::new(index).equals(["eng".into()]).limit(20);
//!     Ok(store.query(&query).await?.records.len())
//! }
//! # let _ = engineers;
//! ```

mod definition;
mod plan;
mod record;
mod request;

pub use definition::{IndexDefinition, IndexState, IndexStatus};
pub use plan::{Conditions, plan};
pub use record::{RecordAction, RecordChange};
pub use request::{Cursor, FoundRecord, IndexQuery, QueryPage, Range};
