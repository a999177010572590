//! `POST …/clone`: a new store with all that another one holds.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use crate::control::{ControlError, Scope};

pub(super) async fn clone(call: Call) -> Result<Response, Refusal> {
    let source = call.store(Scope::StoresClone).await?.store_name().to_string();
    let fields = call.fields();
    let name = fields.get("name").ok_or_else(|| Refusal::invalid("name is required"))?;
    let name = name
        .str()
        .ok_or_else(|| Refusal::unprocessable("name_taken"))?
        .into_owned();
    let org = call.token.org.clone();
    let cloned = call.change(move |shared| async move {
        let copy = shared.control.clone_store(&org, &name, &source, &shared.database).await;
        // The wire has one code for all that is wrong with a name.
        match copy {
            Err(ControlError::InvalidName(_) | ControlError::Exists(_)) => Ok(None),
            other => other.map(Some),
        }
    });
    let store = cloned.await?.ok_or_else(|| Refusal::unprocessable("name_taken"))?;
    let shown = json!({ "id": store.id, "name": store.name, "full_name": store.full_name() });
    Ok(json(StatusCode::CREATED, &json!({ "ok": true, "store": shown })))
}
