//! The suite finds what is broken: one fault at a time in the model, and the promise that must fail for it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use dust_transport::suite;

use super::model::Model;

/// One rule that the model breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A set of a map keeps the leaf at its path.
    KeepReplacedLeaf,
    /// Subtrees are found without regard to case.
    IgnoreCase,
    /// In an assembled map a leaf hides what is below it.
    LeafHidesDescendants,
    /// The newest member of a set goes last.
    OldestFirst,
    /// A refused batch leaves the ops before in place.
    HalfBatches,
    /// An error names the first op, whichever it was.
    WrongOpIndex,
    /// A repeated op id is applied again.
    NoDedup,
    /// Leaves that are not named do not matter to a subtree precondition.
    ExtraLeaves,
    /// A page starts with its cursor.
    InclusiveCursor,
    /// A full page always promises another.
    NoLookAhead,
    /// Events of increments tell the delta.
    DeltaInEvents,
    /// Integers beyond 2^53 are rounded.
    LossyNumbers,
    /// Arrays have the kind of strings.
    ArraysAreStrings,
    /// A decimal is read in its envelope.
    KeepEnvelopes,
    /// A merge clears what is below a child that it sets to a leaf.
    MergeClears,
    /// A subtree counts as a leaf for `Absent`.
    AbsentSeesSubtrees,
    /// `Below` lists the path itself, too.
    BelowHoldsItself,
    /// A sibling that starts with the same bytes counts as a descendant.
    BytePrefixes,
    /// `Touching` does not cover ops above its path.
    TouchingMissesAncestors,
    /// What was told before a subscriber caught up is told again after.
    EventsTwice,
    /// The first op after a subscriber has caught up is lost to it.
    GapAtCatchUp,
    /// Fences are not looked at.
    NoFences,
    /// A lease whose time is over is renewed.
    RenewsEnded,
    /// A release that finds nothing takes a number.
    ReleaseCounts,
    /// A reference that was merely set gives access to the file.
    ForgedFiles,
    /// A file can be read though no leaf refers to it.
    FilesForEver,
}

#[test]
fn every_fault_is_found() {
    let promises = suite::all();
    for (fault, name) in [
        (Fault::KeepReplacedLeaf, "write::set_of_a_map_replaces_the_leaf"),
        (Fault::IgnoreCase, "write::delete_removes_the_subtree"),
        (Fault::LeafHidesDescendants, "read::descendants_win_in_assembly"),
        (Fault::OldestFirst, "write::add_puts_the_newest_first"),
        (Fault::HalfBatches, "batch::one_refused_op_refuses_the_batch"),
        (Fault::WrongOpIndex, "batch::preconditions_see_the_ops_before"),
        (Fault::NoDedup, "batch::concurrent_repetitions_write_once"),
        (
            Fault::ExtraLeaves,
            "precondition::subtree_of_other_leaves_is_a_conflict",
        ),
        (Fault::InclusiveCursor, "list::cursors_need_not_exist"),
        (Fault::NoLookAhead, "list::pages_give_every_leaf_once"),
        (Fault::DeltaInEvents, "subscribe::events_say_what_was_done"),
        (Fault::LossyNumbers, "value::numbers_are_exact"),
        (Fault::ArraysAreStrings, "value::kinds_follow_the_json_text"),
        (Fault::KeepEnvelopes, "value::typed_envelopes_read_as_strings"),
        (Fault::MergeClears, "write::merge_keeps_what_it_does_not_name"),
        (
            Fault::AbsentSeesSubtrees,
            "precondition::absent_writes_where_no_leaf_is",
        ),
        (Fault::BelowHoldsItself, "list::list_below"),
        (Fault::BytePrefixes, "read::siblings_with_a_common_start_are_apart"),
        (
            Fault::TouchingMissesAncestors,
            "subscribe::touching_covers_ancestors_and_descendants",
        ),
        (Fault::EventsTwice, "subscribe::from_the_first_op"),
        (Fault::GapAtCatchUp, "subscribe::open_subscription_misses_nothing"),
        (Fault::NoFences, "lease::fence_stops_everyone_else"),
        (Fault::RenewsEnded, "lease::lease_of_another_is_not_renewed"),
        (Fault::ReleaseCounts, "lease::release_of_nothing_takes_no_seq"),
        (Fault::ForgedFiles, "file::forged_reference_is_no_file"),
        (Fault::FilesForEver, "file::file_is_there_while_a_leaf_is"),
    ] {
        let (_, promise) = promises
            .iter()
            .find(|(known, _)| *known == name)
            .expect("a known promise");
        let store = |fault| async move || (Model::new(fault), ());
        let run = |fault| catch_unwind(AssertUnwindSafe(|| suite::run(store(fault), *promise)));
        assert!(run(None).is_ok(), "{name} must hold of a sound model");
        assert!(run(Some(fault)).is_err(), "{name} must fail on {fault:?}");
    }
}
