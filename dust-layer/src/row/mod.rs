//! Rows: numbered values under a primary key.

pub(crate) mod codec;
mod read;
pub(crate) mod record;
pub(crate) mod stored;
mod write;

pub(crate) use record::RowRecord;
pub use write::{OnConflict, Written};

use crate::value::{FieldValue, NULL};

/// The values of one row by the numbers of their fields.
///
/// A null field and an absent one are the same. Besides the fields that its [`Table`](crate::table::Table) knows, a row
/// that was read holds what was stored under other numbers, and keeps it when it is written back.
///
/// ```
/// use dust_layer::row::Row;
/// use dust_layer::value::FieldValue;
///
/// let mut row = Row::default();
/// row.set(2, "Ada");
/// row.set(3, 36);
/// row.set(3, FieldValue::Null);
/// assert_eq!(row.fields().collect::<Vec<_>>(), [(2, &FieldValue::from("Ada"))]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// In the order of the numbers, without nulls.
    fields: Vec<(u32, FieldValue)>,
    /// The bytes of fields that the table does not know, in the order of the numbers.
    unknown: Vec<(u32, Box<[u8]>)>,
}

impl Row {
    /// The value of a field; null if it has none.
    #[must_use]
    pub fn get(&self, number: u32) -> &FieldValue {
        let found = self.fields.binary_search_by_key(&number, |(number, _)| *number);
        found
            .ok()
            .and_then(|index| self.fields.get(index))
            .map_or(&NULL, |(_, value)| value)
    }

    /// Gives a field a value; null takes it away.
    pub fn set(&mut self, number: u32, value: impl Into<FieldValue>) {
        let value = value.into();
        match (
            self.fields.binary_search_by_key(&number, |(number, _)| *number),
            value.is_null(),
        ) {
            (Ok(index), true) => drop(self.fields.remove(index)),
            (Ok(index), false) => {
                if let Some((_, old)) = self.fields.get_mut(index) {
                    *old = value;
                }
            }
            (Err(_), true) => {}
            (Err(index), false) => self.fields.insert(index, (number, value)),
        }
    }

    /// The fields that have a value, in the order of their numbers.
    pub fn fields(&self) -> impl Iterator<Item = (u32, &FieldValue)> {
        self.fields.iter().map(|(number, value)| (*number, value))
    }

    /// The numbers of what is stored but not known to the table.
    pub fn unknown(&self) -> impl Iterator<Item = u32> {
        self.unknown.iter().map(|(number, _)| *number)
    }

    pub(crate) fn unknown_bytes(&self, number: u32) -> Option<&[u8]> {
        let found = self.unknown.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.unknown.get(found).map(|(_, bytes)| &**bytes)
    }

    /// Takes what is stored under a number that the table does not know; whether there was something.
    pub(crate) fn remove_unknown(&mut self, number: u32) -> bool {
        let before = self.unknown.len();
        self.unknown.retain(|(unknown, _)| *unknown != number);
        before != self.unknown.len()
    }

    /// Takes over the unknown fields of the row that this one replaces.
    pub(crate) fn keep_unknown(&mut self, old: &Self) {
        self.unknown.clone_from(&old.unknown);
    }
}
