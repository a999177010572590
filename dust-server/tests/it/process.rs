//! The command itself, as a process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::client::{Answer, Request};

const ENTRIES: &str = "/api/stores/local/main/entries";

pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// The token that the first start prints.
    pub(crate) token: Option<String>,
    _rest: Lines<BufReader<ChildStdout>>,
}

fn dust(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dust"));
    command
        .args(arguments)
        .env("RUST_LOG", "off")
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    for name in [
        "DUST_CONFIG",
        "DUST_DATA",
        "DUST_ENGINE",
        "DUST_LISTEN",
        "DUST_READS_PER_MINUTE",
        "DUST_WRITES_PER_MINUTE",
    ] {
        command.env_remove(name);
    }
    command
}

impl Process {
    pub(crate) async fn serve(data: &Path) -> Self {
        let data = data.to_str().unwrap();
        let command = dust(&["serve", "--data", data, "--listen", "127.0.0.1:0", "--no-rate-limit"]);
        Self::start(command).await
    }

    async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut token = None;
        let address = loop {
            let line = lines.next_line().await.unwrap().expect("it prints where it listens");
            if let Some(secret) = line.strip_prefix("token ") {
                token = Some(secret.to_owned());
            }
            if let Some(url) = line.strip_prefix("listening on http://") {
                break url.parse().unwrap();
            }
        };
        Self {
            child,
            address,
            token,
            _rest: lines,
        }
    }
}

fn ok(answer: &Answer) {
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
}

/// Writes batches of three until the server is gone; gives the numbers of those that it acknowledged.
async fn write_until_gone(address: SocketAddr, token: String, writer: usize, round: usize) -> Vec<usize> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let op = |part| format!(r#"{{"op":"set","path":"r{round}/w{writer}/{number}/{part}","value":{number}}}"#);
        let body = format!(r#"{{"ops":[{},{},{}]}}"#, op("a"), op("b"), op("c"));
        let put = Request::new("POST", &format!("{ENTRIES}/batch_write"), &token).json(&body);
        match put.send(address).await {
            Ok(answer) => {
                ok(&answer);
                acknowledged.push(number);
            }
            Err(_) => break,
        }
    }
    acknowledged
}

/// How often the server is killed: a few times, or as often as `DUST_KILLS` says.
fn kills() -> usize {
    match std::env::var("DUST_KILLS") {
        Ok(kills) => kills.parse().unwrap(),
        Err(_) => 4,
    }
}

/// Fails unless all that was acknowledged in a round is there, and no part of a batch without the rest.
async fn check_round(address: SocketAddr, token: &str, round: usize, acknowledged: &[Vec<usize>]) {
    for (writer, acknowledged) in acknowledged.iter().enumerate() {
        let read = Request::new("GET", &format!("{ENTRIES}/r{round}/w{writer}"), token);
        let answer = read.send(address).await.unwrap();
        if acknowledged.is_empty() && answer.status == 404 {
            continue;
        }
        ok(&answer);
        let found = answer.json();
        let found = found["value"].as_object().unwrap();
        for number in acknowledged {
            assert!(
                found.contains_key(&number.to_string()),
                "round {round}: {number} of {writer} is lost"
            );
        }
        // At most the one that was under way is there without an answer.
        assert!(found.len() <= acknowledged.len() + 1);
        for batch in found.values() {
            assert_eq!(
                batch.as_object().unwrap().len(),
                3,
                "round {round}: half a batch of {writer}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_sigkill_and_no_batch_is_half_there() {
    const WRITERS: usize = 64;
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let mut process = Process::serve(&data).await;
    let token = process.token.clone().expect("the first start prints a token");
    let mut rounds = Vec::new();
    for round in 0..kills() {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| tokio::spawn(write_until_gone(process.address, token.clone(), writer, round)))
            .collect();
        // In the middle of what they do: when the first has had a few answers, one more in each round.
        let marker = format!("{ENTRIES}/r{round}/w0/{}/a", 3 + round);
        while Request::new("GET", &marker, &token)
            .send(process.address)
            .await
            .unwrap()
            .status
            != 200
        {}
        process.child.kill().await.unwrap();
        let mut acknowledged = Vec::new();
        for writer in writers {
            acknowledged.push(writer.await.unwrap());
        }
        process = Process::serve(&data).await;
        assert_eq!(process.token, None, "a second start makes no token");
        check_round(process.address, &token, round, &acknowledged).await;
        rounds.push(acknowledged);
    }
    for (round, acknowledged) in rounds.iter().enumerate() {
        check_round(process.address, &token, round, acknowledged).await;
    }
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_it_with_success() {
    let folder = TempDir::new().unwrap();
    let mut process = Process::serve(&folder.path().join("data")).await;
    let token = process.token.clone().unwrap();
    let put = Request::new("PUT", &format!("{ENTRIES}/hello"), &token).json("\"world\"");
    ok(&put.send(process.address).await.unwrap());
    let id = process.child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .await
            .unwrap()
            .success()
    );
    assert!(process.child.wait().await.unwrap().success());
}

#[tokio::test]
async fn a_file_configures_it_and_unknown_keys_are_refused() {
    let folder = TempDir::new().unwrap();
    let (data, file) = (folder.path().join("data"), folder.path().join("dust.toml"));
    let data = data.to_str().unwrap();
    let text = format!("data = {data:?}\nlisten = \"127.0.0.1:0\"\n[rate_limits]\nwrites_per_minute = 2\n");
    std::fs::write(&file, &text).unwrap();
    let arguments = ["serve", "--config", file.to_str().unwrap()];
    let process = Process::start(dust(&arguments)).await;
    let token = process.token.clone().unwrap();
    let put = Request::new("PUT", &format!("{ENTRIES}/a"), &token).json("1");
    let mut refused = 0;
    // Two a minute; a new minute may begin in between.
    for _ in 0..7 {
        refused += usize::from(put.send(process.address).await.unwrap().status == 429);
    }
    assert!(refused >= 3, "{refused}");
    let metrics = Request::new("GET", "/metrics", "").send(process.address).await.unwrap();
    let metrics = String::from_utf8(metrics.body).unwrap();
    let line = format!("dust_http_requests_total{{method=\"PUT\",status=\"429\"}} {refused}\n");
    assert!(metrics.contains(&line), "{metrics}");

    std::fs::write(&file, text + "colour = 1\n").unwrap();
    let output = dust(&arguments).stderr(Stdio::piped()).output().await.unwrap();
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).contains("colour"));
}

#[tokio::test]
async fn init_prints_a_token_that_the_server_takes() {
    let folder = TempDir::new().unwrap();
    let data = folder.path().join("data");
    let output = dust(&[
        "init",
        "--data",
        data.to_str().unwrap(),
        "--org",
        "acme",
        "--store",
        "site",
    ])
    .output()
    .await
    .unwrap();
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).unwrap();
    let token = printed.lines().find_map(|line| line.strip_prefix("token ")).unwrap();
    let process = Process::serve(&data).await;
    assert_eq!(process.token, None, "the server has been set up");
    let put = Request::new("PUT", "/api/stores/acme/site/entries/hello", token).json("1");
    ok(&put.send(process.address).await.unwrap());
    let second = dust(&["serve", "--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"])
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
    assert!(!second.status.success(), "the folder is open already");
    assert!(String::from_utf8_lossy(&second.stderr).contains("cannot be opened"));
}
