//! Changes of records as server-sent events, for pages that are live.
//!
//! Feature `axum`. A browser's `EventSource` opens the connection again by itself and sends the id of the last event that it
//! got; that id is the subscription's cursor, so nothing is lost and nothing comes twice.
//!
//! | event | data, as JSON |
//! |---|---|
//! | `upserted` | the record |
//! | `deleted` | its slug |
//! | `ready` | null: everything up to here has been told |
//! | `resync` | null: forget the records; those that there are follow |
//! | `failed` | the kind of an error; where the subscription failed, the stream ends with it |

use std::convert::Infallible;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use serde::Serialize;

use crate::{Change, Error, ErrorKind, Primary, Repo, Seq, Subscription};

/// The header with which a browser says what it got last.
const LAST_EVENT_ID: &str = "last-event-id";

/// Answers a request with the records of a schema and every change of them, or, to a browser that comes back, with the changes
/// since. A comment every 15 seconds keeps the connection open.
///
/// ```
/// use axum::http::HeaderMap;
/// use axum::response::IntoResponse as _;
/// use dust_orm::prelude::*;
/// use dust_orm::sse::live;
///
/// #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// #[dust(prefix = "links")]
/// struct Link { slug: String, title: String }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_orm::Error> {
/// // In a handler, the repo comes from the router's state and the headers from the request.
/// let response = live::<Link>(&Repo::memory(), &HeaderMap::new()).await?.into_response();
/// assert_eq!(response.headers()["content-type"], "text/event-stream");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// As [`Repo::subscribe`].
///
/// # Cancel safety
/// Dropping the future, or the response, unsubscribes.
pub async fn live<S: Primary + Serialize>(
    repo: &Repo,
    headers: &HeaderMap,
) -> Result<Sse<KeepAliveStream<Live<S>>>, Error> {
    let state = match last_seen(headers) {
        None => State::Whole(repo.subscribe::<S>().await?),
        Some(cursor) => match repo.subscribe::<S>().after(cursor).await {
            Ok(changes) => State::Resumed(changes),
            // The store has not come that far: it was set back, or is another. A browser does not come back after an error.
            Err(error) if error.kind() == ErrorKind::InvalidParams => State::Anew(anew(repo)),
            Err(error) => return Err(error),
        },
    };
    let live = Live {
        repo: repo.clone(),
        state,
    };
    Ok(Sse::new(live).keep_alive(KeepAlive::default()))
}

/// The records, and what changes.
fn anew<S: Primary>(repo: &Repo) -> BoxFuture<'static, Result<Subscription<S>, Error>> {
    let repo = repo.clone();
    Box::pin(async move { repo.subscribe::<S>().await })
}

/// The cursor that a browser which comes back has reached; `None` for one that is new, or says what is none.
///
/// ```
/// use axum::http::{HeaderMap, HeaderValue};
/// use dust_orm::{Seq, sse::last_seen};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(last_seen(&headers), None);
/// headers.insert("last-event-id", HeaderValue::from_static("42"));
/// assert_eq!(last_seen(&headers), Some(Seq(42)));
/// ```
#[must_use]
pub fn last_seen(headers: &HeaderMap) -> Option<Seq> {
    let cursor = headers.get(LAST_EVENT_ID)?.to_str().ok()?.parse().ok()?;
    Some(Seq(cursor))
}

/// The stream of [`live`]. Dropping it unsubscribes.
#[must_use = "streams do nothing unless polled"]
pub struct Live<S> {
    repo: Repo,
    state: State<S>,
}

enum State<S> {
    /// It began with the records, and knows them.
    Whole(Subscription<S>),
    /// It goes on where a browser was.
    Resumed(Subscription<S>),
    /// It begins with the records, because what the browser has cannot be brought up to date.
    Anew(BoxFuture<'static, Result<Subscription<S>, Error>>),
    Ended,
}

impl<S> fmt::Debug for Live<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("repo", &self.repo).finish_non_exhaustive()
    }
}

impl<S: Primary + Serialize> Stream for Live<S> {
    type Item = Result<Event, Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            match &mut this.state {
                State::Whole(changes) => {
                    let change = ready!(Pin::new(&mut *changes).poll_next(context));
                    return Poll::Ready(change.map(|change| Ok(event_of(change, changes.cursor()))));
                }
                State::Resumed(changes) => {
                    let change = ready!(Pin::new(&mut *changes).poll_next(context));
                    if !matches!(change, Some(Ok(Change::Resync(_)))) {
                        return Poll::Ready(change.map(|change| Ok(event_of(change, changes.cursor()))));
                    }
                    // It does not know the records, so none would follow.
                    this.state = State::Anew(anew(&this.repo));
                }
                State::Anew(subscribing) => {
                    let event = match ready!(subscribing.as_mut().poll(context)) {
                        Ok(changes) => {
                            this.state = State::Whole(changes);
                            resync()
                        }
                        Err(error) => {
                            this.state = State::Ended;
                            event_of::<S>(Err(error), Seq(0))
                        }
                    };
                    return Poll::Ready(Some(Ok(event)));
                }
                State::Ended => return Poll::Ready(None),
            }
        }
    }
}

/// Without an id: a browser that comes back before the records are there begins anew.
fn resync() -> Event {
    Event::default().event("resync").data("null")
}

fn event_of<S: Serialize>(change: Result<Change<S>, Error>, cursor: Seq) -> Event {
    let (name, data) = match change {
        Ok(Change::Upserted(record)) => match serde_json::to_string(&record) {
            Ok(text) => ("upserted", text),
            // A record that was loaded and does not serialize is a mistake of its type.
            Err(error) => {
                tracing::error!(%error, "a record is not told");
                ("failed", json("invalid_record"))
            }
        },
        Ok(Change::Deleted(slug)) => ("deleted", json(&slug)),
        Ok(Change::Ready) => ("ready", "null".to_owned()),
        Ok(Change::Resync(_)) => ("resync", "null".to_owned()),
        Err(error) => ("failed", json(error.kind().as_str())),
    };
    let event = Event::default().event(name).data(data);
    // Before the first `ready` there is no place to go on from: a browser that comes back begins anew.
    if cursor == Seq(0) {
        event
    } else {
        event.id(cursor.to_string())
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
