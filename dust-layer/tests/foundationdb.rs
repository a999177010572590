//! The engine suite and the layer's on a cluster, whose file `DUST_FDB_CLUSTER_FILE` names; see CONTRIBUTING.md.
//!
//! A program rather than a set of tests: the client library's network thread runs once per process, and around all.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "it is a test"
)]

mod layer;

use dust_layer::engine::foundationdb::{FoundationDb, Options, network};
use dust_layer::{Engine, Transaction, transact};

/// All that these tests write is below it, and is cleared before and after.
/// A packed tuple, so that the client's mapped ranges are used.
const PREFIX: &[u8] = b"\x02dust-layer/suite\0";

fn main() {
    let Some(cluster_file) = std::env::var_os("DUST_FDB_CLUSTER_FILE") else {
        println!("skipped: DUST_FDB_CLUSTER_FILE names no cluster");
        return;
    };
    network::run(|network| {
        let options = Options::default().cluster_file(&cluster_file);
        let fresh = || {
            let engine = FoundationDb::open(network, options.clone().prefix(PREFIX)).unwrap();
            dust_layer::suite::run(async {
                let clear = |tx: std::sync::Arc<<FoundationDb as Engine>::Transaction>| async move {
                    tx.clear_range(b"", b"\xff\xff");
                    Ok::<_, dust_layer::Error>(())
                };
                transact(&engine, clear).await.map(drop)
            });
            (engine, ())
        };
        dust_layer::engine_suite!(run: fresh(), |name| println!("{name}"));
        layer::layer_suite!(run: fresh(), |name| println!("{name}"));
        fresh();
    })
    .unwrap();
}
