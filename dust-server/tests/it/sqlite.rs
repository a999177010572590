//! Exports as files of SQLite, read by SQLite.

use dust_server::RateLimits;
use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::client::Request;
use crate::fixture::Fixture;
use crate::receiver::PATIENCE;

const EXPORT: &str = "/api/stores/acme/site/export?format=sqlite";

/// Writes a line of an import each.
async fn import(fixture: &Fixture, lines: &str) {
    let mut request = Request::new("POST", "/api/stores/acme/site/import", &fixture.tokens["rw"]);
    let kind = ("content-type".to_owned(), "application/x-ndjson".to_owned());
    request
        .headers
        .extend([kind, ("x-request-id".to_owned(), "an-id-of-20-letters-".to_owned())]);
    request.body = format!("{{\"_header\":true,\"path_schema_version\":3}}\n{lines}").into_bytes();
    let report = request.send(fixture.address).await.unwrap().json();
    assert_eq!(report["failed"], json!([]), "{report}");
}

/// Waits until no export is under way.
async fn no_files(fixture: &Fixture) {
    let removed = async {
        while fixture.temporary_files() > 0 {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, removed).await.expect("the file goes");
}

/// All rows of a query, each as a list.
fn rows(connection: &Connection, query: &str) -> Value {
    let mut statement = connection.prepare(query).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let cell = |column| {
            Ok(match row.get::<_, rusqlite::types::Value>(column)? {
                rusqlite::types::Value::Integer(number) => json!(number),
                rusqlite::types::Value::Text(text) => json!(text),
                _ => json!(null),
            })
        };
        (0..columns).map(cell).collect::<rusqlite::Result<Vec<_>>>()
    });
    rows.unwrap().map(|row| json!(row.unwrap())).collect()
}

#[tokio::test]
async fn an_export_is_a_database_with_the_tables_of_the_original() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    import(
        &fixture,
        r#"{"path":"a/b","value":[1,"x"]}
{"path":"a~1b","value":"it's"}
{"path":"c","value":2,"type":"counter"}
{"path":"d","value":"1.50","type":"decimal"}
{"path":"n","value":null}
{"path":"s","value":["y"],"type":"set"}"#,
    )
    .await;
    let put = Request::new("PUT", "/api/stores/acme/site/entries/m", &fixture.tokens["rw"]);
    put.json(r#"{"x":1.0}"#).send(fixture.address).await.unwrap();
    let delete = Request::new("DELETE", "/api/stores/acme/site/entries/n", &fixture.tokens["rw"]);
    delete.send(fixture.address).await.unwrap();

    let answer = Request::new("GET", EXPORT, &fixture.tokens["rw"])
        .send(fixture.address)
        .await
        .unwrap();
    assert_eq!(
        answer.header("content-length"),
        Some(answer.body.len().to_string().as_str())
    );
    no_files(&fixture).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    let database = Connection::open(file.path()).unwrap();

    assert_eq!(rows(&database, "PRAGMA integrity_check"), json!([["ok"]]));
    assert_eq!(rows(&database, "PRAGMA user_version"), json!([[3]]));
    assert_eq!(rows(&database, "SELECT * FROM store_snapshots"), json!([]));
    let entries = rows(
        &database,
        "SELECT path, value, type, seq FROM store_entries ORDER BY path",
    );
    let expected = json!([
        ["a/b", r#"{"_scalar":[1,"x"]}"#, "list", 1],
        ["a~1b", r#"{"_scalar":"it's"}"#, "string", 2],
        ["c", r#"{"_scalar":2}"#, "counter", 3],
        ["d", r#"{"_type":"decimal","_typed":"1.50"}"#, "decimal", 4],
        ["m/x", r#"{"_scalar":1.0}"#, "float", 7],
        ["s", r#"{"_scalar":["y"]}"#, "set", 6],
    ]);
    assert_eq!(entries, expected);
    let ops = rows(
        &database,
        "SELECT store_seq, op, path, value, type FROM store_ops ORDER BY store_seq",
    );
    let expected = json!([
        [1, "set", "a/b", r#"{"_scalar":[1,"x"]}"#, "list"],
        [2, "set", "a~1b", r#"{"_scalar":"it's"}"#, "string"],
        [3, "increment", "c", r#"{"_scalar":2}"#, "counter"],
        [4, "set", "d", r#"{"_scalar":"1.50"}"#, "string"],
        [5, "set", "n", r#"{"_scalar":null}"#, "null"],
        [6, "add", "s", r#"{"_scalar":["y"]}"#, "set"],
        [7, "set", "m", r#"{"x":1.0}"#, "map"],
        [8, "delete", "n", null, null],
    ]);
    assert_eq!(ops, expected);
    let who = rows(
        &database,
        "SELECT DISTINCT device_id LIKE 'http:%', inserted_at, client_op_id FROM store_ops",
    );
    let at = "2025-11-22T08:27:00.000000Z";
    assert!(who.as_array().unwrap().contains(&json!([1, at, null])), "{who}");
    assert!(who[0][2].as_str().unwrap().starts_with("an-id-of-20-letters-"), "{who}");
}

#[tokio::test]
async fn a_large_store_is_exported_whole() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let leaf = |n: usize| json!({ "path": format!("w/{n:05}"), "value": "v".repeat(n % 1000) }).to_string();
    import(&fixture, &(0..6000).map(leaf).collect::<Vec<_>>().join("\n")).await;
    let answer = Request::new("GET", EXPORT, &fixture.tokens["rw"])
        .send(fixture.address)
        .await
        .unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &answer.body).unwrap();
    let database = Connection::open(file.path()).unwrap();
    let counts = "SELECT (SELECT count(*) FROM store_entries), (SELECT count(*) FROM store_ops), \
                  (SELECT sum(length(value)) FROM store_entries), (SELECT max(store_seq) FROM store_ops)";
    let bytes = 6 * (0..1000).sum::<usize>() + 6000 * r#"{"_scalar":""}"#.len();
    assert_eq!(rows(&database, counts), json!([[6000, 6000, bytes, 6000]]));
}

#[tokio::test]
async fn a_client_that_leaves_leaves_no_file() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let leaf = |n: usize| json!({ "path": format!("w/{n:05}"), "value": "v".repeat(2000) }).to_string();
    import(&fixture, &(0..3500).map(leaf).collect::<Vec<_>>().join("\n")).await;
    // More often than exports are made at once.
    for _ in 0..6 {
        let mut client = TcpStream::connect(fixture.address).await.unwrap();
        let head = format!(
            "GET {EXPORT} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
            fixture.tokens["rw"]
        );
        client.write_all(head.as_bytes()).await.unwrap();
        timeout(PATIENCE, client.read_u8()).await.expect("an answer").unwrap();
        assert_eq!(fixture.temporary_files(), 1);
        drop(client);
        no_files(&fixture).await;
    }
}
