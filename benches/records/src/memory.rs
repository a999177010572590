//! How much memory a stream takes: each reading in a process of its own, whose peak the system tells.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use dust_layer::disk;
use dust_orm::prelude::*;
use dust_store::{Database, Options};
use futures_util::TryStreamExt as _;

use crate::record::Person;
use crate::{Failure, STORE};

/// The first argument of a process that reads.
pub(crate) const ARGUMENT: &str = "--read-and-tell-peak";

const OPEN: &str = "open";
const STREAM: &str = "stream";
const ALL: &str = "all";

/// The peaks of reading a store of few and one of many records, as a table.
pub(crate) fn table(few: (&Path, u32), many: (&Path, u32)) -> Result<String, Failure> {
    if !cfg!(target_os = "linux") {
        return Ok("peak memory is read from /proc, which this system does not have\n".to_owned());
    }
    let mut table = format!(
        "{:<22} {:>16} {:>16} {:>16} {:>16} {:>16}\n",
        "peak resident memory",
        "open",
        format!("stream {}", few.1),
        format!("stream {}", many.1),
        format!("all {}", few.1),
        format!("all {}", many.1),
    );
    // The cache of pages fills with what is read, up to its limit; with nearly none the rest can be seen.
    for cache_mebibytes in [1, 64] {
        let mut peaks = Vec::new();
        for (what, folder) in [
            (OPEN, many.0),
            (STREAM, few.0),
            (STREAM, many.0),
            (ALL, few.0),
            (ALL, many.0),
        ] {
            let child = Command::new(std::env::current_exe()?)
                .args([ARGUMENT, what, &cache_mebibytes.to_string()])
                .arg(folder)
                .output()?;
            if !child.status.success() {
                return Err(String::from_utf8_lossy(&child.stderr).into());
            }
            peaks.push(String::from_utf8(child.stdout)?.trim().to_owned());
        }
        write!(table, "cache of {cache_mebibytes:>2} MiB       ")?;
        for peak in peaks {
            write!(table, " {peak:>16}")?;
        }
        table.push('\n');
    }
    Ok(table)
}

/// Does one reading, in the process that was started for it; gives the peak.
pub(crate) fn read(arguments: &[String]) -> Result<String, Failure> {
    let [what, cache_mebibytes, folder] = arguments else {
        return Err("expected what to read, the size of the cache and the folder".into());
    };
    let disk = disk::Options::default().cache_bytes(cache_mebibytes.parse::<usize>()? << 20);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(async {
        let database = Database::open_with(folder, disk, Options::default())?;
        let repo = Repo::new(Arc::new(database.store(STORE).await?));
        match what.as_str() {
            STREAM => {
                let count = repo
                    .stream::<Person>()
                    .try_fold(0_u64, async |count, _| Ok(count + 1))
                    .await?;
                std::hint::black_box(count);
            }
            ALL => {
                std::hint::black_box(repo.all::<Person>().await?);
            }
            _ => {}
        }
        Ok::<_, Failure>(())
    })?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes: u64 = peak
        .and_then(|peak| peak.trim().strip_suffix(" kB"))
        .ok_or("no peak")?
        .parse()?;
    Ok(format!("{}.{} MiB", kibibytes / 1024, kibibytes % 1024 * 10 / 1024))
}
