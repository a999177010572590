//! Tenants: a part of the keyspace of one's own, named by a storage id and a tenant id.

use std::sync::Arc;

use crate::directory;
use crate::engine::Engine;
use crate::error::{DirectoryError, Error};
use crate::transaction::transact;
use crate::tuple::{Subspace, TuplePack, TupleUnpack, strinc};

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
#[derive(Debug, Clone)]
pub struct Tenant<E> {
    engine: E,
    storage: Arc<str>,
    id: Arc<str>,
    keys: Arc<Subspace>,
}

impl<E: Engine> Tenant<E> {
    /// Opens a tenant that exists.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if it does not exist; failures of the engine.
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
        let path = [storage_id, tenant_id];
        let (found, _) = transact(engine, |tx| async move { directory::open(&*tx, &path, b"").await }).await?;
        Ok(Self::new(engine, storage_id, tenant_id, found.prefix()))
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
        let path = [storage_id, tenant_id];
        let (found, _) = transact(
            engine,
            |tx| async move { directory::create_or_open(&*tx, &path, b"").await },
        )
        .await?;
        Ok(Self::new(engine, storage_id, tenant_id, found.prefix()))
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
        let path = [storage_id];
        match transact(engine, |tx| async move { directory::list(&*tx, &path).await }).await {
            Ok((ids, _)) => Ok(ids),
            Err(Error::Directory(DirectoryError::NotFound)) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
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
        let path = [storage_id, tenant_id];
        Ok(
            transact(engine, |tx| async move { directory::exists(&*tx, &path).await })
                .await?
                .0,
        )
    }

    /// Deletes a tenant and all its keys.
    ///
    /// # Errors
    /// [`DirectoryError::NotFound`] if it does not exist; failures of the engine.
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
        let path = [storage_id, tenant_id];
        transact(engine, |tx| async move { directory::remove(&*tx, &path).await }).await?;
        Ok(())
    }

    fn new(engine: &E, storage_id: &str, tenant_id: &str, prefix: &[u8]) -> Self {
        Self {
            engine: engine.clone(),
            storage: Arc::from(storage_id),
            id: Arc::from(tenant_id),
            keys: Arc::new(Subspace::from_bytes(prefix)),
        }
    }

    /// The engine that the tenant lives in.
    pub fn engine(&self) -> &E {
        &self.engine
    }

    /// The storage id.
    pub fn storage_id(&self) -> &str {
        &self.storage
    }

    /// The tenant id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The prefix of every key of the tenant.
    pub fn prefix(&self) -> &[u8] {
        self.keys.bytes()
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
        self.keys.pack(tuple)
    }

    /// The key of a tuple with one incomplete versionstamp, and the stamp's offset after it, as
    /// [`set_versionstamped_key`](crate::Transaction::set_versionstamped_key) takes it.
    pub fn pack_with_versionstamp<T: TuplePack>(&self, tuple: &T) -> Vec<u8> {
        self.keys.pack_with_versionstamp(tuple)
    }

    /// The tuple of a key of the tenant.
    ///
    /// # Errors
    /// [`Error::Tuple`] if the key is not the tenant's or not such a tuple.
    pub fn unpack<'de, T: TupleUnpack<'de>>(&self, key: &'de [u8]) -> Result<T, Error> {
        Ok(self.keys.unpack(key)?)
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
        self.keys.subspace(tuple).range()
    }

    /// The range of every key of the tenant.
    pub fn key_range(&self) -> (Vec<u8>, Vec<u8>) {
        let begin = self.prefix().to_vec();
        let end = strinc(&begin).unwrap_or_else(|| vec![0xff]);
        (begin, end)
    }
}
