use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::payload::PayloadError;
use super::{PUT_FILE, WRITE};
use crate::error::{Error, ErrorKind};
use crate::model::{Action, Batch, Fence, Op, OpId, OpKind, Path, PathError, Precondition, Seq, Value};

/// The payload of [`WRITE`](super::WRITE), and of [`PUT_FILE`](super::PUT_FILE), key by key as it came.
///
/// Its readers check one thing each, so that a server can check in its own order.
///
/// ```
/// use dust_transport::channel::WriteRequest;
/// use dust_transport::model::{Op, OpId, Path, Precondition, Seq};
///
/// let op = Op::set(Path::parse("links/dust/title")?, "Dust").when(Precondition::Match(Seq(3)));
/// let request = WriteRequest::of(&op, &OpId::new("op_1")?);
/// assert_eq!(
///     request.to_payload().json(),
///     r#"{"op":"set","path":"links/dust/title","path_segments":["links","dust","title"],"value":"Dust","client_op_id":"op_1","if_match":3}"#,
/// );
/// let read = WriteRequest::from_payload(&request.to_payload())?;
/// assert_eq!(read.op()?, op);
/// assert_eq!(read.op_id()?, Some(OpId::new("op_1")?));
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WriteRequest {
    /// The name of the op.
    pub op: Option<Value>,
    /// The path, rendered.
    pub path: Option<Value>,
    /// The path by its segments, which counts where both are there.
    pub path_segments: Option<Value>,
    /// What is written.
    pub value: Option<Value>,
    /// The op id.
    pub client_op_id: Option<Value>,
    /// The revision that the leaf must have.
    pub if_match: Option<Value>,
    /// True where no leaf may be there.
    pub if_absent: Option<Value>,
    /// The lease that must be held, `{key, token}`.
    pub fence: Option<Value>,
    /// For how long a lease is taken.
    pub ttl_ms: Option<Value>,
    /// Who takes it.
    pub holder: Option<Value>,
    /// The token of the lease that is renewed or released.
    pub token: Option<Value>,
    /// What is in a file, in standard base64.
    pub content: Option<Value>,
    /// What the file is called.
    pub filename: Option<Value>,
    /// Its media type.
    pub content_type: Option<Value>,
    /// `Precondition::Subtree` as `{root, leaves: [[path, revision], …]}`, in a batch.
    pub subtree: Option<Value>,
    /// `Precondition::SubtreeRevision` as `{root, revision}`, in a batch.
    pub subtree_revision: Option<Value>,
}

/// The payload of [`BATCH`](super::BATCH).
///
/// ```
/// use dust_transport::channel::BatchRequest;
/// use dust_transport::model::{Batch, Op, OpId, Path};
///
/// let batch = Batch::new([Op::increment(Path::parse("n")?, 1), Op::delete(Path::parse("old")?)]).with_id(OpId::new("op_1")?);
/// let read = BatchRequest::from_payload(&BatchRequest::of(&batch).to_payload())?;
/// assert_eq!(read.batch()?, batch);
/// # Ok::<(), dust_transport::error::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchRequest {
    /// The ops; their own op ids do not count.
    pub ops: Vec<WriteRequest>,
    /// The op id of the batch.
    pub client_op_id: Option<Value>,
}

/// Names every key once.
macro_rules! keys {
    ($then:ident) => {
        $then!(
            op,
            path,
            path_segments,
            value,
            client_op_id,
            if_match,
            if_absent,
            fence,
            ttl_ms,
            holder,
            token,
            content,
            filename,
            content_type,
            subtree,
            subtree_revision
        )
    };
}

/// How long a lease lasts that does not say it.
const TTL_MS_DEFAULT: u64 = 30_000;

fn invalid(code: &'static str, detail: &'static str) -> Error {
    Error::new(ErrorKind::InvalidParams, code, detail)
}

impl WriteRequest {
    /// The request for an op.
    #[must_use]
    pub fn of(op: &Op, id: &OpId) -> Self {
        Self {
            client_op_id: Some(Value::from(id.as_str())),
            ..Self::without_id(op)
        }
    }

    fn without_id(op: &Op) -> Self {
        let mut request = Self {
            op: Some(Value::from(op.action.kind().as_str())),
            path: Some(Value::from(op.path.as_str())),
            path_segments: Some(Value::list(op.path.segments().map(|segment| Value::from(&*segment)))),
            value: op.action.value().cloned(),
            ..Self::default()
        };
        request.put_action(&op.action);
        if let Some(Fence { key, token }) = &op.fence {
            let (key, token) = (Value::from(key.as_str()), Value::from(*token));
            request.fence = Some(Value::map([("key", key), ("token", token)]));
        }
        match &op.precondition {
            Precondition::None => {}
            Precondition::Match(revision) => request.if_match = Some(Value::from(revision.0)),
            Precondition::Absent => request.if_absent = Some(Value::from(true)),
            Precondition::Subtree { root, leaves } => {
                let leaf =
                    |(path, revision): &(Path, Seq)| Value::list([Value::from(path.as_str()), Value::from(revision.0)]);
                let leaves = Value::list(leaves.iter().map(leaf));
                request.subtree = Some(Value::map([("root", Value::from(root.as_str())), ("leaves", leaves)]));
            }
            Precondition::SubtreeRevision { root, revision } => {
                let (root, revision) = (Value::from(root.as_str()), Value::from(revision.0));
                request.subtree_revision = Some(Value::map([("root", root), ("revision", revision)]));
            }
        }
        request
    }

    /// What an action says beside its value.
    fn put_action(&mut self, action: &Action) {
        let millis = |ttl: &Duration| Value::from(u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX));
        let text = |text: &Option<String>| text.as_deref().map(Value::from);
        match action {
            Action::Lease { holder, ttl } => (self.holder, self.ttl_ms) = (text(holder), Some(millis(ttl))),
            Action::Renew { token, ttl } => (self.token, self.ttl_ms) = (Some(Value::from(*token)), Some(millis(ttl))),
            Action::Release { token } => self.token = Some(Value::from(*token)),
            Action::PutFile {
                content,
                filename,
                content_type,
            } => {
                self.content = Some(Value::from(STANDARD.encode(content)));
                (self.filename, self.content_type) = (text(filename), text(content_type));
            }
            _ => {}
        }
    }

    /// The event that carries it: a file has one of its own.
    #[must_use]
    pub fn event(&self) -> &'static str {
        match self.kind() {
            Some(OpKind::PutFile) => PUT_FILE,
            _ => WRITE,
        }
    }

    /// The payload.
    #[must_use]
    pub fn to_payload(&self) -> Value {
        macro_rules! entries {
            ($($key:ident),*) => {
                Value::map([$((stringify!($key), &self.$key)),*].into_iter().filter_map(|(key, value)| {
                    Some((key, value.clone()?))
                }))
            };
        }
        keys!(entries)
    }

    /// Reads a payload; keys that are not known are dropped.
    ///
    /// # Errors
    /// [`PayloadError`] for what is no map.
    pub fn from_payload(payload: &Value) -> Result<Self, PayloadError> {
        let entries = payload.entries();
        let entries = entries.ok_or_else(|| PayloadError::new("a write", "it is no map"))?;
        let mut request = Self::default();
        for (key, value) in entries {
            macro_rules! put {
                ($($key:ident),*) => {
                    match key.as_str() {
                        $(stringify!($key) => request.$key = Some(value),)*
                        _ => {}
                    }
                };
            }
            keys!(put);
        }
        Ok(request)
    }

    /// The kind of the op, if it is one that is known here.
    #[must_use]
    pub fn kind(&self) -> Option<OpKind> {
        self.op.as_ref()?.str()?.parse().ok()
    }

    /// The path: by its segments where they are a list, or else rendered.
    ///
    /// # Errors
    /// `InvalidParams` with `missing_path`, or a code of [`PathError`].
    pub fn path(&self) -> Result<Path, Error> {
        if let Some(segments) = self.path_segments.as_ref().and_then(Value::items) {
            let segment = |segment: &Value| segment.str().map(std::borrow::Cow::into_owned);
            let segments: Option<Vec<_>> = segments.iter().map(segment).collect();
            let segments = segments.ok_or_else(|| invalid("not_a_string", "a segment is a string"))?;
            return Ok(Path::new(segments)?);
        }
        match self.path.as_ref().and_then(Value::str) {
            Some(path) => Ok(Path::parse(&path)?),
            None => Err(invalid("missing_path", "a write needs a path")),
        }
    }

    /// The op id, if there is one.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_id`.
    pub fn op_id(&self) -> Result<Option<OpId>, Error> {
        id_of(self.client_op_id.as_ref())
    }

    /// The precondition.
    ///
    /// A null and an `if_absent` that is false count as none.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_precondition` for what is none, and for more than one.
    pub fn precondition(&self) -> Result<Precondition, Error> {
        let refused = || invalid("invalid_precondition", "the precondition is not valid");
        let given = |value: &Option<Value>| value.clone().filter(|value| !value.is_null());
        let mut found = Vec::new();
        if let Some(revision) = given(&self.if_match) {
            found.push(Precondition::Match(seq_of(&revision)?));
        }
        match given(&self.if_absent).map(|absent| absent.to()) {
            Some(Ok(true)) => found.push(Precondition::Absent),
            Some(Ok(false)) | None => {}
            Some(Err(_)) => return Err(refused()),
        }
        if let Some(subtree) = given(&self.subtree) {
            let (root, leaves): (String, Vec<(String, u64)>) = two(&subtree, "root", "leaves")?;
            let leaf = |(path, revision): (String, u64)| Ok((Path::parse(&path)?, Seq(revision)));
            let leaves: Result<_, PathError> = leaves.into_iter().map(leaf).collect();
            found.push(Precondition::Subtree {
                root: Path::parse(&root)?,
                leaves: leaves?,
            });
        }
        if let Some(subtree) = given(&self.subtree_revision) {
            let (root, revision): (String, u64) = two(&subtree, "root", "revision")?;
            found.push(Precondition::SubtreeRevision {
                root: Path::parse(&root)?,
                revision: Seq(revision),
            });
        }
        match found.len() {
            0 | 1 => Ok(found.pop().unwrap_or_default()),
            _ => Err(refused()),
        }
    }

    /// The lease that the write is under.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_precondition`, or a code of [`PathError`].
    pub fn fence(&self) -> Result<Option<Fence>, Error> {
        let Some(fence) = self.fence.as_ref().filter(|fence| !fence.is_null()) else {
            return Ok(None);
        };
        let (key, token): (String, u64) = two(fence, "key", "token")?;
        let key = Path::parse(&key)?;
        Ok(Some(Fence { key, token }))
    }

    /// The file that a [`PUT_FILE`](super::PUT_FILE) stores.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_base64`, and those of [`path`](Self::path).
    pub fn file(&self) -> Result<Op, Error> {
        let refused = || invalid("invalid_base64", "the content is not standard base64");
        let content = self.content.as_ref().and_then(Value::str).ok_or_else(refused)?;
        let content = STANDARD.decode(&*content).map_err(|_| refused())?;
        let (filename, content_type) = (
            self.filename.as_ref().and_then(Value::str),
            self.content_type.as_ref().and_then(Value::str),
        );
        Ok(Op::put_file(
            self.path()?,
            content,
            filename.as_deref(),
            content_type.as_deref(),
        ))
    }

    fn ttl(&self) -> Result<Duration, Error> {
        let millis = match self.ttl_ms.as_ref().filter(|ttl| !ttl.is_null()) {
            Some(ttl) => ttl
                .to()
                .map_err(|_| invalid("invalid_params", "ttl_ms is a number of milliseconds"))?,
            None => TTL_MS_DEFAULT,
        };
        Ok(Duration::from_millis(millis))
    }

    fn token(&self) -> Result<u64, Error> {
        let token = self.token.as_ref().and_then(|token| token.to().ok());
        token.ok_or_else(|| invalid("invalid_params", "the op needs the token of the lease"))
    }

    /// The op.
    ///
    /// # Errors
    /// `InvalidParams`: those of [`fence`](Self::fence) and [`file`](Self::file); `invalid_params` for a lease without a
    /// time or a token; those of [`path`](Self::path) and [`precondition`](Self::precondition); `invalid_op`; what
    /// [`ValueError`](crate::model::ValueError) says of a value that is nested too deep; `merge_requires_map_value`,
    /// `increment_requires_number_value`, `add_requires_value` and `remove_requires_value` for a value that is missing.
    pub fn op(&self) -> Result<Op, Error> {
        let path = self.path()?;
        let value = match &self.value {
            // A payload may be deeper than a value.
            Some(value) => Some(Value::from_json(value.json())?),
            None => None,
        };
        let needed = |code| value.clone().ok_or_else(|| invalid(code, "the op needs a value"));
        let op = match self.kind() {
            // The hosted server writes null where a set has no value.
            Some(OpKind::Set) => Op::set(path, value.unwrap_or_else(Value::null)),
            Some(OpKind::Delete) => Op::delete(path),
            Some(OpKind::Merge) => Op::merge(path, needed("merge_requires_map_value")?),
            Some(OpKind::Increment) => Op::increment(path, needed("increment_requires_number_value")?),
            Some(OpKind::Add) => Op::add(path, needed("add_requires_value")?),
            Some(OpKind::Remove) => Op::remove(path, needed("remove_requires_value")?),
            Some(OpKind::PutFile) => self.file()?,
            Some(OpKind::Lease) => {
                let holder = self.holder.as_ref().and_then(Value::str);
                Op::lease(path, holder.as_deref(), self.ttl()?)
            }
            Some(OpKind::Renew) => Op::renew(path, self.token()?, self.ttl()?),
            Some(OpKind::Release) => Op::release(path, self.token()?),
            None => return Err(invalid("invalid_op", "the op is not known")),
        };
        let op = op.when(self.precondition()?);
        Ok(match self.fence()? {
            Some(fence) => op.fenced(fence),
            None => op,
        })
    }
}

impl BatchRequest {
    /// The request for a batch.
    #[must_use]
    pub fn of(batch: &Batch) -> Self {
        Self {
            ops: batch.ops.iter().map(WriteRequest::without_id).collect(),
            client_op_id: batch.id.as_ref().map(|id| Value::from(id.as_str())),
        }
    }

    /// The payload.
    #[must_use]
    pub fn to_payload(&self) -> Value {
        let ops = Value::list(self.ops.iter().map(WriteRequest::to_payload));
        let id = self.client_op_id.clone().map(|id| ("client_op_id", id));
        Value::map([("ops", ops)].into_iter().chain(id))
    }

    /// Reads a payload.
    ///
    /// # Errors
    /// [`PayloadError`] for what is none.
    pub fn from_payload(payload: &Value) -> Result<Self, PayloadError> {
        let refused = |source| PayloadError::new("a batch", source);
        let (mut ops, mut client_op_id) = (None, None);
        for (key, value) in payload.entries().ok_or_else(|| refused("it is no map"))? {
            match key.as_str() {
                "ops" => ops = value.items(),
                "client_op_id" => client_op_id = Some(value),
                _ => {}
            }
        }
        let ops = ops.ok_or_else(|| refused("it has no list of ops"))?;
        Ok(Self {
            ops: ops.iter().map(WriteRequest::from_payload).collect::<Result<_, _>>()?,
            client_op_id,
        })
    }

    /// The op id, if there is one.
    ///
    /// # Errors
    /// `InvalidParams` with `invalid_id`.
    pub fn op_id(&self) -> Result<Option<OpId>, Error> {
        id_of(self.client_op_id.as_ref())
    }

    /// The batch.
    ///
    /// # Errors
    /// Those of [`op_id`](Self::op_id), and of [`WriteRequest::op`] for the first op that is none.
    pub fn batch(&self) -> Result<Batch, Error> {
        let ops = self.ops.iter().map(WriteRequest::op).collect::<Result<Vec<_>, _>>()?;
        let id = self.op_id()?;
        Ok(Batch { ops, id })
    }
}

fn id_of(id: Option<&Value>) -> Result<Option<OpId>, Error> {
    match id.filter(|id| !id.is_null()) {
        Some(id) => Ok(Some(OpId::new(id.str().unwrap_or_default())?)),
        None => Ok(None),
    }
}

fn seq_of(value: &Value) -> Result<Seq, Error> {
    let seq = value.to().map(Seq);
    seq.map_err(|_| invalid("invalid_precondition", "a revision is an integer that is not negative"))
}

/// Two keys of a map.
fn two<A, B>(map: &Value, first: &str, second: &str) -> Result<(A, B), Error>
where
    A: serde::de::DeserializeOwned,
    B: serde::de::DeserializeOwned,
{
    let entries = map.entries().unwrap_or_default();
    let find = |name: &str| entries.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let refused = || invalid("invalid_precondition", "the precondition is not valid");
    let a = find(first).and_then(|value| value.to().ok()).ok_or_else(refused)?;
    let b = find(second).and_then(|value| value.to().ok()).ok_or_else(refused)?;
    Ok((a, b))
}
