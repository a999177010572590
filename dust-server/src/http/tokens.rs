//! `/api/tokens`: who may do what.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::answer::{Refusal, json};
use super::call::{Call, Fields};
use super::openapi;
use crate::control::{NewToken, Scope, Token};

/// List the tokens
#[utoipa::path(
    get, path = "/api/tokens", tag = "tokens", operation_id = "list_tokens", security(("token" = ["tokens:read"])),
    responses((status = 200, description = "Those whose stores are among the token's own.", body = openapi::Tokens))
)]
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::TokensRead)?;
    let tokens = call.shared().control.tokens(&call.token.org);
    let seen = tokens.iter().filter(|token| may_see(&call.token, token));
    let shown = seen.map(|token| shown(&call, token)).collect::<Vec<_>>();
    Ok(json(StatusCode::OK, &json!({ "tokens": shown })))
}

/// Create a token
///
/// It has no scopes and stores that the asking one has not.
#[utoipa::path(
    post, path = "/api/tokens", tag = "tokens", operation_id = "create_token", security(("token" = ["tokens:write"])),
    request_body = openapi::NewToken,
    responses(
        (status = 201, description = "Created. The secret is shown this once.", body = openapi::TokenCreated),
        (status = 404, description = "`not_found`: no such store.", body = openapi::Refusal),
        (status = 422, description = "A field is not as it must be.", body = openapi::Refusal),
    )
)]
pub(super) async fn create(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::TokensWrite)?;
    let fields = call.fields();
    let name = fields.get("name").ok_or_else(|| Refusal::invalid("name is required"))?;
    let name = name.str().ok_or_else(|| Refusal::field("name", "is invalid"))?;
    let scopes = scopes(&fields)?;
    let stores = stores(&call, &fields)?;
    // What is no scope at all is a scope that nobody has.
    let scopes = scopes.ok_or_else(Refusal::forbidden)?;
    if !call.token.covers(&scopes, stores.as_ref()) {
        return Err(Refusal::forbidden());
    }
    if scopes.is_empty() {
        return Err(Refusal::field("scopes", "must include at least one scope"));
    }
    if name.is_empty() {
        return Err(Refusal::field("name", "can't be blank"));
    }
    let mut new = NewToken::full(&call.token.org, name).with_scopes(scopes);
    new.stores = stores;
    // A token does not outlive the one that made it.
    new.expires_at = call.token.expires_at;
    let created = call.change(move |shared| async move { shared.control.create_token(new).await });
    let (token, secret) = created.await?;
    let mut body = shown(&call, &token);
    if let Some(body) = body.as_object_mut() {
        body.insert("raw_token".to_owned(), secret.into());
        // The list tells these, the answer to a creation does not.
        for name in ["expires_at", "inserted_at", "last_used_at", "store_name"] {
            body.remove(name);
        }
    }
    Ok(json(StatusCode::CREATED, &body))
}

/// Revoke a token
#[utoipa::path(
    delete, path = "/api/tokens/{id}", tag = "tokens", operation_id = "revoke_token", security(("token" = ["tokens:write"])),
    params(("id" = Uuid, Path, description = "The token's id.")),
    responses((status = 200, description = "Revoked.", body = openapi::Done))
)]
pub(super) async fn revoke(call: Call) -> Result<Response, Refusal> {
    call.require(Scope::TokensWrite)?;
    let id = Uuid::parse_str(call.param("id")).map_err(|_| Refusal::invalid("the id of a token is a UUID"))?;
    let control = &call.shared().control;
    let found = control.token(id).filter(|token| token.org == call.token.org);
    let found = found.ok_or_else(Refusal::not_found)?;
    if !call.token.covers(&found.scopes, found.stores.as_ref()) {
        return Err(Refusal::forbidden());
    }
    let revoked = call.change(move |shared| async move { shared.control.revoke_token(id).await });
    if !revoked.await? {
        return Err(Refusal::not_found());
    }
    Ok(json(StatusCode::OK, &json!({ "ok": true })))
}

/// Whether a token is told of another: its stores are among its own.
fn may_see(own: &Token, other: &Token) -> bool {
    own.covers(&BTreeSet::new(), other.stores.as_ref())
}

/// The scopes that are asked for; `None` if one of them is none.
fn scopes(fields: &Fields) -> Result<Option<BTreeSet<Scope>>, Refusal> {
    let Some(asked) = fields.get("scopes") else {
        let (read, write) = (fields.is_true("read"), fields.is_true("write"));
        return Ok(Some(Scope::legacy(read || !write, write)));
    };
    let names = asked.to::<Vec<String>>();
    let names = names.map_err(|_| Refusal::field("scopes", "is invalid"))?;
    Ok(names.iter().map(|name| Scope::parse(name)).collect())
}

/// The stores that are asked for; `None` for all.
fn stores(call: &Call, fields: &Fields) -> Result<Option<BTreeSet<Uuid>>, Refusal> {
    if fields.text("store_access_mode").as_deref() == Some("all") {
        return Ok(None);
    }
    let control = &call.shared().control;
    let mut stores = BTreeSet::new();
    if let Some(ids) = fields.get("store_ids") {
        let ids = ids.to::<Vec<Uuid>>();
        let ids = ids.map_err(|_| Refusal::invalid("store_ids must be a list of UUIDs"))?;
        for id in ids {
            let found = control.store_by_id(id).filter(|store| store.org == call.token.org);
            let found = found.ok_or_else(|| Refusal::field("store_ids", "include unknown stores"))?;
            stores.insert(found.id);
        }
    }
    let mut names: Vec<String> = fields.text("store_name").into_iter().collect();
    if let Some(more) = fields.get("store_names") {
        let more = more.to::<Vec<String>>();
        names.extend(more.map_err(|_| Refusal::invalid("store_names must be a list of strings"))?);
    }
    for name in names {
        let found = control.store(&call.token.org, &name).ok_or_else(Refusal::not_found)?;
        stores.insert(found.id);
    }
    if stores.is_empty() {
        let detail = "selected store access requires store_ids or store_name";
        return Err(Refusal::invalid(detail));
    }
    Ok(Some(stores))
}

fn shown(call: &Call, token: &Token) -> serde_json::Value {
    let granted = token.stores.iter().flatten();
    let stores: Vec<_> = granted
        .filter_map(|id| call.shared().control.store_by_id(*id))
        .collect();
    let only = stores.first().filter(|_| stores.len() == 1);
    json!({
        "id": token.id,
        "name": token.name,
        "scopes": token.scopes,
        "permissions": {
            "read": token.has(Scope::EntriesRead),
            "write": token.has(Scope::EntriesWrite),
        },
        "store_access_mode": if token.stores.is_some() { "selected" } else { "all" },
        "stores": stores.iter().map(|store| json!({ "id": store.id, "name": store.name })).collect::<Vec<_>>(),
        "store_name": only.map(|store| &store.name),
        "expires_at": token.expires_at.map(|end| end.to_string()),
        "inserted_at": token.inserted_at.to_string(),
        "last_used_at": call.shared().control.last_used_at(token.id).map(|time| time.to_string()),
    })
}
