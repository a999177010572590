//! Tokens.

use utoipa::ToSchema;
use uuid::Uuid;

use super::ScopeName;

/// A store that a token may access.
#[derive(ToSchema)]
pub(in crate::http) struct GrantedStore {
    id: Uuid,
    name: String,
}

/// What a token may do with entries.
#[derive(ToSchema)]
pub(in crate::http) struct Permissions {
    read: bool,
    write: bool,
}

/// A token without its secret.
#[derive(ToSchema)]
pub(in crate::http) struct TokenShown {
    id: Uuid,
    name: String,
    scopes: Vec<ScopeName>,
    permissions: Permissions,
    /// `all` or `selected`.
    store_access_mode: String,
    stores: Vec<GrantedStore>,
    #[schema(required)]
    store_name: Option<String>,
    #[schema(required)]
    expires_at: Option<String>,
    inserted_at: String,
    #[schema(required)]
    last_used_at: Option<String>,
}

/// The tokens that the asking one may know.
#[derive(ToSchema)]
pub(in crate::http) struct Tokens {
    tokens: Vec<TokenShown>,
}

/// A token to create. Without `scopes`, `read` and `write` say which it has.
#[derive(ToSchema)]
#[schema(example = json!({ "name": "reader", "scopes": ["entries:read"], "store_access_mode": "selected", "store_name": "site" }))]
pub(in crate::http) struct NewToken {
    #[schema(min_length = 1)]
    name: String,
    #[schema(nullable = false)]
    scopes: Option<Vec<ScopeName>>,
    #[schema(nullable = false)]
    read: Option<bool>,
    #[schema(nullable = false)]
    write: Option<bool>,
    /// `all`; otherwise the stores are named.
    #[schema(nullable = false)]
    store_access_mode: Option<String>,
    #[schema(nullable = false)]
    store_ids: Option<Vec<Uuid>>,
    #[schema(nullable = false)]
    store_name: Option<String>,
    #[schema(nullable = false)]
    store_names: Option<Vec<String>>,
}

/// A new token, with its secret, which is shown this once.
#[derive(ToSchema)]
pub(in crate::http) struct TokenCreated {
    id: Uuid,
    name: String,
    raw_token: String,
    scopes: Vec<ScopeName>,
    permissions: Permissions,
    store_access_mode: String,
    stores: Vec<GrantedStore>,
}
