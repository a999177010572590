//! States of the past, put together from the base and the log.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::ops::Range;
use std::task::Poll;

use dust_layer::{Engine, Isolation, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{OpKind, Path, Value, ValueKind};

use crate::apply::kind_of_result;
use crate::codec::{Head, Leaf, Record};
use crate::draft::read;
use crate::error::{Refusal, corrupt, of_read};
use crate::page;
use crate::store::{Store, decode_head, stored_value};

/// Leaves by their paths.
pub(crate) type State = BTreeMap<Path, (ValueKind, Value)>;

/// What an op of the log did.
pub(crate) struct Past {
    pub(crate) kind: OpKind,
    pub(crate) path: Path,
    pub(crate) value: Option<Value>,
}

impl<E: Engine> Store<E> {
    /// The head as a transaction sees it.
    pub(crate) async fn head_in(&self, transaction: &E::Transaction) -> Result<Head, Error> {
        let stored = transaction.get(self.keys.head(), Isolation::Snapshot).await;
        decode_head(stored.map_err(of_read)?.as_deref())
    }

    /// Passes the ops after one sequence number and up to another to `look_at`, in order.
    pub(crate) async fn each_past(
        &self,
        transaction: &E::Transaction,
        after: u64,
        last: u64,
        mut look_at: impl FnMut(&Past) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let end = self.keys.record(last.saturating_add(1));
        let (mut next, mut limit) = (Some(self.keys.record(after + 1)), page::FIRST_ITEMS);
        let mut seq = after;
        while let Some(begin) = next.filter(|_| seq < last) {
            let page = transaction
                .get_range(read(&begin, &end, limit))
                .await
                .map_err(of_read)?;
            for (key, value) in &page {
                seq += 1;
                if self.keys.seq_of(key) != Some(seq) {
                    return Err(self.gap(transaction, seq).await);
                }
                look_at(&past(seq, value)?)?;
            }
            (next, limit) = page::after(&page);
            pause().await;
        }
        if seq < last {
            return Err(self.gap(transaction, seq + 1).await);
        }
        Ok(())
    }

    /// Adds the leaves of the base that matter to a replay.
    pub(crate) async fn add_base(&self, transaction: &E::Transaction, replay: &mut Replay) -> Result<(), Error> {
        for range in replay.ranges(self) {
            let (mut next, mut limit) = (Some(range.start), page::FIRST_ITEMS);
            while let Some(begin) = next {
                let page = transaction
                    .get_range(read(&begin, &range.end, limit))
                    .await
                    .map_err(of_read)?;
                for (key, value) in &page {
                    let path = self.base_keys.path_of(key).and_then(|path| Path::parse(path).ok());
                    let path = path.ok_or_else(|| Refusal::foreign_key().into_error())?;
                    let leaf = Leaf::decode(value).map_err(|error| Refusal::leaf(error).into_error())?;
                    replay.insert(&path, leaf.kind, stored_value(leaf.text)?)?;
                }
                (next, limit) = page::after(&page);
                pause().await;
            }
        }
        Ok(())
    }
}

fn past(seq: u64, bytes: &[u8]) -> Result<Past, Error> {
    let unsound = || corrupt(format!("the op {seq} does not decode"));
    let record = Record::decode(bytes).map_err(|error| unsound().with_source(error))?;
    Ok(Past {
        kind: record.kind,
        path: Path::parse(record.path).map_err(|error| unsound().with_source(error))?,
        value: record.value.map(stored_value).transpose()?,
    })
}

/// Lets other tasks run: reads of what is in memory do not wait, and a log may be long.
pub(crate) async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// The leaves that ops lead to, as far as they matter.
#[derive(Debug)]
pub(crate) struct Replay {
    /// Leaves matter at and below these; `None` for all.
    scope: Option<BTreeSet<Path>>,
    pub(crate) leaves: State,
    bytes: usize,
    bytes_max: usize,
}

impl Replay {
    /// Nothing matters yet.
    pub(crate) fn of_nothing(bytes_max: usize) -> Self {
        Self {
            scope: Some(BTreeSet::new()),
            leaves: State::new(),
            bytes: 0,
            bytes_max,
        }
    }

    /// What is at and below a path matters, or everything.
    pub(crate) fn of(root: Option<&Path>, bytes_max: usize) -> Self {
        Self {
            scope: root.map(|root| BTreeSet::from([root.clone()])),
            ..Self::of_nothing(bytes_max)
        }
    }

    /// Whether anything matters.
    pub(crate) fn is_empty(&self) -> bool {
        self.scope.as_ref().is_some_and(BTreeSet::is_empty)
    }

    /// Notes that what is at and below where an op did something matters.
    pub(crate) fn touch(&mut self, past: &Past) -> Result<(), Error> {
        for path in targets(past)? {
            if !self.matters(&path) {
                self.grow(path.as_str().len())?;
                self.scope.get_or_insert_default().insert(path);
            }
        }
        Ok(())
    }

    fn matters(&self, path: &Path) -> bool {
        let Some(scope) = &self.scope else { return true };
        (1..=path.depth()).any(|depth| path.prefix(depth).is_some_and(|prefix| scope.contains(&prefix)))
    }

    /// Where the leaves of the base that matter are.
    fn ranges<E: Engine>(&self, store: &Store<E>) -> Vec<Range<Vec<u8>>> {
        let keys = &store.base_keys;
        let Some(scope) = &self.scope else {
            return vec![keys.leaves()];
        };
        let of_root = |root: &Path| {
            let at = keys.leaf(root.as_str())..keys.bound_after(root.as_str());
            [at, keys.below(root.as_str())]
        };
        scope.iter().flat_map(of_root).collect()
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes += bytes;
        if self.bytes <= self.bytes_max {
            return Ok(());
        }
        let detail = format!("what there is to look at has more than {} bytes", self.bytes_max);
        Err(Refusal::invalid("diff_too_large", detail).into_error())
    }

    /// Does again what an op did.
    pub(crate) fn apply(&mut self, past: &Past) -> Result<(), Error> {
        let path = &past.path;
        match (past.kind, &past.value) {
            (OpKind::Merge, Some(map)) => {
                for (name, value) in map.entries().unwrap_or_default() {
                    let child = path.child(&name)?;
                    // A plain value of a merge leaves alone what is below it.
                    if !value.is_leaf() {
                        self.clear(&child);
                    }
                    self.put(&child, &value)?;
                }
                Ok(())
            }
            (OpKind::Set, Some(value)) => {
                self.clear(path);
                self.put(path, value)
            }
            (kind, Some(value)) => {
                if kind == OpKind::PutFile {
                    self.clear(path);
                }
                let kind = kind_of_result(kind).ok_or_else(|| corrupt("an op of the log is unknown"))?;
                self.insert(path, kind, value.clone())
            }
            (OpKind::Release, None) => {
                self.remove(path);
                Ok(())
            }
            (_, None) => {
                self.clear(path);
                Ok(())
            }
        }
    }

    /// Puts a value, a map by its leaves. The recursion is as deep as the value, which is bounded.
    fn put(&mut self, path: &Path, value: &Value) -> Result<(), Error> {
        if let Some((leaf, kind)) = value.as_leaf() {
            return self.insert(path, kind, leaf);
        }
        for (name, value) in value.entries().unwrap_or_default() {
            self.put(&path.child(&name)?, &value)?;
        }
        Ok(())
    }

    fn insert(&mut self, path: &Path, kind: ValueKind, value: Value) -> Result<(), Error> {
        if self.matters(path) {
            self.remove(path);
            self.grow(path.as_str().len() + value.json().len())?;
            self.leaves.insert(path.clone(), (kind, value));
        }
        Ok(())
    }

    fn remove(&mut self, path: &Path) {
        if let Some((_, old)) = self.leaves.remove(path) {
            self.bytes -= path.as_str().len() + old.json().len();
        }
    }

    /// Removes what is at and below the path.
    fn clear(&mut self, path: &Path) {
        for path in at_and_below(&self.leaves, path) {
            self.remove(&path);
        }
    }
}

/// The paths of a state that are at and below one.
pub(crate) fn at_and_below(state: &State, path: &Path) -> Vec<Path> {
    // Beside what is below a path there may be others in between: `a-b` is between `a` and `a/b`.
    let from = state.range(path.clone()..).map(|(other, _)| other);
    let near = from.take_while(|other| other.as_str().starts_with(path.as_str()));
    near.filter(|other| other.starts_with(path)).cloned().collect()
}

/// Where an op does something.
fn targets(past: &Past) -> Result<Vec<Path>, Error> {
    match (past.kind, &past.value) {
        (OpKind::Merge, Some(map)) => {
            let names = map.entries().unwrap_or_default().into_iter();
            Ok(names
                .map(|(name, _)| past.path.child(&name))
                .collect::<Result<_, _>>()?)
        }
        _ => Ok(vec![past.path.clone()]),
    }
}
