//! The routes.

mod answer;
mod batch;
mod call;
mod clone;
mod condition;
mod diff;
mod entries;
mod export;
mod extension;
mod files;
mod guard;
mod import;
mod index;
mod list;
mod log;
mod openapi;
mod pages;
mod query;
mod request_id;
mod socket;
mod status;
mod stores;
mod stream;
mod tokens;
mod webhooks;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{delete, get, post};

use answer::Refusal;
pub(crate) use pages::Pages;

use crate::server::Shared;

/// All routes over a server's data.
pub(crate) fn router(shared: &Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/api/stores", get(stores::list).post(stores::create))
        .route("/api/stores/{org}/{store}", delete(stores::archive))
        .route("/api/stores/{org}/{store}/subscribe", get(status::subscribe))
        .route("/api/stores/{org}/{store}/watch", get(status::watch))
        .route("/api/stores/{org}/{store}/log", get(log::log))
        .route("/api/stores/{org}/{store}/clone", post(clone::clone))
        .route("/api/stores/{org}/{store}/diff", get(diff::diff))
        .route("/api/stores/{org}/{store}/export", get(export::export))
        .route("/api/stores/{org}/{store}/import", post(import::import))
        .route(
            "/api/stores/{org}/{store}/indexes",
            get(index::list).post(index::ensure).delete(index::drop),
        )
        .route("/api/stores/{org}/{store}/query", post(index::query))
        .route("/api/stores/{org}/{store}/records", post(index::write_records))
        .route("/api/stores/{org}/{store}/entries", entries::of_the_store())
        .route("/api/stores/{org}/{store}/entries/{*path}", entries::of_one_path())
        .route(
            "/api/stores/{org}/{store}/webhooks",
            get(webhooks::list).post(webhooks::create),
        )
        .route("/api/stores/{org}/{store}/webhooks/{id}", delete(webhooks::delete))
        .route("/api/stores/{org}/{store}/webhooks/{id}/ping", post(webhooks::ping))
        .route(
            "/api/stores/{org}/{store}/webhooks/{id}/deliveries",
            get(webhooks::deliveries),
        )
        .route("/api/files/{hash}", get(files::read))
        .route("/api/capabilities", get(extension::capabilities))
        .route("/api/tokens", get(tokens::list).post(tokens::create))
        .route("/api/tokens/{id}", delete(tokens::revoke))
        .route_layer(from_fn_with_state(Arc::clone(shared), guard::admit));
    let routes = Router::new()
        .route("/healthz", get(status::healthz))
        .route("/readyz", get(status::readyz))
        .route("/metrics", get(status::metrics))
        .route("/ws/sync/websocket", get(socket::connect))
        .route("/openapi.json", get(openapi::document))
        .route("/api-docs", get(openapi::page))
        .merge(api)
        .fallback(no_route)
        .method_not_allowed_fallback(no_route)
        .with_state(Arc::clone(shared));
    // A router below, so that the path is put right before it is looked up.
    Router::new()
        .fallback_service(routes)
        .layer(from_fn_with_state(Arc::clone(shared), request_id::answer))
}

async fn no_route(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    guard::refuse(&shared, request, Refusal::no_route()).await
}
