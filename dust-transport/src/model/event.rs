use super::{OpId, Path, Seq, Value};

/// The device that wrote an op: any non-empty string, by convention `dev_…`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

/// The kind of a committed op; on the wire the lower-case name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpKind {
    /// See [`Action::Set`](super::Action::Set).
    Set,
    /// See [`Action::Delete`](super::Action::Delete).
    Delete,
    /// See [`Action::Merge`](super::Action::Merge).
    Merge,
    /// See [`Action::Increment`](super::Action::Increment).
    Increment,
    /// See [`Action::Add`](super::Action::Add).
    Add,
    /// See [`Action::Remove`](super::Action::Remove).
    Remove,
}

/// A committed op, as subscribers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its sequence number.
    pub seq: Seq,
    /// What was done.
    pub kind: OpKind,
    /// Where.
    pub path: Path,
    /// `set` and `merge`: the value as written (a map whole); `increment`: the new total; `add` and `remove`: the whole
    /// resulting list; `delete`: none.
    pub value: Option<Value>,
    /// Who wrote it.
    pub device: DeviceId,
    /// The id of its batch, if it had one.
    pub op_id: Option<OpId>,
}
