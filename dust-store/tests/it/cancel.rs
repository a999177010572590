//! Callers who go away, or stay and do not poll.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use dust_store::Embedded;
use dust_transport::error::Error;
use dust_transport::model::{Batch, Op, OpId, Seq};
use dust_transport::transport::{Signal, Subscribe, Transport, Written};
use futures_util::StreamExt;
use futures_util::future::join_all;

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

/// Whenever a writer goes away, its batch is there whole or not at all, and the others go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_writer_leaves_a_whole_store() {
    for polls in 0..40 {
        let store = Embedded::memory();
        let id = OpId::random();
        let batch = Batch::new([Op::set(path("a/x"), 1), Op::increment(path("n"), 1)]).with_id(id);
        let mut write = store.write(batch.clone());
        for _ in 0..polls {
            if poll_once(&mut write).is_ready() {
                break;
            }
            std::thread::yield_now();
        }
        drop(write);
        // Repeated under the same id it is there once.
        let written = in_time(store.write(batch)).await.unwrap();
        assert_eq!(written.seqs, [Seq(1), Seq(2)], "after {polls} polls");
        let found: Vec<_> = leaves(&store)
            .await
            .iter()
            .map(|leaf| format!("{}={}", leaf.path, leaf.value))
            .collect();
        assert_eq!(found, ["a/x=1", "n=1"], "after {polls} polls");
    }
}

/// A group whose only caller has gone is finished and published all the same.
#[tokio::test]
async fn abandoned_group_is_published() {
    let store = Embedded::memory();
    let mut changes = store.subscribe(Subscribe::touching(path("a"))).await.unwrap();
    assert_eq!(
        changes.next().await.unwrap().unwrap(),
        Signal::CaughtUp { through: Seq(0) }
    );
    let mut write = store.write(Op::set(path("a"), 1).into());
    assert!(poll_once(&mut write).is_pending(), "the commit is under way");
    drop(write);
    let signal = in_time(changes.next()).await.unwrap().unwrap();
    assert!(matches!(signal, Signal::Event(event) if event.seq == Seq(1)));
}

/// A writer that is alive and not polled, in the middle of its commit, holds nobody up.
#[tokio::test]
async fn unpolled_writer_blocks_nobody() {
    let store = Embedded::memory();
    let mut sleeping = store.write(Op::set(path("a"), 1).into());
    assert!(poll_once(&mut sleeping).is_pending());
    for n in 2..=20 {
        let written = in_time(store.write(Op::set(path("b"), n).into())).await.unwrap();
        assert_eq!(written.seqs, [Seq(n)]);
    }
    assert_eq!(in_time(sleeping).await.unwrap().seqs, [Seq(1)]);
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
