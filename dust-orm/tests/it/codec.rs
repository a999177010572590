//! Records to values and back, through a changeset and through a store.

use std::collections::{BTreeMap, HashMap};

use dust_orm::prelude::*;
use dust_orm::{Changeset, Value};
use dust_transport::model::{Batch as Ops, Op, Path};
use proptest::prelude::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "flat")]
struct Record {
    slug: String,
    signed: i64,
    unsigned: u64,
    wide: i128,
    small: u8,
    float: f64,
    single: f32,
    yes: bool,
    letter: char,
    text: String,
    maybe: Option<String>,
    maybe_int: Option<i32>,
    list: Vec<i64>,
    texts: Vec<Option<String>>,
    map: BTreeMap<String, i64>,
    ids: HashMap<u32, Vec<bool>>,
    pair: (i8, String),
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    skipped: Vec<u8>,
    inner: Inner,
    boxed: Option<Box<Inner>>,
    kind: Kind,
    #[dust(rename = "w")]
    wrapped: Wrapped,
    unit: (),
}

/// The same fields as one value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "map", storage = "map")]
struct Whole {
    slug: String,
    float: f64,
    text: String,
    maybe: Option<String>,
    map: BTreeMap<String, i64>,
    inner: Inner,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Inner {
    name: String,
    zip: Option<String>,
    numbers: Vec<f64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    Unit,
    New(u32),
    Tuple(u8, String),
    Struct { a: Option<i64> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapped(Option<u8>);

fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has no other", |float| float.is_finite())
}

fn inner() -> impl Strategy<Value = Inner> {
    (
        any::<String>(),
        any::<Option<String>>(),
        prop::collection::vec(finite(), 0..3),
    )
        .prop_map(|(name, zip, numbers)| Inner { name, zip, numbers })
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::Unit),
        any::<u32>().prop_map(Kind::New),
        any::<(u8, String)>().prop_map(|(a, b)| Kind::Tuple(a, b)),
        any::<Option<i64>>().prop_map(|a| Kind::Struct { a }),
    ]
}

prop_compose! {
    fn flat()(
        (signed, unsigned, wide, small) in any::<(i64, u64, i128, u8)>(),
        float in finite(),
        single in any::<f32>().prop_filter("JSON has no other", |float| float.is_finite()),
        (yes, letter, text, maybe, maybe_int) in any::<(bool, char, String, Option<String>, Option<i32>)>(),
        list in any::<Vec<i64>>(),
        texts in any::<Vec<Option<String>>>(),
        // The names of leaves: a store has neither "" nor NUL in them.
        map in prop::collection::btree_map("[^\0]{1,8}", any::<i64>(), 0..4),
        ids in prop::collection::hash_map(any::<u32>(), any::<Vec<bool>>(), 0..4),
        (pair, skipped) in any::<((i8, String), Vec<u8>)>(),
        inner in inner(),
        boxed in prop::option::of(inner().prop_map(Box::new)),
        kind in kind(),
        wrapped in any::<Option<u8>>().prop_map(Wrapped),
    ) -> Record {
        Record {
            slug: "a".into(), signed, unsigned, wide, small, float, single, yes, letter, text, maybe, maybe_int, list,
            texts, map, ids, pair, skipped, inner, boxed, kind, wrapped, unit: (),
        }
    }
}

/// Takes a record through everything that is done with it short of a store.
fn check<S: Schema + Clone + PartialEq + std::fmt::Debug>(record: &S) {
    let whole = Changeset::from(record)
        .apply()
        .map_err(|changeset| changeset.errors().clone());
    assert_eq!(whole.as_ref(), Ok(record), "dump and load");
    let kept = record.change();
    assert_eq!(kept.changes().count(), 0);
    assert_eq!(kept.apply().unwrap(), *record, "nothing changed");
}

proptest! {
    #[test]
    fn a_record_loads_as_it_was_dumped(record in flat()) {
        check(&record);
    }

    #[test]
    fn a_record_cast_from_itself_is_itself_but_for_empty_texts(record in flat()) {
        // To a cast, "" is absent: at the top, and in an option at any depth.
        let zip = |inner: Inner| Inner { zip: inner.zip.filter(|zip| !zip.is_empty()), ..inner };
        let texts = record.texts.into_iter().map(|text| text.filter(|text| !text.is_empty())).collect();
        let boxed = record.boxed.map(|inner| Box::new(zip(*inner)));
        let maybe = record.maybe.filter(|text| !text.is_empty());
        let text = format!("x{}", record.text);
        let record = Record { maybe, text, texts, inner: zip(record.inner), boxed, ..record };
        let cast = Record::changeset(&record).apply().map_err(|changeset| changeset.errors().clone());
        prop_assert_eq!(cast.as_ref(), Ok(&record));
        prop_assert_eq!(record.change().cast(&record).changes().count(), 0);
    }

    #[test]
    fn a_record_comes_back_from_a_store(flat in flat(), inner in inner()) {
        let whole = Whole {
            slug: flat.slug.clone(),
            float: flat.float,
            text: flat.text.clone(),
            maybe: flat.maybe.clone(),
            map: flat.map.clone(),
            inner,
            kind: flat.kind.clone(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let repo = Repo::memory();
            repo.insert(&flat).await.unwrap();
            repo.insert(&whole).await.unwrap();
            assert_eq!(repo.get::<Record>("a").await.unwrap(), Some(flat));
            assert_eq!(repo.get::<Whole>("a").await.unwrap(), Some(whole));
        });
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "notes")]
struct Note {
    slug: String,
    #[dust(required)]
    title: String,
    count: u32,
    done: bool,
    score: f64,
    #[dust(default = "five")]
    stars: u8,
    #[serde(default = "six")]
    weight: u8,
    tags: BTreeMap<String, u8>,
    #[serde(default = "one_link")]
    links: BTreeMap<String, u8>,
    inner: Option<Inner>,
    #[serde(with = "plain")]
    own: Option<u8>,
    #[serde(with = "plain", default)]
    own_default: Option<u8>,
    raw: Option<Value>,
}

mod plain {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(
        clippy::ref_option,
        clippy::trivially_copy_pass_by_ref,
        reason = "serde's `with` calls it so"
    )]
    pub(super) fn serialize<S: Serializer>(number: &Option<u8>, serializer: S) -> Result<S::Ok, S::Error> {
        number.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
        Option::deserialize(deserializer)
    }
}

fn five() -> u8 {
    5
}

fn six() -> u8 {
    6
}

fn one_link() -> BTreeMap<String, u8> {
    BTreeMap::from([("home".to_owned(), 1)])
}

fn note() -> Note {
    Note {
        slug: "a".into(),
        title: "A".into(),
        count: 1,
        done: true,
        score: 2.0,
        stars: 5,
        weight: 6,
        tags: BTreeMap::new(),
        links: one_link(),
        inner: None,
        own: None,
        own_default: None,
        raw: None,
    }
}

/// What `get` makes of leaves that another client wrote under `notes/a`.
async fn load(leaves: &[(&str, &str)]) -> Result<Note, Error> {
    let repo = Repo::memory();
    let set = |(field, json): &(&str, &str)| {
        Op::set(
            Path::parse(&format!("notes/a/{field}")).unwrap(),
            Value::from_json(json).unwrap(),
        )
    };
    repo.transport().write(Ops::new(leaves.iter().map(set))).await.unwrap();
    repo.get("a").await.map(|note| note.expect("there are leaves"))
}

#[tokio::test]
async fn what_other_clients_write_is_loaded_with_the_leniency_of_a_cast() {
    let title = ("title", r#""A""#);
    let strict = [title, ("count", "1"), ("done", "true"), ("score", "2.0")];
    assert_eq!(load(&strict).await.unwrap(), note());
    let loose = [
        title,
        ("count", r#""1""#),
        ("done", r#""1""#),
        ("score", "2"),
        ("unknown", "[]"),
    ];
    assert_eq!(load(&loose).await.unwrap(), note());

    // Null is what clearing leaves behind; a default stands for it, as for what is not there at all.
    let nulls = ["stars", "weight", "tags", "links", "inner", "own", "own_default", "raw"].map(|field| (field, "null"));
    for base in [strict.as_slice(), &loose] {
        assert_eq!(load(&[base, &nulls].concat()).await.unwrap(), note());
    }
    // Leniency with one field leaves what the others say alone.
    let nested = ("inner", r#"{"name": "", "zip": "", "numbers": ["1.5"]}"#);
    let found = load(&[loose.as_slice(), &[nested, ("links/x", "7"), ("own", "3")]].concat())
        .await
        .unwrap();
    let inner = Inner {
        name: String::new(),
        zip: None,
        numbers: vec![1.5],
    };
    let links = BTreeMap::from([("x".to_owned(), 7)]);
    assert_eq!(
        found,
        Note {
            inner: Some(inner),
            links,
            own: Some(3),
            ..note()
        }
    );
}

#[tokio::test]
async fn what_does_not_load_is_an_error_that_names_the_field() {
    let rest = [("count", "1"), ("done", "true"), ("score", "2")];
    let title = ("title", r#""A""#);
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[], "field `title`: can't be blank"),
        (&[("title", "null")], "field `title`: can't be blank"),
        (&[("title", r#""""#)], "field `title`: can't be blank"),
        (&[("title", "5")], "field `title`: expected a string"),
        (&[title, ("count", r#""many""#)], "field `count`: expected u32"),
        (&[title, ("count", "null")], "field `count`: can't be blank"),
        (&[title, ("stars", "256")], "field `stars`: expected u8"),
        (&[title, ("tags", "[]")], "field `tags`: expected a map"),
        (
            &[title, ("own", "[]")],
            "field `own`: invalid type: sequence, expected u8",
        ),
    ];
    for (leaves, expected) in cases {
        let error = load(&[&rest, *leaves].concat()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidRecord);
        assert_eq!(
            error.to_string(),
            format!("the stored Note `a` does not load: {expected}")
        );
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "notes")]
struct Deep {
    slug: String,
    raw: serde_json::Value,
}

#[tokio::test]
async fn what_a_store_assembles_may_be_deeper_than_one_value() {
    let depth = Path::SEGMENTS_MAX - "notes/a/raw".split('/').count();
    let below = ["x"].repeat(depth).join("/");
    let list = "[".repeat(100) + &"]".repeat(100);
    let leaves = [
        ("title", r#""A""#),
        ("count", "1"),
        ("done", "true"),
        ("score", "2.0"),
        (&format!("raw/{below}"), &list),
    ];
    let found = load(&leaves).await;
    // A `Value` holds 127 levels; deeper ones are refused, and a type that does not count them reads them.
    assert_eq!(found.unwrap_err().kind(), ErrorKind::InvalidRecord);

    let repo = Repo::memory();
    let path = Path::parse(&format!("notes/a/raw/{below}")).unwrap();
    repo.transport()
        .write(Ops::new([Op::set(path, Value::from_json(&list).unwrap())]))
        .await
        .unwrap();
    let found = repo.get::<Deep>("a").await.unwrap().unwrap();
    let mut levels = 0;
    let mut tree = &found.raw;
    while let Some(inner) = tree.get("x").or_else(|| tree.get(0)) {
        (levels, tree) = (levels + 1, inner);
    }
    assert_eq!(levels, depth + 99);
}
