//! Failing writes, failing syncs and power cuts: the engine is poisoned, and whole again when it is reopened.

use std::path::Path;

use dust_layer::disk::{Disk, Options};
use dust_layer::faults::{Faults, Survivors};
use dust_layer::{Engine, Error, Isolation, Memory, Transaction};

const PARTS: [u8; 3] = *b"abc";

/// Commits a batch of three keys that hold the number.
async fn batch<E: Engine>(engine: &E, number: u8) -> Result<(), Error> {
    let tx = engine.begin();
    for part in PARTS {
        tx.set(&[number, part], &[number; 3000]);
    }
    tx.commit().await.map(drop)
}

/// How many of the three keys of a batch are there.
async fn parts<E: Engine>(engine: &E, number: u8) -> usize {
    let tx = engine.begin();
    let mut count = 0;
    for part in PARTS {
        count += usize::from(tx.get(&[number, part], Isolation::Snapshot).await.unwrap().is_some());
    }
    count
}

/// Commits batches until one fails; yields how many were acknowledged.
async fn until_failure<E: Engine>(engine: &E) -> u8 {
    for number in 0..100 {
        match batch(engine, number).await {
            Ok(()) => {}
            Err(Error::CommitUnknown) => return number,
            Err(error) => panic!("batch {number}: {error:?}"),
        }
    }
    panic!("no batch failed");
}

async fn assert_poisoned<E: Engine>(engine: &E) {
    let is_poisoned = |error: Error| matches!(error, Error::Poisoned { reason } if reason.contains("injected"));
    assert!(is_poisoned(batch(engine, 200).await.unwrap_err()));
    assert!(is_poisoned(
        engine.begin().get(b"k", Isolation::Snapshot).await.unwrap_err()
    ));
    assert!(is_poisoned(engine.begin().watch(b"k").await.unwrap_err()));
    assert!(is_poisoned(engine.begin().commit().await.unwrap_err()));
}

/// Reopens the folder without faults: acknowledged batches are whole, the one that failed is whole or absent.
async fn assert_whole(folder: &Path, acknowledged: u8) {
    let disk = Disk::open(folder).unwrap();
    for number in 0..acknowledged {
        assert_eq!(parts(&disk, number).await, 3, "batch {number} of {acknowledged}");
    }
    assert!([0, 3].contains(&parts(&disk, acknowledged).await));
    assert_eq!(parts(&disk, acknowledged + 1).await, 0);
    batch(&disk, 201).await.unwrap();
    assert_eq!(parts(&disk, 201).await, 3);
}

#[tokio::test]
async fn a_failing_write_poisons_until_it_is_reopened() {
    for nth in 1..30 {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let disk = Disk::open_with(folder.path(), Options::default().faults(faults.clone())).unwrap();
        let open = disk.begin();
        let watch = open.watch(b"k");
        open.commit().await.unwrap();
        faults.fail_write(nth);
        let acknowledged = until_failure(&disk).await;
        assert_poisoned(&disk).await;
        assert!(matches!(watch.await, Err(Error::Poisoned { .. })));
        assert!(matches!(
            open.get(b"k", Isolation::Snapshot).await,
            Err(Error::Poisoned { .. } | Error::Used)
        ));
        drop((disk, open));
        assert_whole(folder.path(), acknowledged).await;
    }
}

#[tokio::test]
async fn a_failing_sync_poisons_until_it_is_reopened() {
    for nth in 1..8 {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let disk = Disk::open_with(folder.path(), Options::default().faults(faults.clone())).unwrap();
        faults.fail_sync(nth);
        let acknowledged = until_failure(&disk).await;
        assert_poisoned(&disk).await;
        drop(disk);
        assert_whole(folder.path(), acknowledged).await;
    }
}

#[tokio::test]
async fn memory_is_poisoned_too() {
    let faults = Faults::default();
    let memory = Memory::with_faults(faults.clone());
    faults.fail_write(4);
    assert_eq!(until_failure(&memory).await, 3);
    assert_poisoned(&memory).await;
}

/// A power cut at every sync, with none or an arbitrary half of the unsynced writes on the disk.
#[tokio::test]
async fn a_power_cut_at_any_sync_loses_nothing_acknowledged() {
    for nth in 1..8 {
        for seed in 0..6 {
            let survivors = if seed == 0 {
                Survivors::None
            } else {
                Survivors::Half { seed }
            };
            let folder = tempfile::tempdir().unwrap();
            let faults = Faults::losing_unsynced();
            let disk = Disk::open_with(folder.path(), Options::default().faults(faults.clone())).unwrap();
            faults.crash_at_sync(nth, survivors);
            let acknowledged = until_failure(&disk).await;
            assert_poisoned(&disk).await;
            drop(disk);
            assert_whole(folder.path(), acknowledged).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_many_commit_leaves_whole_batches() {
    for seed in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::losing_unsynced();
        let disk = Disk::open_with(folder.path(), Options::default().faults(faults.clone())).unwrap();
        faults.crash_at_sync(3 + seed % 3, Survivors::Half { seed });
        let tasks: Vec<_> = (0..8_u8)
            .map(|task| {
                let disk = disk.clone();
                tokio::spawn(async move {
                    let mut acknowledged = Vec::new();
                    for round in 0..25 {
                        let number = task * 25 + round;
                        match batch(&disk, number).await {
                            Ok(()) => acknowledged.push(number),
                            Err(Error::CommitUnknown | Error::Poisoned { .. }) => break,
                            Err(error) => panic!("batch {number}: {error:?}"),
                        }
                    }
                    acknowledged
                })
            })
            .collect();
        let mut acknowledged = Vec::new();
        for task in tasks {
            acknowledged.extend(task.await.unwrap());
        }
        assert!(acknowledged.len() < 200, "the power cut came");
        drop(disk);
        let disk = Disk::open(folder.path()).unwrap();
        for number in 0..200 {
            let count = parts(&disk, number).await;
            let expected: &[usize] = if acknowledged.contains(&number) { &[3] } else { &[0, 3] };
            assert!(expected.contains(&count), "batch {number}: {count} parts");
        }
    }
}
