//! Which addresses may be sent to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// The longest address of a webhook.
const URL_BYTES_MAX: usize = 2048;

/// Why nothing was sent to an address.
#[derive(Debug, thiserror::Error)]
#[error("the address is not public")]
pub(super) struct NotPublic;

/// Reads the address of a webhook; `None` for what is none.
pub(super) fn parse(text: &str) -> Option<Url> {
    let is_http = text.starts_with("http://") || text.starts_with("https://");
    let url = Url::parse(text)
        .ok()
        .filter(|_| is_http && text.len() <= URL_BYTES_MAX)?;
    url.host_str().is_some_and(|host| !host.is_empty()).then_some(url)
}

/// Whether a URL names a private address as such, for which no name has to be looked up.
pub(super) fn is_private_literal(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.parse().is_ok_and(|address| !is_public(address))
}

/// Looks names up, and leaves out what is not public. What is connected to is what has been looked at, so a name that
/// changes its address in between gains nothing.
#[derive(Debug)]
pub(super) struct PublicOnly;

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            let public: Vec<_> = found.into_iter().filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

impl PublicOnly {
    pub(super) fn shared() -> Arc<dyn Resolve> {
        Arc::new(Self)
    }
}

/// Whether an address is one of the public internet: not this machine, not its networks, nothing reserved.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_reserved = match (a, b, c) {
        // This network, this machine, multicast and above; then what carriers share, protocol assignments, benchmarks, and the
        // relay of 6to4.
        (0 | 127 | 224.., _, _) | (100, 64..=127, _) | (192, 0, 0) | (198, 18..=19, _) | (192, 88, 99) => true,
        _ => false,
    };
    !(is_reserved || address.is_private() || address.is_link_local() || address.is_documentation())
}

/// Only what is given out for the internet, without what carries an address of the older kind or is for other uses.
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        // Protocol assignments with Teredo; documentation, twice; 6to4.
        [0x2001, 0..=0x01FF | 0x0DB8, ..] | [0x3FFF, 0..=0x0FFF, ..] | [0x2002, ..] => false,
        [first, ..] => first & 0xE000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_of_a_webhook_is_http_with_a_host() {
        for text in [
            "http://a",
            "https://a.example:8443/x?y=z",
            "http://[::1]:80/",
            "https://user:pw@a/",
        ] {
            assert!(parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "a",
            "ftp://a",
            "HTTP://a",
            "http://",
            "http:///",
            "http://a b",
            "https://[::1",
            "file:///etc",
        ] {
            assert!(parse(text).is_none(), "{text}");
        }
        assert!(parse(&format!("http://a/{}", "x".repeat(URL_BYTES_MAX))).is_none());
    }

    #[test]
    fn what_is_reserved_is_not_public() {
        for text in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "169.254.169.254",
            "100.64.0.1",
            "100.127.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.19.255.1",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::7f00:1",
            "fe80::1",
            "fc00::1",
            "fd00::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "64:ff9b::7f00:1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!is_public(text.parse().unwrap()), "{text}");
        }
        for text in [
            "1.1.1.1",
            "172.32.0.1",
            "100.128.0.1",
            "198.20.0.1",
            "::ffff:1.1.1.1",
            "2606:4700::1111",
            "2a00:1450::1",
        ] {
            assert!(is_public(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_private_address_is_seen_however_it_is_spelt() {
        for text in [
            "http://127.0.0.1/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://[::1]:9/",
            "http://[::ffff:10.0.0.1]/",
        ] {
            assert!(is_private_literal(&parse(text).unwrap()), "{text}");
        }
        for text in ["http://1.1.1.1/", "http://localhost/", "http://[2606:4700::1111]/"] {
            assert!(!is_private_literal(&parse(text).unwrap()), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_with_private_addresses_only_is_refused() {
        let refused = PublicOnly.resolve("localhost".parse().unwrap()).await;
        assert!(refused.err().unwrap().is::<NotPublic>());
    }
}
