//! What other servers change in the webhooks.

use std::sync::{Arc, Weak};

use dust_transport::error::Error;
use dust_transport::model::{Event, OpKind, Pattern, Seq};
use dust_transport::transport::{EventStream, Signal, Start, Subscribe, Transport as _};
use uuid::Uuid;

use super::registry::Registry;
use crate::control::Following;

/// Follows the store of the webhooks from `seq` on, as long as `registry` is there. Changes of this server come by again
/// and change nothing.
pub(super) async fn follow(registry: &Arc<Registry>, seq: Seq) -> Result<Following, Error> {
    let everything = Subscribe::pattern(Pattern::parse("**")?);
    let events = registry.store().subscribe(everything.start(Start::After(seq))).await?;
    let task = tokio::spawn(run(Arc::downgrade(registry), events));
    Ok(Following(task.abort_handle()))
}

async fn run(registry: Weak<Registry>, mut events: EventStream) {
    while let Some(signal) = std::future::poll_fn(|cx| events.as_mut().poll_next(cx)).await {
        let Some(registry) = registry.upgrade() else { return };
        let followed = match signal {
            Ok(Signal::Event(event)) => see(&registry, &event).await,
            Ok(Signal::Resync { .. }) => registry.reload().await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = followed {
            // What is in memory stays as it is, and is read anew at the next start.
            tracing::error!(%error, "a change of the webhooks by another server is not seen here");
        }
    }
}

async fn see(registry: &Registry, event: &Event) -> Result<(), Error> {
    let segments: Vec<_> = event.path.segments().collect();
    let [kind, id, ..] = &segments[..] else {
        return registry.reload().await;
    };
    let Ok(id) = Uuid::parse_str(id) else { return Ok(()) };
    match kind.as_ref() {
        "hooks" => registry.reload_hook(id).await,
        "pings" if event.kind == OpKind::Set => registry.take_ping(id).await,
        "leases" if matches!(event.kind, OpKind::Release | OpKind::Delete) => {
            registry.leases().stirred.notify_one();
            Ok(())
        }
        _ => Ok(()),
    }
}
