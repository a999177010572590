//! Servers that the harness starts and stops.

use std::env;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// How long a server may take until it answers.
const START_MAX: Duration = Duration::from_secs(30);

/// A process that is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    /// Starts a server whose output nobody reads.
    pub(crate) fn start(command: &mut Command) -> Result<Self, Failure> {
        let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(quiet.spawn()?))
    }

    /// Starts a server that prints where it listens; gives what it printed until then.
    pub(crate) fn start_and_listen(command: &mut Command) -> Result<(Self, SocketAddr, Vec<String>), Failure> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let output = child.stdout.take().ok_or("a server without an output")?;
        let process = Self(child);
        let mut printed = Vec::new();
        for line in BufReader::new(output).lines() {
            let line = line?;
            if let Some(url) = line.strip_prefix("listening on http://") {
                return Ok((process, url.parse()?, printed));
            }
            printed.push(line);
        }
        Err("a server ended before it listened".into())
    }

    /// Asks until the server answers.
    pub(crate) fn wait_for<T>(&mut self, mut ask: impl FnMut() -> Result<T, Failure>) -> Result<T, Failure> {
        let began = Instant::now();
        loop {
            match ask() {
                Ok(answer) => return Ok(answer),
                Err(error) if began.elapsed() > START_MAX => return Err(error),
                Err(_) => {}
            }
            if let Some(status) = self.0.try_wait()? {
                return Err(format!("a server ended before it answered: {status}").into());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// The processor time it has had, where the system tells.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        /// Linux counts in hundredths of a second.
        const TICK: Duration = Duration::from_millis(10);
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        // The name of the command comes before, in parentheses, and may have spaces.
        let (_, fields) = stat.rsplit_once(')')?;
        let mut times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
        let (user, system) = (times.next()?.ok()?, times.next()?.ok()?);
        Some(TICK * (user + system))
    }

    /// The memory it holds, in KiB, where the system tells.
    pub(crate) fn resident_kib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where a program is installed.
pub(crate) fn find(program: &str, also: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path).chain(also.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// An address that nobody listens on.
pub(crate) fn free_address() -> Result<SocketAddr, Failure> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// Builds the server as it is released, with line tables so that it can be profiled; or takes the one that `DUST_BIN` names.
pub(crate) fn dust_binary(profile: &str) -> Result<PathBuf, Failure> {
    if let Some(binary) = env::var_os("DUST_BIN") {
        return Ok(binary.into());
    }
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--locked", "--package", "dust-server", "--profile", profile]);
    if !build.status()?.success() {
        return Err("the server does not build".into());
    }
    let folder = if profile == "bench" { "release" } else { "debug" };
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .ok_or("no target folder")?;
    Ok(target.join(folder).join("dust"))
}
