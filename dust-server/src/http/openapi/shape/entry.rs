//! What is read and written.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::ToSchema;

use super::Kind;

/// A leaf, or the map that the leaves below a path make.
#[derive(ToSchema)]
#[schema(example = json!({ "path": "links/dust", "value": { "title": "Dust" }, "type": "map", "revision": 7 }))]
pub(in crate::http) struct Entry {
    path: String,
    value: Value,
    #[schema(rename = "type")]
    kind: Kind,
    /// The number of the op that wrote it; of a map, the highest of its leaves.
    revision: u64,
}

/// What a list returns of each leaf.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::http) enum Select {
    Entries,
    Keys,
    Prefixes,
}

/// The order of a list.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::http) enum Order {
    Asc,
    Desc,
}

/// A page of leaves.
#[derive(ToSchema)]
#[schema(example = json!({ "items": [{ "path": "links/dust/title", "value": "Dust", "type": "string", "revision": 7 }], "next_cursor": null }))]
pub(in crate::http) struct Page {
    items: Vec<Item>,
    /// `after` for the next page; null when there is none.
    #[schema(required)]
    next_cursor: Option<String>,
}

/// By `select`: an entry, or a path.
#[derive(ToSchema)]
#[serde(untagged)]
pub(in crate::http) enum Item {
    Entry(Entry),
    Path(String),
}

/// A committed write.
#[derive(ToSchema)]
#[schema(example = json!({ "revision": 7, "store_seq": 7 }))]
pub(in crate::http) struct Written {
    revision: u64,
    store_seq: u64,
    /// There, and true, if the request id had been committed before; nothing was written now.
    #[schema(nullable = false)]
    deduplicated: Option<bool>,
}

/// A write of the path that it names.
#[derive(ToSchema)]
#[schema(example = json!({ "path": "links/dust/title", "value": "Dust", "if_absent": true }))]
pub(in crate::http) struct PostedWrite {
    path: String,
    value: Value,
    /// The revision that the leaf must have.
    #[schema(nullable = false, minimum = 1)]
    if_match: Option<u64>,
    /// Whether no leaf may be there.
    #[schema(nullable = false)]
    if_absent: Option<bool>,
}

/// A deletion of the path that it names.
#[derive(ToSchema)]
#[schema(example = json!({ "path": "links/dust" }))]
pub(in crate::http) struct PostedDelete {
    path: String,
    /// The revision that the leaf must have.
    #[schema(nullable = false, minimum = 1)]
    if_match: Option<u64>,
}

/// Which leaves to read.
#[derive(ToSchema)]
#[schema(example = json!({ "paths": ["links/dust/title", "links/dust/note"] }))]
pub(in crate::http) struct Paths {
    #[schema(max_items = 1000)]
    paths: Vec<String>,
}

/// A leaf, by its path.
#[derive(ToSchema)]
pub(in crate::http) struct Leaf {
    value: Value,
    #[schema(rename = "type")]
    kind: Kind,
    revision: u64,
}

/// The leaves that were found, and the paths without one.
#[derive(ToSchema)]
#[schema(example = json!({ "entries": { "links/dust/title": { "value": "Dust", "type": "string", "revision": 7 } }, "missing": ["links/dust/note"] }))]
pub(in crate::http) struct Leaves {
    entries: BTreeMap<String, Leaf>,
    missing: Vec<String>,
}

/// What the leaves at and below a path must be; by the extension `subtree_preconditions`.
#[derive(ToSchema)]
#[schema(example = json!({ "root": "links/dust", "leaves": { "links/dust/title": 7 } }))]
pub(in crate::http) struct Subtree {
    /// The path; without it, that of the op.
    #[schema(nullable = false)]
    root: Option<String>,
    /// These and no others, each at this revision.
    #[schema(nullable = false)]
    leaves: Option<BTreeMap<String, u64>>,
    /// Instead of `leaves`: the highest revision, 0 if there is none.
    #[schema(nullable = false)]
    revision: Option<u64>,
}

/// The ops of a batch.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::http) enum BatchOpName {
    Set,
    Delete,
    /// By the extension `value_ops`, as those below.
    Merge,
    Increment,
    Add,
    Remove,
}

/// An op of a batch.
#[derive(ToSchema)]
pub(in crate::http) struct BatchOp {
    op: BatchOpName,
    path: String,
    /// Of every op but `delete`.
    value: Option<Value>,
    /// The revision that the leaf must have.
    #[schema(nullable = false, minimum = 1)]
    if_match: Option<u64>,
    /// Whether no leaf may be there; by the extension `absent_in_batches`.
    #[schema(nullable = false)]
    if_absent: Option<bool>,
    #[schema(nullable = false)]
    if_subtree: Option<Subtree>,
}

/// Ops that are committed together or not at all.
#[derive(ToSchema)]
#[schema(example = json!({ "ops": [{ "op": "set", "path": "links/dust/title", "value": "Dust", "if_match": 7 }, { "op": "delete", "path": "links/old" }] }))]
pub(in crate::http) struct BatchWrite {
    #[schema(min_items = 1, max_items = 1000)]
    ops: Vec<BatchOp>,
}

/// A committed op of a batch.
#[derive(ToSchema)]
pub(in crate::http) struct BatchWritten {
    path: String,
    revision: u64,
    store_seq: u64,
}

/// A committed batch.
#[derive(ToSchema)]
#[schema(example = json!({ "ops": [{ "path": "links/dust/title", "revision": 8, "store_seq": 8 }], "store_seq": 8 }))]
pub(in crate::http) struct BatchAnswer {
    ops: Vec<BatchWritten>,
    /// The number of the last op.
    store_seq: u64,
    /// There, and true, if the request id had been committed before; nothing was written now.
    #[schema(nullable = false)]
    deduplicated: Option<bool>,
}
