//! What the layer promises on whatever engine it stands: on memory and disk here, on a cluster by `tests/foundationdb.rs`, which has
//! this file, too. The finer points are tested on memory alone, in the files beside this one.

use dust_layer::layer::{Layer, Options};
use dust_layer::migration::Command;
use dust_layer::query::Query;
use dust_layer::row::OnConflict;
use dust_layer::value::FieldValue;
use dust_layer::{Direction, Engine, Error, Isolation, RowError, Tenant};
use futures_util::future::join;

use crate::fixture::{assert_sound, command, everything, ids, indexes, insert, migrate, user, users};

/// A new tenant, whose rows are split into small pieces.
async fn tenant<E: Engine>(engine: &E, name: &str) -> Tenant<E> {
    let layer = Layer::with_options(engine, Options::default().split_bytes(40));
    layer.create_or_open("walk", name).await.unwrap()
}

fn by(field: &str, value: &str) -> Query {
    Query::new().equals(field, value)
}

async fn tenants_are_apart<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    let (ours, theirs) = (tenant(engine, "ours").await, tenant(engine, "theirs").await);
    assert_eq!(layer.list("walk").await.unwrap(), ["ours", "theirs"]);
    insert(&ours, &[user(1, "Ada", "eng", 36)]).await.unwrap();
    assert!(everything(&theirs).await.is_empty());
    let tx = ours.begin();
    assert!(matches!(tx.set(&theirs.pack(&("a",)), b""), Err(Error::OtherTenant)));
    tx.set(&ours.pack(&("a",)), b"the application's own").unwrap();
    tx.commit().await.unwrap();
    let found = ours.begin().get(&ours.pack(&("a",)), Isolation::Serializable).await;
    assert_eq!(found.unwrap().as_deref(), Some(&b"the application's own"[..]));
    layer.delete("walk", "ours").await.unwrap();
    assert!(!layer.exists("walk", "ours").await.unwrap() && layer.exists("walk", "theirs").await.unwrap());
    assert!(
        everything(&tenant(engine, "ours").await).await.is_empty(),
        "what comes again is empty"
    );
}

async fn rows_are_kept_whole_and_split<E: Engine>(engine: &E) {
    let (tenant, table) = (tenant(engine, "rows").await, &users());
    let mut long = user(2, "Bob", "law", 50);
    long.set(5, "n".repeat(500));
    insert(&tenant, &[user(1, "Ada", "eng", 36), long.clone()])
        .await
        .unwrap();
    let again = insert(&tenant, &[user(3, "Cyd", "eng", 1), user(1, "Ada", "eng", 36)]).await;
    assert!(matches!(again.unwrap_err(), Error::Row(refused) if *refused == RowError::Exists));
    let tx = tenant.begin();
    let key = |id: i64| table.primary_key([id]).unwrap();
    assert_eq!(tx.get_row(table, &key(3)).await.unwrap(), None, "all or nothing");
    assert_eq!(tx.get_row(table, &key(2)).await.unwrap(), Some(long));
    tx.update(table, &key(2), [("notes", FieldValue::Null)]).await.unwrap();
    tx.upsert(table, &user(1, "Eve", "ops", 1), OnConflict::ReplaceAll)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let tx = tenant.begin();
    let newest = Query::new().order_by("id", Direction::Reverse);
    let found = tx.query(table, &newest).await.unwrap();
    assert_eq!(found, [user(2, "Bob", "law", 50), user(1, "Eve", "ops", 1)]);
    tx.delete(table, &key(1)).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(&tenant.begin(), &newest).await.unwrap(), [2]);
}

async fn entries_follow_the_rows<E: Engine>(engine: &E) {
    let (tenant, table) = (tenant(engine, "entries").await, &users());
    migrate(&tenant, &indexes(&[&["name"], &["department", "age"]]))
        .await
        .unwrap();
    let rows: Vec<_> = (1..=30)
        .map(|id| user(id, if id % 2 == 0 { "Ada" } else { "Bob" }, "eng", 100 - id))
        .collect();
    insert(&tenant, &rows).await.unwrap();
    let tx = tenant.begin();
    assert_eq!(ids(&tx, &by("name", "Ada").limit(3)).await.unwrap(), [2, 4, 6]);
    tx.update(table, &table.primary_key([2]).unwrap(), [("name", "Cyd")])
        .await
        .unwrap();
    assert_eq!(
        ids(&tx, &by("name", "Ada").limit(2)).await.unwrap(),
        [4, 6],
        "as it was written"
    );
    tx.commit().await.unwrap();
    let tx = tenant.begin();
    let aged = by("department", "eng").range("age", FieldValue::from(75)..FieldValue::from(80));
    assert_eq!(ids(&tx, &aged).await.unwrap(), [25, 24, 23, 22, 21]);
    let oldest = aged.order_by("age", Direction::Reverse).limit(2);
    assert_eq!(ids(&tx, &oldest).await.unwrap(), [21, 22]);
    assert!(
        matches!(tx.query(table, &by("notes", "n")).await, Err(Error::Query(_))),
        "no index serves it"
    );
    assert_sound(&tenant).await;
}

async fn unique_values_are_one_records<E: Engine>(engine: &E) {
    let (tenant, table) = (tenant(engine, "unique").await, &users());
    let unique = table.index(["name"]).unwrap().unique();
    command(&tenant, Command::create_index("users", unique)).await.unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 36)]).await.unwrap();
    let twin = insert(&tenant, &[user(2, "Ada", "law", 40)]).await;
    assert!(matches!(twin.unwrap_err(), Error::Row(refused) if matches!(*refused, RowError::Duplicate { .. })));
    // Two at once that do not see each other: one of them is committed.
    let (one, other) = (tenant.begin(), tenant.begin());
    one.insert(table, &user(3, "Bob", "eng", 1)).await.unwrap();
    other.insert(table, &user(4, "Bob", "eng", 1)).await.unwrap();
    one.commit().await.unwrap();
    assert!(other.commit().await.unwrap_err().is_retryable());
    assert_sound(&tenant).await;
}

async fn builds_meet_writers<E: Engine>(engine: &E) {
    let (tenant, table) = (tenant(engine, "build").await, &users());
    let rows: Vec<_> = (0..120).map(|id| user(id, "Ada", "eng", id)).collect();
    insert(&tenant, &rows).await.unwrap();
    // Two nodes build; the writer goes the other way, and so crosses them.
    let other = Layer::new(engine).open("walk", "build").await.unwrap();
    let writer = async {
        for id in (0..120).rev() {
            let change = tenant.transact(async |tx| {
                if id % 3 == 0 {
                    return tx.delete(table, &table.primary_key([id])?).await.map(drop);
                }
                tx.upsert(table, &user(id, "Bob", "law", id), OnConflict::ReplaceAll)
                    .await
                    .map(drop)
            });
            change.await.unwrap();
        }
    };
    let migrations = indexes(&[&["name"], &["department", "age"]]);
    let nodes = join(migrate(&tenant, &migrations), migrate(&other, &migrations));
    let ((one, two), ()) = join(nodes, writer).await;
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 1, "the version was run once");
    assert_sound(&tenant).await;
    let expected: Vec<i128> = (0..120).filter(|id| id % 3 != 0).collect();
    assert_eq!(ids(&other.begin(), &by("name", "Bob")).await.unwrap(), expected);
}

async fn watches_tell_changes<E: Engine>(engine: &E) {
    let (tenant, table) = (tenant(engine, "watch").await, &users());
    let key = table.primary_key([1]).unwrap();
    let mut rows = tenant.watch_row(table, &key);
    assert_eq!(rows.next().await.unwrap(), None);
    for row in [user(1, "Ada", "eng", 36), user(1, "Eve", "ops", 1)] {
        let write = tenant.transact(async |tx| tx.upsert(table, &row, OnConflict::ReplaceAll).await.map(drop));
        write.await.unwrap();
        assert_eq!(rows.next().await.unwrap(), Some(row));
    }
}

/// Walks through all of it on an engine that is empty.
pub(crate) async fn whole<E: Engine>(engine: &E) {
    tenants_are_apart(engine).await;
    rows_are_kept_whole_and_split(engine).await;
    entries_follow_the_rows(engine).await;
    unique_values_are_one_records(engine).await;
    builds_meet_writers(engine).await;
    watches_tell_changes(engine).await;
}
