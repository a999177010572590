//! The stored form of a row: what is not in its key, each field under its number.
//!
//! ```text
//! row    = field*                           numbers ascending
//! field  = number << 3 | kind, payload      kind: 0 false, 1 true, 2 signed number, 3 double (8 bytes, little-endian),
//!                                           4 length and bytes, 5 sixteen bytes, 6 twelve bytes
//! ```
//!
//! Texts, bytes and decimals are of kind 4, dates, times and instants of kind 2. The kind alone tells where a field ends,
//! so that fields of unknown numbers can be kept. A row has one encoding, and no other is accepted.

use super::Row;
use crate::error::Error;
use crate::table::{FieldDef, Table};
use crate::value::wire::{self, Reader};
use crate::value::{Date, DateTime, Decimal, FieldType, FieldValue, Time, Versionstamp, canonical};

const FALSE: u8 = 0;
const TRUE: u8 = 1;
const SIGNED: u8 = 2;
const DOUBLE: u8 = 3;
const BYTES: u8 = 4;
const SIXTEEN: u8 = 5;
const TWELVE: u8 = 6;

/// Encodes the fields of a row that are not in its key.
pub(crate) fn encode(table: &Table, row: &Row) -> Vec<u8> {
    let mut output = Vec::with_capacity(64);
    let mut unknown = row.unknown.iter().peekable();
    for (number, value) in row.fields() {
        while let Some((number, bytes)) = unknown.next_if(|(unknown, _)| *unknown < number) {
            put_unknown(*number, bytes, &mut output);
        }
        if !table.is_key(number) {
            put_field(number, value, &mut output);
        }
    }
    for (number, bytes) in unknown {
        put_unknown(*number, bytes, &mut output);
    }
    output
}

fn put_tag(number: u32, kind: u8, output: &mut Vec<u8>) {
    wire::put_unsigned(u128::from(number) << 3 | u128::from(kind), output);
}

/// The bytes of an unknown field are its kind and its payload.
fn put_unknown(number: u32, bytes: &[u8], output: &mut Vec<u8>) {
    if let Some((kind, payload)) = bytes.split_first() {
        put_tag(number, *kind, output);
        output.extend_from_slice(payload);
    }
}

fn put_field(number: u32, value: &FieldValue, output: &mut Vec<u8>) {
    let mut signed = |value: i128| {
        put_tag(number, SIGNED, output);
        wire::put_signed(value, output);
    };
    match value {
        FieldValue::Null => {}
        FieldValue::Boolean(value) => put_tag(number, if *value { TRUE } else { FALSE }, output),
        FieldValue::Integer(value) => signed(*value),
        FieldValue::Date(Date(days)) => signed((*days).into()),
        FieldValue::Time(Time(nanos)) => signed((*nanos).into()),
        FieldValue::DateTime(DateTime(nanos)) => signed(*nanos),
        FieldValue::Float(value) => {
            put_tag(number, DOUBLE, output);
            output.extend_from_slice(&canonical(*value).to_le_bytes());
        }
        FieldValue::Text(value) => {
            put_tag(number, BYTES, output);
            wire::put_bytes(value.as_bytes(), output);
        }
        FieldValue::Bytes(value) => {
            put_tag(number, BYTES, output);
            wire::put_bytes(value, output);
        }
        FieldValue::Decimal(value) => {
            let mut bytes = Vec::new();
            wire::put_signed(value.exponent().into(), &mut bytes);
            wire::put_signed(value.coefficient(), &mut bytes);
            put_tag(number, BYTES, output);
            wire::put_bytes(&bytes, output);
        }
        FieldValue::Uuid(bytes) => {
            put_tag(number, SIXTEEN, output);
            output.extend_from_slice(bytes);
        }
        FieldValue::Versionstamp(Versionstamp(bytes)) => {
            put_tag(number, TWELVE, output);
            output.extend_from_slice(bytes);
        }
    }
}

/// Decodes what [`encode`] wrote into `row`, which has the fields of the key.
pub(crate) fn decode(table: &Table, mut row: Row, bytes: &[u8]) -> Result<Row, Error> {
    let mut reader = Reader::new(bytes, "a stored row");
    let mut last = 0;
    while !reader.is_empty() {
        let tag = reader.unsigned()?;
        let number = u32::try_from(tag >> 3).map_err(|_| reader.invalid())?;
        let kind = u8::try_from(tag & 7).map_err(|_| reader.invalid())?;
        if number <= last || table.is_key(number) {
            return Err(reader.invalid());
        }
        last = number;
        if let Some(field) = table.numbered(number) {
            let value = read_value(field.kind, kind, &mut reader)?;
            row.fields.push((number, value));
        } else {
            let mut kept = vec![kind];
            kept.extend_from_slice(skip(kind, &mut reader)?);
            row.unknown.push((number, kept.into()));
        }
    }
    row.fields.sort_by_key(|(number, _)| *number);
    Ok(row)
}

/// The payload of a field that the table does not know.
fn skip<'a>(kind: u8, reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let before = reader.rest();
    match kind {
        FALSE | TRUE => {}
        SIGNED => drop(reader.signed()?),
        DOUBLE => drop(reader.take(8)?),
        BYTES => drop(reader.bytes()?),
        SIXTEEN => drop(reader.take(16)?),
        TWELVE => drop(reader.take(12)?),
        _ => return Err(reader.invalid()),
    }
    let length = before.len() - reader.rest().len();
    before.get(..length).ok_or_else(|| reader.invalid())
}

/// The value of a field that the table does not know, but an index does.
pub(crate) fn read_unknown(kind: FieldType, bytes: &[u8]) -> Result<FieldValue, Error> {
    let mut reader = Reader::new(bytes, "a stored row");
    let wire = reader.byte()?;
    read_value(kind, wire, &mut reader)
}

fn read_value(kind: FieldType, wire: u8, reader: &mut Reader<'_>) -> Result<FieldValue, Error> {
    Ok(match (kind, wire) {
        (FieldType::Boolean, FALSE) => FieldValue::Boolean(false),
        (FieldType::Boolean, TRUE) => FieldValue::Boolean(true),
        (FieldType::Integer, SIGNED) => FieldValue::Integer(reader.signed()?),
        (FieldType::Date, SIGNED) => FieldValue::Date(Date(read_number(reader)?)),
        (FieldType::Time, SIGNED) => FieldValue::Time(Time(read_number(reader)?)),
        (FieldType::DateTime, SIGNED) => FieldValue::DateTime(DateTime(reader.signed()?)),
        (FieldType::Float, DOUBLE) => {
            let float = f64::from_le_bytes(reader.array()?);
            if canonical(float).to_bits() != float.to_bits() {
                return Err(reader.invalid());
            }
            FieldValue::Float(float)
        }
        (FieldType::Text, BYTES) => FieldValue::Text(reader.text()?.to_owned()),
        (FieldType::Bytes, BYTES) => FieldValue::Bytes(reader.bytes()?.to_vec()),
        (FieldType::Decimal, BYTES) => {
            let mut parts = Reader::new(reader.bytes()?, "a stored row");
            let (exponent, coefficient) = (read_number::<i32>(&mut parts)?, parts.signed()?);
            let decimal = Decimal::new(coefficient, exponent);
            if (decimal.coefficient(), decimal.exponent()) != (coefficient, exponent) {
                return Err(reader.invalid());
            }
            parts.end()?;
            FieldValue::Decimal(decimal)
        }
        (FieldType::Uuid, SIXTEEN) => FieldValue::Uuid(reader.array()?),
        (FieldType::Versionstamp, TWELVE) => FieldValue::Versionstamp(Versionstamp(reader.array()?)),
        _ => return Err(reader.invalid()),
    })
}

fn read_number<T: TryFrom<i128>>(reader: &mut Reader<'_>) -> Result<T, Error> {
    let number = reader.signed()?;
    T::try_from(number).map_err(|_| reader.invalid())
}

/// A field of a row whether or not the table knows it.
pub(crate) fn field(table: &Table, row: &Row, number: u32, kind: FieldType) -> Result<FieldValue, Error> {
    match (table.numbered(number), row.unknown_bytes(number)) {
        (Some(FieldDef { kind: known, .. }), _) if *known != kind => {
            Err(Error::corrupt("an index has another type than its field"))
        }
        (Some(_), _) => Ok(row.get(number).clone()),
        (None, Some(bytes)) => read_unknown(kind, bytes),
        (None, None) => Ok(FieldValue::Null),
    }
}
