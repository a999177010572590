//! `GET …/log`: what was done, the newest first.

use axum::http::StatusCode;
use axum::response::Response;
use dust_store::{Embedded, Logged};
use dust_transport::error::Error;
use dust_transport::model::{Pattern, Seq, Value};

use super::answer::{Refusal, json_text};
use super::call::Call;
use super::openapi::{self, StorePath};
use super::query::{Query, positive};
use crate::Timestamp;
use crate::control::Scope;

const LIMIT_DEFAULT: usize = 50;

/// The most ops of a page.
const LIMIT_MAX: usize = 1000;

/// The most ops that are read at once when the log is searched.
const SEARCHED_AT_ONCE: usize = 1000;

/// Which ops are asked for; what is `None` does not matter.
#[derive(Debug, Default)]
struct Filter {
    path: Option<Pattern>,
    device: Option<String>,
    op: Option<String>,
    since_ms: Option<u64>,
}

/// One page, and how many ops all pages have together.
#[derive(Debug)]
struct Found {
    ops: Vec<Logged>,
    total: usize,
}

/// Read the log
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/log", tag = "stores", operation_id = "read_log",
    security(("token" = ["audit:read"])),
    params(
        StorePath,
        ("path" = Option<String>, Query, nullable = false, description = "A pattern that the path of an op matches."),
        ("device_id" = Option<String>, Query, nullable = false),
        ("op" = Option<String>, Query, nullable = false, description = "The kind of the op."),
        ("since" = Option<String>, Query, nullable = false, format = DateTime),
        ("limit" = Option<u64>, Query, nullable = false, description = "50 by default, at most 1000."),
        ("page" = Option<u64>, Query, nullable = false, description = "From 1."),
    ),
    responses((status = 200, description = "A page, the newest op first.", body = openapi::Log))
)]
pub(super) async fn log(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::AuditRead).await?;
    let filter = Filter::read(&call.query)?;
    let limit = positive(call.query.text("limit")?)
        .unwrap_or(LIMIT_DEFAULT)
        .min(LIMIT_MAX);
    let page = positive(call.query.text("page")?).unwrap_or(1);
    let found = filter.page(&store, (page - 1).saturating_mul(limit), limit).await?;
    Ok(json_text(StatusCode::OK, found.text(page, limit)))
}

impl Filter {
    fn read(query: &Query) -> Result<Self, Refusal> {
        let path = query.text("path")?.map(Pattern::parse).transpose();
        let path = path.map_err(|error| Refusal::invalid(format!("path is not valid ({})", error.code())))?;
        let since = query.text("since")?.map(|text| {
            let time = Timestamp::parse(text);
            time.ok_or_else(|| Refusal::invalid("since must be a time such as 2026-11-22T08:25:56Z"))
        });
        Ok(Self {
            path,
            device: query.text("device_id")?.map(str::to_owned),
            op: query.text("op")?.map(str::to_owned),
            since_ms: since.transpose()?.map(Timestamp::as_ms),
        })
    }

    fn is_empty(&self) -> bool {
        self.path.is_none() && self.device.is_none() && self.op.is_none() && self.since_ms.is_none()
    }

    fn matches(&self, op: &Logged) -> bool {
        self.path.as_ref().is_none_or(|pattern| pattern.matches(&op.event.path))
            && self
                .device
                .as_ref()
                .is_none_or(|device| device == op.event.device.as_str())
            && self.op.as_ref().is_none_or(|kind| kind == op.event.kind.as_str())
            && self.since_ms.is_none_or(|since_ms| op.at_ms >= since_ms)
    }

    /// The ops after the first `skipped` that match.
    async fn page(&self, store: &Embedded, skipped: usize, limit: usize) -> Result<Found, Error> {
        let status = store.status().await?;
        let head = status.head;
        if self.is_empty() {
            // Every op matches, so where a page begins is known.
            let last = head.0.saturating_sub(u64::try_from(skipped).unwrap_or(u64::MAX));
            return Ok(Found {
                ops: store.log(Seq(last.saturating_add(1)), limit).await?,
                total: usize::try_from(status.ops).unwrap_or(usize::MAX),
            });
        }
        let mut found = Found {
            ops: Vec::new(),
            total: 0,
        };
        let mut before = Seq(head.0.saturating_add(1));
        loop {
            let ops = store.log(before, SEARCHED_AT_ONCE).await?;
            let Some(last) = ops.last() else {
                return Ok(found);
            };
            before = last.event.seq;
            for op in ops.into_iter().filter(|op| self.matches(op)) {
                if found.total >= skipped && found.ops.len() < limit {
                    found.ops.push(op);
                }
                found.total += 1;
            }
            // Reads of the page cache do not wait, and a search may be long.
            tokio::task::yield_now().await;
        }
    }
}

impl Found {
    fn text(&self, page: usize, limit: usize) -> String {
        let ops = self.ops.iter().map(shown);
        let pages = self.total.div_ceil(limit).max(1);
        format!(
            "{{\"ops\":{},\"pagination\":{{\"page\":{page},\"limit\":{limit},\"total\":{},\"total_pages\":{pages}}}}}",
            Value::list(ops),
            self.total,
        )
    }
}

fn shown(op: &Logged) -> Value {
    let event = &op.event;
    let fields = [
        ("store_seq", Value::from(event.seq.0)),
        ("op", Value::from(event.kind.as_str())),
        ("path", Value::from(event.path.as_str())),
        ("value", event.value.clone().unwrap_or_else(Value::null)),
        ("device_id", Value::from(event.device.as_str())),
        ("inserted_at", Value::from(Timestamp::from_ms(op.at_ms).to_string())),
    ];
    Value::map(fields)
}
