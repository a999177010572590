//! Many paths in one request: exact reads, and writes that are committed together.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use dust_store::Embedded;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Batch, Extension, Op, Path, Value};
use dust_transport::transport::{Transport as _, Written};
use serde_json::json;

use super::answer::{Refusal, detail_of, json, json_text};
use super::call::{Call, Fields};
use super::condition;
use super::entries::{current_revision, push_leaf};
use super::openapi::{self, StorePath, WriteHeaders};
use crate::control::Scope;

/// The most paths of a read and ops of a write.
pub(super) const ITEMS_MAX: usize = 1000;

/// `POST …/entries/batch` and `…/batch_write`; any other path takes no POST.
pub(super) async fn dispatch(call: Call) -> Result<Response, Refusal> {
    match call.param("path") {
        "batch" => read(call).await,
        "batch_write" => write(call).await,
        _ => Err(Refusal::no_route()),
    }
}

/// Read many leaves
///
/// Maps are not assembled. It counts as a write for the rate limit.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/entries/batch", tag = "entries", operation_id = "read_batch",
    security(("token" = ["entries:read"])), params(StorePath), request_body = openapi::Paths,
    responses((status = 200, description = "The leaves that there are.", body = openapi::Leaves))
)]
pub(super) async fn read(call: Call) -> Result<Response, Refusal> {
    let items = call.fields().get("paths").and_then(Value::items);
    let items = items.ok_or_else(|| Refusal::invalid("paths required"))?;
    if items.len() > ITEMS_MAX {
        return Err(Refusal::invalid(format!("maximum {ITEMS_MAX} paths per batch")));
    }
    let paths = items.iter().map(|item| {
        let text = item.str().ok_or_else(|| Refusal::invalid("paths must be strings"))?;
        Path::parse(&text).map_err(|_| Refusal::invalid(format!("invalid path: {}", item.json())))
    });
    let mut paths = paths.collect::<Result<Vec<Path>, Refusal>>()?;
    paths.sort();
    paths.dedup();
    let store = call.store(Scope::EntriesRead).await?;
    let found = store.get_many(&paths).await?;
    let (mut entries, mut missing) = (String::new(), Vec::new());
    for (path, entry) in paths.iter().zip(&found) {
        match entry {
            Some(entry) => {
                let comma = if entries.is_empty() { "" } else { "," };
                // Writing to a string cannot fail.
                let _ = write!(entries, "{comma}{}:{{", Value::from(path.as_str()));
                push_leaf(&mut entries, entry);
                entries.push('}');
            }
            None => missing.push(Value::from(path.as_str())),
        }
    }
    let text = format!("{{\"entries\":{{{entries}}},\"missing\":{}}}", Value::list(missing));
    Ok(json_text(StatusCode::OK, text))
}

/// Write a batch
///
/// All ops in order and together, or none. Ops other than `set` and `delete`, `if_absent` and `if_subtree` are
/// extensions, which the header `dust-extensions` must name; without it such ops are refused and such conditions ignored.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/entries/batch_write", tag = "entries", operation_id = "write_batch",
    security(("token" = ["entries:write"])), params(StorePath, WriteHeaders), request_body = openapi::BatchWrite,
    responses(
        (status = 200, description = "All ops are committed.", body = openapi::BatchAnswer),
        (status = 412, description = "The condition of an op does not hold, and nothing is written.", body = openapi::Conflict),
    )
)]
pub(super) async fn write(call: Call) -> Result<Response, Refusal> {
    let items = call.fields().get("ops").and_then(Value::items);
    let items = items.ok_or_else(|| Refusal::invalid("ops array required"))?;
    if items.is_empty() {
        return Err(Refusal::invalid("ops cannot be empty"));
    }
    if items.len() > ITEMS_MAX {
        return Err(Refusal::invalid(format!("maximum {ITEMS_MAX} ops per batch")));
    }
    let ops = items.iter().enumerate().map(|(index, item)| {
        let op = op_of(&call, item);
        op.map_err(|problem| Refusal::invalid(format!("op {index}{problem}")))
    });
    let ops = ops.collect::<Result<Vec<Op>, Refusal>>()?;
    let store = call.store(Scope::EntriesWrite).await?;
    let paths: Vec<Path> = ops.iter().map(|op| op.path.clone()).collect();
    let batch = Batch { ops, id: call.op_id() };
    match store.write(batch).await {
        Ok(written) => Ok(json(StatusCode::OK, &written_body(&paths, &written))),
        Err(error) if call.uses_extensions() => Err(refused_extended(error)),
        Err(error) => Err(refused(&store, error).await),
    }
}

fn written_body(paths: &[Path], written: &Written) -> serde_json::Value {
    let ops = paths.iter().zip(&written.seqs);
    let ops = ops.map(|(path, seq)| json!({ "path": path.as_str(), "revision": seq.0, "store_seq": seq.0 }));
    let mut body = json!({
        "ops": ops.collect::<Vec<_>>(),
        "store_seq": written.seqs.last().map_or(0, |seq| seq.0),
    });
    if let Some(fields) = body.as_object_mut().filter(|_| written.deduplicated) {
        fields.insert("deduplicated".to_owned(), true.into());
    }
    body
}

/// One op of a batch; the error is what follows `op <index>`.
fn op_of(call: &Call, item: &Value) -> Result<Op, String> {
    let fields = item.entries().map(|entries| {
        let by_name: BTreeMap<String, Value> = entries.into_iter().collect();
        Fields(by_name.into_iter().collect())
    });
    let fields = fields.ok_or(" must be an object")?;
    let Some(name) = fields.get("op") else {
        return Err(": missing 'op' field".to_owned());
    };
    let verb = name.str().as_deref().and_then(|name| verb_of(call, name));
    let Some(verb) = verb else {
        return Err(format!(": unknown op {}", name.json()));
    };
    let text = fields.text("path").ok_or(": 'path' required and must be a string")?;
    let path = Path::parse(&text).map_err(|error| format!(": invalid path ({})", error.code()))?;
    let precondition = condition::of_op(
        &fields,
        &path,
        call.uses(Extension::AbsentInBatches),
        call.uses(Extension::SubtreePreconditions),
    );
    let op = match (verb, fields.get("value")) {
        (Verb::Delete, _) => Op::delete(path),
        (Verb::With(op), Some(value)) => op(path, value.clone()),
        (Verb::With(_), None) => {
            let name = name.str().unwrap_or_default();
            return Err(format!(": 'value' required for {name}"));
        }
    };
    Ok(op.when(precondition.map_err(|problem| format!(": {problem}"))?))
}

/// What an op does, by its name.
enum Verb {
    Delete,
    /// Something with a value.
    With(fn(Path, Value) -> Op),
}

/// `None` for an op that this batch cannot have.
fn verb_of(call: &Call, name: &str) -> Option<Verb> {
    let verb = match name {
        "set" => Verb::With(Op::set),
        "delete" => Verb::Delete,
        _ if !call.uses(Extension::ValueOps) => return None,
        "merge" => Verb::With(Op::merge),
        "increment" => Verb::With(Op::increment),
        "add" => Verb::With(Op::add),
        "remove" => Verb::With(Op::remove),
        _ => return None,
    };
    Some(verb)
}

/// A batch of which nothing was written, for a client that knows the codes of ops and conditions beyond the original's.
fn refused_extended(error: Error) -> Refusal {
    let at = error.conflict().cloned();
    let refusal = match error.kind() {
        _ if error.code() == "not_unique" => return Refusal::not_unique(&error),
        ErrorKind::Conflict => {
            let current = at.as_ref().and_then(|at| at.current);
            Refusal::precondition_failed(error.code(), current.map(|seq| seq.0))
        }
        ErrorKind::InvalidParams if error.code() != "payload_too_large" => {
            Refusal::bad_request(error.code(), detail_of(&error))
        }
        _ => return error.into(),
    };
    match at {
        Some(at) => refusal.with("op_index", at.op_index).with("path", at.path.as_str()),
        None => refusal,
    }
}

/// A batch of which nothing was written, with the op that is to blame.
async fn refused(store: &Embedded, error: Error) -> Refusal {
    if error.code() == "not_unique" {
        return Refusal::not_unique(&error);
    }
    let Some(at) = error.conflict() else {
        return error.into();
    };
    let (op_index, path) = (at.op_index, at.path.clone());
    let refusal = if error.is_conflict() {
        match current_revision(store, &path).await {
            Ok(current) => Refusal::precondition_failed(error.code(), current),
            Err(error) => return error.into(),
        }
    } else if error.kind() == ErrorKind::InvalidParams && error.code().starts_with("if_match_") {
        Refusal::bad_request(error.code(), detail_of(&error))
    } else {
        return error.into();
    };
    refusal.with("op_index", op_index).with("path", path.as_str())
}
