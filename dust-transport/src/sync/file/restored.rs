//! What becomes of the writes that an earlier program left in the file.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures_core::Stream;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::actor::Command;
use super::super::outbox::{Outbox, Pending};
use super::super::shared::Shared;
use super::super::{Offline, Sync, unnamed};
use super::Row;
use crate::error::Error;
use crate::model::{Batch, OpId};
use crate::transport::Written;

/// A write that an earlier program left in the file, and what became of it; see [`Sync::restored`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Restored {
    /// What it writes, under its op id if it was given one.
    pub batch: Batch,
    /// As [`write`](crate::transport::Transport::write) would have answered.
    pub result: Result<Written, Error>,
}

/// A write that was left, on its way.
pub(in super::super) struct Left {
    number: u64,
    batch: Batch,
    /// The number under which it is seen, if it is.
    ahead: Option<u64>,
    /// No answer at all means that it stays in the file.
    answered: oneshot::Receiver<Result<Written, Error>>,
}

impl Left {
    /// Puts a write from the file back to where it was: into the outbox, and before the eyes of those who read.
    pub(in super::super) fn new(shared: &Shared, outbox: &mut Outbox, number: u64, row: Row, is_sent: bool) -> Self {
        let (answer, answered) = oneshot::channel();
        let (mut batch, mut ahead) = (Batch::default(), None);
        match row.batch() {
            Ok((id, read)) => {
                if row.is_seen {
                    ahead = Some(shared.lay_ahead(id.clone(), read.ops.clone()));
                }
                outbox.insert(number, Pending::restored(id, row, &read.ops, is_sent, answer), false);
                batch = read;
            }
            // The server would refuse it, too: a value that is nested too deep is kept, and not read.
            Err(error) => {
                outbox.forget(number);
                let _ = answer.send(Err(error));
            }
        }
        Self {
            number,
            batch,
            ahead,
            answered,
        }
    }
}

/// Those that are settled, in the order in which they were.
pub(in super::super) type Told = watch::Receiver<Vec<Arc<Restored>>>;

/// Waits for what becomes of the writes that were left.
pub(in super::super) fn follow(
    shared: &Arc<Shared>,
    left: Vec<Left>,
    commands: mpsc::WeakUnboundedSender<Command>,
) -> Told {
    let (tell, told) = watch::channel(Vec::new());
    shared.restored.store(left.len(), Ordering::Relaxed);
    if !left.is_empty() {
        tokio::spawn(settle_all(Arc::clone(shared), left, commands, tell));
    }
    told
}

async fn settle_all(
    shared: Arc<Shared>,
    left: Vec<Left>,
    commands: mpsc::WeakUnboundedSender<Command>,
    tell: watch::Sender<Vec<Arc<Restored>>>,
) {
    let limit = match shared.options.offline {
        Offline::Reject => Some(shared.options.reply_timeout),
        Offline::Queue => None,
        Offline::QueueFor(limit) => Some(limit),
    };
    let numbers: Vec<u64> = left.iter().map(|left| left.number).collect();
    let mut over = std::pin::pin!(async {
        match limit {
            Some(limit) => shared.options.pass(limit).await,
            None => std::future::pending().await,
        }
    });
    let mut is_over = false;
    let mut settling: FuturesUnordered<_> = left.into_iter().map(|left| settle(&shared, left)).collect();
    loop {
        tokio::select! {
            settled = settling.next() => match settled {
                Some(Some(restored)) => tell.send_modify(|told| told.push(Arc::new(restored))),
                Some(None) => {}
                None => return,
            },
            () = &mut over, if !is_over => {
                is_over = true;
                let Some(commands) = commands.upgrade() else { continue };
                for number in &numbers {
                    // An error is the end of the task that would do it.
                    let _ = commands.send(Command::GiveUp(*number));
                }
            }
        }
    }
}

async fn settle(shared: &Shared, left: Left) -> Option<Restored> {
    let result = left.answered.await.ok()?;
    if let Ok(written) = &result {
        let last = written.seqs.iter().copied().max().unwrap_or_default();
        shared.reached(last).await;
    }
    if let Some(ahead) = left.ahead {
        shared.remove_ahead(ahead, result.as_ref().err());
    }
    shared.restored.fetch_sub(1, Ordering::Relaxed);
    if let Err(error) = &result {
        tracing::warn!(%error, "a write of an earlier program was not applied, or may not have been");
    }
    let mut batch = left.batch;
    batch.id.take_if(|id: &mut OpId| unnamed::is_unnamed(id));
    Some(Restored { batch, result })
}

/// The stream of those that are settled, from the first.
fn told(told: Told) -> impl Stream<Item = Arc<Restored>> + Send + use<> {
    futures_util::stream::unfold((told, 0), async |(mut told, next)| {
        loop {
            let found = told.borrow_and_update().get(next).cloned();
            match found {
                Some(restored) => return Some((restored, (told, next + 1))),
                None => told.changed().await.ok()?,
            }
        }
    })
}

impl Sync {
    /// What becomes of the writes that an earlier program left in the [file](crate::sync::SyncOptions::file): each of them
    /// once it is settled, in the order in which they are, also those that were before this call. It ends when none is left,
    /// at once without a file, and when the `Sync` ends; what is not settled by then stays in the file.
    ///
    /// Nobody waits for their answers any more, so a program that queues writes looks here for those that were refused. Each
    /// refusal is logged as a warning, too.
    ///
    /// ```no_run
    /// use dust_transport::sync::{Offline, Sync, SyncOptions};
    /// use futures_util::StreamExt as _;
    ///
    /// # async fn example(options: SyncOptions) -> Result<(), dust_transport::error::Error> {
    /// let store = Sync::connect(options.file("reading.dust").offline(Offline::Queue)).await?;
    /// let mut restored = std::pin::pin!(store.restored());
    /// while let Some(write) = restored.next().await {
    ///     if let Err(error) = &write.result {
    ///         eprintln!("not written: {:?}: {error}", write.batch);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn restored(&self) -> impl Stream<Item = Arc<Restored>> + Send + use<> {
        told(self.inner.restored.clone())
    }
}
