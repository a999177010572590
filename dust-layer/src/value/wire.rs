//! The numbers and texts that stored values are made of.
//!
//! Numbers are LEB128 in as few bytes as they need; signed ones zigzag. There is one encoding of each value, and readers
//! accept no other.

use crate::error::Error;

pub(crate) fn put_unsigned(mut number: u128, output: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            output.push(low & 0x7f);
            return;
        }
        output.push(low | 0x80);
    }
}

pub(crate) fn put_signed(number: i128, output: &mut Vec<u8>) {
    let zigzag = (number << 1) ^ (number >> 127);
    put_unsigned(zigzag.cast_unsigned(), output);
}

pub(crate) fn put_length(length: usize, output: &mut Vec<u8>) {
    put_unsigned(length as u128, output);
}

pub(crate) fn put_bytes(bytes: &[u8], output: &mut Vec<u8>) {
    put_length(bytes.len(), output);
    output.extend_from_slice(bytes);
}

/// Takes stored bytes apart from the front. `what` names them in errors.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8], what: &'static str) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn invalid(&self) -> Error {
        Error::corrupt(self.what)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The bytes that are left.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self.rest.split_first().ok_or_else(|| self.invalid())?;
        self.rest = rest;
        Ok(*byte)
    }

    /// Takes the format byte, which must be `format`.
    pub(crate) fn format(&mut self, format: u8) -> Result<(), Error> {
        match self.byte()? {
            found if found == format => Ok(()),
            _ => Err(self.invalid()),
        }
    }

    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or_else(|| self.invalid())?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or_else(|| self.invalid())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn unsigned(&mut self) -> Result<u128, Error> {
        let (mut number, mut shift) = (0_u128, 0_u32);
        loop {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            let shifted = part << shift.min(127);
            // A part that does not fit, or a last byte of nothing, is not how the number is written.
            if shift > 126 || shifted >> shift != part || (byte == 0 && shift > 0) {
                return Err(self.invalid());
            }
            number |= shifted;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    pub(crate) fn signed(&mut self) -> Result<i128, Error> {
        let zigzag = self.unsigned()?;
        let magnitude = (zigzag >> 1).cast_signed();
        Ok(if zigzag & 1 == 1 { !magnitude } else { magnitude })
    }

    pub(crate) fn number<T: TryFrom<u128>>(&mut self) -> Result<T, Error> {
        let number = self.unsigned()?;
        T::try_from(number).map_err(|_| self.invalid())
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let length = self.number::<usize>()?;
        self.take(length)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Error> {
        std::str::from_utf8(self.bytes()?).map_err(|_| self.invalid())
    }

    pub(crate) fn end(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.invalid())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_one_encoding() {
        for number in [0, 1, 127, 128, u128::from(u64::MAX), u128::MAX] {
            let mut bytes = Vec::new();
            put_unsigned(number, &mut bytes);
            assert_eq!(Reader::new(&bytes, "").unsigned().unwrap(), number);
        }
        for number in [0, -1, 1, i128::from(i64::MIN), i128::MIN, i128::MAX] {
            let mut bytes = Vec::new();
            put_signed(number, &mut bytes);
            assert_eq!(Reader::new(&bytes, "").signed().unwrap(), number);
        }
        for bytes in [&[0x80, 0x00][..], &[0x80], &[0xff; 20], &[0xff, 0xff, 0xff, 0x80, 0x00]] {
            assert!(Reader::new(bytes, "").unsigned().is_err(), "{bytes:?}");
        }
    }
}
