//! The time that an answer may take, counted from the moment that its connection is open.

use std::task::{Context, Poll};
use std::time::Duration;

use futures_core::future::BoxFuture;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower_layer::Layer;
use tower_service::Service;

/// Since when the time of an answer runs; `None` while a connection is being opened, which has a time of its own.
type Since = watch::Sender<Option<Instant>>;

tokio::task_local! {
    /// That of the request that the task sends: a client opens a connection in the task of the request that needs it.
    static SINCE: Since;
}

/// Does the work, unless it takes longer than this from now, or from the last connection that it opened.
pub(super) async fn within<F: Future>(limit: Duration, work: F) -> Option<F::Output> {
    let (since, seen) = watch::channel(Some(Instant::now()));
    tokio::select! {
        biased;
        output = SINCE.scope(since, work) => Some(output),
        () = expiry(seen, limit) => None,
    }
}

async fn expiry(mut since: watch::Receiver<Option<Instant>>, limit: Duration) {
    loop {
        let begun = *since.borrow_and_update();
        let expired = async {
            match begun {
                Some(begun) => sleep_until(begun + limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = expired => return,
            changed = since.changed() => if changed.is_err() {
                // The work is done, and whoever waits for it has it.
                std::future::pending::<()>().await;
            },
        }
    }
}

/// Stops the time while a connection is being opened.
struct Stopped(Since);

impl Stopped {
    fn new(since: Since) -> Self {
        since.send_replace(None);
        Self(since)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.0.send_replace(Some(Instant::now()));
    }
}

/// Wraps what opens the connections of a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct CountFromConnection;

/// What opens connections, and stops the time meanwhile.
#[derive(Debug, Clone)]
pub(super) struct Opening<S>(S);

impl<S> Layer<S> for CountFromConnection {
    type Service = Opening<S>;

    fn layer(&self, inner: S) -> Opening<S> {
        Opening(inner)
    }
}

impl<S, R> Service<R> for Opening<S>
where
    S: Service<R>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, target: R) -> Self::Future {
        let stopped = SINCE.try_with(|since| Stopped::new(since.clone()));
        let opening = self.0.call(target);
        Box::pin(async move {
            let opened = opening.await;
            drop(stopped);
            opened
        })
    }
}
