//! What a client asks for on the topic of a store, and what it is answered.

use std::sync::Arc;

use dust_store::Embedded;
use dust_transport::channel::{
    ACK_SEQ, BATCH, BatchReply, BatchRequest, CAPVER, EXTENSION_BATCH, EXTENSION_INDEX_ONLY_RECORDS, EXTENSION_OP_IDS,
    EXTENSION_QUERIES, Frame, JoinReply, JoinRequest, PUT_FILE, Permissions, Refusal, Reply, STATUS, StoreAccess,
    WRITE, WriteReply, WriteRequest,
};
use dust_transport::error::{Error, ErrorKind};
use dust_transport::model::{Batch, OpKind, Path, Seq, Value};
use dust_transport::transport::{Done, Transport as _, Written};
use uuid::Uuid;

use super::client::{Answered, Client, refusal};
use super::session::{Answer, Change, Echo, Work};
use super::subscription::{Opening, Subscription};
use super::wire::encoded;
use super::{file, rollback, status};
use crate::control::{Scope, Store, Token};

/// What a request came to: the response, and the op that it committed, if that is one.
pub(super) type Outcome = (Value, Option<Seq>);

/// Who joined which store: what requests need of a topic.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) client: Arc<Client>,
    pub(super) store: Store,
    pub(super) data: Embedded,
}

/// Begins to answer a request on a joined topic.
pub(super) fn answer(joined: &Subscription, frame: Frame) -> Work {
    let (id, at) = (joined.id, Arc::clone(&joined.at));
    // What is checked is checked in the order in which it was asked for, and before anything is awaited.
    let write = match frame.event.as_str() {
        WRITE => Some(at.write(&frame.payload)),
        BATCH => Some(at.batch(&frame.payload)),
        PUT_FILE => Some(file::read(&at, &frame.payload)),
        _ => None,
    };
    Box::pin(async move {
        let outcome = match write {
            Some(Ok(write)) => at.commit(write, frame.event.as_str()).await,
            Some(Err(refusal)) => Err(refusal),
            None => at.other(&frame).await,
        };
        let (reply, seq) = match outcome {
            Ok((response, seq)) => (Reply::Ok(response), seq),
            Err(refusal) => (Reply::Error(refusal), None),
        };
        Answer {
            reply: encoded(at.client.codec, &frame.answer(&reply)),
            echo: seq.map(|Seq(seq)| Echo { subscription: id, seq }),
            change: Change::None,
        }
    })
}

impl Joined {
    pub(super) fn require_active(&self) -> Answered<()> {
        if self.client.shared.control.is_active(self.store.id) {
            Ok(())
        } else {
            Err(refusal("store_archived"))
        }
    }

    /// The batch of one op that is asked for. The order of the checks is that of the wire.
    fn write(&self, payload: &Value) -> Answered<Batch> {
        self.client.require(Scope::EntriesWrite)?;
        self.client.count_write()?;
        let request = WriteRequest::from_payload(payload).map_err(|error| refused(&error.into()))?;
        match request.kind() {
            None => return Err(refusal("invalid op")),
            Some(OpKind::PutFile) => self.client.require(Scope::FilesWrite)?,
            Some(_) => {}
        }
        self.require_active()?;
        let op = request.op().map_err(|error| refused(&error))?;
        let id = request.op_id().map_err(|error| refused(&error))?;
        let id = id.ok_or_else(|| refusal("missing_client_op_id"))?;
        Ok(Batch::one(op).with_id(id))
    }

    /// The batch that is asked for by the extension of that name.
    fn batch(&self, payload: &Value) -> Answered<Batch> {
        self.client.require(Scope::EntriesWrite)?;
        self.client.count_write()?;
        self.require_active()?;
        let request = BatchRequest::from_payload(payload).map_err(|error| refused(&error.into()))?;
        let batch = request.batch().map_err(|error| refused(&error))?;
        if batch.ops.iter().any(|op| op.action.kind() == OpKind::PutFile) {
            self.client.require(Scope::FilesWrite)?;
        }
        Ok(batch)
    }

    async fn commit(&self, batch: Batch, event: &str) -> Answered<Outcome> {
        let kinds: Vec<OpKind> = batch.ops.iter().map(|op| op.action.kind()).collect();
        let written = self.data.write(batch).await.map_err(|error| {
            let index = error.conflict().map_or(0, |at| at.op_index);
            let kind = kinds.get(index).filter(|_| error.code().ends_with("_unsupported_op"));
            let mut refusal = refused(&error);
            if event == BATCH || error.code() == "not_unique" {
                refusal = Box::new(Refusal::of_batch(&error));
            }
            refusal.op = kind.map(ToString::to_string);
            if let (BATCH, Some(at)) = (event, error.conflict()) {
                refusal.op_index = Some(at.op_index);
                refusal.path = Some(at.path.as_str().to_owned());
            }
            refusal
        })?;
        let seq = written.seqs.last().copied().filter(|seq| seq.0 > 0);
        let response = match event {
            BATCH => BatchReply::from(written).to_response(),
            _ => response_of(&written),
        };
        Ok((response, seq))
    }

    async fn other(&self, frame: &Frame) -> Answered<Outcome> {
        match frame.event.as_str() {
            // How far a client has come is its own affair here: nothing is thrown away on its word.
            ACK_SEQ => match Fields::read(&frame.payload)?.get("seq") {
                Some(_) => Ok((Value::map::<&str>([]), None)),
                None => Err(refusal("invalid_payload")),
            },
            STATUS => Ok((status::read(self).await.map_err(|error| refused(&error))?, None)),
            "rollback" => rollback::run(self, &frame.payload).await,
            _ => Err(refusal("unknown_event")),
        }
    }
}

/// The fields of a payload.
#[derive(Debug)]
pub(super) struct Fields(Vec<(String, Value)>);

impl Fields {
    pub(super) fn read(payload: &Value) -> Answered<Self> {
        payload.entries().map(Self).ok_or_else(|| refusal("invalid_payload"))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    pub(super) fn path(&self) -> Answered<Path> {
        let path = self.get("path").filter(|path| !path.is_null());
        let path = path.ok_or_else(|| refusal("missing_path"))?;
        let path = path.str().ok_or_else(|| refusal("invalid_path"))?;
        Path::parse(&path).map_err(|error| refused(&Error::from(error)))
    }
}

/// The response to one op.
fn response_of(written: &Written) -> Value {
    let seq = written.seqs.first().copied();
    let reply = WriteReply {
        store_seq: seq.filter(|seq| seq.0 > 0),
        deduplicated: written.deduplicated,
        ..WriteReply::default()
    };
    let reply = match written.done(0) {
        Done::NotReleased => WriteReply {
            released: Some(false),
            ..reply
        },
        Done::Leased(lease) => WriteReply {
            token: Some(lease.token),
            expires_at: Some(lease.expires_at_ms),
            holder: lease.holder.clone(),
            ..reply
        },
        Done::Stored(file) => WriteReply {
            hash: Some(file.hash.to_string()),
            ..reply
        },
        _ => reply,
    };
    let is_held_by_nobody = reply.token.is_some() && reply.holder.is_none();
    let mut response = reply.to_response();
    if is_held_by_nobody {
        // The wire names a holder of each lease, if only by null.
        let entries = response.entries().unwrap_or_default().into_iter();
        response = Value::map(entries.chain([("holder".to_owned(), Value::null())]));
    }
    response
}

/// What a client is told of an error.
pub(super) fn refused(error: &Error) -> Box<Refusal> {
    if matches!(error.kind(), ErrorKind::Storage | ErrorKind::Corrupt) {
        tracing::error!(code = error.code(), detail = error.detail(), "the store failed");
    }
    Box::new(Refusal::of(error))
}

/// Answers a join, which may take the place of one before.
pub(super) async fn join(client: Arc<Client>, frame: Frame, id: u64) -> Answer {
    match try_join(&client, &frame, id).await {
        Ok((joined, response)) => Answer {
            reply: encoded(client.codec, &frame.answer(&Reply::Ok(response))),
            echo: None,
            change: Change::Join(Box::new(joined)),
        },
        Err(refusal) => {
            let mut answer = frame.answer(&Reply::Error(refusal));
            if !frame.topic.starts_with(STORE_TOPIC) {
                answer.join_ref = None;
            }
            Answer {
                reply: encoded(client.codec, &answer),
                echo: None,
                change: Change::None,
            }
        }
    }
}

/// What the topic of a store begins with.
const STORE_TOPIC: &str = "store:";

/// What is said to a join that names nothing that could be joined.
fn crashed() -> Box<Refusal> {
    refusal("join crashed")
}

async fn try_join(client: &Arc<Client>, frame: &Frame, id: u64) -> Answered<(Subscription, Value)> {
    let Some(name) = frame.topic.strip_prefix(STORE_TOPIC) else {
        return Err(refusal("unmatched topic"));
    };
    let store = find(client, name)?;
    let given = JoinRequest::from_payload(&frame.payload)
        .ok_or_else(crashed)?
        .last_store_seq;
    let after = after(&given)?;
    let data = client.shared.open(&store).await.map_err(|error| refused(&error))?;
    let data = data.with_device(client.device.clone());
    let channels = &client.shared.channels;
    let member = channels.hubs.join(&store, &data, &client.shared.config.channels);
    let head = data.head().await.map_err(|error| refused(&error))?;
    let frame_bytes_max = client.shared.config.channels.frame_bytes_max;
    let response = granted(&client.token, store.id, head, frame_bytes_max).to_response();
    let opening = Opening {
        id,
        topic: frame.topic.clone(),
        join_ref: frame.join_ref.clone(),
        at: Arc::new(Joined {
            client: Arc::clone(client),
            store,
            data,
        }),
        member,
        gate: channels.snapshots.clone(),
        after: after.map_or(head, |after| after.min(head)),
        given,
    };
    Ok((Subscription::open(opening), response))
}

/// The store of a topic, if the token may read it.
fn find(client: &Client, name: &str) -> Answered<Store> {
    let control = &client.shared.control;
    let store = match name.split_once('/') {
        Some((org, name)) => control.store(org, name),
        None => control.store_by_id(Uuid::try_parse(name).map_err(|_| crashed())?),
    };
    // Nobody learns which stores others have.
    let store = store.filter(|store| store.org == client.token.org);
    let store = store.ok_or_else(|| refusal("unauthorized"))?;
    if !client.token.may_access(store.id) {
        return Err(Box::new(Refusal {
            message: Some("Token does not have access to this store".to_owned()),
            ..Refusal::new("store_not_allowed")
        }));
    }
    client.require(Scope::EntriesRead)?;
    Ok(store)
}

/// After which op to begin; `None` for the last one.
fn after(given: &Value) -> Answered<Option<Seq>> {
    if given.is_null() {
        return Ok(None);
    }
    seq_of(given).map(Some).ok_or_else(crashed)
}

/// A sequence number. Clients send an integer; whatever else the recorded server takes is taken as it takes it.
pub(super) fn seq_of(given: &Value) -> Option<Seq> {
    let text = given.str();
    let text = text.as_deref().unwrap_or(given.json());
    let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
    let negative = whole.strip_prefix('-');
    let digits = negative.unwrap_or(whole);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // More than fits is beyond every store.
    let seq = digits.parse().unwrap_or(u64::MAX);
    Some(Seq(if negative.is_some() { 0 } else { seq }))
}

fn granted(token: &Token, store: Uuid, head: Seq, frame_bytes_max: usize) -> JoinReply {
    JoinReply {
        store_seq: head,
        capver: CAPVER,
        capver_min: CAPVER,
        permissions: permissions(token),
        scopes: scopes(token),
        store_access: store_access(token),
        extensions: [
            EXTENSION_BATCH,
            EXTENSION_OP_IDS,
            EXTENSION_QUERIES,
            EXTENSION_INDEX_ONLY_RECORDS,
        ]
        .map(str::to_owned)
        .into(),
        store_id: Some(store.to_string()),
        frame_bytes_max: Some(frame_bytes_max),
    }
}

pub(super) fn permissions(token: &Token) -> Permissions {
    Permissions {
        read: token.has(Scope::EntriesRead),
        write: token.has(Scope::EntriesWrite),
    }
}

pub(super) fn scopes(token: &Token) -> Vec<String> {
    token.scopes.iter().map(|scope| scope.as_str().to_owned()).collect()
}

pub(super) fn store_access(token: &Token) -> StoreAccess {
    let mode = if token.stores.is_some() { "selected" } else { "all" };
    StoreAccess {
        mode: mode.to_owned(),
        store_ids: token.stores.iter().flatten().map(Uuid::to_string).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_join_begins_after_a_number_however_it_is_written() {
        let read = |text: &str| after(&Value::from_json(text).unwrap()).map(|after| after.map(|Seq(seq)| seq));
        assert_eq!(read("5"), Ok(Some(5)));
        assert_eq!(read("5.5"), Ok(Some(5)));
        assert_eq!(read("\"5\""), Ok(Some(5)));
        assert_eq!(read("-5"), Ok(Some(0)));
        assert_eq!(read("null"), Ok(None));
        assert_eq!(read("36893488147419103232"), Ok(Some(u64::MAX)));
        for text in ["\"\"", "\"five\"", "true", "[5]", "{}", "\"-\"", "1e3"] {
            assert_eq!(read(text), Err(crashed()), "{text}");
        }
    }
}
