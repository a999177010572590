//! The conformance suite of [`Transport`]: one function per promise.
//!
//! Each function takes a transport to a fresh, empty store and panics, naming what it saw, when a promise is broken. What
//! a transport declares in [`Capabilities`](crate::transport::Capabilities) not to do is not asked of it; only batches
//! of 256 ops and pages of 50 leaves are taken for granted. Every wait ends after [`PATIENCE`], so that a broken
//! implementation fails rather than hangs.
//!
//! An implementation runs them all, each as a test of its own, with one line:
//!
//! ```
//! # use dust_transport::transport::Transport;
//! async fn fresh() -> (impl Transport, impl Sized) {
//!     // a transport to an empty store, and what must outlive it, such as the folder it is in
//! #   (nowhere(), ())
//! }
//!
//! dust_transport::transport_suite!(fresh);
//! # #[derive(Debug)] struct Nowhere;
//! # fn nowhere() -> Nowhere { Nowhere }
//! # fn refuse<T: Send>() -> BoxFuture<'static, Result<T, Error>> {
//! #     Box::pin(async { Err(Error::new(dust_transport::error::ErrorKind::NotSupported, "not_supported", "nowhere")) })
//! # }
//! # use dust_transport::{error::Error, model::*, transport::*};
//! # use futures_core::future::BoxFuture;
//! # impl Transport for Nowhere {
//! #     fn name(&self) -> &'static str { "nowhere" }
//! #     fn capabilities(&self) -> Capabilities { Capabilities::full() }
//! #     fn list<'a>(&'a self, _: &'a List) -> BoxFuture<'a, Result<Page, Error>> { refuse() }
//! #     fn get<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> { refuse() }
//! #     fn get_many<'a>(&'a self, _: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> { refuse() }
//! #     fn exists<'a>(&'a self, _: &'a Path) -> BoxFuture<'a, Result<bool, Error>> { refuse() }
//! #     fn write(&self, _: Batch) -> BoxFuture<'_, Result<Written, Error>> { refuse() }
//! #     fn subscribe(&self, _: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> { refuse() }
//! # }
//! ```
#![expect(
    clippy::missing_panics_doc,
    reason = "every function here panics when its promise is broken"
)]
#![expect(
    clippy::indexing_slicing,
    reason = "a missing item breaks the promise, and a panic says so"
)]

pub mod batch;
pub mod file;
pub mod lease;
pub mod list;
pub mod precondition;
mod probe;
pub mod query;
pub mod read;
pub mod record;
pub mod subscribe;
pub mod transaction;
pub mod value;
pub mod write;

use std::time::Duration;

use futures_core::future::BoxFuture;

use crate::transport::Transport;

/// How long the suite waits for any one answer.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One promise, as a function to run on a transport to a fresh, empty store.
pub type Promise = for<'a> fn(&'a dyn Transport) -> BoxFuture<'a, ()>;

/// Passes every promise, as `theme::name`, to another macro, after the arguments in parentheses.
#[doc(hidden)]
#[macro_export]
macro_rules! __transport_promises {
    (($($then:tt)*) ($($args:tt)*)) => {
        $($then)*! {
            ($($args)*)
            read::get_of_nothing_is_none,
            read::leaf_reads_back_as_written,
            read::subtree_is_assembled,
            read::subtree_revision_is_of_its_leaves,
            read::assembly_decodes_segments,
            read::exact_leaf_wins_over_descendants,
            read::descendants_win_in_assembly,
            read::siblings_with_a_common_start_are_apart,
            read::get_many_reads_exact_leaves_in_order,
            read::exists_sees_leaves_and_subtrees,
            read::every_path_of_the_grammar_works,
            read::acknowledged_writes_are_seen,
            write::set_flattens_a_map,
            write::set_replaces_the_subtree,
            write::set_of_a_map_replaces_the_leaf,
            write::set_of_a_leaf_clears_descendants,
            write::set_keeps_a_leaf_above,
            write::empty_maps_leave_nothing,
            write::keys_that_are_no_segments_are_refused,
            write::first_of_equal_keys_counts,
            write::delete_removes_the_subtree,
            write::delete_takes_paths_literally,
            write::delete_of_nothing_takes_a_seq,
            write::merge_replaces_named_children,
            write::merge_keeps_what_it_does_not_name,
            write::merge_needs_a_map,
            write::increment_counts,
            write::increment_is_exact,
            write::increment_of_what_is_no_number_is_refused,
            write::add_puts_the_newest_first,
            write::add_starts_from_a_list_or_anew,
            write::remove_takes_a_member_out,
            write::null_is_no_member,
            write::counters_and_sets_keep_descendants,
            write::ops_are_numbered_one_by_one,
            write::refused_writes_take_no_seq,
            write::concurrent_increments_all_count,
            write::unsupported_ops_are_refused,
            value::kinds_follow_the_json_text,
            value::numbers_are_exact,
            value::null_is_a_leaf,
            value::strings_come_back,
            value::huge_strings_come_back,
            value::typed_envelopes_read_as_strings,
            value::other_envelopes_are_one_leaf,
            value::deep_values_come_back,
            precondition::match_of_the_revision_writes,
            precondition::match_of_another_revision_is_a_conflict,
            precondition::match_of_a_missing_leaf_is_a_conflict,
            precondition::match_is_for_one_leaf,
            precondition::absent_writes_where_no_leaf_is,
            precondition::absent_where_a_leaf_is_is_a_conflict,
            precondition::absent_is_for_the_set_of_one_leaf,
            precondition::one_of_many_matching_writers_wins,
            precondition::one_of_many_creators_wins,
            precondition::subtree_of_these_leaves_writes,
            precondition::subtree_of_other_leaves_is_a_conflict,
            precondition::subtree_of_nothing_is_for_creation,
            precondition::subtree_revision_is_compared,
            precondition::unsupported_subtree_preconditions_are_refused,
            batch::batch_takes_consecutive_seqs,
            batch::empty_batch_is_refused,
            batch::batch_is_limited_as_declared,
            batch::ops_see_those_before,
            batch::preconditions_see_the_ops_before,
            batch::one_refused_op_refuses_the_batch,
            batch::concurrent_batches_do_not_mix,
            batch::repeated_op_id_writes_once,
            batch::concurrent_repetitions_write_once,
            batch::refused_batch_leaves_its_op_id_free,
            list::list_is_in_byte_order,
            list::list_of_nothing_is_one_empty_page,
            list::list_by_pattern,
            list::list_below,
            list::list_by_range,
            list::pages_give_every_leaf_once,
            list::pages_look_ahead_to_the_next_match,
            list::cursors_need_not_exist,
            list::keys_are_the_paths_of_entries,
            list::prefixes_are_distinct,
            list::prefix_pages_count_leaves,
            list::prefixes_need_a_base,
            list::limits_are_as_declared,
            query::queries_give_records_in_order,
            query::values_have_one_order,
            query::every_write_keeps_the_index,
            query::query_pages_give_every_record_once,
            query::indexes_come_and_go,
            query::covering_indexes_give_whole_records,
            query::large_covered_records_come_back_whole,
            query::unique_values_are_of_one_record,
            query::duplicates_are_no_unique_index,
            record::records_live_only_in_their_index,
            record::records_are_known_by_slug_and_values,
            record::large_records_come_back_whole,
            record::records_are_written_all_or_none,
            record::records_are_removed_by_those_who_say_so,
            record::unsupported_records_are_refused,
            query::unsupported_queries_are_refused,
            subscribe::from_the_first_op,
            subscribe::from_a_past_op,
            subscribe::from_now,
            subscribe::open_subscription_misses_nothing,
            subscribe::events_say_what_was_done,
            subscribe::live_and_replayed_events_are_equal,
            subscribe::batches_give_one_event_per_op,
            subscribe::pattern_covers_matching_ops,
            subscribe::touching_covers_ancestors_and_descendants,
            subscribe::concurrent_writers_leave_no_gap,
            subscribe::subscribers_see_the_same,
            subscribe::dropped_subscription_disturbs_nobody,
            subscribe::events_come_after_their_effects,
            subscribe::absent_capability_is_refused,
            file::file_reads_back,
            file::files_of_any_size_come_back,
            file::parts_of_a_file_are_read,
            file::file_is_there_while_a_leaf_is,
            file::forged_reference_is_no_file,
            file::file_replaces_the_subtree,
            file::open_file_reads_to_its_end,
            file::file_is_an_event,
            file::repetition_gives_the_reference_again,
            file::absent_files_are_refused,
            lease::lease_is_a_leaf_that_tells_of_it,
            lease::live_lease_is_held,
            lease::occupied_path_takes_no_lease,
            lease::ended_lease_can_be_taken,
            lease::renewal_keeps_token_and_holder,
            lease::lease_of_another_is_not_renewed,
            lease::release_frees_the_lease,
            lease::release_of_nothing_takes_no_seq,
            lease::plain_writes_replace_a_lease,
            lease::fence_lets_the_holder_through,
            lease::fence_stops_everyone_else,
            lease::precondition_comes_before_the_fence,
            lease::one_of_many_takers_wins,
            lease::lease_ops_are_events,
            lease::repetition_gives_the_lease_again,
            lease::absent_leases_are_refused,
            transaction::reads_are_of_one_state,
            transaction::own_writes_are_read,
            transaction::nothing_is_seen_before_the_commit,
            transaction::what_is_not_committed_leaves_nothing,
            transaction::touched_reads_are_a_conflict,
            transaction::other_writes_are_none,
            transaction::counting_is_no_read,
            transaction::preconditions_are_reads,
            transaction::commit_is_one_batch,
            transaction::ended_transaction_is_closed,
            transaction::records_without_leaves_take_part,
            transaction::queried_records_without_leaves_are_compared,
            transaction::what_makes_no_sense_is_refused,
            transaction::unsupported_transactions_are_refused,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __transport_tests {
    (($fresh:expr) $($theme:ident :: $name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() {
                $crate::suite::run($fresh, |transport| ::std::boxed::Box::pin($crate::suite::$theme::$name(transport)));
            }
        )*
    };
}

/// Runs the whole [`suite`](crate::suite), one `#[test]` per promise.
///
/// The argument is an async function without parameters that gives a transport to a fresh, empty store and a guard that
/// is dropped after it. The tests bring their own runtime. See [`suite`](crate::suite) for an example.
#[macro_export]
macro_rules! transport_suite {
    ($fresh:expr) => {
        $crate::__transport_promises!(($crate::__transport_tests)($fresh));
    };
}

/// Every promise with its name, for harnesses of their own.
///
/// ```
/// let promises = dust_transport::suite::all();
/// assert!(promises.iter().any(|(name, _)| *name == "read::get_of_nothing_is_none"));
/// ```
#[must_use]
pub fn all() -> Vec<(&'static str, Promise)> {
    macro_rules! collect {
        (() $($theme:ident :: $name:ident),* $(,)?) => {
            vec![$((
                concat!(stringify!($theme), "::", stringify!($name)),
                (|transport| Box::pin($theme::$name(transport))) as Promise,
            )),*]
        };
    }
    __transport_promises!((collect)())
}

/// Runs one promise on a fresh store, in a runtime of its own on this thread.
pub fn run<T, G>(fresh: impl AsyncFnOnce() -> (T, G), promise: Promise)
where
    T: Transport,
{
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let (transport, guard) = fresh().await;
        promise(&transport).await;
        drop(transport);
        drop(guard);
    });
}
