//! Reading files, piece by piece.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dust_layer::{Engine, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::FileHash;
use dust_transport::transport::{FileContent, FileRange};
use futures_core::Stream;
use futures_core::future::BoxFuture;

use crate::blob::CHUNK_BYTES;
use crate::codec::Blob;
use crate::error::{corrupt, of_read};
use crate::store::Store;

impl<E: Engine> Store<E> {
    /// Opens a file to which a leaf refers.
    pub(crate) async fn read_file(
        self: &Arc<Self>,
        hash: &FileHash,
        range: FileRange,
    ) -> Result<Option<FileContent>, Error> {
        let transaction = self.engine.begin();
        let stored = transaction.get(&self.keys.blob(hash), Isolation::Snapshot).await;
        let Some(stored) = stored.map_err(of_read)? else {
            return Ok(None);
        };
        let blob = Blob::decode(&stored)
            .map_err(|error| corrupt(format!("the file {hash} does not decode")).with_source(error))?;
        if blob.live == 0 {
            return Ok(None);
        }
        let range = range.within(blob.size_bytes);
        let content_type = blob.content_type.to_owned();
        let reader = Reader {
            store: Arc::clone(self),
            transaction,
            hash: *hash,
            size_bytes: blob.size_bytes,
            left: range.clone(),
        };
        Ok(Some(FileContent {
            content_type,
            size_bytes: blob.size_bytes,
            range,
            body: Box::pin(Body::Idle(Box::new(reader))),
        }))
    }
}

/// What is left to read of a file, as it was when it was opened.
struct Reader<E: Engine> {
    store: Arc<Store<E>>,
    transaction: E::Transaction,
    hash: FileHash,
    size_bytes: u64,
    left: Range<u64>,
}

impl<E: Engine> Reader<E> {
    /// The part of the next piece that is asked for.
    async fn next(&mut self) -> Result<Bytes, Error> {
        let lost = || corrupt(format!("a piece of the file {} is missing", self.hash));
        let piece_bytes = CHUNK_BYTES as u64;
        let index = self.left.start / piece_bytes;
        let key = self.store.keys.chunk(&self.hash, index);
        let stored = match self.transaction.get(&key, Isolation::Snapshot).await {
            // The state it was opened in is too old for the engine; the content of a file is the same in any.
            Err(error) if error.is_retryable() => {
                self.transaction = self.store.engine.begin();
                self.transaction.get(&key, Isolation::Snapshot).await
            }
            stored => stored,
        };
        let piece = Bytes::from(stored.map_err(of_read)?.ok_or_else(lost)?);
        let begin = index * piece_bytes;
        let whole = (self.size_bytes - begin).min(piece_bytes);
        if piece.len() as u64 != whole {
            return Err(corrupt(format!("a piece of the file {} has another length", self.hash)));
        }
        let end = self.left.end.min(begin + whole);
        let place = |at: u64| usize::try_from(at - begin).map_err(|_| lost());
        let part = piece.slice(place(self.left.start)?..place(end)?);
        self.left.start = end;
        Ok(part)
    }
}

type Reading<E> = BoxFuture<'static, Result<(Bytes, Box<Reader<E>>), Error>>;

/// The stream over a reader.
enum Body<E: Engine> {
    Idle(Box<Reader<E>>),
    Reading(Reading<E>),
    Ended,
}

impl<E: Engine> Stream for Body<E> {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match std::mem::replace(this, Self::Ended) {
                Self::Idle(reader) if reader.left.is_empty() => return Poll::Ready(None),
                Self::Idle(mut reader) => {
                    *this = Self::Reading(Box::pin(async move { reader.next().await.map(|part| (part, reader)) }));
                }
                Self::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        *this = Self::Reading(reading);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok((part, reader))) => {
                        *this = Self::Idle(reader);
                        return Poll::Ready(Some(Ok(part)));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                },
                Self::Ended => return Poll::Ready(None),
            }
        }
    }
}
