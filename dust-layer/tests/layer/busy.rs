//! Migrations while others write: they end, they take little, and they lose nothing.

use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use dust_layer::clock::{Clock, ManualTime};
use dust_layer::engine::instrumented::{CommitFault, Instrumented};
use dust_layer::index::{Part, RecordSource, Records};
use dust_layer::layer::{Layer, Options};
use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::table::{PrimaryKey, Table};
use dust_layer::{Engine, Error, Tenant, TenantTransaction};
use futures_core::future::BoxFuture;

use super::fixture::{assert_sound, ids, indexes, insert, user, users};

/// How far a migration has come, after each of its transactions.
type Told = Arc<Mutex<Vec<u64>>>;

fn telling<E: Engine>(batch: usize) -> (Migrator<E>, Told) {
    let told = Told::default();
    let telling = Arc::clone(&told);
    let migrator = Migrator::new()
        .table(&users())
        .batch_records(batch.try_into().unwrap())
        .on_progress(move |progress| telling.lock().unwrap().push(progress.records));
    (migrator, told)
}

/// Runs a migration, with `between` after each of its transactions; time passes whenever it waits.
async fn run_with<E: Engine>(
    tenant: &Tenant<E>,
    migrations: &[Migration],
    (migrator, told): &(Migrator<E>, Told),
    time: &ManualTime,
    mut between: impl AsyncFnMut(u64),
) {
    let mut run = pin!(migrator.run(tenant, migrations));
    let mut steps = 0;
    loop {
        let is_over = std::future::poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
            Poll::Pending if told.lock().unwrap().len() as u64 > steps => Poll::Ready(None),
            Poll::Pending => {
                if time.waiters() > 0 {
                    time.advance(Duration::from_millis(1));
                }
                Poll::Pending
            }
        });
        match is_over.await {
            Some(outcome) => break drop(outcome.unwrap()),
            None => steps = told.lock().unwrap().len() as u64,
        }
        between(steps).await;
    }
}

async fn timed<E: Engine>(engine: &E) -> (Tenant<E>, ManualTime) {
    let (clock, time) = Clock::manual(Duration::from_secs(1_000));
    let layer = Layer::with_options(engine, Options::default().clock(clock).split_bytes(40));
    (layer.create_or_open("acme", "reading").await.unwrap(), time)
}

fn rows(ids: std::ops::Range<i64>) -> Vec<dust_layer::row::Row> {
    let row = |id| {
        let mut row = user(id, if id % 2 == 0 { "Ada" } else { "Bob" }, "eng", id);
        if id % 5 == 0 {
            row.set(5, "n".repeat(100));
        }
        row
    };
    ids.map(row).collect()
}

/// A writer that appends more between two steps than a step takes: the build ends all the same, and has what it appended.
pub(crate) async fn writers_that_append_more_than_a_step_takes_do_not_outrun_a_build<E: Engine>(engine: &E) {
    const THERE: i64 = 20;
    let (builder, time) = timed(engine).await;
    let (writer, _) = timed(engine).await;
    insert(&builder, &rows(0..THERE)).await.unwrap();
    let telling = telling(4);
    let mut next = THERE;
    run_with(&builder, &indexes(&[&["name"]]), &telling, &time, async |_| {
        insert(&writer, &rows(next..next + 9)).await.unwrap();
        next += 9;
    })
    .await;
    let told = telling.1.lock().unwrap().clone();
    // Five batches, the definition, and at most one step that finds that nothing is left. One batch of what was appended
    // before the build looked where to end may be among them.
    assert!(told.len() <= 12, "{told:?}");
    assert!(next > THERE + 5 * 9, "{next}");
    assert!(*told.last().unwrap() <= THERE as u64 + 2 * 9, "{told:?}");
    assert_sound(&builder).await;
    let found = ids(&writer.begin(), &Query::new().equals("name", "Ada")).await.unwrap();
    let expected: Vec<i128> = (0..i128::from(next)).filter(|id| id % 2 == 0).collect();
    assert_eq!(found, expected);
}

pub(crate) async fn fields_are_copied_and_deleted_to_where_the_rows_ended<E: Engine>(engine: &E) {
    let (tenant, time) = timed(engine).await;
    insert(&tenant, &rows(0..10)).await.unwrap();
    let commands = [Command::copy_field("users", "name", "notes")];
    let telling = telling(3);
    let mut next = 10;
    run_with(&tenant, &[Migration::new(1, commands)], &telling, &time, async |_| {
        insert(&tenant, &rows(next..next + 7)).await.unwrap();
        next += 7;
    })
    .await;
    assert_eq!(*telling.1.lock().unwrap(), [3, 6, 9, 10]);
}

/// The first row may be the one with the most pieces at the end of a build; it is rewritten with more of them meanwhile.
pub(crate) async fn the_last_row_may_grow_while_an_index_is_built<E: Engine>(engine: &E) {
    let (tenant, time) = timed(engine).await;
    insert(&tenant, &rows(1..6)).await.unwrap();
    let telling = telling(2);
    run_with(&tenant, &indexes(&[&["name"]]), &telling, &time, async |step| {
        let table = &users();
        let key = table.primary_key([5]).unwrap();
        let notes = "m".repeat(100 + 80 * usize::try_from(step).unwrap());
        let grow = async |tx: TenantTransaction<E>| tx.update(table, &key, [("notes", notes.clone())]).await;
        tenant.transact(grow).await.unwrap();
    })
    .await;
    assert_sound(&tenant).await;
}

pub(crate) async fn steps_are_large_alone_and_small_while_others_write<E: Engine>(engine: &E) {
    let (tenant, time) = timed(engine).await;
    insert(&tenant, &rows(0..1000)).await.unwrap();
    let sizes = |told: &Told| {
        let told = told.lock().unwrap();
        told.windows(2)
            .map(|pair| pair[1].saturating_sub(pair[0]))
            .collect::<Vec<_>>()
    };
    let alone = telling(400);
    run_with(&tenant, &indexes(&[&["name"]]), &alone, &time, async |_| {}).await;
    assert_eq!(sizes(&alone.1), [400, 400, 200]);
    if engine.commits().is_none() {
        return; // It does not tell whether others write.
    }

    let among = telling(400);
    let migrations = [Migration::new(
        2,
        [Command::create_index("users", users().index(["age"]).unwrap())],
    )];
    run_with(&tenant, &migrations, &among, &time, async |step| {
        if step < 6 {
            insert(
                &tenant,
                &rows(-5 - i64::try_from(step).unwrap()..-4 - i64::try_from(step).unwrap()),
            )
            .await
            .unwrap();
        }
    })
    .await;
    let sizes = sizes(&among.1);
    assert!(sizes[1..5].iter().all(|size| *size <= 128), "{sizes:?}");
    assert!(
        sizes.iter().any(|size| *size > 200),
        "grows when they are gone: {sizes:?}"
    );
    assert_sound(&tenant).await;
}

pub(crate) async fn conflicts_make_steps_smaller<E: Engine>(engine: &E) {
    let engine = Instrumented::new(engine.clone());
    let (tenant, time) = timed(&engine).await;
    insert(&tenant, &rows(0..300)).await.unwrap();
    // The claim, the definition, then a batch that is refused twice.
    engine.fail_commits([
        CommitFault::None,
        CommitFault::None,
        CommitFault::Conflict,
        CommitFault::Conflict,
    ]);
    let telling = telling(100);
    run_with(&tenant, &indexes(&[&["name"]]), &telling, &time, async |_| {}).await;
    assert_eq!(telling.1.lock().unwrap()[..3], [0, 25, 25 + 100]);
    assert_sound(&tenant).await;
}

/// Rows that take a millisecond each.
struct Slow(Table, ManualTime);

impl<E: Engine> RecordSource<E> for Slow {
    fn batch<'a>(&'a self, tx: &'a TenantTransaction<E>, part: Part<'a>) -> BoxFuture<'a, Result<Records, Error>> {
        Box::pin(async move {
            let found = RecordSource::batch(&self.0, tx, part).await?;
            self.1.advance(Duration::from_millis(found.records.len() as u64));
            Ok(found)
        })
    }

    fn end<'a>(&'a self, tx: &'a TenantTransaction<E>) -> BoxFuture<'a, Result<Option<Vec<u8>>, Error>> {
        self.0.end(tx)
    }

    fn get<'a>(
        &'a self,
        tx: &'a TenantTransaction<E>,
        key: &'a PrimaryKey,
    ) -> BoxFuture<'a, Result<Option<Box<dyn dust_layer::index::Record>>, Error>> {
        RecordSource::get(&self.0, tx, key)
    }
}

/// Alone a step may take a tenth of a second, among others five milliseconds, after which the engine is left to them.
pub(crate) async fn a_step_has_a_time_and_others_get_as_much<E: Engine>(engine: &E) {
    let (tenant, time) = timed(engine).await;
    insert(&tenant, &rows(0..1000)).await.unwrap();
    let (migrator, told) = telling(400);
    let telling = (migrator.source("users", Slow(users(), time.clone())), told);
    run_with(&tenant, &indexes(&[&["name"]]), &telling, &time, async |step| {
        if step > 4 {
            let id = -i64::try_from(step).unwrap();
            insert(&tenant, &rows(id..id + 1)).await.unwrap();
        }
    })
    .await;
    let told = telling.1.lock().unwrap().clone();
    let sizes: Vec<u64> = told.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!(sizes[..4], [400, 200, 100, 100], "{sizes:?}");
    if engine.commits().is_none() {
        return; // It does not tell whether others write.
    }
    let among: Vec<_> = sizes[5..sizes.len() - 1].to_vec();
    assert!(among.iter().skip(5).all(|size| *size <= 5), "{sizes:?}");
    assert_sound(&tenant).await;
}

/// As many builders as tenants: they are no company that a build makes room for.
pub(crate) async fn builds_of_other_tenants_are_no_company<E: Engine>(engine: &E) {
    let (clock, _) = Clock::manual(Duration::from_secs(1_000));
    let layer = Layer::with_options(engine, Options::default().clock(clock));
    for id in ["a", "b", "c"] {
        let tenant = layer.create_or_open("acme", id).await.unwrap();
        insert(&tenant, &rows(0..500)).await.unwrap();
    }
    let (migrator, told) = telling(100);
    let outcomes = migrator
        .run_all(&layer, "acme", &indexes(&[&["name"]]), 3.try_into().unwrap())
        .await
        .unwrap();
    assert!(outcomes.iter().all(|(_, outcome)| outcome.is_ok()));
    // A claim that another build takes may pass for company once.
    let steps = told.lock().unwrap().len();
    assert!((18..=30).contains(&steps), "{steps}");
}
