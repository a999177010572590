//! Tenants: a part of the keyspace of one's own, named by a storage id and a tenant id.

mod once;
mod transaction;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tracing::Instrument;
pub use transaction::TenantTransaction;
pub use watch::WatchStream;

use crate::engine::{Committed, Engine, Transaction};
use crate::error::Error;
use crate::index::catalog::bump;
use crate::layer::Layer;
use crate::transaction::{TransactError, transact, transact_idempotent};
use crate::tuple::{Subspace, TuplePack, TupleUnpack, pack_into, strinc};

/// First element of the layer's rows, entries and counters, and of what a layer above keeps.
pub(crate) const DATA: u8 = 0xfd;
/// First element of definitions, migrations and claims.
pub(crate) const SYSTEM: u8 = 0xfe;

/// What to do when a tenant is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Open,
    CreateOrOpen,
}

/// A tenant of an engine: the directory `[storage id, tenant id]` and the prefix it stands for.
///
/// Keys of one tenant never meet those of another, since no allocated prefix is the beginning of another one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Memory, Tenant, Transaction, transact};
///
/// let memory = Memory::new();
/// let tenant = Tenant::create_or_open(&memory, "acme", "reading").await?;
/// transact(&memory, |tx| {
///     let key = tenant.pack(&("links", 7));
///     async move { Ok::<_, dust_layer::Error>(tx.set(&key, b"a link")) }
/// })
/// .await?;
/// let key = tenant.pack(&("links", 7));
/// assert_eq!(tenant.unpack::<(String, i64)>(&key)?, ("links".to_owned(), 7));
/// assert_eq!(Tenant::list(&memory, "acme").await?, ["reading"]);
///
/// Tenant::delete(&memory, "acme", "reading").await?;
/// assert!(!Tenant::exists(&memory, "acme", "reading").await?);
/// # Ok(())
/// # }
/// ```
pub struct Tenant<E: Engine> {
    layer: Layer<E>,
    shared: Arc<Shared>,
}

struct Shared {
    storage: Box<str>,
    id: Box<str>,
    keys: Subspace,
    /// The key of the directory tree that holds the prefix as long as the tenant exists.
    entry: Vec<u8>,
    /// The hour up to which marks of done transactions have been swept.
    swept_hour: AtomicU64,
}

impl<E: Engine> Clone for Tenant<E> {
    fn clone(&self) -> Self {
        Self {
            layer: self.layer.clone(),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<E: Engine> fmt::Debug for Tenant<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant")
            .field("storage", &self.shared.storage)
            .field("id", &self.shared.id)
            .field("prefix", &self.prefix())
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Tenant<E> {
    /// Opens a tenant that exists.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`](crate::DirectoryError::NotFound) if it does not exist; failures of the engine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let memory = Memory::new();
    /// assert!(Tenant::open(&memory, "acme", "reading").await.is_err());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn open(engine: &E, storage_id: &str, tenant_id: &str) -> Result<Self, Error> {
        Layer::new(engine).open(storage_id, tenant_id).await
    }

    /// Opens a tenant, or creates it. Two callers at once get the same one.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let memory = Memory::new();
    /// let tenant = Tenant::create_or_open(&memory, "acme", "reading").await?;
    /// let again = Tenant::open(&memory, "acme", "reading").await?;
    /// assert_eq!(tenant.prefix(), again.prefix());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn create_or_open(engine: &E, storage_id: &str, tenant_id: &str) -> Result<Self, Error> {
        Layer::new(engine).create_or_open(storage_id, tenant_id).await
    }

    /// The ids of the tenants of a storage, in order; none if the storage does not exist.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let memory = Memory::new();
    /// Tenant::create_or_open(&memory, "acme", "reading").await?;
    /// assert_eq!(Tenant::list(&memory, "acme").await?, ["reading"]);
    /// assert!(Tenant::list(&memory, "nobody").await?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn list(engine: &E, storage_id: &str) -> Result<Vec<String>, Error> {
        Layer::new(engine).list(storage_id).await
    }

    /// Whether a tenant exists.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let memory = Memory::new();
    /// assert!(!Tenant::exists(&memory, "acme", "reading").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn exists(engine: &E, storage_id: &str, tenant_id: &str) -> Result<bool, Error> {
        Layer::new(engine).exists(storage_id, tenant_id).await
    }

    /// Deletes a tenant and all its keys.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`](crate::DirectoryError::NotFound) if it does not exist; failures of the engine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let memory = Memory::new();
    /// Tenant::create_or_open(&memory, "acme", "reading").await?;
    /// Tenant::delete(&memory, "acme", "reading").await?;
    /// assert!(!Tenant::exists(&memory, "acme", "reading").await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete(engine: &E, storage_id: &str, tenant_id: &str) -> Result<(), Error> {
        Layer::new(engine).delete(storage_id, tenant_id).await
    }

    pub(crate) fn new(layer: &Layer<E>, storage_id: &str, tenant_id: &str, prefix: &[u8], entry: Vec<u8>) -> Self {
        Self {
            layer: layer.clone(),
            shared: Arc::new(Shared {
                storage: storage_id.into(),
                id: tenant_id.into(),
                keys: Subspace::from_bytes(prefix),
                entry,
                swept_hour: AtomicU64::new(0),
            }),
        }
    }

    /// The layer that the tenant was opened through.
    #[must_use]
    pub fn layer(&self) -> &Layer<E> {
        &self.layer
    }

    /// The engine that the tenant lives in.
    #[must_use]
    pub fn engine(&self) -> &E {
        self.layer.engine()
    }

    /// The storage id.
    #[must_use]
    pub fn storage_id(&self) -> &str {
        &self.shared.storage
    }

    /// The tenant id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// The key that holds the tenant's prefix as long as it exists.
    pub(crate) fn entry(&self) -> &[u8] {
        &self.shared.entry
    }

    /// A key of the layer's own: the tuple elements after `space`.
    pub(crate) fn key<T: TuplePack>(&self, space: u8, tuple: &T) -> Vec<u8> {
        let mut key = Vec::with_capacity(64);
        key.extend_from_slice(self.prefix());
        pack_into(&(&[space][..],), &mut key);
        pack_into(tuple, &mut key);
        key
    }

    /// The prefix of every key of the tenant.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        self.shared.keys.bytes()
    }

    /// The key of a tuple in the tenant.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
    /// let key = tenant.pack(&("visits", 7));
    /// assert!(key.starts_with(tenant.prefix()));
    /// assert_eq!(tenant.unpack::<(String, i64)>(&key)?, ("visits".to_owned(), 7));
    /// # Ok(())
    /// # }
    /// ```
    pub fn pack<T: TuplePack>(&self, tuple: &T) -> Vec<u8> {
        self.shared.keys.pack(tuple)
    }

    /// The key of a tuple with one incomplete versionstamp, and the stamp's offset after it, as
    /// [`set_versionstamped_key`](crate::Transaction::set_versionstamped_key) takes it.
    pub fn pack_with_versionstamp<T: TuplePack>(&self, tuple: &T) -> Vec<u8> {
        self.shared.keys.pack_with_versionstamp(tuple)
    }

    /// The tuple of a key of the tenant.
    ///
    /// # Errors
    /// [`Error::Tuple`] if the key is not the tenant's or not such a tuple.
    pub fn unpack<'de, T: TupleUnpack<'de>>(&self, key: &'de [u8]) -> Result<T, Error> {
        Ok(self.shared.keys.unpack(key)?)
    }

    /// The range of the keys whose tuples extend `tuple`.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
    /// let (begin, end) = tenant.range(&("visits",));
    /// assert!((begin..end).contains(&tenant.pack(&("visits", 7))));
    /// # Ok(())
    /// # }
    /// ```
    pub fn range<T: TuplePack>(&self, tuple: &T) -> (Vec<u8>, Vec<u8>) {
        self.shared.keys.subspace(tuple).range()
    }

    /// The range of every key of the tenant.
    #[must_use]
    pub fn key_range(&self) -> (Vec<u8>, Vec<u8>) {
        let begin = self.prefix().to_vec();
        let end = strinc(&begin).unwrap_or_else(|| vec![0xff]);
        (begin, end)
    }

    /// Begins a transaction on the tenant. It writes nothing until it is [committed](TenantTransaction::commit).
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Isolation, Memory, Tenant};
    ///
    /// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
    /// let tx = tenant.begin();
    /// tx.set(&tenant.pack(&("hello",)), b"world")?;
    /// tx.commit().await?;
    /// let found = tenant.begin().get(&tenant.pack(&("hello",)), Isolation::Snapshot).await?;
    /// assert_eq!(found, Some(b"world".to_vec()));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn begin(&self) -> TenantTransaction<E> {
        TenantTransaction::within(self, Arc::new(self.engine().begin()), transaction::span(self))
    }

    /// Runs `run` in a transaction on the tenant and commits it, again from the start as often as it conflicts.
    ///
    /// # Errors
    /// As [`transact`].
    ///
    /// # Cancel safety
    /// As [`transact`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::table::Table;
    /// use dust_layer::value::FieldType;
    /// use dust_layer::{Memory, Tenant};
    ///
    /// let users = Table::new("users").key(1, "id", FieldType::Text).field(2, "name", FieldType::Text).build()?;
    /// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
    /// let ada = users.row([("id", "ada"), ("name", "Ada")])?;
    /// let (found, _) = tenant
    ///     .transact(async |tx| {
    ///         tx.insert(&users, &ada).await?;
    ///         tx.get_row(&users, &users.primary_key(["ada"])?).await
    ///     })
    ///     .await?;
    /// assert_eq!(found, Some(ada));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn transact<T, X, F, R>(&self, mut run: F) -> Result<(T, Committed), X>
    where
        X: TransactError,
        F: FnMut(TenantTransaction<E>) -> R,
        R: Future<Output = Result<T, X>>,
    {
        let span = transaction::span(self);
        let mut attempts = self.layer.counters().attempts(&span);
        transact(self.engine(), |tx| {
            attempts.begin();
            run(TenantTransaction::within(self, tx, span.clone()))
        })
        .instrument(span.clone())
        .await
        .inspect_err(|error| attempts.failed(error.layer_error()))
    }

    /// As [`transact`](Self::transact), but also again when the outcome of a commit is unknown; see
    /// [`transact_idempotent`].
    ///
    /// # Errors
    /// As [`transact_idempotent`].
    ///
    /// # Cancel safety
    /// As [`transact`].
    pub async fn transact_idempotent<T, X, F, R>(&self, mut run: F) -> Result<(T, Committed), X>
    where
        X: TransactError,
        F: FnMut(TenantTransaction<E>) -> R,
        R: Future<Output = Result<T, X>>,
    {
        let span = transaction::span(self);
        let mut attempts = self.layer.counters().attempts(&span);
        transact_idempotent(self.engine(), |tx| {
            attempts.begin();
            run(TenantTransaction::within(self, tx, span.clone()))
        })
        .instrument(span.clone())
        .await
        .inspect_err(|error| attempts.failed(error.layer_error()))
    }

    /// Clears every key of the tenant, index definitions included. The tenant stays.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_layer::Error> {
    /// use dust_layer::{Isolation, Memory, Tenant};
    ///
    /// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
    /// let key = tenant.pack(&("hello",));
    /// let tx = tenant.begin();
    /// tx.set(&key, b"world")?;
    /// tx.commit().await?;
    /// tenant.clear().await?;
    /// assert_eq!(tenant.begin().get(&key, Isolation::Snapshot).await?, None);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn clear(&self) -> Result<(), Error> {
        let (begin, end) = &self.key_range();
        transact(self.engine(), |tx| async move {
            tx.clear_range(begin, end);
            bump(&*tx);
            Ok::<_, Error>(())
        })
        .await?;
        Ok(())
    }

    /// Clears the rows, entries and counters of every table, and what a layer above keeps beside them; keeps the
    /// definitions of indexes, what migrations have been applied, and the application's own keys.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn clear_data(&self) -> Result<(), Error> {
        let begin = &self.key(DATA, &());
        let end = &strinc(begin).ok_or_else(|| Error::corrupt("tenant prefix has no end"))?;
        transact(self.engine(), |tx| async move {
            tx.clear_range(begin, end);
            Ok::<_, Error>(())
        })
        .await?;
        Ok(())
    }
}
