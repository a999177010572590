//! A lean WebSocket client of the server's channels: JSON frames, put together and taken apart by hand.

use crate::Failure;
use crate::dust::Dust;
use crate::feed::{Feed, line};

/// The topic of the store that the first start makes.
const TOPIC: &str = "store:local/main";

/// A socket that has joined the store and caught up.
pub(crate) async fn join(dust: &Dust, device: &str, last_store_seq: u64) -> Result<Feed, Failure> {
    let mut feed = Feed::open(dust.address, length).await?;
    feed.send(dust.upgrade(device).as_bytes()).await?;
    let answer = feed.next().await?;
    if !answer.starts_with(b"HTTP/1.1 101") {
        return Err(String::from_utf8_lossy(answer).into_owned().into());
    }
    let join = format!(r#"["1","1","{TOPIC}","phx_join",{{"last_store_seq":{last_store_seq}}}]"#);
    feed.send(&frame(&join)).await?;
    Ok(feed)
}

/// The frame of a write; the reply has the number as its reference.
pub(crate) fn write(number: usize, path: &str, value: &str) -> Vec<u8> {
    frame(&format!(
        r#"["1","{number}","{TOPIC}","write",{{"op":"set","path":"{path}","value":"{value}","client_op_id":"op_{number}"}}]"#
    ))
}

/// A text frame as clients send it: masked, by nothing.
fn frame(text: &str) -> Vec<u8> {
    const TEXT: u8 = 0x81;
    const MASKED: u8 = 0x80;
    let mut bytes = vec![TEXT];
    match (u8::try_from(text.len()), u16::try_from(text.len())) {
        (Ok(short @ ..0x7E), _) => bytes.push(MASKED | short),
        (_, Ok(length)) => {
            bytes.push(MASKED | 0x7E);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            bytes.push(MASKED | 0x7F);
            bytes.extend_from_slice(&(text.len() as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// The length of the answer to the upgrade, or of the first frame.
fn length(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"HTTP") {
        let mut end = 0;
        loop {
            let rest = bytes.get(end..)?;
            let line = line(rest)?;
            end += line;
            if line == 2 {
                return Some(end);
            }
        }
    }
    let head = 2;
    let (head, payload) = match bytes.get(1)? & 0x7F {
        0x7E => (head + 2, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        0x7F => (head + 8, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (head, u64::from(short)),
    };
    let length = head + usize::try_from(payload).ok()?;
    (bytes.len() >= length).then_some(length)
}
