//! What a transport can do.

/// What a transport and its store can do beyond the required.
///
/// ```
/// use dust_transport::transport::Capabilities;
///
/// let hosted = Capabilities::full().with_subscribe(false).with_batch_ops_max(1000);
/// assert!(hosted.op_ids && !hosted.subscribe);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each is a yes or no of its own")]
pub struct Capabilities {
    /// `subscribe` works.
    pub subscribe: bool,
    /// The subtree preconditions (`Precondition::Subtree`, `SubtreeRevision`) are checked by the store, atomically.
    pub subtree_preconditions: bool,
    /// `Precondition::Subtree` is translated into conditions on the leaves that the batch writes, as far as that goes;
    /// what is lost stands at the transport. Without meaning where `subtree_preconditions` is true.
    pub subtree_by_leaf: bool,
    /// A batch of several ops is committed whole or not at all. Only a server too old to know batches does less.
    pub atomic_batches: bool,
    /// The ops that work on what is there, `Merge`, `Increment`, `Add` and `Remove`, are there; if not, they are
    /// `NotSupported`.
    pub value_ops: bool,
    /// `Precondition::Absent` works for an op among several; if not, it is `NotSupported` there.
    pub absent_in_batches: bool,
    /// Files can be put and read; if not, `PutFile` is `NotSupported`, and so is `read_file`, unless the transport says that it
    /// reads what others put.
    pub files: bool,
    /// `Lease`, `Renew`, `Release` and fences are there; if not, they are `NotSupported`.
    pub leases: bool,
    /// There are indexes and queries; if not, `indexes`, `ensure_index`, `drop_index` and `query` are `NotSupported`.
    pub queries: bool,
    /// `transaction` works; if not, it is `NotSupported`.
    pub transactions: bool,
    /// Records may live only in their indexes; if not, `write_records` is `NotSupported`.
    pub index_only_records: bool,
    /// Op ids are deduplicated by the store; if not, they are only told to subscribers.
    pub op_ids: bool,
    /// The most ops in one batch.
    pub batch_ops_max: usize,
    /// The most leaves in one page.
    pub page_leaves_max: usize,
}

impl Capabilities {
    /// Everything that the wire of Dust has, with batches of 1000 ops and pages of 1000 leaves. Queries and transactions are
    /// not among it: a transport that has them says so by [`with_queries`](Self::with_queries) and
    /// [`with_transactions`](Self::with_transactions).
    ///
    /// ```
    /// use dust_transport::transport::Capabilities;
    /// let remote = Capabilities::full().with_op_ids(false).with_page_leaves_max(200);
    /// assert!(remote.subscribe && !remote.op_ids);
    /// ```
    #[must_use]
    pub fn full() -> Self {
        Self {
            subscribe: true,
            subtree_preconditions: true,
            subtree_by_leaf: false,
            atomic_batches: true,
            value_ops: true,
            absent_in_batches: true,
            files: true,
            leases: true,
            queries: false,
            index_only_records: false,
            transactions: false,
            op_ids: true,
            batch_ops_max: 1000,
            page_leaves_max: 1000,
        }
    }

    /// The same but for `subscribe`.
    #[must_use]
    pub fn with_subscribe(mut self, subscribe: bool) -> Self {
        self.subscribe = subscribe;
        self
    }

    /// The same but for `subtree_preconditions`.
    #[must_use]
    pub fn with_subtree_preconditions(mut self, subtree_preconditions: bool) -> Self {
        self.subtree_preconditions = subtree_preconditions;
        self
    }

    /// The same but for `subtree_by_leaf`.
    #[must_use]
    pub fn with_subtree_by_leaf(mut self, subtree_by_leaf: bool) -> Self {
        self.subtree_by_leaf = subtree_by_leaf;
        self
    }

    /// The same but for `atomic_batches`.
    #[must_use]
    pub fn with_atomic_batches(mut self, atomic_batches: bool) -> Self {
        self.atomic_batches = atomic_batches;
        self
    }

    /// The same but for `value_ops`.
    #[must_use]
    pub fn with_value_ops(mut self, value_ops: bool) -> Self {
        self.value_ops = value_ops;
        self
    }

    /// The same but for `absent_in_batches`.
    #[must_use]
    pub fn with_absent_in_batches(mut self, absent_in_batches: bool) -> Self {
        self.absent_in_batches = absent_in_batches;
        self
    }

    /// The same but for `files`.
    #[must_use]
    pub fn with_files(mut self, files: bool) -> Self {
        self.files = files;
        self
    }

    /// The same but for `leases`.
    #[must_use]
    pub fn with_leases(mut self, leases: bool) -> Self {
        self.leases = leases;
        self
    }

    /// The same but for `queries`.
    #[must_use]
    pub fn with_queries(mut self, queries: bool) -> Self {
        self.queries = queries;
        self
    }

    /// The same but for `transactions`.
    #[must_use]
    pub fn with_transactions(mut self, transactions: bool) -> Self {
        self.transactions = transactions;
        self
    }

    /// The same but for `index_only_records`.
    #[must_use]
    pub fn with_index_only_records(mut self, index_only_records: bool) -> Self {
        self.index_only_records = index_only_records;
        self
    }

    /// The same but for `op_ids`.
    #[must_use]
    pub fn with_op_ids(mut self, op_ids: bool) -> Self {
        self.op_ids = op_ids;
        self
    }

    /// The same but for `batch_ops_max`.
    #[must_use]
    pub fn with_batch_ops_max(mut self, batch_ops_max: usize) -> Self {
        self.batch_ops_max = batch_ops_max;
        self
    }

    /// The same but for `page_leaves_max`.
    #[must_use]
    pub fn with_page_leaves_max(mut self, page_leaves_max: usize) -> Self {
        self.page_leaves_max = page_leaves_max;
        self
    }
}
