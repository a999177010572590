//! The bytes of a connection: what is read, and a queue of what is to be written.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::body::Bytes;
use dust_transport::channel::{Codec, Encoded, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as Envelope;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

/// The most pieces that are given to the system at once.
const PIECES_MAX: usize = 64;

/// A connection that never makes who writes wait: what is written goes to a queue, which is sent as fast as the other side
/// takes it.
///
/// A server does not mask its frames, so the bytes of one frame are the same for all who get it: the queue holds shared
/// pieces, and many of them go out by one call of the system.
#[derive(Debug)]
pub(super) struct Wire<T> {
    io: T,
    queue: VecDeque<Bytes>,
    queued_bytes: usize,
    moved_at: Instant,
}

impl<T: AsyncRead + AsyncWrite + Unpin> Wire<T> {
    pub(super) fn new(io: T) -> Self {
        Self {
            io,
            queue: VecDeque::new(),
            queued_bytes: 0,
            moved_at: Instant::now(),
        }
    }

    /// Puts the bytes of a whole frame into the queue.
    pub(super) fn push(&mut self, frame: Bytes) {
        if self.queue.is_empty() {
            self.moved_at = Instant::now();
        }
        self.queued_bytes += frame.len();
        self.queue.push_back(frame);
    }

    /// How many bytes wait.
    pub(super) fn queued_bytes(&self) -> usize {
        self.queued_bytes
    }

    /// Since when the other side has taken nothing of what waits; `None` if nothing waits.
    pub(super) fn stuck_since(&self) -> Option<Instant> {
        (!self.queue.is_empty()).then_some(self.moved_at)
    }

    /// Sends what waits, as far as the other side takes it.
    pub(super) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); PIECES_MAX];
            for (slice, piece) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(piece);
            }
            let pieces = self.queue.len().min(PIECES_MAX);
            let slices = slices.get(..pieces).unwrap_or_default();
            let sent = ready!(Pin::new(&mut self.io).poll_write_vectored(cx, slices))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(sent);
        }
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn advance(&mut self, mut sent: usize) {
        self.queued_bytes -= sent;
        self.moved_at = Instant::now();
        while let Some(mut piece) = self.queue.pop_front() {
            if piece.len() > sent {
                drop(piece.split_to(sent));
                self.queue.push_front(piece);
                break;
            }
            sent -= piece.len();
        }
        if self.queue.is_empty() && self.queue.capacity() > PIECES_MAX {
            // A burst leaves no room behind that an idle socket would keep.
            self.queue = VecDeque::new();
        }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

/// What tungstenite writes by itself: the answers to pings and to the end of the connection.
impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(Bytes::copy_from_slice(bytes));
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_drain(cx))?;
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// A frame of a channel as the bytes of one WebSocket frame.
pub(super) fn encoded(codec: Codec, frame: &Frame) -> Bytes {
    let (kind, payload) = match codec.encode(frame) {
        Encoded::Text(text) => (Data::Text, text.into_bytes()),
        Encoded::Binary(bytes) => (Data::Binary, bytes),
    };
    bytes_of(Envelope::message(payload, OpCode::Data(kind), true))
}

/// The bytes of the frame that ends a connection.
pub(super) fn closing(close: CloseFrame) -> Bytes {
    bytes_of(Envelope::close(Some(close)))
}

fn bytes_of(frame: Envelope) -> Bytes {
    let mut bytes = Vec::with_capacity(frame.len());
    // Writing to a vector cannot fail.
    let _ = frame.format(&mut bytes);
    bytes.into()
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn pieces_are_sent_in_order_whatever_is_taken_of_them_at_once() {
        let (near, mut far) = duplex(7);
        let mut wire = Wire::new(near);
        let mut expected = Vec::new();
        for number in 0..200_u32 {
            let piece = vec![u8::try_from(number % 251).unwrap(); number as usize % 11];
            expected.extend_from_slice(&piece);
            wire.push(piece.into());
        }
        assert_eq!(wire.queued_bytes(), expected.len());
        let reading = tokio::spawn(async move {
            let mut read = Vec::new();
            far.read_to_end(&mut read).await.unwrap();
            read
        });
        poll_fn(|cx| wire.poll_drain(cx)).await.unwrap();
        assert_eq!((wire.queued_bytes(), wire.stuck_since()), (0, None));
        drop(wire);
        assert_eq!(reading.await.unwrap(), expected);
    }
}
