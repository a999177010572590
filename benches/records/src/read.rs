//! Reads: one record, and all of them.

use std::cell::RefCell;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, SamplingMode};
use dust_orm::prelude::*;
use tokio::runtime::Runtime;

use crate::raw::Raw;
use crate::record::{Person, shuffled, slug};
use crate::report::{Line, Target};
use crate::{Failure, Scale};

/// A side of a comparison: does something so many times and says how long that took.
pub(crate) type Side<'s> = (&'static str, &'s dyn Fn(u64) -> Duration);

/// Measures the sides in turns, so that all see the same weather: the medians of each side by round.
pub(crate) fn compare<const N: usize>(
    criterion: &mut Criterion,
    output: &Path,
    scale: &Scale,
    name: &str,
    sides: [Side<'_>; N],
) -> Result<[Vec<Duration>; N], Failure> {
    let mut medians = [const { Vec::new() }; N];
    for round in 0..scale.rounds {
        let mut group = criterion.benchmark_group(name);
        group.sampling_mode(SamplingMode::Flat).sample_size(10);
        group.warm_up_time(scale.round / 4).measurement_time(scale.round);
        for (side, run) in sides {
            group.bench_function(BenchmarkId::new(side, round), |bencher| bencher.iter_custom(run));
        }
        group.finish();
        for ((side, _), medians) in sides.iter().zip(&mut medians) {
            let file = output
                .join(name)
                .join(side)
                .join(round.to_string())
                .join("new/estimates.json");
            let estimates: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
            let nanoseconds = estimates
                .pointer("/median/point_estimate")
                .and_then(serde_json::Value::as_f64);
            let median = nanoseconds.ok_or("an estimate without a median")?;
            medians.push(Duration::from_secs_f64(median / 1e9));
        }
    }
    Ok(medians)
}

pub(crate) fn timed(times: u64, mut run: impl FnMut()) -> Duration {
    let start = Instant::now();
    for _ in 0..times {
        run();
    }
    start.elapsed()
}

/// One record of `count`, against its five leaves and against one value.
pub(crate) fn get(
    criterion: &mut Criterion,
    output: &Path,
    scale: &Scale,
    runtime: &Runtime,
    repo: &Repo,
    raw: &Raw,
    count: u32,
) -> Result<Vec<Line>, Failure> {
    for number in shuffled(count).take(100) {
        let expected = Some(Person::numbered(number));
        let slug = slug(number);
        let same = runtime.block_on(repo.get::<Person>(&slug))? == expected
            && raw.get(&slug)? == expected
            && raw.get_whole(&slug)? == expected;
        if !same {
            return Err(format!("the sides disagree on {slug}").into());
        }
    }
    // Each side has its own, so that all read the same records in the same order.
    let numbers = || RefCell::new(shuffled(count));
    let next = |numbers: &RefCell<_>| slug(Iterator::next(&mut *numbers.borrow_mut()).unwrap_or(0));
    let (of_dust, of_leaves, of_whole) = (numbers(), numbers(), numbers());
    let dust = |times| {
        runtime.block_on(async {
            let start = Instant::now();
            for _ in 0..times {
                let person: Option<Person> = repo.get(next(&of_dust)).await.expect("the store reads");
                std::hint::black_box(person);
            }
            start.elapsed()
        })
    };
    let leaves = |times| {
        timed(times, || {
            std::hint::black_box(raw.get(&next(&of_leaves)).expect("the file reads"));
        })
    };
    let whole = |times| {
        timed(times, || {
            std::hint::black_box(raw.get_whole(&next(&of_whole)).expect("the file reads"));
        })
    };
    let sides: [Side<'_>; 3] = [("dust", &dust), ("leaves", &leaves), ("whole", &whole)];
    let [dust, leaves, whole] = compare(criterion, output, scale, "get", sides)?;
    let line = |what, dust: Vec<Duration>, raw| Line {
        what: format!("get one of {count} records, raw: {what}"),
        dust,
        raw,
        target: Target::AtMost(3.0),
    };
    Ok(vec![
        line("5 leaves", dust.clone(), leaves),
        line("1 value", dust, whole),
    ])
}

/// All of `count` records.
pub(crate) fn all(
    criterion: &mut Criterion,
    output: &Path,
    scale: &Scale,
    runtime: &Runtime,
    repo: &Repo,
    raw: &Raw,
    count: u32,
) -> Result<Line, Failure> {
    let found: Vec<Person> = runtime.block_on(repo.all())?;
    if found.len() != usize::try_from(count)? || found != raw.all()? {
        return Err("the sides disagree on all records".into());
    }
    drop(found);
    let dust = |times| {
        timed(times, || {
            let people: Vec<Person> = runtime.block_on(repo.all()).expect("the store reads");
            std::hint::black_box(people);
        })
    };
    let scan = |times| {
        timed(times, || {
            std::hint::black_box(raw.all().expect("the file reads"));
        })
    };
    let [dust, raw] = compare(criterion, output, scale, "all", [("dust", &dust), ("raw", &scan)])?;
    Ok(Line {
        what: format!("all {count} records, raw: scan of {} leaves", 5 * count),
        dust,
        raw,
        target: Target::AtMost(2.5),
    })
}
