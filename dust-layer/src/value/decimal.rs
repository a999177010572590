//! Decimal numbers.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A decimal number: up to 38 digits, times a power of ten.
///
/// Numbers that are equal are the same: `1.50` is `1.5`.
///
/// ```
/// use dust_layer::value::Decimal;
///
/// let price: Decimal = "12.50".parse()?;
/// assert_eq!(price, Decimal::new(125, -1));
/// assert_eq!(price.to_string(), "12.5");
/// assert!(Decimal::new(-3, 2) < price);
/// # Ok::<(), dust_layer::value::DecimalError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// Has no zero at its end, unless it is zero.
    coefficient: i128,
    exponent: i32,
}

/// Why a text is not a [`Decimal`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// It is not a decimal number.
    #[error("not a decimal number")]
    Syntax,
    /// It has more than 38 digits, or its exponent does not fit.
    #[error("decimal number is out of range")]
    Range,
}

impl Decimal {
    /// The number `coefficient` × 10^`exponent`.
    #[must_use]
    pub fn new(coefficient: i128, exponent: i32) -> Self {
        if coefficient == 0 {
            return Self {
                coefficient: 0,
                exponent: 0,
            };
        }
        let (mut coefficient, mut exponent) = (coefficient, exponent);
        while coefficient % 10 == 0 && exponent < i32::MAX {
            coefficient /= 10;
            exponent += 1;
        }
        Self { coefficient, exponent }
    }

    /// The digits as an integer, without zeros at the end.
    #[must_use]
    pub fn coefficient(&self) -> i128 {
        self.coefficient
    }

    /// The power of ten.
    #[must_use]
    pub fn exponent(&self) -> i32 {
        self.exponent
    }

    /// The digits without a sign, and the place of the point before them: the number is 0.digits × 10^place.
    pub(super) fn parts(&self) -> (String, i64) {
        let mut digits = self.coefficient.unsigned_abs().to_string();
        let place = i64::from(self.exponent) + i64::try_from(digits.len()).unwrap_or(i64::MAX);
        // Only at the largest exponent can zeros be left.
        digits.truncate(digits.trim_end_matches('0').len());
        (digits, place)
    }

    /// The reverse of [`parts`](Self::parts).
    pub(super) fn from_parts(is_negative: bool, digits: &str, place: i64) -> Option<Self> {
        let magnitude: i128 = digits.parse().ok()?;
        let exponent = place.checked_sub(i64::try_from(digits.len()).ok()?)?;
        let (coefficient, exponent) = if let Ok(exponent) = i32::try_from(exponent) {
            (magnitude, exponent)
        } else {
            // The zeros that the largest exponent leaves in the coefficient.
            let zeros = u32::try_from(exponent.checked_sub(i64::from(i32::MAX))?).ok()?;
            (magnitude.checked_mul(10_i128.checked_pow(zeros)?)?, i32::MAX)
        };
        Some(Self::new(
            if is_negative { -coefficient } else { coefficient },
            exponent,
        ))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        let sign = |number: &Self| number.coefficient.signum();
        sign(self).cmp(&sign(other)).then_with(|| {
            let ((left, left_place), (right, right_place)) = (self.parts(), other.parts());
            let magnitude = left_place.cmp(&right_place).then_with(|| left.cmp(&right));
            match sign(self) {
                0 => Ordering::Equal,
                1 => magnitude,
                _ => magnitude.reverse(),
            }
        })
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<i64> for Decimal {
    fn from(integer: i64) -> Self {
        Self::new(integer.into(), 0)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.coefficient.unsigned_abs().to_string();
        let sign = if self.coefficient < 0 { "-" } else { "" };
        let fraction = usize::try_from(self.exponent.unsigned_abs()).unwrap_or(usize::MAX);
        match self.exponent {
            0 => write!(f, "{sign}{digits}"),
            exponent if exponent < 0 && fraction < digits.len() => {
                let (whole, rest) = digits.split_at(digits.len() - fraction);
                write!(f, "{sign}{whole}.{rest}")
            }
            exponent if (-20..0).contains(&exponent) => write!(f, "{sign}0.{digits:0>fraction$}"),
            exponent => write!(f, "{sign}{digits}e{exponent}"),
        }
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i64>().map_err(|_| DecimalError::Syntax)?),
            None => (text, 0),
        };
        let (sign, number) = match number.strip_prefix('-') {
            Some(rest) => ("-", rest),
            None => ("", number),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() && fraction.is_empty() || !is_digits(whole) || !is_digits(fraction) {
            return Err(DecimalError::Syntax);
        }
        // Zeros at the end carry nothing and must not make the digits too many.
        let fraction = fraction.trim_end_matches('0');
        let digits = format!("{whole}{fraction}");
        let coefficient: i128 = if digits.is_empty() {
            0
        } else {
            format!("{sign}{digits}").parse().map_err(|_| DecimalError::Range)?
        };
        let shift = i64::try_from(fraction.len()).map_err(|_| DecimalError::Range)?;
        let exponent = exponent.checked_sub(shift).ok_or(DecimalError::Range)?;
        let exponent = i32::try_from(exponent).map_err(|_| DecimalError::Range)?;
        Ok(Self::new(coefficient, exponent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_and_written() {
        for (text, coefficient, exponent, written) in [
            ("0", 0, 0, "0"),
            ("-0.00", 0, 0, "0"),
            (".0", 0, 0, "0"),
            ("1.50", 15, -1, "1.5"),
            ("-12.034", -12034, -3, "-12.034"),
            ("0.05", 5, -2, "0.05"),
            ("1200", 12, 2, "12e2"),
            ("12e-30", 12, -30, "12e-30"),
            ("7.", 7, 0, "7"),
        ] {
            let number: Decimal = text.parse().unwrap();
            assert_eq!(
                (number.coefficient(), number.exponent()),
                (coefficient, exponent),
                "{text}"
            );
            assert_eq!(number.to_string(), written);
            assert_eq!(written.parse(), Ok(number));
        }
    }

    #[test]
    fn what_is_no_number_or_too_long_is_refused() {
        for text in ["", ".", "-", "1.2.3", "x", "1e", "+1", "1 "] {
            assert_eq!(text.parse::<Decimal>(), Err(DecimalError::Syntax), "{text}");
        }
        let long = "9".repeat(40);
        assert_eq!(long.parse::<Decimal>(), Err(DecimalError::Range));
        assert_eq!("1e99999999999".parse::<Decimal>(), Err(DecimalError::Range));
    }

    #[test]
    fn the_largest_exponent_keeps_its_zeros_apart() {
        let number = Decimal::new(100, i32::MAX);
        assert_eq!((number.coefficient(), number.exponent()), (100, i32::MAX));
        assert!(number > Decimal::new(10, i32::MAX));
        let (digits, place) = number.parts();
        assert_eq!(Decimal::from_parts(false, &digits, place), Some(number));
    }
}
