//! The promises of the store.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; the setting for tests does not reach what their functions share"
)]

mod cancel;
mod codec;
mod conformance;
mod crash;
mod database;
mod dedup;
mod diff;
mod fault;
mod file;
mod follow;
mod gate;
mod history;
mod index;
mod index_kill;
mod input;
mod lease;
mod model;
mod only;
mod piece;
mod retention;
mod serial;
mod snapshot;
mod transaction;

use dust_transport::model::{Entry, Path, Pattern, Value};
use dust_transport::transport::{List, Transport};

fn path(rendered: &str) -> Path {
    Path::parse(rendered).unwrap()
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

/// Every leaf of a store, in order.
async fn leaves(store: &dyn Transport) -> Vec<Entry> {
    let mut leaves = Vec::new();
    let mut query = List::pattern(Pattern::default()).limit(1000);
    loop {
        let page = store.list(&query).await.unwrap();
        leaves.extend(page.items.into_entries());
        match page.next {
            Some(next) => query = query.after(next),
            None => return leaves,
        }
    }
}
