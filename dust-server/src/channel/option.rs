//! The bounds of sockets.

use std::time::Duration;

/// The bounds of sockets.
///
/// ```
/// use dust_server::{ChannelOptions, Config};
/// let mut channels = ChannelOptions::default();
/// channels.queue_events_max = 1000;
/// let config = Config::new("/var/lib/dust").with_channels(channels);
/// assert_eq!(config.channels.idle_timeout.as_secs(), 60);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChannelOptions {
    /// The largest message that is taken; a larger one ends its socket with 1009.
    pub frame_bytes_max: usize,
    /// How long a client may send nothing, or read nothing of what waits for it.
    pub idle_timeout: Duration,
    /// How many requests of one socket are under way at a time; those after them are not read meanwhile.
    pub requests_in_flight_max: usize,
    /// How many events of a store are kept for sockets that are behind; one that is further behind is closed with 1013.
    pub queue_events_max: usize,
    /// How many bytes these events may have, roughly, in all the forms in which they are sent.
    pub queue_bytes_max: usize,
    /// The largest store that is sent as one snapshot.
    pub snapshot_bytes_max: usize,
    /// How often a socket looks whether its token or its stores have ended, if they have an end.
    pub expiry_check: Duration,
    /// How long a client that is told that its socket ends may take to read that.
    pub close_grace: Duration,
    /// The hosts whose pages may connect from a browser, beside the server's own.
    pub origins: Vec<String>,
}

impl Default for ChannelOptions {
    fn default() -> Self {
        Self {
            frame_bytes_max: 8_000_000,
            idle_timeout: Duration::from_mins(1),
            requests_in_flight_max: 64,
            queue_events_max: 4096,
            queue_bytes_max: 64 << 20,
            snapshot_bytes_max: 256 << 20,
            expiry_check: Duration::from_secs(1),
            close_grace: Duration::from_secs(5),
            origins: Vec::new(),
        }
    }
}
