//! Transactions: what they prevent, how they end, and what becomes of commits that nobody heard of.

use std::sync::Arc;
use std::task::{Context, Waker};

use dust_layer::Memory;
use dust_store::{Database, Embedded, Options};
use dust_transport::error::{Error, ErrorKind, Outcome};
use dust_transport::model::{Batch, DeviceId, Op, Seq, Value};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexState, RecordChange};
use dust_transport::suite;
use dust_transport::transport::{List, TRANSACTION_CONFLICT, Transaction, Transport};
use futures_util::future::join_all;

use crate::gate::{Gated, Lost};
use crate::{json, leaves, path};

async fn begin(store: &Embedded) -> Arc<dyn Transaction> {
    store.transaction(0).await.unwrap()
}

async fn number(store: &dyn Transport, at: &str) -> i64 {
    let found = store.get(&path(at)).await.unwrap();
    found.map_or(0, |entry| entry.value.to().unwrap())
}

async fn set(store: &dyn Transport, at: &str, value: i64) {
    store.write(Op::set(path(at), value).into()).await.unwrap();
}

fn is_conflict(error: &Error) -> bool {
    error.kind() == ErrorKind::Conflict && error.code() == TRANSACTION_CONFLICT
}

async fn shown(store: &Embedded) -> Vec<String> {
    let all = leaves(store).await;
    all.iter().map(|leaf| format!("{}={}", leaf.path, leaf.value)).collect()
}

/// Every promise of reads and writes holds in a transaction, too. Those of op ids and of the making of indexes do not apply; what
/// needs an index is asked by the promises of transactions.
#[test]
fn transaction_is_a_transport() {
    let asked = suite::all()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("query::") && !name.starts_with("record::"));
    for (name, promise) in asked {
        println!("{name}");
        let fresh = async || (InTransaction(begin(&Embedded::memory()).await), ());
        suite::run(fresh, promise);
    }
}

/// The transaction as what the suite asks for: a transport of its own.
#[derive(Debug)]
struct InTransaction(Arc<dyn Transaction>);

mod forwarded {
    use dust_transport::error::Error;
    use dust_transport::model::{Batch, Entry, Path};
    use dust_transport::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage};
    use dust_transport::transport::{
        Capabilities, EventStream, List, Page, Subscribe, Transaction, Transport, Written,
    };
    use futures_core::future::BoxFuture;
    use std::sync::Arc;

    use super::InTransaction;

    impl Transport for InTransaction {
        fn name(&self) -> &'static str {
            self.0.name()
        }
        fn capabilities(&self) -> Capabilities {
            self.0.capabilities()
        }
        fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
            self.0.list(query)
        }
        fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
            self.0.get(path)
        }
        fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
            self.0.get_many(paths)
        }
        fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
            self.0.exists(path)
        }
        fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
            self.0.write(batch)
        }
        fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
            self.0.subscribe(subscribe)
        }
        fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
            self.0.indexes()
        }
        fn ensure_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
            self.0.ensure_index(definition)
        }
        fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
            self.0.query(query)
        }
        fn transaction(&self, attempt: u32) -> BoxFuture<'_, Result<Arc<dyn Transaction>, Error>> {
            self.0.transaction(attempt)
        }
    }
}

/// Two that read both and write one each: at least one may stay on call, whoever goes.
#[tokio::test]
async fn write_skew_is_prevented() {
    let store = Embedded::memory();
    store
        .write(Op::set(path("on_call"), json(r#"{"ada":1,"bo":1}"#)).into())
        .await
        .unwrap();
    let (first, second) = (begin(&store).await, begin(&store).await);
    for (transaction, who) in [(&first, "ada"), (&second, "bo")] {
        let on_call = number(&**transaction, "on_call/ada").await + number(&**transaction, "on_call/bo").await;
        assert_eq!(on_call, 2);
        set(&**transaction, &format!("on_call/{who}"), 0).await;
    }
    first.commit().await.unwrap();
    assert!(is_conflict(&second.commit().await.unwrap_err()));
    assert_eq!(shown(&store).await, ["on_call/ada=0", "on_call/bo=1"]);
}

#[tokio::test]
async fn lost_update_is_prevented() {
    let store = Embedded::memory();
    let (first, second) = (begin(&store).await, begin(&store).await);
    for (transaction, by) in [(&first, 1), (&second, 10)] {
        let seen = number(&**transaction, "n").await;
        set(&**transaction, "n", seen + by).await;
    }
    second.commit().await.unwrap();
    assert!(is_conflict(&first.commit().await.unwrap_err()));
    assert_eq!(number(&store, "n").await, 10);
}

/// What a list or a query did not find counts: one that appears is a conflict.
#[tokio::test]
async fn phantoms_are_conflicts() {
    let store = Embedded::memory();
    let index = IndexDefinition::new(path("users"), [path("age")]).unwrap();
    while store.ensure_index(&index).await.unwrap().state != IndexState::Readable {}
    let query = IndexQuery::new(index).equals([json("36")]);
    for by_query in [false, true] {
        let transaction = begin(&store).await;
        let found = if by_query {
            transaction.query(&query).await.unwrap().records.len()
        } else {
            transaction.list(&List::below(path("users"))).await.unwrap().items.len()
        };
        assert_eq!(found, 0, "by query: {by_query}");
        set(&*transaction, "count", 0).await;
        store
            .write(Op::set(path("users/ada"), json(r#"{"age":36}"#)).into())
            .await
            .unwrap();
        assert!(
            is_conflict(&transaction.commit().await.unwrap_err()),
            "by query: {by_query}"
        );
        // The same again sees the record, and is not in conflict with what is elsewhere.
        let transaction = begin(&store).await;
        assert_eq!(transaction.query(&query).await.unwrap().records.len(), 1);
        set(&*transaction, "count", 1).await;
        set(&store, "users-old/ada", 1).await;
        transaction.commit().await.unwrap();
        store.write(Op::delete(path("users")).into()).await.unwrap();
    }
}

/// A value that somebody else has taken since is a conflict; the next attempt is told that it is taken.
#[tokio::test]
async fn unique_values_are_compared_at_the_commit() {
    let store = Embedded::memory();
    let by_email = IndexDefinition::new(path("users"), [path("email")]).unwrap().unique();
    while store.ensure_index(&by_email).await.unwrap().state != IndexState::Readable {}
    let sign_up = |slug: &str| Batch::one(Op::set(path(&format!("users/{slug}")), json(r#"{"email":"a@b"}"#)));
    let transaction = begin(&store).await;
    transaction.write(sign_up("ada")).await.unwrap();
    store.write(sign_up("bo")).await.unwrap();
    assert!(is_conflict(&transaction.commit().await.unwrap_err()));

    let transaction = begin(&store).await;
    let refused = transaction.write(sign_up("ada")).await.unwrap_err();
    assert!(
        refused.kind() == ErrorKind::Conflict && !is_conflict(&refused),
        "{refused:?}"
    );
    // Whoever was told so has read it: it is a conflict if it is no longer so.
    set(&*transaction, "refusals", 1).await;
    store.write(Op::delete(path("users/bo")).into()).await.unwrap();
    assert!(is_conflict(&transaction.commit().await.unwrap_err()));
    assert!(shown(&store).await.is_empty());
}

/// Counts up by a read and a write, again and again until it is not in conflict.
async fn count_up(store: &Embedded, times: u32) {
    for _ in 0..times {
        for attempt in 0.. {
            let transaction = store.transaction(attempt).await.unwrap();
            let seen = number(&*transaction, "n").await;
            set(&*transaction, "n", seen + 1).await;
            match transaction.commit().await {
                Ok(_) => break,
                Err(error) => assert!(is_conflict(&error), "{error:?}"),
            }
        }
    }
}

async fn sixteen(stores: &[Embedded], times: u32) {
    let tasks = (0..16).map(|task: usize| {
        let store = stores[task % stores.len()].clone();
        tokio::spawn(async move { count_up(&store, times).await })
    });
    for done in join_all(tasks).await {
        done.unwrap();
    }
    assert_eq!(number(&stores[0], "n").await, i64::from(16 * times));
    assert_eq!(stores[0].head().await.unwrap(), Seq(u64::from(16 * times)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_sum_exactly_in_memory() {
    sixteen(&[Embedded::memory()], 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_sum_exactly_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    sixteen(&[Embedded::open(folder.path(), "acme/site").await.unwrap()], 4).await;
}

/// Two databases on one engine are two nodes, each with a sequencer of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_sum_exactly_on_two_nodes() {
    let memory = Memory::new();
    let store = async || Database::on(memory.clone()).store("acme/site").await.unwrap();
    sixteen(&[store().await, store().await], 10).await;
}

fn counts() -> IndexDefinition {
    IndexDefinition::new(path("counts"), [path("k")]).unwrap().index_only()
}

/// A count that lives only in its index.
async fn counted(store: &dyn Transport) -> i64 {
    let found = store.query(&IndexQuery::new(counts())).await.unwrap().records;
    assert!(found.len() <= 1, "{found:?}");
    let count = found.first().and_then(|record| record.entries.last());
    count.map_or(0, |entry| entry.value.to().unwrap())
}

fn count(n: i64) -> Vec<RecordChange> {
    vec![RecordChange::put(
        path("counts/one"),
        Value::map([("k", 1.into()), ("n", Value::from(n))]),
    )]
}

/// Counts up a record without leaves, and every other time a leaf with it.
async fn count_up_records(store: &Embedded, times: u32) {
    for time in 0..times {
        for attempt in 0.. {
            let transaction = store.transaction(attempt).await.unwrap();
            let seen = counted(&*transaction).await;
            transaction.write_records(count(seen + 1)).await.unwrap();
            assert_eq!(counted(&*transaction).await, seen + 1);
            if time % 2 == 0 {
                transaction.write(Op::increment(path("n"), 1).into()).await.unwrap();
            }
            match transaction.commit().await {
                Ok(_) => break,
                Err(error) => assert!(is_conflict(&error), "{error:?}"),
            }
        }
    }
}

/// No update of a record without leaves is lost, in one node and in two, and leaves are written with it or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_without_leaves_are_counted_exactly() {
    for nodes in [1, 2] {
        let memory = Memory::new();
        let mut stores = Vec::new();
        for _ in 0..nodes {
            stores.push(Database::on(memory.clone()).store("acme/site").await.unwrap());
        }
        while stores[0].ensure_index(&counts()).await.unwrap().state != IndexState::Readable {}
        let tasks = (0..8).map(|task: usize| {
            let store = stores[task % stores.len()].clone();
            tokio::spawn(async move { count_up_records(&store, 10).await })
        });
        for done in join_all(tasks).await {
            done.unwrap();
        }
        assert_eq!((counted(&stores[0]).await, number(&stores[0], "n").await), (80, 40));
        assert_eq!(stores[0].head().await.unwrap(), Seq(40));
    }
}

/// A commit of records without leaves takes no number, and still is found out about, with a leaf and without.
#[tokio::test]
async fn unknown_commit_of_records_is_settled_once() {
    for (with_leaf, lost) in [
        (false, vec![Lost::Applied]),
        (false, vec![Lost::NotApplied]),
        (false, vec![Lost::NotApplied, Lost::NotApplied, Lost::Applied]),
        (true, vec![Lost::Applied]),
        (true, vec![Lost::NotApplied, Lost::Applied]),
    ] {
        let (engine, gates) = Gated::new();
        let store = Database::on(engine).store("acme/site").await.unwrap();
        while store.ensure_index(&counts()).await.unwrap().state != IndexState::Readable {}
        store.write_records(count(1)).await.unwrap();
        let transaction = begin(&store).await;
        let seen = counted(&*transaction).await;
        transaction.write_records(count(seen + 1)).await.unwrap();
        if with_leaf {
            transaction.write(Op::increment(path("n"), 1).into()).await.unwrap();
        }
        gates.lose(lost.iter().copied());
        let written = transaction.commit().await.unwrap();
        let seqs: &[Seq] = if with_leaf { &[Seq(1)] } else { &[] };
        assert_eq!((&*written.seqs, written.deduplicated), (seqs, false), "{lost:?}");
        assert_eq!((counted(&store).await, gates.to_lose()), (2, 0), "{lost:?}");
        assert_eq!(number(&store, "n").await, i64::from(with_leaf));
    }
    // Where no answer tells, the error says so.
    let (engine, gates) = Gated::new();
    let store = Database::on(engine).store("acme/site").await.unwrap();
    while store.ensure_index(&counts()).await.unwrap().state != IndexState::Readable {}
    let transaction = begin(&store).await;
    transaction.write_records(count(1)).await.unwrap();
    gates.lose([Lost::NotApplied; 6]);
    assert_eq!(transaction.commit().await.unwrap_err().outcome(), Outcome::Unknown);
    assert_eq!((gates.to_lose(), counted(&store).await), (0, 0));
}

/// What another node has written since the answer was lost is not overwritten by a second attempt.
#[tokio::test]
async fn unknown_commit_of_records_is_not_done_over_those_of_others() {
    let (engine, gates) = Gated::new();
    let other = Database::on(engine.memory()).store("acme/site").await.unwrap();
    let store = Database::on(engine).store("acme/site").await.unwrap();
    while other.ensure_index(&counts()).await.unwrap().state != IndexState::Readable {}
    let transaction = begin(&store).await;
    transaction.write_records(count(1)).await.unwrap();
    gates.before.close();
    let mut commit = transaction.commit();
    let polled = commit.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(polled.is_pending());
    other.write_records(count(7)).await.unwrap();
    gates.lose([Lost::NotApplied]);
    gates.before.open();
    let error = commit.await.unwrap_err();
    assert_eq!((error.kind(), error.outcome()), (ErrorKind::Storage, Outcome::Unknown));
    assert_eq!((gates.to_lose(), counted(&other).await), (0, 7));
}

/// A log that no longer says what happened since counts as if everything had.
#[tokio::test]
async fn compacted_log_is_a_conflict() {
    let store = Embedded::memory();
    set(&store, "a", 1).await;
    let transaction = begin(&store).await;
    assert_eq!(number(&*transaction, "a").await, 1);
    set(&*transaction, "b", 1).await;
    for n in 0..3 {
        set(&store, "elsewhere", n).await;
    }
    store.compact(Seq(3)).await.unwrap();
    assert!(is_conflict(&transaction.commit().await.unwrap_err()));
    assert!(!store.exists(&path("b")).await.unwrap());
}

#[tokio::test]
async fn transaction_has_a_limit_of_its_own() {
    let options = Options::default().with_batch_ops_max(3).with_transaction_ops_max(4);
    let store = Database::with_options(Memory::new(), options)
        .store("acme/site")
        .await
        .unwrap();
    let transaction = begin(&store).await;
    let ops = |count: i64| Batch::new((0..count).map(|n| Op::set(path(&format!("n/{n}")), n)));
    assert_eq!(transaction.write(ops(4)).await.unwrap_err().code(), "invalid_params");
    transaction.write(ops(3)).await.unwrap();
    assert_eq!(
        transaction.write(ops(2)).await.unwrap_err().code(),
        "transaction_too_large"
    );
    transaction.write(ops(1)).await.unwrap();
    assert_eq!(
        transaction.commit().await.unwrap().seqs,
        (1..=4).map(Seq).collect::<Vec<_>>()
    );
}

/// A commit whose answer is lost is found out about, and done once; `reads` decide whether it would be in its own way.
#[tokio::test]
async fn unknown_commit_is_settled_once() {
    for lost in [
        vec![Lost::Applied],
        vec![Lost::NotApplied],
        vec![Lost::NotApplied, Lost::NotApplied, Lost::Applied],
    ] {
        let (engine, gates) = Gated::new();
        let store = Database::on(engine).store("acme/site").await.unwrap();
        set(&store, "n", 1).await;
        let transaction = begin(&store).await;
        let seen = number(&*transaction, "n").await;
        transaction.write(Op::increment(path("n"), seen).into()).await.unwrap();
        gates.lose(lost.iter().copied());
        let written = transaction.commit().await.unwrap();
        assert_eq!((written.seqs, written.deduplicated), (vec![Seq(2)], false), "{lost:?}");
        assert_eq!((number(&store, "n").await, gates.to_lose()), (2, 0), "{lost:?}");
        assert_eq!(store.head().await.unwrap(), Seq(2));
    }
}

/// Where that cannot be found out, the error says so; and a conflict that is found instead says that nothing was written.
#[tokio::test]
async fn unknown_commit_that_is_not_settled_says_so() {
    let (engine, gates) = Gated::new();
    let store = Database::on(engine).store("acme/site").await.unwrap();
    let transaction = begin(&store).await;
    set(&*transaction, "a", 1).await;
    gates.lose([Lost::NotApplied; 6]);
    assert_eq!(transaction.commit().await.unwrap_err().outcome(), Outcome::Unknown);
    assert_eq!((gates.to_lose(), shown(&store).await), (0, vec![]));

    // Op ids of the system's devices are not kept, so nothing is sent twice in their name.
    let system = store.clone().with_device(DeviceId::new("system:import").unwrap());
    let transaction = begin(&system).await;
    set(&*transaction, "a", 1).await;
    gates.lose([Lost::Applied]);
    assert_eq!(transaction.commit().await.unwrap_err().outcome(), Outcome::Unknown);
    assert_eq!(shown(&store).await, ["a=1"]);
}

/// A commit that is dropped before its first poll has done nothing; one that is dropped later is there, whole, or not at all.
#[tokio::test]
async fn dropped_commit_is_whole_or_nothing() {
    let (engine, gates) = Gated::new();
    let store = Database::on(engine).store("acme/site").await.unwrap();
    let write = async |at: &str| {
        let transaction = begin(&store).await;
        set(&*transaction, &format!("{at}/x"), 1).await;
        set(&*transaction, &format!("{at}/y"), 1).await;
        transaction
    };
    let transaction = write("never").await;
    drop(transaction.commit());
    drop(transaction);

    let transaction = write("perhaps").await;
    gates.before.close();
    let mut commit = transaction.commit();
    assert!(
        commit
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_pending()
    );
    drop(commit);
    gates.before.open();
    set(&store, "after", 1).await;
    let found = shown(&store).await;
    assert_eq!(found, ["after=1", "perhaps/x=1", "perhaps/y=1"]);
}

/// A write that is dropped in the middle of a transaction is not a part of it.
#[tokio::test]
async fn writes_of_a_transaction_may_be_dropped() {
    let store = Embedded::memory();
    let transaction = begin(&store).await;
    drop(transaction.write(Op::set(path("a"), 1).into()));
    set(&*transaction, "b", 1).await;
    transaction.commit().await.unwrap();
    assert_eq!(shown(&store).await, ["b=1"]);
}
