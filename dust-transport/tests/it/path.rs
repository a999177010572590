//! The grammar of paths.

use std::collections::BTreeMap;
use std::ops::Bound;

use dust_transport::model::{Path, PathError};
use proptest::prelude::*;

#[test]
fn valid_paths_round_trip() {
    for (segments, rendered) in [
        (&["hello.world"][..], "hello.world"),
        (&["image/file"], "image~1file"),
        (&["a~b"], "a~0b"),
        (&["a/b~c"], "a~1b~0c"),
        (&["~~"], "~0~0"),
        (&["//"], "~1~1"),
        (&["~1", "~01", "~0"], "~01/~001/~00"),
        (&["packages", "@scope", "name"], "packages/@scope/name"),
        (&["x", "*"], "x/*"),
        (&["42", "007"], "42/007"),
        (&["é", "日本", "🦀"], "é/日本/🦀"),
        (&[" ", "\n", "%2F", r"\"], " /\n/%2F/\\"),
    ] {
        let path = Path::new(segments).unwrap();
        assert_eq!(path.as_str(), rendered);
        assert_eq!(Path::parse(rendered).unwrap(), path);
        assert_eq!(path.segments().collect::<Vec<_>>(), segments);
        assert!(path.segments().rev().eq(segments.iter().rev().copied()));
        assert_eq!(path.last(), *segments.last().unwrap());
        assert_eq!(path.depth(), segments.len());
        let json = serde_json::to_string(&path).unwrap();
        assert_eq!(serde_json::from_str::<Path>(&json).unwrap(), path);
    }
}

#[test]
fn invalid_paths_say_why() {
    for (rendered, error, code) in [
        ("", PathError::EmptyPath, "empty_path"),
        ("/users", PathError::EmptySegment, "empty_segment"),
        ("users/", PathError::EmptySegment, "empty_segment"),
        ("users//alice", PathError::EmptySegment, "empty_segment"),
        ("/", PathError::EmptySegment, "empty_segment"),
        ("a~", PathError::InvalidEscape, "invalid_escape"),
        ("a~b", PathError::InvalidEscape, "invalid_escape"),
        ("a~2b", PathError::InvalidEscape, "invalid_escape"),
        ("~", PathError::InvalidEscape, "invalid_escape"),
        ("~/a", PathError::InvalidEscape, "invalid_escape"),
        ("a~~0", PathError::InvalidEscape, "invalid_escape"),
        ("a\0b", PathError::Nul, "path_nul"),
    ] {
        let found = Path::parse(rendered).unwrap_err();
        assert_eq!((found, found.code()), (error, code), "{rendered:?}");
        assert!(serde_json::from_value::<Path>(rendered.into()).is_err());
    }
    assert_eq!(Path::new([""; 0]), Err(PathError::EmptyPath));
    assert_eq!(Path::new(["a", ""]), Err(PathError::EmptySegment));
    assert_eq!(Path::new(["a\0"]), Err(PathError::Nul));
    let a = Path::parse("a").unwrap();
    assert_eq!(a.child(""), Err(PathError::EmptySegment));
    assert_eq!(a.child("\0"), Err(PathError::Nul));
}

#[test]
fn limits_are_exact() {
    let longest = "x".repeat(Path::BYTES_MAX);
    assert_eq!(Path::parse(&longest).unwrap().as_str(), longest);
    assert_eq!(Path::parse(&format!("{longest}x")), Err(PathError::TooLong));
    assert_eq!(Path::parse(&longest).unwrap().child("x"), Err(PathError::TooLong));
    let escaped = "/".repeat(Path::BYTES_MAX / 2);
    assert!(Path::new([&escaped]).is_ok());
    assert_eq!(Path::new([escaped + "/"]), Err(PathError::TooLong));
    let deepest = Path::new(vec!["d"; Path::SEGMENTS_MAX]).unwrap();
    assert_eq!(deepest.depth(), Path::SEGMENTS_MAX);
    assert_eq!(deepest.child("d"), Err(PathError::TooDeep));
    let huge = "x".repeat(10 << 20);
    assert_eq!(Path::parse(&huge), Err(PathError::TooLong));
    assert_eq!(Path::new([&huge]), Err(PathError::TooLong));
    assert_eq!(deepest.child(&huge), Err(PathError::TooLong));
    assert_eq!(Path::new(std::iter::repeat("endless")), Err(PathError::TooLong));
}

#[test]
fn relations_go_by_segments() {
    let path = |text| Path::parse(text).unwrap();
    let links = path("links");
    assert!(links.is_ancestor_of(&path("links/a")) && links.is_ancestor_of(&path("links/a/b")));
    for other in ["links", "links-old", "links0/a", "link", "links~1a", "Links/a"] {
        assert!(!links.is_ancestor_of(&path(other)), "{other}");
    }
    assert!(path("links").starts_with(&links) && path("links/a").starts_with(&links));
    assert!(!path("links-a").starts_with(&links));
    assert_eq!(path("a/b/c").parent(), Some(path("a/b")));
    assert_eq!(path("a").parent(), None);
    assert_eq!(path("a/b/c").prefix(0), None);
    assert_eq!(path("a/b/c").prefix(1), Some(path("a")));
    assert_eq!(path("a/b/c").prefix(3), Some(path("a/b/c")));
    assert_eq!(path("a/b/c").prefix(4), None);
    assert_eq!(path("a/b/c").strip_prefix(&path("a")), Some("b/c"));
    assert_eq!(path("a").strip_prefix(&path("a/b")), None);
}

#[test]
fn order_is_of_the_rendered_bytes() {
    let sorted = [
        "links/foo",
        "links/foo-bar/t",
        "links/foo.bar/t",
        "links/foo/title",
        "links/foo0",
    ];
    let mut paths: Vec<Path> = sorted.iter().rev().map(|text| text.parse().unwrap()).collect();
    paths.sort();
    assert!(paths.iter().map(Path::as_str).eq(sorted));
    let by_path: BTreeMap<Path, usize> = paths.into_iter().zip(0..).collect();
    assert_eq!(by_path.get("links/foo/title"), Some(&3), "a path is found by its text");
    assert_eq!(
        by_path
            .range::<str, _>((Bound::Included("links/foo."), Bound::Unbounded))
            .count(),
        3
    );
}

fn segments() -> impl Strategy<Value = Vec<String>> {
    let special = prop::sample::select(vec!["~", "/", "~0", "~1", "*", "**", ".", "\\", "0", "-"]);
    let piece = prop_oneof![2 => special.prop_map(str::to_owned), 1 => any::<String>()];
    let segment = prop::collection::vec(piece, 1..4).prop_map(|pieces| pieces.concat().replace('\0', ""));
    prop::collection::vec(segment.prop_filter("a segment", |text| !text.is_empty()), 1..6)
}

proptest! {
    #[test]
    fn segments_survive(segments in segments()) {
        let path = Path::new(&segments).unwrap();
        prop_assert!(path.segments().eq(segments.iter().map(String::as_str)));
        prop_assert!(path.segments().rev().eq(segments.iter().rev().map(String::as_str)));
        prop_assert_eq!(&Path::parse(path.as_str()).unwrap(), &path);
        prop_assert_eq!(path.depth(), segments.len());
    }

    #[test]
    fn children_and_parents_are_inverse(segments in segments(), last in segments()) {
        let path = Path::new(&segments).unwrap();
        let child = path.child(&last[0]).unwrap();
        prop_assert_eq!(child.parent(), Some(path.clone()));
        prop_assert_eq!(&*child.last(), &*last[0]);
        prop_assert_eq!(child.prefix(segments.len()), Some(path.clone()));
        prop_assert!(path.is_ancestor_of(&child) && !child.is_ancestor_of(&path));
    }

    #[test]
    fn descendants_are_one_range(left in segments(), right in segments()) {
        let path = Path::new(&left).unwrap();
        let both = Path::new(left.iter().chain(&right)).unwrap();
        let other = Path::new(&right).unwrap();
        let (from, to) = path.descendants_range();
        for candidate in [&both, &other, &path] {
            let inside = from.as_str() <= candidate.as_str() && candidate.as_str() < to.as_str();
            prop_assert_eq!(inside, path.is_ancestor_of(candidate), "{} in {}", candidate, path);
        }
    }

    #[test]
    fn order_is_that_of_bytes(left in segments(), right in segments()) {
        let (left, right) = (Path::new(&left).unwrap(), Path::new(&right).unwrap());
        prop_assert_eq!(left.cmp(&right), left.as_str().as_bytes().cmp(right.as_str().as_bytes()));
    }

    #[test]
    fn any_text_parses_to_itself_or_fails(text in any::<String>()) {
        if let Ok(path) = Path::parse(&text) {
            prop_assert_eq!(path.as_str(), &text);
            prop_assert_eq!(Path::new(path.segments()).unwrap(), path);
        }
    }
}
