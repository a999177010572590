//! Files: their limits, how long they stay, and what is left of them when the disk fails.

use dust_layer::engine::faults::Survivors;
use dust_layer::{Faults, Memory, disk};
use dust_store::{Database, Embedded, Options};
use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, FileHash, FileRef, Op, Seq, ValueKind};
use dust_transport::transport::{FileRange, Transport};
use futures_util::TryStreamExt;

use crate::{leaves, path};

async fn content(store: &Embedded, hash: &FileHash) -> Option<Vec<u8>> {
    let file = store.read_file(hash, FileRange::All).await.unwrap()?;
    let pieces: Vec<_> = file.body.try_collect().await.unwrap();
    Some(pieces.concat())
}

async fn put(store: &Embedded, at: &str, content: impl Into<bytes::Bytes>) -> FileRef {
    let written = store
        .write(Op::put_file(path(at), content, None, None).into())
        .await
        .unwrap();
    written.done(0).file().unwrap().clone()
}

async fn file_bytes(store: &Embedded) -> u64 {
    store.status().await.unwrap().file_bytes
}

#[tokio::test]
async fn files_beyond_a_limit_are_refused() {
    let options = Options::default().with_file_bytes_max(1000);
    let small = Database::with_options(Memory::new(), options)
        .store("acme/site")
        .await
        .unwrap();
    let op = |bytes: usize| Op::put_file(path("f"), vec![7; bytes], None, None);
    let error = small.write(Batch::new([op(1000), op(1001)])).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::InvalidParams, "payload_too_large")
    );
    assert_eq!(error.conflict().map(|at| at.op_index), Some(1));
    small.write(op(1000).into()).await.unwrap();

    // The limits of this engine are those of FoundationDB: small values, and transactions of ten million bytes.
    let engine = Database::on(Memory::new()).store("acme/site").await.unwrap();
    let error = engine.write(op(10_000_000).into()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::InvalidParams, "payload_too_large")
    );
    engine.write(op(8_000_000).into()).await.unwrap();
    assert_eq!(file_bytes(&engine).await, 8_000_000);
}

#[tokio::test]
async fn a_file_goes_when_neither_a_leaf_nor_the_log_refers_to_it() {
    let store = Embedded::memory();
    let file = put(&store, "a/x", "hello").await;
    put(&store, "b", "hello").await;
    assert_eq!(file_bytes(&store).await, 5, "the same content is kept once");
    store.write(Op::delete(path("a")).into()).await.unwrap();
    store.write(Op::set(path("b"), 1).into()).await.unwrap();
    assert_eq!((content(&store, &file.hash).await, file_bytes(&store).await), (None, 5));

    // The log can bring it back, and does.
    store.rollback(&path("a"), Seq(2)).await.unwrap();
    assert_eq!(content(&store, &file.hash).await, Some(b"hello".to_vec()));
    assert_eq!(store.get(&path("a/x")).await.unwrap().unwrap().kind, ValueKind::File);

    // The log is gone, and the leaf is not.
    store.compact(Seq(u64::MAX)).await.unwrap();
    assert_eq!(content(&store, &file.hash).await, Some(b"hello".to_vec()));
    store.write(Op::delete(path("a")).into()).await.unwrap();
    assert_eq!((content(&store, &file.hash).await, file_bytes(&store).await), (None, 5));
    store.compact(Seq(u64::MAX)).await.unwrap();
    assert_eq!(file_bytes(&store).await, 0);
    assert_eq!(put(&store, "a", "hello").await.hash, file.hash);
    assert_eq!(content(&store, &file.hash).await, Some(b"hello".to_vec()));
}

#[tokio::test]
async fn a_copy_has_the_files() {
    let database = Database::memory();
    let store = database.store("acme/site").await.unwrap();
    let file = put(&store, "a", vec![7; 200_000]).await;
    let copy = database.copy("acme/site", "acme/copy").await.unwrap();
    store.write(Op::delete(path("a")).into()).await.unwrap();
    assert_eq!(content(&copy, &file.hash).await, Some(vec![7; 200_000]));
    assert_eq!(copy.status().await.unwrap().file_bytes, 200_000);
}

#[tokio::test]
async fn a_file_is_in_its_store_only() {
    let database = Database::memory();
    let file = put(&database.store("acme/one").await.unwrap(), "a", "hello").await;
    assert_eq!(
        content(&database.store("acme/two").await.unwrap(), &file.hash).await,
        None
    );
}

/// After a fault, a file is there whole with its leaf and its lease, or nothing of it is.
async fn whole_or_nothing(order: impl Fn(&Faults), faults: Faults) {
    let folder = tempfile::tempdir().unwrap();
    let options = disk::Options::default().faults(faults.clone());
    let database = Database::open_with(folder.path(), options, Options::default()).unwrap();
    let store = database.store("acme/site").await.unwrap();
    let old = put(&store, "f", vec![1; 150_000]).await;
    order(&faults);
    let ops = [
        Op::put_file(path("f"), vec![2; 300_000], None, None),
        Op::lease(path("l"), Some("a"), std::time::Duration::from_hours(1)),
    ];
    let answer = store.write(Batch::new(ops)).await;
    drop((store, database));

    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    let found = leaves(&store).await;
    let status = store.status().await.unwrap();
    assert_eq!(status.entries, found.len() as u64);
    let file = FileRef::from_value(&found[0].value).unwrap();
    if status.head == Seq(1) {
        assert!(answer.is_err(), "what was acknowledged is lost");
        assert_eq!((found.len(), file.hash, status.file_bytes), (1, old.hash, 150_000));
        assert_eq!(content(&store, &file.hash).await, Some(vec![1; 150_000]));
    } else {
        assert_eq!((status.head, found.len(), status.file_bytes), (Seq(3), 2, 450_000));
        assert_eq!(found[1].kind, ValueKind::Lease);
        assert_eq!(content(&store, &file.hash).await, Some(vec![2; 300_000]));
        assert_eq!(content(&store, &old.hash).await, None);
    }
}

#[tokio::test]
async fn a_failing_disk_leaves_a_file_whole_or_not_at_all() {
    for nth in 1..8 {
        whole_or_nothing(|faults| faults.fail_write(nth), Faults::default()).await;
    }
    whole_or_nothing(|faults| faults.fail_sync(1), Faults::default()).await;
}

#[tokio::test]
async fn a_power_cut_leaves_a_file_whole_or_not_at_all() {
    for seed in 0..6 {
        for nth in 1..3 {
            let cut = |faults: &Faults| faults.crash_at_sync(nth, Survivors::Half { seed });
            whole_or_nothing(cut, Faults::losing_unsynced()).await;
        }
    }
}
