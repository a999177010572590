//! One transaction of a command.

use super::progress::State;
use super::{Command, Migrator};
use crate::engine::{Direction, Engine, Isolation, RangeRead};
use crate::error::{Error, MigrationError, SchemaError};
use crate::index::{
    Catalog, FieldId, Index, IndexDef, IndexKind, IndexSpace, IndexState, Part, Record, Records, entry,
};
use crate::metrics::add_len;
use crate::row::record::part_range;
use crate::row::stored::{Values, end_of};
use crate::table::{PrimaryKey, Table};
use crate::tenant::TenantTransaction;
use crate::tuple::strinc;

impl State {
    /// The command is done.
    fn finish(self) -> Self {
        Self {
            commands: self.commands + 1,
            cursor: None,
            end: None,
            ..self
        }
    }

    /// Fixes where the command ends, if it begins.
    async fn until(mut self, end: impl Future<Output = Result<Option<Vec<u8>>, Error>>) -> Result<Self, Error> {
        if self.end.is_none() {
            self.end = end.await?;
        }
        Ok(self)
    }

    /// The records that are left of the command; `None` if there were none when it began.
    fn part(&self, limit: usize) -> Option<Part<'_>> {
        Some(Part {
            from: self.cursor.as_deref(),
            to: Some(self.end.as_deref()?),
            limit,
        })
    }

    /// The command goes on at `cursor`; without one it is done.
    fn pass(mut self, records: usize, cursor: Option<Vec<u8>>) -> Self {
        if self.cursor.is_none() {
            self.records = 0;
        }
        self.records = self.records.saturating_add(u64::try_from(records).unwrap_or(u64::MAX));
        match cursor {
            Some(_) => Self { cursor, ..self },
            None => self.finish(),
        }
    }
}

impl<E: Engine> Migrator<E> {
    /// Takes a command one transaction further.
    pub(super) async fn advance(
        &self,
        tx: &TenantTransaction<E>,
        command: &Command,
        state: State,
        limit: usize,
    ) -> Result<State, Error> {
        match command {
            Command::CreateIndex { collection, def } => self.create(tx, collection, def, state, limit).await,
            Command::DropIndex { collection, index } => drop_index(tx, collection, index, state, limit).await,
            Command::CopyField { table, from, to } => {
                let table = self.find_table(table)?;
                let (from, to) = (table.field(from)?, table.field(to)?);
                let state = state.until(table.rows_end(tx)).await?;
                let (values, next) = rows(tx, table, &state, limit).await?;
                let count = values.items.len();
                for (key, payload) in keyed(tx, table, values) {
                    let row = table.decode(key.packed(), &payload)?;
                    let value = row.get(from.number);
                    if !value.is_null() && value != row.get(to.number) {
                        tx.update(table, &key, [(&to.name, value.clone())]).await?;
                    }
                }
                Ok(state.pass(count, next))
            }
            Command::DeleteField { table, number } => {
                let table = self.find_table(table)?;
                check_unused(table, *number, &*tx.catalog(table.name()).await?)?;
                let state = state.until(table.rows_end(tx)).await?;
                let (values, next) = rows(tx, table, &state, limit).await?;
                let count = values.items.len();
                for (key, _) in keyed(tx, table, values) {
                    tx.forget_field(table, &key, *number).await?;
                }
                Ok(state.pass(count, next))
            }
        }
    }

    async fn create(
        &self,
        tx: &TenantTransaction<E>,
        collection: &str,
        def: &IndexDef,
        state: State,
        limit: usize,
    ) -> Result<State, Error> {
        let mut catalog = Catalog::clone(&*tx.catalog(collection).await?);
        let Some(index) = catalog.find_mut(def.name()) else {
            let is_counters = *def.kind() == IndexKind::Counters;
            catalog.push(Index {
                def: def.clone(),
                state: if is_counters {
                    IndexState::Readable
                } else {
                    IndexState::WriteOnly
                },
            });
            if let IndexKind::Custom { indexer, .. } = def.kind() {
                tx.tenant().layer().indexer(indexer)?;
            }
            tx.set_catalog(&catalog);
            let begun = State { records: 0, ..state };
            return Ok(if is_counters { begun.finish() } else { begun });
        };
        if index.def != *def || index.state == IndexState::Dropping {
            let index = def.name().into();
            return Err(SchemaError::IndexExists { index }.into());
        }
        if index.state == IndexState::Readable {
            return Ok(state.finish());
        }
        let was = std::mem::replace(&mut index.state, IndexState::Building);
        let source = self.find_source(collection)?;
        // The definition is committed. So whoever writes what this transaction does not see keeps its entries.
        let state = state.until(source.end(tx)).await?;
        let batch = match state.part(limit) {
            Some(part) => source.batch(tx, part).await?,
            None => Records {
                records: Vec::new(),
                next: None,
            },
        };
        add_entries(tx, &catalog, def, &batch.records).await?;
        if let Some(index) = catalog.find_mut(def.name()).filter(|_| batch.next.is_none()) {
            index.state = IndexState::Readable;
        }
        // While the build goes on, nothing that a writer must know changes.
        if was != IndexState::Building || batch.next.is_none() {
            tx.set_catalog(&catalog);
        }
        Ok(state.pass(batch.records.len(), batch.next))
    }
}

/// Adds the entries of records that were there before the index. Those that writers added since are the same.
async fn add_entries<E: Engine>(
    tx: &TenantTransaction<E>,
    catalog: &Catalog,
    def: &IndexDef,
    records: &[Box<dyn Record>],
) -> Result<(), Error> {
    if let IndexKind::Custom { indexer, .. } = def.kind() {
        let space = IndexSpace::new(tx, def, catalog.index_prefix(def));
        return tx.tenant().layer().indexer(indexer)?.create(&space, records).await;
    }
    for record in records {
        let key = entry::key_of(catalog, def, &**record)?;
        tx.add_entry(def, &key, &**record).await?;
    }
    Ok(())
}

async fn drop_index<E: Engine>(
    tx: &TenantTransaction<E>,
    collection: &str,
    name: &str,
    state: State,
    limit: usize,
) -> Result<State, Error> {
    let mut catalog = Catalog::clone(&*tx.catalog(collection).await?);
    let Some(index) = catalog.find_mut(name) else {
        return Ok(state.finish());
    };
    if index.state != IndexState::Dropping {
        // Once this is committed no writer adds to the index, since each conflicts with it or has seen it.
        index.state = IndexState::Dropping;
        tx.set_catalog(&catalog);
        return Ok(State { records: 0, ..state });
    }
    let def = index.def.clone();
    let begin = catalog.index_prefix(&def);
    let end = strinc(&begin).ok_or_else(|| Error::corrupt("a prefix without an end"))?;
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    let found = tx.read_range(read).await?;
    if let Some(last) = found.last_key().filter(|_| found.more()) {
        tx.erase_range(&begin, &[last, &[0]].concat());
        return Ok(state.pass(found.len(), Some(Vec::new())));
    }
    tx.erase_range(&begin, &end);
    catalog.remove(name);
    tx.set_catalog(&catalog);
    Ok(state.pass(found.len(), None))
}

/// A batch of rows, and where the next one begins.
async fn rows<E: Engine>(
    tx: &TenantTransaction<E>,
    table: &Table,
    state: &State,
    limit: usize,
) -> Result<(Values, Option<Vec<u8>>), Error> {
    let Some(part) = state.part(limit) else {
        return Ok((Values::default(), None));
    };
    let prefix = table.row_prefix(tx);
    let (begin, end) = part_range(&prefix, part)?;
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    let values = tx.read_values(read).await?;
    add_len(&tx.tally().rows_read, values.items.len());
    let last = values.items.last().filter(|_| values.more);
    let next = last.and_then(|last| last.key.strip_prefix(&prefix[..]).map(end_of));
    Ok((values, next))
}

/// The rows of a batch by their primary keys.
fn keyed<E: Engine>(tx: &TenantTransaction<E>, table: &Table, values: Values) -> Vec<(PrimaryKey, Vec<u8>)> {
    let prefix = table.row_prefix(tx);
    let key_of = |key: &[u8]| PrimaryKey::from_packed(key.strip_prefix(&prefix[..]).unwrap_or_default().to_vec());
    values
        .items
        .into_iter()
        .map(|item| (key_of(&item.key), item.payload))
        .collect()
}

fn check_unused(table: &Table, number: u32, catalog: &Catalog) -> Result<(), Error> {
    let in_use = |user: &str| {
        let (field, user) = (number.to_string().into(), user.into());
        Err(MigrationError::FieldInUse { field, user }.into())
    };
    if table.numbered(number).is_some() {
        return in_use(table.name());
    }
    for index in catalog.indexes() {
        if index
            .def
            .fields()
            .iter()
            .any(|field| field.id == FieldId::Number(number))
        {
            return in_use(index.def.name());
        }
    }
    Ok(())
}
