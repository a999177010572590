//! The tuple encoding: ordered bytes for typed keys, the same in every binding.
//!
//! The encoding itself is the crate `foundationdb-tuple`; what is added here are the two range rules. One value is not
//! portable: ±(2^64 − 1) is written in 8 bytes here and in Erlang but with an explicit length in Python, so a key that
//! Python wrote with exactly these integers is decoded but not found.
//!
//! ```
//! use dust_layer::tuple::{pack, unpack};
//!
//! let key = pack(&("links", 7, None::<&str>));
//! assert!(key < pack(&("links", 8)));
//! assert_eq!(unpack::<(String, i64, Option<String>)>(&key)?, ("links".to_owned(), 7, None));
//! # Ok::<(), dust_layer::Error>(())
//! ```

pub use foundationdb_tuple::{
    Bytes, Element, PackError, Subspace, TupleDepth, TuplePack, TupleUnpack, Versionstamp, VersionstampOffset, pack,
    pack_into, pack_with_versionstamp,
};

use crate::error::Error;

/// Decodes a key that is wholly one tuple.
///
/// # Errors
/// [`Error::Tuple`] if the bytes are not the tuple that is asked for.
///
/// ```
/// assert_eq!(dust_layer::tuple::unpack::<(i64,)>(&[0x15, 0x07])?, (7,));
/// assert!(dust_layer::tuple::unpack::<(String,)>(&[0x15, 0x07]).is_err());
/// # Ok::<(), dust_layer::Error>(())
/// ```
pub fn unpack<'de, T: TupleUnpack<'de>>(key: &'de [u8]) -> Result<T, Error> {
    Ok(foundationdb_tuple::unpack(key)?)
}

/// The range of the tuples that extend `tuple` by at least one element.
///
/// ```
/// use dust_layer::tuple::{pack, range};
///
/// let (begin, end) = range(&("links",));
/// assert!(begin < pack(&("links", 1)) && pack(&("links", "z")) < end);
/// assert!(pack(&("links",)) < begin && end < pack(&("linkt", 1)));
/// ```
pub fn range<T: TuplePack>(tuple: &T) -> (Vec<u8>, Vec<u8>) {
    let mut begin = pack(tuple);
    let mut end = begin.clone();
    begin.push(0x00);
    end.push(0xff);
    (begin, end)
}

/// The first key after every key that starts with `prefix`; `None` if the prefix has nothing but `0xff` bytes.
///
/// ```
/// use dust_layer::tuple::strinc;
///
/// assert_eq!(strinc(b"ab"), Some(b"ac".to_vec()));
/// assert_eq!(strinc(&[1, 0xff, 0xff]), Some(vec![2]));
/// assert_eq!(strinc(&[0xff]), None);
/// ```
#[must_use]
pub fn strinc(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != 0xff)?;
    let mut end = prefix.get(..=last)?.to_vec();
    let byte = end.last_mut()?;
    *byte = byte.checked_add(1)?;
    Some(end)
}

/// Where the first element of a packed tuple ends; `None` if the bytes begin with none.
///
/// ```
/// use dust_layer::tuple::{element_end, pack};
///
/// let key = pack(&("a\0b", 7, (None::<i64>, "c")));
/// let first = element_end(&key).unwrap();
/// assert_eq!(key[..first], pack(&("a\0b",)));
/// let second = first + element_end(&key[first..]).unwrap();
/// assert_eq!(element_end(&key[second..]), Some(key.len() - second));
/// assert_eq!(element_end(&key[..2]), None);
/// ```
#[must_use]
pub fn element_end(packed: &[u8]) -> Option<usize> {
    let code = *packed.first()?;
    let end = match code {
        0x00 | 0x26 | 0x27 => 1,
        0x01 | 0x02 => string_end(packed)?,
        0x05 => nested_end(packed)?,
        // An integer's length is in its code, to both sides of the one of zero.
        0x0c..=0x1c => 1 + usize::from(code.abs_diff(0x14)),
        0x0b => 2 + usize::from(!*packed.get(1)?),
        0x1d => 2 + usize::from(*packed.get(1)?),
        0x20 => 5,
        0x21 => 9,
        0x30 => 17,
        0x33 => 13,
        _ => return None,
    };
    (end <= packed.len()).then_some(end)
}

/// A string ends with the first zero that is not escaped.
fn string_end(packed: &[u8]) -> Option<usize> {
    let mut end = 1;
    loop {
        end += packed.get(end..)?.iter().position(|byte| *byte == 0)? + 1;
        if packed.get(end) != Some(&0xff) {
            return Some(end);
        }
        end += 1;
    }
}

/// A nested tuple ends with a zero where an element would begin; a null in it is an escaped zero.
fn nested_end(packed: &[u8]) -> Option<usize> {
    let mut end = 1;
    loop {
        let rest = packed.get(end..)?;
        end += match rest {
            [0x00, 0xff, ..] => 2,
            [0x00, ..] => return Some(end + 1),
            _ => element_end(rest)?,
        };
    }
}
