//! Differences between two states, against the states themselves.

use std::collections::BTreeMap;

use dust_store::Embedded;
use dust_transport::model::{Op, Path, Pattern, Seq, Value};
use dust_transport::transport::{Items, List, Scope, Transport};

async fn state(store: &Embedded) -> BTreeMap<Path, Value> {
    let all = List::new(Scope::Pattern(Pattern::parse("**").unwrap())).limit(1000);
    let Items::Entries(entries) = store.list(&all).await.unwrap().items else {
        panic!("entries");
    };
    entries.into_iter().map(|entry| (entry.path, entry.value)).collect()
}

#[tokio::test]
async fn a_difference_leads_from_each_state_to_each_other() {
    let path = |text: &str| Path::parse(text).unwrap();
    let json = |text: &str| Value::from_json(text).unwrap();
    let ops = [
        Op::set(path("a"), json(r#"{"b":1,"b-c":2,"d":{"e":[1]}}"#)),
        Op::set(path("a/d"), json(r#"{"_type":"decimal","_typed":"1.5"}"#)),
        Op::merge(
            path("a"),
            json(r#"{"b":7,"d":{"x":{"y":null}},"z":{"_type":"decimal","_typed":"2.50"}}"#),
        ),
        Op::set(path("a/b/under"), 3),
        Op::merge(path("a"), json(r#"{"b":8}"#)),
        Op::increment(path("n"), 2),
        Op::increment(path("n"), 3),
        Op::add(path("s"), "x"),
        Op::add(path("s"), "y"),
        Op::remove(path("s"), "x"),
        Op::set(path("a/b"), 9),
        Op::delete(path("a/d")),
        Op::set(path("q"), json("{}")),
        Op::delete(path("a")),
        Op::set(path("a-b"), json(r#"{"c~/d":{"e":1}}"#)),
        Op::set(path("a"), 1),
    ];
    let store = Embedded::memory();
    let mut states = vec![state(&store).await];
    for op in ops {
        store.write(op.into()).await.unwrap();
        states.push(state(&store).await);
    }
    for (from, earlier) in (0_u64..).zip(&states) {
        for (to, later) in (0_u64..).zip(&states) {
            let mut reached = earlier.clone();
            for change in store.diff(Seq(from), Seq(to)).await.unwrap() {
                assert_ne!(change.before, change.after, "{from}..{to} {}", change.path);
                assert_eq!(reached.get(&change.path), change.before.as_ref(), "{from}..{to}");
                match change.after {
                    Some(value) => reached.insert(change.path, value),
                    None => reached.remove(&change.path),
                };
            }
            assert_eq!(&reached, later, "{from}..{to}");
        }
    }
    assert_eq!(store.diff(Seq(99), Seq(u64::MAX)).await.unwrap(), []);
}

#[tokio::test]
async fn a_difference_that_would_take_too_much_memory_is_refused() {
    let store = Embedded::memory();
    let large = "x".repeat(7 << 20);
    for name in 0..10 {
        let path = Path::new([name.to_string()]).unwrap();
        store.write(Op::set(path, large.as_str()).into()).await.unwrap();
    }
    let error = store.diff(Seq(0), Seq(10)).await.unwrap_err();
    assert_eq!(error.code(), "diff_too_large");
    assert_eq!(store.diff(Seq(8), Seq(10)).await.unwrap().len(), 2);
}
