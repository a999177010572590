//! Writes: counters, sets, conditions, and those that are seen before they are committed.

use dust_server::control::Scope;
use dust_transport::error::{Error, ErrorKind, Outcome};
use dust_transport::model::{Batch, Op, Precondition, Seq, ValueKind};
use dust_transport::sync::Sync;
use dust_transport::transport::{Transport as _, Written};
use futures_util::future::join_all;

use super::{Site, entry, json, path, set, text};

#[tokio::test]
async fn a_counter_begins_at_nothing_and_adds_up() {
    let site = Site::start().await;
    let sync = site.sync().await;
    for (by, total) in [(1, "1"), (5, "6"), (-8, "-2")] {
        sync.increment(&path("n"), by).await.unwrap();
        assert_eq!(text(&sync, "n").await, total);
    }
    assert_eq!(entry(&sync, "n").await.unwrap().kind, ValueKind::Counter);
    sync.put(&path("n"), 10).await.unwrap();
    assert_eq!(
        entry(&sync, "n").await.unwrap().kind,
        ValueKind::Integer,
        "a put begins anew"
    );
    sync.increment(&path("n"), 1).await.unwrap();
    assert_eq!(text(&sync, "n").await, "11");
}

#[tokio::test]
async fn increments_of_two_clients_add_up() {
    let site = Site::start().await;
    let (one, two) = (site.sync().await, site.sync().await);
    let n = path("n");
    join_all((0..20).map(|turn| if turn % 2 == 0 { &one } else { &two }.increment(&n, 1))).await;
    one.reached(Seq(20)).await.unwrap();
    assert_eq!(text(&one, "n").await, "20");
}

#[tokio::test]
async fn a_set_has_each_member_once() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let s = path("s");
    for member in ["a", "b", "a"] {
        sync.add(&s, member).await.unwrap();
    }
    assert_eq!(text(&sync, "s").await, r#"["a","b"]"#);
    assert_eq!(entry(&sync, "s").await.unwrap().kind, ValueKind::Set);
    sync.remove(&s, "a").await.unwrap();
    sync.remove(&s, "nobody").await.unwrap();
    assert_eq!(text(&sync, "s").await, r#"["b"]"#);
    sync.remove(&path("none"), "a").await.unwrap();
    assert_eq!(text(&sync, "none").await, "[]");
    sync.put(&s, json(r#"["x","y"]"#)).await.unwrap();
    assert_eq!(text(&sync, "s").await, r#"["x","y"]"#);
}

#[tokio::test]
async fn members_that_two_clients_add_at_once_are_both_there() {
    let site = Site::start().await;
    let (one, two) = (site.sync().await, site.sync().await);
    let s = path("s");
    let (first, second) = tokio::join!(one.add(&s, 1), two.add(&s, 2));
    one.reached(first.unwrap().max(second.unwrap())).await.unwrap();
    let members = entry(&one, "s").await.unwrap().value.items().unwrap();
    assert_eq!(members.len(), 2, "{members:?}");
}

#[tokio::test]
async fn a_merge_changes_the_children_that_it_names() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("r"), json(r#"{"a":1,"b":{"c":2,"d":3}}"#))
        .await
        .unwrap();
    sync.merge(&path("r"), json(r#"{"b":{"c":4},"e":5}"#)).await.unwrap();
    assert_eq!(text(&sync, "r").await, r#"{"a":1,"b":{"c":4},"e":5}"#);
}

async fn put_if(sync: &Sync, at: &str, precondition: Precondition) -> Result<Written, Error> {
    sync.write(Batch::one(Op::set(path(at), 1).when(precondition))).await
}

#[tokio::test]
async fn a_put_on_a_condition_is_the_servers_to_decide() {
    let site = Site::start().await;
    let (one, two) = (site.sync().await, site.sync().await);
    let first = put_if(&one, "a", Precondition::Absent).await.unwrap().seqs[0];
    let second = put_if(&one, "a", Precondition::Match(first)).await.unwrap().seqs[0];
    assert_eq!(second, Seq(2));
    for (precondition, code) in [
        (Precondition::Match(first), "conflict"),
        (Precondition::Absent, "exists"),
    ] {
        let refused = put_if(&two, "a", precondition).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, code));
    }
    let refused = put_if(&two, "missing", Precondition::Match(second)).await.unwrap_err();
    assert_eq!(refused.code(), "conflict");
    // Without a condition the last writer wins.
    assert_eq!(two.put(&path("a"), 9).await.unwrap(), Seq(3));
}

#[tokio::test]
async fn a_delete_on_a_condition_is_not_done_without_it() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let seq = sync.put(&path("a"), 1).await.unwrap();
    let delete = |seq| sync.write(Batch::one(Op::delete(path("a")).when(Precondition::Match(seq))));
    assert!(delete(Seq(99)).await.unwrap_err().is_conflict());
    assert_eq!(text(&sync, "a").await, "1");
    delete(seq).await.unwrap();
    assert_eq!(text(&sync, "a").await, "-");
}

#[tokio::test]
async fn a_condition_is_for_one_leaf_that_is_set() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let map = || Op::set(path("r"), json(r#"{"a":1}"#));
    for (op, code) in [
        (map().when(Precondition::Match(Seq(1))), "if_match_multi_leaf"),
        (map().when(Precondition::Absent), "if_absent_multi_leaf"),
        (
            Op::increment(path("n"), 1).when(Precondition::Match(Seq(1))),
            "if_match_unsupported_op",
        ),
        (
            Op::delete(path("a")).when(Precondition::Absent),
            "if_absent_unsupported_op",
        ),
    ] {
        let refused = sync.write(Batch::one(op)).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::InvalidParams, code));
    }
}

#[tokio::test]
async fn every_acknowledged_write_tells_its_number() {
    let site = Site::start().await;
    let sync = site.sync().await;
    assert_eq!(sync.put(&path("a"), 1).await.unwrap(), Seq(1));
    assert_eq!(sync.merge(&path("r"), json(r#"{"a":1}"#)).await.unwrap(), Seq(2));
    assert_eq!(sync.increment(&path("n"), 1).await.unwrap(), Seq(3));
    assert_eq!(sync.add(&path("s"), 1).await.unwrap(), Seq(4));
    assert_eq!(sync.remove(&path("s"), 1).await.unwrap(), Seq(5));
    assert_eq!(sync.delete(&path("a")).await.unwrap(), Seq(6));
}

#[tokio::test]
async fn an_optimistic_write_waits_for_nobody() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let mut pending = Vec::new();
    for op in [
        Op::set(path("r"), json(r#"{"a":1}"#)),
        Op::merge(path("r"), json(r#"{"b":2}"#)),
        Op::increment(path("n"), 3),
        Op::add(path("s"), "x"),
        Op::set(path("gone"), 1),
        Op::delete(path("gone")),
    ] {
        pending.push(sync.write_optimistic(Batch::one(op)).await.unwrap());
    }
    assert_eq!(sync.applied(), Seq(0), "no answer has been waited for");
    for (at, value) in [("r", r#"{"a":1,"b":2}"#), ("n", "3"), ("s", r#"["x"]"#), ("gone", "-")] {
        assert_eq!(text(&sync, at).await, value);
    }
    for (write, seq) in pending.into_iter().zip(1..) {
        assert_eq!(write.settled().await.unwrap().seqs, [Seq(seq)]);
    }
}

#[tokio::test]
async fn what_a_refused_write_replaced_comes_back() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("a"), "before").await.unwrap();
    for at in ["a", "b"] {
        let stale = Op::set(path(at), "mine").when(Precondition::Match(Seq(99)));
        let write = sync.write_optimistic(Batch::one(stale)).await.unwrap();
        assert_eq!(text(&sync, at).await, "\"mine\"");
        assert!(write.settled().await.unwrap_err().is_conflict());
    }
    assert_eq!(
        (text(&sync, "a").await.as_str(), text(&sync, "b").await.as_str()),
        ("\"before\"", "-")
    );
}

#[tokio::test]
async fn a_scope_that_is_missing_is_named() {
    let site = Site::start().await;
    let token = site.token_with([Scope::EntriesRead]).await;
    let sync = Sync::connect(site.options_with(&token)).await.unwrap();
    assert!(!sync.status().joined.unwrap().permissions.write);
    let refused = sync
        .write_optimistic(set("a", 1))
        .await
        .unwrap()
        .settled()
        .await
        .unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code(), refused.outcome()),
        (ErrorKind::Unauthorized, "missing_scope", Outcome::NotApplied)
    );
    assert!(refused.detail().contains("entries:write"), "{refused}");
    assert_eq!(text(&sync, "a").await, "-");
}
