//! A log that begins later than the store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dust_layer::{Engine, Isolation, Memory, Tenant, Transaction};
use dust_store::{Clock, Database, Embedded, Options, Retention};
use dust_transport::model::{Batch, DeviceId, Op, OpId, OpKind, Seq};
use dust_transport::transport::{Signal, Start, Subscribe, Transport};
use futures_util::StreamExt;

use crate::{json, leaves, path};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

async fn counted(store: &Embedded, ops: u64) {
    for n in 0..ops {
        store.write(Op::set(path("n"), n).into()).await.unwrap();
    }
}

#[tokio::test]
async fn a_subscription_from_before_the_log_begins_anew() {
    let store = Embedded::memory();
    counted(&store, 700).await;
    assert_eq!(store.compact(Seq(600)).await.unwrap(), Seq(600));
    let from = async |seq| {
        let subscribe = Subscribe::touching(path("n")).start(Start::After(Seq(seq)));
        store.subscribe(subscribe).await.unwrap()
    };
    let mut early = from(3).await;
    let mut late = from(600).await;
    let through = Seq(700);
    assert_eq!(early.next().await.unwrap().unwrap(), Signal::Resync { through });
    assert_eq!(early.next().await.unwrap().unwrap(), Signal::CaughtUp { through });
    for seq in 601..=700 {
        let Signal::Event(event) = late.next().await.unwrap().unwrap() else {
            panic!("an event");
        };
        assert_eq!(event.seq, Seq(seq));
    }
    assert_eq!(late.next().await.unwrap().unwrap(), Signal::CaughtUp { through });
    store.write(Op::delete(path("n")).into()).await.unwrap();
    for stream in [&mut early, &mut late] {
        let Signal::Event(event) = stream.next().await.unwrap().unwrap() else {
            panic!("an event");
        };
        assert_eq!((event.seq, event.kind), (Seq(701), OpKind::Delete));
    }
}

/// A subscriber that has fallen behind the beginning of the log while it was not read.
#[tokio::test]
async fn a_slow_subscription_is_told_what_it_missed() {
    let store = Embedded::memory();
    let mut slow = store
        .subscribe(Subscribe::touching(path("n")).start(Start::After(Seq(0))))
        .await
        .unwrap();
    assert_eq!(
        slow.next().await.unwrap().unwrap(),
        Signal::CaughtUp { through: Seq(0) }
    );
    counted(&store, 5000).await;
    store.compact(Seq(u64::MAX)).await.unwrap();
    assert_eq!(
        slow.next().await.unwrap().unwrap(),
        Signal::Resync { through: Seq(5000) }
    );
    counted(&store, 1).await;
    assert!(matches!(slow.next().await.unwrap().unwrap(), Signal::Event(event) if event.seq == Seq(5001)));
}

#[tokio::test]
async fn what_has_left_the_log_is_an_error_and_no_gap() {
    let store = Embedded::memory();
    counted(&store, 10).await;
    store.compact(Seq(4)).await.unwrap();
    assert_eq!(store.compact(Seq(2)).await.unwrap(), Seq(4), "it never comes back");
    assert_eq!(store.events(Seq(3), 10).await.unwrap_err().code(), "compacted");
    assert_eq!(store.events(Seq(4), 10).await.unwrap().len(), 6);
    assert_eq!(store.log(Seq(u64::MAX), 100).await.unwrap().len(), 6);
    assert!(
        store.log(Seq(5), 100).await.unwrap().is_empty(),
        "the end of what there is"
    );
    assert!(store.log(Seq(3), 100).await.unwrap().is_empty(), "and nothing before");
    assert_eq!(store.diff(Seq(3), Seq(9)).await.unwrap_err().code(), "compacted");
    assert_eq!(
        store.rollback(&path("n"), Seq(3)).await.unwrap_err().code(),
        "beyond_retention"
    );
    store.rollback(&path("n"), Seq(4)).await.unwrap();
    assert_eq!(store.get(&path("n")).await.unwrap().unwrap().value, 3.into());

    store.compact(Seq(u64::MAX)).await.unwrap();
    assert_eq!(store.events(Seq(5), 10).await.unwrap_err().code(), "compacted");
    assert!(store.events(Seq(11), 10).await.unwrap().is_empty());
    let status = store.status().await.unwrap();
    assert_eq!(
        (status.head, status.compacted, status.ops, status.recent.len()),
        (Seq(11), Seq(11), 0, 0)
    );
}

/// Writers and readers go on while the log is compacted.
#[tokio::test]
async fn compaction_disturbs_nobody() {
    let store = Embedded::memory();
    counted(&store, 2000).await;
    let writes = futures_util::future::join_all((0..200).map(|n| {
        let store = store.clone();
        async move { store.write(Op::increment(path("total"), n).into()).await.unwrap() }
    }));
    let (compacted, written) = futures_util::future::join(store.compact(Seq(2000)), writes).await;
    assert_eq!((compacted.unwrap(), written.len()), (Seq(2000), 200));
    assert_eq!(store.get(&path("total")).await.unwrap().unwrap().value, 19_900.into());
    assert_eq!(store.events(Seq(2000), 1000).await.unwrap().len(), 200);
}

#[tokio::test]
async fn op_ids_outlive_the_log_and_are_forgotten_in_time() {
    let now_ms = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now_ms);
    let options = Options::default().with_clock(Clock::from_fn(move || clock.load(Ordering::SeqCst)));
    let engine = Memory::new();
    let store = Database::with_options(engine.clone(), options)
        .store("acme/site")
        .await
        .unwrap();
    let batch = |id: &str| {
        let ops = [Op::increment(path("n"), 1), Op::lease(path("l"), None, Duration::ZERO)];
        Batch::new(ops).with_id(OpId::new(id).unwrap())
    };
    let first = store.write(batch("first")).await.unwrap();
    store.compact(Seq(u64::MAX)).await.unwrap();
    let again = store.write(batch("first")).await.unwrap();
    assert_eq!(
        (again.seqs, again.done, again.deduplicated),
        (first.seqs, first.done, true)
    );

    now_ms.fetch_add(2 * DAY_MS, Ordering::SeqCst);
    for _ in 0..11 {
        let others = (0..1000).map(|_| Op::delete(path("x")));
        store.write(Batch::new(others)).await.unwrap();
    }
    assert!(
        !store.write(batch("first")).await.unwrap().deduplicated,
        "it is forgotten"
    );
    // Nothing is left of what was remembered for it.
    let tenant = Tenant::open(&engine, "dust", "acme/site").await.unwrap();
    let key = tenant.pack(&(&[0xFD_u8][..], &b"f"[..], 1_u64));
    assert_eq!(engine.begin().get(&key, Isolation::Snapshot).await.unwrap(), None);
}

#[tokio::test]
async fn a_policy_keeps_what_is_young_or_among_the_last() {
    let now_ms = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now_ms);
    let options = Options::default()
        .with_clock(Clock::from_fn(move || clock.load(Ordering::SeqCst)))
        .with_retention(Retention {
            ops_min: 100,
            age_min: Duration::from_hours(1),
        });
    let store = Database::with_options(Memory::new(), options)
        .store("acme/site")
        .await
        .unwrap();
    let compacted = async || store.status().await.unwrap().compacted.0;
    counted(&store, 300).await;
    assert_eq!(compacted().await, 0, "all are young");
    now_ms.fetch_add(3_600_000 - 1, Ordering::SeqCst);
    counted(&store, 1).await;
    assert_eq!(compacted().await, 0, "all are young still");
    now_ms.fetch_add(1, Ordering::SeqCst);
    counted(&store, 1).await;
    assert_eq!(compacted().await, 17, "a few more than the commit has added");
    counted(&store, 50).await;
    assert_eq!(compacted().await, 252, "all but the last hundred");
    assert_eq!(store.events(Seq(252), 1000).await.unwrap().len(), 100);
    now_ms.fetch_add(3_600_000, Ordering::SeqCst);
    counted(&store, 1).await;
    assert_eq!(compacted().await, 253);
    assert_eq!(store.rollback(&path("n"), Seq(253)).await.unwrap().ops, 1);
}

/// A store that was made before there were counts, files and leases.
#[tokio::test]
async fn a_store_of_the_format_before_is_counted_once() {
    let engine = Memory::new();
    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    store
        .write(Op::set(path("a"), json(r#"{"b":1,"c":{"d":2}}"#)).into())
        .await
        .unwrap();
    let before = leaves(&store).await;
    drop(store);
    // As the version before would have written it: the head is format, last number, place of pruning.
    let tenant = Tenant::open(&engine, "dust", "acme/site").await.unwrap();
    let (format, head) = (
        tenant.pack(&(&[0xFE_u8][..], &b"format"[..])),
        tenant.pack(&(&[0xFD_u8][..], &b"h"[..])),
    );
    let transaction = engine.begin();
    transaction.set(&format, b"dust-store 1");
    transaction.set(&head, &[1, 1, 0]);
    transaction.commit().await.unwrap();

    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    let status = store.status().await.unwrap();
    assert_eq!((status.head, status.entries, status.ops), (Seq(1), 2, 1));
    assert_eq!(leaves(&store).await, before);
    store.write(Op::delete(path("a/b")).into()).await.unwrap();
    assert_eq!(store.status().await.unwrap().entries, 1);
    let stored = engine.begin().get(&format, Isolation::Snapshot).await.unwrap();
    assert_eq!(stored.as_deref(), Some(&b"dust-store 2"[..]));
}

#[tokio::test]
async fn a_rollback_is_written_like_anything_else() {
    let store = Embedded::memory();
    store
        .write(Op::set(path("m"), json(r#"{"x":1,"y":2}"#)).into())
        .await
        .unwrap();
    store.write(Op::set(path("m/x"), 5).into()).await.unwrap();
    let mut live = store.subscribe(Subscribe::touching(path("m"))).await.unwrap();
    live.next().await.unwrap().unwrap();
    let back = store.rollback(&path("m"), Seq(1)).await.unwrap();
    assert_eq!((back.head, back.ops), (Seq(3), 1));
    let Signal::Event(event) = live.next().await.unwrap().unwrap() else {
        panic!("an event");
    };
    assert_eq!(event.device, DeviceId::new("system:rollback").unwrap());
    assert_eq!(event.op_id, Some(OpId::new("rollback:1:m").unwrap()));
    assert_eq!(
        (event.kind, &event.value),
        (OpKind::Set, &Some(json(r#"{"x":1,"y":2}"#)))
    );
    assert_eq!(store.events(Seq(2), 10).await.unwrap(), [event]);
    assert_eq!(
        store.rollback(&path("m"), Seq(0)).await.unwrap_err().code(),
        "beyond_retention"
    );
    let beyond = store.rollback(&path("m"), Seq(999)).await.unwrap();
    assert_eq!((beyond.head, beyond.ops), (Seq(3), 0));
}
