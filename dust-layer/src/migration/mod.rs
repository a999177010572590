//! Changes of what is stored: online, resumable, once for each tenant.
//!
//! A migration is a version and a list of commands; a program ships them all, and each tenant remembers which it has been
//! through. Each command goes in small transactions that keep how far it is, under a claim that one process holds. When
//! that process dies, another one goes on where it was.
//!
//! A command goes through the records that are there when it begins, and through no more: what is written later is the
//! writers' care. While others write, its steps are small and leave them half of the time; alone it takes large ones.
//!
//! | what | how |
//! |---|---|
//! | an index is created | it is defined; from then on every write keeps its entries; the records that were there are added batch by batch; then it answers queries |
//! | an index is dropped | nothing uses it any more; its entries are cleared batch by batch; then its definition |
//! | a field is renamed | nothing: its name is not stored. Its number stays |
//! | a field is replaced by one of another number | the program writes both, [`Command::copy_field`], the program reads the new one, [`Command::delete_field`] |

mod claim;
mod pace;
mod progress;
mod run;
mod step;
mod verify;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

pub use verify::{Repair, Verification};

use crate::engine::Engine;
use crate::error::{Error, MigrationError};
use crate::index::{IndexDef, RecordSource};
use crate::table::Table;

/// How long a claim may stand still before another process takes it over.
pub const LEASE: Duration = Duration::from_secs(10);

/// How many records a transaction goes through at most, if it is not said.
const BATCH_RECORDS: usize = 1000;

/// One step of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// Defines an index and builds it. Counters are defined only, and begin at 0.
    CreateIndex {
        /// The collection.
        collection: Box<str>,
        /// The index.
        def: IndexDef,
    },
    /// Clears an index and its definition.
    DropIndex {
        /// The collection.
        collection: Box<str>,
        /// The index.
        index: Box<str>,
    },
    /// Gives each row that has a value in one field the same in another one.
    CopyField {
        /// The table.
        table: Box<str>,
        /// The field that is read, by name.
        from: Box<str>,
        /// The field that is written, by name.
        to: Box<str>,
    },
    /// Clears what rows have under a number that the table no longer knows.
    DeleteField {
        /// The table.
        table: Box<str>,
        /// The number.
        number: u32,
    },
}

impl Command {
    /// See [`Command::CreateIndex`].
    #[must_use]
    pub fn create_index(collection: &str, def: IndexDef) -> Self {
        let collection = collection.into();
        Self::CreateIndex { collection, def }
    }

    /// See [`Command::DropIndex`].
    #[must_use]
    pub fn drop_index(collection: &str, index: &str) -> Self {
        Self::DropIndex {
            collection: collection.into(),
            index: index.into(),
        }
    }

    /// See [`Command::CopyField`].
    #[must_use]
    pub fn copy_field(table: &str, from: &str, to: &str) -> Self {
        Self::CopyField {
            table: table.into(),
            from: from.into(),
            to: to.into(),
        }
    }

    /// See [`Command::DeleteField`].
    #[must_use]
    pub fn delete_field(table: &str, number: u32) -> Self {
        let table = table.into();
        Self::DeleteField { table, number }
    }
}

/// A version and what it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migration {
    version: u64,
    commands: Vec<Command>,
}

impl Migration {
    /// A migration.
    #[must_use]
    pub fn new(version: u64, commands: impl IntoIterator<Item = Command>) -> Self {
        Self {
            version,
            commands: commands.into_iter().collect(),
        }
    }

    /// The version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The commands, in their order.
    #[must_use]
    pub fn commands(&self) -> &[Command] {
        &self.commands
    }
}

/// How far a migration of a tenant is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The tenant's id.
    pub tenant: Box<str>,
    /// The migration.
    pub version: u64,
    /// The command, counted from 0.
    pub command: usize,
    /// How many records, or keys of a dropped index, the command has gone through.
    pub records: u64,
    /// Whether the command is done.
    pub is_done: bool,
}

type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// Brings tenants through migrations.
///
/// It is given what the commands work on: the tables, and the [`RecordSource`] of each collection that is not one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::migration::{Command, Migration, Migrator, Repair};
/// use dust_layer::table::Table;
/// use dust_layer::value::FieldType;
/// use dust_layer::{Layer, Memory};
///
/// let users = Table::new("users").key(1, "id", FieldType::Text).field(2, "name", FieldType::Text).build()?;
/// let migrations = [
///     Migration::new(1, [Command::create_index("users", users.index(["name"])?)]),
///     Migration::new(2, [Command::drop_index("users", "name")]),
/// ];
/// let layer = Layer::new(&Memory::new());
/// let migrator = Migrator::new().table(&users).on_progress(|progress| println!("{progress:?}"));
/// let tenant = migrator.open(&layer, "acme", "reading", &migrations[..1]).await?;
/// let found = migrator.verify(&tenant, "users", "name", Repair::Report).await?;
/// assert!(found.is_sound());
///
/// // All tenants of a storage, four at once.
/// for (id, outcome) in migrator.run_all(&layer, "acme", &migrations, 4.try_into().unwrap()).await? {
///     assert_eq!((&*id, outcome?), ("reading", vec![2]));
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Migrator<E: Engine> {
    tables: BTreeMap<Box<str>, Table>,
    sources: BTreeMap<Box<str>, Arc<dyn RecordSource<E>>>,
    batch_records: usize,
    on_progress: Option<OnProgress>,
}

impl<E: Engine> fmt::Debug for Migrator<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrator")
            .field("tables", &self.tables.keys())
            .field("sources", &self.sources.keys())
            .field("batch_records", &self.batch_records)
            .finish_non_exhaustive()
    }
}

impl<E: Engine> Default for Migrator<E> {
    fn default() -> Self {
        Self {
            tables: BTreeMap::new(),
            sources: BTreeMap::new(),
            batch_records: BATCH_RECORDS,
            on_progress: None,
        }
    }
}

impl<E: Engine> Migrator<E> {
    /// One that knows no collection yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a table known.
    pub fn table(mut self, table: &Table) -> Self {
        self.tables.insert(table.name().into(), table.clone());
        self.source(table.name(), table.clone())
    }

    /// Makes a collection known whose records are not rows.
    pub fn source(mut self, collection: &str, source: impl RecordSource<E> + 'static) -> Self {
        self.sources.insert(collection.into(), Arc::new(source));
        self
    }

    /// Sets how many records one transaction goes through at most, 1000 by default. It takes fewer while others write, and
    /// when it takes long.
    pub fn batch_records(mut self, records: NonZeroUsize) -> Self {
        self.batch_records = records.get();
        self
    }

    /// Is told after each transaction how far it is.
    pub fn on_progress(mut self, on_progress: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(on_progress));
        self
    }

    fn find_table(&self, name: &str) -> Result<&Table, Error> {
        let found = self.tables.get(name);
        Ok(found.ok_or_else(|| MigrationError::UnknownCollection {
            collection: name.into(),
        })?)
    }

    fn find_source(&self, name: &str) -> Result<&dyn RecordSource<E>, Error> {
        let found = self.sources.get(name);
        Ok(&**found.ok_or_else(|| MigrationError::UnknownCollection {
            collection: name.into(),
        })?)
    }
}
