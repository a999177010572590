//! `Value::from_slice` takes exactly what `serde_json` takes, and says the same of it.
#![no_main]

use std::collections::BTreeSet;

use dust_transport::model::{Value, ValueKind};
use libfuzzer_sys::fuzz_target;
use serde_json::Value as Tree;

fuzz_target!(|bytes: &[u8]| {
    let tree = serde_json::from_slice::<Tree>(bytes);
    let value = match (Value::from_slice(bytes), &tree) {
        (Ok(value), Ok(_)) => value,
        (Err(_), Err(_)) => return,
        (value, _) => panic!("Value: {value:?}, serde_json: {tree:?}"),
    };
    let tree = tree.expect("just matched");
    assert_eq!(
        serde_json::from_str::<Tree>(value.json()).expect("what was taken is JSON"),
        tree
    );
    let again = Value::from_json(value.json()).expect("what was taken is taken again");
    assert_eq!(again.json(), value.json(), "compact text stays as it is");
    assert_eq!(again, value);
    assert_eq!(Value::from_serialize(&value).expect("it is JSON").json(), value.json());
    assert_eq!(value.to::<Tree>().expect("it is JSON"), tree);
    check_kind(&value, &tree);
    check_parts(&value, &tree);
});

fn check_kind(value: &Value, tree: &Tree) {
    let kind = match tree {
        Tree::Null => ValueKind::Null,
        Tree::Bool(_) => ValueKind::Boolean,
        // An integer beyond 64 bits is a float to serde_json and an integer here.
        Tree::Number(_) if value.json().contains(['.', 'e', 'E']) => ValueKind::Float,
        Tree::Number(number) => {
            assert!(number.is_f64() || number.to_string() == value.json());
            ValueKind::Integer
        }
        Tree::String(_) => ValueKind::String,
        Tree::Array(_) => ValueKind::List,
        Tree::Object(_) => ValueKind::Map,
    };
    assert_eq!(value.kind(), kind);
    assert_eq!(value.is_null(), tree.is_null());
    assert_eq!(value.is_map(), tree.is_object());
}

fn check_parts(value: &Value, tree: &Tree) {
    assert_eq!(value.str().as_deref(), tree.as_str());
    let items = value.items();
    assert_eq!(items.as_ref().map(Vec::len), tree.as_array().map(Vec::len));
    if let (Some(items), Some(trees)) = (items, tree.as_array()) {
        for (item, tree) in items.iter().zip(trees) {
            check_kind(item, tree);
        }
        assert_eq!(Value::list(items), *value);
    }
    if let (Some(entries), Some(trees)) = (value.entries(), tree.as_object()) {
        let keys: BTreeSet<&str> = entries.iter().map(|(key, _)| &**key).collect();
        assert!(
            keys.iter()
                .copied()
                .eq(trees.keys().map(String::as_str).collect::<BTreeSet<_>>())
        );
        assert_eq!(keys.len(), entries.len(), "of equal keys only one is given");
        assert_eq!(Value::map(entries), *value);
    }
}
