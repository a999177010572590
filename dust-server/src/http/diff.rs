//! `GET …/diff`: what is different between two states of a store.

use axum::http::StatusCode;
use axum::response::Response;
use dust_store::Change;
use dust_transport::model::{Seq, Value};

use super::answer::{Refusal, json_text};
use super::call::Call;
use super::openapi::{self, StorePath};
use crate::control::Scope;

/// Compare two states of a store
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/diff", tag = "stores", operation_id = "diff_store",
    security(("token" = ["entries:read"])),
    params(
        StorePath,
        ("from_seq" = i64, Query, description = "The state after this op."),
        ("to_seq" = Option<i64>, Query, nullable = false, description = "The state after this op; by default the last."),
    ),
    responses((status = 200, description = "The paths whose values are not the same.", body = openapi::Diff))
)]
pub(super) async fn diff(call: Call) -> Result<Response, Refusal> {
    let store = call.store(Scope::EntriesRead).await?;
    let from = call.query.text("from_seq")?;
    let from = from.ok_or_else(|| Refusal::invalid("from_seq is required"))?;
    let from: i64 = from
        .parse()
        .map_err(|_| Refusal::invalid("from_seq must be an integer"))?;
    let to = match call.query.text("to_seq")?.and_then(|text| text.parse().ok()) {
        Some(to) => to,
        None => i64::try_from(store.head().await?.0).unwrap_or(i64::MAX),
    };
    let changes = match store.diff(seq(from), seq(to)).await {
        Err(error) if error.code() == "compacted" => {
            let earliest = store.status().await?.compacted;
            return Err(Refusal::compacted(earliest.0));
        }
        changes => changes?,
    };
    let changes = Value::list(changes.into_iter().map(shown));
    let text = format!("{{\"from_seq\":{from},\"to_seq\":{to},\"changes\":{changes}}}");
    Ok(json_text(StatusCode::OK, text))
}

/// Before the first op there is nothing, however far before.
fn seq(number: i64) -> Seq {
    Seq(u64::try_from(number).unwrap_or(0))
}

fn shown(change: Change) -> Value {
    Value::map([
        ("path", Value::from(change.path.as_str())),
        ("before", change.before.unwrap_or_else(Value::null)),
        ("after", change.after.unwrap_or_else(Value::null)),
    ])
}
