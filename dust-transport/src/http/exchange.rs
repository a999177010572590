//! One request and its answer: sent, redirected, bounded in time and size, and repeated where that is safe.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Client, Method, Response, Url};
use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls_platform_verifier::{BuilderVerifierExt as _, Verifier};

use super::address::is_same_server;
use super::deadline::{CountFromConnection, within};
use super::failure::{refusal, unreadable};
use super::option::HttpOptions;
use crate::error::{Error, ErrorKind, Outcome};
use crate::model::{Extension, Extensions, Path};

/// How many redirects within the server are followed.
const REDIRECTS_MAX: usize = 3;

/// A request, to be sent once or several times.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<String>,
    pub(super) effect: Effect,
}

/// What a repetition would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing: the request reads.
    None,
    /// Nothing that the first did: a precondition or an op id sees to it.
    Settled,
    /// The write again.
    Repeated,
}

/// An answer below status 500 other than 429.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
    /// The extensions that the server says it has understood.
    pub(super) extensions: Extensions,
    /// An earlier attempt of this write may have been applied.
    pub(super) uncertain: bool,
}

/// An answer whose body has not arrived yet, or that is none of the expected.
#[derive(Debug)]
pub(super) enum Opened {
    /// A status of success.
    Content(Response),
    /// Any other below 500 but 429.
    Refused(Answer),
}

/// Sends requests with a token.
#[derive(Clone)]
pub(super) struct Exchange {
    client: Client,
    options: Arc<HttpOptions>,
}

impl Request {
    pub(super) fn read(method: Method, url: Url) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            body: None,
            effect: Effect::None,
        }
    }

    pub(super) fn write(method: Method, url: Url) -> Self {
        Self {
            effect: Effect::Repeated,
            ..Self::read(method, url)
        }
    }

    pub(super) fn json(mut self, body: String) -> Self {
        self.headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = Some(body);
        self
    }

    pub(super) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    fn is_read(&self) -> bool {
        self.effect == Effect::None
    }

    /// Whether another attempt after this error does no harm and may help.
    fn may_be_repeated(&self, error: &Error) -> bool {
        let lost = error.is_retryable() || error.kind() == ErrorKind::Timeout;
        match self.effect {
            Effect::None => lost,
            Effect::Settled => lost && error.kind() != ErrorKind::RateLimited,
            Effect::Repeated => error.kind() == ErrorKind::Network && error.outcome() == Outcome::NotApplied,
        }
    }
}

impl Exchange {
    pub(super) fn new(options: Arc<HttpOptions>, base: &Url) -> Result<Self, Error> {
        let invalid = |code: &'static str, detail: &'static str| Error::new(ErrorKind::InvalidParams, code, detail);
        if options.token.0.is_empty() {
            return Err(invalid("invalid_token", "the token is empty"));
        }
        // The error is left out: it is not to carry the token.
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", options.token.0))
            .map_err(|_| invalid("invalid_token", "the token has characters that no header can hold"))?;
        bearer.set_sensitive(true);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, bearer);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let client = Client::builder()
            .tls_backend_preconfigured(tls(base, &options.root_certificates)?)
            .default_headers(headers)
            .user_agent(&options.user_agent)
            .connect_timeout(options.connect_timeout)
            // Our server closes an idle connection after a minute; a write must not meet that.
            .pool_idle_timeout(Duration::from_secs(30))
            .connector_layer(CountFromConnection)
            // Both are decided here, by what the request does.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .build()
            .map_err(|error| invalid("invalid_options", "the client cannot be built").with_source(error))?;
        Ok(Self { client, options })
    }

    /// The error for an answer that is none of the expected.
    pub(super) fn refusal(&self, answer: &Answer, path: Option<&Path>) -> Error {
        refusal(answer, path, &self.options.token.0)
    }

    /// Sends a request, several times if need be, until there is an answer.
    pub(super) async fn send(&self, request: Request) -> Result<Answer, Error> {
        let (answer, uncertain) = self.settle(&request, || self.attempt(&request)).await?;
        Ok(Answer { uncertain, ..answer })
    }

    /// Sends a request that reads, several times if need be, until an answer begins.
    pub(super) async fn open(&self, request: Request) -> Result<Opened, Error> {
        let (opened, _) = self.settle(&request, || self.begin(&request)).await?;
        Ok(opened)
    }

    /// Makes attempts until one has an answer, and says whether one before it may have been applied.
    async fn settle<T, F>(&self, request: &Request, attempt_once: impl Fn() -> F) -> Result<(T, bool), Error>
    where
        T: Outline,
        F: Future<Output = Result<T, Error>>,
    {
        let retry = &self.options.retry;
        let mut uncertain = false;
        let mut attempt = 1;
        loop {
            let error = match attempt_once().await {
                Ok(answer) => match answer.failed() {
                    Some(failed) => self.refusal(failed, None),
                    None => return Ok((answer, uncertain)),
                },
                Err(error) => error,
            };
            tracing::debug!(method = %request.method, path = request.url.path(), attempt, %error, "no answer");
            let wait = Some(&error)
                .filter(|error| request.may_be_repeated(error))
                .and_then(|error| retry.wait(attempt, error.retry_after()));
            uncertain |= !request.is_read() && error.outcome() == Outcome::Unknown;
            let Some(wait) = wait else {
                return Err(if uncertain {
                    error.with_outcome(Outcome::Unknown)
                } else {
                    error
                });
            };
            retry.pass(wait).await;
            attempt += 1;
        }
    }

    /// Sends a request once, within a time that is less than usual.
    pub(super) async fn ask(&self, request: &Request, limit: Duration) -> Result<Answer, Error> {
        let asked = tokio::time::timeout(limit, self.attempt(request)).await;
        asked.map_err(|_| late())?
    }

    /// Sends a request once, and takes the answer, within the time for it.
    async fn attempt(&self, request: &Request) -> Result<Answer, Error> {
        let exchange = async { self.receive(self.respond(request).await?).await };
        let answer = within(self.options.response_timeout, exchange).await;
        answer.ok_or_else(late)?
    }

    /// Sends a request once. The time for the response is that of its head; the body has its own.
    async fn begin(&self, request: &Request) -> Result<Opened, Error> {
        let begun = within(self.options.response_timeout, self.respond(request)).await;
        let response = begun.ok_or_else(late)??;
        if response.status().is_success() {
            return Ok(Opened::Content(response));
        }
        let refused = within(self.options.response_timeout, self.receive(response)).await;
        refused.ok_or_else(late)?.map(Opened::Refused)
    }

    /// Sends a request once, following the redirects that stay with the server.
    async fn respond(&self, request: &Request) -> Result<Response, Error> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECTS_MAX {
            let mut builder = self
                .client
                .request(request.method.clone(), url.clone())
                .headers(request.headers.clone());
            if let Some(body) = &request.body {
                builder = builder.body(body.clone());
            }
            let response = builder.send().await.map_err(lost)?;
            match redirect(request, &url, &response)? {
                Some(next) => url = next,
                None => return Ok(response),
            }
        }
        Err(redirect_refused("the server redirects without end"))
    }

    async fn receive(&self, mut response: Response) -> Result<Answer, Error> {
        let status = response.status().as_u16();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|seconds| seconds.to_str().ok()?.trim().parse().ok())
            .map(Duration::from_secs);
        let named = response.headers().get(Extension::HEADER);
        let named = named.and_then(|names| names.to_str().ok()).unwrap_or_default();
        let extensions = named
            .split(',')
            .filter_map(|name| Extension::parse(name.trim()))
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > self.options.response_bytes_max {
                let max = self.options.response_bytes_max;
                return Err(unreadable(format_args!("it is longer than {max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            retry_after,
            body,
            extensions,
            uncertain: false,
        })
    }
}

/// An answer, so far as it says whether to try again.
trait Outline {
    /// The answer, if it is a 429 or a status from 500 on.
    fn failed(&self) -> Option<&Answer>;
}

impl Outline for Answer {
    fn failed(&self) -> Option<&Answer> {
        (self.status == 429 || self.status >= 500).then_some(self)
    }
}

impl Outline for Opened {
    fn failed(&self) -> Option<&Answer> {
        match self {
            Self::Content(_) => None,
            Self::Refused(answer) => answer.failed(),
        }
    }
}

/// TLS by rustls with ring, trusting whom the system trusts, and these. Nothing process-wide is installed or relied on.
pub(crate) fn tls(base: &Url, roots: &[Vec<u8>]) -> Result<ClientConfig, Error> {
    let failed = |error: rustls::Error| {
        Error::new(ErrorKind::Network, "tls", "TLS cannot be set up")
            .with_outcome(Outcome::NotApplied)
            .with_retryable(false)
            .with_source(error)
    };
    let roots = certificates(roots)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let config = if base.scheme() != "https" {
        config.with_root_certificates(rustls::RootCertStore::empty())
    } else if roots.is_empty() {
        config.with_platform_verifier().map_err(failed)?
    } else {
        let verifier = Verifier::new_with_extra_roots(roots, provider).map_err(failed)?;
        config.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
    };
    Ok(config.with_no_client_auth())
}

/// The certificates in PEM texts, at least one in each.
fn certificates(texts: &[Vec<u8>]) -> Result<Vec<CertificateDer<'static>>, Error> {
    let invalid = |detail| Error::new(ErrorKind::InvalidParams, "invalid_certificate", detail);
    let mut certificates = Vec::new();
    for text in texts {
        let before = certificates.len();
        for certificate in CertificateDer::pem_slice_iter(text) {
            certificates.push(certificate.map_err(|error| invalid("a root certificate is no PEM").with_source(error))?);
        }
        if certificates.len() == before {
            return Err(invalid("a root certificate is missing in its PEM"));
        }
    }
    Ok(certificates)
}

/// Where to go on, if the answer is a redirect that may be followed.
fn redirect(request: &Request, from: &Url, response: &Response) -> Result<Option<Url>, Error> {
    let status = response.status().as_u16();
    let keeps_method = match status {
        307 | 308 => true,
        301..=303 => matches!(request.method, Method::GET | Method::HEAD),
        _ => return Ok(None),
    };
    let location = response
        .headers()
        .get(LOCATION)
        .and_then(|location| location.to_str().ok());
    let Some(to) = location.and_then(|location| from.join(location).ok()) else {
        return Err(redirect_refused("the server redirects to no address"));
    };
    if !is_same_server(from, &to) {
        let host = to.host_str().unwrap_or_default();
        return Err(redirect_refused(format!(
            "the server redirects to `{}://{host}`, where the token must not go; set the base address to it if it is the store's",
            to.scheme()
        )));
    }
    if !keeps_method {
        return Err(redirect_refused(format!(
            "the server redirects a {} by status {status}",
            request.method
        )));
    }
    Ok(Some(to))
}

fn redirect_refused(detail: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Http, "redirect_refused", detail).with_outcome(Outcome::NotApplied)
}

/// The error for an answer that did not come in time.
fn late() -> Error {
    Error::new(ErrorKind::Timeout, "timeout", "there was no answer in time")
}

/// The error for a request that got no whole answer.
pub(super) fn lost(error: reqwest::Error) -> Error {
    let never_left = error.is_connect();
    let made = if error.is_timeout() {
        late()
    } else if error.is_builder() {
        Error::new(
            ErrorKind::InvalidParams,
            "invalid_request",
            "the request cannot be sent",
        )
    } else if never_left {
        Error::new(ErrorKind::Network, "connect", "the server was not reached")
    } else {
        Error::new(
            ErrorKind::Network,
            "connection_lost",
            "the connection broke before the answer was whole",
        )
    };
    // The address may name what is private; the source is for what went wrong.
    let made = made.with_source(error.without_url());
    if never_left {
        made.with_outcome(Outcome::NotApplied)
    } else {
        made
    }
}
