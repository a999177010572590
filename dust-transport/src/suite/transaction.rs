//! Transactions.

use std::sync::Arc;

use super::probe::{Probe, delete, json, path, pattern, set, within};
use super::record::put;
use crate::error::ErrorKind::{Closed, Conflict, InvalidParams, NotSupported};
use crate::error::{Error, Outcome};
use crate::model::{Batch, Op, OpId, Precondition, Seq};
use crate::query::{IndexDefinition, IndexQuery, IndexState, RecordChange};
use crate::transport::{List, Order, Subscribe, TRANSACTION_CONFLICT, Transaction, Transport, Written};

/// A transaction under test; what it does is asked of it as of a store.
struct Begun(Arc<dyn Transaction>);

impl Begun {
    fn probe(&self) -> Probe<'_> {
        Probe(&*self.0)
    }

    async fn try_commit(&self) -> Result<Written, Error> {
        within("commit", self.0.commit()).await
    }

    async fn commit(&self) -> Written {
        let committed = self.try_commit().await;
        committed.unwrap_or_else(|error| panic!("the commit: {error:?}"))
    }

    async fn conflict(&self, why: &str) {
        match self.try_commit().await {
            Ok(written) => panic!("{why} must be a conflict, but gave {written:?}"),
            Err(error) => {
                assert_eq!(
                    (error.kind(), error.code(), error.outcome()),
                    (Conflict, TRANSACTION_CONFLICT, Outcome::NotApplied),
                    "{why}: {error:?}"
                );
            }
        }
    }
}

impl Probe<'_> {
    fn transacts(self) -> bool {
        self.0.capabilities().transactions
    }

    async fn begin(self) -> Begun {
        let begun = within("transaction", self.0.transaction(0)).await;
        Begun(begun.unwrap_or_else(|error| panic!("a transaction: {error}")))
    }
}

fn users() -> IndexDefinition {
    IndexDefinition::new(path("users"), [path("age")]).unwrap_or_else(|error| panic!("{error}"))
}

/// Every read of a transaction is of the state at its begin, whatever is written meanwhile.
pub async fn reads_are_of_one_state(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    store.set("a/x", "1").await;
    let begun = store.begin().await;
    store.write([set("a/x", "2"), set("a/y", "3")]).await;
    let seen = begun.probe();
    seen.assert_value("a/x", "1").await;
    seen.assert_value("a", r#"{"x":1}"#).await;
    assert!(!seen.exists("a/y").await);
    assert_eq!(seen.paths(List::below(path("a"))).await, ["a/x"]);
    let many = within("get_many", begun.0.get_many(&[path("a/x"), path("a/y")])).await;
    let many = many.unwrap_or_else(|error| panic!("get_many: {error}"));
    assert!(many[0].as_ref().is_some_and(|entry| entry.revision == Seq(1)) && many[1].is_none());
    // It has written nothing, so nothing is in its way.
    assert_eq!(begun.commit().await, Written::default());
    store.assert_value("a/x", "2").await;
}

/// Every read sees what the transaction has written.
pub async fn own_writes_are_read(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    store
        .write([
            set("users/ada", r#"{"age":36,"name":"Ada"}"#),
            set("users/bo", r#"{"age":17}"#),
        ])
        .await;
    let has_queries = transport.capabilities().queries;
    if has_queries {
        loop {
            let status = within("ensure_index", transport.ensure_index(&users())).await;
            if status.unwrap_or_else(|error| panic!("{error}")).state == IndexState::Readable {
                break;
            }
        }
    }
    let begun = store.begin().await;
    let seen = begun.probe();
    seen.write([
        set("users/cy", r#"{"age":20}"#),
        set("users/ada/age", "37"),
        delete("users/bo"),
        Op::increment(path("n"), 2),
        Op::merge(path("users/cy"), json(r#"{"name":"Cy"}"#)),
    ])
    .await;
    seen.write([Op::increment(path("n"), 3)]).await;
    seen.assert_value(
        "users",
        r#"{"ada":{"age":37,"name":"Ada"},"cy":{"age":20,"name":"Cy"}}"#,
    )
    .await;
    seen.assert_value("n", "5").await;
    assert!(!seen.exists("users/bo").await && seen.exists("users/cy").await);
    let expected = ["users/ada/age", "users/ada/name", "users/cy/age", "users/cy/name"];
    assert_eq!(seen.paths(List::pattern(pattern("users/**"))).await, expected);
    let mut reversed = expected;
    reversed.reverse();
    let descending = List::below(path("users")).order(Order::Desc).limit(1);
    assert_eq!(seen.paths(descending).await, reversed);
    let many = within(
        "get_many",
        begun.0.get_many(&[path("users/bo/age"), path("users/cy/age")]),
    )
    .await;
    let many = many.unwrap_or_else(|error| panic!("get_many: {error}"));
    assert!(many[0].is_none() && many[1].is_some());
    if has_queries {
        let query = IndexQuery::new(users()).range(json("18")..);
        let found = within("query", begun.0.query(&query)).await;
        let found = found.unwrap_or_else(|error| panic!("{query}: {error}"));
        let slugs: Vec<_> = found.records.iter().map(|record| record.path.last()).collect();
        assert_eq!(slugs, ["cy", "ada"]);
    }
    begun.commit().await;
    store
        .assert_value(
            "users",
            r#"{"ada":{"age":37,"name":"Ada"},"cy":{"age":20,"name":"Cy"}}"#,
        )
        .await;
}

/// Nobody sees what a transaction writes before it is committed.
pub async fn nothing_is_seen_before_the_commit(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let begun = store.begin().await;
    begun.probe().set("a/x", "1").await;
    let other = store.begin().await;
    assert!(!store.exists("a").await && !other.probe().exists("a").await);
    begun.commit().await;
    store.assert_value("a/x", "1").await;
    assert!(!other.probe().exists("a").await, "one state");
}

/// A transaction that is dropped, aborted or refused has done nothing.
pub async fn what_is_not_committed_leaves_nothing(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let dropped = store.begin().await;
    dropped.probe().set("a", "1").await;
    drop(dropped);
    let aborted = store.begin().await;
    aborted.probe().set("a", "1").await;
    aborted.0.abort();
    let refused = store.begin().await;
    assert!(!refused.probe().exists("a").await);
    refused.probe().set("b", "1").await;
    let seq = store.set("a", "2").await;
    refused.conflict("a leaf that was missing").await;
    assert_eq!(seq, Seq(1), "no number was taken");
    assert_eq!(store.leaves().await, ["a=2"]);
}

/// What was read, or found missing, and has been changed since is a conflict, by whatever it was read.
pub async fn touched_reads_are_a_conflict(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let fill = || [delete("r"), set("r/a", r#"{"x":1,"y":2}"#), set("r/b", r#"{"x":3}"#)];
    let reads = ["leaf", "missing", "subtree", "exists", "many", "list", "page", "keys"];
    let touches = [
        ("leaf", set("r/a/x", "9")),
        ("leaf", delete("r")),
        ("leaf", set("r/a", r#"{"x":9}"#)),
        ("leaf", Op::increment(path("r/a/x"), 1)),
        ("missing", set("r/c/x", "9")),
        ("missing", set("r/c", "9")),
        ("subtree", set("r/a/z/deep", "9")),
        ("subtree", delete("r/a/y")),
        ("subtree", set("r", "9")),
        ("exists", delete("r/b")),
        ("many", set("r/b/x", "9")),
        ("many", delete("r/b")),
        ("list", set("r/bb/new", "9")),
        ("list", delete("r/a/y")),
        ("page", set("r/a/w", "9")),
        ("page", delete("r/a/y")),
        ("keys", set("r/b/x", "9")),
    ];
    for (read, touch) in touches {
        assert!(reads.contains(&read));
        store.write(fill()).await;
        let begun = store.begin().await;
        let seen = begun.probe();
        match read {
            "leaf" => drop(seen.value("r/a/x").await),
            "missing" => assert_eq!(seen.entry("r/c").await, None),
            "subtree" => drop(seen.value("r/a").await),
            "exists" => assert!(seen.exists("r/b").await),
            "many" => drop(within("get_many", begun.0.get_many(&[path("q"), path("r/b/x")])).await),
            "list" => drop(seen.entries(List::below(path("r"))).await),
            "page" => drop(within("list", begun.0.list(&List::below(path("r")).limit(1))).await),
            _ => drop(seen.paths(List::pattern(pattern("r/*/x"))).await),
        }
        seen.set("out", "1").await;
        let shown = format!("{read} and {touch:?}");
        store.write([touch]).await;
        begun.conflict(&shown).await;
        assert!(!store.exists("out").await, "{shown}");
    }
}

/// What was not read may change; what is written without a read is written over.
pub async fn other_writes_are_none(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    store.write([set("r/a", r#"{"x":1,"y":2}"#), set("r/b", "3")]).await;
    let begun = store.begin().await;
    let seen = begun.probe();
    seen.assert_value("r/a/x", "1").await;
    let page = within("list", begun.0.list(&List::below(path("r")).limit(1))).await;
    assert!(page.is_ok_and(|page| page.next.is_some()));
    seen.write([set("r/z", "1"), set("own", "1")]).await;
    seen.assert_value("own", "1").await;
    store
        .write([
            set("r/a/y/below", "9"),
            set("r/b", "9"),
            set("r/z", "9"),
            set("r-a", "9"),
        ])
        .await;
    begun.commit().await;
    store.assert_value("r/z", "1").await;
    store.assert_value("r/b", "9").await;
}

/// Ops that work on what is there are done on what is there at the commit.
pub async fn counting_is_no_read(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.transacts() && store.has_value_ops()) {
        return;
    }
    store.set("n", "1").await;
    let (first, second) = (store.begin().await, store.begin().await);
    for begun in [&first, &second] {
        begun.probe().write([Op::increment(path("n"), 10)]).await;
    }
    first.commit().await;
    second.commit().await;
    store.assert_value("n", "21").await;
    // What was seen to succeed, and would not now, is a conflict; so the next attempt sees it.
    let begun = store.begin().await;
    begun.probe().write([Op::increment(path("n"), 1)]).await;
    store.set("n", r#""a word""#).await;
    begun.conflict("an increment of what has become a word").await;
}

/// A precondition is checked by its write, and is a read.
pub async fn preconditions_are_reads(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let revision = store.set("a", "1").await;
    let begun = store.begin().await;
    let seen = begun.probe();
    for wrong in [Precondition::Match(Seq(revision.0 + 7)), Precondition::Absent] {
        let refused = seen.try_write(set("a", "2").when(wrong).into()).await;
        assert_eq!(refused.err().map(|error| error.kind()), Some(Conflict));
    }
    let own = seen.write([set("a", "2").when(Precondition::Match(revision))]).await;
    seen.write([set("a", "3").when(Precondition::Match(own))]).await;
    seen.write([set("b", "1").when(Precondition::Absent)]).await;
    store.set("elsewhere", "1").await;
    begun.commit().await;
    store.assert_value("a", "3").await;

    for touch in ["a", "c"] {
        let revision = store.set("a", "1").await;
        let begun = store.begin().await;
        let ops = [
            set("a", "2").when(Precondition::Match(revision)),
            set("c", "2").when(Precondition::Absent),
        ];
        begun.probe().write(ops).await;
        store.set(touch, "9").await;
        begun.conflict(touch).await;
        store.write([delete("c")]).await;
    }
}

/// The ops of a transaction are one batch: numbered one by one, in the order in which they were written.
pub async fn commit_is_one_batch(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let begun = store.begin().await;
    let provisional = begun.probe().set("a", "1").await;
    begun.probe().write([set("b", "2"), set("c", "3")]).await;
    let entry = begun.probe().entry("a").await;
    assert_eq!(entry.map(|entry| entry.revision), Some(provisional));
    let before = store.set("elsewhere", "1").await;
    let written = begun.commit().await;
    let expected: Vec<_> = (1..=3).map(|n| Seq(before.0 + n)).collect();
    assert_eq!(written.seqs, expected);
    let entry = store.entry("a").await;
    assert_eq!(entry.map(|entry| entry.revision), Some(expected[0]));
    if store.subscribes() {
        let events = store.replay(expected[2]).await;
        let last: Vec<_> = events.iter().rev().take(3).map(|event| event.path.as_str()).collect();
        assert_eq!(last, ["c", "b", "a"]);
    }
}

/// After its end a transaction answers nothing more.
pub async fn ended_transaction_is_closed(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let (committed, aborted) = (store.begin().await, store.begin().await);
    committed.probe().set("a", "1").await;
    committed.commit().await;
    aborted.0.abort();
    for begun in [committed, aborted] {
        let read = within("get", begun.0.get(&path("a"))).await;
        assert_eq!(read.err().map(|error| error.kind()), Some(Closed));
        let write = begun.probe().try_write(set("a", "2").into()).await;
        assert_eq!(write.err().map(|error| error.kind()), Some(Closed));
        assert_eq!(begun.try_commit().await.err().map(|error| error.kind()), Some(Closed));
    }
    store.assert_value("a", "1").await;
}

/// Records that live only in their indexes are read as of one state, with what the transaction has written, and are there
/// with its leaves, or not at all.
pub async fn records_without_leaves_take_part(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.transacts() && store.has_records()) {
        return;
    }
    let by_day = store.only("events", &["day"]).await;
    let by_n = store.only("events", &["n"]).await;
    let event = |n: u32| put(&format!("events/{n}"), &format!(r#"{{"day":1,"n":{n}}}"#));
    let gone = |n: u32| RecordChange::delete(event(n).path, event(n).value);
    let all = || IndexQuery::new(by_day.clone()).limit(2);
    store.records([event(1), event(2)]).await;
    let begun = store.begin().await;
    let seen = begun.probe();
    store.records([event(3)]).await;
    seen.records([event(4), gone(1)]).await;
    assert_eq!(seen.slugs(all()).await, ["2", "4"]);
    assert_eq!(seen.slugs(all().order(Order::Desc)).await, ["4", "2"]);
    seen.set("a", "1").await;
    assert_eq!(store.slugs(all()).await, ["1", "2", "3"]);
    begun.conflict("a record that was not there").await;
    store.assert_absent("a").await;
    assert_eq!(store.slugs(all()).await, ["1", "2", "3"]);

    let begun = store.begin().await;
    let seen = begun.probe();
    assert_eq!(seen.slugs(all()).await, ["1", "2", "3"]);
    seen.records([gone(1)]).await;
    seen.set("a", "1").await;
    seen.records([event(4), put("events/2", r#"{"day":1,"n":7}"#)]).await;
    seen.refused_records([put("others/1", r#"{"day":1}"#)], "no_index")
        .await;
    assert_eq!(begun.commit().await.seqs, [Seq(1)]);
    for index in [&by_day, &by_n] {
        let mut slugs = store.slugs(IndexQuery::new(index.clone())).await;
        slugs.sort();
        assert_eq!(slugs, ["2", "3", "4"], "{index}");
    }
    // They take no number, whoever writes them.
    let begun = store.begin().await;
    begun.probe().records([gone(3)]).await;
    store.records([gone(4)]).await;
    assert_eq!(begun.commit().await, Written::default());
    assert_eq!(store.slugs(all()).await, ["2"]);
    assert_eq!(store.set("a", "2").await, Seq(2));
}

/// Whatever is written to the records of a prefix is a conflict for who has queried them; what is written elsewhere is none.
pub async fn queried_records_without_leaves_are_compared(transport: &dyn Transport) {
    let store = Probe(transport);
    if !(store.transacts() && store.has_records()) {
        return;
    }
    let by_day = store.only("events", &["day"]).await;
    store.only("others", &["day"]).await;
    let event = |n: u32| put(&format!("events/{n}"), r#"{"day":1}"#);
    let all = || IndexQuery::new(by_day.clone());
    store.records([event(1)]).await;
    for touch in [event(2), event(1), RecordChange::delete(event(1).path, event(1).value)] {
        let (leaf, record) = (store.begin().await, store.begin().await);
        for begun in [&leaf, &record] {
            drop(begun.probe().slugs(all()).await);
        }
        leaf.probe().set("a", "1").await;
        record.probe().records([event(9)]).await;
        let why = format!("{touch:?}");
        store.records([touch]).await;
        leaf.conflict(&why).await;
        record.conflict(&why).await;
        store.assert_absent("a").await;
    }
    // Another prefix, leaves at the same place, an aborted transaction; and one that has not looked.
    let (begun, blind, aborted) = (store.begin().await, store.begin().await, store.begin().await);
    assert_eq!(begun.probe().slugs(all()).await, ["2"]);
    begun.probe().records([event(3)]).await;
    blind.probe().records([event(4)]).await;
    aborted.probe().records([event(5)]).await;
    aborted.0.abort();
    store.records([put("others/1", r#"{"day":1}"#)]).await;
    store.write([set("events/1/day", "1"), delete("events")]).await;
    begun.commit().await;
    blind.commit().await;
    assert_eq!(store.slugs(all()).await, ["2", "3", "4"]);
    // All are gone with their index.
    let begun = store.begin().await;
    drop(begun.probe().slugs(all()).await);
    begun.probe().set("a", "1").await;
    within("drop_index", transport.drop_index(&by_day))
        .await
        .expect("the removal");
    begun.conflict("an index that is gone").await;
}

/// Subscriptions, leases, files, op ids and further transactions are refused in a transaction, and do not end it.
pub async fn what_makes_no_sense_is_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.transacts() {
        return;
    }
    let begun = store.begin().await;
    let seen = begun.probe();
    let capabilities = begun.0.capabilities();
    assert!(!(capabilities.subscribe || capabilities.transactions || capabilities.op_ids));
    let inner = within("transaction", begun.0.transaction(0)).await;
    assert_eq!(inner.err().map(|error| error.kind()), Some(NotSupported));
    let stream = within("subscribe", begun.0.subscribe(Subscribe::touching(path("a")))).await;
    assert_eq!(stream.err().map(|error| error.kind()), Some(NotSupported));
    if !capabilities.leases {
        let lease = Op::lease(path("a"), None, std::time::Duration::from_secs(1));
        seen.refused(lease, NotSupported, "").await;
    }
    if !capabilities.files {
        seen.refused(Op::put_file(path("a"), "text", None, None), NotSupported, "")
            .await;
    }
    let identified = Batch::one(set("a", "1")).with_id(OpId::random());
    let error = seen.refused_batch(identified).await;
    assert_eq!(error.kind(), NotSupported);
    let error = seen.refused_batch(Batch::default()).await;
    assert_eq!(error.kind(), InvalidParams);
    seen.set("a", "1").await;
    begun.commit().await;
    store.assert_value("a", "1").await;
}

/// Without the capability a transaction is refused, and the error says what to do instead.
pub async fn unsupported_transactions_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.transacts() {
        return;
    }
    match within("transaction", transport.transaction(0)).await {
        Ok(begun) => panic!("{begun:?}, though the transport says that it has no transactions"),
        Err(error) => assert_eq!(error.kind(), NotSupported, "{error:?}"),
    }
}
