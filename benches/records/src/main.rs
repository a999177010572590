//! Records against the raw embedded store, in one run.
//!
//! `cargo bench -p dust-benches [-- [--quick] [get] [all] [memory] [write] [query]]` measures reads and durable inserts of records
//! of five fields, and the same on `redb` directly with a copy of the same file, by turns. The last it prints is a table of
//! ratios beside the targets.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod memory;
mod query;
mod raw;
mod read;
mod record;
mod report;
mod write;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use criterion::Criterion;
use dust_orm::prelude::*;
use raw::Raw;
use record::Person;
use tokio::runtime::Runtime;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// The name of the store in a folder.
pub(crate) const STORE: &str = "bench/records";

/// How many records go into one batch while a store is filled.
const BATCH_RECORDS: u32 = 200;

/// How much is measured.
pub(crate) struct Scale {
    /// How often the sides take turns.
    rounds: u32,
    /// How long a side's turn is, if criterion measures it.
    round: Duration,
    /// How many records the smaller and the larger store hold.
    few: u32,
    many: u32,
    /// How many inserts a writer does in a round.
    inserts: u32,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 15,
        round: Duration::from_secs(1),
        few: 10_000,
        many: 100_000,
        inserts: 40,
    };
    const QUICK: Self = Self {
        rounds: 5,
        round: Duration::from_millis(300),
        few: 10_000,
        many: 100_000,
        inserts: 25,
    };
    /// Shows that everything runs; its figures mean nothing.
    const SMOKE: Self = Self {
        rounds: 1,
        round: Duration::from_millis(10),
        few: 100,
        many: 200,
        inserts: 2,
    };
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some((memory::ARGUMENT, rest)) = arguments.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        println!("{}", memory::read(rest)?);
        return Ok(());
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo bench` passes `--bench`, `cargo test --benches` does not.
    let scale = match (has("--bench"), has("--quick")) {
        (false, _) => Scale::SMOKE,
        (true, true) => Scale::QUICK,
        (true, false) => Scale::FULL,
    };
    let every = !["get", "all", "memory", "write", "query"].into_iter().any(has);
    let wanted = |part: &str| every || has(part);

    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(target)?;
    // In the target folder, so that both sides lie on the same disk and not in memory.
    let folder = tempfile::tempdir_in(target)?;
    let runtime = Runtime::new()?;
    let few = fill(&runtime, &folder.path().join("few.dust"), scale.few)?;
    let many = if wanted("all") || wanted("memory") || wanted("query") {
        fill(&runtime, &folder.path().join("many.dust"), scale.many)?
    } else {
        few.clone()
    };
    let peaks = if wanted("memory") {
        memory::table((&few, scale.few), (&many, scale.many))?
    } else {
        String::new()
    };

    let output = folder.path().join("criterion");
    let mut criterion = Criterion::default()
        .without_plots()
        .nresamples(2000)
        .output_directory(&output);
    let mut lines = Vec::new();
    if wanted("all") {
        let (repo, raw) = open(&runtime, &many, 0)?;
        lines.push(read::all(
            &mut criterion,
            &output,
            &scale,
            &runtime,
            &repo,
            &raw,
            scale.many,
        )?);
    }
    let (repo, raw) = open(&runtime, &few, scale.few)?;
    let raw = Arc::new(raw);
    if wanted("get") {
        let gets = read::get(&mut criterion, &output, &scale, &runtime, &repo, &raw, scale.few)?;
        lines.splice(0..0, gets);
    }
    if wanted("write") {
        let mut fresh = write::Fresh::new(scale.few);
        lines.push(write::many(&scale, &runtime, &repo, &raw, &mut fresh)?);
        lines.push(write::one(&scale, &runtime, &repo, &raw, &mut fresh)?);
    }
    drop((repo, raw));
    if wanted("query") {
        let repo = runtime.block_on(Repo::embedded(&many, STORE))?;
        lines.push(query::some(
            &mut criterion,
            &output,
            &scale,
            &runtime,
            &repo,
            scale.many,
        )?);
        drop(repo);
        let mut repos = Vec::new();
        for name in ["indexed.dust", "plain.dust"] {
            let folder = fill(&runtime, &folder.path().join(name), scale.few)?;
            repos.push(runtime.block_on(Repo::embedded(folder, STORE))?);
        }
        if let [indexed, plain] = &*repos {
            lines.extend(query::kept(&scale, &runtime, indexed, plain, scale.few)?);
        }
    }
    println!("\n{}", report::head());
    for line in lines {
        println!("{line}");
    }
    print!("\n{peaks}");
    Ok(())
}

/// Makes a store of the first `count` records, and closes it.
fn fill(runtime: &Runtime, folder: &Path, count: u32) -> Result<PathBuf, Failure> {
    println!("writing {count} records");
    runtime.block_on(async {
        let repo = Repo::embedded(folder, STORE).await?;
        let mut number = 0;
        while number < count {
            let end = count.min(number + BATCH_RECORDS);
            let batch = (number..end).fold(Batch::new(), |batch, number| batch.insert(Person::numbered(number)));
            repo.batch_write(batch).await?;
            number = end;
        }
        Ok::<_, Failure>(())
    })?;
    Ok(folder.to_owned())
}

/// Opens a store and a copy of its file.
fn open(runtime: &Runtime, folder: &Path, whole: u32) -> Result<(Repo, Raw), Failure> {
    let raw = Raw::copy(folder, &folder.with_extension("redb"), whole)?;
    raw.check_pairs()?;
    Ok((runtime.block_on(Repo::embedded(folder, STORE))?, raw))
}
