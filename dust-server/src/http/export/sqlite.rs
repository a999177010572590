//! An export as a file of SQLite, in the tables of the original server: `store_entries`, `store_ops`, `store_snapshots`.
//!
//! The file is written page by page beside the store, then sent, and removed when it has been sent or nobody takes it.

use std::io::Read as _;
use std::path::Path;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use dust_store::{Embedded, Logged};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Entry, OpId, OpKind, Seq, Value, ValueKind};
use rusqlite::{Connection, Transaction, params};
use tempfile::NamedTempFile;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::spawn_blocking;

use super::super::answer::Refusal;
use super::super::call::Call;
use super::super::stream::{Source, body};
use crate::Timestamp;

/// The tables, and what says of which version they are.
const SCHEMA: &str = "
    PRAGMA journal_mode = OFF;
    PRAGMA synchronous = OFF;
    PRAGMA user_version = 3;
    CREATE TABLE store_ops (
        store_seq INTEGER PRIMARY KEY, op TEXT NOT NULL, path TEXT NOT NULL, value TEXT, type TEXT, device_id TEXT NOT NULL,
        client_op_id TEXT, inserted_at TEXT NOT NULL
    );
    CREATE TABLE store_entries (path TEXT PRIMARY KEY, value TEXT NOT NULL, type TEXT NOT NULL, seq INTEGER NOT NULL);
    CREATE TABLE store_snapshots (snapshot_seq INTEGER PRIMARY KEY, snapshot_data TEXT NOT NULL, inserted_at TEXT NOT NULL);
";

/// The bytes of the log that are read at once, about.
const PAGE_BYTES: usize = 1 << 20;

/// The most ops that are read at once.
const PAGE_OPS_MAX: usize = 1000;

/// The bytes of the file that are sent at once.
const CHUNK_BYTES: usize = 256 << 10;

pub(super) async fn export(call: &Call, store: Embedded) -> Result<Response, Refusal> {
    let shared = call.shared();
    // Each takes as much of the disk as its store, so there are not many at once. The semaphore is never closed.
    let permit = std::sync::Arc::clone(&shared.exports).acquire_owned().await;
    let permit = permit.map_err(|_| Refusal::internal())?;
    let file = write(store.clone(), shared.config.temporary.clone())
        .await
        .map_err(|error| {
            tracing::error!(code = error.code(), detail = error.detail(), "an export failed");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "export_failed")
        })?;
    let length = file.as_file().metadata().map_err(|_| Refusal::internal())?.len();
    let name = store.store_name().as_str().replace('/', "_");
    let content = Content {
        file: Some(file),
        _permit: permit,
    };
    let mut response = Response::new(body(content, shared.config.body_timeout));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/x-sqlite3; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}.db\""));
    headers.insert(
        header::CONTENT_DISPOSITION,
        disposition.map_err(|_| Refusal::internal())?,
    );
    Ok(response)
}

/// A piece of a store.
enum Page {
    Entries(Vec<Entry>),
    Ops(Vec<Logged>),
    /// There is nothing more. A channel that ends without it belongs to a client that has left.
    End,
}

/// Writes one state of a store with its log into a file. Reading waits for the store, writing for the disk, so each has a
/// thread of its own.
async fn write(store: Embedded, folder: std::path::PathBuf) -> Result<NamedTempFile, Error> {
    let (pages, received) = mpsc::channel(1);
    let writing = spawn_blocking(move || build(&folder, received));
    let read = read(&store, &pages).await;
    drop(pages);
    let written = writing.await.map_err(|error| failed("the writer stopped", error))?;
    read?;
    written
}

async fn read(store: &Embedded, pages: &mpsc::Sender<Page>) -> Result<(), Error> {
    let mut snapshot = store.snapshot().await?;
    loop {
        let entries = snapshot.next_page().await?;
        // The writer tells what is wrong when it has stopped.
        if entries.is_empty() || pages.send(Page::Entries(entries)).await.is_err() {
            break;
        }
    }
    // What the log says of the past does not change, so it need not be read from the snapshot.
    let mut before = Seq(snapshot.head().0.saturating_add(1));
    drop(snapshot);
    let mut limit = 16;
    loop {
        let ops = match store.log(before, limit).await {
            Ok(ops) => ops,
            // The log has been shortened meanwhile: it begins with what has been read.
            Err(error) if error.code() == "compacted" => break,
            Err(error) => return Err(error),
        };
        let Some(last) = ops.last() else { break };
        before = last.event.seq;
        let bytes: usize = ops
            .iter()
            .filter_map(|op| op.event.value.as_ref())
            .map(|value| value.json().len() + 256)
            .sum();
        limit = (PAGE_BYTES * ops.len() / bytes.max(1)).clamp(1, PAGE_OPS_MAX);
        if pages.send(Page::Ops(ops)).await.is_err() {
            break;
        }
    }
    let _ = pages.send(Page::End).await;
    Ok(())
}

fn build(folder: &Path, mut pages: mpsc::Receiver<Page>) -> Result<NamedTempFile, Error> {
    let file = tempfile::Builder::new()
        .prefix("dust-export-")
        .suffix(".db")
        .tempfile_in(folder);
    let file = file.map_err(|error| failed("the file cannot be made", error))?;
    let mut connection = Connection::open(file.path()).map_err(refused)?;
    connection.execute_batch(SCHEMA).map_err(refused)?;
    let transaction = connection.transaction().map_err(refused)?;
    loop {
        match pages.blocking_recv() {
            Some(Page::Entries(entries)) => insert_entries(&transaction, &entries),
            Some(Page::Ops(ops)) => insert_ops(&transaction, &ops),
            Some(Page::End) => break,
            None => return Err(Error::new(ErrorKind::Closed, "closed", "the export was given up")),
        }
        .map_err(refused)?;
    }
    transaction.commit().map_err(refused)?;
    connection.close().map_err(|(_, error)| refused(error))?;
    Ok(file)
}

fn insert_entries(to: &Transaction<'_>, entries: &[Entry]) -> rusqlite::Result<()> {
    let mut insert = to.prepare("INSERT INTO store_entries (path, value, type, seq) VALUES (?1, ?2, ?3, ?4)")?;
    for entry in entries {
        let value = envelope(&entry.value, entry.kind);
        insert.execute(params![
            entry.path.as_str(),
            value.json(),
            entry.kind.as_str(),
            number(entry.revision)
        ])?;
    }
    Ok(())
}

fn insert_ops(to: &Transaction<'_>, ops: &[Logged]) -> rusqlite::Result<()> {
    let mut insert = to.prepare(
        "INSERT INTO store_ops (store_seq, op, path, value, type, device_id, client_op_id, inserted_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    for op in ops {
        let event = &op.event;
        let kind = event.value.as_ref().map(|value| kind_of(event.kind, value));
        let value = event
            .value
            .as_ref()
            .zip(kind)
            .map(|(value, kind)| envelope(value, kind));
        insert.execute(params![
            number(event.seq),
            event.kind.as_str(),
            event.path.as_str(),
            value.as_ref().map(Value::json),
            kind.map(ValueKind::as_str),
            event.device.as_str(),
            event.op_id.as_ref().map(OpId::as_str),
            Timestamp::from_ms(op.at_ms).to_string(),
        ])?;
    }
    Ok(())
}

/// The kind that an op gives to its value, as far as it can be seen: the log has decimals and times as text.
fn kind_of(op: OpKind, value: &Value) -> ValueKind {
    match op {
        OpKind::Increment => ValueKind::Counter,
        OpKind::Add | OpKind::Remove => ValueKind::Set,
        OpKind::PutFile => ValueKind::File,
        OpKind::Lease | OpKind::Renew => ValueKind::Lease,
        _ => value.as_leaf().map_or(ValueKind::Map, |(_, kind)| kind),
    }
}

/// A value as the original stores it: maps as they are, others in an object that says what they are.
fn envelope(value: &Value, kind: ValueKind) -> Value {
    if value.is_map() {
        return value.clone();
    }
    match kind {
        ValueKind::Decimal | ValueKind::Datetime => {
            Value::map([("_type", Value::from(kind.as_str())), ("_typed", value.clone())])
        }
        _ => Value::map([("_scalar", value.clone())]),
    }
}

/// SQLite has no larger numbers than these, and no store has so many ops.
fn number(seq: Seq) -> i64 {
    i64::try_from(seq.0).unwrap_or(i64::MAX)
}

fn refused(error: rusqlite::Error) -> Error {
    failed("SQLite refuses", error)
}

fn failed(what: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::new(ErrorKind::Storage, "export_failed", what).with_source(error)
}

/// The bytes of the file, which goes with it.
struct Content {
    /// Away while it is being read from.
    file: Option<NamedTempFile>,
    _permit: OwnedSemaphorePermit,
}

impl Source for Content {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(mut file) = self.file.take() else {
            return Ok(None);
        };
        let reading = spawn_blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
            read.map(|_| (file, chunk))
        });
        let read = reading.await.map_err(|error| failed("the reader stopped", error))?;
        let (file, chunk) = read.map_err(|error| failed("the file cannot be read", error))?;
        self.file = Some(file);
        Ok((!chunk.is_empty()).then(|| chunk.into()))
    }
}
