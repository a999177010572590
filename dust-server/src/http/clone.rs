//! `POST …/clone`: a new store with all that another one holds.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use super::openapi::{self, StorePath};
use crate::control::{ControlError, Scope};

/// Copy a store with its log
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/clone", tag = "stores", operation_id = "clone_store",
    security(("token" = ["stores:clone"])), params(StorePath), request_body = openapi::NewClone,
    responses(
        (status = 201, description = "Copied.", body = openapi::StoreCloned),
        (status = 422, description = "`name_taken`: no name, or one that is taken.", body = openapi::Refusal),
    )
)]
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
