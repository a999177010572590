//! What is below a path, read as one map: no leaf is parsed.

use std::ops::Range;

use dust_layer::{Pairs, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Entry, Path, Seq, Value, ValueKind, assemble};

use crate::codec::Leaf;
use crate::draft::{PAGE_PAIRS, read, successor};
use crate::error::{Refusal, corrupt, of_read};
use crate::keyspace::Keyspace;

/// Reads what is below the path as one entry of kind map; `None` if nothing is there.
pub(crate) async fn subtree<T: Transaction>(
    transaction: &T,
    keys: &Keyspace,
    path: &Path,
) -> Result<Option<Entry>, Error> {
    let Range { start: mut begin, end } = keys.below(path.as_str());
    let mut pages: Vec<Pairs> = Vec::new();
    loop {
        let page = transaction
            .get_range(read(&begin, &end, PAGE_PAIRS))
            .await
            .map_err(of_read)?;
        let next = page.last_key().filter(|_| page.more()).map(successor);
        pages.push(page);
        match next {
            Some(next) => begin = next,
            None => break,
        }
    }
    let skip = path.as_str().len() + 1;
    let mut rows = Vec::new();
    let mut revision = 0;
    for (key, value) in pages.iter().flatten() {
        let at = keys
            .path_of(key)
            .and_then(|at| at.get(skip..))
            .ok_or_else(|| Refusal::foreign_key().into_error())?;
        let leaf = Leaf::decode(value).map_err(|error| Refusal::leaf(error).into_error())?;
        if !Value::is_json(leaf.text) {
            return Err(corrupt("a stored value is no JSON"));
        }
        revision = revision.max(leaf.revision);
        rows.push((at, leaf.text));
    }
    if rows.is_empty() {
        return Ok(None);
    }
    Ok(Some(Entry {
        path: path.clone(),
        value: assemble(rows),
        kind: ValueKind::Map,
        revision: Seq(revision),
    }))
}
