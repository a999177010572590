//! Durable writes beside etcd and Postgres, and batches beside the store without a server.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use dust_store::Embedded;
use dust_transport::model::{Batch, Op, Path as EntryPath};
use dust_transport::transport::Transport as _;
use tokio::runtime::Runtime;

use crate::client::Connection;
use crate::dust::{BATCH_OPS, Dust, batch, key, value};
use crate::report::{Line, Target, Turn};
use crate::turn::{Client, turn};
use crate::{CLIENTS, Failure, Scale, etcd, postgres};

/// A client that puts a value of a hundred bytes again and again.
#[derive(Debug)]
pub(crate) struct Put<'d> {
    dust: &'d Dust,
    connection: Connection,
    next: usize,
    keys: usize,
}

impl Client for Put<'_> {
    async fn ask(&mut self) -> Result<u32, Failure> {
        self.next = (self.next + crate::STRIDE) % self.keys;
        let (target, body) = (format!("/{}", key(self.next)), format!("\"{}\"", value(self.next)));
        self.connection.send(&self.dust.request("PUT", &target, &body)).await?;
        Ok(1)
    }
}

pub(crate) async fn connect(dust: &Dust, clients: Range<usize>, keys: usize) -> Result<Vec<Put<'_>>, Failure> {
    let mut puts = Vec::with_capacity(clients.len());
    for next in clients {
        let connection = Connection::open(dust.address).await?;
        puts.push(Put {
            dust,
            connection,
            next,
            keys,
        });
    }
    Ok(puts)
}

/// Durable puts, one value each.
pub(crate) fn put(scale: &Scale, folder: &Path, dust: &Dust) -> Result<Vec<Line>, Failure> {
    let (etcd, postgres) = (etcd::start(folder)?, postgres::start(folder)?);
    let (mut of_dust, mut of_etcd, mut of_postgres) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        of_dust.push(turn(CLIENTS, scale.turn, Some(&dust.process), |clients| {
            connect(dust, clients, scale.keys)
        })?);
        if let Some((process, address)) = &etcd {
            of_etcd.push(turn(CLIENTS, scale.turn, Some(process), |clients| {
                etcd::connect(*address, clients, scale.keys)
            })?);
        }
        // It is many processes, whose time is not told together.
        if let Some((_, address)) = &postgres {
            of_postgres.push(turn(CLIENTS, scale.turn, None, |clients| {
                postgres::connect(*address, clients, scale.keys)
            })?);
        }
    }
    let line = |peer: &str, turns: Vec<Turn>, least| Line {
        what: if turns.is_empty() {
            format!("durable PUT, {CLIENTS} clients: no {peer} here")
        } else {
            format!("durable PUT, {CLIENTS} clients, beside {peer}")
        },
        dust: of_dust.clone(),
        peer: turns,
        target: Target::Ratio(least),
    };
    Ok(vec![line("etcd", of_etcd, 2.0), line("Postgres", of_postgres, 1.0)])
}

/// A client that writes batches again and again.
#[derive(Debug)]
struct Write {
    connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: usize,
}

impl Client for Write {
    async fn ask(&mut self) -> Result<u32, Failure> {
        self.next += 1;
        let request = self.requests.get(self.next % self.requests.len()).ok_or("no request")?;
        self.connection.send(request).await?;
        Ok(u32::try_from(BATCH_OPS)?)
    }
}

/// Batches of a thousand leaves.
pub(crate) fn batches(scale: &Scale, runtime: &Runtime, folder: &Path, dust: &Dust) -> Result<Vec<Line>, Failure> {
    let firsts = || (0..scale.keys).step_by(BATCH_OPS);
    let request = |first| dust.request("POST", "/batch_write", &batch(first..first + BATCH_OPS));
    let requests = Arc::new(firsts().map(request).collect::<Vec<_>>());
    let connect = |clients: Range<usize>| {
        let requests = Arc::clone(&requests);
        async move {
            let mut writes = Vec::with_capacity(clients.len());
            for next in clients {
                let connection = Connection::open(dust.address).await?;
                let requests = Arc::clone(&requests);
                writes.push(Write {
                    connection,
                    requests,
                    next,
                });
            }
            Ok(writes)
        }
    };
    let store = runtime.block_on(Embedded::open(folder.join("raw"), "bench/raw"))?;
    let groups = firsts().map(|first| (first..first + BATCH_OPS).map(op).collect());
    let groups = groups.collect::<Result<Vec<Vec<Op>>, Failure>>()?;
    let (mut of_one, mut of_four, mut of_store) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        of_one.push(turn(1, scale.turn, Some(&dust.process), connect)?);
        of_store.push(runtime.block_on(raw(scale, &store, &groups))?);
        of_four.push(turn(4, scale.turn, Some(&dust.process), connect)?);
    }
    let line = |what: &str, dust, peer, target| Line {
        what: format!("leaves in batches of {BATCH_OPS}, {what}"),
        dust,
        peer,
        target,
    };
    Ok(vec![
        line("4 clients", of_four, Vec::new(), Target::PerSecond(100_000.0)),
        line("1 client, beside the store", of_one, of_store, Target::None),
    ])
}

fn op(number: usize) -> Result<Op, Failure> {
    Ok(Op::set(EntryPath::parse(&key(number))?, value(number)))
}

/// What the store does with the same batches where there is no server.
async fn raw(scale: &Scale, store: &Embedded, groups: &[Vec<Op>]) -> Result<Turn, Failure> {
    let (began, mut done) = (Instant::now(), 0_u32);
    for ops in groups.iter().cycle() {
        store
            .write(Batch {
                ops: ops.clone(),
                id: None,
            })
            .await?;
        done += u32::try_from(ops.len())?;
        if began.elapsed() > scale.turn {
            break;
        }
    }
    Ok(Turn {
        per_second: f64::from(done) / began.elapsed().as_secs_f64(),
        cpu_us: None,
    })
}
