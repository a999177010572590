//! What comes from outside, and what becomes of it field by field.

use std::collections::{BTreeMap, HashMap};

use dust_orm::prelude::*;
use dust_orm::{Changeset, Errors, FieldChange, Value};
use proptest::prelude::*;
use serde_json::json;

/// A day as a type of its own reads and writes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Day(u16, u8, u8);

impl TryFrom<String> for Day {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let day = || {
            let mut parts = text.splitn(3, '-');
            let year = parts.next()?.parse().ok()?;
            let month = parts.next()?.parse().ok().filter(|month| (1..=12).contains(month))?;
            let day = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
            Some(Self(year, month, day))
        };
        day().ok_or_else(|| "not a day".to_owned())
    }
}

impl From<Day> for String {
    fn from(Day(year, month, day): Day) -> Self {
        format!("{year:04}-{month:02}-{day:02}")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Paper,
    EBook,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Shape {
    Circle(f64),
    Box { width: u32 },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Address {
    street: String,
    number: u32,
    zip: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "forms")]
struct Form {
    slug: String,
    int: Option<i64>,
    byte: Option<u8>,
    long: Option<u64>,
    wide: Option<i128>,
    widest: Option<u128>,
    float: Option<f64>,
    flag: Option<bool>,
    letter: Option<char>,
    text: Option<String>,
    list: Option<Vec<i64>>,
    texts: Option<Vec<Option<String>>>,
    map: Option<BTreeMap<u32, i64>>,
    address: Option<Address>,
    raw: Option<Value>,
    tree: Option<serde_json::Value>,
    day: Option<Day>,
    kind: Option<Kind>,
    shape: Option<Shape>,
    nothing: Option<()>,
}

/// What a cast makes of one field: the JSON it is set to, `cleared`, or the reason against it.
fn outcome(changeset: &Changeset<Form>, field: &str) -> Result<String, String> {
    if let Some(error) = changeset.errors().iter().next() {
        assert_eq!(
            (error.field(), error.code(), error.message()),
            (field, "cast", "is invalid")
        );
        assert_eq!(changeset.changes().count(), 0);
        return Err(error.params()["reason"].as_str().unwrap().to_owned());
    }
    let changes: Vec<_> = changeset.changes().collect();
    match changes.as_slice() {
        [(name, FieldChange::Set(value))] if *name == field => Ok(value.json().to_owned()),
        [(name, FieldChange::Cleared)] if *name == field => Ok("cleared".to_owned()),
        other => panic!("{field}: {other:?}"),
    }
}

/// A field, what is given for it, and what becomes of that.
const CASES: &[(&str, &str, Result<&str, &str>)] = &[
    ("int", "5", Ok("5")),
    ("int", r#""5""#, Ok("5")),
    ("int", r#""+5""#, Ok("5")),
    ("int", r#""-5""#, Ok("-5")),
    ("int", r#""007""#, Ok("7")),
    ("int", r#""9223372036854775807""#, Ok("9223372036854775807")),
    ("int", r#""-9223372036854775808""#, Ok("-9223372036854775808")),
    ("int", "-9223372036854775808", Ok("-9223372036854775808")),
    ("int", r#""9223372036854775808""#, Err("expected i64")),
    ("int", "9223372036854775808", Err("expected i64")),
    ("int", "1e30", Err("expected i64")),
    ("int", "5.0", Err("expected i64")),
    ("int", r#""5.5""#, Err("expected i64")),
    ("int", r#"" 5""#, Err("expected i64")),
    ("int", r#""5 apples""#, Err("expected i64")),
    ("int", r#""--5""#, Err("expected i64")),
    ("int", r#""+-5""#, Err("expected i64")),
    ("int", "true", Err("expected i64")),
    ("int", "[5]", Err("expected i64")),
    ("byte", r#""255""#, Ok("255")),
    ("byte", "256", Err("expected u8")),
    ("byte", r#""-1""#, Err("expected u8")),
    ("long", "18446744073709551615", Ok("18446744073709551615")),
    ("long", r#""18446744073709551615""#, Ok("18446744073709551615")),
    ("long", r#""18446744073709551616""#, Err("expected u64")),
    ("long", "-1", Err("expected u64")),
    (
        "wide",
        "-170141183460469231731687303715884105728",
        Ok("-170141183460469231731687303715884105728"),
    ),
    (
        "wide",
        r#""170141183460469231731687303715884105727""#,
        Ok("170141183460469231731687303715884105727"),
    ),
    (
        "wide",
        r#""170141183460469231731687303715884105728""#,
        Err("expected i128"),
    ),
    (
        "widest",
        r#""340282366920938463463374607431768211455""#,
        Ok("340282366920938463463374607431768211455"),
    ),
    ("widest", "5", Ok("5")),
    ("widest", "-5", Err("expected u128")),
    ("float", "1", Ok("1.0")),
    ("float", r#""1.5""#, Ok("1.5")),
    ("float", r#""1e3""#, Ok("1000.0")),
    ("float", r#""NaN""#, Err("expected f64")),
    ("float", r#""inf""#, Err("expected f64")),
    ("float", r#""1e400""#, Err("expected f64")),
    ("flag", "true", Ok("true")),
    ("flag", r#""true""#, Ok("true")),
    ("flag", r#""1""#, Ok("true")),
    ("flag", r#""false""#, Ok("false")),
    ("flag", r#""0""#, Ok("false")),
    ("flag", "1", Err("expected a boolean")),
    ("flag", r#""yes""#, Err("expected a boolean")),
    ("letter", r#""ß""#, Ok(r#""ß""#)),
    ("letter", r#""ss""#, Err("expected a character")),
    ("text", r#"" ""#, Ok(r#"" ""#)),
    ("text", r#""a\u0000b""#, Ok(r#""a\u0000b""#)),
    ("text", "5", Err("expected a string")),
    ("list", r#"[1,"2"]"#, Ok("[1,2]")),
    ("list", "[]", Ok("[]")),
    ("list", r#"[1,""]"#, Err("expected i64")),
    ("list", "[1,null]", Err("expected i64")),
    ("texts", r#"["a","",null]"#, Ok(r#"["a",null,null]"#)),
    ("map", r#"{"7":"1"}"#, Ok(r#"{"7":1}"#)),
    ("map", "{}", Ok("{}")),
    ("map", r#"{"x":1}"#, Err("expected u32")),
    (
        "address",
        r#"{"street":"Main","number":"5","zip":"","tags":["a"]}"#,
        Ok(r#"{"street":"Main","number":5,"zip":null,"tags":["a"]}"#),
    ),
    (
        "address",
        r#"{"street":"","number":5,"zip":""}"#,
        Ok(r#"{"street":"","number":5,"zip":null,"tags":[]}"#),
    ),
    ("address", r#"{"street":"Main"}"#, Err("missing field `number`")),
    (
        "raw",
        r#"{"b":[1.0,18446744073709551615]}"#,
        Ok(r#"{"b":[1.0,18446744073709551615]}"#),
    ),
    ("raw", r#"{"b":""}"#, Ok(r#"{"b":""}"#)),
    ("tree", r#"[{"b":null}]"#, Ok(r#"[{"b":null}]"#)),
    ("day", r#""2026-02-28""#, Ok(r#""2026-02-28""#)),
    ("day", r#""2026-2-8""#, Ok(r#""2026-02-08""#)),
    ("day", r#""2026-13-01""#, Err("not a day")),
    ("day", "5", Err("expected a string")),
    ("kind", r#""e_book""#, Ok(r#""e_book""#)),
    (
        "kind",
        r#""scroll""#,
        Err("unknown variant `scroll`, expected `paper` or `e_book`"),
    ),
    ("shape", r#"{"Circle":"1.5"}"#, Ok(r#"{"Circle":1.5}"#)),
    ("shape", r#"{"Box":{"width":"3"}}"#, Ok(r#"{"Box":{"width":3}}"#)),
    (
        "shape",
        r#"{"Box":{"width":3},"Circle":1}"#,
        Err("invalid value: map, expected map with a single key"),
    ),
    ("nothing", "[]", Err("expected unit")),
    ("int", r#""""#, Ok("cleared")),
    ("text", r#""""#, Ok("cleared")),
    ("text", "null", Ok("cleared")),
    ("address", r#""""#, Ok("cleared")),
];

#[test]
fn a_value_becomes_what_the_field_is_or_an_error() {
    let mut wrong = Vec::new();
    for (field, input, expected) in CASES {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        let text = format!(r#"{{"{field}":{input}}}"#);
        let raw = Value::from_json(&text).unwrap();
        let casts = [Changeset::new().cast_json(&text), Changeset::new().cast(&raw)];
        for found in casts.map(|changeset| outcome(&changeset, field)) {
            if found != expected {
                wrong.push(format!("{text}: {found:?}, expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_input_is_whatever_has_named_values() {
    #[derive(Serialize)]
    struct Params<'a> {
        int: &'a str,
        unknown: f64,
    }
    #[derive(Serialize)]
    struct Wrapper<T>(T);

    let params = || Params {
        int: "5",
        unknown: f64::NAN,
    };
    let tree = json!({"int": "5", "unknown": {"deep": []}});
    let text = serde_json::value::RawValue::from_string(r#"{"int": "5"}"#.to_owned()).unwrap();
    let casts = [
        Changeset::<Form>::new().cast(&params()),
        Changeset::new().cast(&Some(Wrapper(params()))),
        Changeset::new().cast(&tree),
        Changeset::new().cast(&Value::try_from(tree.clone()).unwrap()),
        Changeset::new().cast(&text),
        Changeset::new().cast(&BTreeMap::from([("int", "5")])),
        Changeset::new().cast(&HashMap::from([("int".to_owned(), 5)])),
        Changeset::new().cast(&[("unknown", "x"), ("int", "5")]),
        Changeset::new().cast(&(("int", 5), ("unknown", None::<i64>))),
        Changeset::new().cast_json(r#" {"int": "5", "unknown": {}} "#),
    ];
    for (index, changeset) in casts.iter().enumerate() {
        assert_eq!(outcome(changeset, "int"), Ok("5".to_owned()), "input {index}");
    }
}

#[test]
fn of_values_with_the_same_name_the_first_counts() {
    let pairs = Changeset::<Form>::new().cast(&[("int", "1"), ("int", "2"), ("int", "x")]);
    let json = Changeset::<Form>::new().cast_json(r#"{"int":1,"int":2,"int":"x"}"#);
    for changeset in [pairs, json] {
        assert_eq!(outcome(&changeset, "int"), Ok("1".to_owned()));
    }
}

#[test]
fn an_input_without_named_values_is_one_error_of_the_record() {
    let deep = "[".repeat(10_000) + &"]".repeat(10_000);
    let casts = [
        (
            Changeset::<Form>::new().cast("{}"),
            "expected a map of fields, found a string",
        ),
        (Changeset::new().cast(&5), "expected a map of fields, found an integer"),
        (
            Changeset::new().cast(&None::<Form>),
            "expected a map of fields, found null",
        ),
        (
            Changeset::new().cast(&Value::from_json("[[1]]").unwrap()),
            "expected a map of fields, found list",
        ),
        (
            Changeset::new().cast(&["int", "5"]),
            "expected pairs of a name and a value",
        ),
        (
            Changeset::new().cast(&BTreeMap::from([(5, "int")])),
            "expected the name of a field, found 5",
        ),
        (Changeset::new().cast_json("[]"), "expected a JSON object"),
        (Changeset::new().cast_json(""), "not JSON: expected a value at byte 0"),
        (
            Changeset::new().cast_json("{\"int\":\"\\ud800\"}"),
            "the escape at byte 8 is half of a surrogate pair",
        ),
        (
            Changeset::new().cast_json(&deep),
            "a value is nested at most 127 levels deep",
        ),
    ];
    for (changeset, expected) in casts {
        assert_eq!(outcome(&changeset, Errors::RECORD), Err(expected.to_owned()));
    }
}

#[test]
fn a_value_without_a_json_form_is_an_error_of_its_field() {
    let mut deep = json!(null);
    for _ in 0..200 {
        deep = json!([deep]);
    }
    let changeset = Changeset::<Form>::new().cast(&json!({"tree": deep}));
    let reason = "a value is nested at most 127 levels deep";
    assert_eq!(outcome(&changeset, "tree"), Err(reason.to_owned()));
    let changeset = Changeset::<Form>::new().cast(&[("float", f64::NAN)]);
    assert!(
        changeset
            .errors()
            .iter()
            .next()
            .is_some_and(|error| error.code() == "cast")
    );
    let changeset = Changeset::<Form>::new().cast(&BTreeMap::from([("float", f64::INFINITY)]));
    assert_eq!(outcome(&changeset, "float"), Err("a number must be finite".to_owned()));
}

#[test]
fn every_field_that_does_not_cast_is_reported() {
    let changeset = Form::changeset(&json!({"slug": 5, "int": "x", "flag": "x", "text": "fine", "day": "x"}));
    let fields: Vec<_> = changeset.errors().iter().map(dust_orm::FieldError::field).collect();
    assert_eq!(fields, ["slug", "int", "flag", "day"]);
    assert_eq!(changeset.get_change(Form::TEXT), FieldChange::Set("fine".to_owned()));
}

#[test]
fn what_is_nested_as_deep_as_a_value_may_be_is_cast_like_the_rest() {
    #[derive(Debug, Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "trees")]
    struct Tree {
        slug: String,
        root: Node,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Node {
        number: u32,
        child: Option<Box<Node>>,
    }
    let tree = |levels: usize| {
        let (open, close) = (r#"{"number":"7","child":"#.repeat(levels), "}".repeat(levels));
        format!(r#"{{"slug":"a","root":{open}null{close}}}"#)
    };
    let tree_of = |levels| Changeset::<Tree>::new().cast_json(&tree(levels));
    let found = tree_of(126).apply().unwrap();
    let nodes = std::iter::successors(Some(&found.root), |node| node.child.as_deref());
    assert_eq!(nodes.map(|node| node.number).sum::<u32>(), 7 * 126);
    assert_eq!(tree_of(127).errors().of(Errors::RECORD).count(), 1);
}

#[test]
fn what_is_huge_is_cast_like_the_rest() {
    let text = "x".repeat(10 << 20);
    let changeset = Form::changeset(&[("slug", "a"), ("text", &text)]);
    assert_eq!(changeset.apply().unwrap().text, Some(text));

    let many: BTreeMap<String, u32> = (0..100_000).map(|n| (format!("name{n}"), n)).collect();
    let changeset = Changeset::<Form>::new().cast(&many);
    assert!(changeset.is_valid());
    assert_eq!(changeset.changes().count(), 0);

    let map: BTreeMap<u32, i64> = (0..100_000).map(|n| (n, 1)).collect();
    let changeset = Form::changeset(&json!({"slug": "a", "map": map}));
    assert_eq!(changeset.apply().unwrap().map, Some(map));
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "books")]
#[serde(rename_all = "camelCase")]
struct Book {
    #[dust(slug)]
    isbn: Isbn,
    #[dust(required)]
    full_title: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[dust(rename = "n")]
    pages: u32,
    #[dust(default = "first")]
    edition: u8,
    #[serde(default)]
    copies: Vec<u32>,
    #[serde(with = "minutes")]
    reading: Option<u64>,
    #[dust(skip)]
    draft: bool,
    #[serde(skip)]
    cache: Option<String>,
    index: BTreeMap<String, u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Isbn(String);

impl AsRef<str> for Isbn {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

fn first() -> u8 {
    1
}

/// A field with an encoding of its own: minutes in the record, "90 min" in the store.
mod minutes {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's `with` calls it so")]
    pub(super) fn serialize<S: Serializer>(minutes: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match minutes {
            Some(minutes) => serializer.collect_str(&format_args!("{minutes} min")),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        let minutes = text.strip_suffix(" min").and_then(|minutes| minutes.parse().ok());
        minutes
            .map(Some)
            .ok_or_else(|| D::Error::custom("not a number of minutes"))
    }
}

#[test]
fn inputs_speak_the_names_of_serde_and_absent_fields_get_their_default() {
    let book = Book::changeset(&json!({"isbn": "1", "fullTitle": "Dust", "type": "paper", "pages": "12", "n": 3}));
    let expected = Book {
        isbn: Isbn("1".into()),
        full_title: "Dust".into(),
        kind: Kind::Paper,
        pages: 12,
        edition: 1,
        copies: Vec::new(),
        reading: None,
        draft: false,
        cache: None,
        index: BTreeMap::new(),
    };
    assert_eq!(book.get_field(Book::EDITION), Some(1));
    assert_eq!(book.apply().unwrap(), expected);

    // Null and "" are absence for every field, with the default that goes with it.
    let change = json!({"edition": "", "copies": null, "reading": "", "draft": null, "index": null, "cache": null});
    let full = Book {
        edition: 3,
        copies: vec![1],
        reading: Some(90),
        draft: true,
        ..expected.clone()
    };
    let full = Book {
        index: BTreeMap::from([("a".into(), 1)]),
        ..full
    };
    assert_eq!(full.change().cast(&change).apply().unwrap(), expected);

    let reading = expected
        .change()
        .cast(&[("reading", "75 min"), ("draft", "1")])
        .apply()
        .unwrap();
    assert_eq!((reading.reading, reading.draft), (Some(75), true));
}

#[test]
fn a_field_with_its_own_encoding_is_checked_with_the_record() {
    let form = [("isbn", "1"), ("reading", "long"), ("type", "paper"), ("pages", "x")];
    let changeset = Book::changeset(&form).apply().unwrap_err();
    let found: Vec<_> = changeset
        .errors()
        .iter()
        .map(|error| (error.field(), error.code()))
        .collect();
    assert_eq!(
        found,
        [("fullTitle", "required"), ("pages", "cast"), ("reading", "cast")]
    );
    let error = changeset.errors().of("reading").next().unwrap();
    assert!(
        error.params()["reason"]
            .as_str()
            .unwrap()
            .starts_with("not a number of minutes")
    );
}

fn json_tree() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<u64>().prop_map(Into::into),
        any::<f64>().prop_map(Into::into),
        "[0-9+.e-]{0,6}".prop_map(Into::into),
        any::<String>().prop_map(Into::into),
        proptest::sample::select(vec!["", "true", "1", "paper", "2026-01-31", "NaN"]).prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let name = prop_oneof![
            any::<String>(),
            proptest::sample::select(vec!["street", "number", "zip", "Circle", "Box", "width", "7"])
                .prop_map(Into::into),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

fn input<S: Schema>() -> impl Strategy<Value = Vec<(String, serde_json::Value)>> {
    let names: Vec<&str> = S::FIELDS.iter().map(dust_orm::FieldDef::serde_name).collect();
    let name = prop_oneof![
        20 => proptest::sample::select(names).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    prop::collection::vec((name, json_tree()), 0..24)
}

/// Whatever the input: no panic, errors or a record, and a valid changeset is one that applies.
fn check_input<S: Schema + PartialEq + std::fmt::Debug>(input: &[(String, serde_json::Value)]) {
    let changeset = S::changeset(input).validate();
    let errors = changeset.errors().clone();
    match changeset.apply() {
        Ok(record) => {
            assert!(errors.is_empty());
            // What was accepted is what a second look at it accepts.
            let again = Changeset::from(&record).apply().expect("an accepted record is valid");
            assert_eq!(again, record);
            assert_eq!(
                record.change().cast(&record).changes().count(),
                0,
                "casting a record onto itself"
            );
        }
        Err(changeset) => assert_eq!(*changeset.errors(), errors),
    }
    let object: serde_json::Map<_, _> = input.iter().rev().cloned().collect();
    let text = serde_json::Value::Object(object).to_string();
    let (pairs, json) = (S::changeset(input), Changeset::<S>::new().cast_json(&text));
    assert!(pairs.changes().eq(json.changes()), "{text}");
}

proptest! {
    #[test]
    fn any_input_gives_errors_or_a_record(form in input::<Form>(), book in input::<Book>()) {
        check_input::<Form>(&form);
        check_input::<Book>(&book);
    }

    #[test]
    fn any_text_as_json_gives_errors_or_a_changeset(text in any::<String>()) {
        let changeset = Changeset::<Form>::new().cast_json(&text);
        let is_object = text.trim_start().starts_with('{');
        prop_assert!(is_object || !changeset.is_valid());
    }
}
