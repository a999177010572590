//! `#[derive(DustSchema)]`: the tokens of a struct in, a table of data out.
//!
//! Programs name it through `dust-orm`, which re-exports it beside the `Schema` trait that it implements; the example runs there,
//! since this crate depends on no dust crate, not even to test itself:
//!
//! ```text
//! use dust_orm::prelude::*;
//!
//! #[derive(Debug, Serialize, Deserialize, DustSchema)]
//! #[dust(prefix = "links")]
//! struct Link {
//!     #[dust(slug)]
//!     slug: String,
//!     #[dust(required)]
//!     title: String,
//!     note: Option<String>,
//! }
//!
//! let title: Field<Link, String> = Link::TITLE;
//! ```
//!
//! The derive prints the names, types and flags of the fields, one typed handle per field (`Link::TITLE`), and nothing that library
//! code can hold. It reads syntax only: whether a type serialises, or is a string, is said by the traits that the output names.
//!
//! # What it is not
//!
//! It opens no file and no socket, knows no dust crate, and prints no builder, query or codec.
//!
//! # Modules
//!
//! | module | does |
//! |---|---|
//! | `syntax` | attributes → what was written, each with its place |
//! | `check` | what was written → the model, and every rule between settings |
//! | `expand` | the model → tokens; after an error, an impl that keeps the uses of the type quiet |
//! | `model` | a struct whose settings are known to be right |
//! | `ctxt`, `attr`, `case`, `distance` | the errors, one setting, names, "did you mean" |

mod attr;
mod case;
mod check;
mod ctxt;
mod distance;
mod expand;
mod model;
mod syntax;

use proc_macro2::TokenStream;

/// Implements `Schema` for a struct with named fields, and prints a typed handle of each field.
///
/// # On the struct
///
/// | setting | means |
/// |---|---|
/// | `prefix = "links"` | where the records lie; `"reading/links"` or `["reading", "links"]` for more segments. In the string `~1` is a slash and `~0` a tilde inside a segment; in the list every segment is literal |
/// | `storage = "flat"` | `flat` (the default): one leaf per field; `map`: one value per record |
/// | `index(department, name)` | records are found by these fields, in this order; once for each index. Fields by their names in Rust, at most eight. Where two indexes share a field, clippy takes the bare name for an attribute given twice; in quotes, `index("department", "name")`, it does not. With `unique` among them no two records have the same values; with `mapped = false` the entries hold the records, so that a query reads nothing else |
/// | `write_primary = false` | the records live only in their indexes, all `mapped = false`: they are found by queries, and are in no listing or log |
/// | `crate = "renamed"` | the path of `dust-orm` where it is not `::dust_orm` |
///
/// # On a field
///
/// | setting | means |
/// |---|---|
/// | `slug` | the field names the record; without it, the field called `slug` |
/// | `required` | neither null nor "" |
/// | `rename = ".."` | its name in the store, where that is not serde's |
/// | `default`, `default = "path"` | what an absent field loads as: the type's `Default`, or what the function returns |
/// | `skip` | not stored; filled by its default |
///
/// # serde
///
/// `rename`, `rename_all`, `default` and `skip` of serde are honoured and need not be repeated. A field with `with`,
/// `serialize_with` or `deserialize_with` keeps its own encoding, and is checked with the whole record only. What would make the record
/// something else than its fields (`flatten`, `tag`, `transparent`, `from`, ..) is refused.
///
/// # Rules
///
/// Where the struct or a field has `#[validate(..)]`, the changeset runs the rules of the `validator` crate.
#[proc_macro_derive(DustSchema, attributes(dust))]
pub fn derive_dust_schema(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    derive(input.into()).into()
}

fn derive(input: TokenStream) -> TokenStream {
    let input: syn::DeriveInput = match syn::parse2(input) {
        Ok(input) => input,
        Err(error) => return error.into_compile_error(),
    };
    let cx = ctxt::Ctxt::new();
    let raw = syntax::parse(&cx, &input);
    let schema = check::check(&cx, &raw);
    match (schema, cx.check()) {
        (Some(schema), Ok(())) => expand::expand(&schema),
        (_, errors) => {
            let errors = errors.err();
            let fallback = expand::fallback(&raw);
            quote::quote!(#errors #fallback)
        }
    }
}
