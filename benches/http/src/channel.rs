//! Sockets of the channels: durable writes one after the other and sixty-four at once, and a catch-up from the first op.

use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use crate::dust::{Dust, key, value};
use crate::feed::{Feed, contains};
use crate::report::{Line, Target};
use crate::turn::{Client, turn};
use crate::{CLIENTS, Failure, Scale, socket, write};

/// Writes of one socket that are under way at once.
const DEPTH: usize = 64;

/// How often the memory is looked at during a catch-up, in events.
const LOOK_EVENTS: usize = 1000;

/// A client that writes through one socket, and goes on before it is answered.
#[derive(Debug)]
struct Pipelined {
    feed: Feed,
    next: usize,
    keys: usize,
    under_way: usize,
}

impl Client for Pipelined {
    async fn ask(&mut self) -> Result<u32, Failure> {
        while self.under_way < DEPTH {
            self.next += 1;
            let number = self.next * crate::STRIDE % self.keys;
            self.feed
                .send(&socket::write(self.next, &key(number), &value(number)))
                .await?;
            self.under_way += 1;
        }
        loop {
            // Its own events come, too, as to everybody.
            let message = self.feed.next().await?;
            let Some(head) = message.get(..message.len().min(100)) else {
                continue;
            };
            if contains(head, b"phx_reply") {
                if !contains(message, b"\"ok\"") {
                    return Err(String::from_utf8_lossy(message).into_owned().into());
                }
                self.under_way -= 1;
                return Ok(1);
            }
        }
    }
}

/// Acknowledged durable writes through one socket, beside the requests of as many connections.
pub(crate) fn pipelined(scale: &Scale, dust: &Dust) -> Result<Line, Failure> {
    let connect = |clients: Range<usize>| async move {
        let mut sockets = Vec::with_capacity(clients.len());
        for next in clients {
            let mut feed = socket::join(dust, "dev_writer", dust.head().await?).await?;
            feed.wait_for(b"catch_up_complete").await?;
            sockets.push(Pipelined {
                feed,
                next,
                keys: scale.keys,
                under_way: 0,
            });
        }
        Ok(sockets)
    };
    let (mut of_socket, mut of_http) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        of_socket.push(turn(1, scale.turn, Some(&dust.process), connect)?);
        of_http.push(turn(CLIENTS, scale.turn, Some(&dust.process), |clients| {
            write::connect(dust, clients, scale.keys)
        })?);
    }
    Ok(Line {
        what: format!("writes, 1 socket {DEPTH} deep, beside {CLIENTS} × HTTP"),
        dust: of_socket,
        peer: of_http,
        target: Target::Ratio(1.0),
    })
}

/// A catch-up with everything that is in the log: how fast it comes, and what the server holds meanwhile.
pub(crate) fn catch_up(scale: &Scale, runtime: &Runtime, dust: &Dust) -> Result<String, Failure> {
    let mut text = String::new();
    for _ in 0..scale.rounds.min(3) {
        let before = dust.process.resident_kib().unwrap_or_default();
        let (events, took, most) = runtime.block_on(read_log(dust))?;
        let rate = f64::from(events) / took.as_secs_f64();
        let grown = Duration::from_micros(most.saturating_sub(before)).as_secs_f64() * 1e6 / 1024.0;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "catch-up with {events} ops: {took:.2?}, {rate:.0} ops/s, {grown:.1} MiB more in the server"
        );
    }
    Ok(text)
}

async fn read_log(dust: &Dust) -> Result<(u32, Duration, u64), Failure> {
    let began = Instant::now();
    let mut feed = socket::join(dust, "dev_late", 0).await?;
    let (mut events, mut most) = (0_u32, 0);
    loop {
        let message = feed.next().await?;
        if contains(message, b"catch_up_complete") {
            return Ok((events, began.elapsed(), most));
        }
        events += u32::from(contains(message, b"\"event\""));
        if (events as usize).is_multiple_of(LOOK_EVENTS) {
            most = most.max(dust.process.resident_kib().unwrap_or_default());
        }
    }
}
