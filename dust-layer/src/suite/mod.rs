//! The conformance suite of [`Engine`], for the tests of an implementation.
//!
//! Each promise is one function that takes a fresh engine; [`engine_suite!`](crate::engine_suite) makes a test of each.
//!
//! ```
//! dust_layer::engine_suite!((dust_layer::Memory::new(), ()));
//! ```
#![expect(
    clippy::missing_panics_doc,
    reason = "every promise panics when it is not kept; that is what a suite is"
)]

pub mod commit;
pub mod concurrency;
pub mod conflict;
pub mod mapped;
pub mod metadata;
pub mod range;
pub mod read;
pub mod watch;

use std::future::Future;

use crate::engine::{Committed, Direction, Engine, Isolation, Pairs, RangeRead, Transaction};
use crate::error::Error;

/// Makes a test of every promise. The argument is an expression that yields a fresh engine and something to keep alive
/// beside it, such as a temporary folder.
///
/// With `run:` before it, the promises are kept here and now, one after the other, and `announce` is called with the name
/// of each: for an engine that one test harness cannot start, such as one whose network runs once per process.
///
/// ```
/// let mut names = Vec::new();
/// dust_layer::engine_suite!(run: (dust_layer::Memory::new(), ()), |name: &'static str| names.push(name));
/// assert!(names.contains(&"conflict::write_skew_is_refused"));
/// ```
#[macro_export]
macro_rules! engine_suite {
    (run: $make:expr, $announce:expr) => {{
        let mut announce = $announce;
        $crate::engine_suite!(@promises run (announce) $make);
    }};
    ($make:expr) => {
        $crate::engine_suite!(@promises tests () $make);
    };
    (@promises $form:ident ($($announce:ident)?) $make:expr) => {
        $crate::engine_suite!(@$form ($($announce)?) $make;
            read::own_writes_are_read,
            read::own_clears_are_read,
            read::own_atomics_are_read,
            read::a_transaction_sees_the_version_it_began_with,
            read::any_bytes_are_keys_and_values,
            read::unresolved_versionstamps_are_unreadable,
            read::an_overwritten_versionstamp_is_gone,
            range::own_writes_are_merged_in_both_directions,
            range::own_atomics_are_merged,
            range::a_cleared_range_hides_what_is_below_and_not_what_is_written_after,
            range::ranges_exclude_their_end,
            range::empty_ranges_are_empty_and_inverted_ones_refused,
            range::the_limit_cuts_and_says_so,
            range::pages_cover_a_range_once,
            conflict::a_read_key_that_was_written_conflicts,
            conflict::an_absent_key_that_was_written_conflicts,
            conflict::an_insert_into_a_read_range_conflicts,
            conflict::a_delete_from_a_read_range_conflicts,
            conflict::a_range_clear_over_a_read_key_conflicts,
            conflict::a_cut_range_conflicts_only_where_it_was_read,
            conflict::a_range_conflicts_up_to_its_end_when_not_cut,
            conflict::snapshot_reads_do_not_conflict,
            conflict::blind_writes_do_not_conflict,
            conflict::own_writes_read_back_do_not_conflict,
            conflict::write_skew_is_refused,
            conflict::conflicts_added_by_hand_count,
            conflict::a_versionstamped_key_conflicts_with_a_read_of_its_range,
            conflict::a_refused_transaction_writes_nothing,
            commit::a_commit_is_seen_by_later_transactions,
            commit::a_dropped_transaction_writes_nothing,
            commit::a_read_only_commit_is_trivial,
            commit::a_used_transaction_is_refused,
            commit::versions_and_stamps_grow,
            commit::stamps_are_filled_in,
            commit::a_bad_stamp_offset_is_refused,
            commit::writes_happen_in_their_order,
            commit::atomics_count_in_their_length,
            commit::limits_are_enforced,
            mapped::entries_come_with_what_they_lead_to,
            mapped::own_writes_are_mapped,
            mapped::a_mapped_read_conflicts_on_both_sides,
            mapped::a_key_that_is_no_entry_is_refused,
            metadata::the_metadata_version_is_the_stamp_of_its_last_write,
            metadata::the_metadata_version_is_written_by_a_stamp_only,
            metadata::a_read_of_the_metadata_version_conflicts,
            metadata::ranges_end_before_the_engines_own_keys,
            watch::a_watch_fires_on_a_change,
            watch::a_watch_fires_on_a_clear_and_on_a_range_clear,
            watch::a_watch_of_a_read_only_transaction_fires,
            watch::a_change_before_the_commit_fires_the_watch,
            watch::a_watch_compares_with_what_its_transaction_wrote,
            watch::a_watch_of_a_dropped_transaction_fails,
            watch::a_dropped_watch_harms_nothing,
            watch::a_watch_of_a_closed_engine_fails,
            concurrency::atomics_sum_exactly,
            concurrency::increments_in_the_retry_loop_count_exactly,
            concurrency::of_commits_submitted_together_one_wins,
            concurrency::transfers_keep_the_sum_that_readers_see,
            concurrency::a_long_reader_neither_blocks_nor_sees_later_writes,
            concurrency::stamps_of_concurrent_commits_differ_and_order_them,
            concurrency::a_dropped_commit_is_whole_or_absent,
        );
    };
    (@run ($announce:ident) $make:expr; $($module:ident::$promise:ident),* $(,)?) => {
        $(
            $announce(concat!(stringify!($module), "::", stringify!($promise)));
            let (engine, guard) = $make;
            $crate::suite::run($crate::suite::$module::$promise(engine));
            drop(guard);
        )*
    };
    (@tests () $make:expr; $($module:ident::$promise:ident),* $(,)?) => {
        $(
            #[test]
            fn $promise() {
                let (engine, guard) = $make;
                $crate::suite::run($crate::suite::$module::$promise(engine));
                drop(guard);
            }
        )*
    };
}

/// Runs one promise on a runtime of its own.
///
/// # Panics
/// If the promise is not kept.
pub fn run(promise: impl Future<Output = Result<(), Error>>) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    let outcome = runtime.expect("a runtime for the test").block_on(promise);
    assert!(outcome.is_ok(), "the promise failed with {outcome:?}");
}

const SERIALIZABLE: Isolation = Isolation::Serializable;
const SNAPSHOT: Isolation = Isolation::Snapshot;

/// Commits some pairs.
async fn put<E: Engine>(engine: &E, pairs: &[(&[u8], &[u8])]) -> Result<Committed, Error> {
    let transaction = engine.begin();
    for (key, value) in pairs {
        transaction.set(key, value);
    }
    transaction.commit().await
}

/// Commits the clearing of some keys.
async fn clear<E: Engine>(engine: &E, keys: &[&[u8]]) -> Result<Committed, Error> {
    let transaction = engine.begin();
    for key in keys {
        transaction.clear(key);
    }
    transaction.commit().await
}

/// What a new transaction reads at a key.
async fn value<E: Engine>(engine: &E, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    engine.begin().get(key, SNAPSHOT).await
}

/// A whole range, ascending and serializable.
fn all<'a>(begin: &'a [u8], end: &'a [u8]) -> RangeRead<'a> {
    RangeRead {
        begin,
        end,
        limit: usize::MAX,
        direction: Direction::Forward,
        isolation: SERIALIZABLE,
    }
}

/// The pairs as text, `key=value`, separated by spaces.
fn text(pairs: &Pairs) -> String {
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    pairs
        .iter()
        .map(|(key, value)| format!("{}={}", show(key), show(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

#[expect(clippy::unnecessary_wraps, reason = "it is compared with what `get` returns")]
fn some(bytes: &[u8]) -> Option<Vec<u8>> {
    Some(bytes.to_vec())
}
