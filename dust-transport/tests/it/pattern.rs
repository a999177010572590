//! The grammar of patterns.

use dust_transport::model::{Path, PathError, Pattern, PatternError};
use proptest::prelude::*;

#[test]
fn vectors_match_as_they_should() {
    for (pattern, segments, matches) in [
        ("**", &["a"][..], true),
        ("**", &["a", "b", "c"], true),
        ("*", &["a"], true),
        ("*", &["a", "b"], false),
        ("posts/*", &["posts", "hello"], true),
        ("posts/*", &["posts", "hello", "title"], false),
        ("posts/*", &["posts"], false),
        ("posts/**", &["posts", "hello", "title"], true),
        ("posts/**", &["posts"], false),
        ("posts/**", &["posts-old", "x"], false),
        ("a/*/c", &["a", "b", "c"], true),
        ("a/*/c", &["a", "b", "d"], false),
        ("a/*/c", &["a", "b", "c", "d"], false),
        ("*/**", &["a"], false),
        ("*/**", &["a", "b"], true),
        ("hello.world", &["hello.world"], true),
        ("hello.world", &["hello", "world"], false),
        ("files/image~1file", &["files", "image/file"], true),
        ("files/image~1file", &["files", "image", "file"], false),
        (r"a/\*", &["a", "*"], true),
        (r"a/\*", &["a", "x"], false),
        (r"a/\**", &["a", "**"], true),
        (r"a/\**", &["a", "x", "y"], false),
        ("a/foo*", &["a", "foo*"], true),
        ("a/foo*", &["a", "foobar"], false),
        ("a/***", &["a", "***"], true),
        ("a/***", &["a", "b"], false),
        ("*", &["*"], true),
    ] {
        let path = Path::new(segments).unwrap();
        assert_eq!(
            Pattern::parse(pattern).unwrap().matches(&path),
            matches,
            "`{pattern}` and `{path}`"
        );
    }
}

#[test]
fn invalid_patterns_say_why() {
    for (text, error, code) in [
        ("a/**/z", PatternError::WildcardManyNotTail, "wildcard_many_not_tail"),
        ("**/z", PatternError::WildcardManyNotTail, "wildcard_many_not_tail"),
        ("**/**", PatternError::WildcardManyNotTail, "wildcard_many_not_tail"),
        ("", PatternError::Path(PathError::EmptyPath), "empty_path"),
        ("a//b", PatternError::Path(PathError::EmptySegment), "empty_segment"),
        ("/**", PatternError::Path(PathError::EmptySegment), "empty_segment"),
        ("a~", PatternError::Path(PathError::InvalidEscape), "invalid_escape"),
        ("a\0", PatternError::Path(PathError::Nul), "path_nul"),
    ] {
        let found = text.parse::<Pattern>().unwrap_err();
        assert_eq!((found, found.code()), (error, code), "{text:?}");
    }
    let huge = "*/".repeat(5 << 20) + "*";
    assert_eq!(Pattern::parse(&huge).unwrap_err().code(), "path_too_long");
    let deep = vec!["*"; Path::SEGMENTS_MAX + 2].join("/");
    assert_eq!(Pattern::parse(&deep).unwrap_err().code(), "path_too_deep");
}

#[test]
fn bases_are_literal() {
    for (pattern, base, depth) in [
        ("**", None, Some(1)),
        ("*", None, None),
        ("a", Some("a"), None),
        ("a/b/*/c", Some("a/b"), None),
        ("a/**", Some("a"), Some(2)),
        ("a/*/**", Some("a"), Some(3)),
        (r"a/\*/**", Some("a/*"), Some(3)),
        ("a~1b/**", Some("a~1b"), Some(2)),
    ] {
        let parsed = Pattern::parse(pattern).unwrap();
        assert_eq!(
            parsed.literal_base().as_ref().map(Path::as_str),
            base,
            "the base of `{pattern}`"
        );
        assert_eq!(parsed.prefixes_depth(), depth, "the depth of `{pattern}`");
        assert_eq!(parsed.to_string(), pattern);
    }
    assert_eq!(Pattern::default(), Pattern::parse("**").unwrap());
    assert!(!Pattern::parse(r"a/\*").unwrap().has_wildcard());
}

#[test]
fn longest_paths_have_a_pattern_below() {
    for segments in [
        vec!["x".repeat(Path::BYTES_MAX)],
        vec!["*".to_owned(); Path::SEGMENTS_MAX],
    ] {
        let path = Path::new(segments).unwrap();
        assert!(Pattern::below(&path).is_some());
    }
}

fn segment() -> impl Strategy<Value = String> {
    let special = vec!["*", "**", "***", r"\*a", r"\", "a", "b", "~", "a/b", "foo*"];
    prop_oneof![
        4 => prop::sample::select(special).prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| format!("x{}", text.replace('\0', ""))),
    ]
}

proptest! {
    #[test]
    fn below_matches_exactly_the_descendants(
        base in prop::collection::vec(segment(), 1..4),
        rest in prop::collection::vec(segment(), 1..3),
        other in prop::collection::vec(segment(), 1..6),
    ) {
        let path = Path::new(&base).unwrap();
        let pattern = Pattern::below(&path).unwrap();
        prop_assert!(pattern.matches(&Path::new(base.iter().chain(&rest)).unwrap()));
        prop_assert!(!pattern.matches(&path));
        let other = Path::new(&other).unwrap();
        prop_assert_eq!(pattern.matches(&other), path.is_ancestor_of(&other));
        prop_assert_eq!(pattern.literal_base(), Some(path));
    }

    #[test]
    fn matches_are_at_or_below_the_base(
        pattern in prop::collection::vec(prop_oneof![Just("*"), Just("a"), Just("b"), Just(r"\*")], 1..5),
        open in any::<bool>(),
        path in prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("*")], 1..6),
    ) {
        let pattern = Pattern::parse(&(pattern.join("/") + if open { "/**" } else { "" })).unwrap();
        let path = Path::new(path).unwrap();
        if let (true, Some(base)) = (pattern.matches(&path), pattern.literal_base()) {
            prop_assert!(path.starts_with(&base));
        }
    }

    #[test]
    fn any_text_parses_to_itself_or_fails(text in any::<String>()) {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert_eq!(pattern.as_str(), &text);
        }
    }
}
