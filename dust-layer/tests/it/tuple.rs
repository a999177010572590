//! The tuple encoding against vectors of the official bindings.

use dust_layer::tuple::{Bytes, Element, Versionstamp, pack, range, strinc, unpack};
use proptest::prelude::*;
use serde_json::Value;

/// Vectors of types that this build has no element for: UUIDs, and integers beyond 128 bits.
const WITHOUT_ELEMENT: [&str; 2] = ["uuid", "int 340282366920938463463374607431768211456"];

fn elements(values: &Value) -> Option<Vec<Element<'static>>> {
    values.as_array().unwrap().iter().map(element).collect()
}

/// `None` for an integer beyond 64 bits, which is packed through `i128` instead.
fn element(value: &Value) -> Option<Element<'static>> {
    let Some(object) = value.as_object() else {
        return match value {
            Value::Null => Some(Element::Nil),
            Value::Bool(bool) => Some(Element::Bool(*bool)),
            other => panic!("no such element: {other}"),
        };
    };
    let (kind, value) = object.iter().next().unwrap();
    let text = || value.as_str().unwrap();
    Some(match kind.as_str() {
        "bytes" => Element::Bytes(Bytes::from(hex(text()))),
        "str" => Element::String(text().to_owned().into()),
        "int" => Element::Int(text().parse().ok()?),
        "f32" => Element::Float(text().parse().unwrap()),
        "f64" => Element::Double(text().parse().unwrap()),
        "vs96" => Element::Versionstamp(Versionstamp::from(<[u8; 12]>::try_from(hex(text())).unwrap())),
        "tuple" => Element::Tuple(elements(value).unwrap()),
        other => panic!("no such element: {other}"),
    })
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

#[test]
fn every_vector_of_the_official_bindings_packs_and_unpacks() {
    let vectors: Vec<Value> = serde_json::from_str(include_str!("tuple-vectors.json")).unwrap();
    let mut checked = 0;
    for vector in &vectors {
        let description = vector["desc"].as_str().unwrap();
        if WITHOUT_ELEMENT.contains(&description) {
            continue;
        }
        let bytes = hex(vector["hex"].as_str().unwrap());
        if let Some(elements) = elements(&vector["tuple"]) {
            assert_eq!(pack(&elements), bytes, "{description}");
            let unpacked: Vec<Element<'_>> = unpack(&bytes).unwrap();
            assert_eq!(unpacked, elements, "{description}");
        } else {
            let wide: i128 = vector["tuple"][0]["int"].as_str().unwrap().parse().unwrap();
            assert_eq!(pack(&(wide,)), bytes, "{description}");
            assert_eq!(unpack::<(i128,)>(&bytes).unwrap(), (wide,), "{description}");
        }
        checked += 1;
    }
    assert_eq!((vectors.len(), checked), (90, 88));
}

#[test]
fn the_integer_that_bindings_write_differently_is_read_both_ways() {
    let wide = i128::from(u64::MAX);
    let short = hex("1cffffffffffffffff");
    let long = hex("1d08ffffffffffffffff");
    assert_eq!(pack(&(wide,)), short);
    assert_eq!(unpack::<(i128,)>(&short).unwrap(), (wide,));
    assert_eq!(unpack::<(i128,)>(&long).unwrap(), (wide,));
}

#[test]
fn bytes_that_are_no_tuple_are_refused() {
    for bytes in [
        &b"\x01"[..],
        b"\x02\xff\x00",
        b"\x1c\x01",
        b"\xff",
        b"\x05",
        b"\x21\x00",
    ] {
        assert!(unpack::<Vec<Element<'_>>>(bytes).is_err(), "{bytes:?}");
    }
}

type Row = (Option<Vec<u8>>, i64, String, bool);

proptest! {
    #[test]
    fn keys_order_as_their_tuples(left: Row, right: Row) {
        let (packed_left, packed_right) = (pack(&left), pack(&right));
        prop_assert_eq!(packed_left.cmp(&packed_right), left.cmp(&right));
        prop_assert_eq!(unpack::<Row>(&packed_left).unwrap(), left);
    }

    #[test]
    fn any_bytes_unpack_or_are_refused(bytes: Vec<u8>) {
        if let Ok(elements) = unpack::<Vec<Element<'_>>>(&bytes) {
            let packed = pack(&elements);
            prop_assert_eq!(unpack::<Vec<Element<'_>>>(&packed).unwrap(), elements);
        }
    }

    #[test]
    fn a_range_holds_the_tuples_that_go_on(first: i64, second: Row, other: i64) {
        let (begin, end) = range(&(first,));
        let inside = pack(&(first, second.0, second.2));
        prop_assert!(begin <= inside && inside < end);
        let outside = pack(&(other, 1));
        prop_assert_eq!(begin <= outside && outside < end, other == first);
    }

    #[test]
    fn strinc_ends_the_keys_of_a_prefix(prefix: Vec<u8>, tail: Vec<u8>, other: Vec<u8>) {
        if let Some(end) = strinc(&prefix) {
            prop_assert!([&prefix[..], &tail].concat() < end);
            prop_assert_eq!(prefix <= other && other < end, other.starts_with(&prefix));
        } else {
            prop_assert!(prefix.iter().all(|byte| *byte == 0xff));
        }
    }
}
