//! Transactions whose outcome is unknown, and refused ones.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use dust_layer::clock::Clock;
use dust_layer::engine::instrumented::{CommitFault, Instrumented};
use dust_layer::layer::Options;
use dust_layer::value::FieldValue;
use dust_layer::{Atomic, Engine, Error, Isolation, Tenant};

use super::fixture::{everything, insert, tenant, tenant_with, user, users};

const APPLIED: CommitFault = CommitFault::Unknown { applied: true };
const LOST: CommitFault = CommitFault::Unknown { applied: false };

async fn instrumented<E: Engine>(engine: &E) -> (Instrumented<E>, Tenant<Instrumented<E>>) {
    let engine = Instrumented::new(engine.clone());
    let tenant = tenant(&engine).await;
    (engine, tenant)
}

pub(crate) async fn writes_are_applied_once_whatever_their_commits_met<E: Engine>(engine: &E) {
    for faults in [
        vec![],
        vec![APPLIED],
        vec![LOST],
        vec![LOST, LOST, APPLIED],
        vec![CommitFault::Conflict, APPLIED],
        vec![LOST, CommitFault::Conflict, LOST],
        vec![APPLIED, CommitFault::None],
    ] {
        let (engine, tenant) = instrumented(engine).await;
        let key = tenant.pack(&("count",));
        engine.fail_commits(faults.clone());
        let runs = AtomicU32::new(0);
        let stamped = tenant.pack(&("stamp",));
        let (result, committed) = tenant
            .transact_once(async |tx| {
                tx.atomic(Atomic::Add, &key, &[1])?;
                tx.set_versionstamped_value(&stamped, &[0; 14])?;
                Ok::<_, Error>(runs.fetch_add(1, Ordering::SeqCst))
            })
            .await
            .unwrap();
        let tx = tenant.begin();
        assert_eq!(
            tx.get(&key, Isolation::Snapshot).await.unwrap(),
            Some(vec![1]),
            "{faults:?}"
        );
        // The result is that of the run that was applied, and so is the commit.
        let applied = faults
            .iter()
            .position(|fault| matches!(fault, CommitFault::None | CommitFault::Unknown { applied: true }));
        assert_eq!(result as usize, applied.unwrap_or(faults.len()), "{faults:?}");
        let stamp = tx.get(&stamped, Isolation::Snapshot).await.unwrap();
        assert_eq!(stamp, Some(committed.stamp.to_vec()), "{faults:?}");
        assert_eq!(committed.stamp[..8], committed.version.0.to_be_bytes());
    }
}

/// An insert whose first commit was applied does not find its own row in its way.
pub(crate) async fn an_insert_is_not_in_its_own_way<E: Engine>(engine: &E) {
    let (engine, tenant) = instrumented(engine).await;
    engine.fail_commits([APPLIED]);
    let row = user(1, "Ada", "eng", 36);
    tenant
        .transact_once(async |tx| tx.insert(&users(), &row).await)
        .await
        .unwrap();
    // Where nothing is known of earlier runs, the outcome is told.
    engine.fail_commits([APPLIED]);
    let unknown = insert(&tenant, &[user(2, "Bob", "eng", 36)]).await.unwrap_err();
    assert!(unknown.is_maybe_committed());
    let again = insert(&tenant, &[user(2, "Bob", "eng", 36)]).await.unwrap_err();
    assert!(again.row().is_some());
    let metrics = tenant.layer().metrics();
    assert_eq!(
        (metrics.transactions, metrics.retries, metrics.unknown_commits),
        (3, 1, 1)
    );
}

pub(crate) async fn a_closure_that_writes_before_its_future_runs_writes_once_too<E: Engine>(engine: &E) {
    let (engine, tenant) = instrumented(engine).await;
    let key = tenant.pack(&("count",));
    engine.fail_commits([APPLIED]);
    tenant
        .transact_once(|tx| {
            let written = tx.atomic(Atomic::Add, &key, &[1]);
            async move { written }
        })
        .await
        .unwrap();
    assert_eq!(
        tenant.begin().get(&key, Isolation::Snapshot).await.unwrap(),
        Some(vec![1])
    );
}

pub(crate) async fn errors_that_no_repetition_mends_are_given_back_at_once<E: Engine>(engine: &E) {
    let (_, tenant) = instrumented(engine).await;
    let runs = AtomicU32::new(0);
    let failed = tenant
        .transact_once(async |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            tx.update(&users(), &users().primary_key([1])?, [("name", FieldValue::Null)])
                .await
        })
        .await;
    assert!(failed.unwrap_err().row().is_some());
    assert_eq!(runs.into_inner(), 1);
    assert!(everything(&tenant).await.is_empty());
}

pub(crate) async fn marks_of_done_transactions_are_swept_after_two_days<E: Engine>(engine: &E) {
    let (clock, time) = Clock::manual(Duration::from_hours(1_000_000));
    let tenant = tenant_with(engine, Options::default().clock(clock)).await;
    let mut marks = Vec::new();
    for _ in 0..60 {
        tenant.transact_once(async |_| Ok::<_, Error>(())).await.unwrap();
        tenant.transact_once(async |_| Ok::<_, Error>(())).await.unwrap();
        marks.push(everything(&tenant).await.len());
        time.advance(Duration::from_hours(1));
    }
    assert_eq!(marks[..3], [2, 4, 6]);
    assert_eq!(
        marks.iter().max(),
        Some(&98),
        "those of 48 hours and of the one under way"
    );
    assert_eq!(marks.last(), Some(&98));
}
