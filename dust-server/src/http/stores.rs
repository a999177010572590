//! `/api/stores`: which stores there are.

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use crate::control::{Scope, Store};

pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::StoresRead)?;
    let stores = call.shared().control.stores(&call.token.org);
    let seen = stores.iter().filter(|store| call.token.may_access(store.id));
    let body = json!({ "org": call.token.org, "stores": seen.map(shown).collect::<Vec<_>>() });
    Ok(json(StatusCode::OK, &body))
}

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

/// `DELETE /api/stores/<org>/<store>`: archives it.
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
