//! Live pages: what a browser gets, and what it gets when it comes back.

use axum::http::{HeaderMap, HeaderValue};
use axum::response::IntoResponse as _;
use dust_orm::prelude::*;
use dust_orm::sse::live;
use futures_util::StreamExt as _;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    title: String,
}

fn link(slug: &str, title: &str) -> Link {
    Link {
        slug: slug.to_owned(),
        title: title.to_owned(),
    }
}

type Body = axum::body::BodyDataStream;

async fn open(repo: &Repo, last: Option<&str>) -> Body {
    let mut headers = HeaderMap::new();
    if let Some(last) = last {
        headers.insert("last-event-id", HeaderValue::from_str(last).unwrap());
    }
    let response = live::<Link>(repo, &headers).await.unwrap().into_response();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body().into_data_stream()
}

async fn next(body: &mut Body) -> String {
    String::from_utf8(body.next().await.unwrap().unwrap().to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_gets_the_records_and_then_what_changes() {
    let repo = Repo::memory();
    repo.insert(link("a", "one\nline, \"quoted\"")).await.unwrap();
    let mut body = open(&repo, None).await;
    let record = r#"data: {"slug":"a","title":"one\nline, \"quoted\""}"#;
    assert_eq!(next(&mut body).await, format!("event: upserted\n{record}\n\n"));
    assert_eq!(next(&mut body).await, "event: ready\ndata: null\nid: 1\n\n");
    repo.insert(link("b", "two")).await.unwrap();
    repo.delete::<Link>("a").await.unwrap();
    assert_eq!(
        next(&mut body).await,
        "event: upserted\ndata: {\"slug\":\"b\",\"title\":\"two\"}\nid: 2\n\n"
    );
    assert_eq!(next(&mut body).await, "event: deleted\ndata: \"a\"\nid: 3\n\n");
}

#[tokio::test]
async fn a_page_that_comes_back_gets_what_it_missed_and_nothing_twice() {
    let repo = Repo::memory();
    repo.insert(link("a", "one")).await.unwrap();
    let mut body = open(&repo, None).await;
    next(&mut body).await;
    next(&mut body).await;
    drop(body);
    repo.insert(link("b", "two")).await.unwrap();
    let mut body = open(&repo, Some("1")).await;
    assert_eq!(
        next(&mut body).await,
        "event: upserted\ndata: {\"slug\":\"b\",\"title\":\"two\"}\nid: 2\n\n"
    );
    assert_eq!(next(&mut body).await, "event: ready\ndata: null\nid: 2\n\n");
}

/// What is no cursor is what a new page sends: nothing.
#[tokio::test]
async fn an_id_that_is_none_begins_anew() {
    let repo = Repo::memory();
    repo.insert(link("a", "one")).await.unwrap();
    for last in ["", "-1", "x", "99999999999999999999999"] {
        let mut body = open(&repo, Some(last)).await;
        assert!(next(&mut body).await.starts_with("event: upserted\n"), "{last:?}");
    }
}

/// A browser that gets an error does not come back, and the store may have been set back meanwhile.
#[tokio::test]
async fn an_id_beyond_the_store_begins_anew() {
    let repo = Repo::memory();
    repo.insert(link("a", "one")).await.unwrap();
    let mut body = open(&repo, Some("4711")).await;
    assert_eq!(next(&mut body).await, "event: resync\ndata: null\n\n");
    assert_eq!(
        next(&mut body).await,
        "event: upserted\ndata: {\"slug\":\"a\",\"title\":\"one\"}\n\n"
    );
    assert_eq!(next(&mut body).await, "event: ready\ndata: null\nid: 1\n\n");
}

/// A page that forgets its records gets those that there are, wherever its stream began.
#[tokio::test]
async fn the_records_follow_a_resync_of_a_page_that_came_back() {
    let repo = Repo::memory();
    repo.insert(link("a", "one")).await.unwrap();
    repo.insert(link("b", "two")).await.unwrap();
    let mut body = open(&repo, Some("2")).await;
    assert_eq!(next(&mut body).await, "event: ready\ndata: null\nid: 2\n\n");
    repo.delete_all::<Link>().await.unwrap();
    repo.insert(link("c", "three")).await.unwrap();
    let mut told = Vec::new();
    while told.last().is_none_or(|event: &String| !event.contains("event: ready")) {
        told.push(next(&mut body).await);
    }
    assert_eq!(told[0], "event: resync\ndata: null\n\n");
    assert!(told[1].contains(r#"{"slug":"c","title":"three"}"#), "{told:?}");
    assert_eq!(told.len(), 3, "{told:?}");
}
