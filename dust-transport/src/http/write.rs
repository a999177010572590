//! Writes: one op as a request of its own, several as one batch, or one by one where the server is too old for that; and
//! batches by the extensions of a server that has some.

use std::sync::atomic::Ordering;

use reqwest::Method;
use reqwest::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};

use super::Http;
use super::body::{BatchBody, BatchWrittenBody, OpBody, SubtreeBody, WriteBody, WrittenBody, read, write};
use super::condition::{Condition, WireOp, needed_by, served_by, translate};
use super::exchange::{Answer, Effect, Request};
use super::failure::unreadable;
use crate::error::{ConflictAt, Error, ErrorKind, Outcome};
use crate::model::{Batch, Extension, Extensions, OpId, Seq, Value};
use crate::transport::Written;

/// The most ops of one batch.
pub(super) const OPS_MAX: usize = 1000;

/// What the server keeps as the op's id.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Which extensions the request uses.
const EXTENSIONS: HeaderName = HeaderName::from_static(Extension::HEADER);

impl Http {
    pub(super) async fn write_batch(&self, batch: Batch) -> Result<Written, Error> {
        let refuse = |detail| Err(Error::new(ErrorKind::InvalidParams, "invalid_params", detail));
        if batch.ops.is_empty() {
            return refuse("a batch has at least one op");
        }
        if batch.ops.len() > OPS_MAX {
            return refuse("a batch has at most 1000 ops");
        }
        let served = served_by(&batch);
        let extensions = if served.is_empty() {
            served
        } else {
            self.extensions().await
        };
        let ops = translate(&batch, extensions)?;
        let needed = needed_by(&ops);
        if !needed.is_empty() {
            return self.write_extended(&ops, needed, batch.id.as_ref()).await;
        }
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
        let answer = self.inner.exchange.send(self.batch_request(ops, id)?).await?;
        match answer.status {
            200 => written(ops.len(), &answer.body).map(Some),
            // Where an attempt before may have been applied, the route was there, and the ops are not to be sent again.
            404 if !answer.uncertain => Ok(None),
            _ => Err(self.inner.exchange.refusal(&answer, None)),
        }
    }

    /// Sends a batch that needs extensions.
    async fn write_extended(
        &self,
        ops: &[WireOp<'_>],
        needed: Extensions,
        id: Option<&OpId>,
    ) -> Result<Written, Error> {
        let names = HeaderValue::try_from(needed.to_string()).map_err(unreadable)?;
        let request = self.batch_request(ops, id)?.header(EXTENSIONS, names);
        let answer = self.inner.exchange.send(request).await?;
        match answer.status {
            200 if answer.extensions.both(needed) == needed => written(ops.len(), &answer.body),
            200 => {
                let detail =
                    "the server does not know the extensions of the request, and may have ignored its conditions";
                Err(Error::new(ErrorKind::Http, "extensions_ignored", detail).with_outcome(Outcome::Unknown))
            }
            _ => Err(self.inner.exchange.refusal(&answer, None)),
        }
    }

    fn batch_request(&self, ops: &[WireOp<'_>], id: Option<&OpId>) -> Result<Request, Error> {
        let body = BatchBody {
            ops: ops.iter().map(op_body).collect(),
        };
        let request = Request::write(Method::POST, self.inner.address.route("/batch_write")?).json(write(&body)?);
        let is_conditional = ops.iter().any(|op| op.condition != Condition::None);
        self.identified(request, id.map(OpId::as_str), is_conditional)
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
        let by_url = match op.value() {
            Some(value) if !is_put_whole(value) => None,
            _ => address.entry(op.path)?,
        };
        let Some(url) = by_url else {
            let method = if op.value().is_some() {
                Method::POST
            } else {
                Method::DELETE
            };
            let body = WriteBody {
                path: op.path.as_str(),
                value: op.value(),
                if_match: if_match(op.condition),
                if_absent: if_absent(op.condition),
            };
            return Ok(Request::write(method, address.route("")?).json(write(&body)?));
        };
        let request = match op.value() {
            Some(value) => Request::write(Method::PUT, url).json(value.json().to_owned()),
            None => Request::write(Method::DELETE, url),
        };
        Ok(match op.condition {
            // Conditions on subtrees travel in batches.
            Condition::None | Condition::Leaves(..) | Condition::Highest(..) => request,
            // A bare integer: servers refuse the quoted form of the ETag.
            Condition::Match(revision) => request.header(IF_MATCH, HeaderValue::from(revision.0)),
            Condition::Absent => request.header(IF_NONE_MATCH, HeaderValue::from_static("*")),
        })
    }

    /// The request with the op id, and with what a repetition of it would do.
    fn identified(&self, mut request: Request, id: Option<&str>, is_conditional: bool) -> Result<Request, Error> {
        if is_conditional || (id.is_some() && self.op_ids_are_deduplicated()) {
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

/// Reads the answer to a batch of so many ops.
fn written(ops: usize, body: &[u8]) -> Result<Written, Error> {
    let body: BatchWrittenBody = read(body)?;
    if body.ops.len() != ops {
        return Err(unreadable(format_args!("{} ops of {ops}", body.ops.len())));
    }
    Ok(Written {
        seqs: body.ops.iter().map(|op| Seq(op.store_seq)).collect(),
        done: Vec::new(),
        deduplicated: body.deduplicated,
    })
}

fn op_body<'a>(op: &WireOp<'a>) -> OpBody<'a> {
    OpBody {
        op: op.action.kind().as_str(),
        path: op.path.as_str(),
        value: op.value(),
        if_match: if_match(op.condition),
        if_absent: if_absent(op.condition),
        if_subtree: if_subtree(op.condition),
    }
}

fn if_match(condition: Condition<'_>) -> Option<u64> {
    match condition {
        Condition::Match(revision) => Some(revision.0),
        _ => None,
    }
}

fn if_absent(condition: Condition<'_>) -> Option<bool> {
    (condition == Condition::Absent).then_some(true)
}

fn if_subtree(condition: Condition<'_>) -> Option<SubtreeBody<'_>> {
    match condition {
        Condition::Leaves(root, leaves) => Some(SubtreeBody {
            root: root.as_str(),
            leaves: Some(
                leaves
                    .iter()
                    .map(|(path, revision)| (path.as_str(), revision.0))
                    .collect(),
            ),
            revision: None,
        }),
        Condition::Highest(root, revision) => Some(SubtreeBody {
            root: root.as_str(),
            leaves: None,
            revision: Some(revision.0),
        }),
        Condition::None | Condition::Match(_) | Condition::Absent => None,
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
