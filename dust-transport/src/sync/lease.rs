//! Leases that are held by holding a value, and work that one of many does for all.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::watch;

use super::{Inner, Sync};
use crate::error::{Error, ErrorKind, Outcome};
use crate::model::{Batch, Fence, Lease, Op, Path, PathError, Value};
use crate::transport::{Subscribe, Transport as _, Written};

/// A lease that is held as long as this is: it is renewed in the background, and released when this is dropped.
///
/// A holder may lose it nevertheless, when it is cut off for longer than the lease lasts. So what it protects is written
/// under its [`fence`](Self::fence), which the server checks.
///
/// ```no_run
/// use std::time::Duration;
/// use dust_transport::model::{Batch, Op, Path};
/// use dust_transport::sync::Sync;
/// use dust_transport::transport::Transport as _;
///
/// # async fn example(store: Sync) -> Result<(), dust_transport::error::Error> {
/// let lease = store.lease(&Path::parse("locks/report")?, Some("worker-1"), Duration::from_secs(30)).await?;
/// let op = Op::set(Path::parse("report")?, "done").fenced(lease.fence());
/// store.write(Batch::one(op)).await?;
/// lease.release().await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "dropping it releases the lease"]
pub struct LeaseGuard {
    fence: Fence,
    sync: Sync,
    held: watch::Receiver<bool>,
    renewing: tokio::task::JoinHandle<()>,
    released: bool,
}

/// How [`Sync::single_flight`] goes about it.
///
/// ```
/// use std::time::Duration;
/// use dust_transport::sync::SingleFlight;
/// let patient = SingleFlight::new().lease_ttl(Duration::from_secs(60)).wait_max(Duration::from_secs(90));
/// # let _ = patient;
/// ```
#[derive(Debug, Clone)]
pub struct SingleFlight {
    lease_ttl: Duration,
    wait_max: Duration,
    lock: Option<Path>,
    fresh: bool,
}

/// The value of a [`Sync::single_flight`].
#[derive(Debug, Clone, PartialEq)]
pub struct Flight {
    /// The value.
    pub value: Value,
    /// This call made it; another did otherwise.
    pub is_own: bool,
}

impl SingleFlight {
    /// A lease of 30 s, and at most 35 s of waiting for another's value.
    #[must_use]
    pub fn new() -> Self {
        Self {
            lease_ttl: Duration::from_secs(30),
            wait_max: Duration::from_secs(35),
            lock: None,
            fresh: false,
        }
    }

    /// The same with a lease that lasts so long between two renewals.
    #[must_use]
    pub fn lease_ttl(mut self, ttl: Duration) -> Self {
        self.lease_ttl = ttl;
        self
    }

    /// The same with so much time for another to make the value.
    #[must_use]
    pub fn wait_max(mut self, wait: Duration) -> Self {
        self.wait_max = wait;
        self
    }

    /// The same with the lease at this path, and not at `_dust:sf` with the key below it.
    #[must_use]
    pub fn lock(mut self, lock: Path) -> Self {
        self.lock = Some(lock);
        self
    }

    /// The same, making the value anew even if there is one.
    #[must_use]
    pub fn fresh(mut self) -> Self {
        self.fresh = true;
        self
    }

    fn lock_of(&self, key: &Path) -> Result<Path, PathError> {
        match &self.lock {
            Some(lock) => Ok(lock.clone()),
            None => Path::new(std::iter::once("_dust:sf".into()).chain(key.segments())),
        }
    }
}

impl Default for SingleFlight {
    fn default() -> Self {
        Self::new()
    }
}

fn lost() -> Error {
    Error::new(ErrorKind::Conflict, "not_held", "the lease is held no more")
}

fn leased(written: &Written) -> Result<Lease, Error> {
    let none = || Error::new(ErrorKind::Http, "invalid_response", "the server's answer has no lease");
    written.done(0).lease().cloned().ok_or_else(none)
}

impl Sync {
    /// Takes a lease, and holds it until what this gives is dropped.
    ///
    /// # Errors
    /// `Conflict`: `held` while another holds it, `occupied` where another leaf is. Otherwise as
    /// [`write`](crate::transport::Transport::write).
    ///
    /// # Cancel safety
    /// A lease that is taken after the future is dropped lasts for `ttl`.
    pub async fn lease(&self, key: &Path, holder: Option<&str>, ttl: Duration) -> Result<LeaseGuard, Error> {
        let written = self.write(Batch::one(Op::lease(key.clone(), holder, ttl))).await?;
        let token = leased(&written)?.token;
        let (held, is_held) = watch::channel(true);
        let fence = Fence {
            key: key.clone(),
            token,
        };
        // Not to keep the connection open by itself.
        let inner = Arc::downgrade(&self.inner);
        let renewed = fence.clone();
        let renewing = tokio::spawn(async move {
            let mut misses = 0;
            loop {
                let Some(sync) = inner.upgrade().map(|inner: Arc<Inner>| Self { inner }) else {
                    return;
                };
                let pass = sync.inner.shared.options.pass(ttl / 3);
                drop(sync);
                pass.await;
                let Some(sync) = inner.upgrade().map(|inner| Self { inner }) else {
                    return;
                };
                let renew = Op::renew(renewed.key.clone(), renewed.token, ttl);
                let over = sync.inner.shared.options.pass(ttl / 3);
                let renewal = tokio::select! {
                    renewal = sync.write(Batch::one(renew)) => renewal,
                    () = over => Err(lost().with_outcome(Outcome::Unknown)),
                };
                misses = match renewal {
                    Ok(_) => 0,
                    Err(error) if error.is_conflict() && error.outcome() == Outcome::NotApplied => 3,
                    Err(_) => misses + 1,
                };
                // After two thirds of its time in vain it may be over before the next attempt.
                if misses >= 2 {
                    held.send_replace(false);
                    return;
                }
            }
        });
        Ok(LeaseGuard {
            fence,
            sync: self.clone(),
            held: is_held,
            renewing,
            released: false,
        })
    }

    /// Gives the value at a key, which one of all who ask for it at the same time makes.
    ///
    /// A value that is there is given at once. Else this takes the lease, runs `make`, and stores what it gives under the
    /// lease; or waits for who holds the lease to do so, and tries again when that one fails. The leaf holds the value's JSON
    /// text as a string, as other clients do it.
    ///
    /// # Errors
    /// What `make` fails with; `Timeout` with `wait_timeout` if no value comes in time; `Conflict` with `fenced` if the
    /// lease was lost while the value was made. Otherwise as [`lease`](Self::lease).
    ///
    /// # Cancel safety
    /// Dropping the future releases the lease.
    ///
    /// ```no_run
    /// use dust_transport::model::{Path, Value};
    /// use dust_transport::sync::{SingleFlight, Sync};
    ///
    /// # async fn example(store: Sync) -> Result<(), dust_transport::error::Error> {
    /// let key = Path::parse("cache/rates")?;
    /// let flight = store.single_flight(&key, SingleFlight::new(), async || Ok(Value::from(42))).await?;
    /// assert_eq!(flight.value, Value::from(42));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn single_flight<F>(&self, key: &Path, flight: SingleFlight, make: F) -> Result<Flight, Error>
    where
        F: AsyncFnOnce() -> Result<Value, Error>,
    {
        let lock = flight.lock_of(key)?;
        let mut over = self.inner.shared.options.pass(flight.wait_max);
        // Opened first, so that nothing is missed between a look and the wait after it.
        let mut changes = self.subscribe(Subscribe::touching(key.clone())).await?;
        let mut unlocked = self.subscribe(Subscribe::touching(lock.clone())).await?;
        let lease = loop {
            if !flight.fresh
                && let Some(value) = self.published(key).await?
            {
                return Ok(Flight { value, is_own: false });
            }
            match self.lease(&lock, None, flight.lease_ttl).await {
                Ok(lease) => break lease,
                Err(error) if error.code() == "held" => {}
                Err(error) => return Err(error),
            }
            // The holder may be gone without a word: its lease is then over by itself.
            let pass = self.inner.shared.options.pass(flight.lease_ttl);
            tokio::select! {
                _ = changes.next() => {}
                _ = unlocked.next() => {}
                () = pass => {}
                () = &mut over => {
                    return Err(Error::new(ErrorKind::Timeout, "wait_timeout", "no value was made in time")
                        .with_outcome(Outcome::NotApplied));
                }
            }
        };
        // Another may have made it before the lease was free.
        if !flight.fresh
            && let Some(value) = self.published(key).await?
        {
            lease.release().await?;
            return Ok(Flight { value, is_own: false });
        }
        let value = make().await?;
        let op = Op::set(key.clone(), value.json()).fenced(lease.fence());
        self.write(Batch::one(op)).await?;
        lease.release().await?;
        Ok(Flight { value, is_own: true })
    }

    /// The value whose JSON text a leaf holds.
    async fn published(&self, key: &Path) -> Result<Option<Value>, Error> {
        let entry = self.get(key).await?;
        Ok(entry.and_then(|entry| Value::from_json(&entry.value.str()?).ok()))
    }
}

impl LeaseGuard {
    /// The condition that this lease is still held, for what is written under it.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence.clone()
    }

    /// Whether it is held, as far as is known here.
    #[must_use]
    pub fn is_held(&self) -> bool {
        *self.held.borrow()
    }

    /// Waits until it is known to be lost.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn lost(&self) {
        // An error means that nobody renews it any more.
        let _ = self.held.clone().wait_for(|held| !*held).await;
    }

    /// Releases the lease, and waits until that is done. One that was lost is released already.
    ///
    /// # Errors
    /// As [`write`](crate::transport::Transport::write).
    ///
    /// # Cancel safety
    /// Dropping the future releases it all the same.
    pub async fn release(mut self) -> Result<(), Error> {
        self.renewing.abort();
        self.sync.write(self.giving_back()).await?;
        self.released = true;
        Ok(())
    }

    fn giving_back(&self) -> Batch {
        Batch::one(Op::release(self.fence.key.clone(), self.fence.token))
    }
}

impl Drop for LeaseGuard {
    fn drop(&mut self) {
        self.renewing.abort();
        if self.released {
            return;
        }
        // Without a runtime the lease ends by itself.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let (sync, batch) = (self.sync.clone(), self.giving_back());
            runtime.spawn(async move { sync.write(batch).await });
        }
    }
}

impl fmt::Debug for LeaseGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaseGuard")
            .field("fence", &self.fence)
            .field("is_held", &self.is_held())
            .finish_non_exhaustive()
    }
}
