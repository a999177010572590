//! Claims the migrations of a store, and runs those that are left.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use dust_transport::model::{Op, Path};
use dust_transport::query::{IndexDefinition, IndexState};
use dust_transport::transport::Transport;

use super::claim::{Claim, LOOKS, Theirs};
use super::field::{Edit, Editor};
use super::history::{self, State};
use super::{Kind, Migrate, Migration, Progress, Step, invalid, path_of};
use crate::error::Error;

/// How often a batch is read again whose records others have changed meanwhile.
const CONFLICTS_MAX: u32 = 1000;

/// Runs all that is left, and gives its versions.
pub(super) async fn run(migrate: Migrate<'_>) -> Result<Vec<u64>, Error> {
    history::check_order(migrate.migrations)?;
    let transport = migrate.repo.transport();
    let look = migrate.lease / LOOKS;
    let mut theirs = Theirs::default();
    let mut looked = Duration::ZERO;
    let claim = loop {
        let history = history::read(transport).await?;
        history::check(&history, migrate.migrations)?;
        if migrate.migrations.iter().all(|migration| is_done(&history, migration)) {
            return Ok(Vec::new());
        }
        if let Some(claim) = Claim::ask(transport, &mut theirs, looked, migrate.lease).await? {
            break claim;
        }
        (migrate.sleep)(look).await;
        looked = look;
    };
    let mut run = Run {
        migrate: &migrate,
        transport,
        claim,
    };
    let outcome = run.all().await;
    run.claim.release(transport).await;
    outcome
}

fn is_done(history: &BTreeMap<u64, State>, migration: &Migration) -> bool {
    history.get(&migration.version).is_some_and(|state| state.2)
}

/// A run that has the claim.
struct Run<'m> {
    migrate: &'m Migrate<'m>,
    transport: &'m dyn Transport,
    claim: Claim,
}

/// What became of a batch.
enum Outcome {
    Written,
    /// A record is no longer as it was read.
    Changed(Error),
}

impl Run<'_> {
    async fn all(&mut self) -> Result<Vec<u64>, Error> {
        // Whoever had the claim before has perhaps gone on since the last look.
        let mut history = history::read(self.transport).await?;
        history::check(&history, self.migrate.migrations)?;
        let mut completed = Vec::new();
        for migration in self.migrate.migrations {
            if !is_done(&history, migration) {
                let state = history.remove(&migration.version);
                self.one(migration, state.unwrap_or_else(|| State::new(migration)))
                    .await?;
                completed.push(migration.version);
            }
        }
        Ok(completed)
    }

    async fn one(&mut self, migration: &Migration, mut state: State) -> Result<(), Error> {
        tracing::info!(version = migration.version, name = migration.name, "migrating");
        let steps = migration.steps.len();
        while !state.2 {
            if let Some(step) = migration.steps.get(state.3) {
                state = self.step(migration, step, state).await?;
            }
            state = state.stepped(steps);
            self.settle(migration, &state).await?;
        }
        Ok(())
    }

    /// Takes a step to its end, and gives the state before that is recorded.
    async fn step(&mut self, migration: &Migration, step: &Step, state: State) -> Result<State, Error> {
        match step.0 {
            Kind::EnsureIndexes { definitions, .. } => {
                for definition in definitions()? {
                    self.build(migration, &definition, &state).await?;
                }
                Ok(state)
            }
            Kind::DropIndex { prefix, fields } => {
                self.drop_index(prefix, fields).await?;
                Ok(state)
            }
            Kind::DropRecords { prefix } => {
                self.drop_records(prefix).await?;
                Ok(state)
            }
            Kind::CopyField { records, from, to } => {
                let edit = Edit::Copy {
                    from,
                    to,
                    and_delete: false,
                };
                let editor = Editor::new(self.transport, records, edit).await?;
                self.edit(migration, &editor, state).await
            }
            Kind::RenameField { records, from, to } => {
                let edit = Edit::Copy {
                    from,
                    to,
                    and_delete: true,
                };
                let editor = Editor::new(self.transport, records, edit).await?;
                self.edit(migration, &editor, state).await
            }
            Kind::DeleteField { records, field } => {
                let editor = Editor::new(self.transport, records, Edit::Delete { field }).await?;
                self.edit(migration, &editor, state).await
            }
            Kind::Custom { run, .. } => {
                let work = run(self.migrate.repo.clone());
                let wait = self.migrate.lease / LOOKS;
                let beats = async {
                    loop {
                        (self.migrate.sleep)(wait).await;
                        if let Err(error) = self.settle(migration, &state).await {
                            return error;
                        }
                    }
                };
                beside(work, beats).await?;
                Ok(state)
            }
        }
    }

    async fn build(&mut self, migration: &Migration, index: &IndexDefinition, state: &State) -> Result<(), Error> {
        loop {
            match self.transport.ensure_index(index).await?.state {
                IndexState::Building { records } => {
                    let shown = state.clone().at(records);
                    self.settle(migration, &shown).await?;
                }
                _ => return Ok(()),
            }
        }
    }

    async fn drop_index(&self, prefix: &[&str], fields: &[&str]) -> Result<(), Error> {
        let prefix = path_of(prefix.iter().copied())?;
        let fields = fields
            .iter()
            .map(|field| path_of([*field]))
            .collect::<Result<Vec<Path>, _>>()?;
        for index in self.transport.indexes().await? {
            let index = index.definition;
            if *index.prefix() != prefix || index.fields() != fields {
                continue;
            }
            // Without saying that the records go with it: the store refuses that where they would.
            let unsaid = IndexDefinition::new(prefix.clone(), fields.iter().cloned())?;
            match self.transport.drop_index(&unsaid).await {
                Err(error) if error.code() == "holds_records" => return Err(last_index(&index)),
                dropped => dropped?,
            };
        }
        Ok(())
    }

    /// Removes the records that live only in their indexes.
    async fn drop_records(&self, prefix: &[&str]) -> Result<(), Error> {
        let prefix = path_of(prefix.iter().copied())?;
        let mut indexes = self.transport.indexes().await?;
        indexes.retain(|index| *index.definition.prefix() == prefix && index.definition.is_index_only());
        // What others are built from goes last.
        indexes.sort_by_key(|index| index.state == IndexState::Readable);
        for index in indexes {
            self.transport.drop_index(&index.definition).await?;
        }
        Ok(())
    }

    async fn edit(&mut self, migration: &Migration, editor: &Editor<'_>, mut state: State) -> Result<State, Error> {
        let mut records_max = self.migrate.batch_records;
        let mut conflicts = 0;
        loop {
            let edited = editor.next(state.4.as_deref(), records_max).await?;
            let Some(cursor) = &edited.cursor else {
                if edited.ops.is_empty() {
                    return Ok(state);
                }
                // Recorded with the next step: until then the last records are looked at again, and are as they should be.
                match self.commit(migration, &state, edited.ops).await? {
                    Outcome::Written => return Ok(state),
                    Outcome::Changed(error) => again(&mut conflicts, error)?,
                }
                records_max = (records_max / 2).max(1);
                continue;
            };
            let moved = state.clone().moved(cursor, edited.records);
            match self.commit(migration, &moved, edited.ops).await? {
                Outcome::Written => {
                    state = moved;
                    conflicts = 0;
                    records_max = (records_max * 2).min(self.migrate.batch_records);
                }
                Outcome::Changed(error) => {
                    again(&mut conflicts, error)?;
                    records_max = (records_max / 2).max(1);
                }
            }
        }
    }

    /// Records a state.
    async fn settle(&mut self, migration: &Migration, state: &State) -> Result<(), Error> {
        match self.commit(migration, state, Vec::new()).await? {
            Outcome::Written => Ok(()),
            Outcome::Changed(error) => Err(error),
        }
    }

    /// Writes ops and the state that they lead to, as long as the claim is this run's own.
    async fn commit(&mut self, migration: &Migration, state: &State, ops: Vec<Op>) -> Result<Outcome, Error> {
        loop {
            let all = std::iter::once(state.op(migration.version)?).chain(ops.iter().cloned());
            match self.claim.write(self.transport, all).await {
                Ok(()) => break,
                Err(error) if error.is_conflict() => {
                    if !self.claim.renew(self.transport).await? {
                        return Ok(Outcome::Changed(error.into()));
                    }
                }
                Err(error) => {
                    return Err(error.into());
                }
            }
        }
        if let Some(on_progress) = &self.migrate.on_progress {
            on_progress(&Progress {
                version: migration.version,
                step: state.3,
                records: state.5,
                is_done: state.2,
            });
        }
        Ok(Outcome::Written)
    }
}

/// Why an index is not removed that is all there is of its records.
fn last_index(index: &IndexDefinition) -> Error {
    let prefix = index.prefix();
    invalid(format!(
        "the index of {index} is the last that holds the records of `{prefix}`, which live only in their indexes: build another \
         one before (`Step::ensure_indexes`), or give them up (`Step::drop_records`)"
    ))
}

/// Counts a conflict; the error if there have been too many.
fn again(conflicts: &mut u32, error: Error) -> Result<(), Error> {
    *conflicts += 1;
    if *conflicts > CONFLICTS_MAX { Err(error) } else { Ok(()) }
}

/// Runs work while something else goes on, which ends it by an error.
async fn beside<T>(
    work: impl Future<Output = Result<T, Error>>,
    other: impl Future<Output = Error>,
) -> Result<T, Error> {
    let (mut work, mut other) = (pin!(work), pin!(other));
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(done) => Poll::Ready(done),
        Poll::Pending => other.as_mut().poll(cx).map(Err),
    })
    .await
}
