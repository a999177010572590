//! Entries of covering indexes hold records of any length, and those of one value are as they were.

use std::collections::BTreeMap;

use dust_layer::{Direction, Engine, Isolation, Limits, Memory, RangeRead, Transaction as _};
use dust_store::codec::{Covered, Leaf, Piece, Split};
use dust_store::{Database, Embedded};
use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, Entry, Op, Path, Seq, Value};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexState, RecordChange};
use dust_transport::transport::{Order, Transport};
use proptest::prelude::*;

use crate::{leaves, path};

/// The longest entry that is one value.
const WHOLE: usize = 64 << 10;

fn index(field: &str) -> IndexDefinition {
    IndexDefinition::new(path("r"), [path(field)]).unwrap().covering()
}

async fn build(store: &Embedded, index: &IndexDefinition) {
    while store.ensure_index(index).await.unwrap().state != IndexState::Readable {}
}

/// Sets leaves of a record: its value `v`, and texts of these lengths.
fn record(slug: &str, v: u64, texts: &[usize]) -> Batch {
    let set = |field: String, value: Value| Op::set(path(&format!("r/{slug}/{field}")), value);
    let texts = texts.iter().zip('a'..);
    let texts = texts.map(|(bytes, field)| set(field.to_string(), "x".repeat(*bytes).into()));
    Batch::new(texts.chain([set("v".to_owned(), number(v))]))
}

fn number(number: u64) -> Value {
    crate::json(&number.to_string())
}

/// All that a query finds, page by page.
async fn found(store: &dyn Transport, index: &IndexDefinition, order: Order, limit: usize) -> Vec<(Path, Vec<Entry>)> {
    let mut query = IndexQuery::new(index.clone()).order(order).limit(limit);
    let mut found = Vec::new();
    loop {
        let page = store.query(&query).await.unwrap();
        assert!(page.records.len() == limit || page.next.is_none(), "a page is short");
        found.extend(page.records.into_iter().map(|record| (record.path, record.entries)));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return found,
        }
    }
}

/// The index gives the records as their leaves are, both ways and in pages of any length, and verifies.
async fn assert_right(store: &Embedded, index: &IndexDefinition) {
    let field = index.fields()[0].as_str();
    let mut records: BTreeMap<Path, Vec<Entry>> = BTreeMap::new();
    for leaf in leaves(store).await {
        records.entry(leaf.path.parent().unwrap()).or_default().push(leaf);
    }
    let key = |entries: &[Entry]| {
        let value = entries.iter().find(|entry| entry.path.last() == field);
        value.and_then(|entry| entry.value.to::<u64>().ok())
    };
    let mut expected: Vec<_> = records.into_iter().collect();
    expected.sort_by_key(|(path, entries)| (key(entries), path.clone()));
    for limit in [1, 2, 1000] {
        assert!(found(store, index, Order::Asc, limit).await == expected, "{limit}");
    }
    expected.reverse();
    for limit in [1, 3, 1000] {
        assert!(found(store, index, Order::Desc, limit).await == expected, "{limit}");
    }
    let report = store.verify_index(index).await.unwrap();
    assert!(
        report.is_clean() && report.records == expected.len() as u64,
        "{report:?}"
    );
}

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// The pairs of an engine whose keys have these bytes.
async fn pairs<E: Engine>(engine: &E, within: &[u8]) -> Pairs {
    let (transaction, mut begin) = (engine.begin(), Vec::new());
    let mut pairs = Vec::new();
    loop {
        let read = RangeRead {
            begin: &begin,
            end: b"\xff",
            limit: 1000,
            direction: Direction::Forward,
            isolation: Isolation::Snapshot,
        };
        let page = transaction.get_range(read).await.unwrap();
        let is_within = |key: &[u8]| key.windows(within.len()).any(|bytes| bytes == within);
        pairs.extend(
            page.iter()
                .filter(|(key, _)| is_within(key))
                .map(|(key, value)| (key.to_vec(), value.to_vec())),
        );
        match page.last_key() {
            Some(last) if page.more() => begin = [last, &[0]].concat(),
            _ => return pairs,
        }
    }
}

/// The entries of all indexes, and their pieces: they are below a Unicode string.
async fn stored<E: Engine>(engine: &E) -> Pairs {
    let mut all = pairs(engine, &[0x01, 0xFD, 0x00, 0x02]).await;
    // What says that records have been written is below it, too.
    all.retain(|(key, _)| !key.ends_with(b"\x01g\0"));
    all
}

/// The format of the definitions of the indexes.
async fn format<E: Engine>(engine: &E) -> Option<u8> {
    pairs(engine, b"\x01indexes\0").await.first().map(|(_, value)| value[0])
}

async fn change<E: Engine>(engine: &E, changes: impl IntoIterator<Item = (Vec<u8>, Option<Vec<u8>>)>) {
    let transaction = engine.begin();
    for (key, value) in changes {
        match value {
            Some(value) => transaction.set(&key, &value),
            None => transaction.clear(&key),
        }
    }
    transaction.commit().await.unwrap();
}

/// How long the entry of a record is, by its leaves.
async fn entry_bytes(store: &Embedded, slug: &str) -> usize {
    let at = path(&format!("r/{slug}"));
    let entries = leaves(store).await;
    let leaf = |entry: &Entry| {
        let below = entry.path.strip_prefix(&at)?.to_owned();
        Some((below, entry.kind, entry.revision.0, entry.value.json().to_owned()))
    };
    let own: Vec<_> = entries.iter().filter_map(leaf).collect();
    let leaves = own.iter().map(|(below, kind, revision, text)| {
        let (kind, revision) = (*kind, *revision);
        (below.as_str(), Leaf { kind, revision, text })
    });
    let covered = Covered {
        leaves: leaves.collect(),
    };
    covered.encode().len()
}

async fn records_of_any_length<E: Engine>(database: &Database<E>) {
    let store = database.store("acme/site").await.unwrap();
    let index = index("v");
    build(&store, &index).await;
    store.write(record("before", 1, &[10])).await.unwrap();
    store.write(record("behind", 3, &[10])).await.unwrap();
    let mut seen = Vec::new();
    // Each in the place of the last: it grows over the limit and shrinks back, by one leaf and by the whole record.
    let near = |extra: usize| WHOLE - 40 + extra;
    for texts in [
        &[1][..],
        &[near(0)],
        &[near(8)],
        &[near(16)],
        &[near(24)],
        &[near(32)],
        &[near(60)],
        &[40_000, 40_000, 90_000],
        &[2 * WHOLE],
        &[10],
        &[10, 10, 300_000],
        &[1_000_000],
        &[near(8)],
    ] {
        let clear = Op::delete(path("r/large"));
        let batch = Batch::new(std::iter::once(clear).chain(record("large", 2, texts).ops));
        store.write(batch).await.unwrap();
        let bytes = entry_bytes(&store, "large").await;
        let keys = stored(database.engine()).await.len() - 2;
        assert_eq!(keys == 1, bytes <= WHOLE, "{bytes} bytes in {keys} keys");
        assert!(keys <= 2 + bytes / (WHOLE - 11), "{bytes} bytes in {keys} keys");
        seen.push(keys);
        assert_right(&store, &index).await;
    }
    assert!(
        seen.contains(&1) && seen.contains(&3) && seen.iter().any(|keys| *keys > 15),
        "{seen:?}"
    );
    // It moves to another place, and goes.
    store.write(record("large", 9, &[70_000])).await.unwrap();
    assert_right(&store, &index).await;
    store.write(Op::delete(path("r/large")).into()).await.unwrap();
    assert_eq!(stored(database.engine()).await.len(), 2);
    assert_right(&store, &index).await;
}

#[tokio::test]
async fn records_of_any_length_come_back_whole() {
    records_of_any_length(&Database::memory()).await;
}

#[tokio::test]
async fn records_of_any_length_come_back_whole_from_disk() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path()).unwrap();
    records_of_any_length(&database).await;
    let store = database.store("acme/site").await.unwrap();
    store.write(record("large", 2, &[200_000, 5])).await.unwrap();
    drop((store, database));
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    assert_right(&store, &index("v")).await;
}

/// More large entries than one read of the index takes, and steps of a build that end between them.
#[tokio::test]
async fn indexes_are_built_over_large_records() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    for n in 0..30_u64 {
        let text = if n % 3 == 0 { 400_000 } else { 20 };
        store.write(record(&format!("{n:02}"), n % 7, &[text])).await.unwrap();
    }
    let index = index("v");
    build(&store, &index).await;
    assert_right(&store, &index).await;
    let status = store.rebuild_index(&index).await.unwrap();
    assert_eq!(status.state, IndexState::Readable);
    assert_right(&store, &index).await;
    let head = store.head().await.unwrap();
    store.write(record("00", 0, &[3])).await.unwrap();
    store.rollback_store(head).await.unwrap();
    assert_right(&store, &index).await;
    assert!(store.drop_index(&index).await.unwrap());
    assert!(store.indexes().await.unwrap().is_empty());
}

/// An entry whose key has no room for the number of a piece, and a record that no transaction takes.
#[tokio::test]
async fn what_no_transaction_takes_is_refused() {
    let limits = Limits {
        transaction_bytes_max: 2 << 20,
        ..Limits::default()
    };
    let store = Database::on(Memory::with_limits(limits))
        .store("acme/site")
        .await
        .unwrap();
    let index = index("v");
    for field in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"] {
        let leaf = Op::set(path(&format!("r/large/{field}")), "x".repeat(90_000));
        store.write(leaf.into()).await.unwrap();
    }
    let refused = store.ensure_index(&index).await.unwrap_err();
    assert_eq!(
        (refused.kind(), refused.code()),
        (ErrorKind::InvalidParams, "payload_too_large")
    );
    assert_eq!(
        store.indexes().await.unwrap()[0].state,
        IndexState::Building { records: 0 }
    );
    store.write(Op::delete(path("r/large/a")).into()).await.unwrap_err();
    store.write(Op::delete(path("r/large")).into()).await.unwrap();
    build(&store, &index).await;
    store.write(record("a", 1, &[90_000, 90_000])).await.unwrap();
    assert_right(&store, &index).await;
}

/// Definitions say that entries are in pieces, once they are; a version that does not know them refuses the store's writes.
#[tokio::test]
async fn definitions_say_that_entries_are_in_pieces() {
    let engine = Memory::new();
    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    build(&store, &index("v")).await;
    store.write(record("small", 1, &[1000])).await.unwrap();
    assert_eq!(format(&engine).await, Some(2));
    let refused = Op::set(path("r/other/v"), 1).when(dust_transport::model::Precondition::Match(Seq(99)));
    let batch = Batch::new(record("other", 1, &[50_000, 50_000]).ops.into_iter().chain([refused]));
    store.write(batch).await.unwrap_err();
    assert_eq!(format(&engine).await, Some(2));
    store.write(record("large", 1, &[50_000, 50_000])).await.unwrap();
    assert_eq!(format(&engine).await, Some(3));
    assert!(store.drop_index(&index("v")).await.unwrap());
    assert_eq!(format(&engine).await, None);
    // And by a build.
    build(&store, &index("v")).await;
    assert_eq!(format(&engine).await, Some(3));
    assert_right(&store, &index("v")).await;
}

/// What versions before have written: one value, however long.
#[tokio::test]
async fn entries_of_one_long_value_are_read_and_replaced() {
    let engine = Memory::with_limits(Limits {
        value_bytes_max: 1 << 20,
        ..Limits::default()
    });
    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    let index = index("v");
    for slug in ["a", "b", "c"] {
        store.write(record(slug, 1, &[90_000, 90_000])).await.unwrap();
    }
    build(&store, &index).await;
    let mut whole: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut key = Vec::new();
    let pieces = stored(&engine).await;
    for (at, value) in &pieces {
        match Piece::decode(value) {
            Ok(piece) => whole.entry(key.clone()).or_default().extend_from_slice(piece.part),
            Err(_) => key.clone_from(at),
        }
    }
    assert_eq!((pieces.len(), whole.len()), (3 * 4, 3));
    let definitions = pairs(&engine, b"\x01indexes\0").await.remove(0);
    let before = [&[2], &definitions.1[1..]].concat();
    let gone = pieces.into_iter().map(|(key, _)| (key, None));
    let long = whole.into_iter().map(|(key, record)| (key, Some(record)));
    change(&engine, gone.chain(long).chain([(definitions.0, Some(before))])).await;
    assert_eq!(stored(&engine).await.len(), 3);

    assert_right(&store, &index).await;
    store.write(record("a", 1, &[10])).await.unwrap();
    store.write(record("b", 2, &[90_000, 90_001])).await.unwrap();
    assert_right(&store, &index).await;
    assert_eq!(stored(&engine).await.len(), 3 + 4 + 1);
    store.write(Op::delete(path("r/c")).into()).await.unwrap();
    assert_right(&store, &index).await;
}

/// Whatever of an entry is damaged is found, named as corrupt, and repaired by a rebuild.
#[tokio::test]
async fn damaged_pieces_are_found() {
    for damage in 0..9 {
        let engine = Memory::new();
        let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
        let index = index("v");
        build(&store, &index).await;
        for (slug, v, texts) in [("a", 1, &[5][..]), ("b", 2, &[60_000, 60_000, 60_000]), ("c", 3, &[5])] {
            store.write(record(slug, v, texts)).await.unwrap();
        }
        let all = stored(&engine).await;
        let [small, header, first, second, third, _] = &all[..] else {
            panic!("an entry, one with three pieces, and an entry")
        };
        let number = |key: &[u8], number: u8| [key, &[0x15, number]].concat();
        let mut turned = second.1.clone();
        *turned.last_mut().unwrap() ^= 1;
        let split = Split::decode(&header.1).unwrap();
        assert_eq!(split.pieces, 3);
        let fewer = Split { pieces: 2, ..split };
        let (changes, is_missing) = match damage {
            0 => (vec![(first.0.clone(), None)], true),
            1 => (vec![(third.0.clone(), None)], true),
            2 => (vec![(second.0.clone(), Some(turned))], true),
            3 => (vec![(second.0.clone(), Some(third.1.clone()))], true),
            // A piece too many: of a record in pieces, and of one that is whole.
            4 => (vec![(number(&header.0, 3), Some(third.1.clone()))], true),
            5 => (vec![(number(&small.0, 1), Some(second.1.clone()))], true),
            6 => (vec![(header.0.clone(), None)], true),
            7 => (vec![(header.0.clone(), Some(fewer.encode()))], true),
            // Pieces of a record that is not there at all.
            _ => {
                let foreign = [&header.0[..header.0.len() - 2], b"x\0"].concat();
                (vec![(number(&foreign, 1), Some(second.1.clone()))], false)
            }
        };
        change(&engine, changes).await;
        let report = store.verify_index(&index).await.unwrap();
        assert_eq!(
            (report.records, report.missing),
            (3, u64::from(is_missing)),
            "{damage}: {report:?}"
        );
        assert_eq!(report.stale, u64::from(!is_missing), "{damage}: {report:?}");
        for order in [Order::Asc, Order::Desc] {
            let query = IndexQuery::new(index.clone()).order(order);
            let error = store.query(&query).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{damage} {order:?}: {error:?}");
        }
        store.rebuild_index(&index).await.unwrap();
        assert_right(&store, &index).await;
        assert_eq!(stored(&engine).await, all);
    }
}

/// A cursor stands at an entry, not within one.
#[tokio::test]
async fn cursors_within_an_entry_are_refused() {
    let engine = Memory::new();
    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    let index = index("v");
    build(&store, &index).await;
    store.write(record("a", 1, &[80_000])).await.unwrap();
    store.write(record("b", 1, &[80_000])).await.unwrap();
    let all = IndexQuery::new(index).limit(1);
    let cursor = store.query(&all).await.unwrap().next.unwrap();
    for number in ["14", "1501", "160100"] {
        let within = format!("{}{number}", cursor.as_str());
        let query = all.clone().after(dust_transport::query::Cursor::new(within));
        assert_eq!(store.query(&query).await.unwrap_err().code(), "invalid_cursor");
    }
    let second = store.query(&all.after(cursor)).await.unwrap();
    assert_eq!((second.records[0].path.as_str(), second.next), ("r/b", None));
}

/// A transaction reads large records that it has written, shrunk and grown, and its commit writes them.
#[tokio::test]
async fn transactions_see_large_records() {
    let store = Embedded::memory();
    let index = index("v");
    build(&store, &index).await;
    store.write(record("a", 1, &[10])).await.unwrap();
    let transaction = store.transaction(0).await.unwrap();
    for (slug, texts) in [
        ("a", &[90_000][..]),
        ("b", &[200_000]),
        ("b", &[10]),
        ("b", &[10, 100_000]),
        ("a", &[20]),
    ] {
        transaction.write(record(slug, 1, texts)).await.unwrap();
        let expected: Vec<_> = transaction
            .list(&dust_transport::transport::List::below(path("r")))
            .await
            .unwrap()
            .items
            .into_entries();
        for order in [Order::Asc, Order::Desc] {
            let mut records = found(&*transaction, &index, order, 1).await;
            records.sort_by(|(left, _), (right, _)| left.cmp(right));
            let entries: Vec<_> = records.into_iter().flat_map(|(_, entries)| entries).collect();
            assert!(entries == expected, "{slug} {texts:?}");
        }
    }
    transaction.commit().await.unwrap();
    assert_right(&store, &index).await;
}

/// Large records that live only in their indexes: written, replaced, deleted, and built into another index.
#[tokio::test]
async fn records_without_leaves_are_large() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path()).unwrap();
    let store = database.store("acme/site").await.unwrap();
    let [by_v, by_w] = ["v", "w"].map(|field| IndexDefinition::new(path("e"), [path(field)]).unwrap().index_only());
    build(&store, &by_v).await;
    let event = |slug: u32, w: u32, bytes: usize| {
        let at = path(&format!("e/{slug:02}"));
        let (v, text) = (Value::from(slug % 3), Value::from("x".repeat(bytes)));
        RecordChange::put(at, Value::map([("text", text), ("v", v), ("w", w.into())]))
    };
    let lengths = |store: &Embedded, index: &IndexDefinition| {
        let (store, index) = (store.clone(), index.clone());
        async move {
            let mut lengths = Vec::new();
            for (path, entries) in found(&store, &index, Order::Desc, 2).await {
                lengths.push((path.last().into_owned(), entries[0].value.json().len() - 2));
            }
            lengths.sort();
            let report = store.verify_index(&index).await.unwrap();
            assert!(
                report.is_clean() && report.records == lengths.len() as u64,
                "{report:?}"
            );
            lengths
        }
    };
    let mut expected = Vec::new();
    for slug in 0..40_u32 {
        let bytes = if slug % 2 == 0 { 300_000 } else { 7 };
        expected.push((format!("{slug:02}"), bytes));
        store.write_records(vec![event(slug, slug, bytes)]).await.unwrap();
    }
    assert_eq!(lengths(&store, &by_v).await, expected);
    // In one batch it grows and shrinks, with one index and with two.
    for index in [&by_v, &by_w] {
        build(&store, index).await;
        let changes = vec![
            event(0, 0, 5),
            event(1, 1, 90_000),
            event(2, 2, 500_000),
            event(2, 2, 9),
        ];
        store.write_records(changes).await.unwrap();
        for (slug, bytes) in [(0, 5), (1, 90_000), (2, 9)] {
            expected[slug].1 = bytes;
        }
        assert_eq!(lengths(&store, index).await, expected);
        store
            .write_records(vec![event(0, 0, 400_000), event(1, 1, 6)])
            .await
            .unwrap();
        (expected[0].1, expected[1].1) = (400_000, 6);
        assert_eq!(lengths(&store, &by_v).await, expected);
    }
    drop((store, database));
    let store = Embedded::open(folder.path(), "acme/site").await.unwrap();
    assert_eq!(lengths(&store, &by_w).await, expected);
    // What has its place in either of them goes from both.
    store.write_records(vec![event(4, 99, 70_000)]).await.unwrap();
    expected[4].1 = 70_000;
    let gone = event(6, 6, 1);
    store
        .write_records(vec![RecordChange::delete(gone.path, gone.value)])
        .await
        .unwrap();
    expected.remove(6);
    for index in [&by_v, &by_w] {
        assert_eq!(lengths(&store, index).await, expected);
    }
    assert!(store.drop_index(&by_v).await.unwrap());
    assert_eq!(lengths(&store, &by_w).await, expected);
}

/// A damaged record that lives only in its indexes is told, in the one that has it and in the one that has not.
#[tokio::test]
async fn damaged_records_without_leaves_are_found() {
    let engine = Memory::new();
    let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
    let [by_v, by_w] = ["v", "w"].map(|field| IndexDefinition::new(path("e"), [path(field)]).unwrap().index_only());
    build(&store, &by_v).await;
    build(&store, &by_w).await;
    let value = Value::map([
        ("text", Value::from("x".repeat(100_000))),
        ("v", 1.into()),
        ("w", 2.into()),
    ]);
    store
        .write_records(vec![RecordChange::put(path("e/a"), value)])
        .await
        .unwrap();
    let all = stored(&engine).await;
    assert_eq!(all.len(), 6);
    change(&engine, [(all[2].0.clone(), None)]).await;
    let [of_v, of_w] = [
        store.verify_index(&by_v).await.unwrap(),
        store.verify_index(&by_w).await.unwrap(),
    ];
    assert_eq!((of_v.records, of_v.missing, of_v.stale), (1, 1, 1));
    assert!(of_w.is_clean() && of_w.records == 1, "{of_w:?}");
    store.rebuild_index(&by_v).await.unwrap();
    assert!(store.verify_index(&by_v).await.unwrap().is_clean());
    assert_eq!(stored(&engine).await, all);
}

#[derive(Debug, Clone)]
enum Step {
    /// Slug, the values of both indexes, field, and the length of its text.
    Write(Vec<(u8, u64, u64, u8, usize)>),
    Delete(u8),
    Field(u8, u8),
    Ensure(bool),
    Drop(bool),
    Rebuild(bool),
    Rollback(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let bytes = prop_oneof![Just(0_usize), 1..30_usize, 300..500_usize];
    let write = (0..4_u8, 0..3_u64, 0..3_u64, 0..4_u8, bytes);
    prop_oneof![
        8 => prop::collection::vec(write, 1..6).prop_map(Step::Write),
        2 => (0..4_u8).prop_map(Step::Delete),
        2 => (0..4_u8, 0..4_u8).prop_map(|(slug, field)| Step::Field(slug, field)),
        2 => any::<bool>().prop_map(Step::Ensure),
        1 => any::<bool>().prop_map(Step::Drop),
        1 => any::<bool>().prop_map(Step::Rebuild),
        1 => (0..40_u64).prop_map(Step::Rollback),
    ]
}

async fn take(store: &Embedded, step: Step) {
    let of = |is_second: bool| if is_second { index("w") } else { index("v") };
    match step {
        Step::Write(writes) => {
            let mut ops = Vec::new();
            for (slug, v, w, field, bytes) in writes {
                let at = |field: &str| path(&format!("r/{slug}/{field}"));
                ops.push(Op::set(at("v"), number(v)));
                ops.push(Op::set(at("w"), number(w)));
                ops.push(Op::set(at(&format!("x{field}")), "x".repeat(bytes)));
            }
            store.write(Batch::new(ops)).await.unwrap();
        }
        Step::Delete(slug) => {
            store
                .write(Op::delete(path(&format!("r/{slug}"))).into())
                .await
                .unwrap();
        }
        Step::Field(slug, field) => {
            let at = path(&format!("r/{slug}/x{field}"));
            store.write(Op::delete(at).into()).await.unwrap();
        }
        Step::Ensure(is_second) => build(store, &of(is_second)).await,
        Step::Drop(is_second) => {
            store.drop_index(&of(is_second)).await.unwrap();
        }
        Step::Rebuild(is_second) => match store.rebuild_index(&of(is_second)).await {
            Ok(status) => assert_eq!(status.state, IndexState::Readable),
            Err(error) => assert_eq!(error.code(), "no_index"),
        },
        Step::Rollback(to) => {
            let head = store.head().await.unwrap();
            if head.0 > 0 {
                store.rollback_store(Seq(to.clamp(1, head.0))).await.unwrap();
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// An engine of small values, so that records are in up to five pieces; whatever is done, nothing is left over.
    #[test]
    fn entries_are_those_of_the_records(steps in prop::collection::vec(step(), 1..24)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let limits = Limits { value_bytes_max: 640, ..Limits::default() };
            let engine = Memory::with_limits(limits);
            let store = Database::on(engine.clone()).store("acme/site").await.unwrap();
            for step in steps {
                take(&store, step).await;
                let mut keys = 0;
                for status in store.indexes().await.unwrap() {
                    assert_right(&store, &status.definition).await;
                    for (_, entries) in found(&store, &status.definition, Order::Asc, 10).await {
                        let slug = entries[0].path.parent().unwrap().last().into_owned();
                        let bytes = entry_bytes(&store, &slug).await;
                        keys += if bytes <= 640 { 1 } else { 1 + bytes.div_ceil(640 - 11) };
                    }
                }
                prop_assert_eq!(stored(&engine).await.len(), keys);
            }
            Ok(())
        })?;
    }
}
