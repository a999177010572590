//! Connections: taken in, bounded in how long they may say nothing, and brought to an end.

use std::future::pending;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long nothing is taken in after a failure that another connection would meet, too, such as too many open files.
const PAUSE: Duration = Duration::from_secs(1);

/// After so many such failures in a row the listener is taken for broken.
const FAILURES_MAX: u32 = 60;

/// The connections of a listener. Dropping them ends them at once.
#[derive(Debug)]
pub(crate) struct Connections {
    router: Router,
    head_timeout: Duration,
    stopping: watch::Sender<bool>,
    open: JoinSet<()>,
}

impl Connections {
    /// None yet. The head of a request may take so long to arrive, counted from the answer before it.
    pub(crate) fn new(router: Router, head_timeout: Duration) -> Self {
        Self {
            router,
            head_timeout,
            stopping: watch::Sender::new(false),
            open: JoinSet::new(),
        }
    }

    /// Takes in connections, until the listener fails for good.
    pub(crate) async fn accept(&mut self, listener: &TcpListener) -> io::Error {
        let mut failures = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                // So that those that have ended take no memory.
                Some(_) = self.open.join_next() => continue,
            };
            match accepted {
                Ok((stream, _)) => {
                    failures = 0;
                    self.serve(stream);
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) if failures == FAILURES_MAX => return error,
                Err(error) => {
                    failures += 1;
                    tracing::error!(%error, "no connection can be taken in");
                    // Nothing ends it but the time.
                    let _ = timeout(PAUSE, pending::<()>()).await;
                }
            }
        }
    }

    fn serve(&mut self, stream: TcpStream) {
        // Answers are written whole, so there is nothing to wait for. If the system refuses, they are slower.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(self.router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.head_timeout)
            .serve_connection(TokioIo::new(stream), service)
            .with_upgrades();
        let mut stopping = self.stopping.subscribe();
        self.open.spawn(async move {
            let mut connection = pin!(connection);
            let ended = tokio::select! {
                ended = &mut connection => Some(ended),
                // An error is the sender's end, which is that of this task.
                _ = stopping.wait_for(|stopping| *stopping) => None,
            };
            let ended = if let Some(ended) = ended {
                ended
            } else {
                connection.as_mut().graceful_shutdown();
                connection.await
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection broke");
            }
        });
    }

    /// Answers what has been asked, and nothing more.
    pub(crate) async fn finish(mut self) {
        self.stopping.send_replace(true);
        while self.open.join_next().await.is_some() {}
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}
