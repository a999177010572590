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
//! | `resync` | null: look at the records anew; they follow where the stream began with them |
//! | `failed` | the kind of an error; where the subscription failed, the stream ends with it |

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, KeepAliveStream, Sse};
use futures_core::Stream;
use serde::Serialize;

use crate::{Change, Error, Primary, Repo, Schema, Seq, Subscription};

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
    let changes = match last_seen(headers) {
        Some(cursor) => repo.subscribe::<S>().after(cursor).await?,
        None => repo.subscribe::<S>().await?,
    };
    Ok(Sse::new(Live { changes }).keep_alive(KeepAlive::default()))
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
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct Live<S> {
    changes: Subscription<S>,
}

impl<S: Schema + Serialize> Stream for Live<S> {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let change = ready!(Pin::new(&mut self.changes).poll_next(context));
        Poll::Ready(change.map(|change| Ok(event_of(change, self.changes.cursor()))))
    }
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
