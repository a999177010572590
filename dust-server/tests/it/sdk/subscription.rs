//! Watches over the real server, and what becomes of them when they are slow or let go of.

use dust_transport::model::{Batch, Op, Precondition, Seq};
use dust_transport::sync::{Sync, Watch, WatchEvent, WatchMode, WatchStream};
use dust_transport::transport::Order;
use futures_util::StreamExt as _;

use super::{Site, path, set};

async fn next(events: &mut WatchStream) -> WatchEvent {
    events.next().await.expect("it has not ended")
}

/// The path and the value of the next op, and whether it is committed.
async fn op(events: &mut WatchStream) -> (String, String, bool) {
    match next(events).await {
        WatchEvent::Local { op, .. } => {
            let value = op.action.value().map_or("-", |value| value.json());
            (op.path.as_str().to_owned(), value.to_owned(), false)
        }
        WatchEvent::Committed { event, .. } => {
            let value = event.value.as_ref().map_or("-", |value| value.json());
            (event.path.as_str().to_owned(), value.to_owned(), true)
        }
        other => panic!("{other:?}"),
    }
}

fn told(at: &str, value: &str, is_committed: bool) -> (String, String, bool) {
    (at.to_owned(), value.to_owned(), is_committed)
}

fn all() -> Watch {
    Watch::pattern("**".parse().unwrap())
}

async fn watch(sync: &Sync, watch: Watch) -> WatchStream {
    let mut events = sync.watch(watch).await.unwrap();
    assert!(matches!(next(&mut events).await, WatchEvent::Ready { .. }));
    events
}

/// The paths of the leaves that a watch begins with.
async fn present(sync: &Sync, watch: Watch) -> Vec<String> {
    let mut events = sync.watch(watch.include_current()).await.unwrap();
    let mut paths = Vec::new();
    while let WatchEvent::Present(entry) = next(&mut events).await {
        paths.push(entry.path.as_str().to_owned());
    }
    paths
}

#[tokio::test]
async fn it_is_told_what_matches_and_nothing_else() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let mut events = watch(&sync, Watch::pattern("posts/*".parse().unwrap())).await;
    for at in ["posts/a", "posts", "users/a", "posts/a/b", "posts/c"] {
        sync.put(&path(at), 1).await.unwrap();
    }
    assert_eq!(op(&mut events).await, told("posts/a", "1", true));
    assert_eq!(op(&mut events).await, told("posts/c", "1", true));
}

#[tokio::test]
async fn every_kind_of_op_is_told() {
    let site = Site::start().await;
    let (sync, other) = (site.sync().await, site.sync().await);
    let mut events = watch(&sync, all()).await;
    other.increment(&path("n"), 2).await.unwrap();
    other.increment(&path("n"), 3).await.unwrap();
    other.add(&path("s"), "x").await.unwrap();
    other.remove(&path("s"), "x").await.unwrap();
    other.delete(&path("n")).await.unwrap();
    for expected in [("n", "2"), ("n", "5"), ("s", "[\"x\"]"), ("s", "[]"), ("n", "-")] {
        assert_eq!(op(&mut events).await, told(expected.0, expected.1, true));
    }
    other.put_file(&path("f"), "hi", None, None).await.unwrap();
    let (at, file, _) = op(&mut events).await;
    assert!(at == "f" && file.contains(r#""_type":"file""#), "{file}");
}

#[tokio::test]
async fn what_is_there_comes_first_in_its_order_and_limit_or_not_at_all() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let posts = || Watch::pattern("posts/*".parse().unwrap());
    assert!(present(&sync, posts()).await.is_empty());
    for at in ["posts/a", "posts/b", "posts/c", "users/a"] {
        sync.put(&path(at), 1).await.unwrap();
    }
    assert_eq!(present(&sync, posts()).await, ["posts/a", "posts/b", "posts/c"]);
    assert_eq!(
        present(&sync, posts().order(Order::Desc).limit(2)).await,
        ["posts/c", "posts/b"]
    );
    drop(watch(&sync, posts()).await);
}

#[tokio::test]
async fn what_is_there_comes_before_what_is_written_next() {
    let site = Site::start().await;
    let sync = site.sync().await;
    sync.put(&path("a"), 1).await.unwrap();
    let mut events = sync.watch(all().include_current()).await.unwrap();
    // Before anything of it has been read.
    sync.put(&path("b"), 2).await.unwrap();
    assert!(matches!(next(&mut events).await, WatchEvent::Present(entry) if entry.path == path("a")));
    assert!(matches!(next(&mut events).await, WatchEvent::Ready { through: Seq(1) }));
    assert_eq!(op(&mut events).await, told("b", "2", true));
}

#[tokio::test]
async fn all_hears_of_an_own_write_once_and_the_other_modes_their_half() {
    let site = Site::start().await;
    let (sync, other) = (site.sync().await, site.sync().await);
    let mut every = watch(&sync, all()).await;
    let mut committed = watch(&sync, all().mode(WatchMode::Committed)).await;
    let mut optimistic = watch(&sync, all().mode(WatchMode::Optimistic)).await;
    let mine = sync.write_optimistic(set("a", 1)).await.unwrap();
    mine.settled().await.unwrap();
    let seq = other.put(&path("b"), 2).await.unwrap();
    sync.reached(seq).await.unwrap();
    sync.write_optimistic(set("c", 3))
        .await
        .unwrap()
        .settled()
        .await
        .unwrap();
    for expected in [told("a", "1", false), told("b", "2", true), told("c", "3", false)] {
        assert_eq!(op(&mut every).await, expected);
    }
    for expected in [told("a", "1", true), told("b", "2", true), told("c", "3", true)] {
        assert_eq!(op(&mut committed).await, expected);
    }
    for expected in [told("a", "1", false), told("c", "3", false)] {
        assert_eq!(op(&mut optimistic).await, expected);
    }
}

#[tokio::test]
async fn a_committed_op_tells_its_number_its_device_and_whether_it_is_own() {
    let site = Site::start().await;
    let (sync, other) = (site.sync().await, site.sync().await);
    let mut events = watch(&sync, all()).await;
    sync.put(&path("a"), 1).await.unwrap();
    other.put(&path("b"), 2).await.unwrap();
    for (seq, device, own) in [
        (Seq(1), sync.status().device, true),
        (Seq(2), other.status().device, false),
    ] {
        let WatchEvent::Committed { event, is_own, .. } = next(&mut events).await else {
            panic!("an op is committed")
        };
        assert_eq!((event.seq, &event.device, is_own), (seq, &device, own));
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_op_id_path_and_reason() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let mut events = watch(&sync, all()).await;
    let stale = Op::set(path("a"), 1).when(Precondition::Match(Seq(9)));
    let write = sync.write_optimistic(Batch::one(stale)).await.unwrap();
    let id = write.op_id().clone();
    assert!(write.settled().await.is_err());
    assert_eq!(op(&mut events).await, told("a", "1", false));
    let WatchEvent::Rejected { op, op_id, error } = next(&mut events).await else {
        panic!("it is refused")
    };
    assert_eq!((op.path, op_id, error.code()), (path("a"), id, "conflict"));
}

#[tokio::test]
async fn one_that_is_dropped_is_told_no_more_and_the_others_are() {
    let site = Site::start().await;
    let sync = site.sync().await;
    let (gone, mut events) = (watch(&sync, all()).await, watch(&sync, all()).await);
    drop(gone);
    sync.put(&path("a"), 1).await.unwrap();
    assert_eq!(op(&mut events).await, told("a", "1", true));
}

#[tokio::test]
async fn one_that_is_too_slow_is_told_so_and_stalls_nobody() {
    let site = Site::start().await;
    let sync = Sync::connect(site.options().listener_events_max(8)).await.unwrap();
    let mut fast = watch(&sync, all()).await;
    let mut slow = watch(&sync, all()).await;
    for n in 1..=40 {
        // Own writes count as those of others do.
        sync.write_optimistic(set("a", n))
            .await
            .unwrap()
            .settled()
            .await
            .unwrap();
        assert_eq!(op(&mut fast).await, told("a", &n.to_string(), false));
    }
    assert!(matches!(next(&mut slow).await, WatchEvent::Lagged { missed } if missed > 40));
    while op(&mut slow).await != told("a", "40", false) {}
}
