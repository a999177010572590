//! Signed requests to receivers.

use std::error::Error as _;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, Mac as _};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Client, Url};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt as _;
use sha2::Sha256;
use tokio::sync::Semaphore;

use super::address::{NotPublic, PublicOnly, is_private_literal, parse};
use crate::config::WebhookOptions;

/// The header with the signature.
const SIGNATURE: HeaderName = HeaderName::from_static("x-dust-signature");

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attempt {
    /// The status of the answer; `None` if there was none.
    pub(crate) status_code: Option<u16>,
    pub(crate) response_ms: u64,
    /// Why there was no answer.
    pub(crate) error: Option<String>,
}

impl Attempt {
    /// Whether the receiver has taken it.
    pub(crate) fn is_ok(&self) -> bool {
        self.status_code.is_some_and(|status| (200..300).contains(&status))
    }
}

/// Sends to receivers, a bounded number of requests at once.
#[derive(Debug)]
pub(crate) struct Sender {
    client: Client,
    permits: Semaphore,
    options: WebhookOptions,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SenderError {
    /// The versions of TLS are not those of the provider.
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
    /// The client refuses its options.
    #[error("the client cannot be built")]
    Client(#[from] reqwest::Error),
}

impl Sender {
    pub(crate) fn new(options: WebhookOptions) -> Result<Self, SenderError> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls()?)
            .user_agent(concat!("dust/", env!("CARGO_PKG_VERSION")))
            .timeout(options.timeout)
            // A receiver that sends elsewhere has not taken it, and no proxy is asked, which would connect for us.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy();
        if !options.private_addresses {
            builder = builder.dns_resolver(PublicOnly::shared());
        }
        Ok(Self {
            client: builder.build()?,
            permits: Semaphore::new(options.requests_max),
            options,
        })
    }

    pub(super) fn options(&self) -> &WebhookOptions {
        &self.options
    }

    /// Sends a body, once.
    ///
    /// # Cancel safety
    /// Dropping the future breaks the connection; the receiver may have got the request.
    pub(crate) async fn send(&self, url: &str, secret: &str, body: String) -> Attempt {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await;
        let began = Instant::now();
        let result = self.request(url, secret, body).await;
        let response_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let (status_code, error) = match result {
            Ok(status) => (Some(status), None),
            Err(error) => (None, Some(error)),
        };
        Attempt {
            status_code,
            response_ms,
            error,
        }
    }

    async fn request(&self, url: &str, secret: &str, body: String) -> Result<u16, String> {
        let url: Url = parse(url).ok_or("the address is none")?;
        if !self.options.private_addresses && is_private_literal(&url) {
            return Err(NotPublic.to_string());
        }
        let signature = HeaderValue::try_from(signature(secret, body.as_bytes())).map_err(|error| error.to_string())?;
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(SIGNATURE, signature)
            .body(body);
        // The body of the answer is not read: its status says all.
        let answer = request.send().await;
        answer
            .map(|answer| answer.status().as_u16())
            .map_err(|error| reason(&error))
    }
}

/// Why there was no answer, in few words: not the address, which may hold a secret.
fn reason(error: &reqwest::Error) -> String {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<NotPublic>() {
            return NotPublic.to_string();
        }
        source = cause.source();
    }
    let reason = if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "the receiver was not reached"
    } else {
        "the connection broke"
    };
    reason.to_owned()
}

/// `sha256=` and the HMAC of the body.
fn signature(secret: &str, body: &[u8]) -> String {
    // A key of any length is a key.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        return String::new();
    };
    mac.update(body);
    format!("sha256={}", hex(&mac.finalize().into_bytes()))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// TLS by rustls with ring, trusting whom the system trusts.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = || {
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        builder.with_safe_default_protocol_versions()
    };
    let config = match config()?.with_platform_verifier() {
        Ok(config) => config,
        Err(error) => {
            // A server in a bare container has no roots, and may have no webhook that needs them.
            tracing::warn!(%error, "no certificates to trust: webhooks to https addresses will fail");
            config()?.with_root_certificates(RootCertStore::empty())
        }
    };
    Ok(config.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_hmac_of_the_body() {
        // RFC 4231, test case 2.
        let expected = "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(signature("Jefe", b"what do ya want for nothing?"), expected);
    }

    #[tokio::test]
    async fn a_private_address_is_not_sent_to_unless_it_is_allowed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sender = Sender::new(WebhookOptions::default()).unwrap();
        for host in ["127.0.0.1", "localhost", "[::1]"] {
            let attempt = sender.send(&format!("http://{host}:{port}/"), "s", String::new()).await;
            assert_eq!(attempt.error.as_deref(), Some("the address is not public"), "{host}");
            assert!(!attempt.is_ok());
        }
        let allowed = WebhookOptions {
            private_addresses: true,
            ..WebhookOptions::default()
        };
        let sender = Sender::new(allowed).unwrap();
        let url = format!("http://localhost:{port}/");
        tokio::select! {
            accepted = listener.accept() => drop(accepted.unwrap()),
            attempt = sender.send(&url, "s", String::new()) => panic!("{attempt:?}"),
        }
    }
}
