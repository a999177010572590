//! One upstream subscription for many listeners.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use futures_core::Stream as _;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinHandle;

use super::{Change, Repo, ResyncReason};
use crate::error::Error;
use crate::schema::{Primary, Schema};

/// How many changes a listener may be behind before it loses some and is told so.
const QUEUE_CHANGES: usize = 1024;

type Key = (TypeId, String);

/// The bridges that have listeners, by schema and topic.
#[derive(Default)]
pub(super) struct Bridges(Mutex<HashMap<Key, Weak<dyn Any + Send + Sync>>>);

/// One upstream subscription and its listeners' channel. Lives as long as a listener does.
struct Bridge<S> {
    /// Weak, so that the channel closes for the listeners when the task, which owns it, ends.
    changes: broadcast::WeakSender<Arc<Change<S>>>,
    task: JoinHandle<()>,
}

impl<S> Drop for Bridge<S> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Repo {
    /// Listens to the changes of a schema under a topic, through one upstream subscription that all listeners of the
    /// schema and topic share. It is opened with the first listener and ended with the last.
    ///
    /// Listeners get changes only, from the moment they listen: read the records after that. A listener that is more
    /// than 1024 changes behind gets `Resync(Lagged)` and goes on with the oldest change that is left.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    ///
    /// # Panics
    /// Outside a tokio runtime, which carries the upstream subscription.
    ///
    /// # Example
    /// ```
    /// # use dust_orm::prelude::*;
    /// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
    /// # #[dust(prefix = "links")]
    /// # struct Link { slug: String, title: String }
    /// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let repo = Repo::memory();
    /// let mut first = repo.broadcast::<Link>("links").await?;
    /// let mut second = repo.broadcast::<Link>("links").await?;
    /// repo.insert(link("dust")).await?;
    /// for listener in [&mut first, &mut second] {
    ///     let change = listener.next().await.expect("the upstream subscription is open");
    ///     assert_eq!(*change, Change::Upserted(link("dust")));
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn broadcast<S: Primary>(&self, topic: &str) -> Result<Listener<S>, Error> {
        let key = (TypeId::of::<S>(), topic.to_owned());
        if let Some(listener) = self.inner.bridges.listen(&key) {
            return Ok(listener);
        }
        let mut subscription = self.subscribe::<S>().changes_only().await?;
        // Two callers may have come here at once; the first to have registered is joined, the other's subscription goes.
        let mut bridges = self.inner.bridges.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listener) = listen(&bridges, &key) {
            return Ok(listener);
        }
        let (sender, receiver) = broadcast::channel(QUEUE_CHANGES);
        let changes = sender.downgrade();
        let task = tokio::spawn(async move {
            while let Some(change) =
                std::future::poll_fn(|context| std::pin::Pin::new(&mut subscription).poll_next(context)).await
            {
                match change {
                    Ok(Change::Ready) => {}
                    // Without a listener the bridge is being dropped, and the task aborted.
                    Ok(change) => drop(sender.send(Arc::new(change))),
                    Err(error) => {
                        tracing::warn!(schema = S::NAME, %error, "a broadcast has ended");
                        return;
                    }
                }
            }
        });
        let bridge = Arc::new(Bridge { changes, task });
        let erased: Arc<dyn Any + Send + Sync> = Arc::<Bridge<S>>::clone(&bridge);
        bridges.retain(|_, bridge| bridge.strong_count() > 0);
        bridges.insert(key, Arc::downgrade(&erased));
        Ok(Listener {
            receiver,
            _bridge: bridge,
        })
    }
}

impl Bridges {
    fn listen<S: Schema>(&self, key: &Key) -> Option<Listener<S>> {
        listen(&self.0.lock().unwrap_or_else(PoisonError::into_inner), key)
    }
}

fn listen<S: Schema>(bridges: &HashMap<Key, Weak<dyn Any + Send + Sync>>, key: &Key) -> Option<Listener<S>> {
    let bridge = bridges.get(key)?.upgrade()?.downcast::<Bridge<S>>().ok()?;
    // An upstream that has ended is replaced, not joined.
    let receiver = bridge.changes.upgrade()?.subscribe();
    Some(Listener {
        receiver,
        _bridge: bridge,
    })
}

/// One listener of [`Repo::broadcast`]; dropping it stops the listening.
///
/// # Example
/// ```
/// # use dust_orm::prelude::*;
/// # #[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DustSchema)]
/// # #[dust(prefix = "links")]
/// # struct Link { slug: String, title: String }
/// # fn link(slug: &str) -> Link { Link { slug: slug.into(), title: slug.to_uppercase() } }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let repo = Repo::memory();
/// let mut listener: dust_orm::Listener<Link> = repo.broadcast("links").await?;
/// repo.delete::<Link>("nothing").await?;
/// assert_eq!(listener.next().await.as_deref(), Some(&Change::Deleted("nothing".into())));
/// # Ok(())
/// # }
/// ```
pub struct Listener<S> {
    receiver: broadcast::Receiver<Arc<Change<S>>>,
    /// The last listener to let go of it ends the upstream subscription.
    _bridge: Arc<Bridge<S>>,
}

impl<S: Schema> Listener<S> {
    /// The next change; `None` when the upstream subscription has ended.
    ///
    /// # Cancel safety
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Arc<Change<S>>> {
        match self.receiver.recv().await {
            Ok(change) => Some(change),
            Err(RecvError::Lagged(_)) => Some(Arc::new(Change::Resync(ResyncReason::Lagged))),
            Err(RecvError::Closed) => None,
        }
    }
}

impl<S> fmt::Debug for Listener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("behind", &self.receiver.len())
            .finish_non_exhaustive()
    }
}
