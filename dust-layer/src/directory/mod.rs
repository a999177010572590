//! The directory layer: a tree of names, each standing for a short key prefix.
//!
//! Byte-compatible with `FoundationDB`'s own directory layer 1.0.0 with its node prefix `0xfe` and empty content prefix,
//! except that partitions are refused and prefixes cannot be chosen by hand.

mod allocator;
mod node;

use node::{Access, NODE_PREFIX, Node, PARTITION, check_version, is_prefix_free};

use crate::engine::{Direction, Isolation, RangeRead, Transaction};
use crate::error::{DirectoryError, Error};
use crate::tuple::strinc;

/// The version of the directory layer whose bytes this one writes.
pub const VERSION: (u32, u32, u32) = (1, 0, 0);

/// A directory: what it is called and the prefix of its keys.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, Transaction, directory};
///
/// let transaction = Memory::new().begin();
/// let users = directory::create_or_open(&transaction, &["app", "users"], b"").await?;
/// assert_eq!(directory::open(&transaction, &["app", "users"], b"").await?, users);
/// assert_eq!(directory::list(&transaction, &["app"]).await?, ["users"]);
///
/// let people = directory::move_to(&transaction, &["app", "users"], &["app", "people"]).await?;
/// assert_eq!(people.prefix(), users.prefix());
/// directory::remove(&transaction, &["app"]).await?;
/// assert!(!directory::exists(&transaction, &["app", "people"]).await?);
/// transaction.commit().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    path: Vec<String>,
    prefix: Vec<u8>,
    layer: Vec<u8>,
}

impl Directory {
    /// The names from the root to the directory.
    #[must_use]
    pub fn path(&self) -> &[String] {
        &self.path
    }

    /// The prefix of every key in the directory.
    #[must_use]
    pub fn prefix(&self) -> &[u8] {
        &self.prefix
    }

    /// The id of the layer that the directory was created for; empty for none.
    #[must_use]
    pub fn layer(&self) -> &[u8] {
        &self.layer
    }
}

/// What to do when a directory is there, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    Create,
    CreateOrOpen,
}

/// Opens the directory at `path`, or creates it with the parents it lacks.
///
/// # Errors
/// [`DirectoryError::LayerMismatch`] if it is there with another layer id and `layer` is not empty.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// let users = directory::create_or_open(&transaction, &["app", "users"], b"").await?;
/// assert_eq!(users.path(), ["app", "users"]);
/// assert_eq!(directory::create_or_open(&transaction, &["app", "users"], b"").await?, users);
/// # Ok(())
/// # }
/// ```
pub async fn create_or_open<T: Transaction>(
    transaction: &T,
    path: &[impl AsRef<str> + Sync],
    layer: &[u8],
) -> Result<Directory, Error> {
    reach(transaction, &names(path), layer, Mode::CreateOrOpen).await
}

/// Creates the directory at `path` with the parents it lacks.
///
/// # Errors
/// [`DirectoryError::Exists`] if it is there.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// directory::create(&transaction, &["app"], b"").await?;
/// assert!(directory::create(&transaction, &["app"], b"").await.is_err());
/// # Ok(())
/// # }
/// ```
pub async fn create<T: Transaction>(
    transaction: &T,
    path: &[impl AsRef<str> + Sync],
    layer: &[u8],
) -> Result<Directory, Error> {
    reach(transaction, &names(path), layer, Mode::Create).await
}

/// Opens the directory at `path`.
///
/// # Errors
/// [`DirectoryError::NotFound`] if it is not there, [`DirectoryError::LayerMismatch`] if it has another layer id and
/// `layer` is not empty.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// assert!(directory::open(&transaction, &["app"], b"").await.is_err());
/// # Ok(())
/// # }
/// ```
pub async fn open<T: Transaction>(
    transaction: &T,
    path: &[impl AsRef<str> + Sync],
    layer: &[u8],
) -> Result<Directory, Error> {
    reach(transaction, &names(path), layer, Mode::Open).await
}

/// Whether there is a directory at `path`.
///
/// # Errors
/// Failures of the engine, a tree of a newer version.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// directory::create(&transaction, &["app"], b"").await?;
/// assert!(directory::exists(&transaction, &["app"]).await?);
/// # Ok(())
/// # }
/// ```
pub async fn exists<T: Transaction>(transaction: &T, path: &[impl AsRef<str> + Sync]) -> Result<bool, Error> {
    check_version(transaction, Access::Read).await?;
    Ok(find(transaction, &names(path)).await?.is_some())
}

/// The names of the directories in the one at `path`, in order. An empty path lists the root.
///
/// # Errors
/// [`DirectoryError::NotFound`] if there is no directory at `path`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// for name in ["users", "links"] {
///     directory::create(&transaction, &["app", name], b"").await?;
/// }
/// assert_eq!(directory::list(&transaction, &["app"]).await?, ["links", "users"]);
/// # Ok(())
/// # }
/// ```
pub async fn list<T: Transaction>(transaction: &T, path: &[impl AsRef<str> + Sync]) -> Result<Vec<String>, Error> {
    check_version(transaction, Access::Read).await?;
    let node = find(transaction, &names(path)).await?.ok_or(DirectoryError::NotFound)?;
    Ok(node
        .children(transaction)
        .await?
        .into_iter()
        .map(|(name, _)| name)
        .collect())
}

/// Gives the directory at `from` the path `to`. Its prefix and content stay.
///
/// # Errors
/// [`DirectoryError::NotFound`], [`DirectoryError::Exists`], [`DirectoryError::ParentNotFound`],
/// [`DirectoryError::IntoItself`], [`DirectoryError::Root`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// let old = directory::create(&transaction, &["old"], b"").await?;
/// let new = directory::move_to(&transaction, &["old"], &["new"]).await?;
/// assert_eq!(old.prefix(), new.prefix());
/// # Ok(())
/// # }
/// ```
pub async fn move_to<T: Transaction>(
    transaction: &T,
    from: &[impl AsRef<str> + Sync],
    to: &[impl AsRef<str> + Sync],
) -> Result<Directory, Error> {
    check_version(transaction, Access::Write).await?;
    let (from, to) = (names(from), names(to));
    let (Some((from_name, from_parent)), Some((to_name, to_parent))) = (from.split_last(), to.split_last()) else {
        return Err(DirectoryError::Root.into());
    };
    if to.starts_with(&from) {
        return Err(DirectoryError::IntoItself.into());
    }
    let node = find(transaction, &from).await?.ok_or(DirectoryError::NotFound)?;
    if find(transaction, &to).await?.is_some() {
        return Err(DirectoryError::Exists.into());
    }
    let parent = find(transaction, to_parent)
        .await?
        .ok_or(DirectoryError::ParentNotFound)?;
    let old_parent = find(transaction, from_parent).await?.ok_or(DirectoryError::NotFound)?;
    let layer = node.supported_layer(transaction).await?;
    transaction.set(&parent.child_key(to_name), &node.prefix);
    transaction.clear(&old_parent.child_key(from_name));
    Ok(Directory {
        path: to,
        prefix: node.prefix,
        layer,
    })
}

/// Removes the directory at `path`, those below it, and all their content.
///
/// A client that still holds the prefix can go on writing to it; nothing stops it here.
///
/// # Errors
/// [`DirectoryError::NotFound`], [`DirectoryError::Root`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// directory::create(&transaction, &["app", "users"], b"").await?;
/// directory::remove(&transaction, &["app"]).await?;
/// assert!(!directory::exists(&transaction, &["app", "users"]).await?);
/// # Ok(())
/// # }
/// ```
pub async fn remove<T: Transaction>(transaction: &T, path: &[impl AsRef<str> + Sync]) -> Result<(), Error> {
    if remove_if_exists(transaction, path).await? {
        Ok(())
    } else {
        Err(DirectoryError::NotFound.into())
    }
}

/// As [`remove`], but tells whether there was a directory instead of failing.
///
/// # Errors
/// [`DirectoryError::Root`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), dust_layer::Error> {
/// use dust_layer::{Engine, Memory, directory};
///
/// let transaction = Memory::new().begin();
/// assert!(!directory::remove_if_exists(&transaction, &["app"]).await?);
/// # Ok(())
/// # }
/// ```
pub async fn remove_if_exists<T: Transaction>(transaction: &T, path: &[impl AsRef<str> + Sync]) -> Result<bool, Error> {
    check_version(transaction, Access::Write).await?;
    let path = names(path);
    let Some((name, parent)) = path.split_last() else {
        return Err(DirectoryError::Root.into());
    };
    let Some(node) = find(transaction, &path).await? else {
        return Ok(false);
    };
    let parent = find(transaction, parent).await?.ok_or(DirectoryError::NotFound)?;
    let mut left = vec![node];
    while let Some(node) = left.pop() {
        node.supported_layer(transaction).await?;
        left.extend(node.children(transaction).await?.into_iter().map(|(_, child)| child));
        let end = strinc(&node.prefix).ok_or_else(|| Error::corrupt("directory prefix has no end"))?;
        if node.prefix.is_empty() || node.prefix.starts_with(NODE_PREFIX) {
            return Err(Error::corrupt("directory prefix covers the directory tree"));
        }
        transaction.clear_range(&node.prefix, &end);
        let (begin, end) = node.range();
        transaction.clear_range(&begin, &end);
    }
    transaction.clear(&parent.child_key(name));
    Ok(true)
}

/// The key of the tree that holds the prefix of the directory at `path` as long as it exists.
pub(crate) async fn entry_key<T: Transaction>(
    transaction: &T,
    path: &[impl AsRef<str> + Sync],
) -> Result<Vec<u8>, Error> {
    let path = names(path);
    let (name, parent) = path.split_last().ok_or(DirectoryError::Root)?;
    let parent = find(transaction, parent).await?.ok_or(DirectoryError::NotFound)?;
    Ok(parent.child_key(name))
}

fn names(path: &[impl AsRef<str>]) -> Vec<String> {
    path.iter().map(|name| name.as_ref().to_owned()).collect()
}

/// Walks down from the root. A partition on the way is refused, since its tree lies elsewhere.
async fn find<T: Transaction>(transaction: &T, path: &[String]) -> Result<Option<Node>, Error> {
    let mut node = Node::root();
    for (depth, name) in path.iter().enumerate() {
        if depth > 0 {
            node.supported_layer(transaction).await?;
        }
        match node.child(transaction, name).await? {
            Some(child) => node = child,
            None => return Ok(None),
        }
    }
    Ok(Some(node))
}

async fn reach<T: Transaction>(transaction: &T, path: &[String], layer: &[u8], mode: Mode) -> Result<Directory, Error> {
    if path.is_empty() {
        return Err(DirectoryError::Root.into());
    }
    if layer == PARTITION {
        return Err(DirectoryError::Partition.into());
    }
    check_version(
        transaction,
        if mode == Mode::Open {
            Access::Read
        } else {
            Access::Write
        },
    )
    .await?;
    if let Some(node) = find(transaction, path).await? {
        if mode == Mode::Create {
            return Err(DirectoryError::Exists.into());
        }
        let stored = node.supported_layer(transaction).await?;
        if !layer.is_empty() && layer != stored {
            return Err(DirectoryError::LayerMismatch.into());
        }
        return Ok(Directory {
            path: path.to_vec(),
            prefix: node.prefix,
            layer: stored,
        });
    }
    if mode == Mode::Open {
        return Err(DirectoryError::NotFound.into());
    }
    let mut parent = Node::root();
    for (depth, name) in path.iter().enumerate() {
        let last = depth + 1 == path.len();
        parent = match parent.child(transaction, name).await? {
            Some(child) => child,
            None => create_child(transaction, &parent, name, if last { layer } else { b"" }).await?,
        };
    }
    Ok(Directory {
        path: path.to_vec(),
        prefix: parent.prefix,
        layer: layer.to_vec(),
    })
}

async fn create_child<T: Transaction>(transaction: &T, parent: &Node, name: &str, layer: &[u8]) -> Result<Node, Error> {
    let prefix = allocator::allocate(transaction, &Node::root().allocator()).await?;
    let end = strinc(&prefix).ok_or_else(|| Error::corrupt("allocated prefix has no end"))?;
    let content = transaction
        .get_range(RangeRead {
            begin: &prefix,
            end: &end,
            limit: 1,
            direction: Direction::Forward,
            isolation: Isolation::Serializable,
        })
        .await?;
    if !content.is_empty() || !is_prefix_free(transaction, &prefix).await? {
        return Err(DirectoryError::PrefixInUse.into());
    }
    let node = Node::of(prefix);
    transaction.set(&parent.child_key(name), &node.prefix);
    transaction.set(&node.layer_key(), layer);
    Ok(node)
}
