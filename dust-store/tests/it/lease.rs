//! Leases as time goes by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dust_layer::Memory;
use dust_store::{Clock, Database, Embedded, Options};
use dust_transport::model::{Fence, Op, Seq};
use dust_transport::transport::{Done, Transport};
use proptest::prelude::*;

use crate::path;

const START_MS: u64 = 1_700_000_000_000;

async fn store_with_clock() -> (Embedded, Arc<AtomicU64>) {
    let now_ms = Arc::new(AtomicU64::new(START_MS));
    let clock = Arc::clone(&now_ms);
    let options = Options::default().with_clock(Clock::from_fn(move || clock.load(Ordering::SeqCst)));
    let database = Database::with_options(Memory::new(), options);
    (database.store("acme/site").await.unwrap(), now_ms)
}

#[tokio::test]
async fn a_lease_ends_at_its_last_millisecond_and_not_before() {
    let (store, now_ms) = store_with_clock().await;
    let ttl = Duration::from_millis(100);
    let taken = store.write(Op::lease(path("l"), Some("a"), ttl).into()).await.unwrap();
    let lease = taken.done(0).lease().unwrap().clone();
    assert_eq!(lease.expires_at_ms, START_MS + 100);
    let fence = Fence {
        key: path("l"),
        token: lease.token,
    };
    let fenced = || Op::set(path("x"), 1).fenced(fence.clone());

    now_ms.store(START_MS + 99, Ordering::SeqCst);
    store.write(fenced().into()).await.unwrap();
    let error = store
        .write(Op::lease(path("l"), Some("b"), ttl).into())
        .await
        .unwrap_err();
    assert_eq!(error.code(), "held");
    let renewed = store
        .write(Op::renew(path("l"), lease.token, ttl).into())
        .await
        .unwrap();
    assert_eq!(renewed.done(0).lease().unwrap().expires_at_ms, START_MS + 199);

    now_ms.store(START_MS + 199, Ordering::SeqCst);
    assert_eq!(store.write(fenced().into()).await.unwrap_err().code(), "fenced");
    let renewal = Op::renew(path("l"), lease.token, ttl);
    assert_eq!(store.write(renewal.into()).await.unwrap_err().code(), "not_held");
    let taken = store.write(Op::lease(path("l"), Some("b"), ttl).into()).await.unwrap();
    assert_eq!(taken.done(0).lease().unwrap().token, 4);
    let late = store.write(Op::release(path("l"), lease.token).into()).await.unwrap();
    assert_eq!(late.done(0), &Done::NotReleased, "the lease is another's by now");
}

#[tokio::test]
async fn a_lease_without_end_is_no_overflow() {
    let (store, _) = store_with_clock().await;
    let taken = store
        .write(Op::lease(path("l"), None, Duration::MAX).into())
        .await
        .unwrap();
    assert_eq!(taken.done(0).lease().unwrap().expires_at_ms, u64::MAX);
}

/// A lease and its end are stored, so that they outlive the process.
#[tokio::test]
async fn a_lease_survives_reopening() {
    let folder = tempfile::tempdir().unwrap();
    let open = async || Embedded::open(folder.path(), "acme/site").await.unwrap();
    let hour = Duration::from_hours(1);
    open()
        .await
        .write(Op::lease(path("l"), None, hour).into())
        .await
        .unwrap();
    let again = open().await.write(Op::lease(path("l"), None, hour).into()).await;
    assert_eq!(again.unwrap_err().code(), "held");
    let released = open().await.write(Op::release(path("l"), 1).into()).await.unwrap();
    assert_eq!(released.seqs, [Seq(2)]);
}

#[derive(Debug, Clone)]
enum Step {
    Wait(u64),
    Take(usize, u64),
    Renew(usize, usize, u64),
    Release(usize, usize),
    Fenced(usize, usize),
    Set(usize),
    Delete(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let at = || 0_usize..2;
    let step = prop_oneof![
        3 => (0_u64..8).prop_map(Step::Wait),
        4 => (at(), 0_u64..10).prop_map(|(at, ttl)| Step::Take(at, ttl)),
        2 => (at(), any::<usize>(), 0_u64..10).prop_map(|(at, token, ttl)| Step::Renew(at, token, ttl)),
        2 => (at(), any::<usize>()).prop_map(|(at, token)| Step::Release(at, token)),
        2 => (at(), any::<usize>()).prop_map(|(at, token)| Step::Fenced(at, token)),
        1 => at().prop_map(Step::Set),
        1 => at().prop_map(Step::Delete),
    ];
    prop::collection::vec(step, 1..60)
}

/// What is at a path: a lease's token and end, or something else.
type Held = BTreeMap<usize, Option<(u64, u64)>>;

async fn compare(steps: Vec<Step>) {
    let (store, clock) = store_with_clock().await;
    let (mut held, mut tokens, mut seq, mut now) = (Held::new(), vec![999], 0, START_MS);
    for step in steps {
        let key = |at: usize| path(["locks/a", "locks/b"][at]);
        let live = |held: &Held, at: usize, token: u64, now: u64| matches!(held.get(&at), Some(Some((of, end))) if *of == token && now < *end);
        let (op, expected) = match step {
            Step::Wait(ms) => {
                now += ms;
                clock.store(now, Ordering::SeqCst);
                continue;
            }
            Step::Take(at, ttl) => {
                let expected = match held.get(&at) {
                    Some(None) => Err("occupied"),
                    Some(Some((_, end))) if now < *end => Err("held"),
                    _ => Ok(Some((seq + 1, now + ttl))),
                };
                if let Ok(lease) = expected {
                    held.insert(at, lease);
                    tokens.push(seq + 1);
                }
                (Op::lease(key(at), None, Duration::from_millis(ttl)), expected)
            }
            Step::Renew(at, token, ttl) => {
                let token = tokens[token % tokens.len()];
                let expected = if live(&held, at, token, now) {
                    held.insert(at, Some((token, now + ttl)));
                    Ok(Some((token, now + ttl)))
                } else {
                    Err("not_held")
                };
                (Op::renew(key(at), token, Duration::from_millis(ttl)), expected)
            }
            Step::Release(at, token) => {
                let token = tokens[token % tokens.len()];
                let op = Op::release(key(at), token);
                if matches!(held.get(&at), Some(Some((of, _))) if *of == token) {
                    held.remove(&at);
                    (op, Ok(None))
                } else {
                    let written = store.write(op.into()).await.unwrap();
                    assert_eq!(
                        (written.seqs.as_slice(), written.done(0)),
                        (&[Seq(0)][..], &Done::NotReleased)
                    );
                    continue;
                }
            }
            Step::Fenced(at, token) => {
                let token = tokens[token % tokens.len()];
                let fence = Fence { key: key(at), token };
                let expected = if live(&held, at, token, now) {
                    Ok(None)
                } else {
                    Err("fenced")
                };
                (Op::increment(path("n"), 1).fenced(fence), expected)
            }
            Step::Set(at) => {
                held.insert(at, None);
                (Op::set(key(at), 1), Ok(None))
            }
            Step::Delete(at) => {
                held.remove(&at);
                (Op::delete(key(at)), Ok(None))
            }
        };
        let shown = format!("{op:?}");
        match (store.write(op.into()).await, expected) {
            (Ok(written), Ok(lease)) => {
                seq += 1;
                assert_eq!(written.seqs, [Seq(seq)]);
                let told = written.done(0).lease().map(|lease| (lease.token, lease.expires_at_ms));
                assert_eq!(told, lease, "{shown}");
            }
            (Err(error), Err(code)) => assert_eq!(error.code(), code, "{shown}"),
            (answer, expected) => panic!("{shown}: {answer:?} instead of {expected:?}"),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn leases_do_as_the_model(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(compare(steps));
    }
}
