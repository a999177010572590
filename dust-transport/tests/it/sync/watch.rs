//! Watches, how a synced store stands, and its writes by name.

use std::sync::atomic::Ordering;

use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::model::{Batch, Op, Precondition, Seq, Value};
use dust_transport::sync::{ConnectionState, Offline, Sync, Watch, WatchEvent, WatchMode, WatchStream};
use dust_transport::transport::{Order, Transport as _};
use futures_util::StreamExt as _;

use super::server::Server;
use super::{connect, options, path, set, value};

/// An item in a few words.
fn shown(event: &WatchEvent) -> String {
    match event {
        WatchEvent::Present(entry) => format!("present {} {} @{}", entry.path, entry.value.json(), entry.revision),
        WatchEvent::Ready { through } => format!("ready @{through}"),
        WatchEvent::Local { op, .. } => {
            let value = op.action.value().map_or("-", Value::json);
            format!("local {} {} {value}", op.action.kind(), op.path)
        }
        WatchEvent::Committed { event, is_own, .. } => {
            let whose = if *is_own { "own" } else { "theirs" };
            let value = event.value.as_ref().map_or("-", Value::json);
            format!("{whose} {} {} {value} @{}", event.kind, event.path, event.seq)
        }
        WatchEvent::Rejected { op, error, .. } => format!("rejected {} {}", op.path, error.code()),
        WatchEvent::Lagged { .. } => "lagged".to_owned(),
        WatchEvent::Resync { through } => format!("resync @{through}"),
        WatchEvent::Ended(reason) => format!("ended {}", reason.code),
        other => panic!("{other:?}"),
    }
}

/// The next items, so many.
async fn take<const N: usize>(events: &mut WatchStream) -> [String; N] {
    let mut taken = [const { String::new() }; N];
    for item in &mut taken {
        *item = shown(&events.next().await.expect("it has not ended"));
    }
    taken
}

fn all() -> Watch {
    Watch::pattern("**".parse().unwrap())
}

async fn watch(sync: &Sync, watch: Watch) -> WatchStream {
    let mut events = sync.watch(watch).await.unwrap();
    let ready = events.next().await.unwrap();
    assert!(matches!(ready, WatchEvent::Ready { .. }), "{ready:?}");
    events
}

#[tokio::test]
async fn it_begins_with_what_is_there_and_ready_also_where_nothing_is() {
    let server = Server::start().await;
    for (at, n) in [("a", 1), ("r", 2), ("r/x", 3), ("r/y", 4), ("r/y/z", 5), ("s", 6)] {
        server.model.write(set(at, n)).await.unwrap();
    }
    let sync = connect(&server).await;
    let current = |watch: Watch| {
        let sync = &sync;
        async move {
            let mut events = sync.watch(watch.include_current()).await.unwrap();
            let mut seen = Vec::new();
            loop {
                let [item] = take(&mut events).await;
                match item.strip_prefix("present ") {
                    Some(item) => seen.push(item.to_owned()),
                    None => break assert_eq!(item, "ready @6"),
                }
            }
            seen.join(", ")
        }
    };
    let pattern = |text: &str| Watch::pattern(text.parse().unwrap());
    assert_eq!(current(pattern("r/*")).await, "r/x 3 @3, r/y 4 @4");
    assert_eq!(current(pattern("r/*").order(Order::Desc)).await, "r/y 4 @4, r/x 3 @3");
    assert_eq!(current(pattern("**").limit(2)).await, "a 1 @1, r 2 @2");
    assert_eq!(current(pattern("**").limit(0)).await, "");
    assert_eq!(current(pattern("x/**")).await, "");
    let below = || Watch::touching(path("r"));
    assert_eq!(current(below().limit(3)).await, "r 2 @2, r/x 3 @3, r/y 4 @4");
    assert_eq!(
        current(below().order(Order::Desc)).await,
        "r/y/z 5 @5, r/y 4 @4, r/x 3 @3, r 2 @2"
    );
    // Without being asked for they are not told.
    let mut events = sync.watch(all()).await.unwrap();
    assert_eq!(take(&mut events).await, ["ready @6"]);
}

#[tokio::test]
async fn all_tells_an_own_write_once_and_that_of_others_once_committed() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    let mut events = watch(&sync, all()).await;
    let mut committed = watch(&sync, all().mode(WatchMode::Committed)).await;
    let mut optimistic = watch(&sync, all().mode(WatchMode::Optimistic)).await;
    let batch = Batch::new([
        Op::increment(path("n"), 2),
        Op::add(path("s"), "x"),
        Op::delete(path("d")),
    ]);
    let write = sync.write_optimistic(batch).await.unwrap();
    let op_id = write.op_id().clone();
    // No task has had its turn since.
    for events in [&mut events, &mut optimistic] {
        let event = events.next().await.unwrap();
        assert!(
            matches!(&event, WatchEvent::Local { op_id: id, .. } if *id == op_id),
            "{event:?}"
        );
        assert_eq!(shown(&event), "local increment n 2");
        assert_eq!(take(events).await, ["local add s \"x\"", "local delete d -"]);
    }
    write.settled().await.unwrap();
    let event = committed.next().await.unwrap();
    assert!(
        matches!(&event, WatchEvent::Committed { op_id: Some(id), .. } if *id == op_id),
        "{event:?}"
    );
    assert_eq!(shown(&event), "own increment n 2 @1");
    assert_eq!(
        take(&mut committed).await,
        ["own add s [\"x\"] @2", "own delete d - @3"]
    );
    // An acknowledged one has nothing to be told before.
    sync.increment(&path("n"), 3).await.unwrap();
    server.model.write(set("a", 1)).await.unwrap();
    for events in [&mut events, &mut committed] {
        assert_eq!(take(events).await, ["own increment n 5 @4", "theirs set a 1 @5"]);
    }
    sync.write_optimistic(set("b", 1))
        .await
        .unwrap()
        .settled()
        .await
        .unwrap();
    assert_eq!(take(&mut optimistic).await, ["local set b 1"]);
}

#[tokio::test]
async fn a_write_that_is_refused_is_told_with_its_reason() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    sync.put(&path("a"), 1).await.unwrap();
    let mut events = watch(&sync, all()).await;
    let mut committed = watch(&sync, all().mode(WatchMode::Committed)).await;
    let stale = Op::set(path("a"), 2).when(Precondition::Match(Seq(99)));
    let write = sync
        .write_optimistic(Batch::new([stale, Op::delete(path("b"))]))
        .await
        .unwrap();
    let op_id = write.op_id().clone();
    assert!(write.settled().await.unwrap_err().is_conflict());
    assert_eq!(take(&mut events).await, ["local set a 2", "local delete b -"]);
    let rejected = events.next().await.unwrap();
    let WatchEvent::Rejected { op, op_id: id, error } = &rejected else {
        panic!("{rejected:?}")
    };
    assert_eq!((op.path.as_str(), id), ("a", &op_id));
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Conflict, Outcome::NotApplied)
    );
    assert_eq!(take(&mut events).await, ["rejected b conflict"]);
    assert_eq!(value(&sync, "a").await, Some(Value::from(1)));
    // Who heard nothing of it hears nothing of its end.
    sync.put(&path("c"), 3).await.unwrap();
    assert_eq!(take(&mut committed).await, ["own set c 3 @2"]);
}

#[tokio::test]
async fn what_is_on_its_way_when_it_begins_is_there_or_not_by_the_mode() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    server.faults.drop_writes.store(true, Ordering::Relaxed);
    let kept = sync.write_optimistic(set("a", 1)).await.unwrap();
    let mut events = sync.watch(all().include_current()).await.unwrap();
    assert_eq!(take(&mut events).await, ["present a 1 @0", "ready @0"]);
    let mut committed = watch(&sync, all().mode(WatchMode::Committed).include_current()).await;
    assert_eq!(
        value(&sync, "a").await,
        Some(Value::from(1)),
        "reads see it all the same"
    );
    while server.sent(dust_transport::channel::WRITE).is_empty() {
        tokio::task::yield_now().await;
    }
    server.faults.drop_writes.store(false, Ordering::Relaxed);
    server.cut();
    kept.settled().await.unwrap();
    // Neither was told of it before, so both are told now.
    for events in [&mut events, &mut committed] {
        assert_eq!(take(events).await, ["own set a 1 @1"]);
    }
}

#[tokio::test]
async fn it_hears_what_its_pattern_or_path_covers() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    let mut pattern = watch(&sync, Watch::pattern("r/*".parse().unwrap())).await;
    let mut touching = watch(&sync, Watch::touching(path("r/a"))).await;
    for at in ["r", "r/a", "r/a/b", "r/c", "s", "r/d"] {
        sync.write_optimistic(Batch::one(Op::delete(path(at))))
            .await
            .unwrap()
            .settled()
            .await
            .unwrap();
    }
    assert_eq!(
        take(&mut pattern).await,
        ["local delete r/a -", "local delete r/c -", "local delete r/d -"]
    );
    assert_eq!(
        take(&mut touching).await,
        ["local delete r -", "local delete r/a -", "local delete r/a/b -"]
    );
}

#[tokio::test]
async fn one_that_is_not_read_lags_by_itself() {
    let server = Server::start().await;
    let sync = Sync::connect(options(&server).listener_events_max(4)).await.unwrap();
    let mut fast = watch(&sync, all()).await;
    let mut slow = watch(&sync, all()).await;
    let mut anew = watch(&sync, all().include_current()).await;
    for n in 1..=20_u64 {
        // Local writes fill the queue, too.
        if n % 2 == 0 {
            sync.write_optimistic(set("a", n))
                .await
                .unwrap()
                .settled()
                .await
                .unwrap();
            assert_eq!(take(&mut fast).await, [format!("local set a {n}")]);
        } else {
            sync.put(&path("a"), n).await.unwrap();
            assert_eq!(take(&mut fast).await, [format!("own set a {n} @{n}")]);
        }
    }
    // Without the leaves it goes on with what is left, and with them from there.
    // What was missed as it was made is told as it is committed.
    assert_eq!(
        take(&mut slow).await,
        ["lagged", "own set a 18 @18", "own set a 19 @19", "local set a 20"]
    );
    assert_eq!(take(&mut anew).await, ["lagged", "present a 20 @20", "ready @20"]);
    sync.delete(&path("a")).await.unwrap();
    for events in [&mut fast, &mut anew] {
        assert_eq!(take(events).await, ["own delete a - @21"]);
    }
    assert_eq!(*server.connections.borrow(), 1, "one connection feeds all of them");
}

#[tokio::test]
async fn where_the_log_was_cut_it_says_so_and_begins_anew_with_what_is_there() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    sync.put(&path("a"), 1).await.unwrap();
    let mut events = watch(&sync, all()).await;
    let mut anew = sync.watch(all().include_current()).await.unwrap();
    assert_eq!(take(&mut anew).await, ["present a 1 @1", "ready @1"]);
    server.faults.cut_log.store(true, Ordering::Relaxed);
    *server.faults.refuse_with.lock().unwrap() = Some(503);
    server.cut();
    while sync.state().is_live() {
        tokio::task::yield_now().await;
    }
    server.model.write(set("b", 2)).await.unwrap();
    server.model.write(Batch::one(Op::delete(path("a")))).await.unwrap();
    *server.faults.refuse_with.lock().unwrap() = None;
    sync.reached(Seq(3)).await.unwrap();
    sync.put(&path("c"), 3).await.unwrap();
    assert_eq!(take(&mut events).await, ["resync @3", "own set c 3 @4"]);
    // What is there when it is read, with what came since.
    assert_eq!(
        take(&mut anew).await,
        ["resync @3", "present b 2 @2", "present c 3 @4", "ready @4"]
    );
}

#[tokio::test]
async fn its_last_item_is_the_reason_why_it_ended() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    let mut refused = watch(&sync, all()).await;
    *server.faults.refuse_join.lock().unwrap() = Some("missing_scope".to_owned());
    server.cut();
    assert_eq!(take(&mut refused).await, ["ended missing_scope"]);
    assert!(refused.next().await.is_none());
    assert_eq!(sync.watch(all()).await.err().unwrap().code(), "missing_scope");

    *server.faults.refuse_join.lock().unwrap() = None;
    let sync = connect(&server).await;
    let mut closed = watch(&sync, all()).await;
    drop(sync);
    assert_eq!(take(&mut closed).await, ["ended closed"]);
    assert!(closed.next().await.is_none());
}

#[tokio::test]
async fn its_status_tells_what_is_known_here() {
    let server = Server::start().await;
    let sync = Sync::connect(options(&server).offline(Offline::Queue)).await.unwrap();
    sync.merge(&path("r"), Value::map([("a", Value::from(1)), ("b", Value::from(2))]))
        .await
        .unwrap();
    let status = sync.status();
    assert_eq!(
        (status.store.as_str(), &status.connection, status.applied),
        ("acme/site", &ConnectionState::Live, Seq(1))
    );
    assert_eq!((status.leaves, status.pending), (2, 0));
    let joined = status.joined.unwrap();
    assert!(joined.permissions.write && joined.scopes.contains(&"entries:read".to_owned()));
    assert_eq!(sync.server_status().await.unwrap().current_seq, Seq(7));

    server.faults.drop_writes.store(true, Ordering::Relaxed);
    let waiting = sync.write_optimistic(set("c", 1)).await.unwrap();
    while sync.status().pending == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(sync.status().leaves, 3);
    *server.faults.refuse_with.lock().unwrap() = Some(503);
    server.cut();
    while sync.state().is_live() {
        tokio::task::yield_now().await;
    }
    let refused = sync.server_status().await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.outcome()),
        ("not_connected", Outcome::NotApplied)
    );
    drop(waiting);
}

#[tokio::test]
async fn a_question_ends_with_its_connection() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    server.faults.mute.store(true, Ordering::Relaxed);
    let asking = tokio::spawn({
        let sync = sync.clone();
        async move { sync.server_status().await }
    });
    while server.sent(dust_transport::channel::STATUS).is_empty() {
        tokio::task::yield_now().await;
    }
    server.cut();
    assert_eq!(asking.await.unwrap().unwrap_err().code(), "connection_lost");
}

#[tokio::test]
async fn writes_have_names() {
    let server = Server::start().await;
    let sync = connect(&server).await;
    assert_eq!(sync.put(&path("a"), "x").await.unwrap(), Seq(1));
    assert_eq!(
        sync.merge(&path("r"), Value::map([("k", Value::from(1))]))
            .await
            .unwrap(),
        Seq(2)
    );
    assert_eq!(sync.increment(&path("n"), -2).await.unwrap(), Seq(3));
    assert_eq!(sync.add(&path("s"), 1).await.unwrap(), Seq(4));
    assert_eq!(sync.remove(&path("s"), 1).await.unwrap(), Seq(5));
    assert_eq!(sync.delete(&path("a")).await.unwrap(), Seq(6));
    let file = sync
        .put_file(&path("f"), "hi", Some("hi.txt"), Some("text/plain"))
        .await
        .unwrap();
    assert_eq!(
        (file.size_bytes, file.filename.as_deref(), file.content_type.as_str()),
        (2, Some("hi.txt"), "text/plain")
    );
    for (at, expected) in [("a", None), ("r/k", Some("1")), ("n", Some("-2")), ("s", Some("[]"))] {
        assert_eq!(value(&sync, at).await.as_ref().map(Value::json), expected, "{at}");
    }
}
