use std::time::Duration;

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
    /// The most ops in all batches of one transaction.
    pub transaction_ops_max: usize,
    /// The most leaves in one page of a list.
    pub page_leaves_max: usize,
    /// The longest file, in bytes; the engine's limit of a transaction holds as well.
    pub file_bytes_max: usize,
    /// Which ops the log may drop; `None` keeps them all.
    pub retention: Option<Retention>,
}

/// Which ops stay in the log, whatever else: those that are either young or among the last.
///
/// What is older is folded into the base, a little with each commit that follows. What the log no longer has cannot be
/// subscribed from, compared or rolled back to.
///
/// ```
/// use std::time::Duration;
/// use dust_store::{Options, Retention};
///
/// let month = Duration::from_secs(30 * 24 * 60 * 60);
/// let options = Options::default().with_retention(Retention { ops_min: 10_000, age_min: month });
/// assert_eq!(options.retention.map(|kept| kept.ops_min), Some(10_000));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// At least so many of the last ops stay.
    pub ops_min: u64,
    /// Ops stay at least so long.
    pub age_min: Duration,
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

    /// The same with another limit of a transaction.
    #[must_use]
    pub fn with_transaction_ops_max(mut self, transaction_ops_max: usize) -> Self {
        self.transaction_ops_max = transaction_ops_max;
        self
    }

    /// The same with another limit of a page.
    #[must_use]
    pub fn with_page_leaves_max(mut self, page_leaves_max: usize) -> Self {
        self.page_leaves_max = page_leaves_max;
        self
    }

    /// The same with another limit of a file.
    #[must_use]
    pub fn with_file_bytes_max(mut self, file_bytes_max: usize) -> Self {
        self.file_bytes_max = file_bytes_max;
        self
    }

    /// The same with a log that drops what this does not keep.
    #[must_use]
    pub fn with_retention(mut self, retention: Retention) -> Self {
        self.retention = Some(retention);
        self
    }
}

/// The clock of the system, batches of 1000 ops, transactions of 10 000, pages of 1000 leaves, files of 64 MiB, and a log that is kept whole.
impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Clock::default(),
            batch_ops_max: 1000,
            transaction_ops_max: 10_000,
            page_leaves_max: 1000,
            file_bytes_max: 64 << 20,
            retention: None,
        }
    }
}
