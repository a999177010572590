//! Snapshots, while the store goes on.

use dust_store::Database;
use dust_transport::model::{Batch, Op, Path};
use dust_transport::transport::Transport;

use crate::{leaves, path};

#[tokio::test]
async fn a_snapshot_is_one_state_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path()).unwrap();
    let store = database.store("acme/site").await.unwrap();
    for first in [0, 1000, 2000] {
        let ops = (first..first + 1000).map(|n| {
            // Of many sizes, so that pages have many lengths.
            Op::set(
                Path::new(["n".to_owned(), format!("{n:04}")]).unwrap(),
                "x".repeat(n * n % 7919),
            )
        });
        store.write(Batch::new(ops)).await.unwrap();
    }
    let before = leaves(&store).await;
    let mut snapshot = store.snapshot().await.unwrap();
    let mut read = snapshot.next_page().await.unwrap();
    store.write(Op::delete(path("n")).into()).await.unwrap();
    store.write(Op::set(path("z"), 1).into()).await.unwrap();
    loop {
        let page = snapshot.next_page().await.unwrap();
        if page.is_empty() {
            break;
        }
        read.extend(page);
    }
    assert_eq!((snapshot.head().0, snapshot.count().await.unwrap()), (3000, 3000));
    assert_eq!(read, before);
    assert_eq!(leaves(&store).await.len(), 1);
}
