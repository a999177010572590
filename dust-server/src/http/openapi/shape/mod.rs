//! The bodies and parameters of the routes, as the document describes them. Handlers write most of them as text, since the
//! values of entries pass through as the text that they are; the tests hold the answers to these shapes.
#![expect(dead_code, reason = "the derived descriptions are used, and no value is ever made")]

mod entry;
mod index;
mod store;
mod token;
mod webhook;

use std::borrow::Cow;

use dust_transport::model::{Extension, OpKind, ValueKind};
use serde_json::Value;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use uuid::Uuid;

use crate::control::Scope;
pub(in crate::http) use entry::*;
pub(in crate::http) use index::*;
pub(in crate::http) use store::*;
pub(in crate::http) use token::*;
pub(in crate::http) use webhook::*;

/// A name out of a list that the code has.
macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident: $all:expr;)*) => {
        $(
            $(#[doc = $doc])+
            pub(in crate::http) struct $name;

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
pub(in crate::http) struct Refusal {
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
pub(in crate::http) struct Conflict {
    /// `conflict`, `exists` where nothing was expected, or `not_unique` for the values of another record in a unique index.
    error: String,
    detail: String,
    /// The revision that is there; null if nothing is.
    #[schema(required)]
    current_revision: Option<u64>,
    /// In a batch, and with `not_unique`: the index of the op.
    #[schema(nullable = false)]
    op_index: Option<u64>,
    /// In a batch: the path. With `not_unique`: that of the first field of the index in the other record.
    #[schema(nullable = false)]
    path: Option<String>,
}

/// Where live events are.
#[derive(ToSchema)]
pub(in crate::http) struct UpgradeRequired {
    error: String,
    detail: String,
    ws_url: String,
    docs: String,
}

/// It is done.
#[derive(ToSchema)]
#[schema(example = json!({ "ok": true }))]
pub(in crate::http) struct Done {
    ok: bool,
}

/// What the server does, and how much.
#[derive(ToSchema)]
#[schema(example = json!({ "extensions": ["absent_in_batches", "index_only_records", "index_options", "op_ids", "queries", "subtree_preconditions", "value_ops"], "limits": { "batch_ops": 1000, "page_leaves": 1000, "body_bytes": 8_000_000 } }))]
pub(in crate::http) struct Capabilities {
    extensions: Vec<ExtensionName>,
    limits: Limits,
}

/// Bounds of requests.
#[derive(ToSchema)]
pub(in crate::http) struct Limits {
    batch_ops: u64,
    page_leaves: u64,
    body_bytes: u64,
}

/// The process answers.
#[derive(ToSchema)]
#[schema(example = json!({ "status": "ok" }))]
pub(in crate::http) struct Health {
    status: String,
}

/// What the server needs, and how it is.
#[derive(ToSchema)]
pub(in crate::http) struct Checks {
    database: String,
    pubsub: String,
}

/// Whether the server can do its work.
#[derive(ToSchema)]
#[schema(example = json!({ "status": "ok", "checks": { "database": "ok", "pubsub": "ok" } }))]
pub(in crate::http) struct Readiness {
    status: String,
    checks: Checks,
}

/// The store of a URL.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
pub(in crate::http) struct StorePath {
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
pub(in crate::http) struct EntryPath {
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
pub(in crate::http) struct WriteHeaders {
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
pub(in crate::http) struct WebhookPath {
    /// The organisation.
    #[param(example = "local")]
    org: String,
    /// The store in it.
    #[param(example = "main")]
    store: String,
    /// The webhook's id.
    id: Uuid,
}
