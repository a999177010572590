//! Folders and stores: whose they are, and in which format.

use std::fs;

use dust_layer::{Engine, Isolation, Memory, Tenant, Transaction};
use dust_store::{Clock, Database, Embedded, Options};
use dust_transport::error::ErrorKind;
use dust_transport::model::{Op, Seq, Value};
use dust_transport::query::IndexDefinition;
use dust_transport::transport::{List, Order, Select, Transport};

use crate::path;

#[tokio::test]
async fn stores_are_apart_and_listed() {
    let database = Database::memory();
    let one = database.store("acme/one").await.unwrap();
    let two = database.store("acme/two").await.unwrap();
    one.write(Op::set(path("a"), 1).into()).await.unwrap();
    assert_eq!((one.head().await.unwrap(), two.head().await.unwrap()), (Seq(1), Seq(0)));
    assert!(!two.exists(&path("a")).await.unwrap());
    let names: Vec<_> = database
        .stores()
        .await
        .unwrap()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(names, ["acme/one", "acme/two"]);
}

#[tokio::test]
async fn folder_holds_its_stores() {
    let folder = tempfile::tempdir().unwrap();
    for round in 1..=3 {
        let database = Database::open(folder.path()).unwrap();
        let store = database.store("acme/site").await.unwrap();
        assert_eq!(
            store.write(Op::increment(path("n"), 1).into()).await.unwrap().seqs,
            [Seq(round)]
        );
        assert_eq!(store.get(&path("n")).await.unwrap().unwrap().value, Value::from(round));
    }
}

#[tokio::test]
async fn folder_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    let error = Database::open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked, "{error}");
    drop(store);
    Database::open(folder.path()).unwrap();
}

#[tokio::test]
async fn wrong_names_make_no_folder() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("new");
    for name in ["", "acme", "acme/", "Acme/site", "acme/site\n", "acme/a/b"] {
        let error = Embedded::open(&folder, name).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidParams, "invalid_store"),
            "{name:?}"
        );
    }
    assert!(!folder.exists());
}

/// Everything in an engine.
async fn dump(engine: &Memory) -> Vec<(Vec<u8>, Vec<u8>)> {
    let all = dust_layer::RangeRead {
        begin: b"",
        end: b"\xff",
        limit: 10_000,
        direction: dust_layer::Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    let pairs = engine.begin().get_range(all).await.unwrap();
    pairs
        .iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

#[tokio::test]
async fn store_of_another_format_is_left_alone() {
    let engine = Memory::new();
    Database::on(engine.clone())
        .store("acme/site")
        .await
        .unwrap()
        .write(Op::set(path("a"), 1).into())
        .await
        .unwrap();
    let tenant = Tenant::open(&engine, "dust", "acme/site").await.unwrap();
    let key = tenant.pack(&(&b"\xfe"[..], &b"format"[..]));
    let transaction = engine.begin();
    assert_eq!(
        transaction.get(&key, Isolation::Snapshot).await.unwrap().as_deref(),
        Some(&b"dust-store 2"[..])
    );
    transaction.set(&key, b"dust-store 3");
    transaction.commit().await.unwrap();

    let before = dump(&engine).await;
    let error = Database::on(engine.clone()).store("acme/site").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format);
    assert!(error.to_string().contains("dust-store 3"), "{error}");
    assert_eq!(dump(&engine).await, before);
}

/// A tenant that holds something, but no store.
#[tokio::test]
async fn foreign_tenant_is_left_alone() {
    let engine = Memory::new();
    let tenant = Tenant::create_or_open(&engine, "dust", "acme/site").await.unwrap();
    let transaction = engine.begin();
    transaction.set(&tenant.pack(&("mine",)), b"1");
    transaction.commit().await.unwrap();
    let before = dump(&engine).await;
    let error = Database::on(engine.clone()).store("acme/site").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Format, "{error}");
    assert_eq!(dump(&engine).await, before);
}

/// Every file of a folder, but for locks.
fn files(folder: &std::path::Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn truncated_and_foreign_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    for n in 0..50 {
        store
            .write(Op::set(path(&format!("n/{n}")), "x".repeat(1000)).into())
            .await
            .unwrap();
    }
    drop(store);
    let whole = files(folder.path());
    let (data, bytes) = whole.iter().max_by_key(|(_, bytes)| bytes.len()).unwrap();
    for damaged in [&bytes[..bytes.len() / 2], &bytes[..100], b"", b"no store at all"] {
        fs::write(data, damaged).unwrap();
        let before = files(folder.path());
        let error = Embedded::open(folder.path(), "acme/site").await.unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Format),
            "{} bytes: {error:?}",
            damaged.len()
        );
        assert!(
            files(folder.path()) == before,
            "{} bytes: files have changed",
            damaged.len()
        );
    }
    fs::write(data, bytes).unwrap();
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    assert_eq!(store.head().await.unwrap(), Seq(50));
}

#[tokio::test]
async fn the_log_is_read_backwards_in_pages_without_gap_or_repetition() {
    let stopped = Options::default().with_clock(Clock::from_fn(|| 1_700_000_000_000));
    let database = Database::with_options(Memory::new(), stopped);
    let store = database.store("acme/log").await.unwrap();
    assert_eq!(store.log(Seq(u64::MAX), 10).await.unwrap(), []);
    for number in 0..600_u64 {
        let op = Op::set(path("counted"), number);
        store.write(op.into()).await.unwrap();
    }
    let (mut before, mut seqs) = (Seq(u64::MAX), Vec::new());
    loop {
        let page = store.log(before, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        before = last.event.seq;
        for op in page {
            assert_eq!(op.event.value, Some((op.event.seq.0 - 1).into()));
            assert_eq!(op.at_ms, 1_700_000_000_000);
            seqs.push(op.event.seq.0);
        }
    }
    assert!(seqs.iter().copied().eq((1..=600).rev()));
    assert_eq!(store.log(Seq(3), 10).await.unwrap().len(), 2);
    assert_eq!(store.log(Seq(0), 10).await.unwrap(), []);
}

#[tokio::test]
async fn prefixes_come_in_the_order_of_the_list() {
    let store = Embedded::memory();
    for at in ["l/a/t", "l/b/t", "l/a-b/t"] {
        store.write(Op::set(path(at), 1).into()).await.unwrap();
    }
    let list = List::below(path("l")).select(Select::Prefixes).order(Order::Desc);
    let found = store.list(&list).await.unwrap().items.into_paths();
    assert_eq!(
        found
            .iter()
            .map(dust_transport::model::Path::as_str)
            .collect::<Vec<_>>(),
        ["l/b", "l/a-b", "l/a"]
    );
}

/// Bytes that decode, but to no JSON.
#[tokio::test]
async fn a_value_that_is_no_json_is_an_error() {
    let engine = Memory::new();
    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    store.write(Op::set(path("a/b"), 1).into()).await.unwrap();
    store.write(Op::set(path("c/r/name"), "x").into()).await.unwrap();
    let tenant = Tenant::open(&engine, "dust", "acme/site").await.unwrap();
    let keys = [
        tenant.pack(&(&[0xFD_u8][..], &b"e"[..], &b"c/r/name"[..])),
        tenant.pack(&(&[0xFD_u8][..], &b"e"[..], &b"a/b"[..])),
        tenant.pack(&(&[0xFD_u8][..], &b"o"[..], 1_u64)),
    ];
    for key in keys {
        let transaction = engine.begin();
        let mut bytes = transaction.get(&key, Isolation::Snapshot).await.unwrap().unwrap();
        *bytes.last_mut().unwrap() = b'}';
        transaction.set(&key, &bytes);
        transaction.commit().await.unwrap();
    }
    let corrupt = |error: dust_transport::error::Error| assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    corrupt(store.get(&path("a/b")).await.unwrap_err());
    corrupt(store.get(&path("a")).await.unwrap_err());
    corrupt(store.list(&List::below(path("a"))).await.unwrap_err());
    corrupt(store.visit(&List::below(path("a")), &mut |_| {}).await.unwrap_err());
    let index = IndexDefinition::new(path("c"), [path("name")]).unwrap();
    corrupt(store.ensure_index(&index).await.unwrap_err());
    corrupt(store.write(Op::increment(path("a/b"), 1).into()).await.unwrap_err());
    corrupt(store.events(Seq(0), 10).await.unwrap_err());
    corrupt(store.diff(Seq(0), Seq(1)).await.unwrap_err());
    corrupt(store.rollback(&path("a"), Seq(1)).await.unwrap_err());
    corrupt(store.compact(Seq(1)).await.unwrap_err());
    store.write(Op::set(path("a/b"), 2).into()).await.unwrap();
    assert_eq!(store.get(&path("a/b")).await.unwrap().unwrap().value, 2.into());
}
