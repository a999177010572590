//! The synced store with a file: what a restart of the program finds.

use std::path::PathBuf;

use dust_transport::model::{DeviceId, Precondition};
use dust_transport::sync::Restored;
use redb::{Database, TableDefinition};
use tempfile::TempDir;

use super::*;

/// A folder, and the file in it.
struct Place {
    _folder: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("site.dust");
    Place { _folder: folder, path }
}

/// Options that wait as long as it takes.
fn with_file(server: &Server, place: &Place) -> SyncOptions {
    options(server).file(&place.path).offline(Offline::Queue)
}

async fn open(server: &Server, place: &Place) -> Sync {
    Sync::connect(with_file(server, place)).await.unwrap()
}

/// Refuses connections from now on, until this is undone.
fn shut(server: &Server) {
    *server.faults.refuse_with.lock().unwrap() = Some(503);
    server.cut();
}

fn reopen(server: &Server) {
    *server.faults.refuse_with.lock().unwrap() = None;
}

async fn offline(sync: &Sync) {
    let mut states = Box::pin(sync.states());
    while states.next().await.unwrap().is_live() {}
}

/// What became of the writes of the program before, in the order of their paths.
async fn restored(sync: &Sync) -> Vec<std::sync::Arc<Restored>> {
    let mut all: Vec<_> = sync.restored().collect().await;
    all.sort_by_key(|write| write.batch.ops.first().map(|op| op.path.clone()));
    all
}

fn joins(server: &Server) -> Vec<String> {
    let joins = server.sent(JOIN);
    joins.iter().map(|join| join.payload.json().to_owned()).collect()
}

#[tokio::test]
async fn reads_work_at_once_after_a_restart_and_the_rest_is_asked_for() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    let map = Value::from_json(r#"{"a":[1,"x"],"b":{"c":1.5}}"#).unwrap();
    sync.write(set("r", map.clone())).await.unwrap();
    sync.write(Batch::one(Op::increment(path("n"), 2))).await.unwrap();
    sync.write(Batch::one(Op::delete(path("r/a")))).await.unwrap();
    let all = dust_transport::transport::List::pattern(Pattern::default());
    let before = sync.list(&all).await.unwrap();
    sync.close().await.unwrap();
    assert_eq!(sync.write(set("late", 1)).await.unwrap_err().kind(), ErrorKind::Closed);

    shut(&server);
    let sync = open(&server, &place).await;
    assert!(!sync.state().is_live());
    assert_eq!(sync.list(&all).await.unwrap(), before);
    assert_eq!((sync.applied(), sync.len()), (Seq(3), 2));
    assert!(restored(&sync).await.is_empty());
    // A cursor of a program that was further than its file came to be.
    let ahead = Subscribe::pattern(Pattern::default()).start(Start::After(Seq(4)));
    let mut events = sync.subscribe(ahead).await.unwrap();
    let signal = events.next().await.unwrap().unwrap();
    assert!(matches!(signal, Signal::CaughtUp { through: Seq(4) }), "{signal:?}");
    // What was committed meanwhile follows.
    server.model.write(set("c", 3)).await.unwrap();
    reopen(&server);
    sync.reached(Seq(4)).await.unwrap();
    assert_eq!(joins(&server), [r#"{"last_store_seq":0}"#, r#"{"last_store_seq":3}"#]);
    sync.write(set("d", 4)).await.unwrap();
    let Signal::Event(event) = events.next().await.unwrap().unwrap() else {
        panic!()
    };
    assert_eq!(event.seq, Seq(5));
}

#[tokio::test]
async fn a_cursor_is_asked_about_once_there_is_a_connection() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    sync.write(set("a", 1)).await.unwrap();
    sync.close().await.unwrap();
    shut(&server);
    let sync = open(&server, &place).await;
    let beyond = Subscribe::pattern(Pattern::default()).start(Start::After(Seq(4)));
    let mut events = sync.subscribe(beyond).await.unwrap();
    let signal = events.next().await.unwrap().unwrap();
    assert!(matches!(signal, Signal::CaughtUp { through: Seq(4) }), "{signal:?}");
    server.model.write(set("a", 2)).await.unwrap();
    reopen(&server);
    let signal = events.next().await.unwrap().unwrap();
    assert!(matches!(signal, Signal::Resync { through: Seq(0) }), "{signal:?}");
    for expected in 1..=2 {
        let Signal::Event(event) = events.next().await.unwrap().unwrap() else {
            panic!()
        };
        assert_eq!(event.seq, Seq(expected));
    }
}

#[tokio::test]
async fn a_replica_that_was_never_whole_is_waited_for() {
    let (server, place) = (Server::start().await, place());
    server.model.write(set("a", 1)).await.unwrap();
    *server.faults.refuse_with.lock().unwrap() = Some(503);
    let sync = Sync::start(with_file(&server, &place)).unwrap();
    sync.close().await.unwrap();
    let sync = Sync::start(with_file(&server, &place)).unwrap();
    let reading = tokio::spawn({
        let sync = sync.clone();
        async move { value(&sync, "a").await }
    });
    reopen(&server);
    assert_eq!(reading.await.unwrap(), Some(Value::from(1)));
}

#[tokio::test]
async fn writes_without_a_connection_are_committed_once_after_a_restart() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    shut(&server);
    offline(&sync).await;
    let named = OpId::new("op_named").unwrap();
    let seen = Batch::new([Op::increment(path("n"), 3), Op::set(path("r"), "seen")]);
    let seen = sync.write_optimistic(seen.with_id(named.clone())).await.unwrap();
    let batch = Batch::one(Op::increment(path("a"), 2));
    let mut waiting = Box::pin(sync.write(batch));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    sync.close().await.unwrap();
    // They are in the file, so nobody can say that they will not be applied.
    for error in [waiting.await.unwrap_err(), seen.settled().await.unwrap_err()] {
        assert_eq!((error.kind(), error.outcome()), (ErrorKind::Closed, Outcome::Unknown));
    }

    // Still without a connection: one more, and what was seen is seen.
    let sync = open(&server, &place).await;
    assert_eq!(value(&sync, "n").await, Some(Value::from(3)));
    assert_eq!(value(&sync, "r").await, Some(Value::from("seen")));
    assert_eq!(value(&sync, "a").await, None);
    let refused = Op::set(path("b"), 1).when(Precondition::Match(Seq(99)));
    let refused = sync.write_optimistic(Batch::one(refused)).await.unwrap();
    assert_eq!(value(&sync, "b").await, Some(Value::from(1)));
    sync.close().await.unwrap();
    drop(refused);

    reopen(&server);
    let sync = open(&server, &place).await;
    let all = restored(&sync).await;
    let [a, b, n] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(a.result.as_ref().unwrap().seqs.len(), 1);
    assert_eq!((a.batch.id.as_ref(), n.batch.id.as_ref()), (None, Some(&named)));
    assert!(b.result.as_ref().unwrap_err().is_conflict());
    assert_eq!(n.result.as_ref().unwrap().seqs.len(), 2);
    for (at, expected) in [("n", Some(Value::from(3))), ("a", Some(Value::from(2))), ("b", None)] {
        assert_eq!(value(&sync, at).await, expected, "{at}");
    }
    // Once more told to whoever asks, and not again by the next program.
    assert_eq!(restored(&sync).await.len(), 3);
    sync.close().await.unwrap();
    let sync = open(&server, &place).await;
    assert!(restored(&sync).await.is_empty());
    assert_eq!((server.sent(WRITE).len(), server.sent(BATCH).len()), (2, 1));
}

#[tokio::test]
async fn what_was_sent_is_settled_by_its_events_or_sent_again_where_it_counts_once() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    server.faults.keep_replies.store(true, Ordering::Relaxed);
    // All of its events are there, so it is committed, and nothing is left to do for the next program.
    let batch = Batch::new([Op::increment(path("n"), 1), Op::increment(path("n"), 1)]);
    let mut waiting = Box::pin(sync.write(batch));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    sync.reached(Seq(2)).await.unwrap();
    sync.close().await.unwrap();
    assert_eq!(waiting.await.unwrap_err().outcome(), Outcome::Unknown);

    server.faults.keep_replies.store(false, Ordering::Relaxed);
    let sync = open(&server, &place).await;
    assert!(restored(&sync).await.is_empty());

    // Committed, and cut before its events; then lost before it was committed.
    let batch = || Batch::new([Op::increment(path("n"), 1), Op::increment(path("n"), 1)]);
    for (committed, sent, first) in [(true, 2, 3), (false, 4, 5)] {
        let sync = open_again(&server, &place, sync.clone()).await;
        server.faults.cut_after_commit.store(committed, Ordering::Relaxed);
        server.faults.drop_writes.store(!committed, Ordering::Relaxed);
        *server.faults.refuse_with.lock().unwrap() = Some(503);
        let written = sync.write_optimistic(batch()).await.unwrap();
        while server.sent(BATCH).len() < if committed { 2 } else { 3 } {
            tokio::task::yield_now().await;
        }
        server.cut();
        offline(&sync).await;
        sync.close().await.unwrap();
        drop(written);
        server.faults.drop_writes.store(false, Ordering::Relaxed);
        reopen(&server);
        let sync = open(&server, &place).await;
        let all = restored(&sync).await;
        let written = all[0].result.as_ref().unwrap();
        assert_eq!((&written.seqs[..], all.len()), (&[Seq(first), Seq(first + 1)][..], 1));
        assert_eq!(
            (value(&sync, "n").await, server.sent(BATCH).len()),
            (Some(Value::from(first + 1)), sent)
        );
        sync.close().await.unwrap();
    }
}

/// The next program, after the one before has let go of its file.
async fn open_again(server: &Server, place: &Place, before: Sync) -> Sync {
    before.close().await.unwrap();
    let sync = open(server, place).await;
    live(&sync).await;
    sync
}

#[tokio::test]
async fn without_dedup_what_was_sent_is_settled_by_its_event_or_unknown() {
    let (server, place) = (Server::with_extensions([]).await, place());
    let sync = open(&server, &place).await;
    // Never sent.
    shut(&server);
    offline(&sync).await;
    let queued = sync
        .write_optimistic(Batch::one(Op::increment(path("c"), 1)))
        .await
        .unwrap();
    sync.close().await.unwrap();
    drop(queued);
    reopen(&server);
    let sync = open(&server, &place).await;
    assert_eq!(restored(&sync).await[0].result.as_ref().unwrap().seqs, [Seq(1)]);

    // Sent and lost; sent and committed, but not heard of.
    server.faults.drop_writes.store(true, Ordering::Relaxed);
    let lost = sync
        .write_optimistic(Batch::one(Op::increment(path("a"), 1)))
        .await
        .unwrap();
    while server.sent(WRITE).len() < 2 {
        tokio::task::yield_now().await;
    }
    server.faults.drop_writes.store(false, Ordering::Relaxed);
    server.faults.cut_after_commit.store(true, Ordering::Relaxed);
    *server.faults.refuse_with.lock().unwrap() = Some(503);
    let unheard = sync
        .write_optimistic(Batch::one(Op::increment(path("b"), 1)))
        .await
        .unwrap();
    offline(&sync).await;
    sync.close().await.unwrap();
    drop((lost, unheard));
    let sent = server.sent(WRITE).len();
    assert_eq!((sent, sync.applied()), (3, Seq(1)));

    reopen(&server);
    let sync = open(&server, &place).await;
    let all = restored(&sync).await;
    let [a, b] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(a.result.as_ref().unwrap_err().outcome(), Outcome::Unknown);
    assert_eq!(b.result.as_ref().unwrap().seqs, [Seq(2)]);
    assert_eq!(
        (value(&sync, "a").await, value(&sync, "b").await),
        (None, Some(Value::from(1)))
    );
    assert_eq!(server.sent(WRITE).len(), sent, "none is sent again");
}

#[tokio::test]
async fn the_limit_of_a_restored_write_begins_anew() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    shut(&server);
    offline(&sync).await;
    let queued = sync.write_optimistic(set("a", 1)).await.unwrap();
    sync.close().await.unwrap();
    drop(queued);
    let brief = with_file(&server, &place).offline(Offline::QueueFor(Duration::ZERO));
    let sync = Sync::connect(brief).await.unwrap();
    let all = restored(&sync).await;
    let refused = all[0].result.as_ref().unwrap_err();
    assert_eq!(
        (refused.code(), refused.outcome()),
        ("not_connected", Outcome::NotApplied)
    );
    assert_eq!(value(&sync, "a").await, None);
    // It was told so: no later program sends it.
    sync.close().await.unwrap();
    reopen(&server);
    let sync = open(&server, &place).await;
    assert!(restored(&sync).await.is_empty());
    live(&sync).await;
    assert_eq!(server.sent(WRITE).len(), 0);
}

#[tokio::test]
async fn a_restored_write_that_is_too_long_is_refused_and_forgotten() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    shut(&server);
    offline(&sync).await;
    let long = sync.write_optimistic(set("a", "x".repeat(1000))).await.unwrap();
    let short = sync.write_optimistic(set("b", 1)).await.unwrap();
    sync.close().await.unwrap();
    drop((long, short));
    // How much it takes is known when it is met again.
    *server.faults.frame_bytes_max.lock().unwrap() = Some(1000);
    reopen(&server);
    let sync = open(&server, &place).await;
    let all = restored(&sync).await;
    let [a, b] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(a.result.as_ref().unwrap_err().code(), "payload_too_large");
    assert_eq!(b.result.as_ref().unwrap().seqs, [Seq(1)]);
    assert_eq!((value(&sync, "a").await, sync.len()), (None, 1));
    sync.close().await.unwrap();
    let sync = open(&server, &place).await;
    assert!(restored(&sync).await.is_empty());
}

#[tokio::test]
async fn leases_and_what_was_given_up_are_not_kept() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    shut(&server);
    offline(&sync).await;
    let lease = Batch::one(Op::lease(path("l"), None, Duration::from_secs(1)));
    let mut waiting = Box::pin(sync.write(lease));
    assert!(futures_util::poll!(&mut waiting).is_pending());
    sync.close().await.unwrap();
    assert_eq!(waiting.await.unwrap_err().outcome(), Outcome::NotApplied);

    let brief = with_file(&server, &place).offline(Offline::QueueFor(Duration::ZERO));
    let sync = Sync::connect(brief).await.unwrap();
    assert!(restored(&sync).await.is_empty());
    let refused = sync.write(set("a", 1)).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.outcome()),
        ("not_connected", Outcome::NotApplied)
    );
    sync.close().await.unwrap();
    let sync = open(&server, &place).await;
    assert!(restored(&sync).await.is_empty());
}

fn refused(options: SyncOptions) -> Error {
    Sync::start(options).unwrap_err()
}

#[tokio::test]
async fn a_file_is_of_one_program_one_store_and_one_device() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    let options = || with_file(&server, &place);
    assert_eq!(refused(options()).kind(), ErrorKind::Locked);
    shut(&server);
    offline(&sync).await;
    let queued = sync.write_optimistic(set("a", 1)).await.unwrap();
    sync.close().await.unwrap();
    drop(queued);

    let before = std::fs::read(&place.path).unwrap();
    let other = |store: &str, base_url: &str| SyncOptions::new(store, "secret").base_url(base_url).file(&place.path);
    for other in [
        other("acme/other", &format!("http://{}", server.address)),
        other("acme/site", "http://127.0.0.1:1"),
    ] {
        let refused = refused(other);
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Format, "other_store"));
        assert!(!refused.to_string().contains("secret"));
    }
    assert_eq!(std::fs::read(&place.path).unwrap(), before);
    // An op id counts for its device, so one with open writes keeps it.
    let device = DeviceId::new("dev_other").unwrap();
    let refused = refused(options().device(device.clone()));
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::InvalidParams, "other_device")
    );

    reopen(&server);
    let sync = open(&server, &place).await;
    assert_eq!(restored(&sync).await.len(), 1);
    sync.close().await.unwrap();
    let sync = Sync::connect(options().device(device.clone())).await.unwrap();
    let mut events = sync.subscribe(Subscribe::pattern(Pattern::default())).await.unwrap();
    let _ = events.next().await;
    sync.write(set("b", 1)).await.unwrap();
    let Signal::Event(event) = events.next().await.unwrap().unwrap() else {
        panic!()
    };
    assert_eq!(event.device, device);
}

#[tokio::test]
async fn a_file_of_something_else_is_refused_and_not_touched() {
    let (server, place) = (Server::start().await, place());
    let refused = || {
        let before = std::fs::read(&place.path).ok();
        let refused = refused(with_file(&server, &place));
        assert_eq!(std::fs::read(&place.path).ok(), before);
        refused.kind()
    };
    for (content, kind) in [
        ("", ErrorKind::Corrupt),
        ("a text of mine", ErrorKind::Format),
        ("redb, but not really", ErrorKind::Corrupt),
    ] {
        std::fs::write(&place.path, content).unwrap();
        assert_eq!(refused(), kind, "{content}");
    }
    std::fs::remove_file(&place.path).unwrap();

    // Another program's database, and one of a version to come.
    let write = |table: &str, key: &str, value: &str| {
        let database = Database::create(&place.path).unwrap();
        let transaction = database.begin_write().unwrap();
        let definition: TableDefinition<'_, &str, &str> = TableDefinition::new(table);
        transaction.open_table(definition).unwrap().insert(key, value).unwrap();
        transaction.commit().unwrap();
    };
    write("recipes", "soup", "hot");
    assert_eq!(refused(), ErrorKind::Format);
    std::fs::remove_file(&place.path).unwrap();
    open(&server, &place).await.close().await.unwrap();
    write("meta", "format", "2");
    assert_eq!(refused(), ErrorKind::Format);
    write("meta", "format", "1");
    write("leaves", "a", "7 tensor 7");
    // It is opened before its leaves are read, so that the engine has written to it.
    assert_eq!(
        super::file::refused(with_file(&server, &place)).kind(),
        ErrorKind::Corrupt
    );

    let nowhere = place.path.with_file_name("no").join("where");
    let refused = super::file::refused(options(&server).file(nowhere));
    assert_eq!(refused.kind(), ErrorKind::Storage);
    assert!(std::error::Error::source(&refused).is_some());
}

/// Whatever bytes are altered, the file is refused or gives what was in it.
#[tokio::test]
async fn a_damaged_file_is_refused() {
    let (server, place) = (Server::start().await, place());
    let sync = open(&server, &place).await;
    sync.write(Batch::new((0..900).map(|n| Op::set(path(&format!("a/{n}")), n))))
        .await
        .unwrap();
    sync.close().await.unwrap();
    let whole = std::fs::read(&place.path).unwrap();
    let mut kinds = std::collections::BTreeMap::new();
    let used = whole
        .chunks(4096)
        .enumerate()
        .filter(|(_, page)| page.iter().any(|byte| *byte != 0));
    let used: Vec<usize> = used.map(|(number, _)| number * 4096).collect();
    for at in used.iter().copied().step_by(used.len().div_ceil(24)) {
        let mut damaged = whole.clone();
        for byte in damaged.iter_mut().skip(at).take(64) {
            *byte ^= 0xA5;
        }
        std::fs::write(&place.path, &damaged).unwrap();
        match Sync::start(with_file(&server, &place)) {
            Err(error) => *kinds.entry(error.kind().as_str()).or_insert(0) += 1,
            Ok(sync) => {
                assert_eq!((sync.applied(), sync.len()), (Seq(900), 900), "byte {at}");
                assert_eq!(value(&sync, "a/899").await, Some(Value::from(899)));
                sync.close().await.unwrap();
            }
        }
    }
    assert!(kinds.contains_key("corrupt"), "{kinds:?}");
    assert!(
        kinds.keys().all(|kind| ["corrupt", "format"].contains(kind)),
        "{kinds:?}"
    );
}
