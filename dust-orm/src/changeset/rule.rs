//! What a changeset must satisfy before it is written.

use std::borrow::Cow;

use dust_transport::model::Path;
use validator::{ValidationError, ValidationErrors, ValidationErrorsKind};

use super::{Changeset, Errors, FieldChange, FieldError, load_error};
use crate::codec;
use crate::schema::Schema;

/// Finds every error of the changeset, so that a form can show them at once; the record, if there is none.
pub(super) fn check<S: Schema>(changeset: &mut Changeset<S>) -> Option<S> {
    check_slug(changeset);
    check_required(changeset);
    check_rules(changeset)
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
                changeset
                    .errors
                    .push(FieldError::new(name, "slug", error.to_string()).with_param("reason", error.code()));
            }
        }
    }
}

/// Required fields must be neither absent, nor null, nor "", whether they change or not.
fn check_required<S: Schema>(changeset: &mut Changeset<S>) {
    for (index, def) in S::FIELDS.iter().enumerate().filter(|(_, def)| def.is_required()) {
        if codec::is_blank(changeset.value(index)) && !changeset.errors.has(def.serde_name()) {
            changeset.errors.push(FieldError::required(def.serde_name()));
        }
    }
}

/// Builds the record and runs the `validator` rules on it.
///
/// The rules need a whole record. Where fields are missing or wrong, it is built around placeholders, and what the
/// rules say of those is dropped, so that all that is wrong with the others is still found.
fn check_rules<S: Schema>(changeset: &mut Changeset<S>) -> Option<S> {
    let mut fields = changeset.merged();
    let mut silent = vec![false; fields.len()];
    for ((def, value), silent) in S::FIELDS.iter().zip(&mut fields).zip(&mut silent) {
        if changeset.errors.has(def.serde_name()) {
            *value = codec::placeholder(def);
            *silent = true;
        }
    }
    let record = loop {
        match codec::load_unguarded::<S>(&fields) {
            Ok(record) => break record,
            Err(error) => {
                let index = S::FIELDS
                    .iter()
                    .position(|def| error.field.as_deref() == Some(def.serde_name()));
                let known = index.and_then(|index| silent.get(index)).is_none_or(|silent| *silent);
                if !known || index.is_none() {
                    changeset.errors.push(load_error(error));
                }
                // A field more is wrong than was known: go on around a placeholder, once per field.
                let index = index.filter(|_| !known)?;
                *silent.get_mut(index)? = true;
                *fields.get_mut(index)? = codec::placeholder(S::FIELDS.get(index)?);
            }
        }
    };
    if let Err(errors) = record.rules() {
        collect(changeset, &silent, &errors);
    }
    changeset.is_valid().then_some(record)
}

/// In an update, a rule on a field that does not change has nothing to say: the record was accepted with it.
fn collect<S: Schema>(changeset: &mut Changeset<S>, silent: &[bool], errors: &ValidationErrors) {
    for (name, kind) in errors.errors() {
        let index = S::FIELDS.iter().position(|def| def.name() == name);
        let kept = |index| changeset.is_update() && changeset.changes.get(index) == Some(&FieldChange::Kept);
        if index.is_some_and(|index| kept(index) || silent.get(index) == Some(&true)) {
            continue;
        }
        let field = index
            .and_then(|index| S::FIELDS.get(index))
            .map_or(name.as_ref(), |def| def.serde_name());
        collect_kind(&mut changeset.errors, field.to_owned(), kind);
    }
}

fn collect_kind(errors: &mut Errors, field: String, kind: &ValidationErrorsKind) {
    match kind {
        ValidationErrorsKind::Field(list) => list
            .iter()
            .for_each(|error| errors.push(rule_error(field.clone(), error))),
        ValidationErrorsKind::Struct(nested) => {
            for (name, kind) in nested.errors() {
                collect_kind(errors, format!("{field}.{name}"), kind);
            }
        }
        ValidationErrorsKind::List(elements) => {
            for (index, nested) in elements {
                for (name, kind) in nested.errors() {
                    collect_kind(errors, format!("{field}[{index}].{name}"), kind);
                }
            }
        }
    }
}

/// The code and the params of a rule pass through; `value`, which repeats the input, does not.
fn rule_error(field: String, error: &ValidationError) -> FieldError {
    let message = error.message.clone().unwrap_or_else(|| Cow::Borrowed("is invalid"));
    error.params.iter().filter(|(name, _)| name.as_ref() != "value").fold(
        FieldError::new(field, error.code.clone(), message),
        |found, (name, value)| found.with_param(name.clone(), value.clone()),
    )
}
