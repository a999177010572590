//! The synced store with a file against the server of this house: the promises of `Transport`, and restarts of the program.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Stdio;

use dust_orm::prelude::*;
use dust_store::{AnyDatabase, Database};
use dust_transport::http::{Http, HttpOptions};
use dust_transport::model::{Batch as Ops, Op, Path, Pattern, Seq, Value};
use dust_transport::sync::{Offline, Sync, SyncOptions};
use dust_transport::transport::{List, Signal, Subscribe, Transport as _};
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::over_sync::{Running, serve};
use crate::proxy::{Mode, Proxy};

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn all() -> List {
    List::pattern(Pattern::default()).limit(1000)
}

/// A server behind an address that stays, and a place for files.
struct Site {
    proxy: Proxy,
    running: Option<Running>,
    token: String,
    folder: TempDir,
}

impl Site {
    async fn start(database: impl Into<AnyDatabase>) -> Self {
        let (running, token) = serve(database).await;
        Self {
            proxy: Proxy::start(running.address).await,
            running: Some(running),
            token,
            folder: TempDir::new().unwrap(),
        }
    }

    async fn stop(&mut self) {
        self.running.take().unwrap().stop().await;
    }

    async fn start_on(&mut self, database: impl Into<AnyDatabase>) {
        let running = Running::on(database).await;
        self.proxy.lead_to(running.address);
        self.running = Some(running);
    }

    fn http(&self) -> HttpOptions {
        HttpOptions::new("acme/site", self.token.as_str()).base_url(format!("http://{}", self.proxy.address))
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("site.dust")
    }

    fn options(&self) -> SyncOptions {
        SyncOptions::from(self.http())
            .file(self.file())
            .offline(Offline::Queue)
            .reconnect(std::time::Duration::from_millis(1), std::time::Duration::from_millis(1))
    }

    async fn open(&self) -> Sync {
        Sync::connect(self.options()).await.unwrap()
    }

    /// What a client that has no file sees.
    async fn assert_is_replica(&self, sync: &Sync) {
        let http = Http::new(self.http()).unwrap();
        let (server, replica) = (http.list(&all()).await.unwrap(), sync.list(&all()).await.unwrap());
        assert_eq!(replica, server);
    }
}

async fn live(sync: &Sync) {
    let mut states = Box::pin(sync.states());
    while !states.next().await.unwrap().is_live() {}
}

mod suite {
    use super::*;

    async fn fresh() -> (Sync, (Running, TempDir)) {
        let (running, token) = serve(Database::memory()).await;
        let folder = TempDir::new().unwrap();
        let options = SyncOptions::new("acme/site", token)
            .base_url(format!("http://{}", running.address))
            .file(folder.path().join("site.dust"));
        (Sync::connect(options).await.unwrap(), (running, folder))
    }

    dust_transport::transport_suite!(fresh);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(required)]
    title: String,
    price: Option<f64>,
}

fn link(slug: &str) -> Link {
    Link {
        slug: slug.into(),
        title: format!("Title of {slug}"),
        price: Some(2.5),
    }
}

#[tokio::test]
async fn records_are_read_and_written_offline_after_a_restart() {
    let site = Site::start(Database::memory()).await;
    let config = || {
        dust_orm::Config::new("acme/site", site.token.as_str())
            .base_url(format!("http://{}", site.proxy.address))
            .sync_file(site.file())
    };
    let repo = Repo::sync(config()).await.unwrap();
    repo.batch_write(Batch::new().insert(link("a")).insert(link("b")))
        .await
        .unwrap();
    Sync::running(&site.http()).unwrap().close().await.unwrap();
    drop(repo);

    site.proxy.mode.send_replace(Mode::Refuse);
    site.proxy.cut.send_modify(|cuts| *cuts += 1);
    let repo = Repo::sync(config()).await.unwrap();
    assert_eq!(repo.all::<Link>().await.unwrap(), [link("a"), link("b")]);
    let found = repo.get_versioned::<Link>("a").await.unwrap().unwrap();
    let edit = found.change().put(Link::TITLE, "Mine");
    // A batch with a condition, of which the file knows that the server can do it.
    let sync = Sync::running(&site.http()).unwrap();
    let update = tokio::spawn(async move { repo.update(edit).if_match(found.version()).await });
    while sync.status().pending == 0 {
        tokio::task::yield_now().await;
    }
    sync.close().await.unwrap();
    assert!(update.await.unwrap().is_err());

    site.proxy.mode.send_replace(Mode::Pass);
    let sync = site.open().await;
    let restored: Vec<_> = sync.restored().collect().await;
    assert_eq!(restored.len(), 1);
    restored[0].result.as_ref().unwrap();
    site.assert_is_replica(&sync).await;
    let repo = Repo::new(std::sync::Arc::new(sync));
    assert_eq!(repo.fetch::<Link>("a").await.unwrap().title, "Mine");
}

#[tokio::test]
async fn a_snapshot_takes_the_place_of_all_that_the_file_had() {
    let engine = Database::memory().engine().clone();
    let site = Site::start(Database::on(engine.clone())).await;
    let sync = site.open().await;
    for n in 0..20 {
        sync.write(Ops::one(Op::set(path(&format!("old/{n}")), n)))
            .await
            .unwrap();
    }
    sync.close().await.unwrap();
    let http = Http::new(site.http()).unwrap();
    http.write(Ops::one(Op::delete(path("old")))).await.unwrap();
    http.write(Ops::one(Op::increment(path("new/n"), 3))).await.unwrap();
    let store = Database::on(engine).store("acme/site").await.unwrap();
    store.compact(Seq(22)).await.unwrap();

    for _ in 0..2 {
        let sync = site.open().await;
        sync.reached(Seq(22)).await.unwrap();
        assert_eq!(sync.len(), 1);
        site.assert_is_replica(&sync).await;
        sync.close().await.unwrap();
    }
}

/// Opens a folder as soon as the tasks of the server before have let go of it.
async fn reopen(folder: &std::path::Path) -> AnyDatabase {
    loop {
        match Database::open(folder) {
            Err(error) if error.kind() == dust_transport::error::ErrorKind::Locked => tokio::task::yield_now().await,
            opened => return opened.unwrap().into(),
        }
    }
}

/// A server that was brought back from a backup has fewer ops than its clients.
#[tokio::test]
async fn a_store_that_was_set_back_is_followed_anew() {
    let folders = TempDir::new().unwrap();
    let (data, backup) = (folders.path().join("data"), folders.path().join("backup"));
    let mut site = Site::start(Database::open(&data).unwrap()).await;
    let set = |at: &str, n: i32| Ops::one(Op::set(path(at), n));
    let sync = site.open().await;
    for n in 1..=3 {
        sync.write(set("a", n)).await.unwrap();
    }
    site.stop().await;
    drop(reopen(&data).await);
    std::fs::create_dir(&backup).unwrap();
    for file in std::fs::read_dir(&data).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), backup.join(file.file_name())).unwrap();
    }
    site.start_on(reopen(&data).await).await;
    for n in 4..=9 {
        sync.write(set("b", n)).await.unwrap();
    }
    let second = SyncOptions::from(site.http()).file(site.folder.path().join("second.dust"));
    let second = Sync::connect(second).await.unwrap();
    second.close().await.unwrap();
    let mut events = sync.subscribe(Subscribe::pattern(Pattern::default())).await.unwrap();
    assert!(matches!(events.next().await, Some(Ok(Signal::CaughtUp { .. }))));

    site.stop().await;
    site.start_on(Database::open(&backup).unwrap()).await;
    // One that lives on, and one that starts with its file.
    live(&sync).await;
    let resync = loop {
        if let Signal::Resync { through } = events.next().await.unwrap().unwrap() {
            break through;
        }
    };
    assert_eq!(resync, Seq(0));
    let second = SyncOptions::from(site.http()).file(site.folder.path().join("second.dust"));
    let second = Sync::connect(second).await.unwrap();
    let written = second.write(set("c", 1)).await.unwrap();
    assert_eq!(written.seqs, [Seq(4)]);
    for sync in [&sync, &second] {
        sync.reached(Seq(4)).await.unwrap();
        assert_eq!(sync.applied(), Seq(4));
        site.assert_is_replica(sync).await;
    }
    let mut seqs = Vec::new();
    while seqs.last() != Some(&4) {
        if let Signal::Event(event) = events.next().await.unwrap().unwrap() {
            seqs.push(event.seq.0);
        }
    }
    assert_eq!(seqs, [1, 2, 3, 4]);
    sync.close().await.unwrap();
    let sync = site.open().await;
    assert_eq!(sync.applied(), Seq(4));
}

/// It has more ops than the file knows of, so its number alone would not show it.
#[tokio::test]
async fn another_store_of_the_same_name_is_followed_anew() {
    let mut site = Site::start(Database::memory()).await;
    let set = |at: &str, n: i32| Ops::one(Op::set(path(at), n));
    let sync = site.open().await;
    sync.write(set("old", 1)).await.unwrap();
    sync.close().await.unwrap();

    let (running, token) = serve(Database::memory()).await;
    site.proxy.lead_to(running.address);
    (site.running, site.token) = (Some(running), token);
    let http = Http::new(site.http()).unwrap();
    for n in 1..=3 {
        http.write(set(&format!("new/{n}"), n)).await.unwrap();
    }
    for _ in 0..2 {
        let sync = site.open().await;
        live(&sync).await;
        sync.ready().await.unwrap();
        site.assert_is_replica(&sync).await;
        assert_eq!((sync.applied(), sync.len()), (Seq(3), 3));
        sync.close().await.unwrap();
    }
}

/// The variable that makes the test below the program that is killed: address, token, file and round.
const PROGRAM: &str = "DUST_TEST_FILE_PROGRAM";

/// Not a test by itself: a program that writes until it is killed, and says which writes it may rely on.
#[tokio::test]
async fn program() {
    let Ok(program) = std::env::var(PROGRAM) else { return };
    let words: Vec<&str> = program.split(' ').collect();
    let options = SyncOptions::new("acme/site", words[1])
        .base_url(format!("http://{}", words[0]))
        .file(words[2])
        .offline(Offline::Queue);
    let sync = Sync::connect(options).await.unwrap();
    for n in 0..1000 {
        let counter = path(&format!("k/{}-{n}", words[3]));
        let mut batch = Ops::one(Op::increment(counter, 1));
        if n % 3 == 0 {
            batch.ops.push(Op::increment(path("n"), 1));
        }
        // Settled or not, it is in the file.
        drop(sync.write_optimistic(batch).await.unwrap());
        eprintln!("kept {}-{n}", words[3]);
    }
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_program_has_written_is_committed_exactly_once() {
    let mut site = Site::start(Database::memory()).await;
    // So that the first program finds a whole replica also where there is no server.
    site.open().await.close().await.unwrap();
    let mut kept = BTreeSet::new();
    for round in 0..6 {
        // Every other program has no server, or loses it.
        let mode = if round % 2 == 0 { Mode::Pass } else { Mode::Refuse };
        site.proxy.mode.send_replace(mode);
        let file = site.file();
        let words = [
            site.proxy.address.to_string(),
            site.token.clone(),
            file.to_str().unwrap().to_owned(),
            round.to_string(),
        ];
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "over_file::program", "--nocapture"])
            .env(PROGRAM, words.join(" "))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = 0;
        while let Some(line) = lines.next_line().await.unwrap() {
            if let Some(name) = line.strip_prefix("kept ") {
                kept.insert(name.to_owned());
                said += 1;
                if said == 40 + round * 7 {
                    child.start_kill().unwrap();
                }
                if said == 20 {
                    site.proxy.cut.send_modify(|cuts| *cuts += 1);
                }
            }
        }
        child.wait().await.unwrap();
        assert!(said > 0, "the program of round {round} writes");
    }
    site.proxy.mode.send_replace(Mode::Pass);
    let sync = site.open().await;
    let restored: Vec<_> = sync.restored().collect().await;
    assert!(restored.len() >= 40, "{}", restored.len());
    for write in &restored {
        write.result.as_ref().unwrap();
    }
    site.assert_is_replica(&sync).await;
    let leaves = sync.list(&List::below(path("k")).limit(1000)).await.unwrap();
    let leaves = leaves.items.into_entries();
    let thirds = leaves.iter().filter(|leaf| {
        let (_, n) = leaf.path.as_str().rsplit_once('-').unwrap();
        n.parse::<u64>().unwrap().is_multiple_of(3)
    });
    let total = sync.get(&path("n")).await.unwrap().unwrap();
    assert_eq!(total.value, Value::from(u64::try_from(thirds.count()).unwrap()));
    assert!(leaves.iter().all(|leaf| leaf.value == Value::from(1)), "each once");
    let counted: BTreeSet<_> = leaves
        .iter()
        .map(|leaf| leaf.path.as_str().trim_start_matches("k/").to_owned())
        .collect();
    assert!(kept.is_subset(&counted), "{:?}", kept.difference(&counted));
    site.stop().await;
}
