//! The bodies and parameters of the routes, as the document describes them. Handlers write most of them as text, since the
//! values of entries pass through as the text that they are; the tests hold the answers to these shapes.
#![expect(dead_code, reason = "the derived descriptions are used, and no value is ever made")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use dust_transport::model::{Extension, OpKind, ValueKind};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::control::Scope;

/// A name out of a list that the code has.
macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident: $all:expr;)*) => {
        $(
            $(#[doc = $doc])+
            pub(in super::super) struct $name;

            impl PartialSchema for $name {
                fn schema() -> RefOr<Schema> {
                    ObjectBuilder::new()
                        .schema_type(Type::String)
                        .enum_values(Some($all))
                        .description(Some(concat!($($doc),+).trim()))
                        .into()
                }
            }

            impl ToSchema for $name {
                fn name() -> Cow<'static, str> {
                    Cow::Borrowed(stringify!($name))
                }
            }
        )*
    };
}

names! {
    /// The type of a value.
    Kind: ValueKind::ALL.map(ValueKind::as_str);
    /// A right of a token.
    ScopeName: Scope::ALL.map(Scope::as_str);
    /// What the server does beyond the original wire.
    ExtensionName: Extension::ALL.map(Extension::as_str);
    /// What an op did.
    OpName: OpKind::ALL.map(OpKind::as_str);
}

/// Why a request is not carried out.
#[derive(ToSchema)]
#[schema(example = json!({ "error": "not_found", "detail": "there is nothing at the path" }))]
pub(in super::super) struct Refusal {
    /// A code; or, with status 422, the fields that are wrong, each with its problems.
    #[schema(schema_with = code_or_fields)]
    error: Value,
    /// A text for people.
    detail: String,
}

fn code_or_fields() -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::SchemaType::Array(vec![
            Type::String,
            Type::Object,
        ]))
        .into()
}

/// A condition that does not hold.
#[derive(ToSchema)]
#[schema(example = json!({ "error": "conflict", "detail": "the revision is another", "current_revision": 7 }))]
pub(in super::super) struct Conflict {
    /// `conflict`, or `exists` where nothing was expected.
    error: String,
    detail: String,
    /// The revision that is there; null if nothing is.
    current_revision: Option<u64>,
    /// In a batch: the index of the op.
    #[schema(nullable = false)]
    op_index: Option<u64>,
    /// In a batch: the path.
    #[schema(nullable = false)]
    path: Option<String>,
}

/// A leaf, or the map that the leaves below a path make.
#[derive(ToSchema)]
#[schema(example = json!({ "path": "links/dust", "value": { "title": "Dust" }, "type": "map", "revision": 7 }))]
pub(in super::super) struct Entry {
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
pub(in super::super) enum Select {
    Entries,
    Keys,
    Prefixes,
}

/// The order of a list.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(in super::super) enum Order {
    Asc,
    Desc,
}

/// A page of leaves.
#[derive(ToSchema)]
#[schema(example = json!({ "items": [{ "path": "links/dust/title", "value": "Dust", "type": "string", "revision": 7 }], "next_cursor": null }))]
pub(in super::super) struct Page {
    items: Vec<Item>,
    /// `after` for the next page; null when there is none.
    next_cursor: Option<String>,
}

/// By `select`: an entry, or a path.
#[derive(ToSchema)]
#[serde(untagged)]
pub(in super::super) enum Item {
    Entry(Entry),
    Path(String),
}

/// A committed write.
#[derive(ToSchema)]
#[schema(example = json!({ "revision": 7, "store_seq": 7 }))]
pub(in super::super) struct Written {
    revision: u64,
    store_seq: u64,
    /// There, and true, if the request id had been committed before; nothing was written now.
    #[schema(nullable = false)]
    deduplicated: Option<bool>,
}

/// A write of the path that it names.
#[derive(ToSchema)]
#[schema(example = json!({ "path": "links/dust/title", "value": "Dust", "if_absent": true }))]
pub(in super::super) struct PostedWrite {
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
pub(in super::super) struct PostedDelete {
    path: String,
    /// The revision that the leaf must have.
    #[schema(nullable = false, minimum = 1)]
    if_match: Option<u64>,
}

/// Which leaves to read.
#[derive(ToSchema)]
#[schema(example = json!({ "paths": ["links/dust/title", "links/dust/note"] }))]
pub(in super::super) struct Paths {
    #[schema(max_items = 1000)]
    paths: Vec<String>,
}

/// A leaf, by its path.
#[derive(ToSchema)]
pub(in super::super) struct Leaf {
    value: Value,
    #[schema(rename = "type")]
    kind: Kind,
    revision: u64,
}

/// The leaves that were found, and the paths without one.
#[derive(ToSchema)]
#[schema(example = json!({ "entries": { "links/dust/title": { "value": "Dust", "type": "string", "revision": 7 } }, "missing": ["links/dust/note"] }))]
pub(in super::super) struct Leaves {
    entries: BTreeMap<String, Leaf>,
    missing: Vec<String>,
}

/// What the leaves at and below a path must be; by the extension `subtree_preconditions`.
#[derive(ToSchema)]
#[schema(example = json!({ "root": "links/dust", "leaves": { "links/dust/title": 7 } }))]
pub(in super::super) struct Subtree {
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
pub(in super::super) enum BatchOpName {
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
pub(in super::super) struct BatchOp {
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
pub(in super::super) struct BatchWrite {
    #[schema(min_items = 1, max_items = 1000)]
    ops: Vec<BatchOp>,
}

/// A committed op of a batch.
#[derive(ToSchema)]
pub(in super::super) struct BatchWritten {
    path: String,
    revision: u64,
    store_seq: u64,
}

/// A committed batch.
#[derive(ToSchema)]
#[schema(example = json!({ "ops": [{ "path": "links/dust/title", "revision": 8, "store_seq": 8 }], "store_seq": 8 }))]
pub(in super::super) struct BatchAnswer {
    ops: Vec<BatchWritten>,
    /// The number of the last op.
    store_seq: u64,
    /// There, and true, if the request id had been committed before; nothing was written now.
    #[schema(nullable = false)]
    deduplicated: Option<bool>,
}

/// A store.
#[derive(ToSchema)]
pub(in super::super) struct StoreShown {
    id: Uuid,
    name: String,
    /// `org/name`.
    full_name: String,
    status: String,
    inserted_at: String,
    expires_at: Option<String>,
}

/// The stores that the token may know.
#[derive(ToSchema)]
pub(in super::super) struct Stores {
    org: String,
    stores: Vec<StoreShown>,
}

/// A store to create.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "site", "ttl": 3600 }))]
pub(in super::super) struct NewStore {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]*$")]
    name: String,
    /// After how many seconds the store is gone.
    #[schema(minimum = 1)]
    ttl: Option<u64>,
}

/// A new store.
#[derive(ToSchema)]
pub(in super::super) struct StoreCreated {
    store: StoreShown,
}

/// An archived store.
#[derive(ToSchema)]
pub(in super::super) struct StoreArchived {
    ok: bool,
    store: StoreShown,
}

/// The name of the copy.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "site-copy" }))]
pub(in super::super) struct NewClone {
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]*$")]
    name: String,
}

/// A store by its names.
#[derive(ToSchema)]
pub(in super::super) struct StoreNamed {
    id: Uuid,
    name: String,
    full_name: String,
}

/// A copied store.
#[derive(ToSchema)]
pub(in super::super) struct StoreCloned {
    ok: bool,
    store: StoreNamed,
}

/// A path whose value is another than before; null where nothing is.
#[derive(ToSchema)]
pub(in super::super) struct Changed {
    path: String,
    before: Value,
    after: Value,
}

/// What is different between two states.
#[derive(ToSchema)]
#[schema(example = json!({ "from_seq": 3, "to_seq": 7, "changes": [{ "path": "links/dust/title", "before": null, "after": "Dust" }] }))]
pub(in super::super) struct Diff {
    from_seq: i64,
    to_seq: i64,
    changes: Vec<Changed>,
}

/// An op of the log.
#[derive(ToSchema)]
pub(in super::super) struct Logged {
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
pub(in super::super) struct Pagination {
    page: u64,
    limit: u64,
    /// How many ops all pages have.
    total: u64,
    total_pages: u64,
}

/// A page of the log, the newest first.
#[derive(ToSchema)]
pub(in super::super) struct Log {
    ops: Vec<Logged>,
    pagination: Pagination,
}

/// A line of an import that was not taken.
#[derive(ToSchema)]
pub(in super::super) struct FailedLine {
    /// From 1.
    line: u64,
    path: Option<String>,
    reason: String,
}

/// What became of the lines of an import.
#[derive(ToSchema)]
#[schema(example = json!({ "ok": true, "imported": 2, "skipped": 1, "unparseable": 0, "failed": [] }))]
pub(in super::super) struct ImportReport {
    ok: bool,
    imported: u64,
    /// Blank lines and headers.
    skipped: u64,
    unparseable: u64,
    /// The first thousand of them.
    failed: Vec<FailedLine>,
}

/// Where live events are.
#[derive(ToSchema)]
pub(in super::super) struct UpgradeRequired {
    error: String,
    detail: String,
    ws_url: String,
    docs: String,
}

/// A store that a token may access.
#[derive(ToSchema)]
pub(in super::super) struct GrantedStore {
    id: Uuid,
    name: String,
}

/// What a token may do with entries.
#[derive(ToSchema)]
pub(in super::super) struct Permissions {
    read: bool,
    write: bool,
}

/// A token without its secret.
#[derive(ToSchema)]
pub(in super::super) struct TokenShown {
    id: Uuid,
    name: String,
    scopes: Vec<ScopeName>,
    permissions: Permissions,
    /// `all` or `selected`.
    store_access_mode: String,
    stores: Vec<GrantedStore>,
    store_name: Option<String>,
    expires_at: Option<String>,
    inserted_at: String,
    last_used_at: Option<String>,
}

/// The tokens that the asking one may know.
#[derive(ToSchema)]
pub(in super::super) struct Tokens {
    tokens: Vec<TokenShown>,
}

/// A token to create. Without `scopes`, `read` and `write` say which it has.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "reader", "scopes": ["entries:read"], "store_access_mode": "selected", "store_name": "site" }))]
pub(in super::super) struct NewToken {
    #[schema(min_length = 1)]
    name: String,
    #[schema(nullable = false)]
    scopes: Option<Vec<ScopeName>>,
    #[schema(nullable = false)]
    read: Option<bool>,
    #[schema(nullable = false)]
    write: Option<bool>,
    /// `all`; otherwise the stores are named.
    #[schema(nullable = false)]
    store_access_mode: Option<String>,
    #[schema(nullable = false)]
    store_ids: Option<Vec<Uuid>>,
    #[schema(nullable = false)]
    store_name: Option<String>,
    #[schema(nullable = false)]
    store_names: Option<Vec<String>>,
}

/// A new token, with its secret, which is shown this once.
#[derive(ToSchema)]
pub(in super::super) struct TokenCreated {
    id: Uuid,
    name: String,
    raw_token: String,
    scopes: Vec<ScopeName>,
    permissions: Permissions,
    store_access_mode: String,
    stores: Vec<GrantedStore>,
}

/// It is done.
#[derive(ToSchema)]
#[schema(example = json!({ "ok": true }))]
pub(in super::super) struct Done {
    ok: bool,
}

/// What the server does, and how much.
#[derive(ToSchema)]
#[schema(example = json!({ "extensions": ["absent_in_batches", "op_ids", "subtree_preconditions", "value_ops"], "limits": { "batch_ops": 1000, "page_leaves": 1000, "body_bytes": 8_000_000 } }))]
pub(in super::super) struct Capabilities {
    extensions: Vec<ExtensionName>,
    limits: Limits,
}

/// Bounds of requests.
#[derive(ToSchema)]
pub(in super::super) struct Limits {
    batch_ops: u64,
    page_leaves: u64,
    body_bytes: u64,
}

/// The process answers.
#[derive(ToSchema)]
#[schema(example = json!({ "status": "ok" }))]
pub(in super::super) struct Health {
    status: String,
}

/// What the server needs, and how it is.
#[derive(ToSchema)]
pub(in super::super) struct Checks {
    database: String,
    pubsub: String,
}

/// Whether the server can do its work.
#[derive(ToSchema)]
#[schema(example = json!({ "status": "ok", "checks": { "database": "ok", "pubsub": "ok" } }))]
pub(in super::super) struct Readiness {
    status: String,
    checks: Checks,
}

/// The store of a URL.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in super::super) struct StorePath {
    /// The organisation.
    #[param(example = "local")]
    org: String,
    /// The store in it.
    #[param(example = "main")]
    store: String,
}

/// The entry of a URL.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in super::super) struct EntryPath {
    /// The organisation.
    #[param(example = "local")]
    org: String,
    /// The store in it.
    #[param(example = "main")]
    store: String,
    /// The rendered path. Its slashes may stand as they are.
    #[param(example = "links/dust/title")]
    path: String,
}

/// Headers that any write may have.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(in super::super) struct WriteHeaders {
    /// The id of the op as well: a write with an id that this token has used is not done again.
    #[param(rename = "x-request-id", nullable = false, pattern = "^[!-~]{1,200}$")]
    request_id: Option<String>,
    /// The extensions that the request uses, by commas. The answer names those that were understood.
    #[param(rename = "dust-extensions", nullable = false, example = "value_ops")]
    extensions: Option<ExtensionName>,
}

/// The webhook of a URL.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in super::super) struct WebhookPath {
    /// The organisation.
    #[param(example = "local")]
    org: String,
    /// The store in it.
    #[param(example = "main")]
    store: String,
    /// The webhook's id.
    id: Uuid,
}

/// A webhook to create.
#[derive(ToSchema)]
#[schema(example = json!({ "url": "https://receiver.example/hook" }))]
pub(in super::super) struct NewWebhook {
    #[schema(pattern = "^https?://")]
    url: String,
}

/// A new webhook, with the secret of its signatures, which is shown this once.
#[derive(ToSchema)]
pub(in super::super) struct WebhookCreated {
    id: Uuid,
    url: String,
    /// `whsec_` and 64 hex digits.
    secret: String,
    active: bool,
    inserted_at: String,
}

/// A webhook.
#[derive(ToSchema)]
pub(in super::super) struct WebhookShown {
    id: Uuid,
    url: String,
    /// Whether it is sent to; five failures in a row end that.
    active: bool,
    inserted_at: String,
    /// The last op up to which all were delivered.
    last_delivered_seq: u64,
    /// How many deliveries have failed in a row.
    failure_count: u64,
}

/// The webhooks of a store.
#[derive(ToSchema)]
pub(in super::super) struct Webhooks {
    webhooks: Vec<WebhookShown>,
}

/// What a receiver answered to a ping.
#[derive(ToSchema)]
#[schema(example = json!({ "ok": true, "status_code": 204, "response_ms": 12 }))]
pub(in super::super) struct Pinged {
    /// Whether the status is one of success.
    ok: bool,
    status_code: u64,
    response_ms: u64,
}

/// Why a receiver was not pinged.
#[derive(ToSchema)]
pub(in super::super) struct NotPinged {
    ok: bool,
    error: Option<String>,
    detail: String,
}

/// An attempt to deliver an op.
#[derive(ToSchema)]
pub(in super::super) struct DeliveryShown {
    id: Uuid,
    store_seq: u64,
    status_code: Option<u64>,
    response_ms: Option<u64>,
    error: Option<String>,
    attempted_at: String,
}

/// Attempts to deliver.
#[derive(ToSchema)]
pub(in super::super) struct Deliveries {
    deliveries: Vec<DeliveryShown>,
}
