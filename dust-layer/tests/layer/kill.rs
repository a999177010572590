//! Programs that end at any call of the engine in the middle of their migrations, and others that go on.

use dust_layer::migration::{Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::{Engine, Error, Instrumented, Tenant};

use super::fixture::{assert_sound, clear, ids, insert, keys_with, user, users};
use super::migration::{both, node, rows, while_time_passes};

pub(crate) fn migrator<E: Engine>() -> Migrator<E> {
    Migrator::new().table(&users()).batch_records(3.try_into().unwrap())
}

/// Runs the migrations on a node that ends after so many calls of the engine; whether it came to the end.
pub(crate) async fn run_until<E: Engine>(engine: &E, migrations: &[Migration], calls: u64) -> bool {
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
pub(crate) async fn write<E: Engine>(writer: &Tenant<E>) {
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
pub(crate) async fn assert_whole<E: Engine>(tenant: &Tenant<E>, versions: &[u64], told: &str) {
    let adas = ids(&tenant.begin(), &Query::new().equals("name", "Ada")).await.unwrap();
    assert_eq!(adas, [-1, 3, 4, 6, 100], "{told}");
    assert_sound(tenant).await;
    assert_eq!(tenant.migrations().await.unwrap(), versions, "{told}");
    assert_eq!(keys_with(tenant, b"claim").await, 0, "{told}");
}

/// A kill at every read and every commit of a build, a drop and a second build, then writes, then a node that goes on.
pub(crate) async fn a_build_that_is_killed_at_any_call_of_the_engine_is_taken_over<E: Engine>(engine: &E) {
    for calls in 0.. {
        clear(engine).await;
        let (first, _) = node(engine).await;
        insert(&first, &rows(7)).await.unwrap();
        let (writer, _) = node(engine).await;
        insert(&writer, &[user(50, "Bob", "eng", 51)]).await.unwrap();
        let is_over = run_until(engine, &both(), calls).await;
        write(&writer).await;
        assert_sound(&writer).await;
        let (last, time) = node(engine).await;
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

/// Two nodes migrate at once, and each is killed at another call; a third one goes on.
pub(crate) async fn of_two_nodes_that_migrate_at_once_any_may_be_killed_anywhere<E: Engine>(engine: &E) {
    for (one, other) in (0..90).step_by(6).flat_map(|one| [7, 23, 58].map(|other| (one, other))) {
        clear(engine).await;
        let (first, _) = node(engine).await;
        insert(&first, &rows(7)).await.unwrap();
        let (writer, _) = node(engine).await;
        let migrations = both();
        Box::pin(futures_util::future::join3(
            write(&writer),
            run_until(engine, &migrations, one),
            run_until(engine, &migrations, other),
        ))
        .await;
        assert_sound(&writer).await;
        let (last, time) = node(engine).await;
        while_time_passes(migrator().run(&last, &migrations), &time)
            .await
            .unwrap();
        assert_whole(&last, &[1, 2], &format!("{one} and {other} calls")).await;
    }
}

/// Twenty nodes want the same; the one that works dies in the middle, and each migration is done once.
pub(crate) async fn of_twenty_nodes_one_goes_on_when_the_owner_dies<E: Engine>(engine: &E) {
    clear(engine).await;
    let (first, _) = node(engine).await;
    insert(&first, &rows(7)).await.unwrap();
    assert!(!run_until(engine, &both(), 20).await);
    let runs = (0..20).map(|_| async {
        let (tenant, time) = node(engine).await;
        while_time_passes(migrator().run(&tenant, &both()), &time)
            .await
            .unwrap()
    });
    let mut ran = futures_util::future::join_all(runs).await.concat();
    ran.sort_unstable();
    assert_eq!(ran, [1, 2]);
    write(&first).await;
    assert_whole(&first, &[1, 2], "twenty nodes").await;
}
