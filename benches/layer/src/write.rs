//! Durable inserts with one index and with none.

use std::time::{Duration, Instant};

use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::table::Table;
use futures_util::future::try_join_all;

use crate::report::{Line, Target};
use crate::store::{Store, people, person};
use crate::{Failure, Scale};

/// How many write at once.
const WRITERS: u32 = 32;

pub(crate) async fn measure(store: &Store, scale: &Scale) -> Result<Vec<Line>, Failure> {
    let (plain, indexed) = (people("plain")?, people("indexed")?);
    let index = Command::create_index("indexed", indexed.index(["department"])?);
    Migrator::new()
        .table(&indexed)
        .run(&store.tenant, &[Migration::new(2, [index])])
        .await?;
    let mut next = 0;
    let (mut one, mut many) = ((Vec::new(), Vec::new()), (Vec::new(), Vec::new()));
    for _ in 0..scale.rounds {
        one.0.push(by_one(store, &indexed, scale, next).await?);
        one.1.push(by_one(store, &plain, scale, next).await?);
        next += i64::from(scale.calls);
        many.0.push(by_many(store, &indexed, scale, next).await?);
        many.1.push(by_many(store, &plain, scale, next).await?);
        next += i64::from(WRITERS * scale.foreground);
    }
    let line = |what, (ours, other)| Line {
        what,
        ours,
        other,
        target: Target::AtMost(1.6),
    };
    Ok(vec![
        line("insert by one writer with one index, against none", one),
        line("insert by 32 writers with one index, against none", many),
    ])
}

async fn by_one(store: &Store, table: &Table, scale: &Scale, first: i64) -> Result<Duration, Failure> {
    let began = Instant::now();
    for id in first..first + i64::from(scale.calls) {
        insert(store, table, id).await?;
    }
    Ok(began.elapsed() / scale.calls)
}

async fn by_many(store: &Store, table: &Table, scale: &Scale, first: i64) -> Result<Duration, Failure> {
    let began = Instant::now();
    let writers = (0..WRITERS).map(|writer| async move {
        let first = first + i64::from(writer * scale.foreground);
        for id in first..first + i64::from(scale.foreground) {
            insert(store, table, id).await?;
        }
        Ok::<_, Failure>(())
    });
    try_join_all(writers).await?;
    Ok(began.elapsed() / (WRITERS * scale.foreground))
}

async fn insert(store: &Store, table: &Table, id: i64) -> Result<(), Failure> {
    let row = &person(id, store.departments());
    store.tenant.transact(async |tx| tx.insert(table, row).await).await?;
    Ok(())
}
