//! Transactions that run at once come to what some order of them comes to, one after the other: that of their commits.

use std::sync::Arc;

use dust_store::Embedded;
use dust_transport::model::{Batch, Op, Pattern};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexState};
use dust_transport::transport::{List, Order, TRANSACTION_CONFLICT, Transaction, Transport};
use proptest::prelude::*;

use crate::{json, leaves, path};

/// One call.
#[derive(Debug, Clone)]
enum Call {
    Get(&'static str),
    Exists(&'static str),
    Below(&'static str, usize, bool),
    Matching(&'static str),
    Older(i64),
    Set(&'static str, &'static str),
    Delete(&'static str),
    Increment(&'static str, i64),
    Merge(&'static str, &'static str),
}

impl Call {
    fn op(&self) -> Option<Op> {
        Some(match self {
            Self::Set(at, value) => Op::set(path(at), json(value)),
            Self::Delete(at) => Op::delete(path(at)),
            Self::Increment(at, by) => Op::increment(path(at), *by),
            Self::Merge(at, value) => Op::merge(path(at), json(value)),
            _ => return None,
        })
    }
}

/// What happens next: a transaction goes on by a call, or ends; or somebody else writes.
#[derive(Debug, Clone)]
enum Step {
    Call(usize, Call),
    Commit(usize),
    Write(Call),
}

fn at() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["u", "u/a", "u/a/age", "u/b", "u/b/age", "u/c/age", "v", "v/a"])
}

fn change() -> impl Strategy<Value = Call> {
    let value = prop::sample::select(vec!["1", "2", "\"text\"", r#"{"age":3}"#, r#"{"age":1,"n":2}"#]);
    prop_oneof![
        3 => (at(), value).prop_map(|(at, value)| Call::Set(at, value)),
        1 => at().prop_map(Call::Delete),
        2 => (at(), 1..4_i64).prop_map(|(at, by)| Call::Increment(at, by)),
        1 => at().prop_map(|at| Call::Merge(at, r#"{"age":2}"#)),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        2 => at().prop_map(Call::Get),
        1 => at().prop_map(Call::Exists),
        1 => (prop::sample::select(vec!["u", "v"]), 1..4_usize, any::<bool>())
            .prop_map(|(at, limit, ascending)| Call::Below(at, limit, ascending)),
        1 => prop::sample::select(vec!["u/*/age", "**", "v/**"]).prop_map(Call::Matching),
        1 => (0..4_i64).prop_map(Call::Older),
        4 => change(),
    ]
}

const TRANSACTIONS: usize = 4;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..TRANSACTIONS, call()).prop_map(|(who, call)| Step::Call(who, call)),
        2 => (0..TRANSACTIONS).prop_map(Step::Commit),
        1 => change().prop_map(Step::Write),
    ];
    prop::collection::vec(step, 1..60)
}

fn index() -> IndexDefinition {
    IndexDefinition::new(path("u"), [path("age")]).unwrap()
}

async fn fresh() -> Embedded {
    let store = Embedded::memory();
    while store.ensure_index(&index()).await.unwrap().state != IndexState::Readable {}
    store
}

/// Does a call and says what it came to, but for revisions, which are provisional in a transaction.
async fn answer(store: &dyn Transport, call: &Call) -> String {
    let listed = async |list: List| {
        let page = store.list(&list).await.unwrap();
        let entries = page.items.into_entries().into_iter();
        let shown: Vec<_> = entries.map(|entry| format!("{}={}", entry.path, entry.value)).collect();
        format!("{shown:?} {:?}", page.next)
    };
    match call {
        Call::Get(at) => {
            let found = store.get(&path(at)).await.unwrap();
            format!("{:?}", found.map(|entry| (entry.kind, entry.value)))
        }
        Call::Exists(at) => store.exists(&path(at)).await.unwrap().to_string(),
        Call::Below(at, limit, ascending) => {
            let order = if *ascending { Order::Asc } else { Order::Desc };
            listed(List::below(path(at)).limit(*limit).order(order)).await
        }
        Call::Matching(pattern) => listed(List::pattern(Pattern::parse(pattern).unwrap())).await,
        Call::Older(age) => {
            let query = IndexQuery::new(index()).range(json(&age.to_string())..);
            let found = store.query(&query).await.unwrap().records;
            format!(
                "{:?}",
                found.iter().map(|record| record.path.as_str()).collect::<Vec<_>>()
            )
        }
        change => match store.write(Batch::one(change.op().unwrap())).await {
            Ok(_) => "written".into(),
            Err(error) => error.code().to_owned(),
        },
    }
}

/// A transaction that is under way: what it has been asked, and what it has answered.
#[derive(Default)]
struct Running {
    transaction: Option<Arc<dyn Transaction>>,
    calls: Vec<(Call, String)>,
    has_written: bool,
    /// The answers of the state at its begin, to what only reads.
    at_begin: Option<Embedded>,
}

/// Commits a transaction, and does the same at once in the store where nothing is concurrent.
async fn commit(running: Running, serial: &Embedded) {
    let Some(transaction) = running.transaction else { return };
    match transaction.commit().await {
        Ok(_) => {}
        Err(error) => {
            assert_eq!(error.code(), TRANSACTION_CONFLICT, "{error:?}");
            return;
        }
    }
    // What has written nothing belongs where it began.
    let serial = match &running.at_begin {
        Some(at_begin) if !running.has_written => at_begin,
        _ => serial,
    };
    for (call, answered) in &running.calls {
        assert_eq!(&answer(serial, call).await, answered, "{call:?} of {:?}", running.calls);
    }
}

/// A store with the same leaves.
async fn copy(store: &Embedded) -> Embedded {
    let copy = fresh().await;
    for leaf in leaves(store).await {
        if leaf.kind == dust_transport::model::ValueKind::Counter {
            copy.write(Op::increment(leaf.path, leaf.value).into()).await.unwrap();
        } else {
            copy.write(Op::set(leaf.path, leaf.value).into()).await.unwrap();
        }
    }
    copy
}

async fn run(steps: Vec<Step>) {
    let (store, serial) = (fresh().await, fresh().await);
    let mut running: Vec<_> = (0..TRANSACTIONS).map(|_| Running::default()).collect();
    for step in steps {
        match step {
            Step::Write(call) => {
                assert_eq!(answer(&store, &call).await, answer(&serial, &call).await);
            }
            Step::Commit(who) => commit(std::mem::take(&mut running[who]), &serial).await,
            Step::Call(who, call) => {
                let running = &mut running[who];
                if running.transaction.is_none() {
                    running.transaction = Some(store.transaction(0).await.unwrap());
                    running.at_begin = Some(copy(&serial).await);
                }
                let answered = answer(&**running.transaction.as_ref().unwrap(), &call).await;
                running.has_written |= call.op().is_some() && answered == "written";
                running.calls.push((call, answered));
            }
        }
    }
    for running in running {
        commit(running, &serial).await;
    }
    // Numbers included: the order of the commits is that of the store.
    assert_eq!(leaves(&store).await, leaves(&serial).await);
    assert_eq!(store.head().await.unwrap(), serial.head().await.unwrap());
    assert!(store.verify_index(&index()).await.unwrap().is_clean());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 384, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn transactions_are_serializable(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(steps));
    }
}
