use super::{Path, Seq, Value};

/// An id that makes a batch idempotent: committed at most once per device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId(String);

/// What an op does at its path.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Replaces what is at and below the path. A map is flattened to leaves; an empty map leaves nothing.
    Set(Value),
    /// Removes what is at and below the path.
    Delete,
    /// Replaces each named child of the path, one level deep. The value must be a map.
    Merge(Value),
    /// Adds a number to the leaf; absent counts as zero. The value must be a number.
    Increment(Value),
    /// Puts a member first in the set at the leaf, once.
    Add(Value),
    /// Takes a member out of the set at the leaf.
    Remove(Value),
}

/// A condition that must hold, inside the transaction and after the ops before, for the batch to be committed.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub enum Precondition {
    /// None.
    #[default]
    None,
    /// The leaf exactly at the op's path has this revision. For `Set` of a leaf value, and `Delete`.
    Match(Seq),
    /// No leaf is exactly at the op's path (a subtree below does not count). For `Set` of a leaf value.
    Absent,
    /// The leaves at and below `root` are exactly these, at these revisions; empty means that nothing is there.
    Subtree {
        /// The path at and below which the leaves are.
        root: Path,
        /// Path and revision of each leaf, ascending by path.
        leaves: Vec<(Path, Seq)>,
    },
    /// The highest revision at and below `root` is this.
    SubtreeRevision {
        /// The path at and below which the leaves are.
        root: Path,
        /// The highest revision.
        revision: Seq,
    },
}

/// One op of a batch; it takes one sequence number.
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// Where.
    pub path: Path,
    /// What.
    pub action: Action,
    /// On which condition.
    pub precondition: Precondition,
}

/// Ops that are committed together or not at all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The ops, applied in order.
    pub ops: Vec<Op>,
    /// Makes a repetition of this batch harmless.
    pub id: Option<OpId>,
}
