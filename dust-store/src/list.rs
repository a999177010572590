//! Pages of leaves.

use std::ops::Range;

use dust_layer::{Direction, Engine, Isolation, RangeRead, Transaction};
use dust_transport::error::Error;
use dust_transport::model::{Entry, Path, Pattern, Seq, ValueKind};
use dust_transport::transport::{Items, List, Order, Page, Scope, Select};

use crate::codec::Leaf;
use crate::draft::successor;
use crate::error::{Refusal, of_read};
use crate::keyspace::Keyspace;
use crate::store::{Store, entry, stored_json};

/// The most leaves read at once.
const SCAN_PAIRS_MAX: usize = 1024;

/// The fewest leaves read at once where not every one matches.
const SCAN_PAIRS_MIN: usize = 64;

/// A leaf as it is stored, for what passes it on without taking it apart; see [`Embedded::visit`](crate::Embedded::visit).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredLeaf<'a> {
    /// Where it is: the text of a [`Path`].
    pub path: &'a str,
    /// Its value as JSON text.
    pub json: &'a str,
    /// The kind of its value.
    pub kind: ValueKind,
    /// The op that wrote it.
    pub revision: Seq,
}

fn stored_path(rendered: &str) -> Result<Path, Error> {
    Path::parse(rendered).map_err(|_| Refusal::foreign_key().into_error())
}

/// What a list covers, as ranges of keys and what is left to check on each.
#[derive(Debug)]
struct Plan<'q> {
    range: Range<Vec<u8>>,
    /// Leaves in the range have to match it as well.
    filter: Option<&'q Pattern>,
    /// How many segments the items of `Select::Prefixes` have.
    prefixes_depth: Option<usize>,
}

impl<'q> Plan<'q> {
    fn of(query: &'q List, keys: &Keyspace) -> Result<Self, Error> {
        let mut plan = match &query.scope {
            Scope::Pattern(pattern) => Self::of_pattern(pattern, keys),
            Scope::Range { from, to } => Self {
                range: keys.bound(from.as_str())..keys.bound(to.as_str()),
                filter: None,
                prefixes_depth: None,
            },
            Scope::Below(path) => Self {
                range: keys.below(path.as_str()),
                filter: None,
                prefixes_depth: Some(path.depth() + 1),
            },
        };
        if query.select == Select::Prefixes && plan.prefixes_depth.is_none() {
            let (code, detail) = match query.scope {
                Scope::Range { .. } => ("unsupported_select", "a range has no prefixes"),
                _ => (
                    "invalid_pattern_for_prefixes",
                    "prefixes need a pattern that is `**` or ends in `/**`",
                ),
            };
            return Err(Refusal::invalid(code, detail).into_error());
        }
        if let Some(after) = &query.after {
            match query.order {
                Order::Asc => plan.range.start = plan.range.start.max(keys.bound_after(after.as_str())),
                Order::Desc => plan.range.end = plan.range.end.min(keys.bound(after.as_str())),
            }
        }
        Ok(plan)
    }

    fn of_pattern(pattern: &'q Pattern, keys: &Keyspace) -> Self {
        let prefixes_depth = pattern.prefixes_depth();
        match pattern.literal_base() {
            None => Self {
                range: keys.leaves(),
                filter: Some(pattern),
                prefixes_depth,
            },
            Some(base) if !pattern.has_wildcard() => Self {
                range: keys.leaf(base.as_str())..keys.bound_after(base.as_str()),
                filter: None,
                prefixes_depth,
            },
            Some(base) => {
                // With `**` right after the base, all that is below matches.
                let all = prefixes_depth == Some(base.depth() + 1);
                Self {
                    range: keys.below(base.as_str()),
                    filter: Some(pattern).filter(|_| !all),
                    prefixes_depth,
                }
            }
        }
    }
}

impl<E: Engine> Store<E> {
    /// Lists one page as a transaction sees it, and tells in which range of keys nothing was overlooked.
    pub(crate) async fn list(
        &self,
        transaction: &E::Transaction,
        query: &List,
    ) -> Result<(Page, Range<Vec<u8>>), Error> {
        self.check(query)?;
        let plan = Plan::of(query, &self.keys)?;
        // Most lists are those of one record, far below the limit of a page.
        let room = query.limit.min(SCAN_PAIRS_MIN);
        if query.select == Select::Entries {
            let mut entries: Vec<Entry> = Vec::with_capacity(room);
            let (next, seen) = self
                .scan(transaction, &plan, query, |path, value| {
                    entries.push(entry(stored_path(path)?, value)?);
                    Ok(())
                })
                .await?;
            let items = Items::Entries(entries);
            return Ok((Page { items, next }, seen));
        }
        let mut paths = Vec::with_capacity(room);
        let (next, seen) = self
            .scan(transaction, &plan, query, |path, _| {
                paths.push(stored_path(path)?);
                Ok(())
            })
            .await?;
        let items = match plan.prefixes_depth.filter(|_| query.select == Select::Prefixes) {
            Some(depth) => Items::Prefixes(prefixes(&paths, depth, query.order)),
            None => Items::Keys(paths),
        };
        Ok((Page { items, next }, seen))
    }

    /// Shows the entries of one page as they are stored, in its order, and gives its cursor.
    pub(crate) async fn visit(
        &self,
        query: &List,
        visit: &mut (dyn FnMut(StoredLeaf<'_>) + Send),
    ) -> Result<Option<Path>, Error> {
        self.check(query)?;
        let plan = Plan::of(query, &self.keys)?;
        let transaction = self.engine.begin();
        let scanned = self.scan(&transaction, &plan, query, |path, value| {
            let leaf = Leaf::decode(value).map_err(|error| Refusal::leaf(error).into_error())?;
            visit(StoredLeaf {
                path,
                json: stored_json(leaf.text)?,
                kind: leaf.kind,
                revision: Seq(leaf.revision),
            });
            Ok(())
        });
        Ok(scanned.await?.0)
    }

    fn check(&self, query: &List) -> Result<(), Error> {
        if query.limit == 0 || query.limit > self.options.page_leaves_max {
            let detail = format!("the limit of a page must be 1 to {}", self.options.page_leaves_max);
            return Err(Refusal::invalid("invalid_params", detail).into_error());
        }
        Ok(())
    }

    /// Hands over the rendered paths and stored leaves of up to `limit` matches. Gives the cursor if there is at least one
    /// more, and the range of keys in which nothing was overlooked.
    async fn scan(
        &self,
        transaction: &E::Transaction,
        plan: &Plan<'_>,
        query: &List,
        mut take: impl FnMut(&str, &[u8]) -> Result<(), Error>,
    ) -> Result<(Option<Path>, Range<Vec<u8>>), Error> {
        let Range {
            start: mut begin,
            mut end,
        } = plan.range.clone();
        let mut found = 0;
        let mut last = None;
        while begin < end {
            // One more than needed shows whether there is a next page.
            let wanted = query.limit + 1 - found;
            let limit = if plan.filter.is_some() {
                wanted.max(SCAN_PAIRS_MIN)
            } else {
                wanted
            }
            .min(SCAN_PAIRS_MAX);
            let (direction, isolation) = (direction(query.order), Isolation::Snapshot);
            let range = RangeRead {
                begin: &begin,
                end: &end,
                limit,
                direction,
                isolation,
            };
            let page = transaction.get_range(range).await.map_err(of_read)?;
            let mut missed = None;
            for (key, value) in &page {
                let path = self
                    .keys
                    .path_of(key)
                    .ok_or_else(|| Refusal::foreign_key().into_error())?;
                missed = None;
                if let Some(pattern) = plan.filter {
                    let path = stored_path(path)?;
                    if !pattern.matches(&path) {
                        missed = Some((pattern, path));
                        continue;
                    }
                }
                if found == query.limit {
                    let seen = match query.order {
                        Order::Asc => plan.range.start.clone()..successor(key),
                        Order::Desc => key.to_vec()..plan.range.end.clone(),
                    };
                    return Ok((last, seen));
                }
                found += 1;
                if found == query.limit {
                    last = Some(stored_path(path)?);
                }
                take(path, value)?;
            }
            let Some(read_to) = page.last_key().filter(|_| page.more()) else {
                return Ok((None, plan.range.clone()));
            };
            let skip = missed.and_then(|(pattern, path)| deeper(pattern, &path));
            match query.order {
                Order::Asc => {
                    begin = successor(read_to);
                    begin = skip.map_or(begin.clone(), |above| begin.max(self.keys.below(above.as_str()).end));
                }
                Order::Desc => {
                    end = read_to.to_vec();
                    end = skip.map_or(end.clone(), |above| end.min(self.keys.below(above.as_str()).start));
                }
            }
        }
        Ok((None, plan.range.clone()))
    }
}

/// The subtree that holds no match and this path, if the path lies deeper than the pattern goes.
fn deeper(pattern: &Pattern, path: &Path) -> Option<Path> {
    if pattern.prefixes_depth().is_some() {
        return None;
    }
    let depth = pattern.as_str().split('/').count();
    path.prefix(depth).filter(|above| above != path)
}

fn direction(order: Order) -> Direction {
    match order {
        Order::Asc => Direction::Forward,
        Order::Desc => Direction::Reverse,
    }
}

/// The distinct prefixes of so many segments, in the order of the page.
fn prefixes(paths: &[Path], depth: usize, order: Order) -> Vec<Path> {
    let mut prefixes: Vec<_> = paths.iter().filter_map(|path| path.prefix(depth)).collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    if order == Order::Desc {
        prefixes.reverse();
    }
    prefixes
}
