//! `/api/stores`: which stores there are.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use super::openapi::{self, StorePath};
use crate::control::{Scope, Store};

/// List the stores
#[utoipa::path(
    get, path = "/api/stores", tag = "stores", operation_id = "list_stores", security(("token" = ["stores:read"])),
    responses((status = 200, description = "Those that the token may know.", body = openapi::Stores))
)]
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::StoresRead)?;
    let stores = call.shared().control.stores(&call.token.org);
    let seen = stores.iter().filter(|store| call.token.may_access(store.id));
    let body = json!({ "org": call.token.org, "stores": seen.map(shown).collect::<Vec<_>>() });
    Ok(json(StatusCode::OK, &body))
}

/// Create a store
#[utoipa::path(
    post, path = "/api/stores", tag = "stores", operation_id = "create_store", security(("token" = ["stores:create"])),
    request_body = openapi::NewStore,
    responses(
        (status = 201, description = "Created.", body = openapi::StoreCreated),
        (status = 404, description = "`not_found`: no such organisation.", body = openapi::Refusal),
        (status = 422, description = "`invalid_store`: no name, or one that is taken.", body = openapi::Refusal),
    )
)]
pub(super) async fn create(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::StoresCreate)?;
    let fields = call.fields();
    let name = fields.get("name").ok_or_else(|| Refusal::invalid("name is required"))?;
    let name = name.str().ok_or_else(|| Refusal::unprocessable("invalid_store"))?;
    let ttl_seconds = match fields.get("ttl") {
        Some(ttl) if !ttl.is_null() => {
            let seconds = ttl.to::<u64>().ok().filter(|seconds| *seconds > 0);
            Some(seconds.ok_or_else(|| Refusal::invalid("ttl must be a positive number of seconds"))?)
        }
        _ => None,
    };
    let (org, name) = (call.token.org.clone(), name.into_owned());
    let created = call.change(move |shared| async move { shared.control.create_store(&org, &name, ttl_seconds).await });
    let store = created.await?;
    Ok(json(StatusCode::CREATED, &json!({ "store": shown(&store) })))
}

/// Archive a store
#[utoipa::path(
    delete, path = "/api/stores/{org}/{store}", tag = "stores", operation_id = "archive_store",
    security(("token" = ["stores:create"])), params(StorePath),
    responses((status = 200, description = "It is no longer there.", body = openapi::StoreArchived))
)]
pub(super) async fn archive(call: Call) -> Result<Response, Refusal> {
    let store = call.granted()?;
    call.require(Scope::StoresCreate)?;
    let archived = call.change(move |shared| async move { shared.archive(store.id).await });
    let archived = archived.await?.ok_or_else(Refusal::not_found)?;
    Ok(json(StatusCode::OK, &json!({ "ok": true, "store": shown(&archived) })))
}

fn shown(store: &Store) -> serde_json::Value {
    json!({
        "id": store.id,
        "name": store.name,
        "full_name": store.full_name(),
        "status": store.status,
        "inserted_at": store.inserted_at.to_string(),
        "expires_at": store.expires_at.map(|end| end.to_string()),
    })
}
