//! Single entries: read, written and deleted, by URL or by body.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use dust_store::{Embedded, StoredLeaf};
use dust_transport::error::Error;
use dust_transport::model::{Action, Batch, Entry, Extension, Op, Path, Precondition, Value};
use dust_transport::transport::{Transport as _, Written};
use serde_json::json;

use super::answer::{Refusal, json, json_text};
use super::call::{Call, Fields, Payload};
use super::openapi::{self, EntryPath, StorePath, WriteHeaders};
use super::{batch, condition, list};
use crate::control::Scope;
use crate::server::Shared;

const EMPTY_BODY: &str = "request body is empty. To write a JSON null value, send the literal string \"null\" with \
                          content-type: application/json. To remove an entry, use DELETE.";
const PATH_REQUIRED: &str = "'path' field required in body (non-empty string)";
const VALUE_REQUIRED: &str =
    "'value' field required in body. To remove an entry use DELETE /entries with the path in the body.";

/// `…/entries`.
pub(super) fn of_the_store() -> MethodRouter<Arc<Shared>> {
    get(list::list).put(put_nowhere).post(post).delete(delete_named)
}

/// `…/entries/<path>`.
pub(super) fn of_one_path() -> MethodRouter<Arc<Shared>> {
    get(read).put(put).delete(delete).post(batch::dispatch)
}

/// Read an entry
///
/// A leaf, or the map that the leaves below the path make. HEAD tells whether there is one.
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/entries/{path}", tag = "entries", operation_id = "read_entry",
    security(("token" = ["entries:read"])), params(EntryPath),
    responses(
        (status = 200, description = "The leaf, or the map.", body = openapi::Entry,
            headers(("etag" = String, description = "The revision, in quotes."))),
    )
)]
pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let path = call.path()?;
    let store = call.store(Scope::EntriesRead).await?;
    let entry = store.get(&path).await?.ok_or_else(Refusal::not_found)?;
    let mut text = String::new();
    push_entry(&mut text, &entry);
    let mut response = json_text(StatusCode::OK, text);
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", entry.revision)) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    Ok(response)
}

/// Writes an entry as JSON: its value is text already.
pub(super) fn push_entry(text: &mut String, entry: &Entry) {
    push_stored(text, stored(entry));
}

/// Writes a leaf as JSON, as it is stored.
pub(super) fn push_stored(text: &mut String, leaf: StoredLeaf<'_>) {
    text.push_str("{\"path\":");
    push_path(text, leaf.path);
    text.push(',');
    push_rest(text, leaf);
    text.push('}');
}

/// Writes what an entry has beside its path.
pub(super) fn push_leaf(text: &mut String, entry: &Entry) {
    push_rest(text, stored(entry));
}

fn stored(entry: &Entry) -> StoredLeaf<'_> {
    StoredLeaf {
        path: entry.path.as_str(),
        json: entry.value.json(),
        kind: entry.kind,
        revision: entry.revision,
    }
}

/// Writes a path as a JSON string; most of them are one already, but for the quotes.
pub(super) fn push_path(text: &mut String, path: &str) {
    if path.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        text.push_str(Value::from(path).json());
    } else {
        text.push('"');
        text.push_str(path);
        text.push('"');
    }
}

fn push_rest(text: &mut String, leaf: StoredLeaf<'_>) {
    text.push_str("\"value\":");
    text.push_str(leaf.json);
    text.push_str(",\"type\":\"");
    text.push_str(leaf.kind.as_str());
    text.push_str("\",\"revision\":");
    // Writing to a string cannot fail.
    let _ = write!(text, "{}", leaf.revision);
}

/// A write without a path, which is refused
#[utoipa::path(
    put, path = "/api/stores/{org}/{store}/entries", tag = "entries", operation_id = "put_nowhere",
    security(("token" = ["entries:write"])), params(StorePath),
    responses((status = 400, description = "`invalid_params`, whatever is sent.", body = openapi::Refusal))
)]
pub(super) async fn put_nowhere(_: Call) -> Refusal {
    Refusal::invalid("path is required")
}

/// Write an entry
///
/// The body is the value, which replaces what is at and below the path. A map is written as its leaves.
#[utoipa::path(
    put, path = "/api/stores/{org}/{store}/entries/{path}", tag = "entries", operation_id = "put_entry",
    security(("token" = ["entries:write"])),
    params(
        EntryPath,
        WriteHeaders,
        ("if-match" = Option<String>, Header, nullable = false, description = "The revision that the leaf must have, bare or \
            as an ETag; with the extension `subtree_preconditions` and a map as the body, the highest of all leaves."),
        ("if-none-match" = Option<String>, Header, nullable = false, description = "`*`: no leaf may be there."),
    ),
    request_body(content = Value, description = "The value. An empty map counts as no body; POST takes one.",
        content_type = "application/json", example = json!("Dust")),
    responses(
        (status = 200, description = "Committed.", body = openapi::Written),
        (status = 412, description = "The condition does not hold.", body = openapi::Conflict),
    )
)]
pub(super) async fn put(call: Call) -> Result<Response, Refusal> {
    let path = call.path()?;
    let value = match &call.payload {
        Payload::Json(value) if value.json() != "{}" => value.clone(),
        Payload::Json(_) | Payload::Empty => return Err(Refusal::invalid(EMPTY_BODY)),
        Payload::Other => return Err(Refusal::invalid("request body could not be parsed")),
    };
    let store = call.store(Scope::EntriesWrite).await?;
    let precondition = condition::of_put(&call.headers)?;
    write(&call, &store, Op::set(path, value), precondition).await
}

/// Delete what is at and below a path
#[utoipa::path(
    delete, path = "/api/stores/{org}/{store}/entries/{path}", tag = "entries", operation_id = "delete_entry",
    security(("token" = ["entries:write"])),
    params(
        EntryPath,
        WriteHeaders,
        ("if-match" = Option<String>, Header, nullable = false, description = "The revision that the leaf must have; with the \
            extension `subtree_preconditions`, the highest at and below the path."),
    ),
    responses(
        (status = 200, description = "Committed, whether something was there or not.", body = openapi::Written),
        (status = 412, description = "The condition does not hold.", body = openapi::Conflict),
    )
)]
pub(super) async fn delete(call: Call) -> Result<Response, Refusal> {
    let path = call.path()?;
    let store = call.store(Scope::EntriesWrite).await?;
    let precondition = condition::of_delete(&call.headers)?;
    write(&call, &store, Op::delete(path), precondition).await
}

/// The path that a body names.
fn named(fields: &Fields, also: Option<&str>) -> Result<Path, Refusal> {
    let text = fields.text("path").or_else(|| {
        // A field that is no text is not looked for elsewhere.
        also.filter(|_| fields.get("path").is_none()).map(str::to_owned)
    });
    let text = text.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| Refusal::invalid(PATH_REQUIRED))?;
    Path::parse(&text).map_err(|error| Refusal::invalid(format!("invalid path ({})", error.code())))
}

/// Write an entry that the body names
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/entries", tag = "entries", operation_id = "post_entry",
    security(("token" = ["entries:write"])), params(StorePath, WriteHeaders), request_body = openapi::PostedWrite,
    responses(
        (status = 200, description = "Committed.", body = openapi::Written),
        (status = 412, description = "The condition does not hold.", body = openapi::Conflict),
    )
)]
pub(super) async fn post(call: Call) -> Result<Response, Refusal> {
    let fields = call.fields();
    let path = named(&fields, call.query.text("path")?)?;
    let value = fields.get("value").ok_or_else(|| Refusal::invalid(VALUE_REQUIRED))?;
    let precondition = condition::of_fields(&fields)?;
    let store = call.store(Scope::EntriesWrite).await?;
    write(&call, &store, Op::set(path, value.clone()), precondition).await
}

/// Delete what is at and below a path that the body names
#[utoipa::path(
    delete, path = "/api/stores/{org}/{store}/entries", tag = "entries", operation_id = "delete_named_entry",
    security(("token" = ["entries:write"])), params(StorePath, WriteHeaders), request_body = openapi::PostedDelete,
    responses(
        (status = 200, description = "Committed, whether something was there or not.", body = openapi::Written),
        (status = 412, description = "The condition does not hold.", body = openapi::Conflict),
    )
)]
pub(super) async fn delete_named(call: Call) -> Result<Response, Refusal> {
    let fields = call.fields();
    let path = named(&fields, call.query.text("path")?)?;
    let precondition = condition::if_match(&fields).map_err(Refusal::invalid)?;
    let store = call.store(Scope::EntriesWrite).await?;
    write(&call, &store, Op::delete(path), precondition).await
}

async fn write(call: &Call, store: &Embedded, op: Op, precondition: Precondition) -> Result<Response, Refusal> {
    let path = op.path.clone();
    let precondition = widened(call, &op, precondition);
    let batch = Batch {
        ops: vec![op.when(precondition)],
        id: call.op_id(),
    };
    match store.write(batch).await {
        Ok(written) => Ok(json(StatusCode::OK, &written_body(&written))),
        Err(error) => Err(refused(store, &path, error).await),
    }
}

/// What a client that uses the extension means by `If-Match` of what is more than one leaf: all that is there.
fn widened(call: &Call, op: &Op, precondition: Precondition) -> Precondition {
    let is_whole = match &op.action {
        Action::Set(value) => !value.is_leaf(),
        _ => true,
    };
    match precondition {
        Precondition::Match(revision) if is_whole && call.uses(Extension::SubtreePreconditions) => {
            Precondition::SubtreeRevision {
                root: op.path.clone(),
                revision,
            }
        }
        other => other,
    }
}

fn written_body(written: &Written) -> serde_json::Value {
    let seq = written.seqs.first().map_or(0, |seq| seq.0);
    let mut body = json!({ "revision": seq, "store_seq": seq });
    if let Some(fields) = body.as_object_mut().filter(|_| written.deduplicated) {
        fields.insert("deduplicated".to_owned(), true.into());
    }
    body
}

/// A write that failed, with the revision that is there if a condition did not hold.
async fn refused(store: &Embedded, path: &Path, error: Error) -> Refusal {
    if error.code() == "not_unique" {
        return Refusal::not_unique(&error);
    }
    if !error.is_conflict() {
        return error.into();
    }
    match current_revision(store, path).await {
        Ok(current) => Refusal::precondition_failed(error.code(), current),
        Err(error) => error.into(),
    }
}

/// The revision of what a read of the path shows: of the leaf, or the highest of the subtree.
pub(super) async fn current_revision(store: &Embedded, path: &Path) -> Result<Option<u64>, Error> {
    Ok(store.get(path).await?.map(|entry| entry.revision.0))
}
