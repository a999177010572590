//! Queries of an index, and what it costs to keep one.

use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use dust_orm::prelude::*;
use tokio::runtime::Runtime;

use crate::read::{Side, compare, timed};
use crate::record::Person;
use crate::report::{Line, Target};
use crate::write::{WRITERS, of_dust};
use crate::{Failure, Scale};

/// How many records a query gives.
const FOUND: usize = 20;

/// The first of those who live in a city, in the order of their names, against all of `count` records and a filter.
pub(crate) fn some(
    criterion: &mut Criterion,
    output: &Path,
    scale: &Scale,
    runtime: &Runtime,
    repo: &Repo,
    count: u32,
) -> Result<Line, Failure> {
    runtime.block_on(repo.ensure_indexes::<Person>())?;
    let by_index = || {
        runtime.block_on(
            repo.query(Person::CITY.eq("City 7"))
                .order_by(Person::NAME.asc())
                .limit(FOUND)
                .all(),
        )
    };
    let by_filter = || {
        let mut people: Vec<Person> = runtime.block_on(repo.all())?;
        people.retain(|person| person.city.as_deref() == Some("City 7"));
        people.sort_by(|left, right| left.name.cmp(&right.name));
        people.truncate(FOUND);
        Ok::<_, Error>(people)
    };
    if by_index()? != by_filter()? {
        return Err("the index and the filter disagree".into());
    }
    let index = |times| {
        timed(times, || {
            drop(std::hint::black_box(by_index().expect("the store reads")));
        })
    };
    let filter = |times| {
        timed(times, || {
            drop(std::hint::black_box(by_filter().expect("the store reads")));
        })
    };
    let sides: [Side<'_>; 2] = [("index", &index), ("filter", &filter)];
    let [dust, raw] = compare(criterion, output, scale, "query", sides)?;
    Ok(Line {
        what: format!("query of {FOUND} of {count} records, raw: all and filter"),
        dust,
        raw,
        target: Target::AtLeast(100.0),
    })
}

/// Durable inserts into a store with an index, against one without; by one writer, then by many.
pub(crate) fn kept(
    scale: &Scale,
    runtime: &Runtime,
    indexed: &Repo,
    plain: &Repo,
    first: u32,
) -> Result<Vec<Line>, Failure> {
    runtime.block_on(indexed.ensure_indexes::<Person>())?;
    let mut next = first;
    let mut lines = Vec::new();
    for writers in [1, WRITERS] {
        let mut times: [Vec<Duration>; 2] = [Vec::new(), Vec::new()];
        for round in 0..=scale.rounds {
            let mut work = Vec::new();
            for _ in 0..writers {
                work.push((next..next + scale.inserts).map(Person::numbered).collect::<Vec<_>>());
                next += scale.inserts;
            }
            let taken = [
                runtime.block_on(of_dust(indexed, work.clone()))?,
                runtime.block_on(of_dust(plain, work))?,
            ];
            // The first round warms both sides up.
            if round > 0 {
                for (times, taken) in times.iter_mut().zip(taken) {
                    times.push(taken / (writers * scale.inserts));
                }
            }
        }
        let [dust, raw] = times;
        lines.push(Line {
            what: format!("durable insert with an index, writers: {writers}, raw: without"),
            dust,
            raw,
            target: Target::AtMost(1.6),
        });
    }
    Ok(lines)
}
