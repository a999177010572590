//! [`Http`]: a store that is reached over HTTP, on the hosted service or on a server of one's own.

mod address;
mod body;
mod condition;
mod deadline;
mod discovery;
mod exchange;
mod failure;
mod file;
mod option;
mod query;
mod read;
mod write;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_core::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::model::{Batch, Entry, Extension, FileHash, Path};
use crate::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
use crate::transport::{Capabilities, EventStream, FileContent, FileRange, List, Page, Subscribe, Transport, Written};
use address::Address;
use discovery::Known;
use exchange::Exchange;
#[cfg(feature = "sync")]
pub(crate) use exchange::tls;
#[cfg(feature = "sync")]
pub(crate) use option::random_fraction;
pub use option::{Discovery, HttpOptions, Retry};

/// A store that is reached over HTTP.
///
/// Cloning is cheap; clones share their connections. It needs a tokio runtime.
///
/// ```no_run
/// use dust_transport::http::{Http, HttpOptions};
/// use dust_transport::model::{Batch, Op, Path};
/// use dust_transport::transport::Transport as _;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let token = std::env::var("DUST_TOKEN")?;
/// let store = Http::new(HttpOptions::new("acme/reading", token))?;
/// let title = Path::parse("links/dust/title")?;
/// store.write(Batch::one(Op::set(title.clone(), "Dust"))).await?;
/// assert_eq!(store.get(&title).await?.map(|entry| entry.value), Some("Dust".into()));
/// # Ok(())
/// # }
/// ```
///
/// # What the wire does not have
/// * Subscriptions are `NotSupported`.
/// * So are, without the [extensions](Extension) of a server of this house, `Merge`, `Increment`, `Add` and `Remove`, and
///   `Precondition::Absent` among several ops; of subtree preconditions there is what the next section but one says.
/// * Op ids are sent as `x-request-id`. The hosted service does not deduplicate by them; see
///   [`HttpOptions::op_ids_are_deduplicated`].
///
/// # Queries
/// They are there with the extension `queries`, which the server is asked for before the first of them; without it they are
/// `NotSupported`.
///
/// # Files
/// A file can be read and not put, so `Capabilities::files` is false. It is found by its hash in any store that the token may
/// read; where the token lacks the scope for files, no file is found, as the wire does not tell the two apart.
///
/// # Extensions
/// Before the first write that an extension would serve, the server is asked for those that it has, by
/// `GET /api/capabilities`. What it answers is kept. A server that has no such route, or answers anything else, has none; one
/// that cannot be asked, for 5 s each time, has none for that write, and after the third time for good. That never fails the
/// write by itself. Writes that need no extension are sent as the original has them, and cost no question.
///
/// The capabilities tell what is known so far. [`connect`](Http::connect) asks at once, so that they are those of the server
/// from the start; [`HttpOptions::discovery`] says never to ask, or that the server has all extensions.
///
/// # Subtree preconditions without the extension
/// The wire compares one leaf at a time. So a `Precondition::Subtree` is translated: each op of the batch, from the one
/// that carries it on, that sets or deletes a leaf listed in it is sent with that leaf's revision. The conditions are
/// checked by the server in one transaction with the batch. Not compared are
/// * leaves that the batch does not write, whether they changed or are gone;
/// * leaves that the batch sets and the precondition does not list, which are expected to be absent. In a batch of one op
///   such a leaf is sent with `If-None-Match: *`.
///
/// Where nothing would be left of the precondition, or an op would wipe what was not compared, it is `NotSupported` and
/// nothing is sent: when the batch sets none of the listed leaves, when it sets a map at or below the root, and when it
/// deletes what is not a listed leaf. `Precondition::SubtreeRevision` is always `NotSupported`.
///
/// # Batches on old servers
/// A server without the route for batches answers 404. The ops are then sent one by one, in order, until one is refused;
/// the error of any but the first says `Outcome::Unknown`, since those before it stay. From then on
/// `Capabilities::atomic_batches` is false.
///
/// # Repetition
/// Reads are repeated after a lost or broken answer, a timeout, a 429 and a status from 500 on, as [`Retry`] says. Writes
/// are repeated when the request has not left, and after a lost answer, a timeout or a status from 500 on if a condition
/// on a leaf, or an op id that the server deduplicates, settles that they are applied once. A conflict that follows a
/// lost answer says `Outcome::Unknown`: the first attempt may be the one that it met.
///
/// # Errors
/// | answer | kind | retryable |
/// |---|---|---|
/// | 401, 403 | `Unauthorized` | no |
/// | 404 of a get or an exists | none: `None`, `false` | |
/// | 404 otherwise | `NotImplemented`: no such call, or no such store | no |
/// | 412 | `Conflict`, with the revision found | no |
/// | 429 | `RateLimited`, after `retry-after`, or 1 s | yes |
/// | 400 of an overloaded writer | `Timeout`: it may yet be applied | no |
/// | any other 4xx | `InvalidParams` | no |
/// | 5xx | `Http` | yes |
/// | any other status, a body that does not read, a redirect to another server | `Http` | no |
/// | none, in time | `Timeout` | no |
/// | none | `Network` | yes |
///
/// The code is that of the body, as far as there is one. No error, log line or `Debug` text shows the token.
#[derive(Clone)]
pub struct Http {
    inner: Arc<Inner>,
}

struct Inner {
    address: Address,
    exchange: Exchange,
    options: Arc<HttpOptions>,
    known: Known,
    /// The server has not been found to lack the route.
    atomic_batches: AtomicBool,
}

impl Http {
    /// Makes a transport; nothing is sent yet.
    ///
    /// ```
    /// use dust_transport::http::{Http, HttpOptions};
    /// assert!(Http::new(HttpOptions::new("acme/reading", "dust_tok_secret")).is_ok());
    /// let refused = Http::new(HttpOptions::new("reading", "dust_tok_secret")).unwrap_err();
    /// assert_eq!(refused.code(), "invalid_store");
    /// ```
    ///
    /// # Errors
    /// `InvalidParams`: `invalid_store`, `invalid_base_url`, `invalid_token`, `invalid_options`, `invalid_certificate`.
    /// `Network` with `tls` where the system has no certificates to trust.
    pub fn new(options: HttpOptions) -> Result<Self, Error> {
        let options = Arc::new(options);
        let address = Address::new(&options)?;
        let exchange = Exchange::new(Arc::clone(&options), &address.base)?;
        Ok(Self {
            inner: Arc::new(Inner {
                address,
                exchange,
                known: Known::new(options.discovery),
                options,
                atomic_batches: AtomicBool::new(true),
            }),
        })
    }

    /// Makes a transport and asks the server for its extensions, so that the capabilities are the server's from the start.
    ///
    /// A server that has none, or does not answer in 5 s, is no error.
    ///
    /// ```no_run
    /// use dust_transport::http::{Http, HttpOptions};
    /// use dust_transport::transport::Transport as _;
    /// # async fn example() -> Result<(), dust_transport::error::Error> {
    /// let options = HttpOptions::new("acme/reading", "dust_tok_secret").base_url("http://127.0.0.1:7755");
    /// let store = Http::connect(options).await?;
    /// assert!(store.capabilities().value_ops);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Cancel safety
    /// Dropping the future drops the transport.
    pub async fn connect(options: HttpOptions) -> Result<Self, Error> {
        let http = Self::new(options)?;
        http.extensions().await;
        Ok(http)
    }

    fn op_ids_are_deduplicated(&self) -> bool {
        self.inner.options.op_ids || self.inner.known.extensions().contains(Extension::OpIds)
    }
}

impl Transport for Http {
    fn name(&self) -> &'static str {
        "http"
    }

    fn capabilities(&self) -> Capabilities {
        let extensions = self.inner.known.extensions();
        Capabilities::full()
            .with_subscribe(false)
            .with_subtree_preconditions(extensions.contains(Extension::SubtreePreconditions))
            .with_subtree_by_leaf(!extensions.contains(Extension::SubtreePreconditions))
            .with_atomic_batches(self.inner.atomic_batches.load(Ordering::Relaxed))
            .with_value_ops(extensions.contains(Extension::ValueOps))
            .with_absent_in_batches(extensions.contains(Extension::AbsentInBatches))
            .with_files(false)
            .with_leases(false)
            .with_queries(extensions.contains(Extension::Queries))
            .with_index_only_records(extensions.contains(Extension::IndexOnlyRecords))
            .with_op_ids(self.op_ids_are_deduplicated())
            .with_batch_ops_max(write::OPS_MAX)
            .with_page_leaves_max(read::ITEMS_MAX)
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(self.list_page(query))
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(self.get_entry(path))
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        Box::pin(self.get_leaves(paths))
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.is_there(path))
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(self.write_batch(batch))
    }

    fn read_file<'a>(
        &'a self,
        hash: &'a FileHash,
        range: FileRange,
    ) -> BoxFuture<'a, Result<Option<FileContent>, Error>> {
        Box::pin(self.open_file(hash, range))
    }

    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        Box::pin(self.list_indexes())
    }

    fn ensure_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        Box::pin(self.ensure_one_index(definition))
    }

    fn drop_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.drop_one_index(definition))
    }

    fn write_records(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.change_records(&changes).await })
    }

    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        Box::pin(self.query_page(query))
    }

    fn subscribe(&self, _: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
        Box::pin(async {
            let detail = "there are no subscriptions over HTTP";
            Err(Error::new(ErrorKind::NotSupported, "not_supported", detail))
        })
    }
}

impl fmt::Debug for Http {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http")
            .field("base_url", &self.inner.address.base.as_str())
            .field("store", &self.inner.options.store)
            .field("atomic_batches", &self.inner.atomic_batches)
            .field("extensions", &self.inner.known.extensions())
            .finish_non_exhaustive()
    }
}
