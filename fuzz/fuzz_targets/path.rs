//! `Path::parse` takes any text; what it takes, it gives back, whole and in segments.
#![no_main]

use dust_transport::model::Path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(path) = Path::parse(text) {
        assert_eq!(path.as_str(), text);
        check(&path);
    }
    // The same text as a list of literal segments, which need not be a rendered path.
    let segments: Vec<&str> = text.split('\n').collect();
    if let Ok(path) = Path::new(&segments) {
        assert!(
            path.segments().eq(segments.iter().copied()),
            "{segments:?} became {path:?}"
        );
        assert_eq!(Path::parse(path.as_str()), Ok(path.clone()));
        check(&path);
    }
});

fn check(path: &Path) {
    let segments: Vec<_> = path.segments().collect();
    assert!(
        segments
            .iter()
            .all(|segment| !segment.is_empty() && !segment.contains('\0'))
    );
    assert_eq!(Path::new(&segments).as_ref(), Ok(path));
    assert_eq!(segments.len(), path.depth());
    assert!(path.depth() <= Path::SEGMENTS_MAX && path.as_str().len() <= Path::BYTES_MAX);
    assert_eq!(path.prefix(path.depth()).as_ref(), Some(path));
    assert_eq!(path.prefix(path.depth() + 1), None);
    match path.parent() {
        None => assert_eq!(path.depth(), 1),
        Some(parent) => {
            assert_eq!(parent.child(&path.last()).as_ref(), Ok(path));
            assert!(parent.is_ancestor_of(path) && !path.is_ancestor_of(&parent));
            let (from, to) = parent.descendants_range();
            assert!((&*from..&*to).contains(&path.as_str()));
        }
    }
    if let Some(backwards) = path.segments().next_back() {
        assert_eq!(backwards, path.last());
    }
    let json = serde_json::to_string(path).expect("a string");
    assert_eq!(serde_json::from_str::<Path>(&json).expect("just written"), *path);
}
