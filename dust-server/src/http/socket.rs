//! `GET /ws/sync/websocket`: who may open a socket.
//!
//! The upgrade is made here and not by axum's `ws`: the socket needs the connection itself, see `channel::wire`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};
use axum::response::Response;
use dust_transport::channel::{CAPVER, Codec};
use dust_transport::model::DeviceId;
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::query::Query;
use crate::channel::Client;
use crate::server::Shared;

/// What devices are called that are no client's.
const RESERVED_DEVICES: [&str; 3] = ["system:", "http:", "mcp"];

pub(super) async fn connect(State(shared): State<Arc<Shared>>, mut request: Request) -> Response {
    let Some(client) = admit(&shared, request.uri(), request.headers()) else {
        return empty(StatusCode::FORBIDDEN);
    };
    let Some(accept) = accept_key(&request) else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return empty(StatusCode::UPGRADE_REQUIRED);
    };
    if shared.channels.is_stopping() {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    }
    if shared.channels.is_stopping() {
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    }
    shared.channels.serve(upgrade, client);
    switching(&accept)
}

/// The client that the query names; `None` if it may not connect. Nobody is told why.
fn admit(shared: &Arc<Shared>, uri: &Uri, headers: &HeaderMap) -> Option<Client> {
    let query = Query::parse(uri.query()).ok()?;
    let get = |name: &str| query.text(name).ok().flatten();
    let token = shared.control.authenticate(get("token")?)?;
    let capver: u32 = get("capver")?.parse().ok()?;
    let device = get("device_id")?;
    if capver < CAPVER || RESERVED_DEVICES.iter().any(|prefix| device.starts_with(prefix)) {
        return None;
    }
    let codec = Codec::of_version(get("vsn")?)?;
    if !is_origin_allowed(shared, headers) {
        return None;
    }
    Some(Client {
        shared: Arc::clone(shared),
        token,
        device: DeviceId::new(device).ok()?,
        codec,
    })
}

/// A browser says from which page it connects; only the server's own pages may, and those that are named.
fn is_origin_allowed(shared: &Shared, headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return true;
    };
    let Some(origin) = origin.to_str().ok().and_then(|origin| origin.parse::<Uri>().ok()) else {
        return false;
    };
    let Some(page) = origin.host() else { return false };
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let own = own.and_then(|host| host.parse::<Uri>().ok());
    own.as_ref().and_then(Uri::host) == Some(page)
        || shared.config.channels.origins.iter().any(|allowed| allowed == page)
}

/// What the client's key is answered by, if this is a request for a WebSocket.
fn accept_key(request: &Request) -> Option<String> {
    let headers = request.headers();
    let has = |name: HeaderName, word: &str| {
        let values = headers
            .get_all(name)
            .into_iter()
            .filter_map(|value| value.to_str().ok());
        let mut words = values.flat_map(|value| value.split(','));
        words.any(|given| given.trim().eq_ignore_ascii_case(word))
    };
    let is_asked_for = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has(header::CONNECTION, "upgrade")
        && has(header::UPGRADE, "websocket")
        && has(header::SEC_WEBSOCKET_VERSION, "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).filter(|_| is_asked_for)?;
    Some(derive_accept_key(key.as_bytes()))
}

fn switching(accept: &str) -> Response {
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(accept) = HeaderValue::try_from(accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
