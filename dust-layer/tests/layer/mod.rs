//! What the layer promises on whatever engine it stands.
//!
//! A promise is a function that takes an empty engine. [`layer_suite!`] lists them all: `tests/it/suite.rs` makes a test of each
//! on the engines of this machine, and `tests/foundationdb.rs` keeps them on a cluster. What only one engine can show, such as
//! power cuts, is tested in `tests/it`.

pub(crate) mod busy;
pub(crate) mod collection;
pub(crate) mod count;
pub(crate) mod directory;
pub(crate) mod fixture;
pub(crate) mod index;
pub(crate) mod kill;
pub(crate) mod metrics;
pub(crate) mod migration;
pub(crate) mod once;
pub(crate) mod query;
pub(crate) mod query_model;
pub(crate) mod race;
pub(crate) mod row;
pub(crate) mod tenant;
pub(crate) mod watch;

/// Makes a test of every promise. The argument is an expression that yields an empty engine and something to keep alive beside
/// it; with `run:` before it the promises are kept here and now, as by `engine_suite!`.
macro_rules! layer_suite {
    (run: $make:expr, $announce:expr) => {{
        let announce = $announce;
        $crate::layer::layer_suite!(@promises run (announce) $make);
    }};
    ($make:expr) => {
        $crate::layer::layer_suite!(@promises tests () $make);
    };
    (@promises $form:ident ($($announce:ident)?) $make:expr) => {
        $crate::layer::layer_suite!(@$form ($($announce)?) $make;
            row::what_is_written_is_read_whole_or_split,
            row::stored_bytes_that_are_not_ours_are_an_error_and_never_a_panic,
            row::a_row_has_these_bytes,
            row::a_split_row_has_these_keys,
            row::a_split_row_with_a_wrong_piece_is_an_error,
            row::rows_that_become_short_or_long_leave_nothing_behind,
            row::a_row_beyond_the_limit_is_refused,
            row::fields_that_a_table_does_not_know_are_kept,
            row::each_mode_of_an_upsert_does_what_it_says,
            row::inserting_twice_is_refused_also_within_and_across_transactions,
            row::updates_and_deletes_of_what_is_not_there_are_told,
            row::rows_that_do_not_fit_their_table_are_refused,
            row::a_float_key_of_zero_and_keys_that_begin_each_other_are_apart,
            row::versionstamped_keys_are_in_the_order_of_commits,
            row::a_partition_is_a_field_of_the_key_before_the_versionstamp,
            row::a_null_in_the_key_is_refused_and_a_missing_field_is_null,
            row::a_cleared_table_is_empty_and_its_neighbours_are_not,
            query::a_plan_says_what_it_reads,
            query::what_is_not_one_range_is_refused_with_the_index_that_would_serve,
            query::of_indexes_that_serve_the_best_is_used,
            query::bounds_of_the_primary_key_are_kept,
            query::bounds_of_texts_are_values_and_not_prefixes,
            query::nulls_come_first_and_are_in_no_range,
            query::a_limit_counts_rows_however_many_keys_they_take,
            query::pages_cover_a_query_once_in_both_directions,
            query::a_stream_sees_what_is_written_ahead_of_it_and_ends_at_its_limit,
            query::a_cursor_of_another_query_is_refused,
            query::reads_run_side_by_side_and_keep_their_order,
            query_model::a_query_finds_what_a_filter_over_all_rows_finds,
            index::entries_follow_inserts_updates_and_deletes,
            index::an_entry_has_these_bytes,
            index::a_query_after_a_write_in_the_same_transaction_sees_it,
            index::a_covering_index_beside_rows_holds_what_they_hold,
            index::an_index_with_the_primary_key_in_it_works,
            index::an_index_on_a_table_with_versionstamped_keys_finds_its_rows,
            index::a_unique_index_refuses_values_that_another_row_has,
            index::unique_keys_that_begin_each_other_are_told_apart,
            index::a_table_without_rows_lives_in_its_index,
            index::a_second_insert_into_an_index_without_rows_is_told,
            index::counters_count_what_happens_to_all_and_to_each_group,
            index::counters_do_not_make_writers_conflict,
            index::a_custom_index_is_kept_built_queried_and_dropped,
            index::an_index_knows_a_field_that_the_table_of_an_older_program_lacks,
            index::an_entry_without_its_row_is_corruption_and_not_silence,
            index::rows_that_an_index_finds_are_changed_and_deleted_in_one_transaction,
            index::a_cleared_table_leaves_nothing_in_any_index,
            collection::leaves_are_indexed_kept_queried_and_checked,
            collection::what_was_written_past_the_index_is_found_and_repaired,
            migration::an_index_over_rows_that_were_there_answers_once_it_is_built,
            migration::a_build_goes_through_rows_of_any_length_in_steps_of_any_size,
            migration::progress_is_told,
            migration::versions_must_grow_and_what_is_unknown_is_refused,
            migration::a_build_that_is_killed_at_any_step_is_taken_over,
            migration::an_owner_that_was_taken_over_stops_and_waits,
            migration::a_claim_is_waited_for_though_its_watch_is_refused,
            migration::writers_with_old_knowledge_lose_no_entry_and_leave_none,
            migration::a_write_under_way_conflicts_with_each_change_of_state,
            migration::while_an_index_is_built_or_dropped_it_answers_nothing,
            migration::commits_of_unknown_outcome_and_conflicts_do_no_harm_to_a_build,
            migration::a_unique_index_over_duplicates_is_told_and_goes_on_when_they_are_gone,
            migration::large_rows_make_smaller_steps,
            migration::programs_with_different_lists_run_what_each_knows,
            migration::all_tenants_are_migrated_and_one_that_fails_stops_no_other,
            migration::a_field_is_copied_and_deleted_and_one_that_is_renamed_costs_nothing,
            migration::what_differs_is_counted_and_repaired,
            kill::a_build_that_is_killed_at_any_call_of_the_engine_is_taken_over,
            kill::of_two_nodes_that_migrate_at_once_any_may_be_killed_anywhere,
            kill::of_twenty_nodes_one_goes_on_when_the_owner_dies,
            busy::writers_that_append_more_than_a_step_takes_do_not_outrun_a_build,
            busy::fields_are_copied_and_deleted_to_where_the_rows_ended,
            busy::the_last_row_may_grow_while_an_index_is_built,
            busy::steps_are_large_alone_and_small_while_others_write,
            busy::conflicts_make_steps_smaller,
            busy::a_step_has_a_time_and_others_get_as_much,
            busy::builds_of_other_tenants_are_no_company,
            race::nodes_that_migrate_at_once_and_writers_that_cross_them_end_sound,
            race::of_many_that_insert_the_same_id_one_wins,
            tenant::tenants_are_opened_created_listed_and_deleted,
            tenant::of_many_that_create_a_tenant_all_get_the_same,
            tenant::keys_of_another_tenant_are_refused,
            tenant::the_application_writes_beside_the_layer_and_not_into_it,
            tenant::a_cleared_tenant_is_empty_and_usable,
            tenant::a_tenant_that_was_deleted_takes_no_rows_from_those_who_have_it_open,
            tenant::another_tenants_migration_is_in_nobodys_way,
            tenant::a_layer_above_binds_its_own_transactions,
            directory::the_tree_has_the_bytes_of_the_official_layer,
            directory::a_tree_written_by_another_binding_is_read,
            directory::paths_are_created_opened_listed_moved_and_removed,
            directory::what_the_rules_forbid_is_refused,
            directory::a_newer_minor_version_is_read_only_and_a_newer_major_is_refused,
            directory::a_prefix_in_use_is_not_given_out,
            directory::prefixes_are_unique_over_windows_and_never_given_out_again,
            directory::creators_at_once_agree_on_one_tenant,
            directory::tenants_are_apart_and_go_with_their_keys,
            once::writes_are_applied_once_whatever_their_commits_met,
            once::an_insert_is_not_in_its_own_way,
            once::a_closure_that_writes_before_its_future_runs_writes_once_too,
            once::errors_that_no_repetition_mends_are_given_back_at_once,
            once::marks_of_done_transactions_are_swept_after_two_days,
            watch::a_watched_row_is_seen_inserted_changed_split_and_deleted,
            watch::a_watched_query_is_read_again_when_its_group_changes,
            watch::a_watch_on_a_row_of_a_partition_fires,
            watch::whatever_is_read_can_be_watched_and_a_failure_ends_the_stream,
            watch::a_watch_that_is_refused_in_passing_is_set_again,
            count::reads_cost_what_they_must,
            count::writes_cost_what_they_must,
            count::what_is_not_known_is_read_once,
            count::split_rows_cost_their_pieces,
            count::versionstamped_rows_are_written_without_a_read,
            count::opening_costs_one_range_read_when_nothing_is_to_be_migrated,
            metrics::rows_entries_keys_and_bytes_are_counted,
            metrics::retries_conflicts_and_unknown_commits_are_counted,
            metrics::spans_tell_what_was_done,
        );
    };
    (@run ($announce:ident) $make:expr; $($module:ident::$promise:ident),* $(,)?) => {
        $(
            $announce(concat!(stringify!($module), "::", stringify!($promise)));
            let (engine, guard) = $make;
            $crate::layer::keep($crate::layer::$module::$promise(&engine));
            drop((engine, guard));
        )*
    };
    (@tests () $make:expr; $($module:ident::$promise:ident),* $(,)?) => {
        $(
            #[test]
            fn $promise() {
                let (engine, guard) = $make;
                $crate::layer::keep($crate::layer::$module::$promise(&engine));
                drop((engine, guard));
            }
        )*
    };
}
pub(crate) use layer_suite;

/// Keeps one promise, on a runtime of its own.
pub(crate) fn keep(promise: impl Future<Output = ()>) {
    dust_layer::suite::run(async {
        promise.await;
        Ok(())
    });
}
