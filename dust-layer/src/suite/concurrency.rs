//! Promises about transactions that run at once.

use std::collections::BTreeSet;

use tokio::task::JoinSet;

use super::{SERIALIZABLE, SNAPSHOT, all, put, some, value};
use crate::engine::{Atomic, Engine, Transaction};
use crate::error::Error;
use crate::transaction::transact;

const TASKS: u64 = 16;
const ROUNDS: u64 = 25;

/// Waits for every task; a panic in one fails the promise.
async fn join(mut tasks: JoinSet<Result<(), Error>>) -> Result<(), Error> {
    while let Some(done) = tasks.join_next().await {
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    }
    Ok(())
}

fn number(bytes: Option<Vec<u8>>) -> u64 {
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .map_or(0, u64::from_le_bytes)
}

/// Atomic additions of many tasks to one key neither conflict nor get lost.
pub async fn atomics_sum_exactly<E: Engine>(engine: E) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let engine = engine.clone();
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                let transaction = engine.begin();
                transaction.atomic(Atomic::Add, b"sum", &1_u64.to_le_bytes());
                transaction.commit().await?;
            }
            Ok(())
        });
    }
    join(tasks).await?;
    assert_eq!(number(value(&engine, b"sum").await?), TASKS * ROUNDS);
    Ok(())
}

/// Read-modify-write in the retry loop loses no update.
pub async fn increments_in_the_retry_loop_count_exactly<E: Engine>(engine: E) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let engine = engine.clone();
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                transact(&engine, |tx| async move {
                    let next = number(tx.get(b"count", SERIALIZABLE).await?) + 1;
                    tx.set(b"count", &next.to_le_bytes());
                    Ok::<_, Error>(())
                })
                .await?;
            }
            Ok(())
        });
    }
    join(tasks).await?;
    assert_eq!(number(value(&engine, b"count").await?), TASKS * ROUNDS);
    Ok(())
}

/// Of transactions that read and write one key at the same version, exactly one commits, also when their commits are
/// under way at once and may share a group.
pub async fn of_commits_submitted_together_one_wins<E: Engine>(engine: E) -> Result<(), Error> {
    for round in 0..10_u8 {
        let mut commits = JoinSet::new();
        let transactions: Vec<_> = (0..TASKS).map(|_| engine.begin()).collect();
        for transaction in &transactions {
            transaction.read_version().await?;
        }
        for (task, transaction) in (0_u8..).zip(transactions) {
            transaction.get(b"k", SERIALIZABLE).await?;
            transaction.set(b"k", &[round, task]);
            commits.spawn(async move { transaction.commit().await });
        }
        let mut winners = 0;
        while let Some(outcome) = commits.join_next().await {
            match outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic())) {
                Ok(_) => winners += 1,
                Err(Error::Conflict) => {}
                Err(error) => return Err(error),
            }
        }
        assert_eq!(winners, 1);
    }
    Ok(())
}

/// Transfers between accounts never show a reader a sum that is off, in one range or key by key.
pub async fn transfers_keep_the_sum_that_readers_see<E: Engine>(engine: E) -> Result<(), Error> {
    const ACCOUNTS: u64 = 6;
    const BALANCE: u64 = 1000;
    let account = |index: u64| [b"account/", &index.to_be_bytes()[..]].concat();
    let setup = engine.begin();
    for index in 0..ACCOUNTS {
        setup.set(&account(index), &BALANCE.to_le_bytes());
    }
    setup.commit().await?;
    let mut tasks = JoinSet::new();
    for task in 0..4 {
        let engine = engine.clone();
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let (from, to) = ((task + round) % ACCOUNTS, (task * 3 + round * 5 + 1) % ACCOUNTS);
                if from == to {
                    continue;
                }
                transact(&engine, |tx| async move {
                    let (from, to) = (account(from), account(to));
                    let left = number(tx.get(&from, SERIALIZABLE).await?).saturating_sub(round);
                    let moved = number(tx.get(&from, SERIALIZABLE).await?) - left;
                    let right = number(tx.get(&to, SERIALIZABLE).await?) + moved;
                    tx.set(&from, &left.to_le_bytes());
                    tx.set(&to, &right.to_le_bytes());
                    Ok::<_, Error>(())
                })
                .await?;
            }
            Ok(())
        });
    }
    for _ in 0..2 {
        let engine = engine.clone();
        tasks.spawn(async move {
            for _ in 0..ROUNDS {
                let transaction = engine.begin();
                let pairs = transaction.get_range(all(b"account/", b"account0")).await?;
                let sum: u64 = pairs.iter().map(|(_, value)| number(Some(value.to_vec()))).sum();
                let mut each = 0;
                for index in 0..ACCOUNTS {
                    each += number(transaction.get(&account(index), SNAPSHOT).await?);
                }
                assert_eq!((sum, each), (ACCOUNTS * BALANCE, ACCOUNTS * BALANCE));
                tokio::task::yield_now().await;
            }
            Ok(())
        });
    }
    join(tasks).await
}

/// A reader that stays open sees its version to the end, and commits go on meanwhile.
pub async fn a_long_reader_neither_blocks_nor_sees_later_writes<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"first"), (b"other", b"first")]).await?;
    let reader = engine.begin();
    reader.read_version().await?;
    for round in 0..100_u8 {
        let transaction = engine.begin();
        transaction.set(b"k", &[round]);
        transaction.set(&[b'n', round], b"");
        transaction.clear(b"other");
        transaction.commit().await?;
    }
    assert_eq!(reader.get(b"k", SERIALIZABLE).await?, some(b"first"));
    assert_eq!(reader.get_range(all(b"", b"\xff")).await?.len(), 2);
    reader.commit().await?;
    assert_eq!(value(&engine, b"k").await?, some(&[99]));
    Ok(())
}

/// Stamps of commits at once are all different, and the keys made of them are in commit order.
pub async fn stamps_of_concurrent_commits_differ_and_order_them<E: Engine>(engine: E) -> Result<(), Error> {
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let engine = engine.clone();
        tasks.spawn(async move {
            let mut last = None;
            for round in 0..ROUNDS {
                let transaction = engine.begin();
                let entry = [task.to_be_bytes(), round.to_be_bytes()].concat();
                transaction.set_versionstamped_key(b"log/..........\x04\0\0\0", &entry);
                let stamp = Some(transaction.commit().await?.stamp);
                assert!(stamp > last);
                last = stamp;
            }
            Ok(())
        });
    }
    join(tasks).await?;
    let log = engine.begin().get_range(all(b"log/", b"log0")).await?;
    assert_eq!(
        log.iter().map(|(key, _)| key).collect::<BTreeSet<_>>().len() as u64,
        TASKS * ROUNDS
    );
    for task in 0..TASKS {
        let rounds: Vec<&[u8]> = log
            .iter()
            .filter_map(|(_, entry)| entry.strip_prefix(&task.to_be_bytes()))
            .collect();
        assert!(rounds.is_sorted() && rounds.len() as u64 == ROUNDS);
    }
    Ok(())
}

/// A commit whose future is dropped half-way is applied as a whole or not at all, and the engine goes on.
pub async fn a_dropped_commit_is_whole_or_absent<E: Engine>(engine: E) -> Result<(), Error> {
    for round in 0..20_u8 {
        let transaction = engine.begin();
        transaction.set(&[b'a', round], b"");
        transaction.set(&[b'b', round], b"");
        let commit = tokio::spawn(async move { transaction.commit().await });
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        commit.abort();
        let _ = commit.await;
    }
    put(&engine, &[(b"end", b"")]).await?;
    for round in 0..20_u8 {
        let reader = engine.begin();
        let first = reader.get(&[b'a', round], SNAPSHOT).await?;
        let second = reader.get(&[b'b', round], SNAPSHOT).await?;
        assert_eq!(first, second);
    }
    Ok(())
}
