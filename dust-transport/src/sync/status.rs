//! How a synced store stands, here and on the server.

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::actor::{Ask, Command};
use super::{ConnectionState, EndReason, Sync};
use crate::channel::{JoinReply, STATUS, StatusReply};
use crate::error::{Error, ErrorKind};
use crate::model::{DeviceId, Seq, Value};

/// How a [`Sync`] stands; see [`Sync::status`].
///
/// ```no_run
/// # fn example(store: dust_transport::sync::Sync) {
/// let status = store.status();
/// let may_write = status.joined.is_some_and(|joined| joined.permissions.write);
/// println!("{:?} at {}, {} writes under way, writes allowed: {may_write}", status.connection, status.applied, status.pending);
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SyncStatus {
    /// Which store it is, `org/name`.
    pub store: String,
    /// As which device it writes.
    pub device: DeviceId,
    /// How the connection stands.
    pub connection: ConnectionState,
    /// The last op that the replica has.
    pub applied: Seq,
    /// How many leaves the replica has.
    pub leaves: usize,
    /// How many writes wait for the server's answer, those that an earlier program left in the file included.
    pub pending: usize,
    /// What the server said at the last join: permissions, scopes and stores of the token, and what the server can do.
    pub joined: Option<JoinReply>,
}

impl Sync {
    /// How everything stands at this moment, as far as it is known here.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        let shared = &self.inner.shared;
        let view = shared.read();
        let (applied, leaves) = (view.applied, view.replica.len());
        drop(view);
        SyncStatus {
            store: shared.options.http.store.clone(),
            device: shared.device.clone(),
            connection: self.state(),
            applied,
            leaves,
            pending: shared
                .options
                .outbox_max
                .saturating_sub(self.inner.room.available_permits())
                + shared.restored.load(Ordering::Relaxed),
            joined: shared.joined(),
        }
    }

    /// Asks the server how the store stands there.
    ///
    /// # Errors
    /// `Network` with `not_connected` where there is no connection, `connection_lost` where it breaks before the answer;
    /// `Timeout`; why the `Sync` has ended.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    ///
    /// ```no_run
    /// # async fn example(store: dust_transport::sync::Sync) -> Result<(), dust_transport::error::Error> {
    /// let status = store.server_status().await?;
    /// println!("{} leaves after {} ops", status.entry_count, status.op_count);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn server_status(&self) -> Result<StatusReply, Error> {
        let shared = &self.inner.shared;
        let ended = || shared.ended().unwrap_or_else(EndReason::closed).to_error();
        let (answer, answered) = oneshot::channel();
        let ask = Ask {
            event: STATUS,
            payload: Value::map::<&str>([]),
            answer,
        };
        self.inner
            .commands
            .send(Command::Ask(Box::new(ask)))
            .map_err(|_| ended())?;
        let answer = tokio::select! {
            answer = answered => answer.map_err(|_| ended())?,
            () = shared.options.pass(shared.options.reply_timeout) => {
                Err(Error::new(ErrorKind::Timeout, "timeout", "there was no answer in time"))
            }
        };
        StatusReply::from_response(&answer?).map_err(|error| {
            let detail = "the server's answer is not readable";
            Error::new(ErrorKind::Http, "invalid_response", detail).with_source(error)
        })
    }
}
