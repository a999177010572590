//! The model → tokens.
//!
//! What is printed is data and calls into `dust_orm::__private`, named `__d` inside a block of its own, so that it neither needs nor
//! disturbs a name of the place it lands in.

mod fallback;
#[cfg(test)]
mod tests;

use proc_macro2::{Ident, Literal, TokenStream, TokenTree};
use quote::{ToTokens as _, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{GenericParam, Generics, Path, Type, Visibility};

pub(crate) use fallback::fallback;

use crate::case::field_name;
use crate::model::{Field, Fill, Index, Schema, Storage};

/// The impl of `Schema` and the handles.
pub(crate) fn expand(schema: &Schema<'_>) -> TokenStream {
    let ident = schema.ident;
    let name = field_name(ident);
    let prefix = schema.prefix;
    let storage = match schema.storage {
        Storage::Flat => quote!(Flat),
        Storage::Map => quote!(Map),
    };
    let fields = schema.fields.iter().map(field_def);
    let slug_index = Literal::usize_unsuffixed(schema.slug.index);
    let slug = slug(schema);
    let rules = schema.validated.then(rules);
    let handles = handles(
        schema.vis,
        schema
            .fields
            .iter()
            .map(|field| (field.name.as_str(), &field.handle, field.ty)),
    );

    let (impl_generics, ty_generics, where_clause) = schema.generics.split_for_impl();
    let bounds = bounds(schema);
    let indexed = (!schema.indexes.is_empty()).then(|| {
        let defs = schema.indexes.iter().map(index_def);
        quote! {
            #[automatically_derived]
            impl #impl_generics __d::Indexed for #ident #ty_generics #bounds {
                const INDEXES: &'static [__d::IndexDef] = &[#(#defs),*];
            }
        }
    });
    let write_primary = schema.index_only.then(|| {
        quote!(
            const WRITE_PRIMARY: ::core::primitive::bool = false;
        )
    });
    // Under `for<'__dust>` a type that is no schema is one error, on the schema.
    let (kind, of) = if schema.index_only {
        (quote!(IndexOnly), quote!(Indexed))
    } else {
        (quote!(Primary), quote!(Schema))
    };
    let own = where_clause.iter().flat_map(|clause| &clause.predicates);
    let body = quote! {
        #[automatically_derived]
        impl #impl_generics __d::Schema for #ident #ty_generics #bounds {
            const NAME: &'static ::core::primitive::str = #name;
            const PREFIX: &'static [&'static ::core::primitive::str] = &[#(#prefix),*];
            const STORAGE: __d::Storage = __d::Storage::#storage;
            #write_primary
            const FIELDS: &'static [__d::FieldDef] = &[#(#fields),*];
            const SLUG_INDEX: ::core::primitive::usize = #slug_index;
            #slug
            #rules
        }
        #[automatically_derived]
        impl #impl_generics __d::#kind for #ident #ty_generics
        where
            #(#own,)*
            for<'__dust> Self: __d::#of,
        {}
        #indexed
        #[automatically_derived]
        impl #impl_generics #ident #ty_generics #where_clause {
            #handles
        }
    };
    in_block(schema.krate, &body)
}

/// The block in which `__d` is known. A deprecated type is the concern of the struct that names it; no other lint is allowed here,
/// since an `allow` is an error in a program that forbids the lint.
fn in_block(krate: Option<&Path>, body: &TokenStream) -> TokenStream {
    let krate = krate.map_or_else(|| quote!(::dust_orm), |path| quote!(#path));
    quote! {
        #[allow(deprecated)]
        const _: () = {
            use #krate::__private as __d;
            #body
        };
    }
}

/// One line of the table. The type is named only here, so that a type that cannot be a field is one error, on the type.
fn field_def(field: &Field<'_>) -> TokenStream {
    let (name, ty) = (&field.name, field.ty);
    let new = if field.opaque {
        quote!(__d::FieldDef::opaque(#name))
    } else {
        quote_spanned!(ty.span()=> __d::FieldDef::new::<#ty>(#name))
    };
    let serde = field.serde_name.as_ref().map(|name| quote!(.serde(#name)));
    let wire = field.wire_name.map(|name| quote!(.wire(#name)));
    let required = field.required.then(|| quote!(.required()));
    let skip = field.skipped.then(|| quote!(.skip()));
    let default = field.default.map(|fill| match fill {
        Fill::Type => quote_spanned!(ty.span()=> .default(__d::default_value::<#ty>)),
        Fill::Path(path) => quote_spanned!(path.span()=> .default(|| __d::value::<#ty>(&#path()))),
    });
    quote!(#new #serde #wire #required #skip #default)
}

/// One index, by the places of its fields in the table.
fn index_def(index: &Index) -> TokenStream {
    let places = index.places.iter().copied().map(Literal::usize_unsuffixed);
    let covering = index.covering.then(|| quote!(.covering()));
    let unique = index.unique.then(|| quote!(.unique()));
    quote!(__d::IndexDef::new(&[#(#places),*]) #covering #unique)
}

fn slug(schema: &Schema<'_>) -> TokenStream {
    let (ident, ty) = (schema.slug.ident, schema.slug.ty);
    let call = quote_spanned!(ty.span()=> __d::slug::<#ty>(&self.#ident));
    quote! {
        fn slug(&self) -> &::core::primitive::str {
            #call
        }
    }
}

fn rules() -> TokenStream {
    quote! {
        fn rules(&self) -> ::core::result::Result<(), __d::ValidationErrors> {
            __d::validate(self)
        }
    }
}

/// One constant per field, in the order of the table.
fn handles<'a>(vis: &Visibility, fields: impl Iterator<Item = (&'a str, &'a Ident, &'a Type)>) -> TokenStream {
    let handles = fields.enumerate().map(|(index, (name, handle, ty))| {
        let index = Literal::usize_unsuffixed(index);
        let doc = format!(" The field `{name}`.");
        quote! {
            #[doc = #doc]
            #vis const #handle: __d::Field<Self, #ty> = __d::Field::at(#index);
        }
    });
    handles.collect()
}

/// The where clause of a generic struct: what `Schema` asks of the struct, and what the table asks of the types with parameters.
fn bounds(schema: &Schema<'_>) -> Option<TokenStream> {
    if schema.generics.params.is_empty() {
        let where_clause = &schema.generics.where_clause;
        return where_clause.as_ref().map(|clause| quote!(#clause));
    }
    let own = schema
        .generics
        .where_clause
        .iter()
        .flat_map(|clause| &clause.predicates);
    let fields = schema.fields.iter().enumerate().filter_map(|(index, field)| {
        let ty = field.ty;
        if field.opaque || !names_param(ty.to_token_stream(), schema.generics) {
            return None;
        }
        let bound = if index == schema.slug.index {
            quote!(__d::Slug)
        } else {
            quote!(__d::FieldValue)
        };
        let default = matches!(field.default, Some(Fill::Type)).then(|| quote!(+ ::core::default::Default));
        Some(quote_spanned!(ty.span()=> #ty: #bound #default))
    });
    Some(quote! {
        where
            #(#own,)*
            Self: __d::FieldValue + ::core::marker::Send + ::core::marker::Sync + 'static,
            #(#fields,)*
    })
}

/// Whether a type names a parameter of the struct. A path that ends in the same word is taken for one; its bound holds anyway.
fn names_param(ty: TokenStream, generics: &Generics) -> bool {
    ty.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => generics.params.iter().any(|param| match param {
            GenericParam::Type(param) => param.ident == ident,
            GenericParam::Const(param) => param.ident == ident,
            GenericParam::Lifetime(_) => false,
        }),
        TokenTree::Group(group) => names_param(group.stream(), generics),
        TokenTree::Punct(_) | TokenTree::Literal(_) => false,
    })
}
