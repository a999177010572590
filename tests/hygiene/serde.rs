//! The names in the table are those that serde writes, for every setting that changes them.

use std::collections::BTreeSet;

use dust_orm::{DustSchema, Schema};
use serde::{Deserialize, Serialize};

macro_rules! rules {
    ($($name:ident $rule:literal)*) => {$(
        #[test]
        fn $name() {
            #[derive(Default, Serialize, Deserialize, DustSchema)]
            #[serde(rename_all = $rule)]
            #[dust(prefix = "links")]
            struct Link {
                slug: String,
                read_at: u64,
                _v2_: u64,
                z42: u64,
                r#type: String,
                straße: String,
                #[serde(rename = "Given")]
                given_name: u64,
            }
            assert_names_are_written(&Link::default());
        }
    )*};
}

rules! {
    lowercase "lowercase"
    uppercase "UPPERCASE"
    pascal_case "PascalCase"
    camel_case "camelCase"
    snake_case "snake_case"
    screaming_snake_case "SCREAMING_SNAKE_CASE"
    kebab_case "kebab-case"
    screaming_kebab_case "SCREAMING-KEBAB-CASE"
}

#[track_caller]
fn assert_names_are_written<S: Schema>(record: &S) {
    let written = serde_json::to_value(record).unwrap();
    let written: BTreeSet<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
    let table: BTreeSet<_> = S::FIELDS.iter().map(dust_orm::FieldDef::serde_name).collect();
    assert_eq!(written, table);
}

/// Everything that is honoured or makes no difference, in one struct.
#[derive(Default, Serialize, Deserialize, DustSchema)]
#[serde(
    rename = "page",
    rename_all(serialize = "camelCase", deserialize = "camelCase"),
    default,
    deny_unknown_fields,
    expecting = "a page",
    crate = "serde"
)]
#[dust(prefix = "pages")]
struct Page {
    slug: String,
    #[serde(rename(serialize = "href", deserialize = "href"), alias = "url")]
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    read_at: Option<u64>,
    #[serde(with = "text")]
    size_bytes: u64,
    #[serde(serialize_with = "text::serialize", deserialize_with = "text::deserialize")]
    views: u64,
    #[serde(skip)]
    cache: Cache,
    #[serde(skip_serializing, skip_deserializing)]
    other: Cache,
    #[dust(skip)]
    draft: String,
    #[dust(rename = "remark")]
    note: String,
}

/// Neither written nor read.
#[derive(Default, Debug, PartialEq)]
struct Cache;

mod text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde calls")]
    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[test]
fn what_is_honoured() {
    assert_eq!(
        super::rows::<Page>(),
        [
            ("slug", "slug", "slug", false, true),
            ("address", "href", "href", false, true),
            ("read_at", "readAt", "readAt", false, true),
            ("size_bytes", "sizeBytes", "sizeBytes", false, true),
            ("views", "views", "views", false, true),
            ("cache", "cache", "cache", false, false),
            ("other", "other", "other", false, false),
            ("draft", "draft", "draft", false, false),
            ("note", "note", "remark", false, true),
        ]
    );
    let page: Page = serde_json::from_str(r#"{"slug":"a","sizeBytes":"7"}"#).unwrap();
    assert_eq!((page.cache, page.other, page.size_bytes), (Cache, Cache, 7));
}

/// What the table says of these fields is what the library needs to make a record of an input.
#[test]
fn a_record_is_made_of_an_input() {
    let input = [
        ("slug", "a"),
        ("href", "/a"),
        ("readAt", "12"),
        ("sizeBytes", "7"),
        ("note", "n"),
    ];
    let page = Page::changeset(&input).apply().unwrap();
    assert_eq!(
        (page.address.as_str(), page.read_at, page.size_bytes),
        ("/a", Some(12), 7)
    );
    assert_eq!((page.note.as_str(), page.cache, page.views), ("n", Cache, 0));
}
