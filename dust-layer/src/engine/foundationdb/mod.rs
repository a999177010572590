//! The engine on a `FoundationDB` cluster, through the official client.
//!
//! Behind the feature `foundationdb`. Compiling needs libclang, for the bindings; linking a program needs the client
//! library `libfdb_c` 7.3 or newer. The client runs one network thread per process, which [`network::run`] starts and
//! stops around the rest of the program.
//!
//! ```no_run
//! # #[cfg(feature = "foundationdb")]
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     use dust_layer::engine::foundationdb::{FoundationDb, Options, network};
//!     use dust_layer::{Engine, Isolation, Transaction};
//!
//!     network::run(|network| {
//!         let runtime = tokio::runtime::Runtime::new()?;
//!         runtime.block_on(async {
//!             let engine = FoundationDb::open(network, Options::default().cluster_file("fdb.cluster").prefix(b"dust/"))?;
//!             let transaction = engine.begin();
//!             transaction.set(b"greeting", b"hello");
//!             transaction.commit().await?;
//!             assert!(engine.begin().get(b"greeting", Isolation::Snapshot).await?.is_some());
//!             Ok(())
//!         })
//!     })?
//! }
//! # #[cfg(not(feature = "foundationdb"))]
//! # fn main() {}
//! ```

mod code;
mod mapping;
pub mod network;
mod transaction;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ::foundationdb::Database;
use ::foundationdb::options::DatabaseOption;
use tokio::sync::watch;

use super::{Engine, Limits, SYSTEM};
use crate::error::Error;
use crate::transaction::random;
use network::Network;

pub use transaction::FdbTransaction;

/// First delay of a refused transaction, and the longest; the client library's own retry loop has the same two.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How many watches may wait: as many as the library allows. One waits for each store that somebody follows.
const WATCHES_MAX: i32 = 1_000_000;

/// Where a cluster is and how to use it.
///
/// ```
/// # #[cfg(feature = "foundationdb")] {
/// use std::time::Duration;
/// use dust_layer::engine::foundationdb::Options;
///
/// let options = Options::default()
///     .cluster_file("/etc/foundationdb/fdb.cluster")
///     .prefix(b"dust/")
///     .timeout(Duration::from_secs(3));
/// assert!(format!("{options:?}").contains("fdb.cluster"));
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    cluster_file: Option<PathBuf>,
    prefix: Vec<u8>,
    timeout: Duration,
}

impl Default for Options {
    /// The cluster file that the client library finds by itself, the whole keyspace, ten seconds.
    fn default() -> Self {
        Self {
            cluster_file: None,
            prefix: Vec::new(),
            timeout: Duration::from_secs(10),
        }
    }
}

impl Options {
    /// Names the file with the cluster's coordinators, instead of the one that the client library finds.
    pub fn cluster_file(mut self, file: impl AsRef<Path>) -> Self {
        self.cluster_file = Some(file.as_ref().to_path_buf());
        self
    }

    /// Puts every key below `prefix`, so that several uses share a cluster.
    ///
    /// With an empty prefix, the directory tree is the one that other clients of the cluster see, and the cluster follows
    /// index entries to their rows by itself, since it decodes whole keys as tuples. The same holds for a prefix that is a
    /// packed tuple.
    pub fn prefix(mut self, prefix: &[u8]) -> Self {
        self.prefix = prefix.to_vec();
        self
    }

    /// Bounds the time from the begin of a transaction to the end of its commit, in whole milliseconds.
    ///
    /// A commit that runs into it has an unknown outcome. The cluster itself ends a transaction after five seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// An engine whose map is kept by a `FoundationDB` cluster.
///
/// The outcome of a commit may be unknown ([`Error::CommitUnknown`]) on any network fault; what must not happen twice
/// goes through [`transact`](crate::transact), what may through [`transact_idempotent`](crate::transact_idempotent).
///
/// ```no_run
/// # #[cfg(feature = "foundationdb")] {
/// use dust_layer::engine::foundationdb::{FoundationDb, Options, network};
/// use dust_layer::{Engine, Error};
///
/// network::run(|network| {
///     let engine = FoundationDb::open(network, Options::default().prefix(b"dust/"))?;
///     assert_eq!(engine.name(), "foundationdb");
///     Ok::<_, Error>(())
/// })??;
/// # }
/// # Ok::<(), dust_layer::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct FoundationDb {
    cluster: Arc<Cluster>,
}

/// What the engine's clones and transactions share.
struct Cluster {
    database: Database,
    prefix: Vec<u8>,
    /// Tells the watches that are left when the last clone and transaction go.
    closed: watch::Sender<()>,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Cluster")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

impl FoundationDb {
    /// Opens a cluster. Nothing is sent yet: a cluster that does not answer shows in the first transaction's timeout.
    ///
    /// # Errors
    /// [`Error::Cluster`] if the client library refuses the file or an option; [`Error::InvalidOperation`] for a cluster
    /// file whose name is not UTF-8 or has a NUL byte, a timeout under a millisecond or over 24 days, and a prefix from
    /// `0xff`.
    ///
    /// ```no_run
    /// # #[cfg(feature = "foundationdb")] {
    /// use dust_layer::engine::foundationdb::{FoundationDb, Options, network};
    /// use dust_layer::Error;
    ///
    /// network::run(|network| {
    ///     let engine = FoundationDb::open(network, Options::default().cluster_file("fdb.cluster"))?;
    ///     drop(engine);
    ///     Ok::<_, Error>(())
    /// })??;
    /// # }
    /// # Ok::<(), dust_layer::Error>(())
    /// ```
    pub fn open(_network: &Network, options: Options) -> Result<Self, Error> {
        let file = options.cluster_file.as_deref().map(file_name).transpose()?;
        if options.prefix.first() == Some(&SYSTEM) {
            return Err(Error::InvalidOperation("prefix is in the cluster's own keyspace"));
        }
        let timeout_ms = i32::try_from(options.timeout.as_millis())
            .ok()
            .filter(|timeout_ms| *timeout_ms > 0)
            .ok_or(Error::InvalidOperation(
                "timeout is under a millisecond or over 24 days",
            ))?;
        let database = Database::new(file).map_err(code::refused)?;
        for option in [
            DatabaseOption::TransactionTimeout(timeout_ms),
            DatabaseOption::MaxWatches(WATCHES_MAX),
        ] {
            database.set_option(option).map_err(code::refused)?;
        }
        Ok(Self {
            cluster: Arc::new(Cluster {
                database,
                prefix: options.prefix,
                closed: watch::Sender::new(()),
            }),
        })
    }
}

/// The name as the client library takes it, which panics on a NUL byte.
fn file_name(file: &Path) -> Result<&str, Error> {
    file.to_str()
        .filter(|name| !name.contains('\0'))
        .ok_or(Error::InvalidOperation(
            "name of the cluster file is not UTF-8 without NUL",
        ))
}

impl Engine for FoundationDb {
    type Transaction = FdbTransaction;

    fn begin(&self) -> FdbTransaction {
        FdbTransaction::begin(&self.cluster)
    }

    fn limits(&self) -> Limits {
        let limits = Limits::default();
        Limits {
            key_bytes_max: limits.key_bytes_max.saturating_sub(self.cluster.prefix.len()),
            ..limits
        }
    }

    fn name(&self) -> &'static str {
        "foundationdb"
    }

    /// Full jitter below a bound that doubles: refused transactions of many nodes must not come back together.
    async fn pause(&self, attempt: u32) {
        let bound = PAUSE_MIN.saturating_mul(1 << attempt.min(10)).min(PAUSE_MAX);
        let bound_us = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_micros(random() % bound_us)).await;
    }
}
