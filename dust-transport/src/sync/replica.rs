//! The leaves of a store, kept in memory by the rules by which the server keeps its own.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::error::{Error, ErrorKind};
use crate::model::{Entry, Event, OpKind, Path, PathError, Pattern, Seq, Value, ValueKind, assemble};
use crate::transport::{Items, List, Order, Page, Scope, Select};

/// For how many leaves there is room from the beginning: a record has few.
const LEAVES_FEW: usize = 16;

/// One leaf.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Leaf {
    pub(super) value: Value,
    pub(super) kind: ValueKind,
    pub(super) revision: Seq,
    /// The revision is that of the leaf, and not of the snapshot that it came in.
    pub(super) exact: bool,
}

/// What stood at the paths that an op wrote, to put it back.
pub(super) type Undo = Vec<(Path, Option<Leaf>)>;

/// The leaves of a store after some op.
#[derive(Debug, Clone, Default)]
pub(super) struct Replica {
    leaves: BTreeMap<Path, Leaf>,
    /// How many leaves have no revision of their own.
    inexact: usize,
}

/// A write under way, which may keep what it replaces.
struct Edit<'a> {
    replica: &'a mut Replica,
    undo: Option<&'a mut Undo>,
    revision: Seq,
}

impl Edit<'_> {
    fn replace(&mut self, path: Path, leaf: Option<Leaf>) {
        let replica = &mut *self.replica;
        replica.inexact += usize::from(leaf.as_ref().is_some_and(|leaf| !leaf.exact));
        let before = match leaf {
            Some(leaf) => replica.leaves.insert(path.clone(), leaf),
            None => replica.leaves.remove(&path),
        };
        replica.inexact -= usize::from(before.as_ref().is_some_and(|leaf| !leaf.exact));
        if let Some(undo) = &mut self.undo {
            undo.push((path, before));
        }
    }

    fn put(&mut self, path: Path, value: Value, kind: ValueKind) {
        let revision = self.revision;
        let leaf = Leaf {
            value,
            kind,
            revision,
            exact: true,
        };
        self.replace(path, Some(leaf));
    }

    fn clear_below(&mut self, path: &Path) {
        let (from, to) = path.descendants_range();
        let range = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        let below: Vec<Path> = self
            .replica
            .leaves
            .range::<str, _>(range)
            .map(|(path, _)| path.clone())
            .collect();
        for path in below {
            self.replace(path, None);
        }
    }

    fn set(&mut self, path: &Path, value: &Value) -> Result<(), PathError> {
        if let Some((leaf, kind)) = value.as_leaf() {
            self.clear_below(path);
            self.put(path.clone(), leaf, kind);
            return Ok(());
        }
        let mut leaves = Vec::new();
        flatten(path, value, &mut leaves)?;
        self.clear_below(path);
        self.replace(path.clone(), None);
        for (path, value, kind) in leaves {
            self.put(path, value, kind);
        }
        Ok(())
    }

    fn merge(&mut self, path: &Path, map: &Value) -> Result<(), PathError> {
        // Nothing is touched unless all of it can be.
        flatten(path, map, &mut Vec::new())?;
        for (key, value) in map.entries().unwrap_or_default() {
            let child = path.child(&key)?;
            match value.as_leaf() {
                Some((leaf, kind)) => self.put(child, leaf, kind),
                None => self.set(&child, &value)?,
            }
        }
        Ok(())
    }
}

/// The leaves that a map becomes; as deep as the value, which is bounded.
fn flatten(path: &Path, map: &Value, leaves: &mut Vec<(Path, Value, ValueKind)>) -> Result<(), PathError> {
    for (key, value) in map.entries().unwrap_or_default() {
        let child = path.child(&key)?;
        match value.as_leaf() {
            Some((leaf, kind)) => leaves.push((child, leaf, kind)),
            None => flatten(&child, &value, leaves)?,
        }
    }
    Ok(())
}

impl FromIterator<(Path, Leaf)> for Replica {
    fn from_iter<I: IntoIterator<Item = (Path, Leaf)>>(leaves: I) -> Self {
        let leaves: BTreeMap<_, _> = leaves.into_iter().collect();
        let inexact = leaves.values().filter(|leaf| !leaf.exact).count();
        Self { leaves, inexact }
    }
}

impl Replica {
    /// The leaves of a snapshot.
    pub(super) fn of(entries: impl IntoIterator<Item = Entry>, exact: bool) -> Self {
        let leaf = |entry: Entry| {
            let leaf = Leaf {
                value: entry.value,
                kind: entry.kind,
                revision: entry.revision,
                exact,
            };
            (entry.path, leaf)
        };
        entries.into_iter().map(leaf).collect()
    }

    /// Every leaf, ascending by path.
    pub(super) fn leaves(&self) -> impl Iterator<Item = (&Path, &Leaf)> {
        self.leaves.iter()
    }

    /// How the leaves stand that an op wrote.
    pub(super) fn written(&self, undo: Undo) -> impl Iterator<Item = (Path, Option<Leaf>)> {
        undo.into_iter().map(|(path, _)| {
            let leaf = self.leaves.get(&path).cloned();
            (path, leaf)
        })
    }

    /// Whether every revision is that of its leaf.
    pub(super) fn is_exact(&self) -> bool {
        self.inexact == 0
    }

    /// How many leaves there are.
    pub(super) fn len(&self) -> usize {
        self.leaves.len()
    }

    /// Applies a committed op.
    pub(super) fn apply(&mut self, event: &Event) -> Result<(), PathError> {
        self.edit(event, None)
    }

    /// Applies an op, and gives what it replaced.
    pub(super) fn apply_with_undo(&mut self, event: &Event) -> Result<Undo, PathError> {
        let mut undo = Undo::new();
        self.edit(event, Some(&mut undo))?;
        Ok(undo)
    }

    /// Puts back what an op replaced.
    pub(super) fn undo(&mut self, undo: Undo) {
        let mut edit = Edit {
            replica: self,
            undo: None,
            revision: Seq(0),
        };
        for (path, before) in undo.into_iter().rev() {
            edit.replace(path, before);
        }
    }

    fn edit(&mut self, event: &Event, undo: Option<&mut Undo>) -> Result<(), PathError> {
        let path = &event.path;
        let value = event.written.as_ref().or(event.value.as_ref());
        let value = value.cloned().unwrap_or_else(Value::null);
        let mut edit = Edit {
            replica: self,
            undo,
            revision: event.seq,
        };
        match event.kind {
            OpKind::Set => edit.set(path, &value)?,
            OpKind::Merge => edit.merge(path, &value)?,
            OpKind::Delete => {
                edit.clear_below(path);
                edit.replace(path.clone(), None);
            }
            OpKind::Release => edit.replace(path.clone(), None),
            OpKind::Increment => edit.put(path.clone(), value, ValueKind::Counter),
            OpKind::Add | OpKind::Remove => edit.put(path.clone(), value, ValueKind::Set),
            OpKind::PutFile => {
                edit.clear_below(path);
                edit.put(path.clone(), value, ValueKind::File);
            }
            OpKind::Lease | OpKind::Renew => edit.put(path.clone(), value, ValueKind::Lease),
        }
        Ok(())
    }

    /// The leaf exactly at a path.
    pub(super) fn leaf(&self, path: &Path) -> Option<Entry> {
        self.leaves.get_key_value(path).map(entry_of)
    }

    /// The leaf or the assembled subtree.
    pub(super) fn get(&self, path: &Path) -> Option<Entry> {
        if let Some(entry) = self.leaf(path) {
            return Some(entry);
        }
        let (from, to) = path.descendants_range();
        let below = || {
            self.leaves
                .range::<str, _>((Bound::Included(from.as_str()), Bound::Excluded(to.as_str())))
        };
        let revision = below().map(|(_, leaf)| leaf.revision).max()?;
        let rest = |(at, leaf)| -> Option<(&str, &str)> {
            let (at, leaf): (&Path, &Leaf) = (at, leaf);
            Some((at.strip_prefix(path)?, leaf.value.json()))
        };
        Some(Entry {
            path: path.clone(),
            value: assemble(below().filter_map(rest)),
            kind: ValueKind::Map,
            revision,
        })
    }

    /// Whether a leaf or a subtree is there.
    pub(super) fn exists(&self, path: &Path) -> bool {
        let (from, to) = path.descendants_range();
        let range = (Bound::Included(from.as_str()), Bound::Excluded(to.as_str()));
        self.leaves.contains_key(path) || self.leaves.range::<str, _>(range).next().is_some()
    }

    /// One page of leaves.
    pub(super) fn list(&self, query: &List, limit_max: usize) -> Result<Page, Error> {
        if query.limit == 0 || query.limit > limit_max {
            let detail = format!("the limit of a page must be 1 to {limit_max}");
            return Err(Error::new(ErrorKind::InvalidParams, "invalid_params", detail));
        }
        let depth = prefixes_depth(query)?;
        let mut found = self.find(query, query.limit + 1);
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|(path, _)| (*path).clone());
        Ok(page_of(query, found, next, depth))
    }

    /// The leaves of a scope, at most so many.
    pub(super) fn entries(&self, scope: Scope, order: Order, limit: usize) -> Vec<Entry> {
        let query = List::new(scope).order(order);
        self.find(&query, limit).into_iter().map(entry_of).collect()
    }

    fn find(&self, query: &List, most: usize) -> Vec<(&Path, &Leaf)> {
        if let (Scope::Below(path), Order::Asc) = (&query.scope, query.order) {
            return self.find_below(path, query.after.as_ref(), most);
        }
        let (from, to) = bounds(query);
        let is_empty = match (&from, &to) {
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => from >= to,
            _ => false,
        };
        if is_empty {
            return Vec::new();
        }
        let range = (from.as_ref().map(String::as_str), to.as_ref().map(String::as_str));
        let matches = |(path, _): &(&Path, &Leaf)| match &query.scope {
            Scope::Pattern(pattern) => pattern.matches(path),
            Scope::Range { .. } | Scope::Below(_) => true,
        };
        let leaves = self.leaves.range::<str, _>(range);
        match query.order {
            Order::Asc => leaves.filter(matches).take(most).collect(),
            Order::Desc => leaves.rev().filter(matches).take(most).collect(),
        }
    }

    /// What every read of a record does: the place is looked for once, and not its end, too, which is near.
    fn find_below(&self, path: &Path, after: Option<&Path>, most: usize) -> Vec<(&Path, &Leaf)> {
        let prefix = [path.as_str(), "/"].concat();
        let from = match after.map(Path::as_str) {
            Some(after) if after >= prefix.as_str() => Bound::Excluded(after),
            _ => Bound::Included(prefix.as_str()),
        };
        let leaves = self.leaves.range::<str, _>((from, Bound::Unbounded));
        let mut found = Vec::with_capacity(most.min(LEAVES_FEW));
        found.extend(
            leaves
                .take_while(|(path, _)| path.as_str().starts_with(&prefix))
                .take(most),
        );
        found
    }
}

fn entry_of((path, leaf): (&Path, &Leaf)) -> Entry {
    Entry {
        path: path.clone(),
        value: leaf.value.clone(),
        kind: leaf.kind,
        revision: leaf.revision,
    }
}

/// How many segments the items of `Select::Prefixes` have.
fn prefixes_depth(query: &List) -> Result<usize, Error> {
    let refused = |code: &'static str, detail: &'static str| Err(Error::new(ErrorKind::InvalidParams, code, detail));
    match (&query.scope, query.select) {
        (_, Select::Entries | Select::Keys) => Ok(0),
        (Scope::Below(path), Select::Prefixes) => Ok(path.depth() + 1),
        (Scope::Range { .. }, Select::Prefixes) => refused("unsupported_select", "a range has no prefixes"),
        (Scope::Pattern(pattern), Select::Prefixes) => match pattern.prefixes_depth() {
            Some(depth) => Ok(depth),
            None => refused(
                "invalid_pattern_for_prefixes",
                "prefixes need a pattern that is `**` or ends in `/**`",
            ),
        },
    }
}

/// Between which rendered paths a list looks.
fn bounds(query: &List) -> (Bound<String>, Bound<String>) {
    let (mut from, mut to) = match &query.scope {
        Scope::Range { from, to } => (
            Bound::Included(from.as_str().to_owned()),
            Bound::Excluded(to.as_str().to_owned()),
        ),
        Scope::Below(path) => below(path),
        Scope::Pattern(pattern) => of_pattern(pattern),
    };
    if let Some(after) = &query.after {
        let after = after.as_str();
        let is_tighter = |bound: &Bound<String>, inside: fn(&str, &str) -> bool| match bound {
            Bound::Included(at) | Bound::Excluded(at) => inside(after, at),
            Bound::Unbounded => true,
        };
        match query.order {
            Order::Asc if is_tighter(&from, |after, from| after >= from) => from = Bound::Excluded(after.to_owned()),
            Order::Desc if is_tighter(&to, |after, to| after <= to) => to = Bound::Excluded(after.to_owned()),
            _ => {}
        }
    }
    (from, to)
}

fn below(path: &Path) -> (Bound<String>, Bound<String>) {
    let (from, to) = path.descendants_range();
    (Bound::Included(from), Bound::Excluded(to))
}

fn of_pattern(pattern: &Pattern) -> (Bound<String>, Bound<String>) {
    match pattern.literal_base() {
        None => (Bound::Unbounded, Bound::Unbounded),
        Some(base) if !pattern.has_wildcard() => {
            let at = base.as_str().to_owned();
            (Bound::Included(at.clone()), Bound::Included(at))
        }
        Some(base) => below(&base),
    }
}

fn page_of(query: &List, found: Vec<(&Path, &Leaf)>, next: Option<Path>, depth: usize) -> Page {
    let items = match query.select {
        Select::Entries => Items::Entries(found.into_iter().map(entry_of).collect()),
        Select::Keys => Items::Keys(found.into_iter().map(|(path, _)| path.clone()).collect()),
        Select::Prefixes => {
            let mut prefixes: Vec<Path> = found.iter().filter_map(|(path, _)| path.prefix(depth)).collect();
            // Those of one base are not always side by side: `a-b/c` stands between `a` and `a/c`.
            prefixes.sort_unstable();
            prefixes.dedup();
            if query.order == Order::Desc {
                prefixes.reverse();
            }
            Items::Prefixes(prefixes)
        }
    };
    Page { items, next }
}
