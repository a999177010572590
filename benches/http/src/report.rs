//! The table at the end.

use std::fmt;

/// What one side did in one round.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Turn {
    /// Requests, writes or leaves in a second.
    pub(crate) per_second: f64,
    /// Processor time of the server for each, in microseconds, where the system tells.
    pub(crate) cpu_us: Option<f64>,
}

/// What a ratio or a rate should be at least.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target {
    Ratio(f64),
    PerSecond(f64),
    /// It is told beside the others.
    None,
}

/// One comparison: what both sides did, round by round.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) dust: Vec<Turn>,
    /// Empty where the peer is not installed.
    pub(crate) peer: Vec<Turn>,
    pub(crate) target: Target,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.dust.iter().zip(&self.peer);
        let ratios = Sorted::new(rounds.map(|(dust, peer)| dust.per_second / peer.per_second));
        let rate = |turns: &[Turn]| Sorted::new(turns.iter().map(|turn| turn.per_second));
        let cpu = |turns: &[Turn]| Sorted::new(turns.iter().filter_map(|turn| turn.cpu_us));
        let (dust, peer) = (rate(&self.dust), rate(&self.peer));
        let (target, is_met) = match self.target {
            Target::Ratio(least) => (format!("≥ {least:.1}×"), ratios.median().map(|ratio| ratio >= least)),
            Target::PerSecond(least) => (format!("≥ {least:.0}"), dust.median().map(|rate| rate >= least)),
            Target::None => (String::new(), None),
        };
        write!(
            f,
            "{:<46} {:>9} {:>9} {:>7} {:>13} {:>9}  {:<8} {:>7} {:>7}",
            self.what,
            dust.show("", 0),
            peer.show("", 0),
            ratios.show("×", 2),
            ratios.range(),
            target,
            is_met.map_or("", |is_met| if is_met { "met" } else { "MISSED" }),
            cpu(&self.dust).show("µs", 1),
            cpu(&self.peer).show("µs", 1),
        )
    }
}

/// The head of the table.
pub(crate) fn head() -> String {
    format!(
        "{:<46} {:>9} {:>9} {:>7} {:>13} {:>9}  {:<8} {:>7} {:>7}",
        "", "dust/s", "peer/s", "ratio", "rounds", "target", "", "CPU", "peer's"
    )
}

struct Sorted(Vec<f64>);

impl Sorted {
    fn new(numbers: impl Iterator<Item = f64>) -> Self {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        Self(numbers)
    }

    fn median(&self) -> Option<f64> {
        self.0.get(self.0.len() / 2).copied()
    }

    fn show(&self, unit: &str, digits: usize) -> String {
        self.median()
            .map_or_else(|| "-".to_owned(), |median| format!("{median:.digits$}{unit}"))
    }

    fn range(&self) -> String {
        match (self.0.first(), self.0.last()) {
            (Some(least), Some(most)) => format!("{least:.2}–{most:.2}"),
            _ => String::new(),
        }
    }
}
