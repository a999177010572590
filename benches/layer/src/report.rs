//! The table at the end.

use std::fmt;
use std::time::Duration;

/// What a ratio should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

/// One comparison: the times of the two sides, turn by turn, and the ratio of the first to the second.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) ours: Vec<Duration>,
    pub(crate) other: Vec<Duration>,
    pub(crate) target: Target,
}

impl Line {
    /// The ratio of the medians: of times where it should be small, of rates where it should be large.
    fn ratio(&self) -> f64 {
        let (ours, other) = (median(&self.ours).as_secs_f64(), median(&self.other).as_secs_f64());
        match self.target {
            Target::AtMost(_) => ours / other,
            Target::AtLeast(_) => other / ours,
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = self.ratio();
        let (target, is_met) = match self.target {
            Target::AtMost(most) => (format!("≤ {most}"), ratio <= most),
            Target::AtLeast(least) => (format!("≥ {least}"), ratio >= least),
        };
        write!(
            f,
            "{:<58} {:>10} {:>10} {:>9} {:>6}  {}",
            self.what,
            format!("{:.1?}", median(&self.ours)),
            format!("{:.1?}", median(&self.other)),
            format!("{ratio:.2}×"),
            target,
            if is_met { "met" } else { "MISSED" },
        )
    }
}

pub(crate) fn head() -> String {
    format!(
        "{:<58} {:>10} {:>10} {:>9} {:>6}",
        "", "ours", "other", "ratio", "target"
    )
}

fn median(times: &[Duration]) -> Duration {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
