//! What other nodes change in the control data.

use std::sync::{Arc, Weak};

use dust_transport::error::Error;
use dust_transport::model::{Event, Path, Pattern, Seq};
use dust_transport::transport::{EventStream, Signal, Start, Subscribe, Transport as _};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::{Control, Org, Store, Token};

/// Ends the task that follows a store when it is dropped.
#[derive(Debug)]
pub(crate) struct Following(pub(crate) AbortHandle);

impl Drop for Following {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Follows the control store from `seq` on, as long as `control` is there. Changes of this node come by again and change
/// nothing.
pub(super) async fn follow(control: &Arc<Control>, seq: Seq) -> Result<Following, Error> {
    let everything = Subscribe::pattern(Pattern::parse("**")?);
    let events = control.store.subscribe(everything.start(Start::After(seq))).await?;
    let task = tokio::spawn(run(Arc::downgrade(control), events));
    Ok(Following(task.abort_handle()))
}

async fn run(control: Weak<Control>, mut events: EventStream) {
    while let Some(signal) = std::future::poll_fn(|cx| events.as_mut().poll_next(cx)).await {
        let Some(control) = control.upgrade() else { return };
        let followed = match signal {
            Ok(Signal::Event(event)) => control.refresh(&event).await,
            Ok(Signal::Resync { .. }) => control.reload().await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        if let Err(error) = followed {
            // What is in memory stays as it is, and is read anew at the next start.
            tracing::error!(%error, "a change of the control data by another node is not seen here");
        }
    }
}

impl Control {
    /// Reads anew what an op may have changed.
    async fn refresh(&self, event: &Event) -> Result<(), Error> {
        let segments: Vec<_> = event.path.segments().collect();
        let [kind, id, ..] = &segments[..] else {
            return self.reload().await;
        };
        // Held from the read to the change in memory, so that no older state replaces a newer one.
        let changing = self.changing.lock().await;
        match kind.as_ref() {
            "orgs" => {
                if let Some(org) = self.record::<Org>("orgs", id).await? {
                    self.write(|state| state.orgs.insert(id.to_string(), org));
                }
            }
            "stores" => {
                if let Some(store) = self.record::<Store>("stores", id).await? {
                    self.write(|state| state.add_store(store));
                }
            }
            "tokens" => match (self.record::<Token>("tokens", id).await?, Uuid::parse_str(id)) {
                (Some(token), _) => drop(self.write(|state| state.add_token(token))),
                (None, Ok(id)) => self.write(|state| state.remove_token(id)),
                (None, Err(_)) => {}
            },
            _ => {}
        }
        drop(changing);
        Ok(())
    }

    /// Reads everything anew.
    async fn reload(&self) -> Result<(), Error> {
        let changing = self.changing.lock().await;
        let state = super::load(&self.store).await?;
        self.write(|before| *before = state);
        drop(changing);
        Ok(())
    }

    async fn record<T: serde::de::DeserializeOwned>(&self, kind: &str, id: &str) -> Result<Option<T>, Error> {
        let entry = self.store.get(&Path::new([kind, id])?).await?;
        entry.map(|entry| entry.value.to()).transpose().map_err(Error::from)
    }
}
