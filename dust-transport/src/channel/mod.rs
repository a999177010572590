//! The frames of a store's channel: what a client and a server say to each other over a WebSocket.
//!
//! A connection to `…/ws/sync/websocket?token=…&device_id=…&capver=3&vsn=…` carries [`Frame`]s: JSON in text messages, or
//! `MessagePack` in binary ones, as `vsn` says ([`Codec`]). A client joins the topic of a store ([`topic_of`]) after the
//! last sequence number that it has, is told what it lacks, and then what is committed.
//!
//! | event | from | payload |
//! |---|---|---|
//! | [`JOIN`] | client | [`JoinRequest`]; answered by [`JoinReply`] |
//! | [`EVENT`] | server | [`event_payload`], of one committed op |
//! | [`SNAPSHOT`] | server | [`Snapshot`]: every leaf, in place of ops that are no longer in the log |
//! | [`CATCH_UP_COMPLETE`] | server | [`CatchUpComplete`]: what follows is live |
//! | [`WRITE`] | client | [`WriteRequest`]; answered by [`WriteReply`] |
//! | [`BATCH`] | client | [`BatchRequest`]; answered by [`BatchReply`] |
//! | [`STATUS`] | client | an empty map; answered by [`StatusReply`] |
//! | [`REPLY`] | server | [`Reply`] to the frame with the same `ref` |
//! | [`HEARTBEAT`] | client | an empty map, on the topic [`PHOENIX`] |
//!
//! ```
//! use dust_transport::channel::{Codec, Encoded, Frame, JOIN, JoinRequest, topic_of};
//! use dust_transport::model::Seq;
//!
//! let join = Frame::new(topic_of("acme/reading"), JOIN, JoinRequest::after(Seq(41)).to_payload())
//!     .join_ref("1")
//!     .reference("1");
//! let Encoded::Text(text) = Codec::Json.encode(&join) else { panic!("JSON is text") };
//! assert_eq!(text, r#"["1","1","store:acme/reading","phx_join",{"last_store_seq":41}]"#);
//! assert_eq!(Codec::Json.decode_text(&text, 8_000_000)?, join);
//! # Ok::<(), dust_transport::channel::FrameError>(())
//! ```
//!
//! # Extensions
//! A server of this house says in its reply to a join what it does beyond the wire of the hosted service
//! ([`JoinReply::extensions`]); whoever does not know an extension is not touched by it.
//!
//! | extension | what it adds |
//! |---|---|
//! | [`EXTENSION_BATCH`] | the event [`BATCH`]: several ops in one commit, with every precondition of the model |
//! | [`EXTENSION_OP_IDS`] | an op id is committed once; the reply to a repetition says `deduplicated` |
//! | [`EXTENSION_QUERIES`] | records are found by their fields, at routes of HTTP |
//! | [`EXTENSION_INDEX_ONLY_RECORDS`] | records may live only in their indexes, and are written at a route of HTTP |
//!
//! Further keys that only a server of this house sends: `store_id` in replies to joins; `deduplicated` in replies; `current_revision`, `op_index`, `path`
//! and `kind` in refusals; `revision` of the leaves of a snapshot; `written` in events, where typed values are told plain.

mod codec;
mod frame;
mod join;
mod payload;
mod push;
mod refusal;
mod reply;
mod status;
mod write;

pub use codec::{Codec, Encoded};
pub use frame::{Frame, FrameError};
pub use join::{FRAME_BYTES_MAX, JoinReply, JoinRequest, Permissions, StoreAccess};
pub use payload::PayloadError;
pub use push::{CatchUpComplete, Snapshot, event_of, event_payload};
pub use refusal::Refusal;
pub use reply::{BatchReply, Reply, WriteReply};
pub use status::{RecentOp, StatusReply};
pub use write::{BatchRequest, WriteRequest};

/// The capability version that is spoken here, and the least that servers take.
pub const CAPVER: u32 = 3;

/// The topic of what is not about a store.
pub const PHOENIX: &str = "phoenix";
/// The event of a heartbeat.
pub const HEARTBEAT: &str = "heartbeat";
/// The event that joins a topic.
pub const JOIN: &str = "phx_join";
/// The event that leaves a topic.
pub const LEAVE: &str = "phx_leave";
/// The event of a reply.
pub const REPLY: &str = "phx_reply";
/// The event that says that the server's side of a topic failed: join again.
pub const ERROR: &str = "phx_error";
/// The event that says that the server closed a topic.
pub const CLOSE: &str = "phx_close";
/// The event of one committed op.
pub const EVENT: &str = "event";
/// The event of a snapshot.
pub const SNAPSHOT: &str = "snapshot";
/// The event after which ops are live.
pub const CATCH_UP_COMPLETE: &str = "catch_up_complete";
/// The event of one op to commit.
pub const WRITE: &str = "write";
/// The event of several ops to commit together; see [`EXTENSION_BATCH`].
pub const BATCH: &str = "batch";
/// The event of a file to store.
pub const PUT_FILE: &str = "put_file";
/// The event by which a client says how far it has come.
pub const ACK_SEQ: &str = "ack_seq";
/// The event by which a client asks how the store stands.
pub const STATUS: &str = "status";

/// The server knows the event [`BATCH`].
pub const EXTENSION_BATCH: &str = "batch";
/// The server commits an op id once.
pub const EXTENSION_OP_IDS: &str = "op_ids";
/// The server has indexes and queries, at its HTTP routes.
pub const EXTENSION_QUERIES: &str = "queries";

/// The server has records that live only in their indexes, at its HTTP routes.
pub const EXTENSION_INDEX_ONLY_RECORDS: &str = "index_only_records";

/// The topic of a store, by its name `org/name` or its UUID.
///
/// ```
/// use dust_transport::channel::topic_of;
/// assert_eq!(topic_of("acme/reading"), "store:acme/reading");
/// ```
#[must_use]
pub fn topic_of(store: &str) -> String {
    format!("store:{store}")
}
