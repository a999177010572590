//! Files: kept once whatever they are called, in pieces that every engine takes, and counted by who refers to them.
//!
//! A file is written in the transaction of the op that puts it, so an op and its content are there together or not at all.
//! It stays as long as a leaf refers to it, or an op of the log or a leaf of the base could bring one back; it can be read
//! only while a leaf does.

use dust_layer::Transaction;
use dust_transport::model::FileHash;

use crate::codec::Blob;
use crate::draft::Draft;
use crate::error::{Halt, Refusal, corrupt};

/// How many bytes a piece of a file has, but for the last: less than any engine's limit of a value.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;

/// Who refers to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refs {
    /// The leaves, by which it can be read.
    Live,
    /// The log and the base, by which it can be brought back.
    Kept,
}

impl<T: Transaction> Draft<'_, T> {
    /// Keeps a file, if it is not kept already, on behalf of an op of the log.
    pub(crate) async fn put_blob(&mut self, hash: &FileHash, content: &[u8], content_type: &str) -> Result<(), Halt> {
        let key = self.keys().blob(hash);
        if self.get(&key).await?.is_none() {
            for (index, chunk) in (0..).zip(content.chunks(CHUNK_BYTES)) {
                self.set(self.keys().chunk(hash, index), chunk.to_vec())?;
            }
            let size_bytes = content.len() as u64;
            let blob = Blob {
                size_bytes,
                live: 0,
                kept: 0,
                content_type,
            };
            self.tally.file_bytes = self.tally.file_bytes.saturating_add_unsigned(size_bytes);
            self.set(key, blob.encode())?;
        }
        self.refer(hash, Refs::Kept).await
    }

    /// Counts one more who refers to a file.
    pub(crate) async fn refer(&mut self, hash: &FileHash, refs: Refs) -> Result<(), Halt> {
        self.count(hash, refs, |count| count.checked_add(1)).await
    }

    /// Counts one less, and removes the file with the last of all.
    pub(crate) async fn release(&mut self, hash: &FileHash, refs: Refs) -> Result<(), Halt> {
        self.count(hash, refs, |count| count.checked_sub(1)).await
    }

    async fn count(
        &mut self,
        hash: &FileHash,
        refs: Refs,
        change: impl Fn(u64) -> Option<u64> + Send,
    ) -> Result<(), Halt> {
        let lost = |what: &str| Refusal::from(corrupt(format!("the file {hash} {what}")));
        let key = self.keys().blob(hash);
        let stored = self.get(&key).await?.ok_or_else(|| lost("is missing"))?;
        let mut blob = Blob::decode(&stored).map_err(|error| Refusal::corrupt("a file does not decode", error))?;
        let count = match refs {
            Refs::Live => &mut blob.live,
            Refs::Kept => &mut blob.kept,
        };
        *count = change(*count).ok_or_else(|| lost("is counted wrong"))?;
        if blob.live > 0 || blob.kept > 0 {
            self.set(key, blob.encode())?;
            return Ok(());
        }
        self.tally.file_bytes = self.tally.file_bytes.saturating_sub_unsigned(blob.size_bytes);
        self.clear(key);
        self.clear_range(self.keys().chunks(hash));
        Ok(())
    }
}
