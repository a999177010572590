//! Durable inserts: one after the other, and 64 at a time.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use dust_orm::prelude::*;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::raw::{Insert, Pair, Raw};
use crate::record::{LEAVES, Person};
use crate::report::{Line, Target, median};
use crate::{Failure, Scale};

/// How many insert at a time.
pub(crate) const WRITERS: u32 = 64;

/// Numbers that no insert has had yet.
pub(crate) struct Fresh {
    next: u32,
}

impl Fresh {
    /// From `first` on.
    pub(crate) fn new(first: u32) -> Self {
        Self { next: first }
    }

    /// A new record, and what its insert writes.
    fn take(&mut self, raw: &Raw) -> Result<(Person, Vec<Pair>), Failure> {
        let person = Person::numbered(self.next);
        let seq_before = u64::from(self.next) * LEAVES.len() as u64;
        self.next += 1;
        let pairs = raw.pairs(&person, seq_before, 1_800_000_000_000)?;
        Ok((person, pairs))
    }
}

/// One writer, both sides by turns, insert by insert.
pub(crate) fn one(
    scale: &Scale,
    runtime: &Runtime,
    repo: &Repo,
    raw: &Raw,
    fresh: &mut Fresh,
) -> Result<Line, Failure> {
    let mut medians = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let (mut dust, mut direct) = (Vec::new(), Vec::new());
        for _ in 0..scale.inserts {
            let (person, pairs) = fresh.take(raw)?;
            let start = Instant::now();
            runtime.block_on(async { repo.insert(person).await })?;
            dust.push(start.elapsed());
            let start = Instant::now();
            raw.commit([&*pairs])?;
            direct.push(start.elapsed());
        }
        dust.sort_unstable();
        direct.sort_unstable();
        medians.0.extend(median(&dust));
        medians.1.extend(median(&direct));
    }
    Ok(Line {
        what: "durable insert, one writer".to_owned(),
        dust: medians.0,
        raw: medians.1,
        target: Target::AtMost(1.5),
    })
}

/// Many writers, each of which waits for its insert before the next.
pub(crate) fn many(
    scale: &Scale,
    runtime: &Runtime,
    repo: &Repo,
    raw: &Arc<Raw>,
    fresh: &mut Fresh,
) -> Result<Line, Failure> {
    let (mut dust, mut grouped) = (Vec::new(), Vec::new());
    for round in 0..=scale.rounds {
        let (mut people, mut pairs) = (Vec::new(), Vec::new());
        for _ in 0..WRITERS {
            let work: Vec<_> = (0..scale.inserts).map(|_| fresh.take(raw)).collect::<Result<_, _>>()?;
            let (of_dust, of_raw): (Vec<_>, Vec<_>) = work.into_iter().unzip();
            people.push(of_dust);
            pairs.push(of_raw);
        }
        let times = (runtime.block_on(of_dust(repo, people))?, of_raw(runtime, raw, pairs)?);
        // The first round warms both sides up.
        if round > 0 {
            dust.push(times.0 / (WRITERS * scale.inserts));
            grouped.push(times.1 / (WRITERS * scale.inserts));
        }
    }
    Ok(Line {
        what: format!("durable insert, {WRITERS} writers, per insert (throughput)"),
        dust,
        raw: grouped,
        target: Target::AtLeast(0.5),
    })
}

pub(crate) async fn of_dust(repo: &Repo, work: Vec<Vec<Person>>) -> Result<Duration, Failure> {
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for people in work {
        let repo = repo.clone();
        writers.spawn(async move {
            for person in people {
                repo.insert(person).await.map_err(|error| error.to_string())?;
            }
            Ok::<_, String>(())
        });
    }
    while let Some(writer) = writers.join_next().await {
        writer??;
    }
    Ok(start.elapsed())
}

fn of_raw(runtime: &Runtime, raw: &Arc<Raw>, work: Vec<Vec<Vec<Pair>>>) -> Result<Duration, Failure> {
    let (queue, queued) = mpsc::channel();
    let committer = Arc::clone(raw);
    let start = Instant::now();
    let committer = std::thread::spawn(move || committer.commit_groups(&queued).map_err(|error| error.to_string()));
    runtime.block_on(async {
        let mut writers = JoinSet::new();
        for inserts in work {
            let queue = queue.clone();
            writers.spawn(async move {
                for pairs in inserts {
                    let (done, answer) = oneshot::channel();
                    let insert = Insert { pairs, done };
                    queue.send(insert).map_err(|error| error.to_string())?;
                    answer.await.map_err(|error| error.to_string())?;
                }
                Ok::<_, String>(())
            });
        }
        drop(queue);
        while let Some(writer) = writers.join_next().await {
            writer??;
        }
        Ok::<_, Failure>(())
    })?;
    let elapsed = start.elapsed();
    committer.join().map_err(|_| "the committer panicked")??;
    Ok(elapsed)
}
