//! The transport suite over a store on a cluster, whose file `DUST_FDB_CLUSTER_FILE` names; see CONTRIBUTING.md.
//!
//! A program rather than a set of tests: the client library's network thread runs once per process, and around all.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it is a test")]

use dust_layer::{Engine as _, Transaction as _, transact};
use dust_store::Database;
use dust_store::foundationdb::{FdbTransaction, FoundationDb, Options, network};

/// All that these tests write is below it, and is cleared before each.
const PREFIX: &[u8] = b"dust-store/suite/";

fn main() {
    let Some(cluster_file) = std::env::var_os("DUST_FDB_CLUSTER_FILE") else {
        println!("skipped: DUST_FDB_CLUSTER_FILE names no cluster");
        return;
    };
    network::run(|network| {
        let options = Options::default().cluster_file(&cluster_file).prefix(PREFIX);
        let engine = FoundationDb::open(network, options).unwrap();
        assert_eq!(engine.name(), "foundationdb");
        for (name, promise) in dust_transport::suite::all() {
            println!("{name}");
            let fresh = async || {
                let clear = |tx: std::sync::Arc<FdbTransaction>| async move {
                    tx.clear_range(b"", b"\xff\xff");
                    Ok::<_, dust_layer::Error>(())
                };
                transact(&engine, clear).await.unwrap();
                (Database::on(engine.clone()).store("acme/site").await.unwrap(), ())
            };
            dust_transport::suite::run(fresh, promise);
        }
    })
    .unwrap();
}
