//! Changes of a record and everything that can be wrong with them.

use std::num::NonZeroU32;

use dust_orm::prelude::*;
use dust_orm::{Changeset, Errors, FieldChange, FieldError};
use serde_json::json;
use validator::ValidationError;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "orders")]
#[validate(schema(function = "ends_after_start"))]
struct Order {
    slug: String,
    #[dust(required)]
    #[validate(length(min = 2, max = 5))]
    title: String,
    #[dust(required)]
    note: Option<String>,
    #[serde(rename = "mail")]
    #[validate(email)]
    email: Option<String>,
    #[validate(url(message = "must be an address"))]
    site: Option<String>,
    #[validate(range(min = 1, max = 9))]
    r#type: u8,
    #[validate(custom(function = "even"))]
    start: i64,
    end: i64,
    #[validate(nested)]
    place: Place,
    #[validate(length(max = 1), nested)]
    items: Vec<Place>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate)]
struct Place {
    #[validate(length(min = 1))]
    street: String,
    #[validate(range(max = 99))]
    number: u32,
}

fn even(number: i64) -> Result<(), ValidationError> {
    if number % 2 == 0 {
        Ok(())
    } else {
        Err(ValidationError::new("even").with_message("must be even".into()))
    }
}

fn ends_after_start(order: &Order) -> Result<(), ValidationError> {
    if order.start <= order.end {
        Ok(())
    } else {
        Err(ValidationError::new("order"))
    }
}

fn place(street: &str, number: u32) -> Place {
    Place {
        street: street.into(),
        number,
    }
}

fn order() -> Order {
    Order {
        slug: "a".into(),
        title: "One".into(),
        note: Some("n".into()),
        email: None,
        site: None,
        r#type: 5,
        start: 2,
        end: 4,
        place: place("Main", 1),
        items: vec![],
    }
}

/// An order whose every rule is broken, as it may have been accepted under older rules.
fn broken() -> Order {
    Order {
        email: Some("x".into()),
        site: Some("x".into()),
        r#type: 0,
        start: 5,
        place: place("", 100),
        items: vec![place("", 1)],
        title: "x".into(),
        ..order()
    }
}

/// Field and code of every error.
fn codes(errors: &Errors) -> Vec<(&str, &str)> {
    errors.iter().map(|error| (error.field(), error.code())).collect()
}

fn check(changeset: Changeset<Order>, expected: &[(&str, &str)]) {
    let changeset = changeset.validate();
    assert_eq!(codes(changeset.errors()), expected);
    assert_eq!(changeset.is_valid(), expected.is_empty());
    // Checking again finds the same, and apply agrees.
    let again = changeset.clone().validate();
    assert_eq!(again.errors(), changeset.errors());
    assert_eq!(changeset.apply().is_ok(), expected.is_empty());
}

#[test]
fn every_rule_runs_on_a_new_record() {
    check(Changeset::from(order()), &[]);
    check(
        Changeset::from(broken()),
        &[
            ("title", "length"),
            ("mail", "email"),
            ("site", "url"),
            ("type", "range"),
            ("start", "even"),
            ("place.number", "range"),
            ("place.street", "length"),
            ("items[0].street", "length"),
        ],
    );
    check(Changeset::from(Order { end: 0, ..order() }), &[("__all__", "order")]);
    let items = vec![place("", 1), place("", 1)];
    check(Changeset::from(Order { items, ..order() }), &[("items", "length")]);
}

#[test]
fn in_an_update_a_rule_runs_only_on_a_field_that_changes() {
    check(broken().change(), &[]);
    check(broken().change().put(Order::END, 9), &[]);
    check(broken().change().put(Order::TYPE, 0), &[]);
    check(broken().change().put(Order::TYPE, 10), &[("type", "range")]);
    check(broken().change().put(Order::SITE, "y"), &[("site", "url")]);
    check(
        broken().change().put(Order::PLACE, place("", 1)),
        &[("place.street", "length")],
    );
    // A rule of the whole record runs with any change.
    check(order().change().put(Order::END, 0), &[("__all__", "order")]);
    check(Order { end: 0, ..order() }.change(), &[]);
}

#[test]
fn what_is_wrong_with_one_field_does_not_hide_what_is_wrong_with_another() {
    check(
        Order::changeset(&json!({"type": "x", "start": "3", "place": {"street": 1}, "mail": "x", "note": ""})),
        &[
            ("slug", "required"),
            ("title", "required"),
            ("note", "required"),
            ("mail", "email"),
            ("type", "cast"),
            ("start", "even"),
            ("end", "required"),
            ("place", "cast"),
            ("items", "required"),
        ],
    );
    check(
        order().change().cast(&[("type", "x"), ("start", "3")]),
        &[("type", "cast"), ("start", "even")],
    );
}

#[test]
fn the_fields_of_any_type_are_reported_together() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(try_from = "String", into = "String")]
    struct Day(String);
    impl TryFrom<String> for Day {
        type Error = &'static str;
        fn try_from(text: String) -> Result<Self, &'static str> {
            if text.len() == 10 && text.contains('-') {
                Ok(Self(text))
            } else {
                Err("not a day")
            }
        }
    }
    impl From<Day> for String {
        fn from(day: Day) -> Self {
            day.0
        }
    }
    impl Clone for Day {
        fn clone(&self) -> Self {
            Self(self.0.clone())
        }
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Tree {
        Node(Box<Tree>, Box<Tree>),
        Leaf,
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Kind {
        Tuple(u8, String),
        Struct { day: Day },
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Unit;
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Either {
        Number(u8),
        Text(String),
    }
    #[derive(Debug, Serialize, Deserialize, Validate, DustSchema)]
    #[dust(prefix = "all")]
    struct All {
        slug: String,
        day: Day,
        kind: Kind,
        count: NonZeroU32,
        pair: (u8, char, Day),
        unit: Unit,
        #[validate(length(min = 1))]
        text: String,
    }
    #[derive(Debug, Serialize, Deserialize, Validate, DustSchema)]
    #[dust(prefix = "few")]
    struct Few {
        slug: String,
        either: Either,
        tree: Tree,
        missing: u8,
        #[validate(length(min = 1))]
        text: Option<String>,
    }
    let input = json!({"slug": "a", "text": "", "day": "x", "pair": []});
    let changeset = All::changeset(&input).put(All::TEXT, "").validate();
    let required = |field| (field, "required");
    assert_eq!(
        codes(changeset.errors()),
        [
            ("day", "cast"),
            required("kind"),
            required("count"),
            ("pair", "cast"),
            ("text", "length")
        ]
    );
    // A type of which no value can be made up ends the search; what was found until then stands.
    let changeset = Few::changeset(&input).put(Few::TEXT, "").validate();
    assert_eq!(codes(changeset.errors()), [required("either")]);
    let few = [("slug", "a"), ("either", "b"), ("tree", "Leaf"), ("missing", "1")];
    let few = Few::changeset(&few).apply().unwrap();
    assert!(matches!((few.either, few.tree), (Either::Text(_), Tree::Leaf)));
    assert!(matches!(
        Few::changeset(&[("tree", json!({"Node": ["Leaf", "Leaf"]}))])
            .errors()
            .len(),
        0
    ));
}

#[test]
fn required_is_neither_null_nor_empty_text() {
    let blank = [
        json!({}),
        json!({"title": null, "note": null}),
        json!({"title": "", "note": ""}),
    ];
    for input in blank {
        let changeset = Order::changeset(&input).only((Order::TITLE, Order::NOTE)).validate();
        for field in ["title", "note"] {
            assert_eq!(
                changeset.errors().of(field).collect::<Vec<_>>(),
                [&blank_error(field)],
                "{input}"
            );
        }
    }
    check(order().change().put(Order::NOTE, ""), &[("note", "required")]);
    check(order().change().clear(Order::NOTE), &[("note", "required")]);
    check(
        order().change().put(Order::NOTE, None::<String>),
        &[("note", "required")],
    );
    // Also where it is not the change that leaves it so.
    check(
        Order { note: None, ..order() }.change().put(Order::END, 9),
        &[("note", "required")],
    );
    // Not blank: "0", false, [], {}.
    check(order().change().put(Order::NOTE, " "), &[]);
    // Without `required`, a field that is no option must be there all the same, but may be "".
    check(order().change().cast(&[("end", "")]), &[("end", "required")]);
}

fn blank_error(field: &'static str) -> FieldError {
    FieldError::new(field, "required", "can't be blank")
}

#[test]
fn a_slug_is_any_text_that_is_a_segment_and_it_stays() {
    let slug = |slug: &str| {
        Changeset::from(Order {
            slug: slug.into(),
            ..order()
        })
    };
    for text in [
        ".",
        "..",
        "a/b",
        "~",
        "~0",
        "*",
        "42",
        "-1",
        " ",
        "ä",
        "__all__",
        &"x".repeat(4000),
    ] {
        check(slug(text), &[]);
    }
    check(slug(""), &[("slug", "required")]);
    check(slug("a\0b"), &[("slug", "slug")]);
    check(slug(&"x".repeat(5000)), &[("slug", "slug")]);
    check(slug(&"~".repeat(3000)), &[("slug", "slug")]);
    let nul = slug("\0").validate();
    let error = nul.errors().of("slug").next().unwrap();
    assert_eq!(
        (error.message(), &error.params()["reason"]),
        ("is invalid", &json!("a path must not hold a NUL character"))
    );

    check(order().change().put(Order::SLUG, "a"), &[]);
    check(order().change().put(Order::SLUG, "b"), &[("slug", "immutable")]);
    check(order().change().clear(Order::SLUG), &[("slug", "immutable")]);
    check(order().change().cast(&[("slug", "b")]), &[("slug", "immutable")]);
    check(order().change().cast(&[("slug", "b")]).only(Order::TITLE), &[]);
}

#[test]
fn a_field_is_kept_cleared_or_set() {
    let base = Order {
        email: Some("a@b.c".into()),
        ..order()
    };
    let change = || base.change();
    let kept = [
        change(),
        change().put(Order::EMAIL, "a@b.c"),
        change().put(Order::EMAIL, "x").keep(Order::EMAIL),
        change()
            .put(Order::EMAIL, "x")
            .put(Order::EMAIL, Some("a@b.c".to_owned())),
        change().cast(&[("mail", "a@b.c"), ("email", "x")]),
        change().cast(&[("mail", 5)]),
    ];
    for (index, changeset) in kept.iter().enumerate() {
        assert!(!changeset.changed(Order::EMAIL), "{index}");
        assert_eq!(
            changeset.get_change::<_, String>(Order::EMAIL),
            FieldChange::Kept,
            "{index}"
        );
        assert_eq!(changeset.get_field(Order::EMAIL), base.email, "{index}");
    }
    let cleared = [
        change().clear(Order::EMAIL),
        change().put(Order::EMAIL, None),
        change().cast(&[("mail", "")]),
        change().cast(&[("mail", None::<String>)]),
    ];
    for (index, changeset) in cleared.into_iter().enumerate() {
        assert_eq!(
            changeset.get_change::<_, String>(Order::EMAIL),
            FieldChange::Cleared,
            "{index}"
        );
        assert_eq!(changeset.get_field::<_, String>(Order::EMAIL), None, "{index}");
        assert_eq!(
            changeset.changes().collect::<Vec<_>>(),
            [("mail", &FieldChange::Cleared)],
            "{index}"
        );
        assert_eq!(changeset.apply().unwrap().email, None, "{index}");
    }
    let set = change().put(Order::EMAIL, "d@e.f".to_owned());
    assert_eq!(set.get_change(Order::EMAIL), FieldChange::Set("d@e.f".to_owned()));
    assert_eq!(set.get_field(Order::EMAIL), Some("d@e.f".to_owned()));
    assert_eq!(set.apply().unwrap().email.as_deref(), Some("d@e.f"));

    // What is absent stays absent: nothing changes.
    assert_eq!(order().change().clear(Order::EMAIL).changes().count(), 0);
    assert_eq!(
        Changeset::<Order>::new()
            .put(Order::EMAIL, None)
            .get_change::<_, String>(Order::EMAIL),
        FieldChange::Cleared
    );
    assert!(!Changeset::<Order>::new().is_update() && change().is_update());
}

#[test]
fn only_what_is_permitted_is_cast() {
    let input = json!({"slug": "b", "title": "Two", "type": "x", "mail": "a@b.c"});
    let cast = || Order::changeset(&input);
    let changed = |changeset: &Changeset<Order>| changeset.changes().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(changed(&cast().only([Order::SLUG, Order::TITLE])), ["slug", "title"]);
    assert_eq!(changed(&cast().only(Order::EMAIL)), ["mail"]);
    assert_eq!(
        changed(&cast().only((Order::TYPE, Order::EMAIL, Order::TITLE))),
        ["title", "mail"]
    );
    assert!(!cast().only((Order::TYPE, Order::EMAIL)).is_valid());
    assert!(
        cast()
            .only((Order::TITLE, (Order::EMAIL, [Order::START, Order::END])))
            .is_valid()
    );
    assert_eq!(changed(&cast().only(Order::TITLE).put(Order::END, 1)), ["title", "end"]);
    assert!(
        !Order::changeset(&5).only(Order::TITLE).is_valid(),
        "an input that is none stays an error"
    );
}

#[test]
fn a_merge_takes_over_changes_and_errors() {
    let left = order()
        .change()
        .put(Order::TITLE, "Two")
        .put(Order::END, 8)
        .put(Order::EMAIL, "a@b.c");
    let right = order()
        .change()
        .put(Order::TITLE, "Three")
        .clear(Order::NOTE)
        .cast(&[("type", "x")]);
    let merged = left.merge(right).add_error(Order::SITE, "taken", "has been taken");
    assert_eq!(merged.get_field(Order::TITLE).as_deref(), Some("Three"));
    assert_eq!(
        (
            merged.get_field(Order::END),
            merged.get_change::<_, String>(Order::NOTE)
        ),
        (Some(8), FieldChange::Cleared)
    );
    check(merged, &[("note", "required"), ("site", "taken"), ("type", "cast")]);
    assert!(Changeset::new().merge(order().change()).is_update());
}

#[test]
fn numbers_that_json_does_not_know_are_errors_of_their_fields() {
    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "points")]
    struct Point {
        slug: String,
        x: f64,
        y: f32,
        label: String,
    }
    let point = Point {
        slug: "a".into(),
        x: f64::NAN,
        y: f32::INFINITY,
        label: String::new(),
    };
    for changeset in [Changeset::from(&point), point.change()] {
        let changeset = changeset.validate();
        assert_eq!(codes(changeset.errors()), [("x", "serialize"), ("y", "serialize")]);
        assert_eq!(
            changeset.errors().of("x").next().unwrap().params()["reason"],
            "a number must be finite"
        );
    }
    let finite = Point {
        x: -0.1,
        y: f32::MIN_POSITIVE,
        ..point
    };
    assert_eq!(
        codes(finite.change().put(Point::X, f64::NEG_INFINITY).errors()),
        [("x", "serialize")]
    );
    assert_eq!(Changeset::from(&finite).apply().unwrap(), finite);
}

#[test]
fn errors_serialise_by_field_with_code_message_and_params() {
    let changeset = broken()
        .change()
        .put(Order::TITLE, "long title")
        .put(Order::SITE, "y")
        .clear(Order::NOTE);
    let errors = changeset
        .cast(&[("type", "x")])
        .put(Order::START, 7)
        .validate()
        .errors()
        .clone();
    assert_eq!(
        serde_json::to_value(&errors).unwrap(),
        json!({
            "title": [{"code": "length", "message": "should be at most 5 character(s)", "params": {"min": 2, "max": 5}}],
            "note": [{"code": "required", "message": "can't be blank", "params": {}}],
            "site": [{"code": "url", "message": "must be an address", "params": {}}],
            "type": [{"code": "cast", "message": "is invalid", "params": {"reason": "expected u8"}}],
            "start": [{"code": "even", "message": "must be even", "params": {}}],
        })
    );
    assert_eq!(
        errors.to_string(),
        "title: should be at most 5 character(s); note: can't be blank; site: must be an address; type: is invalid; start: must be even"
    );
    assert_eq!(
        (errors.len(), errors.is_empty(), (&errors).into_iter().count()),
        (5, false, 5)
    );
}

#[test]
fn a_changeset_shows_its_changes() {
    let changeset = order().change().put(Order::TITLE, "x").clear(Order::NOTE).validate();
    let text = format!("{changeset:?}");
    assert!(
        text.starts_with(r#"Order { title: Set("x"), note: Cleared, errors: "#),
        "{text}"
    );
    assert_eq!(format!("{:?}", Order::EMAIL), "Order::email");
    assert_eq!(Order::EMAIL.name(), "mail");
}

#[test]
fn the_rules_speak_to_people_and_do_not_repeat_what_was_entered() {
    #[derive(Debug, Serialize, Deserialize, Validate, DustSchema)]
    #[dust(prefix = "rules")]
    struct Rules {
        slug: String,
        #[validate(length(min = 2, max = 4))]
        between: String,
        #[validate(length(min = 2))]
        least: Option<Vec<u8>>,
        #[validate(length(equal = 3))]
        equal: Vec<u8>,
        #[validate(range(min = 1, max = 9))]
        range: i64,
        #[validate(range(exclusive_min = 0.5, exclusive_max = 1.5))]
        open: f64,
        #[validate(email)]
        email: String,
        #[validate(required)]
        needed: Option<u8>,
        #[validate(must_match(other = "email"))]
        again: String,
        #[validate(contains(pattern = "dust"))]
        pattern: String,
    }
    let input = json!({
        "slug": "a", "between": "ä", "least": [1], "equal": [1], "range": "10", "open": "0.5", "email": "secret",
        "needed": "", "again": "other", "pattern": "none",
    });
    let changeset = Rules::changeset(&input).validate();
    let found: Vec<_> = changeset.errors().iter().map(ToString::to_string).collect();
    let expected = [
        "between: should be at least 2 character(s)",
        "least: should have at least 2 item(s)",
        "equal: should have 3 item(s)",
        "range: must be at most 9",
        "open: must be greater than 0.5",
        "email: has invalid format",
        "needed: can't be blank",
        "again: does not match",
        "pattern: is invalid",
    ];
    assert_eq!(found, expected);
    let text = serde_json::to_string(changeset.errors()).unwrap();
    assert!(!text.contains("secret") && !text.contains("none"), "{text}");

    let input = json!({"between": "12345", "range": 0, "open": 1.5});
    let changeset = Rules::changeset(&input).validate();
    for (field, expected) in [
        ("between", "should be at most 4 character(s)"),
        ("range", "must be at least 1"),
        ("open", "must be less than 1.5"),
    ] {
        assert_eq!(
            changeset
                .errors()
                .of(field)
                .map(FieldError::message)
                .collect::<Vec<_>>(),
            [expected]
        );
    }
}
