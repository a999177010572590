//! Attributes → what was written, each setting with its place.
//!
//! Nothing here returns early: a setting that cannot be read is recorded and skipped, and the next one is read.

mod dust;
mod serde;

use proc_macro2::{Ident, Span, TokenTree};
use syn::meta::ParseNestedMeta;
use syn::parse::ParseStream;
use syn::spanned::Spanned as _;
use syn::{Attribute, Data, DeriveInput, Fields, FieldsNamed, Generics, Meta, Path, Token, Type, Visibility};

use crate::attr::Attr;
use crate::case::RenameRule;
use crate::ctxt::Ctxt;
use crate::model::{Fill, Storage};

/// A struct as written.
pub(crate) struct RawStruct<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) vis: &'a Visibility,
    pub(crate) generics: &'a Generics,
    pub(crate) krate: Attr<Path>,
    pub(crate) prefix: Attr<Vec<String>>,
    pub(crate) storage: Attr<Storage>,
    pub(crate) write_primary: Attr<bool>,
    pub(crate) indexes: Vec<RawIndex>,
    pub(crate) serde: SerdeStruct,
    /// Has a `#[validate(..)]`, here or on a field.
    pub(crate) validated: bool,
    /// `None` for what has no named fields; that is recorded already.
    pub(crate) fields: Option<Vec<RawField<'a>>>,
}

/// An index as written: the names of its fields, and what else it says.
pub(crate) struct RawIndex {
    pub(crate) span: Span,
    pub(crate) fields: Vec<Ident>,
    pub(crate) mapped: Attr<bool>,
    pub(crate) unique: Attr<()>,
}

/// What serde's attributes say of the struct.
pub(crate) struct SerdeStruct {
    pub(crate) rename_all: Attr<Sides<RenameRule>>,
    pub(crate) default: bool,
}

/// A field as written.
pub(crate) struct RawField<'a> {
    pub(crate) ident: &'a Ident,
    pub(crate) ty: &'a Type,
    pub(crate) slug: Attr<()>,
    pub(crate) required: Attr<()>,
    pub(crate) rename: Attr<String>,
    pub(crate) default: Attr<Fill>,
    pub(crate) skip: Attr<()>,
    pub(crate) serde: SerdeField,
}

/// What serde's attributes say of a field.
pub(crate) struct SerdeField {
    pub(crate) rename: Attr<Sides<String>>,
    pub(crate) default: bool,
    pub(crate) skip_write: Option<Span>,
    pub(crate) skip_read: Option<Span>,
    /// An encoding of its own: `with` or one of its halves.
    pub(crate) with: Option<Span>,
}

/// A setting that serde knows once for writing and once for reading.
pub(crate) struct Sides<T> {
    pub(crate) write: Option<T>,
    pub(crate) read: Option<T>,
}

/// Reads all attributes of a struct.
pub(crate) fn parse<'a>(cx: &Ctxt, input: &'a DeriveInput) -> RawStruct<'a> {
    let mut raw = RawStruct {
        ident: &input.ident,
        vis: &input.vis,
        generics: &input.generics,
        krate: Attr::none("crate"),
        prefix: Attr::none("prefix"),
        storage: Attr::none("storage"),
        write_primary: Attr::none("write_primary"),
        indexes: Vec::new(),
        serde: SerdeStruct {
            rename_all: Attr::none("rename_all"),
            default: false,
        },
        validated: has_rules(&input.attrs),
        fields: None,
    };
    for attr in &input.attrs {
        if attr.path().is_ident("dust") {
            dust::read_struct(cx, attr, &mut raw);
        } else if attr.path().is_ident("serde") {
            serde::read_struct(cx, attr, &mut raw.serde);
        }
    }
    if let Some(fields) = named_fields(cx, input) {
        raw.validated |= fields.named.iter().any(|field| has_rules(&field.attrs));
        let fields = fields
            .named
            .iter()
            .filter_map(|field| Some(parse_field(cx, field.ident.as_ref()?, field)));
        raw.fields = Some(fields.collect());
    }
    raw
}

fn has_rules(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("validate"))
}

fn named_fields<'a>(cx: &Ctxt, input: &'a DeriveInput) -> Option<&'a FieldsNamed> {
    let name = &input.ident;
    match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => return Some(fields),
            Fields::Unnamed(fields) => {
                let span = fields.paren_token.span.join();
                cx.error(
                    span,
                    format_args!("the fields of a record have names, and those of `{name}` do not: name them"),
                );
            }
            Fields::Unit => {
                cx.error(
                    name.span(),
                    format_args!("`{name}` has no fields: a record has at least a slug, `slug: String`"),
                );
            }
        },
        Data::Enum(data) => {
            let span = data.enum_token.span;
            cx.error(
                span,
                format_args!("a record is a struct, and `{name}` is an enum: make it a field of a struct"),
            );
        }
        Data::Union(data) => {
            let span = data.union_token.span;
            cx.error(
                span,
                format_args!("a record is a struct, and `{name}` is a union: write it as a struct"),
            );
        }
    }
    None
}

fn parse_field<'a>(cx: &Ctxt, ident: &'a Ident, field: &'a syn::Field) -> RawField<'a> {
    let serde = SerdeField {
        rename: Attr::none("rename"),
        default: false,
        skip_write: None,
        skip_read: None,
        with: None,
    };
    let mut raw = RawField {
        ident,
        ty: &field.ty,
        slug: Attr::none("slug"),
        required: Attr::none("required"),
        rename: Attr::none("rename"),
        default: Attr::none("default"),
        skip: Attr::none("skip"),
        serde,
    };
    for attr in &field.attrs {
        if attr.path().is_ident("dust") {
            dust::read_field(cx, attr, &mut raw);
        } else if attr.path().is_ident("serde") {
            serde::read_field(cx, attr, &mut raw.serde);
        }
    }
    raw
}

/// One setting of an attribute, `key ..`.
struct Setting<'a> {
    /// As written.
    key: String,
    span: Span,
    /// What follows the key, up to the end of the attribute.
    input: ParseStream<'a>,
}

/// Calls `read` for every setting of `attr`, and skips what it leaves of a setting.
fn each_setting(attr: &Attribute, mut read: impl FnMut(&Setting<'_>)) -> syn::Result<()> {
    if matches!(&attr.meta, Meta::List(list) if list.tokens.is_empty()) {
        return Ok(());
    }
    attr.parse_nested_meta(|meta: ParseNestedMeta<'_>| {
        let words: Vec<_> = meta
            .path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        read(&Setting {
            key: words.join("::"),
            span: meta.path.span(),
            input: meta.input,
        });
        skip_to_comma(meta.input)
    })
}

fn skip_to_comma(input: ParseStream<'_>) -> syn::Result<()> {
    while !input.is_empty() && !input.peek(Token![,]) {
        input.parse::<TokenTree>()?;
    }
    Ok(())
}
