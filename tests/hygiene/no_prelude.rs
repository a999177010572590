//! Without a prelude only absolute paths resolve.

#[no_implicit_prelude]
mod bare {
    #[derive(::serde::Serialize, ::serde::Deserialize, ::dust_orm::DustSchema)]
    #[serde(rename_all = "camelCase")]
    #[dust(prefix = "links", storage = "map", index(title, read_at))]
    pub(super) struct Link {
        pub(super) slug: ::std::string::String,
        #[dust(required)]
        title: ::std::string::String,
        #[dust(default)]
        read_at: ::core::primitive::u64,
        #[dust(default = "::core::default::Default::default")]
        note: ::core::option::Option<::std::string::String>,
        #[dust(skip)]
        secret: ::std::string::String,
    }

    #[derive(::dust_orm::DustSchema, ::serde::Serialize, ::serde::Deserialize)]
    #[dust(prefix = "pages")]
    pub(super) struct Page<T> {
        slug: ::std::string::String,
        #[dust(default)]
        body: T,
    }
}

use bare::{Link, Page};
use dust_orm::{Indexed, Schema, Storage};

#[test]
fn compiles_and_keeps_its_table() {
    assert_eq!(
        super::rows::<Link>(),
        [
            ("slug", "slug", "slug", false, true),
            ("title", "title", "title", true, true),
            ("read_at", "readAt", "readAt", false, true),
            ("note", "note", "note", false, true),
            ("secret", "secret", "secret", false, false),
        ]
    );
    assert_eq!((Link::NAME, Link::STORAGE, Link::SLUG_INDEX), ("Link", Storage::Map, 0));
    assert_eq!(Page::<u8>::PREFIX, ["pages"]);
    assert_eq!(Link::INDEXES.len(), 1);
}
