//! How far a webhook is: the cursor, its failures, when to try again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::config::Backoff;

/// After so many failures in a row nothing is sent before a ping has been answered.
const FAILURES_MAX: u32 = 5;

/// Where a webhook is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    pub(super) active: bool,
    /// The receiver has taken every op up to here.
    pub(super) delivered_seq: u64,
    /// How many attempts have failed in a row.
    pub(super) failure_count: u32,
    /// How many of the op after `delivered_seq` have failed, pings in between or not.
    attempts: u32,
    /// When to try that op again.
    retry_at: Option<Timestamp>,
    /// How many deliveries there have been.
    pub(super) delivery_count: u64,
}

impl Progress {
    /// A new webhook, which gets what is committed from now on.
    pub(super) fn after(seq: u64) -> Self {
        Self {
            active: true,
            delivered_seq: seq,
            failure_count: 0,
            attempts: 0,
            retry_at: None,
            delivery_count: 0,
        }
    }

    /// How long to wait before the next attempt; `None` while nothing is to be sent at all. A clock that was put back makes
    /// no wait longer than it was.
    pub(super) fn wait(&self, now: Timestamp, backoff: &Backoff) -> Option<Duration> {
        let until = self.retry_at.map_or(0, |at| at.as_ms().saturating_sub(now.as_ms()));
        let longest = backoff.after(self.attempts.saturating_sub(1));
        self.active.then(|| Duration::from_millis(until).min(longest))
    }

    /// The receiver has taken the ops up to this one.
    pub(super) fn delivered(&mut self, seq: u64) {
        self.delivered_seq = self.delivered_seq.max(seq);
        self.failure_count = 0;
        self.attempts = 0;
        self.retry_at = None;
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, now: Timestamp, backoff: &Backoff) {
        let wait = backoff.after(self.attempts);
        self.failure_count += 1;
        self.attempts = self.attempts.saturating_add(1);
        self.retry_at = Some(now.plus(wait));
        self.active = self.failure_count < FAILURES_MAX;
    }

    /// A ping has been answered: what waits is sent at once. An op that fails again waits longer than before.
    pub(super) fn answered_ping(&mut self) {
        self.active = true;
        self.failure_count = 0;
        self.retry_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_ms(1_000_000);

    #[test]
    fn an_op_is_tried_five_times_and_then_waits_for_a_ping() {
        let backoff = Backoff::default();
        let mut progress = Progress::after(7);
        assert_eq!(progress.wait(START, &backoff), Some(Duration::ZERO));
        let mut now = START;
        for seconds in [60, 300, 1800, 7200] {
            progress.failed(now, &backoff);
            assert_eq!(progress.wait(now, &backoff), Some(Duration::from_secs(seconds)));
            now = now.plus_seconds(seconds);
            assert_eq!(progress.wait(now, &backoff), Some(Duration::ZERO));
        }
        progress.failed(now, &backoff);
        assert_eq!((progress.wait(now, &backoff), progress.failure_count), (None, 5));
        assert_eq!(
            (
                progress.wait(now.plus_seconds(1 << 20), &backoff),
                progress.delivered_seq
            ),
            (None, 7)
        );

        progress.answered_ping();
        assert_eq!(progress.wait(now, &backoff), Some(Duration::ZERO));
        progress.failed(now, &backoff);
        assert_eq!(progress.wait(now, &backoff), Some(Duration::from_hours(12)));
        progress.delivered(8);
        assert_eq!(progress, Progress::after(8));
    }

    #[test]
    fn a_wait_survives_being_stored() {
        let backoff = Backoff::default();
        let mut progress = Progress::after(7);
        progress.failed(START, &backoff);
        let text = serde_json::to_string(&progress).unwrap();
        let restored: Progress = serde_json::from_str(&text).unwrap();
        assert_eq!(restored, progress);
        assert_eq!(
            restored.wait(START.plus_seconds(59), &backoff),
            Some(Duration::from_secs(1))
        );
        assert_eq!(
            restored.wait(Timestamp::from_ms(0), &backoff),
            Some(Duration::from_mins(1))
        );
    }
}
