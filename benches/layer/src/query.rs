//! Twenty records through an index, by a scan, and by the engine alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use dust_layer::query::{Plan, Query};
use dust_layer::value::FieldValue;
use dust_layer::{Direction, Engine, Isolation, RangeRead, Transaction};

use crate::report::{Line, Target};
use crate::store::{DEPARTMENT_PEOPLE, Store, of_department};
use crate::{Failure, Scale};

pub(crate) async fn measure(store: &Store, scale: &Scale) -> Result<Vec<Line>, Failure> {
    let (mut indexed, mut raw, mut scanned) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..scale.rounds {
        // Making the keys reads all that the two sides read, so that neither is the one that warms the cache.
        let keys = keys(store, scale, round).await?;
        indexed.push(through_index(store, scale, round).await?);
        raw.push(by_engine(store, scale, &keys).await?);
        // A scan takes as long as many queries; two are enough to know it.
        if round < 2 {
            scanned.push(by_scan(store).await?);
        }
    }
    Ok(vec![
        Line {
            what: "query of 20 records by an index, against scan and filter",
            ours: indexed.clone(),
            other: scanned,
            target: Target::AtLeast(100.0),
        },
        Line {
            what: "the same, against the engine's range and 20 gets",
            ours: indexed,
            other: raw,
            target: Target::AtMost(3.0),
        },
    ])
}

/// The departments that a round asks for, spread over all.
fn asked(store: &Store, scale: &Scale, round: u32) -> impl Iterator<Item = i64> {
    let departments = store.departments();
    let first = i64::from(round) * i64::from(scale.calls);
    (first..first + i64::from(scale.calls)).map(move |call| (call * 7919) % departments)
}

async fn through_index(store: &Store, scale: &Scale, round: u32) -> Result<Duration, Failure> {
    let began = Instant::now();
    for number in asked(store, scale, round) {
        let query = Query::new().equals("department", of_department(number)).limit(20);
        let found = store.tenant.begin().query(&store.people, &query).await?;
        check(found.len())?;
        black_box(found);
    }
    Ok(began.elapsed() / scale.calls)
}

async fn by_scan(store: &Store) -> Result<Duration, Failure> {
    let wanted = of_department(0);
    let began = Instant::now();
    let mut found = 0;
    let mut rows = store.tenant.stream(&store.people, Query::new(), 1000);
    while let Some(row) = rows.next().await? {
        found += usize::from(*row.get(4) == wanted);
    }
    check(found)?;
    Ok(began.elapsed())
}

/// The range of the entries of a department, and the keys of its rows.
type Keys = (Plan, Vec<Vec<u8>>);

/// The keys of a round, made before it: the engine knows bytes only.
async fn keys(store: &Store, scale: &Scale, round: u32) -> Result<Vec<Keys>, Failure> {
    let tx = store.tenant.begin();
    let mut keys = Vec::new();
    for number in asked(store, scale, round) {
        let by_department = Query::new().equals("department", of_department(number));
        let entries = tx.explain(&store.people, &by_department).await?.plan().clone();
        let mut rows = Vec::new();
        for person in tx.query(&store.people, &by_department).await? {
            let by_id = Query::new().equals("id", FieldValue::clone(person.get(1)));
            rows.push(tx.explain(&store.people, &by_id).await?.plan().range().0.to_vec());
        }
        keys.push((entries, rows));
    }
    Ok(keys)
}

async fn by_engine(store: &Store, scale: &Scale, keys: &[Keys]) -> Result<Duration, Failure> {
    let began = Instant::now();
    for (entries, rows) in keys {
        let tx = store.disk.begin();
        let (first, end) = entries.range();
        let read = RangeRead {
            begin: first,
            end,
            limit: 20,
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        };
        check(black_box(tx.get_range(read).await?).len())?;
        for key in rows {
            black_box(tx.get(key, Isolation::Serializable).await?);
        }
    }
    Ok(began.elapsed() / scale.calls)
}

fn check(found: usize) -> Result<(), Failure> {
    if i64::try_from(found)? == DEPARTMENT_PEOPLE {
        Ok(())
    } else {
        Err(format!("{found} people in a department").into())
    }
}
