//! `#[serde(..)]`, as far as it changes what a record is.
//!
//! Serde's own derive refuses what is malformed, unknown or given twice, so this says nothing about it.

use syn::parse::ParseStream;
use syn::{Attribute, Ident, LitStr, Token, parenthesized};

use super::{SerdeField, SerdeStruct, Setting, Sides, each_setting};
use crate::case::RenameRule;
use crate::ctxt::Ctxt;

pub(super) fn read_struct(cx: &Ctxt, attr: &Attribute, raw: &mut SerdeStruct) {
    let _ = each_setting(attr, |setting| {
        match setting.key.as_str() {
        "rename_all" => {
            let rule = |name: String| RenameRule::named(&name);
            let Some(Sides { write, read }) = sides(setting) else { return };
            let sides = Sides { write: write.and_then(rule), read: read.and_then(rule) };
            raw.rename_all.set(cx, setting.span, sides);
        }
        "default" => raw.default = true,
        key @ ("tag" | "content" | "untagged") => cx.error(
            setting.span,
            format_args!("serde's `{key}` adds to the fields of a record or takes from them: remove it, or make the tag a field"),
        ),
        "transparent" => cx.error(
            setting.span,
            "serde's `transparent` writes one field in place of the record: remove it, or make this type a field of a record",
        ),
        key @ ("from" | "try_from" | "into" | "remote") => cx.error(
            setting.span,
            format_args!("serde's `{key}` writes another type in place of this one: derive `DustSchema` on that type"),
        ),
        _ => {}
    }
    });
}

pub(super) fn read_field(cx: &Ctxt, attr: &Attribute, raw: &mut SerdeField) {
    let _ = each_setting(attr, |setting| {
        match setting.key.as_str() {
        "rename" => {
            if let Some(sides) = sides(setting) {
                raw.rename.set(cx, setting.span, sides);
            }
        }
        "default" => raw.default = true,
        "skip" => {
            raw.skip_write = Some(setting.span);
            raw.skip_read = Some(setting.span);
        }
        "skip_serializing" => raw.skip_write = Some(setting.span),
        "skip_deserializing" => raw.skip_read = Some(setting.span),
        "with" | "serialize_with" | "deserialize_with" => raw.with = Some(setting.span),
        "flatten" => cx.error(
            setting.span,
            "serde's `flatten` hides the fields of a record: store the inner struct as one field, or list its fields here",
        ),
        "getter" => cx.error(
            setting.span,
            "serde's `getter` reads a field of another type: derive `DustSchema` on a type of your own",
        ),
        _ => {}
    }
    });
}

/// The names of `key = ".."` or `key(serialize = "..", deserialize = "..")`; `None` for what serde refuses.
fn sides(setting: &Setting<'_>) -> Option<Sides<String>> {
    read_sides(setting.input).ok()
}

fn read_sides(input: ParseStream<'_>) -> syn::Result<Sides<String>> {
    if input.parse::<Option<Token![=]>>()?.is_some() {
        let name = input.parse::<LitStr>()?.value();
        return Ok(Sides {
            write: Some(name.clone()),
            read: Some(name),
        });
    }
    let content;
    parenthesized!(content in input);
    let mut sides = Sides {
        write: None,
        read: None,
    };
    while !content.is_empty() {
        let side: Ident = content.parse()?;
        content.parse::<Token![=]>()?;
        let name = Some(content.parse::<LitStr>()?.value());
        if side == "serialize" {
            sides.write = name;
        } else {
            sides.read = name;
        }
        content.parse::<Option<Token![,]>>()?;
    }
    Ok(sides)
}
