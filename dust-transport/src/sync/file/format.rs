//! What stands in the file: four tables of texts.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | a name below | what the file is, and how far it is |
//! | `leaves` | a rendered path | revision, kind and JSON text of a leaf; a revision that is a snapshot's begins with `~` |
//! | `writes` | a number, in the order of the calls | a write that is not settled: how it is seen, its event, its payload |
//! | `sent` | the number of a write | nothing; the write may have been sent |

use redb::TableDefinition;

use super::super::replica::Leaf;
use crate::channel::{BATCH, BatchRequest, PUT_FILE, WRITE, WriteRequest};
use crate::error::Error;
use crate::model::{Batch, IdError, OpId, Path, Seq, Value};

pub(super) const META: TableDefinition<'_, &str, &str> = TableDefinition::new("meta");
pub(super) const LEAVES: TableDefinition<'_, &str, &str> = TableDefinition::new("leaves");
pub(super) const WRITES: TableDefinition<'_, u64, &str> = TableDefinition::new("writes");
pub(super) const SENT: TableDefinition<'_, u64, ()> = TableDefinition::new("sent");

/// The version of all this, under [`key::FORMAT`].
pub(super) const VERSION: &str = "1";

/// The names in the table `meta`.
pub(super) mod key {
    /// The version of the format.
    pub(in super::super) const FORMAT: &str = "format";
    /// The address of the server.
    pub(in super::super) const SERVER: &str = "server";
    /// The name of the store.
    pub(in super::super) const STORE: &str = "store";
    /// The device that the writes are of.
    pub(in super::super) const DEVICE: &str = "device";
    /// The last op that the leaves have.
    pub(in super::super) const APPLIED: &str = "applied";
    /// `yes` if the leaves have been a whole store.
    pub(in super::super) const WHOLE: &str = "whole";
    /// The UUID of the store, if the server has told it.
    pub(in super::super) const STORE_ID: &str = "store_id";
    /// The extensions of the server at the last join, separated by commas.
    pub(in super::super) const EXTENSIONS: &str = "extensions";
}

const SEEN: &str = "seen";
const UNSEEN: &str = "unseen";

/// A write as the file keeps it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Row {
    /// The event under which it travels.
    pub(in super::super) event: &'static str,
    pub(in super::super) payload: Value,
    /// Reads see it before it is committed.
    pub(in super::super) is_seen: bool,
}

pub(super) fn leaf_to_text(leaf: &Leaf) -> String {
    let mark = if leaf.exact { "" } else { "~" };
    format!("{mark}{} {} {}", leaf.revision, leaf.kind, leaf.value.json())
}

/// None for what is no leaf.
pub(super) fn leaf_of(path: &str, text: &str) -> Option<(Path, Leaf)> {
    let exact = !text.starts_with('~');
    let (revision, text) = text.trim_start_matches('~').split_once(' ')?;
    let (kind, json) = text.split_once(' ')?;
    let leaf = Leaf {
        value: value_of(json)?,
        kind: kind.parse().ok()?,
        revision: Seq(revision.parse().ok()?),
        exact,
    };
    Some((Path::parse(path).ok()?, leaf))
}

fn value_of(json: &str) -> Option<Value> {
    Value::from_assembled_json(json).ok()
}

impl Row {
    pub(super) fn to_text(&self) -> String {
        let seen = if self.is_seen { SEEN } else { UNSEEN };
        format!("{seen} {} {}", self.event, self.payload.json())
    }

    /// None for what is no write.
    pub(super) fn of(text: &str) -> Option<Self> {
        let (seen, text) = text.split_once(' ')?;
        let (event, json) = text.split_once(' ')?;
        Some(Self {
            event: [WRITE, PUT_FILE, BATCH].into_iter().find(|known| *known == event)?,
            payload: value_of(json)?,
            is_seen: match seen {
                SEEN => true,
                UNSEEN => false,
                _ => return None,
            },
        })
    }

    /// The op id that it travels under, and what it writes.
    pub(in super::super) fn batch(&self) -> Result<(OpId, Batch), Error> {
        let batch = if self.event == BATCH {
            BatchRequest::from_payload(&self.payload)?.batch()?
        } else {
            let request = WriteRequest::from_payload(&self.payload)?;
            Batch {
                ops: vec![request.op()?],
                id: request.op_id()?,
            }
        };
        let id = batch.id.clone().ok_or(IdError)?;
        Ok((id, batch))
    }
}
