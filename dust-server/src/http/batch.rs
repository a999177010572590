//! Many paths in one request: exact reads, and writes that are committed together.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::response::Response;
use dust_store::Embedded;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Batch, Op, Path, Value};
use dust_transport::transport::{Transport as _, Written};
use serde_json::json;

use super::answer::{Refusal, detail_of, json, json_text};
use super::call::{Call, Fields};
use super::condition;
use super::entries::{current_revision, push_leaf};
use crate::control::Scope;

/// The most paths of a read and ops of a write.
const ITEMS_MAX: usize = 1000;

/// `POST …/entries/batch` and `…/batch_write`; any other path takes no POST.
pub(super) async fn dispatch(call: Call) -> Result<Response, Refusal> {
    match call.param("path") {
        "batch" => read(call).await,
        "batch_write" => write(call).await,
        _ => Err(Refusal::no_route()),
    }
}

async fn read(call: Call) -> Result<Response, Refusal> {
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

async fn write(call: Call) -> Result<Response, Refusal> {
    let items = call.fields().get("ops").and_then(Value::items);
    let items = items.ok_or_else(|| Refusal::invalid("ops array required"))?;
    if items.is_empty() {
        return Err(Refusal::invalid("ops cannot be empty"));
    }
    if items.len() > ITEMS_MAX {
        return Err(Refusal::invalid(format!("maximum {ITEMS_MAX} ops per batch")));
    }
    let ops = items.iter().enumerate().map(|(index, item)| {
        let op = op_of(item);
        op.map_err(|problem| Refusal::invalid(format!("op {index}{problem}")))
    });
    let ops = ops.collect::<Result<Vec<Op>, Refusal>>()?;
    let store = call.store(Scope::EntriesWrite).await?;
    let paths: Vec<Path> = ops.iter().map(|op| op.path.clone()).collect();
    let batch = Batch { ops, id: call.op_id() };
    match store.write(batch).await {
        Ok(written) => Ok(json(StatusCode::OK, &written_body(&paths, &written))),
        Err(error) => Err(refused(&store, error).await),
    }
}

fn written_body(paths: &[Path], written: &Written) -> serde_json::Value {
    let ops = paths.iter().zip(&written.seqs);
    let ops = ops.map(|(path, seq)| json!({ "path": path.as_str(), "revision": seq.0, "store_seq": seq.0 }));
    json!({
        "ops": ops.collect::<Vec<_>>(),
        "store_seq": written.seqs.last().map_or(0, |seq| seq.0),
    })
}

/// One op of a batch; the error is what follows `op <index>`.
fn op_of(item: &Value) -> Result<Op, String> {
    let fields = item.entries().map(|entries| {
        let by_name: BTreeMap<String, Value> = entries.into_iter().collect();
        Fields(by_name.into_iter().collect())
    });
    let fields = fields.ok_or(" must be an object")?;
    let Some(name) = fields.get("op") else {
        return Err(": missing 'op' field".to_owned());
    };
    let is_set = match name.str().as_deref() {
        Some("set") => true,
        Some("delete") => false,
        _ => return Err(format!(": unknown op {}", name.json())),
    };
    let text = fields.text("path").ok_or(": 'path' required and must be a string")?;
    let path = Path::parse(&text).map_err(|error| format!(": invalid path ({})", error.code()))?;
    let op = match (is_set, fields.get("value")) {
        (true, Some(value)) => Op::set(path, value.clone()),
        (true, None) => return Err(": 'value' required for set".to_owned()),
        (false, _) => Op::delete(path),
    };
    let precondition = condition::if_match(&fields).map_err(|problem| format!(": {problem}"))?;
    Ok(op.when(precondition))
}

/// A batch of which nothing was written, with the op that is to blame.
async fn refused(store: &Embedded, error: Error) -> Refusal {
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
