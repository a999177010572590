//! Values as elements of a tuple key: the order of the bytes is the order of the values.
//!
//! Every value is one element of the tuple encoding, so that any key that is built of them decodes as a tuple. A date, a
//! time and an instant are integers; a decimal is a nested tuple of its sign, the place of its point and its digits.

use std::borrow::Cow;

use foundationdb_tuple::{Bytes, PackError, TupleDepth, TupleUnpack, pack_into};

use super::{Date, DateTime, Decimal, FieldType, FieldValue, Time, Versionstamp, canonical};
use crate::error::Error;

const NULL: u8 = 0x00;
const UUID: u8 = 0x30;
const VERSIONSTAMP: u8 = 0x33;
const NESTED: u8 = 0x05;
const NESTED_END: u8 = 0x00;
/// After every digit, so that of two negative numbers the one with more digits comes first.
const DIGITS_END: char = '~';

/// Appends a value.
pub(crate) fn encode(value: &FieldValue, output: &mut Vec<u8>) {
    match value {
        FieldValue::Null => output.push(NULL),
        FieldValue::Boolean(value) => element(value, output),
        FieldValue::Integer(value) => element(value, output),
        FieldValue::Float(value) => element(&canonical(*value), output),
        FieldValue::Decimal(value) => decimal(value, output),
        FieldValue::Text(value) => element(value, output),
        FieldValue::Bytes(value) => element(&Bytes::from(&value[..]), output),
        FieldValue::Date(Date(days)) => element(days, output),
        FieldValue::Time(Time(nanos)) => element(nanos, output),
        FieldValue::DateTime(DateTime(nanos)) => element(nanos, output),
        FieldValue::Uuid(bytes) => {
            output.push(UUID);
            output.extend_from_slice(bytes);
        }
        FieldValue::Versionstamp(Versionstamp(bytes)) => {
            output.push(VERSIONSTAMP);
            output.extend_from_slice(bytes);
        }
    }
}

fn element<T: foundationdb_tuple::TuplePack>(value: &T, output: &mut Vec<u8>) {
    pack_into(&(value,), output);
}

fn decimal(value: &Decimal, output: &mut Vec<u8>) {
    output.push(NESTED);
    let sign = value.coefficient().signum();
    element(&sign, output);
    if sign != 0 {
        let (digits, place) = value.parts();
        let is_negative = sign < 0;
        element(&if is_negative { -place } else { place }, output);
        element(
            &Bytes::from(&*if is_negative {
                complement(&digits)
            } else {
                digits.into_bytes()
            }),
            output,
        );
    }
    output.push(NESTED_END);
}

/// The digits of a negative number, so that the larger magnitude comes first.
fn complement(digits: &str) -> Vec<u8> {
    let flipped = digits.bytes().map(|digit| b'9' - (digit - b'0'));
    flipped.chain([b'~']).collect()
}

/// Takes one value of a type from the front of `input`.
pub(crate) fn decode<'a>(kind: FieldType, input: &'a [u8]) -> Result<(FieldValue, &'a [u8]), Error> {
    if let Some(rest) = input.strip_prefix(&[NULL]) {
        return Ok((FieldValue::Null, rest));
    }
    Ok(match kind {
        FieldType::Boolean => take::<bool>(input).map(|(value, rest)| (FieldValue::Boolean(value), rest))?,
        FieldType::Integer => take::<i128>(input).map(|(value, rest)| (FieldValue::Integer(value), rest))?,
        FieldType::Float => take::<f64>(input).map(|(value, rest)| (FieldValue::Float(value), rest))?,
        FieldType::Decimal => decode_decimal(input)?,
        FieldType::Text => take::<String>(input).map(|(value, rest)| (FieldValue::Text(value), rest))?,
        FieldType::Bytes => {
            take::<Bytes<'a>>(input).map(|(value, rest)| (FieldValue::Bytes(value.into_owned()), rest))?
        }
        FieldType::Date => take::<i32>(input).map(|(value, rest)| (FieldValue::Date(Date(value)), rest))?,
        FieldType::Time => take::<u64>(input).map(|(value, rest)| (FieldValue::Time(Time(value)), rest))?,
        FieldType::DateTime => {
            take::<i128>(input).map(|(value, rest)| (FieldValue::DateTime(DateTime(value)), rest))?
        }
        FieldType::Uuid => fixed(UUID, input).map(|(bytes, rest)| (FieldValue::Uuid(bytes), rest))?,
        FieldType::Versionstamp => {
            fixed(VERSIONSTAMP, input).map(|(bytes, rest)| (FieldValue::Versionstamp(Versionstamp(bytes)), rest))?
        }
    })
}

/// The first element of a tuple, and what follows it.
struct Front<'a, T>(T, &'a [u8]);

impl<'a, T: TupleUnpack<'a>> TupleUnpack<'a> for Front<'a, T> {
    fn unpack(input: &'a [u8], depth: TupleDepth) -> Result<(&'a [u8], Self), PackError> {
        let (rest, value) = T::unpack(input, depth.increment())?;
        // All is taken, so that decoding ends here.
        Ok((&[], Self(value, rest)))
    }
}

fn take<'a, T: TupleUnpack<'a>>(input: &'a [u8]) -> Result<(T, &'a [u8]), PackError> {
    foundationdb_tuple::unpack::<Front<'a, T>>(input).map(|Front(value, rest)| (value, rest))
}

fn fixed<const N: usize>(code: u8, input: &[u8]) -> Result<([u8; N], &[u8]), Error> {
    input
        .strip_prefix(&[code])
        .and_then(|rest| rest.split_first_chunk::<N>())
        .map(|(bytes, rest)| (*bytes, rest))
        .ok_or_else(|| Error::corrupt("a key holds another type than its field"))
}

fn decode_decimal(input: &[u8]) -> Result<(FieldValue, &[u8]), Error> {
    let invalid = || Error::corrupt("a decimal in a key");
    let rest = input.strip_prefix(&[NESTED]).ok_or_else(invalid)?;
    let (sign, mut rest) = take::<i128>(rest)?;
    let mut number = Decimal::new(0, 0);
    if sign != 0 {
        let (place, after) = take::<i64>(rest)?;
        let (digits, after) = take::<Bytes<'_>>(after)?;
        rest = after;
        let is_negative = sign < 0;
        let digits: Cow<'_, str> = String::from_utf8_lossy(&digits);
        let digits = match (is_negative, digits.strip_suffix(DIGITS_END)) {
            (true, Some(flipped)) if flipped.bytes().all(|digit| digit.is_ascii_digit()) => {
                flipped.bytes().map(|digit| char::from(b'9' - (digit - b'0'))).collect()
            }
            (false, _) => digits.into_owned(),
            _ => return Err(invalid()),
        };
        let place = if is_negative {
            place.checked_neg().ok_or_else(invalid)?
        } else {
            place
        };
        number = Decimal::from_parts(is_negative, &digits, place).ok_or_else(invalid)?;
    }
    let rest = rest.strip_prefix(&[NESTED_END]).ok_or_else(invalid)?;
    Ok((FieldValue::Decimal(number), rest))
}
