//! Where a struct may stand and how it may be written.

use dust_orm::{DustSchema, Schema};
use serde::{Deserialize, Serialize};

mod inner {
    pub(super) mod innermost {
        use dust_orm::DustSchema;
        use serde::{Deserialize, Serialize};

        #[derive(Serialize, Deserialize, DustSchema)]
        #[dust(prefix = "links")]
        pub(in crate::hygiene::place) struct Link {
            slug: String,
            #[dust(default = "super::stars")]
            stars: u32,
        }
    }

    fn stars() -> u32 {
        5
    }
}

/// The visibility of a handle is that of the struct, whatever the visibility of the field.
#[test]
fn handles_are_seen_where_the_struct_is() {
    assert_eq!(inner::innermost::Link::STARS.name(), "stars");
    assert_eq!(inner::innermost::Link::SLUG.name(), "slug");
}

#[test]
fn in_a_function() {
    #[derive(Serialize, Deserialize, DustSchema)]
    #[dust(prefix = "links")]
    struct Link {
        slug: Slug,
        #[dust(default = "usual")]
        stars: u32,
    }
    type Slug = String;
    fn usual() -> u32 {
        5
    }
    assert_eq!(
        Link {
            slug: "a".into(),
            stars: usual()
        }
        .slug(),
        "a"
    );
}

macro_rules! record {
    ($vis:vis $name:ident, $prefix:literal, $($field:ident: $ty:ty = $default:literal),*) => {
        #[derive(Serialize, Deserialize, DustSchema)]
        #[dust(prefix = $prefix)]
        $vis struct $name {
            slug: String,
            $(#[dust(default = $default)] $field: $ty,)*
        }
    };
}

record!(pub(super) Made, "made", note: Option<String> = "Default::default", stars: u32 = "u32::default");

#[test]
fn by_a_macro() {
    assert_eq!(Made::PREFIX, ["made"]);
    assert_eq!((Made::NOTE.name(), Made::STARS.name()), ("note", "stars"));
}

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "trees")]
struct Tree {
    slug: String,
    children: Vec<Self>,
    #[cfg(any())]
    absent: Missing,
}

#[test]
fn with_itself_inside_and_a_field_configured_out() {
    assert_eq!(super::wire_names::<Tree>(), ["slug", "children"]);
    let tree = Tree {
        slug: "root".into(),
        children: Vec::new(),
    };
    assert!(tree.children.is_empty());
}
