//! NATS, core publish and subscribe, over its text protocol.

use std::net::SocketAddr;
use std::process::Command;

use crate::Failure;
use crate::feed::{Feed, line};
use crate::process::{Process, find, free_address};

const CONNECT: &[u8] = b"CONNECT {\"verbose\":false,\"pedantic\":false}\r\n";

/// NATS as it is installed.
pub(crate) fn start() -> Result<Option<(Process, SocketAddr)>, Failure> {
    let Some(program) = find("nats-server", &["/usr/sbin"]) else {
        return Ok(None);
    };
    let address = free_address()?;
    let mut command = Command::new(program);
    command.args(["-a", "127.0.0.1", "-p"]).arg(address.port().to_string());
    let mut process = Process::start(&mut command)?;
    process.wait_for(|| Ok(std::net::TcpStream::connect(address)?))?;
    Ok(Some((process, address)))
}

pub(crate) async fn subscribe(address: SocketAddr) -> Result<Feed, Failure> {
    let mut feed = publisher(address).await?;
    feed.send(b"SUB bench 1\r\nPING\r\n").await?;
    feed.wait_for(b"PONG").await?;
    Ok(feed)
}

pub(crate) async fn publisher(address: SocketAddr) -> Result<Feed, Failure> {
    let mut feed = Feed::open(address, length).await?;
    feed.send(CONNECT).await?;
    Ok(feed)
}

pub(crate) fn publish(value: &str) -> Vec<u8> {
    format!("PUB bench {}\r\n{value}\r\n", value.len()).into_bytes()
}

fn length(bytes: &[u8]) -> Option<usize> {
    let head = line(bytes)?;
    if !bytes.starts_with(b"MSG ") {
        return Some(head);
    }
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let payload: usize = text.split_whitespace().next_back()?.parse().ok()?;
    let length = head + payload + 2;
    (bytes.len() >= length).then_some(length)
}
