//! States of the past, and a log that is compacted: random ops, and every state that they went through.

use std::collections::BTreeMap;
use std::time::Duration;

use dust_store::Embedded;
use dust_transport::model::{FileRef, Op, Path, Seq, Value, ValueKind};
use dust_transport::transport::{FileRange, Transport};
use proptest::prelude::*;

use crate::{json, leaves, path};

type State = BTreeMap<Path, (ValueKind, Value)>;

async fn state(store: &Embedded) -> State {
    let found = leaves(store).await.into_iter();
    found.map(|leaf| (leaf.path, (leaf.kind, leaf.value))).collect()
}

fn op() -> impl Strategy<Value = Op> {
    let at = || prop::sample::select(vec!["a", "a/b", "a/b/c", "a-b", "a/d", "b", "b/~1"]).prop_map(path);
    let value = || {
        let texts = vec![
            "1",
            "null",
            r#""x""#,
            "[1]",
            "{}",
            r#"{"b":1,"d":{"e":2}}"#,
            r#"{"b":{"c":"y"}}"#,
            r#"{"d":{"_type":"decimal","_typed":"1.50"},"b":2}"#,
            r#"{"_type":"datetime","_typed":"2026-01-02T03:04:05Z"}"#,
            r#"{"_type":"money","_typed":"1"}"#,
        ];
        prop::sample::select(texts).prop_map(json)
    };
    let content = prop::sample::select(vec!["", "one", "two"]);
    prop_oneof![
        4 => (at(), value()).prop_map(|(at, value)| Op::set(at, value)),
        2 => at().prop_map(Op::delete),
        1 => (at(), value()).prop_map(|(at, value)| Op::merge(at, value)),
        1 => at().prop_map(|at| Op::increment(at, 2)),
        1 => (at(), 0..3).prop_map(|(at, member)| Op::add(at, member)),
        1 => (at(), 0..3).prop_map(|(at, member)| Op::remove(at, member)),
        3 => (at(), content).prop_map(|(at, content)| Op::put_file(at, content, None, None)),
        1 => at().prop_map(|at| Op::lease(at, Some("a"), Duration::from_hours(1))),
        1 => (at(), 1_u64..20).prop_map(|(at, token)| Op::release(at, token)),
    ]
}

/// Counts and files are as the leaves say.
async fn check(store: &Embedded, files: &BTreeMap<String, FileRef>) {
    let now = state(store).await;
    assert_eq!(store.status().await.unwrap().entries, now.len() as u64);
    for file in files.values() {
        let refers = |(kind, value): &(ValueKind, Value)| {
            *kind == ValueKind::File && FileRef::from_value(value).is_some_and(|other| other.hash == file.hash)
        };
        let is_there = store.read_file(&file.hash, FileRange::All).await.unwrap().is_some();
        assert_eq!(is_there, now.values().any(refers), "{file:?}");
    }
}

async fn time_travel(ops: Vec<Op>, through: u64, to: u64, root: Path) {
    let store = Embedded::memory();
    let mut states = vec![state(&store).await];
    let mut files = BTreeMap::new();
    for op in ops {
        let Ok(written) = store.write(op.into()).await else {
            continue;
        };
        if let Some(file) = written.done(0).file() {
            files.insert(file.hash.to_string(), file.clone());
        }
        if written.seqs != [Seq(0)] {
            states.push(state(&store).await);
        }
    }
    check(&store, &files).await;
    let head = states.len() as u64 - 1;
    if head == 0 {
        assert_eq!(store.rollback_store(Seq(0)).await.unwrap_err().code(), "no_ops");
        return;
    }
    let compacted = through % (head + 1);
    assert_eq!(store.compact(Seq(compacted)).await.unwrap(), Seq(compacted));
    check(&store, &files).await;
    assert_eq!(state(&store).await, *states.last().unwrap(), "nothing has changed");

    // Whatever is still known can be compared.
    for from in compacted..=head {
        let mut reached = states[usize::try_from(from).unwrap()].clone();
        for change in store.diff(Seq(from), Seq(head)).await.unwrap() {
            let before = reached.get(&change.path).map(|(_, value)| value);
            assert_eq!(before, change.before.as_ref(), "{from} {}", change.path);
            match change.after {
                // Kinds are not told.
                Some(value) => reached.insert(change.path, (ValueKind::Null, value)),
                None => reached.remove(&change.path),
            };
        }
        let values = |state: &State| -> Vec<_> {
            state
                .iter()
                .map(|(at, (_, value))| (at.clone(), value.clone()))
                .collect()
        };
        assert_eq!(values(&reached), values(states.last().unwrap()), "{from}");
    }
    if compacted > 0 {
        assert_eq!(
            store.diff(Seq(compacted - 1), Seq(head)).await.unwrap_err().code(),
            "compacted"
        );
    }
    let error = store.rollback_store(Seq(compacted.saturating_sub(1))).await;
    if compacted != 1 || head == 0 {
        assert!(compacted == 0 || error.unwrap_err().code() == "beyond_retention");
    }

    // And brought back: a subtree first, then everything, kinds and all.
    let to = compacted.max(1) + to % (head - compacted.max(1) + 1);
    let then = states[usize::try_from(to).unwrap()].clone();
    let before = state(&store).await;
    store.rollback(&root, Seq(to)).await.unwrap();
    let now = state(&store).await;
    let split =
        |state: &State| -> (State, State) { state.clone().into_iter().partition(|(at, _)| at.starts_with(&root)) };
    assert_eq!(split(&now), (split(&then).0, split(&before).1));
    assert_eq!(
        store.rollback(&root, Seq(to)).await.unwrap().ops,
        0,
        "nothing is left to do"
    );
    check(&store, &files).await;
    store.rollback_store(Seq(to)).await.unwrap();
    assert_eq!(state(&store).await, then);
    check(&store, &files).await;

    // What was written for it is in the log like anything else.
    let head = store.head().await.unwrap();
    let middle = store.compact(Seq(head.0 - 1)).await.unwrap();
    assert_eq!(store.rollback_store(head).await.unwrap().ops, 0, "{middle}");
    store.compact(Seq(u64::MAX)).await.unwrap();
    assert_eq!(store.rollback_store(head).await.unwrap().ops, 0);
    for at in ["a", "a-b", "b"] {
        store.write(Op::delete(path(at)).into()).await.unwrap();
    }
    store.compact(Seq(u64::MAX)).await.unwrap();
    let left = store.status().await.unwrap();
    assert_eq!((left.entries, left.file_bytes, left.ops), (0, 0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_state_can_be_reached_again(
        ops in prop::collection::vec(op(), 1..30),
        through: u64,
        to: u64,
        root in prop::sample::select(vec!["a", "a/b", "b", "a-b"]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(time_travel(ops, through, to, path(root)));
    }
}
