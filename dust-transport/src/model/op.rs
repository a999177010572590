use std::time::Duration;

use bytes::Bytes;

use super::{Fence, OpId, OpKind, Path, Seq, Value};

/// What an op does at its path.
///
/// ```
/// use dust_transport::model::{Action, OpKind, Value};
///
/// let add = Action::Add(Value::from("rust"));
/// assert_eq!(add.kind(), OpKind::Add);
/// assert_eq!(add.value().and_then(|member| member.str()).as_deref(), Some("rust"));
/// assert_eq!(Action::Delete.value(), None);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Replaces what is at and below the path. A map is flattened to leaves; an empty map leaves nothing.
    Set(Value),
    /// Removes what is at and below the path.
    Delete,
    /// Replaces each named child of the path, one level deep. The value must be a map. A child that is set to a leaf keeps
    /// what is below it.
    Merge(Value),
    /// Adds a number to the leaf; absent counts as zero. The value must be a number. Integers are added exactly.
    Increment(Value),
    /// Puts a member first in the set at the leaf, once; what is there and is no list counts as an empty set. The member
    /// must not be null.
    Add(Value),
    /// Takes the first equal member out of the set at the leaf; where no list is, this makes an empty set. The member must
    /// not be null.
    Remove(Value),
    /// Keeps a file and refers to it by a leaf of kind `file`, in place of what is at and below the path.
    PutFile {
        /// What is in it.
        content: Bytes,
        /// What it is called.
        filename: Option<String>,
        /// Its media type; without one, [`FileRef::CONTENT_TYPE_DEFAULT`](super::FileRef::CONTENT_TYPE_DEFAULT).
        content_type: Option<String>,
    },
    /// Takes a lease at the path, where no leaf is or a lease whose time is over. What is below the path stays.
    Lease {
        /// Who takes it.
        holder: Option<String>,
        /// How long it lasts.
        ttl: Duration,
    },
    /// Makes the live lease of this token last so long from now on.
    Renew {
        /// The token of the holder.
        token: u64,
        /// How long it lasts.
        ttl: Duration,
    },
    /// Gives the lease of this token back, live or not. Where there is none, nothing is written, and the op takes no
    /// sequence number.
    Release {
        /// The token of the holder.
        token: u64,
    },
}

/// A condition that must hold, inside the transaction and after the ops before, for the batch to be committed.
///
/// ```
/// use dust_transport::model::{Op, Precondition, Seq};
///
/// let swap = Op::set("links/dust/title".parse()?, "Dust").when(Precondition::Match(Seq(3)));
/// assert_eq!(swap.precondition, Precondition::Match(Seq(3)));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
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
///
/// ```
/// use dust_transport::model::{Op, Path, Precondition, Seq, Value};
/// let record = Path::parse("links/dust")?;
/// let ops = [
///     Op::set(record.child("title")?, "Dust").when(Precondition::Match(Seq(7))),
///     Op::merge(record.clone(), Value::map([("note", Value::null())])),
///     Op::increment(record.child("visits")?, 1),
///     Op::add(record.child("tags")?, "rust"),
///     Op::remove(record.child("tags")?, "draft"),
///     Op::delete(Path::parse("links/old")?),
///     Op::put_file(record.child("cover")?, "<svg/>", Some("cover.svg"), Some("image/svg+xml")),
///     Op::lease(Path::parse("locks/links")?, Some("worker-1"), std::time::Duration::from_secs(30)),
///     Op::release(Path::parse("locks/links")?, 7),
/// ];
/// assert_eq!(ops[0].action.kind().as_str(), "set");
/// assert_eq!(ops[5].action.value(), None);
/// # Ok::<(), dust_transport::model::PathError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Op {
    /// Where.
    pub path: Path,
    /// What.
    pub action: Action,
    /// On which condition.
    pub precondition: Precondition,
    /// Under which lease; checked after the precondition, in the same transaction.
    pub fence: Option<Fence>,
}

/// Ops that are committed together or not at all.
///
/// ```
/// use dust_transport::model::{Batch, Op, OpId, Path};
/// let path = Path::parse("links/dust/title")?;
/// let batch = Batch::new([Op::set(path.clone(), "Dust"), Op::delete(path)]).with_id(OpId::random());
/// assert_eq!(batch.ops.len(), 2);
/// # Ok::<(), dust_transport::model::PathError>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Batch {
    /// The ops, applied in order.
    pub ops: Vec<Op>,
    /// Makes a repetition of this batch harmless.
    pub id: Option<OpId>,
}

impl Action {
    /// The kind of the op that it becomes.
    #[must_use]
    pub fn kind(&self) -> OpKind {
        match self {
            Self::Set(_) => OpKind::Set,
            Self::Delete => OpKind::Delete,
            Self::Merge(_) => OpKind::Merge,
            Self::Increment(_) => OpKind::Increment,
            Self::Add(_) => OpKind::Add,
            Self::Remove(_) => OpKind::Remove,
            Self::PutFile { .. } => OpKind::PutFile,
            Self::Lease { .. } => OpKind::Lease,
            Self::Renew { .. } => OpKind::Renew,
            Self::Release { .. } => OpKind::Release,
        }
    }

    /// The value that it carries.
    #[must_use]
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::Set(value) | Self::Merge(value) | Self::Increment(value) | Self::Add(value) | Self::Remove(value) => {
                Some(value)
            }
            Self::Delete | Self::PutFile { .. } | Self::Lease { .. } | Self::Renew { .. } | Self::Release { .. } => {
                None
            }
        }
    }
}

impl Op {
    fn new(path: Path, action: Action) -> Self {
        Self {
            path,
            action,
            precondition: Precondition::None,
            fence: None,
        }
    }

    /// Replaces what is at and below the path; see [`Action::Set`].
    #[must_use]
    pub fn set(path: Path, value: impl Into<Value>) -> Self {
        Self::new(path, Action::Set(value.into()))
    }

    /// Removes what is at and below the path; see [`Action::Delete`].
    #[must_use]
    pub fn delete(path: Path) -> Self {
        Self::new(path, Action::Delete)
    }

    /// Replaces each named child of the path; see [`Action::Merge`].
    #[must_use]
    pub fn merge(path: Path, map: impl Into<Value>) -> Self {
        Self::new(path, Action::Merge(map.into()))
    }

    /// Adds a number to the leaf; see [`Action::Increment`].
    #[must_use]
    pub fn increment(path: Path, by: impl Into<Value>) -> Self {
        Self::new(path, Action::Increment(by.into()))
    }

    /// Puts a member into the set at the leaf; see [`Action::Add`].
    #[must_use]
    pub fn add(path: Path, member: impl Into<Value>) -> Self {
        Self::new(path, Action::Add(member.into()))
    }

    /// Takes a member out of the set at the leaf; see [`Action::Remove`].
    #[must_use]
    pub fn remove(path: Path, member: impl Into<Value>) -> Self {
        Self::new(path, Action::Remove(member.into()))
    }

    /// Keeps a file; see [`Action::PutFile`].
    #[must_use]
    pub fn put_file(path: Path, content: impl Into<Bytes>, filename: Option<&str>, content_type: Option<&str>) -> Self {
        let action = Action::PutFile {
            content: content.into(),
            filename: filename.map(str::to_owned),
            content_type: content_type.map(str::to_owned),
        };
        Self::new(path, action)
    }

    /// Takes a lease; see [`Action::Lease`].
    #[must_use]
    pub fn lease(path: Path, holder: Option<&str>, ttl: Duration) -> Self {
        let holder = holder.map(str::to_owned);
        Self::new(path, Action::Lease { holder, ttl })
    }

    /// Makes a lease last longer; see [`Action::Renew`].
    #[must_use]
    pub fn renew(path: Path, token: u64, ttl: Duration) -> Self {
        Self::new(path, Action::Renew { token, ttl })
    }

    /// Gives a lease back; see [`Action::Release`].
    #[must_use]
    pub fn release(path: Path, token: u64) -> Self {
        Self::new(path, Action::Release { token })
    }

    /// The same op under this lease, in place of any it had.
    #[must_use]
    pub fn fenced(mut self, fence: Fence) -> Self {
        self.fence = Some(fence);
        self
    }

    /// The same op on this condition, in place of any it had.
    #[must_use]
    pub fn when(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }
}

impl Batch {
    /// Ops to commit in this order.
    #[must_use]
    pub fn new(ops: impl IntoIterator<Item = Op>) -> Self {
        Self {
            ops: ops.into_iter().collect(),
            id: None,
        }
    }

    /// One op by itself.
    #[must_use]
    pub fn one(op: Op) -> Self {
        Self::new([op])
    }

    /// The same batch under an op id, which makes its repetition harmless.
    #[must_use]
    pub fn with_id(mut self, id: OpId) -> Self {
        self.id = Some(id);
        self
    }
}

impl From<Op> for Batch {
    fn from(op: Op) -> Self {
        Self::one(op)
    }
}
