//! Records that live only in their indexes.

use dust_transport::model::Value;
use dust_transport::query::RecordChange;

use super::batch::BatchError;
use super::write::stored_fields;
use super::{Repo, record_path};
use crate::changeset::Changeset;
use crate::error::{Error, ErrorKind, WriteError};
use crate::schema::{IndexOnly, Schema};

impl Repo {
    /// Inserts records that live only in their indexes (`write_primary = false`), all or none.
    ///
    /// A record with the slug and the values of another in an index replaces it; one with the same slug and other values is
    /// another record. So what is sent twice is there once, and a record whose indexed fields change is deleted and inserted.
    ///
    /// # Errors
    /// [`BatchError::Invalid`] with the errors of the first record that is not valid, and nothing is sent. `NotSupported`
    /// where what reaches the store has no such records; `InvalidParams` before [`ensure_indexes`](Self::ensure_indexes), and
    /// for more records than the transport takes at once.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the outcome unknown: all of it is written, or nothing. The same call can be made again.
    ///
    /// # Example
    /// ```
    /// use dust_orm::prelude::*;
    ///
    /// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// #[dust(prefix = "events", write_primary = false, index(day, user, mapped = false))]
    /// struct Event { slug: String, day: String, user: String, kind: String }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// let event = |slug: &str, user: &str| Event {
    ///     slug: slug.into(), day: "2026-11-22".into(), user: user.into(), kind: "login".into(),
    /// };
    /// repo.ensure_indexes::<Event>().await?;
    /// repo.insert_all([event("1", "ada"), event("2", "bo"), event("3", "ada")]).await?;
    /// repo.insert(event("4", "ada")).await?;
    /// repo.delete_records([&event("1", "ada")]).await?;
    ///
    /// let of_ada = repo.query(Event::DAY.eq("2026-11-22")).and(Event::USER.eq("ada"));
    /// assert_eq!(of_ada.all().await?, [event("3", "ada"), event("4", "ada")]);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn insert_all<S: IndexOnly>(
        &self,
        records: impl IntoIterator<Item = impl Into<Changeset<S>>>,
    ) -> Result<(), BatchError> {
        let mut changes = Vec::new();
        for (index, record) in records.into_iter().enumerate() {
            match plan_put(record.into()) {
                Ok((_, change)) => changes.push(change),
                Err(WriteError::Invalid(changeset)) => {
                    return Err(BatchError::Invalid {
                        index,
                        schema: S::NAME,
                        errors: changeset.errors().clone(),
                    });
                }
                Err(WriteError::Dust(error)) => return Err(error.with_item(Some(index)).into()),
            }
        }
        Ok(self.write_changes(changes).await?)
    }

    /// Deletes records that live only in their indexes (`write_primary = false`), all or none. They have to be known whole, as a
    /// query gives them; one that is not there is deleted just as well.
    ///
    /// # Errors
    /// As [`insert_all`](Self::insert_all).
    ///
    /// # Cancel safety
    /// As [`insert_all`](Self::insert_all).
    pub async fn delete_records<'r, S: IndexOnly>(
        &self,
        records: impl IntoIterator<Item = &'r S>,
    ) -> Result<(), Error> {
        let change = |record: &S| {
            let root = record_path::<S>(record.slug())?;
            Ok(RecordChange::delete(root, value_of(&Changeset::whole(record))))
        };
        let changes = records.into_iter().map(change).collect::<Result<_, Error>>()?;
        self.write_changes(changes).await
    }

    async fn write_changes(&self, changes: Vec<RecordChange>) -> Result<(), Error> {
        if changes.is_empty() {
            return Err(Error::new(ErrorKind::NothingToWrite, "there are no records to write"));
        }
        Ok(self.transport().write_records(changes).await?)
    }
}

/// The record that an insert makes, and the change that writes it.
pub(super) fn plan_put<S: Schema>(changeset: Changeset<S>) -> Result<(S, RecordChange), WriteError<S>> {
    let value = value_of(&changeset);
    let record = changeset.apply().map_err(WriteError::Invalid)?;
    let root = record_path::<S>(record.slug())?;
    Ok((record, RecordChange::put(root, value)))
}

/// The fields that a record is stored by.
fn value_of<S: Schema>(changeset: &Changeset<S>) -> Value {
    let fields = changeset.merged();
    let stored = stored_fields::<S>().filter_map(|(index, def)| {
        let value = fields.get(index)?.clone().filter(|value| !value.is_null())?;
        Some((def.wire_name(), value))
    });
    Value::map(stored)
}
