//! The keys of one directory node.

use super::VERSION;
use crate::engine::{Direction, Isolation, RangeRead, Transaction};
use crate::error::{DirectoryError, Error};
use crate::tuple::{self, Bytes, Subspace};

/// First byte of every key of the directory tree.
pub(super) const NODE_PREFIX: &[u8] = &[0xfe];
/// Tuple element under which a node keeps its children.
const SUBDIRECTORIES: i64 = 0;
/// The layer id of a partition.
pub(super) const PARTITION: &[u8] = b"partition";

/// A directory as the tree stores it: its content prefix and the keys named after it.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) prefix: Vec<u8>,
    keys: Subspace,
}

impl Node {
    pub(super) fn root() -> Self {
        Self::of(NODE_PREFIX.to_vec())
    }

    pub(super) fn of(prefix: Vec<u8>) -> Self {
        let keys = Subspace::from_bytes(NODE_PREFIX).subspace(&Bytes::from(&prefix[..]));
        Self { prefix, keys }
    }

    /// The key that holds the prefix of the child `name`.
    pub(super) fn child_key(&self, name: &str) -> Vec<u8> {
        self.keys.pack(&(SUBDIRECTORIES, name))
    }

    pub(super) fn layer_key(&self) -> Vec<u8> {
        self.keys.pack(&Bytes::from(&b"layer"[..]))
    }

    /// The key of the tree's version; only the root has one.
    fn version_key(&self) -> Vec<u8> {
        self.keys.pack(&Bytes::from(&b"version"[..]))
    }

    /// Where the allocator keeps its counters; only the root has one.
    pub(super) fn allocator(&self) -> Subspace {
        self.keys.subspace(&Bytes::from(&b"hca"[..]))
    }

    /// Every key of the node.
    pub(super) fn range(&self) -> (Vec<u8>, Vec<u8>) {
        self.keys.range()
    }

    pub(super) async fn child<T: Transaction>(&self, transaction: &T, name: &str) -> Result<Option<Node>, Error> {
        let prefix = transaction.get(&self.child_key(name), Isolation::Serializable).await?;
        Ok(prefix.map(Node::of))
    }

    /// The names and nodes of the children, in the order of their names.
    pub(super) async fn children<T: Transaction>(&self, transaction: &T) -> Result<Vec<(String, Node)>, Error> {
        let subdirectories = self.keys.subspace(&SUBDIRECTORIES);
        let (begin, end) = subdirectories.range();
        let pairs = transaction
            .get_range(RangeRead {
                begin: &begin,
                end: &end,
                limit: usize::MAX,
                direction: Direction::Forward,
                isolation: Isolation::Serializable,
            })
            .await?;
        pairs
            .iter()
            .map(|(key, prefix)| {
                let (name,) = subdirectories.unpack::<(String,)>(key)?;
                Ok((name, Node::of(prefix.to_vec())))
            })
            .collect()
    }

    pub(super) async fn layer<T: Transaction>(&self, transaction: &T) -> Result<Vec<u8>, Error> {
        Ok(transaction
            .get(&self.layer_key(), Isolation::Serializable)
            .await?
            .unwrap_or_default())
    }

    /// The layer id, or a refusal if the node is the root of a partition.
    pub(super) async fn supported_layer<T: Transaction>(&self, transaction: &T) -> Result<Vec<u8>, Error> {
        let layer = self.layer(transaction).await?;
        if layer == PARTITION {
            Err(DirectoryError::Partition.into())
        } else {
            Ok(layer)
        }
    }
}

/// What a caller wants to do with the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Refuses a tree of a newer version; marks a new one with ours when it is first written.
pub(super) async fn check_version<T: Transaction>(transaction: &T, access: Access) -> Result<(), Error> {
    let key = Node::root().version_key();
    let Some(stored) = transaction.get(&key, Isolation::Serializable).await? else {
        if access == Access::Write {
            let value: Vec<u8> = [VERSION.0, VERSION.1, VERSION.2]
                .iter()
                .flat_map(|part| part.to_le_bytes())
                .collect();
            transaction.set(&key, &value);
        }
        return Ok(());
    };
    let mut parts = stored.chunks_exact(size_of::<u32>()).map(|chunk| {
        chunk
            .iter()
            .rev()
            .fold(0_u32, |part, byte| (part << 8) | u32::from(*byte))
    });
    let (Some(major), Some(minor), Some(patch), 12) = (parts.next(), parts.next(), parts.next(), stored.len()) else {
        return Err(Error::corrupt("directory version is not three numbers"));
    };
    if major > VERSION.0 || (minor > VERSION.1 && access == Access::Write) {
        return Err(DirectoryError::Version {
            version: (major, minor, patch),
        }
        .into());
    }
    Ok(())
}

/// Whether no directory's prefix contains `prefix` or is contained in it.
pub(super) async fn is_prefix_free<T: Transaction>(transaction: &T, prefix: &[u8]) -> Result<bool, Error> {
    if prefix.is_empty() || prefix.starts_with(NODE_PREFIX) {
        return Ok(false);
    }
    let nodes = Subspace::from_bytes(NODE_PREFIX);
    let at = nodes.pack(&Bytes::from(prefix));
    let first = |begin: Vec<u8>, end: Vec<u8>, direction| async move {
        let read = RangeRead {
            begin: &begin,
            end: &end,
            limit: 1,
            direction,
            isolation: Isolation::Snapshot,
        };
        transaction.get_range(read).await
    };
    let mut after = at.clone();
    after.push(0);
    let before = first(nodes.range().0, after, Direction::Reverse).await?;
    if let Some(key) = before.last_key() {
        let elements: Vec<tuple::Element<'_>> = nodes.unpack(key)?;
        if let Some(tuple::Element::Bytes(other)) = elements.first()
            && prefix.starts_with(other)
        {
            return Ok(false);
        }
    }
    let below_end = match tuple::strinc(prefix) {
        Some(next) => nodes.pack(&Bytes::from(&next[..])),
        None => nodes.range().1,
    };
    Ok(first(at, below_end, Direction::Forward).await?.is_empty())
}
