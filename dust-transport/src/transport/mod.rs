//! The contract between a store and whatever reaches it.

mod capability;
mod file;
mod list;
mod subscribe;
mod transaction;
mod write;

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;

use crate::error::{Error, ErrorKind};
use crate::model::{Batch, Entry, FileHash, Path};
use crate::query::{IndexDefinition, IndexQuery, IndexStatus, QueryPage, RecordChange};
pub use capability::Capabilities;
pub use file::{ByteStream, FileContent, FileRange};
pub use list::{Items, List, Order, Page, Scope, Select};
pub use subscribe::{EventStream, Interest, Signal, Start, Subscribe};
pub use transaction::{TRANSACTION_CONFLICT, Transaction};
pub use write::{Done, Written};

/// A reactive key-value store, reached somehow: in the process, over HTTP, through a synced replica.
///
/// One handle speaks to one store. The trait is object safe; a `Repo` holds an `Arc<dyn Transport>`. Implementations
/// MUST pass the functions of the module `suite` (feature `suite`); what they cannot do they declare in [`Capabilities`]
/// and refuse with `ErrorKind::NotSupported`.
///
/// # Contract
/// * Writes are acknowledged only when durable, get consecutive sequence numbers (one per op) and are all-or-nothing
///   (but see [`Capabilities::atomic_batches`]).
/// * A read that starts after a write was acknowledged sees it.
/// * Subscriptions deliver every committed op that they cover once, in order.
///
/// # Errors
/// Beside those named at each call, any call may fail by what it is reached through: `Network`, `Http`, `Timeout`,
/// `Unauthorized`, `RateLimited`, `Storage`, `Closed`.
///
/// # Cancel safety
/// Dropping a read's future has no effect. Dropping the future of [`write`](Transport::write) after its first poll
/// leaves the outcome unknown; repeat it with the same op id to settle it.
pub trait Transport: Send + Sync + fmt::Debug + 'static {
    /// A short name: `embedded`, `http`, `sync`.
    fn name(&self) -> &'static str;

    /// What this transport and the store behind it can do.
    fn capabilities(&self) -> Capabilities;

    /// Lists one page of leaves.
    ///
    /// # Errors
    /// `InvalidParams`: `invalid_params` for a limit that is 0 or above `Capabilities::page_leaves_max`;
    /// `invalid_pattern_for_prefixes` and `unsupported_select` for [`Select::Prefixes`] of a scope without a base.
    fn list<'a>(&'a self, query: &'a List) -> BoxFuture<'a, Result<Page, Error>>;

    /// Reads one path: the leaf, or the assembled subtree (kind `map`, revision = highest of its leaves).
    ///
    /// A leaf may stand above other leaves. Its own path reads the leaf; in a map assembled from further above, the leaves
    /// below hide it.
    fn get<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<Option<Entry>, Error>>;

    /// Reads exact leaves (no assembly); the result has one slot per path, in order.
    fn get_many<'a>(&'a self, paths: &'a [Path]) -> BoxFuture<'a, Result<Vec<Option<Entry>>, Error>>;

    /// Whether a leaf or a subtree is at the path.
    fn exists<'a>(&'a self, path: &'a Path) -> BoxFuture<'a, Result<bool, Error>>;

    /// Commits ops, all or nothing, in order; each op sees the effects of those before it.
    ///
    /// An empty batch is `InvalidParams`. With an op id, a batch that was already committed under it (by this device)
    /// is not applied again: its first reply is returned, `deduplicated` set, whatever the batch now holds. A refused batch
    /// leaves its op id free.
    ///
    /// # Errors
    /// Nothing is written, and `Error::conflict` names the op:
    /// * `Conflict`: `conflict` for a revision or a subtree that is not as expected, `exists` for `Precondition::Absent`;
    ///   `held` for a lease that another holds, `occupied` for a lease where another leaf is, `not_held` for the renewal of
    ///   a lease that is not live with this token, `fenced` for a [`Fence`](crate::model::Fence) that does not hold.
    /// * `InvalidParams`: `if_match_multi_leaf`, `if_match_unsupported_op`, `if_absent_multi_leaf` and
    ///   `if_absent_unsupported_op` for a precondition that the op cannot have; `merge_requires_map_value`,
    ///   `increment_requires_number_value`, `add_requires_value` and `remove_requires_value` for a value that does not fit
    ///   the op; the codes of `PathError` for a key that is no segment; a code of the store's choice for an increment of
    ///   what is no number.
    /// * `Conflict` with `not_unique` where two records would have the same values in a unique index; the path is that of the
    ///   first field of the index in the other record, and the op the last that touches the record.
    /// * `InvalidParams`: `payload_too_large` for a file that is beyond the store's limit.
    /// * `NotSupported` for files without `Capabilities::files`; for the ops on leases, and fences, without
    ///   `Capabilities::leases`; for a subtree precondition without `Capabilities::subtree_preconditions`, but for those that
    ///   `Capabilities::subtree_by_leaf` covers; for an op without `Capabilities::value_ops`; for `Precondition::Absent`
    ///   among several ops without `Capabilities::absent_in_batches`.
    ///
    /// `InvalidParams` with `invalid_params`, for the batch as a whole, if it is empty or above
    /// `Capabilities::batch_ops_max`.
    fn write(&self, batch: Batch) -> BoxFuture<'_, Result<Written, Error>>;

    /// Opens a stream of committed ops. Dropping the stream ends the subscription.
    ///
    /// Every op that is committed once this has answered is delivered, however late the stream is first read.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::subscribe`.
    fn subscribe(&self, subscribe: Subscribe) -> BoxFuture<'_, Result<EventStream, Error>>;

    /// Opens the content of a file, or a part of it, for reading; `None` unless a leaf of the store refers to it.
    ///
    /// What has been opened reads to its end, whatever happens to the leaf in the meantime.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::files`.
    fn read_file<'a>(
        &'a self,
        hash: &'a FileHash,
        range: FileRange,
    ) -> BoxFuture<'a, Result<Option<FileContent>, Error>> {
        let _ = (hash, range);
        let error = Error::new(
            ErrorKind::NotSupported,
            "not_supported",
            "this transport reads no files",
        );
        Box::pin(std::future::ready(Err(error)))
    }

    /// The indexes of the store, in the order of their definition.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::queries`.
    fn indexes(&self) -> BoxFuture<'_, Result<Vec<IndexStatus>, Error>> {
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Defines an index unless it is there, does a bounded part of its build, and tells how far it has come. Whoever wants
    /// to query it calls again until it is readable.
    ///
    /// From its definition on every write keeps its entries, by whomever and through whatever it comes. What has been built
    /// stays: another caller goes on, also after a restart. Two at once build it together.
    ///
    /// Of a unique index the build fails where two records have the same values; then the index is gone again. So does that
    /// of another index of records that live only in their indexes, where two have the same slug and the same values in it.
    ///
    /// # Errors
    /// `InvalidParams`: `too_many_indexes` where the store has as many as it takes, `index_differs` where it has the index
    /// with other options, which has to be removed first. `Conflict` with `not_unique` and the records in the text.
    /// `NotSupported` without `Capabilities::queries`.
    fn ensure_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<IndexStatus, Error>> {
        let _ = definition;
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Removes an index and all that was kept for it; false if there was none.
    ///
    /// The last index of records that live only in their indexes is removed with the records, and only by a definition that
    /// says so ([`IndexDefinition::index_only`]).
    ///
    /// # Errors
    /// `InvalidParams`: `holds_records` where it does not, `index_building` while another index is built from this one.
    /// `NotSupported` without `Capabilities::queries`.
    fn drop_index<'a>(&'a self, definition: &'a IndexDefinition) -> BoxFuture<'a, Result<bool, Error>> {
        let _ = definition;
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Writes records that live only in their indexes, all or nothing, in order; durable once it answers.
    ///
    /// A record is known by its slug and its values in an index: a put replaces the one that has both, in all indexes of the
    /// prefix, and a record with the same slug and other values is another. To do it twice is to do it once. No op is
    /// written, and nobody is told.
    ///
    /// # Errors
    /// `InvalidParams`: `no_index` for a prefix without an index that is all there is of its records, `invalid_record` for a
    /// path that is not `prefix/slug` and for a value that is no map of at least one leaf; `payload_too_large`; `invalid_params` for
    /// no change, or more than `Capabilities::batch_ops_max`. `NotSupported` without `Capabilities::index_only_records`.
    fn write_records(&self, changes: Vec<RecordChange>) -> BoxFuture<'_, Result<(), Error>> {
        drop(changes);
        let detail = "what reaches this store writes no records that live only in their indexes";
        let error = Error::new(ErrorKind::NotSupported, "not_supported", detail);
        Box::pin(std::future::ready(Err(error)))
    }

    /// Reads one page of a query: the records that a range of an index names, as they are at one moment.
    ///
    /// # Errors
    /// `InvalidParams`: what [`IndexQuery::check`] refuses; `no_index` without the index, `index_building` before it is
    /// readable, `invalid_cursor` for a cursor that this store did not give. `NotSupported` without `Capabilities::queries`.
    fn query<'a>(&'a self, query: &'a IndexQuery) -> BoxFuture<'a, Result<QueryPage, Error>> {
        let _ = query;
        Box::pin(std::future::ready(Err(no_queries())))
    }

    /// Begins a transaction on the state that the store has now; see [`Transaction`].
    ///
    /// `attempt` counts how often the same has been tried and was in conflict, from 0 on. From 1 on the store lets others go
    /// first, for as long as suits what it is kept in.
    ///
    /// # Errors
    /// `NotSupported` without `Capabilities::transactions`, and in a transaction, which has none of its own.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    fn transaction(&self, attempt: u32) -> BoxFuture<'_, Result<Arc<dyn Transaction>, Error>> {
        let _ = attempt;
        let detail =
            "a transaction needs the store in the process; what can be written at once goes through `batch_write`";
        let error = Error::new(ErrorKind::NotSupported, "not_supported", detail);
        Box::pin(std::future::ready(Err(error)))
    }
}

fn no_queries() -> Error {
    let detail = "what reaches this store has no indexes and no queries";
    Error::new(ErrorKind::NotSupported, "not_supported", detail)
}
