//! The server from outside: over sockets, as clients see it.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; the setting for tests does not reach what their functions share"
)]

mod channel;
mod channel_difference;
mod channel_process;
mod channel_replay;
mod chaos;
mod client;
mod clone;
mod difference;
mod dump;
mod exchange;
mod extension;
mod file;
mod fixture;
mod node;
mod openapi;
mod over_file;
mod over_http;
mod over_sync;
mod process;
mod proxy;
mod query;
mod receiver;
mod replay;
mod sdk;
mod slow;
mod socket;
mod sqlite;
mod webhook;
mod webhook_node;
