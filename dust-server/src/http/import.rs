//! `POST …/import`: leaves, one to a line, as an export writes them.

use axum::http::StatusCode;
use axum::response::Response;
use dust_store::Embedded;
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Action, Batch, Op, OpId, Path, Value};
use dust_transport::transport::Transport as _;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::{Call, Fields, Payload};
use super::export::PATH_SCHEMA_VERSION;
use super::openapi::{self, StorePath, WriteHeaders};
use crate::control::Scope;

/// The most lines of which it is told why they failed.
const FAILED_MAX: usize = 1000;

/// How many ops are committed at once, and about how many bytes.
const BATCH_OPS_MAX: usize = 500;
const BATCH_BYTES_MAX: usize = 1 << 20;

/// The most members of a set. Each is an op, since only ops on sets make sets.
const SET_MEMBERS_MAX: usize = 500;

/// The most bytes that the log gets for one set: the op of each member has all members before it.
const SET_LOG_BYTES_MAX: usize = 16 << 20;

/// Import leaves
///
/// Lines are written by the hundreds, and what was written stays where a later line fails.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/import", tag = "stores", operation_id = "import_store",
    security(("token" = ["entries:write"])), params(StorePath, WriteHeaders),
    request_body(description = "Leaves as an export writes them, one to a line, by any type but JSON.",
        content((String = "application/x-ndjson"), (String = "text/plain"))),
    responses((status = 200, description = "What became of the lines.", body = openapi::ImportReport))
)]
pub(super) async fn import(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::EntriesWrite).await?;
    if matches!(call.payload, Payload::Json(_)) {
        return Err(Refusal::invalid(
            "the content-type of an import is application/x-ndjson",
        ));
    }
    // Read twice, so that a body of many short lines takes no memory beside itself.
    let lines = || call.body.split(|byte| *byte == b'\n').map(Line::read);
    check_version(lines())?;
    let mut import = Import {
        store,
        op_id: call.op_id(),
        pending: Vec::new(),
        report: Report::default(),
    };
    for (number, line) in (1..).zip(lines()) {
        import.take(number, line).await?;
    }
    import.flush().await?;
    Ok(import.report.answer())
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
    has_failed: bool,
    /// The first of them.
    failed: Vec<serde_json::Value>,
}

impl Report {
    fn fail(&mut self, line: usize, path: Option<&str>, reason: &str) {
        self.has_failed = true;
        if self.failed.len() < FAILED_MAX {
            let failed = json!({ "line": line, "path": path, "reason": reason });
            self.failed.push(failed);
        }
    }

    fn answer(self) -> Response {
        let body = json!({
            "ok": !self.has_failed,
            "imported": self.imported,
            "skipped": self.skipped,
            "unparseable": self.unparseable,
            "failed": self.failed,
        });
        json(StatusCode::OK, &body)
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
    store: Embedded,
    op_id: Option<OpId>,
    /// Lines that are committed together.
    pending: Vec<Item>,
    report: Report,
}

impl Import {
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
        let ops = match made(&path, leaf) {
            Ok(ops) => ops,
            Err(reason) => {
                self.flush().await?;
                self.report.fail(line, Some(path.as_str()), reason);
                return Ok(());
            }
        };
        let mut item = Item { line, path, ops };
        let replaces = item.ops.iter().any(|op| matches!(op.action, Action::Set(_)));
        if !replaces {
            // What is there must go first, as with a set.
            self.flush().await?;
            if self.store.exists(&item.path).await? {
                item.ops.insert(0, Op::delete(item.path.clone()));
            }
        }
        let size = |item: &Item| {
            let values = item.ops.iter().filter_map(|op| op.action.value());
            (item.ops.len(), values.map(|value| value.json().len()).sum::<usize>())
        };
        let sizes = self.pending.iter().chain([&item]).map(size);
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
        let Some(first) = items.first() else { return Ok(()) };
        let ops = items.iter().flat_map(|item| item.ops.iter().cloned());
        match self.write(first.line, Batch::new(ops)).await {
            Ok(()) => {
                self.report.imported += items.len();
                return Ok(());
            }
            Err(error) if error.kind() == ErrorKind::InvalidParams => {}
            Err(error) => return Err(error),
        }
        for item in items {
            match self.write(item.line, Batch::new(item.ops)).await {
                Ok(()) => self.report.imported += 1,
                Err(error) if error.kind() == ErrorKind::InvalidParams => {
                    self.report.fail(item.line, Some(item.path.as_str()), error.code());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A request that is sent again does not write again what it has written.
    async fn write(&self, line: usize, batch: Batch) -> Result<(), Error> {
        let id = self.op_id.as_ref().map(|id| OpId::new(format!("{id}:{line}")));
        let batch = match id {
            Some(Ok(id)) => batch.with_id(id),
            _ => batch,
        };
        self.store.write(batch).await.map(drop)
    }
}

/// The ops that make a leaf of this kind where nothing is.
fn made(path: &Path, leaf: Leaf) -> Result<Vec<Op>, &'static str> {
    let path = path.clone();
    let value = leaf.value;
    let op = match leaf.kind.as_deref() {
        Some("file" | "lease") => return Err("type_not_supported"),
        Some("counter") => Op::increment(path, value),
        Some("set") => return members(&path, &value),
        Some(kind @ ("decimal" | "datetime")) if value.str().is_some() => {
            Op::set(path, Value::map([("_type", Value::from(kind)), ("_typed", value)]))
        }
        _ => Op::set(path, value),
    };
    Ok(vec![op])
}

/// The newest member of a set comes first, so they are added from the last on.
fn members(path: &Path, value: &Value) -> Result<Vec<Op>, &'static str> {
    let members = value.items().ok_or("set_requires_list")?;
    if members.len() > SET_MEMBERS_MAX - 1 || members.len() * value.json().len() > SET_LOG_BYTES_MAX {
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
