//! What comes from outside and is odd, large or wrong.

use dust_layer::Memory;
use dust_store::{Database, Embedded, Options};
use dust_transport::error::ErrorKind;
use dust_transport::model::{Batch, Op, Path, Seq, Value};
use dust_transport::transport::{List, Select, Transport};

use crate::{json, leaves, path};

#[tokio::test]
async fn odd_keys_come_back() {
    let store = Embedded::memory();
    let keys = [
        "/",
        "~",
        "~1",
        ".",
        "..",
        "*",
        "**",
        r"\*",
        "0",
        "18446744073709551616",
        " ",
        "\u{1}",
        "\u{7f}",
        "é",
        "\"",
        "\\",
    ];
    let map = Value::map(keys.map(|key| (key, Value::from(key))));
    store.write(Op::set(path("odd"), map.clone()).into()).await.unwrap();
    assert_eq!(store.get(&path("odd")).await.unwrap().unwrap().value, map);
    for key in keys {
        let at = Path::new(["odd", key]).unwrap();
        assert_eq!(
            store.get(&at).await.unwrap().unwrap().value,
            Value::from(key),
            "{key:?}"
        );
        assert_eq!(
            store.get_many(std::slice::from_ref(&at)).await.unwrap()[0]
                .as_ref()
                .unwrap()
                .path,
            at
        );
        let page = store
            .list(&List::range(
                at.clone(),
                Path::new(["odd", &format!("{key}\u{1}")]).unwrap(),
            ))
            .await
            .unwrap();
        assert_eq!(page.items.into_paths(), [at]);
    }
    assert_eq!(leaves(&store).await.len(), keys.len());
}

#[tokio::test]
async fn maps_that_reach_too_far_are_refused_whole() {
    let store = Embedded::memory();
    store.write(Op::set(path("m/old"), 1).into()).await.unwrap();
    let long = "k".repeat(Path::BYTES_MAX);
    let deep = format!("{}1{}", r#"{"d":"#.repeat(100), "}".repeat(100));
    let at_depth_100 = Path::new(vec!["d"; 100]).unwrap();
    for (op, code) in [
        (
            Op::set(path("m"), json(&format!(r#"{{"a":1,"{long}":2}}"#))),
            "path_too_long",
        ),
        (Op::set(at_depth_100, json(&deep)), "path_too_deep"),
        (Op::set(path("m"), json(r#"{"a":{"":1}}"#)), "empty_segment"),
        (Op::set(path("m"), json(r#"{"a":{"\u0000":1}}"#)), "path_nul"),
        (Op::merge(path("m"), json(r#"{"a":1,"":2}"#)), "empty_segment"),
        (
            Op::set(path("m"), json(r#"{"l":{"_type":"lease","token":1}}"#)),
            "invalid_params",
        ),
        (
            Op::merge(path("m"), json(r#"{"l":{"_type":"lease","token":1}}"#)),
            "invalid_params",
        ),
        (
            Op::set(path("m"), json(r#"{"_type":"lease","token":1}"#)),
            "invalid_params",
        ),
    ] {
        let batch = Batch::new([Op::delete(path("m")), op]);
        let error = store.write(batch).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidParams, code),
            "{error}"
        );
        assert_eq!(error.conflict().unwrap().op_index, 1);
    }
    assert_eq!(leaves(&store).await.len(), 1);
    assert_eq!(store.head().await.unwrap(), Seq(1));
}

#[tokio::test]
async fn sums_beyond_the_integers_are_refused() {
    let store = Embedded::memory();
    for (start, by) in [
        ("18446744073709551615", "1"),
        ("-9223372036854775808", "-1"),
        ("0", "18446744073709551616"),
        ("0", "99999999999999999999999999999999999999999999999999"),
        ("1e308", "1e308"),
    ] {
        store.write(Op::set(path("n"), json(start)).into()).await.unwrap();
        let error = store
            .write(Op::increment(path("n"), json(by)).into())
            .await
            .unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidParams, "number_overflow")
        );
        assert_eq!(
            store.get(&path("n")).await.unwrap().unwrap().value,
            json(start),
            "nothing has changed"
        );
    }
}

/// What an engine with the limits of a cluster does not take is refused, and harms nobody else.
#[tokio::test]
async fn what_exceeds_the_engine_is_refused() {
    let options = Options::default().with_batch_ops_max(100_000);
    let store = Database::with_options(Memory::new(), options)
        .store("acme/site")
        .await
        .unwrap();
    let huge = Value::from("x".repeat(100_001));
    let many = Batch::new((0..200).map(|n| Op::set(path(&format!("n/{n}")), "y".repeat(50_000))));
    let (refused, accepted, also_refused) = tokio::join!(
        store.write(Op::set(path("huge"), huge).into()),
        store.write(Op::set(path("small"), 1).into()),
        store.write(many),
    );
    for error in [refused.unwrap_err(), also_refused.unwrap_err()] {
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::InvalidParams, "payload_too_large"),
            "{error}"
        );
    }
    assert_eq!(accepted.unwrap().seqs, [Seq(1)]);
    assert_eq!(leaves(&store).await.len(), 1);
}

/// More than one transaction holds, queued at once: it goes into several, in order.
#[tokio::test]
async fn group_is_split_where_the_engine_has_a_limit() {
    let store = Database::on(Memory::new()).store("acme/site").await.unwrap();
    let writes = (0..12).map(|n| {
        let ops = (0..40).map(move |op| Op::set(path(&format!("n/{n}/{op}")), "z".repeat(45_000)));
        store.write(Batch::new(ops))
    });
    for (n, written) in futures_util::future::join_all(writes).await.into_iter().enumerate() {
        assert_eq!(written.unwrap().seqs[0], Seq(n as u64 * 40 + 1));
    }
    assert_eq!(leaves(&store).await.len(), 480);
}

#[tokio::test]
async fn fixed_depth_patterns_skip_what_is_deeper() {
    let store = Embedded::memory();
    for n in 0..30 {
        let ops = (0..200).map(|leaf| Op::set(path(&format!("r/{n:02}/{leaf}/deep")), leaf));
        let mut ops: Vec<_> = ops.collect();
        ops.push(Op::set(path(&format!("r/{n:02}/title")), n));
        store.write(Batch::new(ops)).await.unwrap();
    }
    for order in [
        dust_transport::transport::Order::Asc,
        dust_transport::transport::Order::Desc,
    ] {
        let query = List::pattern("r/*/*".parse().unwrap())
            .select(Select::Keys)
            .order(order)
            .limit(7);
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = store.list(&query.clone().after(after)).await.unwrap();
            found.extend(page.items.into_paths());
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut expected: Vec<_> = (0..30).map(|n| path(&format!("r/{n:02}/title"))).collect();
        if order == dust_transport::transport::Order::Desc {
            expected.reverse();
        }
        assert_eq!(found, expected);
    }
}

/// A value that is put together from others passes no parser, and must not become one that cannot be read.
#[tokio::test]
async fn values_put_together_too_deep_are_refused() {
    let store = Embedded::memory();
    let deep = |levels: usize| (0..levels).fold(Value::from(1), |inner, _| Value::list([inner]));
    let most = deep(Value::LEVELS_MAX);
    store.write(Op::set(path("a"), most.clone()).into()).await.unwrap();
    assert_eq!(store.get(&path("a")).await.unwrap().unwrap().value, most);
    for value in [deep(Value::LEVELS_MAX + 1), deep(Value::ASSEMBLED_LEVELS_MAX + 1)] {
        let map = Value::map([("b", value.clone())]);
        for op in [
            Op::set(path("a"), value),
            Op::set(path("a"), map.clone()),
            Op::merge(path("a"), map),
        ] {
            let error = store.write(op.into()).await.unwrap_err();
            assert_eq!(error.code(), "value_too_deep");
        }
    }
}
