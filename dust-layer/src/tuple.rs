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
