//! Who works on a tenant's migrations.
//!
//! A claim is an owner and a beat that grows with each of its transactions. It has no time in it: whoever waits looks at
//! its own clock, and takes over a claim that has not changed for a [`LEASE`](super::LEASE). Safety does not hang on that:
//! every transaction of an owner reads the claim, so one that has been taken over commits nothing more.

use crate::engine::{Engine, Isolation};
use crate::error::{Error, MigrationError};
use crate::tenant::{SYSTEM, Tenant, TenantTransaction};
use crate::transaction::random;
use crate::value::wire::{self, Reader};

const FORMAT: u8 = 1;

/// The name of one run, for as long as it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner([u8; 16]);

impl Owner {
    pub(super) fn random() -> Self {
        Self((u128::from(random()) << 64 | u128::from(random())).to_be_bytes())
    }
}

/// What is stored of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) owner: Owner,
    beat: u64,
}

impl Claim {
    pub(super) fn first(owner: Owner) -> Self {
        Self { owner, beat: 0 }
    }

    pub(super) fn key<E: Engine>(tenant: &Tenant<E>) -> Vec<u8> {
        tenant.key(SYSTEM, &(&b"claim"[..],))
    }

    pub(super) async fn read<E: Engine>(tx: &TenantTransaction<E>) -> Result<Option<Self>, Error> {
        let stored = tx.read(&Self::key(tx.tenant()), Isolation::Serializable).await?;
        let parse = |stored: Vec<u8>| {
            let mut reader = Reader::new(&stored, "the claim of a migration");
            reader.format(FORMAT)?;
            let (owner, beat) = (Owner(reader.array()?), reader.number()?);
            reader.end()?;
            Ok(Self { owner, beat })
        };
        stored.map(parse).transpose()
    }

    pub(super) fn write<E: Engine>(self, tx: &TenantTransaction<E>) {
        let mut value = vec![FORMAT];
        value.extend_from_slice(&self.owner.0);
        wire::put_unsigned(self.beat.into(), &mut value);
        tx.write(&Self::key(tx.tenant()), &value);
    }

    /// Lets the claim of `owner` beat, in the transaction of its next step.
    pub(super) async fn beat<E: Engine>(tx: &TenantTransaction<E>, owner: Owner) -> Result<(), Error> {
        match Self::read(tx).await? {
            Some(claim) if claim.owner == owner => {
                let beat = claim.beat.wrapping_add(1);
                Self { owner, beat }.write(tx);
                Ok(())
            }
            _ => Err(MigrationError::TakenOver.into()),
        }
    }

    /// Gives the claim of `owner` back, if it still is its.
    pub(super) async fn release<E: Engine>(tx: &TenantTransaction<E>, owner: Owner) -> Result<(), Error> {
        if Self::read(tx).await?.is_some_and(|claim| claim.owner == owner) {
            tx.erase(&Self::key(tx.tenant()));
        }
        Ok(())
    }
}
