//! Indexes and queries by the routes.

use dust_server::RateLimits;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::fixture::Fixture;
use crate::openapi::Document;

struct Site {
    fixture: Fixture,
    document: Document,
}

impl Site {
    async fn start() -> Self {
        let fixture = Fixture::start(RateLimits::OFF).await;
        let document = Document::of(&fixture).await;
        Self { fixture, document }
    }

    async fn send(&self, token: &str, method: &str, below: &str, body: Option<&Value>) -> Answer {
        let target = format!("/api/stores/acme/site{below}");
        let mut request = Request::new(method, &target, &self.fixture.tokens[token]);
        if let Some(body) = body {
            request = request.json(&body.to_string());
        }
        let answer = request.send(self.fixture.address).await.unwrap();
        self.document.check(method, &target, &answer).unwrap();
        answer
    }

    async fn query(&self, body: Value) -> Value {
        let answer = self.send("ro", "POST", "/query", Some(&body)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    async fn refused(&self, method: &str, below: &str, body: Value) -> Value {
        let answer = self.send("rw", method, below, Some(&body)).await;
        assert_eq!(answer.status, 400, "{answer:?}");
        answer.json()["error"].take()
    }
}

fn definition() -> Value {
    json!({ "prefix": "users", "fields": ["department", "age"] })
}

#[tokio::test]
async fn records_are_found_whoever_wrote_them() {
    let site = Site::start().await;
    let put = |below: &'static str, value: Value| {
        let site = &site;
        async move { assert_eq!(site.send("rw", "PUT", below, Some(&value)).await.status, 200) }
    };
    put("/entries/users/ada", json!({ "department": "eng", "age": 36 })).await;
    let ensured = site.send("rw", "POST", "/indexes", Some(&definition())).await.json();
    assert_eq!(
        ensured,
        json!({ "prefix": "users", "fields": ["department", "age"], "state": "readable" })
    );
    put("/entries/users/bo/department", json!("eng")).await;
    put("/entries/users/bo/age", json!(17)).await;
    put("/entries/users/cy", json!({ "department": "ops", "age": 20 })).await;

    let page = site
        .query(json!({ "prefix": "users", "fields": ["department", "age"], "equals": ["eng"], "limit": 1 }))
        .await;
    let entry = |path: &str, value: Value, kind: &str, revision: u64| json!({ "path": path, "value": value, "type": kind, "revision": revision });
    let bo = json!({ "path": "users/bo", "entries": [
        entry("users/bo/age", json!(17), "integer", 3),
        entry("users/bo/department", json!("eng"), "string", 2),
    ] });
    assert_eq!(page["records"], json!([bo]));
    let next = json!({ "prefix": "users", "fields": ["department", "age"], "equals": ["eng"], "limit": 1, "after": page["next"] });
    let page = site.query(next).await;
    assert_eq!(
        (&page["records"][0]["path"], &page["next"]),
        (&json!("users/ada"), &Value::Null)
    );
    let adults = json!({ "prefix": "users", "fields": ["department", "age"], "equals": ["eng"], "range": { "gte": 18 }, "order": "desc" });
    assert_eq!(site.query(adults).await["records"].as_array().unwrap().len(), 1);

    let listed = site.send("ro", "GET", "/indexes", None).await.json();
    assert_eq!(listed, json!({ "indexes": [ensured] }));
    let dropped = site.send("rw", "DELETE", "/indexes", Some(&definition())).await.json();
    assert_eq!(dropped, json!({ "dropped": true }));
    assert_eq!(site.refused("POST", "/query", definition()).await, "no_index");
}

#[tokio::test]
async fn wrong_bodies_are_refused_by_their_codes() {
    let site = Site::start().await;
    assert_eq!(
        site.refused("POST", "/indexes", json!({ "prefix": "users", "fields": [] }))
            .await,
        "invalid_index"
    );
    assert_eq!(
        site.refused("POST", "/indexes", json!({ "prefix": "a//b", "fields": ["x"] }))
            .await,
        "invalid_index"
    );
    assert_eq!(
        site.refused("POST", "/query", json!({ "prefix": "users" })).await,
        "invalid_query"
    );
    assert_eq!(
        site.send("rw", "POST", "/query", None).await.json()["error"],
        "invalid_params"
    );
    site.send("rw", "POST", "/indexes", Some(&definition())).await;
    let with = |name: &str, value: Value| {
        let mut body = definition();
        body[name] = value;
        body
    };
    assert_eq!(
        site.refused("POST", "/query", with("limit", json!(1001))).await,
        "invalid_params"
    );
    assert_eq!(
        site.refused("POST", "/query", with("equals", json!([[1]]))).await,
        "invalid_query"
    );
    assert_eq!(
        site.refused("POST", "/query", with("range", json!({ "gt": 1, "lt": "a" })))
            .await,
        "invalid_query"
    );
    assert_eq!(
        site.refused("POST", "/query", with("range", json!({ "above": 1 })))
            .await,
        "invalid_query"
    );
    assert_eq!(
        site.refused("POST", "/query", with("after", json!("x"))).await,
        "invalid_cursor"
    );
    // A condition that is misspelt is not left out, which would find more than was asked for.
    for (below, name, code) in [
        ("/query", "ranges", "invalid_query"),
        ("/indexes", "uniqe", "invalid_index"),
    ] {
        assert_eq!(site.refused("POST", below, with(name, json!(true))).await, code);
        assert_eq!(site.refused("POST", below, json!(["users", ["age"]])).await, code);
    }
    let none = json!({ "prefix": "users", "fields": [] });
    let answer = site.send("rw", "POST", "/indexes", Some(&none)).await.json();
    assert_eq!(answer["detail"], "an index has at least one field");
}

#[tokio::test]
async fn who_only_reads_defines_no_index() {
    let site = Site::start().await;
    for method in ["POST", "DELETE"] {
        assert_eq!(
            site.send("ro", method, "/indexes", Some(&definition())).await.status,
            403
        );
    }
    assert_eq!(
        site.send("ro", "GET", "/indexes", None).await.json(),
        json!({ "indexes": [] })
    );
}

#[tokio::test]
async fn records_that_live_only_in_their_index_are_written_and_found() {
    let site = Site::start().await;
    let index = json!({ "prefix": "events", "fields": ["day"], "mapped": false, "write_primary": false });
    let mut expected = index.clone();
    expected["state"] = json!("readable");
    assert_eq!(site.send("rw", "POST", "/indexes", Some(&index)).await.json(), expected);
    let changes = json!({ "changes": [
        { "op": "put", "path": "events/1", "value": { "day": 1, "price": 1.50 } },
        { "op": "put", "path": "events/2", "value": { "day": 2 } },
        { "op": "delete", "path": "events/2", "value": { "day": 2 } },
    ] });
    assert_eq!(site.send("ro", "POST", "/records", Some(&changes)).await.status, 403);
    let written = site.send("rw", "POST", "/records", Some(&changes)).await;
    assert_eq!((written.status, written.json()), (200, json!({ "written": 3 })));
    let page = site.query(json!({ "prefix": "events", "fields": ["day"] })).await;
    assert_eq!(page["records"].as_array().unwrap().len(), 1);
    assert_eq!(page["records"][0]["entries"][0]["value"], json!(1));
    assert_eq!(site.send("ro", "GET", "/entries/events", None).await.status, 404);
    let refused = |changes: Value| site.refused("POST", "/records", json!({ "changes": changes }));
    let put = |path: &str, value: Value| json!([{ "op": "put", "path": path, "value": value }]);
    assert_eq!(refused(put("others/1", json!({ "day": 1 }))).await, "no_index");
    assert_eq!(refused(put("events/1", json!(1))).await, "invalid_record");
    assert_eq!(refused(put("events", json!({ "day": 1 }))).await, "invalid_record");
    assert_eq!(refused(json!([{ "op": "post" }])).await, "invalid_record");
    assert_eq!(refused(json!([])).await, "invalid_params");
    let unsaid = json!({ "prefix": "events", "fields": ["day"] });
    assert_eq!(site.refused("DELETE", "/indexes", unsaid).await, "holds_records");
    let unique = json!({ "prefix": "a", "fields": ["b"], "unique": true, "mapped": false, "write_primary": false });
    assert_eq!(site.refused("POST", "/indexes", unique).await, "invalid_index");
    assert_eq!(
        site.send("rw", "DELETE", "/indexes", Some(&index)).await.json(),
        json!({ "dropped": true })
    );
}

#[tokio::test]
async fn a_value_that_is_taken_is_told_with_its_owner() {
    let site = Site::start().await;
    let unique = json!({ "prefix": "users", "fields": ["email"], "unique": true });
    site.send("rw", "PUT", "/entries/users/ada/email", Some(&json!("a@b")))
        .await;
    site.send("rw", "POST", "/indexes", Some(&unique)).await;
    let taken = site
        .send("rw", "PUT", "/entries/users/bo", Some(&json!({ "email": "a@b" })))
        .await;
    assert_eq!(taken.status, 412);
    let detail = "`users/bo` would have the values of `users/ada` in the index of users by email (unique)";
    let expected = json!({
        "error": "not_unique", "detail": detail, "current_revision": 1, "op_index": 0, "path": "users/ada/email",
    });
    assert_eq!(taken.json(), expected);
    assert_eq!(site.send("rw", "DELETE", "/indexes", Some(&unique)).await.status, 200);
    site.send("rw", "PUT", "/entries/users/bo/email", Some(&json!("a@b")))
        .await;
    let refused = site.send("rw", "POST", "/indexes", Some(&unique)).await;
    assert_eq!((refused.status, &refused.json()["error"]), (412, &json!("not_unique")));
}
