//! Putting files.

use dust_layer::Transaction;
use dust_transport::model::{Action, FileHash, FileRef, Op, Timestamp, ValueKind};
use dust_transport::transport::Done;

use super::{Applied, Moment};
use crate::draft::Draft;
use crate::error::{Halt, Refusal};

/// Keeps the file, and puts a reference to it in place of what is at and below the path.
pub(super) async fn put<T: Transaction>(
    draft: &mut Draft<'_, T>,
    op: &Op,
    hash: Option<&FileHash>,
    at: Moment,
) -> Result<Applied, Halt> {
    let (
        Action::PutFile {
            content,
            filename,
            content_type,
        },
        Some(hash),
    ) = (&op.action, hash)
    else {
        return Err(Refusal::invalid("invalid_params", "the op puts no file").into());
    };
    let content_type = content_type.as_deref().unwrap_or(FileRef::CONTENT_TYPE_DEFAULT);
    let file = FileRef {
        hash: *hash,
        size_bytes: content.len() as u64,
        content_type: content_type.to_owned(),
        filename: filename.clone(),
        uploaded_at: Timestamp::from_ms(at.now_ms).to_string(),
    };
    draft.put_blob(hash, content, content_type).await?;
    draft.clear_below(&op.path).await?;
    let value = file.to_value();
    draft.put_leaf(&op.path, &value, ValueKind::File, at.seq).await?;
    Ok(Applied {
        value: Some(value),
        done: Done::Stored(file),
    })
}
