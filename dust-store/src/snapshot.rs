//! One state of a store, read page by page while the store goes on.

use std::fmt;
use std::sync::Arc;

use dust_layer::{Engine, Isolation, Pairs, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Entry, Path, Seq};
use futures_core::future::BoxFuture;

use crate::draft::read;
use crate::error::{Refusal, of_read};
use crate::page;
use crate::store::{Store, decode_head, entry};

/// All leaves of a store as they were at one moment, in the order of their paths.
///
/// As long as it is held the engine keeps what is overwritten in the meantime.
///
/// ```
/// use dust_transport::model::{Op, Path};
/// use dust_transport::transport::Transport;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_transport::error::Error> {
/// let store = dust_store::Embedded::memory();
/// store.write(Op::set(Path::parse("a")?, 1).into()).await?;
/// let mut snapshot = store.snapshot().await?;
/// store.write(Op::set(Path::parse("b")?, 2).into()).await?;
///
/// assert_eq!((snapshot.head().0, snapshot.count().await?), (1, 1));
/// assert_eq!(snapshot.next_page().await?[0].path.as_str(), "a");
/// assert!(snapshot.next_page().await?.is_empty());
/// # Ok(())
/// # }
/// ```
pub struct Snapshot {
    state: Box<dyn AnyState>,
    head: Seq,
    /// Where the next page begins; `None` after the last.
    begin: Option<Vec<u8>>,
    page_leaves: usize,
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

impl Snapshot {
    /// The last sequence number that is in it.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.head
    }

    /// How many leaves it has, whatever has been read of it. Reads all of them.
    ///
    /// # Errors
    /// Failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn count(&self) -> Result<usize, Error> {
        let (mut count, mut begin, mut limit) = (0, Some(self.state.first()), page::FIRST_ITEMS);
        while let Some(from) = begin {
            let page = self.state.page(&from, limit).await?;
            count += page.len();
            (begin, limit) = page::after(&page);
        }
        Ok(count)
    }

    /// The next leaves, about a megabyte of them; none at the end.
    ///
    /// # Errors
    /// `Corrupt` for a leaf that does not decode, and failures of the engine.
    ///
    /// # Cancel safety
    /// Dropping the future reads nothing; the next call gives the same page.
    pub async fn next_page(&mut self) -> Result<Vec<Entry>, Error> {
        let Some(begin) = &self.begin else {
            return Ok(Vec::new());
        };
        let page = self.state.page(begin, self.page_leaves).await?;
        let entries = page.iter().map(|(key, value)| {
            let path = self.state.path(key)?;
            entry(path, value)
        });
        let entries = entries.collect::<Result<_, _>>()?;
        (self.begin, self.page_leaves) = page::after(&page);
        Ok(entries)
    }
}

/// A state whatever its engine.
trait AnyState: Send + Sync {
    fn first(&self) -> Vec<u8>;
    fn page<'a>(&'a self, begin: &'a [u8], limit: usize) -> BoxFuture<'a, Result<Pairs, Error>>;
    fn path(&self, key: &[u8]) -> Result<Path, Error>;
}

struct State<E: Engine> {
    store: Arc<Store<E>>,
    transaction: E::Transaction,
}

impl<E: Engine> AnyState for State<E> {
    fn first(&self) -> Vec<u8> {
        self.store.keys.leaves().start
    }

    fn page<'a>(&'a self, begin: &'a [u8], limit: usize) -> BoxFuture<'a, Result<Pairs, Error>> {
        Box::pin(async move {
            let end = self.store.keys.leaves().end;
            let page = self.transaction.get_range(read(begin, &end, limit)).await;
            // Reads of what is in memory do not wait, and a store may be large.
            crate::history::pause().await;
            page.map_err(of_read)
        })
    }

    fn path(&self, key: &[u8]) -> Result<Path, Error> {
        let path = self.store.keys.path_of(key).and_then(|path| Path::parse(path).ok());
        path.ok_or_else(|| Refusal::foreign_key().into_error())
    }
}

impl<E: Engine> Store<E> {
    /// Begins to read the store as it is now.
    pub(crate) async fn snapshot(self: &Arc<Self>) -> Result<Snapshot, Error> {
        let transaction = self.engine.begin();
        let head = transaction.get(self.keys.head(), Isolation::Snapshot).await;
        let head = decode_head(head.map_err(of_read)?.as_deref())?;
        let state = State {
            store: Arc::clone(self),
            transaction,
        };
        Ok(Snapshot {
            head: Seq(head.seq),
            begin: Some(state.first()),
            page_leaves: page::FIRST_ITEMS,
            state: Box::new(state),
        })
    }
}
