//! What the settings of `#[dust(..)]` write into the table.

use dust_orm::{DustSchema, Schema, Storage};
use serde::{Deserialize, Serialize};
use validator::Validate;

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "reading/and~1or/~0links")]
struct Escaped {
    slug: String,
}

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = ["reading", "and/or", "~1",], storage = "map")]
#[dust()]
struct Listed {
    title: String,
    #[dust(slug)]
    id: String,
    slug: u32,
}

#[test]
fn prefixes_are_rendered_in_a_string_and_literal_in_a_list() {
    assert_eq!(Escaped::PREFIX, ["reading", "and/or", "~links"]);
    assert_eq!(Listed::PREFIX, ["reading", "and/or", "~1"]);
}

#[test]
fn storage_is_flat_unless_said() {
    assert_eq!((Escaped::STORAGE, Listed::STORAGE), (Storage::Flat, Storage::Map));
}

#[test]
fn a_marked_slug_goes_before_the_name() {
    let listed = Listed {
        title: "t".into(),
        id: "id".into(),
        slug: 3,
    };
    assert_eq!(
        (listed.slug(), Listed::SLUG_INDEX, listed.title.as_str(), listed.slug),
        ("id", 1, "t", 3)
    );
}

#[derive(Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[validate(length(min = 1))]
    title: String,
}

#[derive(Serialize, Deserialize, Validate, DustSchema)]
#[validate(schema(function = "refuse"))]
#[dust(prefix = "links")]
struct Ruled {
    slug: String,
}

fn refuse(_: &Ruled) -> Result<(), validator::ValidationError> {
    Err(validator::ValidationError::new("refused"))
}

#[test]
fn rules_run_where_there_are_any() {
    let link = |title: &str| Link {
        slug: "a".into(),
        title: title.into(),
    };
    assert!(link("Dust").rules().is_ok());
    assert!(link("").rules().unwrap_err().field_errors().contains_key("title"));
    assert!(Ruled { slug: "a".into() }.rules().is_err());
    assert!(Escaped { slug: "a".into() }.rules().is_ok());
}

#[derive(Debug, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "tasks")]
struct Task {
    slug: String,
    #[dust(required, rename = "text")]
    title: String,
    #[dust(default)]
    stars: u32,
    #[dust(default = "high")]
    priority: String,
    #[dust(skip)]
    password: String,
    #[dust(skip, default = "token")]
    token: String,
}

fn high() -> String {
    "high".into()
}

fn token() -> String {
    "none".into()
}

#[test]
fn a_record_is_made_of_what_is_there_and_of_defaults() {
    let task = Task::changeset(&[("slug", "a"), ("title", "Write")]).apply().unwrap();
    let made = Task {
        slug: "a".into(),
        title: "Write".into(),
        stars: 0,
        priority: high(),
        password: String::new(),
        token: token(),
    };
    assert_eq!(task, made);
}

#[test]
fn what_is_required_is_missed() {
    let changeset = Task::changeset(&[("slug", "a"), ("title", "")]).apply().unwrap_err();
    let missed: Vec<_> = changeset
        .errors()
        .of("title")
        .map(|error| error.code().to_owned())
        .collect();
    assert_eq!(missed, ["required"]);
}
