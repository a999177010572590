//! `put_file`: a file in one frame.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use dust_transport::error::Error;
use dust_transport::model::{Batch, Op, OpId, Value};

use super::client::{Answered, refusal};
use super::push::{Fields, Joined, refused};
use crate::control::Scope;

/// The batch that stores the file. The order of the checks is that of the wire.
pub(super) fn read(at: &Joined, payload: &Value) -> Answered<Batch> {
    at.client.require(Scope::FilesWrite)?;
    at.client.count_write()?;
    at.require_active()?;
    let fields = Fields::read(payload)?;
    let text = |name: &str| fields.get(name).and_then(Value::str);
    let path = fields.path()?;
    let content = text("content").ok_or_else(|| refusal("missing_content"))?;
    let content = STANDARD.decode(content.as_bytes());
    let content = content.map_err(|_| refusal("invalid_base64"))?;
    let id = fields
        .get("client_op_id")
        .ok_or_else(|| refusal("missing_client_op_id"))?;
    let id = OpId::new(id.str().unwrap_or_default()).map_err(|error| refused(&Error::from(error)))?;
    let op = Op::put_file(
        path,
        content,
        text("filename").as_deref(),
        text("content_type").as_deref(),
    );
    Ok(Batch::one(op).with_id(id))
}
