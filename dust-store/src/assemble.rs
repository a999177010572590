//! Leaves below a path into one map, as text: no leaf is parsed.

use std::cmp::Ordering;
use std::ops::Range;

use dust_layer::{Pairs, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Entry, Path, Seq, Value, ValueKind};

use crate::codec::Leaf;
use crate::draft::{PAGE_PAIRS, read, successor};
use crate::error::{Refusal, of_read};
use crate::keyspace::Keyspace;

/// Reads what is below the path as one entry of kind map; `None` if nothing is there.
pub(crate) async fn subtree<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
    path: &Path,
) -> Result<Option<Entry>, Error> {
    let Range { start: mut begin, end } = keys.below(path.as_str());
    let mut pages: Vec<Pairs> = Vec::new();
    loop {
        let page = transaction
            .get_range(read(&begin, &end, PAGE_PAIRS))
            .await
            .map_err(of_read)?;
        let next = page.last_key().filter(|_| page.more()).map(successor);
        pages.push(page);
        match next {
            Some(next) => begin = next,
            None => break,
        }
    }
    let skip = path.as_str().len() + 1;
    let mut rows = Vec::new();
    let mut revision = 0;
    for (key, value) in pages.iter().flatten() {
        let at = keys
            .path_of(key)
            .and_then(|at| at.get(skip..))
            .ok_or_else(|| Refusal::foreign_key().into_error())?;
        let leaf = Leaf::decode(value).map_err(|error| Refusal::leaf(error).into_error())?;
        revision = revision.max(leaf.revision);
        rows.push((at, leaf.text));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    let value = Value::from_trusted_json(map(&mut rows)?.into());
    Ok(Some(Entry {
        path: path.clone(),
        value,
        kind: ValueKind::Map,
        revision: Seq(revision),
    }))
}

/// The map of rendered relative paths and JSON texts, its keys in order at every level.
///
/// Where a row is also the beginning of others, those win and it is left out.
fn map(rows: &mut [(&str, &str)]) -> Result<String, Error> {
    // The order of rendered paths is not that of keys: `a-b/c` comes before `a/c`. It is the same more often than not.
    if !rows.is_sorted_by(|a, b| by_segments(a.0, b.0).is_lt()) {
        rows.sort_unstable_by(|a, b| by_segments(a.0, b.0));
    }
    let bytes: usize = rows.iter().map(|(path, text)| path.len() + text.len() + 8).sum();
    let mut json = String::with_capacity(bytes);
    let mut open: Vec<&str> = Vec::new();
    json.push('{');
    let mut rows = rows.iter().peekable();
    while let Some((path, text)) = rows.next() {
        if rows
            .peek()
            .is_some_and(|(next, _)| next.strip_prefix(path).is_some_and(|rest| rest.starts_with('/')))
        {
            continue;
        }
        let mut segments = path.split('/').peekable();
        let shared = open
            .iter()
            .take_while(|level| segments.next_if(|segment| segment == *level).is_some())
            .count();
        for _ in open.drain(shared..) {
            json.push('}');
        }
        if !json.ends_with('{') {
            json.push(',');
        }
        while let Some(segment) = segments.next() {
            push_key(&mut json, segment)?;
            if segments.peek().is_some() {
                open.push(segment);
                json.push('{');
            }
        }
        json.push_str(text);
    }
    for _ in 0..=open.len() {
        json.push('}');
    }
    Ok(json)
}

/// The order of paths by their segments, each by the bytes of its plain form.
fn by_segments(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.split('/'), b.split('/'));
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) if a == b => {}
            (Some(a), Some(b)) if !a.contains('~') && !b.contains('~') => return a.cmp(b),
            (Some(a), Some(b)) => return plain(a).cmp(plain(b)),
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}

/// The bytes of a rendered segment without its escapes.
fn plain(segment: &str) -> impl Iterator<Item = u8> {
    let mut bytes = segment.bytes();
    std::iter::from_fn(move || match bytes.next()? {
        b'~' => Some(if bytes.next() == Some(b'1') { b'/' } else { b'~' }),
        byte => Some(byte),
    })
}

fn push_key(json: &mut String, segment: &str) -> Result<(), Error> {
    let is_bare = |byte: u8| byte >= 0x20 && !matches!(byte, b'"' | b'\\' | b'~');
    if segment.bytes().all(is_bare) {
        json.push('"');
        json.push_str(segment);
        json.push('"');
    } else {
        let key = Path::parse(segment).map_err(|_| Refusal::foreign_key().into_error())?;
        json.push_str(Value::from(&*key.last()).json());
    }
    json.push(':');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_become_a_map_with_sorted_keys() {
        let check = |rows: &[(&'static str, &'static str)], expected: &str| {
            let mut rows = rows.to_vec();
            rows.sort_unstable();
            assert_eq!(map(&mut rows).unwrap(), expected);
        };
        check(&[("a", "1")], r#"{"a":1}"#);
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
        check(
            &[("~1", "1"), ("~0", "2"), ("0", "3"), (".", "4")],
            r#"{".":4,"/":1,"0":3,"~":2}"#,
        );
        check(&[("\"\\\n", "1")], r#"{"\"\\\n":1}"#);
    }

    #[test]
    fn descendants_hide_a_leaf_above_them() {
        let mut rows = [("a", "1"), ("a-", "2"), ("a/b", "3"), ("a/b/c", "4")];
        assert_eq!(map(&mut rows).unwrap(), r#"{"a":{"b":{"c":4}},"a-":2}"#);
    }
}
