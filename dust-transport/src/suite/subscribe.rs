//! Subscriptions: every committed op that is covered, once, in order.

use std::sync::Arc;

use super::probe::{Probe, delete, json, path, pattern, seqs, set};
use crate::model::{Batch, Event, Op, OpId, OpKind, Pattern, Precondition, Seq, Value};
use crate::transport::{Start, Subscribe, Transport};

fn everything(start: Start) -> Subscribe {
    Subscribe::pattern(Pattern::default()).start(start)
}

/// From the start of the log: the past, then the mark, then what is live.
pub async fn from_the_first_op(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    for n in 1..=5 {
        store.set("r", &n.to_string()).await;
    }
    let mut events = store.subscribe(everything(Start::After(Seq(0)))).await;
    let (past, through) = events.caught_up().await;
    assert_eq!((seqs(&past), through), (vec![1, 2, 3, 4, 5], Seq(5)));
    let live = store.set("r", "6").await;
    assert_eq!(events.next().await.seq, live);
}

/// From the middle of the log: strictly what comes after.
pub async fn from_a_past_op(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    store.write((1..=5).map(|n| set("r", &n.to_string()))).await;
    for after in 1..=5 {
        let mut events = store.subscribe(everything(Start::After(Seq(after)))).await;
        let (past, through) = events.caught_up().await;
        assert_eq!(
            (seqs(&past), through),
            ((after + 1..=5).collect(), Seq(5)),
            "after {after}"
        );
    }
}

/// From now on: the mark at once, and nothing that was before.
pub async fn from_now(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut early = store.subscribe(everything(Start::Now)).await;
    assert_eq!(early.caught_up().await, (Vec::new(), Seq(0)), "an empty store is at 0");
    let first = store.set("r", "1").await;
    let mut late = store.subscribe(everything(Start::Now)).await;
    assert_eq!(late.caught_up().await, (Vec::new(), first));
    let second = store.set("r", "2").await;
    assert_eq!(seqs(&early.through(second).await), [1, 2]);
    assert_eq!(seqs(&late.through(second).await), [2]);
}

/// An op that is committed once `subscribe` has answered is delivered, though the stream was not read yet.
pub async fn open_subscription_misses_nothing(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut events = store.subscribe(everything(Start::Now)).await;
    store.write((0..200).map(|n| set("r", &n.to_string()))).await;
    let last = store.set("r", "-1").await;
    assert_eq!(seqs(&events.through(last).await), (1..=201).collect::<Vec<u64>>());
}

/// An event says what was done, where, with which value, by whom, under which op id.
pub async fn events_say_what_was_done(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut events = store.follow().await;
    let cases = [
        (set("r/a", "1"), OpKind::Set, Some("1")),
        (
            set("r", r#"{"a":{"b":1},"c":{}}"#),
            OpKind::Set,
            Some(r#"{"a":{"b":1},"c":{}}"#),
        ),
        (
            Op::merge(path("r"), json(r#"{"d":2}"#)),
            OpKind::Merge,
            Some(r#"{"d":2}"#),
        ),
        (Op::increment(path("n"), 5), OpKind::Increment, Some("5")),
        (Op::increment(path("n"), -2), OpKind::Increment, Some("3")),
        (Op::add(path("s"), "x"), OpKind::Add, Some(r#"["x"]"#)),
        (Op::add(path("s"), "y"), OpKind::Add, Some(r#"["y","x"]"#)),
        (Op::remove(path("s"), "x"), OpKind::Remove, Some(r#"["y"]"#)),
        (set("r/null", "null"), OpKind::Set, Some("null")),
        (delete("r"), OpKind::Delete, None),
        (delete("nothing"), OpKind::Delete, None),
    ];
    for (op, kind, value) in cases {
        let at = op.path.clone();
        let seq = store.write([op]).await;
        let event = events.next().await;
        assert_eq!((event.seq, event.kind, &event.path), (seq, kind, &at));
        assert_eq!(event.value, value.map(json), "the value of {kind} at `{at}`");
        assert!(!event.device.as_str().is_empty(), "an event names its device");
        assert_eq!(event.op_id, None, "without an id there is none");
    }
}

/// A live event and the same one read from the log are the same.
pub async fn live_and_replayed_events_are_equal(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut live = store.follow().await;
    store
        .write([
            set("r", r#"{"a":1}"#),
            Op::increment(path("n"), 1),
            set("n", "10"),
            Op::increment(path("n"), 1),
        ])
        .await;
    store
        .write([
            Op::add(path("s"), 1),
            delete("s"),
            Op::add(path("s"), 2),
            set("s", "[5]"),
            Op::remove(path("s"), 6),
        ])
        .await;
    store.set("price", r#"{"_typed":"29.99","_type":"decimal"}"#).await;
    store
        .set("at", r#"[{"_type":"datetime","_typed":"2024-06-01T00:00:00Z"}]"#)
        .await;
    store.set("big", "123456789012345678901234567890").await;
    let last = store.write([Op::merge(path("n"), json(r#"{"x":{},"y":null}"#))]).await;
    let live = live.through(last).await;
    assert_eq!(live, store.replay(last).await);
    let price = live
        .iter()
        .find(|event| event.path == path("price"))
        .expect("the decimal");
    assert_eq!(
        price.value,
        Some(Value::from("29.99")),
        "a decimal is told as the plain string"
    );
    let totals: Vec<_> = live
        .iter()
        .filter(|event| event.kind == OpKind::Increment)
        .map(|event| event.value.clone())
        .collect();
    assert_eq!(
        totals,
        [Some(json("1")), Some(json("11"))],
        "totals see the sets between"
    );
}

/// Every op of a batch is one event, in order; refused and repeated batches give none.
pub async fn batches_give_one_event_per_op(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut events = store.follow().await;
    store.write((0..10).map(|n| set(&format!("r/{}", 9 - n), "1"))).await;
    store
        .refused_batch(Batch::new([set("a", "1"), set("r/1", "1").when(Precondition::Absent)]))
        .await;
    if transport.capabilities().op_ids {
        let batch = || Batch::new([set("a", "1"), set("b", "1")]).with_id(OpId::new("once").expect("an op id"));
        for _ in 0..3 {
            store.try_write(batch()).await.expect("a batch, or its repetition");
        }
    }
    let last = store.set("end", "1").await;
    let seen = events.through(last).await;
    assert_eq!(seqs(&seen), (1..=last.0).collect::<Vec<u64>>());
    let order: Vec<_> = seen.iter().take(10).map(|event| event.path.to_string()).collect();
    assert_eq!(order, (0..10).map(|n| format!("r/{}", 9 - n)).collect::<Vec<_>>());
    for event in seen.iter().filter(|event| ["a", "b"].contains(&event.path.as_str())) {
        assert_eq!(
            event.op_id.as_ref().map(OpId::as_str),
            Some("once"),
            "an event carries the id of its batch"
        );
    }
}

/// A pattern covers the ops whose own path it matches.
pub async fn pattern_covers_matching_ops(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let covered = || Subscribe::pattern(pattern("links/*/title"));
    let mut live = store.subscribe(covered()).await;
    store
        .write(
            [
                "links/a/title",
                "links/a/url",
                "links/a",
                "links",
                "links/b/title",
                "Links/a/title",
            ]
            .map(|at| set(at, "1")),
        )
        .await;
    store.write([delete("links")]).await;
    let end = store.set("links/end/title", "1").await;
    let seen = live.through(end).await;
    let paths = |events: &[Arc<Event>]| events.iter().map(|event| event.path.to_string()).collect::<Vec<_>>();
    assert_eq!(paths(&seen), ["links/a/title", "links/b/title", "links/end/title"]);
    let past = store
        .subscribe(covered().start(Start::After(Seq(0))))
        .await
        .caught_up()
        .await;
    assert_eq!(
        past,
        (seen, end),
        "the past is filtered alike, and caught up to the end of the log"
    );
}

/// `Touching` covers ops at, below and above its path.
pub async fn touching_covers_ancestors_and_descendants(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let covered = || Subscribe::touching(path("links/dust"));
    let mut live = store.subscribe(covered()).await;
    store
        .write([
            set("links/dust", "1"),
            set("links/dust/title", "1"),
            set("links/dust/meta/lang", "1"),
            set("links/dust-2/title", "0"),
            set("links/dus", "0"),
            set("links/other", "0"),
            Op::merge(path("links"), json(r#"{"dust":2}"#)),
            set("Links/dust", "0"),
            delete("links"),
        ])
        .await;
    let end = store.write([delete("links/dust")]).await;
    let seen = live.through(end).await;
    assert_eq!(seqs(&seen), [1, 2, 3, 7, 9, 10]);
    let past = store
        .subscribe(covered().start(Start::After(Seq(0))))
        .await
        .caught_up()
        .await;
    assert_eq!(past, (seen, end));
}

/// Subscriptions opened while writers are at work see every op once, in order, wherever they start.
pub async fn concurrent_writers_leave_no_gap(transport: &dyn Transport) {
    const WRITERS: u64 = 8;
    const WRITES: u64 = 25;
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let total = Seq(WRITERS * WRITES * 2);
    let writer = async |writer: u64| {
        for n in 0..WRITES {
            let at = format!("r/{writer}/{n}");
            store.write([set(&at, "1"), Op::increment(path("n"), 1)]).await;
        }
    };
    let reader = async |reader: u64| {
        // Each reader opens its subscription once some ops are in, so that past and live meet in the middle.
        let behind = reader * 10;
        let mut first = store.subscribe(everything(Start::After(Seq(0)))).await;
        if behind > 0 {
            first.through(Seq(behind)).await;
        }
        let mut second = store.subscribe(everything(Start::After(Seq(behind)))).await;
        let seen = second.through(total).await;
        assert_eq!(
            seqs(&seen),
            (behind + 1..=total.0).collect::<Vec<u64>>(),
            "after {behind}"
        );
        assert_eq!(
            seqs(&first.through(total).await),
            seqs(&seen),
            "the other subscription saw the same"
        );
    };
    let writers = futures_util::future::join_all((0..WRITERS).map(writer));
    let readers = futures_util::future::join_all((0..6).map(reader));
    futures_util::future::join(writers, readers).await;
    let replayed = store.replay(total).await;
    assert_eq!(seqs(&replayed), (1..=total.0).collect::<Vec<u64>>());
    let totals: Vec<Value> = replayed
        .iter()
        .filter(|event| event.kind == OpKind::Increment)
        .filter_map(|event| event.value.clone())
        .collect();
    assert_eq!(
        totals,
        (1..=WRITERS * WRITES).map(Value::from).collect::<Vec<_>>(),
        "totals rise in the order of the log"
    );
}

/// Every subscriber sees the same events.
pub async fn subscribers_see_the_same(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut first = store.follow().await;
    let mut second = store.follow().await;
    store
        .write((0..50).map(|n| set(&format!("r/{n}"), &n.to_string())))
        .await;
    let last = store.set("end", "1").await;
    assert_eq!(first.through(last).await, second.through(last).await);
}

/// A subscription that is dropped, or never read, disturbs neither writers nor the others.
pub async fn dropped_subscription_disturbs_nobody(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut kept = store.follow().await;
    let idle = store.subscribe(everything(Start::Now)).await;
    for n in 0..20 {
        drop(store.follow().await);
        drop(store.subscribe(everything(Start::After(Seq(0)))).await);
        store.set("r", &n.to_string()).await;
    }
    drop(idle);
    let last = store.set("end", "1").await;
    assert_eq!(seqs(&kept.through(last).await), (1..=21).collect::<Vec<u64>>());
}

/// What an event tells can be read by the time it comes.
pub async fn events_come_after_their_effects(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.subscribes() {
        return;
    }
    let mut events = store.follow().await;
    let write = async {
        for n in 1..=20 {
            store.set("r", &n.to_string()).await;
        }
    };
    let read = async {
        for n in 1..=20 {
            let event = events.next().await;
            assert_eq!(event.seq, Seq(n));
            let leaf = store.entry("r").await.expect("the leaf");
            assert!(
                leaf.revision >= event.seq,
                "{} was told, but {} is read",
                event.seq,
                leaf.revision
            );
        }
    };
    futures_util::future::join(write, read).await;
}

/// A transport that does not subscribe says so.
pub async fn absent_capability_is_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.subscribes() {
        return;
    }
    let error = super::probe::within("subscribe", transport.subscribe(everything(Start::Now)))
        .await
        .err();
    assert_eq!(
        error.map(|error| error.kind()),
        Some(crate::error::ErrorKind::NotSupported)
    );
}
