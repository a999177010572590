//! Records that live only in their indexes.

use super::probe::{Probe, delete, json, path, set, within};
use super::query::index;
use crate::error::Error;
use crate::error::ErrorKind::{InvalidParams, NotSupported};
use crate::model::Seq;
use crate::query::{FoundRecord, IndexDefinition, IndexQuery, RecordChange};
use crate::transport::{Order, Transport};

pub(super) fn put(at: &str, value: &str) -> RecordChange {
    RecordChange::put(path(at), json(value))
}

impl Probe<'_> {
    pub(super) fn has_records(self) -> bool {
        self.0.capabilities().index_only_records
    }

    pub(super) async fn only(self, prefix: &str, fields: &[&str]) -> IndexDefinition {
        self.build(index(prefix, fields).index_only()).await
    }

    async fn try_records(self, changes: impl IntoIterator<Item = RecordChange>) -> Result<(), Error> {
        within("write_records", self.0.write_records(changes.into_iter().collect())).await
    }

    pub(super) async fn records(self, changes: impl IntoIterator<Item = RecordChange>) {
        let written = self.try_records(changes).await;
        written.unwrap_or_else(|error| panic!("the records: {error:?}"));
    }

    pub(super) async fn refused_records(self, changes: impl IntoIterator<Item = RecordChange>, code: &str) {
        match self.try_records(changes).await {
            Ok(()) => panic!("the records must be refused as `{code}`"),
            Err(error) => assert_eq!((error.kind(), error.code()), (InvalidParams, code), "{error:?}"),
        }
    }

    async fn found(self, index: &IndexDefinition) -> Vec<FoundRecord> {
        self.page(&IndexQuery::new(index.clone())).await.records
    }
}

/// They are found by queries, in order and in pages, and by nothing else.
pub async fn records_live_only_in_their_index(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_records() {
        return;
    }
    let head = store.set("other", "1").await;
    let by_day = store.only("events", &["day", "user"]).await;
    store
        .records([
            put(
                "events/3",
                r#"{"day":1,"user":"bo","what":{"kind":"login","from":[1]}}"#,
            ),
            put("events/1", r#"{"day":2,"user":"ada"}"#),
            put("events/2", r#"{"day":1,"user":"ada","at":1.50}"#),
        ])
        .await;
    let all = IndexQuery::new(by_day.clone()).limit(2);
    assert_eq!(store.slugs(all.clone()).await, ["2", "3", "1"]);
    assert_eq!(store.slugs(all.clone().order(Order::Desc)).await, ["1", "3", "2"]);
    let of_bo = all.clone().equals([1.into(), "bo".into()]);
    let page = store.page(&of_bo).await;
    let leaves: Vec<_> = page.records[0]
        .entries
        .iter()
        .map(|entry| (entry.path.as_str(), entry.value.json(), entry.revision))
        .collect();
    let expected = [
        ("events/3/day", "1"),
        ("events/3/user", r#""bo""#),
        ("events/3/what/from", "[1]"),
        ("events/3/what/kind", r#""login""#),
    ];
    assert_eq!(leaves, expected.map(|(at, value)| (at, value, Seq(0))));
    store.assert_absent("events").await;
    assert_eq!(store.leaves().await, ["other=1"]);
    // No number is taken, and what is written and deleted beside them does not touch them.
    let next = store.write([set("events/1/day", "7"), delete("events")]).await;
    assert_eq!(next, Seq(head.0 + 2));
    assert_eq!(store.slugs(all).await, ["2", "3", "1"]);
}

/// A put replaces what has its slug and its values in an index, in all of them; a record with other values is another.
pub async fn records_are_known_by_slug_and_values(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_records() {
        return;
    }
    let by_day = store.only("events", &["day"]).await;
    store
        .records([
            put("events/1", r#"{"day":1,"n":1}"#),
            put("events/1", r#"{"day":2,"n":1}"#),
        ])
        .await;
    store.records([put("events/1", r#"{"day":1,"n":2}"#)]).await;
    assert_eq!(store.slugs(IndexQuery::new(by_day.clone())).await, ["1", "1"]);
    assert_eq!(store.found(&by_day).await[0].entries[1].value, 2.into());
    // Another index has those that are there, and is kept from then on.
    let by_n = store.only("events", &["n"]).await;
    assert_eq!(store.slugs(IndexQuery::new(by_n.clone())).await, ["1", "1"]);
    store.records([put("events/1", r#"{"day":1,"n":9}"#)]).await;
    for index in [&by_day, &by_n] {
        assert_eq!(store.found(index).await.len(), 2, "{index}");
    }
    // The one is in the place of both that are there, by one index each.
    store.records([put("events/1", r#"{"day":1,"n":1}"#)]).await;
    for index in [&by_day, &by_n] {
        assert_eq!(store.found(index).await.len(), 1, "{index}");
    }
    let gone = RecordChange::delete(path("events/1"), json(r#"{"day":1,"n":77}"#));
    store.records([gone.clone(), gone]).await;
    for index in [&by_day, &by_n] {
        assert_eq!(store.found(index).await, [], "{index}");
    }
}

/// Those that are larger than one value of an engine come back whole, grow, shrink and go.
pub async fn large_records_come_back_whole(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_records() {
        return;
    }
    let indexes = [store.only("events", &["day"]).await, store.only("events", &["n"]).await];
    let event = |slug: u32, bytes: usize| {
        let value = format!(r#"{{"day":{},"n":{slug},"text":"{}"}}"#, slug % 2, "x".repeat(bytes));
        put(&format!("events/{slug}"), &value)
    };
    let mut lengths = [1, 150_000, 65_520, 7];
    store
        .records((0..).zip(lengths).map(|(slug, bytes)| event(slug, bytes)))
        .await;
    for round in 0..3 {
        for index in &indexes {
            for (order, limit) in [(Order::Asc, 1), (Order::Desc, 3)] {
                let mut query = IndexQuery::new(index.clone()).order(order).limit(limit);
                let mut found = Vec::new();
                loop {
                    let page = store.page(&query).await;
                    for record in page.records {
                        let text = record.entries.last().map_or(0, |entry| entry.value.json().len());
                        found.push((record.path.last().into_owned(), text.saturating_sub(2)));
                    }
                    match page.next {
                        Some(next) => query.after = Some(next),
                        None => break,
                    }
                }
                found.sort();
                let expected: Vec<_> = (0..).map(|slug: u32| slug.to_string()).zip(lengths).collect();
                assert_eq!(found, expected, "{index} in round {round}");
            }
        }
        lengths.rotate_left(1);
        store
            .records((0..).zip(lengths).map(|(slug, bytes)| event(slug, bytes)))
            .await;
    }
    let gone = (0..4).map(|slug| RecordChange::delete(event(slug, 1).path, event(slug, 1).value));
    store.records(gone).await;
    for index in &indexes {
        assert_eq!(store.found(index).await, [], "{index}");
    }
}

/// What cannot be written is refused with all that came with it.
pub async fn records_are_written_all_or_none(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_records() {
        return;
    }
    let by_day = store.only("events", &["day"]).await;
    let good = || put("events/1", r#"{"day":1}"#);
    store
        .refused_records([good(), put("others/1", r#"{"day":1}"#)], "no_index")
        .await;
    for wrong in ["1", "{}", r#"{"a":{}}"#] {
        store
            .refused_records([good(), put("events/2", wrong)], "invalid_record")
            .await;
    }
    store
        .refused_records([good(), put("events", r#"{"day":1}"#)], "invalid_record")
        .await;
    store.refused_records([], "invalid_params").await;
    let many = transport.capabilities().batch_ops_max + 1;
    store.refused_records((0..many).map(|_| good()), "invalid_params").await;
    assert_eq!(store.found(&by_day).await, []);
    store.records([good()]).await;
    assert_eq!(store.found(&by_day).await.len(), 1);
}

/// The last index goes with the records, for those who say so; leaves and such records do not share a prefix.
pub async fn records_are_removed_by_those_who_say_so(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_records() {
        return;
    }
    let by_day = store.only("events", &["day"]).await;
    store.records([put("events/1", r#"{"day":1}"#)]).await;
    for other in [
        index("events", &["user"]),
        index("events", &["user"]).index_only().unique(),
    ] {
        let refused = within("ensure_index", transport.ensure_index(&other)).await;
        assert_eq!(
            refused.map_err(|error| error.code().to_owned()),
            Err("invalid_index".to_owned())
        );
    }
    let unsaid = within("drop_index", transport.drop_index(&index("events", &["day"]))).await;
    assert_eq!(
        unsaid.map_err(|error| error.code().to_owned()),
        Err("holds_records".to_owned())
    );
    assert_eq!(store.found(&by_day).await.len(), 1);
    let second = store.only("events", &["user"]).await;
    let unsaid = within("drop_index", transport.drop_index(&index("events", &["day"]))).await;
    assert!(unsaid.expect("another index has the records"));
    assert_eq!(store.found(&second).await.len(), 1);
    let said = within("drop_index", transport.drop_index(&second)).await;
    assert!(said.expect("the definition says it"));
    store.only("events", &["day"]).await;
    assert_eq!(store.found(&by_day).await, []);
}

/// Without them, they are refused.
pub async fn unsupported_records_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.has_records() {
        return;
    }
    let refused = store.try_records([put("events/1", r#"{"day":1}"#)]).await;
    assert_eq!(refused.map_err(|error| error.kind()), Err(NotSupported));
}
