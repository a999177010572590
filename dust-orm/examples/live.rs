//! A page that is live: every browser that has it open sees each change of the records, whoever makes it.
//!
//! ```sh
//! cargo run -p dust-orm --features axum --example live -- bookmarks.dust
//! ```
//!
//! and open <http://127.0.0.1:3000> in two windows.
#![expect(clippy::print_stdout, reason = "it is a program for people")]

use axum::Form;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use dust_orm::prelude::*;
use dust_orm::sse;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Validate, DustSchema)]
#[dust(prefix = "links")]
struct Link {
    slug: String,
    #[dust(required)]
    #[validate(length(min = 1, max = 200))]
    title: String,
    #[dust(required)]
    #[validate(url)]
    url: String,
}

const PAGE: &str = r#"<!doctype html>
<meta charset="utf-8">
<title>Links</title>
<form method="post" action="/links">
  <input name="slug" placeholder="slug"> <input name="title" placeholder="title">
  <input name="url" placeholder="https://…"> <button>Save</button>
</form>
<p id="state">…</p>
<ul id="links"></ul>
<script>
  const links = new Map(), list = document.getElementById("links"), state = document.getElementById("state");
  const show = () => list.replaceChildren(...[...links.values()].map(link => {
    const item = document.createElement("li");
    item.textContent = `${link.title} – ${link.url}`;
    return item;
  }));
  const changes = new EventSource("/changes");
  changes.addEventListener("upserted", e => { const link = JSON.parse(e.data); links.set(link.slug, link); show(); });
  changes.addEventListener("deleted", e => { links.delete(JSON.parse(e.data)); show(); });
  changes.addEventListener("resync", () => { links.clear(); show(); });
  changes.addEventListener("ready", () => { state.textContent = "live"; });
  changes.onerror = () => { state.textContent = "coming back …"; };
</script>
"#;

async fn changes(State(repo): State<Repo>, headers: HeaderMap) -> Response {
    match sse::live::<Link>(&repo, &headers).await {
        Ok(live) => live.into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

async fn save(State(repo): State<Repo>, Form(form): Form<Vec<(String, String)>>) -> Response {
    let changeset = Link::changeset(&form).only([Link::SLUG, Link::TITLE, Link::URL]);
    match repo.insert(changeset).await {
        Ok(_) => Redirect::to("/").into_response(),
        Err(WriteError::Invalid(changeset)) => {
            (StatusCode::UNPROCESSABLE_ENTITY, changeset.errors().to_string()).into_response()
        }
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response(),
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("the folder of the records is missing")?;
    let repo = Repo::embedded(folder, "acme/reading").await?;
    let pages = Router::new()
        .route("/", get(|| async { Html(PAGE) }))
        .route("/links", post(save))
        .route("/changes", get(changes))
        .with_state(repo);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, pages).await?;
    Ok(())
}
