//! The leaves of a store, kept in memory by the rules by which the server keeps its own.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;
use std::sync::{PoisonError, RwLock};

use crate::error::{Error, ErrorKind};
use crate::model::{Entry, Event, OpKind, Path, PathError, Pattern, Seq, Value, ValueKind, assemble};
use crate::transport::{Items, List, Order, Page, Scope, Select};

/// How many leaves a record has at most, so that it is remembered where it was found.
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
#[derive(Debug, Default)]
pub(super) struct Replica {
    leaves: BTreeMap<Path, Leaf>,
    /// How many leaves have no revision of their own.
    inexact: usize,
    read: Read,
}

/// What stands below the paths that were read, as long as it stands: to find a record in the tree of all leaves costs more than
/// to decode it, since every comparison on the way down is with a path elsewhere in memory.
///
/// Only what is there is remembered, and a leaf only for the paths above it, so that this is bounded by the leaves themselves.
#[derive(Debug, Default)]
struct Read(RwLock<HashMap<Path, Box<[Entry]>>>);

impl Read {
    /// All leaves below a path, if they are remembered and no more than so many.
    fn get(&self, path: &Path, most: usize) -> Option<Vec<Entry>> {
        let read = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let leaves = read.get(path).filter(|leaves| leaves.len() <= most)?;
        Some(leaves.to_vec())
    }

    /// Remembers all leaves below a path, if they are as few as those of a record.
    fn insert(&self, path: &Path, leaves: &[Entry]) {
        if (1..=LEAVES_FEW).contains(&leaves.len()) {
            let mut read = self.0.write().unwrap_or_else(PoisonError::into_inner);
            read.insert(path.clone(), leaves.into());
        }
    }

    /// Forgets what a leaf is part of.
    fn forget(&mut self, leaf: &Path) {
        let read = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if read.is_empty() {
            return;
        }
        for (end, _) in leaf.as_str().match_indices('/') {
            if let Some(above) = leaf.as_str().get(..end) {
                read.remove(above);
            }
        }
    }
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
        replica.read.forget(&path);
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
        Self {
            leaves,
            inexact,
            read: Read::default(),
        }
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
        let whole = whole_below(query);
        if let Some(leaves) = whole.and_then(|path| self.read.get(path, query.limit)) {
            let items = Items::Entries(leaves);
            return Ok(Page { items, next: None });
        }
        let mut found = self.find(query, query.limit + 1);
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|(path, _)| (*path).clone());
        let page = page_of(query, found, next, depth);
        if let (Some(path), Items::Entries(leaves), None) = (whole, &page.items, &page.next) {
            self.read.insert(path, leaves);
        }
        Ok(page)
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

/// Below which path a list asks for every leaf, as the read of a record does.
fn whole_below(query: &List) -> Option<&Path> {
    match (&query.scope, query.select, query.order, &query.after) {
        (Scope::Below(path), Select::Entries, Order::Asc, None) => Some(path),
        _ => None,
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

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::model::DeviceId;

    const VALUES: [&str; 5] = ["1", "null", r#"{"a":1}"#, r#"{"a":{"b":2},"c":[]}"#, "{}"];

    /// Paths of one to three segments, of which some are the beginning of others as texts.
    fn paths() -> impl Strategy<Value = Path> {
        let segment = prop_oneof![Just("a"), Just("a-b"), Just("b")];
        vec(segment, 1..=3).prop_map(|segments| Path::new(segments).unwrap())
    }

    /// An op, and whether it is undone later.
    fn ops() -> impl Strategy<Value = (OpKind, Path, Value, bool)> {
        let kinds = prop_oneof![
            Just(OpKind::Set),
            Just(OpKind::Merge),
            Just(OpKind::Delete),
            Just(OpKind::Add)
        ];
        let values = proptest::sample::select(&VALUES[..]).prop_map(|json| Value::from_json(json).unwrap());
        (kinds, paths(), values, any::<bool>())
    }

    fn below(replica: &Replica, path: &Path, limit: usize) -> Page {
        let list = List::new(Scope::Below(path.clone())).limit(limit);
        replica.list(&list, 1000).unwrap()
    }

    proptest! {
        /// A replica that remembers what was read below every path answers as one that has just begun.
        #[test]
        fn what_was_read_is_remembered_as_long_as_it_stands(
            ops in vec(ops(), 1..30),
            read in vec(paths(), 1..8),
            limit in 1_usize..5,
        ) {
            let mut replica = Replica::default();
            let mut undos = Vec::new();
            for (seq, (kind, path, value, is_undone)) in ops.into_iter().enumerate() {
                let event = Event {
                    seq: Seq(seq as u64 + 1),
                    kind,
                    path,
                    value: Some(value),
                    written: None,
                    device: DeviceId::new("d").unwrap(),
                    op_id: None,
                };
                if let Ok(undo) = replica.apply_with_undo(&event) {
                    undos.push(undo);
                }
                if let Some(undo) = undos.pop().filter(|_| is_undone) {
                    replica.undo(undo);
                }
                let leaves = replica.leaves().map(|(path, leaf)| (path.clone(), leaf.clone()));
                let fresh: Replica = leaves.collect();
                for path in &read {
                    for limit in [limit, 1000] {
                        prop_assert_eq!(below(&replica, path, limit), below(&fresh, path, limit));
                    }
                }
            }
        }
    }

    #[test]
    fn records_are_remembered_and_collections_are_not() {
        let mut replica = Replica::default();
        let leaves = |slug: &str, count: usize| {
            let leaf = |number| {
                let path = Path::new(["links", slug, &format!("field-{number}")]).unwrap();
                let (value, kind) = Value::from_json("1").unwrap().as_leaf().unwrap();
                let leaf = Leaf {
                    value,
                    kind,
                    revision: Seq(1),
                    exact: true,
                };
                (path, leaf)
            };
            (0..count).map(leaf).collect::<Vec<_>>()
        };
        replica.leaves.extend(
            leaves("few", LEAVES_FEW)
                .into_iter()
                .chain(leaves("many", LEAVES_FEW + 1)),
        );
        let path = |text: &str| Path::parse(text).unwrap();
        for at in ["links", "links/few", "links/many", "links/none"] {
            below(&replica, &path(at), 1000);
        }
        let remembered = |replica: &Replica| -> Vec<String> {
            let read = replica.read.0.read().unwrap();
            read.keys().map(ToString::to_string).collect()
        };
        assert_eq!(remembered(&replica), ["links/few"]);
        replica.read.forget(&path("links/many/field-0"));
        assert_eq!(remembered(&replica), ["links/few"]);
        replica.read.forget(&path("links/few/field-0/below"));
        assert!(remembered(&replica).is_empty());
    }
}
