//! Indexes and queries over HTTP.

use std::collections::BTreeSet;
use std::ops::Bound;

use dust_transport::error::ErrorKind;
use dust_transport::http::{Discovery, Http};
use dust_transport::model::{Seq, Value};
use dust_transport::query::{Cursor, IndexDefinition, IndexQuery, IndexState};
use dust_transport::transport::{Order, Transport as _};

use super::server::{Server, Turn};
use super::{assert_error, http, json, options, path};

const CAPABILITIES: &str = r#"{"extensions":["queries"],"limits":{}}"#;
const ASK: &str = "GET /api/capabilities";

fn index() -> IndexDefinition {
    IndexDefinition::new(path("users"), [path("department"), path("age")]).unwrap()
}

async fn serving(turns: impl IntoIterator<Item = Turn>) -> (Server, Http) {
    let turns = [Turn::json(200, CAPABILITIES)].into_iter().chain(turns);
    let server = Server::start(turns).await;
    let store = Http::new(options(&server.base_url).discovery(Discovery::Ask)).unwrap();
    (server, store)
}

#[tokio::test]
async fn an_index_is_defined_listed_and_removed() {
    let body = r#"{"prefix":"users","fields":["department","age"],"state":"building","records":1000}"#;
    let (server, store) = serving([
        Turn::json(200, body),
        Turn::json(200, &format!(r#"{{"indexes":[{body}]}}"#)),
        Turn::json(200, r#"{"dropped":true}"#),
    ])
    .await;
    let status = store.ensure_index(&index()).await.unwrap();
    assert_eq!(
        (status.state, &status.definition),
        (IndexState::Building { records: 1000 }, &index())
    );
    assert_eq!(store.indexes().await.unwrap(), [status]);
    assert!(store.drop_index(&index()).await.unwrap());
    let at = "/api/stores/acme/site/indexes";
    let lines = [
        ASK.to_owned(),
        format!("POST {at}"),
        format!("GET {at}"),
        format!("DELETE {at}"),
    ];
    assert_eq!(server.lines(), lines);
    let definition = r#"{"prefix":"users","fields":["department","age"]}"#;
    let bodies: Vec<_> = server.seen().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, ["", definition, "", definition]);
    assert!(store.capabilities().queries);
}

#[tokio::test]
async fn a_query_says_its_range_and_reads_its_records() {
    let body = r#"{"records":[{"path":"users/ada","entries":[{"path":"users/ada/age","value":30,"type":"integer","revision":7}]}],"next":"0165"}"#;
    let (server, store) = serving([Turn::json(200, body)]).await;
    let query = IndexQuery::new(index())
        .equals([json(r#""eng""#)])
        .range(json("18")..)
        .order(Order::Desc)
        .limit(1);
    let page = store.query(&query).await.unwrap();
    assert_eq!(page.next, Some(Cursor::new("0165")));
    assert_eq!(page.records.len(), 1);
    let record = page.records.first().unwrap();
    let entry = record.entries.first().unwrap();
    assert_eq!(
        (&record.path, &entry.path),
        (&path("users/ada"), &path("users/ada/age"))
    );
    assert_eq!((&entry.value, entry.revision), (&json("30"), Seq(7)));
    let sent = r#"{"prefix":"users","fields":["department","age"],"equals":["eng"],"range":{"gte":18},"order":"desc","limit":1}"#;
    assert_eq!(server.lines(), [ASK, "POST /api/stores/acme/site/query"]);
    assert_eq!(server.seen().last().unwrap().body, sent);
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_a_lost_answer_is_asked_for_again() {
    let refused = r#"{"error":"index_building","detail":"the index of users by age is being built"}"#;
    let found = r#"{"records":[],"next":null}"#;
    let (server, store) = serving([Turn::json(400, refused), Turn::json(503, "{}"), Turn::json(200, found)]).await;
    let query = IndexQuery::new(index());
    assert_error(store.query(&query).await, ErrorKind::InvalidParams, "index_building");
    assert!(store.query(&query).await.unwrap().records.is_empty());
    assert_eq!(server.lines().len(), 4);
    // What no store can answer is not sent.
    assert_error(
        store.query(&query.limit(0)).await,
        ErrorKind::InvalidParams,
        "invalid_params",
    );
    assert_eq!(server.lines().len(), 4);
}

#[tokio::test]
async fn options_of_an_index_are_for_servers_that_know_them() {
    let (server, store) = serving([]).await;
    for definition in [index().covering(), index().unique()] {
        let error = assert_error(
            store.ensure_index(&definition).await,
            ErrorKind::NotSupported,
            "not_supported",
        );
        assert_eq!(error.detail(), "this server has no unique and no covering indexes");
    }
    assert_eq!(server.lines(), [ASK]);
}

#[tokio::test]
async fn a_server_without_queries_is_not_asked_for_any() {
    let server = Server::start([]).await;
    let store = http(&server.base_url);
    let error = assert_error(
        store.ensure_index(&index()).await,
        ErrorKind::NotSupported,
        "not_supported",
    );
    assert_eq!(error.detail(), "this server has no indexes and no queries");
    assert_error(
        store.query(&IndexQuery::new(index())).await,
        ErrorKind::NotSupported,
        "not_supported",
    );
    assert!(server.lines().is_empty() && !store.capabilities().queries);
}

/// A server refuses all others, so one that is added must be named.
#[test]
fn every_key_of_the_wire_is_named() {
    let keys = |value: serde_json::Value| -> BTreeSet<String> { value.as_object().unwrap().keys().cloned().collect() };
    let named = |keys: &[&str]| -> BTreeSet<String> { keys.iter().map(ToString::to_string).collect() };
    let definition = index().unique().covering().index_only();
    assert_eq!(
        keys(serde_json::to_value(&definition).unwrap()),
        named(IndexDefinition::KEYS)
    );
    let mut query = IndexQuery::new(definition).after(Some(Cursor::new("0165")));
    query.equals = vec![Value::from("Ada")];
    query.range = (Bound::Included(Value::from("A")), Bound::Unbounded);
    query.order = Order::Desc;
    assert_eq!(keys(serde_json::to_value(&query).unwrap()), named(IndexQuery::KEYS));
}
