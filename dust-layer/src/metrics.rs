//! Counters of what the layer does.

use std::sync::atomic::{AtomicU64, Ordering};

use tracing::Span;

use crate::error::Error;

macro_rules! metrics {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What has been done through a [`Layer`](crate::layer::Layer), at one moment. Every number only grows.
        ///
        /// ```
        /// # #[tokio::main(flavor = "current_thread")]
        /// # async fn main() -> Result<(), dust_layer::Error> {
        /// use dust_layer::table::Table;
        /// use dust_layer::value::FieldType;
        /// use dust_layer::{Error, Memory, Tenant};
        ///
        /// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
        /// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
        /// tenant.transact(async |tx| tx.insert(&users, &users.row([("id", 1)])?).await).await?;
        /// let metrics = tenant.layer().metrics();
        /// assert_eq!((metrics.transactions, metrics.rows_written, metrics.retries), (1, 1, 0));
        /// # Ok(())
        /// # }
        /// ```
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct MetricsSnapshot {
            $($(#[$doc])* pub $name: u64,)*
        }

        #[derive(Debug, Default)]
        pub(crate) struct Metrics {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Metrics {
            pub(crate) fn snapshot(&self) -> MetricsSnapshot {
                MetricsSnapshot {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }

            /// Adds what a transaction did.
            pub(crate) fn absorb(&self, other: &Self) {
                $(add(&self.$name, other.$name.load(Ordering::Relaxed));)*
            }
        }
    };
}

metrics! {
    /// Transactions that were run to their end, however often.
    transactions,
    /// Runs beyond the first of a transaction.
    retries,
    /// Commits that were refused because of a conflict.
    conflicts,
    /// Commits whose outcome was unknown.
    unknown_commits,
    /// Rows that were read and decoded.
    rows_read,
    /// Rows that were inserted or replaced.
    rows_written,
    /// Rows that were deleted.
    rows_deleted,
    /// Index entries that queries read.
    entries_read,
    /// Index entries that were set.
    entries_written,
    /// Index entries that were cleared.
    entries_cleared,
    /// Keys that were read.
    keys_read,
    /// Bytes of the keys and values that were read.
    bytes_read,
    /// Keys that were set, cleared or counted up; a range that was cleared counts once.
    keys_written,
    /// Bytes of the keys and values that were written.
    bytes_written,
    /// Index definitions that were taken from memory.
    catalog_hits,
    /// Index definitions that were read.
    catalog_misses,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    if count > 0 {
        counter.fetch_add(count, Ordering::Relaxed);
    }
}

pub(crate) fn add_len(counter: &AtomicU64, count: usize) {
    add(counter, u64::try_from(count).unwrap_or(u64::MAX));
}

impl Metrics {
    pub(crate) fn attempts<'m>(&'m self, span: &'m Span) -> Attempts<'m> {
        Attempts {
            metrics: self,
            span,
            count: 0,
        }
    }
}

/// Counts the runs of one transaction.
#[derive(Debug)]
pub(crate) struct Attempts<'m> {
    metrics: &'m Metrics,
    span: &'m Span,
    count: u64,
}

impl Attempts<'_> {
    /// A run begins; a second one does because the one before it was refused.
    pub(crate) fn begin(&mut self) {
        if self.count > 0 {
            add(&self.metrics.retries, 1);
            add(&self.metrics.conflicts, 1);
        }
        self.count += 1;
    }

    pub(crate) fn failed(&self, error: Option<&Error>) {
        match error {
            Some(error) if error.is_retryable() => add(&self.metrics.conflicts, 1),
            Some(error) if error.is_maybe_committed() => add(&self.metrics.unknown_commits, 1),
            _ => {}
        }
    }
}

impl Drop for Attempts<'_> {
    fn drop(&mut self) {
        add(&self.metrics.transactions, u64::from(self.count > 0));
        self.span.record("attempts", self.count);
    }
}
