//! Whether the server lives, and where live events are.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::answer::{Refusal, json};
use super::call::Call;
use crate::server::Shared;

/// `GET /healthz`: the process answers.
pub(super) async fn healthz() -> Response {
    json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// `GET /readyz`: the database answers.
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

/// `GET /metrics`: counts, without a name of anybody's.
pub(super) async fn metrics(State(shared): State<Arc<Shared>>) -> Response {
    let (stores, tokens) = shared.control.counts();
    let mut response = Response::new(Body::from(shared.metrics.text(stores, tokens)));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// `GET …/subscribe` and `…/watch`: not over HTTP.
pub(super) async fn subscribe(call: Call) -> Refusal {
    let host = call.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    Refusal::upgrade_required(format!("ws://{}/ws/sync/websocket", host.unwrap_or("localhost")))
}
