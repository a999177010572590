//! Promises about range reads.

use super::{SERIALIZABLE, SNAPSHOT, all, put, text};
use crate::engine::{Atomic, Direction, Engine, RangeRead, Transaction};
use crate::error::Error;

const LETTERS: [(&[u8], &[u8]); 5] = [(b"a", b"1"), (b"b", b"2"), (b"c", b"3"), (b"d", b"4"), (b"e", b"5")];

fn page(limit: usize, direction: Direction) -> RangeRead<'static> {
    RangeRead {
        begin: b"a",
        end: b"z",
        limit,
        direction,
        isolation: SERIALIZABLE,
    }
}

/// Own sets and clears appear in a range in their place, forward and in reverse.
pub async fn own_writes_are_merged_in_both_directions<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &LETTERS).await?;
    let transaction = engine.begin();
    transaction.set(b"aa", b"new");
    transaction.set(b"c", b"changed");
    transaction.clear(b"d");
    transaction.clear(b"never");
    transaction.set(b"y", b"last");
    let forward = transaction.get_range(page(usize::MAX, Direction::Forward)).await?;
    assert_eq!(text(&forward), "a=1 aa=new b=2 c=changed e=5 y=last");
    let reverse = transaction.get_range(page(usize::MAX, Direction::Reverse)).await?;
    assert_eq!(text(&reverse), "y=last e=5 c=changed b=2 aa=new a=1");
    let snapshot = transaction
        .get_range(RangeRead {
            isolation: SNAPSHOT,
            ..all(b"aa", b"d")
        })
        .await?;
    assert_eq!(text(&snapshot), "aa=new b=2 c=changed");
    Ok(())
}

/// Own atomics appear in a range with their outcome.
pub async fn own_atomics_are_merged<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &[(b"b", b"0"), (b"d", b"0")]).await?;
    let transaction = engine.begin();
    transaction.atomic(Atomic::Add, b"b", &[1]);
    transaction.atomic(Atomic::Add, b"b", &[1]);
    transaction.atomic(Atomic::Max, b"c", b"7");
    assert_eq!(
        text(&transaction.get_range(page(9, Direction::Forward)).await?),
        "b=2 c=7 d=0"
    );
    assert_eq!(
        text(&transaction.get_range(page(9, Direction::Reverse)).await?),
        "d=0 c=7 b=2"
    );
    Ok(())
}

/// A range clear hides what was there, also partly, and what is written later stands.
pub async fn a_cleared_range_hides_what_is_below_and_not_what_is_written_after<E: Engine>(
    engine: E,
) -> Result<(), Error> {
    put(&engine, &LETTERS).await?;
    let transaction = engine.begin();
    transaction.set(b"bb", b"gone");
    transaction.clear_range(b"b", b"d");
    transaction.set(b"c", b"back");
    assert_eq!(
        text(&transaction.get_range(page(9, Direction::Forward)).await?),
        "a=1 c=back d=4 e=5"
    );
    assert_eq!(
        text(&transaction.get_range(page(9, Direction::Reverse)).await?),
        "e=5 d=4 c=back a=1"
    );
    assert_eq!(text(&transaction.get_range(all(b"b", b"c")).await?), "");
    transaction.clear_range(b"", b"\xff");
    assert_eq!(text(&transaction.get_range(page(9, Direction::Forward)).await?), "");
    transaction.commit().await?;
    assert_eq!(text(&engine.begin().get_range(page(9, Direction::Forward)).await?), "");
    Ok(())
}

/// The begin of a range belongs to it and the end does not, in reads and in clears.
pub async fn ranges_exclude_their_end<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &LETTERS).await?;
    assert_eq!(text(&engine.begin().get_range(all(b"b", b"d")).await?), "b=2 c=3");
    assert_eq!(text(&engine.begin().get_range(all(b"b", b"d\0")).await?), "b=2 c=3 d=4");
    let reverse = RangeRead {
        direction: Direction::Reverse,
        ..all(b"b", b"d")
    };
    assert_eq!(text(&engine.begin().get_range(reverse).await?), "c=3 b=2");
    let transaction = engine.begin();
    transaction.clear_range(b"b", b"d");
    transaction.commit().await?;
    assert_eq!(text(&engine.begin().get_range(all(b"a", b"z")).await?), "a=1 d=4 e=5");
    Ok(())
}

/// A range that ends where it begins is empty; one that ends before is refused, also when it is cleared.
pub async fn empty_ranges_are_empty_and_inverted_ones_refused<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &LETTERS).await?;
    let transaction = engine.begin();
    assert!(transaction.get_range(all(b"b", b"b")).await?.is_empty());
    let inverted = transaction.get_range(all(b"c", b"b")).await;
    assert!(matches!(inverted, Err(Error::InvalidOperation(_))));
    transaction.clear_range(b"b", b"b");
    transaction.commit().await?;
    let transaction = engine.begin();
    transaction.clear_range(b"c", b"b");
    assert!(matches!(transaction.commit().await, Err(Error::InvalidOperation(_))));
    assert_eq!(engine.begin().get_range(all(b"a", b"z")).await?.len(), 5);
    Ok(())
}

/// At most `limit` pairs come back, and `more` tells whether the range has others.
pub async fn the_limit_cuts_and_says_so<E: Engine>(engine: E) -> Result<(), Error> {
    put(&engine, &LETTERS).await?;
    let transaction = engine.begin();
    for direction in [Direction::Forward, Direction::Reverse] {
        let two = transaction.get_range(page(2, direction)).await?;
        assert!(two.len() == 2 && two.more());
        let five = transaction.get_range(page(5, direction)).await?;
        assert!(five.len() == 5 && !five.more());
        let none = transaction.get_range(page(0, direction)).await?;
        assert!(none.is_empty() && !none.more());
    }
    assert_eq!(
        text(&transaction.get_range(page(2, Direction::Reverse)).await?),
        "e=5 d=4"
    );
    transaction.clear(b"e");
    transaction.set(b"aa", b"new");
    assert_eq!(
        text(&transaction.get_range(page(2, Direction::Forward)).await?),
        "a=1 aa=new"
    );
    assert_eq!(
        text(&transaction.get_range(page(2, Direction::Reverse)).await?),
        "d=4 c=3"
    );
    Ok(())
}

/// Reading page after page from the last key yields every key once, own writes included.
pub async fn pages_cover_a_range_once<E: Engine>(engine: E) -> Result<(), Error> {
    let keys: Vec<String> = (0..200).map(|number| format!("k{number:03}")).collect();
    let transaction = engine.begin();
    for key in keys.iter().filter(|key| !key.ends_with('7')) {
        transaction.set(key.as_bytes(), b"");
    }
    transaction.commit().await?;
    let transaction = engine.begin();
    for key in keys.iter().filter(|key| key.ends_with('7')) {
        transaction.set(key.as_bytes(), b"");
    }
    let mut found = Vec::new();
    let mut begin = b"k".to_vec();
    loop {
        let pairs = transaction
            .get_range(RangeRead {
                limit: 7,
                ..all(&begin, b"l")
            })
            .await?;
        found.extend(pairs.iter().map(|(key, _)| String::from_utf8_lossy(key).into_owned()));
        let Some(last) = pairs.last_key().filter(|_| pairs.more()) else {
            break;
        };
        begin = [last, &[0]].concat();
    }
    assert_eq!(found, keys);
    Ok(())
}
