//! An ordered map whose clone is one reference count: a B+ tree that copies the nodes it changes only while a clone
//! still holds them.
//!
//! The memory engine needs a snapshot per commit and readers that take no lock. A version chain per key would need a
//! lock or a sweep; the persistent maps on crates.io bring five to nine packages. These nodes do it in one file.

use std::cmp::Ordering;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Direction;
use super::storage::{Bytes, Visit};

/// Most entries of a node; a fuller one splits in two.
const NODE_LEN_MAX: usize = 32;

#[derive(Debug, Clone)]
enum Node {
    Leaf(Vec<(Bytes, Bytes)>),
    /// Children with the smallest key that each may hold; the first one's is never compared.
    Inner(Vec<(Bytes, Arc<Node>)>),
}

/// The map.
#[derive(Debug, Clone)]
pub(super) struct Tree {
    root: Arc<Node>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            root: Arc::new(Node::Leaf(Vec::new())),
        }
    }
}

impl Tree {
    pub(super) fn get(&self, key: &[u8]) -> Option<&Bytes> {
        let mut node = &*self.root;
        loop {
            match node {
                Node::Leaf(entries) => {
                    let at = entries.binary_search_by(|(own, _)| (**own).cmp(key)).ok()?;
                    return entries.get(at).map(|(_, value)| value);
                }
                Node::Inner(children) => node = &children.get(child_of(children, key))?.1,
            }
        }
    }

    pub(super) fn insert(&mut self, key: Bytes, value: Bytes) {
        if let Some((split_key, right)) = insert(&mut self.root, key, value) {
            let left = std::mem::replace(&mut self.root, Arc::new(Node::Leaf(Vec::new())));
            self.root = Arc::new(Node::Inner(vec![(Bytes::from(&[][..]), left), (split_key, right)]));
        }
    }

    pub(super) fn remove(&mut self, key: &[u8]) {
        if self.get(key).is_some() {
            let end = [key, &[0]].concat();
            self.remove_range(key, &end);
        }
    }

    pub(super) fn remove_range(&mut self, begin: &[u8], end: &[u8]) {
        remove(&mut self.root, begin, end);
        loop {
            match &*self.root {
                Node::Inner(children) if children.len() <= 1 => {
                    let only = children.first().map(|(_, child)| Arc::clone(child));
                    self.root = only.unwrap_or_else(|| Arc::new(Node::Leaf(Vec::new())));
                }
                _ => return,
            }
        }
    }

    /// Visits the pairs of `begin <= key < end`.
    pub(super) fn scan(&self, begin: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) {
        let _ = scan(&self.root, begin, end, direction, visit);
    }
}

/// The index of the child that may hold `key`.
fn child_of(children: &[(Bytes, Arc<Node>)], key: &[u8]) -> usize {
    let later = children.get(1..).unwrap_or_default();
    later.partition_point(|(first, _)| &**first <= key)
}

fn insert(node: &mut Arc<Node>, key: Bytes, value: Bytes) -> Option<(Bytes, Arc<Node>)> {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => {
            match entries.binary_search_by(|(own, _)| own.cmp(&key)) {
                Ok(at) => {
                    if let Some((_, old)) = entries.get_mut(at) {
                        *old = value;
                    }
                }
                Err(at) => entries.insert(at, (key, value)),
            }
            let right = split(entries)?;
            Some((Bytes::clone(&right.first()?.0), Arc::new(Node::Leaf(right))))
        }
        Node::Inner(children) => {
            let at = child_of(children, &key);
            let (split_key, right) = insert(&mut children.get_mut(at)?.1, key, value)?;
            children.insert(at + 1, (split_key, right));
            let right = split(children)?;
            Some((Bytes::clone(&right.first()?.0), Arc::new(Node::Inner(right))))
        }
    }
}

/// Takes the upper half of a node that has grown too large.
fn split<T>(entries: &mut Vec<T>) -> Option<Vec<T>> {
    (entries.len() > NODE_LEN_MAX).then(|| entries.split_off(entries.len() / 2))
}

/// Removes a range and the children that it empties.
fn remove(node: &mut Arc<Node>, begin: &[u8], end: &[u8]) {
    match Arc::make_mut(node) {
        Node::Leaf(entries) => entries.retain(|(key, _)| &**key < begin || &**key >= end),
        Node::Inner(children) => {
            let (first, last) = (child_of(children, begin), child_of(children, end));
            for (_, child) in children.get_mut(first..=last).into_iter().flatten() {
                remove(child, begin, end);
            }
            let mut at = 0;
            children.retain(|(_, child)| {
                let touched = (first..=last).contains(&at);
                at += 1;
                !(touched && is_empty(child))
            });
        }
    }
}

fn is_empty(node: &Node) -> bool {
    match node {
        Node::Leaf(entries) => entries.is_empty(),
        Node::Inner(children) => children.is_empty(),
    }
}

fn scan(node: &Node, begin: &[u8], end: &[u8], direction: Direction, visit: &mut Visit<'_>) -> ControlFlow<()> {
    match node {
        Node::Leaf(entries) => {
            let first = entries.partition_point(|(key, _)| (**key).cmp(begin) == Ordering::Less);
            let last = entries.partition_point(|(key, _)| (**key).cmp(end) == Ordering::Less);
            let inside = entries.get(first..last).unwrap_or_default();
            match direction {
                Direction::Forward => inside.iter().try_for_each(|(key, value)| visit(key, value)),
                Direction::Reverse => inside.iter().rev().try_for_each(|(key, value)| visit(key, value)),
            }
        }
        Node::Inner(children) => {
            let inside = children
                .get(child_of(children, begin)..=child_of(children, end))
                .unwrap_or_default();
            let mut each = |(_, child): &(Bytes, Arc<Node>)| scan(child, begin, end, direction, visit);
            match direction {
                Direction::Forward => inside.iter().try_for_each(&mut each),
                Direction::Reverse => inside.iter().rev().try_for_each(&mut each),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn pairs(tree: &Tree, begin: &[u8], end: &[u8], direction: Direction) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut pairs = Vec::new();
        tree.scan(begin, end, direction, &mut |key, value| {
            pairs.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        });
        pairs
    }

    proptest! {
        #[test]
        fn the_tree_is_an_ordered_map_and_its_clones_do_not_change(
            steps in prop::collection::vec((0..4_u8, any::<u16>(), 0..300_u16), 1..600)
        ) {
            let mut tree = Tree::default();
            let mut model = BTreeMap::new();
            let mut clone = (tree.clone(), model.clone());
            for (kind, at, width) in steps {
                let key = at.to_be_bytes();
                match kind {
                    0 | 1 => {
                        tree.insert(Bytes::from(&key[..]), Bytes::from(&width.to_be_bytes()[..]));
                        model.insert(key.to_vec(), width.to_be_bytes().to_vec());
                    }
                    2 => {
                        tree.remove(&key);
                        model.remove(&key[..]);
                    }
                    _ => {
                        let end = at.saturating_add(width * 10).to_be_bytes();
                        tree.remove_range(&key, &end);
                        model.retain(|own, _| own[..] < key[..] || own[..] >= end[..]);
                    }
                }
                if width == 7 {
                    clone = (tree.clone(), model.clone());
                }
            }
            for (tree, model) in [(tree, model), clone] {
                let expected: Vec<_> = model.clone().into_iter().collect();
                prop_assert_eq!(pairs(&tree, &[], &[0xff; 3], Direction::Forward), expected);
                let (begin, end) = ([0x20, 0], [0xa0, 0]);
                let mut expected: Vec<_> =
                    model.range(begin.to_vec()..end.to_vec()).map(|(k, v)| (k.clone(), v.clone())).collect();
                expected.reverse();
                prop_assert_eq!(pairs(&tree, &begin, &end, Direction::Reverse), expected);
                for (key, value) in &model {
                    prop_assert_eq!(tree.get(key).map(|value| value.to_vec()), Some(value.clone()));
                }
            }
        }
    }
}
