//! The exchanges that were recorded of the original server: what the client sends for the same call, and what it makes of
//! the same answer.

#![expect(clippy::indexing_slicing, reason = "what a recorded exchange lacks fails the test")]

use std::collections::BTreeMap;

use dust_transport::error::{Error, ErrorKind};
use dust_transport::http::{Http, HttpOptions, Retry};
use dust_transport::model::{Batch, Entry, Op, OpId, Path, Pattern, Precondition, Seq, Value};
use dust_transport::transport::{Items, List, Order, Page, Scope, Select, Transport as _, Written};
use serde::Deserialize;
use serde_json::Value as Json;

use super::server::{Seen, Server, Turn};

const RECORDED: &str = include_str!("../../../../dust-server/tests/transcripts/http.json");

/// How many exchanges are replayed, and why the others of the entries routes are not.
const REPLAYED: usize = 310;
const SKIPPED: [(&str, usize); 33] = [
    ("a batch of no size that is sent", 10),
    ("a body that was not recorded", 2),
    ("a body without its type, or a type without a body", 6),
    ("a condition in the headers of a POST", 1),
    ("a condition that the wire has not", 2),
    ("a cursor or a bound that is no path", 4),
    ("a delete by its address with a body", 1),
    ("a delete of what is absent", 1),
    ("a limit that is none", 8),
    ("a map that a PUT does not store, which goes in the body of a POST", 3),
    ("a map with a key that is no segment", 2),
    ("a parameter that is not known", 3),
    ("a parameter twice", 1),
    ("a pattern without a wildcard, which goes as a range", 5),
    ("a query that is no text", 1),
    ("a read with headers", 5),
    ("a revision that is no bare number", 13),
    ("a write by its body, which goes by the address", 29),
    ("an address that is no text", 1),
    ("an answer that was not recorded", 3),
    ("an empty cursor", 1),
    ("another method", 3),
    ("dot segments, which go in the body", 2),
    ("half a range, or two scopes", 4),
    ("no batch", 23),
    ("no order", 1),
    ("no path", 18),
    ("no pattern", 7),
    ("no selection", 1),
    ("no token", 5),
    ("no value", 6),
    ("other headers", 22),
    ("prefixes of what has none", 2),
];

/// Answers that name a path of 500 segments, which is none here.
const BEYOND: [&str; 1] = ["paths: keys in byte order"];

#[derive(Deserialize)]
struct Recorded {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    group: String,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    request: Request,
    response: Response,
}

#[derive(Deserialize)]
struct Request {
    method: String,
    path: String,
    token: Option<String>,
    headers: BTreeMap<String, String>,
    body: Option<String>,
    body_description: Option<String>,
}

#[derive(Deserialize)]
struct Response {
    status: u16,
    headers: BTreeMap<String, String>,
    body_text: Option<String>,
    body: Option<Json>,
}

impl Response {
    fn is_omitted(&self) -> bool {
        let body = serde_json::to_string(&self.body).unwrap();
        body.contains("<omitted")
    }
}

/// A call of the trait.
enum Call {
    Get(Path),
    Exists(Path),
    GetMany(Vec<Path>),
    List(List),
    Write(Batch),
}

/// What it gave.
enum Given {
    Entry(Option<Entry>),
    Exists(bool),
    Entries(Vec<Option<Entry>>),
    Page(Page),
    Written(Written),
}

impl Call {
    async fn run(&self, store: &Http) -> Result<Given, Error> {
        Ok(match self {
            Self::Get(path) => Given::Entry(store.get(path).await?),
            Self::Exists(path) => Given::Exists(store.exists(path).await?),
            Self::GetMany(paths) => Given::Entries(store.get_many(paths).await?),
            Self::List(list) => Given::Page(store.list(list).await?),
            Self::Write(batch) => Given::Written(store.write(batch.clone()).await?),
        })
    }
}

/// The bytes of a percent-encoded text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let hex = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// The parameters of a query, with those that servers fill in.
fn parameters(query: &str) -> BTreeMap<String, String> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut all: BTreeMap<String, String> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decoded(name).unwrap(), decoded(value).unwrap()))
        .collect();
    for (name, value) in [("limit", "50"), ("order", "asc"), ("select", "entries")] {
        all.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    }
    if !all.contains_key("from") {
        all.entry("pattern".to_owned()).or_insert_with(|| "**".to_owned());
    }
    all
}

/// The list that a query asks for.
fn list(query: &str) -> Result<List, &'static str> {
    if query.split('&').filter(|pair| pair.starts_with("limit=")).count() > 1 {
        return Err("a parameter twice");
    }
    if query.split('&').any(|pair| decoded(pair).is_none()) {
        return Err("a query that is no text");
    }
    let mut all = parameters(query);
    let mut take = |name: &str| all.remove(name);
    let path = |text: String| Path::parse(&text).map_err(|_| "a cursor or a bound that is no path");
    let scope = match (take("pattern"), take("from"), take("to")) {
        (Some(pattern), None, None) => {
            let pattern = Pattern::parse(&pattern).map_err(|_| "no pattern")?;
            if !pattern.has_wildcard() {
                return Err("a pattern without a wildcard, which goes as a range");
            }
            Scope::Pattern(pattern)
        }
        (None, Some(from), Some(to)) => Scope::Range {
            from: path(from)?,
            to: path(to)?,
        },
        _ => return Err("half a range, or two scopes"),
    };
    let limit = take("limit").unwrap().parse().map_err(|_| "a limit that is none")?;
    if !(1..=1000).contains(&limit) {
        return Err("a limit that is none");
    }
    let order = match take("order").unwrap().as_str() {
        "asc" => Order::Asc,
        "desc" => Order::Desc,
        _ => return Err("no order"),
    };
    let select = match take("select").unwrap().as_str() {
        "entries" => Select::Entries,
        "keys" => Select::Keys,
        "prefixes" => Select::Prefixes,
        _ => return Err("no selection"),
    };
    let bad_prefixes = match &scope {
        Scope::Pattern(pattern) => pattern.prefixes_depth().is_none(),
        _ => true,
    };
    if select == Select::Prefixes && bad_prefixes {
        return Err("prefixes of what has none");
    }
    let after = match take("after") {
        Some(after) if after.is_empty() => return Err("an empty cursor"),
        Some(after) => Some(path(after)?),
        None => None,
    };
    if !all.is_empty() {
        return Err("a parameter that is not known");
    }
    Ok(List::new(scope).limit(limit).order(order).select(select).after(after))
}

/// The conditions of the headers.
fn precondition(request: &Request) -> Result<Precondition, &'static str> {
    match (request.headers.get("if-match"), request.headers.get("if-none-match")) {
        (None, None) => Ok(Precondition::None),
        (Some(revision), None) => match revision.parse::<u64>() {
            Ok(seq) if seq > 0 && seq.to_string() == *revision => Ok(Precondition::Match(Seq(seq))),
            _ => Err("a revision that is no bare number"),
        },
        (None, Some(any)) if any == "*" => Ok(Precondition::Absent),
        _ => Err("a condition that the wire has not"),
    }
}

fn path_below(tail: &str) -> Result<Path, &'static str> {
    let text = decoded(tail).ok_or("an address that is no text")?;
    let path = Path::parse(&text).map_err(|_| "no path")?;
    if text.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err("dot segments, which go in the body");
    }
    Ok(path)
}

fn strings(list: Option<&Json>) -> Option<Vec<Path>> {
    list?
        .as_array()?
        .iter()
        .map(|path| Path::parse(path.as_str()?).ok())
        .collect()
}

/// The ops of a batch, none of which the client would write otherwise.
fn ops(body: &str) -> Option<Vec<Op>> {
    let body = Value::from_json(body).ok()?;
    let (key, list) = body.entries()?.pop()?;
    let items = list.items().filter(|_| key == "ops")?;
    let mut ops = Vec::new();
    for item in items {
        let mut fields: BTreeMap<String, Value> = item.entries()?.into_iter().collect();
        let path = Path::parse(&fields.remove("path")?.to::<String>().ok()?).ok()?;
        let op = match fields.remove("op")?.str()?.as_ref() {
            "set" => Op::set(path, fields.remove("value")?),
            "delete" => Op::delete(path),
            _ => return None,
        };
        let op = match fields.remove("if_match") {
            Some(seq) => op.when(Precondition::Match(Seq(seq.to().ok().filter(|seq| *seq > 0)?))),
            None => op,
        };
        ops.push(op);
        if !fields.is_empty() {
            return None;
        }
    }
    Some(ops)
}

/// The store of an entries route, and what follows in the address.
fn route(path: &str) -> Option<(String, &str)> {
    let rest = path.strip_prefix("/api/stores/")?;
    let (store, tail) = rest.split_once("/entries")?;
    (store.matches('/').count() == 1 && (tail.is_empty() || tail.starts_with(['/', '?'])))
        .then(|| (store.to_owned(), tail))
}

/// Whether every key of a map is a segment.
fn has_segments_for_keys(value: &Value) -> bool {
    let entries = value.entries().unwrap_or_default();
    entries
        .iter()
        .all(|(key, child)| !key.is_empty() && !key.contains('\0') && has_segments_for_keys(child))
}

/// The call that makes a request, or why there is none.
fn call(request: &Request, tail: &str) -> Result<Call, &'static str> {
    let known = ["content-type", "if-match", "if-none-match", "x-request-id"];
    if request.headers.keys().any(|name| !known.contains(&name.as_str())) {
        return Err("other headers");
    }
    if request.body_description.is_some() {
        return Err("a body that was not recorded");
    }
    if matches!(request.method.as_str(), "GET" | "HEAD") && !request.headers.is_empty() {
        return Err("a read with headers");
    }
    if request.method == "POST"
        && (request.headers.contains_key("if-match") || request.headers.contains_key("if-none-match"))
    {
        return Err("a condition in the headers of a POST");
    }
    let content_type = request.headers.get("content-type").map(String::as_str);
    if request.body.is_some() != (content_type == Some("application/json")) {
        return Err("a body without its type, or a type without a body");
    }
    let body = request.body.as_deref().unwrap_or_default();
    let write = |op: Op| {
        let id = request
            .headers
            .get("x-request-id")
            .map(|id| OpId::new(id.as_str()).unwrap());
        Ok(Call::Write(Batch { ops: vec![op], id }))
    };
    match (request.method.as_str(), tail) {
        ("GET", "") => list("").map(Call::List),
        ("GET", _) if tail.starts_with('?') => list(&tail[1..]).map(Call::List),
        ("GET", _) => path_below(&tail[1..]).map(Call::Get),
        ("HEAD", _) if tail.starts_with('/') => path_below(&tail[1..]).map(Call::Exists),
        ("PUT", _) if tail.starts_with('/') => {
            let value = Value::from_json(body).map_err(|_| "no value")?;
            if value
                .entries()
                .is_some_and(|entries| entries.is_empty() || entries.iter().any(|(key, _)| key == "_json"))
            {
                return Err("a map that a PUT does not store, which goes in the body of a POST");
            }
            if !has_segments_for_keys(&value) {
                return Err("a map with a key that is no segment");
            }
            write(Op::set(path_below(&tail[1..])?, value).when(precondition(request)?))
        }
        ("DELETE", _) if tail.starts_with('/') && request.body.is_some() => Err("a delete by its address with a body"),
        ("DELETE", _) if tail.starts_with('/') => match precondition(request)? {
            Precondition::Absent => Err("a delete of what is absent"),
            condition => write(Op::delete(path_below(&tail[1..])?).when(condition)),
        },
        ("POST", "/batch") => {
            let body: Json = serde_json::from_str(body).map_err(|_| "no batch")?;
            let paths = strings(body.get("paths")).ok_or("no batch")?;
            if (1..=1000).contains(&paths.len()) {
                Ok(Call::GetMany(paths))
            } else {
                Err("a batch of no size that is sent")
            }
        }
        ("POST", "/batch_write") => match ops(body).ok_or("no batch")? {
            ops if !ops.iter().filter_map(|op| op.action.value()).all(has_segments_for_keys) => {
                Err("a map with a key that is no segment")
            }
            ops if ops.len() > 1 && ops.len() <= 1000 => Ok(Call::Write(Batch::new(ops))),
            _ => Err("a batch of no size that is sent"),
        },
        ("POST", "") => match Value::from_json(body).ok().and_then(|body| body.entries()).as_deref() {
            Some([(path, at), (value, map)]) if path == "path" && value == "value" && map.json() == "{}" => {
                write(Op::set(path_below(&at.str().unwrap())?, map.clone()))
            }
            _ => Err("a write by its body, which goes by the address"),
        },
        ("DELETE", _) => Err("a write by its body, which goes by the address"),
        _ => Err("another method"),
    }
}

/// Whether the client sent what was recorded.
fn assert_sent(seen: &Seen, request: &Request, what: &str) {
    assert_eq!(seen.method, request.method, "{what}");
    let split = |target: &str| {
        target
            .split_once('?')
            .map_or((target.to_owned(), String::new()), |(a, b)| {
                (a.to_owned(), b.to_owned())
            })
    };
    let ((path, query), (expected_path, expected_query)) = (split(&seen.target), split(&request.path));
    // A byte may be spelled in two ways; whether it is spelled as it should be is tested by itself.
    assert_eq!(decoded(&path), decoded(&expected_path), "{what}");
    if path.ends_with("/entries") && request.method == "GET" {
        assert_eq!(parameters(&query), parameters(&expected_query), "{what}");
    }
    for name in ["content-type", "if-match", "if-none-match", "x-request-id"] {
        assert_eq!(
            seen.header(name),
            request.headers.get(name).map(String::as_str),
            "{name} of {what}"
        );
    }
    match request.body.as_deref() {
        Some(body) => assert_eq!(
            Value::from_json(&seen.body).unwrap(),
            Value::from_json(body).unwrap(),
            "{what}"
        ),
        None => assert_eq!(seen.body, "", "{what}"),
    }
}

fn assert_entry(entry: &Entry, body: &Value, what: &str) {
    let field = |name: &str| {
        body.entries()
            .unwrap()
            .into_iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value)
    };
    assert_eq!(Some(&entry.value), field("value").as_ref(), "{what}");
    assert_eq!(
        Some(entry.revision.0),
        field("revision").map(|seq| seq.to().unwrap()),
        "{what}"
    );
    if let Some(path) = field("path") {
        assert_eq!(path.str().unwrap(), entry.path.as_str(), "{what}");
    }
}

/// Whether the client made of a success what it says.
fn assert_given(given: &Given, call: &Call, body: &str, what: &str) {
    let json: Json = serde_json::from_str(body).unwrap_or_default();
    let field = |name: &str| {
        let body = Value::from_json(body).unwrap();
        body.entries()
            .unwrap()
            .into_iter()
            .find(|(key, _)| key == name)
            .unwrap()
            .1
    };
    match given {
        Given::Entry(entry) => assert_entry(entry.as_ref().unwrap(), &Value::from_json(body).unwrap(), what),
        Given::Exists(there) => assert!(there, "{what}"),
        Given::Entries(entries) => {
            let Call::GetMany(paths) = call else { panic!("{what}") };
            let found = field("entries").entries().unwrap();
            for (path, entry) in paths.iter().zip(entries) {
                let expected = found.iter().find(|(key, _)| key == path.as_str());
                assert_eq!(entry.is_some(), expected.is_some(), "{what}");
                if let (Some(entry), Some((_, expected))) = (entry, expected) {
                    assert_entry(entry, expected, what);
                }
            }
        }
        Given::Page(page) => {
            assert_eq!(
                page.next.as_ref().map(Path::as_str),
                json["next_cursor"].as_str(),
                "{what}"
            );
            let items = field("items").items().unwrap();
            assert_eq!(page.items.len(), items.len(), "{what}");
            match &page.items {
                Items::Entries(entries) => {
                    for (entry, item) in entries.iter().zip(&items) {
                        assert_entry(entry, item, what);
                    }
                }
                Items::Keys(paths) | Items::Prefixes(paths) => {
                    let texts: Vec<_> = items.iter().map(|item| item.to::<String>().unwrap()).collect();
                    assert_eq!(paths.iter().map(Path::as_str).collect::<Vec<_>>(), texts, "{what}");
                }
            }
        }
        Given::Written(written) => {
            let seqs: Vec<Option<u64>> = match json["ops"].as_array() {
                Some(ops) => ops.iter().map(|op| op["store_seq"].as_u64()).collect(),
                None => vec![json["store_seq"].as_u64()],
            };
            assert_eq!(
                written.seqs.iter().map(|seq| Some(seq.0)).collect::<Vec<_>>(),
                seqs,
                "{what}"
            );
        }
    }
}

/// Whether the client made of a refusal what it means.
fn assert_refused(error: &Error, response: &Response, body: &str, what: &str) {
    let kind = match response.status {
        401 | 403 => ErrorKind::Unauthorized,
        404 => ErrorKind::NotImplemented,
        412 => ErrorKind::Conflict,
        429 => ErrorKind::RateLimited,
        400..=499 => ErrorKind::InvalidParams,
        _ => ErrorKind::Http,
    };
    assert_eq!(error.kind(), kind, "{what}");
    let json: Json = serde_json::from_str(body).unwrap_or_default();
    if let Some(code) = json["error"].as_str() {
        assert_eq!(error.code(), code, "{what}");
    }
    if response.status == 412 {
        let current = error.conflict().unwrap().current;
        assert_eq!(current.map(|seq| seq.0), json["current_revision"].as_u64(), "{what}");
    }
    if let Some(seconds) = response.headers.get("retry-after") {
        assert_eq!(error.retry_after().unwrap().as_secs().to_string(), *seconds, "{what}");
    }
}

async fn replay(case: &Case, store: &str, call: &Call, what: &str) {
    let Case { request, response, .. } = case;
    let body = match (&response.body_text, &response.body) {
        (Some(text), _) => text.clone(),
        (None, Some(body)) => body.to_string(),
        (None, None) => String::new(),
    };
    let kept = |name: &&str| response.headers.contains_key(*name);
    let headers: Vec<(&str, &str)> = ["content-type", "retry-after", "etag"]
        .into_iter()
        .filter(kept)
        .map(|name| (name, response.headers[name].as_str()))
        .collect();
    let server = Server::start([Turn::answer(response.status, &headers, &body)]).await;
    let token = request.token.as_deref().unwrap();
    let options = HttpOptions::new(store, token)
        .base_url(&server.base_url)
        .retry(Retry::none());
    let result = call.run(&Http::new(options).unwrap()).await;
    let seen = server.seen();
    assert_eq!(seen.len(), 1, "{what}");
    assert_sent(&seen[0], request, what);
    assert_eq!(
        seen[0].header("authorization"),
        Some(format!("Bearer {token}").as_str()),
        "{what}"
    );
    match (result, response.status) {
        (Ok(Given::Entry(None) | Given::Exists(false)), 404) => {}
        (Ok(given), 200) => assert_given(&given, call, &body, what),
        (Err(error), status) if status != 200 => assert_refused(&error, response, &body, what),
        (Ok(_), status) => panic!("{what}: success by {status}"),
        (Err(error), _) if BEYOND.contains(&what) => assert_eq!(error.code(), "invalid_response"),
        (Err(error), _) => panic!("{what}: {error:?}"),
    }
}

#[tokio::test]
async fn recorded_exchanges_are_made_again() {
    let recorded: Recorded = serde_json::from_str(RECORDED).unwrap();
    let mut replayed = 0;
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    for group in &recorded.groups {
        for case in &group.cases {
            let Some((store, tail)) = route(&case.request.path) else {
                continue;
            };
            let made = match case.request.token {
                _ if case.response.is_omitted() => Err("an answer that was not recorded"),
                Some(_) => call(&case.request, tail),
                None => Err("no token"),
            };
            let is_name = |text: &str| {
                text.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte))
            };
            let made = if is_name(&store) {
                made
            } else {
                Err("no name of a store")
            };
            match made {
                Ok(call) => {
                    let what = format!("{}: {}", group.group, case.name);
                    replay(case, &store, &call, &what).await;
                    replayed += 1;
                }
                Err(reason) => *skipped.entry(reason).or_default() += 1,
            }
        }
    }
    assert_eq!(skipped.into_iter().collect::<Vec<_>>(), SKIPPED);
    assert_eq!(replayed, REPLAYED);
}
