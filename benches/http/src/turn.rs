//! A turn of one side: so many clients, each asking again when it has been answered.

use std::future::Future;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::Failure;
use crate::process::Process;
use crate::report::Turn;

/// The threads of the load generator. Each has a runtime of its own, so that none wakes another.
const THREADS: usize = 2;

/// A client: asks once, and says how much that was.
pub(crate) trait Client {
    fn ask(&mut self) -> impl Future<Output = Result<u32, Failure>>;
}

/// Runs `clients` clients for a time, after a shorter one that does not count.
///
/// `connect` makes those of one thread. The processor time is that of `server`.
pub(crate) fn turn<C, F>(
    clients: usize,
    time: Duration,
    server: Option<&Process>,
    connect: impl Fn(Range<usize>) -> F + Sync,
) -> Result<Turn, Failure>
where
    C: Client,
    F: Future<Output = Result<Vec<C>, Failure>>,
{
    let threads = THREADS.min(clients);
    let ready = Barrier::new(threads + 1);
    let worker = |share: Range<usize>| {
        let runtime = Builder::new_current_thread().enable_io().build()?;
        LocalSet::new().block_on(&runtime, async {
            let warm = async {
                let clients = connect(share).await?;
                Ok::<_, Failure>(repeat(clients, time / 8).await?.0)
            };
            let warm = warm.await;
            // Whatever came of it: the others wait.
            ready.wait();
            let began = Instant::now();
            let (_, done) = repeat(warm?, time).await?;
            Ok::<_, Failure>(f64::from(done) / began.elapsed().as_secs_f64())
        })
    };
    thread::scope(|scope| {
        let shares = (0..threads).map(|thread| thread * clients / threads..(thread + 1) * clients / threads);
        let workers: Vec<_> = shares.map(|share| scope.spawn(|| worker(share))).collect();
        ready.wait();
        let (cpu, began) = (server.and_then(Process::cpu), Instant::now());
        let mut per_second = 0.0;
        for worker in workers {
            per_second += worker.join().map_err(|_| "a client panicked")??;
        }
        let took = began.elapsed();
        let spent = server.and_then(Process::cpu).zip(cpu);
        let spent = spent.map(|(after, before)| after.saturating_sub(before).as_secs_f64() / took.as_secs_f64());
        Ok(Turn {
            per_second,
            cpu_us: spent.map(|share| 1e6 * share / per_second),
        })
    })
}

/// Lets each client ask again and again for a time; gives them back, and how much they did.
async fn repeat<C: Client>(clients: Vec<C>, time: Duration) -> Result<(Vec<C>, u32), Failure> {
    let end = Instant::now() + time;
    let each = clients.into_iter().map(|mut client| async move {
        let mut done = 0;
        while Instant::now() < end {
            done += client.ask().await?;
        }
        Ok::<_, Failure>((client, done))
    });
    let (clients, done): (Vec<C>, Vec<u32>) = try_join_all(each).await?.into_iter().unzip();
    Ok((clients, done.iter().sum()))
}
