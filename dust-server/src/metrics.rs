//! Counts of requests, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The upper bounds of the histogram, in seconds.
const BOUNDS_SECONDS: [f64; 10] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10.0];

/// What has been counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    requests: BTreeMap<(&'static str, u16), u64>,
    /// How many requests took at most so long; the last counts those that took longer than all bounds.
    durations: [u64; BOUNDS_SECONDS.len() + 1],
    seconds: f64,
}

/// The methods that are told apart, so that no client makes up more.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 7] = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("other")
}

impl Metrics {
    /// Counts an answer.
    pub(crate) fn count(&self, method: &str, status: u16, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS_SECONDS.iter().position(|bound| seconds <= *bound);
        // Additions only: nothing is half done when the lock is released.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.requests.entry((known(method), status)).or_default() += 1;
        if let Some(count) = counts.durations.get_mut(bucket.unwrap_or(BOUNDS_SECONDS.len())) {
            *count += 1;
        }
        counts.seconds += seconds;
    }

    /// The counts, and how many stores and tokens there are.
    pub(crate) fn text(&self, stores: usize, tokens: usize) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = counts.write(&mut text);
        for (name, help, number) in [
            ("dust_stores", "Active stores.", stores),
            ("dust_tokens", "Tokens that have not been revoked.", tokens),
        ] {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {number}\n");
        }
        text
    }
}

impl Counts {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        text.push_str("# HELP dust_http_requests_total Requests answered.\n# TYPE dust_http_requests_total counter\n");
        for ((method, status), count) in &self.requests {
            writeln!(
                text,
                "dust_http_requests_total{{method=\"{method}\",status=\"{status}\"}} {count}"
            )?;
        }
        let name = "dust_http_request_duration_seconds";
        write!(
            text,
            "# HELP {name} From the head of a request to the head of its answer.\n# TYPE {name} histogram\n"
        )?;
        let mut total = 0;
        for (bound, count) in BOUNDS_SECONDS.iter().zip(self.durations) {
            total += count;
            writeln!(text, "{name}_bucket{{le=\"{bound}\"}} {total}")?;
        }
        total += self.durations.last().copied().unwrap_or_default();
        writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {total}")?;
        writeln!(text, "{name}_sum {}\n{name}_count {total}", self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_method_status_and_time() {
        let metrics = Metrics::default();
        metrics.count("GET", 200, Duration::from_millis(2));
        metrics.count("GET", 200, Duration::from_mins(1));
        metrics.count("BREW", 404, Duration::from_micros(500));
        let text = metrics.text(3, 4);
        for line in [
            "dust_http_requests_total{method=\"GET\",status=\"200\"} 2",
            "dust_http_requests_total{method=\"other\",status=\"404\"} 1",
            "dust_http_request_duration_seconds_bucket{le=\"0.0005\"} 1",
            "dust_http_request_duration_seconds_bucket{le=\"0.0025\"} 2",
            "dust_http_request_duration_seconds_bucket{le=\"10\"} 2",
            "dust_http_request_duration_seconds_bucket{le=\"+Inf\"} 3",
            "dust_http_request_duration_seconds_count 3",
            "dust_stores 3",
            "dust_tokens 4",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
        }
    }
}
