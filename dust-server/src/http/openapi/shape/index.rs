//! Indexes and queries.

use serde_json::Value;
use utoipa::ToSchema;

use super::{Entry, Order};

/// Which records, by which fields.
#[derive(ToSchema)]
#[schema(example = json!({ "prefix": "users", "fields": ["department", "name"] }))]
pub(in crate::http) struct IndexDefinition {
    /// What the records lie below.
    prefix: String,
    /// The paths of the fields below a record, in the order of the index; each once.
    #[schema(min_items = 1, max_items = 8)]
    fields: Vec<String>,
    /// False for an index whose entries hold the records, so that a query reads nothing else.
    #[schema(nullable = false)]
    mapped: Option<bool>,
    /// Whether no two records have the same values.
    #[schema(nullable = false)]
    unique: Option<bool>,
    /// False for an index that is all there is of its records; then `mapped` is false.
    #[schema(nullable = false)]
    write_primary: Option<bool>,
}

/// An index, and how far it has come.
#[derive(ToSchema)]
#[schema(example = json!({ "prefix": "users", "fields": ["department"], "state": "building", "records": 1000 }))]
pub(in crate::http) struct Index {
    prefix: String,
    fields: Vec<String>,
    /// False for an index whose entries hold the records, so that a query reads nothing else.
    #[schema(nullable = false)]
    mapped: Option<bool>,
    /// Whether no two records have the same values.
    #[schema(nullable = false)]
    unique: Option<bool>,
    /// False for an index that is all there is of its records; then `mapped` is false.
    #[schema(nullable = false)]
    write_primary: Option<bool>,
    state: IndexState,
    /// Of an index that is being built: how many of the records that were there before have been added.
    #[schema(nullable = false)]
    records: Option<u64>,
}

/// Whether an index answers queries.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::http) enum IndexState {
    Building,
    Readable,
}

/// The indexes of a store.
#[derive(ToSchema)]
pub(in crate::http) struct Indexes {
    indexes: Vec<Index>,
}

/// Whether there was such an index.
#[derive(ToSchema)]
pub(in crate::http) struct DroppedIndex {
    dropped: bool,
}

/// A range of an index.
#[derive(ToSchema)]
#[schema(example = json!({ "prefix": "users", "fields": ["department", "age"], "equals": ["eng"], "range": { "gte": 18 }, "limit": 20 }))]
pub(in crate::http) struct Query {
    prefix: String,
    #[schema(min_items = 1, max_items = 8)]
    fields: Vec<String>,
    /// The values of the first fields: null, booleans, numbers, strings.
    #[schema(nullable = false)]
    equals: Option<Vec<Value>>,
    /// The bounds of the field after those.
    #[schema(nullable = false)]
    range: Option<QueryRange>,
    #[schema(nullable = false)]
    order: Option<Order>,
    /// The most records of the page, 50 by default.
    #[schema(nullable = false, minimum = 1, maximum = 1000)]
    limit: Option<u64>,
    /// `next` of the page before.
    #[schema(nullable = false)]
    after: Option<String>,
}

/// Bounds of one kind of value.
#[derive(ToSchema)]
pub(in crate::http) struct QueryRange {
    gt: Option<Value>,
    gte: Option<Value>,
    lt: Option<Value>,
    lte: Option<Value>,
}

/// A page of records.
#[derive(ToSchema)]
#[schema(example = json!({ "records": [{ "path": "users/ada", "entries": [{ "path": "users/ada/name", "value": "Ada", "type": "string", "revision": 7 }] }], "next": null }))]
pub(in crate::http) struct QueryPage {
    records: Vec<QueriedRecord>,
    /// `after` for the next page; null when there is none.
    #[schema(required)]
    next: Option<String>,
}

/// A record: what lies below its path.
#[derive(ToSchema)]
pub(in crate::http) struct QueriedRecord {
    path: String,
    entries: Vec<Entry>,
}

/// Changes of records that live only in their indexes.
#[derive(ToSchema)]
#[schema(example = json!({ "changes": [{ "op": "put", "path": "events/7", "value": { "day": "2026-11-22", "kind": "login" } }] }))]
pub(in crate::http) struct RecordChanges {
    #[schema(min_items = 1, max_items = 1000)]
    changes: Vec<RecordChange>,
}

/// A change of a record.
#[derive(ToSchema)]
pub(in crate::http) struct RecordChange {
    op: RecordOp,
    /// `prefix/slug`.
    path: String,
    /// The record; of one that is deleted, at least the fields of its indexes.
    #[schema(value_type = Object)]
    value: Value,
}

/// What is done to a record.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in crate::http) enum RecordOp {
    Put,
    Delete,
}

/// How many changes were written.
#[derive(ToSchema)]
pub(in crate::http) struct WrittenRecords {
    written: u64,
}
