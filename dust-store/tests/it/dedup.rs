//! How long op ids are remembered.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dust_layer::Memory;
use dust_store::{Clock, Database, Options};
use dust_transport::model::{Batch, DeviceId, Op, OpId, Seq};
use dust_transport::transport::Transport;

use crate::path;

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

fn batch(id: &str) -> Batch {
    Batch::one(Op::increment(path("n"), 1)).with_id(OpId::new(id).unwrap())
}

#[tokio::test]
async fn ids_are_kept_for_a_day_and_ten_thousand_ops() {
    let now_ms = Arc::new(AtomicU64::new(1_000_000));
    let clock = Arc::clone(&now_ms);
    let options = Options::default().with_clock(Clock::from_fn(move || clock.load(Ordering::SeqCst)));
    let store = Database::with_options(Memory::new(), options)
        .store("acme/site")
        .await
        .unwrap();
    let others = |ops: usize| Batch::new((0..ops).map(|_| Op::delete(path("x"))));
    assert_eq!(store.write(batch("first")).await.unwrap().seqs, [Seq(1)]);

    // Long ago, but among the last ten thousand ops.
    now_ms.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    store.write(others(100)).await.unwrap();
    let again = store.write(batch("first")).await.unwrap();
    assert_eq!((again.seqs, again.deduplicated), (vec![Seq(1)], true));

    // More than ten thousand ops ago, but on the same day.
    assert!(!store.write(batch("second")).await.unwrap().deduplicated);
    for _ in 0..11 {
        store.write(others(1000)).await.unwrap();
    }
    assert!(store.write(batch("second")).await.unwrap().deduplicated);
    // The first one is both by now.
    assert!(
        !store.write(batch("first")).await.unwrap().deduplicated,
        "the first id is forgotten"
    );

    now_ms.fetch_add(DAY_MS, Ordering::SeqCst);
    store.write(others(1000)).await.unwrap();
    assert!(
        !store.write(batch("second")).await.unwrap().deduplicated,
        "the second id is forgotten"
    );
    assert!(
        store.write(batch("second")).await.unwrap().deduplicated,
        "and counts anew"
    );
    assert_eq!(store.get(&path("n")).await.unwrap().unwrap().value, 4.into());
}

#[tokio::test]
async fn ids_belong_to_a_device_and_survive_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let open = async || dust_store::Embedded::open(folder.path(), "acme/site").await.unwrap();
    open().await.write(batch("one")).await.unwrap();
    assert!(open().await.write(batch("one")).await.unwrap().deduplicated);
    let laptop = open().await.with_device(DeviceId::new("dev_laptop").unwrap());
    assert!(!laptop.write(batch("one")).await.unwrap().deduplicated);
    // Requests of the system's own devices are numbered, not identified.
    let system = laptop.with_device(DeviceId::new("system:rollback").unwrap());
    assert!(!system.write(batch("one")).await.unwrap().deduplicated);
    assert!(!system.write(batch("one")).await.unwrap().deduplicated);
}
