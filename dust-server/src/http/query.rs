//! The query of a URL.

use super::answer::Refusal;

/// The parameters of a query, decoded; of two with one name the last counts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads a query. A `%` that begins no escape stands for itself.
    pub(super) fn parse(raw: Option<&str>) -> Result<Self, Refusal> {
        let pairs = raw.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let decoded = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        });
        decoded.collect::<Result<_, Refusal>>().map(Self)
    }

    /// The text of a parameter; `None` if it is not given.
    ///
    /// # Errors
    /// A parameter that is given as a list, `name[]=…`, is none.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let is_list = |given: &str| given.strip_prefix(name).is_some_and(|rest| rest.starts_with('['));
        if self.0.iter().any(|(given, _)| is_list(given)) {
            return Err(Refusal::invalid(format!("{name} must be a non-empty string")));
        }
        let found = self.0.iter().rev().find(|(given, _)| given == name);
        Ok(found.map(|(_, value)| value.as_str()))
    }

    /// As [`text`](Self::text), where an empty one makes no sense.
    pub(super) fn filled(&self, name: &str) -> Result<Option<&str>, Refusal> {
        match self.text(name)? {
            Some("") => Err(Refusal::invalid(format!("{name} must be a non-empty string"))),
            text => Ok(text),
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(given, _)| {
            given
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
        })
    }
}

/// A positive number; another text counts as none.
pub(super) fn positive(text: Option<&str>) -> Option<usize> {
    text?.parse().ok().filter(|number| *number > 0)
}

fn decode(text: &str) -> Result<String, Refusal> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut ahead = rest.clone();
                let digits = ahead.next().zip(ahead.next());
                match digits.and_then(|(high, low)| Some((hex(high)?, hex(low)?))) {
                    Some((high, low)) => {
                        bytes.push(high << 4 | low);
                        rest = ahead;
                    }
                    None => bytes.push(byte),
                }
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).map_err(|_| Refusal::invalid("the query is not UTF-8"))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_the_last_of_a_name_counts() {
        let query = Query::parse(Some("a=1&a=x+y%2Bz&b=%zz&c&%C3%A9=%4")).unwrap();
        assert_eq!(query.text("a").unwrap(), Some("x y+z"));
        assert_eq!(query.text("b").unwrap(), Some("%zz"));
        assert_eq!(query.text("c").unwrap(), Some(""));
        assert_eq!(query.text("é").unwrap(), Some("%4"));
        assert_eq!(query.text("d").unwrap(), None);
        assert!(query.filled("c").is_err() && query.filled("d").unwrap().is_none());
        assert!(Query::parse(Some("a=%ff")).is_err());
    }

    #[test]
    fn a_list_is_no_text() {
        let query = Query::parse(Some("a[]=1")).unwrap();
        assert!(query.text("a").is_err() && query.has("a") && !query.has("b"));
    }
}
