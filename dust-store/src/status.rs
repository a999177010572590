//! How much a store holds.

use dust_layer::Engine;
use dust_transport::error::Error;
use dust_transport::model::Seq;

use crate::log::Logged;
use crate::store::Store;

/// How many ops a status shows.
const RECENT_OPS: usize = 5;

/// How much a store holds. The counts are kept by every commit, so that asking for them reads nothing but the head.
///
/// ```
/// use dust_transport::model::{Op, Path};
/// use dust_transport::transport::Transport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// let store = dust_store::Embedded::memory();
/// store.write(Op::put_file(Path::parse("cover")?, "<svg/>", None, None).into()).await?;
/// let status = store.status().await?;
/// assert_eq!((status.entries, status.ops, status.file_bytes), (1, 1, 6));
/// assert_eq!(status.recent[0].event.path.as_str(), "cover");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Status {
    /// The last sequence number.
    pub head: Seq,
    /// How many leaves there are.
    pub entries: u64,
    /// How many ops the log has.
    pub ops: u64,
    /// How many bytes the files have, those included that only the log could bring back.
    pub file_bytes: u64,
    /// The log begins after this op; the state after it is the first that is known. `Seq(0)` for a log that is whole.
    pub compacted: Seq,
    /// When the log was last compacted, in milliseconds since 1970.
    pub compacted_at_ms: Option<u64>,
    /// The last five ops, the last first.
    pub recent: Vec<Logged>,
}

impl<E: Engine> Store<E> {
    /// The counts, and the last ops.
    pub(crate) async fn status(&self) -> Result<Status, Error> {
        let head = self.stored_head().await?;
        let recent = if head.seq > head.compacted {
            self.log(Seq(head.seq + 1), RECENT_OPS).await?
        } else {
            Vec::new()
        };
        Ok(Status {
            head: Seq(head.seq),
            entries: head.entries,
            ops: head.seq - head.compacted,
            file_bytes: head.file_bytes,
            compacted: Seq(head.compacted),
            compacted_at_ms: Some(head.compacted_at_ms).filter(|at_ms| *at_ms > 0),
            recent,
        })
    }
}
