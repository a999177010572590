//! What a tenant remembers of its migrations.

use std::collections::BTreeSet;

use super::Migration;
use crate::engine::{Direction, Engine, Isolation, RangeRead};
use crate::error::{Error, MigrationError};
use crate::tenant::{SYSTEM, Tenant, TenantTransaction};
use crate::tuple::{strinc, unpack};
use crate::value::wire::{self, Reader};

const FORMAT: u8 = 1;
const SPACE: &[u8] = b"migrations";

/// How far one migration of a tenant is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// How many commands are done.
    pub(super) commands: usize,
    /// Where the next command goes on.
    pub(super) cursor: Option<Vec<u8>>,
    /// Where the records ended when it began.
    pub(super) end: Option<Vec<u8>>,
    /// How many records it has gone through.
    pub(super) records: u64,
    /// Whether all commands are done.
    pub(super) is_done: bool,
}

impl State {
    fn key<E: Engine>(tenant: &Tenant<E>, version: u64) -> Vec<u8> {
        tenant.key(SYSTEM, &(SPACE, version))
    }

    fn parse(stored: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(stored, "the progress of a migration");
        reader.format(FORMAT)?;
        let is_done = match reader.byte()? {
            0 => false,
            1 => true,
            _ => return Err(reader.invalid()),
        };
        let (commands, records) = (reader.number()?, reader.number()?);
        let (cursor, end) = match reader.byte()? {
            0 => (None, None),
            1 => (Some(reader.bytes()?.to_vec()), None),
            2 => (Some(reader.bytes()?.to_vec()), Some(reader.bytes()?.to_vec())),
            _ => return Err(reader.invalid()),
        };
        reader.end()?;
        Ok(Self {
            commands,
            cursor,
            end,
            records,
            is_done,
        })
    }

    pub(super) async fn read<E: Engine>(tx: &TenantTransaction<E>, version: u64) -> Result<Self, Error> {
        let stored = tx
            .read(&Self::key(tx.tenant(), version), Isolation::Serializable)
            .await?;
        stored.map_or(Ok(Self::default()), |stored| Self::parse(&stored))
    }

    pub(super) fn write<E: Engine>(&self, tx: &TenantTransaction<E>, version: u64) {
        let mut value = vec![FORMAT, u8::from(self.is_done)];
        wire::put_length(self.commands, &mut value);
        wire::put_unsigned(self.records.into(), &mut value);
        // Without a cursor the end is read anew.
        let places = [self.cursor.as_deref(), self.cursor.as_ref().and(self.end.as_deref())];
        value.push(places.iter().flatten().fold(0, |count, _| count + 1));
        for place in places.into_iter().flatten() {
            wire::put_bytes(place, &mut value);
        }
        tx.write(&Self::key(tx.tenant(), version), &value);
    }

    /// The versions among `migrations` that the tenant has not been through, in order.
    pub(super) async fn pending<E: Engine>(
        tx: &TenantTransaction<E>,
        migrations: &[Migration],
    ) -> Result<Vec<u64>, Error> {
        let done = Self::done(tx).await?;
        let versions = migrations.iter().map(Migration::version);
        Ok(versions.filter(|version| !done.contains(version)).collect())
    }

    async fn done<E: Engine>(tx: &TenantTransaction<E>) -> Result<BTreeSet<u64>, Error> {
        let begin = tx.tenant().key(SYSTEM, &(SPACE,));
        let end = strinc(&begin).ok_or_else(|| Error::corrupt("a prefix without an end"))?;
        let read = RangeRead {
            begin: &begin,
            end: &end,
            limit: usize::MAX,
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        };
        let mut done = BTreeSet::new();
        for (key, stored) in &tx.read_range(read).await? {
            if Self::parse(stored)?.is_done {
                let (version,) = unpack::<(u64,)>(key.strip_prefix(&begin[..]).unwrap_or_default())?;
                done.insert(version);
            }
        }
        Ok(done)
    }
}

/// Checks that versions grow.
pub(super) fn check_order(migrations: &[Migration]) -> Result<(), Error> {
    for (before, after) in migrations.iter().zip(migrations.iter().skip(1)) {
        if before.version >= after.version {
            return Err(MigrationError::Order { version: after.version }.into());
        }
    }
    Ok(())
}

impl<E: Engine> Tenant<E> {
    /// The versions of the migrations that the tenant has been through, in order.
    ///
    /// # Errors
    /// Failures of the engine.
    pub async fn migrations(&self) -> Result<Vec<u64>, Error> {
        Ok(State::done(&self.begin()).await?.into_iter().collect())
    }
}
