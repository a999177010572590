//! What is counted, and the spans that tell of it.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use dust_layer::Engine;
use dust_layer::engine::instrumented::{CommitFault, Instrumented};
use dust_layer::query::Query;
use tracing::field::{Field, Visit};
use tracing::instrument::WithSubscriber;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::fixture::{command, indexes, insert, migrate, tenant, user, users};

pub(crate) async fn rows_entries_keys_and_bytes_are_counted<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name"], &["age"]])).await.unwrap();
    let before = tenant.layer().metrics();
    insert(&tenant, &[user(1, "Ada", "eng", 36), user(2, "Bob", "eng", 36)])
        .await
        .unwrap();
    let inserted = tenant.layer().metrics();
    assert_eq!(inserted.transactions - before.transactions, 1);
    assert_eq!(inserted.rows_written - before.rows_written, 2);
    assert_eq!(inserted.entries_written - before.entries_written, 4);
    assert_eq!(inserted.keys_written - before.keys_written, 6);
    assert!(inserted.bytes_written - before.bytes_written > 6 * 20);

    let tx = tenant.begin();
    tx.query(&users(), &Query::new().equals("age", 36)).await.unwrap();
    tx.update(&users(), &users().primary_key([1]).unwrap(), [("name", "Cyd")])
        .await
        .unwrap();
    tx.delete(&users(), &users().primary_key([2]).unwrap()).await.unwrap();
    drop(tx);
    let after = tenant.layer().metrics();
    assert_eq!(after.entries_read - inserted.entries_read, 2);
    assert_eq!(after.rows_read - inserted.rows_read, 4);
    assert_eq!(after.keys_read - inserted.keys_read, 6);
    assert!(after.bytes_read > inserted.bytes_read);
    assert_eq!(after.entries_cleared - inserted.entries_cleared, 3);
    assert_eq!(after.rows_deleted - inserted.rows_deleted, 1);
    assert_eq!(
        (after.catalog_hits - inserted.catalog_hits, after.catalog_misses),
        (1, inserted.catalog_misses)
    );
}

pub(crate) async fn retries_conflicts_and_unknown_commits_are_counted<E: Engine>(engine: &E) {
    let engine = Instrumented::new(engine.clone());
    let tenant = tenant(&engine).await;
    engine.fail_commits([CommitFault::Conflict, CommitFault::Conflict]);
    insert(&tenant, &[user(1, "Ada", "eng", 36)]).await.unwrap();
    engine.fail_commits([CommitFault::Unknown { applied: true }]);
    insert(&tenant, &[user(2, "Bob", "eng", 36)]).await.unwrap_err();
    engine.fail_commits([CommitFault::Conflict]);
    let tx = tenant.begin();
    tx.insert(&users(), &user(3, "Cyd", "eng", 36)).await.unwrap();
    tx.commit().await.unwrap_err();
    let metrics = tenant.layer().metrics();
    assert_eq!((metrics.transactions, metrics.retries), (3, 2));
    assert_eq!((metrics.conflicts, metrics.unknown_commits), (3, 1));
}

/// Notes the spans with what is recorded on them.
#[derive(Clone, Default)]
struct Spans {
    next: Arc<AtomicU64>,
    noted: Arc<Mutex<Vec<(u64, String)>>>,
}

struct Text<'a>(&'a mut String);

impl Visit for Text<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

impl Subscriber for Spans {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("dust_layer")
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let id = self.next.fetch_add(1, Ordering::SeqCst) + 1;
        let mut text = attributes.metadata().name().to_owned();
        attributes.record(&mut Text(&mut text));
        self.noted.lock().unwrap().push((id, text));
        Id::from_u64(id)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        let mut noted = self.noted.lock().unwrap();
        let (_, text) = noted.iter_mut().find(|(id, _)| *id == span.into_u64()).unwrap();
        values.record(&mut Text(text));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

pub(crate) async fn spans_tell_what_was_done<E: Engine>(engine: &E) {
    let spans = Spans::default();
    let noted = Arc::clone(&spans.noted);
    let scenario = async || {
        let tenant = tenant(engine).await;
        let index = users().index(["name"]).unwrap();
        command(&tenant, dust_layer::migration::Command::create_index("users", index))
            .await
            .unwrap();
        insert(&tenant, &[user(1, "Ada", "eng", 36)]).await.unwrap();
        tenant
            .begin()
            .query(&users(), &Query::new().equals("name", "Ada"))
            .await
            .unwrap();
        tenant.begin().query(&users(), &Query::new()).await.unwrap();
    };
    let twice = async {
        // Other tests run beside this one; once every place is known, all are asked whether somebody listens.
        scenario().await;
        tracing::callsite::rebuild_interest_cache();
        scenario().await;
    };
    twice.with_subscriber(spans).await;
    let noted: Vec<String> = noted.lock().unwrap().iter().map(|(_, text)| text.clone()).collect();
    for expected in [
        "migrate tenant=\"reading\"",
        "transaction tenant=\"reading\"",
        "upsert table=\"users\" written=Inserted",
        "query table=\"users\" index=\"name\" rows=1",
        "query table=\"users\" index=\"rows\" rows=1",
    ] {
        assert!(
            noted.iter().any(|span| span.starts_with(expected)),
            "{expected} in {noted:#?}"
        );
    }
    let transaction = noted
        .iter()
        .filter(|span| span.starts_with("transaction"))
        .find(|span| span.contains("attempts=1"));
    let transaction = transaction.unwrap();
    for field in [
        "rows_read=",
        "rows_written=",
        "keys_read=",
        "keys_written=",
        "bytes_read=",
        "bytes_written=",
    ] {
        assert!(transaction.contains(field), "{field} in {transaction}");
    }
}
