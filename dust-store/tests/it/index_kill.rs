//! Index builds of a node that ends at any call of its engine, and another one that goes on.

use dust_layer::{Instrumented, Memory};
use dust_store::{Database, Embedded};
use dust_transport::model::{Batch, Op, Value};
use dust_transport::query::{IndexDefinition, IndexQuery, IndexState};
use dust_transport::transport::Transport;

use crate::path;

/// More leaves than one step of a build goes through.
const RECORDS: u64 = 550;

fn record(n: u64) -> Op {
    let fields = [("v", Value::from(n % 5)), ("w", Value::from(n))];
    Op::set(path(&format!("r/{n:05}")), Value::map(fields))
}

/// Builds an index to its end; whether it came to that.
async fn build(store: &Embedded, index: &IndexDefinition) -> bool {
    loop {
        match store.ensure_index(index).await {
            Ok(status) if status.state == IndexState::Readable => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
}

/// The entries are those of the records that the build has come to or that were written since, and no others.
async fn assert_clean(store: &Embedded) {
    for status in store.indexes().await.unwrap() {
        let report = store.verify_index(&status.definition).await.unwrap();
        assert!(report.is_clean(), "{report:?}");
    }
}

#[tokio::test]
async fn a_build_that_is_killed_at_any_call_of_the_engine_goes_on_elsewhere() {
    let index = IndexDefinition::new(path("r"), [path("v")]).unwrap();
    for calls in 0.. {
        let memory = Memory::new();
        let store = Database::on(memory.clone()).store("acme/site").await.unwrap();
        store.write(Batch::new((0..RECORDS).map(record))).await.unwrap();
        let engine = Instrumented::new(memory);
        let killed = Database::on(engine.clone()).store("acme/site").await.unwrap();
        engine.end_after(calls);
        let is_over = build(&killed, &index).await;
        drop(killed);

        assert_clean(&store).await;
        // In front of the cursor, behind it, and behind all that was there when the build began.
        let ops = [
            Op::set(path("r/00001/v"), 3),
            Op::set(path(&format!("r/{:05}/v", RECORDS - 3)), 3),
            Op::delete(path("r/00003")),
            Op::delete(path(&format!("r/{:05}", RECORDS - 1))),
            record(RECORDS + 3),
        ];
        store.write(Batch::new(ops)).await.unwrap();
        assert_clean(&store).await;
        assert!(build(&store, &index).await);
        assert_clean(&store).await;
        // One of five, without the third and with three more.
        let found = store
            .query(&IndexQuery::new(index.clone()).equals([Value::from(3)]).limit(1000))
            .await
            .unwrap();
        assert_eq!(found.records.len() as u64, RECORDS / 5 - 1 + 3, "{calls} calls");
        if is_over {
            assert!(calls > 10, "{calls}");
            break;
        }
    }
}
