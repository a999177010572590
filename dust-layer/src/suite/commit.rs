//! Promises about commits: outcomes, versions, stamps, order and limits.

use super::{SERIALIZABLE, all, put, some, text, value};
use crate::engine::{Atomic, Conflict, Engine, Transaction};
use crate::error::Error;

/// Whoever begins after a commit returned sees it.
pub async fn a_commit_is_seen_by_later_transactions<E: Engine>(engine: E) -> Result<(), Error> {
    for round in 0..50_u8 {
        let committed = put(&engine, &[(b"k", &[round])]).await?;
        let later = engine.begin();
        assert!(later.read_version().await? >= committed.version);
        assert_eq!(later.get(b"k", SERIALIZABLE).await?, some(&[round]));
    }
    Ok(())
}

/// Dropping a transaction discards it.
pub async fn a_dropped_transaction_writes_nothing<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    transaction.set(b"k", b"v");
    drop(transaction);
    assert_eq!(value(&engine, b"k").await?, None);
    Ok(())
}

/// A transaction that wrote nothing commits at its read version, whatever others have written since.
pub async fn a_read_only_commit_is_trivial<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"1")]).await?;
    let reader = engine.begin();
    reader.get(b"k", SERIALIZABLE).await?;
    let version = reader.read_version().await?;
    put(&engine, &[(b"k", b"2")]).await?;
    assert_eq!(reader.commit().await?.version, version);
    Ok(())
}

/// After the commit, and after a failed one, everything but dropping is refused.
pub async fn a_used_transaction_is_refused<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    transaction.set(b"k", b"v");
    transaction.commit().await?;
    transaction.set(b"k", b"later");
    transaction.clear_range(b"a", b"z");
    assert!(matches!(transaction.get(b"k", SERIALIZABLE).await, Err(Error::Used)));
    assert!(matches!(transaction.get_range(all(b"a", b"z")).await, Err(Error::Used)));
    assert!(matches!(transaction.watch(b"k").await, Err(Error::Used)));
    assert!(matches!(transaction.commit().await, Err(Error::Used)));
    assert_eq!(value(&engine, b"k").await?, some(b"v"));

    let transaction = engine.begin();
    transaction.clear_range(b"z", b"a");
    assert!(transaction.commit().await.is_err());
    assert!(matches!(transaction.commit().await, Err(Error::Used)));
    Ok(())
}

/// Versions and stamps of commits one after another ascend, and a stamp begins with its version.
pub async fn versions_and_stamps_grow<E: Engine>(engine: E) -> Result<(), Error> {
    let mut last = put(&engine, &[(b"k", b"")]).await?;
    for _ in 0..50 {
        let next = put(&engine, &[(b"k", b"")]).await?;
        assert!(next.version > last.version && next.stamp > last.stamp);
        assert!(next.stamp.starts_with(&next.version.0.to_be_bytes()));
        last = next;
    }
    Ok(())
}

/// The placeholders of versionstamped keys and values become the commit's stamp; the offset is no part of either.
pub async fn stamps_are_filled_in<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    transaction.set_versionstamped_key(b"k/..........!\x02\0\0\0", b"v");
    transaction.set_versionstamped_value(b"v", b"<..........>\x01\0\0\0");
    let stamp = transaction.commit().await?.stamp;
    let pairs = engine.begin().get_range(all(b"", b"\xff")).await?;
    let expected = [
        ([b"k/", &stamp[..], b"!"].concat(), b"v".to_vec()),
        (b"v".to_vec(), [b"<", &stamp[..], b">"].concat()),
    ];
    let found: Vec<_> = pairs
        .iter()
        .map(|(key, value)| (key.to_vec(), value.to_vec()))
        .collect();
    assert_eq!(found, expected);
    Ok(())
}

/// An offset that is missing or leaves no room for the stamp fails the commit, and nothing of it is applied.
pub async fn a_bad_stamp_offset_is_refused<E: Engine>(engine: E) -> Result<(), Error> {
    for bytes in [
        &b""[..],
        b"\0\0\0",
        b"123456789\0\0\0\0",
        b"1234567890\x01\0\0\0",
        b"1234567890\xff\xff\xff\xff",
    ] {
        let transaction = engine.begin();
        transaction.set(b"other", b"");
        transaction.set_versionstamped_key(bytes, b"");
        assert!(matches!(transaction.commit().await, Err(Error::InvalidOperation(_))));
        let transaction = engine.begin();
        transaction.set_versionstamped_value(b"k", bytes);
        assert!(matches!(transaction.commit().await, Err(Error::InvalidOperation(_))));
    }
    assert!(engine.begin().get_range(all(b"", b"\xff")).await?.is_empty());
    Ok(())
}

/// Writes of one transaction apply in the order in which they were made.
pub async fn writes_happen_in_their_order<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b"0"), (b"b", b"0"), (b"c", b"0"), (b"d", b"0")]).await?;
    let transaction = engine.begin();
    transaction.set(b"a", b"1");
    transaction.clear_range(b"a", b"c");
    transaction.set(b"b", b"2");
    transaction.atomic(Atomic::Add, b"b", &[1]);
    transaction.clear(b"c");
    transaction.atomic(Atomic::Add, b"c", b"5");
    transaction.set_versionstamped_key(b"s..........\x01\0\0\0", b"");
    transaction.clear_range(b"s", b"t");
    transaction.commit().await?;
    assert_eq!(text(&engine.begin().get_range(all(b"", b"\xff")).await?), "b=3 c=5 d=0");
    Ok(())
}

/// Addition wraps and maximum compares in the operand's length, on values of any length.
pub async fn atomics_count_in_their_length<E: Engine>(engine: E) -> Result<(), Error> {
    let step = |atomic, operand: Vec<u8>| {
        let transaction = engine.begin();
        transaction.atomic(atomic, b"n", &operand);
        let engine = engine.clone();
        async move {
            transaction.commit().await?;
            value(&engine, b"n").await
        }
    };
    assert_eq!(step(Atomic::Add, vec![0xff, 0xff]).await?, some(&[0xff, 0xff]));
    assert_eq!(step(Atomic::Add, vec![1, 0]).await?, some(&[0, 0]));
    assert_eq!(step(Atomic::Add, vec![1, 2, 3, 4]).await?, some(&[1, 2, 3, 4]));
    assert_eq!(step(Atomic::Max, vec![9, 1]).await?, some(&[1, 2]));
    assert_eq!(step(Atomic::Max, vec![0, 3]).await?, some(&[0, 3]));
    assert_eq!(step(Atomic::Max, vec![0, 0, 0]).await?, some(&[0, 3, 0]));
    Ok(())
}

/// What exceeds a limit fails with the error that names it; what just meets it is accepted.
pub async fn limits_are_enforced<E: Engine>(engine: E) -> Result<(), Error> {
    let limits = engine.limits();
    let key = vec![b'k'; limits.key_bytes_max + 1];
    let full_key = key.get(1..).unwrap_or_default();
    let large = vec![b'v'; limits.value_bytes_max + 1];
    let full_value = large.get(1..).unwrap_or_default();

    put(&engine, &[(full_key, full_value)]).await?;
    assert_eq!(value(&engine, full_key).await?, some(full_value));
    let after = [full_key, &[0]].concat();
    assert_eq!(engine.begin().get_range(all(full_key, &after)).await?.len(), 1);

    assert!(matches!(
        put(&engine, &[(&key, b"")]).await,
        Err(Error::KeyTooLong { .. })
    ));
    assert!(matches!(value(&engine, &key).await, Err(Error::KeyTooLong { .. })));
    assert!(matches!(
        put(&engine, &[(b"k", &large)]).await,
        Err(Error::ValueTooLarge { .. })
    ));
    let transaction = engine.begin();
    transaction.add_conflict(Conflict::Read, &key, &[&key[..], b"longer"].concat());
    assert!(matches!(transaction.commit().await, Err(Error::KeyTooLong { .. })));

    let transaction = engine.begin();
    let count = limits.transaction_bytes_max / limits.value_bytes_max + 1;
    for number in 0..count {
        transaction.set(&number.to_be_bytes(), full_value);
    }
    assert!(matches!(
        transaction.commit().await,
        Err(Error::TransactionTooLarge { .. })
    ));
    assert_eq!(engine.begin().get_range(all(b"", b"\xff")).await?.len(), 1);
    Ok(())
}
