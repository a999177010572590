//! What each call costs the engine: the contract of performance.
//!
//! Reads of the metadata version are free on a cluster, where they come with the read version.

use dust_layer::engine::instrumented::{Instrumented, Operation};
use dust_layer::index::IndexDef;
use dust_layer::layer::Layer;
use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::table::Table;
use dust_layer::value::{FieldType, FieldValue};
use dust_layer::{Direction, Engine, Error, Tenant, TenantTransaction};

use super::fixture::{insert, splitting, tenant, user, users};

/// An engine whose calls are noted, and a tenant on it.
type On<E> = (Instrumented<E>, Tenant<Instrumented<E>>);

async fn counted<E: Engine>(engine: &E, split_bytes: usize) -> On<E> {
    let engine = Instrumented::new(engine.clone());
    let tenant = splitting(&engine, split_bytes).await;
    let command = Command::create_index("users", users().index(["name"]).unwrap());
    Migrator::new()
        .table(&users())
        .run(&tenant, &[Migration::new(1, [command])])
        .await
        .unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 36), user(2, "Bob", "eng", 37)])
        .await
        .unwrap();
    (engine, tenant)
}

/// What a key is for.
fn place(key: &[u8]) -> &'static str {
    let has = |part: &[u8]| key.windows(part.len()).any(|window| window == part);
    match () {
        () if has(b"metadataVersion") => "version",
        () if has(b"\x01indexes\0") => "definitions",
        () if has(b"\x01migrations\0") => "migrations",
        () if has(b"\x01claim\0") => "claim",
        () if has(b"\x01d\0") => "row",
        () if has(b"\x01i\0") => "entry",
        () if key.starts_with(b"\xfe") => "directory",
        () => "other",
    }
}

fn told(operations: &[Operation]) -> String {
    let tell = |operation: &Operation| {
        Some(match operation {
            Operation::Get { key, .. } => format!("get {}", place(key)),
            Operation::GetRange { begin, .. } => format!("range {}", place(begin)),
            Operation::GetMappedRange { begin, .. } => format!("mapped {}", place(begin)),
            Operation::Set { key } => format!("set {}", place(key)),
            Operation::Clear { key } => format!("clear {}", place(key)),
            Operation::ClearRange { begin, .. } => format!("clear range {}", place(begin)),
            Operation::SetVersionstampedKey { key } => format!("stamp {}", place(key)),
            Operation::SetVersionstampedValue { key } => format!("bump {}", place(key)),
            Operation::Commit => "commit".to_owned(),
            // A conflict costs nothing until the commit.
            Operation::AddConflict { .. } => return None,
            other => panic!("unexpected: {other:?}"),
        })
    };
    operations.iter().filter_map(tell).collect::<Vec<_>>().join(", ")
}

/// Compares what a call asks of the engine.
async fn check<E: Engine, T>(
    (engine, tenant): &On<E>,
    expected: &str,
    call: impl AsyncFnOnce(TenantTransaction<Instrumented<E>>) -> Result<T, Error>,
) {
    engine.record();
    let tx = tenant.begin();
    call(tx.clone()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(told(&engine.recorded()), format!("{expected}, commit"));
}

pub(crate) async fn reads_cost_what_they_must<E: Engine>(engine: &E) {
    let on = counted(engine, 100_000).await;
    let table = &users();
    let key = &table.primary_key([1]).unwrap();
    let ada = &Query::new().equals("name", "Ada");
    check(&on, "get row", async |tx| tx.get_row(table, key).await).await;
    check(&on, "range row", async |tx| tx.query(table, &Query::new()).await).await;
    let ranged = &Query::new()
        .range("id", FieldValue::from(1)..)
        .order_by("id", Direction::Reverse)
        .limit(1);
    check(&on, "range row", async |tx| tx.query(table, ranged).await).await;
    check(&on, "get version, mapped entry", async |tx| tx.query(table, ada).await).await;
    // Two queries of one transaction look at the definitions once, and at the entries side by side.
    let bob = &Query::new().equals("name", "Bob");
    check(&on, "get version, mapped entry, mapped entry", async |tx| {
        futures_util::future::try_join(tx.query(table, ada), tx.query(table, bob)).await
    })
    .await;
    // A covering index answers by itself.
    let covering = Command::create_index("users", table.index(["age"]).unwrap().covering());
    Migrator::new()
        .table(table)
        .run(&on.1, &[Migration::new(2, [covering])])
        .await
        .unwrap();
    insert(&on.1, &[user(3, "Cyd", "eng", 1)]).await.unwrap();
    let aged = &Query::new().equals("age", 36);
    check(&on, "get version, range entry", async |tx| tx.query(table, aged).await).await;
}

pub(crate) async fn writes_cost_what_they_must<E: Engine>(engine: &E) {
    let on = counted(engine, 100_000).await;
    let table = &users();
    let key = &table.primary_key([1]).unwrap();
    check(&on, "get version, get row, set row, set entry", async |tx| {
        tx.insert(table, &user(3, "Cyd", "eng", 36)).await
    })
    .await;
    check(&on, "get version, get row, set row", async |tx| {
        tx.update(table, key, [("age", 40)]).await
    })
    .await;
    check(&on, "get version, get row", async |tx| {
        tx.update(table, key, [("age", 40)]).await
    })
    .await;
    check(
        &on,
        "get version, get row, set row, clear entry, set entry",
        async |tx| tx.update(table, key, [("name", "Eve")]).await,
    )
    .await;
    check(&on, "get version, get row, clear row, clear entry", async |tx| {
        tx.delete(table, key).await
    })
    .await;
    // More rows of one transaction look at the definitions once.
    check(
        &on,
        "get version, get row, set row, set entry, get row, set row, set entry",
        async |tx| {
            tx.insert(table, &user(5, "Fay", "eng", 1)).await?;
            tx.insert(table, &user(6, "Gil", "eng", 1)).await
        },
    )
    .await;
}

pub(crate) async fn what_is_not_known_is_read_once<E: Engine>(engine: &E) {
    let on = counted(engine, 100_000).await;
    let table = &users();
    // Another tenant's migration makes everybody look, and nobody conflict.
    let other = on.1.layer().create_or_open("acme", "other").await.unwrap();
    let all = Command::create_index("users", IndexDef::counters("all", Vec::new()).unwrap());
    Migrator::new()
        .table(table)
        .run(&other, &[Migration::new(1, [all])])
        .await
        .unwrap();
    let looked = "get version, get row, get definitions, get directory, set row, set entry";
    let warm = "get version, get row, set row, set entry";
    let expected = |told: String| {
        // The row and the definitions are read side by side, in either order.
        told.replace(
            "get version, get definitions, get directory, get row",
            "get version, get row, get definitions, get directory",
        )
    };
    for (id, cost) in [(10, looked), (11, warm)] {
        on.0.record();
        insert(&on.1, &[user(id, "Ada", "eng", 1)]).await.unwrap();
        assert_eq!(expected(told(&on.0.recorded())), format!("{cost}, commit"));
    }
    // All handles of the layer know what one of them has read; a new layer knows nothing.
    let again = on.1.layer().open("acme", "reading").await.unwrap();
    let cold = Layer::new(&on.0).open("acme", "reading").await.unwrap();
    for (tenant, cost) in [(again, warm), (cold.clone(), looked), (cold, warm)] {
        on.0.record();
        tenant
            .transact(async |tx| tx.insert(table, &user(rand_id(), "Ada", "eng", 1)).await)
            .await
            .unwrap();
        assert_eq!(expected(told(&on.0.recorded())), format!("{cost}, commit"));
    }
}

/// Ids that no other row of the test has.
fn rand_id() -> i64 {
    use std::sync::atomic::{AtomicI64, Ordering};
    static NEXT: AtomicI64 = AtomicI64::new(1000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

pub(crate) async fn split_rows_cost_their_pieces<E: Engine>(engine: &E) {
    let on = counted(engine, 60).await;
    let table = &users();
    let key = &table.primary_key([7]).unwrap();
    let mut large = user(7, "Ada", "eng", 36);
    large.set(5, "n".repeat(60));
    check(
        &on,
        "get version, get row, set row, set row, set row, set entry",
        async |tx| tx.insert(table, &large).await,
    )
    .await;
    check(&on, "get row, range row", async |tx| tx.get_row(table, key).await).await;
    check(
        &on,
        "get version, get row, range row, clear range row, set row",
        async |tx| tx.update(table, key, [("notes", "short")]).await,
    )
    .await;
    check(&on, "get version, get row, set row, set row, set row", async |tx| {
        tx.update(table, key, [("notes", "n".repeat(60))]).await
    })
    .await;
    check(
        &on,
        "get version, get row, range row, clear range row, clear entry",
        async |tx| tx.delete(table, key).await,
    )
    .await;
}

pub(crate) async fn versionstamped_rows_are_written_without_a_read<E: Engine>(engine: &E) {
    let (engine, tenant) = counted(engine, 100_000).await;
    let queue = &Table::new("queue")
        .key(1, "id", FieldType::Versionstamp)
        .field(2, "author", FieldType::Text)
        .build()
        .unwrap();
    let index = Command::create_index("queue", queue.index(["author"]).unwrap());
    Migrator::new()
        .table(queue)
        .run(&tenant, &[Migration::new(9, [index])])
        .await
        .unwrap();
    let push = async |tx: TenantTransaction<Instrumented<E>>| {
        let row = [("id", tx.versionstamp().into()), ("author", FieldValue::from("ada"))];
        tx.insert(queue, &queue.row(row)?).await
    };
    tenant.transact(push).await.unwrap();
    check(&(engine, tenant), "get version, stamp row, stamp entry", push).await;
}

pub(crate) async fn opening_costs_one_range_read_when_nothing_is_to_be_migrated<E: Engine>(engine: &E) {
    let engine = Instrumented::new(engine.clone());
    let tenant = tenant(&engine).await;
    let command = Command::create_index("users", users().index(["name"]).unwrap());
    let migrations = [Migration::new(1, [command])];
    let migrator = Migrator::new().table(&users());
    engine.record();
    migrator.run(&tenant, &migrations).await.unwrap();
    let first = told(&engine.recorded());
    // Claim it, define it, build it and give the claim back.
    assert_eq!(first.matches("commit").count(), 3, "{first}");
    engine.record();
    migrator.run(&tenant, &migrations).await.unwrap();
    assert_eq!(told(&engine.recorded()), "range migrations");
}
