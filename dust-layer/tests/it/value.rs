//! The order of values is the order of their keys, and rows are stored in one way.

use dust_layer::row::Row;
use dust_layer::table::Table;
use dust_layer::value::{Date, DateTime, Decimal, FieldType, FieldValue, Time, Versionstamp};
use proptest::prelude::*;

use crate::layer::fixture::{TYPES, value};

/// The types that the crate's own elements cannot hold all values of.
const UNKNOWN_TO_ELEMENTS: [FieldType; 4] = [
    FieldType::DateTime,
    FieldType::Integer,
    FieldType::Time,
    FieldType::Uuid,
];

fn of_one_type() -> impl Strategy<Value = (FieldType, FieldValue, FieldValue)> {
    prop::sample::select(TYPES.to_vec()).prop_flat_map(|kind| (Just(kind), value(kind), value(kind)))
}

fn keyed(kind: FieldType) -> Table {
    Table::new("t").key(1, "key", kind).build().unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn keys_have_the_order_of_values((kind, left, right) in of_one_type()) {
        let table = keyed(kind);
        let key = |value: &FieldValue| table.primary_key([value.clone()]).unwrap();
        prop_assert_eq!(key(&left).cmp(&key(&right)), left.cmp(&right), "{} {}", left, right);
        // Whatever follows a value in a key does not change the order.
        let (mut longer, mut shorter) = (key(&left).packed().to_vec(), key(&right).packed().to_vec());
        longer.extend([0xfe, 0xfe]);
        shorter.extend([0x00]);
        if left < right {
            prop_assert!(longer < shorter);
        }
        // Every key is a tuple; the crate's elements are without integers of more than 64 bits and UUIDs.
        prop_assert!(UNKNOWN_TO_ELEMENTS.contains(&kind) || dust_layer::tuple::unpack::<Vec<dust_layer::tuple::Element<'_>>>(key(&left).packed()).is_ok());
    }
}

#[test]
fn values_that_are_equal_have_one_key() {
    let table = keyed(FieldType::Float);
    let key = |float: f64| table.primary_key([float]).unwrap();
    assert_eq!(key(0.0), key(-0.0));
    assert_eq!(key(f64::NAN), key(-f64::NAN));
    assert!(key(f64::INFINITY) < key(f64::NAN) && key(f64::NEG_INFINITY) < key(-5e-324));
    let table = keyed(FieldType::Decimal);
    let key = |text: &str| table.primary_key([text.parse::<Decimal>().unwrap()]).unwrap();
    assert_eq!(key("1.50"), key("15e-1"));
    assert!(key("-12.3") < key("-12.29") && key("-0.1") < key("0") && key("0.12") < key("0.123"));
}

#[test]
fn days_beyond_the_year_9999_and_before_0_are_in_order() {
    let table = keyed(FieldType::Date);
    let days = [i32::MIN, -800_000, -1, 0, 2_932_896, 2_932_897, i32::MAX];
    let keys: Vec<_> = days
        .iter()
        .map(|days| table.primary_key([Date(*days)]).unwrap())
        .collect();
    assert!(keys.is_sorted());
}

#[test]
fn keys_have_the_codes_of_the_tuple_encoding() {
    let hex = |kind: FieldType, value: FieldValue| -> String {
        let key = keyed(kind).primary_key([value]).unwrap();
        crate::layer::fixture::hex(key.packed())
    };
    for (kind, value, expected) in [
        (FieldType::Boolean, true.into(), "27"),
        (FieldType::Integer, (-5_551_212_i64).into(), "11ab4b93"),
        (FieldType::Integer, (1_i128 << 64).into(), "1d09010000000000000000"),
        (FieldType::Float, 1.0.into(), "21bff0000000000000"),
        (FieldType::Text, "F\u{d4}O\0bar".into(), "0246c3944f00ff62617200"),
        (FieldType::Bytes, (&b"foo\0bar"[..]).into(), "01666f6f00ff62617200"),
        (FieldType::Date, Date(19_783).into(), "164d47"),
        (FieldType::Time, Time(1).into(), "1501"),
        (FieldType::DateTime, DateTime(-1).into(), "13fe"),
        // -12.5: the sign, the place of the point reversed, the digits 125 complemented, and an end after all digits.
        (
            FieldType::Decimal,
            Decimal::new(-125, -1).into(),
            "0513fe13fd013837347e0000",
        ),
        (FieldType::Decimal, Decimal::new(0, 0).into(), "051400"),
        (FieldType::Uuid, [7; 16].into(), "3007070707070707070707070707070707"),
        (
            FieldType::Versionstamp,
            Versionstamp::new([0, 0, 0, 0, 0, 0, 4, 87, 8, 0xae], 0).into(),
            "33000000000000045708ae0000",
        ),
    ] {
        assert_eq!(hex(kind, value), expected);
    }
}

#[test]
fn versionstamps_are_ordered_and_told_apart() {
    let stamp = Versionstamp::new([0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 5);
    assert_eq!(stamp.to_integer(), (1 << 16) + 5);
    assert_eq!(Versionstamp::MIN.to_integer(), 0);
    assert_eq!(Versionstamp::MAX.to_integer(), (1 << 96) - 1);
    let large = Versionstamp::new([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe], 7);
    assert!(Versionstamp::MIN < stamp && stamp < large && large < Versionstamp::MAX);
    assert!(!Versionstamp::MAX.is_incomplete() && !large.is_incomplete());
    assert!((0..3).all(|order| Versionstamp::incomplete(order).is_incomplete()));
    assert_eq!(Versionstamp::incomplete(5).complete(stamp.transaction()), stamp);
    assert_eq!(stamp.order(), 5);
}

#[test]
fn what_does_not_fit_a_table_is_refused() {
    use dust_layer::SchemaError as E;
    let schema = |outcome: Result<Table, dust_layer::Error>| match outcome {
        Err(dust_layer::Error::Schema(error)) => *error,
        other => panic!("not refused: {other:?}"),
    };
    let text = FieldType::Text;
    assert_eq!(schema(Table::new("").key(1, "id", text).build()), E::EmptyName);
    assert_eq!(schema(Table::new("t").field(1, "id", text).build()), E::NoKey);
    assert_eq!(
        schema(Table::new("t").key(0, "id", text).build()),
        E::FieldNumber { number: 0 }
    );
    assert_eq!(
        schema(Table::new("t").key(1 << 29, "id", text).build()),
        E::FieldNumber { number: 1 << 29 }
    );
    for (number, name) in [(1, "b"), (2, "id")] {
        let twice = Table::new("t").key(1, "id", text).field(number, name, text).build();
        assert!(matches!(schema(twice), E::DuplicateField { .. }));
    }
    let table = keyed(text);
    let key = |outcome: Result<_, dust_layer::Error>| outcome.map(drop).unwrap_err().schema().unwrap().clone();
    assert_eq!(
        key(table.primary_key(["a", "b"])),
        E::KeyFields { expected: 1, found: 2 }
    );
    assert_eq!(
        key(table.primary_key([FieldValue::Null])),
        E::NullKey { field: "key".into() }
    );
    assert!(matches!(key(table.primary_key([7])), E::WrongType { .. }));
    assert!(matches!(key(table.key_of(&Row::default())), E::NullKey { .. }));
    assert!(matches!(table.row([("other", 1)]), Err(dust_layer::Error::Schema(_))));
}
