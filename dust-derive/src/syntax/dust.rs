//! `#[dust(..)]`.

use proc_macro2::Span;
use syn::ext::IdentExt as _;
use syn::parse::ParseStream;
use syn::{Attribute, Ident, LitBool, LitStr, Path, Token, bracketed, parenthesized, token};

use super::{RawField, RawIndex, RawStruct, Setting, each_setting, skip_to_comma};
use crate::attr::Attr;
use crate::ctxt::Ctxt;
use crate::distance::nearest;
use crate::model::{Fill, Storage};

const STRUCT_KEYS: &[&str] = &["prefix", "storage", "index", "write_primary", "crate"];
const FIELD_KEYS: &[&str] = &["slug", "required", "rename", "default", "skip"];
const STORAGES: &[&str] = &["flat", "map"];

pub(super) fn read_struct(cx: &Ctxt, attr: &Attribute, raw: &mut RawStruct<'_>) {
    let read = each_setting(attr, |setting| match setting.key.as_str() {
        "prefix" => raw.prefix.set(cx, setting.span, prefix(cx, setting)),
        "storage" => {
            let storage = string(cx, setting, "flat").and_then(|name| storage(cx, &name));
            raw.storage.set(cx, setting.span, storage.unwrap_or(Storage::Flat));
        }
        "write_primary" => {
            let value = setting.input.parse::<Token![=]>();
            match value.and_then(|_| setting.input.parse::<LitBool>()) {
                Ok(value) => raw.write_primary.set(cx, setting.span, value.value),
                Err(_) => cx.error(
                    setting.span,
                    "`write_primary` is `true` or `false`: write `write_primary = false` for records that live only in their indexes",
                ),
            }
        }
        "crate" => {
            if let Some(path) = path(cx, setting, "::dust_orm") {
                raw.krate.set(cx, setting.span, path);
            }
        }
        "index" => {
            let mut index = RawIndex {
                span: setting.span,
                fields: Vec::new(),
                mapped: Attr::none("mapped"),
                unique: Attr::none("unique"),
            };
            if let Err(error) = read_index(cx, setting, &mut index) {
                cx.syntax_error(error);
                index.fields.clear();
            }
            raw.indexes.push(index);
        }
        key if FIELD_KEYS.contains(&key) => {
            cx.error(
                setting.span,
                format_args!("`{key}` is a setting of a field: move it to the field it is about"),
            );
        }
        _ => unknown(cx, setting, "struct", STRUCT_KEYS),
    });
    malformed(cx, read);
}

pub(super) fn read_field(cx: &Ctxt, attr: &Attribute, raw: &mut RawField<'_>) {
    let read = each_setting(attr, |setting| match setting.key.as_str() {
        "slug" => flag(cx, setting, &mut raw.slug),
        "required" => flag(cx, setting, &mut raw.required),
        "skip" => flag(cx, setting, &mut raw.skip),
        "rename" => {
            let name = rename(cx, setting).unwrap_or_else(|| raw.ident.to_string());
            raw.rename.set(cx, setting.span, name);
        }
        "default" if setting.input.peek(Token![=]) => {
            let fill = path(cx, setting, "path::to::function").map_or(Fill::Type, Fill::Path);
            raw.default.set(cx, setting.span, fill);
        }
        "default" => {
            refuse_value(cx, setting);
            raw.default.set(cx, setting.span, Fill::Type);
        }
        key if STRUCT_KEYS.contains(&key) => {
            cx.error(
                setting.span,
                format_args!("`{key}` is a setting of the struct: move it to `#[dust(..)]` above the struct"),
            );
        }
        _ => unknown(cx, setting, "field", FIELD_KEYS),
    });
    malformed(cx, read);
}

fn malformed(cx: &Ctxt, read: syn::Result<()>) {
    if let Err(error) = read {
        cx.error(
            error.span(),
            "not a setting: the form is `#[dust(key, key = \"value\")]`",
        );
    }
}

fn unknown(cx: &Ctxt, setting: &Setting<'_>, place: &str, known: &[&str]) {
    let key = &setting.key;
    let hint = did_you_mean(key, known);
    let known = list(known);
    cx.error(
        setting.span,
        format_args!("unknown attribute `{key}`{hint}: a {place} takes {known}"),
    );
}

fn did_you_mean(given: &str, known: &[&str]) -> String {
    nearest(given, known)
        .map(|name| format!(" (did you mean `{name}`?)"))
        .unwrap_or_default()
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// A setting without a value.
fn flag(cx: &Ctxt, setting: &Setting<'_>, attr: &mut Attr<()>) {
    refuse_value(cx, setting);
    attr.set(cx, setting.span, ());
}

fn refuse_value(cx: &Ctxt, setting: &Setting<'_>) {
    let key = &setting.key;
    if !setting.input.is_empty() && !setting.input.peek(Token![,]) {
        cx.error(
            setting.input.span(),
            format_args!("`{key}` takes no value: write `{key}` alone"),
        );
    }
}

/// The value of `key = "text"`; `example` is a value that would do.
fn string(cx: &Ctxt, setting: &Setting<'_>, example: &str) -> Option<LitStr> {
    let (key, input) = (&setting.key, setting.input);
    if input.parse::<Token![=]>().is_err() {
        cx.error(
            setting.span,
            format_args!("`{key}` needs a value: write `{key} = \"{example}\"`"),
        );
        return None;
    }
    // The parser takes a wrong literal off the input before it says so.
    let span = if input.is_empty() { setting.span } else { input.span() };
    let text = input.parse();
    if text.is_err() {
        cx.error(
            span,
            format_args!("the value of `{key}` is a string in quotes: write `{key} = \"{example}\"`"),
        );
    }
    text.ok()
}

/// The value of `key = "path::to::item"`.
fn path(cx: &Ctxt, setting: &Setting<'_>, example: &str) -> Option<Path> {
    let text = string(cx, setting, example)?;
    let path = text.parse_with(Path::parse_mod_style);
    if path.is_err() {
        let key = &setting.key;
        cx.error(
            text.span(),
            format_args!("the value of `{key}` is the path of an item: write `{key} = \"{example}\"`"),
        );
    }
    path.ok()
}

/// The name in the store of `rename = ".."`.
fn rename(cx: &Ctxt, setting: &Setting<'_>) -> Option<String> {
    let name = string(cx, setting, "href")?;
    if name.value().is_empty() {
        cx.error(
            name.span(),
            "the name in the store is empty: give one, or remove `rename`",
        );
        return None;
    }
    check_nul(cx, name.span(), &name.value());
    Some(name.value())
}

fn storage(cx: &Ctxt, name: &LitStr) -> Option<Storage> {
    match name.value().as_str() {
        "flat" => Some(Storage::Flat),
        "map" => Some(Storage::Map),
        other => {
            let hint = did_you_mean(other, STORAGES);
            cx.error(
                name.span(),
                format_args!(
                    "unknown storage `{other}`{hint}: `flat` is one leaf per field, `map` one value per record"
                ),
            );
            None
        }
    }
}

/// The segments of `prefix = ".."` or `prefix = ["..", ".."]`; whatever is wrong with them is recorded.
fn prefix(cx: &Ctxt, setting: &Setting<'_>) -> Vec<String> {
    if setting.input.peek(Token![=]) && setting.input.peek2(token::Bracket) {
        return prefix_list(cx, setting).unwrap_or_else(|error| {
            cx.syntax_error(error);
            Vec::new()
        });
    }
    let Some(text) = string(cx, setting, "links") else {
        return Vec::new();
    };
    let (rendered, span) = (text.value(), text.span());
    if rendered.is_empty() {
        cx.error(
            span,
            "the prefix is empty: name where the records lie, as in `prefix = \"links\"`",
        );
        return Vec::new();
    }
    let segments = rendered.split('/').map(|rendered| {
        let literal = unescape(cx, span, rendered);
        prefix_segment(cx, span, &literal);
        literal
    });
    segments.collect()
}

fn prefix_list(cx: &Ctxt, setting: &Setting<'_>) -> syn::Result<Vec<String>> {
    setting.input.parse::<Token![=]>()?;
    let content;
    let bracket = bracketed!(content in setting.input);
    if content.is_empty() {
        cx.error(
            bracket.span.join(),
            "the prefix has no segments: name where the records lie, as in `prefix = [\"links\"]`",
        );
    }
    let mut segments = Vec::new();
    while !content.is_empty() {
        if content.peek(LitStr) {
            let text: LitStr = content.parse()?;
            prefix_segment(cx, text.span(), &text.value());
            segments.push(text.value());
        } else {
            cx.error(content.span(), "a segment of the prefix is a string: put it in quotes");
        }
        skip_to_comma(&content)?;
        content.parse::<Option<Token![,]>>()?;
    }
    Ok(segments)
}

/// What stands in `index(.., ..)`; no names where something is wrong with one, which is recorded.
fn read_index(cx: &Ctxt, setting: &Setting<'_>, index: &mut RawIndex) -> syn::Result<()> {
    if !setting.input.peek(token::Paren) {
        cx.error(
            setting.span,
            "`index` lists the fields of the index: write `index(department, name)`",
        );
        return Ok(());
    }
    let content;
    parenthesized!(content in setting.input);
    let mut is_whole = true;
    while !content.is_empty() {
        let span = content.span();
        // In quotes it is the name of a field, whatever it says.
        let (field, is_quoted) = if content.peek(LitStr) {
            (content.parse::<LitStr>()?.parse_with(Ident::parse_any), true)
        } else {
            (content.call(Ident::parse_any), false)
        };
        match field {
            Ok(word) if !is_quoted && word == "mapped" && content.peek(Token![=]) => mapped(cx, &word, &content, index),
            Ok(word) if !is_quoted && word == "unique" => unique(cx, &word, &content, index),
            field => {
                if field.is_err() || !content.is_empty() && !content.peek(Token![,]) {
                    cx.error(
                        span,
                        "an index lists fields by their names, bare or in quotes: write `index(department, name)`",
                    );
                    is_whole = false;
                }
                index.fields.extend(field);
            }
        }
        skip_to_comma(&content)?;
        content.parse::<Option<Token![,]>>()?;
    }
    if index.fields.is_empty() && is_whole {
        cx.error(
            setting.span,
            "the index has no fields: name those that records are found by, as in `index(department, name)`",
        );
    }
    if !is_whole {
        index.fields.clear();
    }
    Ok(())
}

/// `mapped = false` among the fields of an index.
fn mapped(cx: &Ctxt, word: &Ident, content: ParseStream<'_>, index: &mut RawIndex) {
    let value = content.parse::<Token![=]>().and_then(|_| content.parse::<LitBool>());
    match value {
        Ok(value) => index.mapped.set(cx, word.span(), value.value),
        Err(_) => cx.error(
            word.span(),
            "`mapped` is `true` or `false`: write `mapped = false` for an index whose entries hold the records",
        ),
    }
}

/// `unique` among the fields of an index.
fn unique(cx: &Ctxt, word: &Ident, content: ParseStream<'_>, index: &mut RawIndex) {
    if content.is_empty() || content.peek(Token![,]) {
        index.unique.set(cx, word.span(), ());
    } else {
        cx.error(
            word.span(),
            "`unique` takes no value in an index: write `index(email, unique)`; a field of that name stands in quotes",
        );
    }
}

fn prefix_segment(cx: &Ctxt, span: Span, text: &str) {
    if text.is_empty() {
        cx.error(
            span,
            "a segment of the prefix is empty: name it, and write no `/` at either end and no `//`",
        );
    }
    if text.starts_with("_dust:") {
        cx.error(
            span,
            "names that begin with `_dust:` are kept for what clients store of their own: choose another prefix",
        );
    }
    check_nul(cx, span, text);
}

fn check_nul(cx: &Ctxt, span: Span, text: &str) {
    if text.contains('\0') {
        cx.error(span, "the store refuses a NUL character in a name: take it out");
    }
}

/// The text of a segment in which `~1` stands for a slash and `~0` for a tilde.
fn unescape(cx: &Ctxt, span: Span, rendered: &str) -> String {
    let mut text = String::with_capacity(rendered.len());
    let mut letters = rendered.chars();
    while let Some(letter) = letters.next() {
        if letter != '~' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('0') => text.push('~'),
            Some('1') => text.push('/'),
            _ => {
                cx.error(
                    span,
                    "a `~` in a prefix starts an escape: write `~0` for a tilde, `~1` for a slash inside a segment",
                );
                // The rest may hold more of the same; it is one mistake.
                return text + "~" + letters.as_str();
            }
        }
    }
    text
}
