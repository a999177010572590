//! The record that everything here reads and writes: five leaves in flat storage.

use dust_orm::prelude::*;

/// Where the records lie.
pub(crate) const PREFIX: &str = "bench/people";

/// The leaves of a record, in the order of their ops.
pub(crate) const LEAVES: [&str; 5] = ["name", "email", "age", "city", "tags"];

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "bench/people", index(city, name))]
pub(crate) struct Person {
    pub(crate) slug: String,
    #[dust(required)]
    #[validate(length(min = 1, max = 200))]
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) age: u32,
    pub(crate) city: Option<String>,
    pub(crate) tags: Vec<String>,
}

impl Person {
    /// The record of a number; neighbours in number are neighbours in the store.
    pub(crate) fn numbered(number: u32) -> Self {
        Self {
            slug: slug(number),
            name: format!("Person of the number {number}"),
            email: format!("person.{number}@example.org"),
            age: number % 90,
            city: Some(format!("City {}", number % 1000)),
            tags: vec![format!("tag{}", number % 7), "people".to_owned()],
        }
    }

    /// The JSON text of each leaf, as in [`LEAVES`].
    pub(crate) fn texts(&self) -> Result<[String; 5], serde_json::Error> {
        Ok([
            serde_json::to_string(&self.name)?,
            serde_json::to_string(&self.email)?,
            serde_json::to_string(&self.age)?,
            serde_json::to_string(&self.city)?,
            serde_json::to_string(&self.tags)?,
        ])
    }
}

/// The slug of a number.
pub(crate) fn slug(number: u32) -> String {
    format!("person-{number:08}")
}

/// The numbers below `count` in an order that no cache likes, without end.
pub(crate) fn shuffled(count: u32) -> impl Iterator<Item = u32> {
    // A full-period generator of 32 bits, of which the high ones are used.
    let mut state = 1_u32;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) % count
    })
}
