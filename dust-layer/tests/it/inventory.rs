//! What the tests of the layer that this one follows promise, in their order, and which of our tests keep it.
//!
//! [`TABLE`] has a line for the cases of a chapter that are kept alike: `chapter numbers = tests`, or `chapter numbers - why there
//! is no counterpart`. A test is `layer/module::promise` of the layer's suite, `suite/module::promise` of the engines',
//! `module::test` of this folder, or `lib/module::test` of the sources. A line that begins with spaces goes on with the one
//! before.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// How many cases each chapter has.
const CHAPTERS: [(&str, u32); 32] = [
    ("keys", 9),
    ("fields", 5),
    ("encoding", 2),
    ("definition", 1),
    ("choice", 6),
    ("chunks", 3),
    ("assigns", 6),
    ("stamp", 9),
    ("paging", 1),
    ("crud", 23),
    ("index", 5),
    ("indexer", 1),
    ("timeseries", 3),
    ("order", 28),
    ("pipeline", 2),
    ("upsert", 8),
    ("large", 6),
    ("migration", 5),
    ("tenant", 3),
    ("single", 16),
    ("versionstamp", 6),
    ("partition", 14),
    ("schemaless", 21),
    ("counter", 4),
    ("watch", 3),
    ("janitor", 2),
    ("sync", 8),
    ("cost", 20),
    ("missing", 16),
    ("verb", 13),
    ("promise", 12),
    ("defect", 17),
];

const TABLE: &str = "\
# Unit tests of keys, names and encodings.
keys 1 = layer/tenant::the_application_writes_beside_the_layer_and_not_into_it
keys 2 5 = layer/row::a_cleared_table_is_empty_and_its_neighbours_are_not
keys 3 = layer/row::a_row_has_these_bytes
keys 4 6 = layer/row::a_partition_is_a_field_of_the_key_before_the_versionstamp
keys 7 = layer/index::an_entry_has_these_bytes
keys 8 = layer/query::a_plan_says_what_it_reads layer/query::bounds_of_texts_are_values_and_not_prefixes
keys 9 = layer/row::what_is_written_is_read_whole_or_split
fields 1-4 - rows are read whole; a covering index is what reads less
fields 5 = layer/row::a_row_has_these_bytes
encoding 1 = value::keys_have_the_codes_of_the_tuple_encoding
encoding 2 = value::keys_have_the_order_of_values
definition 1 = lib/index/catalog::definitions_are_stored_and_read
choice 1-5 = layer/query::of_indexes_that_serve_the_best_is_used
choice 6 - an index is chosen only if it serves; what none serves names the one that would
chunks 1 = layer/row::a_split_row_has_these_keys
chunks 2 = layer/row::rows_that_become_short_or_long_leave_nothing_behind
chunks 3 = layer/query::a_limit_counts_rows_however_many_keys_they_take
assigns 1-6 - there is no map of a view to assign into; a stream yields what is to be shown
stamp 1-4 6-9 = value::versionstamps_are_ordered_and_told_apart
stamp 5 = layer/row::rows_that_do_not_fit_their_table_are_refused
paging 1 = suite/range::pages_cover_a_range_once
# Rows.
crud 1 = layer/row::what_is_written_is_read_whole_or_split
crud 2 = layer/row::inserting_twice_is_refused_also_within_and_across_transactions
crud 3 6 19-20 23 - it is the type of an argument here, so there is nothing that could be wrong at run time
crud 4 = layer/tenant::keys_of_another_tenant_are_refused layer/query::a_cursor_of_another_query_is_refused
crud 5 = layer/row::a_null_in_the_key_is_refused_and_a_missing_field_is_null
crud 7 9 = layer/query::what_is_not_one_range_is_refused_with_the_index_that_would_serve
crud 8 - a query has no method for it
crud 10 16-17 22 = layer/row::updates_and_deletes_of_what_is_not_there_are_told
crud 11 = layer/query_model::a_query_finds_what_a_filter_over_all_rows_finds
crud 12 = layer/query::bounds_of_the_primary_key_are_kept layer/query_model::a_query_finds_what_a_filter_over_all_rows_finds
crud 13-14 = layer/query::bounds_of_the_primary_key_are_kept
crud 15 = layer/query::pages_cover_a_query_once_in_both_directions
crud 18 = layer/row::a_cleared_table_is_empty_and_its_neighbours_are_not
crud 21 = layer/row::rows_that_become_short_or_long_leave_nothing_behind
# Indexes.
index 1 = layer/index::entries_follow_inserts_updates_and_deletes
index 2-3 = layer/index::rows_that_an_index_finds_are_changed_and_deleted_in_one_transaction
index 4-5 = layer/query::bounds_of_texts_are_values_and_not_prefixes
indexer 1 = layer/index::a_custom_index_is_kept_built_queried_and_dropped
timeseries 1-3 = layer/index::a_table_without_rows_lives_in_its_index
order 1 = layer/query::bounds_of_the_primary_key_are_kept
order 2-3 7-8 12 14 18-19 22-23 26 - a limit counts rows and never cuts one
order 4-5 27 = layer/query::a_limit_counts_rows_however_many_keys_they_take
order 6 - nothing is sorted in memory; what no range has in order is refused with the index that would
order 9-10 16-17 = layer/query::what_is_not_one_range_is_refused_with_the_index_that_would_serve
order 11 25 = layer/index::a_table_without_rows_lives_in_its_index
order 13 15 20-21 24 = layer/query_model::a_query_finds_what_a_filter_over_all_rows_finds
order 28 - a range has one direction; two of them are refused, since nothing is sorted in memory
# Transactions.
pipeline 1 = layer/query::reads_run_side_by_side_and_keep_their_order
pipeline 2 = layer/row::inserting_twice_is_refused_also_within_and_across_transactions
  layer/race::of_many_that_insert_the_same_id_one_wins
upsert 1-5 = layer/row::each_mode_of_an_upsert_does_what_it_says
upsert 6-7 - it is the type of an argument here, so there is nothing that could be wrong at run time
upsert 8 - a write that does not look leaves entries of what it replaces; only keys that nobody can have yet are so written
large 1 = layer/row::a_row_beyond_the_limit_is_refused suite/commit::limits_are_enforced
large 2 = layer/row::a_row_beyond_the_limit_is_refused
large 3 = layer/watch::a_watched_row_is_seen_inserted_changed_split_and_deleted
  layer/query::pages_cover_a_query_once_in_both_directions
  layer/row::rows_that_become_short_or_long_leave_nothing_behind
large 4 = layer/query::a_limit_counts_rows_however_many_keys_they_take
large 5 = layer/row::versionstamped_keys_are_in_the_order_of_commits
large 6 = layer/index::an_index_on_a_table_with_versionstamped_keys_finds_its_rows
# Migrations: one tenant, a large one, two of the job, the command line.
migration 1 = layer/migration::an_index_over_rows_that_were_there_answers_once_it_is_built
migration 2 = layer/race::nodes_that_migrate_at_once_and_writers_that_cross_them_end_sound
migration 3 = layer/migration::progress_is_told
migration 4 = layer/kill::of_twenty_nodes_one_goes_on_when_the_owner_dies
migration 5 = layer/migration::a_field_is_copied_and_deleted_and_one_that_is_renamed_costs_nothing
# Tenants.
tenant 1 = layer/tenant::tenants_are_opened_created_listed_and_deleted
tenant 2 = layer/tenant::of_many_that_create_a_tenant_all_get_the_same
tenant 3 - the cluster's own tenants are unfinished; there is one kind, by prefix
single 1-16 - there is no ambient tenant to configure: a handle is the tenant
versionstamp 1 = layer/row::rows_that_do_not_fit_their_table_are_refused
versionstamp 2 - a stamp is made by a transaction, since only its commit completes it
versionstamp 3-5 = layer/row::versionstamped_keys_are_in_the_order_of_commits
versionstamp 6 = layer/index::an_index_on_a_table_with_versionstamped_keys_finds_its_rows
partition 1 3 5-6 14 = layer/row::a_partition_is_a_field_of_the_key_before_the_versionstamp
partition 2 - a key of two fields is a key: a range with one end is one range of it
partition 4 = layer/row::versionstamped_keys_are_in_the_order_of_commits
partition 7 = layer/row::rows_that_do_not_fit_their_table_are_refused
partition 8 = layer/watch::a_watch_on_a_row_of_a_partition_fires
partition 9 - a row of a partition is deleted like any other
partition 10 13 = layer/query_model::a_query_finds_what_a_filter_over_all_rows_finds
partition 11 - a row of a partition is updated like any other
partition 12 = layer/row::updates_and_deletes_of_what_is_not_there_are_told
# Collections without a table are records that another layer keeps.
schemaless 1 3 8-10 12 21 = layer/collection::leaves_are_indexed_kept_queried_and_checked
schemaless 2 7 14 20 - rows are read whole; a covering index is what reads less
schemaless 4-6 11 13 15-18 - the records themselves are their keeper's to read
schemaless 19 = layer/tenant::keys_of_another_tenant_are_refused
# Counters, watches and what follows them.
counter 1 4 = layer/index::counters_count_what_happens_to_all_and_to_each_group
counter 2-3 = layer/watch::a_watched_query_is_read_again_when_its_group_changes
watch 1-2 = layer/watch::a_watched_row_is_seen_inserted_changed_split_and_deleted
watch 3 = layer/watch::whatever_is_read_can_be_watched_and_a_failure_ends_the_stream
janitor 1 = suite/watch::a_dropped_watch_harms_nothing
janitor 2 - a watch is cancelled by being dropped, so nothing sweeps
sync 1 8 = layer/watch::a_watched_row_is_seen_inserted_changed_split_and_deleted
sync 2 - it is the type of an argument here, so there is nothing that could be wrong at run time
sync 3 6 = layer/watch::a_watched_query_is_read_again_when_its_group_changes
sync 4 7 - there is no map of a view to assign into; a stream yields what is to be shown
sync 5 = suite/watch::a_dropped_watch_harms_nothing
# What calls cost.
cost 1-3 = layer/count::opening_costs_one_range_read_when_nothing_is_to_be_migrated
cost 4 6-7 = layer/count::what_is_not_known_is_read_once
cost 5 11-12 15 = layer/count::writes_cost_what_they_must
cost 8-10 13-14 = layer/count::reads_cost_what_they_must
cost 16-19 = layer/count::split_rows_cost_their_pieces
cost 20 = layer/count::versionstamped_rows_are_written_without_a_read
# What the other's tests do not cover.
missing 1 = layer/index::a_query_after_a_write_in_the_same_transaction_sees_it
missing 2 = layer/migration::writers_with_old_knowledge_lose_no_entry_and_leave_none
  layer/migration::a_write_under_way_conflicts_with_each_change_of_state
missing 3 = layer/migration::a_build_goes_through_rows_of_any_length_in_steps_of_any_size
missing 4 = layer/migration::writers_with_old_knowledge_lose_no_entry_and_leave_none
missing 5-6 = layer/query::pages_cover_a_query_once_in_both_directions
missing 7 = layer/index::an_index_with_the_primary_key_in_it_works
missing 8 = layer/query_model::a_query_finds_what_a_filter_over_all_rows_finds
missing 9 = layer/watch::a_watch_on_a_row_of_a_partition_fires
missing 10 = layer/index::a_covering_index_beside_rows_holds_what_they_hold
missing 11 = layer/migration::programs_with_different_lists_run_what_each_knows
missing 12 = layer/migration::writers_with_old_knowledge_lose_no_entry_and_leave_none
  layer/kill::a_build_that_is_killed_at_any_call_of_the_engine_is_taken_over
missing 13 = layer/once::writes_are_applied_once_whatever_their_commits_met
  layer/migration::commits_of_unknown_outcome_and_conflicts_do_no_harm_to_a_build
missing 14 = layer/tenant::a_tenant_that_was_deleted_takes_no_rows_from_those_who_have_it_open
missing 15 = layer/row::a_float_key_of_zero_and_keys_that_begin_each_other_are_apart
missing 16 = value::days_beyond_the_year_9999_and_before_0_are_in_order
# The verbs of a store, in the order in which the manual lists what is used.
verb 1 = suite/read::any_bytes_are_keys_and_values suite/range::pages_cover_a_range_once
verb 2 = suite/mapped::entries_come_with_what_they_lead_to suite/mapped::own_writes_are_mapped
verb 3 = suite/commit::writes_happen_in_their_order
verb 4 = suite/commit::atomics_count_in_their_length suite/concurrency::atomics_sum_exactly
verb 5 = suite/commit::stamps_are_filled_in suite/commit::a_bad_stamp_offset_is_refused
verb 6 = suite/conflict::conflicts_added_by_hand_count
verb 7 - only the allocator of prefixes used it; ours reads as a snapshot and adds its conflict by hand
verb 8 = suite/conflict::snapshot_reads_do_not_conflict
verb 9 = suite/watch::a_watch_fires_on_a_change
verb 10 = suite/commit::versions_and_stamps_grow layer/row::versionstamped_keys_are_in_the_order_of_commits
verb 11 = suite/concurrency::increments_in_the_retry_loop_count_exactly
verb 12 - a closure that is run again sees its attempt's own transaction, not the last error
verb 13 = suite/concurrency::a_dropped_commit_is_whole_or_absent
# What a store in memory must keep to.
promise 1 = model::memory_is_a_serial_map model::disk_is_a_serial_map suite/conflict::write_skew_is_refused
  suite/conflict::an_insert_into_a_read_range_conflicts
promise 2 = suite/read::own_writes_are_read suite/read::own_atomics_are_read suite/range::own_atomics_are_merged
promise 3 = suite/read::unresolved_versionstamps_are_unreadable
promise 4 = suite/conflict::blind_writes_do_not_conflict layer/index::counters_do_not_make_writers_conflict
promise 5 = suite/watch::a_watch_of_a_dropped_transaction_fails suite/watch::a_change_before_the_commit_fires_the_watch
promise 6 = suite/concurrency::stamps_of_concurrent_commits_differ_and_order_them
promise 7 = suite/metadata::the_metadata_version_is_the_stamp_of_its_last_write
promise 8 = suite/metadata::the_metadata_version_is_written_by_a_stamp_only
  suite/metadata::a_read_of_the_metadata_version_conflicts
promise 9 = suite/range::ranges_exclude_their_end suite/metadata::ranges_end_before_the_engines_own_keys
promise 10 = suite/commit::limits_are_enforced
promise 11 - an engine in the process keeps what its oldest transaction reads; five seconds are the cluster's
promise 12 = suite/commit::a_read_only_commit_is_trivial
# Defects that reading the other one suggested.
defect 1 = layer/migration::writers_with_old_knowledge_lose_no_entry_and_leave_none
  layer/migration::a_write_under_way_conflicts_with_each_change_of_state
defect 2 = layer/migration::a_build_goes_through_rows_of_any_length_in_steps_of_any_size
  layer/busy::the_last_row_may_grow_while_an_index_is_built
defect 3 = layer/migration::writers_with_old_knowledge_lose_no_entry_and_leave_none
defect 4 = layer/query::pages_cover_a_query_once_in_both_directions
defect 5 = layer/index::an_index_with_the_primary_key_in_it_works
defect 6 = layer/query_model::a_query_finds_what_a_filter_over_all_rows_finds layer/watch::a_watch_on_a_row_of_a_partition_fires
defect 7 = layer/index::a_covering_index_beside_rows_holds_what_they_hold
defect 8 = lib/index/catalog::names_of_different_fields_differ
defect 9 = layer/row::a_row_beyond_the_limit_is_refused
defect 10 = layer/migration::programs_with_different_lists_run_what_each_knows
defect 11 - there is no map of a view to assign into; a stream yields what is to be shown
defect 12 = layer/tenant::tenants_are_opened_created_listed_and_deleted
defect 13 - a transaction is an argument, so there is no other one around it
defect 14 = value::days_beyond_the_year_9999_and_before_0_are_in_order
defect 15 = layer/row::fields_that_a_table_does_not_know_are_kept
defect 16 = layer/index::a_cleared_table_leaves_nothing_in_any_index
defect 17 - a claim is a name and a number, whatever is left to do
";

/// One line of the table.
#[derive(Debug, PartialEq)]
struct Line<'t> {
    chapter: &'t str,
    cases: Vec<u32>,
    kept: Kept<'t>,
}

#[derive(Debug, PartialEq)]
enum Kept<'t> {
    By(Vec<&'t str>),
    Not(&'t str),
}

fn parse(line: &str) -> Line<'_> {
    let is_kept = line.contains(" = ");
    let (cases, kept) = line.split_once(if is_kept { " = " } else { " - " }).unwrap();
    let mut words = cases.split(' ');
    let chapter = words.next().unwrap();
    let cases = words.flat_map(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        first.parse().unwrap()..=last.parse().unwrap()
    });
    Line {
        chapter,
        cases: cases.collect(),
        kept: if is_kept {
            Kept::By(kept.split(' ').collect())
        } else {
            Kept::Not(kept)
        },
    }
}

/// The file and the function of a name.
fn place(name: &str) -> (String, &str) {
    let (module, test) = name.split_once("::").unwrap();
    let file = match module.split_once('/') {
        Some(("lib", rest)) => format!("src/{rest}.rs"),
        Some(("layer", rest)) => format!("tests/layer/{rest}.rs"),
        Some(_) => format!("src/{module}.rs"),
        None => format!("tests/it/{module}.rs"),
    };
    (file, test)
}

/// Whether the source has a test of this name: a function with the attribute before it.
fn is_test(source: &str, name: &str) -> bool {
    let Some(at) = source.find(&format!("fn {name}(")) else {
        return false;
    };
    let line = source[..at].rfind('\n').map_or(0, |end| end + 1);
    let attributes = source[..line].lines().rev().map(str::trim_start);
    let mut attributes = attributes.take_while(|line| line.starts_with("#[") || line.starts_with("///"));
    attributes.any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
}

#[test]
fn every_case_has_a_test_that_exists_or_a_reason() {
    let read = |file: &str| fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap_or_default();
    let suites = read("src/suite/mod.rs") + &read("tests/layer/mod.rs");
    let mut seen: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
    let table = TABLE.replace("\n  ", " ");
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let Line { chapter, cases, kept } = parse(line);
        let names = match kept {
            Kept::By(names) => names,
            Kept::Not(reason) => {
                assert!(reason.len() > 20, "{line}");
                Vec::new()
            }
        };
        for name in names {
            let (file, test) = place(name);
            let source = read(&file);
            // A promise of a suite is a test of every engine, as its macro lists it.
            let is_there = match name.split_once('/') {
                Some(("suite" | "layer", promise)) => {
                    source.contains(&format!("async fn {test}<")) && suites.contains(&format!(" {promise},"))
                }
                _ => is_test(&source, test),
            };
            assert!(is_there, "{chapter}: {name} is no test");
        }
        let (chapter, _) = *CHAPTERS.iter().find(|(known, _)| *known == chapter).unwrap();
        seen.entry(chapter).or_default().extend(cases);
    }
    for (chapter, cases) in CHAPTERS {
        let mut found = seen.remove(chapter).unwrap_or_default();
        found.sort_unstable();
        assert_eq!(found, (1..=cases).collect::<Vec<_>>(), "{chapter}");
    }
}

#[test]
fn a_name_without_a_test_is_found_out() {
    let source = "#[test]\nfn a() {}\nfn b() {}\n/// It.\n#[tokio::test(flavor = \"x\")]\nasync fn c() {}\n";
    assert!(is_test(source, "a") && is_test(source, "c"));
    assert!(!is_test(source, "b") && !is_test(source, "d"));
    assert_eq!(place("suite/read::x"), ("src/suite/read.rs".into(), "x"));
    let line = Line {
        chapter: "a",
        cases: vec![1, 3, 4],
        kept: Kept::By(vec!["m::t"]),
    };
    assert_eq!(parse("a 1 3-4 = m::t"), line);
}
