//! Redis, publish and subscribe, over its text protocol.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::feed::{Feed, line};
use crate::process::{Process, find, free_address};

/// Redis as it is installed, but for snapshots, which a channel has no use for.
pub(crate) fn start(folder: &Path) -> Result<Option<(Process, SocketAddr)>, Failure> {
    let Some(program) = find("redis-server", &[]) else {
        return Ok(None);
    };
    let address = free_address()?;
    let mut command = Command::new(program);
    command
        .args(["--bind", "127.0.0.1", "--save", "", "--port"])
        .arg(address.port().to_string());
    command.arg("--dir").arg(folder);
    let mut process = Process::start(&mut command)?;
    process.wait_for(|| Ok(std::net::TcpStream::connect(address)?))?;
    Ok(Some((process, address)))
}

pub(crate) async fn subscribe(address: SocketAddr) -> Result<Feed, Failure> {
    let mut feed = publisher(address).await?;
    feed.send(b"SUBSCRIBE bench\r\n").await?;
    feed.wait_for(b"subscribe").await?;
    Ok(feed)
}

pub(crate) async fn publisher(address: SocketAddr) -> Result<Feed, Failure> {
    Feed::open(address, length).await
}

pub(crate) fn publish(value: &str) -> Vec<u8> {
    format!("PUBLISH bench {value}\r\n").into_bytes()
}

/// The length of a line, or of an array of strings and numbers.
fn length(bytes: &[u8]) -> Option<usize> {
    let mut end = line(bytes)?;
    let Some(count) = number(bytes, b'*', end) else {
        return Some(end);
    };
    for _ in 0..count {
        let rest = bytes.get(end..)?;
        let head = line(rest)?;
        end += head + number(rest, b'$', head).map_or(0, |string| string + 2);
    }
    (bytes.len() >= end).then_some(end)
}

/// The number in a line of this kind.
fn number(bytes: &[u8], kind: u8, line: usize) -> Option<usize> {
    let digits = bytes.get(..line)?.strip_prefix(&[kind])?.strip_suffix(b"\r\n")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}
