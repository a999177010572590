//! Changes of what is stored: versioned, once per store, while the programs go on.
//!
//! A program ships the list of all its migrations, and each store remembers which it has been through. It remembers that in leaves
//! of its own, below `_dust:migrations`, where no schema has its records: `_dust:migrations/versions/V` says how far the version `V`
//! is, and `_dust:migrations/claim` who is at work. A step goes in batches; each of them moves the cursor and lets the claim beat, under
//! the condition that the claim is still the one that was read. So whoever is taken over writes nothing more, and whoever takes over
//! goes on where the cursor is.
//!
//! The claim has no time in it, and is no lease of the store: not every transport has those. Who waits looks at its own clock.

mod claim;
mod field;
mod history;
mod run;

use std::fmt;
use std::future::IntoFuture;
use std::sync::Arc;
use std::time::Duration;

use dust_transport::model::Path;
use dust_transport::query::IndexDefinition;
use futures_core::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::index::Indexed;
use crate::repo::Repo;
use crate::schema::{FieldDef, Schema};

/// The first segment of all that migrations keep in a store.
const RESERVED: &str = "_dust:migrations";

/// A version, its name, and what it does; for [`Repo::migrate`].
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "users", index(full_name))]
/// # struct User { slug: String, full_name: Option<String> }
/// use dust_orm::{Migration, Step};
///
/// const MIGRATIONS: &[Migration] = &[
///     Migration::new(1, "names are whole", &[Step::rename_field::<User>("name", "full_name")]),
///     Migration::new(2, "find users by name", &[Step::ensure_indexes::<User>()]),
/// ];
/// assert_eq!((MIGRATIONS[1].version(), MIGRATIONS[1].name()), (2, "find users by name"));
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    version: u64,
    name: &'static str,
    steps: &'static [Step],
}

impl Migration {
    /// A migration. Its version orders it among the others; its name and its steps are recorded with it, and may not change once a
    /// store has seen them.
    #[must_use]
    pub const fn new(version: u64, name: &'static str, steps: &'static [Step]) -> Self {
        Self { version, name, steps }
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The steps, as they are recorded.
    fn text(&self) -> String {
        let steps: Vec<_> = self.steps.iter().map(Step::to_string).collect();
        steps.join("; ")
    }
}

/// What a step of the program's own does.
type Custom = fn(Repo) -> BoxFuture<'static, Result<(), Error>>;

/// One step of a [`Migration`].
///
/// The steps on fields work on the records of a schema as they lie in the store, in both storages. They change a record under the
/// condition that it is as it was read, so that what others write at the same time stays. Records that are written later, by
/// programs that do not know of the change yet, are not seen again: let programs write both fields first, copy, let them read the new
/// one, and then delete the old one.
#[derive(Clone, Copy)]
pub struct Step(Kind);

#[derive(Clone, Copy)]
enum Kind {
    EnsureIndexes {
        prefix: &'static [&'static str],
        definitions: fn() -> Result<Vec<IndexDefinition>, Error>,
    },
    DropIndex {
        prefix: &'static [&'static str],
        fields: &'static [&'static str],
    },
    DropRecords {
        prefix: &'static [&'static str],
    },
    CopyField {
        records: Records,
        from: &'static str,
        to: &'static str,
    },
    RenameField {
        records: Records,
        from: &'static str,
        to: &'static str,
    },
    DeleteField {
        records: Records,
        field: &'static str,
    },
    Custom {
        name: &'static str,
        run: Custom,
    },
}

/// The records of a schema, whatever its type.
#[derive(Clone, Copy)]
struct Records {
    prefix: &'static [&'static str],
    fields: &'static [FieldDef],
}

impl Records {
    const fn of<S: Schema>() -> Self {
        Self {
            prefix: S::PREFIX,
            fields: S::FIELDS,
        }
    }
}

fn definitions<S: Indexed>() -> Result<Vec<IndexDefinition>, Error> {
    S::INDEXES.iter().map(|index| index.definition::<S>()).collect()
}

impl Step {
    /// Defines the indexes that the schema has by now, and builds them.
    #[must_use]
    pub const fn ensure_indexes<S: Indexed>() -> Self {
        Self(Kind::EnsureIndexes {
            prefix: S::PREFIX,
            definitions: definitions::<S>,
        })
    }

    /// Removes the index of these fields, by their names in the store, if it is there; for one that the schema no longer has.
    ///
    /// Refused where it is the last that holds records which live only in their indexes (`write_primary = false`): they would be
    /// gone. Build another one before, by [`ensure_indexes`](Self::ensure_indexes), or give them up by
    /// [`drop_records`](Self::drop_records).
    #[must_use]
    pub const fn drop_index<S: Schema>(fields: &'static [&'static str]) -> Self {
        Self(Kind::DropIndex {
            prefix: S::PREFIX,
            fields,
        })
    }

    /// Removes all records below the prefix of a schema that live only in their indexes (`write_primary = false`), and these indexes.
    /// Records that are leaves stay, and so do their indexes.
    ///
    /// # Example
    /// Records that lived only in their index become leaves. The type of before has another name by now.
    /// ```
    /// use dust_orm::prelude::*;
    /// use dust_orm::{Migration, Step};
    ///
    /// # mod before {
    /// # use dust_orm::prelude::*;
    /// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// #[dust(prefix = "events", write_primary = false, index(day, mapped = false))]
    /// pub struct OldEvent { pub slug: String, pub day: String }
    /// # }
    /// # use before::OldEvent;
    ///
    /// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// #[dust(prefix = "events", index(day))]
    /// struct Event { slug: String, day: String }
    ///
    /// async fn copy(repo: Repo) -> Result<(), dust_orm::Error> {
    ///     for OldEvent { slug, day } in repo.query(OldEvent::DAY.ge("")).all().await? {
    ///         repo.insert(Event { slug, day }).await.map_err(|error| match error {
    ///             WriteError::Dust(error) => error,
    ///             WriteError::Invalid(_) => unreachable!("an event has no rules"),
    ///         })?;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// const MIGRATIONS: &[Migration] = &[Migration::new(
    ///     1,
    ///     "events are leaves",
    ///     &[
    ///         Step::custom("copy", |repo| Box::pin(copy(repo))),
    ///         Step::drop_records::<OldEvent>(),
    ///         Step::ensure_indexes::<Event>(),
    ///     ],
    /// )];
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let repo = Repo::memory();
    /// repo.ensure_indexes::<OldEvent>().await?;
    /// repo.insert(OldEvent { slug: "1".into(), day: "2026-11-22".into() }).await?;
    ///
    /// assert_eq!(repo.migrate(MIGRATIONS).await?, [1]);
    /// assert!(repo.exists::<Event>("1").await?);
    /// assert_eq!(repo.query(Event::DAY.eq("2026-11-22")).all().await?.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn drop_records<S: Schema>() -> Self {
        Self(Kind::DropRecords { prefix: S::PREFIX })
    }

    /// Gives each record that has a value in one field the same in another one, unless it has that one already. Fields go by their
    /// names in the store.
    #[must_use]
    pub const fn copy_field<S: Schema>(from: &'static str, to: &'static str) -> Self {
        let records = Records::of::<S>();
        Self(Kind::CopyField { records, from, to })
    }

    /// The same, and takes the first field away. Refused where it would take away one that the schema still has, or an index uses.
    #[must_use]
    pub const fn rename_field<S: Schema>(from: &'static str, to: &'static str) -> Self {
        let records = Records::of::<S>();
        Self(Kind::RenameField { records, from, to })
    }

    /// Takes a field away from each record. Refused where it would take away one that the schema still has, or an index uses.
    #[must_use]
    pub const fn delete_field<S: Schema>(field: &'static str) -> Self {
        let records = Records::of::<S>();
        Self(Kind::DeleteField { records, field })
    }

    /// Something of the program's own, under a name. It may be run again, from its beginning, after it was interrupted; and it is
    /// dropped where it stands if another process takes over.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// use dust_orm::{Migration, Step};
    ///
    /// const MIGRATIONS: &[Migration] = &[Migration::new(
    ///     1,
    ///     "a link to begin with",
    ///     &[Step::custom("insert", |repo| {
    ///         Box::pin(async move {
    ///             let link = Link { slug: "dust".into(), title: "Dust".into() };
    ///             repo.insert(link).await.map(drop).map_err(|error| match error {
    ///                 WriteError::Dust(error) => error,
    ///                 WriteError::Invalid(_) => unreachable!("a link without rules is valid"),
    ///             })
    ///         })
    ///     })],
    /// )];
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let repo = Repo::memory();
    /// assert_eq!(repo.migrate(MIGRATIONS).await?, [1]);
    /// assert!(repo.exists::<Link>("dust").await?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn custom(name: &'static str, run: Custom) -> Self {
        Self(Kind::Custom { name, run })
    }
}

/// As it is recorded: what it does, and nothing that may change with the program.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::EnsureIndexes { prefix, .. } => write!(f, "ensure_indexes {}", prefix.join("/")),
            Kind::DropIndex { prefix, fields } => write!(f, "drop_index {} {}", prefix.join("/"), fields.join(",")),
            Kind::DropRecords { prefix } => write!(f, "drop_records {}", prefix.join("/")),
            Kind::CopyField { records, from, to } => {
                write!(f, "copy_field {} {from} {to}", records.prefix.join("/"))
            }
            Kind::RenameField { records, from, to } => {
                write!(f, "rename_field {} {from} {to}", records.prefix.join("/"))
            }
            Kind::DeleteField { records, field } => write!(f, "delete_field {} {field}", records.prefix.join("/")),
            Kind::Custom { name, .. } => write!(f, "custom {name}"),
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Step({self})")
    }
}

/// How far a migration is.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use dust_orm::{Migration, Step};
///
/// const MIGRATIONS: &[Migration] = &[Migration::new(7, "no notes", &[Step::delete_field::<Link>("note")])];
/// let told = std::sync::Mutex::new(Vec::new());
/// let repo = Repo::memory();
/// repo.migrate(MIGRATIONS).on_progress(|progress| told.lock().unwrap().push(progress.clone())).await?;
/// let last = told.lock().unwrap().pop().expect("at least the end");
/// assert_eq!((last.version, last.is_done), (7, true));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The version.
    pub version: u64,
    /// The step that is under way, counted from 0.
    pub step: usize,
    /// How many records the step has gone through.
    pub records: u64,
    /// Whether all steps of the version are done.
    pub is_done: bool,
}

type Sleep = Arc<dyn Fn(Duration) -> BoxFuture<'static, ()> + Send + Sync>;
type OnProgress<'a> = Box<dyn Fn(&Progress) + Send + Sync + 'a>;

/// Migrations to be run; see [`Repo::migrate`], and [`Progress`] for an example.
#[must_use = "migrations run when this is awaited"]
pub struct Migrate<'a> {
    repo: &'a Repo,
    migrations: &'a [Migration],
    batch_records: usize,
    lease: Duration,
    sleep: Sleep,
    on_progress: Option<OnProgress<'a>>,
}

impl<'a> Migrate<'a> {
    /// How many records a batch goes through at most, if it is not said.
    pub const BATCH_RECORDS: usize = 100;

    /// How long a claim may stand still before somebody else takes it over, if it is not said.
    pub const LEASE: Duration = Duration::from_secs(10);

    /// Sets how many records one batch goes through at most. It takes fewer where writers get in its way.
    pub fn batch_records(mut self, records: usize) -> Self {
        self.batch_records = records.max(1);
        self
    }

    /// Sets how long the claim of somebody else may stand still before it is taken over. All who migrate a store should agree.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Is told after each batch how far it is.
    pub fn on_progress(mut self, on_progress: impl Fn(&Progress) + Send + Sync + 'a) -> Self {
        self.on_progress = Some(Box::new(on_progress));
        self
    }

    /// Waits by this in place of tokio's time, so that tests need not.
    pub fn sleep<F>(mut self, sleep: impl Fn(Duration) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.sleep = Arc::new(move |wait| Box::pin(sleep(wait)));
        self
    }
}

impl fmt::Debug for Migrate<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migrate")
            .field("repo", self.repo)
            .field("migrations", &self.migrations)
            .field("batch_records", &self.batch_records)
            .field("lease", &self.lease)
            .finish_non_exhaustive()
    }
}

impl<'a> IntoFuture for Migrate<'a> {
    type Output = Result<Vec<u64>, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(run::run(self))
    }
}

impl Repo {
    /// Brings the store through the migrations of a list that it has not been through yet, in their order, and gives the versions
    /// that this call has completed.
    ///
    /// It works on every store. Others read and write meanwhile. Where two migrate at once, one works and the other waits until that
    /// is done; or goes on in its place, once its claim has stood still for a [`lease`](Migrate::lease), since the process is gone.
    /// A migration that was interrupted goes on at its cursor. What migrations keep lies below `_dust:migrations` in the store
    /// itself.
    ///
    /// # Errors
    /// `InvalidParams` for versions that do not ascend, for a version that the store has and the list has not, or has under another
    /// name or with other steps; for a step that would delete a field which the schema still has, or an index uses, or the last
    /// index of records that live only in their indexes. `Conflict` if
    /// another process has taken over. `NotSupported` for steps on indexes where the store has none, and for those that copy fields
    /// where it does not compare whole records, which the hosted service does not. Otherwise what the store fails with; what is done
    /// stays done, and the next call goes on from there.
    ///
    /// # Panics
    /// Outside a tokio runtime with time, where it has to wait and [`sleep`](Migrate::sleep) is not given.
    ///
    /// # Cancel safety
    /// Dropping the future is as if the process had ended: the next call goes on, once the claim that is left has stood still for
    /// long enough.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "users", index(full_name))]
    /// # struct User { slug: String, full_name: Option<String> }
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "users")]
    /// # struct OldUser { slug: String, name: String }
    /// use dust_orm::{Migration, Step};
    ///
    /// const MIGRATIONS: &[Migration] = &[
    ///     Migration::new(1, "names are whole", &[Step::rename_field::<User>("name", "full_name")]),
    ///     Migration::new(2, "find users by name", &[Step::ensure_indexes::<User>()]),
    /// ];
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let repo = Repo::memory();
    /// repo.insert(OldUser { slug: "ada".into(), name: "Ada Lovelace".into() }).await?;
    ///
    /// assert_eq!(repo.migrate(MIGRATIONS).await?, [1, 2]);
    /// assert!(repo.migrate(MIGRATIONS).await?.is_empty());
    /// let found = repo.query(User::FULL_NAME.eq(Some("Ada Lovelace".to_owned()))).all().await?;
    /// assert_eq!(found.len(), 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn migrate<'a>(&'a self, migrations: &'a [Migration]) -> Migrate<'a> {
        Migrate {
            repo: self,
            migrations,
            batch_records: Migrate::BATCH_RECORDS,
            lease: Migrate::LEASE,
            sleep: Arc::new(|wait| Box::pin(tokio::time::sleep_until(tokio::time::Instant::now() + wait))),
            on_progress: None,
        }
    }
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidParams, message)
}

/// A path of what migrations keep, or of a schema.
fn path_of<'s>(segments: impl IntoIterator<Item = &'s str>) -> Result<Path, Error> {
    Path::new(segments).map_err(|error| invalid(format!("a name is no path segment: {error}")))
}
