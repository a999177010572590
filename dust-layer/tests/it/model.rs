//! Random transactions at once against a serial model.
//!
//! The model keeps the committed map, each open transaction's own map, what it read serializably, and what has been
//! written since it began. A commit must succeed exactly when nothing read was written; every read must match.

use std::collections::BTreeMap;

use dust_layer::{Atomic, Direction, Disk, Engine, Error, Isolation, Memory, Pairs, RangeRead, Transaction};
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

type Key = Vec<u8>;
type Map = BTreeMap<Key, Vec<u8>>;

/// The pairs of a page.
type Rows = Vec<(Key, Vec<u8>)>;

/// A range `begin <= key < end`; a single key ends right after itself.
type Span = (Key, Key);

#[derive(Debug, Clone)]
enum Step {
    Begin,
    Get(Key, Isolation),
    Range(Span, usize, Direction, Isolation),
    Set(Key, u8),
    Clear(Key),
    ClearRange(Span),
    Atomic(Atomic, Key, u8),
    Commit,
}

fn key() -> impl Strategy<Value = Key> {
    prop::collection::vec(prop::sample::select(vec![0, b'a', b'b', 0xfe]), 0..3)
}

fn span() -> impl Strategy<Value = Span> {
    (key(), key()).prop_map(|(one, other)| (one.clone().min(other.clone()), one.max(other)))
}

fn step() -> impl Strategy<Value = Step> {
    let isolation = || prop_oneof![3 => Just(Isolation::Serializable), 1 => Just(Isolation::Snapshot)];
    let direction = prop_oneof![Just(Direction::Forward), Just(Direction::Reverse)];
    let atomic = prop_oneof![Just(Atomic::Add), Just(Atomic::Max)];
    prop_oneof![
        1 => Just(Step::Begin),
        3 => (key(), isolation()).prop_map(|(key, isolation)| Step::Get(key, isolation)),
        3 => (span(), 0..5_usize, direction, isolation())
            .prop_map(|(span, limit, direction, isolation)| Step::Range(span, limit, direction, isolation)),
        4 => (key(), any::<u8>()).prop_map(|(key, value)| Step::Set(key, value)),
        2 => key().prop_map(Step::Clear),
        1 => span().prop_map(Step::ClearRange),
        2 => (atomic, key(), any::<u8>()).prop_map(|(atomic, key, operand)| Step::Atomic(atomic, key, operand)),
        3 => Just(Step::Commit),
    ]
}

fn one(key: &[u8]) -> Span {
    (key.to_vec(), [key, &[0]].concat())
}

fn overlap(left: &Span, right: &Span) -> bool {
    left.0 < right.1 && right.0 < left.1
}

/// The model of one open transaction.
struct Open<T> {
    tx: T,
    view: Map,
    reads: Vec<Span>,
    writes: Vec<Span>,
    /// Keys whose value the transaction itself decides, whatever the store holds.
    known: Vec<Span>,
    steps: Vec<Step>,
    /// What others have committed since it began.
    written_since: Vec<Span>,
}

fn apply(map: &mut Map, step: &Step) {
    match step {
        Step::Set(key, value) => drop(map.insert(key.clone(), vec![*value])),
        Step::Clear(key) => drop(map.remove(key)),
        Step::ClearRange((begin, end)) => map.retain(|key, _| key < begin || key >= end),
        Step::Atomic(atomic, key, operand) => {
            let value = match (map.get(key), atomic) {
                (None, _) => *operand,
                (Some(value), Atomic::Add) => value[0].wrapping_add(*operand),
                (Some(value), Atomic::Max) => value[0].max(*operand),
            };
            map.insert(key.clone(), vec![value]);
        }
        Step::Begin | Step::Get(..) | Step::Range(..) | Step::Commit => {}
    }
}

/// The page that the model reads, whether more follows, and the part of the range that was read.
fn page(view: &Map, span: &Span, limit: usize, direction: Direction) -> (Rows, bool, Option<Span>) {
    if span.0 >= span.1 || limit == 0 {
        return (Vec::new(), false, None);
    }
    let mut pairs: Vec<_> = view
        .range(span.0.clone()..span.1.clone())
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    if direction == Direction::Reverse {
        pairs.reverse();
    }
    let more = pairs.len() > limit;
    pairs.truncate(limit);
    let read = match (more, direction, pairs.last()) {
        (true, Direction::Forward, Some((last, _))) => (span.0.clone(), one(last).1),
        (true, Direction::Reverse, Some((last, _))) => (last.clone(), span.1.clone()),
        _ => span.clone(),
    };
    (pairs, more, Some(read))
}

fn owned(pairs: &Pairs) -> Rows {
    pairs
        .iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect()
}

impl<T: Transaction> Open<T> {
    async fn read(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Get(key, isolation) => {
                let found = self.tx.get(key, *isolation).await.unwrap();
                prop_assert_eq!(found.as_ref(), self.view.get(key));
                let is_known = self.known.iter().any(|span| overlap(span, &one(key)));
                if *isolation == Isolation::Serializable && !is_known {
                    self.reads.push(one(key));
                }
            }
            Step::Range(span, limit, direction, isolation) => {
                let (limit, direction, isolation) = (*limit, *direction, *isolation);
                let read = RangeRead {
                    begin: &span.0,
                    end: &span.1,
                    limit,
                    direction,
                    isolation,
                };
                let found = self.tx.get_range(read).await.unwrap();
                let (pairs, more, read) = page(&self.view, span, limit, direction);
                prop_assert_eq!((owned(&found), found.more()), (pairs, more));
                if isolation == Isolation::Serializable {
                    self.reads.extend(read);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn write(&mut self, step: &Step) {
        let (span, known) = match step {
            Step::Set(key, value) => {
                self.tx.set(key, &[*value]);
                (one(key), true)
            }
            Step::Clear(key) => {
                self.tx.clear(key);
                (one(key), true)
            }
            Step::ClearRange(span) => {
                self.tx.clear_range(&span.0, &span.1);
                (span.clone(), true)
            }
            Step::Atomic(atomic, key, operand) => {
                self.tx.atomic(*atomic, key, &[*operand]);
                (one(key), false)
            }
            Step::Begin | Step::Get(..) | Step::Range(..) | Step::Commit => return,
        };
        apply(&mut self.view, step);
        self.steps.push(step.clone());
        if known {
            self.known.push(span.clone());
        }
        if span.0 < span.1 {
            self.writes.push(span);
        }
    }
}

async fn run<E: Engine>(engine: E, steps: Vec<(usize, Step)>) -> Result<(), TestCaseError> {
    let mut committed = Map::new();
    let mut open: [Option<Open<E::Transaction>>; 3] = [None, None, None];
    for (slot, step) in steps {
        if matches!(step, Step::Begin) || open[slot].is_none() {
            open[slot] = Some(Open {
                tx: engine.begin(),
                view: committed.clone(),
                reads: Vec::new(),
                writes: Vec::new(),
                known: Vec::new(),
                steps: Vec::new(),
                written_since: Vec::new(),
            });
        }
        if !matches!(step, Step::Commit) {
            let transaction = open[slot].as_mut().unwrap();
            transaction.read(&step).await?;
            transaction.write(&step);
            continue;
        }
        let Open {
            tx,
            reads,
            writes,
            steps,
            written_since,
            ..
        } = open[slot].take().unwrap();
        let conflicts = reads
            .iter()
            .any(|read| written_since.iter().any(|written| overlap(read, written)));
        match tx.commit().await {
            Ok(_) => prop_assert!(!conflicts || writes.is_empty(), "a conflict was missed"),
            Err(Error::Conflict) => {
                prop_assert!(conflicts && !writes.is_empty(), "a conflict that is none");
                continue;
            }
            Err(error) => return Err(TestCaseError::fail(format!("{error:?}"))),
        }
        for step in &steps {
            apply(&mut committed, step);
        }
        for other in open.iter_mut().flatten() {
            other.written_since.extend(writes.iter().cloned());
        }
    }
    let read = RangeRead {
        begin: b"",
        end: b"\xff",
        limit: usize::MAX,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    let stored = engine.begin().get_range(read).await.unwrap();
    prop_assert_eq!(owned(&stored), committed.into_iter().collect::<Vec<_>>());
    Ok(())
}

fn block_on(future: impl Future<Output = Result<(), TestCaseError>>) -> Result<(), TestCaseError> {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn steps() -> impl Strategy<Value = Vec<(usize, Step)>> {
    prop::collection::vec((0..3_usize, step()), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn memory_is_a_serial_map(steps in steps()) {
        block_on(run(Memory::new(), steps))?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn disk_is_a_serial_map(steps in steps()) {
        let folder = tempfile::tempdir().unwrap();
        block_on(run(Disk::open(folder.path()).unwrap(), steps))?;
    }
}
