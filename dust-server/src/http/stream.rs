//! Bodies that are made while they are sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use dust_transport::error::{Error, ErrorKind};
use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Where a body comes from.
pub(super) trait Source: Send + 'static {
    /// The next piece, which is not empty; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Error>> + Send;
}

/// A piece of the body. An error breaks the connection, so that nobody takes a part for the whole.
type Piece = Result<Bytes, Error>;

/// A body of the pieces of a source, each made when the one before it is on its way.
///
/// A client that takes none for so long is not waited for: the source is dropped with all that it holds.
pub(super) fn body(source: impl Source, patience: Duration) -> Body {
    Body::from_stream(pieces(source, patience))
}

fn pieces(source: impl Source, patience: Duration) -> Pieces {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(send(source, sender, patience));
    Pieces(receiver)
}

async fn send(mut source: impl Source, pieces: mpsc::Sender<Piece>, patience: Duration) {
    loop {
        let piece = match source.next().await {
            Ok(Some(piece)) => Ok(piece),
            Ok(None) => return,
            Err(error) => {
                tracing::error!(code = error.code(), detail = error.detail(), "a body ends early");
                Err(error)
            }
        };
        let failed = piece.is_err();
        match timeout(patience, pieces.send(piece)).await {
            Ok(Ok(())) if !failed => {}
            Ok(_) => return,
            Err(_) => break,
        }
    }
    // The channel is full, so this waits for the client, without holding anything.
    drop(source);
    let late = Error::new(ErrorKind::Timeout, "timeout", "the client did not read");
    // It may have gone.
    let _ = pieces.send(Err(late)).await;
}

struct Pieces(mpsc::Receiver<Piece>);

impl Stream for Pieces {
    type Item = Piece;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Piece>> {
        self.0.poll_recv(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const PATIENCE: Duration = Duration::from_mins(1);

    /// So many pieces, then the end or an error; and it tells when it is dropped.
    struct Count {
        left: u32,
        fails: bool,
        dropped: Arc<(AtomicBool, Notify)>,
    }

    impl Source for Count {
        async fn next(&mut self) -> Result<Option<Bytes>, Error> {
            let Some(left) = self.left.checked_sub(1) else {
                return if self.fails {
                    Err(Error::new(ErrorKind::Storage, "storage", "it broke"))
                } else {
                    Ok(None)
                };
            };
            self.left = left;
            Ok(Some(Bytes::from_static(b"piece")))
        }
    }

    impl Drop for Count {
        fn drop(&mut self) {
            self.dropped.0.store(true, Ordering::Relaxed);
            self.dropped.1.notify_one();
        }
    }

    fn start(left: u32, fails: bool) -> (Pieces, Arc<(AtomicBool, Notify)>) {
        let dropped = Arc::default();
        let source = Count {
            left,
            fails,
            dropped: Arc::clone(&dropped),
        };
        (pieces(source, PATIENCE), dropped)
    }

    async fn read(mut pieces: Pieces) -> Vec<Piece> {
        let mut read = Vec::new();
        while let Some(piece) = pieces.0.recv().await {
            read.push(piece);
        }
        read
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_gets_all() {
        let (pieces, dropped) = start(5, false);
        assert_eq!(read(pieces).await.into_iter().flatten().count(), 5);
        assert!(dropped.0.load(Ordering::Relaxed));
        let (pieces, _) = start(2, true);
        let read = read(pieces).await;
        assert!(read.len() == 3 && read[2].is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_not_waited_for() {
        let (pieces, dropped) = start(5, false);
        let began = tokio::time::Instant::now();
        dropped.1.notified().await;
        assert_eq!(began.elapsed(), PATIENCE);
        // What was on its way arrives, and then it is told that this is not the whole.
        let read = read(pieces).await;
        assert!(read.len() == 2 && read[0].is_ok());
        assert_eq!(read[1].as_ref().unwrap_err().code(), "timeout");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_ends_it() {
        let (pieces, dropped) = start(5, false);
        drop(pieces);
        dropped.1.notified().await;
    }
}
