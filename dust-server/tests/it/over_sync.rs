//! The synced store of this house against the server of this house: the promises of `Transport`, and records.

use std::net::SocketAddr;
use std::time::Duration;

use dust_orm::prelude::*;
use dust_server::control::NewToken;
use dust_server::{ChannelOptions, Config, RateLimits, Server};
use dust_store::{AnyDatabase, Clock, Database};
use dust_transport::channel::Codec;
use dust_transport::http::{Http, HttpOptions};
use dust_transport::model::{Batch as Ops, Op, Path};
use dust_transport::sync::{ConnectionState, Sync, SyncOptions};
use dust_transport::transport::{List, Transport as _};
use futures_util::StreamExt as _;
use tokio::sync::oneshot;

/// A running server; dropping it stops it.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    stopped: tokio::task::JoinHandle<()>,
}

impl Running {
    /// A server on a database.
    pub(crate) async fn on(database: impl Into<AnyDatabase>) -> Self {
        let mut channels = ChannelOptions::default();
        // The suite sends a string of ten megabytes.
        channels.frame_bytes_max = 32 << 20;
        // A token that ends is noticed soon.
        channels.expiry_check = Duration::from_millis(10);
        Self::with(database, channels, Clock::system()).await
    }

    /// A server on a database, with these channels and this clock.
    pub(crate) async fn with(database: impl Into<AnyDatabase>, channels: ChannelOptions, clock: Clock) -> Self {
        let config = Config::new("")
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_body_bytes_max(32 << 20)
            .with_channels(channels)
            .with_clock(clock)
            .with_rate_limits(RateLimits::OFF);
        let server = Server::on(database, config).await.unwrap();
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let (stop, told) = oneshot::channel::<()>();
        let stopped = tokio::spawn(async move {
            let stop = async {
                // An error is the sender's end.
                let _ = told.await;
            };
            listening.serve_until(stop).await.unwrap();
        });
        Self {
            server,
            address,
            stop: Some(stop),
            stopped,
        }
    }

    /// Stops it, and waits until it has.
    pub(crate) async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.stopped).await.unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopped.abort();
    }
}

/// A server with one empty store, `acme/site`, and a token.
pub(crate) async fn serve(database: impl Into<AnyDatabase>) -> (Running, String) {
    let running = Running::on(database).await;
    let control = running.server.control();
    control.create_org("acme").await.unwrap();
    control.create_store("acme", "site", None).await.unwrap();
    let (_, secret) = control.create_token(NewToken::full("acme", "suite")).await.unwrap();
    (running, secret)
}

fn base_url(running: &Running) -> String {
    format!("http://{}", running.address)
}

async fn fresh() -> (Sync, Running) {
    let (running, token) = serve(Database::memory()).await;
    let options = SyncOptions::new("acme/site", token).base_url(base_url(&running));
    (Sync::connect(options).await.unwrap(), running)
}

mod suite {
    dust_transport::transport_suite!(super::fresh);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "reading/links", index(title))]
struct Link {
    slug: String,
    #[dust(required)]
    title: String,
    note: Option<String>,
}

fn link(slug: &str) -> Link {
    Link {
        slug: slug.into(),
        title: format!("Title of {slug}"),
        note: None,
    }
}

fn config(running: &Running, token: &str) -> dust_orm::Config {
    dust_orm::Config::new("acme/site", token).base_url(base_url(running))
}

#[tokio::test]
async fn records_are_read_from_the_replica_and_compared_by_the_server() {
    let (running, token) = serve(Database::memory()).await;
    let repo = Repo::sync(config(&running, &token)).await.unwrap();
    assert_eq!(repo.transport().name(), "sync");
    for slug in ["dust", "a/b~c", "*", "ä+ö"] {
        repo.insert(link(slug)).await.unwrap();
        assert_eq!(repo.get(slug).await.unwrap(), Some(link(slug)), "{slug}");
    }
    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    let edit = found.change().put(Link::TITLE, "Dust");
    repo.update(edit.clone()).if_match(found.version()).await.unwrap();
    let late = repo
        .update(edit.put(Link::TITLE, "late"))
        .if_match(found.version())
        .await;
    assert!(late.unwrap_err().is_conflict());
    repo.batch_write(Batch::new().insert(link("new")).delete::<Link>("*"))
        .await
        .unwrap();
    let mut titles: Vec<_> = repo
        .all::<Link>()
        .await
        .unwrap()
        .into_iter()
        .map(|link| link.title)
        .collect();
    titles.sort();
    assert_eq!(titles, ["Dust", "Title of a/b~c", "Title of new", "Title of ä+ö"]);
}

#[tokio::test]
async fn records_are_found_by_their_fields() {
    let (running, token) = serve(Database::memory()).await;
    let repo = Repo::sync(config(&running, &token)).await.unwrap();
    assert!(repo.transport().capabilities().queries, "the join tells it");
    repo.insert(link("b")).await.unwrap();
    repo.ensure_indexes::<Link>().await.unwrap();
    repo.batch_write(Batch::new().insert(link("c")).insert(link("a")))
        .await
        .unwrap();
    let query = repo
        .query(Link::TITLE.between("Title of b"..))
        .order_by(Link::TITLE.desc());
    assert_eq!(query.all().await.unwrap(), [link("c"), link("b")]);
    let page = query.clone().limit(1).page().await.unwrap();
    let rest = query.after(page.next).page().await.unwrap();
    assert_eq!((page.records, rest.records), (vec![link("c")], vec![link("b")]));
}

#[tokio::test]
async fn changes_of_others_arrive_and_can_be_resumed() {
    let (running, token) = serve(Database::memory()).await;
    let other = Repo::http(config(&running, &token)).unwrap();
    let repo = Repo::sync(config(&running, &token)).await.unwrap();
    let mut changes = repo.subscribe::<Link>().await.unwrap();
    assert_eq!(changes.next().await.unwrap().unwrap(), Change::Ready);
    // What is written over HTTP is told to channels too.
    other.insert(link("dust")).await.unwrap();
    assert_eq!(changes.next().await.unwrap().unwrap(), Change::Upserted(link("dust")));
    let cursor = changes.cursor();
    drop(changes);
    other.delete::<Link>("dust").await.unwrap();
    other.insert(link("rust")).await.unwrap();

    // Another program, later: what it missed comes from the log.
    drop(repo);
    let repo = Repo::sync(config(&running, &token)).await.unwrap();
    let mut changes = repo.subscribe::<Link>().after(cursor).await.unwrap();
    assert_eq!(changes.next().await.unwrap().unwrap(), Change::Deleted("dust".into()));
    assert_eq!(changes.next().await.unwrap().unwrap(), Change::Upserted(link("rust")));
    assert_eq!(changes.next().await.unwrap().unwrap(), Change::Ready);
    other.delete_all::<Link>().await.unwrap();
    // Who did not see all the records cannot tell which are gone.
    assert!(matches!(changes.next().await.unwrap().unwrap(), Change::Resync(_)));
}

#[tokio::test]
async fn a_repo_that_picks_finds_the_synced_store() {
    let (running, token) = serve(Database::memory()).await;
    let pick = || Repo::pick(config(&running, &token)).unwrap().transport().name();
    assert_eq!(pick(), "http");
    let repo = Repo::sync(config(&running, &token)).await.unwrap();
    assert_eq!(pick(), "sync");
    let elsewhere = dust_orm::Config::new("acme/other", token.as_str()).base_url(base_url(&running));
    assert_eq!(Repo::pick(elsewhere).unwrap().transport().name(), "http");
    drop(repo);
    assert_eq!(pick(), "http");
}

#[tokio::test]
async fn both_codecs_see_the_same() {
    let (running, token) = serve(Database::memory()).await;
    let options = || SyncOptions::new("acme/site", token.as_str()).base_url(base_url(&running));
    let json = Sync::connect(options()).await.unwrap();
    let packed = Sync::connect(options().codec(Codec::MessagePack)).await.unwrap();
    for (writer, reader) in [(&json, &packed), (&packed, &json)] {
        let batch = Ops::new([
            Op::set(Path::parse("a").unwrap(), "ä"),
            Op::increment(Path::parse("n").unwrap(), 2),
            Op::add(Path::parse("s").unwrap(), 1.to_string()),
        ]);
        let written = writer.write(batch).await.unwrap();
        reader.reached(*written.seqs.last().unwrap()).await.unwrap();
        let all = List::pattern("**".parse().unwrap());
        assert_eq!(reader.list(&all).await.unwrap(), writer.list(&all).await.unwrap());
    }
    let http = Http::new(HttpOptions::new("acme/site", token.as_str()).base_url(base_url(&running))).unwrap();
    let all = List::pattern("**".parse().unwrap());
    assert_eq!(http.list(&all).await.unwrap(), json.list(&all).await.unwrap());
}

#[tokio::test]
async fn a_wrong_token_and_an_unknown_store_end_it() {
    let (running, token) = serve(Database::memory()).await;
    let wrong = Repo::sync(config(&running, "dust_tok_wrong")).await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{wrong:?}").contains("dust_tok_wrong"));
    let unknown = SyncOptions::new("acme/unknown", token).base_url(base_url(&running));
    let sync = Sync::start(unknown).unwrap();
    let states: Vec<_> = sync.states().collect().await;
    assert!(matches!(states.last(), Some(ConnectionState::Ended(_))), "{states:?}");
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_it() {
    let (running, _) = serve(Database::memory()).await;
    let control = running.server.control();
    let (token, secret) = control.create_token(NewToken::full("acme", "brief")).await.unwrap();
    let options = SyncOptions::new("acme/site", secret).base_url(base_url(&running));
    let sync = Sync::connect(options).await.unwrap();
    control.revoke_token(token.id).await.unwrap();
    // The server looks at the token when it is used.
    let refused = sync
        .write(Ops::one(Op::delete(Path::parse("a").unwrap())))
        .await
        .unwrap_err();
    let states: Vec<_> = sync.states().collect().await;
    let Some(ConnectionState::Ended(reason)) = states.last() else {
        panic!("{states:?}")
    };
    assert_eq!(
        (reason.kind.as_str(), refused.kind().as_str()),
        ("unauthorized", "unauthorized")
    );
}

/// The server says how much it takes, and does not have to end the connection.
#[tokio::test]
async fn a_write_that_is_too_long_for_the_server_is_refused() {
    let mut channels = ChannelOptions::default();
    channels.frame_bytes_max = 10_000;
    let running = Running::with(Database::memory(), channels, Clock::system()).await;
    let control = running.server.control();
    control.create_org("acme").await.unwrap();
    control.create_store("acme", "site", None).await.unwrap();
    let (_, token) = control.create_token(NewToken::full("acme", "brief")).await.unwrap();
    let options = SyncOptions::new("acme/site", token).base_url(base_url(&running));
    let sync = Sync::connect(options).await.unwrap();
    let put = |length: usize| {
        let at = Path::parse("a").unwrap();
        let sync = sync.clone();
        async move { sync.put(&at, "x".repeat(length)).await }
    };
    put(9000).await.unwrap();
    assert_eq!(put(10_000).await.unwrap_err().code(), "payload_too_large");
    put(9000).await.unwrap();
    assert_eq!(sync.server_status().await.unwrap().current_seq.0, 2);
}
