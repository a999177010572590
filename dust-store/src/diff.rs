//! What is different between two states of a store.

use std::collections::BTreeSet;

use dust_layer::Engine;
use dust_transport::error::Error;
use dust_transport::model::{Path, Seq, Value};

use crate::error::Refusal;
use crate::history::{Replay, State};
use crate::store::Store;

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

impl<E: Engine> Store<E> {
    /// What is different in the state after one op from the state after another, in the order of the paths.
    pub(crate) async fn diff(&self, from: Seq, to: Seq) -> Result<Vec<Change>, Error> {
        let transaction = self.engine.begin();
        let head = self.head_in(&transaction).await?;
        let (from, to) = (from.0.min(head.seq), to.0.min(head.seq));
        let (first, last) = (from.min(to), from.max(to));
        if first < head.compacted {
            return Err(Refusal::compacted(head.compacted).into_error());
        }
        let mut replay = Replay::of_nothing(BYTES_MAX);
        self.each_past(&transaction, first, last, |past| replay.touch(past))
            .await?;
        if !replay.is_empty() {
            self.add_base(&transaction, &mut replay).await?;
            self.each_past(&transaction, head.compacted, first, |past| replay.apply(past))
                .await?;
        }
        let earlier = replay.leaves.clone();
        self.each_past(&transaction, first, last, |past| replay.apply(past))
            .await?;
        let later = replay.leaves;
        Ok(if from <= to {
            changes(&earlier, &later)
        } else {
            changes(&later, &earlier)
        })
    }
}

fn changes(before: &State, after: &State) -> Vec<Change> {
    let paths: BTreeSet<&Path> = before.keys().chain(after.keys()).collect();
    let value_at = |state: &State, path: &Path| state.get(path).map(|(_, value)| value.clone());
    let compared = paths.into_iter().map(|path| Change {
        path: path.clone(),
        before: value_at(before, path),
        after: value_at(after, path),
    });
    compared.filter(|change| change.before != change.after).collect()
}
