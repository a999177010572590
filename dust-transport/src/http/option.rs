//! What a program chooses of a remote store: where it is, who asks, how long to wait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

/// Where a store is and how to speak to it.
///
/// ```
/// use std::time::Duration;
/// use dust_transport::http::{Http, HttpOptions, Retry};
///
/// let options = HttpOptions::new("acme/reading", "dust_tok_secret")
///     .base_url("http://127.0.0.1:7755")
///     .response_timeout(Duration::from_secs(5))
///     .retry(Retry::new().attempts_max(2));
/// assert!(!format!("{options:?}").contains("secret"));
/// let http = Http::new(options)?;
/// # let _ = http;
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct HttpOptions {
    pub(crate) store: String,
    pub(crate) token: Token,
    pub(crate) base_url: String,
    pub(super) user_agent: String,
    pub(super) connect_timeout: Duration,
    pub(super) response_timeout: Duration,
    pub(super) response_bytes_max: usize,
    pub(super) op_ids: bool,
    pub(super) discovery: Discovery,
    /// PEM texts.
    pub(crate) root_certificates: Vec<Vec<u8>>,
    pub(super) retry: Retry,
}

/// How a client comes to know the [`Extension`](crate::model::Extension)s of a server.
///
/// ```
/// use dust_transport::http::{Discovery, Http, HttpOptions};
/// use dust_transport::transport::Transport as _;
/// let options = HttpOptions::new("acme/reading", "dust_tok_secret").base_url("http://127.0.0.1:7755");
/// let hosted = Http::new(options.clone().discovery(Discovery::Never))?;
/// assert!(!hosted.capabilities().value_ops);
/// let ours = Http::new(options.discovery(Discovery::Assume))?;
/// assert!(ours.capabilities().value_ops);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Discovery {
    /// The server is asked, before the first write that an extension would serve, and by
    /// [`Http::connect`](super::Http::connect).
    #[default]
    Ask,
    /// The server is not asked, and no extension is used.
    Never,
    /// The server is not asked, and has every extension. Where it has not, such writes fail; a condition may have been
    /// ignored then, and the error says `Outcome::Unknown`.
    Assume,
}

/// A bearer token, which no text shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(pub(crate) String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl HttpOptions {
    /// The hosted service.
    pub const BASE_URL: &'static str = "https://dustlayer.io";

    /// The store `org/name` of the hosted service, with a token that may use it.
    #[must_use]
    pub fn new(store: impl Into<String>, token: impl Into<String>) -> Self {
        Self {
            store: store.into(),
            token: Token(token.into()),
            base_url: Self::BASE_URL.to_owned(),
            user_agent: concat!("dust-transport/", env!("CARGO_PKG_VERSION")).to_owned(),
            connect_timeout: Duration::from_secs(30),
            response_timeout: Duration::from_secs(15),
            response_bytes_max: 64 * 1024 * 1024,
            op_ids: false,
            discovery: Discovery::Ask,
            root_certificates: Vec::new(),
            retry: Retry::new(),
        }
    }

    /// The same on another server: an `http` or `https` address, with a path before `/api` where there is one.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = base_url.into();
        self
    }

    /// The same under another `User-Agent`.
    #[must_use]
    pub fn user_agent(mut self, user_agent: impl Into<String>) -> Self {
        self.user_agent = user_agent.into();
        self
    }

    /// The same with so much time for a connection to open, names and TLS included; 30 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// The same with so much time for one attempt, from the moment that its connection is open to the last byte of the answer;
    /// 15 s by default.
    #[must_use]
    pub fn response_timeout(mut self, timeout: Duration) -> Self {
        self.response_timeout = timeout;
        self
    }

    /// The same where an answer longer than this is an error; 64 MiB by default.
    #[must_use]
    pub fn response_bytes_max(mut self, bytes: usize) -> Self {
        self.response_bytes_max = bytes;
        self
    }

    /// The same on a server that commits an op id once, which the hosted one does not; off by default.
    ///
    /// Writes with an op id are then repeated like reads. Where the server does not do so, a repetition writes twice.
    #[must_use]
    pub fn op_ids_are_deduplicated(mut self, deduplicated: bool) -> Self {
        self.op_ids = deduplicated;
        self
    }

    /// The same with another way to know the extensions of the server; [`Discovery::Ask`] by default.
    #[must_use]
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// The same trusting the certificates of a PEM text, too: those of an authority of one's own, or of the server itself.
    /// The text is read when the transport is made.
    #[must_use]
    pub fn root_certificates(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.root_certificates.push(pem.into());
        self
    }

    /// The same with another policy of repetition.
    #[must_use]
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }
}

/// Waits for a while.
type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// How often and after what waits a call is repeated that may be.
///
/// Before the n-th repetition passes a random time between zero and `wait_base` · 2ⁿ⁻¹, at most `wait_max`. What the
/// server asks for by `retry-after` is added, up to `retry_after_max`; a call that would have to wait longer fails.
///
/// ```
/// use std::time::Duration;
/// use dust_transport::http::Retry;
/// let patient = Retry::new().attempts_max(8).wait_max(Duration::from_secs(30));
/// let never = Retry::none();
/// # let _ = (patient, never);
/// ```
#[derive(Clone)]
pub struct Retry {
    pub(super) attempts_max: u32,
    wait_base: Duration,
    wait_max: Duration,
    asked_wait_max: Duration,
    sleep: Sleep,
}

impl Retry {
    /// Four attempts, waits of at most 0.1 s, 0.2 s, 0.4 s, and a `retry-after` of at most 60 s.
    #[must_use]
    pub fn new() -> Self {
        Self {
            attempts_max: 4,
            wait_base: Duration::from_millis(100),
            wait_max: Duration::from_secs(5),
            asked_wait_max: Duration::from_mins(1),
            sleep: Arc::new(|wait| Box::pin(tokio::time::sleep_until(tokio::time::Instant::now() + wait))),
        }
    }

    /// One attempt.
    #[must_use]
    pub fn none() -> Self {
        Self::new().attempts_max(1)
    }

    /// The same with so many attempts in all; zero counts as one.
    #[must_use]
    pub fn attempts_max(mut self, attempts: u32) -> Self {
        self.attempts_max = attempts.max(1);
        self
    }

    /// The same with this bound on the first wait.
    #[must_use]
    pub fn wait_base(mut self, wait: Duration) -> Self {
        self.wait_base = wait;
        self
    }

    /// The same with this bound on every wait.
    #[must_use]
    pub fn wait_max(mut self, wait: Duration) -> Self {
        self.wait_max = wait;
        self
    }

    /// The same, failing where the server asks for a longer wait than this.
    #[must_use]
    pub fn retry_after_max(mut self, wait: Duration) -> Self {
        self.asked_wait_max = wait;
        self
    }

    /// The same, waiting by this instead of tokio's timer.
    #[must_use]
    pub fn sleep<F>(mut self, sleep: F) -> Self
    where
        F: Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    {
        self.sleep = Arc::new(sleep);
        self
    }

    /// How long to wait after the attempt of this number, from 1; `None` if there is to be no other.
    pub(super) fn wait(&self, attempt: u32, retry_after: Option<Duration>) -> Option<Duration> {
        let asked = retry_after.unwrap_or_default();
        if attempt >= self.attempts_max || asked > self.asked_wait_max {
            return None;
        }
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let bound = self.wait_base.saturating_mul(factor).min(self.wait_max);
        Some(asked + bound.mul_f64(random_fraction()))
    }

    pub(super) async fn pass(&self, wait: Duration) {
        (self.sleep)(wait).await;
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("attempts_max", &self.attempts_max)
            .field("wait_base", &self.wait_base)
            .field("wait_max", &self.wait_max)
            .field("asked_wait_max", &self.asked_wait_max)
            .finish_non_exhaustive()
    }
}

/// A number from 0 to 1, from the random keys that the standard library draws for its hash maps.
pub(crate) fn random_fraction() -> f64 {
    use std::hash::BuildHasher as _;
    let bits = std::collections::hash_map::RandomState::new().hash_one(0_u8);
    let upper = u32::try_from(bits >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / f64::from(u32::MAX)
}
