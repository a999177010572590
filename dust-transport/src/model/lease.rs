use super::{Envelope, Path, Value};

/// A lease, as it stands at the leaf that it protects: who holds it, by which token, until when.
///
/// A lease is a leaf of kind `lease`. It ends by itself: nothing is written when its time is over, it merely no longer
/// counts. Its token grows from one holder to the next, so that a [`Fence`] tells a holder of today from one of
/// yesterday.
///
/// ```
/// use dust_transport::model::Lease;
///
/// let lease = Lease { holder: Some("worker-1".into()), token: 7, expires_at_ms: 1_700_000_030_000 };
/// assert!(lease.is_live(1_700_000_029_999) && !lease.is_live(1_700_000_030_000));
/// assert_eq!(Lease::from_value(&lease.to_value()), Some(lease));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Who holds it, in the holder's own words.
    pub holder: Option<String>,
    /// What proves it: the sequence number of the op that took it.
    pub token: u64,
    /// When it ends, in milliseconds since 1970 by the clock of the store.
    pub expires_at_ms: u64,
}

/// A condition that an op may carry beside its precondition: a live lease with this token is at the key.
///
/// ```
/// use dust_transport::model::{Fence, Op};
///
/// let fence = Fence { key: "locks/report".parse()?, token: 7 };
/// let op = Op::set("report".parse()?, "done").fenced(fence.clone());
/// assert_eq!(op.fence, Some(fence));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fence {
    /// Where the lease is.
    pub key: Path,
    /// The token of its holder.
    pub token: u64,
}

impl Lease {
    /// Reads the value of a leaf of kind `lease`; `None` for any other value.
    ///
    /// ```
    /// use dust_transport::model::{Lease, Value};
    /// let value = Value::from_json(r#"{"_type":"lease","expires_at":1700000030000,"holder":null,"token":7}"#)?;
    /// assert_eq!(Lease::from_value(&value).map(|lease| lease.token), Some(7));
    /// assert_eq!(Lease::from_value(&Value::from(7)), None);
    /// # Ok::<(), dust_transport::model::ValueError>(())
    /// ```
    #[must_use]
    pub fn from_value(value: &Value) -> Option<Self> {
        #[derive(serde::Deserialize)]
        struct Shape {
            holder: Option<String>,
            token: u64,
            expires_at: u64,
        }

        if value.envelope() != Some(Envelope::Lease) {
            return None;
        }
        let shape: Shape = value.to().ok()?;
        Some(Self {
            holder: shape.holder,
            token: shape.token,
            expires_at_ms: shape.expires_at,
        })
    }

    /// The value of the leaf, with `_type` `lease`.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let holder = self.holder.as_deref().map_or_else(Value::null, Value::from);
        Value::map([
            ("_type", Value::from("lease")),
            ("expires_at", Value::from(self.expires_at_ms)),
            ("holder", holder),
            ("token", Value::from(self.token)),
        ])
    }

    /// Whether it counts at this time: it does before `expires_at_ms`, and not from then on.
    #[must_use]
    pub fn is_live(&self, now_ms: u64) -> bool {
        now_ms < self.expires_at_ms
    }
}
