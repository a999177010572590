//! The server under test: the real binary on a real folder, without rate limits.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::client::Connection;
use crate::process::Process;

/// The entries of the store that the first start makes.
pub(crate) const ENTRIES: &str = "/api/stores/local/main/entries";

/// The server, and how to ask it.
#[derive(Debug)]
pub(crate) struct Dust {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
    token: String,
}

impl Dust {
    /// The store that the first start makes.
    pub(crate) const STORE: &str = "local/main";

    pub(crate) fn start(binary: &Path, folder: &Path) -> Result<Self, Failure> {
        // The clients here are too lean for heartbeats, and a machine may be slow.
        let settings = folder.with_extension("toml");
        fs::write(&settings, "[channels]\nidle_timeout_seconds = 3600\n")?;
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--no-rate-limit", "--config"]);
        let (process, address, printed) = Process::start_and_listen(command.arg(settings).arg("--data").arg(folder))?;
        let token = printed.iter().find_map(|line| line.strip_prefix("token "));
        Ok(Self {
            process,
            address,
            token: token.ok_or("the first start prints a token")?.to_owned(),
        })
    }

    /// The token that the first start printed.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    /// The bytes of a request below the entries.
    pub(crate) fn request(&self, method: &str, target: &str, body: &str) -> Vec<u8> {
        let mut text = format!(
            "{method} {ENTRIES}{target} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\n",
            self.address, self.token
        );
        if !body.is_empty() {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "content-type: application/json\r\ncontent-length: {}\r\n",
                body.len()
            );
        }
        text.push_str("\r\n");
        text.push_str(body);
        text.into_bytes()
    }

    /// The request that turns a connection into a socket of the channels.
    pub(crate) fn upgrade(&self, device: &str) -> String {
        format!(
            "GET /ws/sync/websocket?token={}&device_id={device}&capver=3&vsn=2.0.0 HTTP/1.1\r\nhost: {}\r\n\
             connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: ZHVzdCBiZW5jaG1hcmtzIQ==\r\n\r\n",
            self.token, self.address
        )
    }

    /// The number of the last op.
    pub(crate) async fn head(&self) -> Result<u64, Failure> {
        let mut connection = Connection::open(self.address).await?;
        let written = connection.send(&self.request("PUT", "/head", "1")).await?;
        let number = str::from_utf8(written)?.rsplit(':').next().unwrap_or_default();
        Ok(number.trim_end_matches('}').parse()?)
    }

    /// Writes the leaves `bench/00000000` and so on.
    pub(crate) async fn fill(&self, count: usize) -> Result<(), Failure> {
        let mut connection = Connection::open(self.address).await?;
        for begin in (0..count).step_by(BATCH_OPS) {
            let body = batch(begin..count.min(begin + BATCH_OPS));
            connection.send(&self.request("POST", "/batch_write", &body)).await?;
        }
        Ok(())
    }
}

/// The most ops of a batch.
pub(crate) const BATCH_OPS: usize = 1000;

/// A value of a hundred bytes.
pub(crate) fn value(number: usize) -> String {
    format!("{number:0>100}")
}

pub(crate) fn key(number: usize) -> String {
    format!("bench/{number:08}")
}

/// The body of a batch that sets the leaves of these numbers.
pub(crate) fn batch(numbers: impl Iterator<Item = usize>) -> String {
    let mut body = String::from("{\"ops\":[");
    for (index, number) in numbers.enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let (path, value) = (key(number), value(number));
        let _ = write!(body, r#"{comma}{{"op":"set","path":"{path}","value":"{value}"}}"#);
    }
    body.push_str("]}");
    body
}
