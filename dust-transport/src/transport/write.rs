//! What a batch came to.

use crate::model::{FileRef, Lease, Seq};

/// The reply to a committed batch.
///
/// ```
/// use dust_transport::model::{Lease, Seq};
/// use dust_transport::transport::{Done, Written};
///
/// let mut written = Written::new([Seq(7), Seq(8)]);
/// assert_eq!((written.seqs.last(), written.done(1)), (Some(&Seq(8)), &Done::Applied));
///
/// let lease = Lease { holder: None, token: 8, expires_at_ms: 1_700_000_030_000 };
/// written.done = vec![Done::Applied, Done::Leased(lease.clone())];
/// assert_eq!(written.done(1).lease(), Some(&lease));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Written {
    /// The sequence number of each op, in order; also the revision of the leaves it wrote. `Seq(0)` for an op that took
    /// none, which is [`Done::NotReleased`].
    pub seqs: Vec<Seq>,
    /// What else there is to say of each op, in order; empty if that is nothing of any.
    pub done: Vec<Done>,
    /// The batch had been committed before under its op id; nothing was written now.
    pub deduplicated: bool,
}

/// What an op came to, beside its sequence number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Done {
    /// It was applied; there is nothing else to say.
    #[default]
    Applied,
    /// A file is kept, and this refers to it.
    Stored(FileRef),
    /// A lease was taken or renewed, and this is how it stands.
    Leased(Lease),
    /// There was no lease of this token to release: nothing was written, and no sequence number taken.
    NotReleased,
}

impl Written {
    /// The reply to a batch of ops of which there is nothing to say but their numbers.
    #[must_use]
    pub fn new(seqs: impl IntoIterator<Item = Seq>) -> Self {
        Self {
            seqs: seqs.into_iter().collect(),
            ..Self::default()
        }
    }

    /// What the op at this index of the batch came to.
    #[must_use]
    pub fn done(&self, op_index: usize) -> &Done {
        self.done.get(op_index).unwrap_or(&Done::Applied)
    }
}

impl Done {
    /// The lease that was taken or renewed.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Leased(lease) => Some(lease),
            _ => None,
        }
    }

    /// The reference to the file that is kept.
    #[must_use]
    pub fn file(&self) -> Option<&FileRef> {
        match self {
            Self::Stored(file) => Some(file),
            _ => None,
        }
    }
}
