//! A request to a route that needs a token.

use std::sync::Arc;

use axum::RequestExt as _;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, RawPathParams, Request};
use axum::http::{HeaderMap, header};
use dust_store::Embedded;
use dust_transport::model::{DeviceId, Extension, Extensions, OpId, Path, PathError, Value};
use tokio::time::timeout;

use super::answer::Refusal;
use super::query::Query;
use super::request_id::REQUEST_ID;
use crate::control::{ControlError, Scope, Token};
use crate::server::Shared;

/// What a route sees of a request: who asks, for what, with which body.
#[derive(Debug)]
pub(super) struct Call {
    shared: Arc<Shared>,
    pub(super) token: Arc<Token>,
    params: Vec<(String, String)>,
    pub(super) query: Query,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    extensions: Extensions,
    /// The body as it came.
    pub(super) body: Bytes,
}

/// The body of a request.
#[derive(Debug)]
pub(super) enum Payload {
    /// There is none, or it does not say that it is JSON by having a content type.
    Empty,
    /// JSON.
    Json(Value),
    /// Something else, by its content type.
    Other,
}

impl FromRequest<Arc<Shared>> for Call {
    type Rejection = Refusal;

    async fn from_request(mut request: Request, shared: &Arc<Shared>) -> Result<Self, Refusal> {
        let Ok(axum::Extension(token)) = request.extract_parts::<axum::Extension<Arc<Token>>>().await else {
            return Err(Refusal::unauthorized());
        };
        let params = request.extract_parts::<RawPathParams>().await;
        let (parts, body) = request.into_parts();
        // The body is read whatever the URL says, so that the connection can be used again.
        let bytes_max = shared.config.body_bytes_max;
        let body = timeout(shared.config.body_timeout, to_bytes(body, bytes_max)).await;
        let body = body.map_err(|_| Refusal::timeout())?;
        // A client that went away is told the same; it does not hear it.
        let body = body.map_err(|_| Refusal::too_large(bytes_max))?;
        let params = params.map_err(|_| Refusal::invalid("the path is not UTF-8"))?;
        let params = params
            .iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Ok(Self {
            shared: Arc::clone(shared),
            token,
            params,
            query: Query::parse(parts.uri.query())?,
            payload: Payload::read(&parts.headers, &body)?,
            headers: parts.headers,
            extensions: parts.extensions.get().copied().unwrap_or_default(),
            body,
        })
    }
}

impl Payload {
    fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let Some(kind) = headers.get(header::CONTENT_TYPE).filter(|_| !body.is_empty()) else {
            return Ok(Self::Empty);
        };
        let kind = kind.to_str().unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" && !kind.ends_with("+json") {
            return Ok(Self::Other);
        }
        let value = Value::from_slice(body);
        let value = value.map_err(|error| Refusal::bad_request("invalid_json", error.to_string()))?;
        Ok(Self::Json(value))
    }
}

impl Call {
    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Whether the request uses the extension.
    pub(super) fn uses(&self, extension: Extension) -> bool {
        self.extensions.contains(extension)
    }

    /// Whether the request uses any extension.
    pub(super) fn uses_extensions(&self) -> bool {
        !self.extensions.is_empty()
    }

    /// Carries a change of the control data to its end, even if the client goes away in the middle: what is committed must
    /// be seen, too.
    pub(super) async fn change<T, C, F>(&self, change: C) -> Result<T, Refusal>
    where
        T: Send + 'static,
        C: FnOnce(Arc<Shared>) -> F,
        F: Future<Output = Result<T, ControlError>> + Send + 'static,
    {
        self.carry(change).await
    }

    /// Carries what has been begun to its end, even if the client goes away in the middle.
    pub(super) async fn carry<T, E, C, F>(&self, action: C) -> Result<T, Refusal>
    where
        T: Send + 'static,
        E: Into<Refusal> + Send + 'static,
        C: FnOnce(Arc<Shared>) -> F,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let carried = tokio::spawn(action(Arc::clone(&self.shared))).await;
        carried.map_err(|_| Refusal::internal())?.map_err(Into::into)
    }

    /// A parameter of the route.
    pub(super) fn param(&self, name: &str) -> &str {
        let found = self.params.iter().find(|(given, _)| given == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// The path of the entry that the URL names.
    pub(super) fn path(&self) -> Result<Path, Refusal> {
        Path::parse(self.param("path")).map_err(|error| match error {
            PathError::EmptyPath => Refusal::invalid("path is required"),
            PathError::EmptySegment => Refusal::invalid("path cannot contain empty segments"),
            other => Refusal::invalid(other.code()),
        })
    }

    /// The fields of the body, and those of the query, which count less.
    pub(super) fn fields(&self) -> Fields {
        let entries = match &self.payload {
            Payload::Json(value) => value.entries().unwrap_or_default(),
            Payload::Empty | Payload::Other => Vec::new(),
        };
        Fields(entries)
    }

    /// The store that the URL names, for a token that has the scope there.
    ///
    /// The order is that of the wire: the organisation, the store, the grant, the scope.
    pub(super) async fn store(&self, scope: Scope) -> Result<Embedded, Refusal> {
        let found = self.granted()?;
        if !self.token.has(scope) {
            return Err(Refusal::forbidden());
        }
        let store = self.shared.open(&found).await?;
        if scope == Scope::EntriesRead {
            // Whoever reads leaves no name.
            return Ok(store);
        }
        Ok(match DeviceId::new(format!("http:{}", self.token.id)) {
            Ok(device) => store.with_device(device),
            Err(_) => store,
        })
    }

    /// The store that the URL names, if the token may know it.
    pub(super) fn granted(&self) -> Result<crate::control::Store, Refusal> {
        let org = self.param("org");
        if org != self.token.org {
            return Err(Refusal::not_found());
        }
        let found = self.shared.control.store(org, self.param("store"));
        let found = found.ok_or_else(Refusal::not_found)?;
        if !self.token.may_access(found.id) {
            return Err(Refusal::forbidden());
        }
        Ok(found)
    }

    /// Whether the token has a scope that concerns no store.
    pub(super) fn require(&self, scope: Scope) -> Result<(), Refusal> {
        if self.token.has(scope) {
            Ok(())
        } else {
            Err(Refusal::forbidden())
        }
    }

    /// The id of a write: the request id, if the client sent one that can be an id.
    pub(super) fn op_id(&self) -> Option<OpId> {
        let sent = self.headers.get(REQUEST_ID)?.to_str().ok()?;
        OpId::new(sent).ok()
    }
}

/// The fields of a JSON object.
#[derive(Debug)]
pub(super) struct Fields(pub(super) Vec<(String, Value)>);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(given, _)| given == name).map(|(_, value)| value)
    }

    /// A field that is text.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.str().map(std::borrow::Cow::into_owned)
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.json() == "true")
    }
}
