//! A task for each webhook, which sends what its receiver has not taken yet.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dust_store::{Embedded, Logged};
use dust_transport::error::Error;
use dust_transport::model::{Pattern, Seq, Value};
use dust_transport::transport::{Signal, Start, Subscribe, Transport as _};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use uuid::Uuid;

use super::hook::Hook;
use super::registry::Registry;
use crate::Timestamp;
use crate::server::Shared;

/// How many deliveries of a busy webhook may be unsaved, and for how long; as many may come again after a crash.
const UNSAVED_MAX: u64 = 50;
const UNSAVED_FOR: Duration = Duration::from_secs(1);

/// Sends until the future ends; then lets what is under way end, stores where each webhook is, and leaves them to the other
/// servers of the database.
///
/// Dropping it ends what is under way.
pub(crate) async fn dispatch(shared: Arc<Shared>, stop: impl Future<Output = ()>) {
    let mut stop = pin!(stop);
    let mut changes = shared.webhooks.changes();
    let mut tasks = Tasks::default();
    let mut holding = pin!(hold(&shared.webhooks));
    loop {
        tasks.follow(&shared);
        tokio::select! {
            () = &mut stop => break,
            () = &mut holding => break,
            // The sender is in `shared`.
            _ = changes.changed() => {}
            Some(ended) = tasks.running.join_next() => tasks.ended(&ended),
        }
    }
    tasks.stop_all_but(&HashSet::new());
    while tasks.running.join_next().await.is_some() {}
    if let Err(error) = shared.webhooks.let_go().await {
        tracing::warn!(%error, "the webhooks wait until the leases of this server end");
    }
}

/// Keeps the leases of this server, and takes those that nobody has. Does not end.
async fn hold(registry: &Registry) {
    let leases = registry.leases();
    if !leases.are_needed() {
        std::future::pending::<()>().await;
    }
    loop {
        if let Err(error) = registry.hold().await {
            tracing::error!(%error, "the leases of webhooks cannot be kept");
        }
        // Until something stirs, or for so long.
        let _ = tokio::time::timeout(leases.period(), leases.stirred.notified()).await;
    }
}

/// The webhooks that are followed.
#[derive(Default)]
struct Tasks {
    running: JoinSet<(Uuid, End)>,
    /// Tells the task of a webhook that it is to end.
    stopping: HashMap<Uuid, watch::Sender<bool>>,
}

impl Tasks {
    /// Follows the webhooks that are this server's to deliver, and no others. One that has just been given up is followed
    /// again when its task has ended.
    fn follow(&mut self, shared: &Arc<Shared>) {
        let mut hooks = shared.webhooks.all();
        hooks.retain(|hook| shared.webhooks.is_ours(hook) && !hook.is_deleted());
        let ours = hooks.iter().map(|hook| hook.record.id).collect();
        self.stop_all_but(&ours);
        for hook in hooks {
            if let Entry::Vacant(free) = self.stopping.entry(hook.record.id) {
                let stopping = free.insert(watch::Sender::new(false)).subscribe();
                self.running.spawn(follow(Arc::clone(shared), hook, stopping));
            }
        }
    }

    fn stop_all_but(&mut self, ours: &HashSet<Uuid>) {
        for (id, stopping) in &self.stopping {
            if !ours.contains(id) {
                stopping.send_replace(true);
            }
        }
    }

    /// A task has ended.
    fn ended(&mut self, ended: &Result<(Uuid, End), JoinError>) {
        if let Ok((id, End::GivenUp)) = ended {
            self.stopping.remove(id);
        }
    }
}

/// Why the task of a webhook has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is deleted, or another server's to deliver; if it comes back, it goes on.
    GivenUp,
    /// It rests: its store is gone, or there was an error.
    Rests,
}

/// Serves one webhook until it or its store is gone, or it is told to stop.
async fn follow(shared: Arc<Shared>, hook: Arc<Hook>, stopping: watch::Receiver<bool>) -> (Uuid, End) {
    let id = hook.record.id;
    let followed = Follower {
        shared,
        hook,
        stopping,
        saved_at: Instant::now(),
    };
    let end = followed.run().await.unwrap_or_else(|error| {
        tracing::error!(%id, code = error.code(), detail = error.detail(), "a webhook rests until the server is restarted");
        End::Rests
    });
    (id, end)
}

struct Follower {
    shared: Arc<Shared>,
    hook: Arc<Hook>,
    stopping: watch::Receiver<bool>,
    saved_at: Instant,
}

/// Why a wait has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    GoOn,
    End,
}

impl Follower {
    async fn run(mut self) -> Result<End, Error> {
        loop {
            // One that is archived or at its end has no receivers.
            let Some(store) = self.shared.control.store_by_id(self.hook.record.store) else {
                self.save().await?;
                return Ok(End::Rests);
            };
            let hook = Arc::clone(&self.hook);
            let shared = Arc::clone(&self.shared);
            if self
                .wait(hook.until_due(|| shared.control.now(), &shared.sender.options().backoff))
                .await
                == Woken::End
            {
                self.save().await?;
                return Ok(End::GivenUp);
            }
            if !self.shared.webhooks.is_ours(&self.hook) {
                // Its lease has ended, and nobody renewed it: what was sent is stored by whoever has the next one.
                return Ok(End::GivenUp);
            }
            let store = self.shared.open(&store).await?;
            if let Some(op) = next(&store, &self.hook).await? {
                self.deliver(&store, &op).await?;
                continue;
            }
            self.save().await?;
            let after = Seq(self.hook.delivered_seq());
            let mut from = Ok(after);
            if self.wait(async { from = moved(&store, after).await }).await == Woken::End {
                return Ok(End::GivenUp);
            }
            let from = from?;
            if from != after {
                tracing::warn!(id = %self.hook.record.id, after = after.0, from = from.0, "the log begins later");
                self.hook.skip_to(from.0);
            }
        }
    }

    /// Waits for something, or for the end.
    async fn wait(&mut self, until: impl Future) -> Woken {
        let hook = Arc::clone(&self.hook);
        tokio::select! {
            biased;
            _ = self.stopping.wait_for(|stopping| *stopping) => Woken::End,
            () = hook.until_deleted() => Woken::End,
            _ = until => Woken::GoOn,
        }
    }

    async fn deliver(&mut self, store: &Embedded, op: &Logged) -> Result<(), Error> {
        let (hook, sender) = (&self.hook, &self.shared.sender);
        let body = body(store.store_name().as_str(), op);
        let attempt = tokio::select! {
            attempt = sender.send(&hook.record.url, &hook.record.secret, body) => attempt,
            () = hook.until_deleted() => return Ok(()),
        };
        hook.note(
            op.event.seq.0,
            &attempt,
            self.shared.control.now(),
            &sender.options().backoff,
        );
        tracing::debug!(id = %hook.record.id, seq = op.event.seq.0, ?attempt, "delivery");
        if !attempt.is_ok() || hook.unsaved() >= UNSAVED_MAX || self.saved_at.elapsed() > UNSAVED_FOR {
            self.save().await?;
        }
        Ok(())
    }

    async fn save(&mut self) -> Result<(), Error> {
        self.saved_at = Instant::now();
        if self.hook.unsaved() == 0 {
            return Ok(());
        }
        self.shared.webhooks.save(&self.hook).await
    }
}

/// The op that the receiver has not taken yet; `None` at the end of the log.
async fn next(store: &Embedded, hook: &Hook) -> Result<Option<Logged>, Error> {
    let seq = hook.delivered_seq().saturating_add(1);
    match store.log(Seq(seq.saturating_add(1)), 1).await {
        Ok(found) => Ok(found.into_iter().find(|op| op.event.seq.0 == seq)),
        // The log begins later, which the subscription tells more of.
        Err(error) if error.code() == "compacted" => Ok(None),
        Err(error) => Err(error),
    }
}

/// Ends when an op follows the sequence number, which it gives back; or one that is later, where the log begins later.
async fn moved(store: &Embedded, after: Seq) -> Result<Seq, Error> {
    let all = Subscribe::pattern(Pattern::parse("**")?);
    let mut signals = store.subscribe(all.start(Start::After(after))).await?;
    while let Some(signal) = poll_fn(|cx| signals.as_mut().poll_next(cx)).await {
        match signal? {
            Signal::Event(_) => return Ok(after),
            Signal::Resync { through } => return Ok(through),
            _ => {}
        }
    }
    Ok(after)
}

/// What a receiver gets of an op.
fn body(store: &str, op: &Logged) -> String {
    let event = &op.event;
    let fields = [
        ("device_id", Value::from(event.device.as_str())),
        ("event", Value::from("entry.changed")),
        ("op", Value::from(event.kind.as_str())),
        ("path", Value::from(event.path.as_str())),
        ("store", Value::from(store)),
        ("store_seq", Value::from(event.seq.0)),
        ("timestamp", Value::from(Timestamp::from_ms(op.at_ms).to_string())),
        ("value", event.value.clone().unwrap_or_else(Value::null)),
    ];
    Value::map(fields).json().to_owned()
}
