//! Builds of indexes on disk that are cut off: by a kill at any call of the engine, by a power cut at any sync.

use dust_layer::Error;
use dust_layer::disk::{Disk, Options};
use dust_layer::faults::{Faults, Survivors};
use dust_layer::query::Query;

use crate::layer::fixture::{assert_sound, ids, indexes, insert};
use crate::layer::kill::{assert_whole, migrator, run_until, write};
use crate::layer::migration::{both, counting, node, rows, while_time_passes};

/// Each folder is closed and opened after the kill.
#[tokio::test]
async fn a_build_on_disk_that_is_killed_at_any_call_of_the_engine_goes_on_when_it_is_opened() {
    let migrations = indexes(&[&["name"]]);
    for calls in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::open(folder.path()).unwrap();
        let (first, _) = node(&disk).await;
        insert(&first, &rows(7)).await.unwrap();
        let is_over = run_until(&disk, &migrations, calls).await;
        drop((first, disk));
        let disk = Disk::open(folder.path()).unwrap();
        let (last, time) = node(&disk).await;
        write(&last).await;
        while_time_passes(migrator().run(&last, &migrations), &time)
            .await
            .unwrap();
        assert_whole(&last, &[1], &format!("{calls} calls")).await;
        if is_over {
            assert!(calls > 15, "{calls}");
            break;
        }
    }
}

/// A power cut at any sync while indexes are built.
#[tokio::test]
async fn a_build_survives_power_cuts() {
    for nth in 1..12 {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::losing_unsynced();
        let disk = Disk::open_with(folder.path(), Options::default().faults(faults.clone())).unwrap();
        let (tenant, _) = node(&disk).await;
        insert(&tenant, &rows(7)).await.unwrap();
        faults.crash_at_sync(nth, Survivors::Half { seed: nth });
        let (migrator, _) = counting(2);
        let outcome = migrator.run(&tenant, &both()).await;
        assert!(
            matches!(outcome, Err(Error::CommitUnknown | Error::Poisoned { .. })),
            "{outcome:?}"
        );
        drop((tenant, disk));
        let disk = Disk::open(folder.path()).unwrap();
        let (tenant, time) = node(&disk).await;
        let (migrator, _) = counting(2);
        while_time_passes(migrator.run(&tenant, &both()), &time).await.unwrap();
        assert_sound(&tenant).await;
        assert_eq!(
            ids(&tenant.begin(), &Query::new().equals("name", "Ada")).await.unwrap(),
            [2, 4, 6]
        );
    }
}
