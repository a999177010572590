//! Tables, rows and tenants that many tests use.

use dust_layer::layer::{Layer, Options};
use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::row::Row;
use dust_layer::table::Table;
use dust_layer::value::{FieldType, FieldValue};
use dust_layer::{Direction, Engine, Error, Isolation, Memory, Pairs, RangeRead, Tenant, TenantTransaction};

/// People of departments.
pub(crate) fn users() -> Table {
    Table::new("users")
        .key(1, "id", FieldType::Integer)
        .field(2, "name", FieldType::Text)
        .field(3, "department", FieldType::Text)
        .field(4, "age", FieldType::Integer)
        .field(5, "notes", FieldType::Text)
        .build()
        .unwrap()
}

/// Events that live in their index only.
pub(crate) fn events() -> Table {
    Table::new("events")
        .key(1, "id", FieldType::Versionstamp)
        .field(2, "date", FieldType::Date)
        .field(3, "user", FieldType::Text)
        .field(4, "time", FieldType::Time)
        .field(5, "data", FieldType::Text)
        .without_rows()
        .build()
        .unwrap()
}

pub(crate) fn user(id: i64, name: &str, department: &str, age: i64) -> Row {
    let mut row = Row::default();
    row.set(1, id);
    row.set(2, name);
    row.set(3, department);
    row.set(4, age);
    row
}

pub(crate) async fn tenant() -> Tenant<Memory> {
    Tenant::create_or_open(&Memory::new(), "acme", "reading").await.unwrap()
}

/// A tenant of a layer that splits rows into small pieces.
pub(crate) async fn splitting(split_bytes: usize) -> Tenant<Memory> {
    let layer = Layer::with_options(&Memory::new(), Options::default().split_bytes(split_bytes));
    layer.create_or_open("acme", "reading").await.unwrap()
}

/// A migration of version 1 that creates indexes on `users`.
pub(crate) fn indexes(lists: &[&[&str]]) -> [Migration; 1] {
    let command = |fields: &&[&str]| Command::create_index("users", users().index(fields.iter()).unwrap());
    [Migration::new(1, lists.iter().map(command))]
}

pub(crate) async fn migrate<E: Engine>(tenant: &Tenant<E>, migrations: &[Migration]) -> Result<Vec<u64>, Error> {
    Migrator::new()
        .table(&users())
        .table(&events())
        .run(tenant, migrations)
        .await
}

/// Runs one command on `users`, as the next migration.
pub(crate) async fn command<E: Engine>(tenant: &Tenant<E>, command: Command) -> Result<Vec<u64>, Error> {
    let next = tenant.migrations().await?.last().map_or(1, |last| last + 1);
    migrate(tenant, &[Migration::new(next, [command])]).await
}

pub(crate) async fn insert<E: Engine>(tenant: &Tenant<E>, rows: &[Row]) -> Result<(), Error> {
    let table = &users();
    tenant
        .transact(async |tx| {
            for row in rows {
                tx.insert(table, row).await?;
            }
            Ok::<_, Error>(())
        })
        .await?;
    Ok(())
}

/// The ids of the users that a query finds, in its order.
pub(crate) async fn ids<E: Engine>(tx: &TenantTransaction<E>, query: &Query) -> Result<Vec<i128>, Error> {
    Ok(tx.query(&users(), query).await?.iter().map(id_of).collect())
}

pub(crate) fn id_of(row: &Row) -> i128 {
    match row.get(1) {
        FieldValue::Integer(id) => *id,
        other => panic!("an id that is {other}"),
    }
}

/// Every pair of the tenant.
pub(crate) async fn everything<E: Engine>(tenant: &Tenant<E>) -> Pairs {
    let (begin, end) = tenant.key_range();
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit: usize::MAX,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    tenant.begin().get_range(read).await.unwrap()
}

/// How many keys the tenant has whose hex contains this.
pub(crate) async fn keys_with<E: Engine>(tenant: &Tenant<E>, part: &[u8]) -> usize {
    let has = |key: &[u8]| key.windows(part.len()).any(|window| window == part);
    everything(tenant).await.iter().filter(|(key, _)| has(key)).count()
}

/// Compares every readable index of `users` with the rows.
pub(crate) async fn assert_sound<E: Engine>(tenant: &Tenant<E>) {
    use dust_layer::index::{IndexKind, IndexState};
    use dust_layer::migration::Repair;
    let catalog = tenant.begin().catalog("users").await.unwrap();
    for index in catalog.indexes() {
        if matches!(index.def.kind(), IndexKind::Values { .. }) && index.state == IndexState::Readable {
            let migrator = Migrator::new().table(&users());
            let found = migrator
                .verify(tenant, "users", index.def.name(), Repair::Report)
                .await
                .unwrap();
            assert!(
                found.is_sound() && found.records == found.entries,
                "{}: {found:?}",
                index.def.name()
            );
        }
    }
}

pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}
