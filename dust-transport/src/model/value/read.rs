//! Reads JSON text that has been checked and compacted: its members by their text, or as a tree to compare.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// The string that a JSON string stands for.
pub(super) fn unquote(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') {
        serde_json::from_str::<String>(raw).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(inner))
    }
}

/// Appends a string in double quotes, with the escapes that JSON asks for.
pub(super) fn push_quoted(out: &mut String, text: &str) {
    out.push('"');
    if !text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(text);
        out.push('"');
        return;
    }
    for run in text.split_inclusive(|c: char| c < ' ' || c == '"' || c == '\\') {
        let mut chars = run.chars();
        match chars.next_back() {
            Some('"') => out.extend([chars.as_str(), "\\\""]),
            Some('\\') => out.extend([chars.as_str(), r"\\"]),
            Some('\n') => out.extend([chars.as_str(), r"\n"]),
            Some('\r') => out.extend([chars.as_str(), r"\r"]),
            Some('\t') => out.extend([chars.as_str(), r"\t"]),
            Some(control) if control < ' ' => {
                let digit = |value: u32| char::from_digit(value, 16);
                out.extend([chars.as_str(), r"\u00"]);
                out.extend(
                    digit(u32::from(control) / 16)
                        .into_iter()
                        .chain(digit(u32::from(control) % 16)),
                );
            }
            _ => out.push_str(run),
        }
    }
    out.push('"');
}

/// The end of the string that starts at `from`, after its closing quote.
fn string_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from + 1;
    loop {
        at += bytes
            .get(at..)?
            .iter()
            .position(|byte| *byte == b'"' || *byte == b'\\')?;
        if bytes.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// The end of the value that starts at `from`.
fn value_end(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut levels = 0_usize;
    let mut at = from;
    loop {
        match bytes.get(at) {
            Some(b'"') => at = string_end(text, at)?,
            Some(b'{' | b'[') => {
                levels += 1;
                at += 1;
                continue;
            }
            Some(b'}' | b']') if levels > 0 => {
                levels -= 1;
                at += 1;
            }
            Some(b',' | b':') if levels > 0 => {
                at += 1;
                continue;
            }
            Some(b',' | b':' | b'}' | b']') | None => return Some(at),
            Some(_) => {
                at += 1;
                continue;
            }
        }
        if levels == 0 {
            return Some(at);
        }
    }
}

/// The texts of the elements of an array, or of the keys and values, in turn, of an object.
struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let end = value_end(self.text, start)?;
        self.at = end;
        self.text.get(start..end).filter(|piece| !piece.is_empty())
    }
}

/// The texts of the elements of an array.
pub(super) fn items(array: &str) -> impl Iterator<Item = &str> {
    Pieces { text: array, at: 0 }
}

/// The keys and the texts of the values of an object; of equal keys the first.
pub(super) fn entries(object: &str) -> Vec<(Cow<'_, str>, &str)> {
    let mut pieces = Pieces { text: object, at: 0 };
    let mut entries = Vec::new();
    while let Some(key) = pieces.next().and_then(unquote) {
        let Some(value) = pieces.next() else { break };
        entries.push((key, value));
    }
    if !distinct(&entries) {
        let mut seen = HashSet::new();
        entries.retain(|(key, _)| seen.insert(key.clone()));
    }
    entries
}

fn distinct(entries: &[(Cow<'_, str>, &str)]) -> bool {
    // Records are small, and comparing a few keys is cheaper than hashing them.
    if entries.len() <= 12 {
        let mut rest = entries;
        while let [(key, _), others @ ..] = rest {
            if others.iter().any(|(other, _)| other == key) {
                return false;
            }
            rest = others;
        }
        return true;
    }
    let mut seen = HashSet::with_capacity(entries.len());
    entries.iter().all(|(key, _)| seen.insert(&**key))
}

/// A value as it compares: integers by their digits, other numbers by value, objects without order.
#[derive(Debug, PartialEq)]
pub(super) enum Tree<'a> {
    Null,
    Boolean(bool),
    Integer(&'a str),
    Float(f64),
    String(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    Map(BTreeMap<Cow<'a, str>, Tree<'a>>),
}

impl<'a> Tree<'a> {
    /// Reads a whole text in one pass; as deep as the text, which is bounded.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        Reader { text, at: 0 }.value()
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, end: usize) -> Option<&'a str> {
        let piece = self.text.get(self.at..end)?;
        self.at = end;
        Some(piece)
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let end = string_end(self.text, self.at)?;
        unquote(self.take(end)?)
    }

    fn value(&mut self) -> Option<Tree<'a>> {
        match self.peek()? {
            b'"' => self.string().map(Tree::String),
            b'[' => {
                let mut items = Vec::new();
                while self.enter(b']')? {
                    items.push(self.value()?);
                }
                Some(Tree::List(items))
            }
            b'{' => {
                let mut members = BTreeMap::new();
                while self.enter(b'}')? {
                    let key = self.string()?;
                    self.at += 1;
                    let value = self.value()?;
                    members.entry(key).or_insert(value);
                }
                Some(Tree::Map(members))
            }
            _ => {
                let end = value_end(self.text, self.at)?;
                let piece = self.take(end)?;
                Some(match piece {
                    "null" => Tree::Null,
                    "true" => Tree::Boolean(true),
                    "false" => Tree::Boolean(false),
                    "-0" => Tree::Integer("0"),
                    number if is_integer(number) => Tree::Integer(number),
                    number => Tree::Float(number.parse().ok()?),
                })
            }
        }
    }

    /// Steps over an opening bracket or a comma, and says whether an item follows; if not, steps over the end.
    fn enter(&mut self, close: u8) -> Option<bool> {
        if self.peek()? != close {
            self.at += 1;
        }
        let more = self.peek()? != close;
        self.at += usize::from(!more);
        Some(more)
    }
}

/// Whether a JSON number has neither fraction nor exponent.
pub(super) fn is_integer(number: &str) -> bool {
    !number.contains(['.', 'e', 'E'])
}
