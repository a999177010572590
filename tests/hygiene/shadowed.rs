//! Every name that the output could mean is something else here.

#![expect(dead_code, reason = "the names are only in the way")]

mod dust_orm {}
mod core {}
mod std {}
mod __d {}
struct Option;
struct Result;
struct Vec;
struct Box;
struct Ok;
struct Err;
struct Some;
struct None;
struct Field;
struct FieldDef;
struct FieldValue;
struct Schema;
struct Slug;
struct Storage;
struct Value;
struct ValidationErrors;
trait AsRef {}
trait Clone {}
trait Default {}
trait Fn {}
trait FnOnce {}
trait From {}
trait Into {}
trait Send {}
trait Sized {}
trait Sync {}
trait ToString {}
fn default_value() {}
fn slug() {}
fn validate() {}
fn value() {}

#[derive(::serde::Serialize, ::serde::Deserialize, ::dust_orm::DustSchema)]
#[dust(prefix = "texts")]
pub(super) struct String {
    slug: ::std::string::String,
    #[dust(required)]
    text: ::std::string::String,
    #[dust(default)]
    stars: u32,
    #[dust(default = "three")]
    lines: u32,
    #[dust(skip)]
    secret: ::std::string::String,
    #[serde(skip)]
    cache: u32,
}

fn three() -> u32 {
    3
}

#[test]
fn the_output_means_the_names_of_the_library() {
    use ::dust_orm::Schema;
    assert_eq!(
        super::wire_names::<String>(),
        ["slug", "text", "stars", "lines", "secret", "cache"]
    );
    assert!(matches!(String::STORAGE, ::dust_orm::Storage::Flat));
    assert_eq!(String::NAME, "String");
}

/// Serde's derives mean `str` and `usize` by these names, so they stand elsewhere.
mod primitive {
    #![expect(non_camel_case_types, reason = "the names of primitives")]
    struct str;
    struct usize;

    #[derive(::dust_orm::DustSchema)]
    #[dust(prefix = "texts")]
    pub(super) struct Text {
        pub(super) slug: ::std::string::String,
    }
}

impl ::serde::Serialize for primitive::Text {
    fn serialize<S: ::serde::Serializer>(&self, to: S) -> ::core::result::Result<S::Ok, S::Error> {
        to.serialize_newtype_struct("Text", &self.slug)
    }
}

impl<'de> ::serde::Deserialize<'de> for primitive::Text {
    fn deserialize<D: ::serde::Deserializer<'de>>(from: D) -> ::core::result::Result<Self, D::Error> {
        let slug = ::serde::Deserialize::deserialize(from)?;
        ::core::result::Result::Ok(Self { slug })
    }
}

#[test]
fn the_output_means_the_primitives() {
    use ::dust_orm::Schema;
    assert_eq!(primitive::Text { slug: "a".to_owned() }.slug(), "a");
}
