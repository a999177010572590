//! Migrations: in order, once, resumable after a kill at every step, taken over, in nobody's way.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use dust_layer::clock::{Clock, ManualTime};
use dust_layer::engine::instrumented::{CommitFault, Instrumented};
use dust_layer::index::{IndexDef, IndexState};
use dust_layer::layer::{Layer, Options};
use dust_layer::migration::{Command, LEASE, Migration, Migrator, Progress, Repair};
use dust_layer::query::Query;
use dust_layer::table::Table;
use dust_layer::value::FieldType;
use dust_layer::{Engine, Error, MigrationError, QueryError, RowError, SchemaError, Tenant};

use super::fixture::{
    assert_sound, clear, command, everything, id_of, ids, indexes, insert, keys_with, migrate, splitting, tenant, user,
    users,
};

fn by_name(name: &str) -> Query {
    Query::new().equals("name", name)
}

/// A migrator that goes through few rows at once and counts its transactions.
pub(crate) fn counting<E: Engine>(batch: usize) -> (Migrator<E>, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    let migrator = Migrator::new()
        .table(&users())
        .batch_records(batch.try_into().unwrap())
        .on_progress(move |_| {
            seen.fetch_add(1, Ordering::SeqCst);
        });
    (migrator, count)
}

/// Runs a future until `count` has grown, or it ends.
async fn until_step<T>(mut run: Pin<&mut impl Future<Output = T>>, count: &AtomicUsize) -> Option<T> {
    let before = count.load(Ordering::SeqCst);
    std::future::poll_fn(|context| match run.as_mut().poll(context) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending if count.load(Ordering::SeqCst) > before => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Runs a future while time passes whenever somebody waits for it.
pub(crate) async fn while_time_passes<T>(run: impl Future<Output = T>, time: &ManualTime) -> T {
    let mut run = pin!(run);
    std::future::poll_fn(|context| {
        let outcome = run.as_mut().poll(context);
        if outcome.is_pending() && time.waiters() > 0 {
            time.advance(LEASE);
        }
        outcome
    })
    .await
}

/// A node of its own, with a clock of its own.
pub(crate) async fn node<E: Engine>(engine: &E) -> (Tenant<E>, ManualTime) {
    let (clock, time) = Clock::manual(Duration::from_secs(1_000_000));
    let layer = Layer::with_options(engine, Options::default().clock(clock).split_bytes(40));
    (layer.create_or_open("acme", "reading").await.unwrap(), time)
}

pub(crate) fn rows(count: i64) -> Vec<dust_layer::row::Row> {
    let named = |id: i64| {
        let mut row = user(id, if id % 2 == 0 { "Ada" } else { "Bob" }, "eng", id);
        if id % 3 == 0 {
            row.set(5, "n".repeat(100));
        }
        row
    };
    (1..=count).map(named).collect()
}

pub(crate) fn both() -> [Migration; 2] {
    let name = users().index(["name"]).unwrap();
    let age = users().index(["age", "name"]).unwrap().covering().unique();
    [
        Migration::new(1, [Command::create_index("users", name.clone())]),
        Migration::new(
            2,
            [
                Command::create_index("users", age),
                Command::drop_index("users", "name"),
                Command::create_index("users", name),
            ],
        ),
    ]
}

pub(crate) async fn an_index_over_rows_that_were_there_answers_once_it_is_built<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 30).await;
    insert(&tenant, &rows(20)).await.unwrap();
    let refused = ids(&tenant.begin(), &by_name("Ada")).await.unwrap_err();
    assert_eq!(
        refused.query(),
        Some(&QueryError::NoIndex {
            fields: vec!["name".into()]
        })
    );
    assert_eq!(migrate(&tenant, &both()).await.unwrap(), [1, 2]);
    assert_eq!(ids(&tenant.begin(), &by_name("Ada")).await.unwrap().len(), 10);
    assert_eq!(tenant.migrations().await.unwrap(), [1, 2]);
    assert_eq!(migrate(&tenant, &both()).await.unwrap(), [0_u64; 0]);
    assert_sound(&tenant).await;
}

/// Rows of many pieces, and more pieces than a step has rows.
pub(crate) async fn a_build_goes_through_rows_of_any_length_in_steps_of_any_size<E: Engine>(engine: &E) {
    for batch in [1, 2, 3, 100] {
        let tenant = splitting(engine, 10).await;
        insert(&tenant, &rows(15)).await.unwrap();
        let (migrator, steps) = counting(batch);
        migrator.run(&tenant, &indexes(&[&["name"]])).await.unwrap();
        // A page that ends with a split row cannot tell that it was the last one.
        let steps = steps.load(Ordering::SeqCst) - 15_usize.div_ceil(batch);
        assert!([1, 2].contains(&steps), "{steps}");
        assert_eq!(ids(&tenant.begin(), &by_name("Bob")).await.unwrap().len(), 8);
        assert_sound(&tenant).await;
    }
}

pub(crate) async fn progress_is_told<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    insert(&tenant, &rows(5)).await.unwrap();
    let told = Arc::new(std::sync::Mutex::new(Vec::new()));
    let telling = Arc::clone(&told);
    let migrator = Migrator::new()
        .table(&users())
        .batch_records(2.try_into().unwrap())
        .on_progress(move |progress| telling.lock().unwrap().push(progress.clone()));
    let commands = [
        Command::create_index("users", users().index(["name"]).unwrap()),
        Command::drop_index("users", "name"),
    ];
    migrator.run(&tenant, &[Migration::new(7, commands)]).await.unwrap();
    let step = |command, records, is_done| Progress {
        tenant: "reading".into(),
        version: 7,
        command,
        records,
        is_done,
    };
    let expected = [
        step(0, 0, false),
        step(0, 2, false),
        step(0, 4, false),
        step(0, 5, true),
        step(1, 0, false),
        step(1, 2, false),
        step(1, 4, false),
        step(1, 5, true),
    ];
    assert_eq!(*told.lock().unwrap(), expected);
}

pub(crate) async fn versions_must_grow_and_what_is_unknown_is_refused<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    for versions in [[2, 1], [3, 3]] {
        let migrations = versions.map(|version| Migration::new(version, []));
        let refused = migrate(&tenant, &migrations).await.unwrap_err();
        assert_eq!(
            refused.migration(),
            Some(&MigrationError::Order { version: versions[1] })
        );
    }
    let index = || users().index(["name"]).unwrap();
    let refused = command(&tenant, Command::create_index("nothing", index()))
        .await
        .unwrap_err();
    let collection = "nothing".into();
    assert_eq!(
        refused.migration(),
        Some(&MigrationError::UnknownCollection { collection })
    );
    // The claim was given back, and an older version that comes later runs, too.
    migrate(&tenant, &[Migration::new(5, [Command::create_index("users", index())])])
        .await
        .unwrap();
    let another = Command::create_index("users", users().index(["age"]).unwrap());
    let late = [Migration::new(3, [another]), Migration::new(5, [])];
    assert_eq!(migrate(&tenant, &late).await.unwrap(), [3]);
    // The same index again is done already; another one of its name is refused.
    command(&tenant, Command::create_index("users", index())).await.unwrap();
    let refused = command(&tenant, Command::create_index("users", index().unique()))
        .await
        .unwrap_err();
    assert_eq!(
        refused.schema(),
        Some(&SchemaError::IndexExists { index: "name".into() })
    );
    assert_eq!(keys_with(&tenant, b"claim").await, 0);
}

/// A kill after each transaction, writes by another node, and a third one that goes on.
pub(crate) async fn a_build_that_is_killed_at_any_step_is_taken_over<E: Engine>(engine: &E) {
    let mut kill_at = 0;
    loop {
        clear(engine).await;
        let (first, _) = node(engine).await;
        insert(&first, &rows(7)).await.unwrap();
        let writer = node(engine).await.0;
        // It knows the definitions as they were before.
        insert(&writer, &[user(100, "Ada", "eng", 100)]).await.unwrap();
        let (migrator, count) = counting(2);
        let migrations = both();
        let mut run = Box::pin(migrator.run(&first, &migrations));
        let mut is_finished = false;
        for _ in 0..kill_at {
            is_finished = until_step(run.as_mut(), &count).await.is_some();
            if is_finished {
                break;
            }
        }
        drop(run);
        let tx = writer.begin();
        let table = &users();
        tx.insert(table, &user(101, "Ada", "eng", 101)).await.unwrap();
        tx.insert(table, &user(0, "Bob", "eng", 0)).await.unwrap();
        tx.update(
            table,
            &table.primary_key([3]).unwrap(),
            [("name", "Ada"), ("notes", "short")],
        )
        .await
        .unwrap();
        tx.update(table, &table.primary_key([7]).unwrap(), [("age", 70)])
            .await
            .unwrap();
        tx.delete(table, &table.primary_key([6]).unwrap()).await.unwrap();
        match tx.commit().await {
            Ok(_) => {}
            // The commit that was under way came in between; the writer would try again.
            Err(Error::Conflict) => continue,
            Err(error) => panic!("{error:?}"),
        }
        let (second, time) = node(engine).await;
        while_time_passes(migrator.run(&second, &migrations), &time)
            .await
            .unwrap();
        for tenant in [&first, &writer, &second] {
            assert_eq!(
                ids(&tenant.begin(), &by_name("Ada")).await.unwrap(),
                [2, 3, 4, 100, 101],
                "{kill_at}"
            );
            assert_sound(tenant).await;
        }
        assert_eq!(second.migrations().await.unwrap(), [1, 2]);
        assert_eq!(keys_with(&second, b"claim").await, 0, "{kill_at}");
        if is_finished {
            assert!(kill_at > 12, "{kill_at}");
            break;
        }
        kill_at += 1;
    }
}

/// A node that stood still for long finds that another one has gone on, and does no harm.
pub(crate) async fn an_owner_that_was_taken_over_stops_and_waits<E: Engine>(engine: &E) {
    for pause_at in 1..8 {
        clear(engine).await;
        let (first, first_time) = node(engine).await;
        insert(&first, &rows(7)).await.unwrap();
        let (slow, slow_count) = counting(2);
        let (quick, quick_count) = counting(2);
        let migrations = both();
        let mut run = Box::pin(slow.run(&first, &migrations));
        for _ in 0..pause_at {
            assert!(until_step(run.as_mut(), &slow_count).await.is_none());
        }
        let (second, time) = node(engine).await;
        let mut other = pin!(while_time_passes(quick.run(&second, &migrations), &time));
        assert!(until_step(other.as_mut(), &quick_count).await.is_none());
        // Both go on; only one of them can.
        let (slow_ran, quick_ran) = futures_util::future::join(while_time_passes(run, &first_time), other).await;
        let mut ran = [slow_ran.unwrap(), quick_ran.unwrap()].concat();
        ran.sort_unstable();
        ran.dedup();
        assert_eq!(*ran.last().unwrap(), 2, "{pause_at}");
        assert_sound(&first).await;
        assert_eq!(ids(&first.begin(), &by_name("Ada")).await.unwrap(), [2, 4, 6]);
        assert_eq!(keys_with(&second, b"claim").await, 0);
    }
}

pub(crate) async fn a_claim_is_waited_for_though_its_watch_is_refused<E: Engine>(engine: &E) {
    let (first, _) = node(engine).await;
    insert(&first, &rows(7)).await.unwrap();
    let (migrator, count) = counting(2);
    let migrations = both();
    let mut run = Box::pin(migrator.run(&first, &migrations));
    assert!(until_step(run.as_mut(), &count).await.is_none());
    let engine = Instrumented::new(engine.clone());
    let (second, _) = node(&engine).await;
    engine.fail_watches(3);
    let (migrator, _) = counting(2);
    let (ran, others) = futures_util::future::join(run, migrator.run(&second, &migrations)).await;
    assert_eq!((ran.unwrap(), others.unwrap()), (vec![1, 2], Vec::new()));
    assert_sound(&second).await;
}

/// Between any two transactions of a build or a drop, a node that knew the definitions from before writes.
pub(crate) async fn writers_with_old_knowledge_lose_no_entry_and_leave_none<E: Engine>(engine: &E) {
    let (builder, _) = node(engine).await;
    let (writer, _) = node(engine).await;
    insert(&builder, &rows(9)).await.unwrap();
    insert(&writer, &[user(1000, "Ada", "eng", 1000)]).await.unwrap();
    let (migrator, count) = counting(2);
    let migrations = both();
    let mut run = Box::pin(migrator.run(&builder, &migrations));
    let mut id = 1000;
    while until_step(run.as_mut(), &count).await.is_none() {
        id += 1;
        // In front of the cursor and behind it.
        insert(&writer, &[user(id, "Ada", "eng", id), user(-id, "Ada", "eng", -id)])
            .await
            .unwrap();
        let tx = writer.begin();
        let key = users().primary_key([-id + 1]).unwrap();
        if tx.delete(&users(), &key).await.unwrap() {
            tx.commit().await.unwrap();
        }
    }
    drop(run);
    assert!(id > 1012);
    for node in [&builder, &writer] {
        assert_sound(node).await;
        let all = node.begin().query(&users(), &Query::new()).await.unwrap();
        let adas = all
            .iter()
            .filter(|row| row.get(2) == &"Ada".into())
            .map(id_of)
            .collect::<Vec<_>>();
        assert_eq!(ids(&node.begin(), &by_name("Ada")).await.unwrap(), adas);
    }
    // Dropped with writers between the steps, nothing of it is left; made again, it is whole.
    let drop_it = [Migration::new(3, [Command::drop_index("users", "name")])];
    let mut run = Box::pin(migrator.run(&builder, &drop_it));
    while until_step(run.as_mut(), &count).await.is_none() {
        id += 1;
        insert(&writer, &[user(id, "Ada", "eng", id)]).await.unwrap();
    }
    drop(run);
    assert_eq!(keys_with(&writer, b"\x01i\0\x01name\0").await, 0);
    command(
        &writer,
        Command::create_index("users", users().index(["name"]).unwrap()),
    )
    .await
    .unwrap();
    assert_sound(&writer).await;
}

/// A transaction that began before a change of the definitions does not commit after it.
pub(crate) async fn a_write_under_way_conflicts_with_each_change_of_state<E: Engine>(engine: &E) {
    use IndexState::{Building, Dropping, Readable, WriteOnly};
    let (builder, _) = node(engine).await;
    let (writer, _) = node(engine).await;
    insert(&builder, &rows(3)).await.unwrap();
    let (migrator, count) = counting(1);
    let commands = [
        Command::create_index("users", users().index(["name"]).unwrap()),
        Command::drop_index("users", "name"),
    ];
    let migrations = [Migration::new(1, commands)];
    let mut run = Box::pin(migrator.run(&builder, &migrations));
    let mut outcomes = Vec::new();
    let mut states = vec![None];
    for id in (i64::MIN..-100).rev() {
        // Behind the cursor, so that the build comes to an end.
        let tx = writer.begin();
        tx.insert(&users(), &user(id, "Ada", "eng", 1)).await.unwrap();
        let is_done = until_step(run.as_mut(), &count).await.is_some();
        let catalog = writer.begin().catalog("users").await.unwrap();
        states.push(catalog.index("name").ok().map(|index| index.state));
        outcomes.push(tx.commit().await.is_err());
        if is_done {
            break;
        }
    }
    let changed: Vec<bool> = states
        .iter()
        .zip(&states[1..])
        .map(|(before, after)| before != after)
        .collect();
    // A step whose commit is still under way may show later, but every change is a conflict for somebody.
    for (step, changed) in changed.iter().enumerate() {
        assert!(!changed || outcomes[step], "step {step}: {states:?} {outcomes:?}");
    }
    let mut seen: Vec<_> = states.into_iter().collect();
    seen.dedup();
    let whole = [
        None,
        Some(WriteOnly),
        Some(Building),
        Some(Readable),
        Some(Dropping),
        None,
    ];
    assert_eq!(seen, whole);
}

pub(crate) async fn while_an_index_is_built_or_dropped_it_answers_nothing<E: Engine>(engine: &E) {
    let tenant = node(engine).await.0;
    insert(&tenant, &rows(5)).await.unwrap();
    let (migrator, count) = counting(2);
    let commands = [
        Command::create_index("users", users().index(["name"]).unwrap()),
        Command::drop_index("users", "name"),
    ];
    let migrations = [Migration::new(1, commands)];
    let mut run = Box::pin(migrator.run(&tenant, &migrations));
    let mut told = Vec::new();
    while until_step(run.as_mut(), &count).await.is_none() {
        told.push(match ids(&tenant.begin(), &by_name("Ada")).await {
            Ok(found) => {
                assert_eq!(found, [2, 4]);
                "readable".to_owned()
            }
            Err(error) => error.query().unwrap().to_string(),
        });
    }
    told.dedup();
    let expected = [
        "index name is not built yet",
        "index name is being built",
        "readable",
        "index name is being dropped",
    ];
    assert!(
        expected.iter().all(|state| told.iter().any(|told| told == state)),
        "{told:?}"
    );
}

pub(crate) async fn commits_of_unknown_outcome_and_conflicts_do_no_harm_to_a_build<E: Engine>(engine: &E) {
    for faults in [
        vec![CommitFault::Unknown { applied: true }],
        vec![CommitFault::Unknown { applied: false }],
        vec![CommitFault::Conflict, CommitFault::Conflict, CommitFault::Conflict],
    ] {
        for at in 0..10 {
            let engine = Instrumented::new(engine.clone());
            let tenant = tenant(&engine).await;
            insert(&tenant, &rows(7)).await.unwrap();
            let before = std::iter::repeat_n(CommitFault::None, at);
            engine.fail_commits(before.chain(faults.iter().copied()));
            let (migrator, _) = counting(3);
            assert_eq!(
                migrator.run(&tenant, &both()).await.unwrap().last(),
                Some(&2),
                "{faults:?} at {at}"
            );
            assert_sound(&tenant).await;
            assert_eq!(keys_with(&tenant, b"claim").await, 0);
        }
    }
}

pub(crate) async fn a_unique_index_over_duplicates_is_told_and_goes_on_when_they_are_gone<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    insert(
        &tenant,
        &[
            user(1, "Ada", "eng", 1),
            user(2, "Bob", "eng", 2),
            user(3, "Ada", "eng", 3),
        ],
    )
    .await
    .unwrap();
    let migrations = [Migration::new(
        1,
        [Command::create_index(
            "users",
            users().index(["name"]).unwrap().unique(),
        )],
    )];
    let (migrator, _) = counting(1);
    for _ in 0..2 {
        let refused = migrator.run(&tenant, &migrations).await.unwrap_err();
        assert_eq!(refused.row(), Some(&RowError::Duplicate { index: "name".into() }));
        assert_eq!(keys_with(&tenant, b"claim").await, 0);
    }
    // Writers are refused by what is built and by each other.
    let refused = insert(&tenant, &[user(4, "Bob", "eng", 4)]).await.unwrap_err();
    assert!(refused.row().is_some());
    let tx = tenant.begin();
    tx.delete(&users(), &users().primary_key([3]).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    migrator.run(&tenant, &migrations).await.unwrap();
    assert_eq!(ids(&tenant.begin(), &by_name("Ada")).await.unwrap(), [1]);
    assert_sound(&tenant).await;
}

pub(crate) async fn large_rows_make_smaller_steps<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    for id in 1..=3 {
        let mut row = user(id, "Ada", "eng", id);
        row.set(5, "n".repeat(4_000_000));
        insert(&tenant, &[row]).await.unwrap();
    }
    let index = users().index(["name"]).unwrap().covering();
    command(&tenant, Command::create_index("users", index)).await.unwrap();
    assert_eq!(ids(&tenant.begin(), &by_name("Ada")).await.unwrap(), [1, 2, 3]);
}

pub(crate) async fn programs_with_different_lists_run_what_each_knows<E: Engine>(engine: &E) {
    let (one, _) = node(engine).await;
    let (other, other_time) = node(engine).await;
    insert(&one, &rows(4)).await.unwrap();
    let list = |entries: &[(u64, &str)]| -> Vec<Migration> {
        let entry = |(version, field): &(u64, &str)| {
            Migration::new(
                *version,
                [Command::create_index("users", users().index([field]).unwrap())],
            )
        };
        entries.iter().map(entry).collect()
    };
    let (old, count) = counting(1);
    let (new, _) = counting(1);
    let (old_list, new_list) = (
        list(&[(1, "name"), (2, "age")]),
        list(&[(1, "name"), (3, "department")]),
    );
    let mut run = Box::pin(old.run(&one, &old_list));
    for _ in 0..7 {
        assert!(until_step(run.as_mut(), &count).await.is_none());
    }
    drop(run);
    // Version 2 is half done by a program that died. One that does not know it runs what it knows.
    assert_eq!(
        while_time_passes(new.run(&other, &new_list), &other_time)
            .await
            .unwrap(),
        [3]
    );
    assert_eq!(other.migrations().await.unwrap(), [1, 3]);
    let unready = ids(&other.begin(), &Query::new().equals("age", 1)).await.unwrap_err();
    assert!(matches!(unready.query(), Some(QueryError::NotReadable { .. })));
    insert(&other, &[user(9, "Eve", "law", 1)]).await.unwrap();
    assert_eq!(old.run(&one, &old_list).await.unwrap(), [2]);
    assert_eq!(
        ids(&other.begin(), &Query::new().equals("age", 1)).await.unwrap(),
        [1, 9]
    );
    assert_sound(&one).await;
}

pub(crate) async fn all_tenants_are_migrated_and_one_that_fails_stops_no_other<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    for id in ["a", "b", "c", "d"] {
        let tenant = layer.create_or_open("acme", id).await.unwrap();
        let name = if id == "c" { "Ada" } else { "Bob" };
        insert(&tenant, &[user(1, "Ada", "eng", 1), user(2, name, "eng", 1)])
            .await
            .unwrap();
    }
    let migrations = [Migration::new(
        1,
        [Command::create_index(
            "users",
            users().index(["name"]).unwrap().unique(),
        )],
    )];
    let migrator = Migrator::new().table(&users());
    let outcomes = migrator
        .run_all(&layer, "acme", &migrations, 3.try_into().unwrap())
        .await
        .unwrap();
    let told: Vec<_> = outcomes.iter().map(|(id, outcome)| (&**id, outcome.is_ok())).collect();
    assert_eq!(told, [("a", true), ("b", true), ("c", false), ("d", true)]);
    let tenant = migrator.open(&layer, "acme", "e", &migrations).await.unwrap();
    assert_eq!(tenant.migrations().await.unwrap(), [1]);
}

/// Three releases of a program: one field becomes another one of another number.
pub(crate) async fn a_field_is_copied_and_deleted_and_one_that_is_renamed_costs_nothing<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 40).await;
    insert(&tenant, &rows(7)).await.unwrap();
    let base = || Table::new("users").key(1, "id", FieldType::Integer);
    let two = base()
        .field(2, "name", FieldType::Text)
        .field(5, "remark", FieldType::Text)
        .field(6, "full_name", FieldType::Text)
        .build()
        .unwrap();
    // The field 5 has another name now; what is stored is found under it.
    let key = two.primary_key([3]).unwrap();
    let found = tenant.begin().get_row(&two, &key).await.unwrap().unwrap();
    assert_eq!(two.get(&found, "remark").unwrap(), &"n".repeat(100).into());

    let run = async |table: &Table, version: u64, command: Command| {
        let migrator = Migrator::new().table(table).batch_records(2.try_into().unwrap());
        migrator.run(&tenant, &[Migration::new(version, [command])]).await
    };
    run(&two, 1, Command::create_index("users", two.index(["name"]).unwrap()))
        .await
        .unwrap();
    run(
        &two,
        2,
        Command::create_index("users", two.index(["full_name"]).unwrap()),
    )
    .await
    .unwrap();
    let before = tenant.layer().metrics().rows_written;
    run(&two, 3, Command::copy_field("users", "name", "full_name"))
        .await
        .unwrap();
    assert_eq!(tenant.layer().metrics().rows_written - before, 7);
    run(&two, 4, Command::copy_field("users", "name", "full_name"))
        .await
        .unwrap();
    assert_eq!(
        tenant.layer().metrics().rows_written - before,
        7,
        "equal values are not written"
    );
    let adas = tenant
        .begin()
        .query(&two, &Query::new().equals("full_name", "Ada"))
        .await
        .unwrap();
    assert_eq!(adas.len(), 3);

    let refused = run(&two, 5, Command::copy_field("users", "name", "nothing"))
        .await
        .unwrap_err();
    assert!(matches!(refused.schema(), Some(SchemaError::UnknownField { .. })));
    let refused = run(&two, 5, Command::copy_field("users", "name", "id"))
        .await
        .unwrap_err();
    assert!(
        matches!(refused.schema(), Some(SchemaError::WrongType { .. }) | None),
        "{refused:?}"
    );
    let in_use = |error: Error, user: &str| {
        let (field, user) = ("2".into(), user.into());
        assert_eq!(error.migration(), Some(&MigrationError::FieldInUse { field, user }));
    };
    in_use(
        run(&two, 5, Command::delete_field("users", 2)).await.unwrap_err(),
        "users",
    );
    let three = base().field(6, "full_name", FieldType::Text).build().unwrap();
    in_use(
        run(&three, 5, Command::delete_field("users", 2)).await.unwrap_err(),
        "name",
    );
    run(&three, 5, Command::drop_index("users", "name")).await.unwrap();
    run(&three, 6, Command::delete_field("users", 2)).await.unwrap();
    let left = tenant.begin().query(&three, &Query::new()).await.unwrap();
    assert!(left.len() == 7 && left.iter().all(|row| row.unknown().all(|number| number != 2)));
    assert!(left.iter().all(|row| row.unknown().any(|number| number == 3)));
    let found = Migrator::new()
        .table(&three)
        .verify(&tenant, "users", "full_name", Repair::Report)
        .await
        .unwrap();
    assert!(found.is_sound() && found.entries == 7);
}

pub(crate) async fn what_differs_is_counted_and_repaired<E: Engine>(engine: &E) {
    use dust_layer::Transaction;
    for covering in [false, true] {
        let tenant = splitting(engine, 40).await;
        let mut index = users().index(["name"]).unwrap();
        if covering {
            index = index.covering();
        }
        command(&tenant, Command::create_index("users", index)).await.unwrap();
        insert(&tenant, &rows(9)).await.unwrap();
        let space = b"\x01i\0\x01name\0";
        let pairs = everything(&tenant).await;
        let entries: Vec<_> = pairs
            .iter()
            .filter(|(key, _)| key.windows(space.len()).any(|part| part == space))
            .collect();
        let tx = tenant.begin();
        // One entry away, one that leads nowhere, one that is no entry, and in a covering one other bytes.
        tx.raw().clear_range(entries[0].0, &[entries[0].0, &[0xff]].concat());
        let nowhere = [&entries[1].0[..entries[1].0.len() - 1], &[0x7f][..]].concat();
        tx.raw().set(&nowhere, if covering { b"\x01" } else { b"" });
        if !covering {
            tx.raw().set(&[entries[1].0, &[0xfe][..]].concat(), b"");
        }
        if covering {
            let whole = entries.iter().skip(1).find(|(_, value)| value[0] == 1).unwrap();
            tx.raw().set(whole.0, b"\x01other");
        }
        tx.commit().await.unwrap();
        let migrator = Migrator::new().table(&users()).batch_records(2.try_into().unwrap());
        let found = migrator.verify(&tenant, "users", "name", Repair::Report).await.unwrap();
        assert_eq!(
            (found.records, found.missing, found.outdated),
            (9, 1, u64::from(covering)),
            "{found:?}"
        );
        assert_eq!(found.orphaned, if covering { 1 } else { 2 });
        migrator.verify(&tenant, "users", "name", Repair::Fix).await.unwrap();
        assert_sound(&tenant).await;
    }
    let tenant = tenant(engine).await;
    command(
        &tenant,
        Command::create_index("users", IndexDef::counters("all", Vec::new()).unwrap()),
    )
    .await
    .unwrap();
    for index in ["all", "nothing"] {
        let refused = Migrator::new()
            .table(&users())
            .verify(&tenant, "users", index, Repair::Report)
            .await
            .unwrap_err();
        assert!(matches!(refused.schema(), Some(SchemaError::UnknownIndex { .. })));
    }
}
