//! Indexes of the layer against scans and the raw engine, on disk and in one run.
//!
//! `cargo bench -p dust-benches-layer [-- --quick] [query] [write] [build]` fills a store, queries it through an index and
//! without one, writes with one index and without, and builds an index while others write; only what is named, if anything
//! is. The last it prints is a table of ratios.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod build;
mod query;
mod report;
mod store;
mod write;

use std::error::Error;
use std::fs;
use std::path::Path;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// How much is measured.
pub(crate) struct Scale {
    /// How many records the store holds.
    records: i64,
    /// How often the sides of a comparison take turns.
    rounds: u32,
    /// How many queries, or writes of one writer, are a turn.
    calls: u32,
    /// How many transactions each of many writers does in a turn.
    foreground: u32,
}

impl Scale {
    const FULL: Self = Self {
        records: 1_000_000,
        rounds: 7,
        calls: 200,
        foreground: 60,
    };
    const QUICK: Self = Self {
        records: 100_000,
        rounds: 5,
        calls: 100,
        foreground: 30,
    };
    /// Shows that everything runs; its figures mean nothing.
    const SMOKE: Self = Self {
        records: 200,
        rounds: 1,
        calls: 2,
        foreground: 2,
    };
}

fn main() -> Result<(), Failure> {
    let has = |flag: &str| std::env::args().any(|argument| argument == flag);
    // `cargo bench` passes `--bench`, `cargo test --benches` does not.
    let scale = match (has("--bench"), has("--quick")) {
        (false, _) => Scale::SMOKE,
        (true, true) => Scale::QUICK,
        (true, false) => Scale::FULL,
    };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(target)?;
    // In the target folder, so that it lies on a disk and not in memory.
    let folder = tempfile::tempdir_in(target)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let lines = runtime.block_on(async {
        let store = store::Store::fill(&folder.path().join("layer.dust"), scale.records).await?;
        let names = ["query", "write", "build"];
        let is_wanted = |name: &str| has(name) || !names.into_iter().any(has);
        let mut lines = Vec::new();
        if is_wanted("build") {
            lines.extend(build::measure(&store).await?);
        }
        if is_wanted("write") {
            lines.splice(0..0, write::measure(&store, &scale).await?);
        }
        if is_wanted("query") {
            lines.splice(0..0, query::measure(&store, &scale).await?);
        }
        Ok::<_, Failure>(lines)
    })?;
    println!("\n{} records\n{}", scale.records, report::head());
    for line in lines {
        println!("{line}");
    }
    Ok(())
}
