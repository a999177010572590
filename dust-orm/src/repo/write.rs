use std::future::IntoFuture;
use std::marker::PhantomData;

use dust_transport::model::{Action, Batch as Ops, Op, OpId, Path, Precondition, Seq, Value, decode_segment};
use futures_core::future::BoxFuture;

use super::only::plan_put;
use super::{Repo, prefix, record_path};
use crate::changeset::{Changeset, Errors, FieldChange, FieldError};
use crate::error::{Error, ErrorKind, WriteError};
use crate::schema::{FieldDef, Primary, Schema, Storage};
use crate::version::{Conflict, Expected, Versioned};

impl Repo {
    /// Inserts a record: a changeset of a new one, or a record that the program made itself.
    ///
    /// As everywhere in Dust, an insert is an upsert: in flat storage it writes the fields that are present and leaves
    /// the others as they are, in map storage it replaces the record. [`Insert::if_absent`] makes it fail instead.
    ///
    /// A value that another record has in a unique index is an error of the field, as what a validation finds:
    /// [`WriteError::Invalid`] with the code `unique` on the first field of the index.
    ///
    /// # Examples
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// // What the program made itself:
    /// repo.insert(link("dust")).await?;
    /// // What came from outside:
    /// let form = [("slug", "rust"), ("title", "Rust")];
    /// let rust = repo.insert(Link::changeset(&form)).await?;
    /// assert_eq!(rust.title, "Rust");
    /// # Ok(())
    /// # }
    /// ```
    pub fn insert<S: Schema>(&self, record: impl Into<Changeset<S>>) -> Insert<'_, S> {
        Insert {
            repo: self,
            changeset: record.into(),
            options: Options::default(),
        }
    }

    /// Updates a record by a changeset of it; [`Update::if_match`] makes it a compare-and-swap.
    ///
    /// In flat storage it writes what changed, and null where a field was cleared; in map storage it replaces the
    /// record. Nothing changed is `Ok` without I/O.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// repo.insert(link("dust")).await?;
    /// let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
    /// let edit = found.change().put(Link::TITLE, "Dust");
    /// let updated = repo.update(edit).if_match(found.version()).await?;
    /// assert_eq!(updated.title, "Dust");
    /// # Ok(())
    /// # }
    /// ```
    pub fn update<S: Primary>(&self, changeset: Changeset<S>) -> Update<'_, S> {
        Update {
            repo: self,
            changeset,
            options: Options::default(),
        }
    }

    /// Deletes a record, by slug or by the record; one that is not there is deleted just as well.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// repo.batch_write(Batch::new().insert(link("a")).insert(link("b"))).await?;
    /// repo.delete::<Link>("a").await?;
    /// repo.delete(&link("b")).await?;
    /// assert_eq!(repo.all::<Link>().await?, []);
    /// # Ok(())
    /// # }
    /// ```
    pub fn delete<S: Primary>(&self, record: impl SlugOf<S>) -> Delete<'_, S> {
        Delete {
            repo: self,
            slug: record.into_slug(),
            options: Options::default(),
            schema: PhantomData,
        }
    }

    /// Deletes every record of a schema, and whatever else lies under its prefix, in one op.
    ///
    /// # Errors
    /// What the store fails with.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// repo.batch_write(Batch::new().insert(link("a")).insert(link("b"))).await?;
    /// repo.delete_all::<Link>().await?;
    /// assert_eq!(repo.all::<Link>().await?, []);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn delete_all<S: Primary>(&self) -> Result<Seq, Error> {
        self.commit(vec![Op::delete(prefix::<S>()?)], None).await
    }

    /// Commits ops; the store's sequence number after the last.
    pub(super) async fn commit(&self, ops: Vec<Op>, id: Option<OpId>) -> Result<Seq, Error> {
        let mut batch = Ops::new(ops);
        batch.id = id;
        let written = self.transport().write(batch).await?;
        Ok(written.seqs.last().copied().unwrap_or_default())
    }

    /// Base, mine and theirs of a change that met a conflict. The record is read anew, so theirs is at least as new as
    /// what stood in the way. Where it cannot be read, the conflict stays without them.
    async fn explain_conflict<S: Schema>(&self, error: Error, changeset: &Changeset<S>) -> Error {
        let Some(slug) = changeset.slug().filter(|_| error.is_conflict()) else {
            return error;
        };
        let Ok(stored) = self.stored::<S>(&slug).await else {
            return error;
        };
        let theirs = stored.map(|stored| (stored.leaves.into_fields(), stored.version));
        let theirs = theirs
            .as_ref()
            .map(|(fields, version)| (fields.as_slice(), version.clone()));
        error.with_conflict(Conflict::of(changeset, theirs))
    }
}

/// What a record is deleted by: its slug, or itself.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// repo.insert(link("dust")).await?;
/// let found = repo.get_versioned::<Link>("dust").await?.expect("just written");
/// repo.delete(&found).if_match(found.version()).await?;
/// # Ok(())
/// # }
/// ```
pub trait SlugOf<S> {
    /// The slug.
    fn into_slug(self) -> String;
}

impl<S: Schema> SlugOf<S> for &str {
    fn into_slug(self) -> String {
        self.to_owned()
    }
}

impl<S: Schema> SlugOf<S> for String {
    fn into_slug(self) -> String {
        self
    }
}

impl<S: Schema> SlugOf<S> for &String {
    fn into_slug(self) -> String {
        self.clone()
    }
}

impl<S: Schema> SlugOf<S> for &S {
    fn into_slug(self) -> String {
        self.slug().to_owned()
    }
}

impl<S: Schema> SlugOf<S> for &Versioned<S> {
    fn into_slug(self) -> String {
        self.slug().to_owned()
    }
}

/// On what condition, and under which id, a write is sent.
#[derive(Debug, Clone, Default)]
struct Options {
    expected: Option<Expected>,
    id: Option<OpId>,
}

/// An insert, sent when awaited.
///
/// # Cancel safety
/// Dropping the future leaves the outcome unknown; with an op id the same call can be made again.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// repo.insert(link("dust")).if_absent().await?;
/// let again = repo.insert(link("dust")).if_absent().await.unwrap_err();
/// assert!(again.is_conflict());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an insert is sent when it is awaited"]
pub struct Insert<'a, S: Schema> {
    repo: &'a Repo,
    changeset: Changeset<S>,
    options: Options,
}

impl<S: Primary> Insert<'_, S> {
    /// Fails with a conflict where anything is stored under the slug already.
    pub fn if_absent(mut self) -> Self {
        self.options.expected = Some(Expected::absent());
        self
    }

    /// Makes a repetition harmless: the store commits an op id once per device.
    pub fn op_id(mut self, id: OpId) -> Self {
        self.options.id = Some(id);
        self
    }

    /// The ops that would be sent, without sending them.
    ///
    /// # Errors
    /// As the insert itself, as far as that is known before it is sent.
    pub fn plan(self) -> Result<Vec<Op>, WriteError<S>> {
        Ok(plan_insert(self.changeset, self.options.expected.as_ref())?.1)
    }
}

impl<'a, S: Schema> IntoFuture for Insert<'a, S> {
    type Output = Result<S, WriteError<S>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            if !S::WRITE_PRIMARY {
                let (record, change) = plan_put(self.changeset)?;
                self.repo
                    .transport()
                    .write_records(vec![change])
                    .await
                    .map_err(Error::from)?;
                return Ok(record);
            }
            let changeset = self.changeset.clone();
            let (record, ops) = plan_insert(self.changeset, self.options.expected.as_ref())?;
            match self.repo.commit(ops, self.options.id).await {
                Ok(_) => Ok(record),
                Err(error) => Err(refused(changeset, error)),
            }
        })
    }
}

/// An update, sent when awaited.
///
/// # Cancel safety
/// Dropping the future leaves the outcome unknown; with an op id the same call can be made again.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # repo.insert(link("dust")).await?;
/// let edit = link("dust").change().put(Link::TITLE, "Dust");
/// let plan = repo.update(edit.clone()).plan()?;
/// assert_eq!(plan[0].path.as_str(), "links/dust/title");
/// repo.update(edit).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "an update is sent when it is awaited"]
pub struct Update<'a, S: Schema> {
    repo: &'a Repo,
    changeset: Changeset<S>,
    options: Options,
}

impl<S: Schema> Update<'_, S> {
    /// Fails with a conflict unless the record is as it was read: a [`Version`](crate::Version), or its revision.
    pub fn if_match(mut self, expected: impl Into<Expected>) -> Self {
        self.options.expected = Some(expected.into());
        self
    }

    /// Makes a repetition harmless: the store commits an op id once per device.
    pub fn op_id(mut self, id: OpId) -> Self {
        self.options.id = Some(id);
        self
    }

    /// The ops that would be sent, without sending them; none where nothing changed.
    ///
    /// # Errors
    /// As the update itself, as far as that is known before it is sent.
    pub fn plan(self) -> Result<Vec<Op>, WriteError<S>> {
        Ok(plan_update(self.changeset, self.options.expected.as_ref())?.1)
    }
}

impl<'a, S: Schema> IntoFuture for Update<'a, S> {
    type Output = Result<S, WriteError<S>>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let changeset = self.changeset.clone();
            let (record, ops) = plan_update(self.changeset, self.options.expected.as_ref())?;
            if ops.is_empty() {
                return Ok(record);
            }
            match self.repo.commit(ops, self.options.id).await {
                Ok(_) => Ok(record),
                Err(error) if taken::<S>(&error).is_some() => Err(refused(changeset, error)),
                Err(error) => Err(self.repo.explain_conflict(error, &changeset).await.into()),
            }
        })
    }
}

/// A delete, sent when awaited.
///
/// # Cancel safety
/// Dropping the future leaves the outcome unknown; with an op id the same call can be made again.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// repo.insert(link("dust")).await?;
/// let stale = repo.delete::<Link>("dust").if_match(7).await.unwrap_err();
/// assert!(stale.is_conflict());
/// repo.delete::<Link>("dust").if_match(1).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a delete is sent when it is awaited"]
pub struct Delete<'a, S> {
    repo: &'a Repo,
    slug: String,
    options: Options,
    schema: PhantomData<fn() -> S>,
}

impl<S: Schema> Delete<'_, S> {
    /// Fails with a conflict unless the record is as it was read: a [`Version`](crate::Version), or its revision.
    pub fn if_match(mut self, expected: impl Into<Expected>) -> Self {
        self.options.expected = Some(expected.into());
        self
    }

    /// Makes a repetition harmless: the store commits an op id once per device.
    pub fn op_id(mut self, id: OpId) -> Self {
        self.options.id = Some(id);
        self
    }
}

impl<'a, S: Schema> IntoFuture for Delete<'a, S> {
    type Output = Result<Seq, Error>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let op = plan_delete::<S>(&self.slug, self.options.expected.as_ref())?;
            self.repo.commit(vec![op], self.options.id).await
        })
    }
}

/// The error on the field whose value another record has, if that is what the store refuses a write for: by the leaf of the
/// other record that it names.
pub(super) fn taken<S: Schema>(error: &Error) -> Option<FieldError> {
    let error = error.transport().filter(|error| error.code() == "not_unique")?;
    let leaf = error.conflict().map(|at| &at.path);
    let field = leaf.and_then(|leaf| {
        let below = leaf.strip_prefix(&prefix::<S>().ok()?)?;
        let (_slug, field) = below.split_once('/')?;
        let name = decode_segment(field.split('/').next()?);
        S::FIELDS.iter().find(|def| def.is_stored() && def.wire_name() == name)
    });
    Some(FieldError::unique(field.map_or(Errors::RECORD, FieldDef::serde_name)))
}

/// Why a changeset is not written: a value that another record has is an error of the field.
fn refused<S: Schema>(changeset: Changeset<S>, error: Error) -> WriteError<S> {
    match taken::<S>(&error) {
        Some(taken) => WriteError::Invalid(Box::new(changeset.refused(taken))),
        None => error.into(),
    }
}

/// The record that an insert makes, and the ops that write it.
pub(super) fn plan_insert<S: Schema>(
    changeset: Changeset<S>,
    expected: Option<&Expected>,
) -> Result<(S, Vec<Op>), WriteError<S>> {
    let fields = changeset.merged();
    let record = changeset.apply().map_err(WriteError::Invalid)?;
    let root = record_path::<S>(record.slug())?;
    let stored = stored_fields::<S>().filter_map(|(index, def)| {
        let value = fields.get(index)?.clone().filter(|value| !value.is_null())?;
        Some((def, Some(value)))
    });
    let ops = plan_fields::<S>(&root, stored.collect(), expected)?;
    if ops.is_empty() {
        return Err(Error::new(
            ErrorKind::NothingToWrite,
            format!("the {} `{}` has no field but its slug", S::NAME, record.slug()),
        )
        .into());
    }
    Ok((record, ops))
}

/// The record that an update makes, and the ops that write it: none where nothing changed.
pub(super) fn plan_update<S: Schema>(
    changeset: Changeset<S>,
    expected: Option<&Expected>,
) -> Result<(S, Vec<Op>), WriteError<S>> {
    let fields = changeset.merged();
    let changes = changeset.change_list().to_vec();
    let record = changeset.apply().map_err(WriteError::Invalid)?;
    let root = record_path::<S>(record.slug())?;
    let is_changed = |index: usize| changes.get(index).is_some_and(|change| *change != FieldChange::Kept);
    if !stored_fields::<S>().any(|(index, _)| is_changed(index)) {
        return Ok((record, Vec::new()));
    }
    let stored = stored_fields::<S>().filter_map(|(index, def)| {
        let value = fields.get(index)?.clone().filter(|value| !value.is_null());
        match S::STORAGE {
            Storage::Flat => is_changed(index).then_some((def, value)),
            Storage::Map => value.map(|value| (def, Some(value))),
        }
    });
    let ops = plan_fields::<S>(&root, stored.collect(), expected)?;
    if ops.is_empty() {
        return Err(Error::new(
            ErrorKind::NothingToWrite,
            format!("the {} `{}` would have no field but its slug", S::NAME, record.slug()),
        )
        .into());
    }
    Ok((record, ops))
}

/// The op that deletes a record.
pub(super) fn plan_delete<S: Schema>(slug: &str, expected: Option<&Expected>) -> Result<Op, Error> {
    let root = record_path::<S>(slug)?;
    let precondition = precondition(expected, &root)?;
    Ok(Op {
        path: root,
        action: Action::Delete,
        precondition,
        fence: None,
    })
}

/// The fields that are leaves of a record: all but the slug and the virtual ones.
pub(super) fn stored_fields<S: Schema>() -> impl Iterator<Item = (usize, &'static FieldDef)> {
    S::FIELDS
        .iter()
        .enumerate()
        .filter(|(index, def)| def.is_stored() && *index != S::SLUG_INDEX)
}

/// The ops that write fields. What is expected of the record stands on the first op: the batch is committed whole or
/// not at all, and nothing of it has been applied yet when the first is evaluated.
fn plan_fields<S: Schema>(
    root: &Path,
    fields: Vec<(&'static FieldDef, Option<Value>)>,
    expected: Option<&Expected>,
) -> Result<Vec<Op>, Error> {
    let mut ops = match S::STORAGE {
        Storage::Flat => fields
            .into_iter()
            .map(|(def, value)| set_field(root, def, value))
            .collect::<Result<Vec<_>, _>>()?,
        Storage::Map if fields.is_empty() => Vec::new(),
        Storage::Map => {
            let map = fields
                .iter()
                .filter_map(|(def, value)| Some((def.wire_name(), value.clone()?)));
            vec![Op::set(root.clone(), Value::map(map))]
        }
    };
    if let Some(first) = ops.first_mut() {
        first.precondition = precondition(expected, root)?;
    }
    Ok(ops)
}

fn set_field(root: &Path, def: &FieldDef, value: Option<Value>) -> Result<Op, Error> {
    let path = root.child(def.wire_name()).map_err(|error| {
        Error::new(
            ErrorKind::InvalidParams,
            format!("the field `{}` has no path: {error}", def.name()),
        )
    })?;
    Ok(Op::set(path, value.unwrap_or_else(Value::null)))
}

fn precondition(expected: Option<&Expected>, root: &Path) -> Result<Precondition, Error> {
    expected.map_or(Ok(Precondition::None), |expected| expected.precondition(root))
}
