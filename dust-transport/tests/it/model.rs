//! The contract of `Transport`, written down as directly as possible: one lock, one map, one log.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use dust_transport::error::{ConflictAt, Error, ErrorKind};
use dust_transport::model::{
    Action, Batch, DeviceId, Entry, Envelope, Event, FileHash, FileRef, Lease, Op, OpId, Path, PathError, Precondition,
    Seq, Value, ValueKind,
};
use dust_transport::transport::{
    Capabilities, Done, EventStream, FileContent, FileRange, Interest, Items, List, Order, Page, Scope, Select, Signal,
    Start, Subscribe, Transport, Written,
};
use futures_core::future::BoxFuture;
use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use super::broken::Fault;

/// The clock, which stands still.
const NOW_MS: u64 = 1_700_000_000_000;

#[derive(Debug, Clone, Default)]
struct State {
    leaves: BTreeMap<Path, (Value, ValueKind, Seq)>,
    log: Vec<Arc<Event>>,
    replies: HashMap<OpId, (Vec<Seq>, Vec<Done>)>,
    files: HashMap<FileHash, (String, Bytes)>,
}

/// A store in memory.
#[derive(Debug)]
pub(crate) struct Model {
    state: Arc<Mutex<State>>,
    head: watch::Sender<Seq>,
    device: DeviceId,
    capabilities: Capabilities,
    fault: Option<Fault>,
}

fn invalid(code: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParams, code, "")
}

impl Model {
    /// An empty store that keeps every rule but at most one.
    pub(crate) fn new(fault: Option<Fault>) -> Self {
        let (device, capabilities) = (DeviceId::random(), Capabilities::full());
        Self {
            state: Arc::default(),
            head: watch::Sender::new(Seq(0)),
            device,
            capabilities,
            fault,
        }
    }

    /// An empty store that can do no more than this.
    pub(crate) fn limited(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            ..Self::new(None)
        }
    }

    /// The number of the last op.
    pub(crate) fn head(&self) -> Seq {
        self.state().head()
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under the lock")
    }

    fn commit(&self, batch: &Batch) -> Result<Written, Error> {
        if batch.ops.is_empty() || batch.ops.len() > self.capabilities().batch_ops_max {
            return Err(invalid("invalid_params"));
        }
        let mut state = self.state();
        let known = batch
            .id
            .as_ref()
            .and_then(|id| state.replies.get(id))
            .filter(|_| !self.has(Fault::NoDedup));
        if let Some((seqs, done)) = known {
            return Ok(Written {
                seqs: seqs.clone(),
                done: done.clone(),
                deduplicated: true,
            });
        }
        let mut next = state.clone();
        let (mut seqs, mut done) = (Vec::new(), Vec::new());
        for (op_index, op) in batch.ops.iter().enumerate() {
            let applied = self
                .can(op, batch.ops.len())
                .and_then(|()| self.check(&next, op))
                .and_then(|()| self.check_fence(&next, op))
                .and_then(|()| self.apply(&mut next, op, batch.id.as_ref()));
            match applied {
                Ok((seq, what)) => {
                    seqs.push(seq);
                    done.push(what);
                }
                Err(error) => {
                    if self.has(Fault::HalfBatches) {
                        *state = next;
                    }
                    let current = error.conflict().and_then(|at| at.current);
                    let op_index = if self.has(Fault::WrongOpIndex) { 0 } else { op_index };
                    let path = error.conflict().map_or(&op.path, |at| &at.path).clone();
                    return Err(error.with_conflict(ConflictAt {
                        op_index,
                        path,
                        current,
                    }));
                }
            }
        }
        next.replies
            .extend(batch.id.clone().map(|id| (id, (seqs.clone(), done.clone()))));
        let head = next.head();
        *state = next;
        drop(state);
        self.head.send_replace(head);
        Ok(Written {
            seqs,
            done,
            deduplicated: false,
        })
    }

    /// Whether the op is among what the store declares.
    fn can(&self, op: &Op, ops: usize) -> Result<(), Error> {
        let has_action = match op.action {
            Action::Set(_) | Action::Delete => true,
            Action::PutFile { .. } => self.capabilities.files,
            Action::Lease { .. } | Action::Renew { .. } | Action::Release { .. } => self.capabilities.leases,
            _ => self.capabilities.value_ops,
        };
        let has_op = has_action && (op.fence.is_none() || self.capabilities.leases);
        let absent_among_several = op.precondition == Precondition::Absent && ops > 1;
        if has_op && (self.capabilities.absent_in_batches || !absent_among_several) {
            Ok(())
        } else {
            Err(Error::new(ErrorKind::NotSupported, "not_supported", ""))
        }
    }

    fn check(&self, state: &State, op: &Op) -> Result<(), Error> {
        let leaf = state.leaves.get(&op.path).map(|(_, _, revision)| *revision);
        let conflict = |code: &'static str, current: Option<Seq>| {
            let at = ConflictAt {
                op_index: 0,
                path: op.path.clone(),
                current,
            };
            Err(Error::new(ErrorKind::Conflict, code, "").with_conflict(at))
        };
        let map = matches!(&op.action, Action::Set(value) if !value.is_leaf());
        match &op.precondition {
            Precondition::Match(_) if map => Err(invalid("if_match_multi_leaf")),
            Precondition::Match(_) if !matches!(op.action, Action::Set(_) | Action::Delete) => {
                Err(invalid("if_match_unsupported_op"))
            }
            Precondition::Match(revision) if leaf != Some(*revision) => conflict("conflict", leaf),
            Precondition::Absent if map => Err(invalid("if_absent_multi_leaf")),
            Precondition::Absent if !matches!(op.action, Action::Set(_)) => Err(invalid("if_absent_unsupported_op")),
            Precondition::Absent if leaf.is_some() => conflict("exists", leaf),
            Precondition::Absent if self.has(Fault::AbsentSeesSubtrees) && state.under(&op.path).next().is_some() => {
                conflict("exists", None)
            }
            Precondition::Subtree { .. } | Precondition::SubtreeRevision { .. }
                if !self.capabilities.subtree_preconditions =>
            {
                Err(Error::new(ErrorKind::NotSupported, "not_supported", ""))
            }
            Precondition::Subtree { root, leaves } => {
                let found: Vec<(Path, Seq)> = state.under(root).map(|(at, leaf)| (at.clone(), leaf.2)).collect();
                let known = |(at, seq): &(Path, Seq)| found.iter().any(|(f, s)| f == at && s == seq);
                let holds = if self.has(Fault::ExtraLeaves) {
                    leaves.iter().all(known)
                } else {
                    found == *leaves
                };
                if holds { Ok(()) } else { conflict("conflict", None) }
            }
            Precondition::SubtreeRevision { root, revision } => {
                let highest = state.under(root).map(|(_, leaf)| leaf.2).max();
                if highest == Some(*revision) {
                    Ok(())
                } else {
                    conflict("conflict", highest)
                }
            }
            _ => Ok(()),
        }
    }

    fn apply(&self, state: &mut State, op: &Op, op_id: Option<&OpId>) -> Result<(Seq, Done), Error> {
        let mut done = Done::Applied;
        let seq = Seq(state.head().0 + 1);
        let current = state.leaves.get(&op.path).map(|(value, _, _)| value.clone());
        let told = match &op.action {
            Action::Set(value) if value.envelope() == Some(Envelope::Lease) => return Err(invalid("invalid_params")),
            Action::Set(value) => {
                let mut leaves = flatten(&op.path, value)?;
                self.bend(&mut leaves, value);
                state.clear_below(&op.path, self.has(Fault::IgnoreCase));
                if !self.has(Fault::KeepReplacedLeaf) {
                    state.leaves.remove(&op.path);
                }
                state.put(leaves, seq);
                Some(value.as_leaf().map_or_else(|| value.clone(), |(value, _)| value))
            }
            Action::Delete => {
                state.clear_below(&op.path, self.has(Fault::IgnoreCase));
                state.leaves.remove(&op.path);
                None
            }
            Action::Merge(value) => {
                let entries = value.entries().ok_or_else(|| invalid("merge_requires_map_value"))?;
                for (key, child) in entries {
                    let at = op.path.child(&key)?;
                    let leaves = flatten(&at, &child)?;
                    if !child.is_leaf() || self.has(Fault::MergeClears) {
                        state.clear_below(&at, false);
                        state.leaves.remove(&at);
                    }
                    state.put(leaves, seq);
                }
                Some(value.clone())
            }
            Action::Increment(by) => {
                let total = sum(current.as_ref(), by)?;
                state.put(vec![(op.path.clone(), total.clone(), ValueKind::Counter)], seq);
                Some(if self.has(Fault::DeltaInEvents) {
                    by.clone()
                } else {
                    total
                })
            }
            Action::Add(member) if member.is_null() => return Err(invalid("add_requires_value")),
            Action::Remove(member) if member.is_null() => return Err(invalid("remove_requires_value")),
            Action::Add(member) | Action::Remove(member) => {
                let mut members = current.and_then(|value| value.items()).unwrap_or_default();
                if matches!(op.action, Action::Remove(_)) {
                    if let Some(at) = members.iter().position(|other| other == member) {
                        members.remove(at);
                    }
                } else {
                    let at = if self.has(Fault::OldestFirst) { members.len() } else { 0 };
                    members.insert(at, member.clone());
                    let mut seen = Vec::new();
                    members.retain(|other| {
                        let new = !seen.contains(other);
                        seen.push(other.clone());
                        new
                    });
                }
                let list = Value::list(members);
                state.put(vec![(op.path.clone(), list.clone(), ValueKind::Set)], seq);
                Some(list)
            }
            Action::PutFile {
                content,
                filename,
                content_type,
            } => {
                let file = Self::put_file(state, content, filename.as_ref(), content_type.as_ref());
                state.clear_below(&op.path, false);
                state.put(vec![(op.path.clone(), file.to_value(), ValueKind::File)], seq);
                done = Done::Stored(file.clone());
                Some(file.to_value())
            }
            Action::Lease { .. } | Action::Renew { .. } => {
                let lease = self.lease(state, op, seq)?;
                state.put(vec![(op.path.clone(), lease.to_value(), ValueKind::Lease)], seq);
                done = Done::Leased(lease.clone());
                Some(lease.to_value())
            }
            Action::Release { token } => {
                if state.lease(&op.path).is_none_or(|lease| lease.token != *token) {
                    let seq = if self.has(Fault::ReleaseCounts) { seq } else { Seq(0) };
                    return Ok((seq, Done::NotReleased));
                }
                state.leaves.remove(&op.path);
                None
            }
            other => panic!("{other:?} is not modelled"),
        };
        state.log.push(self.event(seq, op, told, op_id));
        Ok((seq, done))
    }

    fn check_fence(&self, state: &State, op: &Op) -> Result<(), Error> {
        let Some(fence) = op.fence.as_ref().filter(|_| !self.has(Fault::NoFences)) else {
            return Ok(());
        };
        let lease = state.lease(&fence.key).filter(|lease| lease.token == fence.token);
        if lease.is_some_and(|lease| lease.is_live(NOW_MS)) {
            return Ok(());
        }
        let at = ConflictAt {
            op_index: 0,
            path: fence.key.clone(),
            current: None,
        };
        Err(Error::new(ErrorKind::Conflict, "fenced", "").with_conflict(at))
    }

    /// The lease that an op leads to.
    fn lease(&self, state: &State, op: &Op, seq: Seq) -> Result<Lease, Error> {
        let found = state.leaves.get(&op.path).map(|(_, _, revision)| *revision);
        let refuse = |code: &'static str| {
            let at = ConflictAt {
                op_index: 0,
                path: op.path.clone(),
                current: found,
            };
            Err(Error::new(ErrorKind::Conflict, code, "").with_conflict(at))
        };
        let end = |ttl: Duration| NOW_MS + u64::try_from(ttl.as_millis()).expect("a short time");
        let current = state.lease(&op.path);
        match (&op.action, current) {
            (Action::Lease { .. }, None) if found.is_some() => refuse("occupied"),
            (Action::Lease { .. }, Some(lease)) if lease.is_live(NOW_MS) => refuse("held"),
            (Action::Lease { holder, ttl }, _) => Ok(Lease {
                holder: holder.clone(),
                token: seq.0,
                expires_at_ms: end(*ttl),
            }),
            (Action::Renew { token, ttl }, Some(lease))
                if lease.token == *token && (lease.is_live(NOW_MS) || self.has(Fault::RenewsEnded)) =>
            {
                Ok(Lease {
                    expires_at_ms: end(*ttl),
                    ..lease
                })
            }
            _ => refuse("not_held"),
        }
    }

    fn put_file(
        state: &mut State,
        content: &Bytes,
        filename: Option<&String>,
        content_type: Option<&String>,
    ) -> FileRef {
        let content_type = content_type.map_or(FileRef::CONTENT_TYPE_DEFAULT, String::as_str);
        let hash = FileHash(Sha256::digest(content).into());
        let kept = (content_type.to_owned(), content.clone());
        state.files.entry(hash).or_insert(kept);
        FileRef {
            hash,
            size_bytes: content.len() as u64,
            content_type: content_type.to_owned(),
            filename: filename.cloned(),
            uploaded_at: "2026-11-22T07:40:56.952230Z".to_owned(),
        }
    }

    /// A file to which a leaf refers, cut to the range and into pieces.
    fn open_file(&self, hash: &FileHash, range: &FileRange) -> Option<FileContent> {
        let state = self.state();
        let refers = |(value, kind, _): &(Value, ValueKind, Seq)| {
            (*kind == ValueKind::File || self.has(Fault::ForgedFiles))
                && FileRef::from_value(value).is_some_and(|file| file.hash == *hash)
        };
        let (content_type, content) = state.files.get(hash)?;
        if !state.leaves.values().any(refers) && !self.has(Fault::FilesForEver) {
            return None;
        }
        let range = range.within(content.len() as u64);
        let place = |at: u64| usize::try_from(at).expect("a place in the file");
        let part = content.slice(place(range.start)..place(range.end));
        let pieces: Vec<_> = part
            .chunks(1000)
            .map(|piece| Ok(Bytes::copy_from_slice(piece)))
            .collect();
        Some(FileContent {
            content_type: content_type.clone(),
            size_bytes: content.len() as u64,
            range,
            body: Box::pin(futures_util::stream::iter(pieces)),
        })
    }

    /// The event of an op, which tells decimals and date-times plain.
    fn event(&self, seq: Seq, op: &Op, told: Option<Value>, op_id: Option<&OpId>) -> Arc<Event> {
        let (value, written) = match (&op.action, told) {
            (Action::Set(written) | Action::Merge(written), Some(_)) => {
                let (told, written) = written.clone().into_told();
                (Some(told), written)
            }
            (_, told) => (told, None),
        };
        Arc::new(Event {
            seq,
            kind: op.action.kind(),
            path: op.path.clone(),
            value,
            written,
            device: self.device.clone(),
            op_id: op_id.cloned(),
        })
    }

    /// Breaks what a set stores.
    fn bend(&self, leaves: &mut [(Path, Value, ValueKind)], written: &Value) {
        for (_, value, kind) in leaves {
            if self.has(Fault::LossyNumbers) && *kind == ValueKind::Integer {
                *value = Value::try_from(value.to::<f64>().expect("a number")).expect("a finite number");
            }
            if self.has(Fault::ArraysAreStrings) && *kind == ValueKind::List {
                *kind = ValueKind::String;
            }
            if self.has(Fault::KeepEnvelopes) && *kind == ValueKind::Decimal {
                *value = written.clone();
            }
        }
    }

    fn read(&self, at: &Path) -> Option<Entry> {
        let state = self.state();
        if let Some((value, kind, revision)) = state.leaves.get(at) {
            return Some(Entry {
                path: at.clone(),
                value: value.clone(),
                kind: *kind,
                revision: *revision,
            });
        }
        let revision = state.under(at).map(|(_, leaf)| leaf.2).max();
        let like = |other: &&Path| other.as_str().starts_with(at.as_str()) && self.has(Fault::BytePrefixes);
        if let Some(other) = state.leaves.keys().find(like).filter(|other| !other.starts_with(at)) {
            return Some(Entry {
                path: at.clone(),
                value: Value::from(other.as_str()),
                kind: ValueKind::Map,
                revision: Seq(0),
            });
        }
        let revision = revision?;
        let value = state.assemble(at, self.has(Fault::LeafHidesDescendants));
        Some(Entry {
            path: at.clone(),
            value,
            kind: ValueKind::Map,
            revision,
        })
    }

    fn page(&self, list: &List) -> Result<Page, Error> {
        if list.limit == 0 || list.limit > self.capabilities().page_leaves_max {
            return Err(invalid("invalid_params"));
        }
        let depth = match (&list.scope, list.select) {
            (Scope::Range { .. }, Select::Prefixes) => return Err(invalid("unsupported_select")),
            (Scope::Pattern(pattern), Select::Prefixes) => pattern
                .prefixes_depth()
                .ok_or_else(|| invalid("invalid_pattern_for_prefixes"))?,
            (Scope::Below(base), _) => base.depth() + 1,
            _ => 0,
        };
        let after = |at: &Path| match (&list.after, list.order) {
            (None, _) => true,
            (Some(after), _) if self.has(Fault::InclusiveCursor) => at >= after,
            (Some(after), Order::Asc) => at > after,
            (Some(after), Order::Desc) => at < after,
        };
        let covered = |at: &Path| match &list.scope {
            Scope::Pattern(pattern) => pattern.matches(at),
            Scope::Range { from, to } => from <= at && at < to,
            Scope::Below(base) if self.has(Fault::BelowHoldsItself) => at.starts_with(base),
            Scope::Below(base) => base.is_ancestor_of(at),
        };
        let state = self.state();
        let mut found: Vec<_> = state.leaves.iter().filter(|(at, _)| covered(at) && after(at)).collect();
        if list.order == Order::Desc {
            found.reverse();
        }
        let more = found.len() > list.limit || (self.has(Fault::NoLookAhead) && found.len() == list.limit);
        found.truncate(list.limit);
        let next = found.last().filter(|_| more).map(|(at, _)| (*at).clone());
        let items = match list.select {
            Select::Entries => Items::Entries(
                found
                    .into_iter()
                    .map(|(at, (value, kind, revision))| Entry {
                        path: at.clone(),
                        value: value.clone(),
                        kind: *kind,
                        revision: *revision,
                    })
                    .collect(),
            ),
            Select::Keys => Items::Keys(found.into_iter().map(|(at, _)| at.clone()).collect()),
            Select::Prefixes => {
                let mut prefixes: Vec<Path> = found.into_iter().filter_map(|(at, _)| at.prefix(depth)).collect();
                prefixes.sort_unstable();
                prefixes.dedup();
                Items::Prefixes(prefixes)
            }
        };
        Ok(Page { items, next })
    }

    fn open(&self, subscribe: Subscribe) -> EventStream {
        let head = self.head.subscribe();
        let through = self.state().head();
        let last = match subscribe.start {
            Start::Now => through,
            Start::After(seq) => seq,
        };
        let fault = self.fault;
        let state = Arc::clone(&self.state);
        let follower = Follower {
            head,
            state,
            interest: subscribe.interest,
            last,
            through,
            caught_up: false,
            fault,
        };
        Box::pin(futures_util::stream::unfold(follower, async |mut follower| {
            loop {
                if let Some(signal) = follower.step() {
                    return Some((Ok(signal), follower));
                }
                follower.head.changed().await.ok()?;
            }
        }))
    }
}

/// A reader of the log.
struct Follower {
    head: watch::Receiver<Seq>,
    state: Arc<Mutex<State>>,
    interest: Interest,
    last: Seq,
    through: Seq,
    caught_up: bool,
    fault: Option<Fault>,
}

impl Follower {
    fn step(&mut self) -> Option<Signal> {
        let state = self.state.lock().expect("no panic under the lock");
        let above = |at: &Path| matches!(&self.interest, Interest::Touching(base) if at.is_ancestor_of(base));
        let missed = |at: &Path| self.fault == Some(Fault::TouchingMissesAncestors) && above(at);
        let covered =
            |event: &&Arc<Event>| event.seq > self.last && self.interest.covers(&event.path) && !missed(&event.path);
        match state.log.iter().find(covered) {
            Some(event) if self.caught_up || event.seq <= self.through => {
                self.last = event.seq;
                Some(Signal::Event(Arc::clone(event)))
            }
            _ if self.caught_up => None,
            _ => {
                self.caught_up = true;
                self.last = self.last.max(self.through);
                match self.fault {
                    Some(Fault::GapAtCatchUp) => self.last.0 += 1,
                    Some(Fault::EventsTwice) => self.last = Seq(0),
                    _ => {}
                }
                Some(Signal::CaughtUp { through: self.through })
            }
        }
    }
}

impl State {
    /// The lease at a path, live or not.
    fn lease(&self, at: &Path) -> Option<Lease> {
        let (value, kind, _) = self.leaves.get(at)?;
        Lease::from_value(value).filter(|_| *kind == ValueKind::Lease)
    }

    fn head(&self) -> Seq {
        Seq(self.log.len() as u64)
    }

    /// The leaves at and below a path.
    fn under<'a>(&'a self, root: &'a Path) -> impl Iterator<Item = (&'a Path, &'a (Value, ValueKind, Seq))> {
        self.leaves.iter().filter(move |(at, _)| at.starts_with(root))
    }

    fn clear_below(&mut self, root: &Path, ignore_case: bool) {
        let prefix = format!("{root}/").to_lowercase();
        self.leaves.retain(|at, _| {
            !(root.is_ancestor_of(at) || ignore_case && at.as_str().to_lowercase().starts_with(&prefix))
        });
    }

    fn put(&mut self, leaves: Vec<(Path, Value, ValueKind)>, seq: Seq) {
        self.leaves
            .extend(leaves.into_iter().map(|(at, value, kind)| (at, (value, kind, seq))));
    }

    fn assemble(&self, root: &Path, leaf_wins: bool) -> Value {
        let mut children: BTreeMap<Path, bool> = BTreeMap::new();
        for (at, _) in self.under(root).filter(|(at, _)| *at != root) {
            let child = at.prefix(root.depth() + 1).expect("a path below the root");
            *children.entry(child.clone()).or_default() |= *at != child;
        }
        Value::map(children.into_iter().map(|(child, inner)| {
            let leaf = self.leaves.get(&child).map(|(value, _, _)| value.clone());
            let value = leaf
                .filter(|_| !inner || leaf_wins)
                .unwrap_or_else(|| self.assemble(&child, leaf_wins));
            (child.last().into_owned(), value)
        }))
    }
}

fn flatten(at: &Path, value: &Value) -> Result<Vec<(Path, Value, ValueKind)>, PathError> {
    if let Some((value, kind)) = value.as_leaf() {
        return Ok(vec![(at.clone(), value, kind)]);
    }
    let mut leaves = Vec::new();
    for (key, child) in value.entries().unwrap_or_default() {
        leaves.extend(flatten(&at.child(&key)?, &child)?);
    }
    Ok(leaves)
}

fn sum(current: Option<&Value>, by: &Value) -> Result<Value, Error> {
    let number = |value: &Value| matches!(value.kind(), ValueKind::Integer | ValueKind::Float);
    let zero = Value::from(0);
    let current = current.unwrap_or(&zero);
    if !number(by) {
        return Err(invalid("increment_requires_number_value"));
    }
    if !number(current) {
        return Err(invalid("not_a_number"));
    }
    match (current.to::<i128>(), by.to::<i128>()) {
        (Ok(left), Ok(right)) => Ok(Value::from_json(&(left + right).to_string())?),
        _ => Ok(Value::try_from(current.to::<f64>()? + by.to::<f64>()?)?),
    }
}

impl Transport for Model {
    fn name(&self) -> &'static str {
        "model"
    }

    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>> {
        Box::pin(async { self.page(query) })
    }

    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>> {
        Box::pin(async { Ok(self.read(path)) })
    }

    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>> {
        let leaf = |at: &Path| self.read(at).filter(|_| self.state().leaves.contains_key(at));
        Box::pin(async move { Ok(paths.iter().map(leaf).collect()) })
    }

    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>> {
        Box::pin(async { Ok(self.read(path).is_some()) })
    }

    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>> {
        Box::pin(async move { self.commit(&batch) })
    }

    fn read_file<'a>(
        &'a self,
        hash: &'a FileHash,
        range: FileRange,
    ) -> BoxFuture<'a, Result<Option<FileContent>, Error>> {
        Box::pin(async move {
            if self.capabilities.files {
                Ok(self.open_file(hash, &range))
            } else {
                Err(Error::new(ErrorKind::NotSupported, "not_supported", ""))
            }
        })
    }

    fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>> {
        let unsupported = || Error::new(ErrorKind::NotSupported, "not_supported", "");
        Box::pin(async move {
            if self.capabilities.subscribe {
                Ok(self.open(subscribe))
            } else {
                Err(unsupported())
            }
        })
    }
}
