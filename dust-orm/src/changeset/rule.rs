//! What a changeset must satisfy before it is written.

use std::borrow::Cow;

use dust_transport::model::{Path, Value};
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::{Changeset, Errors, FieldChange, FieldError, message};
use crate::codec::{self, Ask, LoadError};
use crate::schema::{FieldDef, Schema};

/// Finds every error of the changeset, so that a form can show them at once; the record, if there is none.
pub(super) fn check<S: Schema>(changeset: &mut Changeset<S>) -> Option<S> {
    check_slug(changeset);
    check_required(changeset);
    let record = check_rules(changeset);
    changeset.errors.sort_by_field(field_order::<S>);
    record.filter(|_| changeset.is_valid())
}

/// Errors stand in the order of the fields; those inside a nested one stand with it, those of the whole record last.
pub(super) fn field_order<S: Schema>(field: &str) -> usize {
    let is = |def: &FieldDef| def.serde_name() == field;
    let holds = |def: &FieldDef| {
        let rest = field.strip_prefix(def.serde_name());
        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let position = S::FIELDS.iter().position(is);
    position
        .or_else(|| S::FIELDS.iter().position(holds))
        .unwrap_or(S::FIELDS.len())
}

/// The slug must be there, be a path segment, and stay: changing it would make another record.
fn check_slug<S: Schema>(changeset: &mut Changeset<S>) {
    let Some(def) = S::FIELDS.get(S::SLUG_INDEX) else {
        return;
    };
    let name = def.serde_name();
    if changeset.errors.has(name) {
        return;
    }
    if changeset.is_update() && changeset.changes.get(S::SLUG_INDEX) != Some(&FieldChange::Kept) {
        changeset.errors.push(FieldError::new(
            name,
            "immutable",
            "can't be changed; insert a new record instead",
        ));
        return;
    }
    match changeset.slug() {
        None => changeset.errors.push(FieldError::required(name)),
        Some(slug) if slug.is_empty() => changeset.errors.push(FieldError::required(name)),
        Some(slug) => {
            if let Err(error) = Path::new(S::PREFIX.iter().copied().chain([slug.as_str()])) {
                changeset.refuse(name, "slug", error.to_string());
            }
        }
    }
}

/// Required fields must be neither absent, nor null, nor "", whether they change or not. Nor an empty map, which leaves
/// nothing in a store: the record could be written and not be read.
fn check_required<S: Schema>(changeset: &mut Changeset<S>) {
    let leaves_nothing = |value: &Value| value.json() == "{}";
    for (index, def) in S::FIELDS.iter().enumerate().filter(|(_, def)| def.is_required()) {
        let value = changeset.value(index);
        let blank = codec::is_blank(value) || value.is_some_and(leaves_nothing);
        if blank && !changeset.errors.has(def.serde_name()) {
            changeset.errors.push(FieldError::required(def.serde_name()));
        }
    }
}

/// Builds the record and runs the `validator` rules on it.
///
/// The rules need a whole record. Where fields are missing or wrong, others stand in for them, and what the rules say of
/// those is dropped, so that all that is wrong with the rest is still found.
fn check_rules<S: Schema>(changeset: &mut Changeset<S>) -> Option<S> {
    let mut fields = changeset.merged();
    // What else can be tried in place of a field that is missing or wrong; `None` for one that is not.
    let mut spares: Vec<Option<StandIns>> = Vec::with_capacity(fields.len());
    for ((index, def), slot) in S::FIELDS.iter().enumerate().zip(&mut fields) {
        let wrong = changeset.errors.has(def.serde_name());
        let mut spare = wrong.then(|| stand_ins(changeset, index, def));
        if let Some(spare) = &mut spare {
            *slot = spare.next().flatten();
        }
        spares.push(spare);
    }
    let record = loop {
        let error = match codec::load_unguarded::<S>(&fields) {
            Ok(record) => break record,
            Err(error) => error,
        };
        let Some((index, def)) = error.def::<S>() else {
            changeset.errors.push(load_error(error));
            return None;
        };
        let spare = spares.get_mut(index)?.get_or_insert_with(|| {
            changeset.errors.push(load_error(error));
            stand_ins(changeset, index, def)
        });
        *fields.get_mut(index)? = spare.next()?;
    };
    if let Err(errors) = record.rules() {
        collect(changeset, &spares, &errors);
    }
    Some(record)
}

type StandIns = std::vec::IntoIter<Option<Value>>;

/// What a field may read: nothing, what the record has, a sample of its type, or, where the type is not known, a value of
/// each kind.
fn stand_ins<S: Schema>(changeset: &Changeset<S>, index: usize, def: &FieldDef) -> StandIns {
    let mut values = vec![None];
    values.extend(changeset.base().and_then(|base| base.get(index)).cloned());
    if let Some(answer) = def.codec() {
        values.extend(answer(Ask::Sample).ok().map(Some));
    } else {
        let (text, list, map) = (Value::from(""), Value::list([]), Value::map::<&str>([]));
        values.extend([text, Value::from(0_i64), Value::from(false), list, map].map(Some));
    }
    values.into_iter()
}

/// The error of a field that does not load, as the changeset reports it.
fn load_error(error: LoadError) -> FieldError {
    let field = error.field.unwrap_or(Cow::Borrowed(Errors::RECORD));
    if error.missing {
        FieldError::required(field)
    } else {
        FieldError::new(field, "cast", "is invalid").with_param("reason", error.message)
    }
}

/// Takes over what the rules say of the fields that they are to be asked about.
///
/// In an update, a rule on a field that does not change has nothing to say, since the record was accepted with it; nor
/// has one on a stand-in. A rule on the record as a whole concerns every field.
fn collect<S: Schema, T>(changeset: &mut Changeset<S>, spares: &[Option<T>], errors: &ValidationErrors) {
    let is_update = changeset.is_update();
    let kept = |change: &FieldChange<Value>| is_update && *change == FieldChange::Kept;
    let unchanged = changeset.changes.iter().all(kept);
    let incomplete = spares.iter().any(Option::is_some);
    let mut kinds: Vec<_> = errors.errors().iter().collect();
    kinds.sort_by_key(|(name, _)| *name);
    for (name, kind) in kinds {
        let name = name.strip_prefix("r#").unwrap_or(name);
        let field = S::FIELDS.iter().enumerate().find(|(_, def)| def.name() == name);
        let silent = field.map_or(unchanged || incomplete, |(index, _)| {
            changeset.changes.get(index).is_some_and(kept) || spares.get(index).is_some_and(Option::is_some)
        });
        if !silent {
            let field = field.map_or(name, |(_, def)| def.serde_name());
            collect_kind(&mut changeset.errors, field, kind);
        }
    }
}

fn collect_kind(errors: &mut Errors, field: &str, kind: &ValidationErrorsKind) {
    match kind {
        ValidationErrorsKind::Field(list) => list
            .iter()
            .for_each(|error| errors.push(rule_error(field.to_owned(), error))),
        ValidationErrorsKind::Struct(nested) => {
            collect_nested(errors, field, nested);
        }
        ValidationErrorsKind::List(elements) => {
            for (index, nested) in elements {
                collect_nested(errors, &format!("{field}[{index}]"), nested);
            }
        }
    }
}

fn collect_nested(errors: &mut Errors, field: &str, nested: &ValidationErrors) {
    let mut kinds: Vec<_> = nested.errors().iter().collect();
    kinds.sort_by_key(|(name, _)| *name);
    for (name, kind) in kinds {
        collect_kind(errors, &format!("{field}.{name}"), kind);
    }
}

/// The code and the params of a rule pass through, but for those that repeat what was entered.
fn rule_error(field: String, error: &ValidationError) -> FieldError {
    let message = error.message.clone().unwrap_or_else(|| message::of_rule(error));
    let repeats = |name: &str| name == "value" || (error.code == "must_match" && name == "other");
    error.params.iter().filter(|(name, _)| !repeats(name)).fold(
        FieldError::new(field, error.code.clone(), message),
        |found, (name, value)| found.with_param(name.clone(), value.clone()),
    )
}
