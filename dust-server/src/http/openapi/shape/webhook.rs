//! Webhooks and their deliveries.

use utoipa::ToSchema;
use uuid::Uuid;

/// A webhook to create.
#[derive(ToSchema)]
#[schema(example = json!({ "url": "https://receiver.example/hook" }))]
pub(in crate::http) struct NewWebhook {
    #[schema(pattern = "^https?://")]
    url: String,
}

/// A new webhook, with the secret of its signatures, which is shown this once.
#[derive(ToSchema)]
pub(in crate::http) struct WebhookCreated {
    id: Uuid,
    url: String,
    /// `whsec_` and 64 hex digits.
    secret: String,
    active: bool,
    inserted_at: String,
}

/// A webhook.
#[derive(ToSchema)]
pub(in crate::http) struct WebhookShown {
    id: Uuid,
    url: String,
    /// Whether it is sent to; five failures in a row end that.
    active: bool,
    inserted_at: String,
    /// The last op up to which all were delivered.
    last_delivered_seq: u64,
    /// How many deliveries have failed in a row.
    failure_count: u64,
}

/// The webhooks of a store.
#[derive(ToSchema)]
pub(in crate::http) struct Webhooks {
    webhooks: Vec<WebhookShown>,
}

/// What a receiver answered to a ping.
#[derive(ToSchema)]
#[schema(example = json!({ "ok": true, "status_code": 204, "response_ms": 12 }))]
pub(in crate::http) struct Pinged {
    /// Whether the status is one of success.
    ok: bool,
    status_code: u64,
    response_ms: u64,
}

/// Why a receiver was not pinged.
#[derive(ToSchema)]
pub(in crate::http) struct NotPinged {
    ok: bool,
    #[schema(required)]
    error: Option<String>,
    detail: String,
}

/// An attempt to deliver an op.
#[derive(ToSchema)]
pub(in crate::http) struct DeliveryShown {
    id: Uuid,
    store_seq: u64,
    #[schema(required)]
    status_code: Option<u64>,
    #[schema(required)]
    response_ms: Option<u64>,
    #[schema(required)]
    error: Option<String>,
    attempted_at: String,
}

/// Attempts to deliver.
#[derive(ToSchema)]
pub(in crate::http) struct Deliveries {
    deliveries: Vec<DeliveryShown>,
}
