//! How much one transaction of a migration takes, and how long it leaves the engine to others.
//!
//! Alone, a step is large, since each costs a commit. As soon as others write, steps are small, so that no write waits long
//! behind one, and after each the engine is left to the others for as long as the step took: they keep half of it.

use std::time::Duration;

use crate::engine::Engine;
use crate::layer::Layer;

/// How long a step may work while nobody else writes: far from the five seconds that a transaction of a cluster has.
const ALONE_FOR: Duration = Duration::from_millis(100);
/// How long a step may work while others write.
const AMONG_OTHERS_FOR: Duration = Duration::from_millis(5);
/// How many records a step takes at most while others write, however quick it is: they share its commit.
const AMONG_OTHERS_RECORDS: usize = 128;
/// The longest that the engine is left to others after a step.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// What a step took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Took {
    /// The reads and the entries, which a smaller step has fewer of.
    pub(super) work: Duration,
    /// All of it: with the commit, which takes the same however small a step is, and with attempts that were refused.
    pub(super) whole: Duration,
}

/// Whether others write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Company {
    Alone,
    Others,
}

/// Looks out for others.
pub(super) struct Lookout<'l, E: Engine> {
    layer: &'l Layer<E>,
    /// The commits of the engine that were not steps of migrations.
    commits: Option<u64>,
}

impl<'l, E: Engine> Lookout<'l, E> {
    pub(super) fn new(layer: &'l Layer<E>) -> Self {
        let mut lookout = Self { layer, commits: None };
        lookout.commits = lookout.count();
        lookout
    }

    fn count(&self) -> Option<u64> {
        let commits = self.layer.engine().commits()?;
        Some(commits.wrapping_sub(self.layer.steps()))
    }

    /// Tells whether others have written since the last look; `attempts` are those of the step in between.
    pub(super) fn look(&mut self, attempts: u32) -> Company {
        let commits = self.count();
        let before = std::mem::replace(&mut self.commits, commits);
        if attempts > 1 || before != commits {
            Company::Others
        } else {
            Company::Alone
        }
    }
}

/// How many records the next step takes.
#[derive(Debug)]
pub(super) struct Pace {
    records: usize,
    records_max: usize,
}

impl Pace {
    pub(super) fn new(records_max: usize) -> Self {
        Self {
            records: records_max,
            records_max,
        }
    }

    pub(super) fn records(&self) -> usize {
        self.records
    }

    /// A step was too large for a transaction; whether a smaller one may fit.
    pub(super) fn was_too_large(&mut self) -> bool {
        let may_fit = self.records > 1;
        self.records_max = self.records.div_ceil(2);
        self.records = self.records_max;
        may_fit
    }

    /// Learns from a step, and tells how long to leave the engine to others.
    pub(super) fn learn(&mut self, took: Took, company: Company) -> Duration {
        let (time, records_max) = match company {
            Company::Alone => (ALONE_FOR, self.records_max),
            Company::Others => (AMONG_OTHERS_FOR, self.records_max.min(AMONG_OTHERS_RECORDS)),
        };
        let records = if took.work > time {
            self.records / 2
        } else if took.work <= time / 2 {
            self.records.saturating_mul(2)
        } else {
            self.records
        };
        self.records = records.clamp(1, records_max.max(1));
        match company {
            Company::Alone => Duration::ZERO,
            Company::Others => took.whole.min(PAUSE_MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A step that works for so long, and is committed in no time.
    fn work(ms: u32) -> Took {
        Took {
            work: ms * MS,
            whole: ms * MS,
        }
    }

    #[test]
    fn a_step_is_as_large_as_its_time() {
        let mut pace = Pace::new(500);
        assert_eq!(pace.learn(work(400), Company::Alone), Duration::ZERO);
        assert_eq!(pace.records(), 250);
        pace.learn(work(400), Company::Alone);
        pace.learn(work(80), Company::Alone);
        assert_eq!(pace.records(), 125);
        for _ in 0..3 {
            pace.learn(work(40), Company::Alone);
        }
        assert_eq!(pace.records(), 500);
        for _ in 0..20 {
            pace.learn(work(400), Company::Alone);
        }
        assert_eq!(pace.records(), 1);
    }

    #[test]
    fn among_others_steps_are_small_and_leave_half_of_the_time() {
        let mut pace = Pace::new(500);
        assert_eq!(pace.learn(work(1), Company::Others), MS);
        assert_eq!(pace.records(), 128);
        assert_eq!(pace.learn(work(7), Company::Others), 7 * MS);
        assert_eq!(pace.records(), 64);
        assert_eq!(pace.learn(work(900), Company::Others), PAUSE_MAX);
        // They are gone.
        for expected in [64, 128, 256, 500, 500] {
            pace.learn(work(1), Company::Alone);
            assert_eq!(pace.records(), expected);
        }
    }

    /// On a slow disk a smaller step would be committed no sooner.
    #[test]
    fn a_slow_commit_makes_no_step_smaller() {
        let mut pace = Pace::new(500);
        let slow = Took {
            work: MS,
            whole: 30 * MS,
        };
        for _ in 0..20 {
            assert_eq!(pace.learn(slow, Company::Others), 30 * MS);
        }
        assert_eq!(pace.records(), 128);
    }

    #[test]
    fn what_was_too_large_is_not_tried_again() {
        let mut pace = Pace::new(3);
        assert!(pace.was_too_large());
        pace.learn(work(1), Company::Alone);
        assert_eq!(pace.records(), 2);
        assert!(pace.was_too_large());
        assert!(!pace.was_too_large());
        assert_eq!(pace.records(), 1);
    }
}
