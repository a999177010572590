//! Batches: all or nothing, in order, at most once.

use super::probe::{Probe, delete, json, path, set};
use crate::error::ErrorKind::{Conflict, InvalidParams, NotSupported};
use crate::model::{Batch, Op, OpId, Precondition, Seq};
use crate::transport::Transport;

fn id(text: &str) -> OpId {
    OpId::new(text).expect("an op id")
}

/// A batch takes one number per op, in the order of its ops.
pub async fn batch_takes_consecutive_seqs(transport: &dyn Transport) {
    let store = Probe(transport);
    let before = store.set("r", "0").await.0;
    let again = Some(Op::increment(path("r/a"), 1)).filter(|op| store.has(op));
    let batch = Batch::new([
        set("r/a", "1"),
        set("r/b", r#"{"x":1,"y":2}"#),
        delete("r/none"),
        again.unwrap_or_else(|| set("r/a", "2")),
    ]);
    let written = store.try_write(batch).await.expect("a batch");
    assert_eq!(written.seqs, [before + 1, before + 2, before + 3, before + 4].map(Seq));
    assert_eq!(store.entry("r/a").await.expect("the leaf").revision, Seq(before + 4));
    assert_eq!(store.entry("r/b/y").await.expect("the leaf").revision, Seq(before + 2));
    assert_eq!(store.set("r", "0").await, Seq(before + 5));
}

/// A batch of nothing is refused.
pub async fn empty_batch_is_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    let error = store.refused_batch(Batch::default()).await;
    assert_eq!((error.kind(), error.code()), (InvalidParams, "invalid_params"));
}

/// A batch of as many ops as declared is taken, of one more it is refused.
pub async fn batch_is_limited_as_declared(transport: &dyn Transport) {
    let store = Probe(transport);
    let most = transport.capabilities().batch_ops_max;
    let batch = |count: usize| Batch::new((0..count).map(|n| set(&format!("r/{n}"), &n.to_string())));
    let error = store.refused_batch(batch(most + 1)).await;
    assert_eq!((error.kind(), error.code()), (InvalidParams, "invalid_params"));
    let written = store.try_write(batch(most)).await.expect("the largest batch");
    assert_eq!(written.seqs.len(), most);
    assert_eq!(store.dump().await.len(), most);
}

/// Each op sees what those before it did.
pub async fn ops_see_those_before(transport: &dyn Transport) {
    let store = Probe(transport);
    store.set("r", r#"{"a":1,"b":2}"#).await;
    let ops = [
        delete("r"),
        set("r/c", "3"),
        Op::increment(path("r/c"), 4),
        Op::increment(path("r/c"), 5),
        Op::add(path("r/s"), 1),
        Op::add(path("r/s"), 2),
        Op::remove(path("r/s"), 1),
        set("t", r#"{"x":1,"y":2}"#),
        Op::merge(path("t"), json(r#"{"y":{"z":3}}"#)),
        set("u/v", "1"),
        set("u", "2"),
    ];
    store.write(ops.into_iter().filter(|op| store.has(op))).await;
    let expected: &[&str] = if store.has_value_ops() {
        &["r/c=12", "r/s=[2]", "t/x=1", "t/y/z=3", "u=2"]
    } else {
        &["r/c=3", "t/x=1", "t/y=2", "u=2"]
    };
    assert_eq!(store.leaves().await, expected);
}

/// Preconditions see the effects of the ops before, too.
pub async fn preconditions_see_the_ops_before(transport: &dyn Transport) {
    let store = Probe(transport);
    let absent = transport.capabilities().absent_in_batches;
    let last = store.set("a", "1").await.0;
    store
        .write([
            set("a", "2").when(Precondition::Match(Seq(last))),
            set("a", "3").when(Precondition::Match(Seq(last + 1))),
            delete("a").when(Precondition::Match(Seq(last + 2))),
            set("a", "4").when(if absent {
                Precondition::Absent
            } else {
                Precondition::None
            }),
        ])
        .await;
    store.assert_value("a", "4").await;
    let error = store
        .refused_batch(Batch::new([set("b", "1"), set("b", "2").when(Precondition::Absent)]))
        .await;
    if absent {
        assert_eq!((error.kind(), error.code()), (Conflict, "exists"));
    } else {
        assert_eq!(error.kind(), NotSupported, "{error:?}");
    }
    assert_eq!(error.conflict().map(|at| at.op_index), Some(1));
    let stale = [set("a", "5"), set("a", "6").when(Precondition::Match(Seq(last + 4)))];
    store.refused_batch(Batch::new(stale)).await;
}

/// One refused op refuses the batch, the error names it, and no number is taken.
pub async fn one_refused_op_refuses_the_batch(transport: &dyn Transport) {
    let store = Probe(transport);
    let before = store.set("text", r#""x""#).await;
    for (bad, kind, code) in [
        (set("text", "1").when(Precondition::Absent), Conflict, "exists"),
        (
            set("text", "1").when(Precondition::Match(Seq(99))),
            Conflict,
            "conflict",
        ),
        (delete("none").when(Precondition::Match(before)), Conflict, "conflict"),
        (
            set("text", r#"{"a":1}"#).when(Precondition::Match(before)),
            InvalidParams,
            "if_match_multi_leaf",
        ),
        (
            Op::add(path("text"), 1).when(Precondition::Match(before)),
            InvalidParams,
            "if_match_unsupported_op",
        ),
        (Op::increment(path("text"), 1), InvalidParams, ""),
        (Op::merge(path("text"), 1), InvalidParams, "merge_requires_map_value"),
        (set("text", r#"{"":1}"#), InvalidParams, "empty_segment"),
    ] {
        let absent = bad.precondition == Precondition::Absent;
        if !store.has(&bad) || (absent && !transport.capabilities().absent_in_batches) {
            continue;
        }
        for index in 0..4 {
            let shown = format!("{bad:?} as op {index}");
            let counted = Some(Op::increment(path("n"), 1)).filter(|op| store.has(op));
            let mut ops = vec![
                set("a", "1"),
                delete("text/below"),
                counted.unwrap_or_else(|| set("n", "1")),
            ];
            ops.insert(index, bad.clone());
            let error = store.refused_batch(Batch::new(ops)).await;
            assert_eq!(error.kind(), kind, "{shown}: {error:?}");
            assert!(code.is_empty() || error.code() == code, "{shown}: {error:?}");
            let at = error
                .conflict()
                .unwrap_or_else(|| panic!("{shown}: the error must name the op: {error:?}"));
            assert_eq!((at.op_index, &at.path), (index, &bad.path), "{shown}");
        }
    }
    assert_eq!(store.set("a", "1").await, Seq(before.0 + 1));
}

/// Batches of several writers do not mix.
pub async fn concurrent_batches_do_not_mix(transport: &dyn Transport) {
    let store = Probe(transport);
    let batch = |n: u64| Batch::new((0..5).map(|k| set(&format!("r/{k}"), &n.to_string())));
    let replies = store.race((0..16).map(batch).collect()).await;
    let mut firsts = Vec::new();
    for reply in replies {
        let seqs = reply.expect("a batch").seqs;
        assert!(
            seqs.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0),
            "the numbers of a batch run on: {seqs:?}"
        );
        firsts.push(seqs[0].0);
    }
    firsts.sort_unstable();
    assert_eq!(firsts, (0..16).map(|n| n * 5 + 1).collect::<Vec<u64>>());
    let values: Vec<_> = store.dump().await.into_iter().map(|leaf| leaf.value).collect();
    assert!(
        values.windows(2).all(|pair| pair[0] == pair[1]),
        "the last batch wrote every leaf: {values:?}"
    );
}

/// A batch repeated under its op id gives its first reply and writes nothing.
pub async fn repeated_op_id_writes_once(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(transport.capabilities().op_ids && store.has_value_ops()) {
        return;
    }
    let batch =
        || Batch::new([Op::increment(path("n"), 1), set("a", "1").when(Precondition::Absent)]).with_id(id("once"));
    let first = store.try_write(batch()).await.expect("the first time");
    assert!(!first.deduplicated);
    store.set("a", "2").await;
    let before = store.dump().await;
    for _ in 0..3 {
        let again = store.try_write(batch()).await.expect("a repetition");
        assert!(again.deduplicated, "a repetition says so");
        assert_eq!(again.seqs, first.seqs, "a repetition gives the first reply");
    }
    assert_eq!(store.dump().await, before, "a repetition writes nothing");
    let other = store
        .try_write(Batch::one(Op::increment(path("n"), 1)).with_id(id("other")))
        .await
        .expect("another id");
    assert_eq!((other.seqs, other.deduplicated), (vec![Seq(4)], false));
    store.assert_value("n", "2").await;
}

/// A batch repeated while it is being committed is committed once.
pub async fn concurrent_repetitions_write_once(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(transport.capabilities().op_ids && store.has_value_ops()) {
        return;
    }
    let batch = || Batch::new([Op::increment(path("n"), 1), Op::increment(path("n"), 1)]).with_id(id("once"));
    let replies = store.race((0..16).map(|_| batch()).collect()).await;
    let replies: Vec<_> = replies.into_iter().map(|reply| reply.expect("a reply")).collect();
    assert_eq!(
        replies.iter().filter(|reply| !reply.deduplicated).count(),
        1,
        "one of them wrote: {replies:?}"
    );
    assert!(
        replies.iter().all(|reply| reply.seqs == [Seq(1), Seq(2)]),
        "all give the same numbers: {replies:?}"
    );
    store.assert_value("n", "2").await;
    assert_eq!(store.set("a", "1").await, Seq(3));
}

/// A refused batch leaves its op id free, so it can be tried again once it can succeed.
pub async fn refused_batch_leaves_its_op_id_free(transport: &dyn Transport) {
    let store = Probe(transport);
    if !transport.capabilities().op_ids {
        return;
    }
    store.set("a", "1").await;
    let batch = || Batch::one(set("a", "2").when(Precondition::Absent)).with_id(id("again"));
    store.refused_batch(batch()).await;
    store.write([delete("a")]).await;
    let written = store.try_write(batch()).await.expect("now it can be written");
    assert_eq!((written.seqs, written.deduplicated), (vec![Seq(3)], false));
}
