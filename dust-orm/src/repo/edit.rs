//! Changes of records with the fields that changed.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use dust_transport::model::{Seq, Value};
use futures_core::Stream;
use serde::de::DeserializeOwned;

use super::{Change, Subscription};
use crate::codec;
use crate::error::Error;
use crate::field::{Field, ReadAs};
use crate::schema::Schema;

/// A [`Change`], and the fields that it changed.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String, note: Option<String> }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// # use futures_util::StreamExt as _;
/// repo.insert(Link { slug: "dust".into(), title: "Dust".into(), note: None }).await?;
/// let mut edits = repo.subscribe::<Link>().await?.edits();
/// assert_eq!(edits.next().await.transpose()?.unwrap().fields.len(), 1, "there is a title, and no note");
/// assert_eq!(edits.next().await.transpose()?.unwrap().change, Change::Ready);
///
/// let link = repo.fetch::<Link>("dust").await?;
/// repo.update(link.change().put(Link::NOTE, "read")).await?;
/// let edit = edits.next().await.transpose()?.unwrap();
/// assert_eq!(edit.get(Link::NOTE), Some((None, Some("read".to_owned()))));
/// assert_eq!(edit.get::<_, String>(Link::TITLE), None, "the title is as it was");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Edit<S> {
    /// What happened.
    pub change: Change<S>,
    /// The fields that are not as this stream told them last, in the order of the schema; empty for what is no change of one
    /// record, and for a record that was written again as it was. Of a record that was not told before, it is all that are there.
    pub fields: Vec<FieldEdit>,
}

/// A field that changed.
///
/// ```
/// use dust_orm::{FieldEdit, Value};
///
/// let edit = FieldEdit { field: "clicks", old: Some(Value::from(1)), new: Some(Value::from(2)) };
/// assert_ne!(edit.old, edit.new);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FieldEdit {
    /// Serde's name of the field.
    pub field: &'static str,
    /// What it was; `None` if it was absent, or the record was not known.
    pub old: Option<Value>,
    /// What it is; `None` if it is absent, or the record is gone.
    pub new: Option<Value>,
}

impl<S: Schema> Edit<S> {
    /// What a field was and what it is, typed; `None` if it did not change. A field that is an `Option<T>` is read as a `T`.
    #[must_use]
    pub fn get<T, V: DeserializeOwned>(&self, field: Field<S, T>) -> Option<(Option<V>, Option<V>)>
    where
        Field<S, T>: ReadAs<V>,
    {
        let found = self.fields.iter().find(|found| found.field == field.name())?;
        let decode = |value: &Option<Value>| value.as_ref().and_then(|value| codec::decode(value).ok());
        Some((decode(&found.old), decode(&found.new)))
    }
}

/// A stream of [`Edit`]s; see [`Subscription::edits`]. An `Err` item is its last. Dropping it unsubscribes.
#[must_use = "streams do nothing unless polled"]
pub struct Edits<S> {
    changes: Subscription<S>,
    /// Each record as it was told last: its fields by index.
    told: HashMap<String, Vec<Option<Value>>>,
}

impl<S: Schema> Subscription<S> {
    /// The same changes, each with the fields that it changed: what they were and what they are.
    ///
    /// What a field was is what this stream told before. So a subscription that begins with the records knows it of every record,
    /// and one with [`changes_only`](super::SubscribeRecords::changes_only) or [`after`](super::SubscribeRecords::after) a cursor only
    /// from the first change of a record on. It holds the fields of all records that it has told, until they are deleted.
    pub fn edits(self) -> Edits<S> {
        Edits {
            changes: self,
            told: HashMap::new(),
        }
    }
}

impl<S> Edits<S> {
    /// As [`Subscription::cursor`].
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.changes.cursor()
    }
}

impl<S: Schema> Edits<S> {
    fn edit(&mut self, change: Change<S>) -> Edit<S> {
        let fields = match &change {
            Change::Upserted(record) => {
                let (new, _) = codec::dump(record);
                let slug = new.get(S::SLUG_INDEX).and_then(Option::as_ref).and_then(Value::str);
                let slug = slug.unwrap_or_default().into_owned();
                let old = self.told.insert(slug, new.clone()).unwrap_or_default();
                differences::<S>(&old, &new)
            }
            Change::Deleted(slug) => differences::<S>(&self.told.remove(slug).unwrap_or_default(), &[]),
            Change::Ready | Change::Resync(_) => Vec::new(),
        };
        Edit { change, fields }
    }
}

/// The stored fields, but for the slug, that two states of a record do not share. A null is as good as nothing.
fn differences<S: Schema>(old: &[Option<Value>], new: &[Option<Value>]) -> Vec<FieldEdit> {
    let present = |fields: &[Option<Value>], index: usize| {
        let value = fields.get(index).cloned().flatten();
        value.filter(|value| !value.is_null())
    };
    let fields = S::FIELDS.iter().enumerate();
    fields
        .filter(|(index, def)| def.is_stored() && *index != S::SLUG_INDEX)
        .map(|(index, def)| FieldEdit {
            field: def.serde_name(),
            old: present(old, index),
            new: present(new, index),
        })
        .filter(|edit| edit.old != edit.new)
        .collect()
}

impl<S: Schema> Stream for Edits<S> {
    type Item = Result<Edit<S>, Error>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let change = ready!(Pin::new(&mut this.changes).poll_next(context));
        Poll::Ready(change.map(|change| change.map(|change| this.edit(change))))
    }
}

impl<S> fmt::Debug for Edits<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edits")
            .field("cursor", &self.cursor())
            .field("told", &self.told.len())
            .finish_non_exhaustive()
    }
}
