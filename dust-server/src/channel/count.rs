//! Counts of sockets and of what goes over them.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    opened: AtomicU64,
    closed: AtomicU64,
    joined: AtomicU64,
    left: AtomicU64,
    events: AtomicU64,
    slow: AtomicU64,
}

fn add(count: &AtomicU64, number: u64) {
    count.fetch_add(number, Ordering::Relaxed);
}

fn of(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

impl Counts {
    pub(super) fn opened(&self) {
        add(&self.opened, 1);
    }

    pub(super) fn closed(&self) {
        add(&self.closed, 1);
    }

    pub(super) fn joined(&self) {
        add(&self.joined, 1);
    }

    pub(super) fn left(&self) {
        add(&self.left, 1);
    }

    /// Counts events that were sent.
    pub(super) fn told(&self, events: usize) {
        add(&self.events, events as u64);
    }

    /// Counts a socket that was too slow.
    pub(super) fn slow(&self) {
        add(&self.slow, 1);
    }

    /// The counts for Prometheus.
    pub(super) fn text(&self) -> String {
        // Those that end are read first, so that no gauge falls below zero.
        let (closed, left) = (of(&self.closed), of(&self.left));
        let mut text = String::new();
        for (name, kind, help, number) in [
            (
                "dust_channel_sockets",
                "gauge",
                "Sockets that are open.",
                of(&self.opened).saturating_sub(closed),
            ),
            (
                "dust_channel_topics",
                "gauge",
                "Topics that are joined.",
                of(&self.joined).saturating_sub(left),
            ),
            (
                "dust_channel_events_total",
                "counter",
                "Events sent to sockets.",
                of(&self.events),
            ),
            (
                "dust_channel_slow_total",
                "counter",
                "Sockets closed because they were too slow.",
                of(&self.slow),
            ),
        ] {
            // Writing to a string cannot fail.
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {number}\n");
        }
        text
    }
}
