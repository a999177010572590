//! `Pattern` agrees with its grammar, spelt out a second time. The first line is the pattern, the rest the path.
#![no_main]

use dust_transport::model::{Path, Pattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (pattern, path) = text.split_once('\n').unwrap_or((text, "a/b/c"));
    let path = Path::parse(path).ok();
    if let Some(path) = &path {
        check_below(path);
    }
    let Ok(pattern) = Pattern::parse(pattern) else { return };
    assert_eq!(Pattern::parse(pattern.as_str()).as_ref(), Ok(&pattern));
    let Some(path) = path else { return };
    let matches = pattern.matches(&path);
    assert_eq!(
        matches,
        by_the_grammar(pattern.as_str(), path.as_str()),
        "{pattern:?} and {path:?}"
    );
    if let Some(base) = pattern.literal_base() {
        assert!(!matches || path.starts_with(&base), "{path:?} is not under {base:?}");
        assert!(pattern.has_wildcard() || pattern.matches(&base));
    }
    if let Some(depth) = pattern.prefixes_depth() {
        assert!(!matches || path.prefix(depth).is_some());
    }
});

/// Everything below a path matches the pattern of it, and the path does not.
fn check_below(path: &Path) {
    let Some(below) = Pattern::below(path) else { return };
    assert!(!below.matches(path));
    assert_eq!(below.literal_base().as_ref(), Some(path));
    if let Ok(child) = path.child("*") {
        assert!(below.matches(&child));
        assert!(child.child("x").is_ok_and(|grandchild| below.matches(&grandchild)) || child.child("x").is_err());
    }
}

fn by_the_grammar(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    let fits = |(matcher, segment): (&&str, &&str)| match *matcher {
        "*" => true,
        r"\*" => *segment == "*",
        r"\**" => *segment == "**",
        literal => literal == *segment,
    };
    match pattern.split_last() {
        Some((&"**", before)) => path.len() > before.len() && before.iter().zip(&path).all(fits),
        _ => path.len() == pattern.len() && pattern.iter().zip(&path).all(fits),
    }
}
