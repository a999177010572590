//! `rollback`: a path, or a store, as it was.

use dust_transport::channel::Refusal;
use dust_transport::model::Value;

use super::client::Answered;
use super::push::{Fields, Joined, Outcome, refused, seq_of};
use crate::control::Scope;

/// Brings back what was there after the op `to_seq`: at and below `path`, or everywhere if there is none.
pub(super) async fn run(at: &Joined, payload: &Value) -> Answered<Outcome> {
    at.client.require(Scope::EntriesWrite)?;
    at.require_active()?;
    let fields = Fields::read(payload)?;
    let to = fields.get("to_seq").and_then(seq_of).ok_or_else(|| {
        Box::new(Refusal {
            message: Some("to_seq must be the number of an op".to_owned()),
            ..Refusal::new("invalid_payload")
        })
    })?;
    let whole = fields.get("path").is_none_or(Value::is_null);
    let back = if whole {
        at.data.rollback_store(to).await
    } else {
        let path = fields.path()?;
        at.data.rollback(&path, to).await
    };
    let back = back.map_err(|error| refused(&error))?;
    let response = match (whole, back.ops) {
        (true, ops) => Value::map([("ops_written", Value::from(ops as u64))]),
        (false, 0) => Value::map([("store_seq", Value::from(back.head.0)), ("noop", Value::from(true))]),
        (false, _) => Value::map([("store_seq", Value::from(back.head.0))]),
    };
    Ok((response, Some(back.head).filter(|_| back.ops > 0)))
}
