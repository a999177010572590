//! Writes and syncs of the disk that fail.

use dust_layer::{Faults, disk};
use dust_store::{Database, Options};
use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::model::{Batch, Op, Seq};
use dust_transport::transport::{Start, Subscribe, Transport};
use futures_util::StreamExt;

use crate::{json, leaves, path};

async fn failing_disk(order: impl Fn(&Faults)) {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let options = disk::Options::default().faults(faults.clone());
    let database = Database::open_with(folder.path(), options, Options::default()).unwrap();
    let store = database.store("acme/site").await.unwrap();
    store.write(Op::set(path("a"), 1).into()).await.unwrap();
    let mut changes = store.subscribe(Subscribe::touching(path("a"))).await.unwrap();
    changes.next().await.unwrap().unwrap();

    order(&faults);
    let batch = Batch::new([Op::set(path("a"), 2), Op::set(path("b"), json(r#"{"c":3}"#))]);
    let error = store.write(batch).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Storage, Outcome::Unknown),
        "{error:?}"
    );

    let error = store.write(Op::set(path("z"), 1).into()).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Storage, Outcome::NotApplied),
        "{error:?}"
    );
    let error = store.get(&path("a")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Storage);
    let end = changes.next().await.unwrap();
    assert_eq!(
        end.unwrap_err().kind(),
        ErrorKind::Storage,
        "nothing uncommitted is published"
    );
    assert!(changes.next().await.is_none());

    drop((store, database, changes));
    let store = Database::open(folder.path()).unwrap().store("acme/site").await.unwrap();
    let found: Vec<_> = leaves(&store)
        .await
        .iter()
        .map(|leaf| format!("{}={}", leaf.path, leaf.value))
        .collect();
    let head = store.head().await.unwrap();
    let whole = found == ["a=1"] && head == Seq(1) || found == ["a=2", "b/c=3"] && head == Seq(3);
    assert!(whole, "{found:?} at {head}");
    let written = store.write(Op::set(path("z"), 1).into()).await.unwrap();
    assert_eq!(written.seqs, [Seq(head.0 + 1)]);
    let mut log = store
        .subscribe(Subscribe::touching(path("a")).start(Start::After(Seq(0))))
        .await
        .unwrap();
    assert!(log.next().await.unwrap().is_ok());
}

#[tokio::test]
async fn failed_write_poisons_until_reopened() {
    failing_disk(|faults| faults.fail_write(1)).await;
}

#[tokio::test]
async fn failed_sync_poisons_until_reopened() {
    failing_disk(|faults| faults.fail_sync(1)).await;
}

/// All who wait for the same commit learn that it failed.
#[tokio::test]
async fn failed_group_answers_everyone() {
    let folder = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let options = disk::Options::default().faults(faults.clone());
    let database = Database::open_with(folder.path(), options, Options::default()).unwrap();
    let store = database.store("acme/site").await.unwrap();
    faults.fail_sync(1);
    let writes = (0..32).map(|n| {
        let store = store.clone();
        async move { store.write(Op::set(path(&format!("n/{n}")), n).into()).await }
    });
    for answer in futures_util::future::join_all(writes).await {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Storage);
    }
}
