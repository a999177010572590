//! The bare handler: axum, one route, bytes that are there already. It runs as a process of its own, as the server does.

use std::env;
use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::Failure;
use crate::dust::ENTRIES;
use crate::process::Process;

/// The first argument of the process; the second is the file of the body.
pub(crate) const ARGUMENT: &str = "bare-handler";

/// Serves the bytes of a file.
pub(crate) fn serve(file: &Path) -> Result<(), Failure> {
    let body = Bytes::from(fs::read(file)?);
    let answer = move || {
        let body = body.clone();
        async move { ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body) }
    };
    let routes = Router::new()
        .route(ENTRIES, get(answer.clone()))
        .route(&format!("{ENTRIES}/{{*path}}"), get(answer));
    Runtime::new()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        writeln!(io::stdout(), "listening on http://{}", listener.local_addr()?)?;
        axum::serve(listener, routes).await?;
        Ok(())
    })
}

/// A process that answers every GET with these bytes.
pub(crate) fn start(folder: &Path, body: &[u8]) -> Result<(Process, SocketAddr), Failure> {
    let file = folder.join("body");
    fs::write(&file, body)?;
    let mut command = Command::new(env::current_exe()?);
    let (process, address, _) = Process::start_and_listen(command.arg(ARGUMENT).arg(&file))?;
    Ok((process, address))
}
