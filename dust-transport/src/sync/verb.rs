//! Writes of one op, by their names.

use bytes::Bytes;

use super::Sync;
use crate::error::{Error, ErrorKind};
use crate::model::{Batch, FileRef, Op, Path, Seq, Value};
use crate::transport::{Transport as _, Written};

/// # Writes of one op
/// Each is a [`write`](crate::transport::Transport::write) of the op of that name, and fails as that does.
///
/// ```no_run
/// use dust_transport::model::Path;
/// use dust_transport::sync::Sync;
///
/// # async fn example(store: Sync) -> Result<(), dust_transport::error::Error> {
/// let link = Path::parse("links/dust")?;
/// store.put(&link.child("title")?, "Dust").await?;
/// store.increment(&link.child("visits")?, 1).await?;
/// store.add(&link.child("tags")?, "database").await?;
/// let cover = store.put_file(&link.child("cover")?, "<svg/>", Some("cover.svg"), Some("image/svg+xml")).await?;
/// assert_eq!(cover.size_bytes, 6);
/// store.delete(&link).await?;
/// # Ok(())
/// # }
/// ```
impl Sync {
    async fn write_op(&self, op: Op) -> Result<Written, Error> {
        self.write(Batch::one(op)).await
    }

    async fn seq_of(&self, op: Op) -> Result<Seq, Error> {
        let written = self.write_op(op).await?;
        Ok(written.seqs.first().copied().unwrap_or_default())
    }

    /// Replaces what is at and below the path; see [`Op::set`].
    ///
    /// # Errors
    /// As [`write`](crate::transport::Transport::write), as do the others here.
    pub async fn put(&self, path: &Path, value: impl Into<Value>) -> Result<Seq, Error> {
        self.seq_of(Op::set(path.clone(), value)).await
    }

    /// Removes what is at and below the path; see [`Op::delete`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn delete(&self, path: &Path) -> Result<Seq, Error> {
        self.seq_of(Op::delete(path.clone())).await
    }

    /// Replaces each named child of the path; see [`Op::merge`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn merge(&self, path: &Path, map: impl Into<Value>) -> Result<Seq, Error> {
        self.seq_of(Op::merge(path.clone(), map)).await
    }

    /// Adds a number to the leaf; see [`Op::increment`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn increment(&self, path: &Path, by: impl Into<Value>) -> Result<Seq, Error> {
        self.seq_of(Op::increment(path.clone(), by)).await
    }

    /// Puts a member into the set at the leaf; see [`Op::add`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn add(&self, path: &Path, member: impl Into<Value>) -> Result<Seq, Error> {
        self.seq_of(Op::add(path.clone(), member)).await
    }

    /// Takes a member out of the set at the leaf; see [`Op::remove`].
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn remove(&self, path: &Path, member: impl Into<Value>) -> Result<Seq, Error> {
        self.seq_of(Op::remove(path.clone(), member)).await
    }

    /// Keeps a file, and gives what refers to it; see [`Op::put_file`].
    ///
    /// # Errors
    /// As [`put`](Self::put); `Http` with `invalid_response` where the file is kept, and another op has replaced the leaf
    /// before the reference was read.
    pub async fn put_file(
        &self,
        path: &Path,
        content: impl Into<Bytes>,
        filename: Option<&str>,
        content_type: Option<&str>,
    ) -> Result<FileRef, Error> {
        let written = self
            .write_op(Op::put_file(path.clone(), content, filename, content_type))
            .await?;
        let file = written.done(0).file().cloned();
        file.ok_or_else(|| {
            Error::new(
                ErrorKind::Http,
                "invalid_response",
                "the leaf of the file is gone again",
            )
        })
    }
}
