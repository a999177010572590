//! Writes: one op as a request of its own, several as one batch, or one by one where the server is too old for that.

use std::sync::atomic::Ordering;

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::Http;
use super::body::{BatchBody, BatchWrittenBody, OpBody, WriteBody, WrittenBody, read, write};
use super::condition::{Condition, WireOp, translate};
use super::exchange::{Answer, Effect, Request};
use super::failure::unreadable;
use crate::error::{ConflictAt, Error, ErrorKind, Outcome};
use crate::model::{Batch, OpId, Seq, Value};
use crate::transport::Written;

/// The most ops of one batch.
pub(super) const OPS_MAX: usize = 1000;

/// What the server keeps as the op's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

impl Http {
    pub(super) async fn write_batch(&self, batch: Batch) -> Result<Written, Error> {
        let refuse = |detail| Err(Error::new(ErrorKind::InvalidParams, "invalid_params", detail));
        if batch.ops.is_empty() {
            return refuse("a batch has at least one op");
        }
        if batch.ops.len() > OPS_MAX {
            return refuse("a batch has at most 1000 ops");
        }
        let ops = translate(&batch)?;
        if let [op] = ops.as_slice() {
            let id = batch.id.as_ref().map(|id| id.as_str().to_owned());
            let written = self.write_one(op, id.as_deref()).await?;
            return Ok(Written {
                seqs: vec![Seq(written.store_seq)],
                done: Vec::new(),
                deduplicated: written.deduplicated,
            });
        }
        if self.inner.atomic_batches.load(Ordering::Relaxed)
            && let Some(written) = self.write_at_once(&ops, batch.id.as_ref()).await?
        {
            return Ok(written);
        }
        self.write_one_by_one(&ops, batch.id.as_ref()).await
    }

    /// Sends a batch as one request; `None` if the server does not know the route.
    async fn write_at_once(&self, ops: &[WireOp<'_>], id: Option<&OpId>) -> Result<Option<Written>, Error> {
        let body = BatchBody {
            ops: ops.iter().map(op_body).collect(),
        };
        let request = Request::write(Method::POST, self.inner.address.route("/batch_write")?).json(write(&body)?);
        let is_conditional = ops.iter().any(|op| op.condition != Condition::None);
        let request = self.identified(request, id.map(OpId::as_str), is_conditional)?;
        let answer = self.inner.exchange.send(request).await?;
        match answer.status {
            200 => {
                let body: BatchWrittenBody = read(&answer.body)?;
                if body.ops.len() != ops.len() {
                    return Err(unreadable(format_args!("{} ops of {}", body.ops.len(), ops.len())));
                }
                let seqs = body.ops.iter().map(|op| Seq(op.store_seq)).collect();
                Ok(Some(Written {
                    seqs,
                    done: Vec::new(),
                    deduplicated: body.deduplicated,
                }))
            }
            // Where an attempt before may have been applied, the route was there, and the ops are not to be sent again.
            404 if !answer.uncertain => Ok(None),
            _ => Err(self.inner.exchange.refusal(&answer, None)),
        }
    }

    /// Sends one request per op, in order, and stops at the first that is refused.
    async fn write_one_by_one(&self, ops: &[WireOp<'_>], id: Option<&OpId>) -> Result<Written, Error> {
        let mut seqs = Vec::with_capacity(ops.len());
        let mut deduplicated = true;
        for (index, op) in ops.iter().enumerate() {
            // As the server numbers the ops of a batch.
            let id = id.map(|id| format!("{id}:{index}"));
            let written = self.write_one(op, id.as_deref()).await.map_err(|error| {
                let error = match error.conflict().cloned() {
                    Some(conflict) => error.with_conflict(ConflictAt {
                        op_index: index,
                        ..conflict
                    }),
                    None => error,
                };
                // The ops before it are there to stay.
                if index == 0 {
                    error
                } else {
                    error.with_outcome(Outcome::Unknown)
                }
            })?;
            // The server has the store, and so it is the route that it lacks.
            if self.inner.atomic_batches.swap(false, Ordering::Relaxed) {
                tracing::warn!("the server has no batch_write; batches are written op by op, and not all or nothing");
            }
            seqs.push(Seq(written.store_seq));
            deduplicated &= written.deduplicated;
        }
        Ok(Written {
            seqs,
            done: Vec::new(),
            deduplicated,
        })
    }

    async fn write_one(&self, op: &WireOp<'_>, id: Option<&str>) -> Result<WrittenBody, Error> {
        let request = self.identified(self.request(op)?, id, op.condition != Condition::None)?;
        let answer: Answer = self.inner.exchange.send(request).await?;
        match answer.status {
            200 => read(&answer.body),
            _ => Err(self.inner.exchange.refusal(&answer, Some(op.path))),
        }
    }

    /// The request of one op: by the address of its path, or by the body where the address or the value cannot say it.
    fn request(&self, op: &WireOp<'_>) -> Result<Request, Error> {
        let address = &self.inner.address;
        let by_url = match op.value {
            Some(value) if !is_put_whole(value) => None,
            _ => address.entry(op.path)?,
        };
        let Some(url) = by_url else {
            let method = if op.value.is_some() {
                Method::POST
            } else {
                Method::DELETE
            };
            let body = WriteBody {
                path: op.path.as_str(),
                value: op.value,
                if_match: if_match(op.condition),
                if_absent: (op.condition == Condition::Absent).then_some(true),
            };
            return Ok(Request::write(method, address.route("")?).json(write(&body)?));
        };
        let request = match op.value {
            Some(value) => Request::write(Method::PUT, url).json(value.json().to_owned()),
            None => Request::write(Method::DELETE, url),
        };
        Ok(match op.condition {
            Condition::None => request,
            // A bare integer: servers refuse the quoted form of the ETag.
            Condition::Match(revision) => request.header(IF_MATCH, HeaderValue::from(revision.0)),
            Condition::Absent => request.header(IF_NONE_MATCH, HeaderValue::from_static("*")),
        })
    }

    /// The request with the op id, and with what a repetition of it would do.
    fn identified(&self, mut request: Request, id: Option<&str>, is_conditional: bool) -> Result<Request, Error> {
        if is_conditional || (id.is_some() && self.inner.options.op_ids) {
            request.effect = Effect::Settled;
        }
        let Some(id) = id else { return Ok(request) };
        let value = HeaderValue::from_bytes(id.as_bytes()).map_err(|error| {
            Error::new(
                ErrorKind::InvalidParams,
                "invalid_id",
                "the op id cannot stand in a header",
            )
            .with_source(error)
        })?;
        Ok(request.header(REQUEST_ID, value))
    }
}

fn op_body<'a>(op: &WireOp<'a>) -> OpBody<'a> {
    OpBody {
        op: if op.value.is_some() { "set" } else { "delete" },
        path: op.path.as_str(),
        value: op.value,
        if_match: if_match(op.condition),
    }
}

fn if_match(condition: Condition) -> Option<u64> {
    match condition {
        Condition::Match(revision) => Some(revision.0),
        Condition::None | Condition::Absent => None,
    }
}

/// Whether a PUT of the value stores it. An empty map counts as no body, and of a map with the key `_json` the hosted
/// server takes what is under that.
fn is_put_whole(value: &Value) -> bool {
    match value.entries() {
        Some(entries) => !entries.is_empty() && entries.iter().all(|(key, _)| key != "_json"),
        None => true,
    }
}
