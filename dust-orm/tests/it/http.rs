//! Records over HTTP: what goes over the wire for them, and what a program learns of a wire that cannot do everything.

use dust_orm::prelude::*;
use wiremock::matchers::{body_json_string, method, path, query_param};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::record::{Link, Page, link, page};

const ENTRIES: &str = "/api/stores/acme/reading/entries";

fn repo(server: &MockServer) -> Repo {
    Repo::http(
        Config::new("acme/reading", "dust_tok_secret")
            .base_url(server.uri())
            .attempts_max(1),
    )
    .unwrap()
}

fn json(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body, "application/json")
}

/// A store that holds the link `dust`, its title at revision 3 and its url at revision 4.
async fn with_link() -> MockServer {
    let server = MockServer::start().await;
    let leaves = r#"{"items":[
        {"path":"reading/links/dust/title","value":"Title of dust","type":"string","revision":3},
        {"path":"reading/links/dust/url","value":"https://dustlayer.io","type":"string","revision":4}
    ],"next_cursor":null}"#;
    Mock::given(method("GET"))
        .and(path(ENTRIES))
        .and(query_param("pattern", "reading/links/dust/**"))
        .respond_with(json(200, leaves))
        .mount(&server)
        .await;
    server
}

#[tokio::test]
async fn a_flat_record_travels_as_one_batch() {
    let server = MockServer::start().await;
    let ops = r#"{"ops":[
        {"op":"set","path":"reading/links/dust/title","value":"Title of dust"},
        {"op":"set","path":"reading/links/dust/url","value":"https://dustlayer.io"}
    ]}"#;
    let written = r#"{"ops":[
        {"path":"reading/links/dust/title","revision":1,"store_seq":1},
        {"path":"reading/links/dust/url","revision":2,"store_seq":2}
    ],"store_seq":2}"#;
    Mock::given(method("POST"))
        .and(path(format!("{ENTRIES}/batch_write")))
        .and(body_json_string(ops))
        .respond_with(json(200, written))
        .expect(1)
        .mount(&server)
        .await;
    let repo = repo(&server);
    assert_eq!(repo.transport().name(), "http");
    assert_eq!(repo.insert(link("dust")).await.unwrap(), link("dust"));
}

#[tokio::test]
async fn a_map_record_travels_as_one_put() {
    let server = MockServer::start().await;
    Mock::given(method("PUT"))
        .and(path(format!("{ENTRIES}/pages/home")))
        .respond_with(json(200, r#"{"revision":1,"store_seq":1}"#))
        .expect(1)
        .mount(&server)
        .await;
    assert_eq!(repo(&server).insert(page("home")).await.unwrap(), page("home"));
}

#[tokio::test]
async fn an_update_compares_the_leaves_that_it_sets() {
    let server = with_link().await;
    let ops = r#"{"ops":[
        {"op":"set","path":"reading/links/dust/title","value":"mine","if_match":3},
        {"op":"set","path":"reading/links/dust/url","value":"https://example.org","if_match":4}
    ]}"#;
    let conflict = r#"{"error":"conflict","op_index":1,"path":"reading/links/dust/url","current_revision":9}"#;
    Mock::given(method("POST"))
        .and(path(format!("{ENTRIES}/batch_write")))
        .and(body_json_string(ops))
        .respond_with(json(412, conflict))
        .expect(1)
        .mount(&server)
        .await;
    let repo = repo(&server);
    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    let edit = found
        .change()
        .put(Link::TITLE, "mine")
        .put(Link::URL, "https://example.org");
    let refused = repo.update(edit).if_match(found.version()).await.unwrap_err();
    let error = refused.dust().unwrap();
    assert!(error.is_conflict() && error.conflict().is_some(), "{error:?}");
}

#[tokio::test]
async fn what_a_whole_record_would_be_compared_for_is_refused() {
    let server = with_link().await;
    let repo = repo(&server);
    let found = repo.get_versioned::<Link>("dust").await.unwrap().unwrap();
    let edit = || found.change().put(Link::TITLE, "mine");
    let kinds = [
        repo.update(edit())
            .if_match(4)
            .await
            .unwrap_err()
            .dust()
            .map(Error::kind),
        repo.delete::<Link>("dust")
            .if_match(found.version())
            .await
            .err()
            .map(|error| error.kind()),
        repo.insert(link("new"))
            .if_absent()
            .await
            .unwrap_err()
            .dust()
            .map(Error::kind),
        repo.insert(page("home"))
            .if_absent()
            .await
            .unwrap_err()
            .dust()
            .map(Error::kind),
        repo.subscribe::<Page>().await.err().map(|error| error.kind()),
    ];
    assert_eq!(kinds, [Some(ErrorKind::NotSupported); 5]);
    let sent = server.received_requests().await.unwrap();
    assert!(sent.iter().all(|request| request.method.as_str() == "GET"), "{sent:?}");
}

#[test]
fn the_environment_names_store_token_and_server() {
    let from = |variables: &'static [(&str, &str)]| {
        let find = move |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::from_variables(find).and_then(Repo::http)
    };
    let shown = |variables| format!("{:?}", from(variables).unwrap());
    let hosted = shown(&[("DUST_STORE", "acme/reading"), ("DUST_TOKEN", "dust_tok_secret\n")]);
    assert!(
        hosted.contains("https://dustlayer.io") && hosted.contains("acme/reading"),
        "{hosted}"
    );
    assert!(!hosted.contains("secret"), "{hosted}");
    let own = shown(&[
        ("DUST_STORE", "acme/reading"),
        ("DUST_TOKEN", "t"),
        ("DUST_BASE_URL", "http://127.0.0.1:7755"),
    ]);
    assert!(own.contains("http://127.0.0.1:7755"), "{own}");

    for (variables, message) in [
        (&[][..], "DUST_STORE is not set"),
        (&[("DUST_TOKEN", "t")], "DUST_STORE is not set"),
        (&[("DUST_STORE", "acme/reading")], "DUST_TOKEN is not set"),
        (
            &[("DUST_STORE", "acme/reading"), ("DUST_TOKEN", " ")],
            "DUST_TOKEN is empty",
        ),
        (
            &[
                ("DUST_STORE", "acme/reading"),
                ("DUST_TOKEN", "t"),
                ("DUST_BASE_URL", ""),
            ],
            "DUST_BASE_URL is empty",
        ),
        (
            &[("DUST_STORE", "reading"), ("DUST_TOKEN", "t")],
            "invalid_store: a store is named `org/name`",
        ),
    ] {
        let error = from(variables).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::InvalidParams, message)
        );
    }
}
