//! An index build against a scan that inserts, and what writers feel of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::{Direction, Engine, Error, Isolation, RangeRead, Tenant, Transaction};

use crate::Failure;
use crate::report::{Line, Target};
use crate::store::{Store, person};

/// How many rows a transaction of the build takes, and of the scan beside it.
const BATCH_ROWS: usize = 500;

/// How many write while the index is built.
const WRITERS: i64 = 4;

pub(crate) async fn measure(store: &Store) -> Result<Vec<Line>, Failure> {
    let alone = build(store, 3, &["age", "name"]).await?;
    let raw = scan_and_insert(store).await?;
    // Before and after, since a machine is not the same all the time.
    let span = alone.min(Duration::from_secs(10));
    let before = foreground(store, 1, async || calm(span).await).await?;
    let busy = foreground(store, 2, async || build(store, 4, &["email"]).await.map(drop)).await?;
    let after = foreground(store, 3, async || calm(span).await).await?;
    Ok(vec![
        Line {
            what: "build of an index, against a raw scan that inserts",
            ours: vec![alone],
            other: vec![raw],
            target: Target::AtLeast(0.3),
        },
        Line {
            what: "a foreground write while an index is built, against none",
            ours: vec![busy],
            other: vec![(before + after) / 2],
            target: Target::AtLeast(0.5),
        },
    ])
}

/// Nothing but time.
async fn calm(span: Duration) -> Result<(), Failure> {
    let _ = tokio::time::timeout(span, std::future::pending::<()>()).await;
    Ok(())
}

/// Builds an index and tells how far it is.
async fn build(store: &Store, version: u64, fields: &[&str]) -> Result<Duration, Failure> {
    let told = Arc::new(AtomicU64::new(0));
    let all = u64::try_from(store.records)?;
    let migrator = Migrator::new()
        .table(&store.people)
        .batch_records(BATCH_ROWS.try_into()?)
        .on_progress(move |progress| {
            let tenth = progress.records * 10 / all.max(1);
            if told.fetch_max(tenth, Ordering::Relaxed) < tenth {
                println!("built {} of {all} records", progress.records);
            }
        });
    let index = Command::create_index("people", store.people.index(fields)?);
    let began = Instant::now();
    migrator.run(&store.tenant, &[Migration::new(version, [index])]).await?;
    Ok(began.elapsed())
}

/// What the engine alone needs to read every row and to write as many keys of an entry's length.
async fn scan_and_insert(store: &Store) -> Result<Duration, Failure> {
    let tx = store.tenant.begin();
    let plan = tx.explain(&store.people, &Query::new()).await?.plan().clone();
    let (mut first, end) = (plan.range().0.to_vec(), plan.range().1);
    let target = store.tenant.pack(&("scan and insert",));
    let began = Instant::now();
    let mut number = 0_u64;
    loop {
        let tx = store.disk.begin();
        let read = RangeRead {
            begin: &first,
            end,
            limit: BATCH_ROWS,
            direction: Direction::Forward,
            isolation: Isolation::Snapshot,
        };
        let page = tx.get_range(read).await?;
        for (key, _) in &page {
            number += 1;
            // In the order of a person's entry: sixty ages, and names that grow with the id.
            let order = [&[u8::try_from(number % 60)?][..], &number.to_be_bytes()].concat();
            tx.set(&[&target[..], &order, key].concat(), &[]);
        }
        tx.commit().await?;
        match page.last_key().filter(|_| page.more()) {
            Some(last) => first = [last, &[0]].concat(),
            None => return Ok(began.elapsed()),
        }
    }
}

/// The time of one write by a few writers together, while `meanwhile` runs; each turn writes other values.
async fn foreground(
    store: &Store,
    turn: i64,
    meanwhile: impl AsyncFnOnce() -> Result<(), Failure>,
) -> Result<Duration, Failure> {
    let is_over = Arc::new(AtomicBool::new(false));
    let departments = store.departments();
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (tenant, people) = (store.tenant.clone(), store.people.clone());
            let (is_over, records) = (Arc::clone(&is_over), store.records);
            tokio::spawn(async move {
                let mut count = 0_u32;
                while count == 0 || !is_over.load(Ordering::Relaxed) {
                    let id = (i64::from(count) * 104_729 + writer * 7919) % records;
                    update(&tenant, &people, id, i64::from(count) + 17 * turn, departments).await?;
                    count += 1;
                }
                Ok::<_, Error>(count)
            })
        })
        .collect();
    let began = Instant::now();
    meanwhile().await?;
    is_over.store(true, Ordering::Relaxed);
    let mut count = 0;
    for writer in writers {
        count += writer.await??;
    }
    Ok(began.elapsed() / count.max(1))
}

/// Gives a person another age than the fill and the other turn did, mostly, and keeps the rest.
async fn update(
    tenant: &Tenant<dust_layer::Disk>,
    people: &dust_layer::table::Table,
    id: i64,
    count: i64,
    departments: i64,
) -> Result<(), Error> {
    let mut row = person(id, departments);
    row.set(5, 18 + (count + id) % 60);
    let row = &row;
    let write = async |tx: dust_layer::TenantTransaction<dust_layer::Disk>| {
        tx.upsert(people, row, dust_layer::row::OnConflict::ReplaceAll).await
    };
    tenant.transact(write).await?;
    Ok(())
}
