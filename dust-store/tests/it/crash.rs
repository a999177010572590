//! A process that writes and is killed at any moment.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use dust_store::Embedded;
use dust_transport::model::{Batch, FileRef, Lease, Op, Path, Seq, Value};
use dust_transport::transport::{FileRange, Transport};
use futures_util::TryStreamExt;
use tempfile::TempDir;

use crate::leaves;

const FOLDER: &str = "DUST_STORE_CRASH_FOLDER";
const ROUND: &str = "DUST_STORE_CRASH_ROUND";
const STORE: &str = "acme/crash";
const ROUNDS: u64 = 60;

/// How many ops the batch of a number has.
fn ops_of(number: u64) -> u64 {
    [1, 1, 3, 1, 8][usize::try_from(number % 5).unwrap()]
}

/// A batch that says of itself how long it is, and overwrites what the batch before of the same writer wrote.
fn batch(round: u64, writer: u64, number: u64) -> Batch {
    let ops = (0..ops_of(number)).map(|index| {
        let at = Path::new(["w".to_owned(), format!("{writer}"), format!("{index}")]).unwrap();
        Op::set(at, Value::from(format!("{round}/{writer}/{number}/{index}")))
    });
    Batch::new(ops)
}

/// The writer of files.
const FILER: u64 = 6;

/// A batch of a file and a lease, which say of themselves what they belong to.
fn file_batch(round: u64, number: u64) -> Batch {
    let tag = |index| format!("{round}/{FILER}/{number}/{index}");
    let at = |what: &str| Path::new(["f".to_owned(), format!("{what}{}", number % 3)]).unwrap();
    let ops = [
        Op::put_file(at("file"), content(&tag(0)), Some(&tag(0)), None),
        Op::lease(at("lease"), Some(&tag(1)), Duration::ZERO),
    ];
    Batch::new(ops)
}

/// What is in the file of a name: more than one piece, and not much that is new, since the log keeps all of it.
fn content(name: &str) -> Vec<u8> {
    let mut parts = name.split('/').map(|part| part.parse::<u64>().unwrap());
    let (round, number) = (parts.next().unwrap(), parts.nth(1).unwrap());
    format!("{round}/{}", number % 3).bytes().cycle().take(70_000).collect()
}

/// What a value says that it belongs to.
fn tag(value: &Value) -> String {
    let named = || FileRef::from_value(value)?.filename;
    let held = || Lease::from_value(value)?.holder;
    value.str().map(Cow::into_owned).or_else(named).or_else(held).unwrap()
}

/// The child: does nothing unless it was started by the test below; then it writes until it is killed.
#[test]
fn child_writes_until_killed() {
    let (Ok(folder), Ok(round)) = (std::env::var(FOLDER), std::env::var(ROUND)) else {
        return;
    };
    let round: u64 = round.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Embedded::open(folder, STORE).await.unwrap();
        let writers: Vec<_> = (0..=FILER)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    for number in 0.. {
                        let batch = if writer == FILER {
                            file_batch(round, number)
                        } else {
                            batch(round, writer, number)
                        };
                        let written = store.write(batch).await.unwrap();
                        let line = format!("\nack {writer} {number} {} {}\n", written.seqs[0], written.seqs.len());
                        let mut out = std::io::stdout().lock();
                        out.write_all(line.as_bytes()).and_then(|()| out.flush()).unwrap();
                    }
                })
            })
            .collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Starts the child, reads `acks` acknowledgements and kills it, whatever it is about; gives all that were acknowledged.
fn run_and_kill(folder: &TempDir, round: u64, acks: u64) -> Vec<[u64; 4]> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "crash::child_writes_until_killed",
            "--exact",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(FOLDER, folder.path())
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut acknowledged = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        // After the kill, what is still in the pipe has been acknowledged too; only its last line may be cut.
        let Ok(line) = line else { break };
        let numbers: Vec<u64> = match line.strip_prefix("ack ") {
            Some(rest) => rest.split(' ').filter_map(|number| number.parse().ok()).collect(),
            None => continue,
        };
        let Ok(ack) = <[u64; 4]>::try_from(numbers) else {
            continue;
        };
        acknowledged.push(ack);
        if acknowledged.len() as u64 == acks {
            child.kill().unwrap();
        }
    }
    let status = child.wait().unwrap();
    assert!(
        !status.success() && acknowledged.len() as u64 >= acks,
        "the child ended by itself: {status}"
    );
    acknowledged
}

#[tokio::test]
async fn killed_writer_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let seed = std::env::var("DUST_STORE_CRASH_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    println!("replay with DUST_STORE_CRASH_SEED={seed}");
    let mut random: u64 = seed;
    let mut state: BTreeMap<String, (String, Seq)> = BTreeMap::new();
    let mut head = Seq(0);
    for round in 0..ROUNDS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let acknowledged = run_and_kill(&folder, round, 1 + (random >> 33) % 40);

        let store = Embedded::open(folder.path(), STORE).await.unwrap();
        let before = head;
        head = store.head().await.unwrap();
        // `events` itself fails where a number is missing.
        let events = store.events(before, 1 << 20).await.unwrap();
        assert_eq!(events.last().map_or(before, |event| event.seq), head);

        // Every op of the log, by batch: none is half there, and its ops are next to each other.
        let mut batches: BTreeMap<(u64, u64), Vec<Seq>> = BTreeMap::new();
        for event in &events {
            let value = tag(event.value.as_ref().unwrap());
            let mut parts = value.split('/').map(|part| part.parse::<u64>().unwrap());
            let (of_round, writer, number) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            assert_eq!(of_round, round, "an op of an earlier process appears later");
            batches.entry((writer, number)).or_default().push(event.seq);
            state.insert(event.path.to_string(), (value, event.seq));
        }
        for ((writer, number), seqs) in &batches {
            assert_eq!(
                seqs.len() as u64,
                if *writer == FILER { 2 } else { ops_of(*number) },
                "batch {number} of writer {writer} is half there"
            );
            assert!(seqs.windows(2).all(|pair| pair[0].0 + 1 == pair[1].0));
        }
        for [writer, number, first, count] in acknowledged {
            let seqs: Vec<_> = (first..first + count).map(Seq).collect();
            assert_eq!(
                batches.get(&(writer, number)),
                Some(&seqs),
                "an acknowledged batch is lost"
            );
        }
        let found: BTreeMap<_, _> = leaves(&store)
            .await
            .into_iter()
            .map(|leaf| (leaf.path.to_string(), (tag(&leaf.value), leaf.revision)))
            .collect();
        assert_eq!(found, state, "the leaves are not what the log says");
        assert_eq!(store.status().await.unwrap().entries, found.len() as u64);
        for leaf in leaves(&store).await {
            if let Some(file) = FileRef::from_value(&leaf.value) {
                let opened = store.read_file(&file.hash, FileRange::All).await.unwrap().unwrap();
                let pieces: Vec<_> = opened.body.try_collect().await.unwrap();
                assert!(
                    pieces.concat() == content(&file.filename.unwrap()),
                    "{} is broken",
                    leaf.path
                );
            }
        }
    }
}
