//! JSON values as bytes whose order is that of the values.
//!
//! The first byte tells the kind; null, and what is absent, is no byte at all. A number is written by what it is worth, to
//! the last digit: its sign, the place of its decimal point, its digits, two to a byte. So `1`, `1.0` and `10e-1` are one
//! value, and an integer of any length lies between its neighbours. What is below zero is written upside down.

use dust_transport::query::IndexQuery;

const FALSE: [u8; 2] = [BOOLEAN, 1];
const TRUE: [u8; 2] = [BOOLEAN, 2];

const BOOLEAN: u8 = 2;
const NUMBER: u8 = 3;
const TEXT: u8 = 4;
/// A list or a map; the values of this kind have no order.
const OTHER: u8 = 5;

const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;

/// The bytes of what is not there.
pub(super) fn absent() -> Vec<u8> {
    Vec::new()
}

/// The bytes of a subtree, or of any value without an order.
pub(super) fn other() -> Vec<u8> {
    vec![OTHER]
}

/// The first byte of the values that are compared with this one.
pub(super) fn class(encoded: &[u8]) -> Option<u8> {
    encoded.first().copied()
}

/// Whether this is a value that is compared with others of its kind: neither null nor a list or a map.
pub(super) fn is_comparable(encoded: &[u8]) -> bool {
    class(encoded).is_some_and(|class| class != OTHER)
}

/// Whether this is the beginning of a string that is longer.
pub(super) fn is_cut(encoded: &[u8]) -> bool {
    class(encoded) == Some(TEXT) && encoded.len() > IndexQuery::TEXT_BYTES_MAX + 1
}

/// Encodes the JSON text of a leaf.
pub(super) fn encode(json: &str) -> Vec<u8> {
    match json.as_bytes().first() {
        None | Some(b'n') => absent(),
        Some(b'f') => FALSE.to_vec(),
        Some(b't') => TRUE.to_vec(),
        Some(b'"') => text(json),
        Some(b'[' | b'{') => other(),
        Some(_) => number(json),
    }
}

/// A string by its bytes; of a long one the first, and a mark that there is more.
fn text(json: &str) -> Vec<u8> {
    let value = dust_transport::model::Value::from_trusted_json(json.into());
    let text = value.str().unwrap_or_default();
    let bytes = text.as_bytes();
    let kept = bytes.get(..IndexQuery::TEXT_BYTES_MAX).unwrap_or(bytes);
    let mut encoded = Vec::with_capacity(kept.len() + 2);
    encoded.push(TEXT);
    encoded.extend_from_slice(kept);
    if kept.len() < bytes.len() {
        encoded.push(1);
    }
    encoded
}

fn number(json: &str) -> Vec<u8> {
    let (is_negative, magnitude) = match json.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, json),
    };
    let mut encoded = vec![NUMBER];
    let Some((point, digits)) = decimal(magnitude) else {
        encoded.push(ZERO);
        return encoded;
    };
    encoded.push(if is_negative { NEGATIVE } else { POSITIVE });
    let start = encoded.len();
    // With the sign bit turned, the order of the bytes is that of the numbers.
    encoded.extend_from_slice(&(point.cast_unsigned() ^ (1 << 31)).to_be_bytes());
    for pair in digits.chunks(2) {
        // A digit is 1 to 10, so that a number is followed by the longer ones that begin with its digits.
        let [high, low] = [pair.first(), pair.get(1)].map(|digit| digit.map_or(0, |digit| digit - b'0' + 1));
        encoded.push(high << 4 | low);
    }
    if is_negative {
        for byte in encoded.iter_mut().skip(start) {
            *byte = !*byte;
        }
        // After all digits of a longer one, which is further from zero.
        encoded.push(0xFF);
    }
    encoded
}

/// A number above zero as `0.d1d2… × 10^point`, without zeros at either end; `None` for zero, which is also what is too small
/// to have a `point`.
fn decimal(text: &str) -> Option<(i32, Vec<u8>)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).collect();
    let zeros = digits.iter().position(|digit| *digit != b'0')?;
    digits.drain(..zeros);
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    // A value is finite, so an exponent that does not fit is one far below zero.
    let exponent: i64 = exponent.strip_prefix('+').unwrap_or(exponent).parse().ok()?;
    let places = i64::try_from(whole.len()).ok()? - i64::try_from(zeros).ok()?;
    let point = exponent.checked_add(places)?;
    Some((i32::try_from(point).ok()?, digits))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_are_in_their_order() {
        let ascending = [
            "null",
            "false",
            "true",
            "-1e300",
            "-12345678901234567890123",
            "-12345678901234567890122.5",
            "-10",
            "-2.5",
            "-2.25",
            "-2",
            "-1e-300",
            "0",
            "1e-300",
            "0.5",
            "1",
            "1.5",
            "2",
            "9.99",
            "10",
            "10.01",
            "9007199254740992",
            "9007199254740993",
            "9007199254740993.5",
            "1e300",
            r#""""#,
            r#""\u0000""#,
            r#""A""#,
            r#""a""#,
            r#""a\u0000""#,
            r#""ab""#,
            r#""é""#,
            "[]",
        ];
        for pair in ascending.windows(2) {
            assert!(encode(pair[0]) < encode(pair[1]), "{pair:?}");
        }
    }

    #[test]
    fn numbers_of_one_worth_are_one_value() {
        for equal in [
            &["1", "1.0", "1e0", "10e-1", "0.1E+1"][..],
            &["0", "-0", "0.0", "0e9", "1e-99999999999"],
        ] {
            for other in equal {
                assert_eq!(encode(other), encode(equal[0]), "{other}");
            }
        }
    }

    #[test]
    fn of_a_long_string_the_beginning_counts() {
        let of = |count| encode(&format!("\"{}\"", "x".repeat(count)));
        let most = IndexQuery::TEXT_BYTES_MAX;
        assert!(of(most - 1) < of(most) && of(most) < of(most + 1));
        assert_eq!(of(most + 1), of(most + 2));
        assert!(!is_cut(&of(most)) && is_cut(&of(most + 1)) && !is_cut(&encode(&"9".repeat(2000))));
    }

    proptest! {
        #[test]
        fn integers_and_floats_keep_their_order(left in any::<i64>(), right in any::<f64>().prop_filter("finite", |f| f.is_finite())) {
            let text = serde_json::to_string(&right).unwrap();
            // Exact: a float beyond the integers is compared as one, and any other has a whole part that is an integer.
            let expected = if right >= 9.3e18 {
                Ordering::Less
            } else if right <= -9.3e18 {
                Ordering::Greater
            } else {
                #[expect(clippy::cast_possible_truncation, reason = "it fits, as was just seen")]
                let whole = right.trunc() as i128;
                i128::from(left).cmp(&whole).then(0.0_f64.total_cmp(&(right.fract() + 0.0)))
            };
            prop_assert_eq!(encode(&left.to_string()).cmp(&encode(&text)), expected);
        }

        #[test]
        fn floats_keep_their_order(left in any::<f64>(), right in any::<f64>()) {
            prop_assume!(left.is_finite() && right.is_finite());
            let of = |float: f64| encode(&serde_json::to_string(&float).unwrap());
            prop_assert_eq!(Some(of(left).cmp(&of(right))), left.partial_cmp(&right));
        }
    }
}
