//! What is planned, what is refused with which advice, pages and streams.

use std::ops::Bound;

use dust_layer::migration::Command;
use dust_layer::query::{Cursor, Query};
use dust_layer::value::FieldValue;
use dust_layer::{Direction, Engine, QueryError, SchemaError};
use futures_util::StreamExt;

use super::fixture::{command, id_of, ids, indexes, insert, migrate, splitting, tenant, user, users};

const FORWARD: Direction = Direction::Forward;
const REVERSE: Direction = Direction::Reverse;

fn int(value: i64) -> FieldValue {
    value.into()
}

pub(crate) async fn a_plan_says_what_it_reads<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["department", "age"], &["name"]]))
        .await
        .unwrap();
    let tx = tenant.begin();
    for (query, expected) in [
        (Query::new(), "rows of users: everything, forward"),
        (Query::new().equals("id", 7), "rows of users: id = 7, forward"),
        (
            Query::new().order_by("id", REVERSE).limit(3),
            "rows of users: everything, in reverse, at most 3",
        ),
        (
            Query::new()
                .equals("department", "eng")
                .range("age", int(18)..=int(65))
                .limit(20),
            "index (department,age) of users: department = \"eng\" and age >= 18 and age <= 65, forward, at most 20, \
             then one get for each entry",
        ),
        (
            Query::new().order_by("name", REVERSE),
            "index (name) of users: everything, in reverse, then one get for each entry",
        ),
        (
            Query::new()
                .equals("name", FieldValue::Null)
                .range("id", (Bound::Excluded(int(3)), Bound::Excluded(int(9)))),
            "index (name) of users: name = null and id > 3 and id < 9, forward, then one get for each entry",
        ),
    ] {
        let explained = tx.explain(&users(), &query).await.unwrap();
        assert_eq!(explained.to_string(), expected);
        let plan = explained.plan();
        assert!(plan.range().0.starts_with(tenant.prefix()) && plan.range().0 <= plan.range().1);
    }
}

pub(crate) async fn what_is_not_one_range_is_refused_with_the_index_that_would_serve<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["department", "name", "age"]]))
        .await
        .unwrap();
    let tx = tenant.begin();
    let no_index = |fields: &[&str]| QueryError::NoIndex {
        fields: fields.iter().map(|&field| field.into()).collect(),
    };
    let eng = || Query::new().equals("department", "eng");
    for (query, refusal) in [
        (Query::new().equals("name", "Ada"), no_index(&["name"])),
        (Query::new().order_by("name", FORWARD).limit(1), no_index(&["name"])),
        (eng().order_by("age", FORWARD), no_index(&["department", "age"])),
        (
            eng().equals("age", 3).order_by("notes", REVERSE),
            no_index(&["department", "age", "notes"]),
        ),
        (
            eng().equals("age", 3).range("name", FieldValue::from("A")..),
            no_index(&["department", "age", "name"]),
        ),
        (
            Query::new().range("age", int(1)..).order_by("age", REVERSE),
            no_index(&["age"]),
        ),
        (
            eng().range("name", FieldValue::from("A")..).range("age", int(1)..),
            QueryError::TwoRanges {
                first: "name".into(),
                second: "age".into(),
            },
        ),
        (
            eng().range("name", FieldValue::from("A")..).order_by("age", FORWARD),
            QueryError::OtherOrder {
                range: "name".into(),
                order: "age".into(),
            },
        ),
        (
            eng().order_by("name", FORWARD).order_by("age", REVERSE),
            QueryError::MixedDirections,
        ),
        (
            eng().equals("department", "law"),
            QueryError::TwoConditions {
                field: "department".into(),
            },
        ),
        (
            eng().range("department", FieldValue::from("a")..),
            QueryError::TwoConditions {
                field: "department".into(),
            },
        ),
    ] {
        let refused = tx.query(&users(), &query).await.unwrap_err();
        assert_eq!(refused.query(), Some(&refusal), "{query:?}");
    }
    let schema = async |query: Query| tx.query(&users(), &query).await.unwrap_err().schema().unwrap().clone();
    assert!(matches!(
        schema(eng().equals("height", 1)).await,
        SchemaError::UnknownField { .. }
    ));
    assert!(matches!(
        schema(eng().equals("age", "old")).await,
        SchemaError::WrongType { .. }
    ));
    assert!(matches!(
        schema(eng().range("age", FieldValue::from(1.5)..)).await,
        SchemaError::WrongType { .. }
    ));
    // These are one range.
    for query in [
        eng(),
        eng().equals("department", "eng"),
        eng().equals("age", 3).equals("name", "Ada"),
        eng()
            .equals("name", "Ada")
            .range("age", ..int(3))
            .order_by("age", REVERSE),
        eng()
            .order_by("department", REVERSE)
            .order_by("name", FORWARD)
            .order_by("age", FORWARD)
            .order_by("id", FORWARD),
        eng().equals("age", 3).equals("name", "Ada").order_by("id", REVERSE),
        Query::new()
            .range("department", FieldValue::from("a")..)
            .order_by("department", REVERSE),
        Query::new().order_by("department", FORWARD).order_by("name", FORWARD),
    ] {
        assert!(tx.query(&users(), &query).await.is_ok(), "{query:?}");
    }
}

/// Which of several indexes is used.
pub(crate) async fn of_indexes_that_serve_the_best_is_used<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let used = async |query: Query| {
        let explained = tenant.begin().explain(&users(), &query).await.unwrap();
        explained.plan().index().map(|index| index.name().to_owned())
    };
    migrate(
        &tenant,
        &indexes(&[
            &["department"],
            &["name", "age", "notes"],
            &["age", "name"],
            &["name", "age"],
        ]),
    )
    .await
    .unwrap();
    let name = || Query::new().equals("name", "Ada");
    // The one on the field, and not another.
    assert_eq!(
        used(Query::new().equals("department", "eng")).await.as_deref(),
        Some("department")
    );
    // The one whose order puts the range last, whichever has as many fields.
    assert_eq!(used(name().range("age", int(3)..)).await.as_deref(), Some("name,age"));
    assert_eq!(
        used(Query::new().equals("age", 3).range("name", FieldValue::from("A")..))
            .await
            .as_deref(),
        Some("age,name")
    );
    // The shortest that serves.
    assert_eq!(used(name()).await.as_deref(), Some("name,age"));
    assert_eq!(
        used(name().equals("age", 1).order_by("notes", FORWARD))
            .await
            .as_deref(),
        Some("name,age,notes")
    );
    // Of two alike, always the same.
    assert_eq!(used(name().equals("age", 1)).await.as_deref(), Some("age,name"));
    // The rows themselves, if they serve.
    assert_eq!(used(Query::new().equals("id", 1)).await, None);
    // One that spares the reads of rows.
    let covering = users().index(["name", "notes"]).unwrap().covering();
    command(&tenant, Command::create_index("users", covering))
        .await
        .unwrap();
    assert_eq!(used(name()).await.as_deref(), Some("name,notes"));
}

pub(crate) async fn bounds_of_the_primary_key_are_kept<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let rows: Vec<_> = (-2..=300).map(|id| user(id, "Ada", "eng", id)).collect();
    insert(&tenant, &rows).await.unwrap();
    let tx = tenant.begin();
    for (lower, upper, expected) in [
        (Bound::Included(int(-1)), Bound::Included(int(1)), (-1..=1)),
        (Bound::Excluded(int(-1)), Bound::Excluded(int(1)), (0..=0)),
        (Bound::Included(int(254)), Bound::Excluded(int(257)), (254..=256)),
        (Bound::Unbounded, Bound::Included(int(0)), (-2..=0)),
        (Bound::Excluded(int(298)), Bound::Unbounded, (299..=300)),
    ] {
        for direction in [FORWARD, REVERSE] {
            let query = Query::new()
                .range("id", (lower.clone(), upper.clone()))
                .order_by("id", direction);
            let mut wanted: Vec<i128> = expected.clone().collect();
            if direction == REVERSE {
                wanted.reverse();
            }
            assert_eq!(ids(&tx, &query).await.unwrap(), wanted);
            wanted.truncate(2);
            assert_eq!(ids(&tx, &query.limit(2)).await.unwrap(), wanted);
        }
    }
    let inverted = Query::new().range("id", int(5)..int(1));
    assert!(ids(&tx, &inverted).await.unwrap().is_empty());
    let null = Query::new().range("id", FieldValue::Null..);
    assert!(ids(&tx, &null).await.unwrap().is_empty());
}

/// Text that begins like a bound is not the bound.
pub(crate) async fn bounds_of_texts_are_values_and_not_prefixes<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name"]])).await.unwrap();
    let names = ["Alice", "Ja", "Jackson", "Jamie", "Jz", "K"];
    let rows: Vec<_> = (1..).zip(names).map(|(id, name)| user(id, name, "eng", 1)).collect();
    insert(&tenant, &rows).await.unwrap();
    let tx = tenant.begin();
    let text = |value: &str| FieldValue::from(value);
    let name = |lower, upper| Query::new().range("name", (lower, upper));
    assert_eq!(
        ids(&tx, &name(Bound::Excluded(text("Ja")), Bound::Excluded(text("Jz"))))
            .await
            .unwrap(),
        [3, 4]
    );
    assert_eq!(
        ids(&tx, &name(Bound::Included(text("Ja")), Bound::Included(text("Jz"))))
            .await
            .unwrap(),
        [2, 3, 4, 5]
    );
    assert_eq!(
        ids(&tx, &name(Bound::Excluded(text("Jackson")), Bound::Unbounded))
            .await
            .unwrap(),
        [4, 5, 6]
    );
    assert_eq!(
        ids(&tx, &name(Bound::Unbounded, Bound::Excluded(text("Ja"))))
            .await
            .unwrap(),
        [1]
    );
}

pub(crate) async fn nulls_come_first_and_are_in_no_range<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["age"]])).await.unwrap();
    let mut ageless = user(1, "Ada", "eng", 0);
    ageless.set(4, FieldValue::Null);
    insert(&tenant, &[ageless, user(2, "Bob", "eng", -5), user(3, "Cyd", "eng", 5)])
        .await
        .unwrap();
    let tx = tenant.begin();
    assert_eq!(
        ids(&tx, &Query::new().order_by("age", FORWARD)).await.unwrap(),
        [1, 2, 3]
    );
    assert_eq!(
        ids(&tx, &Query::new().order_by("age", REVERSE)).await.unwrap(),
        [3, 2, 1]
    );
    assert_eq!(ids(&tx, &Query::new().range("age", ..int(9))).await.unwrap(), [2, 3]);
    assert_eq!(
        ids(&tx, &Query::new().equals("age", FieldValue::Null)).await.unwrap(),
        [1]
    );
}

pub(crate) async fn a_limit_counts_rows_however_many_keys_they_take<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 20).await;
    migrate(&tenant, &indexes(&[&["age"]])).await.unwrap();
    let mut rows: Vec<_> = (1..=5).map(|id| user(id, "Ada", "eng", 10 - id)).collect();
    for row in rows.iter_mut().step_by(2) {
        row.set(5, "n".repeat(100));
    }
    insert(&tenant, &rows).await.unwrap();
    let tx = tenant.begin();
    for limit in 0..=6 {
        let wanted: Vec<i128> = (1..=5).take(limit).collect();
        assert_eq!(ids(&tx, &Query::new().limit(limit)).await.unwrap(), wanted);
        assert_eq!(
            ids(&tx, &Query::new().order_by("age", REVERSE).limit(limit))
                .await
                .unwrap(),
            wanted
        );
        let backward: Vec<i128> = (1..=5).rev().take(limit).collect();
        assert_eq!(
            ids(&tx, &Query::new().order_by("id", REVERSE).limit(limit))
                .await
                .unwrap(),
            backward
        );
        assert_eq!(
            ids(&tx, &Query::new().order_by("age", FORWARD).limit(limit))
                .await
                .unwrap(),
            backward
        );
    }
}

pub(crate) async fn pages_cover_a_query_once_in_both_directions<E: Engine>(engine: &E) {
    for covering in [false, true] {
        let tenant = splitting(engine, 25).await;
        let mut index = users().index(["department", "age"]).unwrap();
        if covering {
            index = index.covering();
        }
        command(&tenant, Command::create_index("users", index)).await.unwrap();
        let mut rows: Vec<_> = (1..=23).map(|id| user(id, "Ada", "eng", id % 4)).collect();
        for row in rows.iter_mut().step_by(3) {
            row.set(5, "n".repeat(90));
        }
        insert(&tenant, &rows).await.unwrap();
        insert(&tenant, &[user(50, "Eve", "law", 1)]).await.unwrap();
        for query in [
            Query::new().equals("department", "eng"),
            Query::new().equals("department", "eng").order_by("age", REVERSE),
            Query::new().equals("department", "eng").range("age", int(1)..int(3)),
            Query::new().range("id", int(3)..int(20)).order_by("id", REVERSE),
        ] {
            let whole = ids(&tenant.begin(), &query).await.unwrap();
            for page_rows in 1..=7 {
                let query = query.clone().limit(page_rows);
                let (mut found, mut cursor) = (Vec::new(), None);
                loop {
                    let page = tenant.begin().page(&users(), &query, cursor.as_ref()).await.unwrap();
                    assert!(page.rows.len() <= page_rows);
                    found.extend(page.rows.iter().map(id_of));
                    match page.next {
                        Some(next) => cursor = Some(Cursor::from_bytes(&next.to_bytes()).unwrap()),
                        None => break,
                    }
                }
                assert_eq!(found, whole, "{query:?}");
            }
            // The same as a stream over successive transactions, also from its middle.
            for page_rows in [1, 4, 100] {
                let rows = tenant.stream(&users(), query.clone(), page_rows).into_stream();
                let found: Vec<_> = rows.map(|row| id_of(&row.unwrap())).collect().await;
                assert_eq!(found, whole);
                let mut begun = tenant.stream(&users(), query.clone(), page_rows);
                for _ in 0..3 {
                    begun.next().await.unwrap().unwrap();
                }
                let cursor = begun.cursor().unwrap().clone();
                let rest = tenant
                    .stream(&users(), query.clone(), page_rows)
                    .resume(cursor)
                    .into_stream();
                let rest: Vec<_> = rest.map(|row| id_of(&row.unwrap())).collect().await;
                assert_eq!(rest, whole[3..]);
            }
        }
    }
}

pub(crate) async fn a_stream_sees_what_is_written_ahead_of_it_and_ends_at_its_limit<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let rows: Vec<_> = (1..=5).map(|id| user(id, "Ada", "eng", id)).collect();
    insert(&tenant, &rows).await.unwrap();
    let mut stream = tenant.stream(&users(), Query::new(), 2);
    assert!(stream.cursor().is_none());
    stream.next().await.unwrap().unwrap();
    insert(&tenant, &[user(6, "Bob", "eng", 1), user(0, "Eve", "eng", 1)])
        .await
        .unwrap();
    // The row of the cursor is gone; the stream goes on after where it was.
    let tx = tenant.begin();
    tx.delete(&users(), &users().primary_key([2]).unwrap()).await.unwrap();
    tx.commit().await.unwrap();
    let rest: Vec<_> = stream.into_stream().map(|row| id_of(&row.unwrap())).collect().await;
    assert_eq!(rest, [2, 3, 4, 5, 6], "2 was read with the first page");
    let limited: Vec<_> = tenant
        .stream(&users(), Query::new().limit(3), 2)
        .into_stream()
        .map(|row| id_of(&row.unwrap()))
        .collect()
        .await;
    assert_eq!(limited, [0, 1, 3]);
    let refused: Vec<_> = tenant
        .stream(&users(), Query::new().equals("name", "Ada"), 2)
        .into_stream()
        .collect()
        .await;
    assert!(matches!(&refused[..], [Err(error)] if error.query().is_some()));
}

pub(crate) async fn a_cursor_of_another_query_is_refused<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["age"]])).await.unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 1), user(2, "Bob", "eng", 2)])
        .await
        .unwrap();
    let tx = tenant.begin();
    let by_age = Query::new().order_by("age", FORWARD).limit(1);
    let cursor = tx.page(&users(), &by_age, None).await.unwrap().next.unwrap();
    for other in [
        Query::new().limit(1),
        Query::new().order_by("age", REVERSE).limit(1),
        Query::new().range("age", int(0)..).limit(1),
    ] {
        let refused = tx.page(&users(), &other, Some(&cursor)).await.unwrap_err();
        assert_eq!(refused.query(), Some(&QueryError::Cursor));
    }
    // The length of the page may change.
    let rest = tx.page(&users(), &by_age.limit(5), Some(&cursor)).await.unwrap();
    assert_eq!((rest.rows.len(), rest.next), (1, None));
    let mut bytes = cursor.to_bytes();
    bytes.truncate(3);
    assert!(Cursor::from_bytes(&bytes).is_err() && Cursor::from_bytes(b"").is_err());
}

pub(crate) async fn reads_run_side_by_side_and_keep_their_order<E: Engine>(engine: &E) {
    use futures_util::future::{try_join, try_join_all};
    let tenant = tenant(engine).await;
    migrate(&tenant, &indexes(&[&["name"]])).await.unwrap();
    insert(&tenant, &[user(1, "Ada", "eng", 1), user(2, "Bob", "eng", 2)])
        .await
        .unwrap();
    let tx = &tenant.begin();
    let table = &users();
    let keys = [2, 9, 1].map(|id| table.primary_key([id]).unwrap());
    let rows = try_join_all(keys.iter().map(|key| tx.get_row(table, key)))
        .await
        .unwrap();
    assert_eq!(
        rows.iter().map(|row| row.as_ref().map(id_of)).collect::<Vec<_>>(),
        [Some(2), None, Some(1)]
    );
    let (ada, bob) = (Query::new().equals("name", "Ada"), Query::new().equals("name", "Bob"));
    let (ada, bob) = try_join(tx.query(table, &ada), tx.first(table, &bob)).await.unwrap();
    assert_eq!((id_of(&ada[0]), id_of(&bob.unwrap())), (1, 2));
}
