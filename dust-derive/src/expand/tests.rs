//! What is printed for the structs of `tests/expand`, as `<name>.expanded.rs` beside each: a change of the output shows in the diff.
//! `UPDATE_EXPECT=1 cargo test -p dust-derive` writes them anew.

use expect_test::{ExpectFile, expect_file};
use quote::ToTokens as _;

/// The struct and its expansion, formatted.
fn expand(input: &str) -> (String, String) {
    let input: syn::File = syn::parse_str(input).unwrap();
    let output = crate::derive(input.to_token_stream());
    (
        prettyplease::unparse(&input),
        prettyplease::unparse(&syn::parse2(output).unwrap()),
    )
}

#[track_caller]
fn check(input: &str, expect: &ExpectFile) {
    expect.assert_eq(&expand(input).1);
}

macro_rules! snapshots {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(
                include_str!(concat!("../../../tests/expand/", stringify!($name), ".rs")),
                &expect_file![concat!("../../../tests/expand/", stringify!($name), ".expanded.rs")],
            );
        }
    )*};
}

snapshots!(link settings serde generic renamed mistaken);

/// The struct of five fields with its expansion, and what one more field adds.
#[test]
fn the_output_stays_small() {
    let lines = |input: &str| {
        let (input, output) = expand(input);
        input.lines().count() + output.lines().count()
    };
    let link = include_str!("../../../tests/expand/link.rs");
    assert!(lines(link) <= 80, "{} lines", lines(link));
    let added = link.replacen("    read: bool,", "    read: bool,\n    stars: Option<u32>,", 1);
    assert_ne!(link, added);
    let more = lines(&added) - lines(link);
    assert!(more <= 6, "{more} lines more");
}
