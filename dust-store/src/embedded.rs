//! [`Embedded`]: a store in the process as a [`Transport`].

use std::fmt;
use std::sync::Arc;

use dust_layer::Engine;
use dust_transport::error::Error;
use dust_transport::model::{Batch, DeviceId, Entry, Event, FileHash, Path, Seq};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
use dust_transport::transport::{
    Capabilities, EventStream, FileContent, FileRange, List, Page, Subscribe, Transaction, Transport, Written,
};
use futures_core::future::BoxFuture;

use crate::any::AnyStore;
use crate::diff::Change;
use crate::drive::block_on;
use crate::index::IndexReport;
use crate::list::StoredLeaf;
use crate::log::Logged;
use crate::rollback::RolledBack;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::store::Store;
use crate::{Database, StoreName};

/// A store in the process. Cloning is cheap and yields a handle to the same store.
///
/// Get one from a [`Database`], or by the shortcuts here where one store is all there is. Futures need no particular
/// runtime.
///
/// ```
/// use dust_store::Embedded;
/// use dust_transport::model::{Op, Path};
/// use dust_transport::transport::Transport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// let store = Embedded::memory();
/// let title = Path::parse("links/dust/title")?;
/// let written = store.write(Op::set(title.clone(), "Dust").into()).await?;
/// let entry = store.get(&title).await?.expect("just written");
/// assert_eq!(entry.revision, written.seqs[0]);
///
/// let record = store.get(&Path::parse("links/dust")?).await?.expect("one leaf below");
/// assert_eq!(record.value.json(), r#"{"title":"Dust"}"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Embedded {
    store: Arc<dyn AnyStore>,
    device: DeviceId,
}

/// The device of a handle that has not been given another: the process itself, whichever it is, so that an op id is
/// still known after a restart.
const DEVICE: &str = "dev_embedded";

impl Embedded {
    pub(crate) fn new<E: Engine>(store: Arc<Store<E>>) -> Self {
        let device = DeviceId::new(DEVICE).unwrap_or_else(|_| DeviceId::random());
        Self { store, device }
    }

    /// Makes a store in memory, which goes with its last handle.
    ///
    /// ```
    /// let store = dust_store::Embedded::memory();
    /// assert_eq!(store.store_name().as_str(), "local/memory");
    /// ```
    ///
    /// # Panics
    /// If the operating system starts no thread for the engine.
    #[must_use]
    pub fn memory() -> Self {
        block_on(Database::memory().store("local/memory")).expect("an empty engine in memory opens")
    }

    /// Opens one store in a folder, or makes it; see [`Database::open`], which this does first, and [`Database::store`].
    /// Blocks the thread while the folder is verified, in proportion to its size.
    ///
    /// ```
    /// use dust_store::Embedded;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// # let temporary = tempfile::tempdir().unwrap();
    /// # let folder = temporary.path().join("bookmarks.dust");
    /// let store = Embedded::open(&folder, "acme/reading").await?;
    /// assert_eq!(store.store_name().org(), "acme");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`Database::open`] and [`Database::store`].
    ///
    /// # Cancel safety
    /// Dropping the future opens nothing; the folder and the store in it may have been made.
    pub async fn open(folder: impl AsRef<std::path::Path>, store: &str) -> Result<Self, Error> {
        // A wrong name makes no folder.
        StoreName::parse(store)?;
        Database::open(folder)?.store(store).await
    }

    /// The same store, written in the name of another device.
    ///
    /// ```
    /// use dust_transport::model::DeviceId;
    /// let store = dust_store::Embedded::memory().with_device(DeviceId::new("dev_laptop")?);
    /// assert_eq!(store.device().as_str(), "dev_laptop");
    /// # Ok::<(), dust_transport::model::IdError>(())
    /// ```
    #[must_use]
    pub fn with_device(mut self, device: DeviceId) -> Self {
        self.device = device;
        self
    }

    /// The device in whose name this handle writes.
    #[must_use]
    pub fn device(&self) -> &DeviceId {
        &self.device
    }

    /// The name of the store.
    #[must_use]
    pub fn store_name(&self) -> &StoreName {
        self.store.name()
    }

    /// The last sequence number of the store, 0 before the first op.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn head(&self) -> Result<Seq, Error> {
        self.store.head().await
    }

    /// The committed ops after a sequence number, in order, at most `limit`; none at the end of the log.
    ///
    /// ```
    /// use dust_transport::model::{Op, Path, Seq};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// store.write(Op::increment(Path::parse("visits")?, 2).into()).await?;
    /// let events = store.events(Seq(0), 10).await?;
    /// assert_eq!(events[0].value, Some(2.into()));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidParams` with the code `compacted` if the log no longer reaches back so far, `Corrupt` if it has a gap, and
    /// failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn events(&self, after: Seq, limit: usize) -> Result<Vec<Arc<Event>>, Error> {
        self.store.events(after, limit).await
    }

    /// The committed ops before a sequence number, the last first, at most `limit`; none at the beginning of the log,
    /// wherever that is by now ([`Status::compacted`]).
    ///
    /// ```
    /// use dust_transport::model::{Op, Path, Seq};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// for title in ["Dust", "Dust, again"] {
    ///     store.write(Op::set(Path::parse("title")?, title).into()).await?;
    /// }
    /// let last = store.log(Seq(u64::MAX), 1).await?;
    /// assert_eq!((last[0].event.seq, last.len()), (Seq(2), 1));
    /// let before = store.log(last[0].event.seq, 10).await?;
    /// assert_eq!((before[0].event.seq, before.len()), (Seq(1), 1));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Corrupt` for an op that does not decode, and failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn log(&self, before: Seq, limit: usize) -> Result<Vec<Logged>, Error> {
        self.store.log(before, limit).await
    }

    /// What is different in the state after one op from the state after another, in the order of the paths.
    ///
    /// Only what ops between the two have touched is looked at. The earlier state may be the second; what is beyond the head
    /// counts as the head.
    ///
    /// ```
    /// use dust_transport::model::{Op, Path, Seq};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// for visits in [1, 2, 3] {
    ///     store.write(Op::set(Path::parse("visits")?, visits).into()).await?;
    /// }
    /// let changes = store.diff(Seq(1), Seq(3)).await?;
    /// assert_eq!((&changes[0].before, &changes[0].after), (&Some(1.into()), &Some(3.into())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidParams` with the code `compacted` if the log no longer reaches back so far, and `diff_too_large` if the paths
    /// and values to be compared have more than 64 MiB; `Corrupt` if the log has a gap, and failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn diff(&self, from: Seq, to: Seq) -> Result<Vec<Change>, Error> {
        self.store.diff(from, to).await
    }

    /// Brings back what was at and below a path after an op: values, kinds, files, leases.
    ///
    /// It is written as ordinary ops, all or nothing, in the name of the device `system:rollback`: one `set` or `delete` of
    /// the path where that says it all, else an op per leaf that differs. Where nothing differs, nothing is written.
    ///
    /// # Errors
    /// `InvalidParams`: `no_ops` for a store without any, `beyond_retention` for a state that is no longer known, or the one
    /// before the first op; `diff_too_large` for a state of more than 256 MiB. Failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome unknown: all of it is written, or nothing.
    pub async fn rollback(&self, path: &Path, to: Seq) -> Result<RolledBack, Error> {
        Arc::clone(&self.store).rollback(Some(path.clone()), to).await
    }

    /// Brings back the whole state after an op; see [`rollback`](Embedded::rollback).
    ///
    /// ```
    /// use dust_transport::model::{Op, Path, Seq};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// store.write(Op::set(Path::parse("a")?, 1).into()).await?;
    /// store.write(Op::set(Path::parse("b")?, 2).into()).await?;
    /// let back = store.rollback_store(Seq(1)).await?;
    /// assert_eq!((back.head, back.ops), (Seq(3), 1));
    /// assert!(!store.exists(&Path::parse("b")?).await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`rollback`](Embedded::rollback).
    ///
    /// # Cancel safety
    /// As [`rollback`](Embedded::rollback).
    pub async fn rollback_store(&self, to: Seq) -> Result<RolledBack, Error> {
        Arc::clone(&self.store).rollback(None, to).await
    }

    /// Takes the ops up to and including one out of the log, and gives the last that is gone.
    ///
    /// It runs in transactions of bounded size, between those of writers, and no reader waits for it. Afterwards the state
    /// after that op is the first that can be compared or rolled back to, and a subscription from before it begins with
    /// `Signal::Resync`. Op ids are remembered as long as ever. A number beyond the head counts as the head.
    ///
    /// ```
    /// use dust_transport::model::{Op, Path, Seq};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// for visits in [1, 2, 3] {
    ///     store.write(Op::set(Path::parse("visits")?, visits).into()).await?;
    /// }
    /// assert_eq!(store.compact(Seq(2)).await?, Seq(2));
    /// assert_eq!(store.events(Seq(2), 10).await?.len(), 1);
    /// assert_eq!(store.events(Seq(1), 10).await.unwrap_err().code(), "compacted");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Corrupt` for an op that does not decode, and failures of the engine; what has been compacted before stays so.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the log compacted a part of the way.
    pub async fn compact(&self, through: Seq) -> Result<Seq, Error> {
        Arc::clone(&self.store).compact(&self.device, through.0).await
    }

    /// Shows the leaves of one page of a list, in its order and as they are stored, and gives the cursor of the next page.
    ///
    /// What is shown is what [`list`](Transport::list) with [`Select::Entries`](dust_transport::transport::Select) gives, without
    /// making a path and a value of each; `select` is not looked at. After an error, what was shown is a part of the page.
    ///
    /// ```
    /// use dust_transport::model::{Op, Path};
    /// use dust_transport::transport::{List, Transport};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// store.write(Op::set(Path::parse("links/dust/title")?, "Dust").into()).await?;
    /// let mut lines = String::new();
    /// let page = List::below(Path::parse("links")?);
    /// store.visit(&page, &mut |leaf| lines += &format!("{} = {}\n", leaf.path, leaf.json)).await?;
    /// assert_eq!(lines, "links/dust/title = \"Dust\"\n");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Those of [`list`](Transport::list).
    ///
    /// # Cancel safety
    /// Dropping the future has no effect but what was shown.
    pub async fn visit(
        &self,
        query: &List,
        visit: &mut (dyn FnMut(StoredLeaf<'_>) + Send),
    ) -> Result<Option<Path>, Error> {
        self.store.visit(query, visit).await
    }

    /// How much the store holds; see [`Status`].
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn status(&self) -> Result<Status, Error> {
        self.store.status().await
    }

    /// All leaves as they are now, to be read page by page; see [`Snapshot`].
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn snapshot(&self) -> Result<Snapshot, Error> {
        Arc::clone(&self.store).snapshot().await
    }
}

impl Embedded {
    /// Compares the entries of an index with the records, in one state of the store. Reads all of both.
    ///
    /// # Errors
    /// `InvalidParams` with `no_index` without the index, `Corrupt` for a leaf that does not decode, and failures of the
    /// engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn verify_index(&self, definition: &IndexDefinition) -> Result<IndexReport, Error> {
        self.store.verify_index(definition).await
    }

    /// Forgets the entries of an index and begins to build it again, as [`ensure_index`](Transport::ensure_index) then goes
    /// on: the repair of one that [`verify_index`](Self::verify_index) found wrong.
    ///
    /// # Errors
    /// `InvalidParams` with `no_index` without the index, and failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the index as it was, or being built.
    pub async fn rebuild_index(&self, definition: &IndexDefinition) -> Result<IndexStatus, Error> {
        Arc::clone(&self.store).rebuild_index(definition).await
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("store", &self.store.name())
            .field("device", &self.device)
            .finish_non_exhaustive()
    }
}

impl Transport for Embedded {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn capabilities(&self) -> Capabilities {
        let options = self.store.options();
        Capabilities::full()
            .with_queries(true)
            .with_index_only_records(true)
            .with_transactions(true)
            .with_batch_ops_max(options.batch_ops_max)
            .with_page_leaves_max(options.page_leaves_max)
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        self.store.list(query)
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        self.store.get(path)
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        self.store.get_many(paths)
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        self.store.exists(path)
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Arc::clone(&self.store).write(&self.device, batch)
    }

    fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
        Arc::clone(&self.store).subscribe(subscribe)
    }

    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        self.store.indexes()
    }

    fn ensure_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        Arc::clone(&self.store).ensure_index(definition)
    }

    fn drop_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        Arc::clone(&self.store).drop_index(definition)
    }

    fn write_records(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<(), Error>> {
        Arc::clone(&self.store).write_records(&self.device, changes)
    }

    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        self.store.query(query)
    }

    fn transaction(&self, attempt: u32) -> BoxFuture<'_, Result<Arc<dyn Transaction>, Error>> {
        Arc::clone(&self.store).transaction(self.device.clone(), attempt)
    }

    fn read_file<'a>(
        &'a self,
        hash: &'a FileHash,
        range: FileRange,
    ) -> BoxFuture<'a, Result<Option<FileContent>, Error>> {
        Arc::clone(&self.store).read_file(*hash, range)
    }
}
