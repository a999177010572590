//! Where the data is, where to listen, and the limits.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use dust_store::Clock;

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
