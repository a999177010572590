//! Synced stores behind a proxy that cuts, holds and refuses connections and says things twice, while the server is stopped
//! and started, and so is a program that has its store in a file, and the tokens of another end.
//!
//! However it goes, each replica ends as the server is, each subscription saw every op once and in order, and every
//! increment that was asked for counts once. `DUST_CHAOS_SEED` repeats the choices of a run, `DUST_CHAOS_STEPS` says how
//! many writes it has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dust_server::control::NewToken;
use dust_server::{ChannelOptions, Timestamp};
use dust_store::{AnyDatabase, Clock, Database};
use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::http::{Http, HttpOptions};
use dust_transport::model::{Batch, DeviceId, Entry, Op, OpId, OpKind, Path, Pattern, Seq, Value};
use dust_transport::sync::{ConnectionState, Offline, Sync, SyncOptions};
use dust_transport::transport::{List, Signal, Start, Subscribe, Transport as _};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::over_sync::Running;
use crate::proxy::{Mode, Proxy};

const STEPS: usize = 100_000;

/// Writes that are under way at a time.
const WIDTH: usize = 100;

/// Rounds between two comparisons.
const ROUNDS: usize = 25;

/// Rounds between two ends of a token: whoever comes back with another reads everything anew.
const TOKEN_ROUNDS: usize = 200;

/// How long a token lasts by the clock of the server, which stands still but for its end.
const TOKEN_MS: u64 = 1000;

/// Numbers that only look random: xorshift*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 33) % bound
    }
}

/// A synced store, and what its subscription saw.
struct Client {
    options: SyncOptions,
    sync: Sync,
    seen: watch::Receiver<u64>,
}

impl Client {
    /// A program that has seen the ops up to `last`.
    async fn start(options: SyncOptions, last: u64) -> Self {
        let sync = Sync::connect(options.clone()).await.unwrap();
        let subscribe = Subscribe::pattern(Pattern::default()).start(Start::After(Seq(last)));
        let mut events = sync.subscribe(subscribe).await.unwrap();
        let (saw, seen) = watch::channel(last);
        tokio::spawn(async move {
            while let Some(signal) = events.next().await {
                match signal {
                    Ok(Signal::Event(event)) => {
                        let last = *saw.borrow();
                        assert_eq!(event.seq.0, last + 1, "the op after {last}");
                        saw.send_replace(event.seq.0);
                    }
                    Ok(_) => {}
                    Err(error) if matches!(error.kind(), ErrorKind::Closed | ErrorKind::Unauthorized) => return,
                    Err(error) => panic!("the subscription ended: {error}"),
                }
            }
        });
        Self { options, sync, seen }
    }

    /// What the subscription saw until it ended.
    async fn last(&mut self) -> u64 {
        // The last item comes before the end.
        while self.seen.changed().await.is_ok() {}
        *self.seen.borrow()
    }

    /// Ends the program, whatever is under way, and starts the next with the same file, and the cursor of the last.
    async fn restart(&mut self) {
        self.sync.close().await.unwrap();
        let last = self.last().await;
        *self = Self::start(self.options.clone(), last).await;
    }
}

struct Chaos {
    random: Random,
    proxy: Proxy,
    running: Option<Running>,
    /// The same data, for another server.
    database: Box<dyn Fn() -> AnyDatabase + Send>,
    clients: Vec<Client>,
    /// Ends every long wait of the clients.
    tick: watch::Sender<u64>,
    http: HttpOptions,
    /// The token of the client whose tokens end, and the clock of the server.
    brief: Option<uuid::Uuid>,
    clock_ms: Arc<AtomicU64>,
    /// How often each counter was incremented.
    counts: BTreeMap<Path, i64>,
    /// How often the program with the file was started anew, and how many writes that left it.
    restarts: (u64, usize),
    folder: TempDir,
}

/// The client that has a file, and sees its writes at once.
const WITH_FILE: usize = 1;

/// The client whose tokens end, and that reads slowly.
const BRIEF: usize = 2;

/// Says how to repeat a run that failed.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat this run with DUST_CHAOS_SEED={}", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// A server by this clock.
async fn serve(database: AnyDatabase, clock_ms: &Arc<AtomicU64>) -> Running {
    let mut channels = ChannelOptions::default();
    channels.expiry_check = Duration::from_millis(10);
    let clock_ms = Arc::clone(clock_ms);
    let clock = Clock::from_fn(move || clock_ms.load(Ordering::Relaxed));
    Running::with(database, channels, clock).await
}

/// Short waits are over at once, long ones at the next tick: the time is the test's.
fn virtual_time(ticks: watch::Receiver<u64>) -> impl Fn(Duration) -> BoxFuture<'static, ()> + Send + std::marker::Sync {
    move |wait| {
        let mut ticks = ticks.clone();
        ticks.mark_unchanged();
        Box::pin(async move {
            if wait >= Duration::from_secs(1) {
                let _ = ticks.changed().await;
            } else {
                tokio::task::yield_now().await;
            }
        })
    }
}

impl Chaos {
    async fn start(seed: u64) -> Self {
        let engine = Database::memory().engine().clone();
        let database = move || AnyDatabase::from(Database::on(engine.clone()));
        let clock_ms = Arc::new(AtomicU64::new(1_763_800_000_000));
        let running = serve(database(), &clock_ms).await;
        let control = running.server.control();
        control.create_org("acme").await.unwrap();
        control.create_store("acme", "site", None).await.unwrap();
        let (_, token) = control.create_token(NewToken::full("acme", "chaos")).await.unwrap();
        let mut chaos = Self {
            random: Random(seed | 1),
            proxy: Proxy::start(running.address).await,
            http: HttpOptions::new("acme/site", token.as_str()).base_url(format!("http://{}", running.address)),
            running: Some(running),
            database: Box::new(database),
            clients: Vec::new(),
            tick: watch::Sender::new(0),
            brief: None,
            clock_ms,
            counts: BTreeMap::new(),
            restarts: (0, 0),
            folder: TempDir::new().unwrap(),
        };
        // Two programs of one device, and one of another.
        let device = DeviceId::random();
        for device in [device.clone(), device, DeviceId::random()] {
            let number = chaos.clients.len();
            let token = match number {
                BRIEF => chaos.new_brief_token().await,
                _ => token.clone(),
            };
            let client = Client::start(chaos.options(number, &token, device), 0).await;
            chaos.clients.push(client);
        }
        chaos
    }

    /// The options of a client, through the proxy.
    fn options(&self, number: usize, token: &str, device: DeviceId) -> SyncOptions {
        let options = SyncOptions::new("acme/site", token)
            .base_url(format!("http://{}", self.proxy.address))
            .device(device)
            .offline(Offline::Queue)
            .reconnect(Duration::from_millis(1), Duration::from_millis(1))
            .sleep(virtual_time(self.tick.subscribe()));
        match number {
            WITH_FILE => options.file(self.folder.path().join("site.dust")),
            BRIEF => options.listener_events_max(8),
            _ => options,
        }
    }

    /// A token that ends by the clock.
    async fn new_brief_token(&mut self) -> String {
        let end = self.clock_ms.load(Ordering::Relaxed) + TOKEN_MS;
        let new = NewToken::full("acme", "brief").with_expires_at(Timestamp::from_ms(end));
        let control = self.running.as_ref().unwrap().server.control();
        let (token, secret) = control.create_token(new).await.unwrap();
        self.brief = Some(token.id);
        secret
    }

    /// Ends the token of a client, in the midst of its writes.
    async fn end_token(&mut self) {
        if self.random.below(2) == 0 {
            let control = self.running.as_ref().unwrap().server.control();
            control.revoke_token(self.brief.unwrap()).await.unwrap();
        } else {
            self.clock_ms.fetch_add(TOKEN_MS, Ordering::Relaxed);
        }
    }

    /// The client whose token has ended says so and is no more; another of its device goes on where it was, with another
    /// token, and settles the writes that were under way.
    async fn come_back(&mut self, unsettled: Vec<Batch>) {
        let mut before = self.clients.remove(BRIEF);
        let state = before.sync.states().collect::<Vec<_>>().await.pop();
        let Some(ConnectionState::Ended(reason)) = state else {
            panic!("{state:?}")
        };
        assert_eq!(reason.kind, ErrorKind::Unauthorized, "{reason:?}");
        let last = before.last().await;
        let token = self.new_brief_token().await;
        let options = self.options(BRIEF, &token, before.sync.status().device);
        let client = Client::start(options, last).await;
        for answer in join_all(unsettled.into_iter().map(|batch| client.sync.write(batch))).await {
            let error = answer.err().map(|error| error.kind());
            assert!(matches!(error, None | Some(ErrorKind::InvalidParams)), "{error:?}");
        }
        self.clients.insert(BRIEF, client);
    }

    fn path(&mut self) -> Path {
        let (a, b) = (self.random.below(6), self.random.below(6));
        let text = if b == 0 { format!("r/{a}") } else { format!("r/{a}/{b}") };
        Path::parse(&text).unwrap()
    }

    fn op(&mut self) -> Op {
        let (path, n) = (self.path(), self.random.below(100));
        match self.random.below(10) {
            0..=2 => Op::set(path, n),
            3 => Op::set(
                path,
                Value::map([("1", Value::from(n)), ("x", Value::list([Value::from(n)]))]),
            ),
            4 => Op::delete(path),
            5 => Op::merge(path, Value::map([("2", Value::from(n))])),
            6 => Op::add(Path::parse("s/a").unwrap(), n),
            7 => Op::remove(Path::parse("s/a").unwrap(), n),
            _ => {
                let counter = Path::parse(&format!("n/{}", n % 4)).unwrap();
                *self.counts.entry(counter.clone()).or_default() += 1;
                Op::increment(counter, 1)
            }
        }
    }

    fn batch(&mut self) -> Batch {
        let ops = if self.random.below(8) == 0 { 3 } else { 1 };
        Batch::new((0..ops).map(|_| self.op())).with_id(OpId::random())
    }

    /// What a batch that was not applied would have added is not to be counted.
    fn uncount(&mut self, batch: &Batch) {
        for op in batch.ops.iter().filter(|op| op.action.kind() == OpKind::Increment) {
            *self.counts.get_mut(&op.path).unwrap() -= 1;
        }
    }

    /// One fault, while writes are under way.
    async fn fault(&mut self) {
        match self.random.below(15) {
            0..=3 => self.proxy.cut.send_modify(|cuts| *cuts += 1),
            4 | 5 => drop(self.proxy.mode.send_replace(Mode::Hold)),
            6 => {
                self.proxy.mode.send_replace(Mode::Refuse);
                self.proxy.cut.send_modify(|cuts| *cuts += 1);
            }
            7 => {
                self.running.take().unwrap().stop().await;
                let running = serve((self.database)(), &self.clock_ms).await;
                self.http = self.http.clone().base_url(format!("http://{}", running.address));
                self.proxy.lead_to(running.address);
                self.running = Some(running);
            }
            8 => self.tick.send_modify(|ticks| *ticks += 1),
            9 => {
                // What is not answered is left to the next program: some shall be under way, unless all were answered.
                self.proxy.mode.send_replace(Mode::Hold);
                for _ in 0..10_000 {
                    if self.clients[WITH_FILE].sync.status().pending >= 5 {
                        break;
                    }
                    tokio::task::yield_now().await;
                }
                self.restarts.0 += 1;
                self.clients[WITH_FILE].restart().await;
            }
            10 => drop(self.proxy.mode.send_replace(Mode::HoldHalf)),
            11 => drop(self.proxy.mode.send_replace(Mode::Twice)),
            _ => {}
        }
    }

    /// Writes from every client at once, with a fault in the midst of it.
    async fn round(&mut self, number: usize) {
        let restarts = self.restarts.0;
        let ends_token = number % TOKEN_ROUNDS == TOKEN_ROUNDS / 10;
        let batches: Vec<(usize, Batch)> = (0..WIDTH).map(|n| (n % self.clients.len(), self.batch())).collect();
        let syncs: Vec<Sync> = self.clients.iter().map(|client| client.sync.clone()).collect();
        let writing = tokio::spawn(join_all(batches.into_iter().map(move |(client, batch)| {
            let sync = syncs[client].clone();
            async move {
                let given = batch.clone();
                let write = async {
                    if client == WITH_FILE {
                        sync.write_optimistic(given).await?.settled().await
                    } else {
                        sync.write(given).await
                    }
                };
                (client, batch, write.await)
            }
        })));
        self.let_others_run().await;
        if ends_token {
            self.end_token().await;
        } else {
            self.fault().await;
        }
        self.let_others_run().await;
        // Half-open connections are noticed as time goes by, and then all is well again.
        if *self.proxy.mode.borrow() != Mode::Pass {
            self.tick.send_modify(|ticks| *ticks += 1);
            for _ in 0..50 {
                tokio::task::yield_now().await;
            }
            self.tick.send_modify(|ticks| *ticks += 1);
            self.proxy.mode.send_replace(Mode::Pass);
        }
        let answers = writing.await.unwrap();
        let mut restored = BTreeMap::new();
        if self.restarts.0 > restarts {
            let mut left = std::pin::pin!(self.clients[WITH_FILE].sync.restored());
            while let Some(write) = left.next().await {
                restored.insert(write.batch.id.clone().unwrap(), write);
            }
            self.restarts.1 += restored.len();
        }
        let mut unsettled = Vec::new();
        for (client, batch, answer) in answers {
            let Err(error) = &answer else { continue };
            if ends_token && client == BRIEF && error.kind() == ErrorKind::Unauthorized {
                unsettled.push(batch);
                continue;
            }
            let error = match (error.kind(), error.outcome()) {
                (ErrorKind::Closed, Outcome::NotApplied) => {
                    self.uncount(&batch);
                    continue;
                }
                // The next program knows.
                (ErrorKind::Closed, Outcome::Unknown) => {
                    let write = restored.remove(batch.id.as_ref().unwrap()).expect("it is in the file");
                    assert_eq!(write.batch, batch);
                    match &write.result {
                        Ok(_) => continue,
                        Err(error) => error.kind(),
                    }
                }
                (kind, _) => kind,
            };
            assert_eq!(error, ErrorKind::InvalidParams, "{answer:?}");
        }
        assert!(restored.is_empty(), "{restored:?}");
        if ends_token {
            self.come_back(unsettled).await;
        }
    }

    async fn let_others_run(&mut self) {
        for _ in 0..self.random.below(200) {
            tokio::task::yield_now().await;
        }
    }

    /// Compares every replica with the server, and what subscriptions saw with the log.
    async fn compare(&mut self) {
        let http = Http::new(self.http.clone()).unwrap();
        let all = List::pattern(Pattern::default()).limit(1000);
        let entries: Vec<Entry> = http.list(&all).await.unwrap().items.into_entries();
        let head = self.clients.iter().map(|client| client.sync.applied()).max().unwrap();
        for client in &mut self.clients {
            client.sync.reached(head).await.unwrap();
            let replica = client.sync.list(&all).await.unwrap().items.into_entries();
            assert_eq!(replica, entries);
            client
                .seen
                .wait_for(|seen| *seen == head.0)
                .await
                .expect("the subscription goes on");
        }
        for (counter, count) in &self.counts {
            let found = entries.iter().find(|entry| entry.path == *counter).unwrap();
            assert_eq!(found.value, Value::from(*count), "{counter}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_and_subscriptions_come_through() {
    let started = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let seed = number("DUST_CHAOS_SEED").unwrap_or(started.as_secs() ^ u64::from(started.subsec_nanos()));
    let steps = number("DUST_CHAOS_STEPS").map_or(STEPS, |steps| usize::try_from(steps).unwrap());
    let _seed = Seed(seed);
    let mut chaos = Chaos::start(seed).await;
    for round in 1..=steps.div_ceil(WIDTH) {
        chaos.round(round).await;
        if round % ROUNDS == 0 {
            chaos.compare().await;
        }
    }
    chaos.compare().await;
    // The faults were there.
    let connections = chaos.proxy.connections.load(Ordering::Relaxed);
    assert!(connections > steps / WIDTH / 2, "{connections} connections");
    let (restarts, left) = chaos.restarts;
    assert!(
        steps < STEPS || (restarts > 20 && left > 100),
        "{restarts} restarts, {left} writes left"
    );
}
