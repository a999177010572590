//! The document of the routes: it has them all, nothing else, and answers are as it says.

use std::collections::{BTreeMap, BTreeSet};

use dust_server::RateLimits;
use serde_json::Value;

use crate::client::{Answer, Request};
use crate::fixture::Fixture;

/// The document of a server.
#[derive(Debug)]
pub(crate) struct Document(Value);

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

impl Document {
    pub(crate) async fn of(fixture: &Fixture) -> Self {
        let answer = Request::new("GET", "/openapi.json", "").send(fixture.address).await;
        Self(answer.unwrap().json())
    }

    fn paths(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0["paths"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(path, item)| (path.as_str(), item))
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.strip_prefix('#').unwrap()).expect(reference),
            None => value,
        }
    }

    /// The operation of a request; the template with the most segments of its own comes first.
    fn operation(&self, method: &str, target: &str) -> Option<&Value> {
        let path = target.split(['?', '#']).next().unwrap();
        let given: Vec<&str> = path.split('/').filter(|piece| !piece.is_empty()).collect();
        let method = method.to_ascii_lowercase();
        let method = if method == "head" { "get" } else { &method };
        let matching = self.paths().filter_map(|(template, item)| {
            let literal = literal_segments(template, &given)?;
            Some((literal, item.get(method)?))
        });
        matching
            .max_by_key(|(literal, _)| *literal)
            .map(|(_, operation)| operation)
    }

    /// Whether the document has the answer: its status, its type and its body.
    pub(crate) fn check(&self, method: &str, target: &str, answer: &Answer) -> Result<(), String> {
        let Some(operation) = self.operation(method, target) else {
            return match answer.status {
                404 | 408 | 413 | 414 | 431 => Ok(()),
                status => Err(format!(
                    "the document has no {method} {target}, which is answered {status}"
                )),
            };
        };
        let response = &operation["responses"][answer.status.to_string()];
        if response.is_null() {
            return Err(format!("the document has no status {} there", answer.status));
        }
        let response = self.resolve(response);
        let kind = answer.header("content-type").unwrap_or_default();
        let kind = kind.split(';').next().unwrap();
        if response.get("content").is_none() && answer.body.is_empty() {
            return Ok(());
        }
        let content = response["content"].get(kind).or(response["content"].get("*/*"));
        let Some(content) = content else {
            return Err(format!("the document has no {kind} for status {}", answer.status));
        };
        if kind != "application/json" || method.eq_ignore_ascii_case("HEAD") {
            return Ok(());
        }
        self.conforms(&content["schema"], &answer.json(), "$")
    }

    /// Whether a value is as a schema says, as far as this document uses the words of schemas.
    fn conforms(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolve(schema);
        for (word, says) in schema.as_object().into_iter().flatten() {
            let holds = match word.as_str() {
                "description" | "title" | "example" | "examples" | "default" | "format" | "pattern" | "maxItems"
                | "minItems" | "maxLength" | "minLength" | "propertyNames" => true,
                "type" => match says {
                    Value::Array(types) => types.iter().any(|kind| is_of(kind, value)),
                    kind => is_of(kind, value),
                },
                "enum" => says.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= says.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= says.as_f64().unwrap()),
                "required" => {
                    let names = says.as_array().unwrap().iter().map(|name| name.as_str().unwrap());
                    value
                        .as_object()
                        .is_none_or(|fields| names.into_iter().all(|name| fields.contains_key(name)))
                }
                "properties" => {
                    for (name, schema) in says.as_object().unwrap() {
                        if let Some(field) = value.get(name) {
                            self.conforms(schema, field, &format!("{at}.{name}"))?;
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    for (name, field) in value.as_object().into_iter().flatten() {
                        self.conforms(says, field, &format!("{at}.{name}"))?;
                    }
                    true
                }
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.conforms(says, item, &format!("{at}[{index}]"))?;
                    }
                    true
                }
                "oneOf" => {
                    let schemas = says.as_array().unwrap().iter();
                    schemas
                        .filter(|schema| self.conforms(schema, value, at).is_ok())
                        .count()
                        == 1
                }
                other => panic!("a word of schemas that this test does not know: {other}"),
            };
            if !holds {
                return Err(format!("{at} is not `{word}`: {says}"));
            }
        }
        Ok(())
    }
}

/// How many segments of a template are its own; `None` if the path is none of its.
fn literal_segments(template: &str, given: &[&str]) -> Option<usize> {
    let segments: Vec<&str> = template.split('/').filter(|segment| !segment.is_empty()).collect();
    let takes_the_rest = segments.last() == Some(&"{path}");
    if given.len() < segments.len() || given.len() > segments.len() && !takes_the_rest {
        return None;
    }
    let mut literal = 0;
    for (segment, given) in segments.iter().zip(given) {
        if segment.starts_with('{') {
            continue;
        }
        if segment != given {
            return None;
        }
        literal += 1;
    }
    Some(literal)
}

fn is_of(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        other => panic!("a type that this test does not know: {other}"),
    }
}

/// Paths of the router that the document has not, and why.
const NOT_DOCUMENTED: [(&str, &str); 1] = [("/ws/sync/websocket", "OpenAPI has no word for a WebSocket")];

/// The paths in the source of the router, as the document writes them.
fn routed() -> BTreeSet<String> {
    let source = include_str!("../../src/http/mod.rs");
    let paths = source.split(".route(").skip(1);
    let paths = paths.map(|rest| rest.split('"').nth(1).expect("a path"));
    let paths: BTreeSet<String> = paths.map(|path| path.replace("{*", "{")).collect();
    paths
        .into_iter()
        .filter(|path| !NOT_DOCUMENTED.iter().any(|(known, _)| known == path))
        .collect()
}

/// `POST …/entries/{path}` is two routes by the path that it names.
const BY_PATH: [&str; 2] = [
    "/api/stores/{org}/{store}/entries/batch",
    "/api/stores/{org}/{store}/entries/batch_write",
];

#[tokio::test]
async fn the_document_has_the_paths_of_the_router() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let document = Document::of(&fixture).await;
    let documented = document.paths().map(|(path, _)| path.to_owned());
    let documented: BTreeSet<String> = documented.filter(|path| !BY_PATH.contains(&path.as_str())).collect();
    assert_eq!(documented, routed());
}

#[tokio::test]
async fn the_document_has_the_methods_of_the_router() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let document = Document::of(&fixture).await;
    let mut methods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, item) in document.paths() {
        let path = if BY_PATH.contains(&path) {
            "/api/stores/{org}/{store}/entries/{path}"
        } else {
            path
        };
        let has = METHODS.into_iter().filter(|method| item.get(method).is_some());
        methods.entry(path).or_default().extend(has);
    }
    for (path, documented) in methods {
        let target = path.replace(['{', '}'], "");
        for method in METHODS {
            let request = Request::new(&method.to_ascii_uppercase(), &target, "nobody");
            let answer = request.send(fixture.address).await.unwrap();
            let is_routed = answer.status != 404 || answer.json()["detail"] != "there is no such route";
            assert_eq!(is_routed, documented.contains(method), "{method} {path}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn every_operation_is_described() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let document = Document::of(&fixture).await;
    assert_eq!(document.0["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, item) in document.paths() {
        for operation in METHODS.into_iter().filter_map(|method| item.get(method)) {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id), "{id} twice");
            assert!(
                operation["summary"].as_str().is_some_and(|text| !text.is_empty()),
                "{id}"
            );
            assert!(operation["tags"][0].is_string(), "{id}");
            assert_eq!(
                operation.get("security").is_some(),
                path.starts_with("/api/"),
                "who needs a token: {id}"
            );
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_path: BTreeSet<&str> = parameters
                .filter(|parameter| parameter["in"] == "path")
                .map(|parameter| parameter["name"].as_str().unwrap())
                .collect();
            let named: BTreeSet<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(in_path, named, "{id}");
        }
    }
    let references = document.0.to_string();
    for reference in references.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap();
        assert!(document.0.pointer(pointer).is_some(), "{pointer}");
    }
    for (name, schema) in document.0["components"]["schemas"].as_object().unwrap() {
        if let Some(example) = schema.get("example") {
            document.conforms(schema, example, name).unwrap();
        }
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let answer = Request::new("GET", "/api-docs", "")
        .send(fixture.address)
        .await
        .unwrap();
    assert_eq!(answer.status, 200);
    let policy = answer.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'sha256-"),
        "{policy}"
    );
    assert!(
        policy.contains("connect-src 'self'") && !policy.contains('@'),
        "{policy}"
    );
    assert!(!policy.contains("unsafe"), "{policy}");
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    let page = String::from_utf8(answer.body).unwrap();
    for foreign in [
        "http:",
        "https:",
        "//",
        " src=",
        "@import",
        "url(",
        "style=",
        "onclick",
        "innerHTML",
    ] {
        let found = page.lines().find(|line| line.contains(foreign));
        assert_eq!(found, None, "{foreign}");
    }
    // One of each, and those are what the policy names.
    assert_eq!(
        (page.matches("<script>").count(), page.matches("<style>").count()),
        (1, 1)
    );
}

/// Whatever is refused, wherever: the body is JSON with a code and a text.
#[tokio::test]
async fn every_refusal_has_a_code_and_a_text() {
    let fixture = Fixture::start(RateLimits::OFF).await;
    let document = Document::of(&fixture).await;
    let entry = "/api/stores/acme/site/entries/a";
    let rw = fixture.tokens["rw"].clone();
    let request = |method: &str, target: &str| Request::new(method, target, &rw);
    let with = |mut request: Request, name: &str, value: &str| {
        request.headers.push((name.to_owned(), value.to_owned()));
        request
    };
    let long = "x".repeat(10_001);
    let mut many = request("GET", entry);
    many.headers.extend((0..60).map(|n| (format!("x-{n}"), String::new())));
    let huge = format!("\"{}\"", "x".repeat(8_000_001));
    for (request, status) in [
        (request("GET", "/nowhere"), 404),
        (request("POST", entry), 404),
        (request("PATCH", entry), 404),
        (request("OPTIONS", entry), 404),
        (request("DELETE", "/healthz"), 404),
        (request("GET", entry), 404),
        (request("GET", "/api/stores/acme/nope/entries"), 404),
        (Request::new("GET", entry, "nobody"), 401),
        (Request::new("GET", entry, &fixture.tokens["side_rw"]), 403),
        (with(request("GET", entry), "accept", "text/html"), 406),
        (with(request("GET", entry), "dust-extensions", "none"), 400),
        (request("PUT", entry).json("{"), 400),
        (with(request("PUT", entry).json("1"), "if-match", "x"), 400),
        (with(request("PUT", entry).json("1"), "if-match", "1"), 412),
        (request("GET", "/api/stores/acme/site/entries?limit=0"), 400),
        (request("GET", "/api/stores/acme/site/entries?after=%ff"), 400),
        (request("GET", "/api/stores/acme/site/entries/%ff"), 400),
        (request("GET", "/api/stores/acme/site/watch"), 426),
        (
            Request::new("POST", "/api/stores", &fixture.tokens["admin"]).json(r#"{"name":"site"}"#),
            422,
        ),
        (
            Request::new("POST", "/api/tokens", &fixture.tokens["admin"]).json(r#"{"name":5}"#),
            422,
        ),
        (request("DELETE", "/api/tokens/1"), 400),
        (request("PUT", entry).json(&huge), 413),
        (request("GET", &format!("{entry}/{long}")), 414),
        (with(request("GET", entry), "x-long", &long), 431),
        (many, 431),
    ] {
        let shown = format!("{} {:.80}", request.method, request.target);
        let answer = request.send(fixture.address).await.unwrap();
        assert_eq!(answer.status, status, "{shown}: {answer:?}");
        let kind = answer.header("content-type");
        assert_eq!(kind, Some("application/json; charset=utf-8"), "{shown}");
        assert!(answer.header("x-request-id").is_some(), "{shown}");
        let body = answer.json();
        assert!(
            body["error"].is_string() || body["error"].is_object(),
            "{shown}: {body}"
        );
        assert!(
            body["detail"].as_str().is_some_and(|text| !text.is_empty()),
            "{shown}: {body}"
        );
        document.check(&request.method, &request.target, &answer).expect(&shown);
    }
}
