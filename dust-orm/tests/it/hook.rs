//! A transport with something in its way.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dust_orm::{ErrorKind, Transport};
use dust_transport::error::{Error, Outcome};
use dust_transport::model::{Batch, Entry, Path};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
use dust_transport::transport::{Capabilities, EventStream, List, Page, Subscribe, Written};
use futures_core::future::BoxFuture;
use tokio::sync::Notify;

/// A store, and what stands between it and who calls.
#[derive(Debug)]
pub(crate) struct Hooked {
    pub(crate) store: Arc<dyn Transport>,
    pub(crate) hook: Hook,
}

/// What stands there.
#[derive(Debug)]
pub(crate) enum Hook {
    /// So many calls, the last of which fails: before it has had its effect, or after. All later ones fail as well, as if the
    /// process had died there.
    Dies { calls_left: AtomicUsize, has_effect: bool },
    /// Batches with more ops wait until they are let through.
    Holds { ops_max: usize, gate: Arc<Gate> },
    /// The wire of the original: no indexes, no comparison of whole records.
    Plain,
}

/// Where who comes waits until it is opened.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    opened: Notify,
    is_holding: AtomicBool,
}

impl Gate {
    async fn pass(&self) {
        self.is_holding.store(true, Ordering::SeqCst);
        self.opened.notified().await;
    }

    /// Whether anybody has come.
    pub(crate) fn is_holding(&self) -> bool {
        self.is_holding.load(Ordering::SeqCst)
    }

    /// Lets one through.
    pub(crate) fn open(&self) {
        self.opened.notify_one();
    }
}

impl Hooked {
    async fn call<T>(&self, call: BoxFuture<'_, Result<T, Error>>) -> Result<T, Error> {
        let Hook::Dies { calls_left, has_effect } = &self.hook else {
            return call.await;
        };
        let dead = || Error::new(ErrorKind::Network, "network", "the process is gone").with_outcome(Outcome::Unknown);
        let next = |left: usize| left.checked_sub(1);
        match calls_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next) {
            Ok(2..) => call.await,
            Ok(_) if *has_effect => {
                call.await?;
                Err(dead())
            }
            _ => Err(dead()),
        }
    }

    async fn index_call<T>(&self, call: BoxFuture<'_, Result<T, Error>>) -> Result<T, Error> {
        if matches!(self.hook, Hook::Plain) {
            return Err(Error::new(ErrorKind::NotSupported, "not_supported", "no indexes"));
        }
        self.call(call).await
    }
}

impl Transport for Hooked {
    fn name(&self) -> &'static str {
        "hooked"
    }

    fn capabilities(&self) -> Capabilities {
        let all = self.store.capabilities();
        match self.hook {
            Hook::Plain => all
                .with_subtree_preconditions(false)
                .with_subtree_by_leaf(true)
                .with_queries(false),
            _ => all,
        }
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(self.call(self.store.list(query)))
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(self.call(self.store.get(path)))
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        Box::pin(self.call(self.store.get_many(paths)))
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.call(self.store.exists(path)))
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(async move {
            if let Hook::Holds { ops_max, gate } = &self.hook
                && batch.ops.len() > *ops_max
            {
                gate.pass().await;
            }
            self.call(self.store.write(batch)).await
        })
    }

    fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
        self.store.subscribe(subscribe)
    }

    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        Box::pin(self.index_call(self.store.indexes()))
    }

    fn ensure_index<'a>(&'a self, index: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        Box::pin(self.index_call(self.store.ensure_index(index)))
    }

    fn drop_index<'a>(&'a self, index: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(self.index_call(self.store.drop_index(index)))
    }

    fn write_records(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.index_call(self.store.write_records(changes)))
    }

    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        Box::pin(self.index_call(self.store.query(query)))
    }
}
