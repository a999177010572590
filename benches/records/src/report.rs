//! The table at the end.

use std::fmt;
use std::time::Duration;

/// What a ratio should be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(f, "≤ {most:.1}×"),
            Self::AtLeast(least) => write!(f, "≥ {least:.1}×"),
        }
    }
}

/// One comparison: the median times of an operation on both sides, round by round.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) dust: Vec<Duration>,
    pub(crate) raw: Vec<Duration>,
    pub(crate) target: Target,
}

impl Line {
    /// The ratio of each round; where less is worse, of throughputs and else of times.
    fn ratios(&self) -> Vec<f64> {
        let rounds = self.dust.iter().zip(&self.raw);
        let ratio = |(dust, raw): (&Duration, &Duration)| match self.target {
            Target::AtMost(_) => dust.as_secs_f64() / raw.as_secs_f64(),
            Target::AtLeast(_) => raw.as_secs_f64() / dust.as_secs_f64(),
        };
        rounds.map(ratio).collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut ratios = self.ratios();
        ratios.sort_by(f64::total_cmp);
        let ratio = median(&ratios).unwrap_or(f64::NAN);
        let (least, most) = (ratios.first().unwrap_or(&f64::NAN), ratios.last().unwrap_or(&f64::NAN));
        write!(
            f,
            "{:<52} {:>10} {:>10} {:>6} {:>13} {:>7}  {}",
            self.what,
            time(&self.dust),
            time(&self.raw),
            format!("{ratio:.2}×"),
            format!("{least:.2}–{most:.2}"),
            self.target.to_string(),
            if self.target.is_met(ratio) { "met" } else { "MISSED" },
        )
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<52} {:>10} {:>10} {:>6} {:>13} {:>7}",
        "", "dust", "raw", "ratio", "rounds", "target"
    )
}

fn time(rounds: &[Duration]) -> String {
    let mut rounds = rounds.to_vec();
    rounds.sort_unstable();
    median(&rounds).map_or_else(String::new, |time| format!("{time:.1?}"))
}

/// The one in the middle of what is sorted.
pub(crate) fn median<T: Copy>(sorted: &[T]) -> Option<T> {
    sorted.get(sorted.len() / 2).copied()
}
