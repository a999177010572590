//! Messages of any protocol from a connection, one after the other.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::Failure;

/// The length of the first message, if it is there as a whole.
pub(crate) type Length = fn(&[u8]) -> Option<usize>;

/// A connection that is read message by message.
#[derive(Debug)]
pub(crate) struct Feed {
    stream: TcpStream,
    buffer: Vec<u8>,
    begin: usize,
    length: Length,
}

impl Feed {
    pub(crate) async fn open(address: SocketAddr, length: Length) -> Result<Self, Failure> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(1 << 10),
            begin: 0,
            length,
        })
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        Ok(self.stream.write_all(bytes).await?)
    }

    /// The next message, with whatever the protocol puts around it.
    pub(crate) async fn next(&mut self) -> Result<&[u8], Failure> {
        let length = loop {
            let rest = self.buffer.get(self.begin..).unwrap_or_default();
            if let Some(length) = (self.length)(rest) {
                break length;
            }
            self.buffer.drain(..self.begin);
            self.begin = 0;
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err("the server closed the connection".into());
            }
        };
        let begin = self.begin;
        self.begin += length;
        Ok(self.buffer.get(begin..self.begin).unwrap_or_default())
    }

    /// Reads until a message has these bytes in it.
    pub(crate) async fn wait_for(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        while !contains(self.next().await?, bytes) {}
        Ok(())
    }

    /// Reads the answers that have come, without waiting for any.
    pub(crate) fn skip_answers(&mut self) -> Result<(), Failure> {
        let mut answers = [0; 4096];
        loop {
            match self.stream.try_read(&mut answers) {
                Ok(0) => return Err("the server closed the connection".into()),
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

pub(crate) fn contains(message: &[u8], bytes: &[u8]) -> bool {
    message.windows(bytes.len()).any(|window| window == bytes)
}

/// The length of the first line with its end.
pub(crate) fn line(bytes: &[u8]) -> Option<usize> {
    Some(bytes.windows(2).position(|two| two == b"\r\n")? + 2)
}
