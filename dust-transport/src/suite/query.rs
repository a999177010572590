//! Indexes and queries.

use super::probe::{Probe, delete, json, path, set, within};
use crate::error::Error;
use crate::error::ErrorKind::{Conflict, InvalidParams, NotSupported};
use crate::model::{Batch, Op, Precondition, Seq, Value};
use crate::query::{Cursor, IndexDefinition, IndexQuery, IndexState, QueryPage};
use crate::transport::{List, Order, Transport};

pub(super) fn index(prefix: &str, fields: &[&str]) -> IndexDefinition {
    let paths = fields.iter().map(|field| path(field));
    IndexDefinition::new(path(prefix), paths).unwrap_or_else(|error| panic!("`{prefix}` by {fields:?}: {error}"))
}

impl Probe<'_> {
    fn has_queries(self) -> bool {
        self.0.capabilities().queries
    }

    /// Defines an index and builds it to its end.
    async fn index(self, prefix: &str, fields: &[&str]) -> IndexDefinition {
        self.build(index(prefix, fields)).await
    }

    pub(super) async fn build(self, index: IndexDefinition) -> IndexDefinition {
        loop {
            let status = within("ensure_index", self.0.ensure_index(&index)).await;
            let status = status.unwrap_or_else(|error| panic!("{index}: {error}"));
            assert_eq!(status.definition, index);
            if status.state == IndexState::Readable {
                return index;
            }
        }
    }

    async fn try_query(self, query: &IndexQuery) -> Result<QueryPage, Error> {
        within("query", self.0.query(query)).await
    }

    pub(super) async fn page(self, query: &IndexQuery) -> QueryPage {
        self.try_query(query)
            .await
            .unwrap_or_else(|error| panic!("{query}: {error}"))
    }

    /// The slugs that a query finds, page after page.
    pub(super) async fn slugs(self, mut query: IndexQuery) -> Vec<String> {
        let mut slugs = Vec::new();
        loop {
            let page = self.page(&query).await;
            assert!(page.records.len() <= query.limit, "a page of {query} is too long");
            slugs.extend(page.records.iter().map(|record| record.path.last().into_owned()));
            match page.next {
                Some(next) => query.after = Some(next),
                None => return slugs,
            }
        }
    }

    /// Queries give these records as their leaves are, in this order and its reverse, in pages of any length.
    async fn covers(self, index: &IndexDefinition, slugs: &[&str]) {
        for order in [Order::Asc, Order::Desc] {
            let mut expected = slugs.to_vec();
            if order == Order::Desc {
                expected.reverse();
            }
            for limit in [1, 2, 100] {
                let query = IndexQuery::new(index.clone()).order(order).limit(limit);
                assert_eq!(self.slugs(query).await, expected, "{order:?}, pages of {limit}");
            }
            let mut query = IndexQuery::new(index.clone()).order(order).limit(2);
            loop {
                let page = self.page(&query).await;
                for record in page.records {
                    for entry in &record.entries {
                        let stored = self.entry(entry.path.as_str()).await;
                        assert!(
                            stored.as_ref() == Some(entry),
                            "`{}` is another than its leaf",
                            entry.path
                        );
                    }
                    let below = within("list", self.0.list(&List::below(record.path.clone()).limit(50))).await;
                    let leaves = below.expect("the leaves of a record").items.into_entries();
                    assert_eq!(leaves.len(), record.entries.len(), "the leaves of `{}`", record.path);
                }
                match page.next {
                    Some(next) => query.after = Some(next),
                    None => break,
                }
            }
        }
    }

    pub(super) async fn refused_query(self, query: IndexQuery, code: &str) {
        match self.try_query(&query).await {
            Ok(page) => panic!("{query} must be refused, but gave {page:?}"),
            Err(error) => assert_eq!(
                (error.kind(), error.code()),
                (InvalidParams, code),
                "{query}: {error:?}"
            ),
        }
    }
}

/// A query gives the records of its range, whole, in the order of the index.
pub async fn queries_give_records_in_order(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    store
        .set(
            "users/b",
            r#"{"department":"eng","name":"Bo","address":{"city":"Rome"}}"#,
        )
        .await;
    let index = store.index("users", &["department", "name"]).await;
    store
        .write([set("users/c/department", r#""eng""#), set("users/c/name", r#""Al""#)])
        .await;
    store.set("users/a", r#"{"department":"ops","name":"Cy"}"#).await;
    let all = IndexQuery::new(index);
    let engineers = all.clone().equals([Value::from("eng")]);
    assert_eq!(store.slugs(all.clone()).await, ["c", "b", "a"]);
    assert_eq!(store.slugs(engineers.clone()).await, ["c", "b"]);
    assert_eq!(store.slugs(engineers.clone().order(Order::Desc)).await, ["b", "c"]);
    let range = Value::from("B")..Value::from("C");
    assert_eq!(store.slugs(engineers.clone().range(range)).await, ["b"]);
    let page = store
        .page(&engineers.equals([Value::from("eng"), Value::from("Bo")]))
        .await;
    assert_eq!((page.records.len(), page.next), (1, None));
    assert_eq!(page.records[0].path, path("users/b"));
    let mut expected = Vec::new();
    for at in ["users/b/address/city", "users/b/department", "users/b/name"] {
        expected.extend(store.entry(at).await);
    }
    assert_eq!(page.records[0].entries, expected);
}

/// Null and absent, booleans, numbers by what they are worth, strings by their bytes.
pub async fn values_have_one_order(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    let values = [
        "false",
        "true",
        "-2.5",
        "-2",
        "0",
        "1",
        "1.5",
        "10",
        "9007199254740993",
        r#""10""#,
        r#""9""#,
        r#""a""#,
    ];
    let ops = values
        .iter()
        .zip('b'..)
        .map(|(value, slug)| set(&format!("r/{slug}/v"), value));
    store.write(ops).await;
    store.set("r/a/other", "1").await;
    let index = store.index("r", &["v"]).await;
    let all = IndexQuery::new(index).limit(5);
    let expected: Vec<String> = ('a'..).take(values.len() + 1).map(String::from).collect();
    assert_eq!(store.slugs(all.clone()).await, expected);
    assert_eq!(store.slugs(all.clone().equals([Value::null()])).await, ["a"]);
    assert_eq!(store.slugs(all.clone().equals([json("1.0")])).await, ["g"]);
    assert_eq!(store.slugs(all.clone().range(..json("1"))).await, ["d", "e", "f"]);
    assert_eq!(store.slugs(all.clone().range(json("1")..)).await, ["g", "h", "i", "j"]);
    assert_eq!(store.slugs(all.clone().range(..=json(r#""9""#))).await, ["k", "l"]);
    store
        .refused_query(all.clone().equals([json("[]")]), "invalid_query")
        .await;
    store
        .refused_query(all.clone().range(json("1")..json(r#""a""#)), "invalid_query")
        .await;
    store.refused_query(all.clone().limit(0), "invalid_params").await;
}

/// Whatever changes a record changes what queries find.
pub async fn every_write_keeps_the_index(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    let index = store.index("r", &["v"]).await;
    let all = || IndexQuery::new(index.clone());
    store
        .write([set("r/a", r#"{"v":1}"#), set("r/b/v", "2"), set("r/c/other", "0")])
        .await;
    assert_eq!(store.slugs(all()).await, ["c", "a", "b"]);
    store
        .write([set("r/a/v", "3"), delete("r/c"), set("r/b/other", "1")])
        .await;
    assert_eq!(store.slugs(all()).await, ["b", "a"]);
    store
        .write([delete("r/b/v"), set("r/b/v", "9"), set("r/d/v", "4"), delete("r/d")])
        .await;
    assert_eq!(store.slugs(all()).await, ["a", "b"]);
    let count = Op::increment(path("r/a/v"), 10);
    if store.has(&count) {
        store
            .write([count, Op::merge(path("r"), json(r#"{"e":{"v":1}}"#))])
            .await;
        assert_eq!(store.slugs(all()).await, ["e", "b", "a"]);
    }
    store
        .write([set("r", r#"{"x":{"v":2},"y":{"v":1}}"#), set("r/x/v", "0")])
        .await;
    assert_eq!(store.slugs(all()).await, ["x", "y"]);
    store.write([delete("r"), set("r/z/v", "1")]).await;
    assert_eq!(store.slugs(all()).await, ["z"]);
    let refused = [set("r/z/v", "5"), set("r/z/v", "6").when(Precondition::Match(Seq(1)))];
    store.refused_batch(Batch::new(refused)).await;
    assert_eq!(store.slugs(all().equals([json("1")])).await, ["z"]);
}

/// Pages give every record once, also when others write meanwhile.
pub async fn query_pages_give_every_record_once(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    let index = store.index("r", &["v"]).await;
    store
        .write((0..20).map(|n| set(&format!("r/{n:02}/v"), &(n / 4).to_string())))
        .await;
    for order in [Order::Asc, Order::Desc] {
        let mut query = IndexQuery::new(index.clone()).order(order).limit(3);
        let mut slugs = Vec::new();
        loop {
            let page = store.page(&query).await;
            slugs.extend(page.records.iter().map(|record| record.path.last().into_owned()));
            let Some(next) = page.next else { break };
            query.after = Some(next);
            store.set("r/05/other", "1").await;
        }
        let mut expected: Vec<String> = (0..20).map(|n| format!("{n:02}")).collect();
        if order == Order::Desc {
            expected.reverse();
        }
        assert_eq!(slugs, expected);
    }
    let foreign = IndexQuery::new(index).after(Cursor::new("not a cursor"));
    store.refused_query(foreign, "invalid_cursor").await;
}

/// An index is there from its definition to its removal, and is listed.
pub async fn indexes_come_and_go(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    store.write([set("r/a/v", "1"), set("s/b/v", "1")]).await;
    let query = IndexQuery::new(index("r", &["v"]));
    store.refused_query(query.clone(), "no_index").await;
    let first = store.index("r", &["v"]).await;
    let second = store.index("r", &["v", "w"]).await;
    let listed = within("indexes", transport.indexes()).await.expect("the indexes");
    let listed: Vec<_> = listed
        .into_iter()
        .map(|status| (status.definition, status.state))
        .collect();
    assert_eq!(
        listed,
        [(first.clone(), IndexState::Readable), (second, IndexState::Readable)]
    );
    assert_eq!(store.slugs(query.clone()).await, ["a"]);
    assert!(
        within("drop_index", transport.drop_index(&first))
            .await
            .expect("the removal")
    );
    assert!(
        !within("drop_index", transport.drop_index(&first))
            .await
            .expect("nothing to remove")
    );
    store.refused_query(query.clone(), "no_index").await;
    store.write([delete("r/a"), set("r/c/v", "1")]).await;
    store.index("r", &["v"]).await;
    assert_eq!(store.slugs(query).await, ["c"]);
}

/// An index whose entries hold the records gives them as they are, whatever of them is written.
pub async fn covering_indexes_give_whole_records(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    store.set("r/a", r#"{"v":1,"w":{"x":"old"}}"#).await;
    let index = store.build(index("r", &["v"]).covering()).await;
    let all = || IndexQuery::new(index.clone());
    store
        .write([
            set("r/a/w/x", r#""new""#),
            set("r/b", r#"{"v":0}"#),
            set("r/b/at", "1.5"),
        ])
        .await;
    let page = store.page(&all()).await;
    assert_eq!(page.records.len(), 2);
    let found: Vec<_> = page.records.into_iter().flat_map(|record| record.entries).collect();
    let mut expected = Vec::new();
    for at in ["r/b/at", "r/b/v", "r/a/v", "r/a/w/x"] {
        expected.extend(store.entry(at).await);
    }
    assert_eq!(found, expected);
    store.write([delete("r/b/at"), delete("r/b/v")]).await;
    assert_eq!(store.slugs(all()).await, ["a"]);
}

/// An index whose entries hold the records gives those that are larger than one value of an engine whole, too.
pub async fn large_covered_records_come_back_whole(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    let text = |letter: &str, bytes: usize| format!("\"{}\"", letter.repeat(bytes));
    let large = |slug: &str, v: &str| {
        let parts = ["a", "b", "c", "d", "e"].map(|field| set(&format!("r/{slug}/{field}"), &text(field, 30_000)));
        parts.into_iter().chain([set(&format!("r/{slug}/v"), v)])
    };
    store.write(large("b", "1")).await;
    let index = store.build(index("r", &["v"]).covering()).await;
    store.write(large("d", "2")).await;
    store
        .write([set("r/a/v", "1"), set("r/c/v", "2"), set("r/e/v", "3")])
        .await;
    let whole = ["a", "b", "c", "d", "e"];
    store.covers(&index, &whole).await;
    // They move, shrink and grow, and go.
    store
        .write([set("r/b/v", "4"), set("r/d", r#"{"v":2}"#), set("r/a/a", r#""small""#)])
        .await;
    store.write(large("c", "0")).await;
    store.covers(&index, &["c", "a", "d", "e", "b"]).await;
    store.write([delete("r/b"), delete("r/c/a"), delete("r/c/b")]).await;
    store.covers(&index, &["c", "a", "d", "e"]).await;
}

/// What would give two records the same values in a unique index is not written.
pub async fn unique_values_are_of_one_record(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    store.build(index("users", &["email"]).unique()).await;
    let ada = store.set("users/ada/email", r#""a@b""#).await;
    let refused = |error: Error, op_index: usize| {
        let at = error.conflict().map(|at| (at.op_index, at.path.as_str(), at.current));
        assert_eq!((error.kind(), error.code()), (Conflict, "not_unique"), "{error:?}");
        assert_eq!(at, Some((op_index, "users/ada/email", Some(ada))), "{error:?}");
        assert!(error.detail().contains("users/ada"), "{error:?}");
    };
    refused(store.refused_batch(set("users/bo/email", r#""a@b""#).into()).await, 0);
    refused(
        store.refused_batch(set("users/bo", r#"{"email":"a@b"}"#).into()).await,
        0,
    );
    let batch = [set("other", "1"), set("users/bo/email", r#""a@b""#)];
    refused(store.refused_batch(Batch::new(batch)).await, 1);
    store.assert_absent("users/bo").await;
    store.set("users/ada/email", r#""a@b""#).await;
    store
        .write([set("users/bo/email", "null"), set("users/cy/email", "null")])
        .await;
    store
        .write([delete("users/ada"), set("users/bo/email", r#""a@b""#)])
        .await;
    let writes = (0..4).map(|n| Batch::one(set(&format!("users/{n}/email"), "7")));
    let written = store.race(writes.collect()).await;
    assert_eq!(written.iter().filter(|written| written.is_ok()).count(), 1);
}

/// Where records have the same values, a unique index of them is refused and not there.
pub async fn duplicates_are_no_unique_index(transport: &dyn Transport) {
    let store = Probe(transport);
    if !store.has_queries() {
        return;
    }
    store
        .write([set("users/ada/email", "1"), set("users/bo/email", "1")])
        .await;
    let unique = index("users", &["email"]).unique();
    let refused = within("ensure_index", transport.ensure_index(&unique)).await;
    let refused = refused.expect_err("two records have the same values");
    assert_eq!(
        (refused.kind(), refused.code()),
        (Conflict, "not_unique"),
        "{refused:?}"
    );
    let names_both = ["ada", "bo"].iter().all(|slug| refused.detail().contains(slug));
    assert!(names_both, "{refused:?}");
    assert_eq!(within("indexes", transport.indexes()).await.expect("the indexes"), []);
    store.set("users/bo/email", "2").await;
    store.build(unique.clone()).await;
    let plain = index("users", &["email"]);
    let other = within("ensure_index", transport.ensure_index(&plain)).await;
    assert_eq!(
        other.map_err(|error| error.code().to_owned()),
        Err("index_differs".to_owned())
    );
}

/// Without queries, all that belongs to them is refused.
pub async fn unsupported_queries_are_refused(transport: &dyn Transport) {
    let store = Probe(transport);
    if store.has_queries() {
        return;
    }
    let definition = index("r", &["v"]);
    let refused = [
        within("indexes", transport.indexes()).await.err(),
        within("ensure_index", transport.ensure_index(&definition)).await.err(),
        within("drop_index", transport.drop_index(&definition)).await.err(),
        store.try_query(&IndexQuery::new(definition.clone())).await.err(),
    ];
    for error in refused {
        assert_eq!(error.map(|error| error.kind()), Some(NotSupported));
    }
}
