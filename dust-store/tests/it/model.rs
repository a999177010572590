//! Random ops on the store and on a small model of the rules, side by side.

use std::collections::BTreeMap;

use dust_store::Embedded;
use dust_transport::model::{Batch, Op, Path, Precondition, Seq, Value, ValueKind};
use dust_transport::transport::{Interest, Signal, Start, Subscribe, Transport};
use futures_util::StreamExt;
use proptest::prelude::*;
use serde_json::{Map, Value as Json, json};

use crate::leaves;

/// Leaves by rendered path: value, kind, revision.
type Leaves = BTreeMap<String, (Json, ValueKind, u64)>;

#[derive(Debug, Clone)]
struct Step {
    path: Vec<&'static str>,
    action: Action,
    guard: Guard,
}

#[derive(Debug, Clone)]
enum Action {
    Set(Json),
    Delete,
    Merge(Json),
    Increment(Json),
    Add(Json),
    Remove(Json),
}

/// A precondition, to be filled in from the model: right or wrong.
#[derive(Debug, Clone, Copy)]
enum Guard {
    None,
    Match { right: bool },
    Absent,
    Subtree { right: bool },
    SubtreeRevision { right: bool },
}

fn rendered(segments: &[&str]) -> String {
    segments
        .iter()
        .map(|s| s.replace('~', "~0").replace('/', "~1"))
        .collect::<Vec<_>>()
        .join("/")
}

fn at_or_below(leaves: &Leaves, root: &str) -> Vec<(String, u64)> {
    let below = format!("{root}/");
    let inside = |path: &String| *path == root || path.starts_with(&below);
    leaves
        .iter()
        .filter(|(path, _)| inside(path))
        .map(|(path, leaf)| (path.clone(), leaf.2))
        .collect()
}

fn is_envelope(map: &Map<String, Json>) -> bool {
    map.contains_key("_typed") && map.contains_key("_type")
}

fn kind(value: &Json) -> ValueKind {
    match value {
        Json::Null => ValueKind::Null,
        Json::Bool(_) => ValueKind::Boolean,
        Json::Number(number) if number.is_f64() => ValueKind::Float,
        Json::Number(_) => ValueKind::Integer,
        Json::String(_) => ValueKind::String,
        Json::Array(_) => ValueKind::List,
        Json::Object(_) => ValueKind::Map,
    }
}

/// The value that is shown, and whether it is one leaf.
fn plain(value: &Json) -> Json {
    match value {
        Json::Object(map) if is_envelope(map) => map["_typed"].clone(),
        Json::Object(map) => map.iter().map(|(key, value)| (key.clone(), plain(value))).collect(),
        other => other.clone(),
    }
}

fn write(leaves: &mut Leaves, at: &str, value: &Json, seq: u64) {
    match value {
        Json::Object(map) if is_envelope(map) => {
            leaves.insert(at.to_owned(), (map["_typed"].clone(), ValueKind::Decimal, seq));
        }
        Json::Object(map) => {
            for (key, value) in map {
                write(leaves, &format!("{at}/{}", rendered(&[key])), value, seq);
            }
        }
        other => {
            leaves.insert(at.to_owned(), (other.clone(), kind(other), seq));
        }
    }
}

fn clear_below(leaves: &mut Leaves, at: &str) {
    let below = format!("{at}/");
    leaves.retain(|path, _| !path.starts_with(&below));
}

fn is_map(value: &Json) -> bool {
    value.as_object().is_some_and(|map| !is_envelope(map))
}

/// What the model says to an op that the store has to refuse.
#[derive(Debug)]
struct Refused;

/// Does one op and gives the value of its event.
fn act(leaves: &mut Leaves, at: &str, action: &Action, seq: u64) -> Result<Option<Json>, Refused> {
    let current = leaves.get(at).map(|leaf| leaf.0.clone());
    let members = || current.as_ref().and_then(Json::as_array).cloned().unwrap_or_default();
    let (value, kind) = match action {
        Action::Set(value) => {
            clear_below(leaves, at);
            leaves.remove(at);
            write(leaves, at, value, seq);
            return Ok(Some(plain(value)));
        }
        Action::Delete => {
            clear_below(leaves, at);
            leaves.remove(at);
            return Ok(None);
        }
        Action::Merge(map) => {
            for (key, value) in map.as_object().filter(|map| !is_envelope(map)).ok_or(Refused)? {
                let child = format!("{at}/{}", rendered(&[key]));
                if is_map(value) {
                    clear_below(leaves, &child);
                    leaves.remove(&child);
                }
                write(leaves, &child, value, seq);
            }
            return Ok(Some(plain(map)));
        }
        Action::Increment(by) => {
            let current = current.unwrap_or(json!(0));
            let total = match (current.as_i64(), by.as_i64()) {
                (Some(current), Some(by)) => json!(current + by),
                _ => json!(current.as_f64().ok_or(Refused)? + by.as_f64().ok_or(Refused)?),
            };
            (total, ValueKind::Counter)
        }
        Action::Add(member) => {
            let mut list = vec![member.clone()];
            for other in members() {
                if !list.contains(&other) {
                    list.push(other);
                }
            }
            (Json::Array(list), ValueKind::Set)
        }
        Action::Remove(member) => {
            let mut list = members();
            if let Some(index) = list.iter().position(|other| other == member) {
                list.remove(index);
            }
            (Json::Array(list), ValueKind::Set)
        }
    };
    leaves.insert(at.to_owned(), (value.clone(), kind, seq));
    Ok(Some(value))
}

/// The precondition as the store gets it, and whether it holds.
fn guard(leaves: &Leaves, at: &str, step: &Step) -> (Precondition, bool) {
    let is_leaf = matches!(&step.action, Action::Set(value) if !is_map(value));
    let root = at.split('/').next().unwrap();
    let subtree = at_or_below(leaves, root);
    let highest = subtree.iter().map(|(_, revision)| *revision).max().unwrap_or(0);
    let root_path = Path::parse(root).unwrap();
    match step.guard {
        Guard::None => (Precondition::None, true),
        Guard::Match { right } => {
            let current = leaves.get(at).map(|leaf| leaf.2);
            let expected = if right {
                current.unwrap_or(1)
            } else {
                current.unwrap_or(0) + 1
            };
            let holds = current == Some(expected) && (is_leaf || matches!(step.action, Action::Delete));
            (Precondition::Match(Seq(expected)), holds)
        }
        Guard::Absent => (Precondition::Absent, is_leaf && !leaves.contains_key(at)),
        Guard::Subtree { right } => {
            let mut expected: Vec<_> = subtree
                .iter()
                .map(|(path, revision)| (Path::parse(path).unwrap(), Seq(*revision)))
                .collect();
            if !right {
                // One too few, or one that is not there.
                if expected.pop().is_none() {
                    expected.push((root_path.clone(), Seq(1)));
                }
            }
            (
                Precondition::Subtree {
                    root: root_path,
                    leaves: expected,
                },
                right,
            )
        }
        Guard::SubtreeRevision { right } => {
            let revision = Seq(if right { highest } else { highest + 1 });
            (
                Precondition::SubtreeRevision {
                    root: root_path,
                    revision,
                },
                right,
            )
        }
    }
}

fn to_op(step: &Step, at: &str, precondition: Precondition) -> Op {
    let value = |json: &Json| Value::from_json(&json.to_string()).unwrap();
    let at = Path::parse(at).unwrap();
    match &step.action {
        Action::Set(json) => Op::set(at, value(json)),
        Action::Delete => Op::delete(at),
        Action::Merge(json) => Op::merge(at, value(json)),
        Action::Increment(json) => Op::increment(at, value(json)),
        Action::Add(json) => Op::add(at, value(json)),
        Action::Remove(json) => Op::remove(at, value(json)),
    }
    .when(precondition)
}

fn segment() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "a", "b", "a-b", "a/b", "~", "0"])
}

fn leaf() -> impl Strategy<Value = Json> {
    let leaves = [
        json!(null),
        json!(true),
        json!(1),
        json!(1.0),
        json!(-7),
        json!(2.5),
        json!("x"),
        json!([1, 1, "x"]),
    ];
    let mut leaves = leaves.to_vec();
    leaves.extend([json!([]), json!({"_typed": "29.99", "_type": "decimal"})]);
    prop::sample::select(leaves)
}

fn value() -> impl Strategy<Value = Json> {
    leaf().prop_recursive(3, 12, 3, |inner| {
        prop::collection::vec((segment(), inner), 0..4).prop_map(|entries| {
            entries
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect()
        })
    })
}

fn step() -> impl Strategy<Value = Step> {
    let member = || leaf().prop_filter("null is no member", |value| !value.is_null() && !value.is_object());
    let action = prop_oneof![
        4 => value().prop_map(Action::Set),
        2 => Just(Action::Delete),
        2 => value().prop_map(Action::Merge),
        2 => prop::sample::select(vec![json!(1), json!(-2), json!(0.5)]).prop_map(Action::Increment),
        2 => member().prop_map(Action::Add),
        1 => member().prop_map(Action::Remove),
    ];
    let guard = prop_oneof![
        6 => Just(Guard::None),
        1 => any::<bool>().prop_map(|right| Guard::Match { right }),
        1 => Just(Guard::Absent),
        1 => any::<bool>().prop_map(|right| Guard::Subtree { right }),
        1 => any::<bool>().prop_map(|right| Guard::SubtreeRevision { right }),
    ];
    (prop::collection::vec(segment(), 1..4), action, guard).prop_map(|(path, action, guard)| Step {
        path,
        action,
        guard,
    })
}

/// Runs the batches on both and compares what they answer, hold, log and tell.
async fn compare(store: &Embedded, batches: &[Vec<Step>]) {
    let everything = Subscribe {
        interest: Interest::Pattern("**".parse().unwrap()),
        start: Start::Now,
    };
    let mut live = store.subscribe(everything).await.unwrap();
    let mut model = Leaves::new();
    let mut told: Vec<(u64, String, Option<Json>)> = Vec::new();
    for steps in batches {
        let mut next = model.clone();
        let mut ops = Vec::new();
        let mut told_next = Vec::new();
        let mut refused = None;
        for (index, step) in steps.iter().enumerate() {
            let at = rendered(&step.path);
            let (precondition, holds) = guard(&next, &at, step);
            ops.push(to_op(step, &at, precondition));
            if refused.is_some() {
                continue;
            }
            let seq = told.len() as u64 + index as u64 + 1;
            let done = if holds {
                act(&mut next, &at, &step.action, seq)
            } else {
                Err(Refused)
            };
            match done {
                Ok(value) => told_next.push((seq, at, value)),
                Err(Refused) => refused = Some(index),
            }
        }
        match (store.write(Batch::new(ops)).await, refused) {
            (Ok(written), None) => {
                let seqs: Vec<_> = told_next.iter().map(|(seq, ..)| Seq(*seq)).collect();
                assert_eq!(written.seqs, seqs);
                told.extend(told_next);
                model = next;
            }
            (Err(error), Some(index)) => assert_eq!(error.conflict().unwrap().op_index, index, "{error}"),
            (answer, refused) => panic!("{steps:?}: {answer:?}, but the model refuses {refused:?}"),
        }
    }
    let found: Leaves = leaves(store)
        .await
        .into_iter()
        .map(|entry| {
            let value = serde_json::from_str(entry.value.json()).unwrap();
            (entry.path.to_string(), (value, entry.kind, entry.revision.0))
        })
        .collect();
    assert_eq!(found, model);

    let logged = store.events(Seq(0), usize::MAX >> 8).await.unwrap();
    let shown: Vec<_> = logged
        .iter()
        .map(|event| {
            let value = event
                .value
                .as_ref()
                .map(|value| serde_json::from_str(value.json()).unwrap());
            (event.seq.0, event.path.to_string(), value)
        })
        .collect();
    assert_eq!(shown, told);
    assert_eq!(
        live.next().await.unwrap().unwrap(),
        Signal::CaughtUp { through: Seq(0) }
    );
    for event in logged {
        assert_eq!(live.next().await.unwrap().unwrap(), Signal::Event(event));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn store_does_as_the_model(batches in prop::collection::vec(prop::collection::vec(step(), 1..5), 1..20)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(&Embedded::memory(), &batches));
    }
}
