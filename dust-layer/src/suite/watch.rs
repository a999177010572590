//! Promises about watches.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::{SERIALIZABLE, clear, put};
use crate::engine::{Engine, Transaction, Watch};
use crate::error::Error;

/// Whether a watch has not resolved. Commits fire watches before or right after they return, so the caller makes another
/// commit first, which is sure to come after.
fn is_waiting(watch: &mut Watch) -> bool {
    poll(watch).is_pending()
}

fn poll(watch: &mut Watch) -> Poll<Result<(), Error>> {
    pin!(watch).poll(&mut Context::from_waker(Waker::noop()))
}

async fn watch<E: Engine>(engine: &E, key: &[u8]) -> Result<Watch, Error> {
    let transaction = engine.begin();
    let watch = transaction.watch(key);
    transaction.commit().await?;
    Ok(watch)
}

/// A watch resolves when its key gets another value, and not when other keys do.
pub async fn a_watch_fires_on_a_change<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"1")]).await?;
    let mut watch = watch(&engine, b"k").await?;
    put(&engine, &[(b"j", b"2"), (b"k\0", b"2")]).await?;
    put(&engine, &[(b"j", b"3")]).await?;
    assert!(is_waiting(&mut watch));
    put(&engine, &[(b"k", b"2")]).await?;
    watch.await
}

/// Clearing the key is a change, alone or in a range; inserting an absent one too.
pub async fn a_watch_fires_on_a_clear_and_on_a_range_clear<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"k", b"1"), (b"l", b"1")]).await?;
    let watches = [
        watch(&engine, b"k").await?,
        watch(&engine, b"l").await?,
        watch(&engine, b"m").await?,
    ];
    clear(&engine, &[b"k"]).await?;
    let transaction = engine.begin();
    transaction.clear_range(b"l", b"m");
    transaction.commit().await?;
    put(&engine, &[(b"m", b"")]).await?;
    for watch in watches {
        watch.await?;
    }
    Ok(())
}

/// A transaction that reads and watches, and writes nothing, has its watch all the same.
pub async fn a_watch_of_a_read_only_transaction_fires<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    assert_eq!(transaction.get(b"k", SERIALIZABLE).await?, None);
    let mut watch = transaction.watch(b"k");
    transaction.commit().await?;
    assert!(is_waiting(&mut watch));
    put(&engine, &[(b"k", b"1")]).await?;
    watch.await
}

/// A change between what the transaction saw and its commit is not missed: it fires the watch, or is a conflict if the
/// transaction writes and the engine takes the watch for a read.
pub async fn a_change_before_the_commit_fires_the_watch<E: Engine>(engine: E) -> Result<(), Error> {
    let (reader, writer) = (engine.begin(), engine.begin());
    for transaction in [&reader, &writer] {
        transaction.read_version().await?;
    }
    let (read, written) = (reader.watch(b"k"), writer.watch(b"k"));
    put(&engine, &[(b"k", b"1")]).await?;
    reader.commit().await?;
    read.await?;
    writer.set(b"other", b"");
    match writer.commit().await {
        Ok(_) => written.await,
        Err(Error::Conflict) => {
            assert!(written.await.is_err());
            Ok(())
        }
        Err(error) => Err(error),
    }
}

/// Own writes made before the watch are what it compares with; one that only the commit completes may be refused.
pub async fn a_watch_compares_with_what_its_transaction_wrote<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    transaction.set(b"k", b"1");
    transaction.set_versionstamped_value(b"stamped", &[0; 14]);
    let (mut watch, mut stamped) = (transaction.watch(b"k"), transaction.watch(b"stamped"));
    transaction.commit().await?;
    put(&engine, &[(b"other", b"")]).await?;
    assert!(is_waiting(&mut watch));
    let refused = poll(&mut stamped);
    put(&engine, &[(b"k", b"2"), (b"stamped", b"")]).await?;
    watch.await?;
    match refused {
        Poll::Pending => stamped.await,
        Poll::Ready(Err(Error::AccessedUnreadable)) => Ok(()),
        Poll::Ready(outcome) => panic!("it is not as it was left: {outcome:?}"),
    }
}

/// A watch whose transaction is dropped or refused ends with an error.
pub async fn a_watch_of_a_dropped_transaction_fails<E: Engine>(engine: E) -> Result<(), Error> {
    let transaction = engine.begin();
    let watch = transaction.watch(b"k");
    drop(transaction);
    assert!(watch.await.is_err());

    let transaction = engine.begin();
    transaction.get(b"k", SERIALIZABLE).await?;
    let watch = transaction.watch(b"k");
    transaction.set(b"other", b"");
    put(&engine, &[(b"k", b"1")]).await?;
    assert!(matches!(transaction.commit().await, Err(Error::Conflict)));
    assert!(watch.await.is_err());
    Ok(())
}

/// Dropping a watch takes it back; others of the same key stay.
pub async fn a_dropped_watch_harms_nothing<E: Engine>(engine: E) -> Result<(), Error> {
    let kept = watch(&engine, b"k").await?;
    drop(watch(&engine, b"k").await?);
    let transaction = engine.begin();
    drop(transaction.watch(b"k"));
    transaction.commit().await?;
    put(&engine, &[(b"k", b"1")]).await?;
    kept.await
}

/// When the engine goes, its watches end with an error instead of waiting for ever.
pub async fn a_watch_of_a_closed_engine_fails<E: Engine>(engine: E) -> Result<(), Error> {
    let watch = watch(&engine, b"k").await?;
    drop(engine);
    assert!(watch.await.is_err());
    Ok(())
}
