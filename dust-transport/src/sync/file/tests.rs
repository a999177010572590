//! The file on a disk that fails and loses power.

use std::collections::BTreeMap;
use std::io;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{Database, StorageBackend};
use tokio::sync::watch;

use super::format::{Row, leaf_of, leaf_to_text};
use super::open::{Identity, Loaded, initialise, load, read_content, read_meta};
use super::{Progress, Ticket};
use crate::channel::WRITE;
use crate::error::{ErrorKind, Outcome};
use crate::http::HttpOptions;
use crate::model::{Batch, Op, OpId, Path, Seq, Value, ValueKind};
use crate::sync::outbox::{Outbox, Pending};
use crate::sync::replica::{Leaf, Replica};
use crate::sync::{ConnectionState, Offline, Sync, SyncOptions};
use crate::transport::Transport as _;

/// Numbers that only look random: xorshift*.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// A disk in memory, which keeps what it would have after a power cut at each of its syncs.
#[derive(Clone)]
struct Disk(Arc<Mutex<State>>);

struct State {
    bytes: Vec<u8>,
    /// The bytes at the last sync, and what was written since.
    synced: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    random: Random,
    /// How far the file was known to be, and the bytes of a disk that lost power then.
    cuts: Vec<(Ticket, Vec<u8>)>,
    progress: Option<watch::Receiver<Progress>>,
    fails: bool,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Disk")
    }
}

fn put(bytes: &mut Vec<u8>, offset: usize, data: &[u8]) {
    bytes.resize(bytes.len().max(offset + data.len()), 0);
    bytes[offset..offset + data.len()].copy_from_slice(data);
}

impl Disk {
    fn new(bytes: Vec<u8>, seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            synced: bytes.clone(),
            bytes,
            unsynced: Vec::new(),
            random: Random(seed | 1),
            cuts: Vec::new(),
            progress: None,
            fails: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.lock();
        if state.fails {
            return Err(io::Error::other("the disk is broken"));
        }
        Ok(state)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let from = usize::try_from(offset).unwrap();
        let state = self.lock();
        let found = state.bytes.get(from..from + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.writable()?;
        let len = usize::try_from(len).unwrap();
        state.bytes.resize(len, 0);
        // The length is the file system's own, which its journal keeps.
        state.synced.resize(len, 0);
        state.unsynced.retain(|(offset, data)| offset + data.len() <= len);
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.writable()?;
        let offset = usize::try_from(offset).unwrap();
        put(&mut state.bytes, offset, data);
        state.unsynced.push((offset, data.to_vec()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut guard = self.writable()?;
        let state = &mut *guard;
        if let Some(progress) = &state.progress {
            let through = progress.borrow().through;
            let mut bytes = state.synced.clone();
            for (offset, data) in &state.unsynced {
                if state.random.below(2) == 0 {
                    put(&mut bytes, *offset, data);
                }
            }
            state.cuts.push((through, bytes));
        }
        state.unsynced.clear();
        state.synced = state.bytes.clone();
        Ok(())
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn leaf(value: u64, revision: u64) -> Leaf {
    Leaf {
        value: Value::from(value),
        kind: ValueKind::Integer,
        revision: Seq(revision),
        exact: true,
    }
}

fn identity() -> Identity {
    Identity::of(&HttpOptions::new("acme/site", "secret"))
}

fn row(n: u64) -> Row {
    let id = OpId::new(format!("op_{n}")).unwrap();
    let (answer, _) = tokio::sync::oneshot::channel();
    let batch = Batch::one(Op::increment(path("n"), n));
    let mut row = Pending::new(id, &batch, true, answer).row();
    row.is_seen = n.is_multiple_of(2);
    row
}

fn open(disk: &Disk) -> Loaded {
    let database = Database::builder().create_with_backend(disk.clone()).unwrap();
    if disk.lock().cuts.is_empty() && disk.lock().progress.is_none() {
        initialise(&database, &identity(), None).unwrap();
    }
    let loaded = load(database, FilePath::new("test"), &identity(), None).unwrap();
    disk.lock().progress = Some(loaded.file.progress());
    loaded
}

/// All that a file has.
#[derive(Debug, Clone, PartialEq, Default)]
struct Content {
    applied: Seq,
    leaves: BTreeMap<Path, Leaf>,
    writes: BTreeMap<u64, (Row, bool)>,
}

fn content(bytes: Vec<u8>) -> Content {
    let mut builder = Database::builder();
    let builder = builder.set_check_integrity_on_open(true);
    let database = builder.create_with_backend(Disk::new(bytes, 1)).unwrap();
    let meta = read_meta(&database, FilePath::new("test"), &identity()).unwrap();
    let (replica, writes) = read_content(&database, FilePath::new("test")).unwrap();
    Content {
        applied: meta.applied,
        leaves: owned(&replica),
        writes: writes
            .into_iter()
            .map(|(number, row, is_sent)| (number, (row, is_sent)))
            .collect(),
    }
}

fn owned(replica: &Replica) -> BTreeMap<Path, Leaf> {
    replica
        .leaves()
        .map(|(path, leaf)| (path.clone(), leaf.clone()))
        .collect()
}

async fn durable(progress: &mut watch::Receiver<Progress>, ticket: Ticket) {
    let reached = |progress: &Progress| progress.through >= ticket || progress.over.is_some();
    progress.wait_for(reached).await.unwrap();
}

/// Whenever the power goes, the file is as it was after some request, and not before one that it was said to have.
#[tokio::test]
async fn a_power_cut_leaves_an_earlier_state_whole() {
    for seed in 1..=3_u64 {
        let disk = Disk::new(Vec::new(), seed);
        let file = open(&disk).file;
        let mut progress = file.progress();
        let mut random = Random(seed << 8 | 1);
        let mut now = Content::default();
        let mut after = vec![now.clone()];
        let mut next_write = 0;
        for _ in 0..150 {
            let ticket = match random.below(8) {
                0..=2 => {
                    now.applied.0 += 1;
                    let at = path(&format!("a/{}", random.below(20)));
                    let new = (random.below(3) > 0).then(|| leaf(random.below(9), now.applied.0));
                    match new.clone() {
                        Some(new) => drop(now.leaves.insert(at.clone(), new)),
                        None => drop(now.leaves.remove(&at)),
                    }
                    let settled = now.writes.keys().next().copied().filter(|_| random.below(2) == 0);
                    if let Some(settled) = settled {
                        now.writes.remove(&settled);
                    }
                    file.apply(now.applied, [(at, new)], settled)
                }
                3 => {
                    now.applied.0 += 10;
                    let count = random.below(30);
                    now.leaves = (0..count)
                        .map(|n| (path(&format!("b/{n}")), leaf(n, now.applied.0)))
                        .collect();
                    let replica: Replica = now.leaves.clone().into_iter().collect();
                    file.replace(&replica, now.applied)
                }
                4 | 5 => {
                    next_write += 2;
                    let is_sent = random.below(2) == 0;
                    now.writes.insert(next_write, (row(next_write), is_sent));
                    file.keep(next_write, row(next_write), is_sent)
                }
                6 => match now.writes.iter_mut().find(|(_, (_, is_sent))| !is_sent) {
                    Some((number, (_, is_sent))) => {
                        *is_sent = true;
                        file.mark_sent(*number)
                    }
                    None => file.set_whole(true),
                },
                _ => match now.writes.pop_first() {
                    Some((number, _)) => file.settle(number),
                    None => file.set_whole(true),
                },
            };
            after.push(now.clone());
            assert_eq!(after.len() as u64, ticket + 1);
            if random.below(4) == 0 {
                // Somebody waits for it.
                durable(&mut progress, file.withdraw(u64::MAX)).await;
                after.push(now.clone());
            }
        }
        file.close().await.unwrap();
        let cuts = std::mem::take(&mut disk.lock().cuts);
        assert!(cuts.len() > 30, "{}", cuts.len());
        for (through, bytes) in cuts {
            let found = content(bytes);
            let known = usize::try_from(through).unwrap();
            assert!(
                after[known..].contains(&found),
                "seed {seed}: {found:?} after {through}"
            );
        }
        assert_eq!(content(disk.lock().synced.clone()), now);
    }
}

#[tokio::test]
async fn a_failure_is_told_and_leaves_what_was_there() {
    let disk = Disk::new(Vec::new(), 1);
    let file = open(&disk).file;
    let mut progress = file.progress();
    durable(&mut progress, file.keep(2, row(2), false)).await;
    let before = disk.lock().synced.clone();
    disk.lock().fails = true;
    let ticket = file.keep(4, row(4), false);
    durable(&mut progress, ticket).await;
    assert!(!file.has(ticket));
    let reason = file.close().await.unwrap_err();
    assert_eq!((reason.kind, &*reason.code), (ErrorKind::Storage, "replica_failed"));
    assert_eq!(content(before).writes.into_keys().collect::<Vec<_>>(), [2]);
}

#[tokio::test]
async fn a_synced_store_ends_when_its_file_fails() {
    let disk = Disk::new(Vec::new(), 1);
    let loaded = open(&disk);
    let file = |n: u64| Batch::one(Op::set(path("a"), n));
    durable(&mut loaded.file.progress(), loaded.file.set_whole(true)).await;
    // Nobody is there.
    let options = SyncOptions::new("acme/site", "secret")
        .base_url("http://127.0.0.1:1")
        .offline(Offline::Queue)
        .sleep(|_| Box::pin(std::future::pending()));
    let loaded = Loaded {
        is_whole: true,
        ..loaded
    };
    let sync = Sync::start_with(options, Some(loaded)).unwrap();
    let kept = sync.write_optimistic(file(1)).await.unwrap();
    assert_eq!(content(disk.lock().synced.clone()).writes.len(), 1);
    disk.lock().fails = true;
    let lost = sync.write(file(2)).await.unwrap_err();
    for error in [lost, kept.settled().await.unwrap_err()] {
        assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "replica_failed"));
        assert_eq!(error.outcome(), Outcome::Unknown);
    }
    assert!(matches!(sync.state(), ConnectionState::Ended(reason) if reason.code == "replica_failed"));
    assert_eq!(sync.close().await.unwrap_err().code(), "replica_failed");
    // What is asked for later is refused, and not half done.
    let late = sync.write(file(3)).await.unwrap_err();
    assert_eq!(late.code(), "replica_failed");
}

/// Neither a new write nor one that waited for a connection is sent before the file knows that it may have been.
#[tokio::test]
async fn nothing_is_sent_before_it_is_in_the_file() {
    let batch = Batch::one(Op::increment(path("n"), 1));
    let write = |n: u64| {
        let (answer, _) = tokio::sync::oneshot::channel();
        Pending::new(OpId::new(format!("op_{n}")).unwrap(), &batch, true, answer)
    };
    let numbers =
        |outbox: &mut Outbox| -> Vec<u64> { outbox.unsent(3).into_iter().map(|(number, ..)| number).collect() };
    for fails in [false, true] {
        let disk = Disk::new(Vec::new(), 1);
        let file = Arc::new(open(&disk).file);
        let (mut progress, mut outbox) = (file.progress(), Outbox::new(Some(Arc::clone(&file))));
        outbox.insert(2, write(2), false);
        let queued = file.set_whole(true);
        durable(&mut progress, queued).await;
        // Held, so that the thread does not get ahead of what is looked at.
        {
            let mut held = disk.lock();
            outbox.insert(4, write(4), true);
            assert!(numbers(&mut outbox).is_empty());
            held.fails = fails;
        }
        durable(&mut progress, queued + 2).await;
        if fails {
            assert!(numbers(&mut outbox).is_empty());
            continue;
        }
        assert_eq!(numbers(&mut outbox), [2, 4]);
        assert!(
            content(disk.lock().synced.clone())
                .writes
                .values()
                .all(|(_, is_sent)| *is_sent)
        );
        assert!(numbers(&mut outbox).is_empty(), "once in a join");
    }
}

/// Changing one of these needs another version of the format.
#[test]
fn the_texts_of_the_file_are_these() {
    let exact = leaf(7, 12);
    assert_eq!(leaf_to_text(&exact), "12 integer 7");
    let inexact = Leaf {
        value: Value::from("a b"),
        kind: ValueKind::Datetime,
        exact: false,
        ..exact.clone()
    };
    assert_eq!(leaf_to_text(&inexact), r#"~12 datetime "a b""#);
    for leaf in [exact, inexact] {
        assert_eq!(leaf_of("a/b", &leaf_to_text(&leaf)), Some((path("a/b"), leaf)));
    }
    assert_eq!(
        row(2).to_text(),
        r#"seen write {"op":"increment","path":"n","path_segments":["n"],"value":2,"client_op_id":"op_2"}"#
    );
    assert_eq!(Row::of(&row(1).to_text()), Some(row(1)));
    assert_eq!(row(1).event, WRITE);
    for damaged in ["", "12", "12 integer", "x integer 7", "12 tensor 7", "12 integer 7,"] {
        assert_eq!(leaf_of("a", damaged), None, "{damaged}");
    }
    for damaged in [
        "",
        "seen",
        "seen write",
        "seen write {",
        "half write {}",
        "seen rollback {}",
    ] {
        assert_eq!(Row::of(damaged), None, "{damaged}");
    }
}
