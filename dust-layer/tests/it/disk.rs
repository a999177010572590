//! Disk: what is acknowledged stays, and what is not ours is left alone.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use dust_layer::disk::{Check, Options};
use dust_layer::{Direction, Disk, Engine, Error, Isolation, RangeRead, Transaction};
use tempfile::TempDir;

/// Names the folder that a child process of these tests works on.
const CHILD_FOLDER: &str = "DUST_LAYER_TEST_FOLDER";
/// Most batches between two kills.
const BATCHES_MAX: usize = 40;

/// Every file of a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect()
}

async fn put(disk: &Disk, key: &[u8], value: &[u8]) {
    let tx = disk.begin();
    tx.set(key, value);
    tx.commit().await.unwrap();
}

/// A store with some hundred keys, closed.
async fn filled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    for round in 0..20_u32 {
        let tx = disk.begin();
        for number in 0..50_u32 {
            tx.set(&[number.to_be_bytes(), round.to_be_bytes()].concat(), &[7; 300]);
        }
        tx.commit().await.unwrap();
    }
    folder
}

fn everything(disk: &Disk) -> impl Future<Output = Result<dust_layer::Pairs, Error>> {
    let tx = disk.begin();
    async move {
        tx.get_range(RangeRead {
            begin: b"",
            end: b"\xff\xff",
            limit: usize::MAX,
            direction: Direction::Forward,
            isolation: Isolation::Snapshot,
        })
        .await
    }
}

/// Opens a folder that must be refused, and checks that no byte and no file has changed.
fn refused(folder: &Path) -> Error {
    let before = files(folder);
    let error = Disk::open(folder).expect_err("the folder must be refused");
    assert!(files(folder) == before, "a refused folder was changed");
    error
}

#[tokio::test]
async fn a_store_is_found_again_and_its_versions_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a").join("b.dust");
    let mut last = None;
    for round in 0..5_u8 {
        let disk = Disk::open(&path).unwrap();
        assert_eq!(everything(&disk).await.unwrap().len(), usize::from(round));
        for _ in 0..2 {
            let tx = disk.begin();
            tx.set(&[round], b"");
            let stamp = Some(tx.commit().await.unwrap().stamp);
            assert!(stamp > last, "versions never go back");
            last = stamp;
        }
    }
}

#[tokio::test]
async fn the_last_clone_and_the_last_transaction_close_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let (clone, tx) = (disk.clone(), disk.begin());
    drop(disk);
    assert!(matches!(refused(folder.path()), Error::Locked { .. }));
    drop(clone);
    assert!(matches!(refused(folder.path()), Error::Locked { .. }));
    tx.set(b"k", b"v");
    tx.commit().await.unwrap();
    drop(tx);
    let disk = Disk::open(folder.path()).unwrap();
    assert_eq!(everything(&disk).await.unwrap().len(), 1);
}

#[tokio::test]
async fn commits_under_way_finish_before_the_folder_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    for number in 0..20_u8 {
        let tx = disk.begin();
        tx.set(&[number], b"");
        let mut commit = Box::pin(async move { tx.commit().await });
        let waker = std::task::Waker::noop();
        let _ = commit.as_mut().poll(&mut std::task::Context::from_waker(waker));
        // Dropped after its first poll: the outcome is not awaited, and not lost either.
    }
    drop(disk);
    let disk = Disk::open(folder.path()).unwrap();
    assert_eq!(everything(&disk).await.unwrap().len(), 20);
}

#[tokio::test]
async fn another_format_version_is_refused() {
    let folder = filled().await;
    fs::write(folder.path().join("FORMAT"), "dust-layer disk format 2\n").unwrap();
    assert!(matches!(
        refused(folder.path()),
        Error::Format { found: 2, supported: 1 }
    ));
}

#[tokio::test]
async fn what_is_not_ours_is_refused() {
    let folder = filled().await;
    for text in [
        &b""[..],
        b"dust-layer disk format one\n",
        b"dust-layer disk format 1",
        b"\xff\xfe",
        b"else",
    ] {
        fs::write(folder.path().join("FORMAT"), text).unwrap();
        assert!(matches!(refused(folder.path()), Error::Foreign { .. }));
    }

    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("notes.txt"), "mine").unwrap();
    assert!(matches!(refused(folder.path()), Error::Foreign { .. }));

    let file = folder.path().join("notes.txt");
    assert!(matches!(Disk::open(&file), Err(Error::Foreign { .. })));
    assert_eq!(fs::read(file).unwrap(), b"mine");

    // A database of redb that is not ours, and one that is no database at all, without a format file.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data.redb");
    fs::write(folder.path().join("LOCK"), "").unwrap();
    drop(redb::Database::create(&data).unwrap());
    assert!(matches!(refused(folder.path()), Error::Foreign { .. }));
    fs::write(&data, "not a database").unwrap();
    assert!(matches!(refused(folder.path()), Error::Foreign { .. }));
}

#[tokio::test]
async fn a_truncated_or_missing_data_file_is_refused() {
    let folder = filled().await;
    let data = folder.path().join("data.redb");
    let whole = fs::read(&data).unwrap();
    let mut lengths = vec![
        0,
        1,
        8,
        9,
        63,
        319,
        320,
        4095,
        4096,
        8192,
        whole.len() / 2,
        whole.len() - 1,
    ];
    lengths.extend((1..12).map(|part| whole.len() * part / 12));
    for length in lengths {
        fs::write(&data, &whole[..length]).unwrap();
        let error = refused(folder.path());
        assert!(
            matches!(error, Error::Corrupt { .. }),
            "at {length} of {}: {error:?}",
            whole.len()
        );
    }
    fs::remove_file(&data).unwrap();
    assert!(matches!(refused(folder.path()), Error::Corrupt { .. }));
    fs::write(&data, whole).unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    assert_eq!(everything(&disk).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn a_garbled_data_file_is_refused_or_whole() {
    let folder = filled().await;
    let data = folder.path().join("data.redb");
    let whole = fs::read(&data).unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let expected = everything(&disk).await.unwrap();
    drop(disk);
    let mut refusals = 0;
    for page in 0..whole.len() / 4096 {
        let mut garbled = whole.clone();
        garbled[page * 4096..][..4096]
            .iter_mut()
            .for_each(|byte| *byte = !*byte);
        fs::write(&data, &garbled).unwrap();
        match Disk::open(folder.path()) {
            Err(error) => {
                assert!(matches!(error, Error::Corrupt { .. }), "page {page}: {error:?}");
                assert!(fs::read(&data).unwrap() == garbled, "a refused file was changed");
                refusals += 1;
            }
            // A page that nothing uses.
            Ok(disk) => assert_eq!(everything(&disk).await.unwrap(), expected),
        }
    }
    assert!(refusals > 50, "only {refusals} of {} pages matter", whole.len() / 4096);
}

#[tokio::test]
async fn a_creation_that_was_cut_short_is_started_over() {
    let folder = filled().await;
    let template = files(folder.path());
    let of = |name: &str| template[&folder.path().join(name)].clone();
    let leftovers: [&[(&str, Vec<u8>)]; 4] = [
        &[("LOCK", Vec::new())],
        &[("LOCK", Vec::new()), ("data.redb.new", b"half".to_vec())],
        &[("LOCK", Vec::new()), ("data.redb", of("data.redb"))],
        &[
            ("LOCK", Vec::new()),
            ("data.redb", of("data.redb")),
            ("FORMAT.new", b"dust".to_vec()),
        ],
    ];
    for leftover in leftovers {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in leftover {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        for _ in 0..2 {
            let disk = Disk::open_with(folder.path(), Options::default().check(Check::Structure)).unwrap();
            put(&disk, b"\xfe", b"v").await;
        }
        assert_eq!(fs::read(folder.path().join("FORMAT")).unwrap(), of("FORMAT"));
    }
}

/// Runs one test of this binary in a process of its own, on a folder.
fn child(test: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(CHILD_FOLDER, folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_folder_open_in_another_process_is_refused() {
    let name = "disk::a_folder_open_in_another_process_is_refused";
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        let locked = matches!(Disk::open(folder), Err(Error::Locked { .. }));
        std::process::exit(if locked { 42 } else { 1 });
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::open(folder.path()).unwrap();
    let before = files(folder.path());
    assert_eq!(child(name, folder.path()).wait().unwrap().code(), Some(42));
    assert!(files(folder.path()) == before);
    drop(disk);
    assert_eq!(child(name, folder.path()).wait().unwrap().code(), Some(1));
}

/// Writes batches for ever: each task commits three keys with the same number and reports the number afterwards.
async fn write_for_ever(folder: &Path) {
    use std::io::Write;

    let disk = Disk::open(folder).unwrap();
    let begin = u64::from(std::process::id()) << 32;
    let tasks: Vec<_> = (0..4_u64)
        .map(|task| {
            let disk = disk.clone();
            tokio::spawn(async move {
                for round in 0..1_000_000_u64 {
                    let number = begin + round * 4 + task;
                    let tx = disk.begin();
                    for part in [b'a', b'b', b'c'] {
                        tx.set(&[&number.to_be_bytes()[..], &[part]].concat(), &[part; 200]);
                    }
                    tx.commit().await.unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "number {number}.").unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_it_keeps_what_it_acknowledged() {
    let name = "disk::killed_at_any_moment_it_keeps_what_it_acknowledged";
    if let Some(folder) = std::env::var_os(CHILD_FOLDER) {
        return write_for_ever(Path::new(&folder)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..50 {
        let mut child = child(name, folder.path());
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut numbers = lines.map(Result::unwrap).filter_map(|line| {
            line.rsplit_once("number ")
                .and_then(|(_, number)| number.strip_suffix('.')?.parse::<u64>().ok())
        });
        // The kill falls between a commit and the next at a place that the process id, different each time, decides.
        let until = usize::try_from(child.id()).unwrap() * 7 % BATCHES_MAX + 1;
        acknowledged.extend(numbers.by_ref().take(until));
        child.kill().unwrap();
        // What it wrote before the kill is still in the pipe.
        acknowledged.extend(numbers);
        child.wait().unwrap();

        let disk = Disk::open(folder.path()).unwrap();
        let pairs = everything(&disk).await.unwrap();
        let mut parts: BTreeMap<u64, Vec<u8>> = BTreeMap::new();
        for (key, value) in &pairs {
            let (number, part) = key.split_at(8);
            assert_eq!(value, [part[0]; 200]);
            parts
                .entry(u64::from_be_bytes(number.try_into().unwrap()))
                .or_default()
                .extend(part);
        }
        assert!(
            parts.values().all(|parts| parts == b"abc"),
            "round {round}: half a batch"
        );
        for number in &acknowledged {
            assert!(
                parts.contains_key(number),
                "round {round}: acknowledged {number} is gone"
            );
        }
        assert!(acknowledged.len() > round, "the child writes");
    }
}
