//! Stores, and whole stores at once.

use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use super::OpName;

/// A store.
#[derive(ToSchema)]
pub(in crate::http) struct StoreShown {
    id: Uuid,
    name: String,
    /// `org/name`.
    full_name: String,
    status: String,
    inserted_at: String,
    #[schema(required)]
    expires_at: Option<String>,
}

/// The stores that the token may know.
#[derive(ToSchema)]
pub(in crate::http) struct Stores {
    org: String,
    stores: Vec<StoreShown>,
}

/// A store to create.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "site", "ttl": 3600 }))]
pub(in crate::http) struct NewStore {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]*$")]
    name: String,
    /// After how many seconds the store is gone.
    #[schema(minimum = 1)]
    ttl: Option<u64>,
}

/// A new store.
#[derive(ToSchema)]
pub(in crate::http) struct StoreCreated {
    store: StoreShown,
}

/// An archived store.
#[derive(ToSchema)]
pub(in crate::http) struct StoreArchived {
    ok: bool,
    store: StoreShown,
}

/// The name of the copy.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "site-copy" }))]
pub(in crate::http) struct NewClone {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]*$")]
    name: String,
}

/// A store by its names.
#[derive(ToSchema)]
pub(in crate::http) struct StoreNamed {
    id: Uuid,
    name: String,
    full_name: String,
}

/// A copied store.
#[derive(ToSchema)]
pub(in crate::http) struct StoreCloned {
    ok: bool,
    store: StoreNamed,
}

/// A path whose value is another than before; null where nothing is.
#[derive(ToSchema)]
pub(in crate::http) struct Changed {
    path: String,
    before: Value,
    after: Value,
}

/// What is different between two states.
#[derive(ToSchema)]
#[schema(example = json!({ "from_seq": 3, "to_seq": 7, "changes": [{ "path": "links/dust/title", "before": null, "after": "Dust" }] }))]
pub(in crate::http) struct Diff {
    from_seq: i64,
    to_seq: i64,
    changes: Vec<Changed>,
}

/// An op of the log.
#[derive(ToSchema)]
pub(in crate::http) struct Logged {
    store_seq: u64,
    op: OpName,
    path: String,
    value: Value,
    /// Who wrote it: `http:<token id>` over HTTP.
    device_id: String,
    inserted_at: String,
}

/// Where in the log a page is.
#[derive(ToSchema)]
pub(in crate::http) struct Pagination {
    page: u64,
    limit: u64,
    /// How many ops all pages have.
    total: u64,
    total_pages: u64,
}

/// A page of the log, the newest first.
#[derive(ToSchema)]
pub(in crate::http) struct Log {
    ops: Vec<Logged>,
    pagination: Pagination,
}

/// A line of an import that was not taken.
#[derive(ToSchema)]
pub(in crate::http) struct FailedLine {
    /// From 1.
    line: u64,
    #[schema(required)]
    path: Option<String>,
    reason: String,
}

/// What became of the lines of an import.
#[derive(ToSchema)]
#[schema(example = json!({ "ok": true, "imported": 2, "skipped": 1, "unparseable": 0, "failed": [] }))]
pub(in crate::http) struct ImportReport {
    ok: bool,
    imported: u64,
    /// Blank lines and headers.
    skipped: u64,
    unparseable: u64,
    /// The first thousand of them.
    failed: Vec<FailedLine>,
}
