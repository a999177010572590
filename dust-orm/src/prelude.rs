//! What a program that stores records names: `use dust_orm::prelude::*;`.
//!
//! The derives of serde and validator come along. Their expansions name their crates, so a program that derives them has
//! `serde` and `validator` among its dependencies too.

#[cfg(feature = "http")]
pub use crate::Config;
pub use crate::{
    Batch, BatchError, Change, Changeset, DustSchema, Error, ErrorKind, Field, FieldChange, OpId, Repo, Schema, Seq,
    Storage, Version, Versioned, WriteError,
};
pub use serde::{Deserialize, Serialize};
pub use validator::Validate;
