//! The store that is measured: people, twenty in each department.

use std::path::Path;
use std::time::Instant;

use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::row::Row;
use dust_layer::table::Table;
use dust_layer::value::{FieldType, FieldValue};
use dust_layer::{Disk, Error, Layer, Tenant};

use crate::Failure;

/// How many people a department has.
pub(crate) const DEPARTMENT_PEOPLE: i64 = 20;

/// How many rows go into one transaction while the store is filled.
const BATCH_ROWS: i64 = 1000;

pub(crate) struct Store {
    pub(crate) disk: Disk,
    pub(crate) tenant: Tenant<Disk>,
    pub(crate) people: Table,
    pub(crate) records: i64,
}

pub(crate) fn people(name: &str) -> Result<Table, Error> {
    Table::new(name)
        .key(1, "id", FieldType::Integer)
        .field(2, "name", FieldType::Text)
        .field(3, "email", FieldType::Text)
        .field(4, "department", FieldType::Text)
        .field(5, "age", FieldType::Integer)
        .build()
}

/// The department of a number, spread over the ids so that its people do not lie side by side.
pub(crate) fn department(number: i64) -> String {
    format!("department {number:06}")
}

pub(crate) fn person(id: i64, departments: i64) -> Row {
    let mut row = Row::default();
    row.set(1, id);
    row.set(2, format!("Person number {id}"));
    row.set(3, format!("person.{id}@example.org"));
    row.set(4, department(id % departments.max(1)));
    row.set(5, 18 + id % 60);
    row
}

impl Store {
    /// Makes a store of so many records in `folder`, with an index on the department.
    pub(crate) async fn fill(folder: &Path, records: i64) -> Result<Self, Failure> {
        let disk = Disk::open(folder)?;
        let tenant = Layer::new(&disk).create_or_open("bench", "layer").await?;
        let store = Self {
            disk,
            tenant,
            people: people("people")?,
            records,
        };
        println!("writing {records} records");
        let mut id = 0;
        while id < records {
            let end = records.min(id + BATCH_ROWS);
            let tx = store.tenant.begin();
            for id in id..end {
                tx.insert(&store.people, &person(id, store.departments())).await?;
            }
            tx.commit().await?;
            id = end;
        }
        let began = Instant::now();
        let index = Command::create_index("people", store.people.index(["department"])?);
        Migrator::new()
            .table(&store.people)
            .run(&store.tenant, &[Migration::new(1, [index])])
            .await?;
        println!("the first index was built in {:.1?}", began.elapsed());
        Ok(store)
    }

    pub(crate) fn departments(&self) -> i64 {
        (self.records / DEPARTMENT_PEOPLE).max(1)
    }
}

/// The value of a department's number.
pub(crate) fn of_department(number: i64) -> FieldValue {
    FieldValue::from(department(number))
}
