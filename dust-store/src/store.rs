//! One store: where it lies and what reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dust_layer::{Engine, Error as LayerError, Isolation, Tenant, Transaction, transact};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Batch, DeviceId, Entry, Path, Seq, Value};
use dust_transport::transport::Written;

use crate::codec::{FORMAT, Head, Leaf};
use crate::draft::read;
use crate::error::{Refusal, corrupt, of_read};
use crate::feed::Feed;
use crate::keyspace::Keyspace;
use crate::options::Options;
use crate::sequencer::{self, Sequencer};
use crate::{StoreName, assemble};

/// A store on one tenant of an engine, with its sequencer.
#[derive(Debug)]
pub(crate) struct Store<E: Engine> {
    pub(crate) name: StoreName,
    pub(crate) engine: E,
    pub(crate) keys: Keyspace,
    pub(crate) options: Options,
    pub(crate) sequencer: Sequencer,
    pub(crate) feed: Feed,
    /// When the next op id may be forgotten; a note, so that not every commit has to read for it.
    prune_from_ms: AtomicU64,
}

impl<E: Engine> Store<E> {
    /// Opens the store, or creates it in an empty tenant.
    pub(crate) async fn open(engine: &E, name: StoreName, options: Options) -> Result<Arc<Self>, Error> {
        let tenant = Tenant::create_or_open(engine, STORAGE_ID, name.as_str())
            .await
            .map_err(of_read)?;
        let keys = Keyspace::new(tenant.prefix());
        let (found, _) = transact(engine, |transaction| {
            let keys = keys.clone();
            async move { check_format(&*transaction, &keys).await }
        })
        .await
        .map_err(of_read)?;
        let head = found.map_err(|found| {
            let found = String::from_utf8_lossy(&found).into_owned();
            let detail = format!(
                "the store `{name}` has the format {found:?}; this version reads {:?}",
                String::from_utf8_lossy(FORMAT)
            );
            Error::new(ErrorKind::Format, "format", detail)
        })?;
        let head = decode_head(head.as_deref())?;
        Ok(Arc::new(Self {
            name,
            engine: engine.clone(),
            keys,
            options,
            sequencer: Sequencer::default(),
            feed: Feed::new(head.seq),
            prune_from_ms: AtomicU64::new(0),
        }))
    }

    pub(crate) fn prune_from_ms(&self) -> u64 {
        self.prune_from_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_prune_from_ms(&self, prune_from_ms: u64) {
        self.prune_from_ms.store(prune_from_ms, Ordering::Relaxed);
    }

    /// Commits a batch.
    pub(crate) async fn write(self: &Arc<Self>, device: &DeviceId, batch: Batch) -> Result<Written, Error> {
        if batch.ops.is_empty() {
            return Err(Refusal::invalid("invalid_params", "a batch needs at least one op").into_error());
        }
        if batch.ops.len() > self.options.batch_ops_max {
            let detail = format!("a batch has at most {} ops", self.options.batch_ops_max);
            return Err(Refusal::invalid("invalid_params", detail).into_error());
        }
        sequencer::write(self, device, batch).await
    }

    /// The last sequence number, also if another node wrote it.
    pub(crate) async fn head(&self) -> Result<Seq, Error> {
        let stored = self
            .engine
            .begin()
            .get(self.keys.head(), Isolation::Snapshot)
            .await
            .map_err(of_read)?;
        Ok(Seq(decode_head(stored.as_deref())?.seq))
    }

    /// Reads the leaf at the path, or what is below it as a map.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Entry>, Error> {
        let transaction = self.engine.begin();
        let stored = transaction
            .get(&self.keys.leaf(path.as_str()), Isolation::Snapshot)
            .await
            .map_err(of_read)?;
        match stored {
            Some(bytes) => entry(path.clone(), &bytes).map(Some),
            None => assemble::subtree(&transaction, &self.keys, path).await,
        }
    }

    /// Reads exact leaves.
    pub(crate) async fn get_many(&self, paths: &[Path]) -> Result<Vec<Option<Entry>>, Error> {
        let transaction = self.engine.begin();
        let mut entries = Vec::with_capacity(paths.len());
        for path in paths {
            let stored = transaction
                .get(&self.keys.leaf(path.as_str()), Isolation::Snapshot)
                .await
                .map_err(of_read)?;
            entries.push(stored.map(|bytes| entry(path.clone(), &bytes)).transpose()?);
        }
        Ok(entries)
    }

    /// Whether anything is at or below the path.
    pub(crate) async fn exists(&self, path: &Path) -> Result<bool, Error> {
        let transaction = self.engine.begin();
        let leaf = self.keys.leaf(path.as_str());
        if transaction
            .get(&leaf, Isolation::Snapshot)
            .await
            .map_err(of_read)?
            .is_some()
        {
            return Ok(true);
        }
        let below = self.keys.below(path.as_str());
        let page = transaction
            .get_range(read(&below.start, &below.end, 1))
            .await
            .map_err(of_read)?;
        Ok(!page.is_empty())
    }
}

/// The storage whose tenants are the stores.
pub(crate) const STORAGE_ID: &str = "dust";

/// The stored head, or the format found if it is another one. Writes the format into an empty tenant, and nothing else.
async fn check_format<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
) -> Result<Result<Option<Vec<u8>>, Vec<u8>>, LayerError> {
    match transaction.get(keys.format(), Isolation::Serializable).await? {
        Some(found) if found == FORMAT => Ok(Ok(transaction.get(keys.head(), Isolation::Snapshot).await?)),
        Some(found) => Ok(Err(found)),
        None => {
            let tenant = keys.tenant();
            if !transaction
                .get_range(read(&tenant.start, &tenant.end, 1))
                .await?
                .is_empty()
            {
                return Ok(Err(Vec::new()));
            }
            transaction.set(keys.format(), FORMAT);
            Ok(Ok(None))
        }
    }
}

/// The head of a store, which has none before its first op.
pub(crate) fn decode_head(stored: Option<&[u8]>) -> Result<Head, Error> {
    match stored.map(Head::decode).transpose() {
        Ok(head) => Ok(head.unwrap_or_default()),
        Err(error) => Err(corrupt("the head does not decode").with_source(error)),
    }
}

/// The entry of a stored leaf.
pub(crate) fn entry(path: Path, bytes: &[u8]) -> Result<Entry, Error> {
    let leaf = Leaf::decode(bytes).map_err(|error| Refusal::leaf(error).into_error())?;
    Ok(Entry {
        path,
        value: Value::from_trusted_json(leaf.text.into()),
        kind: leaf.kind,
        revision: Seq(leaf.revision),
    })
}
