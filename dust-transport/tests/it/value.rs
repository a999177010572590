//! Values: what is taken, what is refused, and that the text stays.

use std::collections::BTreeMap;

use dust_transport::model::{Envelope, Value, ValueError, ValueKind};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

fn json(text: &str) -> Value {
    Value::from_json(text).expect(text)
}

#[test]
fn text_stays_but_for_whitespace() {
    for (text, kept) in [
        (" null\r\n\t", "null"),
        (r#"{ "b" : 1 , "a" : [ 1 , 2 ] }"#, r#"{"b":1,"a":[1,2]}"#),
        (r#"[" a ","\u0041\/", "{ }"]"#, r#"[" a ","\u0041\/","{ }"]"#),
        (
            "[1.0,1e3,1E+3,-0,-0.0,100000000000000000000000000000]",
            "[1.0,1e3,1E+3,-0,-0.0,100000000000000000000000000000]",
        ),
        (r#"{"a":1,"a":2}"#, r#"{"a":1,"a":2}"#),
        ("[ ]", "[]"),
        ("{\n}", "{}"),
    ] {
        let value = json(text);
        assert_eq!(value.json(), kept);
        assert_eq!(format!("{value} {value:?}"), format!("{kept} {kept}"));
        assert_eq!(serde_json::to_string(&value).unwrap(), kept);
        assert_eq!(serde_json::from_str::<Value>(text).unwrap().json(), kept);
    }
}

#[test]
fn invalid_text_says_where() {
    for (text, offset) in [
        ("", 0),
        (" ", 1),
        ("nul", 0),
        ("nulls", 4),
        ("1 2", 2),
        ("[1,]", 3),
        ("[1", 2),
        ("{\"a\"}", 4),
        ("{a:1}", 1),
        ("{\"a\":1,}", 7),
        ("01", 1),
        ("-", 1),
        ("+1", 0),
        (".5", 0),
        ("1.", 2),
        ("1e", 2),
        ("1e+", 3),
        ("NaN", 0),
        ("\"a", 2),
        ("\"\n\"", 1),
        ("\"\\x\"", 2),
        ("\"\\u12g4\"", 3),
        ("\"\\u+123\"", 3),
        ("\"\\", 2),
        ("\u{feff}1", 0),
        ("'a'", 0),
        ("[1}", 2),
        ("{\"a\":1]", 6),
    ] {
        match Value::from_json(text) {
            Err(ValueError::Syntax { offset: found, .. }) => assert_eq!(found, offset, "{text:?}"),
            other => panic!("{text:?} gave {other:?}"),
        }
    }
    assert!(matches!(
        Value::from_slice(b"\"a\xff\""),
        Err(ValueError::Utf8 { offset: 2 })
    ));
    assert!(matches!(
        Value::from_json(r#""\ud800""#),
        Err(ValueError::LoneSurrogate { offset: 1 })
    ));
    assert!(matches!(
        Value::from_json(r#""\ud800\u0041""#),
        Err(ValueError::LoneSurrogate { offset: 1 })
    ));
    assert!(matches!(
        Value::from_json(r#""a\udc00""#),
        Err(ValueError::LoneSurrogate { offset: 2 })
    ));
    assert!(matches!(
        Value::from_json("[1e400]"),
        Err(ValueError::NumberOverflow { offset: 1 })
    ));
    assert!(matches!(
        Value::from_json(&"9".repeat(400)),
        Err(ValueError::NumberOverflow { offset: 0 })
    ));
    assert_eq!(json("1e-400").to::<f64>().unwrap().to_bits(), 0.0_f64.to_bits());
}

#[test]
fn depth_is_bounded_everywhere() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let deepest = json(&nested(Value::LEVELS_MAX));
    assert_eq!(deepest, Value::from_json(&format!(" {deepest}")).unwrap());
    let tree: serde_json::Value = deepest.to().unwrap();
    assert_eq!(Value::from_serialize(&tree).unwrap(), deepest);
    let deeper = serde_json::Value::from(vec![tree]);
    assert!(matches!(Value::from_serialize(&deeper), Err(ValueError::TooDeep)));
    assert!(matches!(Value::try_from(deeper), Err(ValueError::TooDeep)));
    for levels in [Value::LEVELS_MAX + 1, 10_000, 5_000_000] {
        assert!(matches!(Value::from_json(&nested(levels)), Err(ValueError::TooDeep)));
        assert!(matches!(
            Value::from_json(&"[".repeat(levels)),
            Err(ValueError::TooDeep)
        ));
        assert!(matches!(
            Value::from_json(&r#"{"a":"#.repeat(levels)),
            Err(ValueError::TooDeep)
        ));
    }
    let assembled = Value::from_trusted_json(nested(Value::ASSEMBLED_LEVELS_MAX).into());
    assert!(assembled.to::<serde_json::Value>().is_ok());
    assert_ne!(assembled, deepest);
}

/// A type that nests without end.
struct Endless;

impl Serialize for Endless {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq([Endless])
    }
}

#[derive(Serialize)]
enum Shape {
    Unit,
    Newtype(f64),
    Tuple(f64, f32),
    Struct { number: f64 },
}

#[test]
fn types_that_json_cannot_say_are_refused() {
    assert!(matches!(Value::from_serialize(&Endless), Err(ValueError::TooDeep)));
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(Value::try_from(number), Err(ValueError::NotFinite)));
        assert!(matches!(
            Value::from_serialize(&Some(number)),
            Err(ValueError::NotFinite)
        ));
        assert!(matches!(
            Value::from_serialize(&(1, [number])),
            Err(ValueError::NotFinite)
        ));
        assert!(matches!(
            Value::from_serialize(&BTreeMap::from([("a", vec![number])])),
            Err(ValueError::NotFinite)
        ));
        for shape in [
            Shape::Newtype(number),
            Shape::Tuple(number, 0.0),
            Shape::Struct { number },
        ] {
            assert!(matches!(Value::from_serialize(&shape), Err(ValueError::NotFinite)));
        }
    }
    assert!(matches!(
        Value::from_serialize(&Shape::Tuple(0.0, f32::NAN)),
        Err(ValueError::NotFinite)
    ));
    assert!(matches!(
        Value::from_serialize(&BTreeMap::from([(vec![1], 1)])),
        Err(ValueError::Serialize(_))
    ));
    let raw = serde_json::value::RawValue::from_string("[1e400]".to_owned()).unwrap();
    assert!(matches!(
        Value::from_serialize(&raw),
        Err(ValueError::NumberOverflow { .. })
    ));
}

#[test]
fn types_are_written_as_serde_json_writes_them() {
    let shapes = (
        Shape::Unit,
        Shape::Newtype(0.5),
        Shape::Tuple(1.0, 0.25),
        Shape::Struct { number: 1e300 },
    );
    assert_eq!(
        Value::from_serialize(&shapes).unwrap().json(),
        serde_json::to_string(&shapes).unwrap()
    );
    let map = BTreeMap::from([(1_u8, Some(())), (2, None)]);
    assert_eq!(Value::from_serialize(&map).unwrap().json(), r#"{"1":null,"2":null}"#);
    assert_eq!(Value::from_serialize(&u128::MAX).unwrap().json(), u128::MAX.to_string());
    assert_eq!(
        Value::from_serialize(&json("1E3")).unwrap().json(),
        "1E3",
        "a value inside keeps its text"
    );
    assert_eq!(Value::from(u64::MAX).json(), "18446744073709551615");
    assert_eq!(Value::from(i64::MIN).json(), "-9223372036854775808");
    assert_eq!(Value::from(true).json(), "true");
    assert_eq!(Value::from("\0\"é").json(), "\"\\u0000\\\"é\"");
    assert_eq!(Value::try_from(1.0).unwrap().json(), "1.0");
}

#[test]
fn values_are_read_as_types() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Record<'a> {
        title: &'a str,
        count: u64,
        inner: Option<Value>,
    }
    let value = json(r#"{"title":"Dust","count":18446744073709551615,"inner":[1.0]}"#);
    let record: Record<'_> = value.read().unwrap();
    assert_eq!(
        record,
        Record {
            title: "Dust",
            count: u64::MAX,
            inner: Some(json("[1.0]"))
        }
    );
    assert_eq!(json("0.1").to::<f64>().unwrap().to_bits(), 0.1_f64.to_bits());
    for text in ["0.5", "1e3", "256", "-1", "\"1\"", "null", "[]"] {
        assert!(
            matches!(json(text).to::<u8>(), Err(ValueError::Mismatch(_))),
            "{text} is no u8"
        );
    }
    assert!(json("0.5").to::<i128>().is_err());
    assert_eq!(json(r#""\ud83e\udd80""#).str().as_deref(), Some("🦀"));
}

/// A format that is not for people to read.
struct Binary<D>(D);

impl<'de, D: serde::Deserializer<'de>> serde::Deserializer<'de> for Binary<D> {
    type Error = D::Error;

    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn values_come_from_other_formats() {
    let tree = serde_json::json!({"a": [1, 1.5, "x"]});
    assert_eq!(
        serde_json::from_value::<Value>(tree.clone()).unwrap(),
        Value::try_from(tree).unwrap()
    );
    let text = |text: &'static str| Binary(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text));
    assert_eq!(Value::deserialize(text(r#"{"a": 1}"#)).unwrap().json(), r#"{"a":1}"#);
    assert!(Value::deserialize(text("{")).is_err());
}

#[test]
fn equality_is_of_json_values() {
    for (left, right) in [
        ("1e3", "1000.0"),
        ("-0", "0"),
        (r#""a""#, r#""\u0061""#),
        (r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":1}"#),
        (r#"[{"a":"\/"}]"#, r#"[{"\u0061":"/"}]"#),
    ] {
        assert_eq!(json(left), json(right));
    }
    for (left, right) in [
        ("1", "1.0"),
        ("1", r#""1""#),
        ("null", "false"),
        ("9007199254740993", "9007199254740992"),
        ("[1,2]", "[2,1]"),
        ("[]", "{}"),
        ("[[]]", "[]"),
        (r#"{"a":1}"#, r#"{"a":1,"b":null}"#),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
    ] {
        assert_ne!(json(left), json(right));
    }
}

#[test]
fn parts_are_found() {
    let value = json(r#"{"a":"x,]}\"","b\\\"":{"c":[1,{}],"d":{}},"e":-1.5e3,"a":0,"":null}"#);
    let entries = value.entries().unwrap();
    let shown: Vec<_> = entries
        .iter()
        .map(|(key, value)| (key.as_str(), value.json()))
        .collect();
    assert_eq!(
        shown,
        [
            ("a", r#""x,]}\"""#),
            ("b\\\"", r#"{"c":[1,{}],"d":{}}"#),
            ("e", "-1.5e3"),
            ("", "null")
        ]
    );
    let list = json(r#"["[",[[],{"a":[]}],1,null]"#);
    assert_eq!(
        list.items().unwrap().iter().map(Value::json).collect::<Vec<_>>(),
        [r#""[""#, r#"[[],{"a":[]}]"#, "1", "null"]
    );
    assert_eq!(json("[]").items().unwrap(), []);
    assert_eq!(json("{}").entries().unwrap(), []);
    assert_eq!(
        (json("{}").items(), json("[]").entries(), json("1").str()),
        (None, None, None)
    );
    assert_eq!(
        Value::map([("q\"", Value::list([Value::null()]))]).json(),
        r#"{"q\"":[null]}"#
    );
}

#[test]
fn envelopes_are_told_from_maps() {
    for (text, envelope) in [
        (r#"{"_type":"file","hash":"x"}"#, Some(Envelope::File)),
        (r#"{"_type":"lease"}"#, Some(Envelope::Lease)),
        (r#"{"\u005ftype":"file"}"#, Some(Envelope::File)),
        (
            r#"{"_typed":"29.99","_type":"decimal"}"#,
            Some(Envelope::Decimal("29.99".into())),
        ),
        (
            r#"{"_typed":"-1E+5","_type":"decimal","x":1}"#,
            Some(Envelope::Decimal("-1E+5".into())),
        ),
        (r#"{"_typed":29.99,"_type":"decimal"}"#, Some(Envelope::Other)),
        (r#"{"_typed":"","_type":"decimal"}"#, Some(Envelope::Other)),
        (r#"{"_typed":"1.","_type":"decimal"}"#, Some(Envelope::Other)),
        (r#"{"_typed":"+-1","_type":"decimal"}"#, Some(Envelope::Other)),
        (r#"{"_typed":"1e","_type":"decimal"}"#, Some(Envelope::Other)),
        (
            r#"{"_typed":"2024-06-01T00:00:00Z","_type":"datetime"}"#,
            Some(Envelope::Datetime("2024-06-01T00:00:00Z".into())),
        ),
        (r#"{"_typed":"yesterday","_type":"datetime"}"#, Some(Envelope::Other)),
        (r#"{"_typed":null,"_type":null}"#, Some(Envelope::Other)),
        (r#"{"_type":"decimal"}"#, None),
        (r#"{"_type":1}"#, None),
        (r#"{"_typed":1}"#, None),
        (r#"{"a":{"_type":"file"}}"#, None),
        ("{}", None),
        (r#"["_type"]"#, None),
    ] {
        let value = json(text);
        assert_eq!(value.envelope(), envelope, "{text}");
        assert_eq!(value.is_leaf(), envelope.is_some() || !value.is_map(), "{text}");
        assert_eq!(value.as_leaf().is_some(), value.is_leaf(), "{text}");
    }
    assert_eq!(json("[]").as_leaf(), Some((json("[]"), ValueKind::List)));
}

#[test]
fn kinds_have_names() {
    for kind in ValueKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!(
        "Map".parse::<ValueKind>().unwrap_err().to_string(),
        "`Map` is not the name of a kind of value"
    );
}

#[test]
fn huge_values_are_taken() {
    let huge = "é".repeat(5 << 20);
    let value = Value::from(huge.as_str());
    assert_eq!(value.str().as_deref(), Some(&*huge));
    let list = Value::list((0..1_000_000).map(Value::from));
    assert_eq!(Value::from_json(list.json()).unwrap(), list);
    assert_eq!(list.items().unwrap().len(), 1_000_000);
}

fn tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Into::into),
        any::<String>().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Into::into),
            prop::collection::btree_map(any::<String>(), inner, 0..8)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn text_is_exact_and_reads_back(tree in tree()) {
        let compact = tree.to_string();
        let pretty = Value::from_json(&serde_json::to_string_pretty(&tree).unwrap()).unwrap();
        prop_assert_eq!(pretty.json(), &compact);
        prop_assert_eq!(&Value::from_json(pretty.json()).unwrap(), &pretty);
        let serialized = Value::from_serialize(&tree).unwrap();
        prop_assert_eq!(serialized.json(), &compact);
        prop_assert_eq!(pretty.to::<serde_json::Value>().unwrap(), tree);
    }

    #[test]
    fn equality_is_that_of_trees(left in tree(), right in tree()) {
        let value = |tree: &serde_json::Value| Value::from_json(&tree.to_string()).unwrap();
        prop_assert_eq!(value(&left) == value(&right), left == right);
        if let (Some(map), Some(entries)) = (left.as_object(), value(&left).entries()) {
            prop_assert_eq!(&Value::map(entries.into_iter().rev()), &value(&left));
            prop_assert_eq!(map.len(), value(&left).entries().unwrap().len());
        }
        if let (Some(list), Some(items)) = (left.as_array(), value(&left).items()) {
            prop_assert_eq!(list.len(), items.len());
            prop_assert_eq!(&Value::list(items), &value(&left));
        }
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_does(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
        let ours = Value::from_slice(&bytes);
        prop_assert_eq!(ours.is_ok(), serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
    }

    #[test]
    fn bent_json_is_judged_as_serde_json_does(
        tree in tree(),
        at in any::<prop::sample::Index>(),
        byte in prop::sample::select(br#"{}[],:"\ 019.-+eEtunrf/"#.to_vec()),
        insert in any::<bool>(),
    ) {
        let mut bytes = tree.to_string().into_bytes();
        let at = at.index(bytes.len());
        if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        let ours = Value::from_slice(&bytes);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{:?}: {:?} {:?}", String::from_utf8_lossy(&bytes), ours, theirs);
        if let Ok(value) = ours {
            let again = Value::from_json(value.json()).unwrap();
            prop_assert_eq!(again.json(), value.json());
        }
    }
}

proptest! {
    #[test]
    fn strings_are_quoted_as_serde_json_does(text in any::<String>(), controls in prop::collection::vec(0_u8..0x80, 0..8)) {
        let text = text + std::str::from_utf8(&controls).unwrap();
        let value = Value::from(text.as_str());
        prop_assert_eq!(&Value::from_serialize(&text).unwrap(), &value);
        let (again, back) = (Value::from_json(value.json()).unwrap(), value.str());
        prop_assert_eq!(again.json(), value.json());
        prop_assert_eq!(back.as_deref(), Some(&*text));
    }

    #[test]
    fn whitespace_between_tokens_is_dropped(tree in tree(), blanks in prop::collection::vec("[ \n\r\t]{0,3}", 1..8)) {
        let pretty = serde_json::to_string_pretty(&tree).unwrap();
        let blank = |index: usize| blanks[index % blanks.len()].as_str();
        // The lines of pretty JSON end where whitespace may stand, for no string holds a raw line break.
        let padded: String = pretty.lines().enumerate().map(|(index, line)| blank(index).to_owned() + line).collect();
        let value = Value::from_json(&(padded + blank(0))).unwrap();
        prop_assert_eq!(value.json(), tree.to_string());
    }
}
