//! Tables, rows and tenants that many promises use.

use dust_layer::layer::{Layer, Options};
use dust_layer::migration::{Command, Migration, Migrator};
use dust_layer::query::Query;
use dust_layer::row::Row;
use dust_layer::table::Table;
use dust_layer::value::{Date, DateTime, Decimal, FieldType, FieldValue, Time, Versionstamp};
use dust_layer::{Direction, Engine, Error, Isolation, Pairs, RangeRead, Tenant, TenantTransaction};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

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

/// Takes away the tenant that the others make, for a promise that is kept several times on one engine.
pub(crate) async fn clear<E: Engine>(engine: &E) {
    let layer = Layer::new(engine);
    if layer.exists("acme", "reading").await.unwrap() {
        layer.delete("acme", "reading").await.unwrap();
    }
}

/// An empty tenant of a layer with options.
pub(crate) async fn tenant_with<E: Engine>(engine: &E, options: Options<E>) -> Tenant<E> {
    clear(engine).await;
    let layer = Layer::with_options(engine, options);
    layer.create_or_open("acme", "reading").await.unwrap()
}

/// An empty tenant.
pub(crate) async fn tenant<E: Engine>(engine: &E) -> Tenant<E> {
    tenant_with(engine, Options::default()).await
}

/// An empty tenant of a layer that splits rows into small pieces.
pub(crate) async fn splitting<E: Engine>(engine: &E, split_bytes: usize) -> Tenant<E> {
    tenant_with(engine, Options::default().split_bytes(split_bytes)).await
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

/// Keeps a promise for many values, and finds the smallest that break it. In memory it costs nothing to have ten times as
/// many.
///
/// # Panics
/// If it is broken.
pub(crate) fn for_many<E: Engine, S: Strategy>(engine: &E, cases: u32, values: &S, promise: impl AsyncFn(S::Value)) {
    let cases = if engine.name() == "memory" { cases * 10 } else { cases };
    let config = ProptestConfig {
        cases,
        ..ProptestConfig::with_source_file(file!())
    };
    let mut runner = TestRunner::new(config);
    let kept = runner.run(values, |value| {
        block_in_place(|| Handle::current().block_on(promise(value)));
        Ok(())
    });
    if let Err(broken) = kept {
        panic!("{broken}\n{runner}");
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// Every type of a field.
pub(crate) const TYPES: [FieldType; 11] = [
    FieldType::Boolean,
    FieldType::Integer,
    FieldType::Float,
    FieldType::Decimal,
    FieldType::Text,
    FieldType::Bytes,
    FieldType::Date,
    FieldType::Time,
    FieldType::DateTime,
    FieldType::Uuid,
    FieldType::Versionstamp,
];

/// Values of a type, the awkward ones often.
pub(crate) fn value(kind: FieldType) -> BoxedStrategy<FieldValue> {
    let small = || prop_oneof![any::<i128>(), (-300_i128..300), any::<i64>().prop_map(i128::from)];
    let bytes = || prop::collection::vec(prop::sample::select(vec![0_u8, 1, b'a', b'b', 0xfe, 0xff]), 0..4);
    match kind {
        FieldType::Boolean => any::<bool>().prop_map(FieldValue::from).boxed(),
        FieldType::Integer => small().prop_map(FieldValue::from).boxed(),
        FieldType::Float => {
            let awkward = vec![
                0.0,
                -0.0,
                f64::NAN,
                -f64::NAN,
                f64::INFINITY,
                f64::NEG_INFINITY,
                f64::MIN_POSITIVE,
                5e-324,
            ];
            prop_oneof![any::<f64>(), prop::sample::select(awkward)]
                .prop_map(FieldValue::from)
                .boxed()
        }
        FieldType::Decimal => {
            let exponent = prop_oneof![-3..3, any::<i32>(), Just(i32::MAX), Just(i32::MIN)];
            let digits = prop_oneof![-200_i128..200, -10_i128.pow(37)..10_i128.pow(37)];
            (digits, exponent)
                .prop_map(|(digits, exponent)| Decimal::new(digits, exponent).into())
                .boxed()
        }
        FieldType::Text => {
            let letters = vec!['\0', '\u{1}', 'a', 'b', 'é', '\u{10ffff}'];
            prop::collection::vec(prop::sample::select(letters), 0..4)
                .prop_map(|letters| letters.into_iter().collect::<String>().into())
                .boxed()
        }
        FieldType::Bytes => bytes().prop_map(FieldValue::from).boxed(),
        FieldType::Date => any::<i32>().prop_map(|days| Date(days).into()).boxed(),
        FieldType::Time => any::<u64>().prop_map(|nanos| Time(nanos).into()).boxed(),
        FieldType::DateTime => small().prop_map(|nanos| DateTime(nanos).into()).boxed(),
        FieldType::Uuid => any::<[u8; 16]>().prop_map(FieldValue::from).boxed(),
        FieldType::Versionstamp => (any::<[u8; 10]>(), any::<u16>())
            .prop_filter("a stamp of a commit", |(stamp, _)| *stamp != [0xff; 10])
            .prop_map(|(stamp, order)| Versionstamp::new(stamp, order).into())
            .boxed(),
        other => unreachable!("{other}"),
    }
}
