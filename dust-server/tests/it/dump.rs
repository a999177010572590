//! Exports and imports that belong together.

use dust_server::RateLimits;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::fixture::Fixture;

async fn fixture() -> Fixture {
    let fixture = Fixture::start(RateLimits::default()).await;
    for store in ["from", "to"] {
        fixture.control().create_store("acme", store, None).await.unwrap();
    }
    fixture
}

async fn import(fixture: &Fixture, store: &str, lines: &[u8]) -> Answer {
    let mut request = Request::new(
        "POST",
        &format!("/api/stores/acme/{store}/import"),
        &fixture.tokens["rw"],
    );
    let kind = "application/x-ndjson".to_owned();
    request.headers.push(("content-type".to_owned(), kind));
    request.body = lines.to_vec();
    request.send(fixture.address).await.unwrap()
}

async fn export(fixture: &Fixture, store: &str) -> Vec<u8> {
    let request = Request::new(
        "GET",
        &format!("/api/stores/acme/{store}/export"),
        &fixture.tokens["rw"],
    );
    request.send(fixture.address).await.unwrap().body
}

fn leaves(export: &[u8]) -> Vec<Value> {
    let lines = std::str::from_utf8(export).unwrap().lines().skip(1);
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_export_is_imported_with_its_types() {
    let fixture = fixture().await;
    let kinds = r#"{"_header":true,"path_schema_version":3}
{"path":"a","value":1,"type":"integer"}
{"path":"a/b","value":2,"type":"integer"}
{"path":"c","value":1.5,"type":"counter"}
{"path":"d","value":"1.50","type":"decimal"}
{"path":"e","value":[],"type":"set"}
{"path":"s","value":["z",{"y":1},"x"],"type":"set"}
{"path":"t","value":"2026-01-02T03:04:05Z","type":"datetime"}"#;
    let mut lines = kinds.to_owned();
    for n in 0..1200 {
        let value = "v".repeat(n);
        let leaf = json!({ "path": format!("w/{n:04}"), "value": value, "type": "string" });
        lines.extend(["\n", &leaf.to_string()]);
    }
    let first = import(&fixture, "from", lines.as_bytes()).await.json();
    assert_eq!((&first["imported"], &first["failed"]), (&json!(1207), &json!([])));
    let exported = export(&fixture, "from").await;
    let expected: Vec<Value> = lines
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(leaves(&exported), expected);
    // Twice: what is there is replaced, not added to.
    for _ in 0..2 {
        let again = import(&fixture, "to", &exported).await.json();
        assert_eq!(again["imported"], 1207, "{again}");
        assert_eq!(leaves(&export(&fixture, "to").await), expected);
    }
}

#[tokio::test]
async fn a_line_that_cannot_be_stored_does_not_hold_up_others() {
    let fixture = fixture().await;
    let too_many = vec!["1"; 500].join(",");
    let lines = format!(
        r#"{{"path":"a/b","value":1}}
{{"path":"n","value":{{"":1}}}}
{{"path":"c","value":"x","type":"counter"}}
{{"path":"s","value":[null],"type":"set"}}
{{"path":"s","value":1,"type":"set"}}
{{"path":"s","value":[{too_many}],"type":"set"}}
{{"path":"l","value":{{"_type":"lease"}}}}
{{"path":"z","value":2}}"#
    );
    let report = import(&fixture, "to", lines.as_bytes()).await.json();
    assert_eq!(
        (&report["ok"], &report["imported"]),
        (&json!(false), &json!(2)),
        "{report}"
    );
    let failed = report["failed"].as_array().unwrap().iter();
    let failed: Vec<_> = failed
        .map(|line| (line["line"].as_u64().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        (2, "empty_segment"),
        (3, "increment_requires_number_value"),
        (4, "add_requires_value"),
        (5, "set_requires_list"),
        (6, "set_too_large"),
        (7, "invalid_params"),
    ];
    assert_eq!(failed, expected);
    assert_eq!(leaves(&export(&fixture, "to").await).len(), 2);

    let report = import(&fixture, "to", "x\n".repeat(1500).as_bytes()).await.json();
    assert_eq!((&report["ok"], &report["unparseable"]), (&json!(false), &json!(1500)));
    assert_eq!(report["failed"].as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn paths_of_which_the_kind_is_unknown_are_not_guessed_at() {
    let fixture = fixture().await;
    for lines in [
        r#"{"path":"a.b","value":1}"#,
        "{\"_header\":true,\"path_schema_version\":2}\n{\"path\":\"a/b\",\"value\":1}",
    ] {
        let answer = import(&fixture, "to", lines.as_bytes()).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("invalid_params"))
        );
    }
    assert!(leaves(&export(&fixture, "to").await).is_empty());
}
