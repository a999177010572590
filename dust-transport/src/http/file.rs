//! Files: their content, in pieces.

use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use futures_core::future::BoxFuture;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue, RANGE};
use reqwest::{Method, Response};
use tokio::time::timeout;

use super::Http;
use super::exchange::{Opened, Request, lost};
use super::failure::unreadable;
use crate::error::{Error, ErrorKind};
use crate::model::{FileHash, FileRef};
use crate::transport::{FileContent, FileRange};

impl Http {
    pub(super) async fn open_file(&self, hash: &FileHash, range: FileRange) -> Result<Option<FileContent>, Error> {
        let url = self.inner.address.file(hash)?;
        let mut request = Request::read(Method::GET, url.clone());
        if let Some(part) = header(&range) {
            request = request.header(RANGE, part);
        }
        // A part of no bytes cannot be asked for: who the file is, is all there is to know of it.
        if matches!(&range, FileRange::Part(part) if part.is_empty()) || range == FileRange::Last(0) {
            request.method = Method::HEAD;
        }
        let mut opened = self.inner.exchange.open(request).await?;
        if let Opened::Refused(answer) = &opened
            && answer.status == 416
        {
            // The file has none of these bytes.
            opened = self.inner.exchange.open(Request::read(Method::HEAD, url)).await?;
        }
        match opened {
            // The wire has one answer for a file that is not there and a scope that is missing.
            Opened::Refused(answer) if matches!(answer.status, 403 | 404) => Ok(None),
            Opened::Refused(answer) => Err(self.inner.exchange.refusal(&answer, None)),
            Opened::Content(response) => self.content(response, &range).map(Some),
        }
    }

    fn content(&self, response: Response, range: &FileRange) -> Result<FileContent, Error> {
        let text = |name: HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let content_type = text(CONTENT_TYPE).unwrap_or(FileRef::CONTENT_TYPE_DEFAULT).to_owned();
        let is_part = response.status().as_u16() == 206;
        let (sent, size_bytes) = if is_part {
            let part = text(CONTENT_RANGE).and_then(part);
            part.ok_or_else(|| unreadable("it does not say which part of the file it is"))?
        } else {
            let size = text(CONTENT_LENGTH).and_then(|length| length.parse().ok());
            let size = size.ok_or_else(|| unreadable("it does not say how long the file is"))?;
            (0..size, size)
        };
        let wanted = range.within(size_bytes);
        if wanted.start < sent.start || wanted.end > sent.end {
            return Err(unreadable("it is another part of the file than was asked for"));
        }
        let body = Body {
            state: State::Idle(response),
            skip: wanted.start - sent.start,
            left: wanted.end - wanted.start,
            patience: self.inner.options.response_timeout,
        };
        Ok(FileContent {
            content_type,
            size_bytes,
            range: wanted,
            body: Box::pin(body),
        })
    }
}

/// The header that asks for a part; `None` for the whole, and for no bytes.
fn header(range: &FileRange) -> Option<HeaderValue> {
    let text = match range {
        FileRange::All | FileRange::From(0) => return None,
        FileRange::From(first) => format!("bytes={first}-"),
        FileRange::Part(part) if part.is_empty() => return None,
        FileRange::Part(part) => format!("bytes={}-{}", part.start, part.end - 1),
        FileRange::Last(bytes) => format!("bytes=-{bytes}"),
    };
    HeaderValue::try_from(text).ok()
}

/// Which bytes of how many an answer has: `bytes 2-5/10`.
fn part(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, size): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, size.parse().ok()?);
    (first <= last && last < size).then(|| (first..last + 1, size))
}

/// The wanted bytes of an answer, which may have more.
struct Body {
    state: State,
    skip: u64,
    left: u64,
    /// How long a piece may take to arrive.
    patience: Duration,
}

type Arrival = (Response, Result<Option<Bytes>, Error>);

enum State {
    Idle(Response),
    Waiting(BoxFuture<'static, Arrival>),
    Ended,
}

async fn arrive(mut response: Response, patience: Duration) -> Arrival {
    let chunk = match timeout(patience, response.chunk()).await {
        Ok(chunk) => chunk.map_err(lost),
        Err(_) => Err(Error::new(ErrorKind::Timeout, "timeout", "the file stopped arriving")),
    };
    (response, chunk)
}

impl Body {
    /// The part of a piece that is wanted.
    fn cut(&mut self, mut chunk: Bytes) -> Bytes {
        let length = |chunk: &Bytes| u64::try_from(chunk.len()).unwrap_or(u64::MAX);
        let skipped = self.skip.min(length(&chunk));
        let _ = chunk.split_to(usize::try_from(skipped).unwrap_or(chunk.len()));
        chunk.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.skip -= skipped;
        self.left -= length(&chunk);
        chunk
    }
}

impl Stream for Body {
    type Item = Result<Bytes, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Ended => return Poll::Ready(None),
                State::Idle(_) => {
                    let State::Idle(response) = std::mem::replace(&mut this.state, State::Ended) else {
                        return Poll::Ready(None);
                    };
                    if this.left > 0 {
                        this.state = State::Waiting(Box::pin(arrive(response, this.patience)));
                    }
                }
                State::Waiting(arrival) => {
                    let (response, chunk) = ready!(arrival.as_mut().poll(cx));
                    this.state = State::Ended;
                    match chunk {
                        Ok(Some(chunk)) => {
                            this.state = State::Idle(response);
                            let chunk = this.cut(chunk);
                            if !chunk.is_empty() {
                                return Poll::Ready(Some(Ok(chunk)));
                            }
                        }
                        Ok(None) => return Poll::Ready(Some(Err(unreadable("the file is cut short")))),
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    }
                }
            }
        }
    }
}
