//! Where the data is, where to listen, and the limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use dust_store::Clock;

use crate::channel::ChannelOptions;

/// How a server is set up.
///
/// ```
/// use dust_server::{Config, RateLimits};
/// let config = Config::new("/var/lib/dust").with_rate_limits(RateLimits { reads_per_minute: None, ..RateLimits::default() });
/// assert_eq!(config.listen.to_string(), "127.0.0.1:7755");
/// assert_eq!(config.rate_limits.writes_per_minute, Some(100));
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The folder of the database; it is made if it is missing.
    pub data: PathBuf,
    /// The address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How much each token may ask for.
    pub rate_limits: RateLimits,
    /// The largest request body.
    pub body_bytes_max: usize,
    /// How long the body of a request may take to arrive.
    pub body_timeout: Duration,
    /// How long a connection may take for the head of its first request, and of each next one after the answer before it.
    pub head_timeout: Duration,
    /// The folder for files that live as long as one request: an export as SQLite takes about the space of its store there.
    pub temporary: PathBuf,
    /// How webhooks are delivered.
    pub webhooks: WebhookOptions,
    /// The bounds of sockets.
    pub channels: ChannelOptions,
    /// How long a server that is told to stop waits for the requests that it has taken.
    pub shutdown_grace: Duration,
    /// The clock of the log, of expiry and of the rate limits.
    pub clock: Clock,
}

/// How many requests a token may make in a minute of the wall clock; `None` is without limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits {
    /// GET and HEAD.
    pub reads_per_minute: Option<u64>,
    /// Everything else.
    pub writes_per_minute: Option<u64>,
}

/// How webhooks are delivered.
///
/// ```
/// use dust_server::WebhookOptions;
/// let usual = WebhookOptions::default();
/// assert_eq!((usual.timeout.as_secs(), usual.private_addresses), (5, false));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookOptions {
    /// Whether addresses of this machine and of private networks may be sent to. Whoever has the scope `webhooks:write` can
    /// then make the server send requests to what only it can reach.
    pub private_addresses: bool,
    /// How long a receiver may take to answer, the connection included.
    pub timeout: Duration,
    /// When an op that was not taken is sent again.
    pub backoff: Backoff,
    /// How many requests to receivers there are at once; one webhook has one at most.
    pub requests_max: usize,
    /// On servers that share a database: how long one of them may go unheard, by the clock of the database, before another
    /// one takes its webhooks over. It is heard of three times as often. One that is stopped gives them up at once.
    pub lease: Duration,
}

impl Default for WebhookOptions {
    fn default() -> Self {
        Self {
            private_addresses: false,
            timeout: Duration::from_secs(5),
            backoff: Backoff::default(),
            requests_max: 256,
            lease: Duration::from_secs(15),
        }
    }
}

/// How long to wait after the first failure, the second, and so on; the last counts for all that follow.
///
/// ```
/// use std::time::Duration;
/// use dust_server::Backoff;
/// assert_eq!(Backoff::default().after(1), Duration::from_secs(300));
/// assert_eq!(Backoff([Duration::from_secs(1); 5]).after(100), Duration::from_secs(1));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff(pub [Duration; 5]);

impl Backoff {
    /// How long to wait when so many attempts before this one have failed.
    #[must_use]
    pub fn after(&self, failures: u32) -> Duration {
        let place = usize::try_from(failures).unwrap_or(usize::MAX).min(self.0.len() - 1);
        self.0.get(place).copied().unwrap_or_default()
    }
}

/// The wire's own: one minute, 5 minutes, half an hour, 2 hours, 12 hours.
impl Default for Backoff {
    fn default() -> Self {
        Self([60, 300, 1800, 7200, 43_200].map(Duration::from_secs))
    }
}

impl RateLimits {
    /// No limits.
    pub const OFF: Self = Self {
        reads_per_minute: None,
        writes_per_minute: None,
    };
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            reads_per_minute: Some(1000),
            writes_per_minute: Some(100),
        }
    }
}

impl Config {
    /// The usual set-up for the data in a folder: loopback, port 7755, the wire's own limits.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7755)),
            rate_limits: RateLimits::default(),
            body_bytes_max: 8_000_000,
            body_timeout: Duration::from_mins(1),
            head_timeout: Duration::from_mins(1),
            temporary: std::env::temp_dir(),
            webhooks: WebhookOptions::default(),
            channels: ChannelOptions::default(),
            shutdown_grace: Duration::from_secs(10),
            clock: Clock::system(),
        }
    }

    /// The same with another address.
    #[must_use]
    pub fn with_listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// The same with other rate limits.
    #[must_use]
    pub fn with_rate_limits(mut self, rate_limits: RateLimits) -> Self {
        self.rate_limits = rate_limits;
        self
    }

    /// The same with another limit of request bodies.
    #[must_use]
    pub fn with_body_bytes_max(mut self, body_bytes_max: usize) -> Self {
        self.body_bytes_max = body_bytes_max;
        self
    }

    /// The same with another time for bodies.
    #[must_use]
    pub fn with_body_timeout(mut self, body_timeout: Duration) -> Self {
        self.body_timeout = body_timeout;
        self
    }

    /// The same with another time for the heads of requests.
    #[must_use]
    pub fn with_head_timeout(mut self, head_timeout: Duration) -> Self {
        self.head_timeout = head_timeout;
        self
    }

    /// The same with another folder for temporary files, which must be there.
    #[must_use]
    pub fn with_temporary(mut self, temporary: impl Into<PathBuf>) -> Self {
        self.temporary = temporary.into();
        self
    }

    /// The same with other options of webhooks.
    #[must_use]
    pub fn with_webhooks(mut self, webhooks: WebhookOptions) -> Self {
        self.webhooks = webhooks;
        self
    }

    /// The same with other bounds of sockets.
    #[must_use]
    pub fn with_channels(mut self, channels: ChannelOptions) -> Self {
        self.channels = channels;
        self
    }

    /// The same with another time for stopping.
    #[must_use]
    pub fn with_shutdown_grace(mut self, shutdown_grace: Duration) -> Self {
        self.shutdown_grace = shutdown_grace;
        self
    }

    /// The same with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }
}
