//! The server against its peers, over loopback, in one run.
//!
//! `cargo bench -p dust-benches-http [-- [--quick] [get] [list] [put] [batch] [socket] [catchup] [replica] [fanout]]` starts the real
//! server on a folder, and beside it a bare axum handler, and etcd, Postgres, NATS and Redis where they are installed, each
//! with its usual settings and on the same disk; all are asked by turns. The last it prints is a table of ratios beside the
//! targets. It downloads nothing.
//!
//! `cargo bench -p dust-benches-http -- load [--seconds 60]` asks the server alone, and looks at its memory.
#![expect(clippy::print_stdout, reason = "the table is what the program is for")]

mod bare;
mod channel;
mod client;
mod dust;
mod etcd;
mod fanout;
mod feed;
mod load;
mod nats;
mod postgres;
mod process;
mod read;
mod redis;
mod replica;
mod report;
mod socket;
mod turn;
mod write;

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use dust::Dust;
use tokio::runtime::Runtime;

pub(crate) type Failure = Box<dyn Error + Send + Sync>;

/// Clients that ask at once, each on a connection of its own.
pub(crate) const CLIENTS: usize = 64;

/// From one key of a client to its next: prime to the number of keys, so that a client gets to all of them.
pub(crate) const STRIDE: usize = 4_099;

/// How much is measured.
pub(crate) struct Scale {
    /// How often the sides take turns.
    rounds: u32,
    /// How long a turn is.
    turn: Duration,
    /// How many leaves the store holds.
    keys: usize,
    /// How the server is built.
    profile: &'static str,
}

impl Scale {
    const FULL: Self = Self {
        rounds: 11,
        turn: Duration::from_secs(2),
        keys: 100_000,
        profile: "bench",
    };
    const QUICK: Self = Self {
        rounds: 5,
        turn: Duration::from_secs(1),
        keys: 100_000,
        profile: "bench",
    };
    /// Shows that everything runs; its figures mean nothing.
    const SMOKE: Self = Self {
        rounds: 1,
        turn: Duration::from_millis(50),
        keys: 10_000,
        profile: "dev",
    };
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [bare::ARGUMENT, file] = *arguments.iter().map(String::as_str).collect::<Vec<_>>() {
        return bare::serve(Path::new(file));
    }
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // `cargo bench` passes `--bench`, `cargo test --benches` does not.
    let scale = match (has("--bench"), has("--quick")) {
        (false, _) => Scale::SMOKE,
        (true, true) => Scale::QUICK,
        (true, false) => Scale::FULL,
    };
    let binary = process::dust_binary(scale.profile)?;
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    fs::create_dir_all(target)?;
    // In the target folder, so that all sides lie on the same disk and not in memory.
    let folder = tempfile::tempdir_in(target)?;
    let folder = folder.path();
    let dust = Dust::start(&binary, &folder.join("dust"))?;
    if has("load") {
        return load::run(
            &dust,
            Duration::from_secs(number_after(&arguments, "--seconds")?.unwrap_or(60)),
        );
    }

    let every = !["get", "list", "put", "batch", "socket", "catchup", "replica", "fanout"]
        .into_iter()
        .any(has);
    let wanted = |part: &str| every || has(part);
    let runtime = Runtime::new()?;
    println!("writing {} leaves", scale.keys);
    runtime.block_on(dust.fill(scale.keys))?;
    let mut lines = Vec::new();
    if wanted("get") {
        lines.push(read::get(&scale, &runtime, folder, &dust)?);
    }
    if wanted("list") {
        lines.extend(read::list(&scale, &runtime, folder, &dust)?);
    }
    if wanted("put") {
        lines.extend(write::put(&scale, folder, &dust)?);
    }
    if wanted("batch") {
        lines.extend(write::batches(&scale, &runtime, folder, &dust)?);
    }
    let mut told = String::new();
    if wanted("socket") {
        lines.push(channel::pipelined(&scale, &dust)?);
    }
    if wanted("catchup") {
        // On a server of its own, so that the log is as long as the store.
        let fresh = Dust::start(&binary, &folder.join("fresh"))?;
        runtime.block_on(fresh.fill(scale.keys))?;
        told += &channel::catch_up(&scale, &runtime, &fresh)?;
    }
    if wanted("replica") {
        let fresh = Dust::start(&binary, &folder.join("replica"))?;
        lines.extend(replica::get(&scale, &runtime, &fresh)?);
    }
    if wanted("fanout") {
        let (arrivals, delays) = fanout::compare(&scale, folder, &dust)?;
        lines.extend(arrivals);
        told += &delays;
    }
    println!("\n{}", report::head());
    for line in lines {
        println!("{line}");
    }
    print!("\n{told}");
    Ok(())
}

/// The number that follows a flag.
fn number_after(arguments: &[String], flag: &str) -> Result<Option<u64>, Failure> {
    let mut rest = arguments.iter().skip_while(|argument| *argument != flag).skip(1);
    Ok(rest.next().map(|number| number.parse()).transpose()?)
}
