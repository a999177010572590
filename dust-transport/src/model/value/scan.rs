//! One pass over JSON text from outside: checks it, and drops the insignificant whitespace.

use std::borrow::Cow;

use super::ValueError;

/// Checks a JSON text and returns it without insignificant whitespace.
pub(super) fn compact(bytes: &[u8], levels_max: usize) -> Result<Cow<'_, str>, ValueError> {
    let text = std::str::from_utf8(bytes).map_err(|error| ValueError::Utf8 {
        offset: error.valid_up_to(),
    })?;
    let mut scan = Scan {
        text,
        at: 0,
        kept: 0,
        out: String::new(),
        levels: levels_max,
    };
    scan.space();
    scan.value()?;
    let end = scan.at;
    scan.space();
    if scan.at < text.len() {
        return Err(scan.syntax("one value only"));
    }
    if scan.out.is_empty() {
        // Nothing was dropped inside.
        return Ok(Cow::Borrowed(text.get(scan.kept..end).unwrap_or_default()));
    }
    scan.flush(end);
    Ok(Cow::Owned(scan.out))
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Where the run that is not yet in `out` starts.
    kept: usize,
    out: String,
    /// How many levels may still be opened; bounds the recursion.
    levels: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn syntax(&self, expected: &'static str) -> ValueError {
        ValueError::Syntax {
            offset: self.at,
            expected,
        }
    }

    /// Keeps what is before `end`.
    fn flush(&mut self, end: usize) {
        // Both ends stand at ASCII bytes or at the end of the text, so they are character boundaries.
        self.out.push_str(self.text.get(self.kept..end).unwrap_or_default());
    }

    /// Steps over whitespace, which is dropped once something follows that is kept.
    fn space(&mut self) {
        let start = self.at;
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
        if self.at > start && self.at < self.text.len() {
            self.flush(start);
            self.kept = self.at;
        }
    }

    fn value(&mut self) -> Result<(), ValueError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.nested(b'}', Self::member),
            Some(b'[') => self.nested(b']', Self::value),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.syntax("a value")),
        }
    }

    /// An array or an object.
    fn nested(&mut self, close: u8, item: fn(&mut Self) -> Result<(), ValueError>) -> Result<(), ValueError> {
        self.levels = self.levels.checked_sub(1).ok_or(ValueError::TooDeep)?;
        self.at += 1;
        self.space();
        if self.peek() != Some(close) {
            loop {
                item(self)?;
                self.space();
                match self.peek() {
                    Some(b',') => self.at += 1,
                    Some(byte) if byte == close => break,
                    _ => return Err(self.syntax("a comma or the closing bracket")),
                }
                self.space();
            }
        }
        self.at += 1;
        self.levels += 1;
        Ok(())
    }

    fn member(&mut self) -> Result<(), ValueError> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a key in double quotes"));
        }
        self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.syntax("a colon"));
        }
        self.at += 1;
        self.space();
        self.value()
    }

    fn word(&mut self, word: &str) -> Result<(), ValueError> {
        if !self.text.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.syntax("a value"));
        }
        self.at += word.len();
        Ok(())
    }

    fn string(&mut self) -> Result<(), ValueError> {
        self.at += 1;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let plain = rest
                .iter()
                .position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            self.at += plain.unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.syntax("a control character to be escaped")),
                None => return Err(self.syntax("the end of a string")),
            }
        }
        self.at += 1;
        Ok(())
    }

    fn escape(&mut self) -> Result<(), ValueError> {
        let start = self.at;
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => match self.code_unit()? {
                0xD800..=0xDBFF => {
                    let paired = self.text.as_bytes().get(self.at..self.at + 2) == Some(br"\u");
                    self.at += usize::from(paired);
                    if paired && matches!(self.code_unit()?, 0xDC00..=0xDFFF) {
                        Ok(())
                    } else {
                        Err(ValueError::LoneSurrogate { offset: start })
                    }
                }
                0xDC00..=0xDFFF => Err(ValueError::LoneSurrogate { offset: start }),
                _ => Ok(()),
            },
            _ => Err(self.syntax("an escape")),
        }
    }

    /// The four hexadecimal digits after a `u`, which is where the scan stands.
    fn code_unit(&mut self) -> Result<u16, ValueError> {
        self.at += 1;
        let digits = self
            .text
            .get(self.at..self.at + 4)
            .filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        let unit = digits
            .and_then(|hex| u16::from_str_radix(hex, 16).ok())
            .ok_or(self.syntax("four hex digits"))?;
        self.at += 4;
        Ok(unit)
    }

    fn digits(&mut self) -> Result<(), ValueError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.syntax("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), ValueError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let mut may_overflow = self.at - start > 300;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            may_overflow = true;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let finite = || {
            self.text
                .get(start..self.at)?
                .parse::<f64>()
                .ok()
                .filter(|number| number.is_finite())
        };
        if may_overflow && finite().is_none() {
            return Err(ValueError::NumberOverflow { offset: start });
        }
        Ok(())
    }
}
