//! Postgres with its usual settings: a row is on disk when its insert is answered.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tokio_postgres::{NoTls, Statement};

use crate::Failure;
use crate::dust::{key, value};
use crate::process::{Process, find, free_address};
use crate::turn::Client;

/// Where Debian keeps the programs that are not for users.
const DEBIAN: [&str; 1] = ["/usr/lib/postgresql/15/bin"];

/// `nobody` and `nogroup`: Postgres refuses to run as root.
const NOBODY: u32 = 65534;

/// Postgres in a folder of its own, with an empty table.
pub(crate) fn start(folder: &Path) -> Result<Option<(Process, SocketAddr)>, Failure> {
    let (Some(initdb), Some(postgres)) = (find("initdb", &DEBIAN), find("postgres", &DEBIAN)) else {
        return Ok(None);
    };
    let home = folder.join("postgres");
    std::fs::create_dir(&home)?;
    let is_root = std::fs::metadata(&home)?.uid() == 0;
    if is_root {
        chown(&home, Some(NOBODY), Some(NOBODY))?;
        // So that the other user gets through.
        std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    }
    let command = |program: &Path| {
        let mut command = Command::new(program);
        command.current_dir(&home).arg("-D").arg(home.join("data"));
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    };
    let mut create = command(&initdb);
    create.args(["--auth=trust", "--username=bench", "--no-sync"]);
    if !create.stdout(Stdio::null()).status()?.success() {
        return Err("initdb failed".into());
    }
    let address = free_address()?;
    let mut serve = command(&postgres);
    serve.arg("-p").arg(address.port().to_string());
    serve.args(["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]);
    let mut process = Process::start(&mut serve)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()?;
    process.wait_for(|| {
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(&options(address), NoTls).await?;
            let table = "create table if not exists entries (key text primary key, value text not null)";
            let connection = tokio::spawn(connection);
            client.batch_execute(table).await?;
            drop(client);
            connection.await??;
            Ok(())
        })
    })?;
    Ok(Some((process, address)))
}

fn options(address: SocketAddr) -> String {
    format!(
        "host={} port={} user=bench dbname=postgres",
        address.ip(),
        address.port()
    )
}

/// A client that upserts a row again and again.
pub(crate) struct Upsert {
    client: tokio_postgres::Client,
    statement: Statement,
    next: usize,
    keys: usize,
}

/// The clients of one thread, each with its connection.
pub(crate) async fn connect(address: SocketAddr, clients: Range<usize>, keys: usize) -> Result<Vec<Upsert>, Failure> {
    let mut upserts = Vec::with_capacity(clients.len());
    for next in clients {
        let (client, connection) = tokio_postgres::connect(&options(address), NoTls).await?;
        tokio::task::spawn_local(async move {
            // Its queries fail if the connection does.
            let _ = connection.await;
        });
        let upsert = "insert into entries values ($1, $2) on conflict (key) do update set value = excluded.value";
        let statement = client.prepare(upsert).await?;
        upserts.push(Upsert {
            client,
            statement,
            next,
            keys,
        });
    }
    Ok(upserts)
}

impl Client for Upsert {
    async fn ask(&mut self) -> Result<u32, Failure> {
        self.next = (self.next + crate::STRIDE) % self.keys;
        let (key, value) = (key(self.next), value(self.next));
        match self.client.execute(&self.statement, &[&key, &value]).await? {
            1 => Ok(1),
            rows => Err(format!("an upsert of {rows} rows").into()),
        }
    }
}
