//! The names of stores.

use std::fmt;
use std::str::FromStr;

use dust_transport::error::{Error, ErrorKind};

/// The name of a store: `org/name`, such as `acme/reading`.
///
/// The organisation has lower-case letters, digits and `-`; the name also `.` and `_`; both start with a letter or a
/// digit, and both together have at most 255 bytes.
///
/// ```
/// use dust_store::StoreName;
/// let name: StoreName = "acme/reading.list".parse()?;
/// assert_eq!((name.org(), name.name()), ("acme", "reading.list"));
/// assert!("Acme/reading".parse::<StoreName>().is_err());
/// assert!("acme/reading\n".parse::<StoreName>().is_err());
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreName {
    full: Box<str>,
    slash: usize,
}

/// The longest name.
const BYTES_MAX: usize = 255;

fn is_part(part: &str, also: &[u8]) -> bool {
    let letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    part.bytes().next().is_some_and(letter) && part.bytes().all(|byte| letter(byte) || also.contains(&byte))
}

impl StoreName {
    /// Reads a full name.
    ///
    /// # Errors
    /// `InvalidParams` with the code `invalid_store`, saying what a name may be.
    pub fn parse(full: &str) -> Result<Self, Error> {
        let parts = full
            .split_once('/')
            .filter(|(org, name)| is_part(org, b"-") && is_part(name, b"._-"));
        match parts {
            Some((org, _)) if full.len() <= BYTES_MAX => Ok(Self {
                full: full.into(),
                slash: org.len(),
            }),
            _ => {
                let shown: String = full.chars().take(80).collect();
                let detail = format!(
                    "{shown:?} is no name of a store; it must be `org/name` of lower-case letters, digits and `-`, in the \
                     name also `.` and `_`, at most {BYTES_MAX} bytes",
                );
                Err(Error::new(ErrorKind::InvalidParams, "invalid_store", detail))
            }
        }
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> &str {
        self.full.get(..self.slash).unwrap_or_default()
    }

    /// The name within the organisation.
    #[must_use]
    pub fn name(&self) -> &str {
        self.full.get(self.slash + 1..).unwrap_or_default()
    }

    /// The full name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.full
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.full)
    }
}

impl FromStr for StoreName {
    type Err = Error;

    fn from_str(full: &str) -> Result<Self, Error> {
        Self::parse(full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_grammar_in_full() {
        for good in ["a/b", "acme/reading", "0/0", "a-b/c.d_e-f", "a/b."] {
            assert_eq!(StoreName::parse(good).unwrap().as_str(), good);
        }
        for bad in [
            "",
            "/",
            "a",
            "a/",
            "/b",
            "a/b/c",
            "A/b",
            "a/B",
            "-a/b",
            "a/-b",
            "a/.b",
            "a_b/c",
            "a.b/c",
            "a/b\n",
            "a /b",
            "a/b\0",
            "ä/b",
            "a/ü",
            &format!("a/{}", "b".repeat(254)),
        ] {
            let error = StoreName::parse(bad).unwrap_err();
            assert_eq!(
                (error.kind(), error.code()),
                (ErrorKind::InvalidParams, "invalid_store"),
                "{bad:?}"
            );
        }
    }
}
