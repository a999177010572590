//! Clones that are made while others are made, and while their store is written.

use dust_server::RateLimits;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::Request;
use crate::fixture::Fixture;

async fn ask(fixture: &Fixture, method: &str, target: &str, body: &Value) -> (u16, Value) {
    let request = Request::new(method, target, &fixture.tokens["admin"]).json(&body.to_string());
    let answer = request.send(fixture.address).await.unwrap();
    (answer.status, answer.json())
}

#[tokio::test]
async fn of_all_who_want_a_name_one_gets_it() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let put = ask(&fixture, "PUT", "/api/stores/acme/site/entries/a", &json!(1)).await;
    assert_eq!(put.0, 200);
    let mut asked = JoinSet::new();
    for n in 0..12 {
        let target = if n % 3 == 0 {
            "/api/stores"
        } else {
            "/api/stores/acme/site/clone"
        };
        let request = Request::new("POST", target, &fixture.tokens["admin"]).json(r#"{"name":"copy"}"#);
        let address = fixture.address;
        asked.spawn(async move { (n, request.send(address).await.unwrap().status) });
    }
    let mut answers = asked.join_all().await;
    answers.sort_unstable();
    let (made, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(_, status)| *status == 201);
    assert_eq!(made.len(), 1, "{made:?}");
    assert!(refused.iter().all(|(_, status)| *status == 422), "{refused:?}");
    let (_, found) = ask(&fixture, "GET", "/api/stores/acme/copy/entries", &json!(null)).await;
    let cloned = made[0].0 % 3 != 0;
    assert_eq!(found["items"].as_array().unwrap().len(), usize::from(cloned));
}

#[tokio::test]
async fn a_clone_is_one_state_of_a_store_that_is_written_meanwhile() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let mut writing = JoinSet::new();
    for writer in 0..4 {
        let (address, token) = (fixture.address, fixture.tokens["admin"].clone());
        writing.spawn(async move {
            for n in 0..40 {
                let set = |path: &str| json!({ "op": "set", "path": format!("{writer}/{path}"), "value": n });
                let batch = json!({ "ops": [set("a"), set("b")] }).to_string();
                let request = Request::new("POST", "/api/stores/acme/site/entries/batch_write", &token).json(&batch);
                assert_eq!(request.send(address).await.unwrap().status, 200);
            }
        });
    }
    for copy in 0..6 {
        let name = json!({ "name": format!("copy-{copy}") });
        let (status, body) = ask(&fixture, "POST", "/api/stores/acme/site/clone", &name).await;
        assert_eq!(status, 201, "{body}");
        let target = format!("/api/stores/acme/copy-{copy}");
        let (_, found) = ask(&fixture, "GET", &format!("{target}/entries?limit=1000"), &json!(null)).await;
        let items = found["items"].as_array().unwrap();
        for pair in items.chunks(2) {
            assert_eq!((pair.len(), &pair[0]["value"]), (2, &pair[1]["value"]), "{found}");
        }
        // The log is that of the same state, and the clone goes on after it.
        let (_, log) = ask(&fixture, "GET", &format!("{target}/log?limit=1"), &json!(null)).await;
        let head = log["ops"][0]["store_seq"].as_u64().unwrap_or(0);
        assert_eq!(log["pagination"]["total"], head, "{log}");
        assert!(items.iter().all(|item| item["revision"].as_u64().unwrap() <= head));
        let (_, written) = ask(&fixture, "PUT", &format!("{target}/entries/own"), &json!(1)).await;
        assert_eq!(written["store_seq"], head + 1);
    }
    writing.join_all().await;
}
