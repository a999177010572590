//! The channels of stores over WebSocket: `/ws/sync/websocket`, as Phoenix clients of Dust speak it.
//!
//! ```text
//! http::socket ─► session ─► push ─► the store          requests, answered in the order in which they came
//!                    ▲                  │ commits
//!                    │                  ▼
//!              subscription ◄─ hub ◄─ its events         the past from the log, then what is live from the hub
//! ```
//!
//! A socket is a task ([`session`]) that joins any number of stores. A store that somebody has joined is followed once
//! ([`hub`]), whoever writes to it and whatever over; each event is written once for each codec and topic
//! ([`published`]) and its bytes are shared by all who get them ([`wire`]).

mod client;
mod close;
mod count;
mod file;
mod hub;
mod option;
mod published;
mod push;
mod rollback;
mod session;
mod snapshot;
mod status;
mod subscription;
mod wire;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::upgrade::OnUpgrade;
use tokio::sync::watch;

pub(crate) use client::Client;
use count::Counts;
use hub::Hubs;
pub use option::ChannelOptions;
use snapshot::Gate;

use crate::notice::Notice;

/// What all sockets share.
#[derive(Debug)]
pub(crate) struct Channels {
    notice: Arc<Notice>,
    hubs: Hubs,
    snapshots: Gate,
    counts: Arc<Counts>,
    is_stopping: AtomicBool,
    /// How many sockets are open.
    open: watch::Sender<usize>,
}

/// An open socket, as it is counted.
#[derive(Debug)]
struct Open {
    counts: Arc<Counts>,
    open: watch::Sender<usize>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.closed();
        self.open.send_modify(|open| *open -= 1);
    }
}

impl Channels {
    /// No sockets; those that come hear of changes by the notice.
    pub(crate) fn new(notice: Arc<Notice>, config: &ChannelOptions) -> Self {
        Self {
            notice,
            hubs: Hubs::default(),
            snapshots: Gate::new(config.snapshot_bytes_max),
            counts: Arc::default(),
            is_stopping: AtomicBool::new(false),
            open: watch::Sender::new(0),
        }
    }

    /// Serves a client once its connection is handed over.
    pub(crate) fn serve(&self, upgrade: OnUpgrade, client: Client) {
        // From here on, so that nothing is missed that changes before the first frame.
        let listener = self.notice.listen();
        self.counts.opened();
        self.open.send_modify(|open| *open += 1);
        let open = Open {
            counts: Arc::clone(&self.counts),
            open: self.open.clone(),
        };
        tokio::spawn(async move {
            // An error is a client that went away.
            if let Ok(upgraded) = upgrade.await {
                session::run(upgraded, Arc::new(client), listener).await;
            }
            drop(open);
        });
    }

    /// Ends all sockets, each once what it has asked for is answered.
    pub(crate) fn stop(&self) {
        self.is_stopping.store(true, Ordering::SeqCst);
        self.notice.raise();
    }

    /// Waits until all sockets have ended.
    pub(crate) async fn ended(&self) {
        // The sender is this one, so there is no error.
        let _ = self.open.subscribe().wait_for(|open| *open == 0).await;
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::SeqCst)
    }

    /// The counts for Prometheus.
    pub(crate) fn metrics(&self) -> String {
        self.counts.text()
    }
}
