//! Entries follow their rows: mapped and covering, unique, with and without rows, counters, custom.

use std::ops::Range;

use dust_layer::index::{IndexDef, IndexSpace, Indexer, Record, Signal};
use dust_layer::layer::{Layer, Options};
use dust_layer::migration::{Command, Migration, Migrator, Repair};
use dust_layer::query::Query;
use dust_layer::row::OnConflict;
use dust_layer::table::Table;
use dust_layer::value::{Date, FieldType, FieldValue, Time};
use dust_layer::{Atomic, Direction, Engine, Error, QueryError, RowError, SchemaError, Tenant};
use futures_core::future::BoxFuture;

use super::fixture::{
    assert_sound, command, events, everything, ids, indexes, insert, keys_with, migrate, splitting, tenant,
    tenant_with, user, users,
};

fn by_name(name: &str) -> Query {
    Query::new().equals("name", name)
}

pub(crate) async fn entries_follow_inserts_updates_and_deletes<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name"], &["department", "age"]]))
        .await
        .unwrap();
    insert(
        &tenant,
        &[
            user(1, "Ada", "eng", 36),
            user(2, "Ada", "law", 40),
            user(3, "Bob", "eng", 50),
        ],
    )
    .await
    .unwrap();
    let tx = tenant.begin();
    assert_eq!(ids(&tx, &by_name("Ada")).await.unwrap(), [1, 2]);
    let table = &users();
    tx.update(table, &table.primary_key([1]).unwrap(), [("name", "Cyd")])
        .await
        .unwrap();
    assert_eq!(ids(&tx, &by_name("Ada")).await.unwrap(), [2]);
    assert_eq!(ids(&tx, &by_name("Cyd")).await.unwrap(), [1]);
    tx.delete(table, &table.primary_key([2]).unwrap()).await.unwrap();
    assert!(ids(&tx, &by_name("Ada")).await.unwrap().is_empty());
    tx.commit().await.unwrap();
    assert_eq!(
        ids(&tenant.begin(), &Query::new().equals("department", "eng"))
            .await
            .unwrap(),
        [1, 3]
    );
    assert_sound(&tenant).await;
    // Of two rows there are two rows and two entries in each of two indexes, and the layer's own: definitions, migration.
    assert_eq!(everything(&tenant).await.len(), 2 + 4 + 2);
}

pub(crate) async fn an_entry_has_these_bytes<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name", "age"]])).await.unwrap();
    insert(&tenant, &[user(7, "Ada", "eng", -1)]).await.unwrap();
    let pairs = everything(&tenant).await;
    let entry = pairs
        .iter()
        .find(|(key, _)| key.windows(4).any(|part| part == b"\x01i\x00\x01"))
        .unwrap();
    let hex = super::fixture::hex(&entry.0[tenant.prefix().len()..]);
    // FD, the table, "i", the index, two values, the values, the primary key.
    let expected = [
        "01fd00",
        "02757365727300",
        "016900",
        "016e616d652c61676500",
        "1502",
        "0241646100",
        "13fe",
        "1507",
    ];
    assert_eq!(hex, expected.concat());
    assert!(entry.1.is_empty());
}

pub(crate) async fn a_query_after_a_write_in_the_same_transaction_sees_it<E: Engine>(engine: &E) {
    for covering in [false, true] {
        let tenant = splitting(engine, 20).await;
        let mut index = users().index(["name"]).unwrap();
        if covering {
            index = index.covering();
        }
        command(&tenant, Command::create_index("users", index)).await.unwrap();
        let tx = tenant.begin();
        let mut row = user(1, "Ada", "eng", 36);
        row.set(5, "n".repeat(100));
        tx.insert(&users(), &row).await.unwrap();
        assert_eq!(tx.query(&users(), &by_name("Ada")).await.unwrap(), [row.clone()]);
        let key = users().primary_key([1]).unwrap();
        let shorter = tx.update(&users(), &key, [("notes", "short")]).await.unwrap();
        assert_eq!(tx.query(&users(), &by_name("Ada")).await.unwrap(), [shorter]);
        assert_eq!(
            tx.update_all(&users(), &by_name("Ada"), [("name", "Bob")])
                .await
                .unwrap(),
            1
        );
        assert!(tx.query(&users(), &by_name("Ada")).await.unwrap().is_empty());
        assert_eq!(tx.delete_all(&users(), &by_name("Bob")).await.unwrap(), 1);
        assert!(tx.query(&users(), &by_name("Bob")).await.unwrap().is_empty());
        tx.commit().await.unwrap();
        assert_eq!(keys_with(&tenant, b"Ada").await + keys_with(&tenant, b"Bob").await, 0);
    }
}

pub(crate) async fn a_covering_index_beside_rows_holds_what_they_hold<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 40).await;
    command(
        &tenant,
        Command::create_index("users", users().index(["name"]).unwrap().covering()),
    )
    .await
    .unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 36), user(2, "Ada", "law", 40)])
        .await
        .unwrap();
    let tx = tenant.begin();
    // A field that the index does not have, through a query on it.
    assert_eq!(
        tx.update_all(&users(), &by_name("Ada"), [("notes", "n".repeat(100))])
            .await
            .unwrap(),
        2
    );
    tx.commit().await.unwrap();
    let tx = tenant.begin();
    for row in tx.query(&users(), &by_name("Ada")).await.unwrap() {
        assert_eq!(row.get(5), &"n".repeat(100).into());
        assert_eq!(
            tx.get_row(&users(), &users().key_of(&row).unwrap()).await.unwrap(),
            Some(row)
        );
    }
    assert_eq!(tx.delete_all(&users(), &by_name("Ada")).await.unwrap(), 2);
    tx.commit().await.unwrap();
    assert_sound(&tenant).await;
    assert_eq!(keys_with(&tenant, b"users").await, 1, "the definition");
}

pub(crate) async fn an_index_with_the_primary_key_in_it_works<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["id", "name"], &["age", "id"]]))
        .await
        .unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 36), user(2, "Bob", "eng", 36)])
        .await
        .unwrap();
    let tx = tenant.begin();
    let both = Query::new().equals("id", 2).equals("name", "Bob");
    assert_eq!(ids(&tx, &both).await.unwrap(), [2]);
    let ranged = Query::new().equals("age", 36).range("id", FieldValue::from(2)..);
    assert_eq!(ids(&tx, &ranged).await.unwrap(), [2]);
    let ordered = Query::new().equals("age", 36).order_by("id", Direction::Reverse);
    assert_eq!(ids(&tx, &ordered).await.unwrap(), [2, 1]);
    tx.delete(&users(), &users().primary_key([1]).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_sound(&tenant).await;
}

pub(crate) async fn an_index_on_a_table_with_versionstamped_keys_finds_its_rows<E: Engine>(engine: &E) {
    let queue = &Table::new("queue")
        .key(1, "id", FieldType::Versionstamp)
        .field(2, "author", FieldType::Text)
        .field(3, "data", FieldType::Text)
        .build()
        .unwrap();
    for split in [10, 1000] {
        let tenant = splitting(engine, split).await;
        let migrations = [Migration::new(
            1,
            [
                Command::create_index("queue", queue.index(["author"]).unwrap()),
                Command::create_index("queue", queue.index(["data"]).unwrap().covering()),
            ],
        )];
        Migrator::new().table(queue).run(&tenant, &migrations).await.unwrap();
        for author in ["ada", "bob", "ada"] {
            let tx = tenant.begin();
            let data = format!("what {author} wrote, which is long");
            let row = [
                ("id", tx.versionstamp().into()),
                ("author", author.into()),
                ("data", data.into()),
            ];
            tx.insert(queue, &queue.row::<_, FieldValue>(row).unwrap())
                .await
                .unwrap();
            tx.commit().await.unwrap();
        }
        let tx = tenant.begin();
        let of_ada = tx.query(queue, &Query::new().equals("author", "ada")).await.unwrap();
        assert_eq!(of_ada.len(), 2);
        assert!(of_ada[0].get(1) < of_ada[1].get(1));
        let covered = tx
            .query(queue, &Query::new().equals("data", of_ada[0].get(3).clone()))
            .await
            .unwrap();
        assert_eq!(covered, of_ada);
        for index in ["author", "data"] {
            let found = Migrator::new()
                .table(queue)
                .verify(&tenant, "queue", index, Repair::Report)
                .await
                .unwrap();
            assert!(found.is_sound() && found.entries == 3, "{found:?}");
        }
        // An index that has the versionstamp itself cannot have its key completed in two places.
        command_on(
            &tenant,
            queue,
            2,
            Command::create_index("queue", queue.index(["id"]).unwrap()),
        )
        .await
        .unwrap();
        let row = [("id", tenant.begin().versionstamp().into()), ("author", "ada".into())];
        let refused = tenant
            .begin()
            .insert(queue, &queue.row::<_, FieldValue>(row).unwrap())
            .await
            .unwrap_err();
        assert!(matches!(refused.schema(), Some(SchemaError::Incomplete { .. })));
    }
}

async fn command_on<E: Engine>(
    tenant: &Tenant<E>,
    table: &Table,
    version: u64,
    command: Command,
) -> Result<Vec<u64>, Error> {
    Migrator::new()
        .table(table)
        .run(tenant, &[Migration::new(version, [command])])
        .await
}

pub(crate) async fn a_unique_index_refuses_values_that_another_row_has<E: Engine>(engine: &E) {
    for covering in [false, true] {
        let tenant = splitting(engine, 20).await;
        let mut index = users().index(["name", "age"]).unwrap().unique();
        if covering {
            index = index.covering();
        }
        command(&tenant, Command::create_index("users", index)).await.unwrap();
        let table = &users();
        let mut long = user(1, "Ada", "eng", 36);
        long.set(5, "n".repeat(200));
        insert(&tenant, &[long, user(2, "Ada", "eng", 37)]).await.unwrap();
        let duplicate = |error: &Error| {
            error.row()
                == Some(&RowError::Duplicate {
                    index: "name,age".into(),
                })
        };
        assert!(duplicate(
            &insert(&tenant, &[user(3, "Ada", "eng", 36)]).await.unwrap_err()
        ));
        let tx = tenant.begin();
        let key = &table.primary_key([2]).unwrap();
        assert!(duplicate(&tx.update(table, key, [("age", 36)]).await.unwrap_err()));
        // Within a transaction, too; and a row does not stand in its own way.
        let tx = tenant.begin();
        tx.insert(table, &user(4, "Bob", "eng", 1)).await.unwrap();
        assert!(duplicate(
            &tx.insert(table, &user(5, "Bob", "law", 1)).await.unwrap_err()
        ));
        let tx = tenant.begin();
        tx.update(table, &table.primary_key([1]).unwrap(), [("notes", "x")])
            .await
            .unwrap();
        tx.upsert(table, &user(1, "Ada", "law", 36), OnConflict::ReplaceAll)
            .await
            .unwrap();
        // Nulls are never the same.
        for id in [6, 7] {
            tx.insert(
                table,
                &table
                    .row::<_, FieldValue>([("id", id.into()), ("name", "Ada".into())])
                    .unwrap(),
            )
            .await
            .unwrap();
        }
        tx.commit().await.unwrap();
        // Of two that write the same at once, one wins.
        let (one, other) = (tenant.begin(), tenant.begin());
        one.insert(table, &user(8, "Cyd", "eng", 1)).await.unwrap();
        other.insert(table, &user(9, "Cyd", "eng", 1)).await.unwrap();
        one.commit().await.unwrap();
        assert!(matches!(other.commit().await, Err(Error::Conflict)));
        assert_sound(&tenant).await;
    }
}

pub(crate) async fn unique_keys_that_begin_each_other_are_told_apart<E: Engine>(engine: &E) {
    let table = Table::new("t")
        .key(1, "id", FieldType::Text)
        .field(2, "v", FieldType::Integer)
        .build()
        .unwrap();
    let tenant = tenant(engine).await;
    let index = table.index(["v"]).unwrap().unique();
    command_on(&tenant, &table, 1, Command::create_index("t", index))
        .await
        .unwrap();
    let tx = tenant.begin();
    let row = |id: &str| {
        table
            .row::<_, FieldValue>([("id", id.into()), ("v", 1.into())])
            .unwrap()
    };
    tx.insert(&table, &row("a")).await.unwrap();
    assert!(tx.insert(&table, &row("a\0b")).await.unwrap_err().row().is_some());
}

fn event(
    tx: &dust_layer::TenantTransaction<impl Engine>,
    day: i32,
    user: &str,
    time: u64,
    data: &str,
) -> dust_layer::row::Row {
    let fields: [(&str, FieldValue); 5] = [
        ("id", tx.versionstamp().into()),
        ("date", Date(day).into()),
        ("user", user.into()),
        ("time", Time(time).into()),
        ("data", data.into()),
    ];
    events().row(fields).unwrap()
}

/// A time series: no rows, and one covering index.
pub(crate) async fn a_table_without_rows_lives_in_its_index<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 30).await;
    let table = &events();
    let tx = tenant.begin();
    let early = tx.insert(table, &event(&tx, 1, "ada", 1, "")).await.unwrap_err();
    assert_eq!(early.schema(), Some(&SchemaError::NoData));
    let index = table.index(["date", "user", "time"]).unwrap().covering();
    command(&tenant, Command::create_index("events", index)).await.unwrap();
    let tx = tenant.begin();
    for day in 1..=3 {
        for user in ["ada", "bob", "cyd"] {
            for time in 1..=3 {
                tx.insert(
                    table,
                    &event(&tx, day, user, time, "something that takes more than one piece"),
                )
                .await
                .unwrap();
            }
        }
    }
    tx.commit().await.unwrap();

    let tx = tenant.begin();
    let date = |day: i32| FieldValue::from(Date(day));
    let time = |time: u64| FieldValue::from(Time(time));
    let count = async |query: &Query| tx.query(table, query).await.map(|rows| rows.len());
    assert_eq!(count(&Query::new()).await.unwrap(), 27);
    let of_user = Query::new().equals("date", date(2)).equals("user", "bob");
    assert_eq!(count(&of_user).await.unwrap(), 3);
    assert_eq!(count(&of_user.clone().range("time", time(2)..)).await.unwrap(), 2);
    assert_eq!(count(&Query::new().range("date", date(1)..date(3))).await.unwrap(), 18);
    for (query, refusal) in [
        (
            Query::new()
                .range("date", date(1)..)
                .equals("user", "bob")
                .range("time", ..time(2)),
            QueryError::TwoRanges {
                first: "date".into(),
                second: "time".into(),
            },
        ),
        (
            Query::new().range("date", date(1)..).equals("user", "bob"),
            QueryError::NoIndex {
                fields: vec!["user".into(), "date".into()],
            },
        ),
        (
            Query::new().equals("user", "bob"),
            QueryError::NoIndex {
                fields: vec!["user".into()],
            },
        ),
    ] {
        assert_eq!(count(&query).await.unwrap_err().query(), Some(&refusal));
    }
    // The latest two.
    let latest = of_user.clone().order_by("time", Direction::Reverse).limit(2);
    let times: Vec<_> = tx
        .query(table, &latest)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(4).clone())
        .collect();
    assert_eq!(times, [time(3), time(2)]);

    // By its primary key it is not found; through queries it is changed and deleted.
    let row = tx.first(table, &of_user).await.unwrap().unwrap();
    let key = &table.key_of(&row).unwrap();
    assert_eq!(
        tx.get_row(table, key).await.unwrap_err().schema(),
        Some(&SchemaError::NoRows)
    );
    assert_eq!(
        tx.delete(table, key).await.unwrap_err().schema(),
        Some(&SchemaError::NoRows)
    );
    assert!(tx.watch_row(table, key).is_err());
    assert_eq!(tx.update_all(table, &of_user, [("data", "short")]).await.unwrap(), 3);
    assert_eq!(tx.update_all(table, &of_user, [("user", "bea")]).await.unwrap(), 3);
    assert_eq!(count(&of_user).await.unwrap(), 0);
    let moved = tx
        .query(table, &Query::new().equals("date", date(2)).equals("user", "bea"))
        .await
        .unwrap();
    assert!(moved.iter().all(|row| row.get(5) == &"short".into()) && moved.len() == 3);
    assert_eq!(
        tx.delete_all(table, &Query::new().equals("date", date(2)))
            .await
            .unwrap(),
        9
    );
    tx.commit().await.unwrap();
    assert_eq!(tenant.begin().query(table, &Query::new()).await.unwrap().len(), 18);
    let checked = Migrator::new()
        .table(table)
        .verify(&tenant, "events", "date,user,time", Repair::Fix)
        .await;
    assert_eq!(checked.unwrap_err().schema(), Some(&SchemaError::NoRows));
}

pub(crate) async fn a_second_insert_into_an_index_without_rows_is_told<E: Engine>(engine: &E) {
    let table = &Table::new("t")
        .key(1, "id", FieldType::Integer)
        .field(2, "v", FieldType::Integer)
        .without_rows()
        .build()
        .unwrap();
    let tenant = tenant(engine).await;
    let mapped = Command::create_index("t", table.index(["v"]).unwrap());
    command_on(&tenant, table, 1, mapped).await.unwrap();
    let row = table.row([("id", 1), ("v", 2)]).unwrap();
    let refused = tenant.begin().insert(table, &row).await.unwrap_err();
    assert_eq!(refused.schema(), Some(&SchemaError::NoData));
    let commands = [
        Command::drop_index("t", "v"),
        Command::create_index("t", table.index(["v"]).unwrap().covering()),
    ];
    Migrator::new()
        .table(table)
        .run(&tenant, &[Migration::new(2, commands)])
        .await
        .unwrap();
    let tx = tenant.begin();
    tx.insert(table, &row).await.unwrap();
    assert_eq!(tx.insert(table, &row).await.unwrap_err().row(), Some(&RowError::Exists));
}

/// The counters of a group, in the order of the table in the documentation.
async fn counters<E: Engine>(tenant: &Tenant<E>, name: &str, group: &[FieldValue]) -> [u64; 5] {
    let tx = tenant.begin();
    let mut found = [0; 5];
    let signals = [
        Signal::Inserts,
        Signal::Deletes,
        Signal::Collection,
        Signal::Updates,
        Signal::Changes,
    ];
    for (count, signal) in found.iter_mut().zip(signals) {
        *count = tx.counter("users", name, group, signal).await.unwrap();
    }
    found
}

pub(crate) async fn counters_count_what_happens_to_all_and_to_each_group<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let commands = [
        Command::create_index("users", IndexDef::counters("all", Vec::new()).unwrap()),
        Command::create_index(
            "users",
            IndexDef::counters("by name", users().index_fields(["name"]).unwrap()).unwrap(),
        ),
    ];
    migrate(&tenant, &[Migration::new(1, commands)]).await.unwrap();
    let (ada, bob) = ([FieldValue::from("Ada")], [FieldValue::from("Bob")]);
    let table = &users();
    let key = &table.primary_key([1]).unwrap();
    assert_eq!(counters(&tenant, "all", &[]).await, [0; 5]);

    insert(&tenant, &[user(1, "Ada", "eng", 36)]).await.unwrap();
    assert_eq!(counters(&tenant, "all", &[]).await, [1, 0, 1, 0, 1]);
    assert_eq!(counters(&tenant, "by name", &ada).await, [1, 0, 1, 0, 1]);
    insert(&tenant, &[user(2, "Bob", "eng", 36)]).await.unwrap();
    assert_eq!(
        counters(&tenant, "by name", &ada).await,
        [1, 0, 1, 0, 1],
        "another group"
    );

    let update = async |changes: [(&str, FieldValue); 1]| {
        let tx = tenant.begin();
        tx.update(table, key, changes).await.unwrap();
        tx.commit().await.unwrap();
    };
    update([("age", 37.into())]).await;
    assert_eq!(counters(&tenant, "by name", &ada).await, [1, 0, 1, 1, 2]);
    update([("name", "Bob".into())]).await;
    assert_eq!(counters(&tenant, "by name", &ada).await, [1, 1, 2, 2, 3]);
    assert_eq!(counters(&tenant, "by name", &bob).await, [2, 0, 2, 1, 2]);
    update([("name", "Bob".into())]).await;
    assert_eq!(
        counters(&tenant, "by name", &bob).await,
        [2, 0, 2, 1, 2],
        "nothing changed"
    );
    assert_eq!(counters(&tenant, "all", &[]).await, [2, 0, 2, 2, 4]);
    let tx = tenant.begin();
    tx.delete(table, key).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counters(&tenant, "by name", &bob).await, [2, 1, 3, 1, 3]);
    assert_eq!(counters(&tenant, "all", &[]).await, [2, 1, 3, 2, 5]);

    let tx = tenant.begin();
    tx.clear_counters("users", "by name", &bob).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(counters(&tenant, "by name", &bob).await, [0; 5]);
    assert_eq!(counters(&tenant, "by name", &ada).await, [1, 1, 2, 2, 3]);
    let tx = tenant.begin();
    let refused = async |name: &str, group: &[FieldValue]| {
        tx.counter("users", name, group, Signal::Changes)
            .await
            .unwrap_err()
            .schema()
            .unwrap()
            .clone()
    };
    assert!(matches!(
        refused("nothing", &[]).await,
        SchemaError::UnknownIndex { .. }
    ));
    assert_eq!(
        refused("by name", &[]).await,
        SchemaError::KeyFields { expected: 1, found: 0 }
    );
    // They answer no queries, and go when they are dropped.
    assert!(tx.query(table, &by_name("Bob")).await.unwrap_err().query().is_some());
    command(&tenant, Command::drop_index("users", "by name")).await.unwrap();
    assert_eq!(keys_with(&tenant, b"Ada").await, 0);
}

pub(crate) async fn counters_do_not_make_writers_conflict<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    command(
        &tenant,
        Command::create_index("users", IndexDef::counters("all", Vec::new()).unwrap()),
    )
    .await
    .unwrap();
    let (one, other) = (tenant.begin(), tenant.begin());
    one.insert(&users(), &user(1, "Ada", "eng", 36)).await.unwrap();
    other.insert(&users(), &user(2, "Bob", "eng", 36)).await.unwrap();
    one.commit().await.unwrap();
    other.commit().await.unwrap();
    assert_eq!(counters(&tenant, "all", &[]).await, [2, 0, 2, 0, 2]);
}

/// The users whose name begins with a letter of the options, and how many there are.
struct Initial;

impl Initial {
    fn key<E: Engine>(space: &IndexSpace<'_, E>, record: &dyn Record) -> Result<Option<String>, Error> {
        let dust_layer::index::IndexKind::Custom { options, .. } = space.def().kind() else {
            panic!("a custom index");
        };
        Ok(match record.field(&space.def().fields()[0])? {
            FieldValue::Text(name) if name.as_bytes().first() == options.first() => Some(name),
            _ => None,
        })
    }
}

impl<E: Engine> Indexer<E> for Initial {
    fn set<'a>(&'a self, space: &'a IndexSpace<'a, E>, record: &'a dyn Record) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if let Some(name) = Self::key(space, record)? {
                let key = ("name", &*name, record.key().packed());
                // Builds and writers may both come here.
                if space.get(&key).await?.is_none() {
                    space.atomic(Atomic::Add, &("count",), &1_u64.to_le_bytes());
                }
                space.set(&key, record.key().packed());
            }
            Ok(())
        })
    }

    fn clear<'a>(&'a self, space: &'a IndexSpace<'a, E>, record: &'a dyn Record) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            if let Some(name) = Self::key(space, record)? {
                let key = ("name", &*name, record.key().packed());
                if space.get(&key).await?.is_some() {
                    space.atomic(Atomic::Add, &("count",), &(-1_i64).to_le_bytes());
                }
                space.clear(&key);
            }
            Ok(())
        })
    }

    fn range(&self, space: &IndexSpace<'_, E>, arguments: &[FieldValue]) -> Result<Range<Vec<u8>>, Error> {
        match arguments {
            [] => {
                let begin = space.key(&("name",));
                let end = dust_layer::tuple::strinc(&begin).unwrap();
                Ok(begin..end)
            }
            _ => Ok(b"".to_vec()..b"\xff".to_vec()),
        }
    }
}

pub(crate) async fn a_custom_index_is_kept_built_queried_and_dropped<E: Engine>(engine: &E) {
    let tenant = tenant_with(engine, Options::default().indexer("initial", Initial)).await;
    insert(&tenant, &[user(1, "John", "eng", 36), user(2, "Ada", "eng", 36)])
        .await
        .unwrap();
    let fields = || users().index_fields(["name"]).unwrap();
    let def = IndexDef::custom("j", "initial", fields())
        .unwrap()
        .with_options(b"J".to_vec());
    command(&tenant, Command::create_index("users", def)).await.unwrap();
    insert(&tenant, &[user(3, "James", "eng", 36)]).await.unwrap();
    let names = async || -> Vec<String> {
        let rows = tenant.begin().query_custom(&users(), "j", &[]).await.unwrap();
        rows.iter().map(|row| row.get(2).to_string()).collect()
    };
    assert_eq!(names().await, ["\"James\"", "\"John\""]);
    let tx = tenant.begin();
    tx.update(&users(), &users().primary_key([1]).unwrap(), [("name", "Bob")])
        .await
        .unwrap();
    tx.update(&users(), &users().primary_key([2]).unwrap(), [("name", "Joan")])
        .await
        .unwrap();
    tx.delete(&users(), &users().primary_key([3]).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(names().await, ["\"Joan\""]);
    let beyond = tenant.begin().query_custom(&users(), "j", &[1.into()]).await;
    assert!(matches!(beyond, Err(Error::ReservedKey)));
    // A planned query does not know it; a program that lacks the indexer writes nothing.
    assert!(
        tenant
            .begin()
            .query(&users(), &by_name("Joan"))
            .await
            .unwrap_err()
            .query()
            .is_some()
    );
    let other = Layer::new(engine).open("acme", "reading").await.unwrap();
    let refused = insert(&other, &[user(9, "Jim", "eng", 1)]).await.unwrap_err();
    assert!(matches!(refused.schema(), Some(SchemaError::UnknownIndexer { .. })));

    command(&tenant, Command::drop_index("users", "j")).await.unwrap();
    assert_eq!(keys_with(&tenant, b"Joan").await, 0);
    assert_eq!(keys_with(&tenant, b"count").await, 0);
    let gone = tenant.begin().query_custom(&users(), "j", &[]).await.unwrap_err();
    assert!(matches!(gone.schema(), Some(SchemaError::UnknownIndex { .. })));
    let unknown = IndexDef::custom("x", "nobody", fields()).unwrap();
    let refused = command(&tenant, Command::create_index("users", unknown))
        .await
        .unwrap_err();
    assert!(matches!(refused.schema(), Some(SchemaError::UnknownIndexer { .. })));
}

pub(crate) async fn an_index_knows_a_field_that_the_table_of_an_older_program_lacks<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["age"]])).await.unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 36)]).await.unwrap();
    let old = Table::new("users")
        .key(1, "id", FieldType::Integer)
        .field(2, "name", FieldType::Text)
        .build()
        .unwrap();
    let tx = tenant.begin();
    tx.update(&old, &old.primary_key([1]).unwrap(), [("name", "Bob")])
        .await
        .unwrap();
    tx.insert(
        &old,
        &old.row::<_, FieldValue>([("id", 2.into()), ("name", "Cyd".into())])
            .unwrap(),
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(
        ids(&tenant.begin(), &Query::new().equals("age", 36)).await.unwrap(),
        [1]
    );
    assert_eq!(
        ids(&tenant.begin(), &Query::new().equals("age", FieldValue::Null))
            .await
            .unwrap(),
        [2]
    );
    assert_sound(&tenant).await;
}

pub(crate) async fn an_entry_without_its_row_is_corruption_and_not_silence<E: Engine>(engine: &E) {
    use dust_layer::Transaction;
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name"]])).await.unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 36)]).await.unwrap();
    let row_key = everything(&tenant).await.get(0).unwrap().0.to_vec();
    let tx = tenant.begin();
    tx.raw().clear(&row_key);
    assert!(matches!(
        tx.query(&users(), &by_name("Ada")).await,
        Err(Error::Corrupt { .. })
    ));
}

pub(crate) async fn rows_that_an_index_finds_are_changed_and_deleted_in_one_transaction<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 30).await;
    migrate(&tenant, &indexes(&[&["name"], &["age"]])).await.unwrap();
    let rows: Vec<_> = (1..=9)
        .map(|id| user(id, if id % 3 == 0 { "Ada" } else { "Bob" }, "eng", id))
        .collect();
    insert(&tenant, &rows).await.unwrap();
    let table = &users();
    let tx = tenant.begin();
    for row in tx.query(table, &by_name("Ada")).await.unwrap() {
        let key = table.key_of(&row).unwrap();
        tx.update(table, &key, [("name", "Cyd")]).await.unwrap();
    }
    // The transaction finds what it has made of them.
    assert!(ids(&tx, &by_name("Ada")).await.unwrap().is_empty());
    assert_eq!(ids(&tx, &by_name("Cyd")).await.unwrap(), [3, 6, 9]);
    for row in tx
        .query(table, &Query::new().range("age", FieldValue::from(6)..))
        .await
        .unwrap()
    {
        assert!(tx.delete(table, &table.key_of(&row).unwrap()).await.unwrap());
    }
    tx.commit().await.unwrap();
    assert_eq!(ids(&tenant.begin(), &by_name("Cyd")).await.unwrap(), [3]);
    assert_eq!(ids(&tenant.begin(), &by_name("Bob")).await.unwrap(), [1, 2, 4, 5]);
    assert_sound(&tenant).await;
}

pub(crate) async fn a_cleared_table_leaves_nothing_in_any_index<E: Engine>(engine: &E) {
    let tenant = tenant_with(engine, Options::default().indexer("initial", Initial)).await;
    let fields = || users().index_fields(["name"]).unwrap();
    let defs = [
        users().index(["name"]).unwrap().unique(),
        users().index(["age"]).unwrap().covering(),
        IndexDef::counters("all", Vec::new()).unwrap(),
        IndexDef::custom("j", "initial", fields())
            .unwrap()
            .with_options(b"J".to_vec()),
    ];
    for def in defs {
        command(&tenant, Command::create_index("users", def)).await.unwrap();
    }
    let empty = everything(&tenant).await.len();
    let rows = [user(1, "John", "eng", 36), user(2, "Ada", "eng", 36)];
    insert(&tenant, &rows).await.unwrap();
    let tx = tenant.begin();
    tx.clear_table(&users()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(everything(&tenant).await.len(), empty);
    assert!(
        tenant
            .begin()
            .query_custom(&users(), "j", &[])
            .await
            .unwrap()
            .is_empty()
    );
    // They go on from nothing, the unique one too.
    insert(&tenant, &rows).await.unwrap();
    assert_eq!(counters(&tenant, "all", &[]).await, [2, 0, 2, 0, 2]);
    assert_sound(&tenant).await;
}
