//! The client of this house against the server of this house: the promises of `Transport`, and records.

use std::net::SocketAddr;

use dust_orm::prelude::*;
use dust_orm::{Migration, Step};
use dust_server::control::NewToken;
use dust_server::{Config, RateLimits, Server};
use dust_transport::http::{Discovery, Http, HttpOptions};
use dust_transport::transport::Transport as _;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// What keeps a server running.
struct Running {
    _stop: oneshot::Sender<()>,
    _folder: TempDir,
}

/// A server with one empty store, `acme/site`: its address, a token, and what keeps it running.
async fn serve() -> (SocketAddr, String, Running) {
    let folder = TempDir::new().unwrap();
    let config = Config::new(folder.path().join("data"))
        .with_listen("127.0.0.1:0".parse().unwrap())
        // The suite sends a string of ten megabytes.
        .with_body_bytes_max(32 << 20)
        .with_rate_limits(RateLimits::OFF);
    let server = Server::open(config).await.unwrap();
    server.control().create_org("acme").await.unwrap();
    server.control().create_store("acme", "site", None).await.unwrap();
    let (_, secret) = server
        .control()
        .create_token(NewToken::full("acme", "suite"))
        .await
        .unwrap();
    let listening = server.listen().await.unwrap();
    let address = listening.local_addr();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(listening.serve_until(async {
        // An error is the sender's end.
        let _ = stopped.await;
    }));
    let running = Running {
        _stop: stop,
        _folder: folder,
    };
    (address, secret, running)
}

/// A client that speaks as to the original.
async fn plain() -> (Http, Running) {
    let (address, token, running) = serve().await;
    let options = HttpOptions::new("acme/site", token)
        .base_url(format!("http://{address}"))
        .discovery(Discovery::Never)
        .op_ids_are_deduplicated(true);
    (Http::new(options).unwrap(), running)
}

/// A client that has found out what this server does beyond the original.
async fn extended() -> (Http, Running) {
    let (address, token, running) = serve().await;
    let options = HttpOptions::new("acme/site", token).base_url(format!("http://{address}"));
    (Http::connect(options).await.unwrap(), running)
}

mod plain_suite {
    dust_transport::transport_suite!(super::plain);
}

mod extended_suite {
    dust_transport::transport_suite!(super::extended);
}

#[tokio::test]
async fn a_client_finds_out_what_the_server_does() {
    let (plain, _running) = plain().await;
    let known = plain.capabilities();
    assert!(!known.value_ops && !known.absent_in_batches && !known.subtree_preconditions && known.subtree_by_leaf);
    let (extended, _running) = extended().await;
    let known = extended.capabilities();
    assert!(known.value_ops && known.absent_in_batches && known.subtree_preconditions && known.op_ids);
    assert!(!known.subtree_by_leaf);
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "reading/links", index(title))]
struct Link {
    slug: String,
    #[dust(required)]
    title: String,
    note: Option<String>,
}

fn link(slug: &str) -> Link {
    Link {
        slug: slug.into(),
        title: format!("Title of {slug}"),
        note: None,
    }
}

#[tokio::test]
async fn records_go_through_the_server_and_come_back() {
    let (address, token, _running) = serve().await;
    let config = dust_orm::Config::new("acme/site", token).base_url(format!("http://{address}"));
    let repo = Repo::http(config).unwrap();
    assert_eq!(repo.transport().name(), "http");

    let slugs = ["dust", "a/b~c", "*", "100 %", "ä+ö"];
    for slug in slugs {
        repo.insert(link(slug)).await.unwrap();
    }
    for slug in slugs {
        assert_eq!(repo.get(slug).await.unwrap(), Some(link(slug)), "{slug}");
    }
    assert_eq!(repo.all::<Link>().await.unwrap().len(), slugs.len());

    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    let edit = found.change().put(Link::TITLE, "Dust");
    repo.update(edit.clone()).if_match(found.version()).await.unwrap();
    let late = repo
        .update(edit.put(Link::TITLE, "late"))
        .if_match(found.version())
        .await
        .unwrap_err();
    assert!(late.is_conflict());

    // A record with a field that another client wrote: whole records are compared.
    let found = repo.get_versioned::<Link>("a/b~c").await.unwrap().unwrap();
    repo.update(link("a/b~c").change().put(Link::NOTE, "theirs"))
        .await
        .unwrap();
    let stale = found.change().put(Link::TITLE, "mine");
    assert!(
        repo.update(stale)
            .if_match(found.version())
            .await
            .unwrap_err()
            .is_conflict()
    );

    let batch = Batch::new().insert(link("new")).delete::<Link>("dust");
    repo.batch_write(batch).await.unwrap();
    assert_eq!(repo.get::<Link>("dust").await.unwrap(), None);
    let refused = repo.subscribe::<Link>().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotSupported);
    let refused = repo.broadcast::<Link>("links").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotSupported);
}

#[tokio::test]
async fn records_are_found_by_their_fields() {
    let (address, token, _running) = serve().await;
    let config = dust_orm::Config::new("acme/site", token).base_url(format!("http://{address}"));
    let repo = Repo::http(config.clone()).unwrap();
    repo.insert(link("b")).await.unwrap();
    repo.ensure_indexes::<Link>().await.unwrap();
    repo.batch_write(Batch::new().insert(link("c")).insert(link("a")))
        .await
        .unwrap();
    let query = repo
        .query(Link::TITLE.between("Title of b"..))
        .order_by(Link::TITLE.desc());
    assert_eq!(query.all().await.unwrap(), [link("c"), link("b")]);
    let page = query.clone().limit(1).page().await.unwrap();
    let rest = query.after(page.next).page().await.unwrap();
    assert_eq!((page.records, rest.records), (vec![link("c")], vec![link("b")]));

    let original = Repo::http(config.without_extensions()).unwrap();
    let refused = original.ensure_indexes::<Link>().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotSupported);
}

#[tokio::test]
async fn a_wrong_token_and_a_server_that_is_gone_are_clear_errors() {
    let (address, _, running) = serve().await;
    let config = dust_orm::Config::new("acme/site", "dust_tok_wrong")
        .base_url(format!("http://{address}"))
        .attempts_max(1);
    let repo = Repo::http(config).unwrap();
    let unauthorized = repo.get::<Link>("dust").await.unwrap_err();
    assert_eq!(unauthorized.kind(), ErrorKind::Unauthorized);
    assert!(!format!("{repo:?} {unauthorized:?}").contains("dust_tok_wrong"));
    drop(running);
}

/// A link before its title was called so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "reading/links")]
struct OldLink {
    slug: String,
    headline: Option<String>,
    count: Option<u64>,
}

const MIGRATIONS: &[Migration] = &[
    Migration::new(1, "titles", &[Step::rename_field::<Link>("headline", "title")]),
    Migration::new(2, "links by title", &[Step::ensure_indexes::<Link>()]),
    Migration::new(3, "no counts", &[Step::delete_field::<Link>("count")]),
];

const COPIES: &[Migration] = &[Migration::new(
    4,
    "copies",
    &[Step::copy_field::<Link>("title", "heading")],
)];

#[tokio::test]
async fn migrations_run_over_http_once_beside_writers() {
    let (address, token, _running) = serve().await;
    let config = dust_orm::Config::new("acme/site", token).base_url(format!("http://{address}"));
    let repo = Repo::http(config.clone()).unwrap();
    let old = |number: u64| OldLink {
        slug: format!("l{number}"),
        headline: Some(format!("Title {number}")),
        count: Some(number),
    };
    let batch = (0..40).fold(Batch::new(), |batch, number| batch.insert(old(number)));
    repo.batch_write(batch).await.unwrap();

    let writer = {
        let repo = repo.clone();
        tokio::spawn(async move {
            for number in (0..40).rev() {
                let edit = link(&format!("l{number}")).change().put(Link::NOTE, number.to_string());
                repo.update(edit).await.unwrap();
            }
        })
    };
    let migrators = (0..2).map(|_| {
        // Each finds out by itself what the server can do.
        let repo = Repo::http(config.clone()).unwrap();
        tokio::spawn(async move { repo.migrate(MIGRATIONS).batch_records(5).await.unwrap() })
    });
    let mut done: Vec<u64> = Vec::new();
    for migrator in migrators.collect::<Vec<_>>() {
        done.extend(migrator.await.unwrap());
    }
    writer.await.unwrap();
    done.sort_unstable();
    assert_eq!(done, [1, 2, 3]);

    let by_title = repo.query(Link::TITLE.ge("Title".to_owned())).all().await.unwrap();
    assert_eq!(by_title.len(), 40);
    for number in 0..40 {
        let found = repo.fetch::<Link>(format!("l{number}")).await.unwrap();
        let (title, note) = (format!("Title {number}"), Some(number.to_string()));
        assert_eq!((found.title, found.note), (title, note), "{number}");
        let late = repo.fetch::<OldLink>(format!("l{number}")).await.unwrap();
        assert_eq!((late.headline, late.count), (None, None));
    }
    assert!(repo.migrate(MIGRATIONS).await.unwrap().is_empty());
    let changed = [Migration::new(1, "other", &[])];
    let error = repo.migrate(&changed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidParams);

    // The wire of the original compares no whole records.
    let original = Repo::http(config.without_extensions()).unwrap();
    let error = original.migrate(&[MIGRATIONS, COPIES].concat()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotSupported);
}
