//! Durable writes through the store beside raw commits of the same keys, as ratios.
//!
//! `cargo run --release -p dust-store --example throughput [folder]`; the folder decides which disk is measured.
#![expect(clippy::print_stdout, reason = "a program that prints a table")]

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dust_layer::{Disk, Engine, Transaction};
use dust_store::{Database, Embedded};
use dust_transport::model::{Op, Path};
use dust_transport::transport::{List, Transport};
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

const VALUE_BYTES: usize = 100;

/// Commits the keys that one `set` writes: leaf, log, head.
async fn raw_commit(disk: &Disk, writer: u64, number: u64) -> Result<(), Failure> {
    let transaction = disk.begin();
    let value = [b'x'; VALUE_BYTES];
    transaction.set(
        format!("\x15\x01\u{1}e\0\u{1}records/{writer:03}-{number:06}/title\0").as_bytes(),
        &value,
    );
    let order = [number.to_be_bytes(), writer.to_be_bytes()].concat();
    let record = [&[b'y'; 50][..], &value].concat();
    transaction.set(&[b"\x15\x01\x01o\0\x16", &*order].concat(), &record);
    transaction.set(format!("\x15\x01\u{1}h\0{writer}").as_bytes(), &order);
    transaction.commit().await?;
    Ok(())
}

async fn store_commit(store: &Embedded, writer: u64, number: u64) -> Result<(), Failure> {
    let path = Path::parse(&format!("records/{writer:03}-{number:06}/title"))?;
    store.write(Op::set(path, "x".repeat(VALUE_BYTES - 2)).into()).await?;
    Ok(())
}

/// Commits per second of so many writers together.
async fn rate<C, F>(writers: u64, each: u64, commit: C) -> Result<f64, Failure>
where
    C: Fn(u64, u64) -> F + Send + Sync + 'static,
    F: Future<Output = Result<(), Failure>> + Send,
{
    let commit = Arc::new(commit);
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for writer in 0..writers {
        let commit = Arc::clone(&commit);
        tasks.spawn(async move {
            for number in 0..each {
                commit(writer, number).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    let commits = u32::try_from(writers * each)?;
    Ok(f64::from(commits) / start.elapsed().as_secs_f64())
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let parent = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(parent)?;
    println!("{:<12} {:>12} {:>12} {:>8}", "writers", "raw/s", "store/s", "ratio");
    for (writers, each) in [(1, 2000), (8, 500), (64, 200)] {
        let mut best = (0.0_f64, 0.0_f64);
        for round in 0..3 {
            let disk = Disk::open(folder.path().join(format!("raw-{writers}-{round}")))?;
            let raw = rate(writers, each, move |writer, number| {
                let disk = disk.clone();
                async move { raw_commit(&disk, writer, number).await }
            });
            best.0 = best.0.max(raw.await?);
            let database = Database::open(folder.path().join(format!("store-{writers}-{round}")))?;
            let store = database.store("acme/records").await?;
            let through = rate(writers, each, move |writer, number| {
                let store = store.clone();
                async move { store_commit(&store, writer, number).await }
            });
            best.1 = best.1.max(through.await?);
        }
        println!(
            "{writers:<12} {:>12.0} {:>12.0} {:>8.2}",
            best.0,
            best.1,
            best.1 / best.0
        );
    }
    let store = Embedded::memory();
    for number in 0..20_000 {
        store_commit(&store, 0, number).await?;
    }
    let record = Path::parse("records/000-000007")?;
    let start = Instant::now();
    for _ in 0..100_000 {
        store.get(&record).await?;
    }
    println!("get of a record in memory: {:?}", start.elapsed() / 100_000);
    let start = Instant::now();
    let mut query = List::below(Path::parse("records")?).limit(1000);
    let mut leaves = 0_u32;
    loop {
        let page = store.list(&query).await?;
        leaves += u32::try_from(page.items.len())?;
        match page.next {
            Some(next) => query = query.after(next),
            None => break,
        }
    }
    let per_leaf: Duration = start.elapsed() / leaves;
    println!("list of {leaves} leaves in memory: {per_leaf:?} each");
    Ok(())
}
