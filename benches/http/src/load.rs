//! Mixed reads and writes for a long time: no error, and memory that stays where it is.

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Connection;
use crate::dust::{Dust, key, value};
use crate::turn::{Client, turn};
use crate::{CLIENTS, Failure};

/// How often the memory is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Leaves that are read and written: more than the server's page cache holds, so that it is full before the memory is looked
/// at.
const KEYS: usize = 200_000;

/// What the server may hold at the end, against what it held after a third of the time.
const GROWTH_MAX: f64 = 1.1;

/// Eight reads of leaves, one of a page, three writes; and again.
#[derive(Debug)]
struct Mixed<'d> {
    dust: &'d Dust,
    connection: Connection,
    next: usize,
    turn: usize,
}

impl Client for Mixed<'_> {
    async fn ask(&mut self) -> Result<u32, Failure> {
        self.next = (self.next + crate::STRIDE) % KEYS;
        self.turn = (self.turn + 1) % 12;
        let target = format!("/{}", key(self.next));
        let request = match self.turn {
            0 | 4 | 8 => self.dust.request("PUT", &target, &format!("\"{}\"", value(self.next))),
            6 => self.dust.request("GET", "?pattern=bench/**&limit=100", ""),
            _ => self.dust.request("GET", &target, ""),
        };
        self.connection.send(&request).await?;
        Ok(1)
    }
}

async fn connect(dust: &Dust, address: SocketAddr, clients: std::ops::Range<usize>) -> Result<Vec<Mixed<'_>>, Failure> {
    let mut mixed = Vec::with_capacity(clients.len());
    for client in clients {
        mixed.push(Mixed {
            dust,
            connection: Connection::open(address).await?,
            next: client,
            turn: client % 12,
        });
    }
    Ok(mixed)
}

/// Loads the server for a time, prints what it holds, and fails on an error or if that grows.
pub(crate) fn run(dust: &Dust, time: Duration) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(dust.fill(KEYS))?;
    let (ended, end) = channel::<()>();
    let (turn, sizes) = thread::scope(|scope| {
        let looking = scope.spawn(move || {
            let (began, mut sizes) = (Instant::now(), Vec::new());
            while end.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                let size = dust.process.resident_kib().unwrap_or_default();
                sizes.push(size);
                if sizes.len() % 5 == 0 {
                    println!("{:>4} s {:>8.1} MiB", began.elapsed().as_secs(), mib(size));
                }
            }
            sizes
        });
        let load = |clients| connect(dust, dust.address, clients);
        let turn = turn(CLIENTS, time, Some(&dust.process), load);
        drop(ended);
        (turn, looking.join())
    });
    let (turn, sizes) = (turn?, sizes.map_err(|_| "the observer panicked")?);
    println!(
        "{:.0} requests/s for {time:?} by {CLIENTS} clients, no error",
        turn.per_second
    );
    let third = sizes.get(sizes.len() / 3).copied().unwrap_or_default();
    let last = sizes.last().copied().unwrap_or_default();
    println!(
        "{:.1} MiB after a third of the time, {:.1} MiB at the end",
        mib(third),
        mib(last)
    );
    if mib(last) > mib(third) * GROWTH_MAX {
        return Err("the server's memory grows".into());
    }
    Ok(())
}

fn mib(kib: u64) -> f64 {
    Duration::from_micros(kib).as_secs_f64() * 1e6 / 1024.0
}
