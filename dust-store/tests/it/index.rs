//! Indexes hold what a scan of all records would index, whoever writes and whatever fails.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Bound;

use dust_layer::{Faults, Memory, disk};
use dust_store::{Database, Embedded, Options};
use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, Op, Path, Seq, Value};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexState};
use dust_transport::transport::{Order, Transport};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use crate::{leaves, path};

fn index(prefix: &str, fields: &[&str]) -> IndexDefinition {
    IndexDefinition::new(path(prefix), fields.iter().map(|field| path(field))).unwrap()
}

async fn build(store: &Embedded, index: &IndexDefinition) {
    while store.ensure_index(index).await.unwrap().state != IndexState::Readable {}
}

/// The value of a field for an index: `None` for a list, a map and what has leaves below it.
type Field = Option<Json>;

/// All records below a prefix with the values of some fields, by a scan of all leaves.
async fn scanned(store: &Embedded, index: &IndexDefinition) -> Vec<(String, Vec<Field>)> {
    let mut records: BTreeMap<String, Vec<Field>> = BTreeMap::new();
    for leaf in leaves(store).await {
        let Some((slug, rest)) = leaf
            .path
            .strip_prefix(index.prefix())
            .and_then(|rest| rest.split_once('/'))
        else {
            continue;
        };
        let record = records
            .entry(slug.to_owned())
            .or_insert_with(|| vec![Some(Json::Null); index.fields().len()]);
        for (field, slot) in index.fields().iter().zip(record) {
            match rest.strip_prefix(field.as_str()) {
                // A leaf comes before what lies below its path.
                Some("") => {
                    let json: Json = leaf.value.to().unwrap();
                    *slot = Some(json).filter(|json| !json.is_array() && !json.is_object());
                }
                Some(below) if below.starts_with('/') => *slot = None,
                _ => {}
            }
        }
    }
    records.into_iter().collect()
}

fn rank(field: &Field) -> u8 {
    match field {
        Some(Json::Null) => 0,
        Some(Json::Bool(_)) => 1,
        Some(Json::Number(_)) => 2,
        Some(Json::String(_)) => 3,
        _ => 4,
    }
}

/// The order of an index, without its encoding.
fn compare(left: &Field, right: &Field) -> Ordering {
    rank(left).cmp(&rank(right)).then_with(|| match (left, right) {
        (Some(Json::Bool(left)), Some(Json::Bool(right))) => left.cmp(right),
        (Some(Json::Number(left)), Some(Json::Number(right))) => {
            left.as_f64().unwrap().partial_cmp(&right.as_f64().unwrap()).unwrap()
        }
        (Some(Json::String(left)), Some(Json::String(right))) => left.as_bytes().cmp(right.as_bytes()),
        _ => Ordering::Equal,
    })
}

fn is_in_range(field: &Field, lower: &Bound<Value>, upper: &Bound<Value>) -> bool {
    let side = |bound: &Bound<Value>, outside: Ordering| match bound {
        Bound::Unbounded => true,
        Bound::Included(value) | Bound::Excluded(value) => {
            let value: Field = Some(value.to().unwrap());
            let order = compare(field, &value);
            let is_excluded = matches!(bound, Bound::Excluded(_)) && order == Ordering::Equal;
            rank(field) == rank(&value) && order != outside && !is_excluded
        }
    };
    side(lower, Ordering::Less) && side(upper, Ordering::Greater)
}

/// What a query finds by a filter over all records.
async fn filtered(store: &Embedded, query: &IndexQuery) -> Vec<String> {
    let mut records = scanned(store, &query.index).await;
    records.retain(|(_, fields)| {
        let equals = query.equals.iter().map(|value| Some(value.to::<Json>().unwrap()));
        fields
            .iter()
            .zip(equals)
            .all(|(field, value)| compare(field, &value) == Ordering::Equal)
            && fields
                .get(query.equals.len())
                .is_none_or(|field| is_in_range(field, &query.range.0, &query.range.1))
    });
    records.sort_by(|(left_slug, left), (right_slug, right)| {
        let fields = left.iter().zip(right).map(|(left, right)| compare(left, right));
        fields
            .fold(Ordering::Equal, Ordering::then)
            .then_with(|| left_slug.cmp(right_slug))
    });
    if query.order == Order::Desc {
        records.reverse();
    }
    records.into_iter().map(|(slug, _)| slug).collect()
}

async fn queried(store: &Embedded, query: &IndexQuery) -> Vec<String> {
    let (mut query, mut slugs) = (query.clone(), Vec::new());
    let all = leaves(store).await;
    loop {
        let page = store.query(&query).await.unwrap();
        for record in &page.records {
            slugs.push(record.path.strip_prefix(query.index.prefix()).unwrap().to_owned());
            let first = all.partition_point(|leaf| leaf.path < record.entries[0].path);
            let below = all[first..]
                .iter()
                .take_while(|leaf| record.path.is_ancestor_of(&leaf.path));
            assert!(record.entries.iter().eq(below));
            let before = first.checked_sub(1).map(|before| &all[before].path);
            assert!(before.is_none_or(|before| !record.path.is_ancestor_of(before)));
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return slugs,
        }
    }
}

/// The entries are those of the records, as far as a build has come.
async fn assert_clean(store: &Embedded) {
    for status in store.indexes().await.unwrap() {
        let report = store.verify_index(&status.definition).await.unwrap();
        assert!(report.is_clean(), "{}: {report:?}", status.definition);
    }
}

/// And they give what a filter over all records gives.
async fn assert_right(store: &Embedded) {
    assert_clean(store).await;
    for status in store.indexes().await.unwrap() {
        let report = store.verify_index(&status.definition).await.unwrap();
        if status.state == IndexState::Readable {
            let all = IndexQuery::new(status.definition.clone()).limit(1000);
            assert_eq!(queried(store, &all).await, filtered(store, &all).await, "{all}");
            assert_eq!(report.records, scanned(store, &status.definition).await.len() as u64);
            assert!(!status.definition.is_unique() || !has_duplicates(store, &status.definition).await);
        }
    }
}

/// Whether two records have the same values, none of them null, a list or a map.
async fn has_duplicates(store: &Embedded, index: &IndexDefinition) -> bool {
    let records = scanned(store, index).await;
    let comparable: Vec<_> = records
        .iter()
        .map(|(_, fields)| fields)
        .filter(|fields| fields.iter().all(|field| (1..4).contains(&rank(field))))
        .collect();
    let is_same = |left: &[Field], right: &[Field]| {
        let mut pairs = left.iter().zip(right);
        pairs.all(|(left, right)| compare(left, right) == Ordering::Equal)
    };
    let mut rest = &comparable[..];
    while let Some((first, others)) = rest.split_first() {
        if others.iter().any(|other| is_same(first, other)) {
            return true;
        }
        rest = others;
    }
    false
}

fn indexes() -> Vec<IndexDefinition> {
    vec![
        index("r", &["v"]),
        index("r", &["v", "w"]),
        index("r", &["w/x", "v"]),
        index("p/q", &["v"]).covering(),
        index("r/a", &["x"]),
        index("r", &["w"]).covering(),
        index("r", &["w", "v"]).unique(),
        index("p", &["v"]).unique().covering(),
    ]
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(&'static str, Change)>),
    Ensure(usize),
    Drop(usize),
    Rebuild(usize),
    Rollback(u64),
    Query(usize, Vec<Json>, Json, Json, bool),
}

#[derive(Debug, Clone)]
enum Change {
    Set(Json),
    Delete,
    Merge(Json),
    Increment,
    Add,
}

const PATHS: [&str; 15] = [
    "r", "r/a", "r/b", "r/a-b", "r/a/v", "r/b/v", "r/a/w", "r/a/w/x", "r/b/w", "r/a/v/z", "p", "p/q", "p/q/a",
    "p/q/a/v", "r/a~1b/v",
];

fn scalar() -> impl Strategy<Value = Json> {
    prop::sample::select(vec![
        json!(null),
        json!(false),
        json!(true),
        json!(-1),
        json!(0),
        json!(1),
        json!(1.5),
        json!(2),
        json!(""),
        json!("a"),
        json!("a\u{0}b"),
        json!("b"),
    ])
}

fn value() -> impl Strategy<Value = Json> {
    prop_oneof![
        5 => scalar(),
        1 => Just(json!([1])),
        2 => (scalar(), scalar()).prop_map(|(v, w)| json!({ "v": v, "w": w })),
        1 => scalar().prop_map(|x| json!({ "v": 1, "w": { "x": x } })),
        1 => (scalar(), scalar()).prop_map(|(v, w)| json!({ "a": { "v": v }, "c": { "w": w }, "q": { "a": { "v": w } } })),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let change = prop_oneof![
        6 => value().prop_map(Change::Set),
        2 => Just(Change::Delete),
        1 => value().prop_map(Change::Merge),
        1 => Just(Change::Increment),
        1 => Just(Change::Add),
    ];
    let ops = prop::collection::vec((prop::sample::select(&PATHS[..]), change), 1..4);
    prop_oneof![
        8 => ops.prop_map(Step::Write),
        3 => (0..8_usize).prop_map(Step::Ensure),
        1 => (0..8_usize).prop_map(Step::Drop),
        1 => (0..8_usize).prop_map(Step::Rebuild),
        1 => (0..20_u64).prop_map(Step::Rollback),
        4 => (0..8_usize, prop::collection::vec(scalar(), 0..3), scalar(), scalar(), any::<bool>())
            .prop_map(|(of, equals, lower, upper, is_reverse)| Step::Query(of, equals, lower, upper, is_reverse)),
    ]
}

fn of_json(json: &Json) -> Value {
    Value::from_json(&json.to_string()).unwrap()
}

/// Builds an index; false if that it is unique is not so, and it is not there.
async fn is_built(store: &Embedded, index: &IndexDefinition) -> bool {
    loop {
        match store.ensure_index(index).await {
            Ok(status) if status.state == IndexState::Readable => return true,
            Ok(_) => {}
            Err(error) => {
                assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "not_unique"));
                assert!(index.is_unique() && has_duplicates(store, index).await, "{error}");
                let listed = store.indexes().await.unwrap();
                assert!(listed.iter().all(|status| !status.definition.is_same(index)));
                return false;
            }
        }
    }
}

/// What a refused batch would have made of the store has two records with the same values.
async fn assert_rightly_refused(database: &Database<Memory>, batch: Batch) {
    let name = format!("acme/copy-{}", database.stores().await.unwrap().len());
    let copy = database.copy("acme/site", &name).await.unwrap();
    let uniques: Vec<_> = indexes().into_iter().filter(IndexDefinition::is_unique).collect();
    let mut dropped = Vec::new();
    for unique in uniques {
        if copy.drop_index(&unique).await.unwrap() {
            dropped.push(unique);
        }
    }
    copy.write(batch).await.unwrap();
    let mut is_right = false;
    for unique in &dropped {
        is_right |= has_duplicates(&copy, unique).await;
    }
    assert!(is_right, "a write was refused for nothing");
}

async fn take(database: &Database<Memory>, store: &Embedded, step: Step) {
    let indexes = indexes();
    match step {
        Step::Write(changes) => {
            let ops = changes.into_iter().map(|(at, change)| match change {
                Change::Set(value) => Op::set(path(at), of_json(&value)),
                Change::Delete => Op::delete(path(at)),
                Change::Merge(value) => Op::merge(path(at), of_json(&value)),
                Change::Increment => Op::increment(path(at), 1),
                Change::Add => Op::add(path(at), 1),
            });
            let batch = Batch::new(ops);
            // A refused batch must leave the entries alone, too.
            match store.write(batch.clone()).await {
                Err(error) if error.code() == "not_unique" => assert_rightly_refused(database, batch).await,
                _ => {}
            }
        }
        Step::Ensure(of) => drop(is_built(store, &indexes[of]).await),
        Step::Drop(of) => drop(store.drop_index(&indexes[of]).await.unwrap()),
        Step::Rebuild(of) => drop(store.rebuild_index(&indexes[of]).await),
        Step::Rollback(to) => drop(store.rollback_store(Seq(to)).await),
        Step::Query(of, equals, lower, upper, is_reverse) => {
            let index = indexes[of].clone();
            if !is_built(store, &index).await {
                return;
            }
            let order = if is_reverse { Order::Desc } else { Order::Asc };
            let mut query = IndexQuery::new(index)
                .equals(equals.iter().map(of_json))
                .order(order)
                .limit(2);
            let (lower, upper) = (of_json(&lower), of_json(&upper));
            for range in [
                (Bound::Unbounded, Bound::Unbounded),
                (Bound::Included(lower.clone()), Bound::Excluded(upper.clone())),
                (Bound::Excluded(lower.clone()), Bound::Included(upper)),
                (Bound::Excluded(lower.clone()), Bound::Unbounded),
                (Bound::Unbounded, Bound::Included(lower)),
            ] {
                query.range = range;
                if query.check().is_ok() {
                    assert_eq!(queried(store, &query).await, filtered(store, &query).await, "{query}");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn queries_are_filters_over_all_records(steps in prop::collection::vec(step(), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let database = Database::memory();
            let store = database.store("acme/site").await.unwrap();
            for step in steps {
                take(&database, &store, step).await;
                assert_right(&store).await;
            }
        });
    }
}

/// More leaves than one step of a build goes through, some of them in one record that is longer than a step.
async fn fill(store: &Embedded, records: u64) {
    let record = |n: u64| {
        Op::set(
            path(&format!("r/{n:05}")),
            of_json(&json!({ "v": n % 7, "w": n.to_string(), "x": 1 })),
        )
    };
    for first in (0..records).step_by(500) {
        store
            .write(Batch::new((first..records.min(first + 500)).map(record)))
            .await
            .unwrap();
    }
    let long: serde_json::Map<String, Json> = (0..2500).map(|n| (format!("{n:04}"), json!(n))).collect();
    store
        .write(Op::set(path("r/00100/long"), of_json(&Json::Object(long))).into())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_build_goes_through_all_records_in_bounded_steps() {
    let store = Embedded::memory();
    fill(&store, 8000).await;
    let index = index("r", &["v", "w"]);
    let mut seen = Vec::new();
    while let IndexState::Building { records } = store.ensure_index(&index).await.unwrap().state {
        seen.push(records);
    }
    assert!(!seen.is_empty() && seen.is_sorted(), "{seen:?}");
    let report = store.verify_index(&index).await.unwrap();
    assert!(report.is_clean() && report.records == 8000, "{report:?}");
    let page = store
        .query(&IndexQuery::new(index).equals([Value::from(3)]).limit(3))
        .await
        .unwrap();
    let slugs: Vec<_> = page
        .records
        .iter()
        .map(|record| record.path.last().into_owned())
        .collect();
    // Texts: "10", "1004" and "101" are the first of those that are 3 modulo 7.
    assert_eq!(slugs, ["00010", "01004", "00101"]);
}

/// A writer that appends more records between two calls than a call goes through: the build ends with what was there.
#[tokio::test]
async fn writers_that_append_do_not_outrun_a_build() {
    let store = Embedded::memory();
    let append = async |first: u64| {
        let record = |n: u64| Op::set(path(&format!("r/{n:06}")), of_json(&json!({ "v": n % 7 })));
        for first in (first..first + 20_000).step_by(1_000) {
            store
                .write(Batch::new((first..first + 1_000).map(record)))
                .await
                .unwrap();
        }
    };
    append(0).await;
    let index = index("r", &["v"]);
    let (mut calls, mut next) = (0, 20_000);
    while store.ensure_index(&index).await.unwrap().state != IndexState::Readable {
        calls += 1;
        assert!(calls <= 2, "a call takes sixteen steps of a thousand leaves");
        append(next).await;
        next += 20_000;
    }
    assert!(calls > 0);
    let report = store.verify_index(&index).await.unwrap();
    assert!(report.is_clean() && report.records == next, "{report:?}");
}

#[tokio::test]
async fn an_index_without_records_answers_at_once() {
    let store = Embedded::memory();
    let index = index("r", &["v"]);
    assert_eq!(store.ensure_index(&index).await.unwrap().state, IndexState::Readable);
    store.write(Op::set(path("r/a/v"), 1).into()).await.unwrap();
    let one = IndexQuery::new(index).equals([Value::from(1)]);
    assert_eq!(queried(&store, &one).await, ["a"]);
}

/// Two nodes on one engine: both build, both write across the cursor.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_on_two_nodes_cross_two_builds() {
    let engine = Memory::new();
    let nodes = [Database::on(engine.clone()), Database::on(engine)];
    let mut stores = Vec::new();
    for node in &nodes {
        stores.push(node.store("acme/site").await.unwrap());
    }
    fill(&stores[0], 3000).await;
    let index = index("r", &["v"]);
    let builds = stores.iter().map(|store| {
        let (store, index) = (store.clone(), index.clone());
        tokio::spawn(async move { build(&store, &index).await })
    });
    let writes = (0..4_u64).map(|writer| {
        let store = stores[usize::try_from(writer % 2).unwrap()].clone();
        tokio::spawn(async move {
            for n in 0..120 {
                // All over the range, and around its ends.
                let slug = (n * 97 + writer * 13) % 3300;
                let at = path(&format!("r/{slug:05}"));
                let op = match n % 4 {
                    0 => Op::delete(at),
                    1 => Op::set(at, of_json(&json!({ "v": writer }))),
                    _ => Op::set(at.child("v").unwrap(), Value::from(n)),
                };
                store.write(op.into()).await.unwrap();
            }
        })
    });
    let tasks: Vec<_> = builds
        .collect::<Vec<_>>()
        .into_iter()
        .chain(writes.collect::<Vec<_>>())
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let report = stores[1].verify_index(&index).await.unwrap();
    assert!(report.is_clean(), "{report:?}");
    assert_eq!(report.records, scanned(&stores[0], &index).await.len() as u64);
    let three = IndexQuery::new(index).equals([Value::from(3)]).limit(100);
    assert_eq!(queried(&stores[0], &three).await, filtered(&stores[0], &three).await);
}

/// A disk that fails at any of the syncs of a build: reopened, the index is as far as its definition says, and goes on.
#[tokio::test]
async fn a_build_that_is_cut_at_any_step_goes_on() {
    for index in [index("r", &["v", "w"]), index("r", &["w"]).unique().covering()] {
        cut_at_any_step(&index).await;
    }
}

async fn cut_at_any_step(index: &IndexDefinition) {
    let mut cuts = 0;
    for sync in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let options = disk::Options::default().faults(faults.clone());
        let database = Database::open_with(folder.path(), options, Options::default()).unwrap();
        let store = database.store("acme/site").await.unwrap();
        fill(&store, 600).await;
        faults.fail_sync(sync);
        let ended = loop {
            match store.ensure_index(index).await {
                Ok(status) if status.state == IndexState::Readable => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        drop((store, database));
        let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
        assert_right(&store).await;
        store.write(Op::set(path("r/00001/v"), 99).into()).await.unwrap();
        store.write(Op::delete(path("r/00599")).into()).await.unwrap();
        assert_right(&store).await;
        build(&store, index).await;
        assert_right(&store).await;
        let taken = Op::set(path("r/00002/w"), "1");
        assert_eq!(store.write(taken.into()).await.is_err(), index.is_unique());
        if ended {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 4, "{cuts} cuts: the definition and at least three steps");
}

#[tokio::test]
async fn a_dropped_caller_leaves_a_build_that_goes_on() {
    let store = Embedded::memory();
    fill(&store, 2000).await;
    let index = index("r", &["v"]);
    let mut ensure = Box::pin(store.ensure_index(&index));
    // It is given up in the middle of whatever it has come to.
    for _ in 0..3 {
        std::future::poll_fn(|context| {
            drop(ensure.as_mut().poll(context));
            std::task::Poll::Ready(())
        })
        .await;
        tokio::task::yield_now().await;
    }
    drop(ensure);
    store.write(Op::set(path("r/00000/v"), "moved").into()).await.unwrap();
    build(&store, &index).await;
    assert_right(&store).await;
}

#[tokio::test]
async fn entries_too_long_for_a_key_are_refused_and_long_texts_are_cut() {
    let store = Embedded::memory();
    let index = index("r", &["v"]);
    build(&store, &index).await;
    let long = |count: usize, end: &str| Value::from("x".repeat(count) + end);
    for (slug, value) in [
        ("a", long(600, "b")),
        ("b", long(600, "a")),
        ("c", long(512, "")),
        ("d", long(9, "")),
    ] {
        store
            .write(Op::set(path(&format!("r/{slug}/v")), value).into())
            .await
            .unwrap();
    }
    let all = IndexQuery::new(index.clone());
    assert_eq!(queried(&store, &all).await, ["d", "c", "a", "b"]);
    assert_eq!(queried(&store, &all.clone().equals([long(512, "")])).await, ["c"]);
    assert_clean(&store).await;

    let fields = ["a", "b", "c", "d", "e", "f", "g", "h"];
    build(&store, &self::index("r", &fields)).await;
    let record = |text: &str| Value::map(fields.map(|field| (field, Value::from(text))));
    let slug = Path::new(["r", &"s".repeat(4000)]).unwrap();
    let longest = Op::set(slug.clone(), record(&"x".repeat(600)));
    store.write(longest.into()).await.unwrap();
    // A NUL takes two bytes in a key.
    let nuls = Op::set(slug, record(&"\u{0}".repeat(600)));
    let refused = store.write(nuls.into()).await.unwrap_err();
    assert_eq!(refused.code(), "payload_too_large");
    assert!(refused.detail().contains("an index entry"), "{refused}");
    let long = self::index("r", &[&"f".repeat(2000)]);
    assert_eq!(store.ensure_index(&long).await.unwrap_err().code(), "invalid_index");
    assert_clean(&store).await;
}

/// A copy of a store has its indexes.
#[tokio::test]
async fn copies_have_the_indexes() {
    let database = Database::memory();
    let store = database.store("acme/links").await.unwrap();
    build(&store, &index("r", &["v"])).await;
    store.write(Op::set(path("r/a/v"), 1).into()).await.unwrap();
    let copy = database.copy("acme/links", "acme/copy").await.unwrap();
    copy.write(Op::set(path("r/b/v"), 0).into()).await.unwrap();
    assert_eq!(queried(&copy, &IndexQuery::new(index("r", &["v"]))).await, ["b", "a"]);
    assert_right(&copy).await;
}

/// Nobody but one has a value, whichever node it comes through; and the others are told who has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_of_many_writers_gets_a_unique_value() {
    let engine = Memory::new();
    let nodes = [Database::on(engine.clone()), Database::on(engine)];
    let mut stores = Vec::new();
    for node in &nodes {
        stores.push(node.store("acme/site").await.unwrap());
    }
    let index = index("users", &["email"]).unique();
    build(&stores[0], &index).await;
    for round in 0..20 {
        let writes = (0..8_usize).map(|writer| {
            let store = stores[writer % 2].clone();
            let op = Op::set(path(&format!("users/{round}-{writer}/email")), round);
            tokio::spawn(async move { store.write(op.into()).await })
        });
        let mut refused = Vec::new();
        for write in writes.collect::<Vec<_>>() {
            refused.extend(write.await.unwrap().err());
        }
        assert_eq!(refused.len(), 7);
        let found = stores[1]
            .query(&IndexQuery::new(index.clone()).equals([round.into()]))
            .await
            .unwrap();
        let [winner] = &*found.records else { panic!("{found:?}") };
        for error in refused {
            assert_eq!((error.kind(), error.code()), (ErrorKind::Conflict, "not_unique"));
            let at = error.conflict().unwrap();
            assert_eq!(
                (&at.path, at.current),
                (&winner.path.child("email").unwrap(), Some(winner.entries[0].revision))
            );
            assert!(error.detail().contains(winner.path.as_str()), "{error}");
            assert!(error.detail().contains("users by email (unique)"), "{error}");
        }
    }
    assert_right(&stores[0]).await;
}

#[tokio::test]
async fn unique_values_are_compared_as_a_batch_leaves_them() {
    let store = Embedded::memory();
    let index = index("r", &["v"]).unique();
    build(&store, &index).await;
    let set = |at: &str, value: Value| Op::set(path(at), value);
    let long = |end: &str| Value::from("x".repeat(600) + end);
    // What is null, absent, a list or a map is like nothing else.
    for slug in ["n1", "n2"] {
        for value in ["null", "[1]", "{\"a\":1}"] {
            store
                .write(set(&format!("r/{slug}/v"), crate::json(value)).into())
                .await
                .unwrap();
        }
        store
            .write(Op::set(path(&format!("r/{slug}x/other")), 1).into())
            .await
            .unwrap();
    }
    store.write(set("r/a/v", 1.into()).into()).await.unwrap();
    store.write(set("r/b/v", 2.into()).into()).await.unwrap();
    let head = store.head().await.unwrap();
    // Two records exchange their values in one batch, and a value moves on.
    store
        .write(Batch::new([set("r/a/v", 2.into()), set("r/b/v", 1.into())]))
        .await
        .unwrap();
    store
        .write(Batch::new([Op::delete(path("r/b")), set("r/c/v", 1.into())]))
        .await
        .unwrap();
    let refused = Batch::new([set("r/d/v", 2.into()), set("r/e/v", 9.into()), set("r/d/w", 1.into())]);
    let refused = store.write(refused).await.unwrap_err();
    let at = refused.conflict().unwrap();
    assert_eq!((at.op_index, at.path.as_str()), (2, "r/a/v"));
    // A number is the same however it is written.
    let worth = set("r/d/v", crate::json("2.0"));
    assert_eq!(store.write(worth.into()).await.unwrap_err().code(), "not_unique");
    // Strings are compared to their end, though the index has only their beginning.
    store.write(set("r/long1/v", long("a")).into()).await.unwrap();
    store.write(set("r/long2/v", long("b")).into()).await.unwrap();
    let again = set("r/long2/v", long("a"));
    assert_eq!(store.write(again.into()).await.unwrap_err().code(), "not_unique");
    store.write(set("r/long1/v", long("c")).into()).await.unwrap();
    store.write(set("r/long2/v", long("a")).into()).await.unwrap();
    assert_clean(&store).await;

    // What was there before the index may not be brought back.
    assert!(store.drop_index(&index).await.unwrap());
    store.write(set("r/f/v", 2.into()).into()).await.unwrap();
    let twice = store.head().await.unwrap();
    let refused = store.ensure_index(&index).await.unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (ErrorKind::Conflict, "not_unique"));
    assert!(refused.detail().contains("`a` and `f`"), "{refused}");
    assert!(store.indexes().await.unwrap().is_empty());
    store.write(Op::delete(path("r/f")).into()).await.unwrap();
    build(&store, &index).await;
    assert_eq!(store.rollback_store(twice).await.unwrap_err().code(), "not_unique");
    store.rollback_store(head).await.unwrap();
    assert_right(&store).await;
}

#[tokio::test]
async fn an_index_is_there_with_its_options_or_not_at_all() {
    let store = Embedded::memory();
    let plain = index("r", &["v"]);
    build(&store, &plain).await;
    for other in [plain.clone().covering(), plain.clone().unique()] {
        let refused = store.ensure_index(&other).await.unwrap_err();
        assert_eq!(
            (refused.kind(), refused.code()),
            (ErrorKind::InvalidParams, "index_differs")
        );
    }
    let covering = plain.clone().covering();
    assert!(store.drop_index(&covering).await.unwrap());
    build(&store, &covering).await;
    store
        .write(Op::set(path("r/a"), crate::json(r#"{"v":1,"w":{"x":2}}"#)).into())
        .await
        .unwrap();
    store.write(Op::set(path("r/a/w/x"), 3).into()).await.unwrap();
    // By whichever definition it is asked for.
    for asked in [plain, covering.clone()] {
        let page = store.query(&IndexQuery::new(asked)).await.unwrap();
        assert_eq!(page.records[0].entries, leaves(&store).await);
    }
    let status = store.rebuild_index(&covering).await.unwrap();
    assert_eq!((status.definition, status.state), (covering, IndexState::Readable));
    assert_right(&store).await;
}

/// More than one read of the index, in both directions, and cursors between them.
#[tokio::test]
async fn pages_of_a_covering_index_follow_each_other() {
    let store = Embedded::memory();
    fill(&store, 400).await;
    let covering = index("r", &["v", "w"]).covering();
    build(&store, &covering).await;
    for order in [Order::Asc, Order::Desc] {
        for limit in [1000, 130, 64, 63] {
            let all = IndexQuery::new(covering.clone()).order(order).limit(limit);
            assert_eq!(queried(&store, &all).await, filtered(&store, &all).await);
        }
    }
    assert_right(&store).await;
}

/// A transaction is told of a value that is taken at the write; one that is taken before its commit is a conflict.
#[tokio::test]
async fn transactions_keep_unique_values() {
    let store = Embedded::memory();
    let email = |slug: &str, value: i32| Op::set(path(&format!("users/{slug}/email")), value);
    build(&store, &index("users", &["email"]).unique()).await;
    store.write(email("ada", 1).into()).await.unwrap();
    let transaction = store.transaction(0).await.unwrap();
    let refused = transaction.write(email("bo", 1).into()).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.conflict().unwrap().op_index),
        ("not_unique", 0)
    );
    transaction.write(email("bo", 2).into()).await.unwrap();
    store.write(email("cy", 2).into()).await.unwrap();
    let conflict = transaction.commit().await.unwrap_err();
    assert_eq!(conflict.code(), dust_transport::transport::TRANSACTION_CONFLICT);
    assert_right(&store).await;
}
