//! Places in which the output of the derive has to compile and to mean what it says.

mod documented;
mod generic;
mod named_alike;
mod no_prelude;
mod place;
mod serde;
mod settings;
mod shadowed;

use dust_orm::{FieldDef, Schema};

/// What a test says of a field: its names in Rust, for serde and in the store, and whether it is required and stored.
type Row = (&'static str, &'static str, &'static str, bool, bool);

/// The table of a schema.
fn rows<S: Schema>() -> Vec<Row> {
    let row = |def: &FieldDef| {
        (
            def.name(),
            def.serde_name(),
            def.wire_name(),
            def.is_required(),
            def.is_stored(),
        )
    };
    S::FIELDS.iter().map(row).collect()
}

/// The names in the store, where nothing else is of interest.
fn wire_names<S: Schema>() -> Vec<&'static str> {
    S::FIELDS.iter().map(FieldDef::wire_name).collect()
}

/// `tests/renamed` knows the library under another name only, and denies what the output may not do.
#[test]
fn a_renamed_crate() {
    use dust_tests_renamed::{Link, Page};
    assert_eq!((Link::PREFIX, Page::PREFIX), (&["links"][..], &["pages"][..]));
    assert_eq!(Link::TITLE.name(), "title");
    assert_eq!(Page { slug: "p".into() }.slug(), "p");
}
