//! The high-contention allocator: short unique prefixes that many transactions can take at once.
//!
//! It counts the allocations of a window of integers and hands out random ones of it; when the window is half full, it
//! moves on. A candidate is written only after it was read as free, so that no write without a conflict is needed.

use crate::engine::{Atomic, Direction, Isolation, RangeRead, Transaction};
use crate::error::Error;
use crate::transaction::random;
use crate::tuple::{Subspace, pack};

/// Allocates an integer that was never allocated before, packed as a tuple.
pub(super) async fn allocate<T: Transaction>(transaction: &T, allocator: &Subspace) -> Result<Vec<u8>, Error> {
    let counters = allocator.subspace(&0_i64);
    let recents = allocator.subspace(&1_i64);
    loop {
        let (start, size) = window(transaction, &counters, &recents).await?;
        loop {
            let candidate = start.saturating_add(i64::try_from(random() % size).unwrap_or(0));
            if latest(transaction, &counters).await? > start {
                break;
            }
            let key = recents.pack(&(candidate,));
            if transaction.get(&key, Isolation::Serializable).await?.is_none() {
                transaction.set(&key, &[]);
                return Ok(pack(&(candidate,)));
            }
        }
    }
}

/// Counts one allocation and yields the window that it falls into.
async fn window<T: Transaction>(transaction: &T, counters: &Subspace, recents: &Subspace) -> Result<(i64, u64), Error> {
    let mut start = latest(transaction, counters).await?;
    loop {
        let key = counters.pack(&(start,));
        transaction.atomic(Atomic::Add, &key, &1_u64.to_le_bytes());
        let count = count(transaction.get(&key, Isolation::Snapshot).await?.as_deref())?;
        let size = window_size(start);
        if count.saturating_mul(2) < size {
            return Ok((start, size));
        }
        start = start.saturating_add(i64::try_from(size).unwrap_or(0));
        transaction.clear_range(counters.bytes(), &counters.pack(&(start,)));
        transaction.clear_range(recents.bytes(), &recents.pack(&(start,)));
    }
}

/// The start of the current window.
async fn latest<T: Transaction>(transaction: &T, counters: &Subspace) -> Result<i64, Error> {
    let (begin, end) = counters.range();
    let last = transaction
        .get_range(RangeRead {
            begin: &begin,
            end: &end,
            limit: 1,
            direction: Direction::Reverse,
            isolation: Isolation::Snapshot,
        })
        .await?;
    match last.last_key() {
        Some(key) => Ok(counters.unpack::<(i64,)>(key)?.0),
        None => Ok(0),
    }
}

fn count(value: Option<&[u8]>) -> Result<u64, Error> {
    let bytes = value.unwrap_or(&[0; 8]);
    let bytes = bytes
        .try_into()
        .map_err(|_| Error::corrupt("allocator counter is not eight bytes"))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Small windows keep the first prefixes short; large ones keep later allocations from meeting.
fn window_size(start: i64) -> u64 {
    match start {
        ..255 => 64,
        255..65_535 => 1024,
        _ => 8192,
    }
}
