//! Programs that end at any call of the engine in the middle of their migrations, and others that go on.

use dust_layer::disk::Disk;
use dust_layer::migration::{Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::{Engine, Error, Instrumented, Memory, Tenant};

use crate::fixture::{assert_sound, ids, indexes, insert, keys_with, user, users};
use crate::migration::{both, node, rows, while_time_passes};

fn migrator<E: Engine>() -> Migrator<E> {
    Migrator::new().table(&users()).batch_records(3.try_into().unwrap())
}

/// Runs the migrations on a node that ends after so many calls of the engine; whether it came to the end.
async fn run_until<E: Engine>(engine: &E, migrations: &[Migration], calls: u64) -> bool {
    let engine = Instrumented::new(engine.clone());
    let (tenant, time) = node(&engine).await;
    engine.end_after(calls);
    match while_time_passes(migrator().run(&tenant, migrations), &time).await {
        Ok(_) => true,
        Err(Error::Closed) => false,
        Err(error) => panic!("{error:?} after {calls} calls"),
    }
}

/// What a program does meanwhile that knows the definitions from before: it inserts in front of all and behind all, updates
/// and deletes.
async fn write<E: Engine>(writer: &Tenant<E>) {
    let table = &users();
    let key = |id: i64| table.primary_key([id]).unwrap();
    let write = async |tx: dust_layer::TenantTransaction<E>| {
        tx.insert(table, &user(-1, "Ada", "eng", -1)).await?;
        tx.insert(table, &user(100, "Ada", "eng", 100)).await?;
        tx.update(table, &key(3), [("name", "Ada")]).await?;
        tx.update(table, &key(5), [("age", 50)]).await?;
        tx.delete(table, &key(2)).await?;
        Ok::<_, Error>(())
    };
    writer.transact(write).await.unwrap();
}

/// What must be so in the end, whoever was killed where.
async fn assert_whole<E: Engine>(tenant: &Tenant<E>, versions: &[u64], told: &str) {
    let adas = ids(&tenant.begin(), &Query::new().equals("name", "Ada")).await.unwrap();
    assert_eq!(adas, [-1, 3, 4, 6, 100], "{told}");
    assert_sound(tenant).await;
    assert_eq!(tenant.migrations().await.unwrap(), versions, "{told}");
    assert_eq!(keys_with(tenant, b"claim").await, 0, "{told}");
}

/// A kill at every read and every commit of a build, a drop and a second build, then writes, then a node that goes on.
#[tokio::test]
async fn a_build_that_is_killed_at_any_call_of_the_engine_is_taken_over() {
    for calls in 0.. {
        let memory = Memory::new();
        let (first, _) = node(&memory).await;
        insert(&first, &rows(7)).await.unwrap();
        let (writer, _) = node(&memory).await;
        insert(&writer, &[user(50, "Bob", "eng", 51)]).await.unwrap();
        let is_over = run_until(&memory, &both(), calls).await;
        write(&writer).await;
        assert_sound(&writer).await;
        let (last, time) = node(&memory).await;
        while_time_passes(migrator().run(&last, &both()), &time).await.unwrap();
        for tenant in [&writer, &last] {
            assert_whole(tenant, &[1, 2], &format!("{calls} calls")).await;
        }
        if is_over {
            assert!(calls > 60, "{calls}");
            break;
        }
    }
}

/// The same on disk, closed and opened after the kill.
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

/// Two nodes migrate at once, and each is killed at another call; a third one goes on.
#[tokio::test]
async fn of_two_nodes_that_migrate_at_once_any_may_be_killed_anywhere() {
    for (one, other) in (0..90).step_by(6).flat_map(|one| [7, 23, 58].map(|other| (one, other))) {
        let memory = Memory::new();
        let (first, _) = node(&memory).await;
        insert(&first, &rows(7)).await.unwrap();
        let (writer, _) = node(&memory).await;
        let migrations = both();
        Box::pin(futures_util::future::join3(
            write(&writer),
            run_until(&memory, &migrations, one),
            run_until(&memory, &migrations, other),
        ))
        .await;
        assert_sound(&writer).await;
        let (last, time) = node(&memory).await;
        while_time_passes(migrator().run(&last, &migrations), &time)
            .await
            .unwrap();
        assert_whole(&last, &[1, 2], &format!("{one} and {other} calls")).await;
    }
}

/// Twenty nodes want the same; the one that works dies in the middle, and each migration is done once.
#[tokio::test]
async fn of_twenty_nodes_one_goes_on_when_the_owner_dies() {
    let memory = Memory::new();
    let (first, _) = node(&memory).await;
    insert(&first, &rows(7)).await.unwrap();
    assert!(!run_until(&memory, &both(), 20).await);
    let runs = (0..20).map(|_| async {
        let (tenant, time) = node(&memory).await;
        while_time_passes(migrator().run(&tenant, &both()), &time)
            .await
            .unwrap()
    });
    let ran = futures_util::future::join_all(runs).await.concat();
    assert_eq!(ran.len(), 2, "{ran:?}");
    write(&first).await;
    assert_whole(&first, &[1, 2], "twenty nodes").await;
}
