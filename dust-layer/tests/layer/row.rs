//! Rows: how they are stored, written and read.

use dust_layer::layer::Options;
use dust_layer::query::Query;
use dust_layer::row::{OnConflict, Row, Written};
use dust_layer::table::Table;
use dust_layer::value::{Date, DateTime, Decimal, FieldType, FieldValue, Time, Versionstamp};
use dust_layer::{
    Direction, Engine, Error, Isolation, RangeRead, RowError, SchemaError, Tenant, TenantTransaction, Transaction,
};
use proptest::prelude::*;

use super::fixture::{
    TYPES, everything, for_many, hex, id_of, insert, splitting, tenant, tenant_with, user, users, value,
};

fn wide() -> Table {
    let table = Table::new("wide").key(1, "id", FieldType::Integer);
    let field = |table: dust_layer::table::TableBuilder, (number, kind): (u32, FieldType)| {
        table.field(number, &kind.to_string(), kind)
    };
    (2..).zip(TYPES).fold(table, field).build().unwrap()
}

fn wide_row() -> impl Strategy<Value = Row> {
    let fields: Vec<_> = TYPES.map(|kind| proptest::option::of(value(kind))).into();
    (any::<i64>(), fields).prop_map(|(id, fields)| {
        let mut row = Row::default();
        row.set(1, id);
        for (number, value) in (2..).zip(fields) {
            row.set(number, value);
        }
        row
    })
}

pub(crate) async fn what_is_written_is_read_whole_or_split<E: Engine>(engine: &E) {
    let values = (prop::collection::vec(wide_row(), 1..5), 1_usize..120);
    for_many(engine, 20, &values, async |(rows, split)| {
        let tenant = splitting(engine, split).await;
        let table = wide();
        let tx = tenant.begin();
        for row in &rows {
            tx.upsert(&table, row, OnConflict::ReplaceAll).await.unwrap();
        }
        tx.commit().await.unwrap();
        let tx = tenant.begin();
        let mut last = std::collections::BTreeMap::new();
        for row in &rows {
            last.insert(id_of(row), row.clone());
        }
        for row in last.values() {
            let found = tx.get_row(&table, &table.key_of(row).unwrap()).await.unwrap();
            assert_eq!(found.as_ref(), Some(row));
        }
        for direction in [Direction::Forward, Direction::Reverse] {
            for limit in 1..=rows.len() {
                let query = Query::new().order_by("id", direction).limit(limit);
                let mut expected: Vec<Row> = last.values().cloned().collect();
                if direction == Direction::Reverse {
                    expected.reverse();
                }
                expected.truncate(limit);
                assert_eq!(tx.query(&table, &query).await.unwrap(), expected);
            }
        }
    });
}

pub(crate) async fn stored_bytes_that_are_not_ours_are_an_error_and_never_a_panic<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let table = wide();
    let place = row_place(&tenant, &table).await;
    for_many(engine, 20, &prop::collection::vec(any::<u8>(), 0..40), async |bytes| {
        let tx = tenant.begin();
        tx.raw().set(&place, &bytes);
        let key = table.primary_key([7]).unwrap();
        match tx.get_row(&table, &key).await {
            Ok(Some(row)) => {
                // What decodes has one encoding.
                tx.raw().clear_range(&tenant.key_range().0, &tenant.key_range().1);
                tx.insert(&table, &row).await.unwrap();
                assert_eq!(first_pair(&tx).await.1, bytes);
            }
            Ok(None) => panic!("a row"),
            Err(error) => assert!(matches!(error, Error::Corrupt { .. } | Error::Tuple(_)), "{error:?}"),
        }
    });
}

/// The key of the row 7.
async fn row_place<E: Engine>(tenant: &Tenant<E>, table: &Table) -> Vec<u8> {
    let tx = tenant.begin();
    tx.insert(table, &table.row([("id", 7)]).unwrap()).await.unwrap();
    first_pair(&tx).await.0
}

/// The first key of the tenant, and its value.
async fn first_pair<E: Engine>(tx: &TenantTransaction<E>) -> (Vec<u8>, Vec<u8>) {
    let (begin, end) = tx.tenant().key_range();
    let read = RangeRead {
        begin: &begin,
        end: &end,
        limit: 1,
        direction: Direction::Forward,
        isolation: Isolation::Snapshot,
    };
    let found = tx.get_range(read).await.unwrap();
    let (key, value) = found.get(0).unwrap();
    (key.to_vec(), value.to_vec())
}

pub(crate) async fn a_row_has_these_bytes<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let table = wide();
    let values: [FieldValue; 11] = [
        true.into(),
        (-1).into(),
        1.5.into(),
        Decimal::new(-125, -1).into(),
        "Ada".into(),
        vec![0, 255].into(),
        Date(1).into(),
        Time(2).into(),
        DateTime(300).into(),
        [9; 16].into(),
        Versionstamp::new([1; 10], 2).into(),
    ];
    let mut row = table.row([("id", 7)]).unwrap();
    for (number, value) in (2..).zip(values) {
        row.set(number, value);
    }
    let tx = tenant.begin();
    tx.insert(&table, &row).await.unwrap();
    tx.commit().await.unwrap();
    let pairs = everything(&tenant).await;
    let (key, stored) = pairs.get(0).unwrap();
    assert_eq!(
        hex(&key[tenant.prefix().len()..]),
        "01fd00027769646500016400".to_owned() + "1507"
    );
    let expected = [
        "01",                                 // whole
        "11",                                 // 2: true
        "1a01",                               // 3: -1
        "23000000000000f83f",                 // 4: 1.5
        "2c0301f901",                         // 5: -125 and the exponent -1
        "3403416461",                         // 6: a text
        "3c0200ff",                           // 7: bytes
        "4202",                               // 8: a day
        "4a04",                               // 9: a time
        "52d804",                             // 10: an instant
        "5d09090909090909090909090909090909", // 11: a UUID
        "66010101010101010101010002",         // 12: a versionstamp
    ];
    assert_eq!(hex(stored), expected.concat());
}

pub(crate) async fn a_split_row_has_these_keys<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 10).await;
    let tx = tenant.begin();
    let mut row = user(7, "a name that is longer than ten bytes", "", 0);
    row.set(3, FieldValue::Null);
    row.set(4, FieldValue::Null);
    tx.insert(&users(), &row).await.unwrap();
    tx.commit().await.unwrap();
    let pairs = everything(&tenant).await;
    let key = pairs.get(0).unwrap().0.to_vec();
    let suffixes: Vec<String> = pairs.iter().map(|(other, _)| hex(&other[key.len()..])).collect();
    assert_eq!(
        suffixes,
        [
            "", "14", "1501", "1502", "1503", "1504", "1505", "1506", "1507", "1508", "1509"
        ]
    );
    let (header, first) = (pairs.get(0).unwrap().1, pairs.get(1).unwrap().1);
    assert_eq!(hex(&header[..3]), "020a26");
    assert_eq!(header.len(), 7);
    assert_eq!(hex(first), "0300".to_owned() + "14246120");
}

pub(crate) async fn a_split_row_with_a_wrong_piece_is_an_error<E: Engine>(engine: &E) {
    let table = &users();
    let key = &table.primary_key([7]).unwrap();
    let notes = "n".repeat(100);
    for (index, change) in [(0, 6), (1, 3), (2, 1), (3, 0)] {
        let tenant = splitting(engine, 30).await;
        let mut row = user(7, "Ada", "eng", 36);
        row.set(5, &*notes);
        insert(&tenant, &[row]).await.unwrap();
        let pairs = everything(&tenant).await;
        let (place, value) = pairs.get(index).unwrap();
        let mut value = value.to_vec();
        value[change] ^= 1;
        let tx = tenant.begin();
        tx.raw().set(place, &value);
        assert!(
            matches!(tx.get_row(table, key).await, Err(Error::Corrupt { .. })),
            "{index}"
        );
        tx.raw().clear(place);
        let found = tx.get_row(table, key).await;
        assert!(
            matches!(found, Ok(None) | Err(Error::Corrupt { .. })),
            "{index}: {found:?}"
        );
    }
}

pub(crate) async fn rows_that_become_short_or_long_leave_nothing_behind<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 30).await;
    let table = &users();
    let key = &table.primary_key([7]).unwrap();
    insert(&tenant, &[user(7, "Ada", "eng", 36)]).await.unwrap();
    let small = everything(&tenant).await.len();
    assert_eq!(small, 1);
    for (length, keys) in [(100, 1 + 5), (30, 3), (0, 1), (60, 1 + 4)] {
        let tx = tenant.begin();
        tx.update(table, key, [("notes", "n".repeat(length))]).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(everything(&tenant).await.len(), keys, "{length}");
        let found = tenant.begin().get_row(table, key).await.unwrap().unwrap();
        assert_eq!(found.get(5), &FieldValue::from("n".repeat(length)));
    }
    let tx = tenant.begin();
    assert!(tx.delete(table, key).await.unwrap());
    tx.commit().await.unwrap();
    assert!(everything(&tenant).await.is_empty());
}

pub(crate) async fn a_row_beyond_the_limit_is_refused<E: Engine>(engine: &E) {
    let tx = tenant_with(engine, Options::default().row_bytes_max(50)).await.begin();
    let refused = tx
        .insert(&users(), &user(7, &"n".repeat(60), "eng", 1))
        .await
        .unwrap_err();
    assert!(matches!(refused.row(), Some(RowError::TooLarge { bytes_max: 50, .. })));
    // Splitting begins where the engine's longest value ends, however large it is asked to be.
    let tx = splitting(engine, usize::MAX).await.begin();
    tx.insert(&users(), &user(7, &"n".repeat(250_000), "eng", 1))
        .await
        .unwrap();
    tx.commit().await.unwrap();
}

pub(crate) async fn fields_that_a_table_does_not_know_are_kept<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let (new, old) = (
        users(),
        Table::new("users")
            .key(1, "id", FieldType::Integer)
            .field(2, "full_name", FieldType::Text)
            .build()
            .unwrap(),
    );
    insert(&tenant, &[user(7, "Ada", "eng", 36)]).await.unwrap();
    let key = old.primary_key([7]).unwrap();
    // An older program, which also has another name for a field.
    let tx = tenant.begin();
    let found = tx.get_row(&old, &key).await.unwrap().unwrap();
    assert_eq!(found.unknown().collect::<Vec<_>>(), [3, 4]);
    assert_eq!(old.get(&found, "full_name").unwrap(), &"Ada".into());
    tx.update(&old, &key, [("full_name", "Ada L.")]).await.unwrap();
    tx.upsert(
        &old,
        &old.row::<_, FieldValue>([("id", 7.into()), ("full_name", "Ada King".into())])
            .unwrap(),
        OnConflict::ReplaceAll,
    )
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let found = tenant.begin().get_row(&new, &key).await.unwrap();
    assert_eq!(found, Some(user(7, "Ada King", "eng", 36)));
}

pub(crate) async fn each_mode_of_an_upsert_does_what_it_says<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let table = &users();
    insert(&tenant, &[user(7, "Ada", "eng", 36)]).await.unwrap();
    let new = user(7, "Bob", "law", 40);
    for (mode, written, expected) in [
        (OnConflict::Nothing, Written::Kept, user(7, "Ada", "eng", 36)),
        (OnConflict::ReplaceAll, Written::Replaced, new.clone()),
        (
            OnConflict::Replace(&["name", "age"]),
            Written::Replaced,
            user(7, "Bob", "eng", 40),
        ),
        (
            OnConflict::ReplaceAllExcept(&["name"]),
            Written::Replaced,
            user(7, "Ada", "law", 40),
        ),
        (OnConflict::Replace(&[]), Written::Kept, user(7, "Ada", "eng", 36)),
    ] {
        let tx = tenant.begin();
        assert_eq!(tx.upsert(table, &new, mode).await.unwrap(), written, "{mode:?}");
        assert_eq!(
            tx.get_row(table, &table.key_of(&new).unwrap()).await.unwrap(),
            Some(expected),
            "{mode:?}"
        );
        let other = user(8, "Cyd", "eng", 1);
        assert_eq!(tx.upsert(table, &other, mode).await.unwrap(), Written::Inserted);
    }
    let tx = tenant.begin();
    let refused = tx.upsert(table, &new, OnConflict::Fail).await.unwrap_err();
    assert_eq!(refused.row(), Some(&RowError::Exists));
    let unknown = tx
        .upsert(table, &new, OnConflict::Replace(&["nothing"]))
        .await
        .unwrap_err();
    assert!(matches!(unknown.schema(), Some(SchemaError::UnknownField { .. })));
}

pub(crate) async fn inserting_twice_is_refused_also_within_and_across_transactions<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let row = user(7, "Ada", "eng", 36);
    let tx = tenant.begin();
    tx.insert(&users(), &row).await.unwrap();
    assert_eq!(
        tx.insert(&users(), &row).await.unwrap_err().row(),
        Some(&RowError::Exists)
    );
    let other = tenant.begin();
    other.insert(&users(), &row).await.unwrap();
    tx.commit().await.unwrap();
    assert!(matches!(other.commit().await, Err(Error::Conflict)));
    let late = insert(&tenant, &[row]).await.unwrap_err();
    assert_eq!(late.row(), Some(&RowError::Exists));
}

pub(crate) async fn updates_and_deletes_of_what_is_not_there_are_told<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let table = &users();
    let key = &table.primary_key([7]).unwrap();
    let tx = tenant.begin();
    let missing = tx.update(table, key, [("name", "Ada")]).await.unwrap_err();
    assert_eq!(missing.row(), Some(&RowError::NotFound));
    assert!(!tx.delete(table, key).await.unwrap());
    tx.insert(table, &user(7, "Ada", "eng", 36)).await.unwrap();
    let moved = tx.update(table, key, [("id", 8)]).await.unwrap_err();
    assert_eq!(moved.row(), Some(&RowError::KeyChanged));
    let changed = tx.update(table, key, [("name", FieldValue::Null)]).await.unwrap();
    assert!(changed.get(2).is_null());
    assert!(tx.delete(table, key).await.unwrap());
    assert_eq!(tx.get_row(table, key).await.unwrap(), None);
    tx.commit().await.unwrap();
    assert!(everything(&tenant).await.is_empty());
}

pub(crate) async fn rows_that_do_not_fit_their_table_are_refused<E: Engine>(engine: &E) {
    let tx = tenant(engine).await.begin();
    let table = users();
    let refused = |row: Row| {
        let (tx, table) = (tx.clone(), table.clone());
        async move { tx.insert(&table, &row).await.unwrap_err().schema().unwrap().clone() }
    };
    let mut row = user(7, "Ada", "eng", 36);
    row.set(9, 1);
    assert!(matches!(refused(row).await, SchemaError::UnknownField { .. }));
    let mut row = user(7, "Ada", "eng", 36);
    row.set(2, 1);
    assert!(matches!(refused(row).await, SchemaError::WrongType { .. }));
    assert!(matches!(refused(Row::default()).await, SchemaError::NullKey { .. }));
    let stamped = Table::new("s")
        .key(1, "id", FieldType::Integer)
        .field(2, "at", FieldType::Versionstamp)
        .build()
        .unwrap();
    let row = stamped
        .row::<_, FieldValue>([("id", 1.into()), ("at", tx.versionstamp().into())])
        .unwrap();
    let refused = tx.insert(&stamped, &row).await.unwrap_err();
    assert!(matches!(refused.schema(), Some(SchemaError::Incomplete { .. })));
}

pub(crate) async fn a_float_key_of_zero_and_keys_that_begin_each_other_are_apart<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 5).await;
    let floats = Table::new("floats")
        .key(1, "id", FieldType::Float)
        .field(2, "note", FieldType::Text)
        .build()
        .unwrap();
    let texts = Table::new("texts")
        .key(1, "id", FieldType::Text)
        .field(2, "note", FieldType::Text)
        .build()
        .unwrap();
    let long = "a note that takes several chunks";
    let tx = tenant.begin();
    for id in [0.0, -1.0, 1.0] {
        let row = floats
            .row::<_, FieldValue>([("id", id.into()), ("note", long.into())])
            .unwrap();
        tx.insert(&floats, &row).await.unwrap();
    }
    for id in ["", "a", "a\0", "a\0\0", "b"] {
        let row = texts
            .row::<_, FieldValue>([("id", id.into()), ("note", long.into())])
            .unwrap();
        tx.insert(&texts, &row).await.unwrap();
    }
    tx.commit().await.unwrap();
    let tx = tenant.begin();
    assert_eq!(tx.query(&floats, &Query::new()).await.unwrap().len(), 3);
    assert!(
        tx.get_row(&floats, &floats.primary_key([-0.0]).unwrap())
            .await
            .unwrap()
            .is_some()
    );
    assert!(tx.delete(&texts, &texts.primary_key(["a"]).unwrap()).await.unwrap());
    for direction in [Direction::Forward, Direction::Reverse] {
        let left = tx.query(&texts, &Query::new().order_by("id", direction)).await.unwrap();
        assert_eq!(left.len(), 4);
    }
}

pub(crate) async fn versionstamped_keys_are_in_the_order_of_commits<E: Engine>(engine: &E) {
    let tenant = splitting(engine, 8).await;
    let queue = Table::new("queue")
        .key(1, "id", FieldType::Versionstamp)
        .field(2, "data", FieldType::Text)
        .build()
        .unwrap();
    let mut ids = Vec::new();
    for data in ["a", "b", "c"] {
        let tx = tenant.begin();
        let stamps = [tx.versionstamp(), tx.versionstamp()];
        for (stamp, which) in stamps.iter().zip(["first", "second"]) {
            let data = format!("{data} {which}, longer than one chunk");
            let row = queue
                .row::<_, FieldValue>([("id", (*stamp).into()), ("data", data.into())])
                .unwrap();
            tx.insert(&queue, &row).await.unwrap();
        }
        let stamp = tx.commit().await.unwrap().stamp;
        ids.extend(stamps.map(|id| FieldValue::from(id.complete(stamp))));
    }
    let tx = tenant.begin();
    let found = tx.query(&queue, &Query::new()).await.unwrap();
    assert_eq!(found.iter().map(|row| row.get(1).clone()).collect::<Vec<_>>(), ids);
    assert!(ids.is_sorted());
    // A queue: the first is taken, the next one is the first.
    let first = tx.first(&queue, &Query::new()).await.unwrap().unwrap();
    assert!(tx.delete(&queue, &queue.key_of(&first).unwrap()).await.unwrap());
    let next = tx.first(&queue, &Query::new()).await.unwrap().unwrap();
    assert_eq!(next.get(1), &ids[1]);
    // From a checkpoint on.
    let since = Query::new().range(
        "id",
        (std::ops::Bound::Excluded(ids[2].clone()), std::ops::Bound::Unbounded),
    );
    assert_eq!(tx.query(&queue, &since).await.unwrap().len(), 3);
}

pub(crate) async fn a_partition_is_a_field_of_the_key_before_the_versionstamp<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let sessions = Table::new("sessions")
        .key(2, "user", FieldType::Text)
        .key(1, "id", FieldType::Versionstamp)
        .field(3, "data", FieldType::Text)
        .build()
        .unwrap();
    let tx = tenant.begin();
    for (user, data) in [("ada", "1"), ("bob", "2"), ("ada", "3")] {
        let row = [
            ("user", user.into()),
            ("id", tx.versionstamp().into()),
            ("data", data.into()),
        ];
        tx.insert(&sessions, &sessions.row::<_, FieldValue>(row).unwrap())
            .await
            .unwrap();
    }
    tx.commit().await.unwrap();
    let tx = tenant.begin();
    let data = async |query: &Query| -> Vec<String> {
        let rows = tx.query(&sessions, query).await.unwrap();
        rows.iter().map(|row| row.get(3).to_string()).collect()
    };
    let of_ada = Query::new().equals("user", "ada");
    assert_eq!(data(&Query::new()).await.len(), 3);
    assert_eq!(data(&of_ada).await, ["\"1\"", "\"3\""]);
    let whole = of_ada.clone().range(
        "id",
        FieldValue::from(Versionstamp::MIN)..=FieldValue::from(Versionstamp::MAX),
    );
    assert_eq!(data(&whole).await, ["\"1\"", "\"3\""]);
    let ids: Vec<FieldValue> = tx
        .query(&sessions, &of_ada)
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(1).clone())
        .collect();
    let after = of_ada.clone().range(
        "id",
        (std::ops::Bound::Excluded(ids[0].clone()), std::ops::Bound::Unbounded),
    );
    assert_eq!(data(&after).await, ["\"3\""]);
    // An id without its partition is no range.
    let bare = tx
        .query(&sessions, &Query::new().equals("id", ids[0].clone()))
        .await
        .unwrap_err();
    assert!(bare.query().is_some());
    // The compound key names one row, and only its row changes.
    let one = of_ada.clone().equals("id", ids[0].clone());
    assert_eq!(tx.update_all(&sessions, &one, [("data", "new")]).await.unwrap(), 1);
    let moved = tx.update_all(&sessions, &one, [("user", "bob")]).await.unwrap_err();
    assert_eq!(moved.row(), Some(&RowError::KeyChanged));
    assert_eq!(tx.delete_all(&sessions, &of_ada).await.unwrap(), 2);
    assert_eq!(data(&Query::new()).await, ["\"2\""]);
}

pub(crate) async fn a_null_in_the_key_is_refused_and_a_missing_field_is_null<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let table = users();
    let tx = tenant.begin();
    let row = table.row([("id", 7)]).unwrap();
    tx.insert(&table, &row).await.unwrap();
    let found = tx
        .get_row(&table, &table.primary_key([7]).unwrap())
        .await
        .unwrap()
        .unwrap();
    assert!(
        ["name", "department", "age", "notes"]
            .iter()
            .all(|name| table.get(&found, name).unwrap().is_null())
    );
}

pub(crate) async fn a_cleared_table_is_empty_and_its_neighbours_are_not<E: Engine>(engine: &E) {
    let tenant = tenant(engine).await;
    let other = Table::new("users2").key(1, "id", FieldType::Integer).build().unwrap();
    insert(&tenant, &[user(7, "Ada", "eng", 36), user(8, "Bob", "eng", 40)])
        .await
        .unwrap();
    let tx = tenant.begin();
    tx.insert(&other, &other.row([("id", 1)]).unwrap()).await.unwrap();
    tx.set(&tenant.pack(&("mine",)), b"").unwrap();
    tx.clear_table(&users()).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(everything(&tenant).await.len(), 2);
    assert!(tenant.begin().query(&users(), &Query::new()).await.unwrap().is_empty());
}
