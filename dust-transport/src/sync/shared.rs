//! What the handles of a synced store, its connection and its subscriptions have in common.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::SyncOptions;
use super::file::{File, Loaded, Row};
use super::hub::{Committed, Hub};
use super::optimistic::Line;
use super::replica::Replica;
use super::socket::Endpoint;
use super::state::{ConnectionState, EndReason};
use crate::channel::{self, FRAME_BYTES_MAX, JoinReply};
use crate::error::{Error, ErrorKind};
use crate::http::Http;
use crate::model::{DeviceId, Event, Op, OpId, PathError, Seq};

pub(super) struct Shared {
    pub(super) options: SyncOptions,
    pub(super) device: DeviceId,
    /// What outlives the program, where it is to.
    pub(super) file: Option<Arc<File>>,
    pub(super) endpoint: Endpoint,
    pub(super) http: Http,
    view: RwLock<View>,
    applied: watch::Sender<Seq>,
    state: watch::Sender<ConnectionState>,
    /// The replica has been whole once.
    ready: AtomicBool,
    /// What the server said at the last join.
    pub(super) batches: AtomicBool,
    pub(super) op_ids: AtomicBool,
    pub(super) queries: AtomicBool,
    pub(super) index_only_records: AtomicBool,
    /// How long a frame to the server may be.
    pub(super) write_bytes_max: AtomicUsize,
    joined: Mutex<Option<JoinReply>>,
    /// The store of the replica, if the server has told its id.
    store_id: Mutex<Option<String>>,
    /// How many writes of an earlier program are not settled.
    pub(super) restored: AtomicUsize,
}

/// The replica, and how far it has come. Subscriptions open under the same lock, so that none misses an event.
pub(super) struct View {
    pub(super) replica: Replica,
    pub(super) applied: Seq,
    pub(super) hub: Hub,
    /// What the replica has beyond `applied`.
    line: Line,
}

impl View {
    /// The number of the last op that was shown before it is committed.
    pub(super) fn ahead(&self) -> u64 {
        self.line.last()
    }

    /// Puts other leaves in the place of all, and gives those.
    fn replace(&mut self, replica: Replica, through: Seq, file: Option<&File>) -> Replica {
        if let Some(file) = file {
            file.replace(&replica, through);
        }
        let before = std::mem::replace(&mut self.replica, replica);
        self.line.forget();
        self.line.reapply(&mut self.replica);
        self.applied = through;
        before
    }
}

impl Shared {
    pub(super) fn new(options: SyncOptions, device: DeviceId, endpoint: Endpoint, http: Http) -> Self {
        let view = View {
            replica: Replica::default(),
            applied: Seq(0),
            hub: Hub::new(options.listener_events_max),
            line: Line::default(),
        };
        Self {
            options,
            device,
            file: None,
            endpoint,
            http,
            view: RwLock::new(view),
            applied: watch::Sender::new(Seq(0)),
            state: watch::Sender::new(ConnectionState::Connecting),
            ready: AtomicBool::new(false),
            batches: AtomicBool::new(false),
            op_ids: AtomicBool::new(false),
            queries: AtomicBool::new(false),
            index_only_records: AtomicBool::new(false),
            write_bytes_max: AtomicUsize::new(FRAME_BYTES_MAX),
            joined: Mutex::new(None),
            store_id: Mutex::new(None),
            restored: AtomicUsize::new(0),
        }
    }

    /// The same as an earlier program left it in its file.
    pub(super) fn loaded(mut self, loaded: Loaded) -> (Self, Vec<(u64, Row, bool)>) {
        self.file = Some(Arc::new(loaded.file));
        self.set_extensions(&loaded.extensions);
        *self.store_id() = loaded.store_id;
        let view = self.view.get_mut().unwrap_or_else(PoisonError::into_inner);
        (view.replica, view.applied) = (loaded.replica, loaded.applied);
        self.applied.send_replace(loaded.applied);
        self.ready.store(loaded.is_whole, Ordering::Release);
        (self, loaded.writes)
    }

    /// What the server can do, as it says or as it said last.
    pub(super) fn set_extensions(&self, extensions: &[String]) {
        for (known, extension) in [
            (&self.batches, channel::EXTENSION_BATCH),
            (&self.op_ids, channel::EXTENSION_OP_IDS),
            (&self.queries, channel::EXTENSION_QUERIES),
            (&self.index_only_records, channel::EXTENSION_INDEX_ONLY_RECORDS),
        ] {
            known.store(extensions.iter().any(|name| name == extension), Ordering::Relaxed);
        }
    }

    // No code panics between two halves of a change, so a poisoned lock guards what is whole.
    pub(super) fn read(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, View> {
        self.view.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn applied(&self) -> Seq {
        *self.applied.borrow()
    }

    /// Applies the next op, and tells it. The op id is that under which it went over the wire; the number that of the write
    /// that it settles.
    pub(super) fn apply(
        &self,
        op_id: Option<&OpId>,
        event: &Arc<Event>,
        settled: Option<u64>,
    ) -> Result<(), PathError> {
        let mut guard = self.write();
        let view = &mut *guard;
        let is_plain = view.line.is_empty();
        if !is_plain {
            view.line.retract(&mut view.replica);
        }
        let applied = match &self.file {
            None => view.replica.apply(event),
            Some(file) => view.replica.apply_with_undo(event).map(|undo| {
                file.apply(event.seq, view.replica.written(undo), settled);
            }),
        };
        let mut ahead = None;
        if !is_plain {
            if let (Some(op_id), Ok(()), true) = (op_id, &applied, event.device == self.device) {
                ahead = view.line.committed(op_id);
            }
            view.line.reapply(&mut view.replica);
        }
        applied?;
        view.applied = event.seq;
        view.hub.event(Committed {
            event: Arc::clone(event),
            op_id: op_id.cloned(),
            ahead,
        });
        drop(guard);
        self.applied.send_replace(event.seq);
        Ok(())
    }

    /// Puts a whole state in the place of the replica.
    pub(super) fn reset(&self, replica: Replica, through: Seq) {
        let mut guard = self.write();
        let view = &mut *guard;
        let before = view.replace(replica, through, self.file.as_deref());
        view.hub.reset(through);
        drop(guard);
        self.applied.send_replace(through);
        drop(before);
    }

    /// Begins with nothing: what the server has is not what follows here. Reads wait until the replica is whole again.
    pub(super) fn restart(&self) {
        self.set_state(ConnectionState::CatchingUp);
        self.ready.store(false, Ordering::Release);
        let mut guard = self.write();
        let view = &mut *guard;
        let before = view.replace(Replica::default(), Seq(0), self.file.as_deref());
        if let Some(file) = &self.file {
            file.set_whole(false);
        }
        view.hub.restart();
        drop(guard);
        self.applied.send_replace(Seq(0));
        drop(before);
    }

    /// Shows ops before they are committed; gives the number by which to end that.
    pub(super) fn push_ahead(&self, op_id: &OpId, ops: Vec<Op>) -> Result<u64, Error> {
        let mut guard = self.write();
        let view = &mut *guard;
        if view.line.len() >= self.options.outbox_max {
            let detail = "too many writes wait for the server";
            return Err(Error::new(ErrorKind::RateLimited, "outbox_full", detail));
        }
        let number = view.line.push(&mut view.replica, op_id.clone(), ops)?;
        view.hub.local(number, op_id, view.line.ops(number));
        Ok(number)
    }

    /// Shows ops that were shown before the program was started anew; what does not fit is left out.
    pub(super) fn lay_ahead(&self, op_id: OpId, ops: Vec<Op>) -> u64 {
        let mut guard = self.write();
        let view = &mut *guard;
        view.line.lay(&mut view.replica, op_id, ops)
    }

    /// Shows ops no longer, unless they are committed; tells that they were refused, if this is why.
    pub(super) fn remove_ahead(&self, number: u64, refused: Option<&Error>) {
        let mut guard = self.write();
        let view = &mut *guard;
        view.line.retract(&mut view.replica);
        let removed = view.line.remove(number);
        view.line.reapply(&mut view.replica);
        if let (Some((op_id, ops)), Some(error)) = (removed, refused) {
            view.hub.rejected(number, &op_id, &ops, error);
        }
    }

    /// Looks at what is committed, without what is only seen before.
    pub(super) fn look_at_committed<T>(&self, look: impl FnOnce(&View) -> T) -> T {
        let view = self.read();
        if view.line.is_empty() {
            return look(&view);
        }
        drop(view);
        let mut guard = self.write();
        let view = &mut *guard;
        view.line.retract(&mut view.replica);
        let seen = look(view);
        view.line.reapply(&mut view.replica);
        seen
    }

    fn store_id(&self) -> MutexGuard<'_, Option<String>> {
        self.store_id.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether what the server has is not what follows the replica: it has fewer ops, or the store is another of its name.
    pub(super) fn is_another(&self, joined: &JoinReply) -> bool {
        let known = self.store_id();
        let is_other = known.is_some() && joined.store_id.is_some() && *known != joined.store_id;
        is_other || joined.store_seq < self.applied()
    }

    /// Keeps what the server said at a join.
    pub(super) fn set_joined(&self, joined: JoinReply) {
        self.set_extensions(&joined.extensions);
        let write_bytes_max = joined.frame_bytes_max.unwrap_or(FRAME_BYTES_MAX);
        self.write_bytes_max.store(write_bytes_max, Ordering::Relaxed);
        if let Some(file) = &self.file {
            file.set_joined(&joined);
        }
        if joined.store_id.is_some() {
            self.store_id().clone_from(&joined.store_id);
        }
        *self.joined.lock().unwrap_or_else(PoisonError::into_inner) = Some(joined);
    }

    /// What the server said at the last join.
    pub(super) fn joined(&self) -> Option<JoinReply> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.subscribe()
    }

    pub(super) fn set_state(&self, state: ConnectionState) {
        if state.is_live()
            && !self.ready.swap(true, Ordering::AcqRel)
            && let Some(file) = &self.file
        {
            file.set_whole(true);
        }
        self.state.send_if_modified(|current| {
            let changes = *current != state;
            *current = state;
            changes
        });
    }

    /// Ends everything, for this reason.
    pub(super) fn end(&self, reason: EndReason) {
        self.set_state(ConnectionState::Ended(reason));
        self.write().hub.end();
    }

    pub(super) fn ended(&self) -> Option<EndReason> {
        match &*self.state.borrow() {
            ConnectionState::Ended(reason) => Some(reason.clone()),
            _ => None,
        }
    }

    /// Waits until the replica has been whole once.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        if !self.ready.load(Ordering::Acquire) {
            self.live().await;
        }
        match self.ended() {
            Some(reason) => Err(reason.to_error()),
            None => Ok(()),
        }
    }

    /// Waits until there is a connection and the replica is whole, or nothing follows.
    pub(super) async fn live(&self) {
        let done = |state: &ConnectionState| state.is_live() || matches!(state, ConnectionState::Ended(_));
        // The sender is in `self`, so this does not fail.
        let _ = self.state().wait_for(done).await;
    }

    /// Waits until the replica has this op, or will not get it any more.
    pub(super) async fn reached(&self, seq: Seq) {
        let (mut applied, mut state) = (self.applied.subscribe(), self.state());
        tokio::select! {
            _ = applied.wait_for(|applied| *applied >= seq) => {}
            _ = state.wait_for(|state| matches!(state, ConnectionState::Ended(_))) => {}
        }
    }
}
