//! Whether the server lives, and where live events are.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use super::openapi::{self, StorePath};
use crate::server::Shared;

/// Whether the process answers
#[utoipa::path(
    get, path = "/healthz", tag = "server", operation_id = "healthz",
    responses((status = 200, description = "It does.", body = openapi::Health))
)]
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// Whether the database answers
#[utoipa::path(
    get, path = "/readyz", tag = "server", operation_id = "readyz",
    responses(
        (status = 200, description = "It does.", body = openapi::Readiness),
        (status = 503, description = "It does not.", body = openapi::Readiness),
    )
)]
pub(super) async fn readyz(State(shared): State<Arc<Shared>>) -> Response {
    match shared.check().await {
        Ok(()) => json(
            StatusCode::OK,
            &json!({ "status": "ok", "checks": { "database": "ok", "pubsub": "ok" } }),
        ),
        Err(error) => {
            tracing::error!(code = error.code(), detail = error.detail(), "not ready");
            json(
                StatusCode::SERVICE_UNAVAILABLE,
                &json!({ "status": "unavailable", "checks": { "database": "unavailable", "pubsub": "ok" } }),
            )
        }
    }
}

/// Counts, without a name of anybody's
#[utoipa::path(
    get, path = "/metrics", tag = "server", operation_id = "metrics",
    responses((status = 200, description = "In the text format of Prometheus.", content_type = "text/plain", body = String))
)]
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let (stores, tokens) = shared.control.counts();
    let text = shared.metrics.text(stores, tokens) + &shared.channels.metrics();
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// Where live events are
///
/// They travel over a WebSocket, which the answer names.
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/subscribe", tag = "entries", operation_id = "subscribe", params(StorePath),
    security(("token" = [])), responses((status = 426, description = "Always.", body = openapi::UpgradeRequired))
)]
pub(super) async fn subscribe(call: Call) -> Refusal {
    let host = call.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    Refusal::upgrade_required(format!("ws://{}/ws/sync/websocket", host.unwrap_or("localhost")))
}

/// The same under another name
#[utoipa::path(
    get, path = "/api/stores/{org}/{store}/watch", tag = "entries", operation_id = "watch", params(StorePath),
    security(("token" = [])), responses((status = 426, description = "Always.", body = openapi::UpgradeRequired))
)]
pub(super) async fn watch(call: Call) -> Refusal {
    subscribe(call).await
}
