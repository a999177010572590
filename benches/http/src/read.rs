//! GETs beside a bare handler that returns the same bytes.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use tokio::runtime::Runtime;

use crate::client::Connection;
use crate::dust::{Dust, key};
use crate::report::{Line, Target};
use crate::turn::{Client, turn};
use crate::{CLIENTS, Failure, Scale, bare};

/// A client that sends prepared requests by turns; all answers have the same length.
#[derive(Debug)]
pub(crate) struct Get {
    connection: Connection,
    requests: Arc<Vec<Vec<u8>>>,
    next: usize,
    length: usize,
}

impl Client for Get {
    async fn ask(&mut self) -> Result<u32, Failure> {
        self.next = (self.next + crate::STRIDE) % self.requests.len();
        let request = self.requests.get(self.next).ok_or("no request")?;
        let length = self.connection.send(request).await?.len();
        if length == self.length {
            Ok(1)
        } else {
            Err(format!("an answer of {length} bytes instead of {}", self.length).into())
        }
    }
}

async fn connect(
    address: SocketAddr,
    clients: Range<usize>,
    requests: Arc<Vec<Vec<u8>>>,
    length: usize,
) -> Result<Vec<Get>, Failure> {
    let mut gets = Vec::with_capacity(clients.len());
    for next in clients {
        gets.push(Get {
            connection: Connection::open(address).await?,
            requests: Arc::clone(&requests),
            next,
            length,
        });
    }
    Ok(gets)
}

/// One leaf of many.
pub(crate) fn get(scale: &Scale, runtime: &Runtime, folder: &Path, dust: &Dust) -> Result<Line, Failure> {
    // Numbers that are equally long have answers that are: the revision is part of them.
    let numbers = scale.keys / 10..scale.keys - 1;
    let targets = numbers.map(|number| format!("/{}", key(number)));
    let what = format!("GET of one of {} leaves, {CLIENTS} clients", scale.keys);
    compare(scale, runtime, folder, dust, targets, what, 0.6)
}

/// Pages of a thousand leaves: the same one again and again, and each time another.
pub(crate) fn list(scale: &Scale, runtime: &Runtime, folder: &Path, dust: &Dust) -> Result<[Line; 2], Failure> {
    let target = "?pattern=bench/**&limit=1000";
    let same = [target.to_owned()].into_iter();
    let same = compare(
        scale,
        runtime,
        folder,
        dust,
        same,
        "list of 1000 entries, unchanged".to_owned(),
        0.5,
    )?;
    // Too many for the server to remember them all.
    let numbers = (scale.keys / 10..scale.keys - 1001).step_by(7);
    let others = numbers.map(|number| format!("{target}&after={}", key(number)));
    let others = compare(
        scale,
        runtime,
        folder,
        dust,
        others,
        "list of 1000 entries, each another".to_owned(),
        0.5,
    )?;
    Ok([same, others])
}

fn compare(
    scale: &Scale,
    runtime: &Runtime,
    folder: &Path,
    dust: &Dust,
    targets: impl Iterator<Item = String>,
    what: String,
    least: f64,
) -> Result<Line, Failure> {
    let requests: Vec<_> = targets.map(|target| dust.request("GET", &target, "")).collect();
    let requests = Arc::new(requests);
    let first = requests.first().ok_or("no request")?;
    let body = runtime.block_on(async {
        let mut connection = Connection::open(dust.address).await?;
        Ok::<_, Failure>(connection.send(first).await?.to_vec())
    })?;
    let (bare, address) = bare::start(folder, &body)?;
    let side = |server, address| {
        let connect = |clients| connect(address, clients, Arc::clone(&requests), body.len());
        turn(CLIENTS, scale.turn, Some(server), connect)
    };
    let (mut of_dust, mut of_bare) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        of_dust.push(side(&dust.process, dust.address)?);
        of_bare.push(side(&bare, address)?);
    }
    Ok(Line {
        what,
        dust: of_dust,
        peer: of_bare,
        target: Target::Ratio(least),
    })
}
