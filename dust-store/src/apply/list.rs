//! Sets: lists of distinct members, the newest first.

use std::collections::HashSet;

use dust_transport::model::{Value, ValueKind};

use crate::error::Refusal;

/// The members with this one put first.
pub(super) fn add(current: Option<&Value>, member: &Value) -> Result<Value, Refusal> {
    check("add_requires_value", member)?;
    let mut seen = HashSet::new();
    let members = std::iter::once(member.clone()).chain(members(current));
    Ok(Value::list(
        members
            .filter(|member| seen.insert(canonical(member)))
            .collect::<Vec<_>>(),
    ))
}

/// The members without the first that equals this one.
pub(super) fn remove(current: Option<&Value>, member: &Value) -> Result<Value, Refusal> {
    check("remove_requires_value", member)?;
    let mut members = members(current);
    if let Some(at) = members.iter().position(|other| other == member) {
        members.remove(at);
    }
    Ok(Value::list(members))
}

/// The members of the stored list; anything else counts as an empty one.
fn members(current: Option<&Value>) -> Vec<Value> {
    current.and_then(Value::items).unwrap_or_default()
}

/// A member is not null, and lies one level deeper in the list than it came.
fn check(code: &'static str, member: &Value) -> Result<(), Refusal> {
    if member.is_null() {
        return Err(Refusal::invalid(code, "null cannot be a member of a set"));
    }
    if levels(member.json()) >= Value::LEVELS_MAX {
        return Err(dust_transport::model::ValueError::TooDeep.into());
    }
    Ok(())
}

/// How deep lists and maps are nested in a JSON text.
pub(crate) fn levels(text: &str) -> usize {
    let mut levels = 0_usize;
    let mut deepest = 0;
    let mut quoted = false;
    let mut escaped = false;
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => levels += 1,
            b']' | b'}' if !quoted => levels = levels.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(levels);
    }
    deepest
}

/// A text that is the same for equal values and for no others.
fn canonical(value: &Value) -> String {
    let text = value.json();
    match value.kind() {
        ValueKind::Integer if text == "-0" => "0".to_owned(),
        // `{:?}` of a float is never the text of an integer.
        ValueKind::Float => text
            .parse()
            .map_or_else(|_| text.to_owned(), |float: f64| format!("{:?}", float + 0.0)),
        ValueKind::String if text.contains('\\') => value
            .str()
            .map_or_else(|| text.to_owned(), |string| Value::from(&*string).json().to_owned()),
        ValueKind::List => {
            let items: Vec<_> = value.items().unwrap_or_default().iter().map(canonical).collect();
            format!("[{}]", items.join(","))
        }
        ValueKind::Map => {
            let mut entries: Vec<_> = value
                .entries()
                .unwrap_or_default()
                .iter()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()).json(), canonical(value)))
                .collect();
            entries.sort_unstable();
            format!("{{{}}}", entries.join(","))
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Value {
        Value::from_json(text).unwrap()
    }

    #[test]
    fn the_newest_member_comes_first_and_once() {
        let check = |list: &str, member: &str, expected: &str| {
            assert_eq!(
                add(Some(&json(list)), &json(member)).unwrap().json(),
                expected,
                "{list} + {member}"
            );
        };
        check("[1,2]", "3", "[3,1,2]");
        check("[1,2]", "2", "[2,1]");
        check("[1]", "1.0", "[1.0,1]");
        check("[1.0]", "1.00", "[1.00]");
        check(
            r#"["a",{"x":1,"y":[2]}]"#,
            r#"{"y":[2],"x":1}"#,
            r#"[{"y":[2],"x":1},"a"]"#,
        );
        check(r#"["\u0061"]"#, r#""a""#, r#"["a"]"#);
        check("[7,7,8]", "9", "[9,7,8]");
        check("\"no list\"", "1", "[1]");
        check("[null]", "1", "[1,null]");
    }

    #[test]
    fn the_first_equal_member_goes() {
        let check = |list: &str, member: &str, expected: &str| {
            assert_eq!(
                remove(Some(&json(list)), &json(member)).unwrap().json(),
                expected,
                "{list} - {member}"
            );
        };
        check("[1,2,1]", "1", "[2,1]");
        check("[1]", "1.0", "[1]");
        check("[]", "1", "[]");
        check("5", "1", "[]");
    }

    #[test]
    fn a_member_that_would_be_too_deep_in_the_list_is_refused() {
        let deep = |levels: usize| json(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
        assert!(add(None, &deep(Value::LEVELS_MAX - 1)).is_ok());
        assert!(add(None, &deep(Value::LEVELS_MAX)).is_err());
        assert!(add(None, &json(&format!("\"{}\"", "[".repeat(Value::LEVELS_MAX)))).is_ok());
    }
}
