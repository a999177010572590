//! What the rules of `validator` say to people, where the program does not say it itself.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value as Json;
use validator::ValidationError;

/// The message of a rule that was given none.
pub(super) fn of_rule(error: &ValidationError) -> Cow<'static, str> {
    match error.code.as_ref() {
        "required" => "can't be blank".into(),
        "email" | "url" | "ip" | "credit_card" | "regex" => "has invalid format".into(),
        "must_match" => "does not match".into(),
        "length" => length(error).map_or("is invalid".into(), Cow::Owned),
        "range" => range(error).map_or("is invalid".into(), Cow::Owned),
        _ => "is invalid".into(),
    }
}

/// The bound that a text or a list is beyond.
fn length(error: &ValidationError) -> Option<String> {
    let (length, verb, unit) = match error.params.get("value")? {
        Json::String(text) => (text.chars().count(), "be", "character(s)"),
        Json::Array(items) => (items.len(), "have", "item(s)"),
        Json::Object(members) => (members.len(), "have", "item(s)"),
        _ => return None,
    };
    let length = u64::try_from(length).ok()?;
    let bound = |name: &str| error.params.get(name).and_then(Json::as_u64);
    if let Some(equal) = bound("equal") {
        return Some(format!("should {verb} {equal} {unit}"));
    }
    if let Some(min) = bound("min").filter(|min| length < *min) {
        return Some(format!("should {verb} at least {min} {unit}"));
    }
    let max = bound("max").filter(|max| length > *max)?;
    Some(format!("should {verb} at most {max} {unit}"))
}

/// The bound that a number is beyond.
fn range(error: &ValidationError) -> Option<String> {
    let value = error.params.get("value")?;
    let bounds = [
        ("min", "at least", [Ordering::Less].as_slice()),
        ("max", "at most", &[Ordering::Greater]),
        ("exclusive_min", "greater than", &[Ordering::Less, Ordering::Equal]),
        ("exclusive_max", "less than", &[Ordering::Greater, Ordering::Equal]),
    ];
    bounds.into_iter().find_map(|(name, words, beyond)| {
        let bound = error.params.get(name)?;
        let ordering = compare(value, bound)?;
        beyond.contains(&ordering).then(|| format!("must be {words} {bound}"))
    })
}

fn compare(left: &Json, right: &Json) -> Option<Ordering> {
    match (left.as_i64(), right.as_i64()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}
