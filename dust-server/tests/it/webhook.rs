//! Webhooks, with receivers that take, refuse, hang and go away, and a server that is stopped in between.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dust_server::control::NewToken;
use dust_server::{Backoff, Config, RateLimits, Server, ServerError, WebhookOptions};
use dust_store::Clock;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Request;
use crate::receiver::{Got, PATIENCE, Receiver, Reply};

/// A folder with one store, `acme/site`, served or not.
struct Site {
    folder: TempDir,
    now_ms: Arc<AtomicU64>,
    secret: String,
    options: WebhookOptions,
    running: Option<Running>,
}

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServerError>>,
}

/// Sends again at once.
fn at_once() -> WebhookOptions {
    WebhookOptions {
        private_addresses: true,
        backoff: Backoff([Duration::ZERO; 5]),
        ..WebhookOptions::default()
    }
}

/// Sends again when the wire says.
fn as_usual() -> WebhookOptions {
    WebhookOptions {
        private_addresses: true,
        ..WebhookOptions::default()
    }
}

impl Site {
    async fn start(options: WebhookOptions) -> Self {
        let mut site = Self {
            folder: TempDir::new().unwrap(),
            now_ms: Arc::new(AtomicU64::new(1_763_800_020_000)),
            secret: String::new(),
            options,
            running: None,
        };
        let server = site.open().await;
        server.control().create_org("acme").await.unwrap();
        for name in ["site", "side"] {
            server.control().create_store("acme", name, None).await.unwrap();
        }
        let token = server
            .control()
            .create_token(NewToken::full("acme", "t"))
            .await
            .unwrap();
        site.secret = token.1;
        site.serve(server).await;
        site
    }

    async fn open(&self) -> Server {
        let clock = Arc::clone(&self.now_ms);
        let config = Config::new(self.folder.path().join("data"))
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_rate_limits(RateLimits::OFF)
            .with_webhooks(self.options.clone())
            .with_clock(Clock::from_fn(move || clock.load(Ordering::Relaxed)));
        Server::open(config).await.unwrap()
    }

    async fn serve(&mut self, server: Server) {
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(listening.serve_until(async {
            // An error is the sender's end.
            let _ = stopped.await;
        }));
        self.running = Some(Running { address, stop, serving });
    }

    /// Lets what is under way end.
    async fn stop(&mut self) {
        let Running { stop, serving, .. } = self.running.take().unwrap();
        stop.send(()).unwrap();
        timeout(PATIENCE, serving).await.expect("it stops").unwrap().unwrap();
    }

    /// Lets nothing end.
    async fn abort(&mut self) {
        let Running { serving, .. } = self.running.take().unwrap();
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    async fn restart(&mut self) {
        let server = self.open().await;
        self.serve(server).await;
    }

    async fn call(&self, method: &str, route: &str, body: &str) -> (u16, Value) {
        let mut request = Request::new(method, &format!("/api/stores/acme/site/{route}"), &self.secret);
        if !body.is_empty() {
            request = request.json(body);
        }
        let answer = timeout(PATIENCE, request.send(self.running.as_ref().unwrap().address)).await;
        let answer = answer.expect("an answer").unwrap();
        (answer.status, answer.json())
    }

    async fn put(&self, path: &str) {
        let (status, body) = self.call("PUT", &format!("entries/{path}"), "1").await;
        assert_eq!(status, 200, "{body}");
    }

    /// Makes a webhook: its id and its secret.
    async fn hook(&self, url: &str) -> (String, String) {
        let (status, body) = self.call("POST", "webhooks", &json!({ "url": url }).to_string()).await;
        assert_eq!(status, 201, "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    async fn shown(&self, id: &str) -> Value {
        let (_, body) = self.call("GET", "webhooks", "").await;
        let hooks = body["webhooks"].as_array().unwrap();
        hooks.iter().find(|hook| hook["id"] == id).expect("the webhook").clone()
    }

    async fn deliveries(&self, id: &str) -> Vec<Value> {
        let (_, body) = self
            .call("GET", &format!("webhooks/{id}/deliveries?limit=100"), "")
            .await;
        body["deliveries"].as_array().unwrap().clone()
    }

    /// Waits until a webhook is shown so.
    async fn until(&self, id: &str, name: &str, value: Value) {
        let reached = async { while self.shown(id).await[name] != value {} };
        timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{name} becomes {value}"));
    }
}

#[tokio::test]
async fn every_committed_op_is_sent_in_order_whichever_way_it_came() {
    let site = Site::start(as_usual()).await;
    site.put("before").await;
    let mut receiver = Receiver::start([]).await;
    let (id, secret) = site.hook(&receiver.url()).await;
    assert!(secret.starts_with("whsec_") && secret.len() == 70, "{secret}");
    site.put("a").await;
    let batch = r#"{"ops":[{"op":"set","path":"b","value":{"x":[1]}},{"op":"delete","path":"a"}]}"#;
    assert_eq!(site.call("POST", "entries/batch_write", batch).await.0, 200);
    let mut import = Request::new("POST", "/api/stores/acme/site/import", &site.secret);
    import
        .headers
        .push(("content-type".into(), "application/x-ndjson".into()));
    import.body = br#"{"path":"c/d","value":2,"type":"counter"}"#.to_vec();
    let imported = import.send(site.running.as_ref().unwrap().address).await.unwrap();
    assert_eq!(imported.json()["imported"], 1);

    let mut sent = Vec::new();
    for _ in 0..4 {
        let mut body = receiver.request(&secret).await;
        let device = body["device_id"].take();
        assert!(device.as_str().unwrap().starts_with("http:"), "{device}");
        assert_eq!(body["timestamp"].take(), "2025-11-22T08:27:00.000000Z");
        sent.push(body);
    }
    let event = |seq: u64, op: &str, path: &str, value: Value| {
        json!({
            "event": "entry.changed", "store": "acme/site", "store_seq": seq, "op": op, "path": path, "value": value,
            "device_id": null, "timestamp": null,
        })
    };
    let expected = [
        event(2, "set", "a", json!(1)),
        event(3, "set", "b", json!({ "x": [1] })),
        event(4, "delete", "a", json!(null)),
        event(5, "increment", "c/d", json!(2)),
    ];
    assert_eq!(sent, expected);
    site.until(&id, "last_delivered_seq", json!(5)).await;
    let seqs: Vec<_> = site
        .deliveries(&id)
        .await
        .iter()
        .map(|found| found["store_seq"].clone())
        .collect();
    assert_eq!(seqs, [5, 4, 3, 2]);
}

#[tokio::test]
async fn what_is_not_taken_is_sent_again_before_anything_else() {
    let site = Site::start(at_once()).await;
    let mut elsewhere = Receiver::start([]).await;
    let script = [Reply::Status(500), Reply::Elsewhere(elsewhere.url()), Reply::Late];
    let mut receiver = Receiver::start(script).await;
    let (id, secret) = site.hook(&receiver.url()).await;
    site.put("a").await;
    site.put("b").await;
    for _ in 0..3 {
        assert_eq!(receiver.seq(&secret).await, 1);
    }
    assert!(matches!(receiver.next().await, Got::GivenUp));
    assert_eq!((receiver.seq(&secret).await, receiver.seq(&secret).await), (1, 2));
    assert!(elsewhere.is_quiet());
    site.until(&id, "last_delivered_seq", json!(2)).await;
    assert_eq!(site.shown(&id).await["failure_count"], 0);
    let found = site.deliveries(&id).await;
    let found: Vec<_> = found
        .iter()
        .map(|found| json!([found["store_seq"], found["status_code"], found["error"]]))
        .collect();
    let expected = [
        json!([2, 200, null]),
        json!([1, 200, null]),
        json!([1, null, "timeout"]),
        json!([1, 307, null]),
        json!([1, 500, null]),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn deliveries_go_on_after_a_restart() {
    let mut site = Site::start(as_usual()).await;
    let mut receiver = Receiver::start([Reply::Status(200), Reply::Status(500)]).await;
    let (id, secret) = site.hook(&receiver.url()).await;
    site.put("a").await;
    site.put("b").await;
    assert_eq!((receiver.seq(&secret).await, receiver.seq(&secret).await), (1, 2));
    site.until(&id, "failure_count", json!(1)).await;
    let (before, log) = (site.shown(&id).await, site.deliveries(&id).await);
    assert_eq!((&before["last_delivered_seq"], log.len()), (&json!(1), 2));
    site.stop().await;

    // The wait goes on over the restart; it is over.
    site.now_ms.fetch_add(60_000, Ordering::Relaxed);
    site.restart().await;
    assert_eq!(receiver.seq(&secret).await, 2);
    site.put("c").await;
    assert_eq!(receiver.seq(&secret).await, 3);
    site.until(&id, "last_delivered_seq", json!(3)).await;
    assert_eq!(site.deliveries(&id).await[2..], log);

    // In the middle of a request, and without a farewell.
    receiver.then(Reply::Hang);
    site.put("d").await;
    assert_eq!(receiver.seq(&secret).await, 4);
    site.abort().await;
    assert!(matches!(receiver.next().await, Got::GivenUp));
    site.restart().await;
    let mut seq = receiver.seq(&secret).await;
    // What was taken shortly before may come again; nothing is left out.
    assert!(seq <= 4, "{seq}");
    while seq < 4 {
        let next = receiver.seq(&secret).await;
        assert_eq!(next, seq + 1);
        seq = next;
    }
    site.until(&id, "last_delivered_seq", json!(4)).await;
}

#[tokio::test]
async fn a_webhook_that_fails_five_times_rests_until_a_ping_is_answered() {
    let site = Site::start(at_once()).await;
    let mut receiver = Receiver::start(vec![Reply::Status(503); 6]).await;
    let (id, secret) = site.hook(&receiver.url()).await;
    site.put("a").await;
    for _ in 0..5 {
        assert_eq!(receiver.seq(&secret).await, 1);
    }
    site.until(&id, "active", json!(false)).await;
    assert_eq!(site.shown(&id).await["failure_count"], 5);
    site.put("b").await;

    let ping = format!("webhooks/{id}/ping");
    let (status, body) = site.call("POST", &ping, "").await;
    assert_eq!(
        (status, &body["ok"], &body["status_code"]),
        (200, &json!(false), &json!(503))
    );
    assert_eq!(receiver.request(&secret).await["event"], "ping");
    assert_eq!(site.shown(&id).await["active"], json!(false));

    let (_, body) = site.call("POST", &ping, "").await;
    assert_eq!(body["ok"], json!(true));
    let pinged = receiver.request(&secret).await;
    assert_eq!(
        (&pinged["event"], &pinged["store"]),
        (&json!("ping"), &json!("acme/site"))
    );
    assert_eq!((receiver.seq(&secret).await, receiver.seq(&secret).await), (1, 2));
    site.until(&id, "last_delivered_seq", json!(2)).await;
    let shown = site.shown(&id).await;
    assert_eq!((&shown["active"], &shown["failure_count"]), (&json!(true), &json!(0)));
}

#[tokio::test]
async fn a_webhook_at_rest_stays_so_over_a_restart() {
    let mut site = Site::start(at_once()).await;
    let mut receiver = Receiver::start(vec![Reply::Status(500); 5]).await;
    let (id, secret) = site.hook(&receiver.url()).await;
    site.put("a").await;
    for _ in 0..5 {
        assert_eq!(receiver.seq(&secret).await, 1);
    }
    site.until(&id, "active", json!(false)).await;
    site.stop().await;
    site.restart().await;
    let shown = site.shown(&id).await;
    assert_eq!((&shown["active"], &shown["failure_count"]), (&json!(false), &json!(5)));
    assert!(receiver.is_quiet());
    let (_, body) = site.call("POST", &format!("webhooks/{id}/ping"), "").await;
    assert_eq!(body["ok"], json!(true));
    assert_eq!(receiver.request(&secret).await["event"], "ping");
    assert_eq!(receiver.seq(&secret).await, 1);
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_neither_writes_nor_others() {
    let site = Site::start(WebhookOptions {
        timeout: PATIENCE * 10,
        ..as_usual()
    })
    .await;
    let mut slow = Receiver::start([Reply::Hang]).await;
    let mut quick = Receiver::start([]).await;
    let (slow_id, slow_secret) = site.hook(&slow.url()).await;
    let (quick_id, quick_secret) = site.hook(&quick.url()).await;
    for n in 1..=60 {
        site.put(&format!("a/{n}")).await;
    }
    for n in 1..=60 {
        assert_eq!(quick.seq(&quick_secret).await, n);
    }
    site.until(&quick_id, "last_delivered_seq", json!(60)).await;
    assert_eq!(slow.seq(&slow_secret).await, 1);
    assert_eq!(site.shown(&slow_id).await["last_delivered_seq"], 0);

    // Deleted while it waits for an answer: the request is given up, and nothing follows.
    let (status, _) = site.call("DELETE", &format!("webhooks/{slow_id}"), "").await;
    assert_eq!(status, 200);
    assert!(matches!(slow.next().await, Got::GivenUp));
    site.put("b").await;
    assert_eq!(quick.seq(&quick_secret).await, 61);
    assert!(slow.is_quiet());
    let (status, _) = site.call("GET", &format!("webhooks/{slow_id}/deliveries"), "").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn what_was_deleted_is_not_there_after_a_restart() {
    let mut site = Site::start(as_usual()).await;
    let mut receiver = Receiver::start([]).await;
    let (gone, secret) = site.hook(&receiver.url()).await;
    site.put("a").await;
    assert_eq!(receiver.seq(&secret).await, 1);
    assert_eq!(site.call("DELETE", &format!("webhooks/{gone}"), "").await.0, 200);
    let (kept, _) = site.hook(&receiver.url()).await;
    site.stop().await;
    site.restart().await;
    let (_, body) = site.call("GET", "webhooks", "").await;
    let ids: Vec<_> = body["webhooks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hook| &hook["id"])
        .collect();
    assert_eq!(ids, [&kept]);
}

#[tokio::test]
async fn a_store_has_its_own_webhooks_and_not_too_many() {
    let site = Site::start(as_usual()).await;
    let (id, _) = site.hook("http://127.0.0.1:1/").await;
    let of_side = Request::new(
        "GET",
        &format!("/api/stores/acme/side/webhooks/{id}/deliveries"),
        &site.secret,
    );
    assert_eq!(
        of_side
            .send(site.running.as_ref().unwrap().address)
            .await
            .unwrap()
            .status,
        404
    );
    for _ in 1..100 {
        site.hook("http://127.0.0.1:1/").await;
    }
    let (status, body) = site.call("POST", "webhooks", r#"{"url":"http://127.0.0.1:1/"}"#).await;
    assert_eq!((status, &body["error"]), (422, &json!("limit_exceeded")));
    let (_, body) = site.call("POST", &format!("webhooks/{id}/ping"), "").await;
    assert_eq!(
        body,
        json!({ "ok": false, "error": "the receiver was not reached", "detail": "the receiver gave no answer" })
    );
}

#[tokio::test]
async fn an_archived_store_sends_nothing() {
    let mut site = Site::start(as_usual()).await;
    let mut receiver = Receiver::start([Reply::Status(500)]).await;
    let (id, secret) = site.hook(&receiver.url()).await;
    site.put("a").await;
    assert_eq!(receiver.seq(&secret).await, 1);
    site.until(&id, "failure_count", json!(1)).await;
    let call = async |site: &Site, method: &str, target: &str, body: Value| {
        let request = Request::new(method, target, &site.secret).json(&body.to_string());
        let answer = request.send(site.running.as_ref().unwrap().address).await.unwrap();
        assert!((200..300).contains(&answer.status), "{answer:?}");
        answer.json()
    };
    call(&site, "DELETE", "/api/stores/acme/site", json!({})).await;
    site.stop().await;
    // What waited is due.
    site.now_ms.fetch_add(60_000, Ordering::Relaxed);
    site.restart().await;
    let beside = json!({ "url": receiver.url() });
    let beside = call(&site, "POST", "/api/stores/acme/side/webhooks", beside).await;
    call(&site, "PUT", "/api/stores/acme/side/entries/b", json!(2)).await;
    let sent = receiver.request(beside["secret"].as_str().unwrap()).await;
    assert_eq!(sent["store"], "acme/side");
    assert!(receiver.is_quiet());
}
