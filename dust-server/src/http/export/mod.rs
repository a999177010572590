//! `GET …/export`: all of a store, as lines of JSON or as a file of SQLite.

mod sqlite;

use axum::body::Bytes;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use dust_store::Snapshot;
use dust_transport::error::Error;
use dust_transport::model::{Entry, Value};
use serde_json::json;

use super::answer::Refusal;
use super::call::Call;
use super::openapi::StorePath;
use super::stream::{Source, body};
use crate::control::Scope;

/// The version of the paths in an export: rendered with `/` and its escapes.
pub(super) const PATH_SCHEMA_VERSION: u64 = 3;

/// The content type of lines of JSON.
pub(super) const NDJSON: &str = "application/x-ndjson; charset=utf-8";

/// Export all leaves
///
/// One state of the store, whatever is written meanwhile.
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/export", tag = "stores", operation_id = "export_store",
    security(("token" = ["entries:read"])),
    params(
        StorePath,
        ("format" = Option<String>, Query, nullable = false, description = "`sqlite` for a database; otherwise lines of JSON."),
    ),
    responses(
        (status = 200, description = "A line with `_header`, then a leaf to each line; or an SQLite file.",
            content((String = "application/x-ndjson"), (Vec<u8> = "application/x-sqlite3"))),
    )
)]
pub(super) async fn export(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::EntriesRead).await?;
    // Another format than these two is the usual one, too.
    if call.query.text("format")? == Some("sqlite") {
        return sqlite::export(&call, store).await;
    }
    let snapshot = store.snapshot().await?;
    let header = json!({
        "_header": true,
        "store": store.store_name().as_str(),
        "seq": snapshot.head().0,
        "entry_count": snapshot.count().await?,
        "path_schema_version": PATH_SCHEMA_VERSION,
        "exported_at": call.shared().control.now().to_string(),
    });
    let lines = Lines {
        header: Some(format!("{header}\n")),
        snapshot,
    };
    let mut response = Response::new(body(lines, call.shared().config.body_timeout));
    let kind = HeaderValue::from_static(NDJSON);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// As long as it is held the engine keeps what is overwritten in the meantime.
struct Lines {
    header: Option<String>,
    snapshot: Snapshot,
}

impl Source for Lines {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(header) = self.header.take() {
            return Ok(Some(header.into()));
        }
        let entries = self.snapshot.next_page().await?;
        Ok((!entries.is_empty()).then(|| lines(&entries).into()))
    }
}

fn lines(entries: &[Entry]) -> String {
    let mut text = String::new();
    for entry in entries {
        text.push_str("{\"path\":");
        text.push_str(Value::from(entry.path.as_str()).json());
        text.push_str(",\"value\":");
        // A value that came with line breaks between its parts is still one line.
        let json = entry.value.json();
        if json.contains(['\n', '\r']) {
            text.extend(json.chars().filter(|c| !matches!(c, '\n' | '\r')));
        } else {
            text.push_str(json);
        }
        text.push_str(",\"type\":\"");
        text.push_str(entry.kind.as_str());
        text.push_str("\"}\n");
    }
    text
}
