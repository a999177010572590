//! What the tests of the original promise of its channels and of its client, one test each, against the server and the
//! synced store of this house.
//!
//! Each test has the name of the behaviour. What has no counterpart here has no test: plans and billing, versions of the
//! protocol that are refused at the door, and what the types of Rust say by themselves.

mod channel;
mod engine;
mod lease;
mod subscription;
mod write;

use dust_server::control::{NewToken, Scope};
use dust_store::Database;
use dust_transport::channel::Codec;
use dust_transport::model::{Batch, Entry, Op, Path, Value};
use dust_transport::sync::{Sync, SyncOptions};
use dust_transport::transport::Transport as _;
use serde_json::Value as Json;

use crate::over_sync::{Running, serve};
use crate::socket::Socket;

const TOPIC: &str = "store:acme/site";

/// A server with one empty store, `acme/site`.
struct Site {
    running: Running,
    token: String,
}

impl Site {
    async fn start() -> Self {
        let (running, token) = serve(Database::memory()).await;
        Self { running, token }
    }

    fn options(&self) -> SyncOptions {
        self.options_with(&self.token)
    }

    fn options_with(&self, token: &str) -> SyncOptions {
        SyncOptions::new("acme/site", token).base_url(format!("http://{}", self.running.address))
    }

    /// A client, each time of another device.
    async fn sync(&self) -> Sync {
        Sync::connect(self.options()).await.unwrap()
    }

    async fn token_with<const N: usize>(&self, scopes: [Scope; N]) -> String {
        let new = NewToken::full("acme", "scoped").with_scopes(scopes);
        self.running.server.control().create_token(new).await.unwrap().1
    }

    async fn archive(&self) {
        let control = self.running.server.control();
        let store = control.store("acme", "site").unwrap();
        control.archive_store(store.id).await.unwrap().unwrap();
    }

    /// A bare socket that has joined.
    async fn joined(&self) -> Socket {
        self.joined_with(&self.token).await.0
    }

    async fn joined_with(&self, token: &str) -> (Socket, Vec<Json>) {
        let mut socket = Socket::connect(self.running.address, token, "dev_bare", Codec::Json).await;
        let frames = socket.join(TOPIC, 0).await;
        (socket, frames)
    }
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn set(at: &str, value: impl Into<Value>) -> Batch {
    Batch::one(Op::set(path(at), value))
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

async fn entry(sync: &Sync, at: &str) -> Option<Entry> {
    sync.get(&path(at)).await.unwrap()
}

/// The JSON text at a path; `-` where nothing is.
async fn text(sync: &Sync, at: &str) -> String {
    let entry = entry(sync, at).await;
    entry.map_or("-".to_owned(), |entry| entry.value.json().to_owned())
}
