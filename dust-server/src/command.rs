//! The subcommands: what is read from the command line, and what is done.

use std::error::Error;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use dust_server::control::NewToken;
use dust_server::{Config, Server};
use tokio::runtime::Runtime;
use tracing_subscriber::EnvFilter;

use crate::settings::{Engine, Flags};

type Done = Result<(), Box<dyn Error>>;

/// A Dust server: a reactive key-value store over HTTP.
#[derive(Debug, Parser)]
#[command(name = "dust")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the data of a folder; on the first start, set it up as `init` does.
    Serve(Serve),
    /// Create an organisation and a store if they are missing, and a token, and print how to use them.
    Init(Init),
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    flags: Flags,
}

#[derive(Debug, Args)]
struct Init {
    /// The folder of the data; it is made if it is missing.
    #[arg(long, env = "DUST_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The organisation.
    #[arg(long, default_value = DEFAULT_ORG)]
    org: String,
    /// The store in it.
    #[arg(long, default_value = DEFAULT_STORE)]
    store: String,
}

const DEFAULT_ORG: &str = "local";
const DEFAULT_STORE: &str = "main";

impl Arguments {
    pub(crate) fn run(self) -> Done {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .init();
        match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Init(init) => Runtime::new()?.block_on(init.run()),
        }
    }
}

impl Serve {
    fn run(self) -> Done {
        let (engine, config) = self.flags.config()?;
        match engine {
            Engine::Disk => Runtime::new()?.block_on(async { serve(Server::open(config).await?).await }),
            Engine::FoundationDb(file) => serve_on_cluster(&file, config),
        }
    }
}

/// Runs a node of the cluster that the file names.
#[cfg(feature = "foundationdb")]
fn serve_on_cluster(file: &Path, config: Config) -> Done {
    use dust_store::foundationdb::{FoundationDb, Options, network};
    use dust_store::{Database, Options as StoreOptions};

    network::run(|network| {
        let engine = FoundationDb::open(network, Options::default().cluster_file(file).prefix(CLUSTER_PREFIX))?;
        let options = StoreOptions::default().with_clock(config.clock.clone());
        let database = Database::with_options(engine, options);
        Runtime::new()?.block_on(async { serve(Server::on(database, config).await?).await })
    })?
}

/// Where all of Dust lies in a cluster that others may use, too.
#[cfg(feature = "foundationdb")]
const CLUSTER_PREFIX: &[u8] = b"dust/";

#[cfg(not(feature = "foundationdb"))]
fn serve_on_cluster(_file: &Path, _config: Config) -> Done {
    Err("this `dust` is built without the feature `foundationdb`".into())
}

/// Serves until it is told to stop.
async fn serve(server: Server) -> Done {
    let listening = server.listen().await?;
    let url = format!("http://{}", listening.local_addr());
    if server.control().is_empty() {
        set_up(&server, DEFAULT_ORG, DEFAULT_STORE, &url).await?;
    }
    writeln!(io::stdout(), "listening on {url}")?;
    // Taken before the first request, so that no signal ends the process in the middle of one.
    let stop = stop_signal()?;
    listening.serve_until(stop).await?;
    tracing::info!("stopped");
    Ok(())
}

impl Init {
    async fn run(self) -> Done {
        let server = Server::open(Config::new(self.data)).await?;
        set_up(&server, &self.org, &self.store, "http://127.0.0.1:7755").await
    }
}

/// Creates what is missing, and a token, and says how to use it.
async fn set_up(server: &Server, org: &str, store: &str, url: &str) -> Done {
    let control = server.control();
    if !control.has_org(org) {
        control.create_org(org).await?;
    }
    if control.store(org, store).is_none() {
        control.create_store(org, store, None).await?;
    }
    let (_, secret) = control.create_token(NewToken::full(org, "first")).await?;
    writeln!(
        io::stdout(),
        "store {org}/{store}\n\
         token {secret}\n\
         The token is shown this once; the server keeps its hash. To write and read:\n\n\
         export DUST_TOKEN={secret}\n\
         curl -X PUT {url}/api/stores/{org}/{store}/entries/hello \\\n    \
             -H \"authorization: Bearer $DUST_TOKEN\" -H 'content-type: application/json' -d '\"world\"'\n\
         curl {url}/api/stores/{org}/{store}/entries/hello -H \"authorization: Bearer $DUST_TOKEN\"\n",
    )?;
    Ok(())
}

/// Ends when the process is told to: by ctrl-c or, on Unix, by SIGTERM.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

/// Ends when the process is told to, by ctrl-c.
#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    Ok(async {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// Prints an error and what is behind it.
pub(crate) fn report(error: &dyn Error) {
    let mut text = format!("dust: {error}");
    let mut source = error.source();
    while let Some(next) = source {
        text.push_str(": ");
        text.push_str(&next.to_string());
        source = next.source();
    }
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr(), "{text}");
}
