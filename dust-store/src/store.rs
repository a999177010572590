//! One store: where it lies and what reads it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use dust_layer::{Engine, Error as LayerError, Isolation, Tenant, Transaction, transact};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Action, Batch, DeviceId, Entry, FileHash, Path, Seq, Value};
use dust_transport::transport::Written;

use sha2::{Digest, Sha256};

use crate::codec::{FORMAT, FORMAT_1, Head, Leaf};
use crate::draft::read;
use crate::error::{Refusal, corrupt, of_read};
use crate::feed::Feed;
use crate::index;
use crate::keyspace::Keyspace;
use crate::options::Options;
use crate::page;
use crate::sequencer::{self, Sequencer, Work};
use crate::{StoreName, assemble};

/// A store on one tenant of an engine, with its sequencer.
#[derive(Debug)]
pub(crate) struct Store<E: Engine> {
    pub(crate) name: StoreName,
    pub(crate) engine: E,
    pub(crate) keys: Keyspace,
    pub(crate) base_keys: Keyspace,
    pub(crate) options: Options,
    pub(crate) sequencer: Sequencer,
    pub(crate) feed: Feed,
    pub(crate) indexes: index::Cache,
    /// When the next op id may be forgotten; a note, so that not every commit has to read for it.
    prune_from_ms: AtomicU64,
    /// When the next op may be folded into the base; a note as well.
    retain_from_ms: AtomicU64,
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
            base_keys: keys.base(),
            keys,
            options,
            sequencer: Sequencer::default(),
            feed: Feed::new(head.seq),
            indexes: index::Cache::default(),
            prune_from_ms: AtomicU64::new(0),
            retain_from_ms: AtomicU64::new(0),
        }))
    }

    pub(crate) fn prune_from_ms(&self) -> u64 {
        self.prune_from_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_prune_from_ms(&self, prune_from_ms: u64) {
        self.prune_from_ms.store(prune_from_ms, Ordering::Relaxed);
    }

    pub(crate) fn retain_from_ms(&self) -> u64 {
        self.retain_from_ms.load(Ordering::Relaxed)
    }

    pub(crate) fn set_retain_from_ms(&self, retain_from_ms: u64) {
        self.retain_from_ms.store(retain_from_ms, Ordering::Relaxed);
    }

    /// Commits a batch.
    pub(crate) async fn write(self: &Arc<Self>, device: &DeviceId, batch: Batch) -> Result<Written, Error> {
        self.check_size(&batch)?;
        // Hashed here and not in its group, which others wait for.
        let mut hashes = Vec::new();
        for (index, op) in batch.ops.iter().enumerate() {
            if let Action::PutFile { content, .. } = &op.action {
                let bytes_max = self.options.file_bytes_max;
                if content.len() > bytes_max {
                    return Err(Refusal::file_too_large(content.len(), bytes_max).at(index, &op.path));
                }
                hashes.push(FileHash(Sha256::digest(content).into()));
            }
        }
        sequencer::run(self, device, Work::Batch { batch, hashes }).await
    }

    /// Refuses a batch without ops, or with too many.
    pub(crate) fn check_size(&self, batch: &Batch) -> Result<(), Error> {
        if batch.ops.is_empty() {
            return Err(Refusal::invalid("invalid_params", "a batch needs at least one op").into_error());
        }
        if batch.ops.len() > self.options.batch_ops_max {
            let detail = format!("a batch has at most {} ops", self.options.batch_ops_max);
            return Err(Refusal::invalid("invalid_params", detail).into_error());
        }
        Ok(())
    }

    /// Takes the ops up to one out of the log, and tells where it now begins.
    pub(crate) async fn compact(self: &Arc<Self>, device: &DeviceId, through: u64) -> Result<Seq, Error> {
        loop {
            let head = self.stored_head().await?;
            if head.compacted >= through.min(head.seq) {
                return Ok(Seq(head.compacted));
            }
            let through = through.min(head.seq);
            sequencer::run(self, device, Work::Compact { through }).await?;
        }
    }

    pub(crate) async fn stored_head(&self) -> Result<Head, Error> {
        let stored = self.engine.begin().get(self.keys.head(), Isolation::Snapshot).await;
        decode_head(stored.map_err(of_read)?.as_deref())
    }

    /// The last sequence number, also if another node wrote it.
    pub(crate) async fn head(&self) -> Result<Seq, Error> {
        Ok(Seq(self.stored_head().await?.seq))
    }

    /// Reads the leaf at the path, or what is below it as a map, as a transaction sees it.
    pub(crate) async fn get(&self, transaction: &E::Transaction, path: &Path) -> Result<Option<Entry>, Error> {
        let stored = transaction
            .get(&self.keys.leaf(path.as_str()), Isolation::Snapshot)
            .await
            .map_err(of_read)?;
        match stored {
            Some(bytes) => entry(path.clone(), &bytes).map(Some),
            None => assemble::subtree(transaction, &self.keys, path).await,
        }
    }

    /// Reads exact leaves.
    pub(crate) async fn get_many(
        &self,
        transaction: &E::Transaction,
        paths: &[Path],
    ) -> Result<Vec<Option<Entry>>, Error> {
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
    pub(crate) async fn exists(&self, transaction: &E::Transaction, path: &Path) -> Result<bool, Error> {
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

/// The stored head, or the format found if it is another one. Writes the format into an empty tenant, brings a store of
/// the format before up to date, and changes nothing else.
async fn check_format<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
) -> Result<Result<Option<Vec<u8>>, Vec<u8>>, LayerError> {
    match transaction.get(keys.format(), Isolation::Serializable).await? {
        Some(found) if found == FORMAT => Ok(Ok(transaction.get(keys.head(), Isolation::Snapshot).await?)),
        Some(found) if found == FORMAT_1 => Ok(Ok(upgrade(transaction, keys).await?)),
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

/// Counts the leaves of a store of the format before, once, and gives its head.
async fn upgrade<T: Transaction>(transaction: &T, keys: &Keyspace) -> Result<Option<Vec<u8>>, LayerError> {
    let stored = transaction.get(keys.head(), Isolation::Serializable).await?;
    let head = stored.as_deref().map(Head::decode_1);
    let Some(Ok(mut head)) = head else {
        if head.is_none() {
            transaction.set(keys.format(), FORMAT);
        }
        // What does not decode is left as it is; whoever reads it is told.
        return Ok(stored);
    };
    let (end, mut next) = (keys.leaves().end, Some(keys.leaves().start));
    let mut limit = page::FIRST_ITEMS;
    while let Some(begin) = next {
        let page = transaction.get_range(read(&begin, &end, limit)).await?;
        head.entries += page.len() as u64;
        (next, limit) = page::after(&page);
    }
    transaction.set(keys.head(), &head.encode());
    transaction.set(keys.format(), FORMAT);
    Ok(Some(head.encode()))
}

/// The head of a store, which has none before its first op.
pub(crate) fn decode_head(stored: Option<&[u8]>) -> Result<Head, Error> {
    match stored.map(Head::decode).transpose() {
        Ok(head) => Ok(head.unwrap_or_default()),
        Err(error) => Err(corrupt("the head does not decode").with_source(error)),
    }
}

/// The text of a stored value. It is checked, for what is wrong in it would be wrong in all that it is spliced into.
pub(crate) fn stored_json(text: &str) -> Result<&str, Error> {
    if Value::is_json(text) {
        Ok(text)
    } else {
        Err(corrupt("a stored value is no JSON"))
    }
}

/// A stored value.
pub(crate) fn stored_value(text: &str) -> Result<Value, Error> {
    Ok(Value::from_trusted_json(stored_json(text)?.into()))
}

/// The entry of a stored leaf.
pub(crate) fn entry(path: Path, bytes: &[u8]) -> Result<Entry, Error> {
    let leaf = Leaf::decode(bytes).map_err(|error| Refusal::leaf(error).into_error())?;
    Ok(Entry {
        path,
        value: stored_value(leaf.text)?,
        kind: leaf.kind,
        revision: Seq(leaf.revision),
    })
}
