//! Promises about which transactions are refused.

use super::{SERIALIZABLE, SNAPSHOT, all, clear, put, some, value};
use crate::engine::{Conflict, Direction, Engine, RangeRead, Transaction};
use crate::error::Error;

/// Commits a write, so that the transaction is not read-only, and tells whether it was refused for a conflict.
async fn is_refused(transaction: &impl Transaction) -> Result<bool, Error> {
    transaction.set(b"~written", b"");
    match transaction.commit().await {
        Ok(_) => Ok(false),
        Err(Error::Conflict) => Ok(true),
        Err(error) => Err(error),
    }
}

/// A key that was read and then written by another transaction.
pub async fn a_read_key_that_was_written_conflicts<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"1"), (b"l", b"1")]).await?;
    let (reader, other) = (engine.begin(), engine.begin());
    reader.get(b"k", SERIALIZABLE).await?;
    other.get(b"l", SERIALIZABLE).await?;
    // Even if the value is the same: what counts is the write.
    put(&engine, &[(b"k", b"1")]).await?;
    assert!(is_refused(&reader).await?);
    assert!(!is_refused(&other).await?);
    Ok(())
}

/// A key that was read as absent and then written.
pub async fn an_absent_key_that_was_written_conflicts<E: Engine>(engine: E) -> Result<(), Error> {
    let reader = engine.begin();
    assert_eq!(reader.get(b"k", SERIALIZABLE).await?, None);
    put(&engine, &[(b"k", b"1")]).await?;
    assert!(is_refused(&reader).await?);
    Ok(())
}

/// A key inserted where a range was read as empty of it.
pub async fn an_insert_into_a_read_range_conflicts<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b""), (b"c", b"")]).await?;
    for direction in [Direction::Forward, Direction::Reverse] {
        let (inside, outside) = (engine.begin(), engine.begin());
        inside
            .get_range(RangeRead {
                direction,
                ..all(b"a", b"c")
            })
            .await?;
        outside
            .get_range(RangeRead {
                direction,
                ..all(b"bb", b"c")
            })
            .await?;
        put(&engine, &[(b"b", b"")]).await?;
        assert!(is_refused(&inside).await?);
        assert!(!is_refused(&outside).await?);
        clear(&engine, &[b"b"]).await?;
    }
    Ok(())
}

/// A key deleted from a range that was read.
pub async fn a_delete_from_a_read_range_conflicts<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b""), (b"b", b"")]).await?;
    let reader = engine.begin();
    reader.get_range(all(b"a", b"c")).await?;
    clear(&engine, &[b"b"]).await?;
    assert!(is_refused(&reader).await?);
    Ok(())
}

/// A range clear writes every key of the range, also those that are not there.
pub async fn a_range_clear_over_a_read_key_conflicts<E: Engine>(engine: E) -> Result<(), Error> {
    let (inside, at_end) = (engine.begin(), engine.begin());
    inside.get(b"b", SERIALIZABLE).await?;
    at_end.get(b"c", SERIALIZABLE).await?;
    let clearer = engine.begin();
    clearer.clear_range(b"a", b"c");
    clearer.commit().await?;
    assert!(is_refused(&inside).await?);
    assert!(!is_refused(&at_end).await?);
    Ok(())
}

/// A range that the limit cut was read up to its last pair only.
pub async fn a_cut_range_conflicts_only_where_it_was_read<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b""), (b"c", b""), (b"e", b""), (b"g", b"")]).await?;
    let cases: [(Direction, &[u8], bool); 6] = [
        (Direction::Forward, b"b", true),
        (Direction::Forward, b"c", true),
        (Direction::Forward, b"d", false),
        (Direction::Reverse, b"f", true),
        (Direction::Reverse, b"e", true),
        (Direction::Reverse, b"d", false),
    ];
    for (direction, written, conflicts) in cases {
        let reader = engine.begin();
        let pairs = reader
            .get_range(RangeRead {
                limit: 2,
                direction,
                ..all(b"a", b"z")
            })
            .await?;
        assert!(pairs.more());
        put(&engine, &[(written, b"")]).await?;
        assert_eq!(is_refused(&reader).await?, conflicts, "{direction:?} {written:?}");
        if !b"aceg".contains(&written.first().copied().unwrap_or_default()) {
            clear(&engine, &[written]).await?;
        }
    }
    Ok(())
}

/// A range that the limit did not cut was read to its end, however few pairs it has.
pub async fn a_range_conflicts_up_to_its_end_when_not_cut<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b""), (b"b", b"")]).await?;
    let reader = engine.begin();
    let pairs = reader
        .get_range(RangeRead {
            limit: 2,
            ..all(b"a", b"z")
        })
        .await?;
    assert!(!pairs.more());
    put(&engine, &[(b"y", b"")]).await?;
    assert!(is_refused(&reader).await?);
    Ok(())
}

/// Snapshot reads of keys and ranges add no conflict.
pub async fn snapshot_reads_do_not_conflict<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"1")]).await?;
    let reader = engine.begin();
    assert_eq!(reader.get(b"k", SNAPSHOT).await?, some(b"1"));
    reader
        .get_range(RangeRead {
            isolation: SNAPSHOT,
            ..all(b"a", b"z")
        })
        .await?;
    put(&engine, &[(b"k", b"2"), (b"l", b"2")]).await?;
    assert!(!is_refused(&reader).await?);
    Ok(())
}

/// Two transactions that only write the same keys both commit; the later one stands.
pub async fn blind_writes_do_not_conflict<E: Engine>(engine: E) -> Result<(), Error> {
    let (first, second) = (engine.begin(), engine.begin());
    first.set(b"k", b"first");
    second.set(b"k", b"second");
    second.clear_range(b"x", b"y");
    first.commit().await?;
    second.commit().await?;
    assert_eq!(value(&engine, b"k").await?, some(b"second"));
    Ok(())
}

/// Reading back a key that the transaction itself has set says nothing about the store.
pub async fn own_writes_read_back_do_not_conflict<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    transaction.set(b"k", b"mine");
    transaction.get(b"k", SERIALIZABLE).await?;
    put(&engine, &[(b"k", b"theirs")]).await?;
    assert!(!is_refused(&transaction).await?);
    assert_eq!(value(&engine, b"k").await?, some(b"mine"));
    Ok(())
}

/// Of two transactions that each read what the other writes, one is refused.
pub async fn write_skew_is_refused<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b"on"), (b"b", b"on")]).await?;
    let (first, second) = (engine.begin(), engine.begin());
    for transaction in [&first, &second] {
        transaction.get(b"a", SERIALIZABLE).await?;
        transaction.get(b"b", SERIALIZABLE).await?;
    }
    first.set(b"a", b"off");
    second.set(b"b", b"off");
    first.commit().await?;
    assert!(matches!(second.commit().await, Err(Error::Conflict)));
    assert_eq!(value(&engine, b"b").await?, some(b"on"));
    Ok(())
}

/// Conflict ranges added by hand work as reads and writes do, without either.
pub async fn conflicts_added_by_hand_count<E: Engine>(engine: E) -> Result<(), Error> {
    let reader = engine.begin();
    reader.read_version().await?;
    reader.add_conflict(Conflict::Read, b"a", b"c");
    put(&engine, &[(b"b", b"")]).await?;
    assert!(is_refused(&reader).await?);

    let reader = engine.begin();
    reader.get(b"m", SERIALIZABLE).await?;
    let writer = engine.begin();
    writer.add_conflict(Conflict::Write, b"l", b"n");
    writer.commit().await?;
    assert_eq!(value(&engine, b"m").await?, None);
    assert!(is_refused(&reader).await?);
    Ok(())
}

/// The key that a versionstamp made is a write like any other.
pub async fn a_versionstamped_key_conflicts_with_a_read_of_its_range<E: Engine>(engine: E) -> Result<(), Error> {
    let (reader, other) = (engine.begin(), engine.begin());
    reader.get_range(all(b"log/", b"log0")).await?;
    other.get_range(all(b"log0", b"log1")).await?;
    let writer = engine.begin();
    writer.set_versionstamped_key(b"log/..........\x04\0\0\0", b"");
    writer.commit().await?;
    assert!(is_refused(&reader).await?);
    assert!(!is_refused(&other).await?);
    Ok(())
}

/// Nothing of a refused transaction is applied.
pub async fn a_refused_transaction_writes_nothing<E: Engine>(engine: E) -> Result<(), Error> {
    let reader = engine.begin();
    reader.get(b"k", SERIALIZABLE).await?;
    reader.set(b"a", b"");
    reader.clear(b"k");
    put(&engine, &[(b"k", b"1")]).await?;
    assert!(is_refused(&reader).await?);
    assert_eq!(engine.begin().get_range(all(b"", b"\xff")).await?.len(), 1);
    Ok(())
}
