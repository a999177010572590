//! Where requests go: addresses, and the percent-encoding of what stands in them.

use reqwest::Url;

use super::option::HttpOptions;
use crate::error::{Error, ErrorKind};
use crate::model::{FileHash, Path};

/// A server accepts request lines of some 10,000 bytes; what is longer travels in a body.
const PATH_BYTES_MAX: usize = 8_000;

/// The address of one store's entries.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Without a slash at the end.
    entries: String,
    capabilities: String,
    /// The address that the program gave.
    pub(super) base: Url,
}

impl Address {
    pub(super) fn new(options: &HttpOptions) -> Result<Self, Error> {
        let invalid = |code: &'static str, detail: &'static str| Error::new(ErrorKind::InvalidParams, code, detail);
        let store = options
            .store
            .split_once('/')
            .filter(|(org, name)| is_name(org, b"-") && is_name(name, b"-._"));
        let Some((org, name)) = store else {
            return Err(invalid("invalid_store", "a store is named `org/name`"));
        };
        let base = Url::parse(options.base_url.trim())
            .map_err(|error| invalid("invalid_base_url", "the base address is no URL").with_source(error))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(invalid(
                "invalid_base_url",
                "the base address must be `http` or `https`",
            ));
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(invalid(
                "invalid_base_url",
                "the base address must not hold a user or a password",
            ));
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(invalid(
                "invalid_base_url",
                "the base address must not have a query or a fragment",
            ));
        }
        let api = format!("{}/api", base.as_str().trim_end_matches('/'));
        Ok(Self {
            entries: format!("{api}/stores/{org}/{name}/entries"),
            capabilities: format!("{api}/capabilities"),
            base,
        })
    }

    /// Where a server of this house tells its extensions.
    pub(super) fn capabilities(&self) -> Result<Url, Error> {
        parse(&self.capabilities)
    }

    /// The address of a file.
    pub(super) fn file(&self, hash: &FileHash) -> Result<Url, Error> {
        parse(&format!(
            "{}/api/files/{hash}",
            self.base.as_str().trim_end_matches('/')
        ))
    }

    /// What is at a fixed name below the store.
    pub(super) fn of_store(&self, below: &str) -> Result<Url, Error> {
        let store = self.entries.strip_suffix("/entries").unwrap_or(&self.entries);
        parse(&format!("{store}{below}"))
    }

    /// `/entries`, or what is at a fixed name below it.
    pub(super) fn route(&self, below: &str) -> Result<Url, Error> {
        parse(&format!("{}{below}", self.entries))
    }

    /// `/entries?…`.
    pub(super) fn query(&self, parameters: &[(&str, &str)]) -> Result<Url, Error> {
        let mut text = self.entries.clone();
        for (index, (name, value)) in parameters.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            push_encoded(&mut text, value, is_kept_in_query);
        }
        parse(&text)
    }

    /// `/entries/<path>`; `None` if the path cannot stand in an address: a segment is `.` or `..`, which every part on
    /// the way may resolve, or it is too long for a request line.
    pub(super) fn entry(&self, path: &Path) -> Result<Option<Url>, Error> {
        let mut text = self.entries.clone();
        for segment in path.as_str().split('/') {
            if matches!(segment, "." | "..") {
                return Ok(None);
            }
            text.push('/');
            push_encoded(&mut text, segment, is_kept_in_path);
        }
        if text.len() > PATH_BYTES_MAX {
            return Ok(None);
        }
        parse(&text).map(Some)
    }
}

fn parse(text: &str) -> Result<Url, Error> {
    Url::parse(text).map_err(|error| {
        Error::new(ErrorKind::InvalidParams, "invalid_url", "the address is no URL").with_source(error)
    })
}

/// A name of the wire: lower-case letters, digits and, from the second byte on, these.
fn is_name(text: &str, further: &[u8]) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().next().is_some_and(is_plain) && text.bytes().all(|byte| is_plain(byte) || further.contains(&byte))
}

/// The unreserved bytes of RFC 3986, and those that a path segment may hold; but no `+`, which some servers read as a
/// space.
fn is_kept_in_path(byte: u8) -> bool {
    is_unreserved(byte) || b"!$&'()*,;=:@".contains(&byte)
}

fn is_kept_in_query(byte: u8) -> bool {
    is_unreserved(byte) || b"/*:@,".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn push_encoded(out: &mut String, text: &str, is_kept: fn(u8) -> bool) {
    const DIGITS: [char; 16] = [
        '0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F',
    ];
    for byte in text.bytes() {
        if is_kept(byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            for half in [byte >> 4, byte & 0xF] {
                out.extend(DIGITS.get(usize::from(half)));
            }
        }
    }
}

/// Whether the token may go from one address to the other: the same host and port, and never from `https` to `http`.
pub(super) fn is_same_server(from: &Url, to: &Url) -> bool {
    let same_port = from.port_or_known_default() == to.port_or_known_default();
    let same = from.scheme() == to.scheme() && same_port;
    let upgrade = from.scheme() == "http" && to.scheme() == "https" && from.port().is_none() && to.port().is_none();
    from.host_str() == to.host_str() && (same || upgrade)
}

#[cfg(test)]
mod tests {
    use super::{is_same_server, parse};

    #[test]
    fn the_token_stays_with_its_server() {
        for (from, to, same) in [
            ("http://a.io/x", "http://a.io/y", true),
            ("http://a.io/x", "http://A.io:80/y", true),
            ("http://a.io/x", "https://a.io/y", true),
            ("https://a.io/x", "http://a.io/y", false),
            ("http://a.io/x", "http://a.io:81/y", false),
            ("http://a.io:81/x", "https://a.io/y", false),
            ("http://a.io/x", "http://b.io/x", false),
            ("http://a.io/x", "http://a.io.b.io/x", false),
        ] {
            assert_eq!(
                is_same_server(&parse(from).unwrap(), &parse(to).unwrap()),
                same,
                "{from} to {to}"
            );
        }
    }
}
