//! Indexes of records: their definitions, their entries, and the queries that read them.
//!
//! The definitions of a store are one value, which every group reads. An entry is written and removed in the transaction of
//! the leaves that it follows, from the values of the fields before and after a batch ([`maintain`]), so it does not matter
//! which ops the batch has and who sent it. All that changes definitions or builds an index goes through the sequencer as
//! batches do: a build never meets a writer half way.

mod build;
mod definition;
mod entry;
mod field;
mod maintain;
mod only;
mod piece;
mod query;
mod record;
mod unique;
mod value;
mod verify;

pub(crate) use build::{Company, IndexWork, Indexed};
pub(crate) use definition::{Cache, Indexes, undecodable};
pub(crate) use only::{OnlyWork, write as write_only};
pub use verify::IndexReport;
