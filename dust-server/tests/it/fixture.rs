//! A server in the process, set up as the recorded one was.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dust_server::control::{Control, NewToken, Scope};
use dust_server::{ChannelOptions, Config, RateLimits, Server, Timestamp, WebhookOptions};
use dust_store::{AnyDatabase, Clock, Database, Options};
use tempfile::TempDir;
use tokio::sync::oneshot;

pub(crate) struct Fixture {
    pub(crate) address: SocketAddr,
    /// Secrets by the names that the recording gives the tokens.
    pub(crate) tokens: BTreeMap<String, String>,
    /// Our ids by those of the recording.
    pub(crate) ids: BTreeMap<String, String>,
    now_ms: Arc<AtomicU64>,
    server: Server,
    pub(crate) database: AnyDatabase,
    _stop: oneshot::Sender<()>,
    folder: TempDir,
}

/// The start of a minute.
pub(crate) const START_MS: u64 = 1_763_800_020_000;

impl Fixture {
    pub(crate) async fn start(rate_limits: RateLimits) -> Self {
        Self::start_with(rate_limits, ChannelOptions::default()).await
    }

    pub(crate) async fn start_with(rate_limits: RateLimits, channels: ChannelOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let now_ms = Arc::new(AtomicU64::new(START_MS));
        let clock = Arc::clone(&now_ms);
        let temporary = folder.path().join("temporary");
        std::fs::create_dir(&temporary).unwrap();
        let config = Config::new(folder.path().join("data"))
            .with_temporary(temporary)
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_rate_limits(rate_limits)
            .with_webhooks(WebhookOptions {
                private_addresses: true,
                ..WebhookOptions::default()
            })
            .with_channels(channels)
            .with_clock(Clock::from_fn(move || clock.load(Ordering::Relaxed)));
        let options = Options::default().with_clock(config.clock.clone());
        let database = AnyDatabase::from(Database::open_with_options(&config.data, options).unwrap());
        let server = Server::on(database.clone(), config).await.unwrap();
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(listening.serve_until(async {
            // An error is the sender's end.
            let _ = stopped.await;
        }));
        let mut fixture = Self {
            address,
            tokens: BTreeMap::new(),
            ids: BTreeMap::new(),
            now_ms,
            server,
            database,
            _stop: stop,
            folder,
        };
        fixture.set_up().await;
        fixture
    }

    pub(crate) fn control(&self) -> &Control {
        self.server.control()
    }

    /// The files of exports that are under way.
    pub(crate) fn temporary_files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("temporary")).unwrap().count()
    }

    /// Moves the clock.
    pub(crate) fn at_ms(&self, ms: u64) {
        self.now_ms.store(START_MS + ms, Ordering::Relaxed);
    }

    async fn token(&mut self, name: &str, new: NewToken) -> String {
        let (token, secret) = self.control().create_token(new).await.unwrap();
        self.tokens.insert(name.to_owned(), secret);
        token.id.to_string()
    }

    async fn set_up(&mut self) {
        let server = self.server.clone();
        let control = server.control();
        for org in ["acme", "otherorg", "freeorg"] {
            control.create_org(org).await.unwrap();
        }
        let granted = control.create_store("acme", "site", None).await.unwrap().id;
        let side = control.create_store("acme", "side", None).await.unwrap().id;
        let gone = control.create_store("acme", "gone", None).await.unwrap().id;
        control.archive_store(gone).await.unwrap().unwrap();
        let theirs = control.create_store("otherorg", "theirs", None).await.unwrap().id;
        control.create_store("freeorg", "first", None).await.unwrap();

        let both = Scope::legacy(true, true);
        let new = |name: &str| NewToken::full("acme", name);
        let rw = self.token("rw", new("rw").with_scopes(both.clone())).await;
        let ro = self
            .token("ro", new("ro").with_scopes(Scope::legacy(true, false)))
            .await;
        self.token("wo", new("wo").with_scopes(Scope::legacy(false, true)))
            .await;
        self.token("admin", new("admin")).await;
        let some = |name: &str, store| new(name).with_scopes(both.clone()).with_stores([store]);
        self.token("side_rw", some("side_rw", side)).await;
        self.token("site_rw", some("site_rw", granted)).await;
        self.token("expired", new("expired").with_expires_at(Timestamp::from_ms(START_MS)))
            .await;
        let revoked = self.token("revoked", new("revoked")).await;
        self.control().revoke_token(revoked.parse().unwrap()).await.unwrap();
        let theirs_rw = NewToken::full("otherorg", "otherorg_rw").with_scopes(both.clone());
        self.token("otherorg_rw", theirs_rw).await;
        let free = |name: &str| NewToken::full("freeorg", name);
        self.token("free_rw", free("free_rw").with_scopes(both.clone())).await;
        self.token("free_admin", free("free_admin")).await;
        for (recorded, ours) in [
            ("01a20216-b5ab-7552-80e4-e77e6e9a81d0", granted.to_string()),
            ("01a20216-b5ed-72c9-bef1-430520ac615b", side.to_string()),
            ("01a20216-b615-7ced-b922-3b350e9a57c8", gone.to_string()),
            ("01a20216-b6c0-7c48-80b6-3135c195e09f", theirs.to_string()),
            ("01a20216-b72d-740c-9a1f-383e8bc31346", rw),
            ("01a20216-b732-74bc-ac0a-20e286af973e", ro),
        ] {
            self.ids.insert(recorded.to_owned(), ours);
        }
    }
}
