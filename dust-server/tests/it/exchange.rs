//! The recorded exchanges.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
pub(crate) struct Recording {
    pub(crate) groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Group {
    #[serde(rename = "group")]
    pub(crate) name: String,
    pub(crate) store: Option<String>,
    pub(crate) cases: Vec<Case>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) request: Sent,
    pub(crate) response: Got,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) token: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    body: Option<String>,
    body_base64: Option<String>,
    body_description: Option<String>,
    body_prefix: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    /// `null` if there was none, or none that was recorded.
    #[serde(default)]
    pub(crate) body: Value,
    body_text: Option<String>,
}

impl Got {
    /// The values of a body that has one on each line.
    pub(crate) fn lines(&self) -> Option<Value> {
        let kind = self.headers.get("content-type")?;
        let text = self
            .body_text
            .as_ref()
            .filter(|_| kind.starts_with("application/x-ndjson"))?;
        let lines = text
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        Some(lines.collect())
    }
}

impl Recording {
    pub(crate) fn load() -> Self {
        serde_json::from_str(include_str!("../transcripts/http.json")).expect("the recording")
    }
}

impl Sent {
    /// The body; long ones are recorded by their beginning and length, and made again by what they repeat.
    pub(crate) fn body(&self) -> Vec<u8> {
        if let Some(encoded) = &self.body_base64 {
            return STANDARD.decode(encoded).expect("base64");
        }
        let Some(prefix) = &self.body_prefix else {
            return self.body.clone().unwrap_or_default().into_bytes();
        };
        let described = self.body_description.as_deref().expect("a length");
        let length: usize = described.trim_end_matches(" bytes").parse().expect("a number");
        let text = match prefix.find("/0000") {
            Some(at) => batch(prefix[..at].rsplit('"').next().expect("a path"), length),
            None => format!("\"{}\"", "x".repeat(length - 2)),
        };
        assert!(text.starts_with(prefix.as_str()) && text.len() == length, "{described}");
        text.into_bytes()
    }
}

/// A batch of numbered ops, as many as fill the length.
fn batch(base: &str, length: usize) -> String {
    let op = |n: usize| format!("{{\"op\": \"set\", \"path\": \"{base}/{n:04}\", \"value\": {n}}}");
    let mut ops = op(0);
    for n in 1.. {
        if ops.len() + "{\"ops\": []}".len() >= length {
            break;
        }
        ops.push_str(", ");
        ops.push_str(&op(n));
    }
    format!("{{\"ops\": [{ops}]}}")
}
