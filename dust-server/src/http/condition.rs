//! Conditions of writes: headers and fields into preconditions.

use axum::http::{HeaderMap, header};
use dust_transport::model::{Path, Precondition, Seq, Value};

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

/// The condition of an op in a batch that uses extensions; `root` is the path that `if_subtree` means where it names none.
/// The error says what is wrong with it.
pub(super) fn of_op(fields: &Fields, root: &Path, absent: bool, subtree: bool) -> Result<Precondition, String> {
    let matched = Some(if_match(fields)?).filter(|matched| *matched != Precondition::None);
    let absent = (absent && fields.is_true("if_absent")).then_some(Precondition::Absent);
    let subtree = fields.get("if_subtree").filter(|_| subtree);
    let subtree = subtree.map(|value| if_subtree(value, root)).transpose()?;
    let mut given = [matched, absent, subtree].into_iter().flatten();
    match (given.next(), given.next()) {
        (_, Some(_)) => Err("if_match, if_absent and if_subtree are mutually exclusive".to_owned()),
        (one, None) => Ok(one.unwrap_or_default()),
    }
}

fn if_subtree(value: &Value, root: &Path) -> Result<Precondition, String> {
    let fields = value.entries().map(Fields).ok_or("if_subtree must be an object")?;
    let root = match fields.get("root") {
        None => root.clone(),
        Some(text) => {
            let text = text.str().ok_or("if_subtree.root must be a string")?;
            Path::parse(&text).map_err(|error| format!("if_subtree.root is no path ({})", error.code()))?
        }
    };
    match (fields.get("leaves"), fields.get("revision")) {
        (Some(leaves), None) => {
            let leaves = leaves.entries().ok_or("if_subtree.leaves must be an object")?;
            let mut leaves = leaves.iter().map(leaf).collect::<Result<Vec<_>, _>>()?;
            leaves.sort();
            leaves.dedup_by(|later, first| later.0 == first.0);
            Ok(Precondition::Subtree { root, leaves })
        }
        (None, Some(revision)) => {
            let revision = revision.to::<u64>();
            let revision = revision.map_err(|_| "if_subtree.revision must be a whole number")?;
            Ok(Precondition::SubtreeRevision {
                root,
                revision: Seq(revision),
            })
        }
        _ => Err("if_subtree has either leaves or a revision".to_owned()),
    }
}

fn leaf((path, revision): &(String, Value)) -> Result<(Path, Seq), String> {
    let path = Path::parse(path).map_err(|error| format!("if_subtree.leaves has no path ({})", error.code()))?;
    let revision = positive(revision.json()).ok_or("if_subtree.leaves must have positive integers")?;
    Ok((path, revision))
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

    #[test]
    fn a_subtree_is_compared_by_its_leaves_or_its_revision() {
        let root = Path::parse("r").unwrap();
        let check = |text: &str| {
            let fields = Fields(Value::from_slice(text.as_bytes()).unwrap().entries().unwrap());
            of_op(&fields, &root, true, true)
        };
        let seq = |path: &str, seq| (Path::parse(path).unwrap(), Seq(seq));
        let subtree = |root: &str, leaves| Precondition::Subtree {
            root: Path::parse(root).unwrap(),
            leaves,
        };
        let leaves = r#"{"if_subtree":{"leaves":{"r/b":2,"r/a":1}}}"#;
        assert_eq!(check(leaves), Ok(subtree("r", vec![seq("r/a", 1), seq("r/b", 2)])));
        assert_eq!(
            check(r#"{"if_subtree":{"root":"s","leaves":{}}}"#),
            Ok(subtree("s", Vec::new()))
        );
        assert_eq!(
            check(r#"{"if_subtree":{"revision":0}}"#),
            Ok(Precondition::SubtreeRevision {
                root: root.clone(),
                revision: Seq(0)
            })
        );
        for wrong in [
            r#"{"if_subtree":1}"#,
            r#"{"if_subtree":{}}"#,
            r#"{"if_subtree":{"leaves":{},"revision":1}}"#,
            r#"{"if_subtree":{"leaves":[]}}"#,
            r#"{"if_subtree":{"leaves":{"r/a":0}}}"#,
            r#"{"if_subtree":{"leaves":{"":1}}}"#,
            r#"{"if_subtree":{"revision":-1}}"#,
            r#"{"if_subtree":{"root":"a//b","revision":1}}"#,
            r#"{"if_subtree":{"revision":1},"if_match":1}"#,
            r#"{"if_absent":true,"if_match":1}"#,
            r#"{"if_absent":true,"if_subtree":{"revision":1}}"#,
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}
