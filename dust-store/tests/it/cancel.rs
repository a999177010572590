//! Callers who go away, or stay and do not poll.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dust_store::{Database, Embedded};
use dust_transport::error::Error;
use dust_transport::model::{Batch, Op, OpId, Seq};
use dust_transport::transport::{Signal, Subscribe, Transport, Written};
use futures_util::StreamExt;
use futures_util::future::join_all;

use crate::gate::{Gated, Gates};
use crate::{leaves, path};

type Write<'s> = Pin<Box<dyn Future<Output = Result<Written, Error>> + Send + 's>>;

fn poll_once(write: &mut Write<'_>) -> Poll<Result<Written, Error>> {
    write.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future)
        .await
        .expect("nobody is stuck")
}

/// Where a write stands when its caller goes away.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Queued,
    BeforeCommit,
    AfterCommit,
}

const MOMENTS: [Moment; 3] = [Moment::Queued, Moment::BeforeCommit, Moment::AfterCommit];

async fn gated() -> (Embedded, Arc<Gates>) {
    let (engine, gates) = Gated::new();
    (Database::on(engine).store("acme/site").await.unwrap(), gates)
}

/// Brings a write to a moment and leaves it there. The gates have to be opened after that.
async fn bring_to(write: &mut Write<'_>, moment: Moment, store: &Embedded, gates: &Gates) {
    match moment {
        Moment::Queued => return,
        Moment::BeforeCommit => gates.before.close(),
        Moment::AfterCommit => gates.after.close(),
    }
    assert!(poll_once(write).is_pending());
    if matches!(moment, Moment::AfterCommit) {
        while store.head().await.unwrap() == Seq(0) {
            assert!(poll_once(write).is_pending());
            tokio::task::yield_now().await;
        }
        assert!(poll_once(write).is_pending());
    }
}

fn open(gates: &Gates) {
    gates.before.open();
    gates.after.open();
}

/// A batch is there whole or, if it had not begun, not at all; and once, if it is repeated.
#[tokio::test]
async fn dropped_writer_leaves_a_whole_store() {
    for moment in MOMENTS {
        let (store, gates) = gated().await;
        let batch = Batch::new([Op::set(path("a/x"), 1), Op::increment(path("n"), 1)]).with_id(OpId::random());
        let mut write = store.write(batch.clone());
        bring_to(&mut write, moment, &store, &gates).await;
        drop(write);
        open(&gates);
        let written = in_time(store.write(batch)).await.unwrap();
        assert_eq!(written.deduplicated, !matches!(moment, Moment::Queued), "{moment:?}");
        assert_eq!(written.seqs, [Seq(1), Seq(2)], "{moment:?}");
        let found: Vec<_> = leaves(&store)
            .await
            .iter()
            .map(|leaf| format!("{}={}", leaf.path, leaf.value))
            .collect();
        assert_eq!(found, ["a/x=1", "n=1"], "{moment:?}");
    }
}

/// A group whose only caller has gone is finished and published, with no other writer to do it.
#[tokio::test]
async fn abandoned_group_is_published() {
    for moment in [Moment::BeforeCommit, Moment::AfterCommit] {
        let (store, gates) = gated().await;
        let mut changes = store.subscribe(Subscribe::touching(path("a"))).await.unwrap();
        assert_eq!(
            changes.next().await.unwrap().unwrap(),
            Signal::CaughtUp { through: Seq(0) }
        );
        let mut write = store.write(Op::set(path("a"), 1).into());
        bring_to(&mut write, moment, &store, &gates).await;
        drop(write);
        open(&gates);
        let signal = in_time(changes.next()).await.unwrap().unwrap();
        assert!(
            matches!(signal, Signal::Event(event) if event.seq == Seq(1)),
            "{moment:?}"
        );
    }
}

/// The next waiter goes on with what the one before has left; nobody's answer is lost.
#[tokio::test]
async fn abandoned_group_is_taken_over() {
    for moment in [Moment::BeforeCommit, Moment::AfterCommit] {
        let (store, gates) = gated().await;
        let mut leading = store.write(Op::set(path("a"), 1).into());
        bring_to(&mut leading, moment, &store, &gates).await;
        let others: Vec<_> = (2..10)
            .map(|n| {
                let store = store.clone();
                tokio::spawn(async move { store.write(Op::set(path("b"), n).into()).await.unwrap().seqs })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(leading);
        open(&gates);
        let mut seqs: Vec<_> = in_time(join_all(others))
            .await
            .into_iter()
            .flat_map(Result::unwrap)
            .collect();
        seqs.sort_unstable();
        assert_eq!(seqs, (2..10).map(Seq).collect::<Vec<_>>(), "{moment:?}");
    }
}

/// A batch whose caller gave up before its group began is not written.
#[tokio::test]
async fn batch_that_has_not_begun_is_dropped_with_its_caller() {
    let (store, gates) = gated().await;
    let mut leading = store.write(Op::set(path("a"), 1).into());
    bring_to(&mut leading, Moment::BeforeCommit, &store, &gates).await;
    let mut queued = store.write(Op::set(path("b"), 1).into());
    assert!(poll_once(&mut queued).is_pending());
    drop(queued);
    open(&gates);
    assert_eq!(in_time(leading).await.unwrap().seqs, [Seq(1)]);
    assert_eq!(
        in_time(store.write(Op::set(path("c"), 1).into())).await.unwrap().seqs,
        [Seq(2)]
    );
    assert!(!store.exists(&path("b")).await.unwrap());
}

/// A writer that is alive and not polled, in the middle of its commit, holds nobody up.
#[tokio::test]
async fn unpolled_writer_blocks_nobody() {
    for moment in [Moment::BeforeCommit, Moment::AfterCommit] {
        let (store, gates) = gated().await;
        let mut sleeping = store.write(Op::set(path("a"), 1).into());
        bring_to(&mut sleeping, moment, &store, &gates).await;
        open(&gates);
        for n in 2..=20 {
            let written = in_time(store.write(Op::set(path("b"), n).into())).await.unwrap();
            assert_eq!(written.seqs, [Seq(n)]);
        }
        assert_eq!(in_time(sleeping).await.unwrap().seqs, [Seq(1)]);
    }
}

/// Writers that give up at different moments, among others that do not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_stay_are_answered() {
    let store = Embedded::memory();
    let tasks: Vec<_> = (0..200_u64)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut write = store.write(Op::increment(path("n"), 1).into());
                if n % 3 == 0 {
                    for _ in 0..n % 5 {
                        if let Poll::Ready(written) = poll_once(&mut write) {
                            return written.ok();
                        }
                        tokio::task::yield_now().await;
                    }
                    return None;
                }
                Some(write.await.unwrap())
            })
        })
        .collect();
    let answers: Vec<_> = in_time(join_all(tasks))
        .await
        .into_iter()
        .filter_map(Result::unwrap)
        .collect();
    // What was given up at the end may still be on its way; this write comes after it.
    let last = in_time(store.write(Op::increment(path("n"), 0).into())).await.unwrap();
    let mut seqs: Vec<_> = answers.iter().map(|written| written.seqs[0]).collect();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), answers.len(), "no number twice");
    assert!(seqs.len() >= 133);
    let total: u64 = store.get(&path("n")).await.unwrap().unwrap().value.to().unwrap();
    assert_eq!(Seq(total + 1), last.seqs[0], "every op that took a number counted");
    let events = store.events(Seq(0), 1000).await.unwrap();
    assert_eq!(events.len() as u64, last.seqs[0].0);
}

/// Nothing here needs a runtime.
#[test]
fn store_works_on_any_executor() {
    let store = Embedded::memory();
    let mut write = store.write(Op::set(path("a"), 1).into());
    let written = loop {
        if let Poll::Ready(written) = poll_once(&mut write) {
            break written.unwrap();
        }
        std::thread::yield_now();
    };
    assert_eq!(written.seqs, [Seq(1)]);
}
