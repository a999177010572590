//! The keys of entries: `(FD, prefix, "i", index, n, v1 … vn, slug)`.
//!
//! The prefix is a Unicode string (tuple code `02`), so that it meets none of the byte strings that the store has at its
//! place. The values and the slug are byte strings. An entry has no value, since its key says it all; that of a covering
//! index has the record ([`Covered`](crate::codec::Covered)), or a long one in pieces ([`piece`](super::piece)).

use std::ops::{Bound, Range};

use dust_layer::tuple::pack_into;
use dust_transport::error::Error;
use dust_transport::model::Value;
use dust_transport::query::{Cursor, IndexDefinition, IndexQuery};
use dust_transport::transport::Order;

use super::piece::end_of;
use super::value;
use crate::error::Refusal;
use crate::keyspace::Keyspace;

/// What the keys of all entries of an index begin with.
pub(super) fn base(keys: &Keyspace, definition: &IndexDefinition) -> Vec<u8> {
    let mut base = keys.prefix().to_vec();
    pack_own_into(definition, &mut base);
    base
}

/// What the keys of an index have that no other index of the store has.
fn pack_own_into(definition: &IndexDefinition, key: &mut Vec<u8>) {
    let fields = definition.fields();
    // No two lists of fields have one name.
    let names: Vec<_> = fields
        .iter()
        .map(|field| field.as_str().replace('\\', "\\\\").replace(',', "\\,"))
        .collect();
    let name = names.join(",");
    let count = fields.len() as u64;
    pack_into(
        &(
            &[0xFD_u8][..],
            definition.prefix().as_str(),
            &b"i"[..],
            name.as_bytes(),
            count,
        ),
        key,
    );
}

/// The range of all entries of an index.
pub(super) fn range(base: &[u8]) -> Range<Vec<u8>> {
    base.to_vec()..[base, &[0xFF]].concat()
}

/// The key of an entry.
pub(super) fn key<'v>(base: &[u8], values: impl Iterator<Item = &'v [u8]>, slug: &str) -> Vec<u8> {
    let mut key = base.to_vec();
    for value in values {
        pack_into(&value, &mut key);
    }
    pack_into(&slug.as_bytes(), &mut key);
    key
}

/// The slug, rendered, in the key of an entry; `None` for any other key.
pub(super) fn slug<'k>(key: &'k [u8], base: &[u8], fields: usize) -> Option<&'k str> {
    let mut rest = key.strip_prefix(base)?;
    for _ in 0..fields {
        rest = after_element(rest)?;
    }
    // A slug holds no NUL, so it is not escaped.
    let slug = rest.strip_prefix(&[0x01])?.strip_suffix(&[0x00])?;
    // With one, it is the key of a piece.
    let slug = Some(slug).filter(|slug| !slug.contains(&0))?;
    std::str::from_utf8(slug).ok()
}

/// What follows a byte string: it ends with the first `00` that is not escaped.
fn after_element(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes.strip_prefix(&[0x01])?;
    loop {
        let end = rest.iter().position(|byte| *byte == 0)?;
        rest = rest.get(end + 1..)?;
        match rest.strip_prefix(&[0xFF]) {
            Some(escaped) => rest = escaped,
            None => return Some(rest),
        }
    }
}

/// The range of the entries that begin with these values.
pub(super) fn range_of_equal(base: &[u8], values: &[&[u8]]) -> Range<Vec<u8>> {
    let mut equal = base.to_vec();
    for value in values {
        pack_into(value, &mut equal);
    }
    range(&equal)
}

/// The range that a query reads.
pub(super) fn range_of(base: &[u8], query: &IndexQuery) -> Result<Range<Vec<u8>>, Error> {
    let mut equal = base.to_vec();
    for value in &query.equals {
        pack_into(&&*value::encode(value.json()), &mut equal);
    }
    let all = range(&equal);
    let mut range = all.clone();
    let (lower, upper) = &query.range;
    let class = [lower, upper].into_iter().find_map(|bound| match bound {
        Bound::Included(value) | Bound::Excluded(value) => value::class(&value::encode(value.json())),
        Bound::Unbounded => None,
    });
    if let Some(class) = class {
        range.start = edge(&equal, lower, class, false);
        range.end = edge(&equal, upper, class, true);
    }
    if let Some(after) = &query.after {
        let place = after.as_str().strip_prefix(&mark(&query.index));
        let after = key_at(base, place.ok_or_else(invalid_cursor)?)?;
        if slug(&after, base, query.index.fields().len()).is_none() {
            return Err(invalid_cursor());
        }
        if !all.contains(&after) {
            // Whatever it would find is not what follows the page that the cursor ended.
            return Err(Refusal::invalid("invalid_cursor", "the cursor is of a query with other values").into_error());
        }
        match query.order {
            Order::Asc => range.start = range.start.max(end_of(&after)),
            Order::Desc => range.end = range.end.min(after),
        }
    }
    Ok(range)
}

/// The end of the range at a bound; without one, where the values of the kind begin or end.
fn edge(equal: &[u8], bound: &Bound<Value>, class: u8, is_upper: bool) -> Vec<u8> {
    let mut edge = equal.to_vec();
    let (value, is_included) = match bound {
        Bound::Included(value) => (value, true),
        Bound::Excluded(value) => (value, false),
        Bound::Unbounded => {
            edge.extend_from_slice(&[0x01, class + u8::from(is_upper)]);
            return edge;
        }
    };
    pack_into(&&*value::encode(value.json()), &mut edge);
    // After all entries of the value, or before them.
    if is_included == is_upper {
        edge.push(0xFF);
    }
    edge
}

/// The cursor that stands at an entry: the mark of the index, so that it is refused by others, and the place.
pub(super) fn cursor(key: &[u8], base: &[u8], definition: &IndexDefinition) -> Cursor {
    Cursor::new(mark(definition) + &place(key, base))
}

fn mark(definition: &IndexDefinition) -> String {
    let mut own = Vec::new();
    pack_own_into(definition, &mut own);
    hex(&crc32fast::hash(&own).to_be_bytes())
}

/// Where in its index an entry stands, as text.
pub(super) fn place(key: &[u8], base: &[u8]) -> String {
    hex(key.strip_prefix(base).unwrap_or_default())
}

/// The key at a place.
pub(super) fn key_at(base: &[u8], place: &str) -> Result<Vec<u8>, Error> {
    Ok([base, &unhex(place)?].concat())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |half: u8| char::from_digit(half.into(), 16);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0xF)])
        .flatten()
        .collect()
}

fn unhex(text: &str) -> Result<Vec<u8>, Error> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return Err(invalid_cursor());
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let byte = |[high, low]: &[u8; 2]| Some(digit(*high)? << 4 | digit(*low)?);
    pairs.iter().map(byte).collect::<Option<_>>().ok_or_else(invalid_cursor)
}

fn invalid_cursor() -> Error {
    Refusal::invalid("invalid_cursor", "the cursor is none of this index").into_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(fields: &[&str]) -> IndexDefinition {
        IndexDefinition::new(
            "users".parse().unwrap(),
            fields.iter().map(|field| field.parse().unwrap()),
        )
        .unwrap()
    }

    /// Changing one of these needs a new format version.
    #[test]
    fn keys_are_tuples() {
        let keys = Keyspace::new(&[0x15, 0x2A]);
        let base = base(&keys, &index(&["age", "name"]));
        let values = [value::encode("18"), value::encode("\"A\\u0000\"")];
        let key = key(&base, values.iter().map(Vec::as_slice), "ada");
        let hex = key.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        let expected = [
            "152a01fd00",
            "02757365727300",
            "016900",
            "016167652c6e616d6500",
            "1502",
            "01030380",
            "00ff00ff02",
            "2900",
            "01044100ff00",
            "0161646100",
        ];
        assert_eq!(hex, expected.concat());
        assert_eq!(slug(&key, &base, 2), Some("ada"));
        assert_eq!(slug(&key, &base, 1), None);
        // The keys of pieces, of which some end as those of entries do.
        for number in [0_u64, 1, 255, 256, 0x0001_0000] {
            let mut piece = key.clone();
            pack_into(&(number,), &mut piece);
            assert!(slug(&piece, &base, 2).is_none() && (key.clone()..end_of(&key)).contains(&piece));
        }
    }

    #[test]
    fn indexes_have_ranges_of_their_own() {
        let keys = Keyspace::new(&[0x15, 0x2A]);
        let bases =
            [&["a,b"][..], &["a", "b"], &["a\\", "b"], &["a\\,b"], &["a"]].map(|fields| base(&keys, &index(fields)));
        for (at, one) in bases.iter().enumerate() {
            for other in bases.iter().skip(at + 1) {
                assert!(!range(one).contains(other) && !range(other).contains(one));
            }
        }
        assert!(bases.iter().all(|base| !keys.leaves().contains(base)));
        let odd = IndexDefinition::new("e".parse().unwrap(), ["i".parse().unwrap()]).unwrap();
        assert!(!keys.leaves().contains(&base(&keys, &odd)));
    }

    #[test]
    fn a_cursor_of_others_is_refused() {
        for text in ["", "0", "0g", "é1"] {
            assert_eq!(unhex(text).unwrap_err().code(), "invalid_cursor", "{text:?}");
        }
        assert_eq!(
            key_at(b"base", &place(b"base\x01\xff", b"base")).unwrap(),
            b"base\x01\xff"
        );
        let of = |definition: &IndexDefinition, after: &Cursor| {
            let query = IndexQuery::new(definition.clone()).after(Some(after.clone()));
            range_of(b"base", &query).map_err(|error| error.code().to_owned())
        };
        let key = key(b"base", [value::encode("18")].iter().map(Vec::as_slice), "ada");
        let [age, size] = ["age", "size"].map(|field| index(&[field]));
        let after = cursor(&key, b"base", &age);
        assert_eq!(of(&age, &after).unwrap().start, end_of(&key));
        assert_eq!(of(&age.clone().covering(), &after).unwrap().start, end_of(&key));
        assert_eq!(of(&size, &after), Err("invalid_cursor".into()));
    }
}
