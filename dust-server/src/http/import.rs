//! `POST …/import`: leaves, one to a line, as an export writes them.

use std::future::poll_fn;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use dust_store::Embedded;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Action, Batch, FileRef, Lease, Op, OpId, Path, Value};
use dust_transport::transport::{FileRange, Transport as _};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::answer::{Refusal, json};
use super::call::{Call, Fields, Payload};
use super::export::{NDJSON, PATH_SCHEMA_VERSION};
use super::files;
use super::openapi::{self, StorePath, WriteHeaders};
use super::stream::{Source, body};
use crate::control::Scope;

/// The most lines of which it is told why they failed.
const FAILED_MAX: usize = 1000;

/// How many ops are committed at once, and about how many bytes.
const BATCH_OPS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The most bytes that the log gets for one set. Each member is an op, since only ops on sets make sets, and the op of each
/// has all members before it.
const SET_LOG_BYTES_MAX: usize = 256 << 20;

/// Import leaves
///
/// Lines are written by the hundreds, and what was written stays where a later line fails. For who accepts
/// `application/x-ndjson`, too, the answer is lines that tell how far it is, and the report is the last.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/import", tag = "stores", operation_id = "import_store",
    security(("token" = ["entries:write"])), params(StorePath, WriteHeaders),
    request_body(description = "Leaves as an export writes them, one to a line, by any type but JSON.",
        content((String = "application/x-ndjson"), (String = "text/plain"))),
    responses((status = 200, description = "What became of the lines; for who accepts lines of JSON, how far it is before that.",
        content((openapi::ImportReport = "application/json"), (String = "application/x-ndjson"))))
)]
pub(super) async fn import(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::EntriesWrite).await?;
    if matches!(call.payload, Payload::Json(_)) {
        return Err(Refusal::invalid(
            "the content-type of an import is application/x-ndjson",
        ));
    }
    check_version(lines(&call.body))?;
    let (progress, steps) = watch::channel(Step::default());
    let shows_progress = accepts_lines(&call);
    let patience = call.shared().config.body_timeout;
    let import = Import {
        store,
        op_id: call.op_id(),
        call,
        pending: Vec::new(),
        report: Report::default(),
        progress,
    };
    if !shows_progress {
        let report = import.run().await?;
        return Ok(json(StatusCode::OK, &report.into_body()));
    }
    let mut running = JoinSet::new();
    running.spawn(import.run());
    let mut response = Response::new(body(Progress { steps, running }, patience));
    let kind = HeaderValue::from_static(NDJSON);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

/// The lines of a body. They are read twice, so that a body of many short lines takes no memory beside itself.
fn lines(body: &[u8]) -> impl Iterator<Item = Line> {
    body.split(|byte| *byte == b'\n').map(Line::read)
}

/// Whether the client wants to hear of an import while it goes on: it says that it accepts lines of JSON.
fn accepts_lines(call: &Call) -> bool {
    let accepted = call.headers.get_all(header::ACCEPT).iter();
    let mut kinds = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    kinds.any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case("application/x-ndjson")
    })
}

/// How far an import is.
#[derive(Debug, Clone, Copy, Default)]
struct Step {
    line: usize,
    imported: usize,
    failed: usize,
}

/// An import that is told of while it goes on: a line for each step, fewer for a client that reads slowly, and the report as
/// the last. One that nobody listens to any more ends.
struct Progress {
    steps: watch::Receiver<Step>,
    running: JoinSet<Result<Report, Refusal>>,
}

impl Source for Progress {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let Self { steps, running } = self;
        if running.is_empty() {
            return Ok(None);
        }
        let line = tokio::select! {
            Ok(()) = steps.changed() => {
                let step = *steps.borrow_and_update();
                json!({ "progress": { "line": step.line, "imported": step.imported, "failed": step.failed } })
            }
            ended = running.join_next() => match ended {
                None => return Ok(None),
                Some(Ok(Ok(report))) => report.into_body(),
                // The status has been sent; the last line says what it would have.
                Some(Ok(Err(refusal))) => refusal.into_body(),
                Some(Err(_)) => Refusal::internal().into_body(),
            },
        };
        Ok(Some(format!("{line}\n").into()))
    }
}

/// A line of an import.
#[derive(Debug)]
enum Line {
    Blank,
    /// What is said before the leaves, with the version of the paths.
    Header(Option<Value>),
    Leaf(Leaf),
    Unparseable,
}

#[derive(Debug)]
struct Leaf {
    path: String,
    value: Value,
    kind: Option<String>,
}

impl Line {
    fn read(line: &[u8]) -> Self {
        if line.trim_ascii().is_empty() {
            return Self::Blank;
        }
        let Some(fields) = Value::from_slice(line)
            .ok()
            .and_then(|value| value.entries())
            .map(Fields)
        else {
            return Self::Unparseable;
        };
        if fields.is_true("_header") {
            return Self::Header(fields.get("path_schema_version").cloned());
        }
        match fields.text("path").filter(|path| !path.is_empty()) {
            Some(path) => Self::Leaf(Leaf {
                path,
                value: fields.get("value").cloned().unwrap_or_else(Value::null),
                kind: fields.text("type"),
            }),
            None => Self::Unparseable,
        }
    }
}

/// Paths of an older kind have dots where ours have slashes. They are not guessed at: a dot is a letter like others.
fn check_version(lines: impl Iterator<Item = Line>) -> Result<(), Refusal> {
    let mut lines = lines.filter(|line| !matches!(line, Line::Blank)).peekable();
    if let Some(Line::Header(Some(version))) = lines.peek() {
        return if *version == Value::from(PATH_SCHEMA_VERSION) {
            Ok(())
        } else {
            let detail = format!("path_schema_version must be {PATH_SCHEMA_VERSION}");
            Err(Refusal::invalid(detail))
        };
    }
    let mut has_leaves = false;
    for line in lines {
        if let Line::Leaf(leaf) = line {
            has_leaves = true;
            if leaf.path.contains('/') {
                return Ok(());
            }
        }
    }
    if !has_leaves {
        return Ok(());
    }
    Err(Refusal::invalid(format!(
        "the first line must be a header: {{\"_header\":true,\"path_schema_version\":{PATH_SCHEMA_VERSION}}}"
    )))
}

/// What became of the lines.
#[derive(Debug, Default)]
struct Report {
    imported: usize,
    skipped: usize,
    unparseable: usize,
    failed_count: usize,
    /// The first of them.
    failed: Vec<serde_json::Value>,
}

impl Report {
    fn fail(&mut self, line: usize, path: Option<&str>, reason: &str) {
        self.failed_count += 1;
        if self.failed.len() < FAILED_MAX {
            let failed = json!({ "line": line, "path": path, "reason": reason });
            self.failed.push(failed);
        }
    }

    fn into_body(self) -> serde_json::Value {
        json!({
            "ok": self.failed_count == 0,
            "imported": self.imported,
            "skipped": self.skipped,
            "unparseable": self.unparseable,
            "failed": self.failed,
        })
    }
}

/// The ops of a line.
#[derive(Debug)]
struct Item {
    line: usize,
    path: Path,
    ops: Vec<Op>,
}

struct Import {
    call: Call,
    store: Embedded,
    op_id: Option<OpId>,
    /// Lines that are committed together.
    pending: Vec<Item>,
    report: Report,
    progress: watch::Sender<Step>,
}

impl Import {
    async fn run(mut self) -> Result<Report, Refusal> {
        let body = self.call.body.clone();
        for (number, line) in (1..).zip(lines(&body)) {
            self.take(number, line).await?;
        }
        self.flush().await?;
        Ok(self.report)
    }

    async fn take(&mut self, number: usize, line: Line) -> Result<(), Error> {
        match line {
            Line::Blank | Line::Header(_) => self.report.skipped += 1,
            Line::Unparseable => {
                self.flush().await?;
                self.report.unparseable += 1;
                self.report.fail(number, None, "unparseable");
            }
            Line::Leaf(leaf) => match Path::parse(&leaf.path) {
                Ok(path) => self.put(number, path, leaf).await?,
                Err(error) => {
                    self.flush().await?;
                    self.report.fail(number, Some(&leaf.path), error.code());
                }
            },
        }
        Ok(())
    }

    async fn put(&mut self, line: usize, path: Path, leaf: Leaf) -> Result<(), Error> {
        let ops = match self.made(&path, leaf).await? {
            Ok(ops) => ops,
            Err(reason) => {
                self.flush().await?;
                self.report.fail(line, Some(path.as_str()), reason);
                return Ok(());
            }
        };
        if ops.is_empty() {
            self.report.skipped += 1;
            return Ok(());
        }
        let mut item = Item { line, path, ops };
        // A lease is not taken from its holder by a file.
        let keeps = |op: &Op| {
            matches!(
                op.action,
                Action::Set(_) | Action::PutFile { .. } | Action::Lease { .. }
            )
        };
        if !item.ops.iter().any(keeps) {
            // What is there must go first, as with a set.
            self.flush().await?;
            if self.store.exists(&item.path).await? {
                item.ops.insert(0, Op::delete(item.path.clone()));
            }
        }
        let sizes = self.pending.iter().chain([&item]).map(Item::size);
        let (ops, bytes) = sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1));
        if ops > BATCH_OPS_MAX || bytes > BATCH_BYTES_MAX {
            self.flush().await?;
        }
        self.pending.push(item);
        Ok(())
    }

    /// Commits the pending lines together, or, if one of them cannot be, each for itself.
    async fn flush(&mut self) -> Result<(), Error> {
        let items = std::mem::take(&mut self.pending);
        let (Some(first), Some(last)) = (items.first(), items.last().map(|item| item.line)) else {
            return Ok(());
        };
        let ops: Vec<Op> = items.iter().flat_map(|item| item.ops.iter().cloned()).collect();
        if ops.len() > BATCH_OPS_MAX {
            // One set, which fits into no batch.
            self.write_each(items).await?;
        } else {
            match self.write(&first.line.to_string(), Batch::new(ops)).await {
                Ok(()) => self.report.imported += items.len(),
                Err(error) if is_of_the_line(&error) => self.write_each(items).await?,
                Err(error) => return Err(error),
            }
        }
        // Whoever shows it may have gone.
        self.progress.send_replace(Step {
            line: last,
            imported: self.report.imported,
            failed: self.report.failed_count,
        });
        Ok(())
    }

    async fn write_each(&mut self, items: Vec<Item>) -> Result<(), Error> {
        for item in items {
            let mut written = Ok(());
            // Only a set has so many that they are several batches; it grows from one to the next.
            for (part, ops) in item.ops.chunks(BATCH_OPS_MAX).enumerate() {
                let id = if part == 0 {
                    item.line.to_string()
                } else {
                    format!("{}.{part}", item.line)
                };
                written = self.write(&id, Batch::new(ops.iter().cloned())).await;
                if written.is_err() {
                    break;
                }
            }
            match written {
                Ok(()) => self.report.imported += 1,
                Err(error) if is_of_the_line(&error) => {
                    self.report.fail(item.line, Some(item.path.as_str()), error.code());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A request that is sent again does not write again what it has written.
    async fn write(&self, place: &str, batch: Batch) -> Result<(), Error> {
        let id = self.op_id.as_ref().map(|id| OpId::new(format!("{id}:{place}")));
        let batch = match id {
            Some(Ok(id)) => batch.with_id(id),
            _ => batch,
        };
        self.store.write(batch).await.map(drop)
    }

    /// The ops that make a leaf of this kind where nothing is; none where there is nothing to make.
    async fn made(&self, path: &Path, leaf: Leaf) -> Result<Result<Vec<Op>, &'static str>, Error> {
        let path = path.clone();
        let value = leaf.value;
        let op = match leaf.kind.as_deref() {
            Some("file") => return self.file(path, &value).await,
            Some("lease") => return Ok(self.lease(path, &value)),
            Some("counter") => Op::increment(path, value),
            Some("set") => return Ok(members(&path, &value)),
            Some(kind @ ("decimal" | "datetime")) if value.str().is_some() => {
                Op::set(path, Value::map([("_type", Value::from(kind)), ("_typed", value)]))
            }
            _ => Op::set(path, value),
        };
        Ok(Ok(vec![op]))
    }

    /// A line has what is to be known of a file but for its content, which must be in a store that the token may read.
    async fn file(&self, path: Path, value: &Value) -> Result<Result<Vec<Op>, &'static str>, Error> {
        let Some(file) = FileRef::from_value(value) else {
            return Ok(Err("not_a_file"));
        };
        let token = &self.call.token;
        if !token.has(Scope::FilesWrite) || !token.has(Scope::FilesRead) {
            return Ok(Err("missing_scope"));
        }
        let Some(mut found) = files::find(&self.call, &file.hash, FileRange::All).await? else {
            return Ok(Err("file_not_found"));
        };
        let mut content = Vec::new();
        while let Some(chunk) = poll_fn(|cx| found.body.as_mut().poll_next(cx)).await {
            content.extend_from_slice(&chunk?);
        }
        let name = file.filename.as_deref();
        Ok(Ok(vec![Op::put_file(path, content, name, Some(&file.content_type))]))
    }

    /// A lease goes on for as long as it had; its token is a new one. One whose time is over is nothing any more.
    fn lease(&self, path: Path, value: &Value) -> Result<Vec<Op>, &'static str> {
        let lease = Lease::from_value(value).ok_or("not_a_lease")?;
        let left = lease
            .expires_at_ms
            .saturating_sub(self.call.shared().control.now().as_ms());
        if left == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![Op::lease(
            path,
            lease.holder.as_deref(),
            Duration::from_millis(left),
        )])
    }
}

impl Item {
    /// How many ops it has, and how many bytes.
    fn size(&self) -> (usize, usize) {
        let bytes = self.ops.iter().map(|op| match &op.action {
            Action::PutFile { content, .. } => content.len(),
            action => action.value().map_or(0, |value| value.json().len()),
        });
        (self.ops.len(), bytes.sum())
    }
}

/// Whether other lines may be imported nevertheless.
fn is_of_the_line(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidParams | ErrorKind::Conflict)
}

/// The newest member of a set comes first, so they are added from the last on.
fn members(path: &Path, value: &Value) -> Result<Vec<Op>, &'static str> {
    let members = value.items().ok_or("set_requires_list")?;
    if members.len().saturating_mul(value.json().len()) / 2 > SET_LOG_BYTES_MAX {
        return Err("set_too_large");
    }
    if members.is_empty() {
        // Taking a member out of nothing leaves an empty set.
        return Ok(vec![Op::remove(path.clone(), 0)]);
    }
    Ok(members
        .into_iter()
        .rev()
        .map(|member| Op::add(path.clone(), member))
        .collect())
}
