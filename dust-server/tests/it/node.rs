//! Two servers over one engine, as two nodes are over one cluster.

use std::net::SocketAddr;

use dust_server::control::{ControlError, NewToken};
use dust_server::{Config, RateLimits, Server};
use dust_store::Database;
use dust_transport::model::{Op, Path, Seq};
use dust_transport::transport::{Signal, Start, Subscribe, Transport as _};
use futures_util::StreamExt as _;
use tokio::sync::oneshot;

use crate::client::{Answer, Request};

const ENTRIES: &str = "/api/stores/acme/site/entries";

struct Node {
    server: Server,
    address: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Node {
    async fn start(database: impl Into<dust_store::AnyDatabase>) -> Self {
        let config = Config::new("")
            .with_listen("127.0.0.1:0".parse().unwrap())
            .with_rate_limits(RateLimits::OFF);
        let server = Server::on(database, config).await.unwrap();
        let listening = server.listen().await.unwrap();
        let address = listening.local_addr();
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(listening.serve_until(async {
            // An error is the sender's end.
            let _ = stopped.await;
        }));
        Self {
            server,
            address,
            _stop: stop,
        }
    }

    async fn send(&self, request: Request) -> Answer {
        request.send(self.address).await.unwrap()
    }

    /// Asks until the node has heard of what another one did. Each round is a request, so the node gets its turn.
    async fn await_status(&self, request: Request, status: u16) {
        while request.send(self.address).await.unwrap().status != status {}
    }
}

async fn two() -> (Node, Node, String) {
    let engine = Database::memory().engine().clone();
    let one = Node::start(Database::on(engine.clone())).await;
    let control = one.server.control();
    control.create_org("acme").await.unwrap();
    control.create_store("acme", "site", None).await.unwrap();
    let (_, secret) = control.create_token(NewToken::full("acme", "all")).await.unwrap();
    let two = Node::start(Database::on(engine)).await;
    (one, two, secret)
}

fn get(path: &str, token: &str) -> Request {
    Request::new("GET", &format!("{ENTRIES}/{path}"), token)
}

fn put(path: &str, token: &str, body: &str) -> Request {
    Request::new("PUT", &format!("{ENTRIES}/{path}"), token).json(body)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_node_acknowledged_the_other_reads() {
    let (one, two, token) = two().await;
    for round in 0..20 {
        let (writer, reader) = if round % 2 == 0 { (&one, &two) } else { (&two, &one) };
        assert_eq!(writer.send(put("k", &token, &round.to_string())).await.status, 200);
        let answer = reader.send(get("k", &token)).await.json();
        assert_eq!(
            (answer["value"].clone(), answer["revision"].clone()),
            (round.into(), (round + 1).into())
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_and_stores_of_one_node_are_those_of_the_other() {
    let (one, two, token) = two().await;
    let (record, late) = one
        .server
        .control()
        .create_token(NewToken::full("acme", "late"))
        .await
        .unwrap();
    two.await_status(put("k", &late, "1"), 200).await;
    assert!(two.server.control().revoke_token(record.id).await.unwrap());
    one.await_status(get("k", &late), 401).await;

    let store = two.server.control().create_store("acme", "more", None).await.unwrap();
    let more = Request::new("GET", "/api/stores/acme/more/entries", &token);
    one.await_status(more.clone(), 200).await;
    one.server.control().archive_store(store.id).await.unwrap();
    two.await_status(more, 404).await;
}

/// Neither node has heard of the other's when it gives the name away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_is_given_away_once() {
    let (one, two, _) = two().await;
    for round in 0..10 {
        let name = format!("s{round}");
        let (first, second) = tokio::join!(
            one.server.control().create_store("acme", &name, None),
            two.server.control().create_store("acme", &name, None),
        );
        let (orgs_first, orgs_second) = tokio::join!(
            one.server.control().create_org(&name),
            two.server.control().create_org(&name),
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
        assert!(
            orgs_first.is_ok() != orgs_second.is_ok(),
            "{orgs_first:?} {orgs_second:?}"
        );
        let refused = first.err().or(second.err()).unwrap();
        assert!(matches!(refused, ControlError::Exists(_)), "{refused:?}");
    }
}

/// Writers at both nodes, a follower at each, and one node that stops in the middle: the sequence has no gap and no fork.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_nodes_write_one_sequence_and_one_goes_on_alone() {
    const ROUNDS: u64 = 40;
    let engine = Database::memory().engine().clone();
    let databases = [Database::on(engine.clone()), Database::on(engine)];
    let (one, two) = (
        Node::start(databases[0].clone()).await,
        Node::start(databases[1].clone()).await,
    );
    let control = one.server.control();
    control.create_org("acme").await.unwrap();
    control.create_store("acme", "site", None).await.unwrap();
    let (_, token) = control.create_token(NewToken::full("acme", "all")).await.unwrap();
    two.await_status(get("nothing", &token), 404).await;

    let mut followers = Vec::new();
    for database in &databases {
        let store = database.store("acme/site").await.unwrap();
        let all = Subscribe::pattern("**".parse().unwrap()).start(Start::After(Seq(0)));
        followers.push(store.subscribe(all).await.unwrap());
    }
    let write = |node: &Node, who: &'static str, rounds: u64| {
        let (address, token) = (node.address, token.clone());
        async move {
            for round in 0..rounds {
                let request = put(&format!("{who}/{round}"), &token, &round.to_string());
                assert_eq!(request.send(address).await.unwrap().status, 200);
            }
        }
    };
    tokio::join!(write(&one, "one", ROUNDS), write(&two, "two", ROUNDS));
    drop(one);
    write(&two, "alone", ROUNDS).await;

    for follower in &mut followers {
        let mut expected = 1;
        while expected <= 3 * ROUNDS {
            if let Signal::Event(event) = follower.next().await.unwrap().unwrap() {
                assert_eq!(event.seq, Seq(expected));
                expected += 1;
            }
        }
    }
}

/// A control store of before names were claimed: the names in it are known all the same.
#[tokio::test]
async fn a_store_without_a_claim_keeps_its_name() {
    let database = Database::memory();
    let node = Node::start(database.clone()).await;
    node.server.control().create_org("acme").await.unwrap();
    node.server.control().create_store("acme", "old", None).await.unwrap();
    let control = database.store("system/control").await.unwrap();
    let claim = Path::parse("names/acme/old").unwrap();
    assert!(control.exists(&claim).await.unwrap());
    control.write(Op::delete(claim).into()).await.unwrap();
    let node = Node::start(database).await;
    let again = node.server.control().create_store("acme", "old", None).await;
    assert!(matches!(again, Err(ControlError::Exists(_))), "{again:?}");
}
