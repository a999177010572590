//! The folder, the listener, the shutdown.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use dust_store::{AnyDatabase, Database, Embedded, Options};
use dust_transport::error::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use uuid::Uuid;

use crate::Config;
use crate::channel::Channels;
use crate::control::{CONTROL_STORE, Control, ControlError, Following, Store};
use crate::http::Pages;
use crate::limit::Limiter;
use crate::listener::Connections;
use crate::metrics::Metrics;
use crate::notice::Notice;
use crate::webhook::{Nodes, Registry, Sender, WEBHOOK_STORE, dispatch};

/// How many exports as SQLite there are at once.
const EXPORTS_MAX: usize = 4;

/// Why a server does not start, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The data cannot be opened: the folder is open elsewhere, is no database, or is damaged.
    #[error("the data in {folder:?} cannot be opened")]
    Data {
        /// The folder.
        folder: std::path::PathBuf,
        /// What is wrong with it.
        source: Error,
    },
    /// The client for webhooks cannot be set up.
    #[error("the client for webhooks cannot be set up")]
    Webhooks(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The address cannot be listened on.
    #[error("{address} cannot be listened on")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The listener failed.
    #[error("the listener failed")]
    Serve(#[source] io::Error),
}

/// A server over the data of one folder. Cloning is cheap and yields the same server.
///
/// ```
/// use dust_server::{Config, Server};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let temporary = tempfile::tempdir()?;
/// # let folder = temporary.path().join("data");
/// let server = Server::open(Config::new(folder)).await?;
/// assert!(server.control().is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Server {
    shared: Arc<Shared>,
}

/// What all requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) control: Arc<Control>,
    _following: (Following, Option<Following>),
    pub(crate) limiter: Limiter,
    pub(crate) metrics: Metrics,
    pub(crate) channels: Channels,
    pub(crate) webhooks: Arc<Registry>,
    pub(crate) sender: Sender,
    pub(crate) pages: Pages,
    /// Exports that take space on the disk.
    pub(crate) exports: Arc<Semaphore>,
    pub(crate) database: AnyDatabase,
    /// The stores that have been asked for. They stay open: to open one costs reads.
    open: RwLock<HashMap<Uuid, Embedded>>,
}

/// A server that has its port, and serves once it is told to.
#[derive(Debug)]
pub struct Listening {
    shared: Arc<Shared>,
    listener: TcpListener,
    local_addr: SocketAddr,
}

impl Server {
    /// Opens the data, or makes the folder.
    ///
    /// # Errors
    /// `Data` and `Webhooks`.
    ///
    /// # Cancel safety
    /// Dropping the future opens nothing; the folder may have been made.
    pub async fn open(config: Config) -> Result<Self, ServerError> {
        let options = Options::default().with_clock(config.clock.clone());
        let database = Database::open_with_options(&config.data, options).map_err(|source| ServerError::Data {
            folder: config.data.clone(),
            source,
        })?;
        // Whoever has the folder open is alone on it.
        Self::start(database.into(), config, Nodes::One).await
    }

    /// Puts a server on a database, whatever its engine, which makes it a node: as many servers as want to may be on
    /// databases that share an engine. Each sees the others' writes at once, and hears of them in order.
    ///
    /// Rate limits and metrics are each node's own. The clock of the log is the database's.
    ///
    /// ```
    /// use dust_server::{Config, Server};
    /// use dust_store::Database;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let engine = Database::memory().engine().clone();
    /// let one = Server::on(Database::on(engine.clone()), Config::new("")).await?;
    /// one.control().create_org("acme").await?;
    /// let two = Server::on(Database::on(engine), Config::new("")).await?;
    /// assert!(two.control().has_org("acme"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Data`.
    ///
    /// # Cancel safety
    /// Dropping the future opens nothing.
    pub async fn on(database: impl Into<AnyDatabase>, config: Config) -> Result<Self, ServerError> {
        Self::start(database.into(), config, Nodes::Many).await
    }

    async fn start(database: AnyDatabase, config: Config, nodes: Nodes) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Data {
            folder: config.data.clone(),
            source,
        };
        let store = database.store(CONTROL_STORE).await.map_err(failed)?;
        let notice = Arc::new(Notice::default());
        let control = Control::load(store, config.clock.clone(), Arc::clone(&notice));
        let (control, following) = control.await.map_err(failed)?;
        let store = database.store(WEBHOOK_STORE).await.map_err(failed)?;
        let webhooks = Registry::load(store, nodes, config.webhooks.lease, config.clock.clone());
        let (webhooks, following_webhooks) = webhooks.await.map_err(failed)?;
        let sender = Sender::new(config.webhooks.clone()).map_err(|error| ServerError::Webhooks(error.into()))?;
        let shared = Shared {
            webhooks,
            sender,
            exports: Arc::new(Semaphore::new(EXPORTS_MAX)),
            limiter: Limiter::new(config.rate_limits),
            metrics: Metrics::default(),
            channels: Channels::new(notice, &config.channels),
            pages: Pages::default(),
            config,
            control,
            _following: (following, following_webhooks),
            database,
            open: RwLock::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// The organisations, stores and tokens.
    #[must_use]
    pub fn control(&self) -> &Control {
        &self.shared.control
    }

    /// Takes the port. Connections are taken in from now on, and wait until the server serves.
    ///
    /// # Errors
    /// `Listen`.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the port free.
    pub async fn listen(&self) -> Result<Listening, ServerError> {
        let address = self.shared.config.listen;
        let failed = |source| ServerError::Listen { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        Ok(Listening {
            shared: Arc::clone(&self.shared),
            listener,
            local_addr,
        })
    }
}

impl Listening {
    /// The address that was taken: with the port, where any was asked for.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Serves until the future ends; then takes no new requests, and answers those it has taken, for which it waits as long
    /// as `Config::shutdown_grace` says. Sockets are closed with 1012 once what they have asked for is answered. Webhooks are
    /// delivered meanwhile.
    ///
    /// # Errors
    /// `Serve`.
    ///
    /// # Cancel safety
    /// Dropping the future drops the listener at once; requests under way are answered by nobody, and their writes may or may
    /// not be committed.
    pub async fn serve_until(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServerError> {
        let router = crate::http::router(&self.shared);
        let mut connections = Connections::new(router, self.shared.config.head_timeout);
        let (stopping, mut stopped) = watch::channel(false);
        // Their end is that of this future.
        let mut tasks = JoinSet::new();
        tasks.spawn(dispatch(Arc::clone(&self.shared), async move {
            // An error is the sender's end.
            let _ = stopped.wait_for(|stopped| *stopped).await;
        }));
        let served = tokio::select! {
            error = connections.accept(&self.listener) => Err(ServerError::Serve(error)),
            () = stop => Ok(()),
        };
        drop(self.listener);
        stopping.send_replace(true);
        self.shared.channels.stop();
        let ended = async {
            connections.finish().await;
            // A socket is no connection of the listener any more.
            self.shared.channels.ended().await;
            while tasks.join_next().await.is_some() {}
        };
        let grace = self.shared.config.shutdown_grace;
        if timeout(grace, ended).await.is_err() {
            tracing::warn!(?grace, "stopped with requests that did not end");
        }
        served
    }
}

impl Shared {
    /// The data of a store.
    pub(crate) async fn open(&self, store: &Store) -> Result<Embedded, Error> {
        // Single inserts and removals: nothing is half done when a lock is released.
        let found = self
            .open
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&store.id)
            .cloned();
        if let Some(found) = found {
            return Ok(found);
        }
        let opened = self.database.store(&store.full_name()).await?;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(store.id, opened.clone());
        Ok(opened)
    }

    /// Archives a store, and lets go of its data.
    pub(crate) async fn archive(&self, id: Uuid) -> Result<Option<Store>, ControlError> {
        let archived = self.control.archive_store(id).await?;
        self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        Ok(archived)
    }

    /// Reads something, to see that the database answers.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.database.store(CONTROL_STORE).await?.head().await?;
        Ok(())
    }
}
