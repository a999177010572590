//! What is printed for the structs of `tests/expand`, as `<name>.expanded.rs` beside each: a change of the output shows in the diff.
//! `UPDATE_EXPECT=1 cargo test -p dust-derive` writes them anew.

use expect_test::{ExpectFile, expect_file};
use proc_macro2::{Group, TokenStream, TokenTree};
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

snapshots!(link settings serde generic renamed indexed options event mistaken);

/// Whatever stands in a struct, the answer is tokens: every input is tried with each of its tokens left out, and with each put twice.
#[test]
fn no_input_makes_the_derive_panic() {
    for input in [
        include_str!("../../../tests/expand/settings.rs"),
        include_str!("../../../tests/expand/serde.rs"),
        include_str!("../../../tests/expand/generic.rs"),
    ] {
        let tokens: TokenStream = input.parse().unwrap();
        let count = count(tokens.clone());
        assert!(count > 50, "{count} tokens");
        for (index, copies) in (0..count).flat_map(|index| [(index, 0), (index, 2)]) {
            let changed = repeat(tokens.clone(), &mut index.clone(), copies);
            assert!(!crate::derive(changed.clone()).is_empty(), "{changed}");
        }
    }
}

fn count(tokens: TokenStream) -> usize {
    let inner = |token| {
        if let TokenTree::Group(group) = token {
            count(group.stream())
        } else {
            0
        }
    };
    tokens.into_iter().map(|token| 1 + inner(token)).sum()
}

/// The tokens with the one at `index`, counted from the first and into groups, written `copies` times.
fn repeat(tokens: TokenStream, index: &mut usize, copies: usize) -> TokenStream {
    let mut changed = Vec::new();
    for token in tokens {
        let times = if *index == 0 { copies } else { 1 };
        *index = index.wrapping_sub(1);
        let token = match token {
            TokenTree::Group(group) => {
                let inner = repeat(group.stream(), index, copies);
                TokenTree::Group(Group::new(group.delimiter(), inner))
            }
            token => token,
        };
        changed.extend(std::iter::repeat_n(token, times));
    }
    changed.into_iter().collect()
}

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
