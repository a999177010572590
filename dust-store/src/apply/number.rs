//! Increments.

use dust_transport::model::{Value, ValueKind};

use crate::error::Refusal;

/// A number as it is added up.
#[derive(Debug, Clone, Copy)]
enum Number {
    /// Wider than any sum that is kept.
    Integer(i128),
    Float(f64),
}

impl Number {
    fn of(value: &Value) -> Result<Option<Self>, Refusal> {
        let text = value.json();
        match value.kind() {
            ValueKind::Integer => text.parse().ok().map(|n| Some(Self::Integer(n))).ok_or_else(overflow),
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
            let total = current.checked_add(by).ok_or_else(overflow)?;
            let signed = i64::try_from(total).map(Value::from);
            signed
                .or_else(|_| u64::try_from(total).map(Value::from))
                .map_err(|_| overflow())
        }
        (current, by) => Value::try_from(current.float() + by.float()).map_err(|_| overflow()),
    }
}
