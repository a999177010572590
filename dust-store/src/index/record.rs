//! Records as the entries of covering indexes hold them.

use std::collections::BTreeMap;

use dust_layer::Transaction;
use dust_transport::error::Error;
use dust_transport::model::{Entry, Path, Seq};

use crate::codec::{Covered, Leaf};
use crate::draft::{Draft, PAGE_PAIRS, read, successor};
use crate::error::{Halt, Refusal, corrupt};
use crate::keyspace::Keyspace;
use crate::store::stored_value;

/// The record at a path, as a batch makes it.
pub(super) async fn drafted<T: Transaction>(draft: &Draft<'_, T>, at: &str) -> Result<Vec<u8>, Halt> {
    let mut leaves = BTreeMap::new();
    draft
        .each_leaf(&draft.keys().below(at), |path, leaf| {
            leaves.insert(path.to_owned(), leaf.encode());
        })
        .await?;
    encode(leaves.iter().map(|(path, leaf)| (path.as_str(), leaf.as_slice())), at)
}

/// The record at a path, as it is committed.
pub(super) async fn committed<T: Transaction>(transaction: &T, keys: &Keyspace, at: &str) -> Result<Vec<u8>, Halt> {
    let below = keys.below(at);
    let (mut start, mut leaves) = (below.start, Vec::new());
    loop {
        let page = transaction.get_range(read(&start, &below.end, PAGE_PAIRS)).await?;
        for (key, leaf) in &page {
            let path = keys.path_of(key).ok_or_else(Refusal::foreign_key)?;
            leaves.push((path.to_owned(), leaf.to_vec()));
        }
        match page.last_key() {
            Some(last) if page.more() => start = successor(last),
            _ => break,
        }
    }
    encode(leaves.iter().map(|(path, leaf)| (path.as_str(), leaf.as_slice())), at)
}

fn encode<'l>(leaves: impl Iterator<Item = (&'l str, &'l [u8])>, at: &str) -> Result<Vec<u8>, Halt> {
    let leaves = leaves.filter_map(|(path, leaf)| {
        let below = path.strip_prefix(at)?.strip_prefix('/')?;
        Some(Leaf::decode(leaf).map(|leaf| (below, leaf)).map_err(Refusal::leaf))
    });
    let leaves = leaves.collect::<Result<_, Refusal>>()?;
    Ok(Covered { leaves }.encode())
}

/// The leaves that an entry holds of the record at a path.
pub(super) fn entries(at: &Path, stored: &[u8]) -> Result<Vec<Entry>, Error> {
    let record = Covered::decode(stored)
        .map_err(|error| corrupt("an entry of a covering index does not decode").with_source(error))?;
    let entry = |(below, leaf): &(&str, Leaf<'_>)| {
        Ok(Entry {
            path: Path::parse(&format!("{at}/{below}"))?,
            value: stored_value(leaf.text)?,
            kind: leaf.kind,
            revision: Seq(leaf.revision),
        })
    };
    record.leaves.iter().map(entry).collect()
}
