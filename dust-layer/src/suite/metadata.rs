//! Promises about the metadata version.

use super::{SERIALIZABLE, SNAPSHOT, all, put, some};
use crate::engine::{Atomic, Conflict, Engine, METADATA_VERSION, Transaction};
use crate::error::Error;

const STAMP: [u8; 14] = [0; 14];

async fn bump<E: Engine>(engine: &E) -> Result<[u8; 10], Error> {
    let transaction = engine.begin();
    transaction.set_versionstamped_value(METADATA_VERSION, &STAMP);
    Ok(transaction.commit().await?.stamp)
}

/// Its value is the stamp of the commit that wrote it last, and grows.
pub async fn the_metadata_version_is_the_stamp_of_its_last_write<E: Engine>(engine: E) -> Result<(), Error> {
    let first = bump(&engine).await?;
    let reader = engine.begin();
    assert_eq!(reader.get(METADATA_VERSION, SNAPSHOT).await?, some(&first));
    put(&engine, &[(b"k", b"")]).await?;
    assert_eq!(engine.begin().get(METADATA_VERSION, SERIALIZABLE).await?, some(&first));
    let second = bump(&engine).await?;
    assert!(first < second);
    assert_eq!(engine.begin().get(METADATA_VERSION, SNAPSHOT).await?, some(&second));
    // A transaction sees what it was when it began.
    assert_eq!(reader.get(METADATA_VERSION, SNAPSHOT).await?, some(&first));
    Ok(())
}

/// It is written by a stamp and nothing else, and such a transaction cannot read it.
pub async fn the_metadata_version_is_written_by_a_stamp_only<E: Engine>(engine: E) -> Result<(), Error> {
    let before = bump(&engine).await?;
    let write = |number: u8| {
        let transaction = engine.begin();
        match number {
            0 => transaction.set(METADATA_VERSION, b"7"),
            1 => transaction.clear(METADATA_VERSION),
            2 => transaction.atomic(Atomic::Add, METADATA_VERSION, &[1]),
            3 => transaction.set_versionstamped_value(METADATA_VERSION, &[1; 14]),
            4 => transaction.set_versionstamped_value(METADATA_VERSION, &[0; 15]),
            _ => {
                let key = [METADATA_VERSION, &[0; 10], &[17, 0, 0, 0]].concat();
                transaction.set_versionstamped_key(&key, b"");
            }
        }
        transaction
    };
    for number in 0..=5 {
        let refused = write(number).commit().await;
        assert!(
            matches!(refused, Err(Error::InvalidOperation(_))),
            "{number}: {refused:?}"
        );
    }
    assert_eq!(engine.begin().get(METADATA_VERSION, SNAPSHOT).await?, some(&before));
    let writer = engine.begin();
    writer.set_versionstamped_value(METADATA_VERSION, &STAMP);
    let unreadable = writer.get(METADATA_VERSION, SNAPSHOT).await;
    assert!(matches!(unreadable, Err(Error::AccessedUnreadable)), "{unreadable:?}");
    Ok(())
}

/// A read of it conflicts with its next write, unless it is a snapshot read; its writers do not conflict.
pub async fn a_read_of_the_metadata_version_conflicts<E: Engine>(engine: E) -> Result<(), Error> {
    bump(&engine).await?;
    let (reader, snapshot, writer) = (engine.begin(), engine.begin(), engine.begin());
    reader.get(METADATA_VERSION, SERIALIZABLE).await?;
    snapshot.get(METADATA_VERSION, SNAPSHOT).await?;
    writer.set_versionstamped_value(METADATA_VERSION, &STAMP);
    bump(&engine).await?;
    for transaction in [&reader, &snapshot] {
        transaction.set(b"k", b"");
    }
    assert!(matches!(reader.commit().await, Err(Error::Conflict)));
    snapshot.commit().await?;
    writer.commit().await?;
    Ok(())
}

/// No range contains it, however far it goes, and no other key lies where it does.
pub async fn ranges_end_before_the_engines_own_keys<E: Engine>(engine: E) -> Result<(), Error> {
    let before = bump(&engine).await?;
    put(&engine, &[(b"a", b""), (b"\xfe\xff", b"")]).await?;
    for end in [&b"\xff"[..], b"\xff\xff"] {
        assert_eq!(engine.begin().get_range(all(b"", end)).await?.len(), 2);
    }
    let (wiper, reader) = (engine.begin(), engine.begin());
    reader.get(METADATA_VERSION, SERIALIZABLE).await?;
    reader.set(b"c", b"");
    wiper.clear_range(b"", b"\xff\xff");
    wiper.commit().await?;
    // Not even as a conflict.
    reader.commit().await?;
    assert_eq!(engine.begin().get(METADATA_VERSION, SNAPSHOT).await?, some(&before));
    let is_refused = |outcome: Result<(), Error>| assert!(matches!(outcome, Err(Error::InvalidOperation(_))));
    is_refused(engine.begin().get(b"\xffkey", SNAPSHOT).await.map(drop));
    let writer = engine.begin();
    writer.set(b"\xffkey", b"");
    is_refused(writer.commit().await.map(drop));
    let writer = engine.begin();
    writer.add_conflict(Conflict::Read, METADATA_VERSION, b"\xff\xff");
    is_refused(writer.commit().await.map(drop));
    Ok(())
}
