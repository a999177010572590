//! Claims a tenant's migrations, and runs those that are left.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{StreamExt, iter};
use tracing::Instrument;

use super::claim::{Claim, Owner};
use super::pace::{Lookout, Pace, Took};
use super::progress::{State, check_order};
use super::{LEASE, Migration, Migrator, Progress};
use crate::engine::{Engine, Transaction, Watch};
use crate::error::{Error, MigrationError};
use crate::layer::Layer;
use crate::tenant::Tenant;
use crate::transaction::{ATTEMPTS_MAX, yield_now};

/// What came of asking for the claim.
enum Asked {
    /// There is nothing left to do.
    Done,
    /// It is ours, and these versions are left.
    Ours(Vec<u64>),
    /// Another one has it; the watch tells when it changes.
    Theirs(Claim, Watch),
}

/// What came of one transaction of a migration.
struct Stepped {
    /// Where the migration is after it.
    state: State,
    /// How long its last attempt worked.
    work: Duration,
    attempts: u32,
    /// Whether it took the migration further, rather than finding that another process has ended it.
    is_ours: bool,
}

/// What happens to the claim when a migration is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Afterwards {
    /// More is to be done under it.
    GoOn,
    /// It is given back in the transaction that ends the migration.
    Release,
}

impl<E: Engine> Migrator<E> {
    /// Opens a tenant, or creates it, and brings it through the migrations.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn open(
        &self,
        layer: &Layer<E>,
        storage_id: &str,
        tenant_id: &str,
        migrations: &[Migration],
    ) -> Result<Tenant<E>, Error> {
        let tenant = layer.create_or_open(storage_id, tenant_id).await?;
        self.run(&tenant, migrations).await?;
        Ok(tenant)
    }

    /// Brings a tenant through the migrations that it has not been through, in their order; yields the versions that
    /// this call ended. One that another process took over and ended is not among them.
    ///
    /// While another process runs migrations of the tenant, this one waits; when that one stands still for a [`LEASE`],
    /// this one takes over. The call returns when nothing is left to do, whoever did it. If nothing is left at the
    /// beginning, it costs one range read. Both kinds of waiting, for another process and for writers, are the layer's
    /// [`Clock`](crate::clock::Clock)'s.
    ///
    /// # Errors
    /// [`MigrationError`]; [`RowError::Duplicate`](crate::error::RowError::Duplicate) where a unique index finds values
    /// twice: the index stays in its build, and the next run goes on; failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future stops after the last transaction; another run goes on there, after a [`LEASE`] at most.
    pub async fn run(&self, tenant: &Tenant<E>, migrations: &[Migration]) -> Result<Vec<u64>, Error> {
        check_order(migrations)?;
        let span = tracing::info_span!("migrate", tenant = tenant.id());
        self.run_claimed(tenant, migrations).instrument(span).await
    }

    async fn run_claimed(&self, tenant: &Tenant<E>, migrations: &[Migration]) -> Result<Vec<u64>, Error> {
        let owner = Owner::random();
        let mut ran = Vec::new();
        let mut stale = None;
        if State::pending(&tenant.begin(), migrations).await?.is_empty() {
            return Ok(ran);
        }
        loop {
            match self.ask(tenant, migrations, owner, stale).await? {
                Asked::Done => return Ok(ran),
                Asked::Ours(versions) => {
                    let outcome = self.work(tenant, migrations, &versions, owner, &mut ran).await;
                    if outcome
                        .as_ref()
                        .is_err_and(|error| error.migration() == Some(&MigrationError::TakenOver))
                    {
                        tracing::warn!("another process has taken the migration over");
                        continue;
                    }
                    if outcome.is_err() {
                        // What failed first is what is told; a claim that stays is taken over.
                        let release = async |tx| Claim::release(&tx, owner).await;
                        let _ = tenant.transact_idempotent(release).await;
                    }
                    return outcome.map(|()| ran);
                }
                Asked::Theirs(claim, watch) => {
                    let waited = Box::pin(tenant.layer().clock().wait(LEASE));
                    stale = match select(watch, waited).await {
                        // Refused in passing, the watch tells nothing, so the claim is looked at.
                        Either::Left((Err(error), _)) if !error.is_retryable() => return Err(error),
                        Either::Left(_) => None,
                        Either::Right(_) => Some(claim),
                    };
                }
            }
        }
    }

    /// Asks for the claim; one that is `stale` is taken from its owner.
    async fn ask(
        &self,
        tenant: &Tenant<E>,
        migrations: &[Migration],
        owner: Owner,
        stale: Option<Claim>,
    ) -> Result<Asked, Error> {
        let ask = async |tx: crate::TenantTransaction<E>| {
            let versions = State::pending(&tx, migrations).await?;
            if versions.is_empty() {
                return Ok(Asked::Done);
            }
            match Claim::read(&tx).await? {
                Some(claim) if claim.owner != owner && Some(claim) != stale => {
                    Ok(Asked::Theirs(claim, tx.raw().watch(&Claim::key(tenant))))
                }
                _ => {
                    Claim::first(owner).write(&tx);
                    Ok::<_, Error>(Asked::Ours(versions))
                }
            }
        };
        Ok(tenant.transact_idempotent(ask).await?.0)
    }

    async fn work(
        &self,
        tenant: &Tenant<E>,
        migrations: &[Migration],
        versions: &[u64],
        owner: Owner,
        ran: &mut Vec<u64>,
    ) -> Result<(), Error> {
        for migration in migrations
            .iter()
            .filter(|migration| versions.contains(&migration.version))
        {
            let mut pace = Pace::new(self.batch_records);
            let mut lookout = Lookout::new(tenant.layer());
            let clock = tenant.layer().clock();
            let is_last = versions.last() == Some(&migration.version);
            let after_it = if is_last { Afterwards::Release } else { Afterwards::GoOn };
            let is_ours = loop {
                let began = clock.now();
                let Stepped {
                    state,
                    work,
                    attempts,
                    is_ours,
                } = match self.step(tenant, migration, owner, pace.records(), after_it).await {
                    // Large records: fewer of them fit into a transaction.
                    Err(Error::TransactionTooLarge { .. }) if pace.was_too_large() => continue,
                    outcome => outcome?,
                };
                tenant.layer().count_step();
                let whole = clock.now().saturating_sub(began);
                let took = Took { work, whole };
                let pause = pace.learn(took, lookout.look(attempts));
                // Whoever shares the thread goes first, and a caller can stop between any two transactions.
                yield_now().await;
                if state.is_done {
                    break is_ours;
                }
                if !pause.is_zero() {
                    clock.wait(pause).await;
                }
            };
            if is_ours {
                tracing::info!(version = migration.version, "migration is done");
                ran.push(migration.version);
            }
        }
        Ok(())
    }

    /// One transaction of a migration.
    async fn step(
        &self,
        tenant: &Tenant<E>,
        migration: &Migration,
        owner: Owner,
        records: usize,
        afterwards: Afterwards,
    ) -> Result<Stepped, Error> {
        let attempts = &AtomicU32::new(0);
        let clock = tenant.layer().clock();
        let mut run = |tx| {
            // What conflicts with writers is tried in smaller pieces.
            let limit = (records >> attempts.fetch_add(1, Ordering::Relaxed).min(16)).max(1);
            async move {
                let began = clock.now();
                let before = State::read(&tx, migration.version).await?;
                if before.is_done {
                    return Ok((before.clone(), before, Duration::ZERO));
                }
                Claim::beat(&tx, owner).await?;
                let after = match migration.commands.get(before.commands) {
                    Some(command) => self.advance(&tx, command, before.clone(), limit).await?,
                    None => before.clone(),
                };
                let after = State {
                    is_done: after.commands >= migration.commands.len(),
                    ..after
                };
                after.write(&tx, migration.version);
                if after.is_done && afterwards == Afterwards::Release {
                    Claim::release(&tx, owner).await?;
                }
                Ok::<_, Error>((before, after, clock.now().saturating_sub(began)))
            }
        };
        // A commit of unknown outcome may have been what the next attempt finds done.
        let mut is_unknown = false;
        let (before, after, work) = loop {
            match tenant.transact(&mut run).await {
                Err(error) if error.is_maybe_committed() && attempts.load(Ordering::Relaxed) < ATTEMPTS_MAX => {
                    is_unknown = true;
                    tenant.engine().pause(attempts.load(Ordering::Relaxed)).await;
                }
                outcome => break outcome?.0,
            }
        };
        let is_ours = is_unknown || !before.is_done;
        if let Some(on_progress) = &self.on_progress {
            let is_done = after.commands > before.commands;
            on_progress(&Progress {
                tenant: tenant.id().into(),
                version: migration.version,
                command: before.commands,
                records: if is_done {
                    after.records.max(before.records)
                } else {
                    after.records
                },
                is_done,
            });
        }
        Ok(Stepped {
            state: after,
            work,
            attempts: attempts.load(Ordering::Relaxed),
            is_ours,
        })
    }

    /// Runs the migrations on every tenant of a storage, some at once; yields what came of each.
    ///
    /// A tenant that fails does not stop the others.
    ///
    /// # Errors
    /// If the tenants cannot be listed.
    pub async fn run_all(
        &self,
        layer: &Layer<E>,
        storage_id: &str,
        migrations: &[Migration],
        at_once: NonZeroUsize,
    ) -> Result<Vec<(String, Result<Vec<u64>, Error>)>, Error> {
        check_order(migrations)?;
        let ids = layer.list(storage_id).await?;
        let run = |id: String| async move {
            let outcome = async {
                let tenant = layer.open(storage_id, &id).await?;
                self.run(&tenant, migrations).await
            };
            let outcome = outcome.await;
            (id, outcome)
        };
        let mut outcomes: Vec<_> = iter(ids).map(run).buffer_unordered(at_once.get()).collect().await;
        outcomes.sort_by(|(left, _), (right, _)| left.cmp(right));
        Ok(outcomes)
    }
}
