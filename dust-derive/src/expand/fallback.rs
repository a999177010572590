//! What stands in for a schema that has errors.

use std::collections::HashSet;

use proc_macro2::TokenStream;
use quote::quote;

use super::{handles, in_block};
use crate::case::{field_name, handle};
use crate::syntax::RawStruct;

/// An empty schema and the handles, so that the errors shown are those of the struct and not also those of all its uses.
pub(crate) fn fallback(raw: &RawStruct<'_>) -> TokenStream {
    let ident = raw.ident;
    let fields: Vec<_> = raw
        .fields
        .iter()
        .flatten()
        .map(|f| (field_name(f.ident), handle(f.ident), f.ty))
        .collect();
    let mut seen = HashSet::new();
    let distinct = fields.iter().filter(|(_, handle, _)| seen.insert(handle));
    let handles = handles(raw.vis, distinct.map(|(name, handle, ty)| (name.as_str(), handle, *ty)));

    let (impl_generics, ty_generics, where_clause) = raw.generics.split_for_impl();
    let own: Vec<_> = where_clause.iter().flat_map(|clause| &clause.predicates).collect();
    let indexed = (!raw.indexes.is_empty()).then(|| {
        quote! {
            #[automatically_derived]
            impl #impl_generics __d::Indexed for #ident #ty_generics
            where
                #(#own,)*
                for<'__dust> #ident #ty_generics: __d::Schema,
            {
                const INDEXES: &'static [__d::IndexDef] = &[];
            }
        }
    });
    // A bound without a variable is checked here and now, and would be an error for a type that serde's derives refused too; under
    // `for<'__dust>` it waits for a use (https://github.com/rust-lang/rust/issues/48214).
    let body = quote! {
        #[automatically_derived]
        impl #impl_generics __d::Schema for #ident #ty_generics
        where
            #(#own,)*
            for<'__dust> #ident #ty_generics: __d::FieldValue + ::core::marker::Send + ::core::marker::Sync + 'static,
        {
            const NAME: &'static ::core::primitive::str = "";
            const PREFIX: &'static [&'static ::core::primitive::str] = &[];
            const STORAGE: __d::Storage = __d::Storage::Flat;
            const FIELDS: &'static [__d::FieldDef] = &[];
            const SLUG_INDEX: ::core::primitive::usize = 0;
            fn slug(&self) -> &::core::primitive::str {
                ""
            }
        }
        #[automatically_derived]
        impl #impl_generics __d::Primary for #ident #ty_generics
        where
            #(#own,)*
            for<'__dust> #ident #ty_generics: __d::Schema,
        {
        }
        #indexed
        #[automatically_derived]
        impl #impl_generics #ident #ty_generics #where_clause {
            #handles
        }
    };
    in_block(raw.krate.value(), &body)
}
