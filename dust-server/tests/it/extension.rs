//! What the server does beyond the original, and that nobody gets it who does not ask.

use dust_server::RateLimits;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::fixture::Fixture;

const ENTRIES: &str = "/api/stores/acme/site/entries";
const ALL: &str = "absent_in_batches, subtree_preconditions, value_ops";

struct Site(Fixture);

impl Site {
    async fn start() -> Self {
        Self(Fixture::start(RateLimits::OFF).await)
    }

    async fn send(&self, method: &str, below: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let mut request = Request::new(method, &format!("{ENTRIES}{below}"), &self.0.tokens["rw"]);
        if let Some(body) = body {
            request = request.json(&body.to_string());
        }
        let more = headers
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        request.headers.extend(more);
        request.send(self.0.address).await.unwrap()
    }

    async fn batch(&self, extensions: &str, ops: Value) -> Answer {
        let headers: &[_] = &[("dust-extensions", extensions)];
        let headers = if extensions.is_empty() { &[] } else { headers };
        self.send("POST", "/batch_write", headers, Some(json!({ "ops": ops })))
            .await
    }

    async fn value(&self, path: &str) -> Value {
        self.send("GET", path, &[], None).await.json()["value"].take()
    }
}

#[track_caller]
fn assert_answer(answer: &Answer, status: u16, expected: &Value) {
    let mut body = answer.json();
    if let Some(fields) = body.as_object_mut() {
        fields.remove("detail");
    }
    assert_eq!((answer.status, &body), (status, expected), "{answer:?}");
}

#[tokio::test]
async fn the_server_tells_what_it_does() {
    let site = Site::start().await;
    let ask = |token: &str| Request::new("GET", "/api/capabilities", token);
    let answer = ask(&site.0.tokens["ro"]).send(site.0.address).await.unwrap();
    assert_answer(
        &answer,
        200,
        &json!({
            "extensions": ["absent_in_batches", "index_only_records", "index_options", "op_ids", "queries", "subtree_preconditions", "value_ops"],
            "limits": { "batch_ops": 1000, "page_leaves": 1000, "body_bytes": 8_000_000 },
        }),
    );
    assert_eq!(ask("nobody").send(site.0.address).await.unwrap().status, 401);
}

#[tokio::test]
async fn an_unknown_extension_is_refused_and_known_ones_are_named_in_the_answer() {
    let site = Site::start().await;
    let op = json!([{ "op": "set", "path": "a", "value": 1 }]);
    for unknown in ["time_travel", "value_ops, time_travel", "value_ops;q=1", "\u{e4}"] {
        let answer = site.batch(unknown, op.clone()).await;
        assert_eq!(
            (answer.status, &answer.json()["error"]),
            (400, &json!("unknown_extension")),
            "{unknown}"
        );
        assert_eq!(answer.header("dust-extensions"), None);
    }
    assert_eq!(site.send("GET", "/a", &[], None).await.status, 404);
    let answer = site.batch("value_ops , absent_in_batches", op.clone()).await;
    assert_eq!(answer.header("dust-extensions"), Some("absent_in_batches, value_ops"));
    assert_eq!(site.batch("", op).await.header("dust-extensions"), None);
}

#[tokio::test]
async fn who_does_not_ask_is_answered_as_by_the_original() {
    let site = Site::start().await;
    let set = |value: u64| json!([{ "op": "set", "path": "a", "value": value, "if_absent": true, "if_subtree": { "revision": 99 } }]);
    for value in [1, 2] {
        assert_eq!(site.batch("", set(value)).await.status, 200);
        assert_eq!(site.batch("value_ops", set(value)).await.status, 200);
    }
    let increment = json!([{ "op": "increment", "path": "a", "value": 1 }]);
    for extensions in ["", "absent_in_batches, subtree_preconditions"] {
        let answer = site.batch(extensions, increment.clone()).await;
        assert_eq!(answer.json()["detail"], r#"op 0: unknown op "increment""#);
    }
    let map = json!({ "t": 1 });
    let put = site.send("PUT", "/r", &[("if-match", "1")], Some(map)).await;
    assert_eq!((put.status, &put.json()["error"]), (400, &json!("if_match_multi_leaf")));
}

#[tokio::test]
async fn values_are_worked_on_in_batches() {
    let site = Site::start().await;
    let ops = json!([
        { "op": "set", "path": "r", "value": { "a": 1, "b": 2 } },
        { "op": "merge", "path": "r", "value": { "b": 3 } },
        { "op": "increment", "path": "r/n", "value": 41 },
        { "op": "increment", "path": "r/n", "value": 1 },
        { "op": "add", "path": "r/s", "value": "x" },
        { "op": "add", "path": "r/s", "value": "y" },
        { "op": "remove", "path": "r/s", "value": "x" },
        { "op": "delete", "path": "r/a" },
    ]);
    let answer = site.batch(ALL, ops).await;
    assert_eq!((answer.status, &answer.json()["store_seq"]), (200, &json!(8)));
    assert_eq!(site.value("/r").await, json!({ "b": 3, "n": 42, "s": ["y"] }));
    for (op, expected) in [
        (
            json!({ "op": "merge", "path": "r", "value": 1 }),
            "merge_requires_map_value",
        ),
        (
            json!({ "op": "increment", "path": "r", "value": "1" }),
            "increment_requires_number_value",
        ),
        (
            json!({ "op": "add", "path": "r/s", "value": null }),
            "add_requires_value",
        ),
        (
            json!({ "op": "add", "path": "r/s", "value": 1, "if_match": 7 }),
            "if_match_unsupported_op",
        ),
        (
            json!({ "op": "delete", "path": "r/s", "if_absent": true }),
            "if_absent_unsupported_op",
        ),
    ] {
        let answer = site.batch(ALL, json!([{ "op": "delete", "path": "x" }, op])).await;
        let expected = json!({ "error": expected, "op_index": 1, "path": op["path"] });
        assert_answer(&answer, 400, &expected);
    }
    for op in [
        json!({ "op": "increment", "path": "r/n" }),
        json!({ "op": "rename", "path": "r/n", "value": "m" }),
        json!({ "op": "set", "path": "r/n", "value": 1, "if_match": 1, "if_absent": true }),
        json!({ "op": "set", "path": "r/n", "value": 1, "if_subtree": {} }),
    ] {
        let answer = site.batch(ALL, json!([op])).await;
        assert_answer(&answer, 400, &json!({ "error": "invalid_params" }));
    }
}

#[tokio::test]
async fn conditions_of_a_batch_see_leaves_and_subtrees() {
    let site = Site::start().await;
    let set = |path: &str, condition: (&str, Value)| json!({ "op": "set", "path": path, "value": 1, condition.0: condition.1 });
    assert_eq!(site.batch("", json!([set("r/a", ("x", json!(0)))])).await.status, 200);
    let exists = site
        .batch(
            ALL,
            json!([
                set("b", ("if_absent", json!(true))),
                set("r/a", ("if_absent", json!(true)))
            ]),
        )
        .await;
    let expected = json!({ "error": "exists", "op_index": 1, "path": "r/a", "current_revision": 1 });
    assert_answer(&exists, 412, &expected);
    for (condition, status) in [
        (json!({ "root": "r", "leaves": { "r/a": 1 } }), 200),
        (json!({ "root": "r", "leaves": { "r/a": 1 } }), 412),
        (json!({ "root": "r", "leaves": {} }), 412),
        (json!({ "root": "r", "revision": 2 }), 200),
        (json!({ "root": "r", "revision": 2 }), 412),
        (json!({ "root": "nothing", "leaves": {} }), 200),
        (json!({ "root": "nothing", "revision": 0 }), 200),
        (json!({ "leaves": { "r/a": 5 } }), 200),
    ] {
        let answer = site
            .batch(ALL, json!([set("r/a", ("if_subtree", condition.clone()))]))
            .await;
        assert_eq!(answer.status, status, "{condition} {answer:?}");
    }
}

/// What a read gave as the revision of a record is what a write of the record expects.
#[tokio::test]
async fn a_record_is_replaced_and_deleted_by_the_revision_that_a_read_gave() {
    let site = Site::start().await;
    let whole = ("dust-extensions", "subtree_preconditions");
    let record = |title: &str| Some(json!({ "title": title, "note": { "by": "me" } }));
    assert_eq!(site.send("PUT", "/r", &[], record("first")).await.status, 200);
    assert_eq!(
        site.send("PUT", "/r/note/at", &[], Some(json!("noon"))).await.status,
        200
    );
    let etag = site
        .send("GET", "/r", &[], None)
        .await
        .header("etag")
        .unwrap()
        .to_owned();
    assert_eq!(etag, "\"2\"");
    for (stale, condition) in [("PUT", "1"), ("DELETE", "1"), ("PUT", "3"), ("DELETE", "\"3\"")] {
        let body = record("late").filter(|_| stale == "PUT");
        let answer = site.send(stale, "/r", &[whole, ("if-match", condition)], body).await;
        assert_answer(&answer, 412, &json!({ "error": "conflict", "current_revision": 2 }));
    }
    let put = site
        .send("PUT", "/r", &[whole, ("if-match", etag.as_str())], record("second"))
        .await;
    assert_answer(&put, 200, &json!({ "revision": 3, "store_seq": 3 }));
    assert_eq!(site.value("/r").await, record("second").unwrap());
    let by_body = json!({ "path": "r", "value": record("third"), "if_match": 3 });
    assert_eq!(site.send("POST", "", &[whole], Some(by_body)).await.status, 200);
    let delete = site.send("DELETE", "/r", &[whole, ("if-match", "4")], None).await;
    assert_answer(&delete, 200, &json!({ "revision": 5, "store_seq": 5 }));
    // A leaf is compared as ever.
    assert_eq!(site.send("PUT", "/leaf", &[], Some(json!(1))).await.status, 200);
    let leaf = site
        .send("PUT", "/leaf", &[whole, ("if-match", "5")], Some(json!(2)))
        .await;
    assert_answer(&leaf, 412, &json!({ "error": "conflict", "current_revision": 6 }));
}

#[tokio::test]
async fn a_repeated_op_id_says_so() {
    let site = Site::start().await;
    let id = ("x-request-id", "the-id-of-a-request-1");
    let first = site.send("PUT", "/a", &[id], Some(json!(1))).await;
    assert_answer(&first, 200, &json!({ "revision": 1, "store_seq": 1 }));
    let again = site.send("PUT", "/a", &[id], Some(json!(1))).await;
    assert_answer(
        &again,
        200,
        &json!({ "revision": 1, "store_seq": 1, "deduplicated": true }),
    );
}
