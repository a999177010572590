//! `Http` against scripted servers: request by request, answer by answer, fault by fault.

#![expect(clippy::unwrap_used, reason = "the functions that tests share fail with them")]

mod discovery;
mod failure;
mod fault;
mod file;
mod query;
mod read;
mod replay;
mod server;
mod tls;
mod write;

use std::future::ready;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dust_transport::error::{Error, ErrorKind};
use dust_transport::http::{Discovery, Http, HttpOptions, Retry};
use dust_transport::model::{Path, Seq, Value};
use wiremock::{Mock, MockServer, ResponseTemplate, matchers};

pub(crate) const TOKEN: &str = "dust_tok_secret";
const ENTRIES: &str = "/api/stores/acme/site/entries";

/// Options for a server that is not asked for extensions, with no time between attempts.
fn options(base_url: &str) -> HttpOptions {
    HttpOptions::new("acme/site", TOKEN)
        .base_url(base_url)
        .discovery(Discovery::Never)
        .retry(Retry::new().sleep(|_| Box::pin(ready(()))))
}

fn http(base_url: &str) -> Http {
    Http::new(options(base_url)).unwrap()
}

/// Options that note the waits instead of passing them.
fn noting(base_url: &str) -> (HttpOptions, Arc<Mutex<Vec<Duration>>>) {
    let waits = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&waits);
    let retry = Retry::new().sleep(move |wait| {
        noted.lock().unwrap().push(wait);
        Box::pin(ready(()))
    });
    (options(base_url).retry(retry), waits)
}

/// A server that answers everything so, but for what is mounted first.
async fn answering(status: u16, body: &str) -> MockServer {
    let server = MockServer::start().await;
    Mock::given(matchers::any())
        .respond_with(ResponseTemplate::new(status).set_body_raw(body, "application/json"))
        .mount(&server)
        .await;
    server
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn json(text: &str) -> Value {
    Value::from_json(text).unwrap()
}

fn seqs(numbers: &[u64]) -> Vec<Seq> {
    numbers.iter().copied().map(Seq).collect()
}

#[track_caller]
fn assert_error<T: std::fmt::Debug>(result: Result<T, Error>, kind: ErrorKind, code: &str) -> Error {
    let error = result.expect_err("a refusal");
    assert_eq!((error.kind(), error.code()), (kind, code), "{error:?}");
    assert!(!format!("{error} {error:?}").contains(TOKEN), "{error:?}");
    error
}
