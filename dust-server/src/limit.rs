//! Requests per token and minute.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use crate::RateLimits;

const WINDOW_MS: u64 = 60_000;

/// What a request is counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bucket {
    /// GET and HEAD.
    Read,
    /// Everything else.
    Write,
}

/// What the counter says to one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// How many are allowed in a minute.
    pub(crate) limit: u64,
    /// How many are left; `None` refuses this one.
    pub(crate) remaining: Option<u64>,
    /// Whole seconds until the next window, rounded down.
    pub(crate) reset_seconds: u64,
    /// Milliseconds until the next window.
    pub(crate) reset_ms: u64,
}

/// Counts the requests of each token in fixed windows: the minutes of the wall clock.
#[derive(Debug)]
pub(crate) struct Limiter {
    limits: RateLimits,
    windows: Mutex<Windows>,
}

#[derive(Debug, Default)]
struct Windows {
    minute: u64,
    reads: HashMap<Uuid, u64>,
    writes: HashMap<Uuid, u64>,
}

impl Limiter {
    pub(crate) fn new(limits: RateLimits) -> Self {
        Self {
            limits,
            windows: Mutex::default(),
        }
    }

    /// Counts one request; `None` if its kind has no limit.
    pub(crate) fn count(&self, token: Uuid, bucket: Bucket, now_ms: u64) -> Option<Verdict> {
        let limit = match bucket {
            Bucket::Read => self.limits.reads_per_minute,
            Bucket::Write => self.limits.writes_per_minute,
        }?;
        let minute = now_ms / WINDOW_MS;
        // Counters only; a panic while the lock is held leaves nothing half done.
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if windows.minute != minute {
            *windows = Windows {
                minute,
                ..Windows::default()
            };
        }
        let counts = match bucket {
            Bucket::Read => &mut windows.reads,
            Bucket::Write => &mut windows.writes,
        };
        let count = counts.entry(token).or_default();
        let remaining = limit.checked_sub(*count + 1);
        if remaining.is_some() {
            *count += 1;
        }
        let reset_ms = WINDOW_MS - now_ms % WINDOW_MS;
        Some(Verdict {
            limit,
            remaining,
            reset_seconds: reset_ms / 1000,
            reset_ms,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_a_minute_of_the_clock_and_a_token_has_one_per_kind() {
        let limits = RateLimits {
            reads_per_minute: None,
            writes_per_minute: Some(2),
        };
        let limiter = Limiter::new(limits);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let remaining = |token, now_ms| {
            limiter
                .count(token, Bucket::Write, now_ms)
                .map(|verdict| verdict.remaining)
        };
        assert_eq!(limiter.count(one, Bucket::Read, 0), None);
        assert_eq!(remaining(one, 60_000), Some(Some(1)));
        assert_eq!(remaining(one, 60_001), Some(Some(0)));
        assert_eq!(remaining(one, 60_002), Some(None));
        assert_eq!(remaining(other, 60_003), Some(Some(1)));
        let refused = limiter.count(one, Bucket::Write, 119_200).unwrap();
        assert_eq!((refused.remaining, refused.reset_seconds), (None, 0));
        assert_eq!(remaining(one, 120_000), Some(Some(1)));
    }
}
