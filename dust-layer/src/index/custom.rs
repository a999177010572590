//! Indexes of the program's own.

use std::ops::Range;

use futures_core::future::BoxFuture;

use super::{IndexDef, Record};
use crate::engine::{Atomic, Direction, Engine, Isolation, Pairs, RangeRead};
use crate::error::Error;
use crate::tenant::TenantTransaction;
use crate::tuple::{TuplePack, pack_into, strinc};
use crate::value::FieldValue;

/// Keeps an index of the program's own, in the transaction of each write.
///
/// For those who need another key, or other contents, than an index on fields has. It is registered with
/// [`Options::indexer`](crate::layer::Options::indexer) by every program that writes the collection.
///
/// # Contract
/// * [`set`](Self::set) may be called for a record that is there already, as builds and writes cross: it must then change
///   nothing. [`clear`](Self::clear) may be called for one that is not.
/// * All it keeps is in its [`IndexSpace`], which is cleared as a whole when the index is dropped.
/// * What [`range`](Self::range) gives holds entries whose values are packed primary keys.
///
/// ```
/// use std::ops::Range;
/// use dust_layer::index::{IndexSpace, Indexer, Record};
/// use dust_layer::value::FieldValue;
/// use dust_layer::{Engine, Error};
/// use futures_core::future::BoxFuture;
///
/// /// The records whose first field begins with a J.
/// struct InitialJ;
///
/// fn is_j<E: Engine>(space: &IndexSpace<'_, E>, record: &dyn Record) -> Result<bool, Error> {
///     Ok(match record.field(&space.def().fields()[0])? {
///         FieldValue::Text(text) => text.starts_with('J'),
///         _ => false,
///     })
/// }
///
/// impl<E: Engine> Indexer<E> for InitialJ {
///     fn set<'a>(&'a self, space: &'a IndexSpace<'a, E>, record: &'a dyn Record) -> BoxFuture<'a, Result<(), Error>> {
///         Box::pin(async move {
///             if is_j(space, record)? {
///                 space.set(&(record.key().packed(),), record.key().packed());
///             }
///             Ok(())
///         })
///     }
///
///     fn clear<'a>(&'a self, space: &'a IndexSpace<'a, E>, record: &'a dyn Record) -> BoxFuture<'a, Result<(), Error>> {
///         Box::pin(async move { Ok(space.clear(&(record.key().packed(),))) })
///     }
///
///     fn range(&self, space: &IndexSpace<'_, E>, _: &[FieldValue]) -> Result<Range<Vec<u8>>, Error> {
///         Ok(space.whole())
///     }
/// }
/// # let _ = InitialJ;
/// ```
pub trait Indexer<E: Engine>: Send + Sync + 'static {
    /// Adds a record.
    fn set<'a>(&'a self, space: &'a IndexSpace<'a, E>, record: &'a dyn Record) -> BoxFuture<'a, Result<(), Error>>;

    /// Takes a record out.
    fn clear<'a>(&'a self, space: &'a IndexSpace<'a, E>, record: &'a dyn Record) -> BoxFuture<'a, Result<(), Error>>;

    /// Follows a record that changed. By default it is taken out and added.
    fn update<'a>(
        &'a self,
        space: &'a IndexSpace<'a, E>,
        old: &'a dyn Record,
        new: &'a dyn Record,
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            self.clear(space, old).await?;
            self.set(space, new).await
        })
    }

    /// Adds a batch of the records that were there before the index. By default one after the other.
    fn create<'a>(
        &'a self,
        space: &'a IndexSpace<'a, E>,
        records: &'a [Box<dyn Record>],
    ) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            for record in records {
                self.set(space, &**record).await?;
            }
            Ok(())
        })
    }

    /// The keys that answer a query with these arguments.
    ///
    /// # Errors
    /// Whatever the arguments deserve.
    fn range(&self, space: &IndexSpace<'_, E>, arguments: &[FieldValue]) -> Result<Range<Vec<u8>>, Error>;
}

/// The part of the keyspace that one index has for itself, in one transaction.
#[derive(Debug)]
pub struct IndexSpace<'a, E: Engine> {
    tx: &'a TenantTransaction<E>,
    def: &'a IndexDef,
    prefix: Vec<u8>,
}

impl<'a, E: Engine> IndexSpace<'a, E> {
    pub(crate) fn new(tx: &'a TenantTransaction<E>, def: &'a IndexDef, prefix: Vec<u8>) -> Self {
        Self { tx, def, prefix }
    }

    /// The definition of the index.
    #[must_use]
    pub fn def(&self) -> &IndexDef {
        self.def
    }

    /// The key of a tuple in the index.
    pub fn key<T: TuplePack>(&self, tuple: &T) -> Vec<u8> {
        let mut key = self.prefix.clone();
        pack_into(tuple, &mut key);
        key
    }

    /// Every key of the index.
    #[must_use]
    pub fn whole(&self) -> Range<Vec<u8>> {
        let end = strinc(&self.prefix).unwrap_or_default();
        self.prefix.clone()..end
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn get<T: TuplePack + Sync>(&self, tuple: &T) -> Result<Option<Vec<u8>>, Error> {
        self.tx.read(&self.key(tuple), Isolation::Serializable).await
    }

    /// Reads entries whose tuples begin with `tuple`, in their order.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn get_range<T: TuplePack + Sync>(&self, tuple: &T, limit: usize) -> Result<Pairs, Error> {
        let begin = self.key(tuple);
        let end = strinc(&begin).unwrap_or_default();
        let read = RangeRead {
            begin: &begin,
            end: &end,
            limit,
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        };
        self.tx.read_range(read).await
    }

    /// Sets an entry.
    pub fn set<T: TuplePack>(&self, tuple: &T, value: &[u8]) {
        self.tx.write(&self.key(tuple), value);
    }

    /// Clears an entry.
    pub fn clear<T: TuplePack>(&self, tuple: &T) {
        self.tx.erase(&self.key(tuple));
    }

    /// Applies an atomic operation to an entry.
    pub fn atomic<T: TuplePack>(&self, atomic: Atomic, tuple: &T, operand: &[u8]) {
        self.tx.count(atomic, &self.key(tuple), operand);
    }
}
