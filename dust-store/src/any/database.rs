//! A database whose engine is chosen when the program runs.

use std::fmt::Debug;
use std::sync::Arc;

use dust_layer::Engine;
use dust_transport::error::Error;
use futures_core::future::BoxFuture;

use crate::{Database, Embedded, StoreName};

/// A [`Database`] on any engine. Cloning is cheap and yields the same database.
///
/// ```
/// use dust_store::{AnyDatabase, Database};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// # let temporary = tempfile::tempdir().unwrap();
/// # let folder = temporary.path().join("data");
/// fn open(folder: Option<&std::path::Path>) -> Result<AnyDatabase, dust_transport::error::Error> {
///     Ok(match folder {
///         Some(folder) => Database::open(folder)?.into(),
///         None => Database::memory().into(),
///     })
/// }
/// let database = open(Some(&folder))?;
/// assert_eq!(database.engine_name(), "disk");
/// database.store("acme/links").await?;
/// database.copy("acme/links", "acme/copy").await?;
/// assert_eq!(database.stores().await?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AnyDatabase(Arc<dyn Erased>);

/// What [`AnyDatabase`] forwards.
trait Erased: Debug + Send + Sync {
    fn engine_name(&self) -> &'static str;
    fn store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Embedded, Error>>;
    fn stores(&self) -> BoxFuture<'_, Result<Vec<StoreName>, Error>>;
    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<Embedded, Error>>;
}

impl<E: Engine + Debug> Erased for Database<E> {
    fn engine_name(&self) -> &'static str {
        self.engine().name()
    }

    fn store<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Embedded, Error>> {
        Box::pin(self.store(name))
    }

    fn stores(&self) -> BoxFuture<'_, Result<Vec<StoreName>, Error>> {
        Box::pin(self.stores())
    }

    fn copy<'a>(&'a self, from: &'a str, to: &'a str) -> BoxFuture<'a, Result<Embedded, Error>> {
        Box::pin(self.copy(from, to))
    }
}

impl<E: Engine + Debug> From<Database<E>> for AnyDatabase {
    fn from(database: Database<E>) -> Self {
        Self(Arc::new(database))
    }
}

impl AnyDatabase {
    /// The name of the engine: `memory`, `disk`, `foundationdb`.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.0.engine_name()
    }

    /// As [`Database::store`].
    ///
    /// # Errors
    /// As [`Database::store`].
    ///
    /// # Cancel safety
    /// As [`Database::store`].
    pub async fn store(&self, name: &str) -> Result<Embedded, Error> {
        self.0.store(name).await
    }

    /// As [`Database::stores`].
    ///
    /// # Errors
    /// As [`Database::stores`].
    ///
    /// # Cancel safety
    /// As [`Database::stores`].
    pub async fn stores(&self) -> Result<Vec<StoreName>, Error> {
        self.0.stores().await
    }

    /// As [`Database::copy`].
    ///
    /// # Errors
    /// As [`Database::copy`].
    ///
    /// # Cancel safety
    /// As [`Database::copy`].
    pub async fn copy(&self, from: &str, to: &str) -> Result<Embedded, Error> {
        self.0.copy(from, to).await
    }
}
