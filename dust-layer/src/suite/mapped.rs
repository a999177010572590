//! Promises about mapped range reads.

use super::{SERIALIZABLE, SNAPSHOT, put, text};
use crate::engine::{Direction, Engine, MappedPairs, Mapper, RangeRead, Transaction};
use crate::error::Error;
use crate::tuple::{pack, range};

const EMPTY: &[u8] = b"";

/// Rows at `("d", id)` and their entries at `("i", age, id)`.
async fn fill<E: Engine>(engine: &E, rows: &[(i64, i64)]) -> Result<(), Error> {
    for (id, age) in rows {
        let (row, entry) = (pack(&("d", id)), pack(&("i", age, id)));
        put(engine, &[(&row, format!("row {id}").as_bytes()), (&entry, EMPTY)]).await?;
    }
    Ok(())
}

fn mapper<'a>(base: &'a [u8], target: &'a [u8]) -> Mapper<'a> {
    Mapper {
        base,
        skip: 1,
        take: 1,
        target,
    }
}

/// All entries, and what they lead to.
async fn mapped(transaction: &impl Transaction, limit: usize, direction: Direction) -> Result<MappedPairs, Error> {
    let (begin, end) = range(&("i",));
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit,
        direction,
        isolation: SERIALIZABLE,
    };
    transaction
        .get_mapped_range(read, mapper(&pack(&("i",)), &pack(&("d",))))
        .await
}

fn values(found: &MappedPairs) -> String {
    let shown = found
        .iter()
        .map(|(_, value)| value.map_or("none".into(), String::from_utf8_lossy));
    shown.collect::<Vec<_>>().join(", ")
}

/// Each entry comes with the value of the key that it leads to, in the order of the entries.
pub async fn entries_come_with_what_they_lead_to<E: Engine>(engine: E) -> Result<(), Error> {
    fill(&engine, &[(1, 30), (2, 10), (3, 20)]).await?;
    // Neither a neighbour nor what lies below a key is what an entry leads to.
    put(
        &engine,
        &[(&pack(&("d", 2, 0)), b"below"), (&pack(&("i", 5, 9)), b"entry")],
    )
    .await?;
    let transaction = engine.begin();
    let found = mapped(&transaction, 10, Direction::Forward).await?;
    assert_eq!(values(&found), "none, row 2, row 3, row 1");
    assert_eq!(found.pairs().get(0), Some((&pack(&("i", 5, 9))[..], &b"entry"[..])));
    assert!(!found.pairs().more());
    let found = mapped(&transaction, 2, Direction::Reverse).await?;
    assert_eq!(values(&found), "row 1, row 3");
    assert!(found.pairs().more());
    assert!(mapped(&transaction, 0, Direction::Forward).await?.pairs().is_empty());
    Ok(())
}

/// What the transaction itself wrote counts, on both sides.
pub async fn own_writes_are_mapped<E: Engine>(engine: E) -> Result<(), Error> {
    fill(&engine, &[(1, 30), (2, 10)]).await?;
    let transaction = engine.begin();
    transaction.set(&pack(&("d", 1)), b"changed");
    transaction.clear(&pack(&("i", 10, 2)));
    transaction.set(&pack(&("i", 40, 2)), b"");
    transaction.set(&pack(&("i", 50, 3)), b"");
    let found = mapped(&transaction, 10, Direction::Forward).await?;
    assert_eq!(values(&found), "changed, row 2, none");
    Ok(())
}

/// Both the entries and what they lead to are read, as conflicts are concerned; a snapshot read adds none.
pub async fn a_mapped_read_conflicts_on_both_sides<E: Engine>(engine: E) -> Result<(), Error> {
    fill(&engine, &[(1, 30)]).await?;
    for (key, conflicts) in [
        (pack(&("i", 7, 7)), true),
        (pack(&("d", 1)), true),
        (pack(&("d", 2)), false),
    ] {
        let transaction = engine.begin();
        mapped(&transaction, 10, Direction::Forward).await?;
        transaction.set(b"~written", b"");
        put(&engine, &[(&key, b"")]).await?;
        assert_eq!(
            matches!(transaction.commit().await, Err(Error::Conflict)),
            conflicts,
            "{key:?}"
        );
    }
    let (begin, end) = range(&("i",));
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit: 10,
        direction: Direction::Forward,
        isolation: SNAPSHOT,
    };
    let transaction = engine.begin();
    let found = transaction
        .get_mapped_range(read, mapper(&pack(&("i",)), &pack(&("d",))))
        .await?;
    assert_eq!(text(found.pairs()).matches('=').count(), 2);
    transaction.set(b"~written", b"");
    put(&engine, &[(&pack(&("d", 1)), b"")]).await?;
    transaction.commit().await?;
    Ok(())
}

/// A range that holds other keys than entries is no mapped range.
pub async fn a_key_that_is_no_entry_is_refused<E: Engine>(engine: E) -> Result<(), Error> {
    fill(&engine, &[(1, 30)]).await?;
    put(&engine, &[(&pack(&("i", 30, 1, 1)), b"")]).await?;
    let refused = mapped(&engine.begin(), 10, Direction::Forward).await;
    assert!(matches!(refused, Err(Error::InvalidOperation(_))), "{refused:?}");
    Ok(())
}
