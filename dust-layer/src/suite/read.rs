//! Promises about point reads.

use super::{SERIALIZABLE, SNAPSHOT, all, put, some, value};
use crate::engine::{Atomic, Engine, Transaction};
use crate::error::Error;
use crate::suite::text;

/// A transaction reads what it has set, and only it does before the commit.
pub async fn own_writes_are_read<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"old")]).await?;
    let transaction = engine.begin();
    transaction.set(b"k", b"new");
    transaction.set(b"other", b"");
    assert_eq!(transaction.get(b"k", SERIALIZABLE).await?, some(b"new"));
    assert_eq!(transaction.get(b"k", SNAPSHOT).await?, some(b"new"));
    assert_eq!(transaction.get(b"other", SERIALIZABLE).await?, some(b""));
    assert_eq!(value(&engine, b"k").await?, some(b"old"));
    Ok(())
}

/// A transaction does not read what it has cleared, key by key or as a range.
pub async fn own_clears_are_read<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"a", b"1"), (b"b", b"2"), (b"c", b"3")]).await?;
    let transaction = engine.begin();
    transaction.clear(b"a");
    transaction.clear_range(b"b", b"c");
    assert_eq!(transaction.get(b"a", SERIALIZABLE).await?, None);
    assert_eq!(transaction.get(b"b", SERIALIZABLE).await?, None);
    assert_eq!(transaction.get(b"c", SERIALIZABLE).await?, some(b"3"));
    transaction.set(b"b", b"again");
    assert_eq!(transaction.get(b"b", SERIALIZABLE).await?, some(b"again"));
    transaction.commit().await?;
    assert_eq!(text(&engine.begin().get_range(all(b"a", b"z")).await?), "b=again c=3");
    Ok(())
}

/// A transaction reads the outcome of its atomics, on values it wrote, cleared, or never touched.
pub async fn own_atomics_are_read<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"below", &[5, 0]), (b"cleared", &[9])]).await?;
    let transaction = engine.begin();
    transaction.set(b"written", &[1]);
    transaction.clear(b"cleared");
    for key in [&b"below"[..], b"written", b"cleared", b"absent"] {
        transaction.atomic(Atomic::Add, key, &[2, 0]);
        transaction.atomic(Atomic::Max, key, &[4, 0]);
    }
    let expected: [(&[u8], u8); 4] = [(b"below", 7), (b"written", 4), (b"cleared", 4), (b"absent", 4)];
    for (key, low) in expected {
        assert_eq!(transaction.get(key, SERIALIZABLE).await?, Some(vec![low, 0]));
    }
    transaction.commit().await?;
    for (key, low) in expected {
        assert_eq!(value(&engine, key).await?, Some(vec![low, 0]));
    }
    Ok(())
}

/// Commits of others after the beginning are not seen, by keys or ranges.
pub async fn a_transaction_sees_the_version_it_began_with<E: Engine>(engine: E) -> Result<(), Error> {
    let committed = put(&engine, &[(b"k", b"1")]).await?;
    let transaction = engine.begin();
    let version = transaction.read_version().await?;
    assert!(version >= committed.version);
    let later = put(&engine, &[(b"k", b"2"), (b"l", b"2")]).await?;
    assert!(later.version > version);
    assert_eq!(transaction.get(b"k", SNAPSHOT).await?, some(b"1"));
    assert_eq!(text(&transaction.get_range(all(b"a", b"z")).await?), "k=1");
    assert_eq!(transaction.read_version().await?, version);
    assert_eq!(value(&engine, b"k").await?, some(b"2"));
    Ok(())
}

/// Keys and values may hold any bytes, and order as bytes; the empty key is one too.
pub async fn any_bytes_are_keys_and_values<E: Engine>(engine: E) -> Result<(), Error> {
    let keys: [&[u8]; 8] = [
        b"",
        b"\0",
        b"\0\0",
        b"\0\xff",
        b"a",
        b"a\0",
        b"\xfe\xff",
        b"\xfe\xff\xff",
    ];
    let transaction = engine.begin();
    for key in keys.iter().rev() {
        transaction.set(key, &[&[0xff, 0], *key].concat());
    }
    transaction.commit().await?;
    let pairs = engine.begin().get_range(all(b"", b"\xff")).await?;
    let found: Vec<&[u8]> = pairs.iter().map(|(key, _)| key).collect();
    assert_eq!(found, keys);
    for key in keys {
        assert_eq!(value(&engine, key).await?, Some([&[0xff, 0], key].concat()));
    }
    Ok(())
}

/// Reading a key or range under a versionstamp that only the commit assigns is an error.
pub async fn unresolved_versionstamps_are_unreadable<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"log/", b""), (b"v", b"old")]).await?;
    let transaction = engine.begin();
    transaction.set_versionstamped_value(b"v", &[0; 14]);
    transaction.set_versionstamped_key(b"log/..........\x04\0\0\0", b"entry");
    let refused = |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::AccessedUnreadable)));
    refused(transaction.get(b"v", SERIALIZABLE).await.map(drop));
    refused(transaction.get(b"v", SNAPSHOT).await.map(drop));
    refused(transaction.get_range(all(b"u", b"w")).await.map(drop));
    refused(transaction.get_range(all(b"log/", b"log0")).await.map(drop));
    assert_eq!(transaction.get(b"log/", SERIALIZABLE).await?, some(b""));
    assert_eq!(text(&transaction.get_range(all(b"l", b"log/\0")).await?), "log/=");
    transaction.commit().await?;
    Ok(())
}

/// A versionstamped value that the same transaction overwrites or clears is gone. Whether the transaction itself can read what
/// took its place is the engine's affair.
pub async fn an_overwritten_versionstamp_is_gone<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    transaction.set_versionstamped_value(b"a", &[0; 14]);
    transaction.set_versionstamped_value(b"b", &[0; 14]);
    transaction.set(b"a", b"plain");
    transaction.clear_range(b"b", b"c");
    transaction.commit().await?;
    assert_eq!(text(&engine.begin().get_range(all(b"a", b"z")).await?), "a=plain");
    Ok(())
}
