//! Records that live only in their indexes: each is in all of them, whatever is done, and wherever it is cut.

use std::collections::{BTreeMap, BTreeSet};

use dust_layer::{Faults, Memory, disk};
use dust_store::{Database, Embedded, Options};
use dust_transport::model::{Path, Value};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexState, RecordChange};
use dust_transport::transport::Transport;
use proptest::prelude::*;

use crate::path;

fn index(field: &str) -> IndexDefinition {
    IndexDefinition::new(path("events"), [path(field)])
        .unwrap()
        .index_only()
}

async fn build(store: &Embedded, index: &IndexDefinition) {
    while store.ensure_index(index).await.unwrap().state != IndexState::Readable {}
}

/// Slug, then the fields `a`, `b` and `c`.
type Event = (u8, [u8; 3]);

fn change((slug, [a, b, c]): Event, is_put: bool) -> RecordChange {
    let at = Path::new(["events".to_owned(), slug.to_string()]).unwrap();
    let value = Value::map([("a", a), ("b", b), ("c", c)].map(|(name, value)| (name, Value::from(u32::from(value)))));
    if is_put {
        RecordChange::put(at, value)
    } else {
        RecordChange::delete(at, value)
    }
}

/// All that an index has, in its order, page by page.
async fn found(store: &Embedded, index: &IndexDefinition) -> Vec<Event> {
    let (mut query, mut events) = (IndexQuery::new(index.clone()).limit(3), Vec::new());
    loop {
        let page = store.query(&query).await.unwrap();
        for record in page.records {
            let fields = record.entries.iter().map(|entry| entry.value.to().unwrap());
            let fields: Vec<u8> = fields.collect();
            events.push((record.path.last().parse().unwrap(), fields.try_into().unwrap()));
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return events,
        }
    }
}

/// What should be there: no two records have one slug and one value of the same index.
#[derive(Default)]
struct Model {
    events: BTreeSet<Event>,
    /// The places of the fields that have an index.
    indexes: BTreeSet<usize>,
}

impl Model {
    fn apply(&mut self, event: Event, is_put: bool) {
        let (slug, fields) = event;
        let indexes = self.indexes.clone();
        self.events.retain(|(other, others)| {
            let is_same = |field: &usize| others[*field] == fields[*field];
            *other != slug || !indexes.iter().any(is_same)
        });
        if is_put {
            self.events.insert(event);
        }
    }

    /// Whether two records would be one in an index that is not there.
    fn is_one_record(&self, of: usize) -> bool {
        let places: BTreeSet<_> = self.events.iter().map(|(slug, fields)| (slug, fields[of])).collect();
        places.len() < self.events.len()
    }
}

const FIELDS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(Event, bool)>),
    Ensure(usize),
    Drop(usize),
    Rebuild(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let event = (0..3_u8, [0..3_u8, 0..3_u8, 0..3_u8]);
    prop_oneof![
        8 => prop::collection::vec((event, prop::bool::weighted(0.8)), 1..4).prop_map(Step::Write),
        2 => (0..3_usize).prop_map(Step::Ensure),
        1 => (0..3_usize).prop_map(Step::Drop),
        1 => (0..3_usize).prop_map(Step::Rebuild),
    ]
}

async fn take(store: &Embedded, model: &mut Model, step: Step) {
    match step {
        Step::Write(changes) => {
            let all = changes.iter().map(|(event, is_put)| change(*event, *is_put)).collect();
            match store.write_records(all).await {
                Ok(()) => changes
                    .into_iter()
                    .for_each(|(event, is_put)| model.apply(event, is_put)),
                Err(error) => assert!(error.code() == "no_index" && model.indexes.is_empty(), "{error}"),
            }
        }
        Step::Ensure(of) => {
            if model.is_one_record(of) {
                let refused = store.ensure_index(&index(FIELDS[of])).await.unwrap_err();
                assert_eq!(refused.code(), "not_unique");
                assert_eq!(store.indexes().await.unwrap().len(), model.indexes.len());
            } else {
                build(store, &index(FIELDS[of])).await;
                model.indexes.insert(of);
            }
        }
        Step::Drop(of) => {
            assert_eq!(
                store.drop_index(&index(FIELDS[of])).await.unwrap(),
                model.indexes.remove(&of)
            );
            if model.indexes.is_empty() {
                model.events.clear();
            }
        }
        Step::Rebuild(of) => match store.rebuild_index(&index(FIELDS[of])).await {
            Ok(status) => assert_eq!(status.state, IndexState::Readable),
            Err(error) if error.code() == "holds_records" => assert_eq!(model.indexes, BTreeSet::from([of])),
            Err(error) => assert!(error.code() == "no_index" && !model.indexes.contains(&of), "{error}"),
        },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn each_record_is_in_all_indexes(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (store, mut model) = (Embedded::memory(), Model::default());
            for step in steps {
                take(&store, &mut model, step).await;
                for of in &model.indexes {
                    let definition = index(FIELDS[*of]);
                    let mut expected: Vec<Event> = model.events.iter().copied().collect();
                    expected.sort_by_key(|(slug, fields)| (fields[*of], *slug));
                    prop_assert_eq!(found(&store, &definition).await, expected);
                    let report = store.verify_index(&definition).await.unwrap();
                    prop_assert!(report.is_clean() && report.records == model.events.len() as u64);
                }
            }
            prop_assert!(crate::leaves(&store).await.is_empty());
            prop_assert_eq!(store.head().await.unwrap().0, 0);
            Ok(())
        })?;
    }
}

fn event(n: u32) -> RecordChange {
    let at = path(&format!("events/{n:05}"));
    RecordChange::put(at, Value::map([("a", (n % 7).into()), ("b", (n % 11).into())]))
}

async fn fill(store: &Embedded, count: u32) {
    for first in (0..count).step_by(500) {
        let changes = (first..count.min(first + 500)).map(event);
        store.write_records(changes.collect()).await.unwrap();
    }
}

async fn slugs(store: &Embedded, index: &IndexDefinition) -> BTreeMap<String, usize> {
    let (mut query, mut slugs) = (IndexQuery::new(index.clone()).limit(1000), BTreeMap::new());
    loop {
        let page = store.query(&query).await.unwrap();
        for record in page.records {
            *slugs.entry(record.path.last().into_owned()).or_default() += 1;
        }
        match page.next {
            Some(next) => query.after = Some(next),
            None => return slugs,
        }
    }
}

/// A disk that fails at any of the syncs of a build from another index: reopened, it goes on, and nothing is lost.
#[tokio::test]
async fn a_build_from_another_index_goes_on_after_a_cut() {
    let (first, second) = (index("a"), index("b"));
    let mut cuts = 0;
    for sync in 1.. {
        let folder = tempfile::tempdir().unwrap();
        let faults = Faults::default();
        let options = disk::Options::default().faults(faults.clone());
        let database = Database::open_with(folder.path(), options, Options::default()).unwrap();
        let store = database.store("acme/site").await.unwrap();
        build(&store, &first).await;
        fill(&store, 3000).await;
        faults.fail_sync(sync);
        let ended = loop {
            match store.ensure_index(&second).await {
                Ok(status) if status.state == IndexState::Readable => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        drop((store, database));
        let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
        let indexes = store.indexes().await.unwrap();
        if indexes.iter().any(|status| status.state != IndexState::Readable) {
            // What the other is built from stays until it is.
            assert_eq!(store.drop_index(&first).await.unwrap_err().code(), "index_building");
            assert_eq!(store.rebuild_index(&first).await.unwrap_err().code(), "index_building");
        }
        // Before the build has come to them, and behind it.
        let gone = [1, 2999].map(|n| RecordChange::delete(event(n).path, event(n).value));
        store.write_records(gone.into()).await.unwrap();
        store.write_records(vec![event(3000)]).await.unwrap();
        build(&store, &second).await;
        for index in [&first, &second] {
            let report = store.verify_index(index).await.unwrap();
            assert!(report.is_clean() && report.records == 2999, "{report:?}");
        }
        assert_eq!(slugs(&store, &first).await, slugs(&store, &second).await);
        if ended {
            break;
        }
        cuts += 1;
    }
    assert!(cuts >= 3, "{cuts} cuts: the definition and at least two steps");
}

/// What is built from another index can be given up, also while a third is built from that one.
#[tokio::test]
async fn a_build_is_given_up_beside_another() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second, third] = FIELDS.map(index);
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    build(&store, &first).await;
    fill(&store, 3000).await;
    drop(store);
    for cut in [&second, &third] {
        let faults = Faults::default();
        let options = disk::Options::default().faults(faults.clone());
        let database = Database::open_with(folder.path(), options, Options::default()).unwrap();
        let store = database.store("acme/site").await.unwrap();
        // The definition is written, and no step of the build.
        faults.fail_sync(2);
        store.ensure_index(cut).await.unwrap_err();
    }
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    let indexes = store.indexes().await.unwrap();
    let building = indexes
        .iter()
        .filter(|status| status.state != IndexState::Readable)
        .count();
    assert_eq!((indexes.len(), building), (3, 2));
    assert!(store.drop_index(&second).await.unwrap());
    assert_eq!(store.drop_index(&first).await.unwrap_err().code(), "index_building");
    build(&store, &third).await;
    assert!(store.drop_index(&first).await.unwrap());
    assert_eq!(slugs(&store, &third).await.len(), 3000);
}

/// Two nodes write the same records and build the same index.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_of_two_nodes_are_in_all_indexes() {
    let engine = Memory::new();
    let nodes = [Database::on(engine.clone()), Database::on(engine)];
    let mut stores = Vec::new();
    for node in &nodes {
        stores.push(node.store("acme/site").await.unwrap());
    }
    build(&stores[0], &index("a")).await;
    fill(&stores[0], 2000).await;
    let mut tasks = Vec::new();
    for (n, store) in (0..4_u8).zip(stores.iter().cycle().cloned()) {
        tasks.push(tokio::spawn(async move {
            if n < 2 {
                build(&store, &index("b")).await;
            }
            for round in 0..100_u8 {
                let event = (round % 5, [round % 3, (round + n) % 4, 0]);
                let changes = vec![change(event, round % 4 > 0), change((n, [n, n, n]), true)];
                store.write_records(changes).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    for field in ["a", "b"] {
        let report = stores[0].verify_index(&index(field)).await.unwrap();
        assert!(report.is_clean() && report.records > 2000, "{field}: {report:?}");
    }
    assert_eq!(
        slugs(&stores[0], &index("a")).await,
        slugs(&stores[1], &index("b")).await
    );
}

#[tokio::test]
async fn copies_have_the_records() {
    let database = Database::memory();
    let store = database.store("acme/site").await.unwrap();
    build(&store, &index("a")).await;
    fill(&store, 3).await;
    let copy = database.copy("acme/site", "acme/copy").await.unwrap();
    assert_eq!(slugs(&copy, &index("a")).await.len(), 3);
}
