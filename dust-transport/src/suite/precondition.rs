//! Preconditions: compare-and-swap of leaves and of subtrees.

use super::probe::{Probe, delete, json, path, set};
use crate::error::ErrorKind::{Conflict, InvalidParams, NotSupported};
use crate::model::{Batch, Op, Precondition, Seq};
use crate::transport::Transport;

fn subtree(root: &str, leaves: &[(&str, Seq)]) -> Precondition {
    Precondition::Subtree {
        root: path(root),
        leaves: leaves.iter().map(|(at, seq)| (path(at), *seq)).collect(),
    }
}

/// `Match` lets a set and a delete through when the leaf has that revision.
pub async fn match_of_the_revision_writes(transport: &dyn Transport) {
    let store = Probe(transport);
    let first = store.set("r/a", "1").await;
    let second = store.write([set("r/a", "2").when(Precondition::Match(first))]).await;
    store.assert_value("r/a", "2").await;
    let third = store
        .write([set("r/a", r#"{"_type":"file"}"#).when(Precondition::Match(second))])
        .await;
    store.write([delete("r/a").when(Precondition::Match(third))]).await;
    store.assert_absent("r/a").await;
}

/// `Match` of another revision is a conflict that names the op, the path and the revision found.
pub async fn match_of_another_revision_is_a_conflict(transport: &dyn Transport) {
    let store = Probe(transport);
    let stale = store.set("r/a", "1").await;
    let current = store.set("r/a", "2").await;
    for op in [set("r/a", "3"), delete("r/a")] {
        let error = store
            .refused(op.when(Precondition::Match(stale)), Conflict, "conflict")
            .await;
        let at = error.conflict().expect("a conflict says where");
        assert_eq!((at.op_index, &at.path, at.current), (0, &path("r/a"), Some(current)));
        assert!(error.is_conflict() && !error.is_retryable());
    }
    let future = Precondition::Match(Seq(current.0 + 1));
    store.refused(set("r/a", "3").when(future), Conflict, "conflict").await;
}

/// `Match` where no leaf is, be it that there is a subtree, is a conflict.
pub async fn match_of_a_missing_leaf_is_a_conflict(transport: &dyn Transport) {
    let store = Probe(transport);
    let seq = store.set("r/a/b", "1").await;
    for at in ["r/a", "r/none"] {
        store
            .refused(set(at, "2").when(Precondition::Match(seq)), Conflict, "conflict")
            .await;
        store
            .refused(delete(at).when(Precondition::Match(seq)), Conflict, "conflict")
            .await;
    }
    let error = store
        .refused(set("r/none", "2").when(Precondition::Match(seq)), Conflict, "conflict")
        .await;
    assert_eq!(error.conflict().and_then(|at| at.current), None);
}

/// `Match` is for one leaf: not for a map, nor for ops other than set and delete.
pub async fn match_is_for_one_leaf(transport: &dyn Transport) {
    let store = Probe(transport);
    let seq = store.set("r", "1").await;
    let when = || Precondition::Match(seq);
    for text in ["{}", r#"{"a":1}"#] {
        store
            .refused(set("r", text).when(when()), InvalidParams, "if_match_multi_leaf")
            .await;
    }
    for op in [
        Op::merge(path("r"), json(r#"{"a":1}"#)),
        Op::increment(path("r"), 1),
        Op::add(path("r"), 1),
        Op::remove(path("r"), 1),
    ]
    .into_iter()
    .filter(|op| store.has(op))
    {
        store
            .refused(op.when(when()), InvalidParams, "if_match_unsupported_op")
            .await;
    }
}

/// `Absent` lets a set through where no leaf is; a subtree below does not count, and is replaced.
pub async fn absent_writes_where_no_leaf_is(transport: &dyn Transport) {
    let store = Probe(transport);
    store.write([set("r/a", "1").when(Precondition::Absent)]).await;
    store.assert_value("r/a", "1").await;
    store.write([set("r", "2").when(Precondition::Absent)]).await;
    assert_eq!(store.leaves().await, ["r=2"]);
}

/// `Absent` where a leaf is, even a null, is the conflict `exists`.
pub async fn absent_where_a_leaf_is_is_a_conflict(transport: &dyn Transport) {
    let store = Probe(transport);
    let current = store.set("r/a", "null").await;
    let error = store
        .refused(set("r/a", "1").when(Precondition::Absent), Conflict, "exists")
        .await;
    let at = error.conflict().expect("a conflict says where");
    assert_eq!((at.op_index, &at.path, at.current), (0, &path("r/a"), Some(current)));
}

/// `Absent` is for the set of one leaf.
pub async fn absent_is_for_the_set_of_one_leaf(transport: &dyn Transport) {
    let store = Probe(transport);
    for text in ["{}", r#"{"a":1}"#] {
        store
            .refused(
                set("r", text).when(Precondition::Absent),
                InvalidParams,
                "if_absent_multi_leaf",
            )
            .await;
    }
    for op in [
        delete("r"),
        Op::merge(path("r"), json(r#"{"a":1}"#)),
        Op::increment(path("r"), 1),
        Op::add(path("r"), 1),
        Op::remove(path("r"), 1),
    ]
    .into_iter()
    .filter(|op| store.has(op))
    {
        store
            .refused(op.when(Precondition::Absent), InvalidParams, "if_absent_unsupported_op")
            .await;
    }
}

/// Of writers that match the same revision at once, one wins.
pub async fn one_of_many_matching_writers_wins(transport: &dyn Transport) {
    let store = Probe(transport);
    let seq = store.set("r", "-1").await;
    let batches = (0..16)
        .map(|n| Batch::one(set("r", &n.to_string()).when(Precondition::Match(seq))))
        .collect();
    let replies = store.race(batches).await;
    let winners: Vec<usize> = (0..replies.len()).filter(|index| replies[*index].is_ok()).collect();
    assert_eq!(winners.len(), 1, "exactly one may win: {winners:?}");
    store.assert_value("r", &winners[0].to_string()).await;
    for error in replies.into_iter().filter_map(Result::err) {
        assert_eq!((error.kind(), error.code()), (Conflict, "conflict"));
    }
}

/// Of writers that find the same leaf absent at once, one wins.
pub async fn one_of_many_creators_wins(transport: &dyn Transport) {
    let store = Probe(transport);
    let batches = (0..16)
        .map(|n| Batch::one(set("r", &n.to_string()).when(Precondition::Absent)))
        .collect();
    let replies = store.race(batches).await;
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 1);
    assert!(
        replies
            .into_iter()
            .filter_map(Result::err)
            .all(|error| error.code() == "exists")
    );
}

/// `Subtree` lets any op through when exactly these leaves are there at these revisions.
pub async fn subtree_of_these_leaves_writes(transport: &dyn Transport) {
    let store = Probe(transport);
    if !transport.capabilities().subtree_preconditions {
        return;
    }
    let a = store.set("r/a", "1").await;
    let b = store.set("r/b/c", "2").await;
    store.set("r-x", "0").await;
    store
        .write([Op::merge(path("r"), json(r#"{"a":3}"#)).when(subtree("r", &[("r/a", a), ("r/b/c", b)]))])
        .await;
    let a = store.entry("r/a").await.expect("the leaf").revision;
    store
        .write([set("elsewhere", "1").when(subtree("r", &[("r/a", a), ("r/b/c", b)]))])
        .await;
    let whole = store
        .write([set("r", r#"{"x":1}"#).when(subtree("r", &[("r/a", a), ("r/b/c", b)]))])
        .await;
    let leaf = store.write([set("r", "1").when(subtree("r", &[("r/x", whole)]))]).await;
    store.write([delete("r").when(subtree("r", &[("r", leaf)]))]).await;
    store.assert_absent("r").await;
}

/// `Subtree` is a conflict when a leaf is missing, extra, or at another revision; nothing is written.
pub async fn subtree_of_other_leaves_is_a_conflict(transport: &dyn Transport) {
    let store = Probe(transport);
    if !transport.capabilities().subtree_preconditions {
        return;
    }
    let a = store.set("r/a", "1").await;
    let b = store.set("r/b", "2").await;
    let top = store.set("s", "1").await;
    let below = store.set("s/a", "1").await;
    for when in [
        subtree("r", &[]),
        subtree("r", &[("r/a", a)]),
        subtree("r", &[("r/b", b)]),
        subtree("r", &[("r/a", a), ("r/b", a)]),
        subtree("r", &[("r/a", b), ("r/b", b)]),
        subtree("r", &[("r/a", a), ("r/b", b), ("r/c", b)]),
        subtree("r", &[("r", a), ("r/a", a), ("r/b", b)]),
        subtree("r/none", &[("r/none", a)]),
        subtree("s", &[("s", top)]),
        subtree("s", &[("s/a", below)]),
    ] {
        let shown = format!("{when:?}");
        let error = store
            .refused(set("r", r#"{"a":9}"#).when(when), Conflict, "conflict")
            .await;
        assert_eq!(error.conflict().map(|at| at.op_index), Some(0), "{shown}");
    }
}

/// `Subtree` of no leaves says that nothing is there.
pub async fn subtree_of_nothing_is_for_creation(transport: &dyn Transport) {
    let store = Probe(transport);
    if !transport.capabilities().subtree_preconditions {
        return;
    }
    store.set("r/ab", "0").await;
    store.set("r/a-b", "0").await;
    store.write([set("r/a", r#"{"x":1}"#).when(subtree("r/a", &[]))]).await;
    store
        .refused(set("r/a", r#"{"x":2}"#).when(subtree("r/a", &[])), Conflict, "conflict")
        .await;
    let batches = (0..8).map(|n| Batch::one(set("new", &format!(r#"{{"n":{n}}}"#)).when(subtree("new", &[]))));
    let replies = store.race(batches.collect()).await;
    assert_eq!(
        replies.iter().filter(|reply| reply.is_ok()).count(),
        1,
        "one creator wins"
    );
}

/// `SubtreeRevision` compares the highest revision at and below the root.
pub async fn subtree_revision_is_compared(transport: &dyn Transport) {
    let store = Probe(transport);
    if !transport.capabilities().subtree_preconditions {
        return;
    }
    let when = |revision| Precondition::SubtreeRevision {
        root: path("r"),
        revision,
    };
    let low = store.set("r/a", "1").await;
    let high = store.set("r/b", "2").await;
    let other = store.set("r-x", "3").await;
    for wrong in [low, other, Seq(other.0 + 1)] {
        let error = store.refused(delete("r").when(when(wrong)), Conflict, "conflict").await;
        assert_eq!(error.conflict().and_then(|at| at.current), Some(high));
    }
    store.write([set("r", r#"{"a":1}"#).when(when(high))]).await;
    store.write([delete("r")]).await;
    store
        .refused(set("r", r#"{"a":1}"#).when(when(high)), Conflict, "conflict")
        .await;
}

/// A transport that cannot check subtrees refuses such a write rather than ignore the condition.
pub async fn unsupported_subtree_preconditions_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if transport.capabilities().subtree_preconditions {
        return;
    }
    let revision = store.set("r/a", "1").await;
    let by_revision = Precondition::SubtreeRevision {
        root: path("r"),
        revision,
    };
    let by_leaves = subtree("r", &[("r/a", revision)]);
    let emulated = transport.capabilities().subtree_by_leaf;
    for when in [by_revision].into_iter().chain((!emulated).then_some(by_leaves)) {
        store.refused(set("r/a", "2").when(when), NotSupported, "").await;
    }
}
