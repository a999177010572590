//! Increments.

use dust_transport::model::{Value, ValueKind};

use crate::error::Refusal;

/// A number as it is added up.
#[derive(Debug, Clone, Copy)]
enum Number {
    /// Wide enough for the sum of any two of `i64` and `u64`.
    Integer(i128),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Result<Option<Self>, Refusal> {
        let text = value.json();
        match value.kind() {
            ValueKind::Integer => text
                .parse()
                .ok()
                .filter(fits)
                .map(|n| Some(Self::Integer(n)))
                .ok_or_else(overflow),
            ValueKind::Float => Ok(text.parse().ok().map(Self::Float)),
            _ => Ok(None),
        }
    }

    /// The nearest float.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a sum with a float is a float, as precise as one"
    )]
    fn float(self) -> f64 {
        match self {
            Self::Integer(number) => number as f64,
            Self::Float(number) => number,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature of a filter")]
fn fits(number: &i128) -> bool {
    (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(number)
}

fn overflow() -> Refusal {
    Refusal::invalid(
        "number_overflow",
        "an increment must stay between the least i64 and the greatest u64, or be a finite float",
    )
}

/// The leaf's number, 0 if there is none, and the increment in one.
pub(super) fn sum(current: Option<&Value>, by: &Value) -> Result<Value, Refusal> {
    let by = Number::of(by)?.ok_or_else(|| {
        Refusal::invalid(
            "increment_requires_number_value",
            "the value of an increment must be a number",
        )
    })?;
    let current = match current {
        None => Number::Integer(0),
        Some(value) => Number::of(value)?.ok_or_else(|| {
            Refusal::invalid(
                "increment_requires_number_value",
                format!("the leaf is no number but a {}", value.kind()),
            )
        })?,
    };
    match (current, by) {
        (Number::Integer(current), Number::Integer(by)) => {
            let total = current + by;
            if !fits(&total) {
                return Err(overflow());
            }
            Ok(i64::try_from(total)
                .map(Value::from)
                .or_else(|_| u64::try_from(total).map(Value::from))
                .unwrap_or_else(|_| Value::null()))
        }
        (current, by) => Value::try_from(current.float() + by.float()).map_err(|_| overflow()),
    }
}
