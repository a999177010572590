//! etcd, one node, over gRPC: the way of its own clients. The two messages are written by hand, which costs the load
//! generator less than a gRPC stack and so leaves etcd more of the machine.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::process::Command;

use h2::client::SendRequest;
use http::{Request, Uri};
use tokio::net::TcpStream;

use crate::Failure;
use crate::dust::{key, value};
use crate::process::{Process, find, free_address};
use crate::turn::Client;

/// etcd as it is installed, with nothing configured but where it is.
pub(crate) fn start(folder: &Path) -> Result<Option<(Process, SocketAddr)>, Failure> {
    let Some(program) = find("etcd", &[]) else {
        return Ok(None);
    };
    let (clients, peers) = (free_address()?, free_address()?);
    let mut command = Command::new(program);
    command.arg("--data-dir").arg(folder.join("etcd"));
    for flag in ["--listen-client-urls", "--advertise-client-urls"] {
        command.arg(flag).arg(format!("http://{clients}"));
    }
    for flag in ["--listen-peer-urls", "--initial-advertise-peer-urls"] {
        command.arg(flag).arg(format!("http://{peers}"));
    }
    command.arg("--initial-cluster").arg(format!("default=http://{peers}"));
    let mut process = Process::start(&mut command)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    process.wait_for(|| {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, async {
            let mut puts = connect(clients, 0..1, 1).await?;
            puts.first_mut().ok_or("no client")?.ask().await
        })
    })?;
    Ok(Some((process, clients)))
}

/// A client that puts a value of a hundred bytes again and again.
#[derive(Debug)]
pub(crate) struct Put {
    sender: SendRequest<axum::body::Bytes>,
    uri: Uri,
    next: usize,
    keys: usize,
}

/// The clients of one thread. They share a connection, as the clients of one process do with etcd's own library.
pub(crate) async fn connect(address: SocketAddr, clients: Range<usize>, keys: usize) -> Result<Vec<Put>, Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = h2::client::handshake(stream).await?;
    tokio::task::spawn_local(async move {
        // Its requests fail if the connection does.
        let _ = connection.await;
    });
    let uri: Uri = format!("http://{address}/etcdserverpb.KV/Put").parse()?;
    let put = |client: usize| Put {
        sender: sender.clone(),
        uri: uri.clone(),
        next: client,
        keys,
    };
    Ok(clients.map(put).collect())
}

impl Client for Put {
    async fn ask(&mut self) -> Result<u32, Failure> {
        self.next = (self.next + crate::STRIDE) % self.keys;
        let request = Request::post(self.uri.clone())
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .body(())?;
        let mut sender = self.sender.clone().ready().await?;
        let (answer, mut body) = sender.send_request(request, false)?;
        body.send_data(message(self.next)?.into(), true)?;
        let mut answer = answer.await?.into_body();
        while let Some(bytes) = answer.data().await {
            let bytes = bytes?;
            answer.flow_control().release_capacity(bytes.len())?;
        }
        let trailers = answer.trailers().await?;
        match trailers.as_ref().and_then(|trailers| trailers.get("grpc-status")) {
            Some(status) if status == "0" => Ok(1),
            _ => Err(format!("etcd answered {trailers:?}").into()),
        }
    }
}

/// A `PutRequest` of a key and a value, behind the five bytes that gRPC puts before a message.
fn message(number: usize) -> Result<Vec<u8>, Failure> {
    let (key, value) = (key(number), value(number));
    let mut fields = Vec::with_capacity(key.len() + value.len() + 4);
    for (tag, text) in [(0x0A, &key), (0x12, &value)] {
        fields.push(tag);
        // One byte is enough for a length below 128.
        fields.push(
            u8::try_from(text.len())
                .ok()
                .filter(|length| *length < 0x80)
                .ok_or("too long")?,
        );
        fields.extend_from_slice(text.as_bytes());
    }
    let length = u32::try_from(fields.len())?.to_be_bytes();
    Ok([&[0][..], &length, &fields].concat())
}
