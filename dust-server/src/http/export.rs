//! `GET …/export`: all leaves of a store, one to a line.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use dust_store::Snapshot;
use dust_transport::error::Error;
use dust_transport::model::{Entry, Value};
use futures_core::Stream;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::Refusal;
use super::call::Call;
use crate::control::Scope;

/// The version of the paths in an export: rendered with `/` and its escapes.
pub(super) const PATH_SCHEMA_VERSION: u64 = 3;

/// The content type of lines of JSON.
const NDJSON: &str = "application/x-ndjson; charset=utf-8";

pub(super) async fn export(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::EntriesRead).await?;
    // Another format than these two is the usual one, too.
    if call.query.text("format")? == Some("sqlite") {
        return Err(Refusal::not_implemented("an export is JSON lines: format=jsonl"));
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
    let (sender, chunks) = mpsc::channel(1);
    tokio::spawn(send(
        snapshot,
        format!("{header}\n"),
        sender,
        call.shared().config.body_timeout,
    ));
    let mut response = Response::new(Body::from_stream(Chunks(chunks)));
    let kind = HeaderValue::from_static(NDJSON);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// Pieces of the body, in order. An error breaks the connection, so that nobody takes a part for the whole.
type Piece = Result<String, Error>;

/// Reads a page when the one before it is on its way. A client that takes none for so long is not waited for: what is read
/// keeps what is overwritten in the meantime.
async fn send(mut snapshot: Snapshot, header: String, pieces: mpsc::Sender<Piece>, patience: Duration) {
    let mut piece = Ok(header);
    loop {
        let failed = piece.is_err();
        let sent = timeout(patience, pieces.send(piece)).await;
        match sent {
            Ok(Ok(())) if !failed => {}
            Ok(_) => return,
            Err(_) => {
                // The channel is full, so this waits for the client without holding the snapshot.
                drop(snapshot);
                let late = Error::new(
                    dust_transport::error::ErrorKind::Timeout,
                    "timeout",
                    "the client did not read",
                );
                let _ = pieces.send(Err(late)).await;
                return;
            }
        }
        piece = match snapshot.next_page().await {
            Ok(entries) if entries.is_empty() => return,
            Ok(entries) => Ok(lines(&entries)),
            Err(error) => {
                tracing::error!(code = error.code(), detail = error.detail(), "an export ends early");
                Err(error)
            }
        };
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

struct Chunks(mpsc::Receiver<Piece>);

impl Stream for Chunks {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(cx)
    }
}
