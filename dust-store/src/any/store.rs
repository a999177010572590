//! A store whatever its engine.

use std::sync::Arc;

use dust_layer::Engine;
use dust_transport::error::Error;
use dust_transport::model::{Batch, DeviceId, Entry, Event, FileHash, Path, Seq};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
use dust_transport::transport::{EventStream, FileContent, FileRange, List, Page, Subscribe, Transaction, Written};
use futures_core::future::BoxFuture;

use crate::diff::Change;
use crate::index::IndexReport;
use crate::list::StoredLeaf;
use crate::log::Logged;
use crate::rollback::RolledBack;
use crate::snapshot::Snapshot;
use crate::status::Status;
use crate::store::Store;
use crate::transaction::Overlay;
use crate::{Options, StoreName};

/// What is shown the leaves of a page.
type Visitor<'a> = &'a mut (dyn FnMut(StoredLeaf<'_>) + Send);

/// A store whatever its engine. Every call is a boxed future in [`Transport`] already, so this costs one pointer.
pub(crate) trait AnyStore: Send + Sync {
    fn name(&self) -> &StoreName;
    fn options(&self) -> &Options;
    fn head(&self) -> BoxFuture<'_, Result<Seq, Error>>;
    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Event>>, Error>>;
    fn log(&self, before: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Logged>, Error>>;
    fn diff(&self, from: Seq, to: Seq) -> BoxFuture<'_, Result<Vec<Change>, Error>>;
    fn rollback(self: Arc<Self>, root: Option<Path>, to: Seq) -> BoxFuture<'static, Result<RolledBack, Error>>;
    fn compact(self: Arc<Self>, device: &DeviceId, through: u64) -> BoxFuture<'_, Result<Seq, Error>>;
    fn status(&self) -> BoxFuture<'_, Result<Status, Error>>;
    fn read_file(
        self: Arc<Self>,
        hash: FileHash,
        range: FileRange,
    ) -> BoxFuture<'static, Result<Option<FileContent>, Error>>;
    fn snapshot(self: Arc<Self>) -> BoxFuture<'static, Result<Snapshot, Error>>;
    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>>;
    fn visit<'a>(&'a self, query: &'a List, visit: Visitor<'a>) -> BoxFuture<'a, Result<Option<Path>, Error>>;
    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>>;
    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>>;
    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>>;
    fn write(self: Arc<Self>, device: &DeviceId, batch: Batch) -> BoxFuture<'_, Result<Written, Error>>;
    fn write_records(
        self: Arc<Self>,
        device: &DeviceId,
        changes: Vec<RecordChange>,
    ) -> BoxFuture<'_, Result<(), Error>>;
    fn subscribe(self: Arc<Self>, subscribe: Subscribe) -> BoxFuture<'static, Result<EventStream, Error>>;
    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>>;
    fn ensure_index(self: Arc<Self>, definition: &IndexDefinition) -> BoxFuture<'_, Result<IndexStatus, Error>>;
    fn rebuild_index(self: Arc<Self>, definition: &IndexDefinition) -> BoxFuture<'_, Result<IndexStatus, Error>>;
    fn drop_index(self: Arc<Self>, definition: &IndexDefinition) -> BoxFuture<'_, Result<bool, Error>>;
    fn verify_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexReport, Error>>;
    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>>;
    fn transaction(
        self: Arc<Self>,
        device: DeviceId,
        attempt: u32,
    ) -> BoxFuture<'static, Result<Arc<dyn Transaction>, Error>>;
}

impl<E: Engine> AnyStore for Store<E> {
    fn name(&self) -> &StoreName {
        &self.name
    }

    fn options(&self) -> &Options {
        &self.options
    }

    fn head(&self) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(Self::head(self))
    }

    fn events(&self, after: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Arc<Event>>, Error>> {
        Box::pin(Self::events(self, after.0, limit))
    }

    fn log(&self, before: Seq, limit: usize) -> BoxFuture<'_, Result<Vec<Logged>, Error>> {
        Box::pin(Self::log(self, before, limit))
    }

    fn diff(&self, from: Seq, to: Seq) -> BoxFuture<'_, Result<Vec<Change>, Error>> {
        Box::pin(Self::diff(self, from, to))
    }

    fn rollback(self: Arc<Self>, root: Option<Path>, to: Seq) -> BoxFuture<'static, Result<RolledBack, Error>> {
        Box::pin(async move { Self::rollback(&self, root, to).await })
    }

    fn compact(self: Arc<Self>, device: &DeviceId, through: u64) -> BoxFuture<'_, Result<Seq, Error>> {
        Box::pin(async move { Self::compact(&self, device, through).await })
    }

    fn status(&self) -> BoxFuture<'_, Result<Status, Error>> {
        Box::pin(Self::status(self))
    }

    fn read_file(
        self: Arc<Self>,
        hash: FileHash,
        range: FileRange,
    ) -> BoxFuture<'static, Result<Option<FileContent>, Error>> {
        Box::pin(async move { Self::read_file(&self, &hash, range).await })
    }

    fn snapshot(self: Arc<Self>) -> BoxFuture<'static, Result<Snapshot, Error>> {
        Box::pin(async move { Self::snapshot(&self).await })
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async move { Ok(Self::list(self, &self.engine.begin(), query).await?.0) })
    }

    fn visit<'a>(&'a self, query: &'a List, visit: Visitor<'a>) -> BoxFuture<'a, Result<Option<Path>, Error>> {
        Box::pin(Self::visit(self, query, visit))
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async move { Self::get(self, &self.engine.begin(), path).await })
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        Box::pin(async move { Self::get_many(self, &self.engine.begin(), paths).await })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async move { Self::exists(self, &self.engine.begin(), path).await })
    }

    fn write(self: Arc<Self>, device: &DeviceId, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(async move { Self::write(&self, device, batch).await })
    }

    fn write_records(
        self: Arc<Self>,
        device: &DeviceId,
        changes: Vec<RecordChange>,
    ) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Self::write_records(&self, device, changes).await })
    }

    fn subscribe(self: Arc<Self>, subscribe: Subscribe) -> BoxFuture<'static, Result<EventStream, Error>> {
        Box::pin(async move { Self::subscribe(&self, subscribe).await })
    }

    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        Box::pin(Self::indexes(self))
    }

    fn ensure_index(self: Arc<Self>, definition: &IndexDefinition) -> BoxFuture<'_, Result<IndexStatus, Error>> {
        Box::pin(async move { Self::ensure_index(&self, definition).await })
    }

    fn rebuild_index(self: Arc<Self>, definition: &IndexDefinition) -> BoxFuture<'_, Result<IndexStatus, Error>> {
        Box::pin(async move { Self::rebuild_index(&self, definition).await })
    }

    fn drop_index(self: Arc<Self>, definition: &IndexDefinition) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async move { Self::drop_index(&self, definition).await })
    }

    fn verify_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexReport, Error>> {
        Box::pin(Self::verify_index(self, definition))
    }

    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        Box::pin(async move { Self::query(self, &self.engine.begin(), query).await })
    }

    fn transaction(
        self: Arc<Self>,
        device: DeviceId,
        attempt: u32,
    ) -> BoxFuture<'static, Result<Arc<dyn Transaction>, Error>> {
        Box::pin(async move {
            if attempt > 0 {
                self.engine.pause(attempt).await;
            }
            let transaction: Arc<dyn Transaction> = Arc::new(Overlay::begin(self, device).await?);
            Ok(transaction)
        })
    }
}
