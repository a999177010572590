use std::fmt;

use super::{DeviceId, OpId, Path, Seq, UnknownName, Value};

/// The kind of a committed op; on the wire the lower-case name.
///
/// ```
/// use dust_transport::model::OpKind;
///
/// assert_eq!("merge".parse(), Ok(OpKind::Merge));
/// assert_eq!(OpKind::Merge.to_string(), "merge");
/// ```
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
    /// See [`Action::PutFile`](super::Action::PutFile).
    PutFile,
    /// See [`Action::Lease`](super::Action::Lease).
    Lease,
    /// See [`Action::Renew`](super::Action::Renew).
    Renew,
    /// See [`Action::Release`](super::Action::Release).
    Release,
}

/// A committed op, as subscribers see it.
///
/// ```
/// use dust_transport::model::{DeviceId, Event, OpKind, Seq};
///
/// let event = Event {
///     seq: Seq(1),
///     kind: OpKind::Delete,
///     path: "links/dust".parse()?,
///     value: None,
///     written: None,
///     device: DeviceId::new("dev_1")?,
///     op_id: None,
/// };
/// assert_eq!(event.kind.as_str(), "delete");
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its sequence number.
    pub seq: Seq,
    /// What was done.
    pub kind: OpKind,
    /// Where.
    pub path: Path,
    /// `set` and `merge`: the value as written (a map whole); `increment`: the new total; `add` and `remove`: the whole
    /// resulting list; `put_file`: the reference ([`FileRef`](super::FileRef)); `lease` and `renew`: the lease
    /// ([`Lease`](super::Lease)); `delete` and `release`: none.
    pub value: Option<Value>,
    /// `set` and `merge`: the value before decimals and date-times in it were made plain, if it has any.
    pub written: Option<Value>,
    /// Who wrote it.
    pub device: DeviceId,
    /// The id of its batch, if it had one.
    pub op_id: Option<OpId>,
}

impl OpKind {
    /// Every kind.
    pub const ALL: [Self; 10] = [
        Self::Set,
        Self::Delete,
        Self::Merge,
        Self::Increment,
        Self::Add,
        Self::Remove,
        Self::PutFile,
        Self::Lease,
        Self::Renew,
        Self::Release,
    ];

    /// The name on the wire.
    ///
    /// ```
    /// use dust_transport::model::OpKind;
    /// assert_eq!(OpKind::Merge.as_str(), "merge");
    /// assert_eq!("delete".parse(), Ok(OpKind::Delete));
    /// assert!("upsert".parse::<OpKind>().is_err());
    /// ```
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Delete => "delete",
            Self::Merge => "merge",
            Self::Increment => "increment",
            Self::Add => "add",
            Self::Remove => "remove",
            Self::PutFile => "put_file",
            Self::Lease => "lease",
            Self::Renew => "renew",
            Self::Release => "release",
        }
    }
}

impl fmt::Display for OpKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for OpKind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|kind| kind.as_str() == name);
        known.ok_or_else(|| UnknownName {
            name: name.to_owned(),
            what: "an op",
        })
    }
}
