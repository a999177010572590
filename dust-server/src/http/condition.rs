//! Conditions of writes: headers and fields into preconditions.

use axum::http::{HeaderMap, header};
use dust_transport::model::{Precondition, Seq, Value};

use super::answer::Refusal;
use super::call::Fields;

/// The condition in the headers of a PUT.
pub(super) fn of_put(headers: &HeaderMap) -> Result<Precondition, Refusal> {
    let absent = match headers.get(header::IF_NONE_MATCH) {
        Some(value) if value == "*" => true,
        Some(_) => return Err(Refusal::invalid("If-None-Match only supports \"*\"")),
        None => false,
    };
    match (of_delete(headers)?, absent) {
        (Precondition::None, true) => Ok(Precondition::Absent),
        (_, true) => Err(Refusal::invalid("If-Match and If-None-Match are mutually exclusive")),
        (matched, false) => Ok(matched),
    }
}

/// The condition in the headers of a DELETE.
pub(super) fn of_delete(headers: &HeaderMap) -> Result<Precondition, Refusal> {
    let Some(value) = headers.get(header::IF_MATCH) else {
        return Ok(Precondition::None);
    };
    let revision = value.to_str().ok().and_then(revision);
    let revision = revision.ok_or_else(|| Refusal::invalid("If-Match must be a positive integer"))?;
    Ok(Precondition::Match(revision))
}

/// A revision as `If-Match` has it: bare, or as the `ETag` that a read gave.
fn revision(text: &str) -> Option<Seq> {
    let quoted = text.strip_prefix("W/").unwrap_or(text);
    let bare = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let digits = match bare {
        Some(bare) => bare,
        None => text.strip_prefix('+').unwrap_or(text),
    };
    positive(digits)
}

/// A number of any size; one beyond all revisions is the largest of them, which no leaf has.
fn positive(digits: &str) -> Option<Seq> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().unwrap_or(u64::MAX);
    (number > 0).then_some(Seq(number))
}

/// The condition in the fields of a body, which says `if_match` or `if_absent`.
pub(super) fn of_fields(fields: &Fields) -> Result<Precondition, Refusal> {
    match (if_match(fields).map_err(Refusal::invalid)?, fields.is_true("if_absent")) {
        (Precondition::None, true) => Ok(Precondition::Absent),
        (_, true) => Err(Refusal::invalid("if_match and if_absent are mutually exclusive")),
        (matched, false) => Ok(matched),
    }
}

/// The field `if_match`; the error says what it is instead of a revision.
pub(super) fn if_match(fields: &Fields) -> Result<Precondition, String> {
    let Some(value) = fields.get("if_match") else {
        return Ok(Precondition::None);
    };
    match positive(value.json()) {
        Some(revision) => Ok(Precondition::Match(revision)),
        None => Err(format!("if_match must be a positive integer (got {})", shown(value))),
    }
}

fn shown(value: &Value) -> &str {
    if value.is_null() { "nil" } else { value.json() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_revision_is_bare_or_an_etag() {
        for (text, expected) in [
            ("2", Some(2)),
            ("+2", Some(2)),
            ("\"2\"", Some(2)),
            ("W/\"2\"", Some(2)),
            ("99999999999999999999", Some(u64::MAX)),
            ("0", None),
            ("-1", None),
            ("", None),
            ("*", None),
            ("2abc", None),
            ("1, 2", None),
            ("\"2", None),
            ("W/2", None),
            ("\"\"", None),
        ] {
            assert_eq!(revision(text), expected.map(Seq), "{text}");
        }
    }
}
