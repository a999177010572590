//! What is different between two states of a store, from its log.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::task::Poll;

use dust_transport::error::Error;
use dust_transport::model::{Event, OpKind, Path, Seq, Value};

use crate::Embedded;
use crate::error::Refusal;

/// How many ops are read at once.
const PAGE_OPS: usize = 256;

/// How many bytes of paths and values a comparison keeps at most.
const BYTES_MAX: usize = 64 << 20;

/// A leaf that is different between two states of a store.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Change {
    /// Where it is.
    pub path: Path,
    /// What it was; `None` if it was not there.
    pub before: Option<Value>,
    /// What it became; `None` if it is gone.
    pub after: Option<Value>,
}

impl Embedded {
    /// What is different in the state after one op from the state after another, in the order of the paths.
    ///
    /// The log is read from its beginning up to the later of the two, and only leaves at which something happened between them
    /// are kept. The earlier state may be the second; what is beyond the head counts as the head.
    ///
    /// ```
    /// use dust_transport::model::{Op, Path, Seq};
    /// use dust_transport::transport::Transport;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), dust_transport::error::Error> {
    /// let store = dust_store::Embedded::memory();
    /// for visits in [1, 2, 3] {
    ///     store.write(Op::set(Path::parse("visits")?, visits).into()).await?;
    /// }
    /// let changes = store.diff(Seq(1), Seq(3)).await?;
    /// assert_eq!((&changes[0].before, &changes[0].after), (&Some(1.into()), &Some(3.into())));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `InvalidParams` with the code `diff_too_large` if the paths and values to be compared have more than 64 MiB, `Corrupt` if
    /// the log has a gap, and failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn diff(&self, from: Seq, to: Seq) -> Result<Vec<Change>, Error> {
        let head = self.head().await?.0;
        let (from, to) = (from.0.min(head), to.0.min(head));
        let (first, last) = (from.min(to), from.max(to));
        let mut replay = Replay::default();
        self.each_event(first, last, |event| replay.touch(event)).await?;
        if !replay.touched.is_empty() {
            self.each_event(0, first, |event| replay.apply(event)).await?;
        }
        let earlier = replay.leaves.clone();
        self.each_event(first, last, |event| replay.apply(event)).await?;
        let later = replay.leaves;
        Ok(if from <= to {
            changes(&earlier, &later)
        } else {
            changes(&later, &earlier)
        })
    }

    async fn each_event(
        &self,
        mut after: u64,
        last: u64,
        mut look_at: impl FnMut(&Event) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        while after < last {
            let left = usize::try_from(last - after).unwrap_or(PAGE_OPS);
            let events = self.events(Seq(after), left.min(PAGE_OPS)).await?;
            let Some(end) = events.last() else {
                return Err(crate::error::corrupt(format!("the log ends at {after} before {last}")));
            };
            after = end.seq.0;
            for event in &events {
                look_at(event)?;
            }
            pause().await;
        }
        Ok(())
    }
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

fn changes(before: &BTreeMap<Path, Value>, after: &BTreeMap<Path, Value>) -> Vec<Change> {
    let paths: BTreeSet<&Path> = before.keys().chain(after.keys()).collect();
    let compared = paths.into_iter().map(|path| Change {
        path: path.clone(),
        before: before.get(path).cloned(),
        after: after.get(path).cloned(),
    });
    compared.filter(|change| change.before != change.after).collect()
}

/// The leaves that ops lead to, as far as they matter.
#[derive(Debug, Default)]
struct Replay {
    /// Leaves matter at and below these.
    touched: BTreeSet<Path>,
    leaves: BTreeMap<Path, Value>,
    bytes: usize,
}

impl Replay {
    /// Notes that what is at and below the path of an op matters.
    fn touch(&mut self, event: &Event) -> Result<(), Error> {
        for path in targets(event)? {
            if !self.matters(&path) {
                self.grow(path.as_str().len())?;
                self.touched.insert(path);
            }
        }
        Ok(())
    }

    fn matters(&self, path: &Path) -> bool {
        (1..=path.depth()).any(|depth| path.prefix(depth).is_some_and(|prefix| self.touched.contains(&prefix)))
    }

    fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        self.bytes += bytes;
        if self.bytes <= BYTES_MAX {
            return Ok(());
        }
        let detail = format!("what there is to compare has more than {BYTES_MAX} bytes; compare fewer ops at once");
        Err(Refusal::invalid("diff_too_large", detail).into_error())
    }

    /// Does again what an op did, by what its event says.
    fn apply(&mut self, event: &Event) -> Result<(), Error> {
        let path = &event.path;
        match (event.kind, &event.value) {
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
            (_, Some(value)) => self.insert(path, value.clone()),
            (_, None) => {
                self.clear(path);
                Ok(())
            }
        }
    }

    /// Puts a value, a map by its leaves. The recursion is as deep as the value, which is bounded.
    fn put(&mut self, path: &Path, value: &Value) -> Result<(), Error> {
        if let Some((leaf, _)) = value.as_leaf() {
            return self.insert(path, leaf);
        }
        for (name, value) in value.entries().unwrap_or_default() {
            self.put(&path.child(&name)?, &value)?;
        }
        Ok(())
    }

    fn insert(&mut self, path: &Path, value: Value) -> Result<(), Error> {
        if self.matters(path) {
            self.grow(path.as_str().len() + value.json().len())?;
            if let Some(old) = self.leaves.insert(path.clone(), value) {
                self.bytes -= path.as_str().len() + old.json().len();
            }
        }
        Ok(())
    }

    /// Removes what is at and below the path.
    fn clear(&mut self, path: &Path) {
        // Beside what is below a path there may be others in between: `a-b` is between `a` and `a/b`.
        let below = self.leaves.range(path.clone()..).map(|(other, _)| other);
        let near = below.take_while(|other| other.as_str().starts_with(path.as_str()));
        let gone: Vec<Path> = near.filter(|other| other.starts_with(path)).cloned().collect();
        for path in gone {
            if let Some(old) = self.leaves.remove(&path) {
                self.bytes -= path.as_str().len() + old.json().len();
            }
        }
    }
}

/// Where an op does something.
fn targets(event: &Event) -> Result<Vec<Path>, Error> {
    match (event.kind, &event.value) {
        (OpKind::Merge, Some(map)) => {
            let names = map.entries().unwrap_or_default().into_iter();
            Ok(names
                .map(|(name, _)| event.path.child(&name))
                .collect::<Result<_, _>>()?)
        }
        _ => Ok(vec![event.path.clone()]),
    }
}
