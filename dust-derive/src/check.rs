//! What was written → the model, and every rule between settings.

use std::collections::HashMap;

use proc_macro2::{Ident, Span};
use syn::GenericParam;

use crate::case::{self, RenameRule};
use crate::ctxt::Ctxt;
use crate::distance::nearest;
use crate::model::{Field, Fill, Index, Schema, Slug, Storage};
use crate::syntax::{RawField, RawIndex, RawStruct, SerdeStruct, Sides};

/// The model of `raw`. It is to be used only if `cx` holds no error; `None` where there is nothing to make it of.
pub(crate) fn check<'a>(cx: &Ctxt, raw: &'a RawStruct<'a>) -> Option<Schema<'a>> {
    check_lifetimes(cx, raw);
    if !raw.prefix.is_set() {
        let name = raw.ident;
        cx.error(
            name.span(),
            format_args!("`{name}` has no prefix: say where its records lie, `#[dust(prefix = \"links\")]`"),
        );
    }
    let rule = check_rename_all(cx, &raw.serde);
    let raw_fields = raw.fields.as_deref()?;
    let slug = check_slug(cx, raw, raw_fields);
    let fields: Vec<_> = raw_fields
        .iter()
        .map(|field| check_field(cx, field, &raw.serde, rule))
        .collect();
    check_names(cx, raw_fields, &fields);
    let indexes = check_indexes(cx, &raw.indexes, slug.as_ref(), &fields);
    Some(Schema {
        ident: raw.ident,
        vis: raw.vis,
        generics: raw.generics,
        krate: raw.krate.value(),
        prefix: raw.prefix.value()?,
        storage: raw.storage.value().copied().unwrap_or(Storage::Flat),
        slug: slug?,
        fields,
        indexes,
        index_only: check_write_primary(cx, raw),
        validated: raw.validated,
    })
}

/// A record outlives the call that loads it, so it cannot borrow:
///
/// ```text
/// struct Link<'a> { slug: &'a str }
/// ```
fn check_lifetimes(cx: &Ctxt, raw: &RawStruct<'_>) {
    for param in &raw.generics.params {
        if let GenericParam::Lifetime(param) = param {
            let lifetime = &param.lifetime;
            let span = lifetime.span();
            cx.error(
                span,
                format_args!("a record owns its fields, and `{lifetime}` borrows: use owned types such as `String`"),
            );
        }
    }
}

/// A record is read as it was written, so both names must be one:
///
/// ```text
/// #[serde(rename_all(serialize = "camelCase", deserialize = "kebab-case"))]
/// ```
fn check_rename_all(cx: &Ctxt, serde: &SerdeStruct) -> Option<RenameRule> {
    let Sides { write, read } = serde.rename_all.value()?;
    if write != read
        && let Some(span) = serde.rename_all.span()
    {
        cx.error(
            span,
            "serde's `rename_all` writes and reads different names: use one rule, `rename_all = \"camelCase\"`",
        );
    }
    *write
}

/// One field names the record: the one with `#[dust(slug)]`, else the one called `slug`.
fn check_slug<'a>(cx: &Ctxt, raw: &RawStruct<'a>, fields: &'a [RawField<'a>]) -> Option<Slug<'a>> {
    let mut marked = fields.iter().enumerate().filter(|(_, field)| field.slug.is_set());
    let called = || {
        fields
            .iter()
            .enumerate()
            .find(|(_, field)| case::field_name(field.ident) == "slug")
    };
    let Some((index, slug)) = marked.next().or_else(called) else {
        let name = raw.ident;
        cx.error(
            name.span(),
            format_args!("`{name}` has no slug: put `#[dust(slug)]` on the field that names a record"),
        );
        return None;
    };
    for span in marked.filter_map(|(_, field)| field.slug.span()) {
        let first = slug.ident;
        cx.error(
            span,
            format_args!("a record has one slug, and `{first}` is it already: remove one `slug`"),
        );
    }
    check_slug_settings(cx, slug);
    Some(Slug {
        index,
        ident: slug.ident,
        ty: slug.ty,
    })
}

/// The slug is the last segment of the path of a record, so it is always there, as text and without a name of its own.
fn check_slug_settings(cx: &Ctxt, slug: &RawField<'_>) {
    if let Some(span) = slug.required.span() {
        cx.error(span, "a slug is always required: remove `required`");
    }
    if let Some(span) = slug.rename.span() {
        cx.error(
            span,
            "a slug is a part of the path and has no name in the store: remove `rename`",
        );
    }
    if let Some(span) = slug.default.span() {
        cx.error(
            span,
            "a slug names one record, and a default would name them all: remove `default`",
        );
    }
    if let Some(span) = slug.skip.span().or(slug.serde.skip_write).or(slug.serde.skip_read) {
        cx.error(span, "a record cannot be stored without its slug: remove the skip");
    }
    if let Some(span) = slug.serde.with {
        cx.error(
            span,
            "a slug is stored as its own text: remove the encoding, or use a newtype that writes itself so",
        );
    }
}

fn check_field<'a>(cx: &Ctxt, raw: &'a RawField<'a>, serde: &SerdeStruct, rule: Option<RenameRule>) -> Field<'a> {
    check_serde_skip(cx, raw);
    check_required(cx, raw);
    check_default(cx, raw);
    check_skip(cx, raw, serde);
    let name = case::field_name(raw.ident);
    let serde_name = check_serde_name(cx, raw, rule, &name);
    let wire_name = raw
        .rename
        .value()
        .map(String::as_str)
        .filter(|wire| *wire != serde_name);
    let unseen = is_unseen(raw);
    // Serde fills what it does not see, and what has a default of serde's.
    let fills = raw.skip.is_set() && !unseen && !raw.serde.default && !serde.default;
    Field {
        ty: raw.ty,
        handle: case::handle(raw.ident),
        serde_name: Some(serde_name).filter(|serde_name| *serde_name != name),
        name,
        wire_name,
        required: raw.required.is_set(),
        skipped: raw.skip.is_set() || unseen,
        opaque: raw.serde.with.is_some() || unseen,
        default: raw.default.value().or(if fills { Some(&Fill::Type) } else { None }),
    }
}

/// Serde neither writes nor reads it.
fn is_unseen(raw: &RawField<'_>) -> bool {
    raw.serde.skip_write.is_some() && raw.serde.skip_read.is_some()
}

/// What is written and never read would be lost by the next update, and the reverse:
///
/// ```text
/// #[serde(skip_serializing)]
/// hits: u64,
/// ```
fn check_serde_skip(cx: &Ctxt, raw: &RawField<'_>) {
    let (half, span) = match (raw.serde.skip_write, raw.serde.skip_read) {
        (Some(span), None) => ("skip_serializing", span),
        (None, Some(span)) => ("skip_deserializing", span),
        _ => return,
    };
    cx.error(
        span,
        format_args!(
            "serde's `{half}` skips one way only: use `skip`, or `#[dust(skip)]` for what is read but not stored"
        ),
    );
}

/// Required is about what may be absent from the store.
fn check_required(cx: &Ctxt, raw: &RawField<'_>) {
    let Some(span) = raw.required.span() else { return };
    if raw.skip.is_set() || is_unseen(raw) {
        cx.error(
            span,
            "`required` is about a stored field, and this one is skipped: remove one of the two",
        );
    } else if raw.default.is_set() || raw.serde.default {
        cx.error(
            span,
            "a field with a default is never missing: remove `required` or the default",
        );
    }
}

/// There is one default, and it is a value of the store: serde must read what `Default` and the field's encoding write.
fn check_default(cx: &Ctxt, raw: &RawField<'_>) {
    let Some(span) = raw.default.span() else { return };
    if is_unseen(raw) {
        cx.error(
            span,
            "serde fills a field that it skips: use serde's own `#[serde(default = \"..\")]`",
        );
    } else if raw.serde.default {
        cx.error(
            span,
            "the field has a default from serde already: remove one of the two",
        );
    } else if raw.serde.with.is_some() {
        cx.error(
            span,
            "a field with an encoding of its own gets its default from serde: use `#[serde(default)]`",
        );
    }
}

fn check_skip(cx: &Ctxt, raw: &RawField<'_>, serde: &SerdeStruct) {
    let skipped = raw.skip.is_set() || is_unseen(raw);
    if skipped && let Some(span) = raw.rename.span() {
        cx.error(
            span,
            "a skipped field has no name in the store: remove `rename` or the skip",
        );
    }
    let filled = is_unseen(raw) || raw.serde.default || serde.default || raw.default.is_set();
    if let Some(span) = raw.skip.span()
        && raw.serde.with.is_some()
        && !filled
    {
        cx.error(
            span,
            "a skipped field with an encoding of its own is filled by serde: add `#[serde(default)]`",
        );
    }
}

/// A record is read under the names it was written under.
fn check_serde_name(cx: &Ctxt, raw: &RawField<'_>, rule: Option<RenameRule>, name: &str) -> String {
    let ruled = || rule.map_or_else(|| name.to_owned(), |rule| rule.apply(name));
    let Some(Sides { write, read }) = raw.serde.rename.value() else {
        return ruled();
    };
    let write = write.clone().unwrap_or_else(ruled);
    let read = read.clone().unwrap_or_else(ruled);
    if write != read
        && let Some(span) = raw.serde.rename.span()
    {
        cx.error(
            span,
            format_args!(
                "serde writes the field as `{write}` and reads `{read}`: use one name, and `alias` for a second to read"
            ),
        );
    }
    write
}

/// No two fields share a name: for serde, in the store, or as a handle.
fn check_names(cx: &Ctxt, raw: &[RawField<'_>], fields: &[Field<'_>]) {
    let (mut serde, mut wire, mut handles) = (HashMap::new(), HashMap::new(), HashMap::new());
    for (raw, field) in raw.iter().zip(fields) {
        let name = field.name.as_str();
        let handle = field.handle.to_string();
        if let Some(first) = handles.insert(handle, name) {
            let handle = &field.handle;
            cx.error(
                raw.ident.span(),
                format_args!("`{first}` and `{name}` have the same handle, `{handle}`: rename one, and keep its name with `#[serde(rename = \"..\")]`"),
            );
        }
        let serde_name = field.serde_name.as_deref().unwrap_or(name);
        let wire_name = field.wire_name.unwrap_or(serde_name);
        let span = name_span(raw);
        if let Some(first) = (!field.skipped).then(|| wire.insert(wire_name, name)).flatten() {
            cx.error(
                span,
                format_args!("`{first}` and `{name}` are both `{wire_name}` in the store: give one another name with `#[dust(rename = \"..\")]`"),
            );
        } else if let Some(first) = (!is_unseen(raw)).then(|| serde.insert(serde_name, name)).flatten() {
            cx.error(
                span,
                format_args!("`{first}` and `{name}` are both `{serde_name}` for serde: give one another name with `#[serde(rename = \"..\")]`"),
            );
        }
    }
}

/// Whether the records live only in their indexes. Then each index holds them, and there is one.
fn check_write_primary(cx: &Ctxt, raw: &RawStruct<'_>) -> bool {
    let Some(span) = raw
        .write_primary
        .span()
        .filter(|_| raw.write_primary.value() == Some(&false))
    else {
        return false;
    };
    if raw.indexes.is_empty() {
        cx.error(
            span,
            "records that live only in their indexes need one: add `index(date, user_id, mapped = false)`",
        );
    }
    for index in &raw.indexes {
        if index.mapped.value() != Some(&false) {
            cx.error(
                index.span,
                "the records live only in their indexes, so each of these holds them: write `index(.., mapped = false)`",
            );
        }
        if let Some(span) = index.unique.span() {
            cx.error(
                span,
                "an index that is all there is of its records is not unique: remove `unique`",
            );
        }
    }
    true
}

/// The most fields of an index: what its entries have room for.
const INDEX_FIELDS_MAX: usize = 8;

/// An index is of stored fields, each once, and so is the index.
fn check_indexes(cx: &Ctxt, raw: &[RawIndex], slug: Option<&Slug<'_>>, fields: &[Field<'_>]) -> Vec<Index> {
    let mut indexes: Vec<Index> = Vec::new();
    for index in raw {
        let places: Vec<_> = index
            .fields
            .iter()
            .filter_map(|name| check_index_field(cx, name, slug, fields))
            .collect();
        for (at, (name, place)) in index.fields.iter().zip(&places).enumerate() {
            if places.len() == index.fields.len() && places.iter().take(at).any(|other| other == place) {
                cx.error(
                    name.span(),
                    format_args!("`{name}` is in the index twice: remove one of the two"),
                );
            }
        }
        if let Some(name) = index.fields.get(INDEX_FIELDS_MAX) {
            cx.error(
                name.span(),
                format_args!("an index has at most {INDEX_FIELDS_MAX} fields: end it before `{name}`"),
            );
        }
        if !places.is_empty() && indexes.iter().any(|other| other.places == places) {
            cx.error(index.span, "the same index is given before: keep one of them");
        }
        indexes.push(Index {
            places,
            covering: index.mapped.value() == Some(&false),
            unique: index.unique.is_set(),
        });
    }
    indexes
}

/// The place of a field that an index names.
fn check_index_field(cx: &Ctxt, name: &Ident, slug: Option<&Slug<'_>>, fields: &[Field<'_>]) -> Option<usize> {
    let text = case::field_name(name);
    let Some((place, field)) = fields.iter().enumerate().find(|(_, field)| field.name == text) else {
        let known: Vec<_> = fields.iter().map(|field| field.name.as_str()).collect();
        let hint = nearest(&text, &known).map(|name| format!(" (did you mean `{name}`?)"));
        let hint = hint.unwrap_or_default();
        cx.error(
            name.span(),
            format_args!("`{text}` is no field of the struct{hint}: an index lists fields by their names in Rust"),
        );
        return None;
    };
    if slug.is_some_and(|slug| slug.index == place) {
        cx.error(
            name.span(),
            "every index ends with the slug by itself: remove it, and find a record by its slug with `get`",
        );
    } else if field.skipped {
        cx.error(
            name.span(),
            format_args!("`{text}` is not stored, so no record is found by it: remove it from the index or store it"),
        );
    } else if field.opaque {
        cx.error(
            name.span(),
            format_args!(
                "`{text}` has an encoding of its own, which no condition can be compared with: remove it from the index"
            ),
        );
    }
    Some(place)
}

/// Where the name of a field is given.
fn name_span(raw: &RawField<'_>) -> Span {
    raw.rename
        .span()
        .or(raw.serde.rename.span())
        .unwrap_or(raw.ident.span())
}
