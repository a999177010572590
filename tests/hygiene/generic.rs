//! Parameters of types and constants; a lifetime is refused (`ui/shape/lifetime.rs`).

use dust_orm::{DustSchema, Field, FieldDef, Indexed, Schema};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, DustSchema)]
#[dust(prefix = "pages", index("views"), index("footer", "views"))]
struct Page<S, T: Clone = String, const N: usize = 4>
where
    T: PartialEq,
{
    #[dust(slug)]
    id: S,
    bodies: Vec<T>,
    #[dust(default)]
    footer: T,
    size: Size<N>,
    views: u64,
}

#[derive(Serialize, Deserialize)]
struct Size<const N: usize>;

/// The bounds are those of the fields, and not more.
fn prefix<T>() -> &'static [&'static str]
where
    T: Clone + PartialEq + Default + Serialize + serde::de::DeserializeOwned + Send + Sync + 'static,
{
    Page::<String, T>::PREFIX
}

#[test]
fn a_generic_struct_is_a_schema_where_its_fields_can_be() {
    let page: Page<String> = Page {
        id: "home".into(),
        bodies: vec!["text".into()],
        footer: String::new(),
        size: Size,
        views: 0,
    };
    assert_eq!(page.slug(), "home");
    assert_eq!(prefix::<u8>(), ["pages"]);
    let [_, by_footer] = Page::<String>::INDEXES else {
        panic!("two indexes")
    };
    let names: Vec<_> = by_footer.fields::<Page<String>>().map(FieldDef::name).collect();
    assert_eq!(names, ["footer", "views"]);
    assert_eq!(
        super::wire_names::<Page<String, u32, 8>>(),
        ["id", "bodies", "footer", "size", "views"]
    );
    let bodies: Field<Page<String, u32>, Vec<u32>> = Page::BODIES;
    assert_eq!(bodies.name(), "bodies");
}

/// A handle asks nothing of the type of its field.
#[test]
fn handles_exist_for_any_parameter() {
    #[derive(PartialEq, Clone)]
    struct Opaque;
    let _: Field<Page<String, Opaque>, Opaque> = Page::FOOTER;
}
