//! What a program chooses of a synced store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::channel::Codec;
use crate::http::HttpOptions;
use crate::model::DeviceId;

/// Which store is synced, and how.
///
/// ```
/// use std::time::Duration;
/// use dust_transport::channel::Codec;
/// use dust_transport::sync::{Offline, SyncOptions};
///
/// let options = SyncOptions::new("acme/reading", "dust_tok_secret")
///     .base_url("http://127.0.0.1:7755")
///     .codec(Codec::MessagePack)
///     .offline(Offline::QueueFor(Duration::from_secs(10)));
/// assert!(!format!("{options:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct SyncOptions {
    pub(super) http: HttpOptions,
    pub(super) codec: Codec,
    pub(super) device: Option<DeviceId>,
    pub(super) file: Option<PathBuf>,
    pub(super) offline: Offline,
    pub(super) outbox_max: usize,
    pub(super) listener_events_max: usize,
    pub(super) frame_bytes_max: usize,
    pub(super) heartbeat: Duration,
    pub(super) reply_timeout: Duration,
    pub(super) wait_base: Duration,
    pub(super) wait_max: Duration,
    pub(super) sleep: Sleep,
}

/// Waits for a while.
type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;

/// What becomes of a write while there is no connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offline {
    /// It is refused: `Network` with `not_connected`, and not applied.
    Reject,
    /// It waits until there is one.
    Queue,
    /// It waits so long for one.
    QueueFor(Duration),
}

impl SyncOptions {
    /// The store `org/name` of the hosted service, with a token that may read it.
    #[must_use]
    pub fn new(store: impl Into<String>, token: impl Into<String>) -> Self {
        HttpOptions::new(store, token).into()
    }

    /// The same on another server: an `http` or `https` address. Its WebSocket is `ws` or `wss` on the same host.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.http = self.http.base_url(base_url);
        self
    }

    /// The same with frames in this form; JSON by default.
    #[must_use]
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The same as this device; by default the one that the [file](Self::file) has, or else a random one.
    ///
    /// Op ids are deduplicated by device, so a program that repeats writes after a restart keeps its device. A file does so by
    /// itself; it takes another device only while it has no writes that are not settled.
    #[must_use]
    pub fn device(mut self, device: DeviceId) -> Self {
        self.device = Some(device);
        self
    }

    /// The same with a replica and writes under way that survive a restart of the program, in this file. It is made if it is
    /// not there.
    ///
    /// The file belongs to one server, one store and one device, and to one program at a time. Reads come from memory as
    /// without it, and what is committed is written behind: the file is always a state that the store had, and may be an
    /// older one. When it is opened, it is read and checked as a whole.
    ///
    /// A write is in the file, durably, before it is sent or waits for a connection, and leaves it when it is settled. So
    /// what a program had not settled when it ended is sent by the next one, in the order of the calls, where the server
    /// commits an op id once; where it does not, only what was never sent. What came of it is told by
    /// [`Sync::restored`](super::Sync::restored). Leases are not kept: what a program holds ends with it. Nor is what goes over
    /// HTTP, which is a batch of several ops on the hosted server. What is sent again counts once as long as the server remembers
    /// its id: our own does so for a day and 10 000 ops at least.
    ///
    /// For writes that were restored, the time of [`Offline::QueueFor`] begins anew when the file is opened; with
    /// [`Offline::Reject`] they wait for [`reply_timeout`](Self::reply_timeout).
    ///
    /// Should the file fail, the `Sync` ends, with `Storage` and the code `replica_failed`; nothing that was acknowledged is
    /// lost, and what was not may be in the file.
    /// ```
    /// use dust_transport::sync::{Offline, SyncOptions};
    /// let options = SyncOptions::new("acme/reading", "dust_tok_secret").file("reading.dust").offline(Offline::Queue);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// The same with this policy for writes while there is no connection; they wait for 30 s by default.
    #[must_use]
    pub fn offline(mut self, offline: Offline) -> Self {
        self.offline = offline;
        self
    }

    /// The same with at most so many writes under way, 1024 by default; further ones wait.
    #[must_use]
    pub fn outbox_max(mut self, writes: usize) -> Self {
        self.outbox_max = writes.max(1);
        self
    }

    /// The same with at most so many events waiting for a subscriber, 1024 by default; one that falls behind further reads
    /// the log.
    #[must_use]
    pub fn listener_events_max(mut self, events: usize) -> Self {
        self.listener_events_max = events.max(1);
        self
    }

    /// The same where a longer frame of the server breaks the connection; 64 MiB by default. How long one to the server may be is
    /// for the server to say.
    #[must_use]
    pub fn frame_bytes_max(mut self, bytes: usize) -> Self {
        self.frame_bytes_max = bytes;
        self
    }

    /// The same with a heartbeat this often; every 30 s by default. A connection that says nothing for so long after one is
    /// given up.
    #[must_use]
    pub fn heartbeat(mut self, interval: Duration) -> Self {
        self.heartbeat = interval;
        self
    }

    /// The same with so much time for a connection and a join, and for the answer to a write; 30 s by default.
    #[must_use]
    pub fn reply_timeout(mut self, timeout: Duration) -> Self {
        self.reply_timeout = timeout;
        self
    }

    /// The same with these bounds on the random wait before the n-th attempt to connect: `base` · 2ⁿ⁻¹, at most `max`.
    /// 100 ms and 30 s by default.
    #[must_use]
    pub fn reconnect(mut self, base: Duration, max: Duration) -> Self {
        (self.wait_base, self.wait_max) = (base, max);
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

    /// How long to wait before the attempt of this number, from 1: full jitter, so that clients of a restarted server
    /// spread out.
    pub(super) fn wait(&self, attempt: u32) -> Duration {
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let bound = self.wait_base.saturating_mul(factor).min(self.wait_max);
        bound.mul_f64(crate::http::random_fraction())
    }

    pub(super) fn pass(&self, wait: Duration) -> BoxFuture<'static, ()> {
        (self.sleep)(wait)
    }
}

/// The store of these options, whose timeouts and retries count for what goes over HTTP.
impl From<HttpOptions> for SyncOptions {
    fn from(http: HttpOptions) -> Self {
        Self {
            http,
            codec: Codec::Json,
            device: None,
            file: None,
            offline: Offline::QueueFor(Duration::from_secs(30)),
            outbox_max: 1024,
            listener_events_max: 1024,
            frame_bytes_max: 64 * 1024 * 1024,
            heartbeat: Duration::from_secs(30),
            reply_timeout: Duration::from_secs(30),
            wait_base: Duration::from_millis(100),
            wait_max: Duration::from_secs(30),
            sleep: Arc::new(|wait| Box::pin(tokio::time::sleep_until(tokio::time::Instant::now() + wait))),
        }
    }
}

impl fmt::Debug for SyncOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncOptions")
            .field("http", &self.http)
            .field("codec", &self.codec)
            .field("device", &self.device)
            .field("offline", &self.offline)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
