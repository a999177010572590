//! Writing: what each op does to the leaves.

use super::probe::{Probe, delete, json, path, set};
use crate::error::ErrorKind::{InvalidParams, NotSupported};
use crate::model::{Batch, Op, Path, Seq, Value, ValueKind};
use crate::transport::Transport;

/// A map is stored as its leaves, which share the revision of the op.
pub async fn set_flattens_a_map(transport: &dyn Transport) {
    let store = Probe(transport);
    let revision = store
        .set("r", r#"{"b":{"c":[{"d":1}],"e":null},"a":"x","f/g~":true}"#)
        .await;
    assert_eq!(
        store.leaves().await,
        [r#"r/a="x""#, r#"r/b/c=[{"d":1}]"#, "r/b/e=null", "r/f~1g~0=true"]
    );
    assert!(
        store.dump().await.iter().all(|leaf| leaf.revision == revision),
        "the leaves of one set share a revision"
    );
    store
        .assert_value("r", r#"{"a":"x","b":{"c":[{"d":1}],"e":null},"f/g~":true}"#)
        .await;
}

/// A map replaces everything at and below its path, and nothing else.
pub async fn set_replaces_the_subtree(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", r#"{"a":1,"b":{"c":2}}"#).await;
    for beside in ["r-x", "r.x/y", "r0", "q", "R/a"] {
        store.set(beside, "0").await;
    }
    store.set("r", r#"{"b":{"d":3}}"#).await;
    assert_eq!(
        store.leaves().await,
        ["R/a=0", "q=0", "r-x=0", "r.x/y=0", "r/b/d=3", "r0=0"]
    );
}

/// A map at the path of a leaf takes the leaf away.
pub async fn set_of_a_map_replaces_the_leaf(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", "1").await;
    store.set("r", r#"{"a":2}"#).await;
    assert_eq!(store.leaves().await, ["r/a=2"]);
}

/// A leaf value clears what was below its path.
pub async fn set_of_a_leaf_clears_descendants(transport: &dyn Transport) {
    let store = Probe(transport);
    for (index, text) in ["1", "[]", "null", r#"{"_type":"file","hash":"x"}"#]
        .into_iter()
        .enumerate()
    {
        let at = format!("r{index}");
        store.set(&at, r#"{"a":1,"b":{"c":2}}"#).await;
        store.set(&at, text).await;
        store.assert_absent(&format!("{at}/a")).await;
        store.assert_absent(&format!("{at}/b")).await;
        store.assert_value(&at, text).await;
    }
}

/// A leaf below another leaf leaves that one in place.
pub async fn set_keeps_a_leaf_above(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", "1").await;
    store.set("r/a/b", "2").await;
    store.set("r/a", r#"{"c":3}"#).await;
    assert_eq!(store.leaves().await, ["r=1", "r/a/c=3"]);
}

/// Empty maps leave nothing: at the path, it removes what was there; inside another, it vanishes.
pub async fn empty_maps_leave_nothing(transport: &dyn Transport) {
    let store = Probe(transport);
    let first = store.set("r", r#"{"a":1,"b":{"c":2}}"#).await;
    let second = store.set("r", "{}").await;
    assert_eq!(second, Seq(first.0 + 1), "it is an op like any other");
    store.assert_absent("r").await;
    store.set("r", r#"{"a":{},"b":{"c":{"d":{}}},"e":1,"f":[{}]}"#).await;
    assert_eq!(store.leaves().await, ["r/e=1", "r/f=[{}]"]);
}

/// A key that is no segment refuses the whole write.
pub async fn keys_that_are_no_segments_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", r#"{"a":1}"#).await;
    for text in [r#"{"":1}"#, r#"{"b":2,"":1}"#, r#"{"b":{"c":{"":1}}}"#] {
        store.refused(set("r", text), InvalidParams, "empty_segment").await;
        if store.has_value_ops() {
            store
                .refused(Op::merge(path("r"), json(text)), InvalidParams, "empty_segment")
                .await;
        }
    }
    store
        .refused(set("r", r#"{"a\u0000b":1}"#), InvalidParams, "path_nul")
        .await;
    let long = format!(r#"{{"{}":1}}"#, "k".repeat(Path::BYTES_MAX - 1));
    store.refused(set("r", &long), InvalidParams, "path_too_long").await;
    let deep = format!(
        "{}1{}",
        r#"{"k":"#.repeat(Value::LEVELS_MAX),
        "}".repeat(Value::LEVELS_MAX)
    );
    store.set("deep", &deep).await;
    store
        .refused(set("deep/er", &deep), InvalidParams, "path_too_deep")
        .await;
}

/// Of equal keys in one map the first counts.
pub async fn first_of_equal_keys_counts(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", r#"{"a":1,"b":{"x":1},"\u0061":2,"b":{"y":2}}"#).await;
    assert_eq!(store.leaves().await, ["r/a=1", "r/b/x=1"]);
}

/// A delete takes the leaf and everything below it, in exactly this spelling.
pub async fn delete_removes_the_subtree(transport: &dyn Transport) {
    let store = Probe(transport);
    for at in [
        "links",
        "links/a",
        "links/a/b",
        "Links/a",
        "links-x",
        "links_/a",
        "links0",
        "link",
    ] {
        store.set(at, "1").await;
    }
    store.write([delete("links")]).await;
    assert_eq!(
        store.leaves().await,
        ["Links/a=1", "link=1", "links-x=1", "links0=1", "links_/a=1"]
    );
}

/// Wildcards of other systems mean nothing in a path.
pub async fn delete_takes_paths_literally(transport: &dyn Transport) {
    let store = Probe(transport);
    for at in ["a_b/x", "aXb/x", "a%/x", "abc/x", "*/x", "**/x", "?/x"] {
        store.set(at, "1").await;
    }
    for at in ["a_b", "a%", "*", "**", "?"] {
        store.write([delete(at)]).await;
    }
    assert_eq!(store.leaves().await, ["aXb/x=1", "abc/x=1"]);
}

/// A delete of nothing is an op like any other.
pub async fn delete_of_nothing_takes_a_seq(transport: &dyn Transport) {
    let store = Probe(transport);
    let first = store.write([delete("nothing")]).await;
    let second = store.set("r", "1").await;
    assert_eq!((first, second), (Seq(1), Seq(2)));
}

/// A merge replaces the children that it names, one level deep, and keeps the others.
pub async fn merge_replaces_named_children(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    store.set("r", r#"{"a":1,"b":{"c":2,"d":3},"e":4}"#).await;
    let revision = store
        .write([Op::merge(path("r"), json(r#"{"a":10,"b":{"f":5},"g/h":[6],"i":{}}"#))])
        .await;
    assert_eq!(store.leaves().await, ["r/a=10", "r/b/f=5", "r/e=4", "r/g~1h=[6]"]);
    let kept = store.entry("r/e").await.expect("the child that was not named");
    assert!(
        kept.revision < revision,
        "a child that was not named keeps its revision"
    );
    assert_eq!(store.entry("r/b/f").await.expect("the leaf").revision, revision);
}

/// A merge touches neither the leaf at its own path nor what is below a child that it sets to a leaf.
pub async fn merge_keeps_what_it_does_not_name(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    store.set("r", "0").await;
    store.set("r/a/b", "1").await;
    store.set("r-x", "9").await;
    store.write([Op::merge(path("r"), json(r#"{"a":2}"#))]).await;
    assert_eq!(store.leaves().await, ["r=0", "r-x=9", "r/a=2", "r/a/b=1"]);
    let before = store.dump().await;
    store.write([Op::merge(path("r"), json("{}"))]).await;
    assert_eq!(store.dump().await, before, "an empty merge names nothing");
}

/// Only a map can be merged.
pub async fn merge_needs_a_map(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    store.set("r", r#"{"a":1}"#).await;
    for text in ["1", "null", "[]", r#""x""#] {
        store
            .refused(
                Op::merge(path("r"), json(text)),
                InvalidParams,
                "merge_requires_map_value",
            )
            .await;
    }
}

/// An increment adds to the leaf, from zero where nothing is, and makes it a counter.
pub async fn increment_counts(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    let at = || path("r/n");
    for (by, total) in [("5", "5"), ("-7", "-2"), ("0", "-2"), ("2", "0")] {
        let revision = store.write([Op::increment(at(), json(by))]).await;
        let entry = store.entry("r/n").await.expect("the counter");
        assert_eq!(
            (entry.value, entry.kind, entry.revision),
            (json(total), ValueKind::Counter, revision)
        );
    }
    store.set("r/n", "40").await;
    assert_eq!(
        store.entry("r/n").await.expect("the leaf").kind,
        ValueKind::Integer,
        "a set takes the kind anew"
    );
    store.write([Op::increment(at(), 2)]).await;
    store.assert_value("r/n", "42").await;
    store.write([Op::increment(at(), json("0.5"))]).await;
    store.assert_value("r/n", "42.5").await;
}

/// Whole numbers are added exactly, across the edges of `i64` too.
pub async fn increment_is_exact(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    for (start, by, total) in [
        ("9007199254740993", "1", "9007199254740994"),
        ("9223372036854775806", "1", "9223372036854775807"),
        ("9223372036854775807", "1", "9223372036854775808"),
        ("18446744073709551614", "1", "18446744073709551615"),
        ("-9223372036854775807", "-1", "-9223372036854775808"),
        ("18446744073709551615", "-18446744073709551615", "0"),
    ] {
        store.set("n", start).await;
        store.write([Op::increment(path("n"), json(by))]).await;
        assert_eq!(store.value("n").await.json(), total, "{start} + {by}");
    }
}

/// Only numbers are added, and only to numbers.
pub async fn increment_of_what_is_no_number_is_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    for text in [r#""5""#, "[1]", "true"] {
        store.set("r", text).await;
        store.refused(Op::increment(path("r"), 1), InvalidParams, "").await;
        store
            .refused(
                Op::increment(path("r"), json(text)),
                InvalidParams,
                "increment_requires_number_value",
            )
            .await;
    }
    store.set("r", "1e308").await;
    store
        .refused(Op::increment(path("r"), json("1.7e308")), InvalidParams, "")
        .await;
}

/// Members of a set stand newest first, each once; one that is there moves to the front.
pub async fn add_puts_the_newest_first(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    for (member, list) in [
        ("1", "[1]"),
        (r#""a""#, r#"["a",1]"#),
        ("1.0", r#"[1.0,"a",1]"#),
        ("1", r#"[1,1.0,"a"]"#),
        (r#"{"x":1,"y":[2]}"#, r#"[{"x":1,"y":[2]},1,1.0,"a"]"#),
        (r#"{"y":[2],"x":1}"#, r#"[{"x":1,"y":[2]},1,1.0,"a"]"#),
        (r#""\u0061""#, r#"["a",{"x":1,"y":[2]},1,1.0]"#),
    ] {
        let revision = store.write([Op::add(path("r/tags"), json(member))]).await;
        let entry = store.entry("r/tags").await.expect("the set");
        assert_eq!(entry.value, json(list), "after {member} was added");
        assert_eq!((entry.kind, entry.revision), (ValueKind::Set, revision));
    }
}

/// What is no list counts as an empty set, and a list as a set.
pub async fn add_starts_from_a_list_or_anew(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    store.set("r", "[1,2,2,3]").await;
    store.write([Op::add(path("r"), 2)]).await;
    store.assert_value("r", "[2,1,3]").await;
    store.set("r", r#""text""#).await;
    store.write([Op::add(path("r"), 2)]).await;
    store.assert_value("r", "[2]").await;
    assert_eq!(store.entry("r").await.expect("the set").kind, ValueKind::Set);
}

/// A member is taken out by value; taking out what is not there changes no member, and makes a set where none is.
pub async fn remove_takes_a_member_out(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    for (start, member, list) in [
        (r#"["a","b","c"]"#, r#""b""#, r#"["a","c"]"#),
        ("[1,1.0,2]", "1.0", "[1,2]"),
        ("[1,2,1]", "1", "[2,1]"),
        (r#"["a"]"#, r#""z""#, r#"["a"]"#),
        (r#"[{"x":1,"y":2}]"#, r#"{"y":2,"x":1}"#, "[]"),
        (r#""text""#, r#""text""#, "[]"),
    ] {
        store.set("r", start).await;
        store.write([Op::remove(path("r"), json(member))]).await;
        store.assert_value("r", list).await;
        assert_eq!(store.entry("r").await.expect("the set").kind, ValueKind::Set);
    }
    store.write([Op::remove(path("none"), 1)]).await;
    store.assert_value("none", "[]").await;
}

/// A null is no member of a set, though it may be an item of a list.
pub async fn null_is_no_member(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    store.set("r", "[1,null]").await;
    store
        .refused(Op::add(path("r"), Value::null()), InvalidParams, "add_requires_value")
        .await;
    store
        .refused(
            Op::remove(path("r"), Value::null()),
            InvalidParams,
            "remove_requires_value",
        )
        .await;
    store.write([Op::add(path("r"), 2)]).await;
    store.assert_value("r", "[2,1,null]").await;
}

/// Counters and sets leave what is below their path alone.
pub async fn counters_and_sets_keep_descendants(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    store.set("r/a/x", "0").await;
    store.write([Op::increment(path("r/a"), 1)]).await;
    store.write([Op::add(path("r/a"), 1)]).await;
    store.write([Op::remove(path("r/a"), 1)]).await;
    assert_eq!(store.leaves().await, ["r/a=[]", "r/a/x=0"]);
}

/// Ops are numbered from 1, one by one, whatever they do.
pub async fn ops_are_numbered_one_by_one(transport: &dyn Transport) {
    let store = Probe(transport);
    let ops = [
        set("a", "1"),
        set("b", r#"{"x":1,"y":2,"z":3}"#),
        set("c", "{}"),
        Op::merge(path("b"), json(r#"{"x":1,"y":2}"#)),
        Op::increment(path("a"), 1),
        Op::add(path("s"), 1),
        Op::add(path("s"), 1),
        Op::remove(path("s"), 9),
        delete("b"),
        delete("b"),
    ];
    let ops = ops.into_iter().filter(|op| store.has(op));
    for (index, op) in (1..).zip(ops) {
        let shown = format!("{op:?}");
        assert_eq!(store.write([op]).await, Seq(index), "the number of {shown}");
    }
}

/// A refused write takes no number.
pub async fn refused_writes_take_no_seq(transport: &dyn Transport) {
    let store = Probe(transport);
    let before = store.set("r", r#""x""#).await;
    if store.has_value_ops() {
        store.refused(Op::increment(path("r"), 1), InvalidParams, "").await;
    }
    store
        .refused(set("r", r#"{"":1}"#), InvalidParams, "empty_segment")
        .await;
    assert_eq!(store.set("r", "1").await, Seq(before.0 + 1));
}

/// Increments from many writers at once all count, and each gets a number of its own.
pub async fn concurrent_increments_all_count(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_value_ops() {
        return;
    }
    let batches = (0..64).map(|_| Op::increment(path("n"), 1).into()).collect();
    let mut seqs: Vec<u64> = store
        .race(batches)
        .await
        .into_iter()
        .flat_map(|reply| reply.expect("an increment").seqs)
        .map(|seq| seq.0)
        .collect();
    seqs.sort_unstable();
    assert_eq!(seqs, (1..=64).collect::<Vec<u64>>());
    store.assert_value("n", "64").await;
}

/// Ops that the store has not are refused, and say so.
pub async fn unsupported_ops_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.has_value_ops() {
        return;
    }
    for op in [
        Op::merge(path("r"), json(r#"{"a":1}"#)),
        Op::increment(path("r"), 1),
        Op::add(path("r"), 1),
        Op::remove(path("r"), 1),
    ] {
        let error = store.refused_batch(Batch::new([set("r", "1"), op.clone()])).await;
        assert_eq!(error.kind(), NotSupported, "{error:?}");
        store.refused(op, NotSupported, "").await;
    }
    assert_eq!(store.leaves().await, [""; 0]);
}
