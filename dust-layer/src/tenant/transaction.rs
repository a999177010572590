//! A transaction that is bound to one tenant.

use std::fmt;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tracing::Span;
use tracing::field::Empty;

use super::{DATA, SYSTEM, Tenant};
use crate::engine::{
    Atomic, Committed, Conflict, Engine, Isolation, MappedPairs, Mapper, Pairs, RangeRead, Transaction, Version, Watch,
};
use crate::error::Error;
use crate::index::Catalog;
use crate::metrics::{Metrics, add, add_len};
use crate::value::Versionstamp;

/// A transaction on one tenant: its rows, its indexes, and the application's own keys.
///
/// There is no ambient transaction: what is to happen in it gets it, or a clone. It cannot reach another tenant: rows are
/// always the tenant's own, and keys of another tenant are [`Error::OtherTenant`]. Writes of the application's own keys are
/// refused where the layer keeps what is its own, in tuples that begin with the byte string `FD` or `FE`.
///
/// Many reads can be under way at once, and wait for the engine together:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::table::Table;
/// use dust_layer::value::FieldType;
/// use dust_layer::{Error, Memory, Tenant};
/// use futures_util::future::try_join;
///
/// let users = Table::new("users").key(1, "id", FieldType::Integer).build()?;
/// let tenant = Tenant::create_or_open(&Memory::new(), "acme", "reading").await?;
/// let tx = tenant.begin();
/// let (one, two) = (users.primary_key([1])?, users.primary_key([2])?);
/// let (one, two) = try_join(tx.get_row(&users, &one), tx.get_row(&users, &two)).await?;
/// assert_eq!((one, two), (None, None));
///
/// let other = Tenant::create_or_open(&Memory::new(), "acme", "writing").await?;
/// # let other = Tenant::create_or_open(tenant.engine(), "acme", "writing").await?;
/// assert!(matches!(tx.set(&other.pack(&("a",)), b""), Err(Error::OtherTenant)));
/// # Ok(())
/// # }
/// ```
pub struct TenantTransaction<E: Engine> {
    tenant: Tenant<E>,
    transaction: Arc<E::Transaction>,
    shared: Arc<Shared<E>>,
}

/// What clones of one transaction share.
struct Shared<E: Engine> {
    tenant: Tenant<E>,
    span: Span,
    tally: Metrics,
    stamps: AtomicU16,
    catalogs: Mutex<Vec<(Vec<u8>, Arc<Catalog>)>>,
}

impl<E: Engine> Drop for Shared<E> {
    fn drop(&mut self) {
        self.tenant.layer().counters().absorb(&self.tally);
        if !self.span.is_disabled() {
            let done = self.tally.snapshot();
            for (field, count) in [
                ("rows_read", done.rows_read),
                ("rows_written", done.rows_written),
                ("keys_read", done.keys_read),
                ("keys_written", done.keys_written),
                ("bytes_read", done.bytes_read),
                ("bytes_written", done.bytes_written),
            ] {
                self.span.record(field, count);
            }
        }
    }
}

/// The span of a transaction; what it did, of its last run, is recorded when it ends.
pub(super) fn span<E: Engine>(tenant: &Tenant<E>) -> Span {
    tracing::debug_span!(
        "transaction",
        tenant = tenant.id(),
        attempts = Empty,
        rows_read = Empty,
        rows_written = Empty,
        keys_read = Empty,
        keys_written = Empty,
        bytes_read = Empty,
        bytes_written = Empty,
    )
}

impl<E: Engine> Clone for TenantTransaction<E> {
    fn clone(&self) -> Self {
        Self {
            tenant: self.tenant.clone(),
            transaction: Arc::clone(&self.transaction),
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<E: Engine> fmt::Debug for TenantTransaction<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TenantTransaction")
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}

impl<E: Engine> TenantTransaction<E> {
    /// Binds a transaction of the tenant's engine to the tenant, for a layer above that has its own retry loop.
    #[must_use]
    pub fn new(tenant: &Tenant<E>, transaction: Arc<E::Transaction>) -> Self {
        Self::within(tenant, transaction, Span::none())
    }

    pub(super) fn within(tenant: &Tenant<E>, transaction: Arc<E::Transaction>, span: Span) -> Self {
        Self {
            tenant: tenant.clone(),
            transaction,
            shared: Arc::new(Shared {
                tenant: tenant.clone(),
                span,
                tally: Metrics::default(),
                stamps: AtomicU16::new(0),
                catalogs: Mutex::default(),
            }),
        }
    }

    /// The tenant.
    #[must_use]
    pub fn tenant(&self) -> &Tenant<E> {
        &self.tenant
    }

    /// The transaction of the engine, which knows no tenants.
    #[must_use]
    pub fn raw(&self) -> &E::Transaction {
        &self.transaction
    }

    /// A versionstamp that this transaction's commit completes; each call gives the next in order.
    ///
    /// In the primary key of a row it makes ids that grow in the order of commits. After the commit,
    /// [`Versionstamp::complete`] with the [stamp](Committed::stamp) tells what it became.
    #[must_use]
    pub fn versionstamp(&self) -> Versionstamp {
        Versionstamp::incomplete(self.shared.stamps.fetch_add(1, Ordering::Relaxed))
    }

    /// The version that reads see.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn read_version(&self) -> Result<Version, Error> {
        self.transaction.read_version().await
    }

    /// Commits.
    ///
    /// # Errors
    /// As [`Transaction::commit`].
    ///
    /// # Cancel safety
    /// As [`Transaction::commit`].
    pub async fn commit(&self) -> Result<Committed, Error> {
        let mut attempts = self.tenant.layer().counters().attempts(&self.shared.span);
        attempts.begin();
        let outcome = self.transaction.commit().await;
        outcome.inspect_err(|error| attempts.failed(Some(error)))
    }

    pub(crate) fn tally(&self) -> &Metrics {
        &self.shared.tally
    }

    pub(crate) fn known_catalogs(&self) -> MutexGuard<'_, Vec<(Vec<u8>, Arc<Catalog>)>> {
        self.shared.catalogs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_key(&self, key: &[u8]) -> Result<(), Error> {
        if key.starts_with(self.tenant.prefix()) {
            Ok(())
        } else {
            Err(Error::OtherTenant)
        }
    }

    fn check_range(&self, begin: &[u8], end: &[u8]) -> Result<(), Error> {
        let (first, last) = self.tenant.key_range();
        if *first <= *begin && *end <= *last {
            Ok(())
        } else {
            Err(Error::OtherTenant)
        }
    }

    fn check_write(&self, begin: &[u8], end: &[u8]) -> Result<(), Error> {
        self.check_range(begin, end)?;
        let is_reserved = |space| {
            let (first, last) = self.reserved(space);
            begin < &last[..] && end > &first[..]
        };
        if is_reserved(DATA) || is_reserved(SYSTEM) {
            return Err(Error::ReservedKey);
        }
        Ok(())
    }

    /// The keys of the tuples that begin with the byte string of `space` alone, and their end.
    fn reserved(&self, space: u8) -> (Vec<u8>, Vec<u8>) {
        let first = self.tenant.key(space, &());
        // A longer byte string would go on with the escape of a zero.
        let last = [&first[..], &[0xff]].concat();
        (first, last)
    }

    fn check_write_key(&self, key: &[u8]) -> Result<(), Error> {
        self.check_key(key)?;
        self.check_write(key, &[key, &[0]].concat())
    }

    /// Reads a key of the tenant.
    ///
    /// # Errors
    /// [`Error::OtherTenant`]; as [`Transaction::get`].
    pub async fn get(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        self.check_key(key)?;
        self.read(key, isolation).await
    }

    /// Reads a range of keys of the tenant.
    ///
    /// # Errors
    /// [`Error::OtherTenant`]; as [`Transaction::get_range`].
    pub async fn get_range(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        self.check_range(read.begin, read.end)?;
        self.read_range(read).await
    }

    /// Sets a key of the application's own.
    ///
    /// # Errors
    /// [`Error::OtherTenant`], [`Error::ReservedKey`].
    pub fn set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_write_key(key)?;
        self.write(key, value);
        Ok(())
    }

    /// Clears a key of the application's own.
    ///
    /// # Errors
    /// [`Error::OtherTenant`], [`Error::ReservedKey`].
    pub fn clear(&self, key: &[u8]) -> Result<(), Error> {
        self.check_write_key(key)?;
        self.erase(key);
        Ok(())
    }

    /// Clears a range of keys of the application's own.
    ///
    /// # Errors
    /// [`Error::OtherTenant`], [`Error::ReservedKey`].
    pub fn clear_range(&self, begin: &[u8], end: &[u8]) -> Result<(), Error> {
        self.check_write(begin, end)?;
        self.erase_range(begin, end);
        Ok(())
    }

    /// Applies an atomic operation to a key of the application's own.
    ///
    /// # Errors
    /// [`Error::OtherTenant`], [`Error::ReservedKey`].
    pub fn atomic(&self, atomic: Atomic, key: &[u8], operand: &[u8]) -> Result<(), Error> {
        self.check_write_key(key)?;
        self.count(atomic, key, operand);
        Ok(())
    }

    /// Sets a key that the commit's stamp is a part of; see [`Transaction::set_versionstamped_key`] and
    /// [`Tenant::pack_with_versionstamp`].
    ///
    /// # Errors
    /// [`Error::OtherTenant`], [`Error::ReservedKey`].
    pub fn set_versionstamped_key(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_write_key(key)?;
        self.tally_write(key, value);
        self.transaction.set_versionstamped_key(key, value);
        Ok(())
    }

    /// Sets a value that the commit's stamp is a part of; see [`Transaction::set_versionstamped_value`].
    ///
    /// # Errors
    /// [`Error::OtherTenant`], [`Error::ReservedKey`].
    pub fn set_versionstamped_value(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check_write_key(key)?;
        self.tally_write(key, value);
        self.transaction.set_versionstamped_value(key, value);
        Ok(())
    }

    /// Watches a key of the tenant; see [`Transaction::watch`].
    ///
    /// # Errors
    /// [`Error::OtherTenant`].
    pub fn watch(&self, key: &[u8]) -> Result<Watch, Error> {
        self.check_key(key)?;
        Ok(self.transaction.watch(key))
    }

    fn tally_write(&self, key: &[u8], value: &[u8]) {
        add(&self.tally().keys_written, 1);
        add_len(&self.tally().bytes_written, key.len() + value.len());
    }

    /// Reads a key without asking whose it is.
    pub(crate) async fn read(&self, key: &[u8], isolation: Isolation) -> Result<Option<Vec<u8>>, Error> {
        let value = self.transaction.get(key, isolation).await?;
        if let Some(value) = &value {
            add(&self.tally().keys_read, 1);
            add_len(&self.tally().bytes_read, key.len() + value.len());
        }
        Ok(value)
    }

    pub(crate) async fn read_range(&self, read: RangeRead<'_>) -> Result<Pairs, Error> {
        let pairs = self.transaction.get_range(read).await?;
        add_len(&self.tally().keys_read, pairs.len());
        add_len(&self.tally().bytes_read, pairs.bytes());
        Ok(pairs)
    }

    pub(crate) async fn read_mapped(&self, read: RangeRead<'_>, mapper: Mapper<'_>) -> Result<MappedPairs, Error> {
        let found = self.transaction.get_mapped_range(read, mapper).await?;
        let led_to = found.iter().filter_map(|(_, value)| value);
        add_len(&self.tally().keys_read, found.pairs().len() + led_to.clone().count());
        add_len(
            &self.tally().bytes_read,
            found.pairs().bytes() + led_to.map(<[u8]>::len).sum::<usize>(),
        );
        Ok(found)
    }

    pub(crate) fn write(&self, key: &[u8], value: &[u8]) {
        self.tally_write(key, value);
        self.transaction.set(key, value);
    }

    pub(crate) fn erase(&self, key: &[u8]) {
        self.tally_write(key, &[]);
        self.transaction.clear(key);
    }

    pub(crate) fn erase_range(&self, begin: &[u8], end: &[u8]) {
        self.tally_write(begin, end);
        self.transaction.clear_range(begin, end);
    }

    pub(crate) fn count(&self, atomic: Atomic, key: &[u8], operand: &[u8]) {
        self.tally_write(key, operand);
        self.transaction.atomic(atomic, key, operand);
    }

    /// Lets a later write to one key conflict with this transaction, as if it had been read.
    pub(crate) fn conflict_with(&self, key: &[u8]) {
        self.transaction
            .add_conflict(Conflict::Read, key, &[key, &[0]].concat());
    }

    /// Sets a key; if `stamp` is the place of a versionstamp in it, the commit completes it.
    pub(crate) fn write_stamped(&self, key: &[u8], stamp: Option<usize>, value: &[u8]) {
        let Some(offset) = stamp else {
            return self.write(key, value);
        };
        self.tally_write(key, value);
        // A key that is too long for four bytes of offset is too long for the engine, which says so.
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let key = [key, &offset.to_le_bytes()].concat();
        self.transaction.set_versionstamped_key(&key, value);
    }
}
