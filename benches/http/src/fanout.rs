//! One write to a thousand subscribers, beside NATS and Redis. The server's write is on disk before anybody hears of it; theirs
//! is nowhere.

use std::future::Future;
use std::ops::Range;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use crate::dust::{Dust, value};
use crate::feed::Feed;
use crate::report::{Line, Target, Turn};
use crate::{Failure, Scale, nats, redis, socket};

const SUBSCRIBERS: usize = 1000;

/// The threads of the subscribers.
const THREADS: usize = 2;

/// Writes that are under way at once where it is counted how many arrive.
const WINDOW: usize = 64;

/// What a broker did in one round.
struct Round {
    /// Arrivals in a second, [`WINDOW`] writes at a time.
    per_second: f64,
    /// From a write to each of its arrivals, one write at a time.
    delays: Vec<Duration>,
}

/// What publisher and subscribers share.
struct Board {
    began: Instant,
    /// When the message of each number was sent, in nanoseconds after the beginning.
    sent: Vec<AtomicU64>,
    arrived: AtomicU64,
    all: Notify,
    /// After how many arrivals the publisher goes on.
    wanted: AtomicU64,
}

impl Board {
    fn new(messages: usize) -> Self {
        Self {
            began: Instant::now(),
            sent: (0..messages).map(|_| AtomicU64::new(0)).collect(),
            arrived: AtomicU64::new(0),
            all: Notify::new(),
            wanted: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    fn send(&self, number: usize) {
        if let Some(sent) = self.sent.get(number) {
            sent.store(self.now(), Ordering::Relaxed);
        }
    }

    fn arrive(&self, number: usize) -> Duration {
        let sent = self.sent.get(number).map_or(0, |sent| sent.load(Ordering::Relaxed));
        let delay = self.now().saturating_sub(sent);
        // Each side writes its own number and then reads the other's, so one of them sees both: the order is one for all.
        let arrived = self.arrived.fetch_add(1, Ordering::SeqCst) + 1;
        if arrived == self.wanted.load(Ordering::SeqCst) {
            self.all.notify_one();
        }
        Duration::from_nanos(delay)
    }

    /// Waits until these messages, and all before them, are everywhere.
    async fn everywhere(&self, messages: usize) {
        let wanted = (messages * SUBSCRIBERS) as u64;
        self.wanted.store(wanted, Ordering::SeqCst);
        while self.arrived.load(Ordering::SeqCst) < wanted {
            self.all.notified().await;
        }
    }
}

/// How many messages a round has: first one at a time, then windows.
fn messages(scale: &Scale) -> (usize, usize) {
    let rounds = if scale.keys > 10_000 { 8 } else { 1 };
    (rounds * 10, rounds * WINDOW)
}

/// One round of a broker: `subscribe` makes the subscribers of a thread, `message` the bytes that publish a number.
fn round<S, P>(
    scale: &Scale,
    subscribe: impl Fn(Range<usize>) -> S + Sync,
    publisher: P,
    message: impl Fn(usize) -> Vec<u8>,
) -> Result<Round, Failure>
where
    S: Future<Output = Result<Vec<Feed>, Failure>>,
    P: Future<Output = Result<Feed, Failure>>,
{
    let (single, windowed) = messages(scale);
    let total = single + windowed;
    let board = Board::new(total);
    let ready = Barrier::new(THREADS + 1);
    let listen = |share: Range<usize>| {
        runtime()?.block_on(async {
            let feeds = subscribe(share).await;
            ready.wait();
            let each = feeds?.into_iter().map(|mut feed| async {
                let mut delays = Vec::with_capacity(single);
                for number in 0..total {
                    feed.next().await?;
                    let delay = board.arrive(number);
                    if number < single {
                        delays.push(delay);
                    }
                }
                Ok::<_, Failure>((feed, delays))
            });
            let ended = try_join_all(each).await?;
            Ok::<_, Failure>(ended.into_iter().flat_map(|(_, delays)| delays).collect::<Vec<_>>())
        })
    };
    thread::scope(|scope| {
        let shares = (0..THREADS).map(|thread| thread * SUBSCRIBERS / THREADS..(thread + 1) * SUBSCRIBERS / THREADS);
        let listening: Vec<_> = shares.map(|share| scope.spawn(|| listen(share))).collect();
        ready.wait();
        let publish = async {
            let mut feed = publisher.await?;
            for number in 0..single {
                board.send(number);
                feed.send(&message(number)).await?;
                board.everywhere(number + 1).await;
                feed.skip_answers()?;
            }
            let began = Instant::now();
            for window in 0..windowed / WINDOW {
                let first = single + window * WINDOW;
                let bytes: Vec<u8> = (first..first + WINDOW).flat_map(&message).collect();
                feed.send(&bytes).await?;
                board.everywhere(first + WINDOW).await;
                feed.skip_answers()?;
            }
            Ok::<_, Failure>(began.elapsed())
        };
        let took = runtime()?.block_on(publish)?;
        let mut delays = Vec::with_capacity(single * SUBSCRIBERS);
        for listening in listening {
            delays.extend(listening.join().map_err(|_| "a subscriber panicked")??);
        }
        delays.sort_unstable();
        let arrivals = u32::try_from(windowed * SUBSCRIBERS)?;
        Ok(Round {
            per_second: f64::from(arrivals) / took.as_secs_f64(),
            delays,
        })
    })
}

fn runtime() -> Result<Runtime, Failure> {
    Ok(Builder::new_current_thread().enable_io().build()?)
}

async fn many<F>(clients: Range<usize>, subscribe: impl Fn(usize) -> F) -> Result<Vec<Feed>, Failure>
where
    F: Future<Output = Result<Feed, Failure>>,
{
    let mut feeds = Vec::with_capacity(clients.len());
    for client in clients {
        feeds.push(subscribe(client).await?);
    }
    Ok(feeds)
}

async fn listener(dust: &Dust, client: usize, head: u64) -> Result<Feed, Failure> {
    let mut feed = socket::join(dust, &format!("dev_listener{client}"), head).await?;
    feed.wait_for(b"catch_up_complete").await?;
    Ok(feed)
}

/// Fan-out, and the delays as text.
pub(crate) fn compare(scale: &Scale, folder: &Path, dust: &Dust) -> Result<(Vec<Line>, String), Failure> {
    let (nats, redis) = (nats::start()?, redis::start(folder)?);
    let (mut of_dust, mut of_nats, mut of_redis) = (Vec::new(), Vec::new(), Vec::new());
    let (single, windowed) = messages(scale);
    for turn in 0..scale.rounds as usize {
        // A write under an op id that was there before is not a write.
        let first_id = turn * (single + windowed);
        // Nothing is written while they join, so that the first event of each is the first message.
        let head = runtime()?.block_on(dust.head())?;
        of_dust.push(round(
            scale,
            |clients| many(clients, |client| listener(dust, client, head)),
            listener(dust, SUBSCRIBERS, head),
            |number| socket::write(first_id + number, "fanout", &value(number)),
        )?);
        if let Some((_, address)) = &nats {
            of_nats.push(round(
                scale,
                |clients| many(clients, |_| nats::subscribe(*address)),
                nats::publisher(*address),
                |number| nats::publish(&value(number)),
            )?);
        }
        if let Some((_, address)) = &redis {
            of_redis.push(round(
                scale,
                |clients| many(clients, |_| redis::subscribe(*address)),
                redis::publisher(*address),
                |number| redis::publish(&value(number)),
            )?);
        }
    }
    let turns = |rounds: &[Round]| {
        let turn = |round: &Round| Turn {
            per_second: round.per_second,
            cpu_us: None,
        };
        rounds.iter().map(turn).collect::<Vec<_>>()
    };
    let line = |peer: &str, rounds: &[Round]| Line {
        what: format!("arrivals at {SUBSCRIBERS} subscribers, beside {peer}"),
        dust: turns(&of_dust),
        peer: turns(rounds),
        target: Target::None,
    };
    let lines = vec![line("NATS", &of_nats), line("Redis", &of_redis)];
    let sides = [("dust, durable", &of_dust), ("NATS", &of_nats), ("Redis", &of_redis)];
    let text = sides.map(|(side, rounds)| delays(side, rounds)).concat();
    Ok((lines, text))
}

/// The median of the rounds of the median and of the slowest hundredth.
fn delays(side: &str, rounds: &[Round]) -> String {
    let of = |hundredth: usize| {
        let mut delays: Vec<Duration> = rounds
            .iter()
            .filter_map(|round| round.delays.get(round.delays.len() * hundredth / 100).copied())
            .collect();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    };
    match (of(50), of(99)) {
        (Some(half), Some(slowest)) => {
            format!("one write to {SUBSCRIBERS} subscribers, {side}: p50 {half:.1?}, p99 {slowest:.1?}\n")
        }
        _ => format!("one write to {SUBSCRIBERS} subscribers: no {side} here\n"),
    }
}
