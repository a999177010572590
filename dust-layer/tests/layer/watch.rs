//! Watches as streams.

use dust_layer::engine::instrumented::Instrumented;
use dust_layer::index::{IndexDef, Signal};
use dust_layer::migration::{Command, Migration};
use dust_layer::query::Query;
use dust_layer::value::FieldValue;
use dust_layer::{Engine, Error, Isolation};
use futures_util::{FutureExt, StreamExt};

use super::fixture::{id_of, insert, migrate, splitting, tenant, user, users};

pub(crate) async fn a_watched_row_is_seen_inserted_changed_split_and_deleted<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 30).await;
    let table = &users();
    let key = &table.primary_key([1]).unwrap();
    let mut stream = tenant.watch_row(table, key);
    assert_eq!(stream.next().await.unwrap(), None);
    assert!(stream.next().now_or_never().is_none(), "nothing has changed");
    insert(&tenant, &[user(2, "Bob", "eng", 1)]).await.unwrap();
    assert!(stream.next().now_or_never().is_none(), "another row");
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(user(1, "Ada", "eng", 1)));
    for notes in ["n".repeat(100), "m".repeat(100)] {
        let tx = tenant.begin();
        tx.update(table, key, [("notes", notes.clone())]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap().get(5), &notes.into());
    }
    let tx = tenant.begin();
    tx.delete(table, key).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stream.next().await.unwrap(), None);
}

pub(crate) async fn a_watched_query_is_read_again_when_its_group_changes<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let commands = [
        Command::create_index("users", users().index(["department"]).unwrap()),
        Command::create_index(
            "users",
            IndexDef::counters("by department", users().index_fields(["department"]).unwrap()).unwrap(),
        ),
    ];
    migrate(&tenant, &[Migration::new(1, commands)]).await.unwrap();
    let eng = Query::new().equals("department", "eng");
    let stream = tenant.watch_query(
        &users(),
        eng,
        "by department",
        &[FieldValue::from("eng")],
        Signal::Changes,
    );
    let mut stream = std::pin::pin!(stream.into_stream());
    let ids = |rows: Option<Result<Vec<_>, Error>>| rows.unwrap().unwrap().iter().map(id_of).collect::<Vec<_>>();
    assert!(ids(stream.next().await).is_empty());
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    assert_eq!(ids(stream.next().await), [1]);
    insert(&tenant, &[user(2, "Bob", "law", 1)]).await.unwrap();
    assert!(stream.next().now_or_never().is_none(), "another group");
    let tx = tenant.begin();
    tx.update(&users(), &users().primary_key([2]).unwrap(), [("department", "eng")])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(stream.next().await), [1, 2]);
    let tx = tenant.begin();
    tx.delete(&users(), &users().primary_key([1]).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(ids(stream.next().await), [2]);
}

pub(crate) async fn a_watch_on_a_row_of_a_partition_fires<E: Engine>(engine: &E) {
    use dust_layer::table::Table;
    use dust_layer::value::FieldType;
    let sessions = Table::new("sessions")
        .key(1, "user", FieldType::Text)
        .key(2, "id", FieldType::Integer)
        .field(3, "data", FieldType::Text)
        .build()
        .unwrap();
    let tenant = tenant(engine).await;
    let key = sessions.primary_key([FieldValue::from("ada"), 1.into()]).unwrap();
    let mut stream = tenant.watch_row(&sessions, &key);
    assert_eq!(stream.next().await.unwrap(), None);
    let row = sessions
        .row::<_, FieldValue>([("user", "ada".into()), ("id", 1.into())])
        .unwrap();
    tenant
        .transact(async |tx| tx.insert(&sessions, &row).await)
        .await
        .unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(row));
}

pub(crate) async fn whatever_is_read_can_be_watched_and_a_failure_ends_the_stream<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let key = tenant.pack(&("mine",));
    let watched = key.clone();
    let stream = tenant.watch_with(move |tx| {
        let key = watched.clone();
        async move {
            let watch = tx.watch(&key)?;
            match tx.get(&key, Isolation::Serializable).await? {
                Some(value) if value == b"2" => Err(Error::ReservedKey),
                value => Ok((value, watch)),
            }
        }
    });
    let mut stream = std::pin::pin!(stream.into_stream());
    assert_eq!(stream.next().await.unwrap().unwrap(), None);
    let write = async |value: &[u8]| tenant.transact(async |tx| tx.set(&key, value)).await.unwrap();
    write(b"1").await;
    assert_eq!(stream.next().await.unwrap().unwrap(), Some(b"1".to_vec()));
    write(b"2").await;
    assert!(matches!(stream.next().await, Some(Err(Error::ReservedKey))));
    assert!(stream.next().await.is_none());
}

pub(crate) async fn a_watch_that_is_refused_in_passing_is_set_again<E: Engine>(engine: &E) {
    let engine = Instrumented::new(engine.clone());
    let tenant = tenant(&engine).await;
    let table = &users();
    let mut stream = tenant.watch_row(table, &table.primary_key([1]).unwrap());
    engine.fail_watches(2);
    for _ in 0..3 {
        assert_eq!(stream.next().await.unwrap(), None);
    }
    assert!(stream.next().now_or_never().is_none(), "it is set now");
    insert(&tenant, &[user(1, "Ada", "eng", 1)]).await.unwrap();
    assert_eq!(stream.next().await.unwrap(), Some(user(1, "Ada", "eng", 1)));
}
