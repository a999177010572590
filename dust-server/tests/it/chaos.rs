//! Synced stores behind a proxy that cuts, holds and refuses connections, while the server is stopped and started, and so is a
//! program that has its store in a file.
//!
//! However it goes, each replica ends as the server is, each subscription saw every op once and in order, and every
//! increment that was asked for counts once. `DUST_CHAOS_SEED` repeats the choices of a run, `DUST_CHAOS_STEPS` says how
//! many writes it has.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dust_store::{AnyDatabase, Database};
use dust_transport::error::{ErrorKind, Outcome};
use dust_transport::http::{Http, HttpOptions};
use dust_transport::model::{Batch, DeviceId, Entry, Op, OpId, OpKind, Path, Pattern, Seq, Value};
use dust_transport::sync::{Offline, Sync, SyncOptions};
use dust_transport::transport::{List, Signal, Start, Subscribe, Transport as _};
use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, join_all};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::over_sync::{Running, serve};

const STEPS: usize = 100_000;

/// Writes that are under way at a time.
const WIDTH: usize = 100;

/// Rounds between two comparisons.
const ROUNDS: usize = 25;

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

/// What the proxy does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Passes nothing on, and says nothing of it.
    Hold,
    /// Answers what connects with a 429.
    Refuse,
}

/// A proxy in front of the server.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    upstream: Arc<Mutex<SocketAddr>>,
    pub(crate) mode: watch::Sender<Mode>,
    /// Cuts the connections that are open.
    pub(crate) cut: watch::Sender<u64>,
    /// How many connections there were.
    connections: Arc<AtomicUsize>,
}

impl Proxy {
    pub(crate) async fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self {
            address: listener.local_addr().unwrap(),
            upstream: Arc::new(Mutex::new(upstream)),
            mode: watch::Sender::new(Mode::Pass),
            cut: watch::Sender::new(0),
            connections: Arc::default(),
        };
        let connections = Arc::clone(&proxy.connections);
        let (upstream, mode, cut) = (
            Arc::clone(&proxy.upstream),
            proxy.mode.subscribe(),
            proxy.cut.subscribe(),
        );
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::Relaxed);
                let (mode, mut cut) = (mode.clone(), cut.clone());
                cut.mark_unchanged();
                let upstream = *upstream.lock().unwrap();
                tokio::spawn(async move {
                    tokio::select! {
                        () = pass(near, upstream, mode) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        proxy
    }

    /// Leads to another server, and cuts the connections to the one before.
    pub(crate) fn lead_to(&self, upstream: SocketAddr) {
        *self.upstream.lock().unwrap() = upstream;
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

async fn pass(mut near: TcpStream, upstream: SocketAddr, mode: watch::Receiver<Mode>) {
    if *mode.borrow() == Mode::Refuse {
        let answer = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 0\r\ncontent-length: 0\r\n\r\n";
        let mut request = [0; 4096];
        let _ = near.read(&mut request).await;
        let _ = near.write_all(answer).await;
        return;
    }
    let Ok(far) = TcpStream::connect(upstream).await else {
        return;
    };
    let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = copy(near_in, far_out, mode.clone()) => {}
        () = copy(far_in, near_out, mode) => {}
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut mode: watch::Receiver<Mode>) {
    let mut bytes = [0; 16 << 10];
    loop {
        let Ok(read @ 1..) = from.read(&mut bytes).await else {
            return;
        };
        if mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
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
                    Err(error) if error.kind() == ErrorKind::Closed => return,
                    Err(error) => panic!("the subscription ended: {error}"),
                }
            }
        });
        Self { options, sync, seen }
    }

    /// Ends the program, whatever is under way, and starts the next with the same file, and the cursor of the last.
    async fn restart(&mut self) {
        self.sync.close().await.unwrap();
        // The last item comes before the end.
        let mut seen = self.seen.clone();
        while seen.changed().await.is_ok() {}
        let last = *seen.borrow();
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
    /// How often each counter was incremented.
    counts: BTreeMap<Path, i64>,
    /// How often the program with the file was started anew, and how many writes that left it.
    restarts: (u64, usize),
    _folder: TempDir,
}

/// The client that has a file, and sees its writes at once.
const WITH_FILE: usize = 1;

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
        let (running, token) = serve(database()).await;
        let proxy = Proxy::start(running.address).await;
        let tick = watch::Sender::new(0);
        let http = HttpOptions::new("acme/site", token).base_url(format!("http://{}", running.address));
        let through_proxy = http.clone().base_url(format!("http://{}", proxy.address));
        let device = DeviceId::random();
        let mut clients: Vec<Client> = Vec::new();
        let folder = TempDir::new().unwrap();
        // Two programs of one device, one of which sees its writes at once, and one of another that reads slowly.
        for (device, events_max) in [(device.clone(), 1024), (device, 1024), (DeviceId::random(), 8)] {
            let mut options = SyncOptions::from(through_proxy.clone())
                .device(device)
                .listener_events_max(events_max)
                .offline(Offline::Queue)
                .reconnect(Duration::from_millis(1), Duration::from_millis(1))
                .sleep(virtual_time(tick.subscribe()));
            if clients.len() == WITH_FILE {
                options = options.file(folder.path().join("site.dust"));
            }
            clients.push(Client::start(options, 0).await);
        }
        Self {
            random: Random(seed | 1),
            proxy,
            running: Some(running),
            database: Box::new(database),
            clients,
            tick,
            http,
            counts: BTreeMap::new(),
            restarts: (0, 0),
            _folder: folder,
        }
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
        match self.random.below(12) {
            0..=3 => self.proxy.cut.send_modify(|cuts| *cuts += 1),
            4 | 5 => drop(self.proxy.mode.send_replace(Mode::Hold)),
            6 => {
                self.proxy.mode.send_replace(Mode::Refuse);
                self.proxy.cut.send_modify(|cuts| *cuts += 1);
            }
            7 => {
                self.running.take().unwrap().stop().await;
                let running = Running::on((self.database)()).await;
                self.http = self.http.clone().base_url(format!("http://{}", running.address));
                self.proxy.lead_to(running.address);
                self.running = Some(running);
            }
            8 => self.tick.send_modify(|ticks| *ticks += 1),
            9 => {
                self.restarts.0 += 1;
                self.clients[WITH_FILE].restart().await;
            }
            _ => {}
        }
    }

    /// Writes from every client at once, with a fault in the midst of it.
    async fn round(&mut self) {
        let restarts = self.restarts.0;
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
                (batch, write.await)
            }
        })));
        for _ in 0..self.random.below(200) {
            tokio::task::yield_now().await;
        }
        self.fault().await;
        for _ in 0..self.random.below(200) {
            tokio::task::yield_now().await;
        }
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
        for (batch, answer) in answers {
            let Err(error) = &answer else { continue };
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
        chaos.round().await;
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
