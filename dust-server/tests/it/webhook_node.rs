//! Webhooks of servers that share a database: each op once, and nothing lost when one of them goes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dust_server::control::NewToken;
use dust_server::{Backoff, Config, RateLimits, Server, ServerError, WebhookOptions};
use dust_store::{AnyDatabase, Clock, Database, Options};
use dust_transport::model::{Lease, Path};
use dust_transport::transport::Transport as _;
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::client::Request;
use crate::receiver::{Got, PATIENCE, Receiver, Reply};

/// By the clock of the database, which stands still unless a test moves it. The servers look three times as often, by their
/// own time.
const LEASE: Duration = Duration::from_millis(60);

/// What the servers share.
struct Site {
    /// Makes a database on the engine.
    open: Box<dyn Fn() -> AnyDatabase + Send + Sync>,
    now_ms: Arc<AtomicU64>,
    secret: String,
}

struct Node {
    server: Server,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<Result<(), ServerError>>,
}

fn clock(now_ms: &Arc<AtomicU64>) -> Clock {
    let now_ms = Arc::clone(now_ms);
    Clock::from_fn(move || now_ms.load(Ordering::SeqCst))
}

impl Site {
    async fn start() -> (Self, Node, Node) {
        let now_ms = Arc::new(AtomicU64::new(1_763_800_020_000));
        let (engine, clock) = (Database::memory().engine().clone(), clock(&now_ms));
        let open = move || Database::with_options(engine.clone(), Options::default().with_clock(clock.clone())).into();
        let mut site = Self {
            open: Box::new(open),
            now_ms,
            secret: String::new(),
        };
        let one = site.node().await;
        let control = one.server.control();
        control.create_org("acme").await.unwrap();
        control.create_store("acme", "site", None).await.unwrap();
        site.secret = control.create_token(NewToken::full("acme", "t")).await.unwrap().1;
        let two = site.node().await;
        (site, one, two)
    }

    async fn node(&self) -> Node {
        let config = Config::new("")
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_rate_limits(RateLimits::OFF)
            .with_clock(clock(&self.now_ms))
            .with_webhooks(WebhookOptions {
                private_addresses: true,
                backoff: Backoff([Duration::ZERO; 5]),
                lease: LEASE,
                ..WebhookOptions::default()
            });
        let server = Server::on((self.open)(), config).await.unwrap();
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(listening.serve_until(async {
            // An error is the sender's end.
            let _ = stopped.await;
        }));
        Node {
            server,
            address,
            stop,
            serving,
        }
    }

    /// Who delivers, by the lease; `None` while nobody does.
    async fn holder(&self) -> Option<Lease> {
        let store = (self.open)().store("system/webhooks").await.unwrap();
        let found = store.get(&Path::parse("leases").unwrap()).await.unwrap()?;
        let leases: std::collections::BTreeMap<String, dust_transport::model::Value> = found.value.to().unwrap();
        let lease = Lease::from_value(leases.values().next()?).unwrap();
        lease.is_live(self.now_ms.load(Ordering::SeqCst)).then_some(lease)
    }

    async fn holder_other_than(&self, before: Option<u64>) -> Lease {
        let reached = async {
            loop {
                match self.holder().await {
                    Some(lease) if Some(lease.token) != before => return lease,
                    _ => tokio::task::yield_now().await,
                }
            }
        };
        timeout(PATIENCE, reached).await.expect("somebody delivers")
    }

    /// Lets the leases end that nobody renews: each is renewed at this time before it moves on.
    fn pass(&self, duration: Duration) {
        let ms = u64::try_from(duration.as_millis()).unwrap();
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
    }

    async fn call(&self, node: &Node, method: &str, route: &str, body: &str) -> (u16, Value) {
        let mut request = Request::new(method, &format!("/api/stores/acme/site/{route}"), &self.secret);
        if !body.is_empty() {
            request = request.json(body);
        }
        let answer = timeout(PATIENCE, request.send(node.address)).await;
        let answer = answer.expect("an answer").unwrap();
        (answer.status, answer.json())
    }

    async fn put(&self, node: &Node, path: &str) {
        let (status, body) = self.call(node, "PUT", &format!("entries/{path}"), "1").await;
        assert_eq!(status, 200, "{body}");
    }

    async fn hook(&self, node: &Node, url: &str) -> (String, String) {
        let (status, body) = self
            .call(node, "POST", "webhooks", &json!({ "url": url }).to_string())
            .await;
        assert_eq!(status, 201, "{body}");
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        (text("id"), text("secret"))
    }

    /// Waits until a node shows a webhook so; `None` stands for no webhook.
    async fn until(&self, node: &Node, id: &str, name: &str, value: Option<Value>) {
        let reached = async {
            loop {
                let (_, body) = self.call(node, "GET", "webhooks", "").await;
                let hooks = body["webhooks"].as_array().unwrap();
                let shown = hooks
                    .iter()
                    .find(|hook| hook["id"] == id)
                    .map(|hook| hook[name].clone());
                if shown == value {
                    return;
                }
            }
        };
        timeout(PATIENCE, reached)
            .await
            .unwrap_or_else(|_| panic!("{name} becomes {value:?}"));
    }
}

impl Node {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(PATIENCE, self.serving)
            .await
            .expect("it stops")
            .unwrap()
            .unwrap();
    }

    /// Lets nothing end, as a kill does.
    async fn kill(self) {
        self.serving.abort();
        assert!(self.serving.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_op_is_sent_once_whichever_server_took_it() {
    let (site, one, two) = Site::start().await;
    let mut receiver = Receiver::start([]).await;
    let (id, secret) = site.hook(&one, &receiver.url()).await;
    site.until(&two, &id, "last_delivered_seq", Some(json!(0))).await;
    for round in 0..20 {
        site.put(if round % 2 == 0 { &one } else { &two }, &format!("k{round}"))
            .await;
    }
    for seq in 1..=20 {
        assert_eq!(receiver.seq(&secret).await, seq);
    }
    // Where it is is told by both, and stored before anything else is sent.
    for node in [&one, &two] {
        site.until(node, &id, "last_delivered_seq", Some(json!(20))).await;
        let (_, body) = site
            .call(node, "GET", &format!("webhooks/{id}/deliveries?limit=100"), "")
            .await;
        assert_eq!(body["deliveries"].as_array().unwrap().len(), 20);
    }
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_leaves_its_webhooks_to_the_other() {
    let (site, one, two) = Site::start().await;
    let mut receiver = Receiver::start([]).await;
    let (id, secret) = site.hook(&two, &receiver.url()).await;
    let mut nodes = [one, two];
    let before = site.holder_other_than(None).await;
    site.put(&nodes[0], "a").await;
    assert_eq!(receiver.seq(&secret).await, 1);
    site.until(&nodes[0], &id, "last_delivered_seq", Some(json!(1))).await;
    // One after the other stops, and a new one comes each time; none of them waits for the end of a lease.
    let mut token = before.token;
    for round in 2..=6 {
        let [oldest, other] = nodes;
        oldest.stop().await;
        let newest = site.node().await;
        nodes = [other, newest];
        site.put(&nodes[1], &format!("k{round}")).await;
        assert_eq!(receiver.seq(&secret).await, round);
        site.until(&nodes[1], &id, "last_delivered_seq", Some(json!(round)))
            .await;
        token = token.max(site.holder_other_than(None).await.token);
    }
    assert!(token > before.token, "somebody else has delivered");
    assert!(receiver.is_quiet());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_followed_by_another_once_its_lease_has_ended() {
    let (site, one, two) = Site::start().await;
    let mut receiver = Receiver::start([]).await;
    one.kill().await;
    // Nobody but the second one can have it.
    let (id, secret) = site.hook(&two, &receiver.url()).await;
    site.put(&two, "a").await;
    assert_eq!(receiver.seq(&secret).await, 1);
    let three = site.node().await;
    let before = site.holder_other_than(None).await;
    // It is killed while the receiver has an op and has not answered.
    receiver.then(Reply::Hang);
    site.put(&three, "b").await;
    assert_eq!(receiver.seq(&secret).await, 2);
    two.kill().await;
    assert!(matches!(receiver.next().await, Got::GivenUp));
    assert_eq!(site.holder().await.map(|lease| lease.token), Some(before.token));
    site.pass(LEASE);
    assert_eq!(receiver.seq(&secret).await, 2, "what was not taken comes again");
    site.put(&three, "c").await;
    assert_eq!(receiver.seq(&secret).await, 3);
    site.until(&three, &id, "last_delivered_seq", Some(json!(3))).await;
    assert!(site.holder_other_than(Some(before.token)).await.token > before.token);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_server_deletes_the_other_sends_no_more() {
    let (site, one, two) = Site::start().await;
    let mut receiver = Receiver::start([]).await;
    let mut other = Receiver::start([]).await;
    let (id, secret) = site.hook(&one, &receiver.url()).await;
    let (_, other_secret) = site.hook(&one, &other.url()).await;
    site.put(&one, "a").await;
    assert_eq!((receiver.seq(&secret).await, other.seq(&other_secret).await), (1, 1));
    for node in [&one, &two] {
        site.until(node, &id, "last_delivered_seq", Some(json!(1))).await;
    }
    assert_eq!(site.call(&two, "DELETE", &format!("webhooks/{id}"), "").await.0, 200);
    for node in [&one, &two] {
        site.until(node, &id, "active", None).await;
    }
    site.put(&two, "b").await;
    assert_eq!(other.seq(&other_secret).await, 2);
    assert!(receiver.is_quiet());
}

/// Whichever of them delivers, a ping to any of them takes the webhook up again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_to_any_server_takes_a_webhook_up_again() {
    let (site, one, two) = Site::start().await;
    let mut receiver = Receiver::start([]).await;
    let (id, secret) = site.hook(&one, &receiver.url()).await;
    for (round, node) in [(1, &one), (2, &two)] {
        for _ in 0..5 {
            receiver.then(Reply::Status(500));
        }
        site.put(&one, &format!("k{round}")).await;
        for _ in 0..5 {
            assert_eq!(receiver.seq(&secret).await, round);
        }
        for node in [&one, &two] {
            site.until(node, &id, "active", Some(json!(false))).await;
        }
        let (status, body) = site.call(node, "POST", &format!("webhooks/{id}/ping"), "").await;
        assert_eq!((status, &body["ok"]), (200, &json!(true)));
        assert_eq!(receiver.request(&secret).await["event"], "ping");
        assert_eq!(receiver.seq(&secret).await, round);
        for node in [&one, &two] {
            site.until(node, &id, "last_delivered_seq", Some(json!(round))).await;
        }
    }
    assert!(receiver.is_quiet());
}

/// A server whose lease has ended without its knowing writes no cursor over that of its successor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_taken_over_writes_no_cursor() {
    let (site, one, two) = Site::start().await;
    let mut receiver = Receiver::start([]).await;
    let (id, secret) = site.hook(&one, &receiver.url()).await;
    let before = site.holder_other_than(None).await;
    site.put(&one, "a").await;
    assert_eq!(receiver.seq(&secret).await, 1);
    site.until(&two, &id, "last_delivered_seq", Some(json!(1))).await;
    // Its lease is given to nobody by whoever could; as after a pause that was too long.
    let store = (site.open)().store("system/webhooks").await.unwrap();
    let leases = store.get(&Path::parse("leases").unwrap()).await.unwrap().unwrap();
    let leases: std::collections::BTreeMap<String, dust_transport::model::Value> = leases.value.to().unwrap();
    let key = Path::new(["leases", leases.keys().next().unwrap()]).unwrap();
    store
        .write(dust_transport::model::Op::release(key, before.token).into())
        .await
        .unwrap();
    let after = site.holder_other_than(Some(before.token)).await;
    for round in 2..=5 {
        site.put(&two, &format!("k{round}")).await;
    }
    // What either of them had under way may come twice, and then behind what the other has sent since; nothing is left out or
    // comes before what is before it, and the cursor never goes back.
    let mut seen = Vec::new();
    while seen.last() != Some(&5) {
        let seq = receiver.seq(&secret).await;
        if !seen.contains(&seq) {
            seen.push(seq);
        }
    }
    assert_eq!(seen, [2, 3, 4, 5]);
    for node in [&one, &two] {
        site.until(node, &id, "last_delivered_seq", Some(json!(5))).await;
    }
    assert!(after.token > before.token);
}
