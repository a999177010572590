use crate::Clock;

/// How the stores of a [`Database`](crate::Database) behave.
///
/// ```
/// use dust_store::{Clock, Options};
/// let options = Options::default().with_clock(Clock::from_fn(|| 0)).with_batch_ops_max(10_000);
/// assert_eq!(options.clock.now_ms(), 0);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The time in the log, and by which op ids are forgotten.
    pub clock: Clock,
    /// The most ops in one batch.
    pub batch_ops_max: usize,
    /// The most leaves in one page of a list.
    pub page_leaves_max: usize,
}

impl Options {
    /// The same with another clock.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// The same with another limit of a batch.
    #[must_use]
    pub fn with_batch_ops_max(mut self, batch_ops_max: usize) -> Self {
        self.batch_ops_max = batch_ops_max;
        self
    }

    /// The same with another limit of a page.
    #[must_use]
    pub fn with_page_leaves_max(mut self, page_leaves_max: usize) -> Self {
        self.page_leaves_max = page_leaves_max;
        self
    }
}

/// The clock of the system, batches of 1000 ops, pages of 1000 leaves.
impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            batch_ops_max: 1000,
            page_leaves_max: 1000,
        }
    }
}
