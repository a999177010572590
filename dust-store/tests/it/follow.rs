//! Subscriptions: behind, far behind, on another node.

use std::time::Duration;

use dust_layer::{Instrumented, Memory};
use dust_store::{Database, Embedded};
use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, Op, Seq};
use dust_transport::transport::{EventStream, Interest, Signal, Start, Subscribe, Transport};
use futures_util::StreamExt;

use crate::path;

fn everything(start: Start) -> Subscribe {
    Subscribe {
        interest: Interest::Pattern("**".parse().unwrap()),
        start,
    }
}

async fn next(stream: &mut EventStream) -> Signal {
    let signal = tokio::time::timeout(Duration::from_secs(30), stream.next());
    signal
        .await
        .expect("a signal in time")
        .expect("no end")
        .expect("no error")
}

async fn expect_seqs(stream: &mut EventStream, seqs: impl IntoIterator<Item = u64>) {
    for seq in seqs {
        match next(stream).await {
            Signal::Event(event) => assert_eq!(event.seq, Seq(seq)),
            other => panic!("{other:?} instead of the event {seq}"),
        }
    }
}

/// One who reads nothing for longer than the recent events reach gets all of it from the log, then what is recent.
#[tokio::test]
async fn slow_reader_misses_nothing() {
    let store = Embedded::memory();
    let mut slow = store.subscribe(everything(Start::Now)).await.unwrap();
    let mut fast = store.subscribe(everything(Start::Now)).await.unwrap();
    assert_eq!(next(&mut fast).await, Signal::CaughtUp { through: Seq(0) });
    for round in 0..6 {
        store
            .write(Batch::new((0..1000).map(|n| Op::set(path(&format!("n/{n}")), n))))
            .await
            .unwrap();
        expect_seqs(&mut fast, round * 1000 + 1..=round * 1000 + 1000).await;
    }
    assert_eq!(next(&mut slow).await, Signal::CaughtUp { through: Seq(0) });
    expect_seqs(&mut slow, 1..=6000).await;
    store.write(Op::set(path("live"), 1).into()).await.unwrap();
    expect_seqs(&mut slow, [6001]).await;

    let mut late = store.subscribe(everything(Start::After(Seq(17)))).await.unwrap();
    expect_seqs(&mut late, 18..=6001).await;
    assert_eq!(next(&mut late).await, Signal::CaughtUp { through: Seq(6001) });
}

#[tokio::test]
async fn nobody_follows_from_the_future() {
    let store = Embedded::memory();
    store.write(Op::set(path("a"), 1).into()).await.unwrap();
    let error = store.subscribe(everything(Start::After(Seq(2)))).await.err().unwrap();
    assert_eq!(error.kind(), ErrorKind::InvalidParams);
    assert!(error.detail().contains("at 1 only"), "{error}");
    let mut at_the_end = store.subscribe(everything(Start::After(Seq(1)))).await.unwrap();
    assert_eq!(next(&mut at_the_end).await, Signal::CaughtUp { through: Seq(1) });
}

/// Two databases on one engine are two nodes: both write, and each hears of the other's ops in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_share_one_sequence() {
    let engine = Memory::new();
    let one = Database::on(engine.clone()).store("acme/site").await.unwrap();
    let two = Database::on(engine).store("acme/site").await.unwrap();
    let mut heard_by_one = one.subscribe(everything(Start::Now)).await.unwrap();
    let mut heard_by_two = two.subscribe(everything(Start::Now)).await.unwrap();
    next(&mut heard_by_one).await;
    next(&mut heard_by_two).await;

    // While the other node is silent.
    two.write(Op::increment(path("n"), 1).into()).await.unwrap();
    expect_seqs(&mut heard_by_one, [1]).await;
    one.write(Op::increment(path("n"), 1).into()).await.unwrap();
    expect_seqs(&mut heard_by_two, [1, 2]).await;
    expect_seqs(&mut heard_by_one, [2]).await;

    let writes = [one.clone(), two.clone()].map(|node| {
        tokio::spawn(async move {
            for _ in 0..100 {
                node.write(Op::increment(path("n"), 1).into()).await.unwrap();
            }
        })
    });
    expect_seqs(&mut heard_by_one, 3..=202).await;
    expect_seqs(&mut heard_by_two, 3..=202).await;
    for write in writes {
        write.await.unwrap();
    }
    for node in [one, two] {
        assert_eq!(node.get(&path("n")).await.unwrap().unwrap().value, 202.into());
    }
}

/// What an engine refuses in passing, as a cluster does now and then, ends no subscription.
#[tokio::test]
async fn refused_lookout_is_repeated() {
    let memory = Memory::new();
    let refusing = Instrumented::new(memory.clone());
    let one = Database::on(refusing.clone()).store("acme/site").await.unwrap();
    let two = Database::on(memory).store("acme/site").await.unwrap();
    let mut heard_by_one = one.subscribe(everything(Start::Now)).await.unwrap();
    next(&mut heard_by_one).await;
    for seq in 1..=3 {
        refusing.fail_reads(2);
        refusing.fail_watches(2);
        let write = async { two.write(Op::increment(path("n"), 1).into()).await.unwrap() };
        futures_util::future::join(expect_seqs(&mut heard_by_one, [seq]), write).await;
    }
}

/// A subscription that waits, and nothing else, does not keep a folder open.
#[tokio::test]
async fn waiting_subscription_lets_go_of_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    let mut changes = store.subscribe(everything(Start::Now)).await.unwrap();
    next(&mut changes).await;
    let waiting = tokio::time::timeout(Duration::ZERO, changes.next()).await;
    assert!(waiting.is_err(), "there is nothing to tell");
    drop(changes);
    drop(store);
    Database::open(folder.path()).unwrap();
}
