//! Leaves in a draft: counted, and with the files that they refer to.

use dust_layer::Transaction;
use dust_transport::model::{FileHash, FileRef, Path, Value, ValueError, ValueKind};

use crate::apply::levels;
use crate::codec::Leaf;
use crate::draft::Draft;
use crate::error::{Halt, Refusal, corrupt};
use crate::store::stored_value;

impl<T: Transaction> Draft<'_, T> {
    /// Puts a leaf, in place of one that is there.
    pub(crate) async fn put_leaf(&mut self, path: &Path, value: &Value, kind: ValueKind, seq: u64) -> Result<(), Halt> {
        // A value that was put together from others may be deeper than one that came as text.
        if value.json().starts_with(['[', '{']) && levels(value.json()) > Value::LEVELS_MAX {
            return Err(Refusal::from(ValueError::TooDeep).into());
        }
        let key = self.keys().leaf(path.as_str());
        match self.get(&key).await? {
            Some(old) => self.let_go(&old).await?,
            None => self.tally.entries += 1,
        }
        if kind == ValueKind::File {
            let hash = hash_of(value.json())?;
            self.refer(&hash, self.refs()).await?;
        }
        let leaf = Leaf {
            kind,
            revision: seq,
            text: value.json(),
        };
        Ok(self.set(key, leaf.encode())?)
    }

    /// Removes the leaf exactly at the path, if there is one.
    pub(crate) async fn clear_leaf(&mut self, path: &Path) -> Result<(), Halt> {
        let key = self.keys().leaf(path.as_str());
        if let Some(old) = self.get(&key).await? {
            self.let_go(&old).await?;
            self.tally.entries -= 1;
            self.clear(key);
        }
        Ok(())
    }

    /// Removes what is strictly below the path.
    pub(crate) async fn clear_below(&mut self, path: &Path) -> Result<(), Halt> {
        let below = self.keys().below(path.as_str());
        if !self.any(&below).await? {
            return Ok(());
        }
        let (mut count, mut files) = (0, Vec::new());
        self.each_leaf(&below, |_, leaf| {
            count += 1;
            if leaf.kind == ValueKind::File {
                files.push(leaf.text.to_owned());
            }
        })
        .await?;
        for text in files {
            self.release(&hash_of(&text)?, self.refs()).await?;
        }
        self.tally.entries -= count;
        self.clear_range(below);
        Ok(())
    }

    /// The leaf exactly at the path: its kind, its revision, its value.
    pub(crate) async fn leaf(&self, path: &Path) -> Result<Option<(ValueKind, u64, Value)>, Halt> {
        let Some(bytes) = self.get(&self.keys().leaf(path.as_str())).await? else {
            return Ok(None);
        };
        let leaf = Leaf::decode(&bytes).map_err(Refusal::leaf)?;
        let value = stored_value(leaf.text).map_err(Refusal::from)?;
        Ok(Some((leaf.kind, leaf.revision, value)))
    }

    /// Drops what a leaf refers to that is about to go.
    async fn let_go(&mut self, old: &[u8]) -> Result<(), Halt> {
        let old = Leaf::decode(old).map_err(Refusal::leaf)?;
        if old.kind == ValueKind::File {
            let hash = hash_of(old.text)?;
            self.release(&hash, self.refs()).await?;
        }
        Ok(())
    }
}

/// The hash in the text of a leaf of kind `file`, which only the store itself writes.
pub(crate) fn hash_of(text: &str) -> Result<FileHash, Refusal> {
    let file = FileRef::from_value(&stored_value(text)?);
    Ok(file.ok_or_else(|| corrupt("a file reference does not read"))?.hash)
}
