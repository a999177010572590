//! `…/webhooks`: who is told of what is written.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;
use uuid::Uuid;

use super::answer::{Refusal, json};
use super::call::Call;
use super::openapi::{self, StorePath, WebhookPath};
use super::query::positive;
use crate::control::{Scope, Store};
use crate::webhook::{Delivery, Hook, WebhookError};

const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;

/// List the webhooks of a store
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/webhooks", tag = "webhooks", operation_id = "list_webhooks",
    security(("token" = ["webhooks:read"])), params(StorePath),
    responses((status = 200, description = "Those of the store.", body = openapi::Webhooks))
)]
pub(super) async fn list(call: Call) -> Result<Response, Refusal> {
    let store = granted(&call, Scope::WebhooksRead)?;
    let hooks = call.shared().webhooks.of_store(store.id);
    for hook in &hooks {
        call.shared().webhooks.refresh(hook).await?;
    }
    let shown = hooks.iter().map(|hook| {
        let status = hook.status();
        json!({
            "id": hook.record.id,
            "url": hook.record.url,
            "active": status.active,
            "inserted_at": hook.record.inserted_at.to_string(),
            "last_delivered_seq": status.last_delivered_seq,
            "failure_count": status.failure_count,
        })
    });
    let body = json!({ "webhooks": shown.collect::<Vec<_>>() });
    Ok(json(StatusCode::OK, &body))
}

/// Create a webhook
///
/// Every op that is committed from now on is posted to the address as JSON. The header `x-dust-signature` is
/// `sha256=` and the hex digits of the HMAC-SHA256 of the body by the secret.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/webhooks", tag = "webhooks", operation_id = "create_webhook",
    security(("token" = ["webhooks:write"])), params(StorePath), request_body = openapi::NewWebhook,
    responses(
        (status = 201, description = "Created. The secret is shown this once.", body = openapi::WebhookCreated),
        (status = 422, description = "`invalid_params`: no address; `limit_exceeded`.", body = openapi::Refusal),
    )
)]
pub(super) async fn create(call: Call) -> Result<Response, Refusal> {
    let store = granted(&call, Scope::WebhooksWrite)?;
    let url = call.fields().text("url");
    let url = url.ok_or_else(|| Refusal::unprocessable("invalid_params"))?;
    let created = call.carry(move |shared| async move {
        // What is committed from now on is sent.
        let after = shared.open(&store).await?.head().await?;
        let now = shared.control.now();
        let hook = shared.webhooks.create(store.id, &url, after.0, now).await?;
        Ok::<_, Refusal>(hook)
    });
    let hook = created.await?;
    let body = json!({
        "id": hook.record.id,
        "url": hook.record.url,
        "secret": hook.record.secret,
        "active": hook.status().active,
        "inserted_at": hook.record.inserted_at.to_string(),
    });
    Ok(json(StatusCode::CREATED, &body))
}

/// Delete a webhook
#[utoipa::path(
    delete, path = "/api/stores/{org}/{store}/webhooks/{id}", tag = "webhooks", operation_id = "delete_webhook",
    security(("token" = ["webhooks:write"])), params(WebhookPath),
    responses((status = 200, description = "It is gone.", body = openapi::Done))
)]
pub(super) async fn delete(call: Call) -> Result<Response, Refusal> {
    let hook = hook(&call, Scope::WebhooksWrite)?;
    let deleted = call.carry(move |shared| async move { Ok::<_, Refusal>(shared.webhooks.delete(&hook).await?) });
    deleted.await?;
    Ok(json(StatusCode::OK, &json!({ "ok": true })))
}

/// Send a ping
///
/// One that is answered by a status of success also brings back a webhook that has failed too often.
#[utoipa::path(
    post, path = "/api/stores/{org}/{store}/webhooks/{id}/ping", tag = "webhooks", operation_id = "ping_webhook",
    security(("token" = ["webhooks:write"])), params(WebhookPath),
    responses(
        (status = 200, description = "What the receiver answered.", body = openapi::Pinged),
        (status = 502, description = "The receiver was not reached.", body = openapi::NotPinged),
    )
)]
pub(super) async fn ping(call: Call) -> Result<Response, Refusal> {
    let hook = hook(&call, Scope::WebhooksWrite)?;
    let store = format!("{}/{}", call.param("org"), call.param("store"));
    let pinged = call.carry(move |shared| async move {
        let body = json!({ "event": "ping", "store": store, "timestamp": shared.control.now().to_string() });
        let (url, secret) = (&hook.record.url, &hook.record.secret);
        let attempt = shared.sender.send(url, secret, body.to_string()).await;
        if attempt.is_ok() {
            shared.webhooks.reactivate(&hook).await?;
        }
        Ok::<_, Refusal>(attempt)
    });
    let attempt = pinged.await?;
    Ok(match attempt.status_code {
        Some(status) => {
            let body = json!({ "ok": attempt.is_ok(), "status_code": status, "response_ms": attempt.response_ms });
            json(StatusCode::OK, &body)
        }
        None => json(
            StatusCode::BAD_GATEWAY,
            &json!({ "ok": false, "error": attempt.error, "detail": "the receiver gave no answer" }),
        ),
    })
}

/// List the deliveries of a webhook
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/webhooks/{id}/deliveries", tag = "webhooks", operation_id = "list_deliveries",
    security(("token" = ["webhooks:read"])),
    params(
        WebhookPath,
        ("limit" = Option<u64>, Query, nullable = false, description = "20 by default, at most 100."),
    ),
    responses((status = 200, description = "Attempts, the newest first.", body = openapi::Deliveries))
)]
pub(super) async fn deliveries(call: Call) -> Result<Response, Refusal> {
    let hook = hook(&call, Scope::WebhooksRead)?;
    let limit = positive(call.query.text("limit")?)
        .unwrap_or(LIMIT_DEFAULT)
        .min(LIMIT_MAX);
    call.shared().webhooks.refresh(&hook).await?;
    let deliveries = hook.deliveries(limit, call.shared().control.now());
    let body = json!({ "deliveries": deliveries.iter().map(shown).collect::<Vec<_>>() });
    Ok(json(StatusCode::OK, &body))
}

fn shown(delivery: &Delivery) -> serde_json::Value {
    json!({
        "id": delivery.id,
        "store_seq": delivery.store_seq,
        "status_code": delivery.status_code,
        "response_ms": delivery.response_ms,
        "error": delivery.error,
        "attempted_at": delivery.attempted_at.to_string(),
    })
}

/// The store that the URL names, for a token that has the scope there.
fn granted(call: &Call, scope: Scope) -> Result<Store, Refusal> {
    let store = call.granted()?;
    call.require(scope)?;
    Ok(store)
}

/// The webhook that the URL names.
fn hook(call: &Call, scope: Scope) -> Result<Arc<Hook>, Refusal> {
    let store = granted(call, scope)?;
    let id = Uuid::parse_str(call.param("id")).map_err(|_| Refusal::invalid("the id of a webhook is a UUID"))?;
    let found = call.shared().webhooks.find(store.id, id);
    found.ok_or_else(Refusal::not_found)
}

impl From<WebhookError> for Refusal {
    fn from(error: WebhookError) -> Self {
        match error {
            WebhookError::InvalidUrl => Self::unprocessable("invalid_params"),
            WebhookError::TooMany => Self::unprocessable("limit_exceeded").with("detail", error.to_string()),
            WebhookError::NoRandomness => Self::internal(),
            WebhookError::Store(error) => error.into(),
        }
    }
}
