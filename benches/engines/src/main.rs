//! Embedded stores side by side under the key pattern of dust: a record is five leaves; one op writes a leaf, an entry
//! of the log and the head. The stores below take whole batches from one committer; dust-layer groups by itself.

use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dust_layer::{Direction, Engine as _, Isolation, Pairs, RangeRead, Transaction as _, tuple};
use fjall::{KeyspaceCreateOptions, PersistMode, Readable};
use redb::ReadableDatabase;

const RECORDS: u64 = 20_000;
const FIELDS: [&str; 5] = ["title", "url", "note", "tags", "updated_at"];
const RUN: Duration = Duration::from_secs(4);
const WRITERS: u64 = 64;
const CACHE_BYTES: usize = 64 << 20;
const TABLE: redb::TableDefinition<&[u8], &[u8]> = redb::TableDefinition::new("pairs");

type Pair = (Vec<u8>, Vec<u8>);
type Batch = Vec<Pair>;

/// A store in a folder. Reads go through one snapshot, taken after the load, as the pipeline of dust-layer does it.
trait Store: Send + Sync {
    fn commit(&self, batch: Batch);
    fn refresh(&mut self);
    fn get(&self, key: &[u8]) -> usize;
    fn scan(&self, begin: &[u8], end: &[u8]) -> usize;
    /// Whether concurrent commits share a sync without a committer in front.
    fn groups(&self) -> bool {
        false
    }
}

fn leaf(record: u64, field: usize) -> Pair {
    let path = format!("reading/links/an-ordinary-slug-{record:08}/{}", FIELDS[field]);
    let value = format!("\x01{{\"seq\":{record},\"value\":\"{}\"}}", "x".repeat(10 + 12 * field));
    (
        tuple::pack(&(42, tuple::Bytes::from(&b"\xfd"[..]), "e", path)),
        value.into_bytes(),
    )
}

fn op(number: u64) -> Batch {
    let (key, value) = leaf(number * 7919 % RECORDS, (number % 5) as usize);
    let section = tuple::Bytes::from(&b"\xfd"[..]);
    let log = tuple::pack(&(42, section.clone(), "o", number as i64));
    let head = tuple::pack(&(42, section, "h"));
    let entry = [&key[..], &value].concat();
    vec![(key, value), (log, entry), (head, number.to_be_bytes().to_vec())]
}

struct Redb(
    redb::Database,
    Option<redb::ReadOnlyTable<&'static [u8], &'static [u8]>>,
);

impl Store for Redb {
    fn commit(&self, batch: Batch) {
        let tx = self.0.begin_write().unwrap();
        let mut table = tx.open_table(TABLE).unwrap();
        for (key, value) in &batch {
            table.insert(&key[..], &value[..]).unwrap();
        }
        drop(table);
        tx.commit().unwrap();
    }
    fn refresh(&mut self) {
        self.1 = Some(self.0.begin_read().unwrap().open_table(TABLE).unwrap());
    }
    fn get(&self, key: &[u8]) -> usize {
        self.1
            .as_ref()
            .unwrap()
            .get(key)
            .unwrap()
            .unwrap()
            .value()
            .to_vec()
            .len()
    }
    fn scan(&self, begin: &[u8], end: &[u8]) -> usize {
        let mut pairs = Pairs::default();
        for pair in self.1.as_ref().unwrap().range(begin..end).unwrap() {
            let (key, value) = pair.unwrap();
            pairs.push(key.value(), value.value());
        }
        pairs.len()
    }
}

struct Fjall(fjall::Database, fjall::Keyspace, Option<fjall::Snapshot>);

impl Store for Fjall {
    fn commit(&self, batch: Batch) {
        let mut write = self.0.batch().durability(Some(PersistMode::SyncData));
        for (key, value) in batch {
            write.insert(&self.1, key, value);
        }
        write.commit().unwrap();
    }
    fn refresh(&mut self) {
        self.2 = Some(self.0.snapshot());
    }
    fn get(&self, key: &[u8]) -> usize {
        self.2
            .as_ref()
            .unwrap()
            .get(&self.1, key)
            .unwrap()
            .unwrap()
            .to_vec()
            .len()
    }
    fn scan(&self, begin: &[u8], end: &[u8]) -> usize {
        let mut pairs = Pairs::default();
        for guard in self.2.as_ref().unwrap().range(&self.1, begin..end) {
            let (key, value) = guard.into_inner().unwrap();
            pairs.push(&key, &value);
        }
        pairs.len()
    }
}

type Lmdb = heed::Database<heed::types::Bytes, heed::types::Bytes>;

struct Heed(
    heed::Env<heed::WithoutTls>,
    Lmdb,
    Option<Mutex<heed::RoTxn<'static, heed::WithoutTls>>>,
);

impl Store for Heed {
    fn commit(&self, batch: Batch) {
        let mut tx = self.0.write_txn().unwrap();
        for (key, value) in &batch {
            self.1.put(&mut tx, key, value).unwrap();
        }
        tx.commit().unwrap();
    }
    fn refresh(&mut self) {
        self.2 = None;
        self.2 = Some(Mutex::new(self.0.clone().static_read_txn().unwrap()));
    }
    fn get(&self, key: &[u8]) -> usize {
        let tx = self.2.as_ref().unwrap().lock().unwrap();
        self.1.get(&tx, key).unwrap().unwrap().to_vec().len()
    }
    fn scan(&self, begin: &[u8], end: &[u8]) -> usize {
        let tx = self.2.as_ref().unwrap().lock().unwrap();
        let mut pairs = Pairs::default();
        let bounds = (std::ops::Bound::Included(begin), std::ops::Bound::Excluded(end));
        for pair in self.1.range(&tx, &bounds).unwrap() {
            let (key, value) = pair.unwrap();
            pairs.push(key, value);
        }
        pairs.len()
    }
}

struct Layer(dust_layer::Disk, Option<dust_layer::LocalTransaction>);

impl Store for Layer {
    fn commit(&self, batch: Batch) {
        let tx = self.0.begin();
        for (key, value) in &batch {
            tx.set(key, value);
        }
        block_on(tx.commit()).unwrap();
    }
    fn refresh(&mut self) {
        self.1 = Some(self.0.begin());
    }
    fn get(&self, key: &[u8]) -> usize {
        block_on(self.1.as_ref().unwrap().get(key, Isolation::Snapshot))
            .unwrap()
            .unwrap()
            .len()
    }
    fn scan(&self, begin: &[u8], end: &[u8]) -> usize {
        let (limit, direction, isolation) = (usize::MAX, Direction::Forward, Isolation::Snapshot);
        block_on(self.1.as_ref().unwrap().get_range(RangeRead {
            begin,
            end,
            limit,
            direction,
            isolation,
        }))
        .unwrap()
        .len()
    }
    fn groups(&self) -> bool {
        true
    }
}

fn open(name: &str, folder: &Path) -> Box<dyn Store> {
    match name {
        "redb" => {
            let database = redb::Database::builder()
                .set_cache_size(CACHE_BYTES)
                .create(folder.join("data"))
                .unwrap();
            Box::new(Redb(database, None))
        }
        "fjall" => {
            let database = fjall::Database::builder(folder)
                .cache_size(CACHE_BYTES as u64)
                .open()
                .unwrap();
            let keyspace = database.keyspace("pairs", KeyspaceCreateOptions::default).unwrap();
            Box::new(Fjall(database, keyspace, None))
        }
        "heed" => {
            let mut options = heed::EnvOpenOptions::new().read_txn_without_tls();
            // SAFETY: nothing else opens the file, which lies in a temporary folder of this process.
            let env = unsafe { options.map_size(4 << 30).open(folder) }.unwrap();
            let mut tx = env.write_txn().unwrap();
            let database = env.create_database(&mut tx, None).unwrap();
            tx.commit().unwrap();
            Box::new(Heed(env, database, None))
        }
        _ => {
            let disk = dust_layer::Disk::open(folder).unwrap();
            Box::new(Layer(disk, None))
        }
    }
}

/// Runs a future on this thread. Its 64 writers would contend for the one driver of a shared runtime.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut future = std::pin::pin!(future);
    loop {
        if let std::task::Poll::Ready(output) = future.as_mut().poll(&mut std::task::Context::from_waker(&waker)) {
            return output;
        }
        std::thread::park();
    }
}

/// Calls `work` with 0, 1, 2 … for the time of a run; yields calls per second.
fn rate(mut work: impl FnMut(u64)) -> f64 {
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < RUN {
        work(count);
        count += 1;
    }
    count as f64 / began.elapsed().as_secs_f64()
}

/// One committer thread takes what is queued and commits it as one batch, as a user of a bare store would.
fn committer(store: &dyn Store, queue: Receiver<(Batch, Sender<()>)>) {
    while let Ok(first) = queue.recv() {
        let mut group = vec![first];
        group.extend(queue.try_iter());
        let (batches, replies): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        store.commit(batches.concat());
        replies.into_iter().for_each(|reply| reply.send(()).unwrap());
    }
}

fn grouped(store: &dyn Store) -> f64 {
    let total = Mutex::new(0.0);
    std::thread::scope(|scope| {
        let (sender, receiver) = channel();
        if !store.groups() {
            scope.spawn(move || committer(store, receiver));
        }
        for writer in 0..WRITERS {
            let (sender, total) = (sender.clone(), &total);
            scope.spawn(move || {
                let rate = rate(|count| {
                    let batch = op(1_000_000 + count * WRITERS + writer);
                    if store.groups() {
                        return store.commit(batch);
                    }
                    let (reply, answer) = channel();
                    sender.send((batch, reply)).unwrap();
                    answer.recv().unwrap();
                });
                *total.lock().unwrap() += rate;
            });
        }
        drop(sender);
    });
    total.into_inner().unwrap()
}

fn disk_mib(folder: &Path) -> f64 {
    use std::os::unix::fs::MetadataExt;
    let blocks = |entry: std::fs::DirEntry| match entry.metadata().unwrap() {
        data if data.is_dir() => disk_mib(&entry.path()),
        data => data.blocks() as f64 / 2048.0,
    };
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| blocks(entry.unwrap()))
        .sum()
}

fn main() {
    let root = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".to_owned())).unwrap();
    println!("| store | 1 writer, commits/s | 64 writers, commits/s | gets/s | records/s | full scan, keys/s | MiB |");
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let named: Vec<String> = std::env::args().skip(2).collect();
    let all = ["redb", "fjall", "heed", "dust-layer"];
    for name in all
        .into_iter()
        .filter(|name| named.is_empty() || named.iter().any(|wanted| wanted == name))
    {
        let folder = root.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        let mut store = open(name, &folder);
        for first in (0..RECORDS).step_by(200) {
            store.commit(
                (first..first + 200)
                    .flat_map(|record| (0..5).map(move |field| leaf(record, field)))
                    .collect(),
            );
        }
        let single = rate(|count| store.commit(op(count)));
        let grouped = grouped(&*store);
        store.refresh();
        let keys: Arc<[Vec<u8>]> = (0..RECORDS).map(|record| leaf(record * 6007 % RECORDS, 2).0).collect();
        let key = |count: u64| &keys[(count % RECORDS) as usize];
        let gets = rate(|count| assert!(store.get(key(count)) > 0));
        let records = rate(|count| {
            let key = key(count);
            let slug = &key[..key.len() - b"note\0".len()];
            assert_eq!(store.scan(slug, &tuple::strinc(slug).unwrap()), 5);
        });
        let mut scanned = 0;
        let scans = rate(|_| scanned = store.scan(b"\0", b"\xff"));
        let scan = scans * scanned as f64;
        println!(
            "| {name} | {single:.0} | {grouped:.0} | {gets:.0} | {records:.0} | {scan:.0} | {:.0} |",
            disk_mib(&folder)
        );
    }
}
