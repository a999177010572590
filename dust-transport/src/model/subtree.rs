//! Assembling a subtree from its leaves: what a read of an interior path returns.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Value;
use super::path::decode;

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
    let mut root = Node::default();
    for (rest, json) in leaves {
        let node = rest.split('/').fold(&mut root, |node, segment| {
            node.children.entry(decode(segment)).or_default()
        });
        node.leaf = Some(json);
    }
    let mut text = String::new();
    root.write(&mut text);
    Value::from_trusted_json(Arc::from(text))
}

#[derive(Default)]
struct Node<'a> {
    leaf: Option<&'a str>,
    children: BTreeMap<Cow<'a, str>, Node<'a>>,
}

impl Node<'_> {
    fn write(&self, text: &mut String) {
        if let Some(leaf) = self.leaf.filter(|_| self.children.is_empty()) {
            text.push_str(leaf);
            return;
        }
        text.push('{');
        for (index, (key, child)) in self.children.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            text.push_str(Value::from(key.as_ref()).json());
            text.push(':');
            child.write(text);
        }
        text.push('}');
    }
}

#[cfg(test)]
mod tests {
    use super::assemble;

    #[test]
    fn nothing_is_the_empty_map() {
        assert_eq!(assemble([]).json(), "{}");
    }

    #[test]
    fn descendants_hide_a_leaf_at_their_ancestor() {
        // `foo-bar` stands between `foo` and `foo/title` in the order of paths.
        let leaves = [("foo", "1"), ("foo-bar", "2"), ("foo/title", "3")];
        assert_eq!(assemble(leaves).json(), r#"{"foo":{"title":3},"foo-bar":2}"#);
    }

    #[test]
    fn escapes_are_undone_in_paths_and_done_in_json() {
        assert_eq!(assemble([("a~1b/~0\"", "null")]).json(), r#"{"a/b":{"~\"":null}}"#);
    }
}
