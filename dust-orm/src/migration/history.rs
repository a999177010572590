//! What a store remembers of its migrations: one leaf per version.

use std::collections::BTreeMap;

use dust_transport::model::{Op, Path, Value};
use dust_transport::transport::{List, Transport};

use super::{Migration, RESERVED, invalid, path_of};
use crate::error::{Error, ErrorKind};

/// How far one version is, in the order in which it is stored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct State(
    /// The name.
    pub(super) String,
    /// The steps.
    String,
    /// Whether all is done.
    pub(super) bool,
    /// The step that is under way.
    pub(super) usize,
    /// Where it goes on.
    pub(super) Option<String>,
    /// How many records it has gone through.
    pub(super) u64,
);

impl State {
    pub(super) fn new(migration: &Migration) -> Self {
        Self(migration.name.to_owned(), migration.text(), false, 0, None, 0)
    }

    /// The step goes on behind a path, after so many records more.
    pub(super) fn moved(mut self, cursor: &Path, records: usize) -> Self {
        self.4 = Some(cursor.to_string());
        self.5 = self.5.saturating_add(records as u64);
        self
    }

    /// The step has gone through so many records.
    pub(super) fn at(mut self, records: u64) -> Self {
        self.5 = records;
        self
    }

    /// The step is done, and the next one is under way, if there is one.
    pub(super) fn stepped(mut self, steps: usize) -> Self {
        self.3 += 1;
        self.2 = self.3 >= steps;
        self.4 = None;
        self.5 = 0;
        self
    }

    /// The op that stores it.
    pub(super) fn op(&self, version: u64) -> Result<Op, Error> {
        let text = serde_json::to_string(self).map_err(|error| invalid(error.to_string()))?;
        let value = Value::from_json(&text).map_err(dust_transport::error::Error::from)?;
        Ok(Op::set(path_of([RESERVED, "versions", &version.to_string()])?, value))
    }
}

/// The versions that a store has, done or under way.
pub(super) async fn read(transport: &dyn Transport) -> Result<BTreeMap<u64, State>, Error> {
    let below = path_of([RESERVED, "versions"])?;
    let limit = transport.capabilities().page_leaves_max.min(1000);
    let mut list = List::below(below).limit(limit);
    let mut history = BTreeMap::new();
    loop {
        let page = transport.list(&list).await?;
        for entry in page.items.into_entries() {
            let version = entry.path.last().parse().ok();
            let (Some(version), Ok(state)) = (version, entry.value.to()) else {
                let message = format!("`{}` is no record of a migration", entry.path);
                return Err(Error::new(ErrorKind::InvalidRecord, message));
            };
            history.insert(version, state);
        }
        match page.next {
            Some(next) => list = list.after(next),
            None => return Ok(history),
        }
    }
}

/// Checks that versions ascend.
pub(super) fn check_order(migrations: &[Migration]) -> Result<(), Error> {
    for (before, after) in migrations.iter().zip(migrations.iter().skip(1)) {
        if before.version >= after.version {
            let message = format!("migrations must ascend: {} follows {}", after.version, before.version);
            return Err(invalid(message));
        }
    }
    Ok(())
}

/// Checks that the list has what the store has been through, unchanged.
pub(super) fn check(history: &BTreeMap<u64, State>, migrations: &[Migration]) -> Result<(), Error> {
    for (version, State(name, steps, ..)) in history {
        let Some(migration) = migrations.iter().find(|migration| migration.version == *version) else {
            let message = format!("the store has the migration {version}, `{name}`, and the list has not");
            return Err(invalid(message));
        };
        let text = migration.text();
        if (name.as_str(), steps) != (migration.name, &text) {
            let message = format!(
                "the migration {version} has changed: the store has `{name}` ({steps}), and the list has `{}` ({text})",
                migration.name
            );
            return Err(invalid(message));
        }
    }
    Ok(())
}
