//! Assembling a subtree from its leaves: what a read of an interior path returns.

use std::cmp::Ordering;
use std::sync::Arc;

use super::Value;
use super::path::decode_segment;

/// Nests leaves by the segments of their paths into one map, keys sorted.
///
/// Each leaf is given by the rendered rest of its path below the root and the JSON text of its value, which is taken
/// over as it is. Where a leaf also has descendants, the descendants win: the map shows them and the leaf is hidden
/// (it is still there at its own path).
///
/// ```
/// use dust_transport::model::assemble;
///
/// let map = assemble([("author/name", "\"Ada\""), ("title", "\"Notes\"")]);
/// assert_eq!(map.json(), r#"{"author":{"name":"Ada"},"title":"Notes"}"#);
/// ```
#[must_use]
pub fn assemble<'a>(leaves: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    let mut leaves: Vec<_> = leaves.into_iter().collect();
    // The order of rendered paths is not that of keys: `a-b/c` comes before `a/c`. It is the same more often than not.
    if !leaves.is_sorted_by(|a, b| by_segments(a.0, b.0).is_lt()) {
        leaves.sort_unstable_by(|a, b| by_segments(a.0, b.0));
    }
    let bytes: usize = leaves.iter().map(|(path, json)| path.len() + json.len() + 8).sum();
    let mut text = String::with_capacity(bytes);
    let mut open: Vec<&str> = Vec::new();
    text.push('{');
    let mut leaves = leaves.into_iter().peekable();
    while let Some((path, json)) = leaves.next() {
        let is_hidden = |next: &(&str, &str)| next.0.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
        if leaves.peek().is_some_and(is_hidden) {
            continue;
        }
        let mut segments = path.split('/').peekable();
        let is_open = |level: &&&str| segments.next_if(|segment| segment == *level).is_some();
        let shared = open.iter().take_while(is_open).count();
        for _ in open.drain(shared..) {
            text.push('}');
        }
        if !text.ends_with('{') {
            text.push(',');
        }
        while let Some(segment) = segments.next() {
            push_key(&mut text, segment);
            if segments.peek().is_some() {
                open.push(segment);
                text.push('{');
            }
        }
        text.push_str(json);
    }
    for _ in 0..=open.len() {
        text.push('}');
    }
    Value::from_trusted_json(Arc::from(text))
}

/// The order of rendered paths by their segments, each by the bytes of its plain form.
fn by_segments(a: &str, b: &str) -> Ordering {
    a.split('/').map(decode_segment).cmp(b.split('/').map(decode_segment))
}

fn push_key(text: &mut String, segment: &str) {
    let is_bare = |byte: u8| byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'~');
    if segment.bytes().all(is_bare) {
        text.push('"');
        text.push_str(segment);
        text.push('"');
    } else {
        text.push_str(Value::from(&*decode_segment(segment)).json());
    }
    text.push(':');
}

#[cfg(test)]
mod tests {
    use super::assemble;

    #[test]
    fn leaves_become_a_map_with_sorted_keys() {
        let check = |leaves: &[(&'static str, &'static str)], expected: &str| {
            let mut leaves = leaves.to_vec();
            leaves.sort_unstable();
            assert_eq!(assemble(leaves).json(), expected);
        };
        check(&[], "{}");
        check(&[("a", "1"), ("b", "[2]"), ("c", "{}")], r#"{"a":1,"b":[2],"c":{}}"#);
        check(
            &[("a/x", "1"), ("a-b/x", "2"), ("a.b", "3")],
            r#"{"a":{"x":1},"a-b":{"x":2},"a.b":3}"#,
        );
        check(
            &[("a/b/c", "1"), ("a/b/d", "2"), ("a/e", "3"), ("f", "4")],
            r#"{"a":{"b":{"c":1,"d":2},"e":3},"f":4}"#,
        );
        check(
            &[("a/b/c", "1"), ("d/b/c", "2")],
            r#"{"a":{"b":{"c":1}},"d":{"b":{"c":2}}}"#,
        );
    }

    #[test]
    fn descendants_hide_a_leaf_at_their_ancestor() {
        // `foo-bar` stands between `foo` and `foo/title` in the order of paths.
        let leaves = [("foo", "1"), ("foo-bar", "2"), ("foo/title", "3"), ("foo/title/x", "4")];
        assert_eq!(assemble(leaves).json(), r#"{"foo":{"title":{"x":4}},"foo-bar":2}"#);
    }

    #[test]
    fn escapes_are_undone_in_paths_and_done_in_json() {
        let leaves = [
            ("~1", "1"),
            ("~0", "2"),
            ("0", "3"),
            (".", "4"),
            ("a~1b/~0\"", "null"),
            ("\\\n", "5"),
        ];
        let expected = r#"{".":4,"/":1,"0":3,"\\\n":5,"a/b":{"~\"":null},"~":2}"#;
        assert_eq!(assemble(leaves).json(), expected);
    }
}
