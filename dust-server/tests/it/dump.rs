//! Exports and imports that belong together.

use dust_server::RateLimits;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::fixture::{Fixture, START_MS};

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
    let too_large = vec![format!("\"{}\"", "m".repeat(100_000)); 75].join(",");
    let lines = format!(
        r#"{{"path":"a/b","value":1}}
{{"path":"n","value":{{"":1}}}}
{{"path":"c","value":"x","type":"counter"}}
{{"path":"s","value":[null],"type":"set"}}
{{"path":"s","value":1,"type":"set"}}
{{"path":"s","value":[{too_large}],"type":"set"}}
{{"path":"l","value":{{"_type":"lease"}}}}
{{"path":"l","value":1,"type":"lease"}}
{{"path":"f","value":1,"type":"file"}}
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
        (8, "not_a_lease"),
        (9, "not_a_file"),
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

#[tokio::test]
async fn a_set_may_have_more_members_than_a_batch() {
    let fixture = fixture().await;
    let members: Vec<Value> = (0..1234).map(|n| json!(n)).collect();
    let set = json!({ "path": "s", "value": members, "type": "set" });
    let lines = format!("{{\"path\":\"a/b\",\"value\":1}}\n{set}\n{{\"path\":\"z\",\"value\":2}}");
    for _ in 0..2 {
        let report = import(&fixture, "to", lines.as_bytes()).await.json();
        assert_eq!(
            (&report["ok"], &report["imported"]),
            (&json!(true), &json!(3)),
            "{report}"
        );
        assert_eq!(leaves(&export(&fixture, "to").await)[1], set);
    }
}

#[tokio::test]
async fn a_lease_goes_on_for_as_long_as_it_had() {
    let fixture = fixture().await;
    let lease = |path: &str, end_ms: u64| {
        let value = json!({ "_type": "lease", "holder": "w", "token": 99, "expires_at": START_MS + end_ms });
        json!({ "path": path, "value": value, "type": "lease" }).to_string()
    };
    let lines = [lease("live", 60_000), lease("over", 0)].join("\n");
    let lines = format!("{{\"_header\":true,\"path_schema_version\":3}}\n{lines}");
    let report = import(&fixture, "to", lines.as_bytes()).await.json();
    assert_eq!(
        (&report["imported"], &report["skipped"]),
        (&json!(1), &json!(2)),
        "{report}"
    );
    let found = leaves(&export(&fixture, "to").await);
    assert_eq!((found.len(), &found[0]["type"]), (1, &json!("lease")));
    let value = &found[0]["value"];
    assert_eq!(
        (&value["holder"], &value["expires_at"]),
        (&json!("w"), &json!(START_MS + 60_000))
    );
    assert_ne!(value["token"], 99, "the token is one of this store");
    // Nobody's lease is taken by a file.
    let again = import(&fixture, "to", lines.as_bytes()).await.json();
    assert_eq!(again["failed"][0]["reason"], "held", "{again}");
}

#[tokio::test]
async fn an_import_is_told_of_while_it_goes_on() {
    let fixture = fixture().await;
    let ask = async |lines: String| {
        let mut request = Request::new("POST", "/api/stores/acme/to/import", &fixture.tokens["rw"]);
        let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        request.headers.push(header("content-type", "application/x-ndjson"));
        request
            .headers
            .push(header("accept", "application/x-ndjson, application/json"));
        request.body = lines.into_bytes();
        request.send(fixture.address).await.unwrap()
    };
    let leaf = |n: usize| json!({ "path": format!("w/{n:05}"), "value": n }).to_string();
    let mut lines: Vec<String> = (0..3000).map(leaf).collect();
    lines.insert(1000, "no leaf".to_owned());
    let answer = ask(lines.join("\n")).await;
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("application/x-ndjson; charset=utf-8"))
    );
    let told = answer.lines();
    let (report, steps) = told.as_array().unwrap().split_last().unwrap();
    assert_eq!((&report["imported"], &report["unparseable"]), (&json!(3000), &json!(1)));
    assert_eq!(
        report["failed"],
        json!([{ "line": 1001, "path": null, "reason": "unparseable" }])
    );
    // A client may be slower than the import, and then hears less; the order holds.
    let steps: Vec<_> = steps
        .iter()
        .map(|step| step["progress"]["line"].as_u64().unwrap())
        .collect();
    assert!(
        !steps.is_empty() && steps.is_sorted() && steps.iter().all(|line| *line <= 3001),
        "{steps:?}"
    );

    let refused = ask(r#"{"path":"a.b","value":1}"#.to_owned()).await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (400, &json!("invalid_params"))
    );
}
