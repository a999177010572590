//! Random writes and queries against a filter over all rows.

use std::collections::BTreeMap;
use std::ops::Bound;

use dust_layer::index::IndexDef;
use dust_layer::migration::{Command, Migration, Migrator, Repair};
use dust_layer::query::Query;
use dust_layer::row::{OnConflict, Row};
use dust_layer::table::Table;
use dust_layer::value::{FieldType, FieldValue};
use dust_layer::{Direction, Engine, QueryError, RowError, TenantTransaction};
use proptest::prelude::*;

use super::fixture::{for_many, splitting};

/// The names of the fields, by their numbers.
const NAMES: [&str; 6] = ["k", "l", "a", "b", "c", "d"];

fn table() -> Table {
    Table::new("t")
        .key(1, "k", FieldType::Integer)
        .key(2, "l", FieldType::Text)
        .field(3, "a", FieldType::Text)
        .field(4, "b", FieldType::Integer)
        .field(5, "c", FieldType::Float)
        .field(6, "d", FieldType::Boolean)
        .build()
        .unwrap()
}

/// Few values, so that many rows share them.
fn value(field: usize) -> BoxedStrategy<FieldValue> {
    let text = || prop::sample::select(vec!["", "a", "a\0", "ab", "b"]).prop_map(FieldValue::from);
    match field {
        0 => (-2..3_i64).prop_map(FieldValue::from).boxed(),
        1 => text().boxed(),
        2 => prop_oneof![1 => Just(FieldValue::Null), 5 => text()].boxed(),
        3 => prop_oneof![1 => Just(FieldValue::Null), 5 => prop::sample::select(vec![-300_i64, -1, 0, 1, 255, 256]).prop_map(FieldValue::from)].boxed(),
        4 => prop_oneof![1 => Just(FieldValue::Null), 5 => prop::sample::select(vec![-1.5, -0.0, 0.0, 2.0, f64::NAN]).prop_map(FieldValue::from)].boxed(),
        _ => prop_oneof![1 => Just(FieldValue::Null), 4 => any::<bool>().prop_map(FieldValue::from)].boxed(),
    }
}

#[derive(Debug, Clone)]
enum Write {
    Upsert(Vec<FieldValue>),
    Update(Vec<FieldValue>, usize, FieldValue),
    Delete(Vec<FieldValue>),
    Commit,
}

fn write() -> impl Strategy<Value = Write> {
    let row = (value(0), value(1), value(2), value(3), value(4), value(5))
        .prop_map(|(k, l, a, b, c, d)| vec![k, l, a, b, c, d]);
    let key = || (value(0), value(1)).prop_map(|(k, l)| vec![k, l]);
    let change = (2..6_usize).prop_flat_map(|field| (Just(field), value(field)));
    prop_oneof![
        6 => row.prop_map(Write::Upsert),
        2 => (key(), change).prop_map(|(key, (field, value))| Write::Update(key, field, value)),
        1 => key().prop_map(Write::Delete),
        1 => Just(Write::Commit),
    ]
}

#[derive(Debug, Clone)]
struct Wanted {
    equals: Vec<(usize, FieldValue)>,
    range: Option<(usize, Bound<FieldValue>, Bound<FieldValue>)>,
    order: Vec<usize>,
    direction: Direction,
    limit: Option<usize>,
}

fn wanted() -> impl Strategy<Value = Wanted> {
    let bound = |field: usize| {
        prop_oneof![
            Just(Bound::Unbounded),
            value(field).prop_map(Bound::Included),
            value(field).prop_map(Bound::Excluded),
        ]
    };
    let equals = prop::collection::vec((0..6_usize).prop_flat_map(|field| (Just(field), value(field))), 0..3);
    let range = (0..6_usize).prop_flat_map(move |field| (Just(field), bound(field), bound(field)));
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Reverse)];
    (
        equals,
        proptest::option::of(range),
        prop::collection::vec(0..6_usize, 0..3),
        direction,
        proptest::option::of(0..6_usize),
    )
        .prop_map(|(equals, range, order, direction, limit)| Wanted {
            equals,
            range,
            order,
            direction,
            limit,
        })
}

impl Wanted {
    fn query(&self) -> Query {
        let mut query = Query::new();
        for (field, value) in &self.equals {
            query = query.equals(NAMES[*field], value.clone());
        }
        if let Some((field, lower, upper)) = &self.range {
            query = query.range(NAMES[*field], (lower.clone(), upper.clone()));
        }
        for field in &self.order {
            query = query.order_by(NAMES[*field], self.direction);
        }
        match self.limit {
            Some(limit) => query.limit(limit),
            None => query,
        }
    }

    fn matches(&self, row: &[FieldValue]) -> bool {
        let range = self.range.iter().all(|(field, lower, upper)| {
            use std::ops::RangeBounds;
            let is_null = |bound: &Bound<FieldValue>| matches!(bound, Bound::Included(value) | Bound::Excluded(value) if value.is_null());
            !row[*field].is_null() && !is_null(lower) && !is_null(upper) && (lower.as_ref(), upper.as_ref()).contains(&row[*field])
        });
        range && self.equals.iter().all(|(field, value)| row[*field] == *value)
    }

    /// What the order compares.
    fn sort_key(&self, row: &[FieldValue]) -> Vec<FieldValue> {
        self.order.iter().map(|field| row[*field].clone()).collect()
    }

    /// Compares what was found with a filter over all rows.
    fn check(&self, all: &BTreeMap<Vec<FieldValue>, Vec<FieldValue>>, found: &[Row]) {
        let found: Vec<Vec<FieldValue>> = found.iter().map(values).collect();
        let mut expected: Vec<&Vec<FieldValue>> = all.values().filter(|row| self.matches(row)).collect();
        let order = |left: &Vec<FieldValue>, right: &Vec<FieldValue>| {
            let order = left.cmp(right);
            if self.direction == Direction::Reverse {
                order.reverse()
            } else {
                order
            }
        };
        expected.sort_by(|left, right| order(&self.sort_key(left), &self.sort_key(right)));
        let limit = self.limit.unwrap_or(usize::MAX);
        assert_eq!(found.len(), expected.len().min(limit), "{self:?}");
        // Ties are in any order, so what is compared is the keys of the order, and that each is a row that matches.
        let keys =
            |rows: &mut dyn Iterator<Item = &Vec<FieldValue>>| rows.map(|row| self.sort_key(row)).collect::<Vec<_>>();
        assert_eq!(
            keys(&mut found.iter()),
            keys(&mut expected.iter().copied().take(limit)),
            "{self:?}"
        );
        let distinct: std::collections::BTreeSet<_> = found.iter().collect();
        assert_eq!(distinct.len(), found.len());
        assert!(found.iter().all(|row| expected.contains(&row)), "{self:?}");
    }
}

fn values(row: &Row) -> Vec<FieldValue> {
    (1..=6).map(|number| row.get(number).clone()).collect()
}

fn row(values: &[FieldValue]) -> Row {
    let mut row = Row::default();
    for (number, value) in (1..).zip(values) {
        row.set(number, value.clone());
    }
    row
}

fn index() -> impl Strategy<Value = (Vec<usize>, bool)> {
    let fields = prop::sample::subsequence(vec![0, 1, 2, 3, 4, 5], 1..4).prop_shuffle();
    (fields, any::<bool>())
}

fn def((fields, covering): &(Vec<usize>, bool)) -> IndexDef {
    let def = table().index(fields.iter().map(|field| NAMES[*field])).unwrap();
    if *covering { def.covering() } else { def }
}

async fn apply<E: Engine>(
    tx: &TenantTransaction<E>,
    model: &mut BTreeMap<Vec<FieldValue>, Vec<FieldValue>>,
    write: &Write,
) {
    let table = &table();
    match write {
        Write::Upsert(values) => {
            tx.upsert(table, &row(values), OnConflict::ReplaceAll).await.unwrap();
            model.insert(values[..2].to_vec(), values.clone());
        }
        Write::Update(key, field, value) => {
            let primary = table.primary_key(key.clone()).unwrap();
            match tx.update(table, &primary, [(NAMES[*field], value.clone())]).await {
                Ok(_) => model.get_mut(key).unwrap()[*field] = value.clone(),
                Err(error) => {
                    assert_eq!(error.row(), Some(&RowError::NotFound));
                    assert!(!model.contains_key(key));
                }
            }
        }
        Write::Delete(key) => {
            let primary = table.primary_key(key.clone()).unwrap();
            assert_eq!(tx.delete(table, &primary).await.unwrap(), model.remove(key).is_some());
        }
        Write::Commit => {}
    }
}

async fn run<E: Engine>(
    engine: &E,
    split: usize,
    before: Vec<Write>,
    indexes: Vec<(Vec<usize>, bool)>,
    after: Vec<Write>,
    queries: Vec<Wanted>,
) {
    let (tenant, table) = (splitting(engine, split).await, table());
    let mut model = BTreeMap::new();
    let tx = tenant.begin();
    for write in &before {
        apply(&tx, &mut model, write).await;
    }
    tx.commit().await.unwrap();
    let mut defs: Vec<IndexDef> = Vec::new();
    for def in indexes.iter().map(def) {
        if defs.iter().all(|other| other.name() != def.name()) {
            defs.push(def);
        }
    }
    let commands = defs.iter().map(|def| Command::create_index("t", def.clone()));
    let migrator = Migrator::new().table(&table).batch_records(3.try_into().unwrap());
    migrator.run(&tenant, &[Migration::new(1, commands)]).await.unwrap();

    let mut tx = tenant.begin();
    for write in &after {
        if matches!(write, Write::Commit) {
            tx.commit().await.unwrap();
            tx = tenant.begin();
        }
        apply(&tx, &mut model, write).await;
    }
    // Half in the transaction that wrote, half after its commit.
    let (within, later) = queries.split_at(queries.len() / 2);
    let mut refused = Vec::new();
    for wanted in within {
        match tx.query(&table, &wanted.query()).await {
            Ok(found) => wanted.check(&model, &found),
            Err(error) => refused.push((wanted, error.query().unwrap().clone())),
        }
    }
    tx.commit().await.unwrap();
    for wanted in later {
        match tenant.begin().query(&table, &wanted.query()).await {
            Ok(found) => wanted.check(&model, &found),
            Err(error) => refused.push((wanted, error.query().unwrap().clone())),
        }
    }
    for def in &defs {
        let found = migrator.verify(&tenant, "t", def.name(), Repair::Report).await.unwrap();
        assert!(found.is_sound() && found.records == found.entries, "{found:?}");
        assert_eq!(found.records, model.len() as u64);
    }
    // The index that a refusal names serves the query; the other refusals no index would mend.
    let mut version = 1;
    for (wanted, refusal) in refused {
        let QueryError::NoIndex { fields } = &refusal else {
            continue;
        };
        let def = table.index(fields).unwrap().named("the one that would serve").unwrap();
        version += 1;
        let commands = [Command::drop_index("t", def.name()), Command::create_index("t", def)];
        migrator
            .run(&tenant, &[Migration::new(version, commands)])
            .await
            .unwrap();
        let found = tenant.begin().query(&table, &wanted.query()).await.unwrap();
        wanted.check(&model, &found);
    }
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    prop::collection::vec(write(), 0..25)
}

pub(crate) async fn a_query_finds_what_a_filter_over_all_rows_finds<E: Engine>(engine: &E) {
    let values = (
        prop_oneof![Just(4_usize), Just(100_000)],
        writes(),
        prop::collection::vec(index(), 0..4),
        writes(),
        prop::collection::vec(wanted(), 1..12),
    );
    for_many(engine, 30, &values, async |(split, before, indexes, after, queries)| {
        run(engine, split, before, indexes, after, queries).await;
    });
}
