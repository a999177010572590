//! `…/indexes` and `…/query`: records found by their fields. The original has neither.

use axum::http::StatusCode;
use axum::response::Response;
use dust_transport::model::Value;
use dust_transport::query::{IndexDefinition, IndexQuery, QueryPage, RecordChange};
use dust_transport::transport::Transport as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{Refusal, json, json_text};
use super::call::{Call, Payload};
use super::entries::push_entry;
use super::openapi::{self, StorePath};
use crate::control::Scope;

/// List the indexes of a store
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/indexes", tag = "queries", operation_id = "list_indexes",
    security(("token" = ["entries:read"])), params(StorePath),
    responses((status = 200, description = "The indexes, in the order of their definition.", body = openapi::Indexes))
)]
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::EntriesRead).await?;
    Ok(json(StatusCode::OK, &json!({ "indexes": store.indexes().await? })))
}

/// Define an index, and build a part of it
///
/// From its definition on every write keeps the index. What was there before is added in parts, one for each request: send it
/// again until the state is `readable`.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/indexes", tag = "queries", operation_id = "ensure_index",
    security(("token" = ["entries:write"])), params(StorePath), request_body = openapi::IndexDefinition,
    responses(
        (status = 200, description = "How far the index has come.", body = openapi::Index),
        (status = 412, description = "Records have the same values, and the unique index is not there.", body = openapi::Refusal),
    )
)]
pub(super) async fn ensure(call: Call) -> Result<Response, Refusal> {
    let definition: IndexDefinition = body(&call, "invalid_index", IndexDefinition::KEYS)?;
    let store = call.store(Scope::EntriesWrite).await?;
    answer(&store.ensure_index(&definition).await?)
}

/// Remove an index
#[utoipa::path(
    delete, path = "/api/stores/{org}/{store}/indexes", tag = "queries", operation_id = "drop_index",
    security(("token" = ["entries:write"])), params(StorePath), request_body = openapi::IndexDefinition,
    responses((status = 200, description = "Whether there was such an index.", body = openapi::DroppedIndex))
)]
pub(super) async fn drop(call: Call) -> Result<Response, Refusal> {
    let definition: IndexDefinition = body(&call, "invalid_index", IndexDefinition::KEYS)?;
    let store = call.store(Scope::EntriesWrite).await?;
    let dropped = store.drop_index(&definition).await?;
    Ok(json(StatusCode::OK, &json!({ "dropped": dropped })))
}

/// Find records by their fields
///
/// Equal values of the first fields of an index, then at most one range of the next field.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/query", tag = "queries", operation_id = "query",
    security(("token" = ["entries:read"])), params(StorePath), request_body = openapi::Query,
    responses((status = 200, description = "A page of records, in the order of the index.", body = openapi::QueryPage))
)]
pub(super) async fn query(call: Call) -> Result<Response, Refusal> {
    let query: IndexQuery = body(&call, "invalid_query", IndexQuery::KEYS)?;
    let store = call.store(Scope::EntriesRead).await?;
    let page = store.query(&query).await?;
    Ok(json_text(StatusCode::OK, page_text(&page)))
}

/// Write records that live only in their indexes
///
/// All or nothing. Such records are in no listing and no log, and nobody is told; they are found by queries alone. A record is known by
/// its slug and its values in an index, so a request that is sent twice is done once.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/records", tag = "queries", operation_id = "write_records",
    security(("token" = ["entries:write"])), params(StorePath), request_body = openapi::RecordChanges,
    responses((status = 200, description = "Written.", body = openapi::WrittenRecords))
)]
pub(super) async fn write_records(call: Call) -> Result<Response, Refusal> {
    let changes: RecordChanges = body(&call, "invalid_record", &["changes"])?;
    let store = call.store(Scope::EntriesWrite).await?;
    let count = changes.changes.len();
    store.write_records(changes.changes).await?;
    Ok(json(StatusCode::OK, &json!({ "written": count })))
}

#[derive(Deserialize)]
struct RecordChanges {
    changes: Vec<RecordChange>,
}

/// The body of a request, which says nothing else: a condition that is misspelt is no condition that is left out.
fn body<T: DeserializeOwned>(call: &Call, code: &str, known: &[&str]) -> Result<T, Refusal> {
    let Payload::Json(value) = &call.payload else {
        return Err(Refusal::invalid("a JSON body is required"));
    };
    let Some(entries) = value.entries() else {
        return Err(Refusal::bad_request(code, "the body is a JSON object"));
    };
    if let Some((key, _)) = entries.iter().find(|(key, _)| !known.contains(&key.as_str())) {
        let detail = format!("`{key}` is unknown here; known are {}", known.join(", "));
        return Err(Refusal::bad_request(code, detail));
    }
    value.to().map_err(|error| {
        let source = std::error::Error::source(&error);
        let detail = source.map_or_else(|| error.to_string(), ToString::to_string);
        // The code is said already.
        let detail = detail.strip_prefix(&format!("{code}: ")).unwrap_or(&detail);
        Refusal::bad_request(code, detail)
    })
}

fn answer<T: Serialize>(body: &T) -> Result<Response, Refusal> {
    let text = Value::from_serialize(body).map_err(dust_transport::error::Error::from)?;
    Ok(json_text(StatusCode::OK, text.json().to_owned()))
}

fn page_text(page: &QueryPage) -> String {
    let mut text = "{\"records\":[".to_owned();
    for (at, record) in page.records.iter().enumerate() {
        text.push_str(if at == 0 { "{\"path\":" } else { ",{\"path\":" });
        text.push_str(Value::from(record.path.as_str()).json());
        text.push_str(",\"entries\":[");
        for (at, entry) in record.entries.iter().enumerate() {
            if at > 0 {
                text.push(',');
            }
            push_entry(&mut text, entry);
        }
        text.push_str("]}");
    }
    text.push_str("],\"next\":");
    let next = page
        .next
        .as_ref()
        .map_or_else(Value::null, |next| Value::from(next.as_str()));
    text.push_str(next.json());
    text.push('}');
    text
}
